"""Tasks of the stages before the features: each reads and writes the files of one symbol, in whatever process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
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
    out
        Directory of tables to write to.
    """

    request: MarketRequest
    out: Path

    def inputs(self, symbol: str) -> Iterable[tuple[str, Path]]:
        """Return no files: a market comes from its request."""
        return ()

    def moved(self, source: Path, out: Path) -> SymbolMarket:
        """Return the same with another directory."""
        return replace(self, out=out)

    def run(self, symbol: str) -> tuple[datetime, datetime]:
        """Write the tables of a symbol; return the times of its first and last bar."""
        tables = simulate_symbol(self.request, symbol).tables
        write_symbol(symbol, tables, self.out)
        return bar_span(tables)


@dataclass(frozen=True, slots=True, kw_only=True)
class SymbolExaminer:
    """Examines the tables of one symbol, and writes those that can be used.

    Parameters
    ----------
    raw
        The tables as published.
    out
        Directory of tables to write to.
    venue, spacing, archived
        As for `slackwater.run.tables.examined`.
    """

    raw: SymbolTables
    out: Path
    venue: str
    spacing: Mapping[str, timedelta]
    archived: bool

    def inputs(self, symbol: str) -> Iterable[tuple[str, Path]]:
        """Yield the files of a symbol as published."""
        return self.raw.files_of(symbol)

    def moved(self, source: Path, out: Path) -> SymbolExaminer:
        """Return the same with other directories."""
        return replace(self, raw=SymbolTables(source), out=out)

    def run(self, symbol: str) -> list[Finding]:
        """Write the tables of a symbol without unusable rows, with bars, and return what was found."""
        own = self.raw.of(symbol)
        tables, found = examined(own, venue=self.venue, spacing=self.spacing, archived=self.archived)
        write_symbol(symbol, with_bars(tables, self.spacing["bars"]), self.out)
        return found.findings
