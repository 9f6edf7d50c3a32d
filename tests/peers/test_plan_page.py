"""The model inside the planner's page, run by a browser, gives what the planner itself gives when it is asked the same."""
import json
import math
import os
import subprocess

import pytest

from conftest import BUILD

TOLERANCE = 1e-3
BASE = ["--gpu", "H100-80G,A100-80G,H200,L40S", "--count", "1,2,8", "--price", "H100-80G=2.5,A100-80G=1.5,H200=3.5,L40S=1"]
# What the page was planned for, and what its sliders are moved to: flags, and the same in the page's words.
CASES = {
    "as planned": ([], {}),
    "no load": (["--rate", "0"], {"rate": 0}),
    "heavy": (["--rate", "40", "--peak", "3"], {"rate": 40, "peak": 3}),
    "tight": (["--tpot", "0.015", "--ttft", "0.2", "--max-loss", "0.1%"], {"tpot": 0.015, "ttft": 0.2, "max_loss": 0.001}),
    "long prompts": (["--prompt-tokens", "12000", "--generate-tokens", "100"], {"prompt_tokens": 12000, "generate_tokens": 100}),
    "long answers": (["--prompt-tokens", "50", "--generate-tokens", "4000"], {"prompt_tokens": 50, "generate_tokens": 4000}),
    "no limits": (["--tpot", "0", "--ttft", "0", "--max-loss", "20%", "--budget", "5000"],
                  {"tpot": 0, "ttft": 0, "max_loss": 0.2, "budget": 5000}),
}
PLANNED = ["--rate", "2", "--tpot", "0.05", "--ttft", "1"]
HARNESS = """<script>
const page = JSON.parse(document.getElementById('plan').textContent), answers = {};
for (const [name, change] of Object.entries(CHANGES)) {
  const question = {...page.question, ...change};
  answers[name] = planModel.rank(page.candidates, question, page.gpus).map(r => ({
    scheme: r.candidate.scheme, gpu: r.candidate.gpu, count: r.candidate.count, meets: r.meets, replicas: r.replicas, fit: r.fit,
    most: r.most && r.most.sequences, loaded: r.loaded && [r.loaded.token, r.loaded.first, r.loaded.tokens],
    month: r.month, million: r.million, joules: r.joules}));
}
document.body.textContent = JSON.stringify(answers);
</script>"""


def plan(model, *words):
    """The planner's answer; exit code 5 says that nothing meets every target, with the answer all the same."""
    program = os.environ.get("AQUATINT_BIN", BUILD / "aquatint")
    done = subprocess.run([str(program), "plan", "--parameters", model, *BASE, *map(str, words), "--json"],
                          capture_output=True, text=True)
    assert done.returncode in (0, 5), done.stderr
    return json.loads(done.stdout)


def flags_of(changed):
    """The planned flags with some of them replaced."""
    flags = dict(zip(PLANNED[::2], PLANNED[1::2])) | dict(zip(changed[::2], changed[1::2]))
    return [word for pair in flags.items() for word in pair]


def page_answers(html, folder):
    """What the page's own model says to each case, in a browser without a network."""
    data = html[html.index('<script type="application/json" id="plan">'):]
    scripts = data[data.index("</script>") + len("</script>"):].split("<script>")
    model = next(script for script in scripts if "const planModel" in script)
    changes = json.dumps({name: change for name, (_, change) in CASES.items()})
    path = folder / "harness.html"
    path.write_text("<!DOCTYPE html><body>" + data[:data.index("</script>") + len("</script>")] + "<script>" + model +
                    HARNESS.replace("CHANGES", changes) + "</body>", encoding="utf-8")
    dom = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", path.as_uri()],
                         capture_output=True, text=True, timeout=120, check=True).stdout
    return json.loads(dom[dom.index("<body>") + len("<body>"):dom.index("</body>")])


def close(a, b):
    if b is None or a is None or not math.isfinite(b):
        return a is None or not math.isfinite(a)
    return abs(a - b) <= TOLERANCE * abs(b)


def check(mine, planned, name):
    key = lambda c: (c["scheme"], c["gpu"], c["count"])  # noqa: E731
    by_key = {key(c): c for c in planned["candidates"]}
    assert len(mine) == len(by_key), name
    for row in mine:
        want = by_key[key(row)]
        where = f"{name}: {key(row)}"
        assert row["meets"] == want["meets"], where
        assert row["replicas"] == want["replicas"], where
        assert row["fit"] == want["most_sequences"], where
        assert (row["most"] or None) == (want["at_most"] and want["at_most"]["sequences"]), where
        if want["loaded"]:
            for value, field in zip(row["loaded"], ["tpot_seconds", "ttft_seconds", "tokens_per_second"]):
                assert close(value, want["loaded"][field]), f"{where}: {field} {value} {want['loaded'][field]}"
        for value, field in [("month", "per_month"), ("million", "per_million_tokens"), ("joules", "joules_per_token")]:
            assert close(row[value], want["cost"][field]), f"{where}: {field}"
    # The order may differ only among those that stand level.
    assert key(mine[0]) == key(planned["candidates"][0]), name


@pytest.mark.parametrize("model", ["70B", "Mixtral-8x7B", "DeepSeek-R1", "Gemma-2-9B"])
def test_page_and_planner_agree(model, tmp_path):
    page = tmp_path / "plan.html"
    plan(model, *PLANNED, "--to", page)
    answers = page_answers(page.read_text(encoding="utf-8"), tmp_path)
    for name, (flags, _) in CASES.items():
        check(answers[name], plan(model, *flags_of(flags)), name)
