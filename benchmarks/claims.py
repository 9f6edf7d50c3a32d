#!/usr/bin/env python3
"""Writes docs/claims.md from docs/claims.json and docs/measurements.json: what the field says about quantization, what was measured
here, and a verdict. Needs nothing else; the rows are measured by other scripts, as benchmarks/methods/claim_rows.py.

An entry of claims.json has "ours", a format string over its figures, with "verdict" and "why", or "owner": the part of the project that
will settle it, and "why" with what is known. "rows", "calibrations", "others" tell claim_rows.py what to look up.
"""
import ledger

PAGE = """# What the field says

Written by `benchmarks/claims.py` from `claims.json` and `measurements.json`; do not edit. Divergence (KLD): mean KL divergence from FP32 in
nats. Rows Q and S, and P15, are measured on small models, SmolLM2-135M where nothing else is said; what is said of 7B to 70B models need not
hold for them. The other rows P are predicted by `aquatint plan`, whatever processor ran it. "Planted": the same model with outliers in its activations, which change nothing of what it computes.

## Settled
| id | claim | here | verdict | why | measured |
|---|---|---|---|---|---|
{settled}
## Open
| id | claim | settled by | what is known |
|---|---|---|---|
{open}"""


def settled_row(claim, measured):
    if claim["id"] not in measured:
        return f"| {claim['id']} | {claim['claim']} | not measured yet | open | {claim['why']} | |\n"
    row = measured[claim["id"]]
    return (f"| {claim['id']} | {claim['claim']} | {ledger.text_of(claim, row)} | {claim['verdict']} | {claim['why']} | "
            f"{row['machine']}, {row['version']}, {row['date']}; {row['over']} |\n")


def render():
    claims, measured = ledger.claims(), ledger.measurements()
    return PAGE.format(settled="".join(settled_row(claim, measured) for claim in claims if "ours" in claim),
                       open="".join(f"| {claim['id']} | {claim['claim']} | {claim['owner']} | {claim['why']} |\n"
                                    for claim in claims if "owner" in claim))


if __name__ == "__main__":
    (ledger.ROOT / "docs/claims.md").write_text(render(), encoding="utf-8")
