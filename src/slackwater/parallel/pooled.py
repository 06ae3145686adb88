"""The common part of all workers: tasks in order, bounded attempts, the first failure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from typing import Any, ClassVar, Final

from slackwater.parallel.call import Outcome, named
from slackwater.parallel.errors import WorkerError

__all__ = ["PooledWorkers", "SerialWorkers", "Tell", "Workers"]

Tell = Callable[[str], None]

_ATTEMPTS: Final = 3
_AHEAD: Final = 4
"""Tasks per worker that are begun before the first result is taken: results wait in memory until it is their turn."""
_POLL: Final = 0.25
_OTHERS_LOST: Final = 2.0


class Workers(ABC):
    """Runs tasks."""

    @abstractmethod
    def run(self, function: Callable[[Any], Any], tasks: Mapping[str, Any], tell: Tell) -> Iterator[Any]:
        """Yield the result of every task in order; `tell` receives a line per loss of a worker."""

    @abstractmethod
    def close(self, *, at_once: bool) -> None:
        """End the workers, after what they do now or at once."""


class SerialWorkers(Workers):
    """One task after the other, in this process."""

    def run(self, function: Callable[[Any], Any], tasks: Mapping[str, Any], tell: Tell) -> Iterator[Any]:
        """Yield the result of every task; one is begun when the one before it was taken."""
        for name, argument in tasks.items():
            try:
                found = function(argument)
            except Exception as error:
                renamed = named(error, name)
                if renamed is error:
                    raise
                raise renamed from error.__cause__
            yield found

    def close(self, *, at_once: bool) -> None:
        """Do nothing: the process goes on."""


class PooledWorkers(Workers):
    """Several tasks at a time, by futures. A function is loaded once, however many tasks call it."""

    lost: ClassVar[tuple[type[BaseException], ...]] = ()
    """What the future of a task raises if its worker was lost, through no fault of the task."""

    @property
    @abstractmethod
    def size(self) -> int:
        """Number of tasks that run at the same time, >= 1."""

    @abstractmethod
    def load(self, function: Callable[[Any], Any]) -> Any:
        """Make a function ready, and return what `submit` and `unload` know it by."""

    @abstractmethod
    def submit(self, loaded: Any, name: str, argument: Any) -> Future[Any]:
        """Start a task, or put it in the queue of the workers."""

    @abstractmethod
    def outcome(self, future: Future[Any]) -> Outcome:
        """Return the outcome of a task that has ended; raises one of `lost`."""

    def give_up(self, futures: Iterable[Future[Any]]) -> None:
        """Let tasks be, as far as they have not begun."""
        for future in futures:
            future.cancel()

    def unload(self, loaded: Any) -> None:
        """Forget a function."""

    def check(self, tell: Tell) -> None:
        """Report workers that were lost, and raise WorkerError if there are none left; called several times a second.

        So a process that waits for workers is never still, for which `dvc repro` would take it otherwise.
        """

    def recover(self) -> None:
        """Replace what was lost."""

    def run(self, function: Callable[[Any], Any], tasks: Mapping[str, Any], tell: Tell) -> Iterator[Any]:
        """Yield the result of every task in order; several are begun ahead."""
        run = _Run(self, function, tasks, tell)
        try:
            for i in range(len(run.names)):
                yield run.outcome_of(i).result()
        finally:
            run.end()


class _Run:
    """The state of one run of tasks: which are begun, which have ended, and how often each was lost."""

    def __init__(
        self, workers: PooledWorkers, function: Callable[[Any], Any], tasks: Mapping[str, Any], tell: Tell
    ) -> None:
        self.names = list(tasks)
        self._workers, self._function, self._tasks, self._tell = workers, function, tasks, tell
        self._loaded = workers.load(function)
        self._running: dict[int, Future[Any]] = {}
        self._ended: dict[int, Outcome] = {}
        self._losses: Counter[int] = Counter()
        self._begun, self._until = 0, len(self.names)

    def outcome_of(self, i: int) -> Outcome:
        """Return the outcome of a task, those before which were taken; begin others meanwhile."""
        while i not in self._ended:
            most = min(self._until, i + _AHEAD * self._workers.size)
            self._begin(range(self._begun, most))
            self._begun = max(self._begun, most)
            wait(self._running.values(), timeout=_POLL, return_when=FIRST_COMPLETED)
            self._workers.check(self._tell)
            self._take()
        return self._ended.pop(i)

    def end(self) -> None:
        """Give up what is not done."""
        self._workers.give_up(self._running.values())
        self._workers.unload(self._loaded)

    def _begin(self, wanted: range | list[int]) -> None:
        again = []
        for i in wanted:
            try:
                self._running[i] = self._workers.submit(self._loaded, self.names[i], self._tasks[self.names[i]])
            except self._workers.lost:
                again.append(i)
        if again:
            self._again(again)

    def _take(self) -> None:
        """Take the tasks that have ended; after a failure none that comes later is begun."""
        lost = self._lost_of_ended()
        if lost:
            wait(self._running.values(), timeout=_OTHERS_LOST)  # where one is lost, others often are
            self._again([*lost, *self._lost_of_ended()])

    def _lost_of_ended(self) -> list[int]:
        """Keep the outcomes of the tasks that have ended; return those whose worker was lost."""
        lost = []
        for i, future in list(self._running.items()):
            if not future.done():
                continue
            del self._running[i]
            try:
                outcome = self._workers.outcome(future)
            except self._workers.lost:
                lost.append(i)
                continue
            if outcome.error is not None:
                outcome = replace(outcome, error=named(outcome.error, self.names[i]))
                self._until = min(self._until, i + 1)
            self._ended[i] = outcome
        return lost

    def _again(self, lost: list[int]) -> None:
        self._losses.update(lost)
        names = ", ".join(self.names[i] for i in lost)
        worst = max(self._losses[i] for i in lost)
        if worst >= _ATTEMPTS:
            raise WorkerError(
                f"a worker was lost {worst} times in the tasks {names}: it was killed, or had too little memory; take "
                "fewer workers, or `--workers serial`"
            )
        self._tell(f"a worker was lost, so {names} run again (attempt {worst + 1} of {_ATTEMPTS})")
        self._workers.unload(self._loaded)
        self._workers.recover()
        self._loaded = self._workers.load(self._function)
        self._begin(lost)
