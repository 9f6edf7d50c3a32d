#!/usr/bin/env python3
"""Quantizes a model by each method and scheme, measures what is lost, and writes docs/methods.md. Rows that the store
already has for the same program, model and texts are not measured again.

  compare.py MODEL --calibration wiki.valid.txt --text wiki.test.txt [--rows REGEX] [--windows 60] [--store build/methods]
"""
import argparse
import datetime
import json
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LORC = [f"{finder},lorc {rank}" for finder in ("rtn", "gptq") for rank in (8, 32)]
ROWS = [(scheme, method) for scheme, methods in {
    "W8A8": ["rtn", "smoothquant", "gptq", "smoothquant,gptq"],
    "LLM_INT8": ["rtn"],
    "W8A16": ["rtn"],
    **{f"W8A16+{cache}": ["rtn"] for cache in ("KVFP8", "KV8", "KV4")},
    "W4A16": ["rtn", "gptq", "signround", "autoround", "gptq act_order", "awq", "awq,gptq", "quarot,gptq", "quip", *LORC],
    "W4A16_ASYM": ["rtn", "gptq", "signround", "autoround", "awq"],
    "W4A16_MIN": ["rtn", "hqq", "gptq"],
    "W4A8": ["rtn", "gptq", "autoround", "quarot", "quarot,gptq"],
    "W4A4": ["rtn", "gptq", "quarot", "quarot,gptq"],
    "W3A16": ["rtn", "gptq", "signround", "autoround", "awq", "quarot,gptq", "quip", *LORC],
    "W2A16": ["rtn", "gptq", "signround", "autoround", "quarot,gptq", "quip"],
    "W4A8_FP": ["rtn", "w4a8_fp", "w4a8_fp m1", "w4a8_fp m2"],
    "NVFP4A16": ["rtn", "gptq"],
    "MXFP4A16": ["rtn", "gptq"],
    "NF4": ["rtn"],
}.items() for method in methods]
SETTINGS = {"gptq act_order": "gptq: {act_order: true}", "w4a8_fp m1": "w4a8_fp: {scales: m1}",
            "w4a8_fp m2": "w4a8_fp: {scales: m2}", "lorc 8": "lorc: {rank: 8}", "lorc 32": "lorc: {rank: 32}"}

PAGE = """# What methods reach

Written by `benchmarks/methods/compare.py`; do not edit.

{model}: perplexity and divergence from its own weights in FP32 over {windows} windows of 512 tokens of `{text}`, scored from
position 257; calibration: {samples} windows of 512 tokens of `{calibration}`. Bits are those of the quantized linears, scales
included. Error: mean over the linears of tr(ΔW H ΔWᵀ) / tr(W H Wᵀ) on the calibration tokens (`rtn`: H = I unless it is given
calibration).

Measured {date}: {cpu}, aquatint {version}.

| scheme | method | bits | perplexity | mean KLD | same top token | error | seconds |
|---|---|---|---|---|---|---|---|
| FP32 | | | {reference:.3f} | | | | |
"""


def run(options, *words):
    done = subprocess.run([str(word) for word in (options.aquatint, *words, "--json", "--quiet")], capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise SystemExit(f"compare: {' '.join(map(str, words))}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def recipe(scheme, method):
    names = method.split(",")
    steps = [SETTINGS.get(name, name) for name in names]
    return f"scheme: {scheme}\nmethods: [{', '.join(steps)}]\n"


def measure(options, scheme, method, version):
    path = options.store / f"{scheme}.{method.replace(' ', '_').replace(',', '+')}.json"
    if path.exists() and (row := json.loads(path.read_text()))["version"] == version:
        return row
    print(f"{scheme} {method}", flush=True)
    folder, file = options.store / "model", options.store / "recipe.yaml"
    shutil.rmtree(folder, ignore_errors=True)
    file.write_text(recipe(scheme, method))
    calibration = [] if method in ("rtn", "hqq", "quarot") and "KVFP8" not in scheme else ["--calibration", options.calibration, "--samples", options.samples,
                                               "--seq-len", 512]
    made = run(options, "quantize", options.model, "--to", folder, "--recipe", file, *calibration)
    found = run(options, "eval", folder, "--reference", options.model, "--text", options.text, "--context", 512,
                "--score-from", 257, "--windows", options.windows)
    errors = [layer["relative_error"] for layer in made["layers"]]
    row = {"scheme": scheme, "method": method, "version": version, "bits": made["bits_per_weight"],
           "seconds": made["seconds"], "error": sum(errors) / len(errors), "eval": found}
    path.write_text(json.dumps(row, indent=1) + "\n")
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--calibration", type=pathlib.Path, required=True)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--rows", default="", help="of 'SCHEME METHOD', those that this regular expression finds")
    parser.add_argument("--windows", type=int, default=60)
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--store", type=pathlib.Path, default=ROOT / "build/methods")
    parser.add_argument("--aquatint", type=pathlib.Path, default=ROOT / "build/release/aquatint")
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    version = subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%h", "--",
                              *(f"src/{room}" for room in ("numeric", "tensor", "checkpoint", "kernels", "model", "quant", "eval"))], capture_output=True,
                             text=True).stdout.strip()  # the last commit that can change a row
    rows = [measure(options, *row, version) for row in ROWS if re.search(options.rows, " ".join(row))]
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    page = PAGE.format(model=options.model.name, windows=options.windows, text=options.text.name,
                       samples=options.samples, calibration=options.calibration.name,
                       date=datetime.date.today().isoformat(), cpu=cpu.group(1) if cpu else "unknown processor",
                       version=version, reference=rows[0]["eval"]["divergence"]["reference_perplexity"])
    for row in rows:
        e = row["eval"]
        page += (f"| {row['scheme']} | {row['method']} | {row['bits']:.3f} | {e['perplexity']['value']:.3f} | "
                 f"{e['divergence']['mean_kld']:.4f} ± {e['divergence']['mean_kld_stderr']:.4f} | "
                 f"{100 * e['divergence']['same_top1']:.1f} % | {row['error']:.2e} | {row['seconds']:.0f} |\n")
    (ROOT / "docs/methods.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
