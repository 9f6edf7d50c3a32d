#!/usr/bin/env python3
"""A study of ten schemes on eight tasks of the Gauntlet, two of them by calibrated methods as well; records claims Q2, Q3 and Q16. Goes on
with what an interrupted run left in --to; the report lies there. Its speeds are of one short round.

  study.py MODEL --data FOLDER --text test.txt --calibration valid.txt --to DIR [--limit 50] [--windows 8]

FOLDER holds the Gauntlet's files by category.
"""
import argparse
import collections
import json
import math
import pathlib
import sqlite3
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import ledger  # noqa: E402
import measure  # noqa: E402

TASKS = {"piqa": "commonsense_reasoning/piqa", "copa": "commonsense_reasoning/copa",
         "commonsense_qa": "commonsense_reasoning/commonsense_qa", "arc_easy": "world_knowledge/arc_easy",
         "winograd": "language_understanding/winograd_wsc", "lambada_openai": "language_understanding/lambada_openai",
         "bigbench_operators": "symbolic_problem_solving/bigbench_operators", "svamp": "symbolic_problem_solving/svamp"}
SCHEMES = ["W8A16", "W8A8", "FP8_DYNAMIC", "W4A16", "NF4", "W4A8", "FP6", "W8A16+KV8", "W4A16_ASYM", "W8A16+KV4"]
TUNED = {"W8A8 smoothquant": ("W8A8", "smoothquant"), "W4A16 gptq": ("W4A16", "gptq")}
BAND = 2  # accuracy points that count as no difference


def task_list(options):
    """Of the task that generates the first items alone: it takes ten times the work."""
    files = {name: options.data / f"{source}.jsonl" for name, source in TASKS.items()}
    lines = files["svamp"].read_text(encoding="utf-8").splitlines(keepends=True)
    files["svamp"] = options.to / "svamp.jsonl"
    files["svamp"].write_text("".join(lines[:options.limit * 2 // 5]), encoding="utf-8")
    return ",".join(f"{name}={file}" for name, file in files.items())


def text_words(options):
    return "--text", options.text, "--context", 512, "--score-from", 257, "--windows", options.windows


def task_words(options):
    return "--tasks", task_list(options), "--limit", options.limit, "--seed", options.seed, "--threads", options.threads


def study(options):
    options.to.mkdir(parents=True, exist_ok=True)
    measure.run(options, "study", options.model, "--to", options.to, "--resume", "--schemes", ",".join(SCHEMES), *text_words(options),
                *task_words(options), "--repeat", 1, "--prompt-tokens", 64, "--generate-tokens", 16)


def compared(options, folder, *words):
    """A checkpoint against the reference, item by item; items that the study has scored come from its store."""
    return measure.run(options, "eval", folder, "--reference", options.model, *task_words(options), "--store", options.to / "tasks.sqlite",
                       *words)


def tuned(options, name):
    folder = options.to / "tuned" / name
    if not folder.exists():
        scheme, method = TUNED[name]
        measure.run(options, "quantize", options.model, "--to", folder, "--scheme", scheme, "--method", method, "--calibration",
                    options.calibration, "--samples", options.samples, "--seq-len", 512, "--resume")
    return compared(options, folder, *text_words(options))


def perplexities(options, all_found):
    """Of every scheme, as a multiple of FP32's."""
    with sqlite3.connect(f"file:{options.to / 'study.sqlite'}?mode=ro", uri=True) as store:
        values = dict(store.execute("SELECT scheme, value FROM run JOIN metric ON run_id = run.id WHERE name = 'perplexity'"))
    values |= {name: all_found[name]["perplexity"]["value"] for name in TUNED}
    return {name: value / values["FP32"] for name, value in values.items()}


def recovery(found, perplexity):
    """In percent; perplexity: what it rises by."""
    overall = found["comparison"]["recovery"]
    return {"recovery": 100 * overall["value"], "low": 100 * overall["low"], "high": 100 * overall["high"],
            "points": found["comparison"]["differences"]["mean"], "perplexity": 100 * (perplexity - 1)}


def chance_in_band(flips, items):
    """How likely |lost − gained| stays inside the band where each flip goes either way with the same chance."""
    return sum(math.comb(flips, lost) for lost in range(flips + 1) if abs(2 * lost - flips) * 100 <= BAND * items) / 2**flips


def differences(all_found):
    """Over every task of every scheme, in accuracy points."""
    pairs = [task for found in all_found for task in found["tasks"].values() if "difference" in task]
    points = [100 * task["difference"]["mean"] for task in pairs]
    flips = [len(task["difference"]["lost"]) + len(task["difference"]["gained"]) for task in pairs]
    bins = collections.Counter(min(max(round(point / 2) * 2, -10), 10) for point in points)
    return {"pairs": len(points), "share": 100 * statistics.mean(abs(point) <= BAND + 1e-9 for point in points),
            "chance": 100 * statistics.mean(chance_in_band(k, task["n"]) for k, task in zip(flips, pairs)),
            "mean": statistics.mean(points), "stderr": statistics.stdev(points) / math.sqrt(len(points)),
            "histogram": ", ".join(f"{centre:+d}: {bins[centre]}" for centre in sorted(bins)), "items": max(task["n"] for task in pairs)}


def similarity(found):
    """Of generated answers to the reference's."""
    summary = found["tasks"]["svamp"]["difference"]["similarity"]
    return {"identical": 100 * summary["identical"], "prefix": summary["prefix_tokens"], "edit": summary["edit_distance"],
            "rouge": summary["rouge_l"], "length": summary["length"] / summary["reference_length"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--calibration", type=pathlib.Path, required=True)
    parser.add_argument("--samples", type=int, default=32, help="of --calibration, 512 tokens each")
    parser.add_argument("--to", type=pathlib.Path, required=True)
    parser.add_argument("--limit", type=int, default=50, help="items of each task")
    parser.add_argument("--windows", type=int, default=8, help="of --text, 512 tokens each")
    parser.add_argument("--seed", type=int, default=1234, help="of the choice of examples")
    parser.add_argument("--threads", type=int, default=0, help="0: all")
    parser.add_argument("--aquatint", type=pathlib.Path, default=ledger.ROOT / "build/release/aquatint")
    options = parser.parse_args()
    study(options)
    all_found = {name: compared(options, options.to / "checkpoints" / name) for name in SCHEMES}
    all_found |= {name: tuned(options, name) for name in TUNED}
    (options.to / "comparisons.json").write_text(json.dumps(all_found, indent=1))
    rises = perplexities(options, all_found)
    over = f"{options.model.name}, {len(TASKS)} tasks of the Gauntlet, {options.limit} items each ({options.limit * 2 // 5} of svamp)"
    ledger.record("Q2", {name: recovery(found, rises[name]) for name, found in all_found.items()},
                  f"{over}; perplexity over {options.windows} windows of 512 tokens of {options.text.name}")
    eight = [name for name in SCHEMES if name.startswith(("W8", "FP8"))]
    ledger.record("Q3", {"all": differences([all_found[name] for name in SCHEMES]),
                         "eight": differences([all_found[name] for name in eight])}, over)
    ledger.record("Q16", {name: similarity(found) for name, found in all_found.items()},
                  f"{options.model.name}, greedy answers to {options.limit * 2 // 5} questions of svamp")


if __name__ == "__main__":
    main()
