"""Detection of a dead feed of liquidations: nearly nothing is liquidated while the market trades and moves as usual.

A feed that fails seldom ends: it goes on with zeros, or with a thousandth of what it was. The amount liquidated per
coin traded tells the two apart, since it does not fall by orders of magnitude on a quiet day.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.quality.order import usual_spacing
from slackwater.times import HOUR, epochs_us, microseconds
from slackwater.types import Bools, Floats, Ints

__all__ = ["dead_spans", "inside_spans", "without_spans"]

WINDOWS: Final = tuple(hours * HOUR for hours in (12, 24, 48, 96, 192))
"""Windows that are tried, the shortest first, until one is steady: what is liquidated per coin traded, in its least
tenth, is at least a quarter of the median. Where none is, the feed is too sparse to be judged."""
STEADY_SHARE: Final = 0.1
STEADY: Final = 0.25
DEAD: Final = 0.01
NEARLY: Final = 0.05
SHARP: Final = 0.75
FEW: Final = 0.2
"""A window is dead below the first share of the median, of the amount and of the amount per coin traded. A feed stops
at once: three quarters of the windows in a row that are below the second share must be dead, and the windows between
both shares must be few beside the dead ones."""
LEAST_TRADED: Final = 0.1
LEAST_MOVE: Final = 0.1
"""And only if the volume and the range of its price are at least this share of their medians."""
LEAST_WINDOWS: Final = 20


def dead_spans(rows: pd.DataFrame, bars: pd.DataFrame) -> list[tuple[int, int]]:
    """Return the spans in which a feed of liquidations of one symbol was dead: start (open) and end, us since 1970.

    Parameters
    ----------
    rows
        `liquidations` or `liquidation_totals`, in order.
    bars
        The finest bars of the symbol, in order.
    """
    if len(rows) < 2 or len(bars) < LEAST_WINDOWS:
        return []
    spacings = [each for each in (usual_spacing(rows["event_time"]), usual_spacing(bars["event_time"])) if each]
    step = microseconds(max([HOUR, *spacings])) if "side" not in rows else microseconds(HOUR)
    stamps, closes = epochs_us(rows["event_time"]), epochs_us(bars["event_time"])
    first = (max(stamps[0], closes[0]) - 1) // step
    last = (min(stamps[-1], closes[-1]) - 1) // step
    count = int(last - first) + 1
    if count < LEAST_WINDOWS:
        return []
    places = (closes - 1) // step - first
    liquidated = _summed(_quantity(rows), (stamps - 1) // step - first, count)
    traded = _summed(bars["volume"].to_numpy(np.float64), places, count)
    low, high = _extremes(bars, places, count)
    for window in WINDOWS:
        length = max(microseconds(window) // step, 1)
        if count < LEAST_WINDOWS * length:
            break
        dead = _dead_windows(liquidated, traded, low, high, length)
        if dead is not None:
            return _spans(dead, length, first, step)
    return []


def without_spans(rows: pd.DataFrame, bars: pd.DataFrame, spans: list[tuple[int, int]]) -> pd.DataFrame:
    """Return a feed of one symbol whose amounts in the spans are unknown, which is not zero.

    Totals keep their rows, without amounts. Single events are taken out; in their place one row per bar without a
    quantity states that nothing is known.
    """
    dead = inside_spans(epochs_us(rows["event_time"]), spans)
    if "quantity" not in rows:
        return rows.assign(**{name: rows[name].mask(dead) for name in ("long_quantity", "short_quantity")})
    marks = bars[inside_spans(epochs_us(bars["event_time"]), spans)]
    unknown = marks[["symbol", "event_time", "available_time"]].assign(
        side="long", price=marks["close"], quantity=np.nan
    )
    unknown["side"] = unknown["side"].astype(rows["side"].dtype)
    out = pd.concat([rows[~dead], unknown], ignore_index=True)
    return out.sort_values("event_time", kind="stable", ignore_index=True)


def inside_spans(stamps: Ints, spans: list[tuple[int, int]]) -> Bools:
    """Return which stamps lie in one of the spans."""
    out = np.zeros(len(stamps), dtype=bool)
    for start, end in spans:
        out |= (stamps > start) & (stamps <= end)
    return out


def _quantity(rows: pd.DataFrame) -> Floats:
    if "quantity" in rows:
        return np.nan_to_num(rows["quantity"].to_numpy(np.float64))
    return np.nansum(rows[["long_quantity", "short_quantity"]].to_numpy(np.float64), axis=1)


def _summed(values: Floats, places: Ints, count: int) -> Floats:
    inside = (places >= 0) & (places < count)
    return np.bincount(places[inside], weights=values[inside], minlength=count).astype(np.float64)


def _extremes(bars: pd.DataFrame, places: Ints, count: int) -> tuple[Floats, Floats]:
    inside = (places >= 0) & (places < count)
    low, high = np.full(count, np.inf), np.zeros(count)
    np.minimum.at(low, places[inside], bars["low"].to_numpy(np.float64)[inside])
    np.maximum.at(high, places[inside], bars["high"].to_numpy(np.float64)[inside])
    return low, high


def _dead_windows(liquidated: Floats, traded: Floats, low: Floats, high: Floats, length: int) -> Bools | None:
    """Return which windows are dead, by their first step; None if the feed is not steady enough at this length."""
    amount, volume = _rolling(liquidated, length), _rolling(traded, length)
    view = np.lib.stride_tricks.sliding_window_view
    top: Floats = view(high, length).max(axis=1)
    bottom: Floats = view(low, length).min(axis=1)
    known = (volume > 0.0) & (bottom < np.inf)
    if known.sum() < LEAST_WINDOWS:
        return None
    rate, move = np.full(len(volume), np.nan), np.full(len(volume), np.nan)
    rate[known] = amount[known] / volume[known]
    move[known] = np.log(top[known] / bottom[known])
    usual = float(np.median(rate[known]))
    if usual <= 0.0 or float(np.quantile(rate[known], STEADY_SHARE)) < STEADY * usual:
        return None
    alive = (volume >= LEAST_TRADED * np.median(volume[known])) & (move >= LEAST_MOVE * np.nanmedian(move))
    # Both the amount and its share of the volume: one bar of a huge volume makes no dead feed.
    left = np.fmax(rate / usual, amount / np.median(amount[known]))
    nearly = np.flatnonzero(known & (left < NEARLY))
    low_rate = left[nearly] < DEAD
    if (~low_rate).sum() > FEW * low_rate.sum():
        return None
    dead = np.zeros(len(rate), dtype=bool)
    for row in np.split(np.arange(len(nearly)), np.flatnonzero(np.diff(nearly) > 1) + 1):
        if len(row) and low_rate[row].mean() >= SHARP:
            dead[nearly[row[low_rate[row]]]] = True
    return np.asarray(dead & alive)


def _rolling(values: Floats, length: int) -> Floats:
    return np.asarray(np.lib.stride_tricks.sliding_window_view(values, length).sum(axis=1), dtype=np.float64)


def _spans(dead: Bools, length: int, first: int, step: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    starts: NDArray[np.intp] = np.flatnonzero(dead)
    for place in starts.tolist():
        start, end = int(first + place) * step, int(first + place + length) * step
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans
