"""The command `simulate`, as a user types it."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

from slackwater.cli import app
from slackwater.errors import OrderError, ParameterError
from slackwater.market.schemas import SCHEMAS
from slackwater.sources.own_files.directory import read_directory
from slackwater.storage import marked_synthetic, read_json

SLACKWATER = str(Path(sys.executable).parent / "slackwater")
TWO_WEEKS = ("--days", "14", "--symbols", "BTCUSDT,XRPUSDT")


def run(*arguments: str, fails: bool = False) -> str:
    done = CliRunner().invoke(app, ["simulate", *arguments], catch_exceptions=False)
    assert (done.exit_code != 0) == fails, done.output
    return done.output


def read(directory: Path, **options: Any) -> dict[str, pd.DataFrame]:
    """What a data set entry that names the directory alone would read."""
    return read_directory(directory, lags=dict.fromkeys(SCHEMAS, timedelta(0)), **options).tables


def test_facts_say_synthetic_and_fail_where_they_cannot_be_shown():
    output = run("--facts", *TWO_WEEKS, fails=True)
    assert output.startswith("SYNTHETIC market, signal 0.4")
    assert "absent (too little data): q99/q75" in output
    assert "All facts hold on 0 of 5 seeds." in output


def test_facts_of_several_seeds_stand_side_by_side():
    output = run(
        "--facts", "--seeds", "2", "--seed", "3", "--signal", "0", "--option", "skew=0.5", *TWO_WEEKS, fails=True
    )
    assert "seed 3" in output
    assert "seed 4" in output
    assert "skew on" in output


def test_the_facts_of_the_default_market_hold():
    """Two years of four symbols: fails where a change of the economics leaves the ranges.

    One seed here; the campaign `stylised_facts` has five at each of three signals.
    """
    output = run("--facts", "--seeds", "1")
    assert "All facts hold on 1 of 1 seeds." in output
    assert "  MISS" not in output


def test_written_tables_are_a_data_set(tmp_path: Path):
    out = tmp_path / "market"
    assert "SYNTHETIC" in run("--out", str(out), *TWO_WEEKS)
    tables = read(out, symbols=["BTCUSDT", "XRPUSDT"])
    assert {"fine_bars", "open_interest", "funding", "liquidations"} <= set(tables)
    assert tables["fine_bars"]["event_time"].iloc[0] == pd.Timestamp("2023-01-01T00:01Z")
    assert not (out / "defects.json").exists()
    assert marked_synthetic(out)


def test_defects_come_with_their_key(tmp_path: Path):
    out = tmp_path / "market"
    output = run("--out", str(out), "--defects", *TWO_WEEKS)
    assert "written with 10 defects" in output
    key = read_json(out / "defects.json")
    assert key["synthetic"] is True
    assert marked_synthetic(out)
    assert {each["kind"] for each in key["defects"]} >= {"gap", "duplicate", "unit_switch"}
    with pytest.raises(OrderError, match=r"\.parquet: table"):
        read(out)


def test_one_kind_of_defect(tmp_path: Path):
    out = tmp_path / "market"
    run("--out", str(out), "--defect", "gap", *TWO_WEEKS)
    assert {each["kind"] for each in read_json(out / "defects.json")["defects"]} == {"gap"}
    assert read(out)


def test_a_directory_with_something_in_it_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ParameterError, match="`--out` must be a new directory"):
        run("--out", str(tmp_path), *TWO_WEEKS)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to do: give `--facts`, `--out`, or both"),
        (("--facts", "--defects"), "give `--out` too"),
        (("--facts", "--option", "skew"), "`--option` must be NAME=NUMBER, was 'skew'"),
        (("--facts", "--option", "skwe=1"), "`skwe` is not an option"),
        (("--facts", "--signal", "2"), "`signal` must be in"),
        (("--facts", "--symbols", "BTCUSDT,"), "`symbols` must hold names"),
        (("--facts", "--start", "soon"), "must be a time such as"),
        (("--out", "market", "--defect", "gaps", *TWO_WEEKS), "`kinds` must be among gap"),
    ],
)
def test_bad_input_is_refused_by_name(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=message):
        run(*arguments)
    assert not list(tmp_path.iterdir())


def test_a_known_error_is_one_line_and_not_a_traceback():
    done = subprocess.run([SLACKWATER, "simulate"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("slackwater: ParameterError: nothing to do")
