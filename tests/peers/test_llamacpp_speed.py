"""Prefill and decode in BF16 at least as fast as llama.cpp's best build, in turns on the same machine."""
import json
import subprocess
import sys

import pytest

from conftest import ROOT, run_program


@pytest.mark.slow
def test_bf16_is_at_least_as_fast_as_llama_cpp(aquatint, tmp_path):
    scripts, out = ROOT / "benchmarks/peers", tmp_path / "result.json"
    subprocess.run(["ninja", "-C", ROOT / "build/release", "aquatint", "synthetic_model"], check=True)
    subprocess.run([scripts / "setup.sh", "native", "python"], check=True)
    subprocess.run([scripts / "models.sh", "smollm2"], check=True)
    run_program(sys.executable, scripts / "compare.py", out, "--models", "smollm2", "--only", "BF16$", "--rounds", "3")
    ratios = {f"{r['phase']} over {r['under']}": round(r["median"], 2) for r in json.loads(out.read_text())["groups"][0]["ratios"]}
    print(ratios)
    assert min(ratios.values()) >= 1.0, ratios
