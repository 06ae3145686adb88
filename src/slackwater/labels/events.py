"""Signal events: the rows of the features table at which the extended-move trigger fired."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slackwater.labels._tables import refuse_rows, require_columns, symbol_rows, times_us

__all__ = ["EVENT_COLUMNS", "sample_events"]

EVENT_COLUMNS = ("symbol", "event_time", "available_time", "direction", "volatility_daily", "close")
"""Columns of the events table, in order."""


def sample_events(features: pd.DataFrame) -> pd.DataFrame:
    """Return the signal events of the features table.

    The trigger itself (move in units of volatility, cooldown, smallest absolute move) is computed by the
    feature kernel, so that live scoring and labels share one definition; this function reads its column.

    Parameters
    ----------
    features : DataFrame
        Sorted by symbol and event_time, with the columns ``symbol``, ``event_time`` and ``available_time``
        (datetime64, UTC), ``close`` (quote currency per coin), ``event_direction`` (+1 the price had risen, -1
        it had fallen, 0 no event, NaN not warm) and ``volatility_daily`` (sd of the log return per sqrt(day),
        fraction).

    Returns
    -------
    DataFrame
        One row per event, in the order of `features`: ``symbol``, ``event_time``, ``available_time``,
        ``direction`` (int8, ±1), ``volatility_daily``, ``close``. Rows without a finite volatility are left
        out: no barrier can be placed without one.

    Raises
    ------
    SchemaError
        If a column is missing, a time is naive or missing, a direction is not one of -1, 0, +1 and NaN, or
        the volatility of an event is negative.
    OrderError
        If the rows are not sorted by symbol and event_time, or a (symbol, event_time) repeats.

    Notes
    -----
    A row is known at ``available_time``. Cutting `features` at any time leaves the events before it as they
    were.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC", unit="us")
    >>> features = pd.DataFrame({
    ...     "symbol": "BTCUSDT", "event_time": times, "available_time": times + pd.Timedelta("5s"),
    ...     "close": [100.0, 104.0, 104.0], "event_direction": [float("nan"), 1.0, 0.0],
    ...     "volatility_daily": 0.03})
    >>> sample_events(features)[["symbol", "direction", "volatility_daily", "close"]]
        symbol  direction  volatility_daily  close
    0  BTCUSDT          1              0.03  104.0
    """
    columns = ["symbol", "event_time", "available_time", "event_direction", "volatility_daily", "close"]
    require_columns(features, columns, name="features")
    symbol_rows(features, times_us(features, "event_time", name="features"), name="features")
    times_us(features, "available_time", name="features")

    direction = features["event_direction"].to_numpy(dtype=np.float64)
    volatility = features["volatility_daily"].to_numpy(dtype=np.float64)
    shown = features[columns]
    unknown = ~np.isnan(direction) & ~np.isin(direction, (-1.0, 0.0, 1.0))
    refuse_rows(shown, unknown, name="features", problem="an `event_direction` that is not -1, 0, +1 or NaN")
    fired = np.abs(direction) == 1.0
    refuse_rows(shown, fired & (volatility < 0), name="features", problem="a negative `volatility_daily`")

    events = features.loc[fired & np.isfinite(volatility)].reset_index(drop=True)
    events["direction"] = events["event_direction"].astype("int8")
    return events[list(EVENT_COLUMNS)]
