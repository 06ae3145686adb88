"""Forest plots: one value with its 95 % interval per row, against a line at no difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slackwater.report.page.content import Table, known
from slackwater.report.page.drawing import Axis, rows_plot

__all__ = ["Row", "forest", "forest_table", "rows_of"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its label, value and interval (NaN where not known), and a remark for where there is no value."""

    label: str
    value: float
    low: float
    high: float
    note: str = ""

    @classmethod
    def of(cls, label: str, value: Any, low: Any, high: Any, note: Any = "") -> Row:
        """Return the row of cells of a report, in which None is not known."""
        return cls(label=label, value=known(value), low=known(low), high=known(high), note=str(note or ""))

    @property
    def kind(self) -> str:
        """Return the class of its colour: a gain or a loss by more than chance, or neither."""
        return "gain" if self.low > 0.0 else "loss" if self.high < 0.0 else "plain"

    @property
    def shape(self) -> str:
        """Return its mark, so that the colour is never alone."""
        return {"gain": "up", "loss": "down", "plain": "circle"}[self.kind]


def rows_of(records: Sequence[tuple[str, Any]], name: str) -> list[Row]:
    """Return the rows of labelled records with the keys `name`, `name_low`, `name_high` and perhaps ``note``."""
    keys = (name, f"{name}_low", f"{name}_high", "note")
    return [Row.of(label, *(record.get(key) for key in keys)) for label, record in records]


def forest(rows: Sequence[Row], *, title: str, label: str, synthetic: bool, zero: float = 0.0) -> str:
    """Return the picture; a triangle up (down) lies wholly above (below) the line, a circle does not."""
    found = [each for row in rows for each in (row.value, row.low, row.high)]
    plot = rows_plot(
        [_short(row.label) for row in rows],
        Axis.around(title, found, include=[zero]),
        label=label,
        synthetic=synthetic,
        left=206.0,
    )
    plot.rule(x=zero)
    for place, row in enumerate(rows):
        if math.isnan(row.value):
            plot.text(plot.x.low, -place, _short(row.note or "not measured", 46))
            continue
        at = Row(label="", value=row.value - zero, low=row.low - zero, high=row.high - zero)
        plot.line([row.low, row.high], [-place, -place], kind=at.kind)
        plot.points([row.value], [-place], kind=at.kind, shape=at.shape)
    return plot.svg()


def forest_table(rows: Sequence[Row], first: str, value: str) -> Table:
    """Return the numbers of a forest plot."""
    head = [first, value, "low, 95 %", "high, 95 %", "remark"]
    return Table(head=head, rows=[[row.label, row.value, row.low, row.high, row.note] for row in rows])


def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
