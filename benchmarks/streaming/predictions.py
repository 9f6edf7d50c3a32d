#!/usr/bin/env python3
"""What `aquatint quantize --dry-run` says beforehand, held against what the run then needs: peak RAM by the
kernel's own count, seconds, bytes.
  predictions.py AQUATINT MODEL TEXT [--samples 128] [--length 512] [--cases rtn:W4A16,gptq:W4A16,...]"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

CASES = "rtn:W4A16,gptq:W4A16,awq:W4A16,smoothquant:W8A8"


def peak_and_seconds(command):
    start = time.time()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)}: status {status}")
    return json.loads(output), usage.ru_maxrss * 1024, time.time() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("aquatint")
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--samples", default="128")
    parser.add_argument("--length", default="512")
    parser.add_argument("--ram", default="0", help="budget in GB; 0: none")
    parser.add_argument("--cases", default=CASES)
    parser.add_argument("--to", default=None, help="folder to write into; default: a temporary one")
    options = parser.parse_args()
    print("| case | peak RAM predicted, measured, ratio | seconds predicted, measured | bytes predicted, written |")
    print("|---|---|---|---|")
    for case in options.cases.split(","):
        method, scheme = case.split(":")
        with tempfile.TemporaryDirectory(dir=options.to) as folder:
            command = [options.aquatint, "quantize", options.model, "--to", folder + "/out", "--scheme", scheme,
                       "--method", method, "--ram", options.ram, "--json", "--quiet"]
            if method != "rtn":
                command += ["--calibration", options.text, "--samples", options.samples, "--seq-len", options.length]
            said, _, _ = peak_and_seconds(command + ["--dry-run"])
            done, peak, seconds = peak_and_seconds(command)
            says = said["prediction"]
            print(f"| {method} {scheme} | {says['peak_ram_bytes'] / 1e6:.0f} MB, {peak / 1e6:.0f} MB, "
                  f"{says['peak_ram_bytes'] / peak:.2f} | {says['seconds']:.1f}, {seconds:.1f} | "
                  f"{said['bytes']}, {done['bytes']} |", flush=True)
            shutil.rmtree(folder + "/out")


main()
