"""Files that go from one machine to another by a store of objects: what a task reads, and what it has written."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Final
from weakref import WeakValueDictionary, finalize

from slackwater.errors import SourceError
from slackwater.parallel.object_store import ObjectStore, StoredObject
from slackwater.parallel.tasks import chosen_store, say

__all__ = ["StoredFiles", "directory_for_workers", "place_of_one_run"]

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.]+")
"""What the name of an object does not contain: a driver may read a meaning into it, such as that of `*` or `%2F`."""


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """Files in a store, each with its name below the directory in which it is read.

    Build it with `put`; it is sent to other processes as names and digests.

    Parameters
    ----------
    name
        Of the task that they belong to, or what they are; errors of the store begin with it.
    store
        The place of the run.
    objects
        The object of each file, by the name of the file.
    """

    name: str
    store: ObjectStore
    objects: tuple[tuple[str, StoredObject], ...]

    @classmethod
    def put(cls, name: str, files: Iterable[tuple[str, Path]], store: ObjectStore, place: str) -> StoredFiles:
        """Put files into a store, one after the other; what is put after the end of the run is removed again.

        Parameters
        ----------
        name
            As above.
        files
            Name of each file, below whatever directory it is read in, and its path here. A path is read before the
            next one is asked for.
        store
            The place of the run.
        place
            Where in it, which nobody else uses.

        Raises
        ------
        SourceError
            If the store refuses or cannot be reached.
        """
        made = []
        for number, (file, path) in enumerate(files):
            with _errors_begin_with(name):
                stored = store.put(path, f"{place}/{number}-{_UNSAFE.sub('-', file)}")
                store.remove_if_ended(stored.name)
            made.append((file, stored))
        return cls(name, store, tuple(made))

    def fetch(self, directory: Path) -> None:
        """Write the files below a directory.

        Raises
        ------
        SourceError
            If the run has ended, a file is not what was put there, or the store refuses or cannot be reached.
        """
        with _errors_begin_with(self.name):
            self.store.require_run()  # in seconds, where a large object has minutes
            for name, stored in self.objects:
                path = directory / name
                path.parent.mkdir(parents=True, exist_ok=True)
                self.store.get(stored, path)


@contextmanager
def _errors_begin_with(name: str) -> Iterator[None]:
    """Name the task in an error of the store, also where the name of the object contains that of the task."""
    try:
        yield
    except SourceError as error:
        raise SourceError(f"{name}: {error}") from None


@contextmanager
def place_of_one_run(store: ObjectStore, what: str) -> Iterator[ObjectStore]:
    """Yield a place in a store (`ObjectStore.of_one_run`), and report whose it is and what goes there."""
    with store.of_one_run(say) as run:
        say(f"{what} go to the workers by {run}, which is removed at the end")
        yield run


@contextmanager
def directory_for_workers(root: Path, names: Iterable[str]) -> Iterator[os.PathLike[str]]:
    """Yield a directory that can be sent to workers and read there: itself, or copies of its files by a store.

    Copies are fetched when a worker first asks for the path, once per worker. They are removed with the last reference
    to the directory there, at the end of the worker at the latest.

    Parameters
    ----------
    root
        A directory of this machine, which workers see under the same path unless they share a store (`chosen_store`).
    names
        Names below it of the files that are read.

    Raises
    ------
    SourceError
        If the store refuses or cannot be reached, here or, when the path is asked for, on a worker.
    """
    store = chosen_store()
    if store is None:
        yield root.resolve()
        return
    what = "the tables of the run"
    with place_of_one_run(store, what) as run:
        yield _FetchedDirectory(StoredFiles.put(what, ((name, root / name) for name in names), run, "tables"))


class _FetchedDirectory(os.PathLike[str]):
    """A temporary directory with files of a store, fetched when its path is first asked for."""

    def __init__(self, files: StoredFiles) -> None:
        self._files = files
        self._copy: str | None = None
        self._one_fetches = threading.Lock()

    def __reduce__(self) -> tuple[object, tuple[StoredFiles]]:
        return _directory_of, (self._files,)

    def __fspath__(self) -> str:
        with self._one_fetches:
            if self._copy is None:
                copy = mkdtemp(prefix="slackwater-tables-")
                finalize(self, shutil.rmtree, copy, ignore_errors=True)
                self._files.fetch(Path(copy))
                self._copy = copy
            return self._copy


_directories: WeakValueDictionary[StoredFiles, _FetchedDirectory] = WeakValueDictionary()


def _directory_of(files: StoredFiles) -> _FetchedDirectory:
    """Return the directory of files; one for all to whom it is sent in this process, as long as one of them has it."""
    return _directories.setdefault(files, _FetchedDirectory(files))
