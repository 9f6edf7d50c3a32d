#!/usr/bin/env python3
"""compare.py's results as a Markdown page and a picture beside it. Of several files, a group is taken from the last one
that has it.

  report.py RESULT.json... --page docs/kernels/peers.md
"""
import argparse
import json
import pathlib
import statistics

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

HEAD = """# Against other engines

Written by `benchmarks/peers/report.py` from the results of `make bench-peers`; do not edit.

Contestants take turns; a ratio is formed within each round, and the table gives its median, least and greatest over the
rounds. Rates are medians over all samples, tokens/s; prefill is a prompt of 512 tokens, decode one token after another
from an empty context. 8- and 4-bit models of ours run with `--head int8`, because the GGUF files hold the head in 8
bits; rows named so keep it in 16. *fast* is `--precision int8`: inputs in int8 blocks, as llama.cpp rounds them; the
other rows keep 16 bits. 1b and 8b are random weights of a Llama's shape (`tools/synthetic_model.cc`).
"""


def number(value):
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def ratio_row(group, r):
    goal = "" if r["goal"] is None else f"{r['goal']:g}" + ("" if r["median"] >= r["goal"] else " (missed)")
    return (f"| {group['title']} | {r['phase']} | {r['over']} | {number(r['over_tokens_s'])} | {r['under']} | "
            f"{number(r['under_tokens_s'])} | **{r['median']:.2f}** ({r['min']:.2f} … {r['max']:.2f}) | {goal} |")


def bandwidth_rows(groups):
    for group in groups:
        for contestant in group["contestants"]:
            shares = [r[contestant["name"]].get("bandwidth") for r in group["rounds"]]
            if contestant["engine"] != "aquatint" or None in shares or "batch" in contestant["name"]:
                continue
            goal = "0.9" if group["title"].startswith(("1b", "8b")) and "AVX2" not in group["title"] else ""
            yield f"| {group['title']} | {contestant['name']} | {statistics.median(shares):.2f} ({min(shares):.2f} … {max(shares):.2f}) | {goal} |"


def origin(result):
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    return f"{result['date']}: {result['cpu']}, {result['threads']} threads, {result['rounds']} rounds of {result['repeat']} samples; {versions}."


def page(groups, origins, picture):
    yield HEAD
    yield "Measured " + "\nand ".join(origins) + "\n"
    yield f"![ratios]({picture.name})\n"
    yield "| case | phase | this | tok/s | over | tok/s | ratio | goal |\n|---|---|---|---|---|---|---|---|"
    yield from (ratio_row(group, r) for group in groups for r in group["ratios"])
    yield "\n## Decode against the machine's read bandwidth\nBytes of weights a token reads over what plain reads of as many bytes reach.\n"
    yield "| case | this | share | goal |\n|---|---|---|---|"
    yield from bandwidth_rows(groups)


def draw(groups, target):
    rows = [(f"{g['title']}: {r['phase']}, {r['over']} / {r['under']}", r) for g in groups for r in g["ratios"]]
    figure, axes = plt.subplots(figsize=(10, 1 + 0.24 * len(rows)))
    for y, (_, r) in enumerate(rows):
        colour = "#2a6fbb" if r["phase"] == "decode" else "#d08a2e"
        axes.barh(y, r["median"], color=colour, height=0.7)
        axes.plot([r["min"], r["max"]], [y, y], color="black", linewidth=1)
        if r["goal"] is not None:
            axes.plot([r["goal"]] * 2, [y - 0.45, y + 0.45], color="#b00020", linewidth=2)
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=7)
    axes.invert_yaxis()
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.axvline(1, color="grey", linewidth=0.8)
    axes.set_xlabel("ratio of tokens/s; black: least to greatest round, red: goal; blue: decode, orange: prefill", fontsize=8)
    figure.tight_layout()
    plt.rcParams |= {"svg.hashsalt": "peers", "svg.fonttype": "none"}
    figure.savefig(target, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=pathlib.Path, nargs="+")
    parser.add_argument("--page", type=pathlib.Path, required=True)
    options = parser.parse_args()
    groups, origins = {}, []
    for path in options.results:
        result = json.loads(path.read_text())
        origins.append(origin(result))
        groups |= {group["title"]: group for group in result["groups"]}
    picture = options.page.with_suffix(".svg")
    draw(list(groups.values()), picture)
    options.page.write_text("\n".join(page(list(groups.values()), origins, picture)) + "\n")


if __name__ == "__main__":
    main()
