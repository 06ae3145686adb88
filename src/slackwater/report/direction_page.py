"""Page of direction in Markdown: by trigger, by horizon, and what "within 24 to 48 hours" comes to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from slackwater.report.markdown import markdown_table

__all__ = ["direction_page"]

_COLUMNS = (
    "`n` are events of the test blocks, `effective_n` the same by their uniqueness across symbols. AUC of the raw and "
    "of the calibrated probability, with 95 % intervals of blocks of calendar time; an interval is left out where the "
    "calendar is too short for one. `smallest_visible_auc` is the smallest AUC that these rows would have shown at "
    "t = 3: an AUC between .5 and it is not evidence of anything."
)

_SECTIONS = {
    "By trigger": (
        "by_trigger",
        "Direction at the headline horizon, {headline}, for the events of each trigger; an event at which several "
        "fired is in the row of each. `only_trains` are rows that the models learn from and that are never traded.",
    ),
    "By horizon": (
        "by_horizon",
        "Direction at each horizon, all triggers together, with barriers of one horizon in its own standard deviation. "
        "The models of the headline, {headline}, are fitted anew for every test block, those of the other horizons for "
        "every third.{left_out}",
    ),
    "By side": ("by_side", "Direction at the headline horizon after moves up and after moves down."),
    "By symbol": ("by_symbol", "Direction at the headline horizon for each symbol."),
}


def direction_page(
    title: str,
    tables: Mapping[str, Mapping[str, Mapping[str, Any]]],
    *,
    headline: str,
    shares: Mapping[str, Mapping[str, Any]],
    hours: Mapping[str, Mapping[str, Any]],
    left_out: tuple[str, ...] = (),
) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    title
        Name of the data set, with the word SYNTHETIC where the market was simulated.
    tables
        Of `slackwater.evidence.direction.DirectionReport.tables`.
    headline
        Name of the headline horizon.
    shares, hours
        Of `slackwater.evidence.direction.DirectionReport.reversals` and of `hours_to_barriers` there.
    left_out
        Horizons that the data cannot show, with the reason.
    """
    words = {"headline": headline, "left_out": f" Left out: {'; '.join(left_out)}." if left_out else ""}
    parts = [f"# {title}\n", _COLUMNS + "\n"]
    for heading, (name, text) in _SECTIONS.items():
        table = markdown_table(_groups(tables[name], name.removeprefix("by_")))
        parts.append(f"## {heading}\n\n{text.format(**words)}\n\n{table}\n")
    parts += [_reversals(shares), _hours(hours, headline)]
    return "\n".join(parts)


def _reversals(shares: Mapping[str, Mapping[str, Any]]) -> str:
    text = (
        "Share of all traded events whose reversal barrier, one multiple of the standard deviation over that horizon, "
        "comes before the continuation barrier. Without drift, and with barriers equally far away, a reversal is as "
        "frequent as a continuation; `reversal_expected` is that share, and empty where the barriers differ. That a "
        "reversal often comes within a day or two is therefore not a sign of an edge. `difference` is one where its 95 "
        "% interval lies above 0 (below 0, moves go on); `smallest_visible_difference` would have had t = 3."
    )
    rows = [{"within": key, **_cells(row, ("difference",))} for key, row in shares.items()]
    return f"## Reversals within each horizon\n\n{text}\n\n{markdown_table(pd.DataFrame(rows))}\n"


def _hours(hours: Mapping[str, Mapping[str, Any]], headline: str) -> str:
    text = (
        f"Hours from the entry to the close of the bar that touches the barrier, among the events that touch it within "
        f"{headline}: quantiles. Without drift both rows have the same distribution."
    )
    rows = [{"barrier": key, **row} for key, row in hours.items()]
    return f"## Time to reversal\n\n{text}\n\n{markdown_table(pd.DataFrame(rows))}\n"


def _groups(table: Mapping[str, Mapping[str, Any]], name: str) -> pd.DataFrame:
    """Return the rows of a table of direction, in words where nothing could have been seen."""
    rows = [{name: key, **_cells(row, ("auc_raw", "auc"))} for key, row in table.items()]
    for row in rows:
        if row["smallest_visible_auc"] > 1.0:
            row["smallest_visible_auc"] = "none: too few rows"
    return pd.DataFrame(rows)


def _cells(row: Mapping[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    """Return the cells of a row, with the interval of each of the columns in the cell of its value."""
    cells = {name: value for name, value in row.items() if not name.endswith(("_low", "_high"))}
    for column in columns:
        value, low, high = (row[f"{column}{end}"] for end in ("", "_low", "_high"))
        interval = "" if math.isnan(low + high) else f" ({low:.3f} to {high:.3f})"
        cells[column] = "" if math.isnan(value) else f"{value:.3f}{interval}"
    return cells
