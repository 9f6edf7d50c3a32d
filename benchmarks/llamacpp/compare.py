#!/usr/bin/env python3
"""Prefill and decode of one model by `aquatint bench` and by llama-bench, in turns, so that a noisy neighbour
disturbs both alike. Medians over all samples; the ratio is ours over theirs, with the spread of the rounds.

  compare.py OURS THEIRS [--aquatint PROGRAM] [--llama-bench PROGRAM] [--threads N] [--rounds N] [--repeat N] [--json]
"""
import argparse
import json
import os
import statistics
import subprocess

PHASES = ("prefill", "decode")


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"compare: {' '.join(map(str, command))} failed: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def ours(options):
    result = run([options.aquatint, "bench", options.ours, "--json", "--threads", str(options.threads),
                  "--prompt-tokens", "512", "--generate-tokens", "128", "--batch", "1", "--repeat", str(options.repeat)])
    only = result["runs"][0]
    return result["kernels"], {phase: only[f"{phase}_tokens_per_second"]["samples"] for phase in PHASES}


def theirs(options):
    tests = run([options.llama_bench, "-m", options.theirs, "-p", "512", "-n", "128", "-t", str(options.threads),
                 "-r", str(options.repeat), "-o", "json"])
    return {"prefill" if test["n_prompt"] else "decode": test["samples_ts"] for test in tests}


def compare(options):
    samples = {phase: {"ours": [], "theirs": [], "round_ratios": []} for phase in PHASES}
    kernels = ""
    for _ in range(options.rounds):
        kernels, mine = ours(options)
        other = theirs(options)
        for phase, row in samples.items():
            row["ours"] += mine[phase]
            row["theirs"] += other[phase]
            row["round_ratios"].append(statistics.median(mine[phase]) / statistics.median(other[phase]))
    for row in samples.values():
        row["ratio"] = statistics.median(row["ours"]) / statistics.median(row["theirs"])
    return {"ours": str(options.ours), "theirs": str(options.theirs), "threads": options.threads, "kernels": kernels,
            "cpu": cpu_name(), "phases": samples}


def cpu_name():
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def table(result):
    yield f"{result['cpu']}, {result['threads']} threads, our kernels: {result['kernels']}; tokens/s, median (min … max)"
    for phase, row in result["phases"].items():
        sides = [f"{statistics.median(row[side]):8.1f} ({min(row[side]):.1f} … {max(row[side]):.1f})" for side in ("ours", "theirs")]
        ratios = row["round_ratios"]
        yield f"{phase:8} aquatint {sides[0]}   llama.cpp {sides[1]}   ratio {row['ratio']:.2f} (rounds {min(ratios):.2f} … {max(ratios):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours")
    parser.add_argument("theirs")
    parser.add_argument("--aquatint", default="build/release/aquatint")
    parser.add_argument("--llama-bench", default="build/peers/llama.cpp-build/bin/llama-bench")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = compare(options)
    print(json.dumps(result, indent=1) if options.json else "\n".join(table(result)))


if __name__ == "__main__":
    main()
