#!/usr/bin/env python3
"""Quantizes a model by every method and scheme, measures what is lost, and writes docs/methods.md. Rows that docs/methods.json has are
not measured again; with --rows only those are measured that it finds, and what else is known is shown.

  compare.py MODEL --calibration valid.txt --text test.txt [--planted MODEL] [--domain policy.txt] [--rows REGEX] [--windows 60]
"""
import argparse
import pathlib
import re

import measure

METHODS = {
    "W8A16": ["rtn"],
    "W8A8": ["rtn", "smoothquant", "smoothquant 0.5", "gptq", "smoothquant,gptq", "smoothquant,qep,gptq", "quarot", "quarot,gptq",
             "quarot,qep,gptq", "quarot offline,gptq", "quarot offline,smoothquant,gptq"],
    "LLM_INT8": ["llm_int8"],
    "FP8_DYNAMIC": ["rtn", "qep,gptq"],
    "W4A16": ["rtn", "gptq", "gptq in order", "awq", "awq,gptq", "qep,rtn", "qep,gptq", "qep,gptq in order", "awq,qep,gptq",
              "signround", "quarot,gptq", "quarot,qep,gptq", "quip", "rtn,lorc 8", "gptq,lorc 32"],
    "int4:group32": ["rtn", "gptq", "qep,gptq"],
    "W4A16_ASYM": ["rtn", "hqq", "gptq", "qep,gptq"],
    "W4A16_MIN": ["rtn", "hqq", "gptq"],
    "W4A8": ["rtn", "gptq", "qep,gptq", "quarot,gptq"],
    "int8:group64/int8:token": ["rtn", "zeroquant"],
    "int4:group64/int8:token": ["zeroquant"],
    "W4A8_FP": ["rtn", "w4a8_fp", "w4a8_fp absmax", "w4a8_fp m1", "w4a8_fp m2", "w4a8_fp,lorc 8"],
    "W4A4": ["rtn", "gptq", "quarot", "quarot,gptq", "quarot,qep,gptq"],
    "W3A16": ["rtn", "gptq", "awq", "signround", "autoround", "qep,gptq", "quip", "gptq,lorc 32"],
    "W2A16": ["rtn", "gptq", "signround", "qep,gptq", "quip"],
    "NF4": ["rtn"],
    "NVFP4A16": ["rtn", "gptq"],
    "MXFP4A16": ["rtn", "gptq"],
    "W8A16+KVFP8": ["rtn"],
    "W8A16+KV8": ["rtn"],
    "W8A16+KV4": ["rtn"],
}
SETTINGS = {"smoothquant 0.5": "smoothquant: {alpha: 0.5}", "quarot offline": "quarot: {online: false, untie: true}",
            "w4a8_fp absmax": "w4a8_fp", "gptq in order": "gptq: {act_order: false}", "w4a8_fp m1": "w4a8_fp: {scales: m1}",
            "w4a8_fp m2": "w4a8_fp: {scales: m2}", "lorc 8": "lorc: {rank: 8}", "lorc 32": "lorc: {rank: 32}"}
PLANTED = {"W8A8": ["rtn", "smoothquant"], "int8:channel/int8:tensor": ["rtn", "smoothquant"], "FP8_DYNAMIC": ["rtn"],
           "LLM_INT8": ["llm_int8"], "W4A16": ["rtn", "awq"]}
GRANULARITIES = {
    "weights, int8": ["int8:tensor", "int8:channel", "int8:group64"],
    "weights, int4": ["int4:tensor", "int4:channel", "int4:group64", "int4:group32"],
    "inputs, int8 (weights int8 per channel)": ["int8:channel/int8:tensor", "int8:channel/int8:token"],
    "inputs, E4M3 (weights int8 per channel)": ["int8:channel/fp8_e4m3:tensor", "int8:channel/fp8_e4m3:token"],
}
SAMPLES = [8, 32, 128]
UNCALIBRATED = {"rtn", "hqq", "quarot", "llm_int8", "lorc"}
HEAD = ("| {} | bits | of the file | perplexity | mean KLD | same top token | error | seconds | aquatint | on |\n"
        "|{}---|---|---|---|---|---|---|---|---|\n")

PAGE = """# What methods reach

Written by `benchmarks/methods/compare.py`; do not edit; its rows are kept in `methods.json`.

Perplexity and divergence from the model's own weights in FP32 over {windows} windows of 512 tokens of `{text}`, scored from position
257; calibration: {samples} windows of 512 tokens of `{calibration}`. Bits: of the quantized linears, scales included; of the file:
all its tensors' bytes over all parameters, the embedding in 16 bits. Error: mean over the linears of tr(ΔW H ΔWᵀ) / tr(W H Wᵀ) on the
calibration tokens (H = I where there are none). Seconds: of quantizing, on a machine that may have had other work. The last columns
are the commit that measured the row, the machine and the date.

Where rows go against a paper:
- `qep` gains where inputs stay in 16 bits, the more the fewer bits weights have, and behind `quarot`; behind `awq` it gains nothing, and
  where inputs are rounded it gains little (W4A8, FP8_DYNAMIC) or loses (W8A8 and W4A4 behind `smoothquant` or `quarot`): it fits weights to
  inputs whose errors come anew with every token and draw the fit towards zero.
- `quip` gains over `gptq` at 4 and 3 bits and loses at 2: in groups of 32 a scale follows the outliers that its rotations spread.
- `w4a8_fp m1` costs more than its paper has it: there, free scales put the largest weight on the largest code; here they are searched
  (`w4a8_fp absmax` is the paper's). What powers of two cost a Gaussian group in either case: `benchmarks/methods/formats.py`, claim Q13.
- `hqq` moves zero-points, and finds nothing to move where they are integers (W4A16_ASYM); real minima (W4A16_MIN) it improves.
- At W4A4 `quarot` alone is far from FP32 where its paper is near: this model has 135 M parameters, and the paper rounds with GPTQ.

"""


def recipe(scheme, method):
    clip = "clip: none\n" if "absmax" in method else ""
    return f"scheme: {scheme}\nmethods: [{', '.join(SETTINGS.get(name, name) for name in method.split(','))}]\n{clip}"


def needs_calibration(scheme, method):
    names = {name.split()[0] for name in method.split(",")}
    return not names <= UNCALIBRATED or ":tensor" in scheme.partition("/")[2] or "KVFP8" in scheme


class Page:
    def __init__(self, options):
        self.options = options
        self.text = ""

    def row(self, label, recipe, **how):
        wanted = re.search(self.options.rows, label)
        return measure.row(self.options, recipe, only_stored=not wanted, **how)

    def line(self, cells, row):
        self.text += (f"| {' | '.join(cells)} | {row['bits']:.3f} | {row['bits_per_parameter']:.3f} | "
                      f"{row['perplexity']:.3f} | {row['kld']:.4f} ± {row['kld_stderr']:.4f} | {100 * row['top']:.1f} % | {row['error']:.2e} | {row['seconds']:.0f} | "
                      f"{row['version']} | {row['machine']}, {row['date']} |\n")

    def methods(self, title, table, **how):
        rows = []
        for scheme, methods in table.items():
            for method in methods:
                calibration = str(self.options.calibration) if needs_calibration(scheme, method) else None
                row = self.row(f"{title}: {scheme} {method}", recipe(scheme, method), calibration=calibration, **how)
                if row:
                    rows.append(((scheme, method), row))
        if not rows:
            return
        self.text += f"## {title}\nIn FP32: perplexity {rows[0][1]['reference']:.3f}.\n\n"
        self.text += HEAD.format("scheme | method", "---|" * 2)
        for cells, row in rows:
            self.line(cells, row)
        self.text += "\n"

    def granularities(self):
        lines = []
        for what, schemes in GRANULARITIES.items():
            for scheme in schemes:
                calibration = str(self.options.calibration) if needs_calibration(scheme, "rtn") else None
                row = self.row(f"granularity: {scheme}", recipe(scheme, "rtn"), calibration=calibration)
                if row:
                    lines.append(((what, scheme), row))
        if lines:
            self.text += "## Granularity\nBy `rtn`.\n\n" + HEAD.format("of | scheme", "---|" * 2)
            for cells, row in lines:
                self.line(cells, row)
            self.text += "\n"

    def calibrations(self):
        """W4A16 by gptq: from generic text, from that of the domain, from both, measured on both; then by sample count."""
        options, lines = self.options, []
        made = recipe("W4A16", "gptq")
        if options.domain:
            test = halves(options.domain, options.store)[1]
            for name, files in calibration_sets(options).items():
                for text in (options.text, test):
                    row = self.row(f"calibration: {name}", made, calibration=files, text=text)
                    if row:
                        lines.append(((name, text.name), row))
        for samples in SAMPLES:
            row = self.row(f"calibration: {samples} samples", made, calibration=str(options.calibration), samples=samples)
            if row:
                lines.append(((f"generic, {samples} samples", options.text.name), row))
        if lines:
            self.text += "## Calibration\nW4A16 by `gptq`.\n\n" + HEAD.format("calibration | measured on", "---|" * 2)
            for cells, row in lines:
                self.line(cells, row)
            self.text += "\n"


def halves(text, store):
    """The first half of a text, to calibrate by, and the second, to measure on."""
    store.mkdir(parents=True, exist_ok=True)
    content = text.read_text()
    middle = content.index("\n", len(content) // 2)
    parts = store / f"{text.stem}-first.txt", store / f"{text.stem}-second.txt"
    parts[0].write_text(content[:middle])
    parts[1].write_text(content[middle:])
    return parts


def calibration_sets(options):
    """What --calibration takes, by what it is of."""
    generic, domain = options.calibration, halves(options.domain, options.store)[0]
    return {"generic": str(generic), "domain": str(domain), "half of each": f"{generic}:1,{domain}:1"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measure.add_options(parser)
    parser.add_argument("--planted", type=pathlib.Path, help="the model with outliers (plant_outliers.py)")
    parser.add_argument("--domain", type=pathlib.Path, help="a text of one domain")
    parser.add_argument("--rows", default="", help="measure the rows whose 'TABLE: SCHEME METHOD' this expression finds")
    options = parser.parse_args()
    page = Page(options)
    page.methods(f"Methods on {options.model.name}", METHODS)
    if options.planted:
        page.methods(f"With planted outliers ({options.planted.name})", PLANTED, model=options.planted)
    page.granularities()
    page.calibrations()
    head = PAGE.format(windows=options.windows,
                       text=options.text.name, samples=options.samples, calibration=options.calibration.name)
    (measure.ROOT / "docs/methods.md").write_text(head + page.text.rstrip() + "\n")
    print(head + page.text)


if __name__ == "__main__":
    main()
