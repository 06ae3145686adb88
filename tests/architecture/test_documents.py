"""Documents that are written by the code say what the code says."""

from __future__ import annotations

import ast
import re
from datetime import timedelta
from pathlib import Path

from campaigns import family_table
from pipelines._closure import ROOT
from slackwater.features.chosen_families import default_families
from slackwater.market.schemas import SCHEMAS
from slackwater.market.tables import TABLES
from slackwater.report.features_page import features_page
from slackwater.report.tables_page import tables_page


def test_the_catalogue_of_features_is_the_one_of_the_code() -> None:
    """A formula that changed without its description would mislead: run `python -m campaigns.family_table --page`."""
    written = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    assert written == family_table.page()
    assert written.startswith(features_page(default_families(timedelta(minutes=5))))


def test_the_reference_of_tables_is_the_one_of_the_code() -> None:
    """A column that is not on the page cannot be delivered; rerun `slackwater tables > docs/tables.md`."""
    written = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    assert written == tables_page(TABLES)
    for table in TABLES:
        assert f"\n## {table.name}\n" in written
        assert all(f"| `{column.name}` |" in written for column in table.columns)


CITATION = re.compile(r"[Mm]ethod,\s+sections?\s+(\d+(?:\.\d+)?)((?:(?:,| and|, and)\s+\d+\.\d+)*)")
CITING = ("src", "pipelines", "tests", "docs", "benchmarks", "campaigns", "examples")


def test_every_cited_section_of_the_method_exists() -> None:
    """A citation that leads nowhere is worse than none: "method, section 4.3" must be a heading of docs/method.md."""
    page = (ROOT / "docs" / "method.md").read_text(encoding="utf-8")
    sections = set(re.findall(r"^#{2,3} (\d+(?:\.\d+)?)\.? ", page, flags=re.MULTILINE))
    assert {"1", "4.3", "7.2"} <= sections
    lost = []
    for path in (path for place in CITING for end in ("py", "md") for path in (ROOT / place).rglob(f"*.{end}")):
        # A citation may be broken over two lines of a docstring or a comment.
        text = re.sub(r"\n[ \t]*#?[ \t]*", " ", path.read_text(encoding="utf-8"))
        for first, others in CITATION.findall(text):
            cited = {first, *re.findall(r"\d+\.\d+", others)}
            lost += [f"{path.relative_to(ROOT)}: section {section}" for section in sorted(cited - sections)]
    # Within the page itself the word "method" is left out.
    lost += [
        f"docs/method.md: section {s}" for s in re.findall(r"\bsection\s+(\d+(?:\.\d+)?)", page) if s not in sections
    ]
    assert lost == []


RECORDERS = {
    "mask",
    "repaired",
    "note",
    "count",
    "drop",
    "record",
    "add",
    "span",
    "_record",
    "_note",
    "_by_symbol",
    "Rule",
}


def rules_of(path: Path) -> set[str]:
    """The names of rules that a module hands to what records findings."""
    found: set[str] = set()
    for call in (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        named = [part for keyword in call.keywords if keyword.arg == "rule" for part in ast.walk(keyword.value)]
        texts = [
            node.value for node in [*named, *(call.args if name in RECORDERS else [])] if isinstance(node, ast.Constant)
        ]
        found |= {text for text in texts if isinstance(text, str) and re.fullmatch(r"[a-z]+(_[a-z]+)*", text)}
    return found - {"masked", "repaired", "recorded", "refused", "unknown"}


def test_every_rule_that_may_stand_in_the_ledger_is_explained() -> None:
    """Whoever meets a name in `defects.json` looks it up in docs/data_quality.md."""
    page = (ROOT / "docs" / "data_quality.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "slackwater"
    modules = [*(package / "sources").rglob("*.py"), *(package / "market" / "quality").rglob("*.py")]
    emitted = set().union(*(rules_of(module) for module in modules if "simulate" not in module.parts))
    assert {"disorder", "unit_switch", "missing_file", "refused_file", "restated_labels", "history_begins"} <= emitted
    explained = set(re.findall(r"`([a-z_]+)`", page))
    assert emitted - set(SCHEMAS) - explained == set()


def test_every_output_is_described_in_full() -> None:
    for family in default_families(timedelta(minutes=5)):
        for feature in family.features():
            assert feature.formula, feature.name
            assert feature.unit, feature.name
            assert feature.inputs, feature.name
            assert feature.known, feature.name
