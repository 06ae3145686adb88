"""Tasks of the stages before the features: each reads and writes the files of one symbol, in whatever process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from slackwater.market.quality.ledger import Finding
from slackwater.run.tables import bar_span, examined, with_bars
from slackwater.simulation.market import MarketRequest, simulate_symbol
from slackwater.symbol_tables import SymbolTables, write_symbol

__all__ = ["SymbolExaminer", "SymbolMarket"]


@dataclass(frozen=True, slots=True)
class SymbolMarket:
    """Writes the simulated market of one symbol.

    Parameters
    ----------
    request
        The market of all symbols.
    directory
        Directory of tables to write to; workers see it under the same path.
    """

    request: MarketRequest
    directory: Path

    def write(self, symbol: str) -> tuple[datetime, datetime]:
        """Write the tables of a symbol; return the times of its first and last bar."""
        tables = simulate_symbol(self.request, symbol).tables
        write_symbol(symbol, tables, self.directory)
        return bar_span(tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolExaminer:
    """Examines the tables of one symbol, and writes those that can be used.

    Parameters
    ----------
    raw
        The tables as published.
    out
        Directory of tables to write to; workers see both under the same path.
    venue, spacing, archived
        As for `slackwater.run.tables.examined`.
    """

    raw: SymbolTables
    out: Path
    venue: str
    spacing: Mapping[str, timedelta]
    archived: bool

    def examine(self, symbol: str) -> list[Finding]:
        """Write the tables of a symbol without unusable rows, with bars, and return what was found."""
        own = self.raw.of(symbol)
        tables, found = examined(own, venue=self.venue, spacing=self.spacing, archived=self.archived)
        write_symbol(symbol, with_bars(tables, self.spacing["bars"]), self.out)
        return found.findings
