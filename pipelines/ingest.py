"""Stage `ingest`: bring the data in, exactly as published, with the times at which it could be known."""

from __future__ import annotations

from pipelines._stage import Stage, run
from slackwater.sources.parquet import TableFile, read_directory
from slackwater.sources.simulate.market import simulate_market
from slackwater.sources.simulate.tables import DEFAULT_LAGS
from slackwater.storage import write_tables


def main(stage: Stage) -> None:
    """Write ``data/raw``."""
    dataset, lags = stage.dataset, stage.market.available_after
    if dataset.synthetic:
        made = dataset.simulate.model_dump()
        stage.say(f"{len(dataset.symbols)} simulated symbols, SYNTHETIC, signal {made['signal']:g} by construction")
        own = {name: lag for name, lag in lags.items() if name in DEFAULT_LAGS}
        tables = simulate_market(dataset.symbols, lags=own, progress=stage.say, **made)
    else:
        files = {
            name: TableFile(
                file=table.file,
                columns=table.columns,
                available_after=lags[name] if table.available_after is None else table.available_after,
                sha256=dataset.sha256.get(table.file, ""),
            )
            for name, table in dataset.tables.items()
        }
        tables = read_directory(dataset.path, files, symbols=dataset.symbols)
    for name, table in tables.items():
        stage.say(f"{name}: {len(table):,} rows, {table['symbol'].nunique()} symbols")
    write_tables(tables, "data/raw")


if __name__ == "__main__":
    run("ingest", main)
