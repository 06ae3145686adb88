"""Content of a section of the report: findings, pictures and the tables behind them, free of HTML."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["UNKNOWN", "Picture", "Section", "Table", "interval", "known", "number", "percent", "words"]

UNKNOWN: Final = "not known"
"""What stands where a value is missing: never zero, never an empty cell."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells under a head.

    Parameters
    ----------
    head
        Names of the columns, with their unit.
    rows
        Cells as text, or as numbers, which are written with four significant digits.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Any]]

    @classmethod
    def of(cls, records: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> Table:
        """Return the table of some keys of records; `columns` gives the head of each key."""
        return cls(head=list(columns.values()), rows=[[row.get(key) for key in columns] for row in records])


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture with its finding and the table behind it.

    Parameters
    ----------
    title, finding
        Noun phrase, and what the picture shows as one sentence made from its numbers.
    drawing
        SVG, made by `slackwater.report.page.drawing`; empty where nothing could be drawn, and the finding says why.
    table
        The numbers of the picture.
    note
        How to read it; may be empty.
    wide
        Whether it takes the whole width of the page.
    """

    title: str
    finding: str
    drawing: str
    table: Table
    note: str = ""
    wide: bool = False


@dataclass(frozen=True, kw_only=True)
class Section:
    """One question with its answer.

    Parameters
    ----------
    name
        Short name, which is also the anchor of the section.
    question, answer
        The question of a trader, and the answer in one or two sentences.
    pictures
        What the answer rests on, in order.
    """

    name: str
    question: str
    answer: str
    pictures: Sequence[Picture]


def number(value: Any, digits: int = 3, unit: str = "") -> str:
    """Return a number with some significant digits and its unit; what is missing is "not known".

    Examples
    --------
    >>> number(12345.6), number(-0.01234, unit="R"), number(None)
    ('12,346', '-0.0123 R', 'not known')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return UNKNOWN
    if isinstance(value, float) and math.isinf(value):
        return "infinite"
    tail = f" {unit}" if unit else ""
    size = abs(value)
    if isinstance(value, int) or size >= min(10.0 ** (digits - 1), 1e4):
        return f"{value:,.0f}{tail}"
    decimals = digits - 1 - math.floor(math.log10(size)) if size > 0.0 else 0
    return f"{value:,.{min(decimals, 9)}f}{tail}"


def percent(value: Any, digits: int = 3) -> str:
    """Return a fraction as per cent.

    Examples
    --------
    >>> percent(0.0508657), percent(float("nan"))
    ('5.09 %', 'not known')
    """
    found = number(None if value is None else 100.0 * float(value), digits)
    return found if found == UNKNOWN else f"{found} %"


def interval(row: Mapping[str, Any], name: str, *, digits: int = 3, unit: str = "") -> str:
    """Return ``value (low to high)`` of the keys `name`, `name_low` and `name_high`.

    Examples
    --------
    >>> interval({"auc": 0.5648, "auc_low": 0.5297, "auc_high": 0.5965}, "auc")
    '0.565 (0.530 to 0.597)'
    """
    value, low, high = (row.get(f"{name}{end}") for end in ("", "_low", "_high"))
    tail = f" {unit}" if unit else ""
    return f"{number(value, digits)} ({number(low, digits)} to {number(high, digits)}){tail}"


def words(name: str) -> str:
    """Return a name of the code in words: ``open_interest`` is "open interest"."""
    return name.replace("_", " ")


def known(value: Any) -> float:
    """Return a number of a report as a float; None, which is not known there, is NaN."""
    return math.nan if value is None else float(value)
