"""Rows of a csv of the archive, with or without a header, in milliseconds or microseconds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from slackwater.errors import SchemaError

__all__ = ["Columns", "CsvRows", "Layout"]

#: Column name to values, all of the same length; times are microseconds since 1970.
Columns = dict[str, npt.NDArray[Any]]

Kind = Literal["number", "time", "clock", "flag", "text", "unused"]

_BLOCK_BYTES: Final = 2 << 20
_LONGEST_LINE: Final = 1 << 20
#: The year 5138 in milliseconds, 1973 in microseconds: what is larger counts microseconds.
MICROSECONDS_FROM: Final = 1e14
#: Year 1973 in milliseconds, year 2286 in microseconds: values outside are not times.
FIRST_TIME, LAST_TIME = 1e11, 1e16

_TYPES: Final[Mapping[str, pa.DataType]] = {
    "number": pa.float64(),
    # As numbers, so that 1.7e12 can be read: a double holds every microsecond of this age.
    "time": pa.float64(),
    "clock": pa.timestamp("us"),
    "flag": pa.bool_(),
    "text": pa.string(),
}
_NUMBER: Final = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"
_CLOCK: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?$"
_PATTERNS: Final[Mapping[str, str]] = {
    "number": rf"{_NUMBER}|^\s*$|^(?i:nan|null)$",
    "time": _NUMBER,
    "clock": _CLOCK,
    "flag": r"^(?i:true|false|0|1)$",
    "text": r"(?s)^.{0,200}$",
}


@dataclass(frozen=True)
class Layout:
    """The columns of a kind of file: name to kind, in the order of files without a header.

    ``"time"`` is a count of milliseconds or microseconds, ``"clock"`` a text such as ``2024-01-01 00:05:00``, UTC;
    ``"unused"`` columns are not read.
    """

    columns: Mapping[str, Kind]

    @property
    def used(self) -> dict[str, Kind]:
        """The columns that are read."""
        return {name: kind for name, kind in self.columns.items() if kind != "unused"}


@dataclass
class CsvRows:
    r"""Iterate over blocks of rows of a csv; memory does not grow with the file.

    Parameters
    ----------
    stream
        The csv.
    layout
        Its columns.
    origin
        Source of the file, for messages.

    Attributes
    ----------
    unreadable
        Number of rows left out by reason, complete after the iteration.
    may_be_cut
        Whether the last line has no end, which is known after the iteration too.

    Raises
    ------
    SchemaError
        While iterating: if the header is not the one of the layout, the first row has another number of columns, or
        there is no end to a line.

    Examples
    --------
    >>> import io
    >>> layout = Layout({"time": "time", "price": "number"})
    >>> [rows] = CsvRows(io.BytesIO(b"1700000000000,3.5\n1700000000001,x\n"), layout, "example")
    >>> rows["time"].tolist(), rows["price"].tolist()
    ([1700000000000000], [3.5])
    """

    stream: IO[bytes]
    layout: Layout
    origin: str
    unreadable: dict[str, int] = field(default_factory=dict)
    may_be_cut: bool = False

    def __iter__(self) -> Iterator[Columns]:
        names: list[str] = []
        for block in self._blocks():
            self._hold_text(block)
            if not names:
                names, block = self._begin(block)
            if block:
                yield self._parse(block, names)
        if not names:
            raise SchemaError(f"{self.origin} is empty")

    def _blocks(self) -> Iterator[bytes]:
        """Yield pieces that end with the end of a line."""
        rest = b""
        while chunk := self.stream.read(_BLOCK_BYTES):
            rest += chunk
            cut = rest.rfind(b"\n") + 1
            if len(rest) - cut > _LONGEST_LINE:
                raise SchemaError(f"{self.origin} has a line of more than {_LONGEST_LINE:,} bytes")
            if cut:
                yield rest[:cut]
            rest = rest[cut:]
        if rest:
            self.may_be_cut = not rest.endswith(b"\r")
            yield rest

    def _hold_text(self, block: bytes) -> None:
        """Raise SchemaError if a block is not text: rows of other bytes would be lost without a count."""
        if block.isascii():  # at a tenth of the cost
            return
        try:
            block.decode()
        except UnicodeDecodeError as error:
            raise SchemaError(f"{self.origin} cannot be read as a csv: it is not UTF-8 text: {error}") from None

    def _begin(self, block: bytes) -> tuple[list[str], bytes]:
        """Return the names of the columns, and the block without a byte-order mark and a header."""
        block = block.removeprefix(b"\xef\xbb\xbf")
        end = re.search(rb"[\r\n]", block)
        line = block[: end.start()] if end else block
        cells = [cell.strip().strip(b'"').decode("utf-8", "replace") for cell in line.split(b",")]
        expected = list(self.layout.columns)
        first = cells[0]
        if first[:1].isdigit():
            if len(cells) != len(expected):
                raise SchemaError(
                    f"{self.origin} has {len(cells)} columns and no header; {len(expected)} are expected: "
                    f"{', '.join(expected)}"
                )
            return expected, block
        names = [cell.lower() for cell in cells]
        missing = [name for name in self.layout.used if name not in names]
        if missing or len(set(names)) != len(names):
            raise SchemaError(
                f"{self.origin}: the header must name {', '.join(self.layout.used)}, each once; "
                f"the first line is {line[:120]!r}"
            )
        return names, block[end.end() :] if end else b""

    def _parse(self, block: bytes, names: list[str]) -> Columns:
        kinds = self.layout.used
        try:
            table = self._read(block, names, {name: _TYPES[kind] for name, kind in kinds.items()})
            # An empty flag is neither yes nor no.
            clear = all(table.column(name).null_count == 0 for name, kind in kinds.items() if kind == "flag")
        except pa.ArrowInvalid:
            clear = False
        if not clear:
            table = self._readable_rows(block, names)
        out = {}
        for name, kind in kinds.items():
            values = table.column(name)
            if kind == "time":
                out[name] = _microseconds(values.to_numpy())
            elif kind == "clock":
                out[name] = values.cast(pa.int64()).fill_null(0).to_numpy()
            elif kind == "flag":
                out[name] = values.to_numpy()
            elif kind == "text":
                out[name] = values.fill_null("").to_numpy()
            else:
                out[name] = values.to_numpy()
        return out

    def _read(self, block: bytes, names: list[str], types: Mapping[str, pa.DataType]) -> pa.Table:
        ragged = 0

        def skip(_: csv.InvalidRow) -> str:
            nonlocal ragged
            ragged += 1
            return "skip"

        table = csv.read_csv(
            pa.BufferReader(block),
            # One piece: rows never straddle two of arrow's own blocks.
            read_options=csv.ReadOptions(column_names=names, use_threads=False, block_size=len(block) + 1),
            parse_options=csv.ParseOptions(invalid_row_handler=skip),
            convert_options=csv.ConvertOptions(
                column_types=types, include_columns=list(types), strings_can_be_null=True, check_utf8=True
            ),
        )
        if ragged:
            self._leave_out("another number of columns", ragged)
        return table

    def _readable_rows(self, block: bytes, names: list[str]) -> pa.Table:
        """Return the rows of a block that can be read, one by one, and count the others by reason."""
        kinds = self.layout.used
        before = dict(self.unreadable)
        try:
            table = self._read(block, names, dict.fromkeys(kinds, pa.string()))
        except pa.ArrowInvalid as error:
            self.unreadable = before
            raise SchemaError(f"{self.origin} cannot be read as a csv: {str(error)[:200]}") from None
        texts = {name: pc.fill_null(table.column(name), "") for name in kinds}
        good = pa.chunked_array([pa.array(np.ones(len(table), dtype=bool))])
        for name, kind in kinds.items():
            good = pc.and_(good, pc.match_substring_regex(texts[name], _PATTERNS[kind]))
            if kind == "clock":  # the 31st of February looks like a date
                clock = pd.to_datetime(texts[name].to_pandas(), errors="coerce", format="ISO8601", utc=True)
                good = pc.and_(good, pa.array(clock.notna().to_numpy(dtype=bool)))
        first = next(iter(kinds))
        header = pc.equal(pc.utf8_lower(pc.utf8_trim_whitespace(texts[first])), first)
        repeated = int(pc.sum(header).as_py() or 0)
        broken = len(table) - int(pc.sum(good).as_py() or 0) - repeated
        if repeated:
            self._leave_out("the header once more", repeated)
        if broken > 0:
            self._leave_out("a cell that cannot be read", broken)
        columns = {}
        for name, kind in kinds.items():
            kept = pc.utf8_trim_whitespace(texts[name].filter(good))
            if kind in ("number", "time"):
                kept = pc.if_else(pc.match_substring_regex(kept, _NUMBER), kept, "nan")
            try:
                columns[name] = kept.cast(_TYPES[kind])
            except pa.ArrowInvalid as error:
                raise SchemaError(f"{self.origin}: column `{name}` cannot be read: {str(error)[:200]}") from None
        return pa.table(columns)

    def _leave_out(self, reason: str, rows: int) -> None:
        self.unreadable[reason] = self.unreadable.get(reason, 0) + rows


def _microseconds(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return times in microseconds since 1970, 0 for values that are not times."""
    with np.errstate(invalid="ignore"):
        valid = (values >= FIRST_TIME) & (values <= LAST_TIME)
    out = np.where(valid, values, 0.0)
    return np.where(out >= MICROSECONDS_FROM, out, out * 1000.0).astype(np.int64)
