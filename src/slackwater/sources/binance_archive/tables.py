"""Tables on disk from parsed files: days fill the holes of their month, rows are written in order, holes are found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from slackwater.market.quality.ledger import Finding
from slackwater.sources.binance_archive.catalogue import DEFAULT_LAGS, ArchiveFile
from slackwater.sources.binance_archive.parts import read_part, read_runs, read_sizes
from slackwater.sources.binance_archive.trades import HOLE
from slackwater.sources.coverage import Hole, holes_between_runs, holes_of_funding, holes_of_grid, whole_span
from slackwater.sources.dataset_directory import DatasetTable
from slackwater.sources.intervals import INTERVALS
from slackwater.sources.large_trades import LargeTradeSelector, TradeSizes
from slackwater.sources.request import FetchRequest
from slackwater.times import MINUTE, SECOND
from slackwater.types import Ints

__all__ = ["ReadPart", "holes_of_part", "write_table"]

ReadPart = tuple[ArchiveFile, Path]
"""A file that was read, and the directory of its parsed tables."""

_STATISTIC: Final = 5 * MINUTE
#: Snapshots of the book come every 30 seconds, more or less.
_SNAPSHOT: Final = 30 * SECOND
_LONGEST_SNAPSHOT: Final = 10 * MINUTE


def holes_of_part(file: ArchiveFile, part: Path, name: str) -> list[Hole]:
    """Return the holes of a table of one parsed file within the file's own span."""
    piece = read_part(part, name)
    runs = read_runs(part) if name == "large_trades" else _NO_RUNS
    return _holes(name, piece, runs, file.start, file.end, INTERVALS[file.interval])


def write_table(
    name: str, parts: Sequence[ReadPart], request: FetchRequest, directory: Path, findings: list[Finding]
) -> tuple[dict[str, Any] | None, dict[str, list[Hole]]]:
    """Write one table; return its record (None if there are no rows), and the holes of each symbol.

    Parameters
    ----------
    name
        Canonical table.
    parts
        The files that were read, of each symbol in the order of time, a month before the days that fill its holes.
    request, directory
        The request, and the directory of ``<name>.parquet``.
    findings
        Receiver of further findings.
    """
    holes: dict[str, list[Hole]] = {}
    with DatasetTable(directory, name, lag=DEFAULT_LAGS[name]) as table:
        for symbol in sorted(request.symbols):
            own = [each for each in parts if each[0].symbol == symbol]
            pieces = (
                _large_trades(own, request, symbol, findings)
                if name == "large_trades"
                else _pieces(own, name, findings)
            )
            written: list[pa.Table] = []
            for piece in pieces:
                inside = _between(piece, request.start, request.end)
                overlap = table.append(symbol, inside)
                written.append(inside.select([each for each in _FOR_HOLES if each in inside.column_names]))
                if overlap:
                    findings.append(_overlap(name, symbol, inside, overlap))
            runs = np.concatenate([_NO_RUNS, *(read_runs(part) for _, part in own)]) if name == "large_trades" else None
            whole = pa.concat_tables(written) if written else None
            spacing = INTERVALS[request.interval]
            holes[symbol] = _holes(name, whole, runs, request.start, request.end, spacing)
    if not table.rows or table.first is None or table.last is None:
        return None, holes
    record = {
        "rows": table.rows,
        "rows_by_symbol": dict(table.rows_by_symbol),
        "first": table.first.isoformat(),
        "last": table.last.isoformat(),
    }
    return record, holes


_FOR_HOLES: Final = ("event_time", "interval_hours")
_NO_RUNS: Final = np.empty((0, 4), dtype=np.int64)


def _holes(
    name: str, piece: pa.Table | None, runs: Ints | None, start: datetime, end: datetime, interval: timedelta
) -> list[Hole]:
    if name == "large_trades":
        ordered = runs[np.argsort(runs[:, 0], kind="stable")] if runs is not None else _NO_RUNS
        return holes_between_runs(ordered, start, end, HOLE)
    if piece is None or not len(piece):
        return whole_span(start, end)
    if name == "liquidations":
        return []  # events come when they come
    times, first = np.unique(piece["event_time"].cast(pa.int64()).to_numpy(), return_index=True)
    if name == "funding":
        return holes_of_funding(times, piece["interval_hours"].to_numpy()[first], start, end)
    if name == "depth":
        return holes_of_grid(times, start, end, _SNAPSHOT, longest=_LONGEST_SNAPSHOT)
    return holes_of_grid(times, start, end, _STATISTIC if name in ("open_interest", "long_short_ratio") else interval)


def _pieces(parts: Sequence[ReadPart], name: str, findings: list[Finding]) -> Iterator[pa.Table]:
    for group in _months(parts):
        pieces = [piece for _, part in group if (piece := read_part(part, name)) is not None]
        if len(pieces) > 1:
            yield _united(pieces, "event_time", name, group[0][0], findings)
        else:
            yield from pieces


def _months(parts: Sequence[ReadPart]) -> Iterator[list[ReadPart]]:
    """Yield each month that was read with the days that fill its holes, and every other file alone."""
    for _, group in groupby(parts, key=lambda each: each[0].first.replace(day=1)):
        files = list(group)
        if files[0][0].period == "monthly":
            yield files
        else:
            yield from ([each] for each in files)


def _united(pieces: Sequence[pa.Table], key: str, name: str, month: ArchiveFile, findings: list[Finding]) -> pa.Table:
    """Return the rows of a month, and those of its days that it lacks, by their key and in order."""
    whole = pa.concat_tables(pieces)
    first = np.sort(np.unique(whole[key].cast(pa.int64()).to_numpy(), return_index=True)[1])
    filled = whole.take(pa.array(first[first >= len(pieces[0])]))
    if len(filled):
        rows = pd.DataFrame({"event_time": filled["event_time"].to_pandas()})
        note = "the monthly file lacks these rows, the daily files have them"
        findings.append(Finding.of_rows(rows, name, month.symbol, "filled_from_days", "repaired", note))
    return whole.take(pa.array(first)).sort_by([("event_time", "ascending"), (key, "ascending")])


def _large_trades(
    parts: Sequence[ReadPart], request: FetchRequest, symbol: str, findings: list[Finding]
) -> Iterator[pa.Table]:
    """Yield the large trades of each file, relative to the trades of the hours before."""
    selector = LargeTradeSelector(request.large_trades)
    begun = False
    for group in _months(parts):
        sizes = TradeSizes.largest([read_sizes(part) for _, part in group])
        if not begun and len(sizes.hours):
            begun = True
            start = pd.Timestamp(int(sizes.hours[0]), unit="h", tz="UTC")
            findings.append(
                Finding(
                    table="large_trades",
                    symbol=symbol,
                    rule="warming_up",
                    start=start,
                    end=start + request.large_trades.warm_up,
                    rows=0,
                    action="recorded",
                    note="no trade counts as large before there are trades to compare it with",
                )
            )
        selector.observe(sizes)
        pieces = [piece for _, part in group if (piece := read_part(part, "large_trades")) is not None]
        if pieces:
            piece = _united(pieces, "trade_id", "large_trades", group[0][0], findings) if len(pieces) > 1 else pieces[0]
            time = piece["event_time"].cast(pa.int64()).to_numpy()
            notional = piece["price"].to_numpy() * piece["quantity"].to_numpy()
            yield piece.filter(pa.array(selector.select(time, notional)))


def _between(piece: pa.Table, start: datetime, end: datetime) -> pa.Table:
    time = piece["event_time"]
    first, last = (pa.scalar(each, type=time.type) for each in (start, end))
    return piece.filter(pc.and_(pc.greater_equal(time, first), pc.less_equal(time, last)))


def _overlap(name: str, symbol: str, piece: pa.Table, rows: int) -> Finding:
    first = pd.Timestamp(piece["event_time"][0].as_py())
    return Finding(
        table=name,
        symbol=symbol,
        rule="overlap",
        start=first,
        end=pd.Timestamp(piece["event_time"][min(rows, len(piece)) - 1].as_py()),
        rows=rows,
        action="repaired",
        note="rows that the file before already contains",
    )
