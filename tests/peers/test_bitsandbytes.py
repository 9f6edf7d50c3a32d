"""The NF4 folder that we write is bitsandbytes' own: its functions read the same weights, transformers loads it."""
import json

import pytest
import torch
from bitsandbytes.functional import QuantState, dequantize_4bit
from safetensors import safe_open
from transformers import AutoModelForCausalLM, AutoTokenizer

from divergence import mean_kld
from quantized import first_difference, our_logits, our_weight, sample_ids, their_logits

# KL(theirs ‖ ours), nats: the order of sums; in BF16 the rounding of the residual stream; and in FP32 that bitsandbytes
# multiplies in its configured compute type, BF16.
MEAN_KLD = 2e-3


@pytest.fixture(scope="module")
def folder(aquatint, smollm2_gguf, tmp_path_factory):
    to = tmp_path_factory.mktemp("quantized") / "NF4"
    aquatint("quantize", smollm2_gguf, "--to", to, "--scheme", "NF4")
    return to


def stored_weights(folder):
    """Module name → (codes, bitsandbytes' state), as bitsandbytes parses the file."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}
    for key in [name for name in tensors if name.endswith(".quant_state.bitsandbytes__nf4")]:
        weight = key.removesuffix(".quant_state.bitsandbytes__nf4")
        parts = {name.removeprefix(weight + "."): value for name, value in tensors.items() if name.startswith(weight + ".")}
        yield weight.removesuffix(".weight"), tensors[weight], QuantState.from_dict(parts, device=torch.device("cpu"))


def test_weights_are_equal_bit_for_bit(folder, tool, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    count = 0
    for module, codes, state in stored_weights(folder):
        state.dtype = torch.float32  # before the rounding to the compute type, which loses bits on both sides
        theirs = dequantize_4bit(codes, state)
        ours = our_weight(tool, folder, module, tmp_path)
        assert not first_difference(ours, theirs), f"{module}: {first_difference(ours, theirs)}"
        count += 1
    assert count == 7 * config["num_hidden_layers"]


@pytest.mark.parametrize("dtype,precision", [(torch.bfloat16, "bf16"), (torch.float32, "fp32")])
def test_transformers_computes_the_same(folder, tool, data, tmp_path, dtype, precision):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    ids = sample_ids(AutoTokenizer.from_pretrained(folder), data)
    divergence = mean_kld(their_logits(model, ids), our_logits(tool, folder, ids, precision, tmp_path))
    print(f"NF4 {precision}: mean KLD {divergence:.2e}")
    assert divergence <= MEAN_KLD
