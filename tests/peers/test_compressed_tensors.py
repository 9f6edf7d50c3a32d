"""Every compressed-tensors checkpoint that we write loads in transformers as it is, holds the same weights bit for bit,
and computes the same distribution."""
import json
import os
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.quantization_config import CompressedTensorsConfig

from divergence import mean_kld
from quantized import decoder_linears, first_difference, our_logits, our_weight, sample_ids, their_logits

SCHEMES = ["W8A16", "W4A16", "W4A16_ASYM", "W8A8", "FP8_DYNAMIC"]
ROUNDED_INPUTS = ["W8A8", "FP8_DYNAMIC"]

# KL(theirs ‖ ours), nats. Both compute the same function; what remains is the order of sums and the rounding of the
# residual stream, which transformers keeps in the model's dtype and we in FP32.
MEAN_KLD = 2e-3


@pytest.fixture(scope="module", params=SCHEMES)
def folder(request, aquatint, smollm2_gguf, tmp_path_factory):
    to = tmp_path_factory.mktemp("quantized") / request.param
    aquatint("quantize", smollm2_gguf, "--to", to, "--scheme", request.param)
    return to


def load(folder, dtype):
    """The folder as transformers loads it. With zero-points it must dequantize while loading: compressed-tensors 0.20
    gives them their unpacked shape on the meta device, and then refuses its own packed files too."""
    if "ASYM" in folder.name:
        return load_dequantized(folder, dtype)
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)


def load_dequantized(folder, dtype):
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, quantization_config=CompressedTensorsConfig(dequantize=True))


def test_weights_are_equal_bit_for_bit(folder, tool, tmp_path):
    dense = load_dequantized(folder, "auto")
    linears = decoder_linears(dense)
    assert len(linears) == 7 * dense.config.num_hidden_layers
    for name, module in linears.items():
        theirs = module.weight.detach()
        ours = our_weight(tool, folder, name, tmp_path).to(theirs.dtype)
        assert not first_difference(ours, theirs), f"{name}: {first_difference(ours, theirs)}"


def without_input_rounding(folder, tmp_path):
    """The folder as it is when its inputs stay in 16 bit, else a copy of it that says so."""
    config = json.loads((folder / "config.json").read_text())
    if folder.name not in ROUNDED_INPUTS:
        return folder
    for group in config["quantization_config"]["config_groups"].values():
        group["input_activations"] = None
    return edited_copy(folder, config, tmp_path / "weights-only")


def edited_copy(folder, config, to):
    shutil.copytree(folder, to, copy_function=os.link)
    (to / "config.json").unlink()
    (to / "config.json").write_text(json.dumps(config))
    return to


@pytest.mark.parametrize("dtype,precision", [(torch.bfloat16, "bf16"), (torch.float32, "fp32")])
def test_logits_agree(folder, tool, data, tmp_path, dtype, precision):
    weights_only = without_input_rounding(folder, tmp_path)
    model = load(weights_only, dtype)
    ids = sample_ids(AutoTokenizer.from_pretrained(folder), data)
    divergence = mean_kld(their_logits(model, ids), our_logits(tool, weights_only, ids, precision, tmp_path))
    print(f"{folder.name} {precision}: mean KLD {divergence:.2e}")
    assert divergence <= MEAN_KLD


@pytest.mark.parametrize("folder", ROUNDED_INPUTS, indirect=True)
def test_inputs_are_rounded_alike(folder, tool, data, tmp_path):
    """One layer, few tokens, FP32: where no value lies within a sum's error of a rounding boundary, both agree to it."""
    config = json.loads((folder / "config.json").read_text()) | {"num_hidden_layers": 1}
    first_layer = edited_copy(folder, config, tmp_path / "first-layer")
    model = load(first_layer, torch.float32)
    ids = sample_ids(AutoTokenizer.from_pretrained(folder), data, 32)
    theirs, ours = their_logits(model, ids), our_logits(tool, first_layer, ids, "fp32", tmp_path)
    error = np.abs(theirs - ours).max(axis=-1) / np.abs(theirs).max(axis=-1)
    print(f"{folder.name} first layer: max |difference| / max |logit|, median over positions {np.median(error):.2e}")
    assert np.median(error) <= 1e-4


@pytest.mark.parametrize("folder", ROUNDED_INPUTS, indirect=True)
def test_rounded_inputs_diverge_no_more_than_transformers_from_itself(folder, tool, data, tmp_path):
    """Rounding every linear's input makes the model chaotic: an ulp at the embedding moves a few values over a rounding
    boundary, each moves more in the next layer, and after a few layers the rounding errors are unrelated. So two correct
    engines differ as much as one engine differs from itself after an ulp, and no less can be asked."""
    model = load(folder, torch.float32)
    ids = sample_ids(AutoTokenizer.from_pretrained(folder), data)
    theirs = their_logits(model, ids)
    with torch.no_grad():
        model.get_input_embeddings().weight.mul_(1 + 2**-23)
    floor = mean_kld(theirs, their_logits(model, ids))
    divergence = mean_kld(theirs, our_logits(tool, folder, ids, "fp32", tmp_path))
    print(f"{folder.name}: mean KLD {divergence:.2e}; transformers after an ulp {floor:.2e}")
    assert divergence <= 1.5 * floor


def test_everything_travels_along(folder, smollm2_gguf):
    model = load(folder, "auto")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    source = AutoTokenizer.from_pretrained(smollm2_gguf.parent, gguf_file=smollm2_gguf.name)
    text = "It's 12 o'clock; naïve café — 東京 🙂\n\n  <|im_start|>user"
    assert tokenizer(text)["input_ids"] == source(text)["input_ids"]
    messages = [{"role": "user", "content": "Hello"}]
    assert (tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            == source.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    assert model.generation_config.eos_token_id in (source.eos_token_id, [source.eos_token_id])
    assert model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()


def test_a_rotated_model_without_a_part_at_run_time_needs_nothing_of_its_reader(aquatint, tool, data, smollm2_gguf, tmp_path):
    recipe, to = tmp_path / "recipe.yaml", tmp_path / "rotated"
    recipe.write_text("scheme: W8A16\nmethods: [quarot: {untie: true, online: false}]\n")
    aquatint("quantize", smollm2_gguf, "--to", to, "--recipe", recipe)
    ids = sample_ids(AutoTokenizer.from_pretrained(to), data)
    model = AutoModelForCausalLM.from_pretrained(to, dtype=torch.float32)
    divergence = mean_kld(their_logits(model, ids), our_logits(tool, to, ids, "fp32", tmp_path))
    print(f"rotated: mean KLD {divergence:.2e}")
    assert divergence <= MEAN_KLD
