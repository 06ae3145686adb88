"""Placebos of the trades of a run: the same side at other times, drawn without a look at any outcome."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.times import DAY_US, epochs_us, microseconds, timestamps
from slackwater.types import Ints

__all__ = ["permuted_times", "random_entries", "same_size_moves"]

_COLUMNS: Final = ("trade", "symbol", "event_time", "side")


def random_entries(
    trades: pd.DataFrame, bars: Mapping[str, Ints], *, earliest: timedelta, latest: timedelta, draws: int, seed: int
) -> pd.DataFrame:
    """Draw bar closes of the same symbol near each trade, never on the UTC day of its event.

    On that day the price has just moved: an entry before the event has the move against it or with it, whatever the
    rule is.

    Parameters
    ----------
    trades
        ``symbol``, ``event_time`` (UTC) and ``side`` (+1, -1) of each trade.
    bars
        Times of the bar closes that may be drawn, by symbol: int64, microseconds since 1970, rising.
    earliest, latest
        Bounds of the time from the event to the entry, both included; `earliest` may be negative.
    draws
        Entries per trade, each bar being as probable as another.
    seed
        The same seed gives the same entries.

    Returns
    -------
    DataFrame
        One row per trade and draw: ``trade`` (position in `trades`), ``symbol``, ``event_time`` and ``side`` of the
        entry. A trade without a bar that may be drawn has none.
    """
    rng = np.random.default_rng(seed)
    parts = []
    for symbol, rows in sorted(trades.groupby("symbol").indices.items()):
        times, event = bars.get(symbol, np.empty(0, dtype=np.int64)), epochs_us(trades["event_time"].iloc[rows])
        first = np.searchsorted(times, event + microseconds(earliest), side="left")
        stop = np.searchsorted(times, event + microseconds(latest), side="right")
        day = event - event % DAY_US
        same = [np.clip(np.searchsorted(times, edge, side="left"), first, stop) for edge in (day, day + DAY_US)]
        n = (stop - first) - (same[1] - same[0])
        # The bars of the day itself are a gap in those that may be drawn.
        place = first[:, None] + np.floor(rng.random((len(rows), draws)) * n[:, None]).astype(np.int64)
        place += np.where(place >= same[0][:, None], (same[1] - same[0])[:, None], 0)
        drawable = np.repeat(n > 0, draws)
        parts.append(_entries(trades, np.repeat(rows, draws)[drawable], times[place.ravel()[drawable]]))
    return pd.concat(parts, ignore_index=True) if parts else _entries(trades, np.empty(0, int), np.empty(0, int))


def permuted_times(trades: pd.DataFrame, *, draws: int, seed: int) -> pd.DataFrame:
    """Give each trade the time of another one: symbols, sides and times are those of the trades, in other pairs.

    Parameters and the result are those of `random_entries`, except that an entry that is itself one of the trades is
    left out: among trades of one symbol and one side nothing is left.
    """
    rng, times = np.random.default_rng(seed), epochs_us(trades["event_time"])
    place = np.arange(len(trades))
    parts = [_entries(trades, place, rng.permutation(times)) for _ in range(draws)]
    drawn, keys = pd.concat(parts, ignore_index=True), ["symbol", "event_time", "side"]
    own = pd.MultiIndex.from_frame(drawn[keys]).isin(pd.MultiIndex.from_frame(trades[keys]))
    return drawn[~own].reset_index(drop=True)


def same_size_moves(trades: pd.DataFrame, others: pd.DataFrame, *, move: str, nearest: int) -> pd.DataFrame:
    """Find, for each trade, the events whose move was nearest in size: same symbol and direction, another UTC day.

    Parameters
    ----------
    trades, others
        ``symbol``, ``event_time``, ``direction`` and the column `move`; NaN is never near.
    move
        The size of the move that is matched.
    nearest
        Events per trade, fewer where there are not as many.

    Returns
    -------
    DataFrame
        ``trade`` and ``other``: positions in `trades` and in `others`.
    """
    keys = ["symbol", "direction"]
    alike, found = others.groupby(keys).indices, []
    size = others[move].abs().to_numpy(np.float64)
    day = epochs_us(others["event_time"]) // DAY_US
    wanted, its_day = trades[move].abs().to_numpy(np.float64), epochs_us(trades["event_time"]) // DAY_US
    for key, rows in sorted(trades.groupby(keys).indices.items()):
        places = alike.get(key, np.empty(0, dtype=np.int64))
        for row in rows:
            apart = np.abs(size[places] - wanted[row])
            apart[(day[places] == its_day[row]) | np.isnan(apart)] = np.inf
            order = np.argsort(apart, kind="stable")[:nearest]
            found += [(row, places[place]) for place in order if np.isfinite(apart[place])]
    return pd.DataFrame(found, columns=["trade", "other"], dtype=np.int64)


def _entries(trades: pd.DataFrame, rows: Ints, times: Ints) -> pd.DataFrame:
    of_trade = trades.iloc[rows]
    values = (rows, of_trade["symbol"].to_numpy(), timestamps(times), of_trade["side"].to_numpy())
    return pd.DataFrame(dict(zip(_COLUMNS, values, strict=True)))
