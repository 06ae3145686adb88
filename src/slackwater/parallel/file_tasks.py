"""Tasks that read and write files, on workers that see the directories of this machine or share none with it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Generic, Protocol, TypeVar

from slackwater.parallel.object_store import ObjectStore
from slackwater.parallel.stored_files import StoredFiles, place_of_one_run
from slackwater.parallel.tasks import chosen_store, run_tasks

__all__ = ["FileTask", "run_file_tasks"]

Argument = TypeVar("Argument")
Argument_contra = TypeVar("Argument_contra", contravariant=True)
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class FileTask(Protocol[Argument_contra, Result_co]):
    """What is done with each argument: it reads files that it names, and writes files below one directory."""

    @property
    def out(self) -> Path:
        """Directory that is there, below which it writes."""

    def inputs(self, argument: Argument_contra) -> Iterable[tuple[str, Path]]:
        """Yield the files that it reads: the name of each below the `source` of `moved`, and its path here."""

    def moved(self, source: Path, out: Path) -> FileTask[Argument_contra, Result_co]:
        """Return the same, which reads below another directory and writes below another one, both on a worker."""

    def run(self, argument: Argument_contra) -> Result_co:
        """Read and write the files of an argument, and return what else is to be known."""


@contextmanager
def run_file_tasks(
    task: FileTask[Argument, Result], tasks: Mapping[str, Argument], store: ObjectStore | None = None
) -> Iterator[Iterator[Result]]:
    """Yield the result of every task, as `run_tasks`; its files are there when its result is taken.

    By a store, a worker fetches the files that its task reads into a temporary directory, and puts there what it has
    written, which is brought below `task.out`. What is in the store is removed after the block.

    Parameters
    ----------
    task
        What is done with each argument.
    tasks
        The argument of each task by its name, as for `run_tasks`.
    store
        By default `chosen_store`, and without one the workers see the directories of this machine.

    Raises
    ------
    SourceError
        If the store refuses or cannot be reached, here or on a worker; the message names the task.
    """
    store = store or chosen_store()
    if store is None:
        yield run_tasks(task.run, tasks)
        return
    with place_of_one_run(store, f"the files of {len(tasks):,} tasks") as run:
        sent: dict[str, _Sent[Argument]] = {}
        for name, argument in tasks.items():
            place = f"{len(sent):05d}"
            sent[name] = _Sent(argument, StoredFiles.put(name, task.inputs(argument), run, place), place)
        yield (_brought(task, *each) for each in run_tasks(_ByStore(task).run, sent))


@dataclass(frozen=True, slots=True)
class _Sent(Generic[Argument]):
    """An argument, the files to read, and the place in the store for what is written."""

    argument: Argument
    files: StoredFiles
    place: str


@dataclass(frozen=True, slots=True)
class _ByStore(Generic[Argument, Result]):
    """Does a task in directories of its own, with files from a store."""

    task: FileTask[Argument, Result]

    def run(self, sent: _Sent[Argument]) -> tuple[Result, StoredFiles]:
        """Fetch the files of a task, do it, and put what it has written into the store."""
        with TemporaryDirectory(prefix="slackwater-task-") as temporary:
            source, out = Path(temporary, "source"), Path(temporary, "out")
            source.mkdir()
            out.mkdir()
            sent.files.fetch(source)
            result = self.task.moved(source, out).run(sent.argument)
            written = sorted(path for path in out.rglob("*") if path.is_file())
            # A worker that counts as lost may go on: its objects must not get in the way of those of the next one.
            place = f"{sent.place}/made-{secrets.token_hex(4)}"
            files = ((path.relative_to(out).as_posix(), path) for path in written)
            return result, StoredFiles.put(sent.files.name, files, sent.files.store, place)


def _brought(task: FileTask[Argument, Result], result: Result, made: StoredFiles) -> Result:
    """Return the result of a task whose files are brought to this machine."""
    made.fetch(task.out)
    return result
