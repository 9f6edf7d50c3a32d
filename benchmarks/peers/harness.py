#!/usr/bin/env python3
"""Multiple-choice scoring by aquatint and by lm-evaluation-harness with transformers, in turns over the same task files, and writes
docs/kernels/harness.md. Run with the Python of `make test-peers`:

  harness.py MODEL --data FOLDER [--items 60] [--rounds 3] [--aquatint build/release/aquatint]

FOLDER holds the Gauntlet's files by category. The harness runs in --dtype, FP32 unless told otherwise: without AMX it is not slower than BF16. Its time is that of
requests alone: loading the model and reading the tasks are left out, as they are of ours.
"""
import argparse
import datetime
import logging
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/peers"), str(ROOT / "benchmarks/methods")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import yaml  # noqa: E402

import measure  # noqa: E402
import test_harness  # noqa: E402

NAMES = ["arc_easy", "openbook_qa", "commonsense_qa", "piqa", "boolq", "winogrande"]
PAGE = """# Task scoring against lm-evaluation-harness

Written by `benchmarks/peers/harness.py`; do not edit. {date}, {cpu}, {threads} threads, aquatint {version}, lm_eval {lm_eval}.

{model} over the first {items} items of each task, {requests} requests of a context and a choice in all; contestants take turns, rounds: {rounds}. Both
read the same task files (`tests/peers/test_harness.py` proves the same scores). Seconds: medians, without loading. lm-evaluation-harness
with transformers in {dtype}, batches of {batch}; aquatint with activations in BF16.

| task | requests | aquatint s | lm_eval s | ratio |
|---|---|---|---|---|
{rows}
"""


def write_task(name, data, folder):
    source, config = test_harness.TASKS[name]
    path = pathlib.Path(folder) / f"peer_{name}.yaml"
    kwargs = {"data_files": {"test": str(data / f"{source}.jsonl")}}
    path.write_text(yaml.safe_dump({"task": path.stem, "dataset_path": "json", "dataset_kwargs": kwargs, "test_split": "test", **config},
                                   sort_keys=False))
    return path


def ours(options, path):
    """Seconds of scoring: of all items less those of one."""
    def run(items):
        start = time.perf_counter()
        subprocess.run([options.aquatint, "eval", options.model, "--tasks", path, "--limit", str(items), "--json", "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        return time.perf_counter() - start
    return run(options.items) - run(1)


def theirs(model, path, items):
    """Seconds of scoring, and the number of requests."""
    import lm_eval
    from lm_eval.tasks import TaskManager
    spent, scored = [0.0], [0]
    plain = type(model).loglikelihood

    def timed(requests, **how):
        start = time.perf_counter()
        found = plain(model, requests, **how)
        spent[0] += time.perf_counter() - start
        scored[0] += len(requests)
        return found

    model.loglikelihood = timed
    lm_eval.simple_evaluate(model=model, tasks=[path.stem], limit=items, bootstrap_iters=0, log_samples=False, verbosity="ERROR",
                            task_manager=TaskManager(include_path=str(path.parent), include_defaults=False))
    return spent[0], scored[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--items", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--aquatint", default=str(ROOT / "build/release/aquatint"))
    parser.add_argument("--to", type=pathlib.Path, default=ROOT / "docs/kernels/harness.md")
    options = parser.parse_args()

    logging.disable(logging.WARNING)
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    model = HFLM(pretrained=str(options.model), dtype=options.dtype, device="cpu", batch_size=options.batch)
    seconds = {name: ([], []) for name in NAMES}
    requests = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(options.rounds):
            for name in NAMES:
                path = write_task(name, options.data, folder)
                seconds[name][0].append(ours(options, path))
                spent, requests[name] = theirs(model, path, options.items)
                seconds[name][1].append(spent)
                print(f"{turn}: {name} {seconds[name][0][-1]:.1f} s, lm_eval {spent:.1f} s", file=sys.stderr, flush=True)
    medians = {name: tuple(map(statistics.median, pair)) for name, pair in seconds.items()}
    medians["all"] = tuple(map(sum, zip(*medians.values())))
    requests["all"] = sum(requests.values())
    rows = "\n".join(f"| {name} | {requests[name]} | {a:.1f} | {b:.1f} | {b / a:.1f} |" for name, (a, b) in medians.items())
    options.to.write_text(PAGE.format(
        date=datetime.date.today().isoformat(), cpu=measure.processor(), threads=len(os.sched_getaffinity(0)), version=measure.version(),
        lm_eval=lm_eval.__version__, model=options.model.name, items=options.items, requests=requests["all"], rounds=options.rounds,
        dtype=options.dtype, batch=options.batch, rows=rows))


if __name__ == "__main__":
    main()
