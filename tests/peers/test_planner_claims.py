"""The planner's claims in docs/measurements.json are what it says now, each by calls of `aquatint plan`."""
import importlib.util
import os
import sys

from conftest import BUILD, ROOT


def test_recorded_figures_are_what_the_planner_says(monkeypatch):
    monkeypatch.setenv("AQUATINT_BIN", os.environ.get("AQUATINT_BIN", str(BUILD / "aquatint")))
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("planner_claims", ROOT / "benchmarks/planner_claims.py")
    planner_claims = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = planner_claims
    spec.loader.exec_module(planner_claims)
    assert planner_claims.check() == []
