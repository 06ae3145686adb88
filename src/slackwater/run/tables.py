"""Canonical tables of a data set: read as published, examined, with bars of the wanted length."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from slackwater.errors import DataError
from slackwater.market.bars import resample_bars
from slackwater.market.quality.detectors import examine_tables
from slackwater.market.quality.known_defects import known_defects
from slackwater.market.quality.ledger import DefectLedger
from slackwater.simulation.market import MarketRequest, simulate
from slackwater.simulation.tables import DEFAULT_LAGS
from slackwater.sources.own_files.directory import Reading, read_directory
from slackwater.sources.own_files.kinds import sources_of

__all__ = ["bar_span", "examined", "market_of", "read_dataset", "with_bars", "within"]


def read_dataset(
    dataset: Any,
    *,
    lags: Mapping[str, timedelta],
    spacing: Mapping[str, timedelta],
    progress: Callable[[str], None] | None = None,
) -> Reading:
    """Simulate the market of a data set, or read its files, all of them whatever its `start` and `end`.

    Parameters
    ----------
    dataset
        The section of the parameters (`slackwater.config.sections.Dataset`).
    lags, spacing
        As for `slackwater.sources.own_files.directory.read_directory`.
    progress
        Called with lines of progress.
    """
    if dataset.source == "simulate":
        return Reading(tables=simulate(market_of(dataset, lags), progress=progress).tables)
    sources = sources_of(dataset.model_dump()["tables"])
    return read_directory(
        dataset.path, sources, lags=lags, symbols=dataset.symbols, sha256=dataset.sha256, spacing=spacing
    )


def market_of(dataset: Any, lags: Mapping[str, timedelta]) -> MarketRequest:
    """Return the request for the market of a simulated data set; parameters as for `read_dataset`."""
    own = {name: lag for name, lag in lags.items() if name in DEFAULT_LAGS}
    return MarketRequest(symbols=dataset.symbols, lags=own, **dataset.simulate.model_dump())


def within(tables: Mapping[str, pd.DataFrame], start: datetime | None, end: datetime | None) -> dict[str, pd.DataFrame]:
    """Return the rows after `start` and up to `end` by their stamp; None leaves a side open.

    Raises
    ------
    DataError
        If a table of bars has no row left.
    """
    kept = {}
    for name, table in tables.items():
        rows = pd.Series(True, index=table.index)
        rows &= True if start is None else table["event_time"] > start
        rows &= True if end is None else table["event_time"] <= end
        kept[name] = table[rows].reset_index(drop=True)
        if name in ("bars", "fine_bars") and kept[name].empty:
            first, last = table["event_time"].min(), table["event_time"].max()
            raise DataError(
                f"no row of {name} lies in the period, after {start or 'the beginning'} and up to {end or 'the end'}: "
                f"they are from {first} to {last}"
            )
    return kept


def bar_span(tables: Mapping[str, pd.DataFrame]) -> tuple[datetime, datetime]:
    """Return the times of the first and last of the finest bars, without which there is no data set."""
    bars = tables["fine_bars"] if "fine_bars" in tables else tables["bars"]
    return bars["event_time"].min(), bars["event_time"].max()


def examined(
    tables: Mapping[str, pd.DataFrame], *, venue: str, spacing: Mapping[str, timedelta], archived: bool
) -> tuple[dict[str, pd.DataFrame], DefectLedger]:
    """Return tables without unusable rows, and what was found; refused tables are on the ledger alone.

    `archived` says that the known defects of the venue's archive count. Other parameters and errors are those of
    `slackwater.market.quality.detectors.examine_tables`.
    """
    return examine_tables(tables, venue=venue, spacing=spacing, known=known_defects(archived=archived))


def with_bars(tables: dict[str, pd.DataFrame], bar_interval: timedelta) -> dict[str, pd.DataFrame]:
    """Return tables with ``bars``, made of the fine bars where they are absent."""
    if "bars" in tables or "fine_bars" not in tables:
        return tables
    return tables | {"bars": resample_bars(tables["fine_bars"], bar_interval)}
