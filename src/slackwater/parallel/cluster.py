"""Workers of a Dask cluster: each task is sent to one of them, and its function once to each that needs it."""

from __future__ import annotations

import logging
import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import Any, ClassVar, Final, NamedTuple

from slackwater.errors import MissingExtraError
from slackwater.parallel.background import begun
from slackwater.parallel.call import Outcome, call_packed, packed, packed_apart, unpacked_outcome
from slackwater.parallel.errors import WorkerError
from slackwater.parallel.facts import differences, facts, facts_digest
from slackwater.parallel.mapped import HeldPiece, Places, in_pieces, joined
from slackwater.parallel.pooled import PooledWorkers, Tell

__all__ = ["ClusterWorkers"]

_CONNECT: Final = 10.0
_ANSWER: Final = 20.0
"""Seconds within which a scheduler and its workers must answer: what is wrong is reported within 30 s in all."""
_CHECK_EVERY: Final = 1.0
_SOON: Final = 0.02
_COPIES: Final = 2
"""What a worker holds of a pickle at least: what it was sent, and what was in it."""
_ON_THE_WAY: Final = 2
"""Pieces of a function that are sent and not yet held."""


class _Loaded(NamedTuple):
    """A function that workers hold: its key, and the futures of its pieces."""

    key: str
    places: Places
    pieces: list[Any]


class ClusterWorkers(PooledWorkers):
    """The workers that a scheduler has, and those that join later.

    Parameters
    ----------
    address
        Address of the scheduler, such as ``tcp://127.0.0.1:8786``.

    Raises
    ------
    MissingExtraError
        If Dask is not installed.
    WorkerError
        If the scheduler cannot be reached, has no worker, or has one with other versions or other sources.
    """

    lost: ClassVar[tuple[type[BaseException], ...]] = (CancelledError,)

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ModuleNotFoundError as error:
            raise MissingExtraError(f'{error.name} is not installed: run `pip install "slackwater[scale]"`') from error
        self.address = address
        for name in ("distributed", "distributed.client"):  # what matters is reported here, in one sentence
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # versions are compared below
                client: Any = Client  # distributed is partly typed
                self.client = client(address, timeout=_CONNECT, set_as_default=False, name="slackwater")
        except (OSError, ImportError, TypeError, ValueError) as error:
            raise WorkerError(
                f"the scheduler {address} cannot be reached within {_CONNECT:.0f} s ({' '.join(str(error).split())}): "
                "start it with `dask scheduler`, or use `--workers serial`"
            ) from error
        try:
            self._known = self._require_equal_workers()
        except BaseException:
            self.client.close(timeout=2)
            raise
        self._facts = facts_digest(facts())
        self._sent: dict[Future[Any], Any] = {}
        self._checked = time.monotonic()
        self._missing_since: float | None = None
        self._paused_since: dict[str, float] = {}

    @property
    def size(self) -> int:
        """Number of workers now."""
        return max(len(self._known), 1)

    def names(self) -> list[str]:
        """Return the addresses of the workers that the scheduler has now, in order."""
        return sorted(self._workers())

    def load(self, function: Callable[[Any], Any]) -> _Loaded:
        """Have every worker hold the function that can be reached and has nothing else to do.

        Its pieces are results of tasks, which the scheduler runs again elsewhere where all are lost that hold one, and
        each worker takes them by a task of its own. What is scattered to all of them instead is lost with its holders,
        and keeps the scheduler trying for ever to reach a worker that is lost meanwhile.
        """
        self._missing_since, self._paused_since = None, {}
        content = packed_apart(function, "the function of the tasks")
        arrays = content.size - len(content.head)  # they are mapped
        self._require_room(_COPIES * len(content.head) + arrays, "the function of the tasks and its data")
        key = uuid.uuid4().hex
        until, pieces = time.monotonic() + _ANSWER, list[Any]()
        for number, each in enumerate(in_pieces(content)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is large, as it should be: sent once, not with every task
                pieces.append(self.client.submit(HeldPiece, each, key=f"piece-{key}-{number}", pure=False))
            # A worker that gets all of them at once has each in memory until it has written it.
            while sum(not piece.done() for piece in pieces) > _ON_THE_WAY and self._may_wait(until):
                time.sleep(_SOON)
        taken = {
            name: self.client.submit(_held_here, pieces, workers=[name], key=f"hold-{key}-{name}", pure=False)
            for name, running in self.client.processing().items()
            if not running  # it takes the function with its first task
        }
        until = time.monotonic() + _ANSWER
        while taken and self._may_wait(until):
            able = {name for name, worker in self._workers().items() if worker["status"] != "paused"}
            taken = {name: each for name, each in taken.items() if name in able and not each.done()}
            time.sleep(_SOON if taken else 0.0)
        return _Loaded(key, Places.of(content), pieces)

    def _may_wait(self, until: float) -> bool:
        return time.monotonic() < until and self.client.status == "running"

    def submit(self, loaded: _Loaded, name: str, argument: Any) -> Future[Any]:
        """Send a task."""
        content = packed(argument, name)
        self._require_room(_COPIES * len(content), name)
        sent = self.client.submit(
            *(_call_on_worker, self._facts, *loaded, name, content),
            key=f"{name}-{uuid.uuid4().hex}",  # shown in the dashboard, and never taken from an earlier call
            pure=False,
        )
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self._sent[future] = sent
        sent.add_done_callback(partial(_pass_on, future))
        return future

    def outcome(self, future: Future[Any]) -> Outcome:
        """Return the outcome, or raise CancelledError where the scheduler or the function was lost."""
        from distributed.scheduler import KilledWorker

        self._sent.pop(future, None)
        try:
            return unpacked_outcome(future.result())
        except KilledWorker as error:
            return Outcome(error=WorkerError(_killed(error, self._limits())))
        except ModuleNotFoundError as error:
            return Outcome(error=WorkerError(f"a worker cannot import {error.name}: install it there"))
        except OSError as error:
            if error.filename is None:  # of the connection
                raise
            return Outcome(error=error)  # of the file of a function

    def give_up(self, futures: Iterable[Future[Any]]) -> None:
        """Take tasks from the workers, as far as they have not begun."""
        given_up = [self._sent.pop(future) for future in list(futures) if future in self._sent]
        if self.client.status == "running":
            self.client.cancel(given_up)

    def unload(self, loaded: _Loaded) -> None:
        """Let the workers forget the function."""
        for piece in loaded.pieces:
            piece.release()

    def check(self, tell: Tell) -> None:
        """Report workers that have gone or pause; raise WorkerError where none works for long."""
        if time.monotonic() - self._checked < _CHECK_EVERY or self.client.status != "running":
            return
        self._checked = time.monotonic()
        now = self._workers()
        for name in sorted(set(self._known) - set(now)):
            tell(f"the worker {name} was lost: its tasks are run again by others")
        self._known = now
        if now:
            self._missing_since = None
            self._check_paused(tell)
            return
        self._missing_since = self._missing_since or time.monotonic()
        if time.monotonic() - self._missing_since > _ANSWER:
            raise WorkerError(f"the scheduler {self.address} has had no worker for {_ANSWER:.0f} s: start one")

    def _check_paused(self, tell: Tell) -> None:
        """Report workers that begin no task as their memory is short; take what they hold up, raise if all are so."""
        now, paused = time.monotonic(), {name: each for name, each in self._known.items() if each["status"] == "paused"}
        for name in sorted(set(paused) - set(self._paused_since)):
            tell(f"the worker {name} begins no task for now: {_short_of_memory(paused[name])}")
        # A task that has begun goes on while its worker is paused.
        self._paused_since = {
            name: now if _executing(each) else self._paused_since.get(name, now) for name, each in paused.items()
        }
        stuck = sorted(name for name, since in self._paused_since.items() if now - since > _ANSWER)
        if stuck and len(stuck) == len(self._known):
            raise WorkerError(
                f"no worker has begun a task for {_ANSWER:.0f} s: on {stuck[0]}, {_short_of_memory(paused[stuck[0]])}; "
                "raise its `--memory-limit`, or use `--workers serial`"
            )
        if stuck:
            self._take_back(stuck)

    def _take_back(self, stuck: Sequence[str]) -> None:
        """Cancel the tasks that wait on workers, so that they count as lost and others run them."""
        waiting = self.client.processing()
        keys = {str(key) for name in stuck for key in waiting.get(name, ())}
        if held_up := [sent for sent in self._sent.values() if sent.key in keys]:
            self.client.cancel(held_up)

    def recover(self) -> None:
        """Wait for the scheduler to come back, at the same address.

        Raises
        ------
        WorkerError
            If it does not within 20 s, or its workers are others.
        """
        until = time.monotonic() + _ANSWER
        while self.client.status == "connecting" and time.monotonic() < until:
            time.sleep(0.1)
        if self.client.status != "running":
            raise WorkerError(
                f"the connection to the scheduler {self.address} was lost and did not come back: start it and its "
                "workers again, then repeat the command"
            )
        self._known = self._require_equal_workers()

    def close(self, *, at_once: bool) -> None:
        """Leave the cluster as it is; tasks that are not done are given up."""
        self.client.close(timeout=5)

    def _workers(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.client.scheduler_info(n_workers=-1)["workers"]
        return dict(found)

    def _limits(self) -> list[int]:
        return [int(each.get("memory_limit") or 0) for each in self._known.values()]

    def _require_room(self, needed: int, name: str) -> None:
        """Refuse what no worker could hold: the scheduler would let it kill one worker after the other."""
        largest = max(self._limits(), default=0)
        if 0 < largest < needed:
            raise WorkerError(
                f"{name} needs {needed / 2**20:,.0f} MiB on a worker, the largest has a limit of "
                f"{largest / 2**20:,.0f} MiB: raise its `--memory-limit`, or use `--workers serial`"
            )

    def _require_equal_workers(self) -> Mapping[str, Any]:
        """Wait for a worker, and refuse those whose versions or sources are not those of this process."""
        from distributed import TimeoutError as NoAnswer

        until = time.monotonic() + _CONNECT + _ANSWER
        try:
            self.client.wait_for_workers(1, timeout=_CONNECT)
            while lost := self._lost_before_they_answered(self._answers(until)):
                if time.monotonic() > until - _ANSWER:
                    raise WorkerError(f"the worker {lost} cannot be reached: end it, or start it anew")
                time.sleep(_CHECK_EVERY)
        except (NoAnswer, TimeoutError) as error:
            raise WorkerError(
                f"the scheduler {self.address} has no worker that answers: start one with `dask worker`"
            ) from error
        return self._workers()

    def _answers(self, until: float) -> Mapping[str, Any]:
        """Return what each worker says of itself, or the error in the way of its answer."""
        asked = begun(partial(self.client.run, facts, on_error="return"), "question to workers")
        answers: Mapping[str, Any] = asked.result(timeout=max(min(_ANSWER, until - time.monotonic()), 0.0))
        return answers

    def _lost_before_they_answered(self, answers: Mapping[str, Any]) -> str:
        """Return the worker that could not be reached, if any; raise WorkerError where one is not as this process."""
        from distributed.comm.core import CommClosedError

        lost = ""
        for name, found in answers.items():
            if type(found) is OSError or isinstance(found, (CommClosedError, ConnectionError, TimeoutError)):
                lost = f"{name} ({found})"
            elif isinstance(found, BaseException):
                what = f"cannot import {found.name}" if isinstance(found, ModuleNotFoundError) else f"fails: {found}"
                raise WorkerError(f"the worker {name} {what}; it needs the same environment as this process")
            elif other := differences(facts(), found):
                raise WorkerError(f"the worker {name} is not of this version: {other}; results could differ")
        return lost


def _killed(error: Any, limits: list[int]) -> str:
    limit = f" of {max(limits) / 2**20:,.0f} MiB" if any(limits) else ""
    return (
        f"its workers were lost again and again, the last of them {error.last_worker.address}: most likely it "
        f"needs more memory than their limit{limit}"
    )


def _short_of_memory(worker: Mapping[str, Any]) -> str:
    limit = int(worker["memory_limit"] or 0) / 2**20
    used = f"{int(worker['metrics']['memory']) / 2**20:,.0f} MiB"
    return f"{used} of its limit of {limit:,.0f} MiB are in use" if limit else f"{used} are in use"


def _executing(worker: Mapping[str, Any]) -> bool:
    return bool(worker["metrics"]["task_counts"].get("executing"))


def _pass_on(future: Future[Any], sent: Any) -> None:
    """Give the result of a task on a worker to those who wait for it here."""
    try:
        future.set_result(sent.result())
    except BaseException as error:
        future.set_exception(CancelledError(str(error)) if sent.cancelled() else error)


def _held_here(pieces: Sequence[HeldPiece]) -> None:
    """Have a worker take a function from other ones, which it keeps for its tasks."""


def _call_on_worker(
    wanted: str, key: str, places: Places, pieces: Sequence[HeldPiece], name: str, argument: bytes
) -> bytes:
    """Run a task on a worker; one that has joined since the start is compared here."""
    if facts_digest(facts()) != wanted:
        raise WorkerError(f"{name}: a worker that has joined is not of this version")
    return call_packed(key, partial(joined, places, pieces), name, argument)
