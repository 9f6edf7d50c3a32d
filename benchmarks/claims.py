#!/usr/bin/env python3
"""Writes docs/claims.md from docs/claims.json: what the field says about quantization, what was measured here, and a verdict.
Figures come from the rows that benchmarks/methods/compare.py has measured; give it the same options.

  claims.py MODEL --calibration valid.txt --text test.txt [--planted MODEL] [--windows 60]

An entry's "rows" name rows: [SCHEME, METHOD], or [SCHEME, METHOD, "planted"]; "ours" is a format string over them, as in
"{gptq[kld]:.3f}"; fields are those of measure.row(). Entries without rows say what else settles them.
"""
import argparse
import datetime
import json
import pathlib

import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "methods"))
import compare  # noqa: E402
import measure  # noqa: E402

PAGE = """# What the field says

Written by `benchmarks/claims.py` from `claims.json`; do not edit. {date}, {cpu}. Figures of SmolLM2-135M ({model}): mean KL divergence
from FP32 in nats, perplexity (FP32: {reference:.2f}), over {windows} windows of 512 tokens of `{text}`; what is said of 7B to 70B
models need not hold for it. "Planted": the same model with outliers in its activations, which change nothing of what it computes.

| id | claim | here | verdict | why |
|---|---|---|---|---|
"""


def stored(options, scheme, method, model=None):
    calibration = str(options.calibration) if compare.needs_calibration(scheme, method) else None
    row = measure.row(options, compare.recipe(scheme, method), calibration=calibration, only_stored=True,
                      model=options.planted if model == "planted" else None)
    if row is None:
        raise KeyError(f"{scheme} {method} {model or ''}: measure it with benchmarks/methods/compare.py first")
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measure.add_options(parser)
    parser.add_argument("--planted", type=pathlib.Path)
    options = parser.parse_args()
    text = ""
    for claim in json.loads((measure.ROOT / "docs/claims.json").read_text()):
        try:
            rows = {name: stored(options, *which) for name, which in claim.get("rows", {}).items()}
            ours, verdict = claim["ours"].format(**rows), claim["verdict"]
        except KeyError as missing:
            print(f"{claim['id']}: {missing}", file=sys.stderr)
            ours, verdict = "not measured yet", "open"
        text += f"| {claim['id']} | {claim['claim']} | {ours} | {verdict} | {claim['why']} |\n"
    reference = stored(options, "W4A16", "rtn")["reference"]
    (measure.ROOT / "docs/claims.md").write_text(
        PAGE.format(date=datetime.date.today().isoformat(), cpu=measure.processor(), model=options.model.name,
                    reference=reference, windows=options.windows, text=options.text.name) + text)


if __name__ == "__main__":
    main()
