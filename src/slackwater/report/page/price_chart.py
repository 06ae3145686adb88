"""Data of the price chart: candles, the liquidation map under them, sweeps, signal events and trades, per symbol."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence.map_history import MapHistory
from slackwater.liquidity.density import LAYERS
from slackwater.liquidity.zones import MapView
from slackwater.times import epoch_us

__all__ = ["LAYER", "MAP_LEVELS", "candle_interval", "chart_of_symbol", "map_columns", "pools_at"]

LAYER: Final = "middle"
"""Layer of the map that is drawn, as in ``reports/liquidation_map.png``."""
MAP_LEVELS: Final = 15
_DENSEST: Final = 0.995  # quantile of the cells with mass that is the brightest level
_STRESS: Final = 1.5  # power that keeps the usual mass pale, so that the price stays visible
_CANDLES: Final = 60_000  # of all symbols together: more make the file too large
_COLUMNS: Final = 13_000
_INTERVALS: Final = tuple(timedelta(minutes=minutes) for minutes in (5, 15, 30, 60, 120, 240, 480, 1_440, 10_080))
_LOG: Final = 1e5  # prices are whole numbers of 1/100,000 in log price
_POOL_REACH: Final = 0.1


def candle_interval(span: timedelta, symbols: int, bar_interval: timedelta) -> timedelta:
    """Return the shortest interval of candles that fits all symbols into the file.

    Examples
    --------
    >>> str(candle_interval(timedelta(days=540), 4, timedelta(minutes=5)))
    '1:00:00'
    """
    fitting = (each for each in _INTERVALS if each >= bar_interval and symbols * (span / each) <= _CANDLES)
    return next(fitting, max(_INTERVALS[-1], bar_interval))


def map_columns(symbols: int) -> int:
    """Return how many times the map of each symbol is read."""
    return max(_COLUMNS // max(symbols, 1), 200)


def chart_of_symbol(history: MapHistory, events: pd.DataFrame, interval: timedelta) -> dict[str, Any]:
    """Return everything that is drawn of one symbol, in types of JSON.

    Parameters
    ----------
    history
        The map and the bars.
    events
        Signal events of the symbol: `event_time`, `direction`, `triggers`.
    interval
        Length of a candle, a multiple of the bar interval.
    """
    candles = _candles(history, interval)
    return {
        "symbol": history.symbol,
        "first": candles.first,
        "step": candles.step,
        "candles": candles.encoded,
        "map": _encoded_map(history),
        "marks": _sweeps(history.bars),
        "events": _events(events),
        "pools": _last_pools(history),
    }


@dataclass(frozen=True)
class _Candles:
    """Open of the first candle and length of each (seconds), and the encoded prices."""

    first: int
    step: int
    encoded: dict[str, list[int | None]]


def _candles(history: MapHistory, interval: timedelta) -> _Candles:
    """Encode candles as changes of the close and distances from it, in 1/100,000 of log price; None is a gap."""
    bars, step = history.bars, int(interval / timedelta(seconds=1))
    opens = _seconds(bars["event_time"]) - int(history.bar_interval / timedelta(seconds=1))
    group = opens // step
    found = bars.groupby(group).agg({"open": "first", "high": "max", "low": "min", "close": "last"})
    found = found.reindex(range(int(group[0]), int(group[-1]) + 1))
    logs = np.round(np.log(found.to_numpy(dtype=np.float64)) * _LOG)
    known = ~np.isnan(logs).any(axis=1)
    whole = np.where(known[:, None], np.nan_to_num(logs), 0.0).astype(np.int64)
    close = whole[:, 3]
    change = np.zeros(len(close), dtype=np.int64)
    change[known] = np.diff(close[known], prepend=0)
    columns = {"c": change, **{name: whole[:, i] - close for i, name in enumerate("ohl")}}
    encoded = {
        name: [int(x) if k else None for x, k in zip(column, known, strict=True)] for name, column in columns.items()
    }
    return _Candles(int(group[0]) * step, step, encoded)


def _seconds(times: Any) -> np.ndarray[Any, np.dtype[np.int64]]:
    return np.asarray(pd.DatetimeIndex(times).as_unit("s").asi8, dtype=np.int64)


def _encoded_map(history: MapHistory) -> dict[str, Any] | None:
    """Return the map as levels of brightness, one byte per cell, compressed; None where it is empty.

    A level rises with mass over open interest: 15 is the densest, 0 is a small part of it.
    """
    mass = history.mass[:, :, LAYERS.index(LAYER)].sum(axis=1)
    if not (mass > 0.0).any():
        return None
    rows = history.rows
    every = int(np.diff(rows).min()) if len(rows) > 1 else 1
    top = float(np.quantile(mass[mass > 0.0], _DENSEST))
    level = np.round(MAP_LEVELS * np.minimum(mass / top, 1.0) ** _STRESS)
    columns = np.zeros((int((rows[-1] - rows[0]) // every) + 1, mass.shape[1]), dtype=np.uint8)
    columns[(rows - rows[0]) // every] = level.astype(np.uint8)
    step = every * int(history.bar_interval / timedelta(seconds=1))
    return {
        "first": int(_seconds(history.times)[0]),
        "step": step,
        "columns": len(columns),
        "bins": columns.shape[1],
        "low": history.first_bin * history.bin_width,
        "width": history.bin_width,
        "layer": history.layers[LAYERS.index(LAYER)],
        "cells": base64.b64encode(zlib.compress(columns.tobytes(), 9)).decode("ascii"),
    }


def _sweeps(bars: pd.DataFrame) -> list[list[Any]]:
    """Return sweeps and glides: time, kind, whether below (1) or above (-1), and the price that was reached."""
    times, rows = _seconds(bars["event_time"]), []
    for kind in ("swept", "glided"):
        for side, extreme, sign in (("below", "low", 1), ("above", "high", -1)):
            at = np.flatnonzero(bars[f"{kind}_{side}"].to_numpy(dtype=bool))
            rows += [[int(times[i]), kind, sign, float(f"{bars[extreme].iloc[i]:.7g}")] for i in at]
    return sorted(rows)


def _events(events: pd.DataFrame) -> dict[str, Any]:
    names = sorted(set(events["triggers"].astype(str)))
    places = {name: i for i, name in enumerate(names)}
    return {
        "triggers": names,
        "times": _seconds(events["event_time"]).tolist(),
        "directions": events["direction"].astype(int).tolist(),
        "which": [places[str(name)] for name in events["triggers"]],
    }


def pools_at(history: MapHistory, time: pd.Timestamp, price: float, most: int = 3) -> list[dict[str, Any]]:
    """Return the largest pools around a price as the map was last read by some time; none where it was not known."""
    readings = _seconds(history.times)
    place = int(np.searchsorted(readings, epoch_us(time) // 1_000_000, side="right")) - 1
    if place < 0:
        return []
    atr = float(history.bars["atr_1d"].iloc[history.rows[place]])
    if not atr > 0.0:
        return []
    view = MapView(bin_width=history.bin_width, first_bin=history.first_bin, mass=history.mass[place])
    return _plain(view.pools(price=price, atr_day=atr, layers=[LAYER], reach=_POOL_REACH, most=most))


def _last_pools(history: MapHistory) -> list[dict[str, Any]]:
    end = history.bars.iloc[-1]
    return pools_at(history, history.times[-1], float(end["close"]), most=4) if end["close"] > 0.0 else []


def _plain(pools: pd.DataFrame) -> list[dict[str, Any]]:
    rows: Sequence[Mapping[Any, Any]] = pools.to_dict("records")
    return [
        {
            "side": str(row["side"]),
            **{
                name: float(f"{row[name]:.6g}")
                for name in ("price", "low", "high", "distance_fraction", "mass_fraction")
            },
            "rank": int(row["rank"]),
        }
        for row in rows
    ]
