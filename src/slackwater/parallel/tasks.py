"""Independent tasks: the same results in the same order, whoever runs them."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TypeVar

from slackwater.errors import ParameterError
from slackwater.parallel.call import in_task
from slackwater.parallel.choice import WorkerChoice
from slackwater.parallel.local import ProcessWorkers, ThreadWorkers
from slackwater.parallel.object_store import SHARED, ObjectStore
from slackwater.parallel.pooled import SerialWorkers, Tell, Workers

if TYPE_CHECKING:
    from slackwater.parallel.cluster import ClusterWorkers

__all__ = [
    "VARIABLE",
    "chosen_cluster",
    "chosen_store",
    "run_here",
    "run_tasks",
    "say",
    "use_workers",
]

VARIABLE: Final = "SLACKWATER_WORKERS"
"""The environment variable that chooses workers where no command does."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")

_chosen: ContextVar[Workers | None] = ContextVar("chosen", default=None)
_tell: ContextVar[Tell | None] = ContextVar("tell", default=None)
_of_environment: dict[WorkerChoice, Workers] = {}


def run_tasks(
    function: Callable[[Argument], Result], tasks: Mapping[str, Argument], *, unless_chosen: str = "serial"
) -> Iterator[Result]:
    """Yield the result of every task, in the order of the tasks.

    Workers are those of `use_workers`, else of the environment variable ``SLACKWATER_WORKERS``. A task that runs tasks
    of its own runs them itself. A result does not depend on who computed it; seeds must belong to tasks.

    Parameters
    ----------
    function
        A function of a module, a method of an object, or `functools.partial` of one: other processes import it.
    tasks
        The argument of each task, by the task's name, such as the symbol; the error of a task contains it.
    unless_chosen
        Workers where none are chosen (`WorkerChoice.of`).

    Raises
    ------
    Exception
        What the first task raised that failed; tasks after it are not begun.
    WorkerError
        If workers cannot be used, or the workers of a task were lost three times.
    """
    workers = SerialWorkers() if in_task() else _chosen.get() or _by_environment()
    if workers is None:
        return _by_own(WorkerChoice.of(unless_chosen), function, tasks)
    return workers.run(function, tasks, say)


def run_here(function: Callable[[Argument], Result], tasks: Mapping[str, Argument]) -> Iterator[Result]:
    """Yield the result of every task, each in this process, whatever the choice; errors are those of `run_tasks`."""
    return SerialWorkers().run(function, tasks, say)


def chosen_cluster() -> ClusterWorkers:
    """Return the workers of the Dask cluster that was chosen, for work that all of them do together.

    Raises
    ------
    ParameterError
        If no cluster was chosen, or this is a task of a worker.
    """
    from slackwater.parallel.cluster import ClusterWorkers

    if in_task():
        raise ParameterError("a task of a worker cannot use all workers: they would wait for each other")
    workers = _chosen.get() or _by_environment()
    if not isinstance(workers, ClusterWorkers):
        raise ParameterError(f"name a Dask cluster, such as `--workers dask://127.0.0.1:8786`, or by {VARIABLE}")
    return workers


def chosen_store() -> ObjectStore | None:
    """Return the place of ``SLACKWATER_SHARED`` where tasks run on a cluster, whose machines may share no directory.

    Raises
    ------
    ParameterError
        If it is not a URL of a store whose driver is installed.
    """
    from slackwater.parallel.cluster import ClusterWorkers

    if in_task() or not isinstance(_chosen.get() or _by_environment(), ClusterWorkers):
        return None
    url = os.environ.get(SHARED)
    return ObjectStore.of(url) if url else None


@contextmanager
def use_workers(text: str | None, *, tell: Tell | None = None) -> Iterator[None]:
    """Choose the workers of all `run_tasks` in a block, and end them after it.

    Parameters
    ----------
    text
        The choice (`WorkerChoice.of`); None leaves it to ``SLACKWATER_WORKERS`` and to what `run_tasks` is told.
    tell
        Called with a line per loss of a worker; standard error by default.

    Raises
    ------
    ParameterError
        If the choice cannot be read.
    WorkerError
        If its workers cannot be used.
    """
    choice = None if text is None else WorkerChoice.of(text, "--workers")
    told = _tell.set(tell or _tell.get())
    try:
        if choice is None:
            try:
                yield
            except BaseException:
                _end_those_of_environment()
                raise
            return
        workers = _start(choice)
        token, failed = _chosen.set(workers), True
        try:
            yield
            failed = False
        finally:
            _chosen.reset(token)
            workers.close(at_once=failed)
    finally:
        _tell.reset(told)


def _start(choice: WorkerChoice) -> Workers:
    if choice.kind == "serial":
        return SerialWorkers()
    if choice.kind == "dask":
        from slackwater.parallel.cluster import ClusterWorkers  # an extra brings Dask

        return ClusterWorkers(choice.address)
    return ThreadWorkers(choice.count) if choice.kind == "threads" else ProcessWorkers(choice.count)


def _by_environment() -> Workers | None:
    """Return the workers of the environment variable, which live as long as this process."""
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    choice = WorkerChoice.of(text, VARIABLE)
    if choice not in _of_environment:
        _of_environment[choice] = _start(choice)
        atexit.register(_end_those_of_environment)
    return _of_environment[choice]


def _end_those_of_environment() -> None:
    """End workers at once: at the exit of the process it is too late, as Python waits for their tasks before that."""
    for workers in _of_environment.values():
        workers.close(at_once=True)
    _of_environment.clear()


def _by_own(choice: WorkerChoice, function: Callable[[Any], Any], tasks: Mapping[str, Any]) -> Iterator[Any]:
    workers, failed = _start(choice), True
    try:
        yield from workers.run(function, tasks, say)
        failed = False
    finally:
        workers.close(at_once=failed)


def say(line: str) -> None:
    """Report what happens to workers, to the command that uses them."""
    tell = _tell.get()
    if tell is not None:
        tell(line)
    elif sys.stderr is not None:  # a service may have none
        sys.stderr.write(f"{line}\n")
