"""Stage `ingest`: read the data as published, with the times at which each row could be known."""

from __future__ import annotations

from dataclasses import replace

from pipelines._contracts import require_facts
from pipelines._stage import Stage, run
from slackwater.report.history import history_sentences
from slackwater.run.tables import read_dataset, within
from slackwater.simulation.tables import DEFAULT_LAGS
from slackwater.sources.own_files.directory import canonical_files
from slackwater.storage import write_json, write_tables


def main(stage: Stage) -> None:
    """Write ``data/raw``: the tables, and the findings made while reading them."""
    dataset, lags, checks = stage.dataset, stage.market.lags, stage.for_checks
    # Wrong or absent facts and families are refused here, not in a later stage.
    require_facts(stage, dataset.symbols or [])
    if dataset.source == "simulate":
        stage.require_families(DEFAULT_LAGS)
        made = dataset.simulate.model_dump()
        stage.say(f"{len(dataset.symbols)} simulated symbols, SYNTHETIC, signal {made['signal']:g} by construction")
    else:
        stage.require_families(dataset.tables or canonical_files(dataset.path))
    spacing = {"fine_bars": checks.market.fine_bar_interval, "bars": checks.market.bar_interval}
    reading = read_dataset(dataset, lags=lags, spacing=spacing, progress=stage.say)
    if reading.unread:
        stage.say(f"not read, as no table names them: {', '.join(reading.unread)}")
    if dataset.start or dataset.end:
        reading = replace(reading, tables=within(reading.tables, dataset.start, dataset.end))
        stage.say(f"from {dataset.start or 'the beginning'} to {dataset.end or 'the end'} of the files")
    require_facts(stage, {symbol for table in reading.tables.values() for symbol in table["symbol"].unique()})
    for name, table in reading.tables.items():
        stage.say(f"{name}: {len(table):,} rows, {table['symbol'].nunique()} symbols")
    bars = reading.tables.get("fine_bars", reading.tables.get("bars"))
    if bars is not None:
        span = bars["event_time"].min(), bars["event_time"].max()
        for sentence in history_sentences(checks.validation, checks.labels.horizon, *span):
            stage.say(sentence)
    write_tables(reading.tables, "data/raw")
    if reading.archived:  # known defects of the archive count, in `validate`
        write_json({"archived": True}, "data/raw/origin.json")
    write_json([finding.to_dict() for finding in reading.findings], "data/raw/findings.json")


if __name__ == "__main__":
    run("ingest", main)
