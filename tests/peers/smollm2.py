"""SmolLM2's GGUF as a Hugging Face folder of exact FP32 weights, made with the gguf package's reader and dequantizer."""
import numpy
import torch
import transformers
from gguf import GGUFReader, dequantize

LAYER_NAMES = {
    "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}
OTHER_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def hugging_face_name(name):
    stem, _, kind = name.rpartition(".")
    if stem in OTHER_NAMES:
        return f"{OTHER_NAMES[stem]}.{kind}"
    _, layer, part = stem.split(".")
    return f"model.layers.{layer}.{LAYER_NAMES[part]}.{kind}"


def halves_from_pairs(weight, heads):
    """llama-arch files store q and k for rotation of pairs (2i, 2i + 1); Hugging Face rotates halves (i, i + dim / 2)."""
    rows, cols = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


def read_model(path):
    reader = GGUFReader(path)
    field = lambda key: reader.fields[f"llama.{key}"].contents()
    heads, kv_heads = field("attention.head_count"), field("attention.head_count_kv")
    config = transformers.LlamaConfig(
        vocab_size=field("vocab_size"), hidden_size=field("embedding_length"),
        intermediate_size=field("feed_forward_length"), num_hidden_layers=field("block_count"),
        num_attention_heads=heads, num_key_value_heads=kv_heads, max_position_embeddings=field("context_length"),
        rms_norm_eps=field("attention.layer_norm_rms_epsilon"), tie_word_embeddings=True, bos_token_id=1,
        eos_token_id=2, rope_parameters=dict(rope_type="default", rope_theta=field("rope.freq_base")))
    weights = {}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if "attn_q." in tensor.name or "attn_k." in tensor.name:
            values = halves_from_pairs(values, heads if "attn_q." in tensor.name else kv_heads)
        weights[hugging_face_name(tensor.name)] = torch.from_numpy(values.copy())
    model = transformers.LlamaForCausalLM(config)
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert missing == ["lm_head.weight"] and not unexpected, (missing, unexpected)
    model.tie_weights()
    return model.float().eval()


def hugging_face_folder(gguf, cache, tool):
    """Made once: the folder under `cache`, with the tokenizer that our reader makes from the file's metadata."""
    folder = cache / "smollm2-fp32"
    if not (folder / "done").exists():
        tool("dump_tool", gguf, "--side", folder)
        read_model(gguf).save_pretrained(folder)
        (folder / "done").touch()
    return folder
