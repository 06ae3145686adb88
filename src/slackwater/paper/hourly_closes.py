"""Hourly closes of the last 30 days, from which correlations between symbols are computed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd

from slackwater.times import HOUR, HOUR_US, epochs_us
from slackwater.types import Floats, Ints

__all__ = ["HourlyCloses"]

_HOURS: Final = 31 * 24


class _Closes(NamedTuple):
    close_time: Ints
    close: Floats


class HourlyCloses:
    """The last close of each hour, by symbol."""

    def __init__(self) -> None:
        self._held: dict[str, dict[int, tuple[int, float]]] = {}

    def add(self, symbol: str, time_us: int, close: float) -> None:
        """Take the close (USDT) of a bar that closed at a time, in microseconds since 1970."""
        held = self._held.setdefault(symbol, {})
        held[-(-time_us // HOUR_US)] = (time_us, close)
        while len(held) > _HOURS:
            del held[next(iter(held))]

    def warm(self, bars: pd.DataFrame) -> None:
        """Take the bars of history, in the order of time."""
        recent = bars[bars["event_time"] > bars["event_time"].max() - _HOURS * HOUR]
        for symbol, rows in recent.groupby("symbol", observed=True):
            for time, close in zip(epochs_us(rows["event_time"]).tolist(), rows["close"].tolist(), strict=True):
                self.add(str(symbol), time, close)

    def paths(self) -> dict[str, _Closes]:
        """Return times and closes of each symbol, as `slackwater.trading.correlations` reads them."""
        out = {}
        for symbol, held in self._held.items():
            times, closes = zip(*held.values(), strict=True)
            out[symbol] = _Closes(np.array(times, dtype=np.int64), np.array(closes))
        return out

    def values(self) -> dict[str, Any]:
        """Return the state in types of JSON."""
        return {symbol: [[hour, *held] for hour, held in hours.items()] for symbol, hours in self._held.items()}

    def take_values(self, content: Mapping[str, Any]) -> None:
        """Continue from the state of `values`."""
        self._held = {
            symbol: {int(hour): (int(time), float(close)) for hour, time, close in hours}
            for symbol, hours in content.items()
        }
