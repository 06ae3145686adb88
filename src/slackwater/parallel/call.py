"""One task in another process: what is sent there, and what comes back.

Functions and arguments are sent as pickles between processes of one user or one cluster, as `concurrent.futures` and
Dask do; nothing that is kept in a file is one. They are packed here, so that what a worker lacks is reported by name.
"""

from __future__ import annotations

import io
import pickle
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from importlib import import_module
from types import FunctionType
from typing import Any, Final

from slackwater.errors import ParameterError
from slackwater.parallel.errors import WorkerError
from slackwater.parallel.process import use_one_thread

__all__ = [
    "TASK_NOTE",
    "Outcome",
    "Packed",
    "call",
    "call_packed",
    "in_task",
    "packed",
    "packed_apart",
    "unpacked_outcome",
]

TASK_NOTE: Final = "in the task"
"""Beginning of the note by which an error names its task where its text cannot."""
_in_task: ContextVar[bool] = ContextVar("in_task", default=False)
_functions: dict[str, Callable[[Any], Any]] = {}
_LARGE: Final = 1 << 20
"""Bytes from which on an array is packed apart."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A pickle, and the large arrays that lie apart from it, as bytes."""

    head: bytes
    arrays: tuple[memoryview, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all of it."""
        return len(self.head) + sum(each.nbytes for each in self.arrays)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task: a value, or an error with the lines of code that led to it."""

    value: Any = None
    error: Exception | None = None
    trace: str = ""

    def result(self) -> Any:
        """Return the value, or raise the error."""
        if self.error is None:
            return self.value
        if self.trace:
            self.error.add_note(f"in a worker:\n{self.trace}")
        raise self.error


def in_task() -> bool:
    """Return whether this code runs in a task of a worker: it has one processor, and starts no workers of its own."""
    return _in_task.get()


@contextmanager
def _as_task() -> Iterator[None]:
    token = _in_task.set(True)
    try:
        yield
    finally:
        _in_task.reset(token)


def call(function: Callable[[Any], Any], name: str, argument: Any) -> Outcome:
    """Run a task in a thread or process of a worker."""
    with _as_task():
        try:
            return Outcome(function(argument))
        except Exception as error:
            return Outcome(error=named(error, name))


def call_packed(key: str, function: Callable[[], Packed], name: str, argument: bytes) -> bytes:
    """Run a task in a process that was sent its function and argument (`packed`), and return its packed outcome.

    `function` returns the packed function of a key. It is unpacked once and kept until there is another one: its data
    may be most of what a worker holds.
    """
    use_one_thread()
    try:
        with _as_task():  # a function may read its tables when it is unpacked
            unpacked = _functions.get(key)
            if unpacked is None:
                _functions.clear()
                unpacked = _functions[key] = _unpacked(function(), name)
            given = _unpacked(Packed(argument), name)
    except WorkerError as error:
        return pickle.dumps(Outcome(error=error))
    outcome = call(unpacked, name, given)
    if outcome.error is not None:
        outcome = replace(outcome, trace="".join(traceback.format_exception(outcome.error)))
    try:
        made = pickle.dumps(outcome, protocol=5)
        if outcome.error is not None:
            pickle.loads(made)  # noqa: S301 -- of this process: an error may not survive the way back
    except Exception as error:
        what = outcome.error or error
        lost = WorkerError(f"{name}: {type(what).__name__}: {what}")
        return pickle.dumps(Outcome(error=lost, trace=outcome.trace))
    return made


def packed(content: Any, what: str) -> bytes:
    """Return what a worker is sent: a function with its data, or the argument of a task.

    A function of the module that was started is sent under the module's own name.

    Raises
    ------
    ParameterError
        If it cannot be sent, such as a function inside of another one.
    """
    return _pickled(content, what, None)


def packed_apart(content: Any, what: str) -> Packed:
    """Return what a worker is sent, with large arrays apart, which are not copied; errors as `packed`."""
    arrays: list[memoryview] = []

    def stays_in_pickle(array: pickle.PickleBuffer) -> bool:
        raw = array.raw()
        if raw.nbytes >= _LARGE:
            arrays.append(raw)
        return raw.nbytes < _LARGE

    return Packed(_pickled(content, what, stays_in_pickle), tuple(arrays))


def _pickled(content: Any, what: str, stays_in_pickle: Callable[[pickle.PickleBuffer], bool] | None) -> bytes:
    buffer = io.BytesIO()
    try:
        _Pickler(buffer, protocol=5, buffer_callback=stays_in_pickle).dump(content)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise ParameterError(f"{what} cannot be sent to another process: {error}") from error
    return buffer.getvalue()


def unpacked_outcome(content: bytes) -> Outcome:
    """Return the outcome that `call_packed` returned in a worker."""
    found = pickle.loads(content)  # noqa: S301 -- of a worker that this process has started or was told to use
    assert isinstance(found, Outcome)  # noqa: S101
    return found


def named(error: Exception, name: str) -> Exception:
    """Return an error that names the task, of the same type where its text is all that it is made of."""
    if name in str(error):
        return error
    # An ImportError states what is missing beside its text.
    if len(error.args) == 1 and isinstance(error.args[0], str) and not isinstance(error, ImportError):
        try:
            return _with_cause(type(error)(f"{name}: {error.args[0]}"), error)
        except Exception:  # noqa: S110 -- a class with other arguments keeps its error
            pass
    error.add_note(f"{TASK_NOTE} {name}")
    return error


def _with_cause(error: Exception, cause: Exception) -> Exception:
    error.__dict__.update(cause.__dict__)
    error.__cause__ = cause.__cause__
    error.__notes__ = list(getattr(cause, "__notes__", []))
    return error.with_traceback(cause.__traceback__)


class _Pickler(pickle.Pickler):
    """Sends a function or class of ``__main__`` under the name under which a worker can import it."""

    def reducer_override(self, obj: Any) -> Any:
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        if isinstance(obj, (FunctionType, type)) and obj.__module__ == "__main__" and spec is not None:
            return _by_name, (spec.name, obj.__qualname__)
        return NotImplemented


def _by_name(module: str, name: str) -> Any:
    found: Any = import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _unpacked(content: Packed, name: str) -> Any:
    try:
        return pickle.loads(content.head, buffers=content.arrays)  # noqa: S301 -- of the process that uses this worker
    except ModuleNotFoundError as error:
        raise WorkerError(
            f"{name}: the worker cannot import {error.name}, which the task needs: install it there, or start the "
            "worker in a directory in which it lies"
        ) from None
    except Exception as error:
        raise WorkerError(f"{name}: the worker cannot read its task: {type(error).__name__}: {error}") from None
