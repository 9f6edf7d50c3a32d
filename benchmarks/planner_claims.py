#!/usr/bin/env python3
"""Records the planner's claims (P1–P14, P16, P17 of docs/claims.json): every figure is what `aquatint plan --json` answers. Needs no
model and no GPU; P15 is throughput.py's. benchmarks/claims.py then renders the page.

  planner_claims.py [--check]

--check records nothing and fails where a recorded figure is no longer what the planner says.
"""
import argparse
import json
import os
import pathlib
import string
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import ledger  # noqa: E402

AQUATINT = os.environ.get("AQUATINT_BIN", ledger.ROOT / "build/release/aquatint")
GB = 1e9
STORY = ["--current", "BF16@2xA100-80G", "--measured-tpot", "0.18", "--tokens-per-day", "10000000", "--tpot", "0.05", "--budget", "2400",
         "--price", "A100-80G=1.64"]
TOLERANCE = 0.01


def ask(model, gpus, counts, schemes, *flags):
    """The whole answer; exit code 5, nothing meets every target, has one too."""
    words = ["plan", "--parameters", model, "--gpu", gpus, "--count", counts, "--schemes", schemes, "--json", *flags]
    done = subprocess.run([str(AQUATINT), *words], capture_output=True, text=True)
    if done.returncode not in (0, 5):
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def candidates(*question):
    """By scheme, or by scheme and card."""
    answer = ask(*question)
    many = "," in question[1]
    return {(c["scheme"], c["gpu"]) if many else c["scheme"]: c for c in answer["candidates"]}


def one(model, scheme, gpu, count=1, *flags):
    return ask(model, gpu, str(count), scheme, *flags)["candidates"][0]


def at_batch(model, scheme, gpu, count, sequences, *flags):
    """What `sequences` at once reach: the limit between tokens at which just so many are let in."""
    low, high = 1e-5, 10.0
    for _ in range(60):
        limit = (low * high) ** 0.5
        served = one(model, scheme, gpu, count, "--tpot", f"{limit:.12f}", *flags)["at_most"]
        let_in = served["sequences"] if served["tpot_seconds"] <= limit else 0
        if let_in == sequences:
            return served
        low, high = (limit, high) if let_in < sequences else (low, limit)
    raise RuntimeError(f"{model} {scheme} on {count} x {gpu} does not reach {sequences} sequences")


def devices():
    names = "RTX3090,A10G,L4,RTX4090,A100-40G,A100-80G,L40S,H100-80G,H200,B200"
    return ask("8B", names, "1", "BF16")["question"]["devices"]


def p1():
    found = candidates("Llama-2-70B", "A100-80G", "8", "FP32,BF16,W8A16,W4A16,NF4")
    return {"gb": {scheme: c["weight_bytes"] / GB for scheme, c in found.items()},
            "ms": {scheme: c["weight_bytes"] / 2e12 * 1e3 for scheme, c in found.items()}}


def p2():
    found = candidates("Llama-2-70B", "H100-80G", "1", "BF16,W8A16")
    return {"bf16": found["BF16"]["memory"]["weights"] / GB, "card": found["BF16"]["memory"]["total"] / GB,
            "int8": found["W8A16"]["memory"]["weights"] / GB, "left": found["W8A16"]["memory"]["kv_cache"] / GB,
            "requests": found["W8A16"]["most_sequences"]}


def p3():
    answer = ask("Llama-2-70B", "A100-80G", "1,2", "BF16,W8A8,W4A16", *STORY)
    bandwidth = answer["question"]["devices"][0]["bandwidth_bytes_s"]
    two = {c["scheme"]: c for c in answer["candidates"] if c["count"] == 2}
    floor = two["BF16"]["weight_bytes"] / (2 * bandwidth)
    chosen = answer["candidates"][answer["chosen"]]
    return {"floor": floor * 1e3, "alone": two["BF16"]["alone"]["tpot_seconds"] * 1e3, "left": (0.18 - floor / 2) * 1e3,
            "int8": two["W8A8"]["alone"]["tpot_seconds"] * 1e3, "scheme": chosen["scheme"], "count": chosen["count"],
            "tpot": chosen["loaded"]["tpot_seconds"] * 1e3, "month": chosen["cost"]["per_month"]}


def p4():
    int8, nf4 = one("Llama-2-70B", "W8A8", "A100-80G", 2), one("Llama-2-70B", "NF4", "A100-80G", 1)
    return {"int8": {"cache": 2 * int8["memory"]["kv_cache"] / GB, "tpot": int8["alone"]["tpot_seconds"] * 1e3,
                     "most": int8["at_most"]["tokens_per_second"]},
            "nf4": {"cache": nf4["memory"]["kv_cache"] / GB, "tpot": nf4["alone"]["tpot_seconds"] * 1e3,
                    "most": nf4["at_most"]["tokens_per_second"]}}


def p5():
    by_name = {d["name"]: d for d in devices()}
    a100, h100 = by_name["A100-80G"], by_name["H100-80G"]
    old, new = one("8B", "W8A8", "A100-80G"), one("8B", "FP8_DYNAMIC", "H100-80G")
    return {"bandwidth": h100["bandwidth_bytes_s"] / a100["bandwidth_bytes_s"], "rate": h100["rates"]["fp8_e4m3"] / a100["rates"]["int8"],
            "tpot": old["alone"]["tpot_seconds"] / new["alone"]["tpot_seconds"],
            "ttft": old["alone"]["ttft_seconds"] / new["alone"]["ttft_seconds"]}


def p6():
    found = {scheme: {n: at_batch("8B", scheme, "A100-80G", 1, n) for n in (1, 64)} for scheme in ("BF16", "W8A8")}
    prompt = {scheme: one("8B", scheme, "A100-80G")["alone"]["ttft_seconds"] for scheme in found}
    return {"one": found["BF16"][1]["tpot_seconds"] / found["W8A8"][1]["tpot_seconds"],
            "many": found["BF16"][64]["tpot_seconds"] / found["W8A8"][64]["tpot_seconds"], "prompt": prompt["BF16"] / prompt["W8A8"]}


def p7():
    answer = ask("DeepSeek-R1", "H200", "8", "FP8_BLOCK")
    held = answer["candidates"][0]
    each = 2 * answer["question"]["models"][0]["cache_elements_per_token"]
    off = one("DeepSeek-R1", "FP8_BLOCK", "H100-80G", 1)["offload"]
    return {"gb": held["weight_bytes"] / GB, "kb": each / 1e3, "long": each * 131072 / GB, "requests": held["most_sequences"],
            "off": off["bytes_off"] / GB, "tpot": off["tpot_seconds"]}


def p8():
    found = one("Llama-2-70B", "FP6", "H100-80G")
    return {"gb": found["weight_bytes"] / GB, "left": found["memory"]["kv_cache"] / GB, "requests": found["most_sequences"]}


def p9():
    known = devices()
    have = {rate: ", ".join(d["name"] for d in known if d["rates"].get(rate)) for rate in ("fp8_e4m3", "int4", "fp4_e2m1")}
    return {"fp8": have["fp8_e4m3"], "int4": have["int4"], "fp4": have["fp4_e2m1"],
            "bf16": sum(1 for d in known if d["rates"].get("bf16")), "all": len(known)}


def p10():
    many = {(scheme, n): at_batch("70B", scheme, "H100-80G", 4, n) for scheme in ("BF16", "FP8_DYNAMIC") for n in (4, 32, 64)}
    prompt = {scheme: one("70B", scheme, "H100-80G", 4)["alone"]["ttft_seconds"] for scheme in ("BF16", "FP8_DYNAMIC")}

    def better(n):
        return 100 * (1 - many["FP8_DYNAMIC", n]["tpot_seconds"] / many["BF16", n]["tpot_seconds"])

    return {"claimed": many["FP8_DYNAMIC", 64]["tokens_per_second"] / many["BF16", 32]["tokens_per_second"],
            "equal": many["FP8_DYNAMIC", 64]["tokens_per_second"] / many["BF16", 64]["tokens_per_second"],
            "few": better(4), "many": better(64), "ttft": 100 * (1 - prompt["FP8_DYNAMIC"] / prompt["BF16"])}


def p11():
    gain = {n: at_batch("8B", "BF16", "H100-80G", 1, n)["tpot_seconds"] / at_batch("8B", "W8A16", "H100-80G", 1, n)["tpot_seconds"]
            for n in (1, 8, 32, 128)}
    prompt = {scheme: one("8B", scheme, "H100-80G")["alone"]["ttft_seconds"] for scheme in ("BF16", "W8A16")}
    return {"gain": gain, "prompt": prompt["W8A16"] / prompt["BF16"]}


def p12():
    def tpot(scheme, gpu, n):
        return at_batch("8B", scheme, gpu, 1, n)["tpot_seconds"]

    def better(n, old, new):
        return 100 * (1 - tpot(new, "H100-80G", n) / tpot(old, "A100-80G", n))

    return {"one": better(1, "BF16", "BF16"), "many": better(64, "BF16", "BF16"), "eight": better(128, "W8A8", "FP8_DYNAMIC")}


def p13():
    crossing = {}
    for name, model, scheme in [("mha", "Llama-2-7B", "BF16"), ("mha4", "Llama-2-7B", "W4A16"), ("gqa", "70B", "BF16"), ("gqa4", "70B", "W4A16")]:
        found = one(model, scheme, "H200", 8)
        # Each of eight cards has an eighth of both.
        crossing[name] = {context: found["memory"]["weights"] / (found["memory"]["kv_bytes_per_token"] * context)
                          for context in (2048, 8192)}
    return crossing


def p14():
    training = {t["mode"]: t["total"] / GB for t in ask("Llama-2-13B", "H100-80G", "1", "BF16")["training"]}
    return {mode: training[mode] for mode in ("qlora", "full")}


def p16():
    ratios = [d["rates"]["fp8_e4m3"] / d["rates"]["int8"] for d in devices() if d["rates"].get("fp8_e4m3") and d["rates"].get("int8")]
    return {"cards": len(ratios), "low": min(ratios), "high": max(ratios)}


def p17():
    known = {d["name"]: d for d in devices()}
    return {"h200": known["H200"]["memory_bytes"] / 2**30, "b200": known["B200"]["memory_bytes"] / GB,
            "ratio": {name: known[name]["rates"]["int8"] / known[name]["rates"]["fp8_e4m3"] for name in ("H100-80G", "L40S", "B200")}}


SETTLED = {"P1": p1, "P2": p2, "P3": p3, "P4": p4, "P5": p5, "P6": p6, "P7": p7, "P8": p8, "P9": p9, "P10": p10, "P11": p11, "P12": p12,
           "P13": p13, "P14": p14, "P16": p16, "P17": p17}


def version():
    """The last change of what predicts: sources and tables of the room, not its page."""
    return subprocess.run(["git", "-C", str(ledger.ROOT), "log", "-1", "--format=%h", "--", ":(glob)src/plan/*.cc", ":(glob)src/plan/*.json"],
                          capture_output=True, text=True, check=True).stdout.strip()


def rounded(found):
    """Four digits: what comes after them is not knowledge."""
    if isinstance(found, dict):
        return {key: rounded(value) for key, value in found.items()}
    return float(f"{found:.4g}") if isinstance(found, float) else found


def differs(recorded, now):
    if isinstance(recorded, (int, float)):
        return abs(recorded - now) > TOLERANCE * max(abs(recorded), abs(now))
    return recorded != now


def check():
    """Lines of what is no longer so."""
    measured, lines, reader = ledger.measurements(), [], string.Formatter()
    for claim, compute in SETTLED.items():
        found = compute()
        for field, recorded in measured[claim]["figures"].items():
            now = reader.get_field(field, (), found)[0]
            if differs(recorded, now):
                lines.append(f"{claim}: {field} is recorded as {recorded}, the planner says {now}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is recorded")
    if parser.parse_args().check:
        lines = check()
        print("\n".join(lines) or "all recorded figures are what the planner says")
        sys.exit(1 if lines else 0)
    for claim, compute in SETTLED.items():
        ledger.record(claim, rounded(compute()), "predicted by `aquatint plan`", version())


if __name__ == "__main__":
    main()
