#!/usr/bin/env python3
"""Prefill of a Llama in torch BF16 on the CPU (oneDNN's linears, torch's own attention), tokens/s as JSON. Written out
plainly, so that nothing but torch is measured; q/k/v and gate/up are one product each, as in fast servers.

  torch_prefill.py FOLDER --threads N --repeat N [--tokens 512]
"""
import argparse
import json
import pathlib
import time

import numpy as np
import torch
from torch.nn.functional import linear, rms_norm, scaled_dot_product_attention, silu

from to_gguf import tensors_of


class Llama:
    def __init__(self, folder):
        self.config = json.loads((folder / "config.json").read_text())
        w = {name: torch.from_numpy(np.array(bits).view(np.int16)).view(torch.bfloat16) for name, bits in tensors_of(folder)}
        self.embedding = w["model.embed_tokens.weight"]
        self.head = w.get("lm_head.weight", self.embedding)
        self.norm = w["model.norm.weight"]
        self.layers = [self.layer(w, f"model.layers.{i}.") for i in range(self.config["num_hidden_layers"])]
        self.heads, self.kv_heads = self.config["num_attention_heads"], self.config["num_key_value_heads"]
        self.width = self.config.get("head_dim") or self.config["hidden_size"] // self.heads
        rotation = torch.arange(0, self.width, 2) / self.width
        self.frequencies = self.config["rope_theta"] ** -rotation

    @staticmethod
    def layer(w, prefix):
        take = lambda *names: torch.cat([w.pop(f"{prefix}{name}.weight") for name in names])
        return {"norm1": take("input_layernorm"), "norm2": take("post_attention_layernorm"),
                "qkv": take("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"), "out": take("self_attn.o_proj"),
                "gate_up": take("mlp.gate_proj", "mlp.up_proj"), "down": take("mlp.down_proj")}

    def rms(self, x, weight):
        return rms_norm(x, (x.shape[-1],), weight, self.config["rms_norm_eps"])

    @staticmethod
    def rotate(x, cos, sin):
        a, b = x.chunk(2, -1)
        return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)

    def attention(self, qkv, cos, sin):
        rows = qkv.shape[0]
        q, k, v = qkv.split([self.heads * self.width] + [self.kv_heads * self.width] * 2, -1)
        q, k, v = (t.view(rows, -1, self.width).transpose(0, 1) for t in (q, k, v))
        q, k = self.rotate(q, cos, sin), self.rotate(k, cos, sin)
        mixed = scaled_dot_product_attention(q[None], k[None], v[None], is_causal=True, enable_gqa=True)[0]
        return mixed.transpose(0, 1).reshape(rows, -1)

    def logits(self, tokens):
        angles = torch.arange(len(tokens))[:, None] * self.frequencies
        cos, sin = angles.cos().bfloat16(), angles.sin().bfloat16()
        x = self.embedding[tokens]
        for w in self.layers:
            x = x + linear(self.attention(linear(self.rms(x, w["norm1"]), w["qkv"]), cos, sin), w["out"])
            gate, up = linear(self.rms(x, w["norm2"]), w["gate_up"]).chunk(2, -1)
            x = x + linear(silu(gate) * up, w["down"])
        return linear(self.rms(x[-1:], self.norm), self.head)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=512)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    samples = []
    with torch.inference_mode():
        model = Llama(options.folder)
        tokens = torch.randint(model.config["vocab_size"], (options.tokens,), generator=torch.Generator().manual_seed(0))
        for _ in range(options.repeat + 1):
            start = time.perf_counter()
            model.logits(tokens)
            samples.append(options.tokens / (time.perf_counter() - start))
    print(json.dumps({"version": torch.__version__, "prefill": samples[1:]}))


if __name__ == "__main__":
    main()
