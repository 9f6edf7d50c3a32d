#!/usr/bin/env python3
"""Runs the contestants of cases.py in turns and writes every sample as JSON. A sample during which other processes took
more than a tenth of a processor is measured again, up to three times, and marked when it stays so.

  compare.py OUT.json [--models smollm2,1b] [--only REGEX] [--quick] [--threads N] [--prefix "taskset -c 0,1"]
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time

from cases import LLAMA, OURS, TORCH, groups

PEERS = pathlib.Path(os.environ.get("AQUATINT_PEERS", pathlib.Path.home() / ".cache/aquatint/peers"))
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ATTEMPTS, ALLOWED = 3, 0.1  # processors' worth of others' work
TICKS = os.sysconf("SC_CLK_TCK")
GENERATED = {"smollm2": 128, "1b": 48, "8b": 16}  # tokens a decode sample takes


def busy_seconds():
    """Of all processors, user, nice and system."""
    with open("/proc/stat") as stat:
        user, nice, system = map(int, stat.readline().split()[1:4])
    return (user + nice + system) / TICKS


def child_seconds():
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def run_watched(command):
    """The command's JSON and how much of a processor others took meanwhile; printed by `compare.py --watched`."""
    others, own, start = busy_seconds(), child_seconds(), time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C"})
    if done.returncode != 0:
        raise SystemExit(f"compare: {shlex.join(command)} failed: {done.stderr.strip()[-500:]}")
    taken = busy_seconds() - others - (child_seconds() - own)
    return {"result": json.loads(done.stdout), "others": max(0.0, taken) / (time.monotonic() - start)}


class Bench:
    def __init__(self, options):
        self.options = options
        fetch = (ROOT / "tools/fetch_llamacpp.sh").read_text()
        self.versions = {LLAMA: "of llama-cpp-python " + re.search(r"^version=(\S+)", fetch, re.M).group(1)}

    def command(self, contestant):
        o = self.options
        model = PEERS / "models" / contestant.model
        prompt = 512 if "prefill" in contestant.phases else 0
        generate = GENERATED[contestant.model.split("-")[0].split(".")[0]] if "decode" in contestant.phases else 0
        if contestant.engine == OURS:
            return [o.aquatint, "bench", model, "--json", "--quiet", "--threads", o.threads, "--prompt-tokens", prompt,
                    "--generate-tokens", generate, "--repeat", o.repeat, *contestant.options]
        if contestant.engine == LLAMA:
            return [PEERS / f"llama.cpp-{contestant.build}/bin/llama-bench", "-m", model, "-p", prompt, "-n", generate,
                    "-t", o.threads, "-r", o.repeat, "-o", "json"]
        return [PEERS / "venv/bin/python", HERE / "torch_prefill.py", model, "--threads", o.threads, "--repeat", o.repeat]

    def samples(self, contestant, result):
        if contestant.engine == OURS:
            only = result["runs"][0]
            found = {p: (only[f"{p}_tokens_per_second"] or {}).get("samples", []) for p in contestant.phases}
            return found | {"bandwidth": only["bandwidth_utilization"], "kernels": result["kernels"]}
        if contestant.engine == LLAMA:
            return {"prefill" if test["n_prompt"] else "decode": test["samples_ts"] for test in result}
        self.versions[TORCH] = result["version"]
        return {"prefill": result["prefill"]}

    def measure(self, contestant):
        words = [str(word) for word in self.command(contestant)]
        command = shlex.split(self.options.prefix) + [sys.executable, __file__, "--watched", *words]
        for _ in range(ATTEMPTS):
            watched = json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
            if watched["others"] <= ALLOWED:
                break
        return self.samples(contestant, watched["result"]) | {"others": round(watched["others"], 3)}

    def group(self, group):
        rounds = []
        for index in range(self.options.rounds):
            print(f"{group.title}: round {index + 1} of {self.options.rounds}", flush=True)
            rounds.append({c.name: self.measure(c) for c in group.contestants})
        return {"title": group.title, "rounds": rounds,
                "contestants": [{"name": c.name, "engine": c.engine, "model": c.model, "options": c.options,
                                 "build": c.build} for c in group.contestants],
                "ratios": [ratio(rounds, r) for r in group.ratios]}


def ratio(rounds, wanted):
    values = [statistics.median(r[wanted.over][wanted.phase]) / statistics.median(r[wanted.under][wanted.phase]) for r in rounds]
    tokens = {side: statistics.median(x for r in rounds for x in r[name][wanted.phase])
              for side, name in (("over", wanted.over), ("under", wanted.under))}
    return {"phase": wanted.phase, "over": wanted.over, "under": wanted.under, "goal": wanted.goal, "median": statistics.median(values),
            "min": min(values), "max": max(values), "over_tokens_s": tokens["over"], "under_tokens_s": tokens["under"]}


def cpu_name():
    with open("/proc/cpuinfo") as lines:
        facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    family = f", family {facts['cpu family']} model {facts['model']}" if "cpu family" in facts else ""
    return facts.get("model name", platform.machine()) + family


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--models", default="smollm2,1b", help="smollm2, 1b, 8b")
    parser.add_argument("--only", default="", help="groups whose title this regular expression finds")
    parser.add_argument("--quick", action="store_true", help="two rounds, without AVX2")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--repeat", type=int, default=0, help="samples a round")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--aquatint", default=ROOT / "build/release/aquatint")
    parser.add_argument("--prefix", default="", help="words before every measured command")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.repeat = options.repeat or (2 if options.quick else 3)
    return options


def main():
    if sys.argv[1:2] == ["--watched"]:  # in a process of its own, so that a prefix may wait for a quiet machine first
        return print(json.dumps(run_watched(sys.argv[2:])))
    options = parse()
    bench = Bench(options)
    version = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
    result = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "cpu": cpu_name(),
              "threads": options.threads, "rounds": options.rounds, "repeat": options.repeat, "groups": []}
    for group in groups(options.models.split(",")):
        wanted = re.search(options.only, group.title) if options.only else group.quick or not options.quick
        if not wanted:
            continue
        result["groups"].append(bench.group(group))
        result["versions"] = {OURS: version, "Linux": platform.release()} | bench.versions
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
