"""Coverage of tables: the span asked for and delivered, rows missing and masked, and the reasons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pandas as pd

from slackwater.market.quality.detectors import absent_tables
from slackwater.market.quality.ledger import Finding
from slackwater.market.quality.order import usual_spacing
from slackwater.market.schemas import SCHEMAS

__all__ = ["Coverage", "coverage", "coverage_page", "ends_apart"]

_TAKEN_OUT: Final = ("masked", "refused")
_LACKING: Final = ("gap", "history_begins", "history_ends", "missing_trades", "missing_file")
"""Rules whose rows are not in the table."""
_EXPLAINED: Final = ("not_delivered", "blank")
"""Rules whose rows are gaps too, where the table has a spacing to tell them by."""
_WORDS: Final = ("table", "symbol", "asked", "delivered", "missing", "masked", "why")


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """One table of one symbol.

    Parameters
    ----------
    table, symbol
        Which; every symbol (``*``) of a table that is absent.
    asked, delivered
        First and last stamp that were asked for, which is the span of the bars, and that are there; None: no row.
    rows
        Rows that are there.
    missing, masked
        Rows that are missing, as far as the spacing of the table tells, and that were taken out.
    why
        Rules that found them, with their rows.
    """

    table: str
    symbol: str
    asked: tuple[pd.Timestamp, pd.Timestamp] | None
    delivered: tuple[pd.Timestamp, pd.Timestamp] | None
    rows: int
    missing: int
    masked: int
    why: str


def coverage(tables: Mapping[str, pd.DataFrame], findings: Sequence[Finding], symbols: Sequence[str]) -> list[Coverage]:
    """Return what of each table and symbol is there.

    Parameters
    ----------
    tables
        Tables that are left when every rule was applied.
    findings
        What was found on the way, in reading and in validating.
    symbols
        The symbols of the data set.
    """
    grid = next((tables[name] for name in ("bars", "fine_bars") if name in tables), None)
    asked = {} if grid is None else _asked(grid)
    named = dict.fromkeys([*tables, *(finding.table for finding in findings)])
    out = []
    for name in (each for each in SCHEMAS if each in named):
        own = [finding for finding in findings if finding.table == name]
        others = [each.symbol for each in own if each.symbol not in symbols]
        for symbol in dict.fromkeys([*symbols, *others]):
            found = [finding for finding in own if finding.symbol == symbol]
            rows = tables[name][tables[name]["symbol"] == symbol] if name in tables else pd.DataFrame()
            why: dict[str, int] = {}
            for finding in found:
                why[finding.rule] = why.get(finding.rule, 0) + finding.rows
            explained = max(why.get(rule, 0) for rule in _EXPLAINED)
            out.append(
                Coverage(
                    table=name,
                    symbol=symbol,
                    asked=asked.get(symbol),
                    delivered=None if rows.empty else _span(rows),
                    rows=len(rows),
                    missing=max(explained, sum(why.get(rule, 0) for rule in _LACKING)),
                    masked=sum(each.rows for each in found if each.action in _TAKEN_OUT),
                    why=", ".join(f"{rule} {count:,}" if count else rule for rule, count in why.items()),
                )
            )
    unknown = "no file of this table: its features stay unknown"
    lost = [name for name in absent_tables(tables) if name not in named]
    nothing = {"asked": None, "delivered": None, "rows": 0, "missing": 0, "masked": 0}
    return out + [Coverage(table=name, symbol="*", why=unknown, **nothing) for name in lost]  # type: ignore[arg-type]


def coverage_page(lines: Sequence[Coverage]) -> Iterator[str]:
    """Yield the lines of a table in columns."""
    cells = [
        (
            line.table,
            line.symbol,
            _days(line.asked),
            f"{_days(line.delivered)}, {line.rows:,} rows" if line.delivered else "nothing",
            f"{line.missing:,}",
            f"{line.masked:,}",
            line.why or "-",
        )
        for line in lines
    ]
    widths = [max(len(row[place]) for row in [_WORDS, *cells]) for place in range(len(_WORDS))]
    for row in [_WORDS, *cells]:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def ends_apart(tables: Mapping[str, pd.DataFrame], grid: str) -> Iterator[Finding]:
    """Yield a finding for each regular table that begins later or ends earlier than the bars of its symbol.

    The bars of a symbol may begin later than those of others, with its listing, but not end earlier without a finding.

    Parameters
    ----------
    tables
        Canonical tables, in order.
    grid
        Name of the bars.
    """
    if grid not in tables:
        return
    bars = {symbol: _span(rows) for symbol, rows in tables[grid].groupby("symbol")}
    for name, table in tables.items():
        if SCHEMAS[name].key != ("symbol", "event_time"):
            continue
        asked, than = bars, "the bars: its features are unknown there"
        if name == grid:
            asked, than = _asked(table), "the bars of other symbols: settled, delisted, or lost?"
        for symbol, rows in table.groupby("symbol"):
            step = usual_spacing(rows["event_time"])
            if step is None or symbol not in asked:
                continue
            (first, last), (begins, ends) = asked[symbol], _span(rows)
            for rule, start, end, said in (
                ("history_begins", first, begins, "begins later"),
                ("history_ends", ends, last, "ends earlier"),
            ):
                rows_lacking = (end - start) // max(pd.Timedelta(step), pd.Timedelta(timedelta(seconds=1)))
                # A table of longer steps cannot have a row at each bar.
                if rows_lacking > 1:
                    yield Finding(
                        table=name,
                        symbol=str(symbol),
                        rule=rule,
                        start=start,
                        end=end,
                        rows=int(rows_lacking),
                        action="recorded",
                        note=f"the table {said} than {than}",
                    )


def _asked(grid: pd.DataFrame) -> dict[str, tuple[pd.Timestamp, pd.Timestamp]]:
    """Return the span of each symbol: from its first bar to the last bar of all symbols."""
    last = grid["event_time"].max()
    return {str(symbol): (rows["event_time"].min(), last) for symbol, rows in grid.groupby("symbol")}


def _span(rows: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    return rows["event_time"].min(), rows["event_time"].max()


def _days(span: tuple[pd.Timestamp, pd.Timestamp] | None) -> str:
    minute = len("2026-11-25 12:00")
    return "-" if span is None else f"{str(span[0])[:minute]} to {str(span[1])[:minute]}"
