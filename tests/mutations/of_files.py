"""Operators on how a table is written: numbers as text, and the file around them."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.mutations.sheet import Operator, Sheet

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
    sheet.last.append(_with_long_row)
    sheet.lost()


def _with_long_row(data: bytes) -> bytes:
    line = data.split(b"\n")[1].rstrip(b"\r")
    return _insert_line(data, line + 2 * max((b",", b";", b"\t", b"|"), key=line.count) + b"9")


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
