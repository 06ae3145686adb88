"""Numbers in whatever form a file has them: with thousands separators, a decimal comma, or as text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.types import Bools

__all__ = ["Numbers", "is_plain", "numbers"]

_BLANKS: Final = re.compile("[\u00a0\u2009\u202f]")
_APOSTROPHES: Final = re.compile("[\u2019`]")


@dataclass(frozen=True)
class _Form:
    """How a number is written: what parts its thousands (empty: nothing), and its decimal sign."""

    thousands: str
    decimal: str

    @property
    def pattern(self) -> str:
        groups = rf"\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+|" if self.thousands else ""
        whole = rf"(?:{groups}\d+)?"
        # At least one digit on one of the sides.
        return rf"[+-]?(?=[^eE]*\d){whole}(?:{re.escape(self.decimal)}\d*)?(?:[eE][+-]?\d+)?"


_PLAIN: Final = _Form("", ".")
_FORMS: Final = (_PLAIN, *(_Form(*each) for each in (",.", ".,", " .", " ,", "'.", "',")))


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Columns of numbers.

    Parameters
    ----------
    columns
        By name, ``float64``; NaN where a cell is blank or unreadable.
    unreadable : ndarray, shape (rows,)
        Rows with a cell that holds something else than a number.
    example
        One such cell with its column, for messages; empty if there is none.
    """

    columns: Mapping[str, pd.Series]
    unreadable: Bools
    example: str = ""


def is_plain(values: pd.Series) -> bool:
    """Return whether a column holds numbers, and not their text."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def numbers(columns: Mapping[str, pd.Series], where: str) -> Numbers:
    """Return columns of one file as numbers; the file writes all of them in one form.

    Parameters
    ----------
    columns
        Numbers or their text, by name. ``"1,337.00"``, ``"1 337,00"``, ``"1'337"`` and ``"1.337,00"`` are read where
        all cells together leave one reading.
    where
        File and table, for messages.

    Raises
    ------
    SchemaError
        If a column holds truth values, times or no number, or the cells can be read in two ways, such as ``"1,337"``.

    Examples
    --------
    >>> numbers({"x": pd.Series(["1,337.00", "5.25"])}, "a.csv").columns["x"].tolist()
    [1337.0, 5.25]
    """
    texts: dict[str, pd.Series] = {}
    for name, values in columns.items():
        if is_plain(values):
            continue
        if pd.api.types.is_string_dtype(values) or values.dtype in (object, "category"):
            texts[name] = _as_text(values)
        else:
            raise SchemaError(
                f"{where}: column `{name}` must hold numbers, holds `{values.dtype}`, first {values.head(3).tolist()}"
            )
    rows = len(next(iter(columns.values()))) if columns else 0
    unreadable: Bools = np.zeros(rows, dtype=np.bool_)
    example, read = "", {}
    form = _form_of(texts, where)
    for name, values in columns.items():
        if name not in texts:
            read[name] = values.astype("float64")
            continue
        cells = texts[name]
        strange = (cells.notna() & ~_match(cells, form)).to_numpy(dtype=bool)
        if strange.all() and rows:
            raise SchemaError(
                f"{where}: column `{name}` must hold numbers, holds `{values.dtype}`, first {values.head(3).tolist()}"
            )
        if strange.any():
            row = int(np.flatnonzero(strange)[0])
            example = example or f"`{name}` is {str(values.iloc[row])[:40]!r} in row {row}"
        unreadable |= strange
        read[name] = _values(cells.mask(strange), form)
    return Numbers(columns=read, unreadable=unreadable, example=example)


def _as_text(values: pd.Series) -> pd.Series:
    text = values.astype("str").str.strip()
    text = text.str.replace(_BLANKS, " ", regex=True).str.replace(_APOSTROPHES, "'", regex=True)
    return text.mask(values.isna() | (text == ""))


def _match(cells: pd.Series, form: _Form) -> pd.Series:
    return cells.str.fullmatch(form.pattern).fillna(False).astype(bool)


def _values(cells: pd.Series, form: _Form) -> pd.Series:
    if form.thousands:
        cells = cells.str.replace(form.thousands, "", regex=False)
    return cells.str.replace(form.decimal, ".", regex=False).astype("float64")


def _form_of(texts: Mapping[str, pd.Series], where: str) -> _Form:
    """Return the form that explains most cells, the plain one if it explains as many as any.

    Raises
    ------
    SchemaError
        If forms that explain the same cells give them different values.
    """
    if not texts:
        return _PLAIN
    whole = pd.concat(list(texts.values()), ignore_index=True).dropna()
    explained = {form: int(_match(whole, form).sum()) for form in _FORMS}
    most = max(explained.values())
    if explained[_PLAIN] == most:
        return _PLAIN
    best = [form for form, count in explained.items() if count == most]
    kept = whole[_match(whole, best[0])]
    first = _values(kept, best[0])
    for other in best[1:]:
        same = _match(kept, other).to_numpy(dtype=bool)
        different = ~same
        different[same] = (_values(kept[same], other) != first[same]).to_numpy()
        if different.any():
            cell = kept[different].iloc[0]
            raise SchemaError(
                f"{where}: {cell!r} can be read in two ways, as {_values(kept[different], best[0]).iloc[0]:g} or with "
                "its signs exchanged; write numbers with a decimal point and without thousands separators"
            )
    return best[0]
