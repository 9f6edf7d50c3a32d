"""Makes tests/golden/checkpoint/*.json: what other people's packages read from bytes that our tests read too.
Run with the packages of tests/peers/requirements.txt."""
import hashlib
import json
from pathlib import Path

import bitsandbytes.functional as bnb
import gguf
import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import pack_to_int32
from transformers.convert_slow_tokenizer import generate_merges

OUT = Path(__file__).parent / "checkpoint"
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108],
          "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def hexed(array):
    return np.ascontiguousarray(array).view(np.uint8).tobytes().hex()


def gguf_blocks():
    """One block of random bits of each type, and its values as FP32 bits."""
    random = np.random.default_rng(20260101)
    blocks = {}
    for name, places in HALVES.items():
        kind = gguf.GGMLQuantizationType[name]
        block = random.integers(0, 256, gguf.GGML_QUANT_SIZES[kind][1], dtype=np.uint8)
        for place, half in zip(places, [0.0173, -0.0021]):
            block[place:place + 2] = np.array([half], dtype=np.float16).view(np.uint8)
        values = gguf.quants.dequantize(block.reshape(1, -1), kind).astype(np.float32)
        blocks[name] = {"block": block.tobytes().hex(), "values": hexed(values)}
    return blocks


def packing():
    """Codes of each width in compressed-tensors' words, along a row and along the rows."""
    random = np.random.default_rng(20260102)
    cases = []
    for bits in [2, 3, 4, 5, 6, 8]:
        codes = torch.from_numpy(random.integers(-(1 << bits - 1), 1 << bits - 1, (3, 37)).astype(np.int8))
        cases.append({"bits": bits, "rows": 3, "cols": 37, "codes": hexed(codes.numpy()),
                      "along_row": hexed(pack_to_int32(codes, bits).numpy()),
                      "along_rows": hexed(pack_to_int32(codes.T.contiguous(), bits, packed_dim=0).numpy())})
    return cases


def bitsandbytes_weights():
    """A matrix whose blocks of 64 cross rows, as bitsandbytes stores it, and a checksum of its values."""
    torch.manual_seed(20260103)
    weight = torch.randn(5, 70)
    cases = []
    for kind in ["nf4", "fp4"]:
        for nested in [False, True]:
            packed, state = bnb.quantize_4bit(weight, blocksize=64, compress_statistics=nested, quant_type=kind)
            tensors = {"": packed}
            for key, value in state.as_dict(packed=True).items():
                tensors["." + key] = value
            values = bnb.dequantize_4bit(packed, state).to(torch.float32).numpy()
            cases.append({"rows": 5, "cols": 70, "sha256": hashlib.sha256(values.tobytes()).hexdigest(), "first": hexed(values[0, :8]),
                          "tensors": {name: {"dtype": {torch.uint8: "U8", torch.float32: "F32"}[t.dtype],
                                             "shape": list(t.shape), "bytes": hexed(t.numpy())}
                                      for name, t in tensors.items()}})
    return cases


def spm_merges():
    """transformers' merge list of a small scored vocabulary, several splits and equal scores among it."""
    pieces = ["a", "b", "c", "é", "ab", "bc", "abc", "cé", "abcé", "▁", "▁a", "▁ab", "aa", "aaa", "aaaa"]
    scores = [-float(i // 2) for i in range(len(pieces))]
    merges = generate_merges({p: i for i, p in enumerate(pieces)}, dict(zip(pieces, scores)))
    return {"pieces": pieces, "scores": scores, "merges": [list(m) for m in merges]}


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    for make in [gguf_blocks, packing, bitsandbytes_weights, spm_merges]:
        (OUT / f"{make.__name__}.json").write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n")
