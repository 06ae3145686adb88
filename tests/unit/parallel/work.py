"""Functions that the tests of workers send to other processes."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from distributed import Status

from slackwater.errors import DataError
from slackwater.parallel import ObjectStore, run_tasks


def twice(number: int) -> int:
    return 2 * number


def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def process_of(number: int) -> tuple[int, int]:
    time.sleep(0.1)
    return number, os.getpid()


def refuses(number: int) -> int:
    """Refuse 3 at once, and 1 after a while."""
    if number == 1:
        time.sleep(0.3)
    if number in (1, 3):
        raise DataError(f"{number} is refused")
    return number


def fails(number: int) -> int:
    return number // 0


def dies_once(marker: str) -> str:
    """Kill the own process where the file of the marker is not there yet."""
    if not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return marker


def dies(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def runs_tasks(numbers: list[int]) -> list[Any]:
    """Run tasks of its own; return their results and the processes that made them, and its own process."""
    return [os.getpid(), *run_tasks(process_of, {str(n): n for n in numbers}, unless_chosen="2")]


def threads_of_libraries(_: int) -> list[int]:
    import lightgbm  # noqa: F401  (brings the threads of OpenMP)
    import numpy  # noqa: F401
    import threadpoolctl

    return [each["num_threads"] for each in threadpoolctl.threadpool_info()]


class Adder:
    """A method with data, as that of a trainer."""

    def __init__(self, amount: int) -> None:
        self.amount = amount

    def add(self, number: int) -> int:
        return number + self.amount


class Table:
    """Data of many megabytes, as those of a trainer."""

    def __init__(self, mib: int) -> None:
        self.values = pd.DataFrame(np.arange(mib * 2**17, dtype=np.float64).reshape(-1, 8))
        self.names = pd.Series(["BTCUSDT", "ETHUSDT"] * 1_000, dtype="category")

    def read(self, _: int) -> dict[str, Any]:
        """Return what is in memory after all values were read, in MiB, and facts of the values."""
        values = self.values.to_numpy()
        found = {"sum": float(values.sum()), "aligned": values.flags.aligned, "names": self.names.tolist()}
        status = Path("/proc/self/status").read_text()
        memory = {kind: int(re.search(rf"^{kind}:\s+(\d+)", status, re.M)[1]) / 1024 for kind in ("RssAnon", "VmRSS")}
        return found | memory

    def write(self, number: int) -> float:
        """Add to a value in place, and return what it was."""
        before = float(self.values.iloc[0, 0])
        self.values.iloc[0, 0] = before + number
        return before


def fails_or_writes(task: tuple[bool, str]) -> None:
    """Fail once the other task of the same path has begun, or begin and write its file seconds later."""
    fails, path = task
    begun = Path(f"{path}.begun")
    if fails:
        while not begun.exists():
            time.sleep(0.01)
        raise DataError("it has failed")
    begun.touch()
    time.sleep(6.0)
    Path(path).touch()


def requires_run(store: ObjectStore) -> None:
    store.require_run()


def pause(dask_worker: Any) -> None:
    """Have a worker begin no task, as one does that is short of memory."""
    dask_worker.status = Status.paused


def tasks_begun(dask_worker: Any) -> set[str]:
    """Return the names of the tasks that a worker has begun."""
    return {str(each[0]).split("-")[0] for each in dask_worker.state.log if "executing" in each}


def resume(dask_worker: Any) -> None:
    """Have a worker begin tasks again."""
    dask_worker.status = Status.running
