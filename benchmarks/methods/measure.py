"""Quantizes a model by a recipe and measures what is lost. Rows are kept in docs/methods.json by everything that decides them, with the
machine, version and date of each."""
import datetime
import json
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ROWS = ROOT / "docs/methods.json"
ROOMS = ("numeric", "tensor", "checkpoint", "kernels", "model", "quant", "eval")  # that can change a row


def add_options(parser):
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--calibration", type=pathlib.Path, required=True)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--windows", type=int, default=60, help="of --text, 512 tokens each")
    parser.add_argument("--samples", type=int, default=128, help="of --calibration, 512 tokens each")
    parser.add_argument("--store", type=pathlib.Path, default=ROOT / "build/methods", help="folder for models and texts in work")
    parser.add_argument("--aquatint", type=pathlib.Path, default=ROOT / "build/release/aquatint")
    parser.add_argument("--again", action="store_true", help="measure rows that other commits have measured")


def version():
    return subprocess.run(["git", "-C", ROOT, "log", "-1", "--format=%h", "--", *(f"src/{room}" for room in ROOMS)],
                          capture_output=True, text=True).stdout.strip()


def processor():
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else "unknown processor"


def run(options, *words):
    done = subprocess.run([str(word) for word in (options.aquatint, *words, "--json", "--quiet")], capture_output=True,
                          text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, words))}: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def loss(options, folder, model, text):
    """What a quantized model loses: perplexity and divergence from `model` in FP32, second halves of windows scored."""
    found = run(options, "eval", folder, "--reference", model, "--text", text, "--context", 512, "--score-from", 257,
                "--windows", options.windows)
    divergence = found["divergence"]
    return {"perplexity": found["perplexity"]["value"], "reference": divergence["reference_perplexity"],
            "kld": divergence["mean_kld"], "kld_stderr": divergence["mean_kld_stderr"], "top": divergence["same_top1"]}


def rows():
    return json.loads(ROWS.read_text()) if ROWS.exists() else {}


def key_of(recipe, model, calibration, samples, text, windows):
    """One line; files by their names. `calibration`: as --calibration takes it, or None."""
    steps = "; ".join(recipe.split("\n")).rstrip("; ")
    files = re.sub(r"[^,:]*/", "", calibration) if calibration else "none"
    return f"{model.name} | {steps} | {files} {samples if calibration else 0} | {text.name} {windows}"


def row(options, recipe, *, model=None, calibration=None, samples=None, text=None, only_stored=False):
    """The figures of one recipe; None when they are not kept and `only_stored`. `calibration`: as --calibration takes it; None: the
    recipe needs none."""
    model, text = model or options.model, text or options.text
    samples = samples or options.samples
    key = key_of(recipe, model, calibration, samples, text, options.windows)
    found = rows().get(key)
    if found and (only_stored or not options.again or found["version"] == version()):
        return found
    if only_stored:
        return None
    print(key, flush=True)
    options.store.mkdir(parents=True, exist_ok=True)
    folder, file = options.store / "model", options.store / "recipe.yaml"
    for left in (folder, folder.with_suffix(".partial")):
        shutil.rmtree(left, ignore_errors=True)
    file.write_text(recipe)
    tokens = ["--calibration", calibration, "--samples", samples, "--seq-len", 512] if calibration else []
    made = run(options, "quantize", model, "--to", folder, "--recipe", file, *tokens)
    lost = loss(options, folder, model, text)
    shutil.rmtree(folder)
    errors = [layer["relative_error"] for layer in made["layers"]]
    result = {"bits": made["bits_per_weight"], "bits_per_parameter": made["bits_per_parameter"], "seconds": made["seconds"],
              "error": sum(errors) / len(errors), **lost, "version": version(), "machine": processor(),
              "date": datetime.date.today().isoformat()}
    ROWS.write_text(json.dumps(rows() | {key: result}, indent=1, sort_keys=True) + "\n")
    return result
