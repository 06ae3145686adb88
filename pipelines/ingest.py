"""Stage `ingest`: read the data as published, with the times at which each row could be known."""

from __future__ import annotations

from pipelines._contracts import require_facts
from pipelines._stage import Stage, run
from slackwater.simulation.market import simulate_market
from slackwater.simulation.tables import DEFAULT_LAGS
from slackwater.sources.own_files.directory import Reading, read_directory
from slackwater.sources.own_files.kinds import sources_of
from slackwater.storage import write_json, write_tables


def main(stage: Stage) -> None:
    """Write ``data/raw``: the tables, and the findings made while reading them."""
    dataset, lags = stage.dataset, stage.market.lags
    require_facts(stage, dataset.symbols or [])
    if dataset.source == "simulate":
        made = dataset.simulate.model_dump()
        stage.say(f"{len(dataset.symbols)} simulated symbols, SYNTHETIC, signal {made['signal']:g} by construction")
        own = {name: lag for name, lag in lags.items() if name in DEFAULT_LAGS}
        reading = Reading(tables=simulate_market(dataset.symbols, lags=own, progress=stage.say, **made))
    else:
        sources = sources_of(dataset.model_dump()["tables"])
        reading = read_directory(dataset.path, sources, lags=lags, symbols=dataset.symbols, sha256=dataset.sha256)
    require_facts(stage, {symbol for table in reading.tables.values() for symbol in table["symbol"].unique()})
    for name, table in reading.tables.items():
        stage.say(f"{name}: {len(table):,} rows, {table['symbol'].nunique()} symbols")
    write_tables(reading.tables, "data/raw")
    write_json([finding.to_dict() for finding in reading.findings], "data/raw/findings.json")


if __name__ == "__main__":
    run("ingest", main)
