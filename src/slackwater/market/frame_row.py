"""One row of the market frame: one symbol at one bar close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

import numpy as np
import pandas as pd
from numba import njit

from slackwater.errors import SchemaError
from slackwater.market.columns import is_name, mapping_of, row_time, row_value, shown
from slackwater.market.inputs import CLOSE, HIGH, INPUTS, LOW, OPEN, SIGNED
from slackwater.market.tables import Column
from slackwater.numbers import brief, exact_number
from slackwater.times import epoch_us, timestamp
from slackwater.types import Floats

__all__ = ["LARGEST", "FrameRow", "is_bar"]

LARGEST: Final = 1e15
"""Size beyond which an input counts as unknown."""
_PRICES: Final = ("open", "high", "low", "close")
_UNSIGNED: Final = frozenset(name for position, name in enumerate(INPUTS) if position not in SIGNED)


@njit(cache=True)
def is_bar(values):  # type: ignore[no-untyped-def]
    """Return whether the four prices of a row are those of a bar, none of them beyond `LARGEST`."""
    high = values[HIGH]
    low = values[LOW]
    sound = low > 0.0 and high <= LARGEST
    return sound and low <= values[OPEN] <= high and low <= values[CLOSE] <= high


@dataclass(frozen=True)
class FrameRow:
    """One symbol at one bar close: what a feature kernel reads.

    Parameters
    ----------
    symbol, event_time
        The perpetual, and the close of the bar, UTC.
    values
        The inputs in the order of `FrameSpec.inputs`; NaN where unknown.
    ages
        Age at the decision of the newest row of each joined table, in the time that its staleness is measured in; None
        where no row was known yet. A row that `slackwater.market.stream.FrameStream` did not assemble states none.
    backfilled
        Tables, bars included, of which every row so far came from history (`FrameStream.warm`) and none was pushed.

    Raises
    ------
    SchemaError
        If there are fewer values than inputs, or the time is naive.
    """

    symbol: str
    event_time: pd.Timestamp
    values: Floats
    ages: Mapping[str, timedelta | None] | None = None
    backfilled: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check types, shape and time zone."""
        values = self.values
        if type(values) is not np.ndarray or values.dtype != np.float64:
            raise SchemaError(f"`values` of a frame row must be an array of float64, was a {type(values).__name__}")
        if values.ndim != 1 or len(values) < len(INPUTS):
            raise SchemaError(f"a frame row has {len(INPUTS)} values, got shape {values.shape}")
        time = self.event_time
        if not isinstance(time, datetime) or time.tzinfo is None:  # NaT has none
            raise SchemaError(f"`event_time` must be timezone-aware (UTC), was {brief(time)}")
        if not isinstance(self.symbol, str):
            raise SchemaError(f"`symbol` of a frame row must be a text, was {brief(self.symbol)}")

    @property
    def time_us(self) -> int:
        """Close of the bar in microseconds since 1970."""
        return epoch_us(self.event_time)

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any], inputs: Sequence[str] = INPUTS) -> FrameRow:
        """Build a row from names, such as a row of `MarketFrame.table`; absent inputs, None and NaN are unknown.

        Parameters
        ----------
        row
            `symbol`, `event_time`, the prices and other inputs by name: numbers as float, int, `Decimal` or text such
            as ``"43000.5"``.
        inputs
            Names of the inputs, in order (`slackwater.market.spec.FrameSpec.inputs`).

        Raises
        ------
        SchemaError
            If `symbol`, `event_time` or a price is missing, a name is not an input, or a value is not a number that
            the input can take.
        """
        row = mapping_of(row, "a frame row")
        missing = [name for name in ("symbol", "event_time", *_PRICES) if name not in row]
        if missing:
            raise SchemaError(f"a frame row needs {missing}")
        unknown = sorted(shown(name) for name in set(row) - {"symbol", "event_time", "available_time", *inputs})
        if unknown:
            raise SchemaError(f"a frame row has no inputs {unknown}; there are {', '.join(inputs)}")
        symbol = row["symbol"]
        if not (isinstance(symbol, str) and is_name(symbol)):
            raise SchemaError(f"`symbol` of a frame row must be a name such as 'BTCUSDT', was {brief(symbol)}")
        values = np.full(len(inputs), np.nan)
        here = "event_time"
        try:
            time = timestamp(row_time(row["event_time"]))
            for position, here in enumerate(inputs):
                if here in row:
                    values[position] = _input(here, row[here])
        except ValueError as error:
            raise SchemaError(f"frame row of {symbol}, {shown(row['event_time'])}: `{here}` {error}") from None
        return cls(symbol=symbol, event_time=time, values=values)


@cache
def _column(name: str) -> Column:
    """Return the rules for one input."""
    return Column(name=name, kind="number", minimum=0.0 if name in _UNSIGNED else None, nullable=True)


def _input(name: str, value: Any) -> float:
    if name in _PRICES:  # whether they are those of a bar is for the engine to say
        return exact_number(value)
    number: float = row_value(value, _column(name))
    if abs(number) > LARGEST:
        raise SchemaError(f"must be at most {LARGEST:g}, was {number:g}")
    return number
