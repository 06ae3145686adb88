"""The first steps of a process that works for another one."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from functools import cache
from importlib import import_module
from typing import Final

__all__ = ["has_one_thread", "start", "use_one_thread"]

_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PR_SET_PDEATHSIG: Final = 1  # of <linux/prctl.h>


def start(parent: int) -> None:
    """Begin as a worker of a process: end when that one ends, and without a word at Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def has_one_thread() -> bool:
    """Return whether this process is a worker, in which a library must not use more than one thread."""
    return use_one_thread.cache_info().currsize > 0


@cache
def use_one_thread() -> None:
    """Give every library one thread, as there is one worker per processor, and share the cache of compiled kernels."""
    os.environ.update(dict.fromkeys(_THREADS, "1"))  # of libraries that are imported later
    import_module("slackwater.parallel.compile_lock").compile_one_after_the_other()
    import pyarrow

    pyarrow.set_cpu_count(1)
    try:
        import threadpoolctl
    except ModuleNotFoundError:  # scikit-learn brings it; without training there are no such threads
        return
    threadpoolctl.threadpool_limits(1)
