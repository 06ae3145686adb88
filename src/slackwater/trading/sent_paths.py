"""Price paths for workers that share no directory with this machine: by a store, one symbol at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from slackwater.parallel import ObjectStore, StoredFiles, chosen_store, place_of_one_run
from slackwater.storage import read_arrays, write_arrays
from slackwater.trading.price_path import PricePath
from slackwater.trading.read_paths import PathsThatAreRead

__all__ = ["paths_for_workers"]

_FILE: Final = "prices.npz"


@contextmanager
def paths_for_workers(paths: Mapping[str, PricePath], symbols: Collection[str]) -> Iterator[Mapping[str, PricePath]]:
    """Yield paths that can be read in whatever process: these, or copies in the store of the workers.

    Parameters
    ----------
    paths
        The paths of this process. What it reads when it is asked for a path must be shared, unless there is a store
        (`slackwater.parallel.chosen_store`).
    symbols
        The symbols that are read.

    Raises
    ------
    SourceError
        If the store refuses or cannot be reached, here or, when a path is asked for, on a worker.
    """
    store = chosen_store()
    if store is None:
        yield paths
        return
    with place_of_one_run(store, f"the prices of {len(symbols):,} symbols") as run:
        yield _StoredPaths({symbol: _put(run, place, symbol, paths) for place, symbol in enumerate(symbols)})


class _StoredPaths(PathsThatAreRead):
    """The path of each symbol, fetched from a store when it is asked for."""

    def __init__(self, files: Mapping[str, StoredFiles]) -> None:
        super().__init__()
        self._files = files

    def __reduce__(self) -> tuple[type[_StoredPaths], tuple[Mapping[str, StoredFiles]]]:
        """Send what is needed to fetch them, and no prices."""
        return _StoredPaths, (self._files,)

    def _read(self, symbol: str) -> PricePath:
        files = self._files[symbol]
        with TemporaryDirectory(prefix="slackwater-prices-") as temporary:
            files.fetch(Path(temporary))
            arrays = read_arrays(Path(temporary, _FILE))
        return PricePath(symbol=symbol, **arrays)

    def only(self, symbol: str) -> _StoredPaths:
        return _StoredPaths({symbol: self._files[symbol]})

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def _put(store: ObjectStore, place: int, symbol: str, paths: Mapping[str, PricePath]) -> StoredFiles:
    path = paths[symbol]
    with TemporaryDirectory(prefix="slackwater-prices-") as temporary:
        file = Path(temporary, _FILE)
        write_arrays({each.name: getattr(path, each.name) for each in fields(path) if each.name != "symbol"}, file)
        return StoredFiles.put(symbol, [(_FILE, file)], store, f"{place:05d}")
