"""Operators that change a table of a user's own, and what the changed file still states.

A `Sheet` holds cells to write, and `meaning`, the canonical table that a reader has to return. Operators change both.
Where a file no longer has one right reading, the sheet is `broken`: a reader must refuse it, or leave rows out with a
finding; what is left must be rows of `meaning`. `OPERATORS` is the list; each takes a sheet and a random generator and
returns False where it does not apply.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slackwater.market.schemas import SCHEMAS

TIMES: Final = ("open_time", "bucket_start", "event_time", "available_time")
EVENTS: Final = ("liquidations", "large_trades", "whale_transfers")
BARS: Final = ("bars", "fine_bars", "mark_price")


@dataclass
class Sheet:
    """A table as cells, how its file is written, and what it means."""

    table: str
    form: str  # csv or parquet
    cells: pd.DataFrame
    meaning: pd.DataFrame
    options: dict[str, Any] = field(default_factory=dict)  # of the entry in params.yaml; `_` marks those of the judge
    broken: bool = False
    separator: str = ","
    quote_all: bool = False
    line_end: str = "\n"
    suffix: str = ""
    pack: Callable[[bytes], bytes] | None = None
    last: list[Callable[[bytes], bytes]] = field(default_factory=list)  # on the bytes of the file
    arrow: list[Callable[[pa.Table], pa.Table]] = field(default_factory=list)
    done: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> list[str]:
        """Columns of numbers that are still numbers."""
        return [
            column.name
            for column in SCHEMAS[self.table].columns
            if column.kind == "number" and column.name in self.cells and self.cells[column.name].dtype == np.float64
        ]

    @property
    def stamps(self) -> list[str]:
        """Columns of times that are still times."""
        return [name for name in TIMES if name in self.cells and isinstance(self.cells[name].dtype, pd.DatetimeTZDtype)]

    def lost(self) -> None:
        """Note that the file has no right reading any more."""
        self.broken = True

    def same_rows(self, rows: Any) -> None:
        """Keep some rows of the cells, and of the meaning where it has the same rows."""
        aligned = len(self.cells) == len(self.meaning)
        self.cells = self.cells.iloc[rows].reset_index(drop=True)
        if aligned:
            self.meaning = self.meaning.iloc[rows].reset_index(drop=True)

    def write(self, directory: Path) -> str:
        """Write the file and return its name."""
        other = self.suffix.startswith("=")
        name = self.table + (self.suffix[1:] if other else f".{self.form}{self.suffix}")
        data = self._parquet() if self.form == "parquet" else self._csv()
        for change in [*self.last, *([self.pack] if self.pack else [])]:
            data = change(data)
        (directory / name).write_bytes(data)
        return name

    def _parquet(self) -> bytes:
        table = pq.read_table(io.BytesIO(self.cells.to_parquet(index=False)))
        for change in self.arrow:
            table = change(table)
        buffer = io.BytesIO()
        pq.write_table(table, buffer)
        return buffer.getvalue()

    def _csv(self) -> bytes:
        text = self.cells.copy()
        for name in self.stamps:
            text[name] = text[name].map(lambda time: "" if time is pd.NaT else time.isoformat().replace("+00:00", "Z"))
        out = text.to_csv(
            index=False, sep=self.separator, quoting=1 if self.quote_all else 0, lineterminator=self.line_end
        )
        return out.encode()


Operator = Callable[[Sheet, np.random.Generator], bool]


def _row(sheet: Sheet, rng: np.random.Generator) -> int:
    return int(rng.integers(len(sheet.cells)))


def _set(sheet: Sheet, row: int, column: str, value: Any) -> None:
    cells = sheet.cells[column].astype(object) if isinstance(value, str) else sheet.cells[column]
    cells = cells.copy()
    cells.iloc[row] = value
    sheet.cells[column] = cells


# -- rows ------------------------------------------------------------------------------------------------------


def drop_rows(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.broken or len(sheet.cells) != len(sheet.meaning):  # the broken row could be among those
        return False
    sheet.same_rows(np.sort(rng.choice(len(sheet.cells), size=len(sheet.cells) * 4 // 5, replace=False)))
    return True


def cut_rows(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.broken or len(sheet.cells) != len(sheet.meaning):
        return False
    sheet.same_rows(np.arange(len(sheet.cells) // 2))
    return True


def double_rows(sheet: Sheet, rng: np.random.Generator) -> bool:
    rows = np.sort(np.r_[np.arange(len(sheet.cells)), rng.integers(len(sheet.cells), size=5)])
    if SCHEMAS[sheet.table].key:
        sheet.cells = sheet.cells.iloc[rows].reset_index(drop=True)
    else:
        sheet.same_rows(rows)
    return True


def reorder_rows(sheet: Sheet, rng: np.random.Generator) -> bool:
    order = rng.permutation(len(sheet.cells))
    sheet.same_rows(order)
    return True


def contradict(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not SCHEMAS[sheet.table].key or not sheet.numbers or not set(SCHEMAS[sheet.table].key) <= set(sheet.cells):
        return False
    sheet.cells = pd.concat([sheet.cells, sheet.cells.iloc[[_row(sheet, rng)]]], ignore_index=True)
    column = sheet.numbers[0]
    if column == "log_index":
        return False
    _set(sheet, len(sheet.cells) - 1, column, sheet.cells[column].iloc[-1] * 1.5 + 1e-9)
    sheet.lost()
    return True


def header_twice(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.form == "parquet" or sheet.suffix == "=.jsonl":
        return False
    sheet.last.append(lambda data: _insert_line(data, data.split(b"\n")[0]))
    sheet.lost()
    return True


def _insert_line(data: bytes, line: bytes) -> bytes:
    lines = data.split(b"\n")
    lines.insert(len(lines) // 2, line)
    return b"\n".join(lines)


def empty(sheet: Sheet, rng: np.random.Generator) -> bool:
    sheet.same_rows(np.arange(0))
    sheet.lost()
    return True


# -- cells -----------------------------------------------------------------------------------------------------


def blank_cell(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers:
        return False
    row = _row(sheet, rng)
    _set(sheet, row, str(rng.choice(sheet.numbers)), np.nan)
    sheet.lost()
    return True


def blank_many(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers:
        return False
    column = str(rng.choice(sheet.numbers))
    sheet.cells[column] = sheet.cells[column].mask(rng.random(len(sheet.cells)) < 0.3)
    sheet.lost()
    return True


def blank_stamp(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.stamps:
        return False
    _set(sheet, _row(sheet, rng), sheet.stamps[0], pd.NaT)
    sheet.lost()
    return True


def word(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers or sheet.form == "parquet":
        return False
    _set(
        sheet, _row(sheet, rng), str(rng.choice(sheet.numbers)), str(rng.choice(["n/a!", "-", "1.2.3", "0x1F", "1_0"]))
    )
    sheet.lost()
    return True


def infinite(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers:
        return False
    _set(sheet, _row(sheet, rng), str(rng.choice(sheet.numbers)), np.inf)
    sheet.lost()
    return True


def negative(sheet: Sheet, rng: np.random.Generator) -> bool:
    limited = [column.name for column in SCHEMAS[sheet.table].columns if column.minimum == 0.0]
    columns = [name for name in sheet.numbers if name in limited]
    if not columns:
        return False
    _set(sheet, _row(sheet, rng), columns[-1], -7.0)
    sheet.lost()
    return True


def scale(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers:
        return False
    column = sheet.numbers[-1]
    if column == "interval_hours":
        return False
    sheet.cells[column] = sheet.cells[column] * 1000.0
    sheet.meaning[column] = sheet.meaning[column] * 1000.0
    return True


def declared_scale(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers or "scale" in sheet.options:
        return False
    column = sheet.numbers[-1]
    sheet.cells[column] = sheet.cells[column] * 1024.0
    sheet.options["scale"] = {column: 1.0 / 1024.0}
    return True


def swap_columns(sheet: Sheet, rng: np.random.Generator) -> bool:
    if len(sheet.numbers) < 2 or "scale" in sheet.options:
        return False
    one, other = (str(each) for each in rng.choice(sheet.numbers, size=2, replace=False))
    for table in (sheet.cells, sheet.meaning):
        table[one], table[other] = table[other].copy(), table[one].copy()
    return True


# -- columns ---------------------------------------------------------------------------------------------------


def reorder_columns(sheet: Sheet, rng: np.random.Generator) -> bool:
    sheet.cells = sheet.cells[list(rng.permutation(sheet.cells.columns))]
    return True


def rename_column(sheet: Sheet, rng: np.random.Generator) -> bool:
    name = str(rng.choice([each for each in sheet.cells.columns if each != "note"]))
    optional = {column.name for column in SCHEMAS[sheet.table].columns if column.optional}
    sheet.cells = sheet.cells.rename(columns={name: f"the {name}"})
    if name in sheet.options.get("scale", {}):
        sheet.lost()
    elif name in optional:
        sheet.meaning = sheet.meaning.drop(columns=name)
    elif name != "available_time":
        sheet.lost()
    else:
        sheet.options["_lag"] = True
    return True


def mapped_column(sheet: Sheet, rng: np.random.Generator) -> bool:
    name = str(rng.choice([column.name for column in SCHEMAS[sheet.table].columns if column.name in sheet.cells]))
    sheet.cells = sheet.cells.rename(columns={name: f"Their {name}"})
    sheet.options.setdefault("columns", {})[name] = f"Their {name}"
    return True


def extra_column(sheet: Sheet, rng: np.random.Generator) -> bool:
    if "note" in sheet.cells:
        return False
    sheet.cells.insert(int(rng.integers(len(sheet.cells.columns))), "note", "a, b")
    return True


def column_twice(sheet: Sheet, rng: np.random.Generator) -> bool:
    sheet.arrow.append(lambda table: table.append_column(table.column_names[-1], table[table.column_names[-1]]))
    sheet.last.append(_name_twice if sheet.form == "csv" else bytes)
    sheet.lost()
    return True


def _name_twice(data: bytes) -> bytes:
    header, _, rest = data.partition(b"\n")
    separator = max((b",", b";", b"\t", b"|"), key=header.count)
    names = header.split(separator)
    return separator.join([names[0], *names[:-1]]) + b"\n" + rest


# -- times -----------------------------------------------------------------------------------------------------


def shift(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.stamps:
        return False
    by = pd.Timedelta(minutes=30 * int(rng.integers(1, 20)))
    for name in sheet.stamps:
        sheet.cells[name] = sheet.cells[name] + by
        sheet.meaning[name] = sheet.meaning[name] + by
    return True


def stamped_by_opening(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.table not in BARS or not {"open_time", "event_time"} <= set(sheet.stamps):
        return False
    sheet.cells["event_time"] = sheet.cells["open_time"]
    sheet.lost()
    return True


def ends_exchanged(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.table not in BARS or not {"open_time", "event_time"} <= set(sheet.stamps):
        return False
    sheet.cells["event_time"], sheet.cells["open_time"] = sheet.cells["open_time"], sheet.cells["event_time"].copy()
    sheet.lost()
    return True


def one_end_shifted(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.table not in BARS or "open_time" not in sheet.stamps:
        return False
    sheet.cells["open_time"] = sheet.cells["open_time"] + pd.Timedelta(minutes=int(rng.choice([-300, -29, -1, 1, 29])))
    sheet.lost()
    return True


def last_tick(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.table in (*EVENTS, "exchange_flows") or "event_time" not in sheet.stamps:
        return False
    sheet.cells["event_time"] = sheet.cells["event_time"] - pd.Timedelta(str(rng.choice(["1us", "1ms", "1s"])))
    return True


def restamp(sheet: Sheet, rng: np.random.Generator) -> bool:
    if "event_time" not in sheet.stamps or sheet.table in EVENTS:
        return False
    sheet.cells["event_time"] = sheet.cells["event_time"].iloc[-1]
    sheet.lost()
    return True


def future(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.stamps:
        return False
    for name in sheet.stamps:
        sheet.cells[name] = sheet.cells[name] + pd.Timedelta(days=365 * 40)
    sheet.lost()
    return True


def time_unit(sheet: Sheet, rng: np.random.Generator) -> bool:
    per = {"s": 1_000_000, "ms": 1_000, "us": 1, "ns": 0}[str(rng.choice(["s", "ms", "us", "ns"]))]
    if not sheet.stamps or any(sheet.cells[name].isna().any() for name in sheet.stamps):
        return False
    for name in sheet.stamps:
        ticks = sheet.cells[name].dt.as_unit("us").astype("int64")
        if per > 1 and (ticks % per).any():
            return False
    for name in sheet.stamps:
        ticks = sheet.cells[name].dt.as_unit("us").astype("int64")
        sheet.cells[name] = ticks // per if per else ticks * 1000
    return True


def mixed_units(sheet: Sheet, rng: np.random.Generator) -> bool:
    name = "event_time"
    if name not in sheet.stamps or not time_unit(sheet, rng) or len(sheet.cells) < 10:
        return False
    sheet.cells[name] = sheet.cells[name].where(sheet.cells.index > 3, sheet.cells[name] // 1000)
    sheet.lost()
    return True


def exponent_stamps(sheet: Sheet, rng: np.random.Generator) -> bool:
    if "event_time" not in sheet.stamps or sheet.cells["event_time"].isna().any() or len(sheet.cells) < 30:
        return False
    ticks = sheet.cells["event_time"].dt.as_unit("us").astype("int64") // 1_000
    if sheet.form == "csv":
        sheet.cells["event_time"] = ticks.map(lambda tick: f"{tick:.5E}")
    else:
        size = int(rng.choice([10**6, 10**7]))
        sheet.cells["event_time"] = (ticks + size // 2) // size * size
    sheet.lost()
    return True


def coarse_floats(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.form == "csv" or "event_time" not in sheet.stamps:
        return False
    ticks = sheet.cells["event_time"].dt.as_unit("us").astype("int64") // 1_000
    sheet.cells["event_time"] = ticks.astype("float32")
    sheet.lost()
    return True


def other_zone(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.stamps:
        return False
    zone = str(rng.choice(["Asia/Kolkata", "Europe/Berlin", "America/New_York"]))
    for name in sheet.stamps:
        times = sheet.cells[name].dt.tz_convert(zone)
        sheet.cells[name] = times.map(lambda time: time.isoformat()).astype(object) if sheet.form == "csv" else times
    return not any(sheet.cells[name].isna().any() for name in sheet.cells if name in TIMES)


def naive(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.stamps:
        return False
    declared = bool(rng.random() < 0.5)
    for name in sheet.stamps:
        times = sheet.cells[name].dt.tz_localize(None) + (pd.Timedelta("5h30min") if declared else pd.Timedelta(0))
        sheet.cells[name] = times.map(lambda time: time.isoformat()).astype(object) if sheet.form == "csv" else times
    if declared:
        sheet.options["utc_offset"] = pd.Timedelta("5h30min").to_pytimedelta()
    else:
        sheet.lost()
    return True


def two_clocks(sheet: Sheet, rng: np.random.Generator) -> bool:
    if len(sheet.stamps) < 2 or sheet.cells[sheet.stamps].isna().any(axis=None):
        return False
    first, *rest = sheet.stamps
    ahead = sheet.cells[first].dt.tz_localize(None) + pd.Timedelta("6h")
    sheet.cells[first] = ahead.map(lambda time: time.isoformat(sep=" "))
    for name in rest:
        sheet.cells[name] = sheet.cells[name].dt.as_unit("us").astype("int64")
    sheet.options["utc_offset"] = pd.Timedelta("6h").to_pytimedelta()
    return True


def dates(sheet: Sheet, rng: np.random.Generator) -> bool:
    if "event_time" not in sheet.stamps or sheet.cells["event_time"].isna().any():
        return False
    days = sheet.cells["event_time"].dt.date
    sheet.cells["event_time"] = days if sheet.form == "parquet" else days.map(str)
    sheet.lost()
    return True


# -- numbers as text --------------------------------------------------------------------------------------------


def _grouped(thousands: str, point: str, decimals: int = 9) -> Callable[[float], str]:
    def write(value: float) -> str:
        if not np.isfinite(value):
            return ""
        text = f"{value:,.{decimals}f}"
        return text.replace(",", "\0").replace(".", point).replace("\0", thousands)

    return write


def _rounded(sheet: Sheet, decimals: int = 9) -> None:
    for name in sheet.numbers:
        sheet.cells[name] = sheet.cells[name].round(decimals)
        if name in sheet.meaning:
            scaled = sheet.options.get("scale", {}).get(name, 1.0)
            sheet.meaning[name] = (sheet.meaning[name] / scaled).round(decimals) * scaled


def thousands(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers:
        return False
    _rounded(sheet)
    separator, point = [(",", "."), (".", ","), (" ", ","), ("\u202f", ","), ("'", "."), ("\u00a0", ".")][
        rng.integers(6)
    ]
    for name in sheet.numbers:
        sheet.cells[name] = sheet.cells[name].map(_grouped(separator, point)).astype(object)
    return True


def decimal_comma(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers:
        return False
    _rounded(sheet)
    sheet.separator = ";"
    for name in sheet.numbers:
        sheet.cells[name] = sheet.cells[name].map(lambda value: f"{value:.9f}".replace(".", ",")).astype(object)
    return True


def number_text(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers:
        return False
    name = str(rng.choice(sheet.numbers))
    form = str(rng.choice([".17e", ".40f", "+.17g", " .17g"]))
    sheet.cells[name] = (
        sheet.cells[name].map(lambda value: format(value, form) if value == value else "").astype(object)
    )
    return True


def stamp_text(sheet: Sheet, rng: np.random.Generator) -> bool:
    if "event_time" not in sheet.stamps or sheet.cells["event_time"].isna().any():
        return False
    sheet.cells["event_time"] = sheet.cells["event_time"].dt.as_unit("us").astype("int64").astype("str")
    return True


def truth(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.numbers:
        return False
    name = sheet.numbers[-1]
    sheet.cells[name] = sheet.cells[name] > 0.0
    sheet.lost()
    return True


# -- the file ---------------------------------------------------------------------------------------------------


def _only_csv(change: Callable[[Sheet, np.random.Generator], None]) -> Operator:
    def operator(sheet: Sheet, rng: np.random.Generator) -> bool:
        if sheet.form != "csv" or sheet.suffix == "=.jsonl":
            return False
        change(sheet, rng)
        return True

    operator.__name__ = change.__name__
    return operator


@_only_csv
def mark(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.last.append(lambda data: b"\xef\xbb\xbf" + data)


@_only_csv
def utf_16(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.last.append(lambda data: data.decode("utf-8", "replace").encode("utf-16"))
    sheet.lost()


@_only_csv
def nul(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.last.append(lambda data: data[: len(data) // 2] + b"\0" + data[len(data) // 2 :])
    sheet.lost()


@_only_csv
def quoted(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.quote_all = True


@_only_csv
def carriage_returns(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.line_end = "\r\n"


@_only_csv
def other_separator(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.separator = str(rng.choice([";", "\t", "|"]))


@_only_csv
def cut_file(sheet: Sheet, rng: np.random.Generator) -> None:
    share = float(rng.uniform(0.1, 0.99))
    sheet.last.append(lambda data: data[: int(len(data) * share)])
    sheet.options["_cut"] = True
    sheet.lost()


@_only_csv
def long_row(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.last.append(lambda data: _insert_line(data, data.split(b"\n")[1].rstrip(b"\r") + b",,9"))
    sheet.lost()


@_only_csv
def short_row(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.last.append(lambda data: _insert_line(data, data.split(b"\n")[1][:12]))
    sheet.lost()


@_only_csv
def comment(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.last.append(lambda data: b"# exported by a tool\n" + data)
    sheet.lost()


@_only_csv
def open_quote(sheet: Sheet, rng: np.random.Generator) -> None:
    sheet.last.append(lambda data: data[: len(data) // 2] + b'"' + data[len(data) // 2 :])
    sheet.lost()


@_only_csv
def compressed(sheet: Sheet, rng: np.random.Generator) -> None:
    if sheet.suffix:
        return
    packers: dict[str, Callable[[bytes], bytes]] = {
        ".gz": gzip.compress,
        ".bz2": bz2.compress,
        ".xz": lzma.compress,
        ".zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
        ".zip": _zipped,
    }
    sheet.suffix = str(rng.choice([*packers]))
    sheet.pack = packers[sheet.suffix]


def _zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("table.csv", data)
    return buffer.getvalue()


def upper_case(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.suffix:
        return False
    sheet.suffix = "=" + f".{sheet.form.upper()}"
    return True


def wrong_suffix(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.suffix:
        return False
    sheet.suffix = "=" + (".csv" if sheet.form == "parquet" else ".parquet")
    sheet.lost()
    return True


def json_lines(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.form != "csv" or sheet.suffix or sheet.last or sheet.separator != "," or sheet.cells.isna().any(axis=None):
        return False
    sheet.suffix = "=.jsonl"
    sheet.last.insert(0, _as_json_lines)
    return not np.isinf(sheet.cells.select_dtypes("number")).any(axis=None)


def _as_json_lines(data: bytes) -> bytes:
    rows = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False).to_dict("records")
    return "\n".join(map(json.dumps, rows)).encode()


def _only_parquet(name: str, change: Callable[[pa.Table], pa.Table]) -> Operator:
    def operator(sheet: Sheet, rng: np.random.Generator) -> bool:
        if sheet.form != "parquet":
            return False
        sheet.arrow.append(change)
        return True

    operator.__name__ = name
    return operator


def _cast(kinds: Callable[[pa.DataType], bool], to: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        for place, item in enumerate(table.schema):
            if kinds(item.type):
                column = table[place].cast(pa.string()).cast(to) if kinds is _is_text else table[place].cast(to)
                table = table.set_column(place, item.name, column)
        return table

    return change


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _dictionaries(table: pa.Table) -> pa.Table:
    for place, item in enumerate(table.schema):
        if _is_text(item.type) or pa.types.is_binary(item.type):
            table = table.set_column(place, item.name, table[place].dictionary_encode())
    return table


def _lists(table: pa.Table) -> pa.Table:
    column = pa.array([[each] for each in table[0].to_pylist()])
    return table.set_column(0, table.column_names[0], column)


def lists(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.form != "parquet":
        return False
    sheet.arrow.append(_lists)
    sheet.lost()
    return True


text_as_bytes = _only_parquet("text_as_bytes", _cast(_is_text, pa.binary()))
large_text = _only_parquet("large_text", _cast(_is_text, pa.large_string()))
dictionaries = _only_parquet("dictionaries", _dictionaries)


def damaged(sheet: Sheet, rng: np.random.Generator) -> bool:
    if sheet.form != "parquet":
        return False
    share = float(rng.uniform(0.0, 0.99))
    sheet.last.append(lambda data: data[: int(len(data) * share)])
    sheet.lost()
    return True


OPERATORS: Final[tuple[Operator, ...]] = (
    drop_rows, cut_rows, double_rows, reorder_rows, contradict, header_twice, empty,
    blank_cell, blank_many, blank_stamp, word, infinite, negative, scale, declared_scale, swap_columns,
    reorder_columns, rename_column, mapped_column, extra_column, column_twice,
    shift, stamped_by_opening, ends_exchanged, one_end_shifted, last_tick, restamp, future, time_unit, mixed_units,
    exponent_stamps, coarse_floats, other_zone, naive, two_clocks, dates,
    thousands, decimal_comma, number_text, stamp_text, truth,
    mark, utf_16, nul, quoted, carriage_returns, other_separator, cut_file, long_row, short_row, comment, open_quote,
    compressed, upper_case, wrong_suffix, json_lines, lists, text_as_bytes, large_text, dictionaries, damaged,
)  # fmt: skip
"""Every operator."""
