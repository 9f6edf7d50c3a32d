"""Every GGUF block type, read by us and by the `gguf` package, bit for bit; the whole model against transformers' own
GGUF reader."""
import gguf
import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
# Where the FP16 scales stand in a block: random bytes there would be infinities and NaNs now and then.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
HIDDEN, FFN, HEADS, KV_HEADS, VOCAB = 512, 768, 8, 2, 64


def random_blocks(name, rows, cols, random):
    """Blocks of random bits: every code and every sub-block scale occurs. Plain types get random finite values."""
    kind = gguf.GGMLQuantizationType[name]
    block, size = gguf.GGML_QUANT_SIZES[kind]
    if block == 1:
        values = random.standard_normal((rows, cols)).astype(np.float32)
        return gguf.quants.quantize(values, kind).view(np.uint8).reshape(rows, -1)
    blocks = random.integers(0, 256, (rows * cols // block, size), dtype=np.uint8)
    for at in HALVES[name]:
        halves = (random.standard_normal(len(blocks)) * 0.01).astype(np.float16)
        halves[::7] = np.float16(6e-8)  # subnormal
        halves[::11] = -halves[::11]
        halves[::13] = np.float16(-0.0)
        blocks[:, at:at + 2] = halves.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(rows, -1)


def write_model(path, name, arch, random):
    """A one-layer model of one block type; returns {our module name: expected FP32 matrix}."""
    kind = gguf.GGMLQuantizationType[name]
    writer = gguf.GGUFWriter(path, arch)
    writer.add_block_count(1)
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(10000.0)
    expected = {}
    shapes = {"token_embd": (VOCAB, HIDDEN, "model.embed_tokens"), "blk.0.attn_q": (HIDDEN, HIDDEN, "model.layers.0.self_attn.q_proj"),
              "blk.0.attn_k": (HIDDEN // 4, HIDDEN, "model.layers.0.self_attn.k_proj"),
              "blk.0.attn_v": (HIDDEN // 4, HIDDEN, "model.layers.0.self_attn.v_proj"),
              "blk.0.ffn_down": (HIDDEN, FFN, "model.layers.0.mlp.down_proj")}
    for tensor, (rows, cols, module) in shapes.items():
        blocks = random_blocks(name, rows, cols, random)
        writer.add_tensor(f"{tensor}.weight", blocks, raw_dtype=kind)
        values = np.ascontiguousarray(gguf.quants.dequantize(blocks, kind).reshape(rows, cols))
        if arch == "llama" and tensor[-1] in "qk":
            heads = HEADS if tensor[-1] == "q" else KV_HEADS
            values = values.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)
        expected[module] = values
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


@pytest.mark.parametrize("arch", ["llama", "qwen2"])
@pytest.mark.parametrize("name", TYPES)
def test_equal_bit_for_bit(name, arch, tool, tmp_path):
    path = tmp_path / "model.gguf"
    expected = write_model(path, name, arch, np.random.default_rng(TYPES.index(name)))
    for module, values in expected.items():
        tool("dump_tool", path, module, tmp_path / "out.f32")
        ours = np.fromfile(tmp_path / "out.f32", dtype=np.uint32).reshape(values.shape)
        theirs = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
        assert (ours == theirs).all(), f"{module}: {(ours != theirs).sum()} of {ours.size} values differ"


def test_the_model_equals_transformers_reading(tool, smollm2_gguf, tmp_path):
    """config.json's numbers and every weight, the Q/K row order among them."""
    theirs = AutoModelForCausalLM.from_pretrained(smollm2_gguf.parent, gguf_file=smollm2_gguf.name, dtype=torch.float32)
    tool("dump_tool", smollm2_gguf, "--side", tmp_path / "side")
    ours = AutoConfig.from_pretrained(tmp_path / "side")
    for key in ["model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "num_key_value_heads", "head_dim", "rope_parameters", "max_position_embeddings", "tie_word_embeddings"]:
        assert getattr(ours, key) == getattr(theirs.config, key), key
    assert np.float32(ours.rms_norm_eps) == np.float32(theirs.config.rms_norm_eps)  # ours is the shortest decimal
    for layer in [0, 17, 29]:
        for part in ["self_attn.q_proj", "self_attn.k_proj", "self_attn.o_proj", "mlp.gate_proj"]:
            module = f"model.layers.{layer}.{part}"
            tool("dump_tool", smollm2_gguf, module, tmp_path / "out.f32")
            weight = theirs.get_submodule(module).weight.detach().numpy()
            assert np.array_equal(np.fromfile(tmp_path / "out.f32", dtype=np.float32).reshape(weight.shape), weight), module
