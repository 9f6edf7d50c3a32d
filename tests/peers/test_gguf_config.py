"""config.json synthesized from GGUF metadata, for each architecture and rope scaling: what transformers' config says that
the file was made from."""
import math
import sys

import gguf
import numpy as np
import pytest
from conftest import ROOT
from transformers import AutoConfig

sys.path.insert(0, str(ROOT / "benchmarks/peers"))
from to_gguf import add_config

BASE = dict(vocab_size=96, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=4096, rms_norm_eps=1e-5, tie_word_embeddings=False,
            bos_token_id=1, eos_token_id=2)
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}
CASES = {
    "llama": ("llama", BASE | {"rope_theta": 10000.0}),
    "llama-tied-bias": ("llama", BASE | {"rope_theta": 500000.0, "tie_word_embeddings": True, "attention_bias": True}),
    "llama-3.1": ("llama", BASE | {"rope_theta": 500000.0, "head_dim": 128, "rope_scaling": LLAMA3}),
    "llama-3.2": ("llama", BASE | {"rope_theta": 500000.0, "head_dim": 64, "rope_scaling": LLAMA3 | {"factor": 32.0}}),
    "llama-linear": ("llama", BASE | {"rope_theta": 10000.0, "rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
    "mistral": ("mistral", BASE | {"rope_theta": 1000000.0, "head_dim": 32, "sliding_window": None}),
    "mistral-window": ("mistral", BASE | {"rope_theta": 10000.0, "sliding_window": 1024}),
    "qwen2": ("qwen2", BASE | {"rope_theta": 1000000.0, "tie_word_embeddings": True}),
    "qwen2-yarn": ("qwen2", BASE | {"rope_theta": 1000000.0, "rope_scaling": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024}}),
    "qwen3": ("qwen3", BASE | {"rope_theta": 1000000.0, "head_dim": 32}),
}


def llama3_divisors(rope, theta, dim):
    """rope_freqs.weight, as llama.cpp's converter computes it."""
    low, high = (rope["original_max_position_embeddings"] / rope[f"{side}_freq_factor"] for side in ("low", "high"))
    divisors = []
    for frequency in 1.0 / theta ** (np.arange(0, dim, 2, dtype=np.float32) / dim):
        wavelength = 2 * math.pi / frequency
        if wavelength < high:
            divisors.append(1)
        elif wavelength > low:
            divisors.append(rope["factor"])
        else:
            smooth = ((rope["original_max_position_embeddings"] / wavelength - rope["low_freq_factor"])
                      / (rope["high_freq_factor"] - rope["low_freq_factor"]))
            divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return np.array(divisors, dtype=np.float32)


def write(path, arch, c):
    head_dim = c.get("head_dim", c["hidden_size"] // c["num_attention_heads"])
    writer = gguf.GGUFWriter(path, arch)
    add_config(writer, c)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    if c.get("sliding_window"):
        writer.add_sliding_window(c["sliding_window"])
    tensors = {"token_embd.weight": (c["vocab_size"], c["hidden_size"]),
               "blk.0.attn_q.weight": (c["num_attention_heads"] * head_dim, c["hidden_size"])}
    if not c["tie_word_embeddings"]:
        tensors["output.weight"] = tensors["token_embd.weight"]
    if c.get("attention_bias"):
        tensors["blk.0.attn_q.bias"] = (c["num_attention_heads"] * head_dim,)
    for name, shape in tensors.items():
        writer.add_tensor(name, np.zeros(shape, dtype=np.float32))
    rope = c.get("rope_scaling") or {}
    if rope.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_divisors(rope, c["rope_theta"], head_dim))
    elif rope:
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
        if "original_max_position_embeddings" in rope:
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.mark.parametrize("case", CASES)
def test_config(case, tool, tmp_path):
    model_type, values = CASES[case]
    write(tmp_path / "model.gguf", "llama" if model_type == "mistral" else model_type, values)
    tool("dump_tool", tmp_path / "model.gguf", "--side", tmp_path / "side")
    ours = AutoConfig.from_pretrained(tmp_path / "side")
    theirs = AutoConfig.for_model(model_type, **values)
    # A Mistral without a window is a Llama in all but name; its GGUF file does not tell.
    assert ours.model_type == (model_type if case != "mistral" else "llama")
    for key, value in values.items():
        if key not in ("rope_theta", "rope_scaling", "sliding_window") or case == "mistral-window" and key == "sliding_window":
            assert getattr(ours, key) == value, key
    assert ours.rope_parameters == theirs.rope_parameters
