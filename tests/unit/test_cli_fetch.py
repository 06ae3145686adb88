"""The command `fetch`, as a user types it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from slackwater.config import load_params
from tests.mirror.server import Mirror, running

SLACKWATER = str(Path(sys.executable).parent / "slackwater")


def run(mirror: Mirror, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SLACKWATER, "fetch", "--symbols", "BTCUSDT, ETHUSDT", "--from", "2024-01-03", "--to", "2024-01-05",
         "--out", str(out), "--mirror", mirror.url, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_it_fills_a_directory_and_says_what_was_missing(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        done = run(mirror, tmp_path / "out", "--tables", "path,open_interest")
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(tmp_path / "out" / "path.parquet")) == 2 * 2 * 1440
    assert "missing: ETHUSDT metrics 2024-01-03 to 2024-01-04" in done.stdout
    entry = yaml.safe_load(done.stdout[done.stdout.index("datasets:") :])["datasets"]["out"]
    assert entry["symbols"] == ["BTCUSDT", "ETHUSDT"]


def test_an_error_is_one_line_and_not_a_traceback(tmp_path: Path) -> None:
    with running(Mirror()) as mirror:
        done = run(mirror, tmp_path / "out", "--tables", "candles")
        assert done.returncode == 1
        assert done.stderr.strip().startswith("slackwater: ParameterError: `tables` must be among path")
        gone = run(mirror, tmp_path / "out", "--venue", "okx", "--source", "archive")
    assert "there is no archive of okx" in gone.stderr
    assert "Traceback" not in done.stderr + gone.stderr
    assert not (tmp_path / "out").exists()


def test_the_printed_entry_is_one_that_the_parameters_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails if the entry that the user is told to paste is refused by the parameters."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    with running(Mirror()) as mirror:
        done = run(mirror, Path("data/external/made_up"), "--tables", "path")
    assert done.returncode == 0, done.stderr
    entry = yaml.safe_load(done.stdout[done.stdout.index("datasets:") :])["datasets"]
    params["datasets"] |= entry
    params["dataset"] = "made_up"
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    assert load_params("params.yaml").dataset.symbols == ["BTCUSDT", "ETHUSDT"]
