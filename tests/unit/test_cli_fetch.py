"""The command `fetch`, as a user types it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from slackwater.config import load_params
from tests.command import slackwater
from tests.mirror.server import Mirror, running

SLACKWATER = str(Path(sys.executable).parent / "slackwater")


def run(mirror: Mirror, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SLACKWATER, "fetch", "--symbols", "BTCUSDT, ETHUSDT", "--from", "2024-01-03", "--to", "2024-01-05",
         "--out", str(out), "--mirror", mirror.url, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def entries(said: str) -> dict[str, Any]:
    """What is printed to be pasted below `datasets:`."""
    return dict(yaml.safe_load(said.partition("below `datasets:`:\n")[2]))


def test_it_fills_a_directory_and_says_what_was_missing(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        done = run(mirror, tmp_path / "out", "--tables", "fine_bars,open_interest")
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(tmp_path / "out" / "fine_bars.parquet")) == 2 * 2 * 1440
    assert "missing: ETHUSDT metrics 2024-01-03 to 2024-01-04" in done.stdout
    assert "too short, there will be no test block and training will stop" in done.stdout
    entry = entries(done.stdout)["out"]
    assert entry["symbols"] == ["BTCUSDT", "ETHUSDT"]


def test_an_error_is_one_line_and_not_a_traceback(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        done = run(mirror, tmp_path / "out", "--tables", "candles")
        assert done.returncode == 1
        assert done.stderr.strip().startswith("slackwater: ParameterError: `tables` must be among fine_bars")
        gone = run(mirror, tmp_path / "out", "--venue", "okx", "--source", "archive")
    assert "there is no archive of okx" in gone.stderr
    assert "Traceback" not in done.stderr + gone.stderr
    assert not (tmp_path / "out").exists()


def test_the_printed_entry_is_one_that_the_parameters_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the entry that the user is told to paste is refused by the parameters."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    with running(Mirror()) as mirror:
        done = run(mirror, Path("data/external/made_up"), "--tables", "fine_bars")
    assert done.returncode == 0, done.stderr
    params["datasets"] |= entries(done.stdout)
    params["dataset"] = "made_up"
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    assert load_params("params.yaml").dataset.symbols == ["BTCUSDT", "ETHUSDT"]


@pytest.mark.parametrize("day", ["03/02/2024", "Jan 2", "2024-13-01", "yesterday", "0001-01-01", ""])
def test_a_date_is_never_guessed(day: str, tmp_path: Path) -> None:
    """The third of February, or the second of March? And of which year?"""
    with running(Mirror()) as mirror:
        done = slackwater("fetch", "--symbols", "BTCUSDT", "--from", day, "--to", "2024-01-05",
                          "--out", str(tmp_path / "out"), "--mirror", mirror.url)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("slackwater: ParameterError: `--from` must")
    assert not mirror.requests


#: A shell that runs the tests in the background makes them ignore the interrupt, and their children would too.
INTERRUPTED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from slackwater.cli import main
main()
"""


def test_a_run_that_is_interrupted_says_how_it_goes_on(tmp_path: Path) -> None:
    with running(Mirror(chunk_pause=0.05)) as mirror:
        other = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, "fetch", "--symbols", "BTCUSDT", "--from", "2024-01-03",
             "--to", "2024-01-09",
             "--out", str(tmp_path / "out"), "--mirror", mirror.url, "--tables", "fine_bars"],
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        while not mirror.requests and other.poll() is None:
            time.sleep(0.05)
        other.send_signal(signal.SIGINT)
        _, said = other.communicate(timeout=60)
    assert other.returncode == 130
    assert "stopped; the same command continues from here" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
