#!/usr/bin/env python3
"""Records the figures of those claims (docs/claims.json) that the rows of benchmarks/methods/compare.py settle; give it the same options.
A claim whose rows are not in the store keeps the figures that it has. benchmarks/claims.py then renders the page.

  claim_rows.py MODEL --calibration valid.txt --text test.txt [--planted MODEL] [--domain policy.txt] [--large MODEL] [--windows 60]
             [--claims REGEX]

An entry's "rows" name rows: [SCHEME, METHOD], or [SCHEME, METHOD, "planted"]; "calibrations": [FILES, TEXT, SAMPLES] of W4A16 by
gptq, files "generic", "domain" or "half of each"; "others": names of figures that are measured here. "ours" is a format string
over all of them, as in "{gptq[kld]:.3f}"; fields of rows are those of measure.row().
"""
import argparse
import functools
import json
import pathlib
import re
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import compare  # noqa: E402
import formats  # noqa: E402
import ledger  # noqa: E402
import measure  # noqa: E402

A100_FP32 = 19.5  # TFLOP/s, NVIDIA's data sheet


def stored(options, scheme, method, model=None):
    calibration = str(options.calibration) if compare.needs_calibration(scheme, method) else None
    row = measure.row(options, compare.recipe(scheme, method), calibration=calibration, only_stored=True,
                      model=options.planted if model == "planted" else None)
    if row is None:
        raise KeyError(f"{scheme} {method} {model or ''}: measure it with benchmarks/methods/compare.py first")
    return row


def calibrated(options, files, text, samples=None):
    row = measure.row(options, compare.recipe("W4A16", "gptq"), only_stored=True, samples=samples,
                      calibration=compare.calibration_sets(options)[files],
                      text=compare.halves(options.domain, options.store)[1] if text == "domain" else options.text)
    if row is None:
        raise KeyError(f"calibration {files} {text} {samples or ''}: measure it with benchmarks/methods/compare.py --domain first")
    return row


def kept(options, name, *words):
    """What a command prints as JSON; it runs once for a store."""
    path = options.store / f"{name}.json"
    if not path.exists():
        path.write_text(json.dumps(measure.run(options, *words)))
    return json.loads(path.read_text())


def sensitivity(options):
    """Divergence with one matrix alone in a scheme, by place; and in how many linears INT8 loses less than E4M3."""
    found = kept(options, "sensitivity", "sensitivity", options.model, "--schemes", "W4A16,W8A8,FP8_DYNAMIC", "--text", options.text)
    by_scheme = {scheme["scheme"]: scheme for scheme in found["schemes"]}
    four = by_scheme["W4A16"]
    layers = 1 + max(linear["layer"] for linear in four["linears"])

    def mean(chosen):
        return statistics.mean(linear["kld"] for linear in four["linears"] if chosen(linear["layer"]))

    pairs = list(zip(by_scheme["W8A8"]["linears"], by_scheme["FP8_DYNAMIC"]["linears"]))
    ranked = sorted(four["linears"], key=lambda linear: -linear["kld"])
    return {"embedding": four["embedding"]["kld"], "head": four["head"]["kld"], "first": mean(lambda layer: layer == 0),
            "last": mean(lambda layer: layer == layers - 1), "middle": mean(lambda layer: 0 < layer < layers - 1),
            "worst": ranked[0], "linears": len(pairs), "tokens": found["tokens"],
            "int8": sum(a["kld"] < b["kld"] for a, b in pairs)}


def large(options):
    """Predicted hours, and the most memory in GB, of quantizing a large model on this machine, by GPTQ and AWQ; its FP32 peak."""
    if not options.large:
        raise KeyError("--large MODEL is needed")
    predicted = {"peak": 0}
    for method in ("gptq", "awq"):
        report = kept(options, f"large-{method}", "quantize", options.large, "--to", options.store / "none", "--scheme", "W4A16",
                      "--method", method, "--calibration", options.calibration, "--samples", 128, "--seq-len", 512, "--dry-run")
        predicted[method] = report["prediction"]["seconds"] / 3600
        predicted["peak"] = max(predicted["peak"], report["prediction"]["peak_ram_bytes"] / 1e9)
    predicted["fp32"] = kept(options, "peaks", "bench", "--peaks")["peaks"]["flop_s"]["fp32"] / 1e12
    predicted["a100"] = predicted["gptq"] * predicted["fp32"] / A100_FP32
    return predicted


@functools.cache
def format_errors(model):
    return formats.measure(model, rows=400, seed=0)


OTHERS = {"formats": lambda options: format_errors(options.model), "sensitivity": sensitivity, "large": large}


def figures(options, claim):
    found = {name: stored(options, *which) for name, which in claim.get("rows", {}).items()}
    found |= {name: calibrated(options, *which) for name, which in claim.get("calibrations", {}).items()}
    return found | {name: OTHERS[name](options) for name in claim.get("others", [])}


def origin_of(rows):
    """Where rows were measured, when and by which version: each that occurs."""
    return {key: ", ".join(sorted({row[key] for row in rows})) for key in ("machine", "version", "date")} if rows else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measure.add_options(parser)
    parser.add_argument("--planted", type=pathlib.Path)
    parser.add_argument("--domain", type=pathlib.Path)
    parser.add_argument("--large", type=pathlib.Path, help="a model whose shapes count alone (streaming/sparse_model.py)")
    parser.add_argument("--claims", default=".*", help="those alone whose id matches this expression")
    options = parser.parse_args()
    over = f"{options.model.name}, {options.windows} windows of 512 tokens of {options.text.name}"
    for claim in ledger.claims():
        if not {"rows", "calibrations", "others"} & claim.keys() or not re.fullmatch(options.claims, claim["id"]):
            continue
        try:
            found = figures(options, claim)
            rows = [row for row in found.values() if "version" in row]
            reference = f" (FP32: perplexity {rows[0]['reference']:.2f})" if rows else ""
            ledger.record(claim["id"], found, over + reference, origin_of(rows))
        except KeyError as missing:
            print(f"{claim['id']}: {missing}", file=sys.stderr)


if __name__ == "__main__":
    main()
