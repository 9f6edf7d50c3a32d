"""report.html in a real browser: headless Chromium, as a wide window, a phone, dark and light, without scripts, and on paper.

The pages are those of the sample study of report_test and of results that lm-evaluation-harness wrote. AQUATINT_PICTURES=FOLDER keeps
the screenshots, to look at.
"""
import html.parser
import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import BUILD, ROOT, run_program

WIDE, PHONE = 1280, 390
QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-extensions",
         "--disable-features=IsolateSandboxedIframes",  # or a picture may be taken before such a frame is painted
         "--virtual-time-budget=4000"]
DARK, LIGHT = "--blink-settings=preferredColorScheme=0", "--blink-settings=preferredColorScheme=1"
NO_SCRIPTS = "sandbox"  # a frame in which none run
# What the page looks like from inside. Wide parts may scroll in boxes of their own; the page may not.
PROBE = """<script>addEventListener('load', () => setTimeout(() => {
  const root = document.documentElement, scrolls = e => e.closest('.scroll, .drawn');
  parent.postMessage(JSON.stringify({
    width: innerWidth, page: root.scrollWidth, fetched: performance.getEntriesByType('resource').map(e => e.name),
    dark: matchMedia('(prefers-color-scheme: dark)').matches, background: getComputedStyle(document.body).backgroundColor,
    charts: [...document.querySelectorAll('canvas')].map(c => c.width * c.height),
    outside: [...document.querySelectorAll('main *')].filter(e => !scrolls(e) && e.getBoundingClientRect().right > innerWidth + 1)
      .map(e => e.tagName + '.' + e.className)}), '*');
}, 500))</script>"""
# A window is never narrower than 500 pixels: the page lies in a frame.
FRAME = """<!DOCTYPE html><html style="color-scheme: light dark"><body style="margin: 0"><script>
addEventListener('message', event => document.documentElement.dataset.probe = event.data)</script>
<iframe src="{name}" width="{width}" height="{height}" {attributes} style="border: 0; display: block"></iframe></body></html>"""
HEIGHT = 2400


@pytest.fixture(scope="module")
def profile(tmp_path_factory):
    return tmp_path_factory.mktemp("chromium")


@pytest.fixture(scope="module")
def chromium(profile):
    def run(page, *flags):
        command = ["chromium", *QUIET, f"--user-data-dir={profile}", *map(str, flags), page.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout
    return run


@pytest.fixture(scope="module")
def study_page(tmp_path_factory):
    page = tmp_path_factory.mktemp("report") / "study.html"
    environment = {**os.environ, "AQUATINT_SAMPLE_REPORT": str(page)}
    subprocess.run([BUILD / "tests/report_test", "--gtest_filter=Html.IsOneWellFormedSmallFile"], env=environment, check=True,
                   capture_output=True)
    return page


@pytest.fixture(scope="module")
def tasks_page(tmp_path_factory):
    page = tmp_path_factory.mktemp("report") / "tasks.html"
    program = Path(os.environ.get("AQUATINT_BIN", BUILD / "aquatint"))
    run_program(program, "report", "--import", ROOT / "tests/golden/eval/harness", "--to", page, "--quiet")
    return page


@pytest.fixture(params=["study", "tasks"])
def page(request):
    return request.getfixturevalue(f"{request.param}_page")


def pictures(tmp_path):
    folder = Path(os.environ.get("AQUATINT_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def framed(page, width, attributes=""):
    frame = page.with_name(f"{page.stem}_{width}.html")
    frame.write_text(FRAME.format(name=page.name, width=width, height=HEIGHT, attributes=attributes))
    return frame


def probed(chromium, page, width, *flags):
    """What the page says of itself at that width."""
    probe = page.with_name(f"{page.stem}_probe.html")
    probe.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8")
    dom = chromium(framed(probe, width), "--dump-dom", *flags)
    found = re.search(r'data-probe="([^"]*)"', dom)
    assert found, dom[:500]
    return json.loads(html.unescape(found.group(1)))


@pytest.mark.parametrize("width, scheme", [(WIDE, LIGHT), (PHONE, DARK)])
def test_page_fits_its_window_and_fetches_nothing(chromium, page, width, scheme, tmp_path):
    seen = probed(chromium, page, width, scheme)
    assert seen["width"] == width
    assert seen["page"] <= width, seen
    assert seen["outside"] == []
    assert seen["fetched"] == []
    assert seen["dark"] == (scheme == DARK)
    assert (seen["background"] == "rgb(14, 21, 24)") == (scheme == DARK)
    assert all(seen["charts"]) and (page.stem != "study" or len(seen["charts"]) == 2)
    picture = pictures(tmp_path) / f"{page.stem}_{width}.png"
    chromium(framed(page, width), f"--window-size={width},{HEIGHT}", f"--screenshot={picture}", scheme)
    assert picture.stat().st_size > 20_000


class Cells(html.parser.HTMLParser):
    """Texts of table cells."""
    def __init__(self):
        super().__init__()
        self.inside, self.cells = 0, []

    def handle_starttag(self, tag, attributes):
        if tag in ("td", "th"):
            self.inside += 1
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside -= tag in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


def test_tables_say_everything_without_scripts(chromium, page, tmp_path):
    assert page.stat().st_size < 3 << 20
    found = Cells()
    found.feed(page.read_text(encoding="utf-8"))
    text = " ".join(found.cells)
    wanted = ["W4A16", "FP8_DYNAMIC", "113 MB", "4.25", "56.6 MB"] if page.stem == "study" else ["acc,none", "0.2500", "lm_eval 0.4.13"]
    for figure in wanted:
        assert figure in text, figure
    picture = pictures(tmp_path) / f"{page.stem}_no_scripts.png"
    chromium(framed(page, WIDE, NO_SCRIPTS), f"--window-size={WIDE},{HEIGHT}", f"--screenshot={picture}")
    assert picture.stat().st_size > 20_000


def test_prints(chromium, page, tmp_path):
    paper = pictures(tmp_path) / f"{page.stem}.pdf"
    chromium(page, f"--print-to-pdf={paper}", "--no-pdf-header-footer")
    data = paper.read_bytes()
    assert data.startswith(b"%PDF") and 1 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 12
