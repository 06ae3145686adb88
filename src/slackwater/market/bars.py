"""Coarser bars from finer ones."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd

from slackwater.errors import ParameterError

__all__ = ["resample_bars"]


def resample_bars(bars: pd.DataFrame, interval: timedelta) -> pd.DataFrame:
    """Aggregate bars to a coarser interval that starts at whole multiples of it since 1970.

    Parameters
    ----------
    bars
        A canonical table of bars, finer than `interval`.
    interval
        A positive multiple of the interval of `bars`.

    Returns
    -------
    DataFrame
        Canonical bars. A bar that lacks any of its parts is left out: a part of a bar is not a bar. It becomes
        available with the last of its parts.
    """
    if bars.empty:
        return bars.copy()
    spacing = (bars["event_time"] - bars["open_time"]).min()
    parts, rest = divmod(pd.Timedelta(interval), spacing)
    if rest or parts < 1:
        raise ParameterError(f"`interval` must be a multiple of {spacing}, was {interval}")
    start = bars["open_time"].dt.floor(pd.Timedelta(interval))
    grouped = bars.groupby([bars["symbol"], start.rename("start")], sort=True)
    how = {
        "event_time": "max",
        "available_time": "max",
        "open": "first",
        "high": "max",
        "low": "min",
        "close": "last",
        "volume": "sum",
    }
    if "taker_buy_volume" in bars:
        how["taker_buy_volume"] = "sum"
    out = grouped.agg(how)
    out = out[grouped.size() == parts].reset_index().rename(columns={"start": "open_time"})
    return out[[c for c in bars.columns if c in out]]
