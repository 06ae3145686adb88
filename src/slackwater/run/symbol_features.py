"""The features of one symbol: a task, which reads its rows from tables and writes one file."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from slackwater.features.engine import FeatureEngine
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUT_TABLES
from slackwater.market.moves_of_others import read_moves
from slackwater.market.spec import FrameSpec
from slackwater.market.tables import TABLES, Table
from slackwater.storage import write_parquet_parts
from slackwater.symbol_tables import files_of_symbol, rows_of_symbol

__all__ = ["MadeFeatures", "OneSymbol", "SymbolFeatures"]

_MOVES = "moves"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeFeatures:
    """What was made of one symbol, or of all.

    Parameters
    ----------
    rows
        Number of rows, those of bars.
    available
        The inputs that some table fed.
    """

    rows: int
    available: frozenset[str]


@dataclass(frozen=True, slots=True)
class OneSymbol:
    """A symbol to compute.

    Parameters
    ----------
    place
        Its place in the order of symbols.
    name
        Its name.
    """

    place: int
    name: str

    @property
    def file_name(self) -> str:
        """Name of the file of its features; a symbol may contain what a name of a file must not."""
        return f"{self.place:05d}-{quote(self.name, safe='')}.parquet"


@dataclass(frozen=True, slots=True)
class SymbolFeatures:
    """Makes the file of one symbol, in whatever process.

    Parameters
    ----------
    engine, spec
        Families of features, and settings of the frame.
    tables
        Directory of tables.
    moves
        Directory with the moves of the other symbols (`slackwater.market.moves_of_others`), a file per place.
    out
        Directory to write to.
    """

    engine: FeatureEngine
    spec: FrameSpec
    tables: Path
    moves: Path
    out: Path

    def __reduce__(self) -> tuple[Callable[..., SymbolFeatures], tuple[Any, ...]]:
        """Send the settings of the frame as plain values: the canonical tables hold functions of no module."""
        outside = self.spec.tables[len(TABLES) :]
        return _symbol_features, (self.engine, self.spec.to_dict(), outside, self.tables, self.moves, self.out)

    def inputs(self, symbol: OneSymbol) -> Iterable[tuple[str, Path]]:
        """Yield the files with the rows of a symbol, and with the moves of the others."""
        yield from files_of_symbol(self._paths().values(), symbol.name)
        yield f"{_MOVES}/{symbol.place:05d}", self._moves(symbol)

    def moved(self, source: Path, out: Path) -> SymbolFeatures:
        """Return the same with other directories."""
        return replace(self, tables=source, moves=source / _MOVES, out=out)

    def _moves(self, symbol: OneSymbol) -> Path:
        return self.moves / f"{symbol.place:05d}"

    def _paths(self) -> dict[str, Path]:
        paths = {name: self.tables / f"{name}.parquet" for name in INPUT_TABLES}
        return {name: path for name, path in paths.items() if path.exists()}

    def run(self, symbol: OneSymbol) -> MadeFeatures:
        """Write the file of a symbol."""
        own = {name: rows_of_symbol(path, symbol.name) for name, path in self._paths().items()}
        frame = MarketFrame.of_one_symbol(own, self.spec, read_moves(self._moves(symbol)))
        write_parquet_parts(self.engine.transform_parts(frame), self.out / symbol.file_name)
        return MadeFeatures(rows=frame.n_bars, available=frame.available)


def _symbol_features(
    engine: FeatureEngine, spec: dict[str, Any], outside: tuple[Table, ...], tables: Path, moves: Path, out: Path
) -> SymbolFeatures:
    return SymbolFeatures(engine, FrameSpec.from_dict(spec, tables=(*TABLES, *outside)), tables, moves, out)
