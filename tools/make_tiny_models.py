#!/usr/bin/env python3
"""Tiny random models of every architecture, as transformers saves them: odd widths, grouped heads, every switch.

make_tiny_models.py FOLDER [NAME...] writes FOLDER/NAME/{config.json,model.safetensors}. Needs torch and transformers.
"""
import copy
import sys
from pathlib import Path

import torch
import transformers

COMMON = dict(vocab_size=97, num_hidden_layers=3, max_position_embeddings=256, bos_token_id=1, eos_token_id=2)

MODELS = {
    "llama": ("Llama", dict(hidden_size=36, intermediate_size=52, num_attention_heads=6, num_key_value_heads=2,
                            head_dim=10, eos_token_id=[2, 5])),
    "llama3_rope": ("Llama", dict(hidden_size=36, intermediate_size=52, num_attention_heads=3, num_key_value_heads=1,
                                  head_dim=16, num_hidden_layers=1, tie_word_embeddings=True,
                                  rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0,
                                                       low_freq_factor=1.0, high_freq_factor=4.0,
                                                       original_max_position_embeddings=64))),
    "llama_linear_rope": ("Llama", dict(hidden_size=36, intermediate_size=52, num_attention_heads=6,
                                        num_key_value_heads=None, head_dim=None,
                                        rope_parameters=dict(rope_type="linear", rope_theta=5000.0, factor=2.5))),
    "llama_biases": ("Llama", dict(hidden_size=60, intermediate_size=52, num_attention_heads=6, num_key_value_heads=3,
                                   head_dim=14, attention_bias=True, mlp_bias=True)),
    "mistral_window": ("Mistral", dict(hidden_size=36, intermediate_size=52, num_attention_heads=4,
                                       num_key_value_heads=2, head_dim=6, sliding_window=16)),
    "mistral": ("Mistral", dict(hidden_size=60, intermediate_size=52, num_attention_heads=3, num_key_value_heads=3,
                                head_dim=22, sliding_window=None)),
    "qwen2": ("Qwen2", dict(hidden_size=60, intermediate_size=52, num_attention_heads=6, num_key_value_heads=2)),
    "qwen2_window": ("Qwen2", dict(hidden_size=36, intermediate_size=52, num_attention_heads=6, num_key_value_heads=1,
                                   use_sliding_window=True, sliding_window=16, max_window_layers=1)),
    "qwen2_yarn": ("Qwen2", dict(hidden_size=60, intermediate_size=52, num_attention_heads=2, num_key_value_heads=1,
                                 tie_word_embeddings=True,
                                 rope_parameters=dict(rope_type="yarn", rope_theta=10000.0, factor=4.0,
                                                      original_max_position_embeddings=64))),
    "qwen3": ("Qwen3", dict(hidden_size=36, intermediate_size=50, num_attention_heads=6, num_key_value_heads=3,
                            head_dim=8, num_hidden_layers=2)),
    "qwen3_tied": ("Qwen3", dict(hidden_size=60, intermediate_size=52, num_attention_heads=4, num_key_value_heads=2,
                                 head_dim=18, tie_word_embeddings=True, attention_bias=True)),
    # Widths that groups of 128 divide, for quantized formats. Last by name: the others' seeds count names.
    "wide": ("Llama", dict(hidden_size=128, intermediate_size=256, num_attention_heads=4, num_key_value_heads=2,
                           num_hidden_layers=2, tie_word_embeddings=True)),
}


def randomize(model, seed, dtype):
    """Weights, rounded to `dtype`, that make attention look at some tokens more than at others and every bias and norm matter."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values = torch.randn(weight.shape, generator=random)
            if "norm" in name:
                values = 1 + 0.2 * values
            elif weight.dim() == 1:
                values = 0.3 * values
            elif "embed" in name:
                values = 0.4 * values
            else:
                values = values / weight.shape[1] ** 0.5
            weight.copy_(values.to(dtype))


def make(name, dtype=torch.float32):
    """The model `name`, its weights rounded to `dtype` but held and run in FP32."""
    family, numbers = MODELS[name]
    config = getattr(transformers, family + "Config")(**{**COMMON, **numbers})
    model = getattr(transformers, family + "ForCausalLM")._from_config(config, attn_implementation="eager").float()
    randomize(model, sorted(MODELS).index(name), dtype)
    return model.eval()


def save(model, folder, dtype=torch.float32):
    copy.deepcopy(model).to(dtype).save_pretrained(folder)  # a copy: .to() also rounds the rope frequencies
    (Path(folder) / "generation_config.json").unlink(missing_ok=True)


def main():
    folder = Path(sys.argv[1])
    for name in sys.argv[2:] or MODELS:
        save(make(name), folder / name)


if __name__ == "__main__":
    main()
