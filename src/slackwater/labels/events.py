"""Signal events: the rows of the features table at which a trigger fired, to trade, to learn from, or both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from slackwater.features.fired import first_to_fire
from slackwater.labels._tables import refuse_rows, require_columns, symbol_rows, times_us
from slackwater.types import Floats

__all__ = ["EVENT_COLUMNS", "ROLE_COLUMNS", "added_counts", "fired_rows", "sample_events", "trigger_counts"]

ROLE_COLUMNS = ("triggers", "trains", "trades")
"""Columns that say why a row is an event."""

EVENT_COLUMNS = ("symbol", "event_time", "available_time", "direction", "volatility_daily", "close", *ROLE_COLUMNS)
"""Columns of the events table, in order."""


def sample_events(features: pd.DataFrame, *, triggers: Sequence[str], sampling: Sequence[str]) -> pd.DataFrame:
    """Return the signal events of the features table (method, section 1.1).

    The triggers themselves (moves in units of volatility, cool-downs, smallest moves) are computed by the feature
    kernels, so that live scoring and labels share one definition; this function reads their columns.

    Parameters
    ----------
    features : DataFrame
        Sorted by symbol and event_time, with the columns ``symbol``, ``event_time`` and ``available_time`` (datetime64,
        UTC), ``close`` (quote currency per coin), ``volatility_daily`` (sd of the log return per sqrt(day), fraction)
        and one for each trigger (+1 the price or the crowd had risen, -1 fallen, 0 it did not fire, NaN unknown).
    triggers : sequence of str
        Triggers whose rows are scored and traded, in order of precedence.
    sampling : sequence of str
        Triggers whose rows train, likewise.

    Returns
    -------
    DataFrame
        One row per event, in the order of `features`: ``symbol``, ``event_time``, ``available_time``,
        ``direction`` (int8, ±1: that of the first of `triggers` that fired, else of the first of `sampling`),
        ``volatility_daily``, ``close``, ``triggers`` (those of `triggers` that fired in that direction, joined by "+",
        empty where none did), ``trains`` and ``trades`` (bool). Rows without a finite volatility are left out: no
        barrier can be placed without one.

    Raises
    ------
    SchemaError
        If a column is missing, a time is naive or missing, a direction is not one of -1, 0, +1 and NaN, or
        the volatility of an event is negative.
    OrderError
        If the rows are not sorted by symbol and event_time, or a (symbol, event_time) repeats.

    Examples
    --------
    >>> import pandas as pd
    >>> times = pd.date_range("2024-01-01", periods=3, freq="1h", tz="UTC", unit="us")
    >>> features = pd.DataFrame({
    ...     "symbol": "BTCUSDT", "event_time": times, "available_time": times + pd.Timedelta("5s"),
    ...     "close": [100.0, 104.0, 104.0], "volatility_daily": 0.03,
    ...     "extended_move": [float("nan"), 1.0, 0.0], "sampled_move": [0.0, 0.0, 1.0]})
    >>> events = sample_events(features, triggers=["extended_move"], sampling=["sampled_move"])
    >>> events[["direction", "close", "triggers", "trains", "trades"]]
       direction  close       triggers  trains  trades
    0          1  104.0  extended_move   False    True
    1          1  104.0                   True   False
    """
    columns = ["symbol", "event_time", "available_time", "volatility_daily", "close"]
    require_columns(features, [*columns, *triggers, *sampling], name="features")
    symbol_rows(features, times_us(features, "event_time", name="features"), name="features")
    times_us(features, "available_time", name="features")

    volatility = features["volatility_daily"].to_numpy(dtype=np.float64)
    for name in dict.fromkeys([*triggers, *sampling]):
        values = features[name].to_numpy(dtype=np.float64)
        unknown = ~np.isnan(values) & ~np.isin(values, (-1.0, 0.0, 1.0))
        shown = features[[*columns, name]]
        refuse_rows(shown, unknown, name="features", problem=f"`{name}` that is not -1, 0, +1 or NaN")
    traded, fired = first_to_fire(_values(features, triggers))
    learned, _ = first_to_fire(_values(features, sampling))
    direction = np.where(traded != 0.0, traded, learned)
    chosen = direction != 0.0
    refuse_rows(features[columns], chosen & (volatility < 0), name="features", problem="a negative `volatility_daily`")

    chosen &= np.isfinite(volatility)
    events = features.loc[chosen, columns].reset_index(drop=True)
    names = np.array(triggers, dtype=object)
    return events.assign(
        direction=direction[chosen].astype(np.int8),
        triggers=pd.Series(["+".join(names[row]) for row in fired[chosen]], dtype="str"),
        trains=learned[chosen] != 0.0,
        trades=traded[chosen] != 0.0,
    )[list(EVENT_COLUMNS)]


def trigger_counts(
    features: pd.DataFrame, *, triggers: Sequence[str], sampling: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Return how often each trigger fired, alone and beside others.

    Parameters
    ----------
    features, triggers, sampling
        As in `sample_events`.

    Returns
    -------
    dict
        By trigger: ``known`` (rows in which it is known), ``fired``, ``up`` (fired with direction +1), ``overruled``
        (fired against the direction of the row, which an earlier one of the list decided), ``with`` (how often it
        fired in one direction with each of the others).
    """
    out: dict[str, dict[str, Any]] = {}
    names = list(dict.fromkeys([*triggers, *sampling]))
    values = _values(features, names)
    direction, agrees = first_to_fire(values)
    for place, name in enumerate(names):
        fired = np.abs(values[:, place]) == 1.0
        beside = {
            other: int((agrees[:, place] & agrees[:, at]).sum()) for at, other in enumerate(names) if other != name
        }
        out[name] = {
            "known": int((~np.isnan(values[:, place])).sum()),
            "fired": int(fired.sum()),
            "up": int((values[:, place] == 1.0).sum()),
            "overruled": int((fired & (values[:, place] != direction)).sum()),
            "with": {other: count for other, count in beside.items() if count},
        }
    return out


def fired_rows(features: pd.DataFrame, *, triggers: Sequence[str], sampling: Sequence[str]) -> pd.DataFrame:
    """Return the rows at which any of the triggers fired, and those that `sample_events` refuses for their value."""
    values = _values(features, list(dict.fromkeys([*triggers, *sampling])))
    return features[(~np.isnan(values) & (values != 0.0)).any(axis=1)].reset_index(drop=True)


def added_counts(counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sum of counts by name, such as those of several symbols by `trigger_counts`."""
    out: dict[str, Any] = {}
    for each in counts:
        for name, value in each.items():
            if isinstance(value, Mapping):
                out[name] = added_counts([out.get(name, {}), value])
            else:
                out[name] = out.get(name, 0) + value
    return out


def _values(features: pd.DataFrame, names: Sequence[str]) -> Floats:
    return features[list(names)].to_numpy(dtype=np.float64)
