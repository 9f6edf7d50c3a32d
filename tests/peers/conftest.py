"""What all proofs against other people's software share: our program and tools, the model, the data.

Our build comes from AQUATINT_BIN and AQUATINT_BUILD (tools/peers.sh sets them), the evaluation data from
AQUATINT_TEST_DATA; only tests that need that data may skip. Marked `slow`: longer than a minute, left out by CI.
"""
import json
import os
import subprocess
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("TQDM_DISABLE", "1")

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("AQUATINT_BUILD", ROOT / "build/release"))
GGUF = ROOT / "models/SmolLM2-135M-Instruct.Q4_1.gguf"


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a minute; left out by CI")


def run_program(program, *arguments):
    """Standard output of one of our programs; its error line when it fails."""
    done = subprocess.run([str(program), *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"{Path(program).name} exited {done.returncode}: {done.stderr.strip()[-2000:]}"
    return done.stdout


@pytest.fixture(scope="session")
def aquatint():
    """aquatint("quantize", MODEL, ...) → the parsed --json result."""
    program = Path(os.environ.get("AQUATINT_BIN", BUILD / "aquatint"))
    assert program.exists(), f"{program} is missing; run `make test-peers`, which builds it"
    return lambda *arguments: json.loads(run_program(program, *arguments, "--json"))


@pytest.fixture(scope="session")
def tool():
    """tool("dump_tool", ...) → standard output of a program of tests/tools."""
    def run(name, *arguments):
        program = BUILD / "tests" / name
        assert program.exists(), f"{program} is missing; run `make test-peers`, which builds it"
        return run_program(program, *arguments)
    return run


@pytest.fixture(scope="session")
def smollm2_gguf():
    assert GGUF.exists(), f"{GGUF} is missing; tools/fetch_smollm2.sh fetches it"
    return GGUF


@pytest.fixture(scope="session")
def data():
    folder = os.environ.get("AQUATINT_TEST_DATA", "")
    if not folder:
        pytest.skip("AQUATINT_TEST_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def llama_cpp():
    """The llama.cpp sources that the package llama-cpp-python carries (vocabularies and templates under models/)."""
    subprocess.run([ROOT / "tools/fetch_llamacpp.sh"], check=True)
    return ROOT / "build/peers/llama.cpp"
