"""Stage `validate`: refuse what cannot be used, mask what cannot be trusted, and keep a ledger of both."""

from __future__ import annotations

from pipelines._stage import Stage, run
from slackwater.market.bars import resample_bars
from slackwater.market.quality.detectors import clean_tables
from slackwater.market.schemas import absent_tables
from slackwater.storage import read_tables, write_json, write_tables


def main(stage: Stage) -> None:
    """Write ``data/tables`` and ``reports/defects.json``."""
    market = stage.market
    raw = read_tables("data/raw")
    spacing = {"path": market.path_interval, "bars": market.bar_interval}
    tables, ledger = clean_tables(raw, venue=stage.dataset.venue, spacing=spacing)
    if "bars" not in tables:
        tables["bars"] = resample_bars(tables["path"], market.bar_interval)
    defects = ledger.to_dict() | {"absent_tables": absent_tables(tables)}
    for table, rules in defects["rows_by_table_and_rule"].items():
        stage.say(f"{table}: " + ", ".join(f"{rule} {rows:,}" for rule, rows in rules.items()))
    if defects["absent_tables"]:
        stage.say(f"absent: {', '.join(defects['absent_tables'])}; the features that need them stay unknown")
    write_tables(tables, "data/tables")
    write_json(defects, "reports/defects.json")


if __name__ == "__main__":
    run("validate", main)
