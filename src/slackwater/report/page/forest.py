"""Forest plots: one value with its 95 % interval per row, against a line at no difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slackwater.report.page.content import Table, known
from slackwater.report.page.drawing import Axis, Plot

__all__ = ["Row", "forest", "forest_table", "rows_of"]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: its label, value and interval (NaN where not known), and a remark that stands where there is no value."""

    label: str
    value: float
    low: float
    high: float
    note: str = ""

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
    return [
        Row(
            label=label,
            value=known(record.get(name)),
            low=known(record.get(f"{name}_low")),
            high=known(record.get(f"{name}_high")),
            note=str(record.get("note") or ""),
        )
        for label, record in records
    ]


def forest(rows: Sequence[Row], *, title: str, label: str, synthetic: bool, zero: float = 0.0) -> str:
    """Return the picture; a triangle up (down) lies wholly above (below) the line, a circle does not."""
    known = [each for row in rows for each in (row.value, row.low, row.high)]
    plot = Plot(
        label=label,
        x=Axis.around(title, known, include=[zero]),
        y=Axis(title="", low=-len(rows) + 0.5, high=0.5, ticks=[(-i, _short(row.label)) for i, row in enumerate(rows)]),
        synthetic=synthetic,
        height=90.0 + 21.0 * max(len(rows), 2),
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
