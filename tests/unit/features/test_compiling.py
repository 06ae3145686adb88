"""The first start of all: families are compiled by several processes, and found by the one that needs them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines._closure import ROOT
from slackwater.features import compiling

FIRST_ROW = """
import sys
from datetime import UTC, datetime, timedelta

from numba.core import event

compiled = event.RecordingListener()
event.register("numba:compile", compiled)

import slackwater as sw
from slackwater.features.chosen_families import default_families

engine = sw.FeatureEngine(default_families(timedelta(minutes=5)))
row = {"symbol": "A", "event_time": datetime(2024, 1, 1, 0, 5, tzinfo=UTC)}
row |= dict.fromkeys(("open", "high", "low", "close"), 1.0)
values = engine.update(sw.FrameRow.from_mapping(row))
kernels = [each.data["dispatcher"].py_func for _, each in compiled.buffer if each.is_start]
print(sorted(f"{kernel.__module__}.{kernel.__name__}" for kernel in kernels if "slackwater" in kernel.__module__))
print(values.tobytes().hex())
"""


def first_row(cache: Path) -> tuple[str, str, str]:
    """Return the kernels that a new process compiles for its first row, that row, and what it said."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_ROW], capture_output=True, text=True, check=True, env=environment
    )
    compiled, row = done.stdout.splitlines()
    return compiled, row, done.stderr


several_processors = pytest.mark.skipif(os.cpu_count() == 1, reason="one processor: one process compiles all families")


@several_processors
def test_a_first_start_compiles_families_side_by_side_and_says_so(tmp_path: Path) -> None:
    """Catches a signature that the loop does not use: every family would be compiled twice."""
    cold, row, said = first_row(tmp_path)
    assert said == "compiling the features, once per version: about half a minute\n"
    assert "slackwater.features.families.advance_families" in cold
    assert "_advance'" not in cold
    assert not list(tmp_path.glob("compiling-*"))
    assert first_row(tmp_path) == ("[]", row, "")


@pytest.fixture
def cold(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have nothing compiled yet, and compiling take a while; the list tells how often it was begun."""
    begun: list[int] = []
    ended: list[int] = []

    def compile_in_processes(root: Path, number: int) -> None:
        begun.append(number)
        time.sleep(0.2)
        ended.append(number)

    monkeypatch.setattr(compiling, "_are_compiled", lambda root: bool(ended))
    monkeypatch.setattr(compiling, "_compile_in_processes", compile_in_processes)
    monkeypatch.setattr(compiling, "compile_families", compiling.compile_families.__wrapped__)
    return begun


@several_processors
def test_threads_that_start_at_once_compile_once(cold: list[int]) -> None:
    threads = [threading.Thread(target=compiling.compile_families) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(cold) == 1


def test_a_program_that_would_start_itself_compiles_alone(cold: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a frozen program, or one within another, that starts processes without end."""
    monkeypatch.setenv(compiling._CHILD, "1")
    compiling.compile_families()
    monkeypatch.delenv(compiling._CHILD)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    compiling.compile_families()
    monkeypatch.delattr(sys, "frozen")
    monkeypatch.setattr(sys, "executable", "")
    compiling.compile_families()
    assert not cold


@several_processors
def test_where_no_process_can_be_started_this_one_compiles_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a scorer that fails in a place that allows no processes, or whose cache has been removed."""
    monkeypatch.setattr(compiling, "_are_compiled", lambda root: False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "nothing"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiling.compile_families.__wrapped__()
    assert not list(tmp_path.glob("compiling-*"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "removed"))
    compiling.compile_families.__wrapped__()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "compiling-old"
    left.mkdir()
    os.utime(left, (0.0, 0.0))
    (tmp_path / "compiling-new").mkdir()
    compiling._compile_in_processes(tmp_path, 0)
    assert [each.name for each in tmp_path.iterdir()] == ["compiling-new"]
