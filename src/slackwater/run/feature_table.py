"""The features of all bar closes of a run: one file per symbol, each made by a task of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from slackwater.errors import MissingDataError
from slackwater.features.engine import FeatureEngine
from slackwater.market.moves_of_others import PRICE_COLUMNS, write_moves_of_others
from slackwater.market.spec import FrameSpec
from slackwater.parallel import ObjectStore, run_file_tasks
from slackwater.run.features import FEATURE_TABLE
from slackwater.run.symbol_features import MadeFeatures, OneSymbol, SymbolFeatures
from slackwater.storage import atomic_directory
from slackwater.symbol_tables import SymbolTables, rows_of_symbol

__all__ = ["MadeFeatures", "write_feature_table"]


def write_feature_table(
    engine: FeatureEngine,
    spec: FrameSpec,
    *,
    tables: str | Path,
    out: str | Path = FEATURE_TABLE,
    shared: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> MadeFeatures:
    """Compute the features of every row of a directory of tables, symbol by symbol.

    The moves of all other symbols are the only inputs that need more than one symbol. They are computed first, from
    two columns of the bars and span by span, and no process holds more than a span or the tables of one symbol.

    Parameters
    ----------
    engine, spec
        Families of features, and settings of the frame.
    tables
        Directory of canonical tables; workers must see it under the same path, unless a store is shared.
    out
        Directory to write, with one file per symbol in order of symbols; it appears whole or not at all.
    shared
        URL of a store that all workers reach, such as ``s3://bucket/prefix``; by default that of ``SLACKWATER_SHARED``
        where tasks run on a cluster, and without it the directories are shared.
    progress
        Called with the symbols done and their total.

    Raises
    ------
    DataError
        As `MarketFrame.from_tables` and `FeatureEngine.transform`; the message names the symbol.
    SourceError
        If the store refuses or cannot be reached, here or on a worker.
    """
    store = None if shared is None else ObjectStore.of(shared, "`shared`")
    root = Path(tables).resolve()
    bars, rows, available = root / "bars.parquet", 0, frozenset[str]()
    if not bars.exists():
        raise MissingDataError(f"there is no table {bars}")
    names = SymbolTables(root, ["bars"]).with_rows("bars")
    thin = ((name, rows_of_symbol(bars, name, [*PRICE_COLUMNS])) for name in names)
    # The moves lie where workers see them, and are gone before the directory appears.
    with atomic_directory(out) as directory, TemporaryDirectory(dir=directory, prefix=".moves.") as moves:
        symbols = {
            name: OneSymbol(place, name) for place, name in enumerate(write_moves_of_others(thin, spec, Path(moves)))
        }
        of_symbol = SymbolFeatures(engine, spec, root, Path(moves).resolve(), directory.resolve())
        with run_file_tasks(of_symbol, symbols, store) as results:
            for done, made in enumerate(results, start=1):
                rows, available = rows + made.rows, available | made.available
                if progress is not None:
                    progress(done, len(symbols))
    return MadeFeatures(rows=rows, available=available)
