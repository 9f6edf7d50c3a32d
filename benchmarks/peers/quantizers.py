#!/usr/bin/env python3
"""GPTQ of a model to W4A16 in groups of 64 by us, llm-compressor and GPTQModel, in turns, and what each model loses by our
evaluation; writes docs/kernels/quantizers.md. `setup.sh llmcompressor gptqmodel` comes first.

  quantizers.py MODEL --calibration valid.txt --text test.txt [--rounds 2] [--samples 128] [--windows 60]
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "methods"))
import measure  # noqa: E402

PEERS = pathlib.Path(os.environ.get("AQUATINT_PEERS", pathlib.Path.home() / ".cache/aquatint/peers"))
OURS = {"aquatint gptq": ["--method", "gptq"], "aquatint qep,gptq": ["--method", "qep,gptq"]}
OTHERS = ["llmcompressor", "gptqmodel"]

PAGE = """# GPTQ against other quantizers

Written by `benchmarks/peers/quantizers.py`; do not edit. {date}, {cpu}, {threads} threads, {versions}.

{model} to 4 bits in groups of 64, symmetric, calibrated by {samples} windows of 512 tokens of `{calibration}`, each tool with its own
defaults; contestants take turns, rounds: {rounds}. Seconds: medians; of the others without loading and saving, of ours from
start to written file. Perplexity and divergence from FP32 (perplexity {reference:.3f}) over {windows} windows of 512 tokens of
`{text}`, second halves scored, all by `aquatint eval` of the written files.

The floor is what the products of one forward pass and one triangle of each Gram matrix would take at the peak of FP32 that
`aquatint bench --peaks` measures at the time: {flop:.1f} TFLOP at {peak:.0f} GFLOP/s, {floor:.0f} s.

| quantizer | seconds | over the floor | over `aquatint gptq` | peak RSS, GB | perplexity | mean KLD |
|---|---|---|---|---|---|---|
"""


def ours(options, words, folder):
    made = measure.run(options, "quantize", options.model, "--to", folder, "--scheme", "W4A16", *words, "--calibration",
                       options.calibration, "--samples", options.samples, "--seq-len", 512, "--threads", options.threads)
    return {"seconds": made["seconds"], "peak_rss": made["peak_ram_bytes"], "version": measure.version()}


def other(options, peer, folder):
    command = [PEERS / peer / "bin/python", HERE / "quantizer.py", peer, options.model.resolve(), options.calibration.resolve(),
               "--to", folder, "--samples", options.samples, "--threads", options.threads]
    done = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          cwd=folder.parent)  # where they leave their logs
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_flops(options):
    return measure.run(options, "bench", "--peaks", "--threads", options.threads)["peaks"]["flop_s"]["fp32"]


def floor_operations(options):
    """Of all linears over all tokens, once, and of one triangle of the Gram matrix of each input."""
    config = json.loads((options.model / "config.json").read_text())
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or hidden // config["num_attention_heads"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    linears = hidden * (2 * queries + 2 * keys + 3 * inner)
    grams = 2 * hidden ** 2 + queries ** 2 + inner ** 2
    return options.samples * 512 * config["num_hidden_layers"] * (2 * linears + grams)


def contest(options):
    samples, losses, peaks = {}, {}, []
    with tempfile.TemporaryDirectory() as room:
        for turn in range(options.rounds):
            for name in [*OURS, *OTHERS]:
                folder = pathlib.Path(room) / "model"
                peaks.append(peak_flops(options))
                sample = ours(options, OURS[name], folder) if name in OURS else other(options, name, folder)
                samples.setdefault(name, []).append(sample)
                print(f"{turn}: {name} {sample['seconds']:.0f} s", file=sys.stderr, flush=True)
                if turn == 0:
                    losses[name] = measure.loss(options, folder, options.model, options.text)
                shutil.rmtree(folder)
    return samples, losses, statistics.median(peaks)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    measure.add_options(parser)
    options = parser.parse_args()
    samples, losses, peak = contest(options)
    operations = floor_operations(options)
    seconds = {name: statistics.median(sample["seconds"] for sample in found) for name, found in samples.items()}
    floor, base = operations / peak, seconds["aquatint gptq"]
    text = PAGE.format(date=datetime.date.today().isoformat(), cpu=measure.processor(), threads=options.threads,
                       versions=", ".join(f"{name} {samples[name][0]['version']}" for name in ["aquatint gptq", *OTHERS]),
                       model=options.model.name, samples=options.samples, calibration=options.calibration.name,
                       rounds=options.rounds, windows=options.windows, text=options.text.name, flop=operations / 1e12,
                       peak=peak / 1e9, floor=floor, reference=next(iter(losses.values()))["reference"])
    for name, found in samples.items():
        text += (f"| {name} | {seconds[name]:.0f} | {seconds[name] / floor:.1f} | {seconds[name] / base:.1f} | "
                 f"{found[0]['peak_rss'] / 1e9:.2f} | {losses[name]['perplexity']:.3f} | {losses[name]['kld']:.4f} |\n")
    (ROOT / "docs/kernels/quantizers.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
