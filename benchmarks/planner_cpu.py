#!/usr/bin/env python3
"""Holds what `aquatint plan --gpu cpu` predicts of this machine against `aquatint bench`, scheme by scheme. Rows are kept in
docs/planner-cpu.json with machine, version and date; docs/planner-cpu.md is written from all of them. Both take turns, since a machine's
rates drift: the medians of the turns are kept, and the median of the ratios.

  planner_cpu.py MODEL... [--schemes BF16,W8A16,W4A16,W8A8] [--prompt-tokens 512] [--generate-tokens 64] [--turns 5]
"""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "benchmarks/methods"))
import ledger  # noqa: E402
import measure  # noqa: E402

ROWS = ROOT / "docs/planner-cpu.json"
PAGE = """# The planner against this machine

Written by `benchmarks/planner_cpu.py`; do not edit; its rows are kept in `planner-cpu.json`. One user: a prompt, then generated tokens.
`plan --gpu cpu` measures the machine's peaks and decoder blocks of the model's shape and predicts from them; `bench` runs the model
that `quantize` made. Both in turns: medians, and the median of the ratios within a turn with the least and the largest of them. Memory:
weights, workspace and cache as planned, the peak of the process as measured.

| model | scheme | tokens | prefill, tok/s: predicted, measured | | decode, tok/s: predicted, measured | | memory, MB: predicted, measured | | machine |
|---|---|---|---|---|---|---|---|---|---|
"""


def predictions(options, model):
    found = measure.run(options, "plan", model, "--gpu", "cpu", "--count", 1, "--schemes", options.schemes, "--prompt-tokens",
                        options.prompt_tokens, "--generate-tokens", options.generate_tokens)
    context = options.prompt_tokens + options.generate_tokens
    return {c["scheme"]: {"prefill": options.prompt_tokens / c["alone"]["ttft_seconds"], "decode": 1 / c["alone"]["tpot_seconds"],
                          "memory": c["memory"]["weights"] + c["memory"]["workspace"] + context * c["memory"]["kv_bytes_per_token"]}
            for c in found["candidates"]}


def measured(options, folder):
    found = measure.run(options, "bench", folder, "--prompt-tokens", options.prompt_tokens, "--generate-tokens", options.generate_tokens,
                        "--batch", 1, "--repeat", 3)
    run = found["runs"][0]
    return {"prefill": statistics.median(run["prefill_tokens_per_second"]["samples"]),
            "decode": statistics.median(run["decode_tokens_per_second"]["samples"]), "memory": found["peak_ram_bytes"]}


def quantized(options, model, room):
    """The model's folder by scheme."""
    folders = {}
    for scheme in options.schemes.split(","):
        folders[scheme] = model if scheme == "BF16" else room / scheme
        if scheme != "BF16":
            measure.run(options, "quantize", model, "--to", folders[scheme], "--scheme", scheme)
    return folders


def in_turns(options, model, folders):
    """Predictions and measurements by scheme, one of each a turn."""
    turns = {scheme: [] for scheme in folders}
    for turn in range(options.turns):
        predicted = predictions(options, model)
        for scheme, folder in folders.items():
            turns[scheme].append((predicted[scheme], measured(options, folder)))
            print(model.name, turn, scheme, *turns[scheme][-1], flush=True)
    return turns


def summary(turns):
    names = turns[0][0].keys()
    ratios = {name: sorted(predicted[name] / real[name] for predicted, real in turns) for name in names}
    return {"predicted": {name: statistics.median(turn[0][name] for turn in turns) for name in names},
            "measured": {name: statistics.median(turn[1][name] for turn in turns) for name in names},
            "ratio": {name: [statistics.median(found), found[0], found[-1]] for name, found in ratios.items()}, "turns": len(turns)}


def cells(row, name, unit=1.0):
    predicted, real = row["predicted"][name] / unit, row["measured"][name] / unit
    middle, least, most = row["ratio"][name]
    spread = f" ({100 * (least - 1):+.0f} … {100 * (most - 1):+.0f})" if row["turns"] > 1 else ""
    return f"{predicted:.0f}, {real:.0f} | {100 * (middle - 1):+.0f} %{spread}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=pathlib.Path, nargs="+")
    parser.add_argument("--schemes", default="BF16,W8A16,W4A16,W8A8")
    parser.add_argument("--prompt-tokens", type=int, default=512)
    parser.add_argument("--generate-tokens", type=int, default=64)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--aquatint", type=pathlib.Path, default=ROOT / "build/release/aquatint")
    options = parser.parse_args()
    rows = json.loads(ROWS.read_text()) if ROWS.exists() else {}
    for model in options.models:
        with tempfile.TemporaryDirectory() as room:
            found = in_turns(options, model, quantized(options, model, pathlib.Path(room)))
        for scheme, turns in found.items():
            row = {**summary(turns), "tokens": [options.prompt_tokens, options.generate_tokens], **ledger.origin()}
            rows[f"{row['machine']} | {model.name} | {scheme}"] = row
    ROWS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")
    text = PAGE
    for key, row in sorted(rows.items()):
        machine, model, scheme = key.split(" | ")
        text += (f"| {model} | {scheme} | {row['tokens'][0]} + {row['tokens'][1]} | {cells(row, 'prefill')} | {cells(row, 'decode')} | "
                 f"{cells(row, 'memory', 1e6)} | {machine}, {row['version']}, {row['date']} |\n")
    (ROOT / "docs/planner-cpu.md").write_text(text)


if __name__ == "__main__":
    main()
