"""Prefill and decode in BF16 at least as fast as llama.cpp's best build, in turns on the same machine."""
import json
import subprocess
import sys

import pytest

from conftest import ROOT, run_program


@pytest.mark.slow
def test_bf16_is_at_least_as_fast_as_llama_cpp(aquatint):
    subprocess.run([ROOT / "benchmarks/llamacpp/build.sh"], check=True)
    model = ROOT / "build/peers/SmolLM2-135M-Instruct.BF16.gguf"
    result = json.loads(run_program(sys.executable, ROOT / "benchmarks/llamacpp/compare.py", model, model, "--json"))
    ratios = {phase: round(row["ratio"], 2) for phase, row in result["phases"].items()}
    print(ratios)
    assert min(ratios.values()) >= 1.0, ratios
