"""Every compressed-tensors checkpoint that we write loads in transformers as it is, holds the same weights bit for bit,
and computes the same distribution."""
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils.quantization_config import CompressedTensorsConfig

from divergence import mean_kld
from quantized import decoder_linears, first_difference, our_logits, our_weight, sample_ids, their_logits

SCHEMES = ["W8A16", "W4A16", "W4A16_ASYM", "W8A8", "FP8_DYNAMIC"]

# KL(theirs ‖ ours), nats. Both compute the same function; what remains is the order of sums, the rounding of the residual
# stream, which transformers keeps in the model's dtype and we in FP32, and for 8-bit inputs the values that these
# differences push over a rounding boundary.
MEAN_KLD = 2e-3


@pytest.fixture(scope="module", params=SCHEMES)
def folder(request, aquatint, smollm2_gguf, tmp_path_factory):
    to = tmp_path_factory.mktemp("quantized") / request.param
    aquatint("quantize", smollm2_gguf, "--to", to, "--scheme", request.param)
    return to


def test_weights_are_equal_bit_for_bit(folder, tool, tmp_path):
    dense = AutoModelForCausalLM.from_pretrained(
        folder, dtype="auto", quantization_config=CompressedTensorsConfig(dequantize=True))
    linears = decoder_linears(dense)
    assert len(linears) == 7 * dense.config.num_hidden_layers
    for name, module in linears.items():
        theirs = module.weight.detach()
        ours = our_weight(tool, folder, name, tmp_path).to(theirs.dtype)
        assert not first_difference(ours, theirs), f"{name}: {first_difference(ours, theirs)}"


@pytest.mark.parametrize("dtype,precision", [(torch.bfloat16, "bf16"), (torch.float32, "fp32")])
def test_logits_agree(folder, tool, data, tmp_path, dtype, precision):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    ids = sample_ids(AutoTokenizer.from_pretrained(folder), data)
    theirs = their_logits(model, ids)
    divergence = mean_kld(theirs, our_logits(tool, folder, ids, precision, tmp_path))
    print(f"{folder.name} {precision}: mean KLD {divergence:.2e}")
    assert divergence <= MEAN_KLD


def test_everything_travels_along(folder, smollm2_gguf):
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    source = AutoTokenizer.from_pretrained(smollm2_gguf.parent, gguf_file=smollm2_gguf.name)
    text = "It's 12 o'clock; naïve café — 東京 🙂\n\n  <|im_start|>user"
    assert tokenizer(text)["input_ids"] == source(text)["input_ids"]
    messages = [{"role": "user", "content": "Hello"}]
    assert (tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            == source.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    assert model.generation_config.eos_token_id in (source.eos_token_id, [source.eos_token_id])
    assert model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()
