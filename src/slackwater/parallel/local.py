"""Workers in this process and on this machine: threads, or processes that are replaced when one of them is lost."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, ClassVar

from slackwater.parallel.call import Outcome, call, call_packed, packed, packed_apart, unpacked_outcome
from slackwater.parallel.mapped import PackedFile
from slackwater.parallel.pooled import PooledWorkers
from slackwater.parallel.process import start

__all__ = ["ProcessWorkers", "ThreadWorkers"]


class ThreadWorkers(PooledWorkers):
    """Threads of this process, for kernels and libraries that release the GIL."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="task")

    @property
    def size(self) -> int:
        """Number of threads."""
        return self._count

    def load(self, function: Callable[[Any], Any]) -> Any:
        """Return the function."""
        return function

    def submit(self, loaded: Any, name: str, argument: Any) -> Future[Any]:
        """Queue a task."""
        return self._pool.submit(call, loaded, name, argument)

    def outcome(self, future: Future[Any]) -> Outcome:
        """Return the outcome."""
        return future.result()

    def close(self, *, at_once: bool) -> None:
        """Wait for the tasks that run; a thread cannot be ended."""
        self._pool.shutdown(cancel_futures=at_once)


class ProcessWorkers(PooledWorkers):
    """Processes of this machine, each a fresh Python: a fork would share threads and locks of libraries."""

    lost: ClassVar[tuple[type[BaseException], ...]] = (BrokenProcessPool,)

    def __init__(self, count: int) -> None:
        self._count = count
        self._directory = Path(tempfile.mkdtemp(prefix="slackwater-tasks-"))
        self._pool = self._started()

    def _started(self) -> Executor:
        return ProcessPoolExecutor(
            self._count, multiprocessing.get_context("spawn"), initializer=start, initargs=(os.getpid(),)
        )

    @property
    def size(self) -> int:
        """Number of processes."""
        return self._count

    def load(self, function: Callable[[Any], Any]) -> PackedFile:
        """Write the function to a file of this user alone, which each process maps."""
        content = packed_apart(function, "the function of the tasks")
        return PackedFile.write(content, self._directory / uuid.uuid4().hex)

    def submit(self, loaded: PackedFile, name: str, argument: Any) -> Future[Any]:
        """Queue a task."""
        return self._pool.submit(_call_from_file, loaded, name, packed(argument, name))

    def outcome(self, future: Future[Any]) -> Outcome:
        """Return the outcome, or raise BrokenProcessPool."""
        return unpacked_outcome(future.result())

    def unload(self, loaded: PackedFile) -> None:
        """Remove the file; processes that have mapped it keep what they need."""
        loaded.path.unlink(missing_ok=True)

    def recover(self) -> None:
        """Start processes anew: one that ended takes the others with it."""
        self._pool.shutdown()
        self._pool = self._started()

    def close(self, *, at_once: bool) -> None:
        """End the processes."""
        if at_once:
            for process in list((getattr(self._pool, "_processes", None) or {}).values()):  # no public way in 3.11
                process.terminate()
        self._pool.shutdown(cancel_futures=at_once)
        shutil.rmtree(self._directory, ignore_errors=True)


def _call_from_file(function: PackedFile, name: str, argument: bytes) -> bytes:
    return call_packed(str(function.path), function.read, name, argument)
