#!/usr/bin/env python3
"""Writes a Llama-shaped BF16 checkpoint whose weights are holes: real headers, no data. For dry runs of models
that are larger than the disk.
  sparse_model.py FOLDER [--preset 70b]"""
import argparse
import json
import pathlib
import struct

PRESETS = {"8b": (4096, 32, 32, 8, 14336, 128256), "70b": (8192, 80, 64, 8, 28672, 128256)}


def shapes(hidden, layers, heads, kv_heads, mlp, vocabulary):
    kv = hidden // heads * kv_heads
    yield "model.embed_tokens", (vocabulary, hidden)
    for layer in range(layers):
        at = f"model.layers.{layer}."
        yield at + "self_attn.q_proj", (hidden, hidden)
        yield at + "self_attn.k_proj", (kv, hidden)
        yield at + "self_attn.v_proj", (kv, hidden)
        yield at + "self_attn.o_proj", (hidden, hidden)
        yield at + "mlp.gate_proj", (mlp, hidden)
        yield at + "mlp.up_proj", (mlp, hidden)
        yield at + "mlp.down_proj", (hidden, mlp)
        yield at + "input_layernorm", (hidden,)
        yield at + "post_attention_layernorm", (hidden,)
    yield "model.norm", (hidden,)
    yield "lm_head", (vocabulary, hidden)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--preset", choices=PRESETS, default="70b")
    options = parser.parse_args()
    hidden, layers, heads, kv_heads, mlp, vocabulary = preset = PRESETS[options.preset]
    options.folder.mkdir(parents=True)
    header, offset = {}, 0
    for module, shape in shapes(*preset):
        size = 2
        for extent in shape:
            size *= extent
        header[module + ".weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(options.folder / "model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
              "hidden_size": hidden, "num_hidden_layers": layers, "num_attention_heads": heads,
              "num_key_value_heads": kv_heads, "intermediate_size": mlp, "vocab_size": vocabulary,
              "max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
              "tie_word_embeddings": False, "torch_dtype": "bfloat16"}
    (options.folder / "config.json").write_text(json.dumps(config, indent=2))


main()
