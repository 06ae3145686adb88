"""Operators that spoil what a user gives: tables, rows, JSON, arrays and single values.

An operator of a table says what must come of it: ``equal`` (the same features), ``refused`` (an error of
`slackwater.errors`) or ``either`` (a market that could be, or a defect that a rule may find).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal

import numpy as np
import pandas as pd

Outcome = Literal["equal", "refused", "either"]
Spoil = Callable[[np.random.Generator, pd.DataFrame], Any]

HOSTILE: tuple[Any, ...] = (
    *(None, True, "", "x", "1,5", "nan", "１", "0x10", "1_0", b"1", 10**400, -(10**400), float("nan"), float("inf")),
    *(
        -float("inf"),
        -1,
        -1.0,
        0,
        1e300,
        Decimal("NaN"),
        Decimal("1e999"),
        [],
        [1.0],
        (),
        {},
        {"a": 1},
        set(),
        object(),
    ),
    *(1j, pd.NaT, pd.NA, np.array([1.0, 2.0]), np.datetime64("2024-01-01"), pd.Timedelta("1h"), datetime(2024, 1, 1)),
    *(datetime(9999, 1, 1, tzinfo=UTC), pd.Timestamp("2262-01-01", tz="UTC"), "\ud800", "\x1b[2J", int, lambda: 1),
)
"""Values that no number, text or time should be; each may be given wherever a user gives a value."""

EXACT: tuple[Callable[[float], Any], ...] = (
    repr,
    Decimal,
    np.float64,
    np.longdouble,
    lambda x: f"+{x!r}" if x > 0 else repr(x),
)
"""Other types in which the same number can be given without loss."""


def any_of(rng: np.random.Generator, values: Any) -> Any:
    return list(values)[rng.integers(len(list(values)))]


def _column(rng: np.random.Generator, table: pd.DataFrame, kinds: str) -> str:
    return any_of(rng, [name for name in table if table[name].dtype.kind in kinds and name != "index"])


def _with_cell(rng: np.random.Generator, table: pd.DataFrame, name: str, value: Any) -> pd.DataFrame:
    cells = list(table[name].astype(object))
    cells[rng.integers(len(cells))] = value
    return table.assign(**{name: pd.Series(cells, dtype=object, index=table.index)})


def _cell(kinds: str, *values: Any) -> Spoil:
    return lambda rng, table: _with_cell(rng, table, _column(rng, table, kinds), any_of(rng, values))


def _whole(kinds: str, change: Callable[[pd.Series], Any]) -> Spoil:
    def spoil(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
        name = _column(rng, table, kinds)
        return table.assign(**{name: change(table[name])})

    return spoil


def _times(change: Callable[[pd.Series], Any]) -> Spoil:
    return lambda rng, table: table.assign(
        **{name: change(table[name]) for name in table if table[name].dtype.kind == "M"}
    )


def _page_twice(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    start = int(rng.integers(max(len(table) - 60, 1)))
    return pd.concat([table, table.iloc[start : start + 60]])


def _doubled_column(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table[[any_of(rng, table.columns)]]], axis=1)


def _without_rows(rng: np.random.Generator, table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(index=table.index[rng.random(len(table)) < 0.02])


TABLE: dict[str, tuple[Outcome, Spoil]] = {
    # the same rows in another form
    "as pyarrow reads it": ("equal", lambda _, t: t.convert_dtypes(dtype_backend="pyarrow")),
    "nullable types": ("equal", lambda _, t: t.convert_dtypes(dtype_backend="numpy_nullable")),
    "texts as categories": ("equal", _whole("O", lambda c: c.astype("category"))),
    "texts as objects": ("equal", _whole("O", lambda c: c.astype(object))),
    "numbers as Decimal": ("equal", _whole("f", lambda c: c.map(lambda x: Decimal(repr(x))).astype(object))),
    "numbers as text": ("equal", _whole("f", lambda c: c.map(repr).astype(object))),
    "numbers as objects": ("equal", _whole("f", lambda c: c.astype(object))),
    "numbers as categories": ("equal", _whole("f", lambda c: c.astype("category"))),
    "times in nanoseconds": ("equal", _times(lambda c: c.dt.as_unit("ns"))),
    "times of another zone": ("equal", _times(lambda c: c.dt.tz_convert("Asia/Shanghai"))),
    "times as objects": ("equal", _times(lambda c: c.astype(object))),
    "rows of symbols interleaved": ("equal", lambda _, t: t.sort_values("event_time", kind="stable")),
    "columns in another order": ("equal", lambda rng, t: t[rng.permutation(t.columns)]),
    "another index": ("equal", lambda rng, t: t.set_index(pd.Index(rng.integers(0, 9, len(t)), name="symbol"))),
    "columns of lists beside": ("equal", lambda _, t: t.assign(extra=[[1, {}]] * len(t), other=[{}] * len(t))),
    # no tables, or without what a table needs
    "no table": ("refused", lambda rng, t: any_of(rng, (None, [], {}, t.to_dict("list"), "bars", 7, t.to_numpy()))),
    "a column lost": (
        "refused",
        lambda rng, t: t.drop(columns=any_of(rng, ("symbol", "event_time", "available_time"))),
    ),
    "a column twice": ("refused", _doubled_column),
    "columns by number": ("refused", lambda _, t: t.set_axis(range(t.shape[1]), axis=1)),
    "levels of columns": ("refused", lambda _, t: pd.concat({"a": t}, axis=1)),
    # values of another type
    "naive times": ("refused", _times(lambda c: c.dt.tz_localize(None))),
    "times as text": ("refused", _times(lambda c: c.astype(str))),
    "times as numbers": ("refused", _times(lambda c: c.astype("int64"))),
    "times as dates": ("refused", _times(lambda c: c.dt.date)),
    "a time that is none": ("refused", _cell("M", None, "2024-01-01", 1.7e9, datetime(2024, 1, 1), "x", [])),
    "a text that is none": (
        "refused",
        lambda rng, t: _with_cell(rng, t, "symbol", any_of(rng, ([], ["a"], {}, 7, None, ""))),
    ),
    "half a character": ("refused", lambda rng, t: _with_cell(rng, t, "symbol", "BTC\ud800")),
    "a terminal's command": ("refused", lambda rng, t: _with_cell(rng, t, "symbol", "BTC\x1b[2J")),
    "a number that is none": ("refused", _cell("f", "1,5", "x", "nan", True, [], {}, 10**400, Decimal("Infinity"), 1j)),
    "numbers as truth": ("refused", _whole("f", lambda c: c > 0)),
    "numbers as durations": ("refused", _whole("f", lambda c: pd.to_timedelta(c.clip(0, 9), unit="s"))),
    "complex numbers": ("refused", _whole("f", lambda c: c.astype("complex128"))),
    "infinite": ("refused", _cell("f", np.inf, -np.inf)),
    "missing": ("refused", _cell("f", np.nan, None, pd.NA)),
    # stamps that cannot be
    "milliseconds read as microseconds": (
        "refused",
        _times(lambda c: pd.to_datetime(c.astype("int64") // 10**6, unit="us", utc=True)),
    ),
    "stamps of the next century": ("refused", _times(lambda c: c + pd.Timedelta(days=365 * 150))),
    "known before it happened": ("refused", lambda _, t: t.assign(available_time=t["event_time"] - pd.Timedelta("1s"))),
    # markets that could be, or defects that a rule may find
    "a page twice": ("either", _page_twice),
    "rows lost": ("either", _without_rows),
    "cut short": ("either", lambda rng, t: t.iloc[: rng.integers(0, len(t))]),
    "another level": ("either", _whole("f", lambda c: c * 1000.0)),
    "negative": ("either", _whole("f", lambda c: -c)),
    "a value repeated": ("either", _whole("f", lambda c: c * 0.0 + c.iloc[0])),
    "rows in any order": ("either", lambda rng, t: t.iloc[rng.permutation(len(t))]),
    "an hour off": ("either", _times(lambda c: c + pd.Timedelta("1h"))),
    "symbols renamed": ("either", lambda _, t: t.assign(symbol=t["symbol"].str.lower())),
    "texts in capitals": ("either", _whole("O", lambda c: c.str.swapcase())),
}


# -- JSON ------------------------------------------------------------------------------------------------------


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, 1e300, -1e300, 10**30, 2**62, "", "x", "\x1b[31m", "../x", "nan", [], [0], {}),
    *([None], {"x": 1}, {"seconds": 1e300}, {"seconds": -1}, {"seconds": True}, {"seconds": 3e11}, {"seconds": "1"}),
    *(_nested(900), _nested(25), {"seconds": 1e-7}, ["a", 1], [[]], 1e-12, "a" * 5000),
)


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in JSON."""
    found = [path] if path else []
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        found += places(value, (*path, key))
    return found


def spoil_json(rng: np.random.Generator, content: Any) -> Any:
    """Return a copy in which one value is replaced, lost, renamed, scaled or moved."""
    out = copy.deepcopy(content)
    every = places(out)
    # Short paths first: there are few sections, and many numbers in the longest list.
    path = any_of(rng, [p for p in every if len(p) <= rng.integers(1, 7)])
    owner = out
    for key in path[:-1]:
        owner = owner[key]
    key, how = path[-1], rng.integers(6)
    if how == 0:
        del owner[key]
    elif how == 1 and isinstance(owner, dict):
        owner[f"{key}_"] = owner.pop(key)
    elif how == 2 and isinstance(owner[key], (int, float)):
        owner[key] = owner[key] * any_of(rng, (-1, 0.5, 1000, 1e30))
    else:
        owner[key] = any_of(rng, JSON_VALUES)
    return out


# -- arrays ----------------------------------------------------------------------------------------------------


def spoil_arrays(rng: np.random.Generator, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arrays of a saved state with one of them changed."""
    out = dict(arrays)
    name = any_of(rng, out)
    array = np.asarray(out[name])
    how = rng.integers(13)
    if how == 0:
        del out[name]
    elif how == 1:
        out[f"{name}x"] = out.pop(name)
    elif how == 2:
        out[name] = out[any_of(rng, arrays)]
    elif how == 3:
        out[name] = any_of(rng, HOSTILE)
    elif how == 4:
        out[name] = array[None]
    elif how == 5:
        out[name] = array.ravel()[:-1]
    elif how == 6:
        out[name] = array.astype("U8") if array.dtype.kind == "f" else array.astype(object)
    elif how == 7:
        out[name] = array.astype(">f8") if array.dtype.kind == "f" else array.ravel()
    elif how == 8:
        out[name] = np.zeros((0,))
    elif how == 9:
        out[any_of(rng, ("other/BTCUSDT", "note", "frames"))] = any_of(rng, HOSTILE)
    elif array.size and array.dtype.kind in "fi":
        changed = array.copy()
        changed.flat[rng.integers(array.size)] += any_of(rng, (1, 2**40))
        out[name] = changed
    else:
        out[name] = np.array("x")
    return out


def spoil_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Return bytes with some cut, changed, doubled or left out."""
    how, at = rng.integers(5), int(rng.integers(len(content)))
    if how == 0:
        return content[:at]
    if how == 1:
        return content[:at] + bytes([content[at] ^ (1 << int(rng.integers(8)))]) + content[at + 1 :]
    if how == 2:
        return content[:at] + content[at : at + 40] * 2 + content[at + 40 :]
    if how == 3:
        return content[:at] + content[at + int(rng.integers(1, 40)) :]
    return content[:at] + rng.bytes(8) + content[at + 8 :]
