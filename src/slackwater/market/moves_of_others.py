"""The moves of the other symbols at every bar close of a symbol: the only inputs that need all symbols."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, SchemaError
from slackwater.market.bar_grids import NO_BARS, bars_on_one_grid, split_rows
from slackwater.market.joins import breadth_of_others, log_ratios, returns_of_others
from slackwater.market.spec import FrameSpec
from slackwater.times import microseconds
from slackwater.types import Floats, Ints

__all__ = ["PRICE_COLUMNS", "moves_of_others", "others_at", "read_moves", "write_moves_of_others"]

PRICE_COLUMNS: Final = ("symbol", "event_time", "available_time", "open", "close")
"""The columns of bars that are read."""
_ROWS: Final = 2_000_000
"""Rows of all symbols together that are looked at at a time, about 300 MB."""
_DAYS: Final = 10
"""Least length of a span, in days: of each, the day before is read too."""
_OUTPUTS: Final = 4


def moves_of_others(bars: pd.DataFrame, spec: FrameSpec) -> dict[str, Floats]:
    """Return what the other symbols did at every bar close of every symbol.

    Parameters
    ----------
    bars
        Bars of all symbols with `PRICE_COLUMNS`.
    spec
        Settings of the frame.

    Returns
    -------
    dict of str to ndarray of float64, shape (n_rows, 4)
        By symbol, what `MarketFrame.of_one_symbol` takes: for each row of its grid ``others_return``,
        ``others_absolute_return``, ``others_breadth`` and ``market_dispersion``, NaN where they are unknown.

    Raises
    ------
    MissingDataError, DataError
        As `MarketFrame.from_tables`.
    """
    if bars.empty:
        raise MissingDataError(NO_BARS)
    thin = {symbol: (own.grid, own.prices()) for symbol, own in bars_on_one_grid(split_rows(bars), spec)}
    grids, prices = zip(*thin.values(), strict=True)
    return dict(zip(thin, others_at(grids, prices, spec), strict=True))


def write_moves_of_others(
    bars: Iterable[tuple[str, pd.DataFrame]], spec: FrameSpec, directory: Path
) -> dict[str, Path]:
    """Write what `moves_of_others` returns, to the last bit, as one file per symbol (`read_moves`).

    The bars of one symbol are held at a time, and a span of prices of all symbols.

    Parameters
    ----------
    bars
        Symbols, which ascend, and their bars with `PRICE_COLUMNS`.
    spec
        Settings of the frame.
    directory
        Directory that is there, for the files.

    Returns
    -------
    dict of str to Path
        The file of each symbol, in order.

    Raises
    ------
    MissingDataError, DataError
        As `MarketFrame.from_tables`.
    """
    # 1. The prices of each symbol on its grid, as a file: a row is found by its place.
    starts, lengths, files = list[int](), list[int](), dict[str, Path]()
    for symbol, own in bars_on_one_grid(bars, spec):
        files[symbol] = directory / f"{len(files):05d}"
        _append(own.prices(), _prices(files[symbol]))
        starts.append(int(own.grid[0]))
        lengths.append(len(own.grid))
    if not files:
        raise MissingDataError(NO_BARS)
    # 2. Span after span, the rows of all symbols in it and those of the day before.
    step, first = microseconds(spec.bar_interval), min(starts)
    before = [(start - first) // step for start in starts]
    end = max(ahead + length for ahead, length in zip(before, lengths, strict=True))
    span = max(_ROWS // len(files), _DAYS * spec.bars_per_day, 1)
    for low in range(0, end, span):
        spans = [
            (path, range(max(low - ahead, 0), min(low + span - ahead, length)), start)
            for path, ahead, length, start in zip(files.values(), before, lengths, starts, strict=True)
            if low + span > ahead and low < ahead + length
        ]
        grids, prices = list[Ints](), list[Floats]()
        for path, rows, start in spans:
            oldest = max(rows.start - spec.bars_per_day, 0)
            prices.append(_read(_prices(path), oldest, rows.stop - oldest, 2))
            grids.append(start + np.arange(oldest, rows.stop, dtype=np.int64) * step)
        if not spans:
            continue  # no symbol has a row in it
        for (path, rows, _), moves in zip(spans, others_at(grids, prices, spec), strict=True):
            _append(moves[len(moves) - len(rows) :], path)
    # 3. The prices are not needed any more.
    for path in files.values():
        _prices(path).unlink()
    return files


def read_moves(path: Path) -> Floats:
    """Return the moves in a file of `write_moves_of_others`, float64, shape (n_rows, 4)."""
    return _read(path, 0, path.stat().st_size // (8 * _OUTPUTS), _OUTPUTS)


def _prices(path: Path) -> Path:
    return path.with_name(f"{path.name}-prices")


def _append(values: Floats, path: Path) -> None:
    # Not by `ndarray.tofile`, which does not notice a full disk when it closes the file.
    with path.open("ab") as file:
        file.write(np.ascontiguousarray(values).data)


def _read(path: Path, first: int, rows: int, columns: int) -> Floats:
    found = np.fromfile(path, count=rows * columns, offset=8 * columns * first)
    if found.size != rows * columns:
        raise SchemaError(f"{path} has {found.size // columns} rows from {first} on, {rows} are wanted")
    return found.reshape(rows, columns)


def others_at(grids: Sequence[Ints], prices: Sequence[Floats], spec: FrameSpec) -> list[Floats]:
    """Return the moves of the other symbols at each row of some grids, shape (n_rows, 4); NaN where there is no bar.

    Symbols ascend, and so do the closes of each; `prices` are open and close.
    """
    closes, both = np.concatenate(grids), np.concatenate(prices)
    before = np.concatenate([_a_day_before(own[:, 1], spec) for own in prices])
    bars = np.flatnonzero(~np.isnan(both[:, 1]))
    order = bars[np.argsort(closes[bars], kind="stable")]
    own, others, out = np.empty(len(order)), np.empty((len(order), 2)), np.full((len(closes), 4), np.nan)
    opened, closed = both[order].T.copy()
    log_ratios(opened, closed, own)
    returns_of_others(closes[order], own, others)
    out[order, :2] = others
    log_ratios(before[order], closed, own)
    breadth_of_others(closes[order], own, others)
    out[order, 2:] = others
    return np.split(out, np.cumsum([len(grid) for grid in grids])[:-1])


def _a_day_before(prices: Floats, spec: FrameSpec) -> Floats:
    """Return the close 24 h before each bar of a grid; NaN where there is none."""
    bars = spec.bars_per_day
    out = np.full(len(prices), np.nan)
    if 0 < bars < len(prices):
        out[bars:] = prices[:-bars]
    return out
