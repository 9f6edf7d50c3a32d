#!/usr/bin/env python3
"""Writes tests/golden/models/NAME: tiny models (BF16 weights, tools/make_tiny_models.py) with the FP32 logits that
transformers gives, so that the forward pass is checked without Python. ids.json holds the tokens, logits.f32
[tokens][vocab_size] what must come out. Made with torch 2.15 and transformers 5.23.
"""
import json
import sys
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import make_tiny_models

TOKENS = 70


def write(name):
    folder = Path(__file__).parent / "models" / name
    model = make_tiny_models.make(name, torch.bfloat16)
    ids = torch.randint(97, (1, TOKENS), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        logits = model(ids).logits[0].float().numpy()
    make_tiny_models.save(model, folder, torch.bfloat16)
    (folder / "ids.json").write_text(json.dumps(ids[0].tolist()) + "\n")
    logits.astype("<f4").tofile(folder / "logits.f32")


for name in ["llama3_rope", "qwen3"]:
    write(name)
