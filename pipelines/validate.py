"""Stage `validate`: refuse unusable tables, mask untrustworthy rows, and record both in a ledger."""

from __future__ import annotations

from pathlib import Path

from pipelines._stage import Stage, run
from slackwater.market.quality.detectors import absent_tables
from slackwater.market.quality.ledger import DefectLedger, findings_from
from slackwater.report.defects_page import defects_page
from slackwater.run.tables import examined, with_bars
from slackwater.storage import atomic_file, read_json, read_tables, write_report, write_tables


def main(stage: Stage) -> None:
    """Write ``data/tables``, ``reports/defects.json`` and ``reports/defects.md``; the reports also for refused data."""
    market, dataset = stage.market, stage.dataset
    spacing = {"fine_bars": market.fine_bar_interval, "bars": market.bar_interval}
    archived = Path("data/raw/origin.json").is_file()
    raw = read_tables("data/raw")
    stage.say(f"{sum(map(len, raw.values())):,} rows in {len(raw)} tables")
    tables, found = examined(raw, venue=dataset.venue, spacing=spacing, archived=archived)
    read = findings_from(read_json("data/raw/findings.json"), origin="data/raw/findings.json")
    ledger = DefectLedger([*read, *found.findings])
    absent = absent_tables(tables)
    defects = ledger.to_dict() | {"absent_tables": absent}
    for table, rules in defects["rows_by_table_and_rule"].items():
        stage.say(f"{table}: " + ", ".join(f"{rule} {rows:,}" for rule, rows in rules.items()))
    if absent:
        stage.say(f"absent: {', '.join(absent)}; the features that need them stay unknown")
    write_report(defects, "reports/defects.json")
    with atomic_file("reports/defects.md") as page:
        title = f"{dataset.name}{' (SYNTHETIC)' if dataset.synthetic else ''}"
        page.write_text(defects_page(ledger.findings, title=title, absent=absent), encoding="utf-8")
    found.raise_if_refused()
    write_tables(with_bars(tables, market.bar_interval), "data/tables")


if __name__ == "__main__":
    run("validate", main)
