"""One row of the market frame: one symbol at one bar close."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.inputs import INPUTS
from slackwater.times import epoch_us
from slackwater.types import Floats

__all__ = ["FrameRow"]


@dataclass(frozen=True)
class FrameRow:
    """One symbol at one bar close: what a feature kernel reads.

    Parameters
    ----------
    symbol, event_time
        The perpetual, and the close of the bar, UTC.
    values
        The inputs in the order of `FrameSpec.inputs`; NaN where unknown.

    Raises
    ------
    SchemaError
        If there are fewer values than inputs, or the time is naive.
    """

    symbol: str
    event_time: pd.Timestamp
    values: Floats

    def __post_init__(self) -> None:
        """Check shape and time zone."""
        if self.values.ndim != 1 or len(self.values) < len(INPUTS):
            raise SchemaError(f"a frame row has {len(INPUTS)} values, got shape {self.values.shape}")
        if self.event_time.tzinfo is None:
            raise SchemaError(f"`event_time` must be timezone-aware (UTC), was {self.event_time}")

    @property
    def time_us(self) -> int:
        """Close of the bar in microseconds since 1970."""
        return epoch_us(self.event_time)

    @classmethod
    def from_mapping(cls, row: Mapping[str, Any], inputs: Sequence[str] = INPUTS) -> FrameRow:
        """Build a row from names, such as a row of `MarketFrame.table`; absent inputs are unknown.

        Raises
        ------
        SchemaError
            If `symbol`, `event_time` or a price is missing, or a name is not an input.
        """
        missing = [name for name in ("symbol", "event_time", "open", "high", "low", "close") if name not in row]
        if missing:
            raise SchemaError(f"a frame row needs {missing}")
        unknown = sorted(set(map(str, row.keys())) - {"symbol", "event_time", "available_time", *inputs})
        if unknown:
            raise SchemaError(f"a frame row has no inputs {unknown}; there are {', '.join(inputs)}")
        values = np.array([row.get(name, np.nan) for name in inputs], dtype=np.float64)
        return cls(symbol=str(row["symbol"]), event_time=pd.Timestamp(row["event_time"]), values=values)
