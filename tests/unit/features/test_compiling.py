"""The first start of all: families are compiled by several processes, and found by the one that needs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines._closure import ROOT

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


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="one processor: one process compiles all families")
def test_a_first_start_compiles_families_side_by_side_and_says_so(tmp_path: Path) -> None:
    """Catches a signature that the loop does not use: every family would be compiled twice."""
    cold, row, said = first_row(tmp_path)
    assert said == "compiling the features, once per version: about half a minute\n"
    assert "slackwater.features.families.advance_families" in cold
    assert "_advance'" not in cold
    assert not list(tmp_path.glob("compiling-*"))
    assert first_row(tmp_path) == ("[]", row, "")
