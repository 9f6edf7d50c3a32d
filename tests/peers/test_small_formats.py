"""Formats below and beside the common ones, on a tiny model: what we write for compressed-tensors loads in transformers as
it is, holds the same weights bit for bit, rounds inputs alike; schemes mixed in one model do too."""
import json
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from quantized import decoder_linears, first_difference, our_logits, our_weight, their_logits
from transformers import AutoModelForCausalLM
from transformers.utils.quantization_config import CompressedTensorsConfig

sys.path.insert(0, str(ROOT / "tools"))
import make_tiny_models

SCHEMES = ["W3A16", "W2A16", "W4A8", "W4A4", "W4AFP8", "FP8_BLOCK", "NVFP4A16", "MXFP4", "MXFP4A16", "MXFP6A16", "MXFP8"]

ROUNDED = ["FP8_BLOCK", "W4AFP8", "MXFP4", "MXFP8"]
ROUNDED_TO_INTEGERS = ["W4A8", "W4A4"]
SAME = 1e-4  # FP32 logits of one layer, relative to the largest
IDS = list(range(1, 33))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny") / "wide"
    make_tiny_models.save(make_tiny_models.make("wide", torch.bfloat16), folder, torch.bfloat16)
    return folder


@pytest.fixture
def quantized(aquatint, wide, tmp_path):
    def make(scheme):
        aquatint("quantize", wide, "--to", tmp_path / scheme, "--scheme", scheme)
        return tmp_path / scheme
    return make


def load(folder, dtype="auto", **options):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, **options)


def check_weights(folder, tool, tmp_path):
    linears = decoder_linears(load(folder, quantization_config=CompressedTensorsConfig(dequantize=True)))
    assert len(linears) == 14
    for name, module in linears.items():
        theirs = module.weight.detach()
        difference = first_difference(our_weight(tool, folder, name, tmp_path).to(theirs.dtype), theirs)
        assert not difference, f"{name}: {difference}"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_are_equal_bit_for_bit(scheme, quantized, tool, tmp_path):
    check_weights(quantized(scheme), tool, tmp_path)


@pytest.fixture
def first_layer(quantized):
    def make(scheme):
        folder = quantized(scheme)
        config = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 1}
        (folder / "config.json").write_text(json.dumps(config))
        return folder
    return make


def in_fp32(folder):
    """Weights of the MX formats become BF16 in the first run, whatever the model's type; that is exact."""
    model = load(folder)
    with torch.no_grad():
        model(torch.tensor([IDS]))
    return torch.nn.Module.float(model)  # transformers forbids its own .float()


def median_difference(a, b):
    return np.median(np.abs(a - b).max(axis=-1) / np.abs(a).max(axis=-1))


@pytest.mark.parametrize("scheme", ROUNDED)
def test_inputs_are_rounded_alike(scheme, first_layer, tool, tmp_path):
    folder = first_layer(scheme)
    model = in_fp32(folder) if scheme.startswith("MX") else load(folder, torch.float32)
    difference = median_difference(their_logits(model, IDS), our_logits(tool, folder, IDS, "fp32", tmp_path))
    print(f"{scheme}: max |difference| / max |logit|, median over positions {difference:.2e}")
    assert difference <= SAME


@pytest.mark.parametrize("scheme", ROUNDED_TO_INTEGERS)
def test_integer_inputs_differ_no_more_than_after_an_ulp(scheme, first_layer, tool, tmp_path):
    """The scale max|x| / 7.5 (127.5) puts the extreme value, where it is negative, on the tie between the two lowest
    codes, so that the last bit of a sum decides: transformers itself moves as much after an ulp more or less at the embedding."""
    folder = first_layer(scheme)
    model = load(folder, torch.float32)
    theirs = their_logits(model, IDS)
    with torch.no_grad():
        weight = model.get_input_embeddings().weight
        weight.mul_(1 + 2**-23 * torch.randint(-1, 2, weight.shape, generator=torch.Generator().manual_seed(1)))
    floor = median_difference(theirs, their_logits(model, IDS))
    difference = median_difference(theirs, our_logits(tool, folder, IDS, "fp32", tmp_path))
    print(f"{scheme}: median difference {difference:.2e}; transformers after an ulp {floor:.2e}")
    assert difference <= 3 * floor
