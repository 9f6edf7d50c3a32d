"""What nvcc made of the CUDA kernels: registers, shared memory, stack, instructions.

    cuda_check.py OBJECT...     objects of .cu files, as the build leaves them (build/cuda/src/cuda/*.o)

Prints a line a kernel and fails where one has a stack frame, spills registers, or lacks an instruction it is
built around (REQUIRED). Needs cuobjdump and nvdisasm: beside nvcc, in PATH, or of the Python packages
nvidia-cuda-cuobjdump and nvidia-cuda-nvdisasm.
"""

import argparse
import collections
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# Kernels by a pattern of their C++ names, and what each must contain. LDGSTS: copies to shared memory that go
# on while threads work; UBLKCP: copies by the copy engine; HMMA: products of 16-bit tiles.
REQUIRED = {
    r"\bmultiply<": ["HMMA", "UBLKCP", "SYNCS"],
    r"\battend_chunks<": ["HMMA.16816.F32.BF16", "LDGSTS.E.BYPASS.128", "LDS.128", "MUFU.EX2"],
    r"\battend_tiles<": ["HMMA.16816.F32.BF16", "LDGSTS.E.BYPASS.128", "LDS.128", "MUFU.EX2"],
    r"\bnorm_runs<true>|\bnorm_runs<\(bool\)1>": ["LDG.E.128", "STG.E.128"],
    r"\bswiglu_rows<true>|\bswiglu_rows<\(bool\)1>": ["LDG.E.128", "STG.E.128"],
    r"\b(stat|diverge)_rows\b": ["DFMA"],
}

# Columns of the table: instructions whose names begin so.
MIX = {
    "tensor": ("HGMMA", "IGMMA", "QGMMA", "HMMA", "IMMA", "QMMA"),
    "fp32": ("FFMA", "FADD", "FMUL", "FMNMX", "MUFU"),
    "fp64": ("DFMA", "DADD", "DMUL"),
    "pairs": ("HADD2", "HMUL2", "HFMA2", "F2FP"),
    "integer": ("IMAD", "IADD3", "LOP3", "SHF", "LEA", "PRMT", "ISETP", "SEL"),
    "global": ("LDG", "STG"),
    "copies": ("LDGSTS", "UBLKCP", "UTMALDG"),
    "shared": ("LDS", "STS", "LDSM", "STSM"),
    "local": ("LDL", "STL"),
}


def find_tool(name):
    """cuobjdump or nvdisasm."""
    nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    places = [Path(nvcc).parent] + [Path(p) / "nvidia" / cuda / "bin" for p in sys.path for cuda in ("cu13", "cu12")]
    for place in places:
        if os.access(place / name, os.X_OK):
            return place / name
    found = shutil.which(name)
    if found:
        return Path(found)
    sys.exit(f"cuda_check: no {name} beside {nvcc} or in PATH; pip install nvidia-cuda-{name}")


def plain_name(demangled):
    """`attend_chunks<bf16, 4>` of a whole signature."""
    name = re.sub(r"\(anonymous namespace\)::|<unnamed>::|aquatint::kernels::(cuda::)?", "", demangled)
    depth, end = 0, len(name)
    for i, c in enumerate(name):  # up to the parameters' bracket
        depth += {"<": 1, ">": -1}.get(c, 0)
        if c == "(" and depth == 0:
            end = i
            break
    return re.sub(r"^void ", "", name[:end])


def demangle(names):
    if not names:
        return {}
    out = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    return dict(zip(names, out.splitlines()))


def read_usage(text):
    """{mangled: {REG: …, STACK: …, SHARED: …, LOCAL: …}} of cuobjdump -res-usage."""
    usage = {}
    for name, numbers in re.findall(r"Function (\S+):\s*\n\s*(REG:.*)", text):
        usage[name] = {k: int(v) for k, v in re.findall(r"(\w+)(?:\[\d+\])?:(\d+)", numbers)}
    return usage


def read_instructions(text):
    """{mangled: Counter of opcodes} of cuobjdump -sass."""
    kernels, current = {}, None
    for line in text.splitlines():
        found = re.search(r"Function : (\S+)", line)
        if found:
            current = kernels.setdefault(found.group(1), collections.Counter())
            continue
        found = re.match(r"\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z][A-Z0-9_.]*)", line)
        if found and current is not None:
            current[found.group(1)] += 1
    return kernels


def count(instructions, prefixes):
    """Those that begin with one of `prefixes`; LDG does not count LDGSTS."""
    names = tuple(prefixes)
    return sum(n for op, n in instructions.items() if op.split(".")[0] in names)


def faults_of(kernel):
    faults = []
    if kernel["stack"] > 0:
        faults.append(f"has a stack frame of {kernel['stack']} bytes")
    if kernel["mix"]["local"] > 0:
        faults.append(f"spills registers: {kernel['mix']['local']} accesses to local memory")
    for pattern, wanted in REQUIRED.items():
        if re.search(pattern, kernel["name"]):
            for op in wanted:
                if not any(name.startswith(op) for name in kernel["instructions"]):
                    faults.append(f"has no {op}")
    return faults


def examine(cuobjdump, env, path):
    def run(*arguments):
        done = subprocess.run([cuobjdump, *arguments, path], capture_output=True, text=True, env=env, check=False)
        if done.returncode != 0:
            sys.exit(f"cuda_check: cuobjdump {path}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    usage, instructions = read_usage(run("-res-usage")), read_instructions(run("-sass"))
    names = demangle(list(instructions))
    kernels = []
    for mangled, counts in instructions.items():
        used = usage.get(mangled, {})
        kernel = {
            "file": Path(path).name.removesuffix(".o"),
            "name": plain_name(names[mangled]),
            "registers": used.get("REG", 0),
            "stack": used.get("STACK", 0),
            "shared": used.get("SHARED", 0),
            "total": sum(n for op, n in counts.items() if op != "NOP"),
            "mix": {column: count(counts, prefixes) for column, prefixes in MIX.items()},
            "instructions": dict(counts),
        }
        kernel["faults"] = faults_of(kernel)
        kernels.append(kernel)
    return kernels


def print_table(kernels):
    columns = ["regs", "stack", "shared", "total", *MIX]
    print("".join(f"{c:>9}" for c in columns) + "  kernel")
    last = None
    for k in sorted(kernels, key=lambda k: (k["file"], k["name"])):
        if k["file"] != last:
            last = k["file"]
            print(last)
        numbers = [k["registers"], k["stack"], k["shared"], k["total"], *k["mix"].values()]
        print("".join(f"{n:>9}" for n in numbers) + "  " + k["name"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("objects", nargs="+")
    parser.add_argument("--json", help="write everything here, too")
    options = parser.parse_args()
    cuobjdump, nvdisasm = find_tool("cuobjdump"), find_tool("nvdisasm")
    env = dict(os.environ, PATH=f"{nvdisasm.parent}:{os.environ['PATH']}")
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        kernels = [k for found in pool.map(lambda o: examine(cuobjdump, env, o), options.objects) for k in found]
    if not kernels:
        sys.exit("cuda_check: these objects hold no kernels")
    print_table(kernels)
    if options.json:
        Path(options.json).write_text(json.dumps(kernels, indent=1))
    missing = [p for p in REQUIRED if not any(re.search(p, k["name"]) for k in kernels)]
    faults = [f"{k['name']} ({k['file']}) {fault}" for k in kernels for fault in k["faults"]]
    faults += [f"no kernel is called {p}" for p in missing]
    for fault in faults:
        print(f"cuda_check: {fault}", file=sys.stderr)
    print(f"{len(kernels)} kernels, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
