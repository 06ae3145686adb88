"""The command, as a user types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

from slackwater import __version__
from slackwater.storage import write_tables
from tests.small_bundle import market

SLACKWATER = str(Path(sys.executable).parent / "slackwater")


def run(*arguments: str, fails: bool = False) -> str:
    done = subprocess.run([SLACKWATER, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_version() -> None:
    assert run("--version").strip() == __version__


def test_inspect_shows_the_verdict_and_says_synthetic(small_bundle: Path) -> None:
    output = run("inspect", "--bundle", str(small_bundle))
    assert "(SYNTHETIC)" in output
    assert "FAILED  real_data: 0, not simulated" in output


def test_score_writes_events(small_bundle: Path, tmp_path: Path) -> None:
    write_tables(market(), tmp_path / "tables")
    output = run("score", str(tmp_path / "tables"), str(tmp_path / "out.parquet"), "--bundle", str(small_bundle))
    assert "SYNTHETIC" in output
    events = pd.read_parquet(tmp_path / "out.parquet")
    assert events["p_direction"].between(0.0, 1.0).all()
    assert (events["direction"] != 0).all()


def test_a_known_error_is_one_line_and_not_a_traceback(tmp_path: Path) -> None:
    output = run("inspect", "--bundle", str(tmp_path), fails=True)
    assert output.startswith("slackwater: BundleError: ")
    assert "Traceback" not in output
