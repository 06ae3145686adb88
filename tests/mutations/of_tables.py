"""Operators that change a table of a user's own, and what the changed file still states.

A `Sheet` holds cells to write, and `meaning`, the canonical table that a reader has to return. Operators change both.
Where a file no longer has one right reading, the sheet is `broken`: a reader must refuse it, or leave rows out with a
finding; what is left must be rows of `meaning`. `OPERATORS` is the list; each takes a sheet and a random generator and
returns False where it does not apply.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.market.schemas import SCHEMAS
from tests.mutations.of_files import (
    carriage_returns,
    comment,
    compressed,
    cut_file,
    damaged,
    decimal_comma,
    dictionaries,
    header_twice,
    json_lines,
    large_text,
    lists,
    long_row,
    mark,
    nul,
    number_text,
    open_quote,
    other_separator,
    quoted,
    short_row,
    stamp_text,
    text_as_bytes,
    thousands,
    truth,
    upper_case,
    utf_16,
    wrong_suffix,
)
from tests.mutations.sheet import BARS, EVENTS, TIMES, Operator, Sheet


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


def empty(sheet: Sheet, rng: np.random.Generator) -> bool:
    sheet.same_rows(np.arange(0))
    sheet.lost()
    return True


# -- cells -----------------------------------------------------------------------------------------------------


def blank_cell(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.needed:
        return False
    row = _row(sheet, rng)
    _set(sheet, row, str(rng.choice(sheet.needed)), np.nan)
    sheet.lost()
    return True


def blank_many(sheet: Sheet, rng: np.random.Generator) -> bool:
    if not sheet.needed:
        return False
    column = str(rng.choice(sheet.needed))
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
