"""Bars: which rows are bars at all, and coarser bars from finer ones."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError
from slackwater.types import Bools

__all__ = ["BAR_RULE", "impossible_bars", "resample_bars"]

BAR_RULE: Final = "prices (open, high, low, close) must be positive and finite, and high and low enclose the others"
"""Condition on the four prices of a bar, in the words of messages."""


def impossible_bars(prices: Mapping[str, Any] | pd.DataFrame) -> Bools:
    """Return which rows are not bars, shape (rows,): the complement of `BAR_RULE`.

    A row is not a bar where one of ``open``, ``high``, ``low`` and ``close`` is missing, not positive or infinite, or
    outside of high and low.
    """
    open_, high, low, close = (np.asarray(prices[name], dtype=np.float64) for name in ("open", "high", "low", "close"))
    # Stated positively and negated, so that NaN is impossible too.
    sound = (low > 0.0) & (high < np.inf) & (low <= open_) & (open_ <= high) & (low <= close) & (close <= high)
    return np.asarray(~sound)


def resample_bars(bars: pd.DataFrame, interval: timedelta) -> pd.DataFrame:
    """Aggregate canonical bars to a coarser interval that starts at whole multiples of it since 1970.

    A bar that lacks any of its parts is left out. It becomes available with the last of its parts.

    Raises
    ------
    ParameterError
        If `interval` is not a positive multiple of that of `bars`.
    """
    how = {"event_time": "max", "available_time": "max", "open": "first", "high": "max", "low": "min", "close": "last"}
    amounts = [name for name in ("volume", "taker_buy_volume") if name in bars]
    columns = [name for name in bars.columns if name in {"symbol", "open_time", *how, *amounts}]
    if bars.empty:
        return bars[columns].copy()
    spacing = (bars["event_time"] - bars["open_time"]).min()
    parts, rest = divmod(pd.Timedelta(interval), spacing)
    if rest or parts < 1:
        raise ParameterError(f"`interval` must be a multiple of {spacing}, was {interval}")
    start = bars["open_time"].dt.floor(pd.Timedelta(interval))
    grouped = bars.groupby([bars["symbol"], start.rename("start")], sort=True)
    out = grouped.agg(how | dict.fromkeys(amounts, "sum"))
    for name in amounts:  # a sum with an unknown part is unknown
        out[name] = out[name].where(grouped[name].count() == parts)
    out = out[grouped.size() == parts].reset_index().rename(columns={"start": "open_time"})
    return out[columns]
