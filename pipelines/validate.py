"""Stage `validate`: refuse unusable tables, mask untrustworthy rows, and record both in a ledger."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pipelines._stage import Stage, run
from slackwater.market.quality.detectors import absent_tables
from slackwater.market.quality.ledger import DefectLedger, findings_from
from slackwater.parallel import run_file_tasks
from slackwater.report.defects_page import defects_page
from slackwater.run.symbol_stages import SymbolExaminer
from slackwater.storage import atomic_directory, atomic_file, read_json, write_report
from slackwater.symbol_tables import SymbolTables


def main(stage: Stage) -> None:
    """Write ``data/tables``, ``reports/defects.json`` and ``reports/defects.md``; the reports also for refused data."""
    raw = SymbolTables("data/raw")
    stage.say(f"{raw.rows:,} rows of {len(raw.symbols)} symbols in {len(raw.names)} tables")
    ledger = DefectLedger(findings_from(read_json("data/raw/findings.json"), origin="data/raw/findings.json"))
    progress = stage.progress("symbols")
    with atomic_directory("data/tables") as directory:
        examiner = SymbolExaminer(
            raw=raw,
            out=directory.resolve(),
            venue=stage.dataset.venue,
            spacing={"fine_bars": stage.market.fine_bar_interval, "bars": stage.market.bar_interval},
            archived=Path("data/raw/origin.json").is_file(),
        )
        with run_file_tasks(examiner, {symbol: symbol for symbol in raw.symbols}) as results:
            for done, findings in enumerate(results, start=1):
                ledger.findings += findings
                progress(done, len(raw.symbols))
        write_reports(stage, ledger, raw.names)
        ledger.raise_if_refused()


def write_reports(stage: Stage, ledger: DefectLedger, names: Collection[str]) -> None:
    """Write what was found, and say it; `names` are those of the tables that were read."""
    absent = absent_tables(set(names) - {finding.table for finding in ledger.refused})
    defects = ledger.to_dict() | {"absent_tables": absent}
    for table, rules in defects["rows_by_table_and_rule"].items():
        stage.say(f"{table}: " + ", ".join(f"{rule} {rows:,}" for rule, rows in rules.items()))
    if absent:
        stage.say(f"absent: {', '.join(absent)}; the features that need them stay unknown")
    write_report(defects, "reports/defects.json")
    with atomic_file("reports/defects.md") as page:
        title = f"{stage.dataset.name}{' (SYNTHETIC)' if stage.dataset.synthetic else ''}"
        page.write_text(defects_page(ledger.findings, title=title, absent=absent), encoding="utf-8")


if __name__ == "__main__":
    run("validate", main)
