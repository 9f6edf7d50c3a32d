"""Our forward pass against transformers': every architecture as a tiny random model, and SmolLM2.

FP32: the largest difference at any position, relative to the largest logit there. BF16: divergence from `ref` in FP32.
"""
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
import transformers
from conftest import BUILD, ROOT, run_program
from smollm2 import hugging_face_folder
from tokenizers import Tokenizer

sys.path.insert(0, str(ROOT / "tools"))
import make_tiny_models

KERNELS = ["ref", "scalar", "avx2", "avx512", "avx512_bf16", "amx"]
TINY_TOKENS = 70
BOUND = {"ref": 1e-5}
OTHER_BOUND = 1e-4
BF16_KLD = 1e-3


def usable(kernels):
    """A set that this machine cannot run, or that is not built in, refuses before it opens the model."""
    done = subprocess.run([BUILD / "tests/logits_tool", "/nonexistent", "/nonexistent", "/dev/null", "--kernels", kernels],
                          capture_output=True, text=True)
    return "--kernels" not in done.stderr


USABLE = [k for k in KERNELS if usable(k)]


class Runner:
    def __init__(self, folder):
        self.folder = folder

    def logits(self, model, ids, kernels, precision="fp32"):
        ids_file, out = self.folder / "ids.txt", self.folder / "logits.f32"
        ids_file.write_text(" ".join(map(str, ids)))
        run_program(BUILD / "tests/logits_tool", model, ids_file, out, "--kernels", kernels, "--precision", precision)
        return numpy.fromfile(out, dtype=numpy.float32).reshape(len(ids), -1)


@pytest.fixture
def ours(tmp_path):
    return Runner(tmp_path)


def logits_of(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].numpy()


def worst_difference(got, want):
    return (numpy.abs(got - want).max(axis=1) / numpy.abs(want).max(axis=1)).max()


def mean_kld(reference, model):
    p, q = (torch.log_softmax(torch.from_numpy(x).double(), dim=-1) for x in (reference, model))
    return (p.exp() * (p - q)).sum(dim=-1).mean().item()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """tiny(name) → folder, ids, transformers' logits."""
    made = {}

    def get(name):
        if name not in made:
            folder = tmp_path_factory.mktemp("tiny") / name
            model = make_tiny_models.make(name)
            make_tiny_models.save(model, folder)
            ids = numpy.random.default_rng(7).integers(0, 97, TINY_TOKENS).tolist()
            made[name] = folder, ids, logits_of(model, ids)
        return made[name]

    return get


@pytest.mark.parametrize("kernels", USABLE)
@pytest.mark.parametrize("name", make_tiny_models.MODELS)
def test_tiny_model(tiny, ours, name, kernels):
    folder, ids, want = tiny(name)
    assert worst_difference(ours.logits(folder, ids, kernels), want) <= BOUND.get(kernels, OTHER_BOUND)


@pytest.mark.parametrize("kernels", USABLE)
@pytest.mark.parametrize("name", make_tiny_models.MODELS)
def test_tiny_model_in_bf16(tiny, ours, name, kernels):
    folder, ids, want = tiny(name)
    assert mean_kld(want, ours.logits(folder, ids, kernels, "bf16")) <= BF16_KLD


def test_older_config_keys(tiny, ours):
    """transformers 4 wrote rope_theta and rope_scaling beside the rest."""
    import json
    folder, ids, want = tiny("llama3_rope")
    config = json.loads((folder / "config.json").read_text())
    scaling = config.pop("rope_parameters")
    config["rope_theta"] = scaling.pop("rope_theta")
    config["rope_scaling"] = scaling
    (folder / "config.json").write_text(json.dumps(config))
    assert worst_difference(ours.logits(folder, ids, "ref"), want) <= BOUND["ref"]


@pytest.fixture(scope="session")
def smollm2(smollm2_gguf, tool, data):
    """Our file, 512 tokens of WikiText-2 test and transformers' logits of them."""
    cache = Path(os.environ.get("AQUATINT_PEERS_CACHE", ROOT / "build/peers"))
    folder = hugging_face_folder(smollm2_gguf, cache, tool)
    text = (data / "wikitext-2/test.txt").read_text()[:8000]
    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).ids[:512]
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return smollm2_gguf, ids, logits_of(model.eval(), ids)


# `ref` has no SIMD and no threads: 64 tokens, about a minute.
@pytest.mark.parametrize("kernels", USABLE)
def test_smollm2(smollm2, ours, kernels):
    gguf, ids, want = smollm2
    count = 64 if kernels == "ref" else 512
    assert worst_difference(ours.logits(gguf, ids[:count], kernels), want[:count]) <= BOUND.get(kernels, OTHER_BOUND)


@pytest.mark.parametrize("kernels", [k for k in USABLE if k != "ref"])
def test_smollm2_in_bf16(smollm2, ours, kernels):
    gguf, ids, want = smollm2
    assert mean_kld(want, ours.logits(gguf, ids, kernels, "bf16")) <= BF16_KLD


@pytest.mark.slow
def test_smollm2_in_ref_at_length(smollm2, ours):
    gguf, ids, want = smollm2
    assert worst_difference(ours.logits(gguf, ids, "ref"), want) <= BOUND["ref"]
    assert mean_kld(want[:64], ours.logits(gguf, ids[:64], "ref", "bf16")) <= BF16_KLD
