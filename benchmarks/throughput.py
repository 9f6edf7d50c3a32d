#!/usr/bin/env python3
"""What fewer bits give: bytes of a large model's file, and decode and prefill rates of a small one in BF16, W8A16 and W4A16, measured in
turns. Records claim P15. Models are made once, in --to; with --rounds 0 nothing else is done, so that the bench can run alone later.

  throughput.py MODEL --to DIR --large MODEL [--rounds 3] [--generate-tokens 64]

MODEL is a BF16 folder. Of --large the shapes count alone (streaming/sparse_model.py).
"""
import argparse
import json
import pathlib
import shutil
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import ledger  # noqa: E402
import measure  # noqa: E402

SCHEMES = ["W8A16", "W4A16"]


def folders(options):
    """BF16 and each scheme by rounding alone: rates depend on formats, not on what weights say."""
    made = {"BF16": options.model}
    for scheme in SCHEMES:
        made[scheme] = options.to / f"{options.model.name}-{scheme}"
        if not made[scheme].exists():
            shutil.rmtree(made[scheme].with_name(made[scheme].name + ".partial"), ignore_errors=True)
            measure.run(options, "quantize", options.model, "--to", made[scheme], "--scheme", scheme, "--clip", "none")
    return made


def large_bytes(options):
    """By scheme, tensors that stay in 16 bits included."""
    path = options.to / "large.json"
    if not path.exists():
        found = {"BF16": measure.run(options, "inspect", options.large)["bytes"]}
        for scheme in SCHEMES:
            found[scheme] = measure.run(options, "quantize", options.large, "--to", options.to / "none", "--scheme", scheme,
                                        "--dry-run")["bytes"]
        path.write_text(json.dumps(found))
    return json.loads(path.read_text())


def rates(options, models):
    """Medians over the rounds, tokens per second: {scheme: {"decode": …, "prefill": …}}."""
    seen = {scheme: [] for scheme in models}
    for _ in range(options.rounds):
        for scheme, folder in models.items():
            seen[scheme] += measure.run(options, "bench", folder, "--prompt-tokens", options.prompt_tokens, "--generate-tokens",
                                        options.generate_tokens, "--repeat", 1, "--batch", 1)["runs"]
    return {scheme: {phase: statistics.median(run[f"{phase}_tokens_per_second"]["mean"] for run in runs) for phase in ("decode", "prefill")}
            for scheme, runs in seen.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--to", type=pathlib.Path, required=True)
    parser.add_argument("--large", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--generate-tokens", type=int, default=64)
    parser.add_argument("--aquatint", type=pathlib.Path, default=ledger.ROOT / "build/release/aquatint")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    models, sizes = folders(options), large_bytes(options)
    if options.rounds == 0:
        return
    found = rates(options, models)
    print(json.dumps(found, indent=1))
    gains = {phase: {scheme: found[scheme][phase] / found["BF16"][phase] for scheme in SCHEMES} for phase in ("decode", "prefill")}
    ledger.record("P15", {"fits": {scheme: sizes["BF16"] / sizes[scheme] for scheme in SCHEMES}, "bf16": found["BF16"], **gains,
                          "four_over_eight": 100 * (found["W4A16"]["decode"] / found["W8A16"]["decode"] - 1)},
                  f"bytes of {options.large.name}; rates of {options.model.name}, one sequence, prompts of {options.prompt_tokens} tokens, "
                  f"{options.generate_tokens} generated, {options.rounds} rounds in turns")


if __name__ == "__main__":
    main()
