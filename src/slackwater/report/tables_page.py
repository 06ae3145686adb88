"""The reference of canonical tables and their columns as a Markdown page (`docs/tables.md`)."""

from __future__ import annotations

from collections.abc import Iterable

from slackwater.durations import duration_text
from slackwater.market.tables import STAMP, Column, Table

__all__ = ["tables_page"]

_HEAD = """# Tables

The canonical tables and their columns, as `slackwater tables` prints them. A table is one file, `<table>.parquet` or
`.csv`, or whatever the entry of a data set maps to it. Only `bars` or `fine_bars` is required; the features of an
absent table are unknown, never zero. An optional column may be absent; where a value may be missing, it is an empty
cell.

*Known after* is the default time from the stamp of a row to the time at which it could be known
(`market: {available_after: ...}`), *stale after* the age beyond which a table counts as silent
(`market: {staleness: ...}`). No two rows have the same *key*.

Every table begins with these columns; `available_time` may be left out of your own files:
"""


def tables_page(tables: Iterable[Table]) -> str:
    """Return the page: one section per table with its lag, its key, the inputs that it feeds, and its columns."""
    parts = [_HEAD, *_rows(STAMP), ""]
    for table in tables:
        facts = [f"Known after {duration_text(table.lag)}"]
        if table.staleness is not None:
            facts.append(f"stale after {duration_text(table.staleness)}")
        facts.append(f"key: {', '.join(table.key)}" if table.key else "rows may repeat")
        feeds = f"inputs of features: {', '.join(table.inputs)}" if table.inputs else "not an input of features"
        parts += [f"## {table.name}", "", f"{'; '.join(facts)}; {feeds}.", ""]
        parts += [*_rows(table.columns[len(STAMP) :]), ""]
    return "\n".join(parts)


def _rows(columns: Iterable[Column]) -> list[str]:
    rows = ["| column | kind | unit or meaning | values | |", "|---|---|---|---|---|"]
    for column in columns:
        bound = "" if column.minimum is None else f"{'>' if column.positive else '≥'} {column.minimum:g}"
        marks = [name for name, holds in (("optional", column.optional), ("may be missing", column.nullable)) if holds]
        cells = [f"`{column.name}`", column.kind, column.unit, ", ".join(column.values) or bound, ", ".join(marks)]
        rows.append(f"| {' | '.join(cells)} |")
    return rows
