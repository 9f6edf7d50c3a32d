"""docs/claims.md is what its data say: rendered again it is the same page, every claim is settled by figures or has an owner."""
import importlib.util
import sys

import pytest
from conftest import ROOT


@pytest.fixture(scope="module")
def page():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("claims", ROOT / "benchmarks/claims.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_is_rendered_from_the_data(page):
    assert (ROOT / "docs/claims.md").read_text(encoding="utf-8") == page.render(), "run benchmarks/claims.py"


def test_every_claim_is_settled_or_has_an_owner(page):
    claims, measured = page.ledger.claims(), page.ledger.measurements()
    names = [claim["id"] for claim in claims]
    assert len(names) == len(set(names))
    assert set(measured) <= set(names)
    for claim in claims:
        assert ("owner" in claim) != (claim["id"] in measured), claim["id"]
    for name, row in measured.items():
        assert all(row[key] for key in ("figures", "over", "machine", "version", "date")), name


def test_figures_go_from_a_script_to_the_page(page, monkeypatch, tmp_path):
    claims = [{"id": "X1", "claim": "c", "ours": "KLD {W8A8 gptq[kld]:.2f} in {sizes[0]} bytes", "verdict": "confirmed", "why": "w"},
              {"id": "X2", "claim": "d", "owner": "planner", "why": "v"}]
    for name, content in (("CLAIMS", claims), ("MEASUREMENTS", {})):
        path = tmp_path / f"{name}.json"
        path.write_text(page.ledger.json.dumps(content), encoding="utf-8")
        monkeypatch.setattr(page.ledger, name, path)
    assert "| X1 | c | not measured yet | open | w | |" in page.render()
    page.ledger.record("X1", {"W8A8 gptq": {"kld": 0.1267, "other": 1}, "sizes": [7, 8]}, "a model")
    row = page.ledger.measurements()["X1"]
    assert row["figures"] == {"W8A8 gptq[kld]": 0.1267, "sizes[0]": 7}
    assert f"| X1 | c | KLD 0.13 in 7 bytes | confirmed | w | {row['machine']}, {row['version']}, {row['date']}; a model |" in page.render()
    assert "| X2 | d | planner | v |" in page.render()
