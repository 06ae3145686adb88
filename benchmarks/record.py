"""The results of the benchmarks: one list, one table, one file."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from slackwater.storage import write_json


class Recorder:
    """Results of a session.

    Nothing here fails on a missed goal: a busy machine would fail the run, and a number would be lost. A missed goal
    is marked in the table.
    """

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.written: Path | None = None

    def __call__(
        self,
        *,
        name: str,
        value: float,
        unit: str,
        goal: float | None = None,
        at_least: bool = True,
        peer: str | None = None,
    ) -> None:
        """Add one result.

        Parameters
        ----------
        name
            Stable from run to run.
        value, unit
            What was measured; kept to four digits.
        goal
            Goal of the project; None if there is none.
        at_least
            Whether higher is better.
        peer
            What it was compared with, in the same run.
        """
        if any(entry["name"] == name for entry in self.entries):
            raise ValueError(f"there is already a result called {name!r}")
        value = float(f"{value:.4g}")
        self.entries.append(
            {"name": name, "value": value, "unit": unit, "goal": goal, "at_least": at_least, "peer": peer}
        )

    def sorted(self) -> list[dict[str, Any]]:
        """Return the results by name."""
        return sorted(self.entries, key=lambda entry: str(entry["name"]))

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        write_json(self.sorted(), path)
        self.written = path

    def table(self) -> Iterable[str]:
        """Yield the lines of the table."""
        wide = max((len(entry["name"]) for entry in self.entries), default=0)
        for entry in self.sorted():
            goal, value = entry["goal"], entry["value"]
            line = f"{entry['name']:<{wide}}  {value:>12,.7g} {entry['unit']:<18}"
            if goal is not None:
                met = value >= goal if entry["at_least"] else value <= goal
                line += f" {'>=' if entry['at_least'] else '<='} {goal:<9,.7g} {'met' if met else 'MISSED':<6}"
            else:
                line += " " * 20
            yield (line + (f"  {entry['peer']}" if entry["peer"] else "")).rstrip()


def cpu_seconds(calls: dict[str, Callable[[], object]], repetitions: int = 3) -> dict[str, float]:
    """Return the median CPU seconds of each call; the calls take turns, so that a busy machine slows all alike.

    What a call returns is freed after its clock has stopped.
    """
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repetitions):
        for name, call in calls.items():
            gc.collect()
            start = time.process_time()
            result = call()
            taken[name].append(time.process_time() - start)
            del result
    return {name: float(np.median(seconds)) for name, seconds in taken.items()}


def microseconds(call: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e3
