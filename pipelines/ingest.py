"""Stage `ingest`: read the data as published, with the times at which each row could be known."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pipelines._contracts import require_facts
from pipelines._stage import Stage, run
from slackwater.parallel import run_file_tasks
from slackwater.report.history import history_sentences
from slackwater.run.symbol_stages import SymbolMarket
from slackwater.run.tables import bar_span, market_of, read_dataset, within
from slackwater.simulation.footprint import disk_needed, refuse_beyond_disk
from slackwater.simulation.tables import DEFAULT_LAGS
from slackwater.sources.own_files.directory import canonical_files
from slackwater.storage import atomic_directory, write_json
from slackwater.symbol_tables import SymbolTables, split_by_symbol, write_symbol


def main(stage: Stage) -> None:
    """Write ``data/raw``: the tables, and the findings made while reading them."""
    dataset, checks = stage.dataset, stage.for_checks
    # Wrong or absent facts and families are refused here, not in a later stage.
    require_facts(stage, dataset.symbols or [])
    simulated = dataset.source == "simulate"
    stage.require_families(DEFAULT_LAGS if simulated else dataset.tables or canonical_files(dataset.path))
    span = _simulate(stage) if simulated else _read(stage)
    raw = SymbolTables("data/raw")
    stage.say(f"{raw.rows:,} rows of {len(raw.symbols)} symbols in the tables {', '.join(raw.names)}")
    for sentence in history_sentences(checks.validation, checks.labels.horizon, *span):
        stage.say(sentence)


def _simulate(stage: Stage) -> tuple[datetime, datetime]:
    """Write simulated markets; return the times of the first and last bar."""
    dataset = stage.dataset
    request = market_of(dataset, stage.market.lags)
    refuse_beyond_disk(disk_needed(request), Path("data/raw"))
    stage.say(f"{len(request.symbols)} simulated symbols, SYNTHETIC, signal {request.signal:g} by construction")
    tasks, spans, progress = {symbol: symbol for symbol in sorted(request.symbols)}, [], stage.progress("symbols")
    with atomic_directory("data/raw") as directory:
        write_json([], directory / "findings.json")
        with run_file_tasks(SymbolMarket(request, directory.resolve()), tasks) as results:
            for span in results:
                spans.append(span)
                progress(len(spans), len(tasks))
    return min(first for first, _ in spans), max(last for _, last in spans)


def _read(stage: Stage) -> tuple[datetime, datetime]:
    """Write the tables of files, and what was found in them; return the times of the first and last bar."""
    dataset, checks = stage.dataset, stage.for_checks
    spacing = {"fine_bars": checks.market.fine_bar_interval, "bars": checks.market.bar_interval}
    reading = read_dataset(dataset, lags=stage.market.lags, spacing=spacing, progress=stage.say)
    if reading.unread:
        stage.say(f"not read, as no table names them: {', '.join(reading.unread)}")
    tables = reading.tables
    if dataset.start or dataset.end:
        tables = within(tables, dataset.start, dataset.end)
        stage.say(f"from {dataset.start or 'the beginning'} to {dataset.end or 'the end'} of the files")
    require_facts(stage, {symbol for table in tables.values() for symbol in table["symbol"].unique()})
    for name, table in tables.items():
        stage.say(f"{name}: {len(table):,} rows, {table['symbol'].nunique()} symbols")
    with atomic_directory("data/raw") as directory:
        for symbol, rows in split_by_symbol(tables):
            write_symbol(symbol, rows, directory)
        write_json([finding.to_dict() for finding in reading.findings], directory / "findings.json")
        if reading.archived:  # known defects of the archive count, in `validate`
            write_json({"archived": True}, directory / "origin.json")
    return bar_span(tables)


if __name__ == "__main__":
    run("ingest", main)
