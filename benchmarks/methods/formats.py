#!/usr/bin/env python3
"""Where 8-bit formats lose: squared errors of INT8, E4M3, E3M4, E2M5 and E5M2 by magnitude, on a model's own weights and on
Gaussian rows with one outlier, each row under one scale that puts its largest value on the format's largest; and what scales that
are powers of two cost FP4. Needs no packages.

  formats.py MODEL [--rows 400] [--seed 0] [--json FILE]
"""
import argparse
import bisect
import json
import math
import pathlib
import random
import struct


def floating(exponent_bits, mantissa_bits, largest=math.inf):
    """The magnitudes of a format with subnormals, IEEE bias, and no codes for infinities or NaN but those beyond `largest`."""
    bias = 2 ** (exponent_bits - 1) - 1
    values = {mantissa * 2.0 ** (1 - bias - mantissa_bits) for mantissa in range(2 ** mantissa_bits)}
    for exponent in range(1, 2 ** exponent_bits):
        values |= {(1 + mantissa / 2 ** mantissa_bits) * 2.0 ** (exponent - bias) for mantissa in range(2 ** mantissa_bits)}
    return sorted(value for value in values if value <= largest)


FORMATS = {"int8": [float(i) for i in range(128)], "E2M5": floating(2, 5), "E3M4": floating(3, 4),
           "E4M3": floating(4, 3, 448), "E5M2": floating(5, 2, 57344)}
MIDDLES = {name: [(a + b) / 2 for a, b in zip(grid, grid[1:])] for name, grid in FORMATS.items()}
EDGES = [1 / 256, 1 / 64, 1 / 16, 1 / 4, 1]  # of the row's largest value


def errors(row, name):
    """Squared, value by value."""
    grid, middles = FORMATS[name], MIDDLES[name]
    scale = max(map(abs, row)) / grid[-1]
    return [(abs(x) - scale * grid[bisect.bisect(middles, abs(x) / scale)]) ** 2 for x in row]


def relative(rows, name):
    return sum(sum(errors(row, name)) for row in rows) / sum(x * x for row in rows for x in row)


def by_magnitude(rows):
    """Mean squared error over the row's largest value squared, for values up to each edge."""
    table = {}
    for name in FORMATS:
        sums, counts = [0.0] * len(EDGES), [0] * len(EDGES)
        for row in rows:
            largest = max(map(abs, row))
            for x, error in zip(row, errors(row, name)):
                at = min(bisect.bisect_left(EDGES, abs(x) / largest), len(EDGES) - 1)
                sums[at] += error / largest ** 2
                counts[at] += 1
        table[name] = [total / max(count, 1) for total, count in zip(sums, counts)]
    return table


def weight_rows(model, count, random_source):
    """Rows of linears of a BF16 safetensors checkpoint, drawn evenly."""
    rows = []
    for path in sorted(model.glob("*.safetensors")):
        with open(path, "rb") as file:
            length = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(length))
            linears = [entry for name, entry in sorted(header.items()) if name.endswith("_proj.weight")]
            for _ in range(count):
                entry = random_source.choice(linears)
                height, width = entry["shape"]
                file.seek(8 + length + entry["data_offsets"][0] + 2 * width * random_source.randrange(height))
                halves = struct.unpack(f"<{width}H", file.read(2 * width))
                row = list(struct.unpack(f"<{width}f", struct.pack(f"<{width}I", *(half << 16 for half in halves))))
                if any(row):
                    rows.append(row)
    return rows


def gaussian(random_source, outlier, count=100, width=576):
    rows = [[random_source.gauss(0, 1) for _ in range(width)] for _ in range(count)]
    for row in rows:
        row[0] = math.copysign(max(outlier, max(map(abs, row))), row[0])
    return rows


def crossover(random_source, name):
    """The outlier, in standard deviations of the rest, from which the format loses less than INT8."""
    for outlier in range(3, 200):
        rows = gaussian(random_source, outlier)
        if relative(rows, name) < relative(rows, "int8"):
            return outlier
    return None


def power_of_two_cost(random_source, count=400, group=64):
    """Squared error of Gaussian groups in E2M1 under the best power of two (M1 of ZeroQuant-FP), over that under free scales."""
    magnitudes = floating(2, 1)
    middles = [(a + b) / 2 for a, b in zip(magnitudes, magnitudes[1:])]

    def error(row, scale):
        return sum((abs(x) - scale * magnitudes[bisect.bisect(middles, abs(x) / scale)]) ** 2 for x in row)

    searched = absmax = limited = 0.0
    for _ in range(count):
        sigma = 2 ** random_source.random()
        row = [random_source.gauss(0, sigma) for _ in range(group)]
        largest, size = max(map(abs, row)) / magnitudes[-1], sum(x * x for x in row)
        exponent = math.floor(math.log2(largest))
        searched += min(error(row, largest * 2 ** (step / 16)) for step in range(-16, 3)) / size
        absmax += error(row, largest) / size
        limited += min(error(row, 2.0 ** e) for e in range(exponent - 1, exponent + 3)) / size
    return {"searched": limited / searched, "absmax": limited / absmax}


def measure(model, rows, seed):
    source = random.Random(seed)
    weights = weight_rows(model, rows, source)
    return {"weights": {name: relative(weights, name) for name in FORMATS},
            "weights_by_magnitude": by_magnitude(weights),
            "power_of_two": power_of_two_cost(random.Random(seed)),
            "crossover": {name: crossover(random.Random(seed), name) for name in FORMATS if name != "int8"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=400, help="of each file's linears")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path)
    options = parser.parse_args()
    result = measure(options.model, options.rows, options.seed)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
