"""A second process per stage, which reports an end that the stage itself can no longer report.

A library that runs out of memory may end the process from C++, or wait for a thread that is gone; the system may kill
it. So a stage runs in a child of the process that was started. The parent loads nothing that needs memory, and waits.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType

ENOUGH_MEMORY = "free memory or raise its limit (`ulimit -v`), or take fewer symbols or a shorter span"
AGAIN = "then run `dvc repro` again, which continues with this stage"
_STILL_SECONDS = 300
_NEAR = 0.8  # of the limit; what failed may have been a large request
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1  # of <linux/prctl.h>


def watch(stage: str, still_seconds: int = _STILL_SECONDS) -> None:
    """Return in a child process, where the stage goes on; the calling process waits, and ends as the child does.

    Where the child ends without having reached the end of Python, the parent writes one sentence. On Linux it ends a
    child that has got nowhere for `still_seconds`, and the child does not outlive its parent.
    """
    reader, writer = os.pipe()
    parent = os.getpid()
    # Held back until the parent can pass them on.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    child = os.fork()
    if child:
        os.close(writer)
        os._exit(_wait(stage, child, reader, still_seconds))
    os.close(reader)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
    atexit.register(os.write, writer, b".")  # does not run where a library or a signal ends the process
    sys.excepthook = _in_one_sentence(stage)


def _wait(stage: str, child: int, reader: int, still_seconds: int) -> int:
    """Wait for a stage, and return the exit status; what the stage could not report is written here."""
    interrupts: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))  # Ctrl-C reaches the child, too
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: os.kill(child, number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
    stillness = _Stillness(child, still_seconds)
    signal.signal(signal.SIGALRM, stillness)
    signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
    _, ended = os.waitpid(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0.0)
    status = os.waitstatus_to_exitcode(ended)
    os.set_blocking(reader, False)
    with suppress(BlockingIOError):  # a process that the stage started still has the other end
        if status >= 0 and os.read(reader, 1):
            return status
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    if stillness.over:
        what = f"it stood still for {still_seconds} s, most likely because memory ran out: {ENOUGH_MEMORY}"
    elif status in (-signal.SIGTERM, -signal.SIGHUP) or (status == -signal.SIGINT and interrupts):
        what = f"it was ended from outside ({how})"
    else:
        what = f"the system or a library ended it ({how}), most likely because memory ran out: {ENOUGH_MEMORY}"
    sys.stderr.write(f"\n{stage} failed: {what}; {AGAIN}\n")
    sys.stderr.flush()
    return 1


class _Stillness:
    """A handler of a signal that comes every second: it kills a process that has got nowhere for long.

    That is one that sleeps and has used no processor time; or one with a limit of its address space that spends its
    time in the system without getting memory, as libraries do that ask for it again and again.

    Seconds are counted by calls and not by a clock: neither process runs while the machine sleeps or the user has
    suspended both. A process that is stopped, or waits for a disk, is not still.
    """

    def __init__(self, process: int, seconds: int) -> None:
        self._process, self._seconds = process, seconds
        self._before = [0, 0, 0, 0]
        self._count = 0
        self._limited = resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY

    @property
    def over(self) -> bool:
        """Whether the process was killed."""
        return self._count >= self._seconds

    def __call__(self, number: int, frame: FrameType | None) -> None:
        try:
            fields = Path(f"/proc/{self._process}/stat").read_text(encoding="ascii", errors="replace")
        except OSError:
            return
        state, *rest = fields.rpartition(")")[2].split()
        # Processor time of all threads in user and in system mode; address space and memory.
        found = [int(field) for field in (*rest[10:12], *rest[19:21])]
        user, system, space, memory = (now - before for now, before in zip(found, self._before, strict=True))
        sleeps = state == "S" and user == system == 0
        asks = self._limited and space == memory == 0 and 3 * system > user
        self._count = self._count + 1 if sleeps or asks else 0
        self._before = found
        if self.over:
            os.kill(self._process, signal.SIGKILL)


def is_short_of_memory() -> bool:
    """Return whether this process has come near a limit of its address space, where libraries raise errors of any kind.

    An import, a compiler or a process that is started may then fail with something that does not mention memory.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return False
    try:
        rows = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        most = next(1024 * int(row.split()[1]) for row in rows if row.startswith("VmPeak:"))
    except (OSError, StopIteration, MemoryError):
        return False
    return most > _NEAR * limit


def _in_one_sentence(
    stage: str,
) -> Callable[[type[BaseException], BaseException, TracebackType | None], None]:
    """Return what reports an exception of the imports of a stage, which come before `_stage.run`."""

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            return  # Python ends by that signal, and the parent writes the sentence
        if issubclass(kind, MemoryError) or "failed to map" in str(error) or is_short_of_memory():
            sys.stderr.write(f"\n{stage} failed: the memory does not suffice to start: {ENOUGH_MEMORY}; {AGAIN}\n")
        else:
            sys.__excepthook__(kind, error, trace)

    return report
