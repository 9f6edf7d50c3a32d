"""The claims and what was measured of them: docs/claims.json says what is claimed and how its figures read, docs/measurements.json holds
the figures, each row with the machine, version and date of its own. Scripts that measure record() rows; claims.py renders the page from
both, on any machine.
"""
import datetime
import json
import pathlib
import string
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks/methods"))
import measure  # noqa: E402

CLAIMS = ROOT / "docs/claims.json"
MEASUREMENTS = ROOT / "docs/measurements.json"


class Recorded(string.Formatter):
    """Fills "{gptq[kld]:.3f}" from {"gptq[kld]": 0.0913}."""

    def __init__(self, figures):
        self.figures = figures

    def get_field(self, field_name, args, kwargs):
        return self.figures[field_name], field_name


def claims():
    return json.loads(CLAIMS.read_text(encoding="utf-8"))


def measurements():
    return json.loads(MEASUREMENTS.read_text(encoding="utf-8"))


def text_of(claim, measurement):
    return Recorded(measurement["figures"]).vformat(claim["ours"], (), {})


def origin():
    """What measures here and now."""
    return {"machine": measure.processor(), "version": measure.version(), "date": datetime.date.today().isoformat()}


def record(name, found, over, measured_by=None):
    """Keeps the figures of claim `name` that its text names, out of nested `found`. `over`: the model, and what it was measured over;
    `measured_by`: as origin(), where that was not here and now."""
    claim = next(claim for claim in claims() if claim["id"] == name)
    reader = string.Formatter()
    fields = [field for _, field, _, _ in reader.parse(claim["ours"]) if field is not None]
    kept = measurements()
    kept[name] = {"figures": {field: reader.get_field(field, (), found)[0] for field in fields}, "over": over,
                  **(measured_by or origin())}
    MEASUREMENTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
