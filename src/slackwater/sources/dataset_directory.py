"""A directory of canonical tables that is filled piece by piece, and seen as a whole or not at all."""

from __future__ import annotations

import fcntl
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
from slackwater.market.schemas import SCHEMAS
from slackwater.storage import atomic_directory, read_json, sha256_of

__all__ = ["MANIFEST", "DatasetTable", "dataset_directory", "earlier_fetch"]

MANIFEST: Final = "fetch.json"
#: Rows are written in groups of this size, whatever the pieces in which they come, so that the same rows are the same
#: bytes.
GROUP_ROWS: Final = 1 << 17
#: What file managers leave wherever they were: nothing that anybody would miss.
OF_THE_DESKTOP: Final = (".DS_Store", "Thumbs.db", "desktop.ini")
TIME: Final = pa.timestamp("us", tz="UTC")


class DatasetTable:
    """Appends rows to a canonical table on disk, symbol by symbol and in the order of time.

    Parameters
    ----------
    directory
        Where to write ``<name>.parquet``.
    name
        Which of `slackwater.market.schemas.SCHEMAS`.
    lag
        From `event_time` to `available_time`, or from the piece's own `stamp` where it has one.
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
        self._times: tuple[int, int] = (-(2**62), -(2**62))

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

        Rows that an earlier piece of the symbol reaches already are left out: files overlap at midnight.

        Parameters
        ----------
        symbol
            Not before the one of the last piece, by name.
        piece
            The columns of the schema without `symbol` and `available_time`; others are dropped.

        Returns
        -------
        int
            Rows left out.

        Raises
        ------
        OrderError
            If symbols come out of order, or rows of the piece do.
        """
        if symbol < self._symbol:
            raise OrderError(f"table {self.schema.name}: {symbol} comes after {self._symbol}")
        if symbol > self._symbol:
            self._symbol, self._times = symbol, (-(2**62), -(2**62))
        before = len(piece)
        time = piece["event_time"].cast(pa.int64()).to_numpy()
        if (np.diff(time) < 0).any():
            raise OrderError(f"table {self.schema.name}, {symbol}: rows run backwards in `event_time`")
        # Events may share a stamp, rows with a key may not.
        new = time > self._times[1] if "event_time" in self.schema.key else time >= self._times[1]
        if not new.all():
            piece, time = piece.filter(pa.array(new)), time[new]
        if not len(piece):
            return before
        self._times = (int(time[0]), int(time[-1]))
        first, last = (pd.Timestamp(int(each), unit="us", tz="UTC") for each in self._times)
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
        lag = pa.scalar(self.lag // timedelta(microseconds=1), type=pa.int64())
        known = pc.add(stamp.cast(pa.int64()), lag).cast(TIME)
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
    """Yield a directory to fill, which takes the place of `out` if the block ends without an error.

    Raises
    ------
    ParameterError
        If `out` holds anything that was not fetched into it, or is being filled by another process.
    """
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.parent / f".{target.name}.lock"
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ParameterError(f"{target} is being filled by another process") from None
        _restore(target)
        _refuse_foreign(target)
        with atomic_directory(target) as directory:
            yield directory


def earlier_fetch(out: str | Path) -> dict[str, Any] | None:
    """Return what an earlier run wrote of `out` into its ``fetch.json``; None if there is nothing.

    Raises
    ------
    ParameterError
        If `out` holds anything that was not fetched into it.
    """
    target = Path(out)
    _refuse_foreign(target)
    return dict(read_json(target / MANIFEST)) if (target / MANIFEST).is_file() else None


def _restore(target: Path) -> None:
    """Clear away what a killed run left behind; if it was killed while directories changed places, put back the old."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.(old\.)?[a-z0-9_]{{8}}")
    for left in sorted(target.parent.iterdir()):
        if pattern.fullmatch(left.name) and left.is_dir() and _left_by_a_run(left, target):
            if (left / target.name).is_dir() and not target.exists():
                (left / target.name).replace(target)
            shutil.rmtree(left)


def _left_by_a_run(left: Path, target: Path) -> bool:
    """Return whether a directory holds nothing but what a run writes: somebody else's may have such a name."""
    ours = {target.name, MANIFEST, *(f"{name}.parquet" for name in SCHEMAS)}
    return all(path.name in ours or path.name.startswith(f".{MANIFEST}.") for path in left.iterdir())


def _refuse_foreign(target: Path) -> None:
    """Raise if something would be lost: a file, or a directory with anything that a fetch did not write."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ParameterError(f"{target} is a file; name a directory")
    held = {path.name for path in target.iterdir() if path.name not in OF_THE_DESKTOP}
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
