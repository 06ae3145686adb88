"""The bars of symbols on the regular grid of closes that all of them share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import DataError
from slackwater.market.inputs import INPUTS, OTHERS_RETURN
from slackwater.market.spec import FrameSpec
from slackwater.times import epochs_us, microseconds
from slackwater.types import Floats, Ints

__all__ = ["NO_BARS", "BarsOnGrid", "bars_on_one_grid", "rows_of_symbols", "split_rows"]

NO_BARS: Final = "the market frame needs a table `bars` with at least one row"
"""Message where there are no bars of any symbol."""


def rows_of_symbols(table: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Return the positions of each symbol's rows, in the order of the table; symbols ascend."""
    codes, symbols = pd.factorize(table["symbol"])
    order = np.argsort(codes.astype(np.int32), kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(symbols) + 1))
    parts = {str(symbol): order[starts[i] : starts[i + 1]] for i, symbol in enumerate(symbols)}
    return dict(sorted(parts.items()))


@dataclass(frozen=True, slots=True)
class BarsOnGrid:
    """Bars of one symbol on its regular grid of closes, microseconds, and the row of each bar."""

    table: pd.DataFrame
    grid: Ints
    where: Ints

    def inputs(self, spec: FrameSpec) -> Floats:
        """Return the rows of the frame with the bars filled in."""
        values = np.full((len(self.grid), len(spec.inputs)), np.nan)
        for position, name in enumerate(INPUTS[:OTHERS_RETURN]):
            if name in self.table:
                values[self.where, position] = self.table[name].to_numpy(np.float64)
        return values

    def prices(self) -> Floats:
        """Return open and close of each row."""
        values = np.full((len(self.grid), 2), np.nan)
        values[self.where] = self.table[["open", "close"]].to_numpy(np.float64)
        return values


def split_rows(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield each symbol of a table with its rows; symbols ascend."""
    return ((symbol, table.iloc[rows]) for symbol, rows in rows_of_symbols(table).items())


def bars_on_one_grid(bars: Iterable[tuple[str, pd.DataFrame]], spec: FrameSpec) -> Iterator[tuple[str, BarsOnGrid]]:
    """Yield the bars of each symbol on its grid; the grids of all symbols are parts of one.

    Raises
    ------
    DataError
        If the bars of a symbol do not ascend on a grid, become available only after the decision, or close between
        those of another symbol.
    """
    first, start = "", 0
    for symbol, rows in bars:
        own = _bars_on_grid(symbol, rows, spec)
        if not first:
            first, start = symbol, int(own.grid[0])
        if late := (int(own.grid[0]) - start) % microseconds(spec.bar_interval):
            raise DataError(
                f"bars: the closes of {symbol} are {late / 6e7:g} minutes after those of {first}, not on "
                "one grid; bring the stamps of one of them to the clock of the other"
            )
        yield symbol, own


def _bars_on_grid(symbol: str, bars: pd.DataFrame, spec: FrameSpec) -> BarsOnGrid:
    closes = epochs_us(bars["event_time"])
    late = epochs_us(bars["available_time"]) > closes + microseconds(spec.decision_lag)
    if late.any():
        first = bars.loc[late, ["event_time", "available_time"]].head(3).to_string(index=False)
        raise DataError(
            f"bars: {int(late.sum())} rows of {symbol} become available only after the decision; "
            f"raise `decision_lag` or mask them:\n{first}"
        )
    step = microseconds(spec.bar_interval)
    if ((closes - closes[0]) % step).any() or (np.diff(closes) <= 0).any():
        raise DataError(f"bars: the closes of {symbol} do not ascend on a grid of {step / 6e7:g} minutes")
    grid = np.arange(closes[0], closes[-1] + step, step, dtype=np.int64)
    return BarsOnGrid(bars, grid, (closes - closes[0]) // step)
