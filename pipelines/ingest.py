"""Stage `ingest`: read the data as published, with the times at which each row could be known."""

from __future__ import annotations

from pipelines._contracts import require_facts
from pipelines._stage import Stage, run
from slackwater.report.history import history_sentences
from slackwater.simulation.market import MarketRequest, simulate
from slackwater.simulation.tables import DEFAULT_LAGS
from slackwater.sources.own_files.directory import Reading, canonical_files, read_directory
from slackwater.sources.own_files.kinds import sources_of
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
        own = {name: lag for name, lag in lags.items() if name in DEFAULT_LAGS}
        request = MarketRequest(symbols=dataset.symbols, lags=own, **made)
        reading = Reading(tables=simulate(request, progress=stage.say).tables)
    else:
        sources = sources_of(dataset.model_dump()["tables"])
        stage.require_families(canonical_files(dataset.path) if sources is None else sources)
        spacing = {"fine_bars": checks.market.fine_bar_interval, "bars": checks.market.bar_interval}
        reading = read_directory(
            dataset.path, sources, lags=lags, symbols=dataset.symbols, sha256=dataset.sha256, spacing=spacing
        )
        if reading.unread:
            stage.say(f"not read, as no table names them: {', '.join(reading.unread)}")
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
