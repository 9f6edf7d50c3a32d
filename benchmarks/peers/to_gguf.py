#!/usr/bin/env python3
"""The weights of a Llama's safetensors folder as a BF16 GGUF file, for llama.cpp. Without a vocabulary: for speed alone.

  to_gguf.py FOLDER FILE.gguf
"""
import json
import pathlib
import sys

import gguf
import numpy as np


def tensors_of(folder):
    """Name and mapped bits of every BF16 tensor."""
    for path in sorted(folder.glob("*.safetensors")):
        size = int.from_bytes(path.open("rb").read(8), "little")
        with path.open("rb") as file:
            file.seek(8)
            header = json.loads(file.read(size))
        for name, entry in header.items():
            if name == "__metadata__":
                continue
            if entry["dtype"] != "BF16":
                raise SystemExit(f"to_gguf: {path}: {name} is {entry['dtype']}, expected BF16")
            begin = 8 + size + entry["data_offsets"][0]
            yield name, np.memmap(path, np.uint16, "r", begin, tuple(entry["shape"]))


def interleave(bits, heads):
    """llama-arch files rotate neighbours (2i, 2i+1) where Hugging Face rotates halves (i, i + d/2)."""
    rows, cols = bits.shape
    return bits.reshape(heads, 2, rows // heads // 2, cols).swapaxes(1, 2).reshape(rows, cols)


def add_config(writer, config):
    """What GGUF says of a Llama-like model's config.json, rope scaling apart."""
    head_dim = config.get("head_dim", config["hidden_size"] // config["num_attention_heads"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(head_dim)
    if "head_dim" in config:
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)


def convert(folder, target):
    config = json.loads((folder / "config.json").read_text())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    writer = gguf.GGUFWriter(target, "llama")
    add_config(writer, config)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for name, bits in tensors_of(folder):
        short = names.get_name(name, (".weight",))
        if bits.ndim == 1:
            writer.add_tensor(short, (bits.astype(np.uint32) << 16).view(np.float32))
            continue
        if ".q_proj." in name:
            bits = interleave(bits, config["num_attention_heads"])
        if ".k_proj." in name:
            bits = interleave(bits, config["num_key_value_heads"])
        writer.add_tensor(short, bits.view(np.uint8), raw_dtype=gguf.GGMLQuantizationType.BF16)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    convert(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
