"""The features of symbols by workers that share no directory: rows go to them, and files come back, by a store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from slackwater.errors import SourceError
from slackwater.parallel import ObjectStore, StoredObject, run_tasks, say
from slackwater.run.symbol_features import MadeFeatures, OneSymbol, SymbolFeatures
from slackwater.storage import write_parquet
from slackwater.symbol_tables import rows_of_symbol

__all__ = ["features_by_store"]


@contextmanager
def features_by_store(
    store: ObjectStore, of_symbol: SymbolFeatures, symbols: Mapping[str, OneSymbol]
) -> Iterator[Iterator[MadeFeatures]]:
    """Put the rows of every symbol into a store, and yield what tasks make of them; all is removed after the block.

    Parameters
    ----------
    store
        Where workers find the rows of their symbol, and leave its features.
    of_symbol
        What is to be done with a symbol, with the directories of this machine.
    symbols
        The symbols by name.

    Raises
    ------
    SourceError
        If the store refuses or cannot be reached, here or on a worker.
    """
    with store.of_one_run(say) as run:
        say(f"the rows of {len(symbols):,} symbols go to the workers by {run}, which is removed at the end")
        tasks = {name: (symbol, _put_rows(run, of_symbol, symbol)) for name, symbol in symbols.items()}
        made = run_tasks(_ByStore(of_symbol, run).write, tasks)
        yield (_brought(run, of_symbol, symbol, *found) for symbol, found in zip(symbols.values(), made, strict=True))


@dataclass(frozen=True, slots=True)
class _ByStore:
    """Makes the features of one symbol in a directory of its own, with rows from a store."""

    of_symbol: SymbolFeatures
    store: ObjectStore

    def write(self, task: tuple[OneSymbol, dict[str, StoredObject]]) -> tuple[MadeFeatures, StoredObject]:
        """Make the features of a symbol from its rows, and put them into the store."""
        symbol, rows = task
        self.store.require_run()
        with TemporaryDirectory(prefix="slackwater-features-") as temporary:
            here = replace(self.of_symbol, tables=Path(temporary, "tables"), directory=Path(temporary, "features"))
            here.tables.mkdir()
            for name, stored in rows.items():
                self.store.get(stored, here.tables / f"{name}.parquet")
            made = here.write(symbol)
            # A worker that counts as lost may go on: its object must not get in the way of that of the next one.
            name = f"{symbol.place:05d}/features-{secrets.token_hex(4)}.parquet"
            stored = self.store.put(here.directory / symbol.file_name, name)
        self.store.remove_if_ended(stored.name)
        return made, stored


def _put_rows(store: ObjectStore, of_symbol: SymbolFeatures, symbol: OneSymbol) -> dict[str, StoredObject]:
    """Put the rows of a symbol, one object per table."""
    put = {}
    with TemporaryDirectory(prefix="slackwater-rows-") as temporary:
        for name, path in of_symbol.paths().items():
            rows = Path(temporary, path.name)
            write_parquet(rows_of_symbol(path, symbol.name), rows)
            put[name] = store.put(rows, f"{symbol.place:05d}/{path.name}")
            rows.unlink()
    return put


def _brought(
    store: ObjectStore, of_symbol: SymbolFeatures, symbol: OneSymbol, made: MadeFeatures, stored: StoredObject
) -> MadeFeatures:
    """Bring the file of a symbol into the directory of this machine."""
    try:
        store.get(stored, of_symbol.directory / symbol.file_name)
    except SourceError as error:
        raise SourceError(f"{symbol.name}: {error}") from None
    return made
