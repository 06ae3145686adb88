"""One recorder per session. ``make bench`` writes reports/benchmarks.json; a part of the benchmarks only prints."""

from __future__ import annotations

import os

# CPU seconds count, and a second thread spends them on waiting. Must stand before polars is imported.
os.environ["POLARS_MAX_THREADS"] = "1"

from pathlib import Path
from typing import Any

import pytest

from benchmarks.record import Recorder

HERE = Path(__file__).parent
REPORT = HERE.parent / "reports" / "benchmarks.json"
RECORDER = Recorder()
LEFT_OUT: list[pytest.Item] = []


@pytest.fixture(scope="session")
def record() -> Recorder:
    """Take the results of all benchmarks."""
    return RECORDER


def pytest_deselected(items: list[pytest.Item]) -> None:
    LEFT_OUT.extend(items)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the file if every benchmark ran and every result was equal, so that it never mixes two runs."""
    ran = {item.path for item in session.items}
    measured = bool(RECORDER.entries)  # --collect-only measures nothing
    if measured and exitstatus == pytest.ExitCode.OK and not LEFT_OUT and ran >= set(HERE.glob("bench_*.py")):
        RECORDER.write(REPORT)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not RECORDER.entries:
        return
    terminalreporter.section("benchmarks")
    for line in RECORDER.table():
        terminalreporter.write_line(line)
    done = (
        f"written to {RECORDER.written}" if RECORDER.written else "not all benchmarks ran and passed: nothing written"
    )
    terminalreporter.write_line(done)
