"""A directory of canonical tables that is filled in pieces and appears complete or not at all."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from slackwater.errors import OrderError, ParameterError, SchemaError
from slackwater.file_lock import held_alone
from slackwater.market.schemas import SCHEMAS
from slackwater.storage import atomic_directory, read_json, sha256_of
from slackwater.times import microseconds, timestamp

__all__ = ["GROUP_ROWS", "MANIFEST", "DatasetTable", "dataset_directory", "earlier_fetch"]

MANIFEST: Final = "fetch.json"
#: Rows per row group, whatever the size of the pieces, so that equal rows are equal bytes.
GROUP_ROWS: Final = 1 << 17
#: Files of file managers, which may be lost.
_OF_THE_DESKTOP: Final = (".DS_Store", "Thumbs.db", "desktop.ini")
_TIME: Final = pa.timestamp("us", tz="UTC")
_BEFORE_ALL: Final = (-(2**62), -(2**62))


class DatasetTable:
    """Writer of a canonical table on disk, symbol by symbol and ordered by time.

    Parameters
    ----------
    directory
        Directory of ``<name>.parquet``.
    name
        Name in `slackwater.market.schemas.SCHEMAS`.
    lag
        Time from `event_time` (from `stamp` in pieces that have it) to `available_time`.
    """

    def __init__(self, directory: Path, name: str, *, lag: timedelta) -> None:
        self.path = directory / f"{name}.parquet"
        self.schema = SCHEMAS[name]
        self.lag = lag
        self.rows = 0
        self.rows_by_symbol: dict[str, int] = {}
        self.first: pd.Timestamp | None = None
        self.last: pd.Timestamp | None = None
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._symbol = ""
        self._times = _BEFORE_ALL

    def __enter__(self) -> DatasetTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._waiting_rows:
            self._write(self._waiting_rows)
        if self._writer is not None:
            self._writer.close()

    def append(self, symbol: str, piece: pa.Table) -> int:
        """Append rows of a symbol, sorted by `event_time`.

        Rows within the span of an earlier piece of the symbol are left out: files overlap at midnight.

        Parameters
        ----------
        symbol
            Symbol; not before that of the last piece, by name.
        piece
            The columns of the schema without `symbol` and `available_time`; others are dropped.

        Returns
        -------
        int
            Number of rows left out.

        Raises
        ------
        OrderError
            If symbols, or rows of the piece, are out of order.
        """
        if symbol < self._symbol:
            raise OrderError(f"table {self.schema.name}: {symbol} comes after {self._symbol}")
        if symbol > self._symbol:
            self._symbol, self._times = symbol, _BEFORE_ALL
        before = len(piece)
        time = piece["event_time"].cast(pa.int64()).to_numpy()
        if (np.diff(time) < 0).any():
            raise OrderError(f"table {self.schema.name}, {symbol}: `event_time` runs backwards")
        # Events may share a stamp, rows with a key may not.
        new = time > self._times[1] if "event_time" in self.schema.key else time >= self._times[1]
        if not new.all():
            piece, time = piece.filter(pa.array(new)), time[new]
        if not len(piece):
            return before
        self._times = (int(time[0]), int(time[-1]))
        first, last = (timestamp(each) for each in self._times)
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)
        self._waiting.append(self._canonical(symbol, piece))
        self._waiting_rows += len(piece)
        self.rows += len(piece)
        self.rows_by_symbol[symbol] = self.rows_by_symbol.get(symbol, 0) + len(piece)
        while self._waiting_rows >= GROUP_ROWS:
            self._write(GROUP_ROWS)
        return before - len(piece)

    def _canonical(self, symbol: str, piece: pa.Table) -> pa.Table:
        stamp = piece["stamp" if "stamp" in piece.column_names else "event_time"]
        lag = pa.scalar(microseconds(self.lag), type=pa.int64())
        known = pc.add(stamp.cast(pa.int64()), lag).cast(_TIME)
        columns = {"symbol": pa.repeat(pa.scalar(symbol), len(piece)), "event_time": piece["event_time"]}
        columns |= {"available_time": known}
        for column in self.schema.columns:
            if column.name not in columns and column.name in piece.column_names:
                columns[column.name] = piece[column.name]
        return pa.table(columns)

    def _write(self, rows: int) -> None:
        waiting = pa.concat_tables(self._waiting)
        if self._writer is None:
            texts = [column.name for column in self.schema.columns if column.kind == "text"]
            self._writer = pq.ParquetWriter(
                self.path, waiting.schema, compression="zstd", compression_level=1, use_dictionary=texts
            )
        self._writer.write_table(waiting.slice(0, rows).combine_chunks(), row_group_size=GROUP_ROWS)
        rest = waiting.slice(rows)
        self._waiting, self._waiting_rows = ([rest] if len(rest) else []), len(rest)


@contextmanager
def dataset_directory(out: str | Path) -> Iterator[Path]:
    """Yield a directory to fill, which replaces `out` if the block ends without an error.

    Raises
    ------
    ParameterError
        If `out` holds files that are not of a fetch, or another process is filling it.
    """
    target = Path(out)
    lock = target.parent / f".{target.name}.lock"

    def busy(holder: str) -> ParameterError:
        return ParameterError(f"{target} is being filled by {holder}")

    with held_alone(lock, "fetch", busy=busy):
        _restore(target)
        _refuse_others(target)
        with atomic_directory(target) as directory:
            yield directory


def earlier_fetch(out: str | Path) -> dict[str, Any] | None:
    """Return the ``fetch.json`` of an earlier run in `out`; None if there is none.

    Raises
    ------
    ParameterError
        If `out` holds files that are not of a fetch.
    """
    target = Path(out)
    _refuse_others(target)
    return dict(read_json(target / MANIFEST)) if (target / MANIFEST).is_file() else None


def _restore(target: Path) -> None:
    """Delete the leftovers of a killed run; if it was killed while directories changed places, restore the old one."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(old\.)?[a-z0-9_]{{8}}")
    for left in sorted(target.parent.iterdir()):
        if pattern.fullmatch(left.name) and left.is_dir() and _left_by_a_run(left, target):
            if (left / target.name).is_dir() and not target.exists():
                (left / target.name).replace(target)
            shutil.rmtree(left)


def _left_by_a_run(left: Path, target: Path) -> bool:
    """Return whether a directory holds only files that a run writes: another one may have such a name."""
    ours = {target.name, MANIFEST, *(f"{name}.parquet" for name in SCHEMAS)}
    return all(path.name in ours or path.name.startswith(f".{MANIFEST}.") for path in left.iterdir())


def _refuse_others(target: Path) -> None:
    """Raise if files would be lost that a fetch did not write."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ParameterError(f"{target} is a file; name a directory")
    held = {path.name for path in target.iterdir() if path.name not in _OF_THE_DESKTOP}
    if not held:
        return
    if MANIFEST not in held:
        raise ParameterError(f"{target} holds files that were not fetched, such as {min(held)}; name a new directory")
    try:
        written = {table["file"]: table["sha256"] for table in read_json(target / MANIFEST)["tables"].values()}
    except (KeyError, TypeError, AttributeError, SchemaError) as error:
        raise ParameterError(
            f"{target / MANIFEST} was not written by a fetch ({error}); name a new directory"
        ) from None
    for name in sorted(held - {MANIFEST}):
        path = target / name
        if not path.is_file() or written.get(name) != sha256_of(path):
            raise ParameterError(f"{path} was added or changed after it was fetched; name a new directory")
