#!/usr/bin/env python3
"""Copies a 16-bit safetensors checkpoint and plants outliers in its activations without changing what it computes: a few
channels of every norm's output are multiplied by a power of two, in the norm's weight, and the columns of the linears that
read them divided by it. Powers of two are exact in BF16, so the planted model's logits are the original's, up to the order of sums.

  plant_outliers.py MODEL TO [--channels 6] [--factor 32] [--seed 0]
"""
import argparse
import json
import math
import pathlib
import random
import re
import shutil
import struct

NORM = re.compile(r"(model\.layers\.\d+\.)(input|post_attention)_layernorm\.weight$")
READERS = {"input": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
           "post_attention": ["mlp.gate_proj", "mlp.up_proj"]}


def scaled(bits, shift):
    """A BF16 times 2^shift, exactly."""
    exponent = bits >> 7 & 0xFF
    if exponent == 0 and bits & 0x7F == 0:
        return bits
    if not 1 <= exponent + shift <= 254 or exponent == 0:
        raise SystemExit(f"plant_outliers: a value's exponent leaves BF16 at 2^{shift}; choose a smaller --factor")
    return bits + (shift << 7)


class Tensors:
    """The tensors of one .safetensors file, changed in place."""

    def __init__(self, path):
        self.file = open(path, "r+b")
        length = struct.unpack("<Q", self.file.read(8))[0]
        self.header = json.loads(self.file.read(length))
        self.data = 8 + length

    def scale(self, name, indices, shift):
        entry = self.header[name]
        if entry["dtype"] != "BF16":
            raise SystemExit(f"plant_outliers: {name} is {entry['dtype']}, expected BF16")
        begin, end = entry["data_offsets"]
        self.file.seek(self.data + begin)
        values = bytearray(self.file.read(end - begin))
        for i in indices(entry["shape"]):
            struct.pack_into("<H", values, 2 * i, scaled(struct.unpack_from("<H", values, 2 * i)[0], shift))
        self.file.seek(self.data + begin)
        self.file.write(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("to", type=pathlib.Path)
    parser.add_argument("--channels", type=int, default=6, help="of each norm")
    parser.add_argument("--factor", type=int, default=32, help="a power of two")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    shift = int(math.log2(options.factor))
    if options.factor < 2 or 1 << shift != options.factor:
        raise SystemExit(f"plant_outliers: --factor {options.factor}: expected a power of two from 2")
    shutil.copytree(options.model, options.to)
    files = [Tensors(path) for path in sorted(options.to.glob("*.safetensors"))]
    where = {name: tensors for tensors in files for name in tensors.header}
    hidden = json.loads((options.to / "config.json").read_text())["hidden_size"]
    channels = random.Random(options.seed).sample(range(hidden), options.channels)
    for name in list(where):
        if not (norm := NORM.match(name)):
            continue
        where[name].scale(name, lambda shape: channels, shift)
        for module in READERS[norm[2]]:
            reader = f"{norm[1]}{module}.weight"
            where[reader].scale(reader, lambda shape: (row * shape[1] + c for row in range(shape[0]) for c in channels),
                                -shift)
    print(f"channels {sorted(channels)} of every norm times {options.factor}")


if __name__ == "__main__":
    main()
