"""The command `understand`: what a stranger's files are taken for, before anything is made of them."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from pipelines._closure import ROOT
from slackwater.cli import app
from slackwater.errors import ParameterError, SchemaError
from tests.small_market import small_market

NAMES = ["open_time", "open", "high", "low", "close", "volume"]


@pytest.fixture
def params(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sets of the same market: canonical parquet, and CSV files without header on a clock six hours ahead."""
    bars = small_market(("BTCUSDT",), days=30)["bars"]
    for name in ("mine", "ahead"):
        (tmp_path / name).mkdir()
    bars.to_parquet(tmp_path / "mine" / "bars.parquet")
    there = bars[NAMES].assign(open_time=(bars["open_time"] + pd.Timedelta("6h")).dt.strftime("%Y-%m-%d %H:%M:%S"))
    there.to_csv(tmp_path / "ahead" / "BTCUSDT.csv", header=False, index=False)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    table = {
        "file": "{symbol}.csv",
        "columns": {name: i for i, name in enumerate(NAMES)},
        "bar_length": "30m",
        "utc_offset": "+00:00",
        "scale": {"volume": 0.5},
    }
    market = {"bar_interval": "30m", "fine_bar_interval": "30m"}
    usual = {"source": "parquet", "venue": "okx", "symbols": ["BTCUSDT"], "market": market}
    content["datasets"] |= {
        "mine": usual | {"path": "mine"},
        "ahead": usual | {"path": "ahead", "tables": {"bars": table}},
    }
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(content))
    return Path("params.yaml")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["understand", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


@pytest.mark.usefixtures("params")
def test_files_columns_units_and_clock_are_said() -> None:
    said = run("ahead")
    assert "bars: 1,440 rows of BTCUSDT" in said
    assert "BTCUSDT.csv (no header)" in said
    assert "2024-01-01 06:30 to 2024-01-31 06:00 UTC, every 0:30:00" in said
    assert "ISO 8601, naive; known 0:00:02 after the stamp" in said
    assert "volume from position 5 x 0.5, coin" in said
    assert "event_time is the other end of the bar" in said
    assert "taker_buy_volume is not there" in said
    assert "findings: none" in said


@pytest.mark.usefixtures("params")
def test_many_findings_of_one_kind_are_told_as_one() -> None:
    bars = pd.read_parquet("mine/bars.parquet")
    bars.drop(index=range(100, 200, 10)).to_parquet("mine/bars.parquet")
    said = run("mine")
    assert "findings: 10" in said
    assert said.count("BTCUSDT gap in 1 rows") == 3
    assert "BTCUSDT gap, recorded: 7 more of these in 7 rows, the last on 2024-01-" in said


@pytest.mark.usefixtures("params")
def test_a_clock_that_is_wrong_as_a_whole_shows_against_another_data_set() -> None:
    """Nothing within a single table tells it."""
    assert "its clock is 6h late" in run("ahead", "--against", "mine")
    assert "its clock is 6h early" in run("mine", "--against", "ahead")
    assert "findings: none" in run("mine", "--against", "mine")


def test_a_clock_that_is_declared_is_put_right(params: Path) -> None:
    params.write_text(params.read_text().replace("utc_offset: +00:00", "utc_offset: +06:00"))
    said = run("ahead", "--against", "mine")
    assert "ISO 8601, naive, +06:00 of UTC" in said
    assert "findings: none" in said


def test_what_is_refused_is_said_and_not_raised(params: Path) -> None:
    bars = pd.read_parquet("mine/bars.parquet")
    bars.assign(volume=bars["volume"].where(bars.index < 700, bars["volume"] * 1e4)).to_parquet("mine/bars.parquet")
    assert re.search(r"BTCUSDT unit_switch in \d+ rows, .* refused: .*another unit", run("mine"))
    content = yaml.safe_load(params.read_text())
    del content["datasets"]["ahead"]["tables"]["bars"]["columns"]
    params.write_text(yaml.safe_dump(content))
    with pytest.raises(SchemaError, match="has no header and no position for"):
        run("ahead")
    with pytest.raises(ParameterError, match="data set simulated is not a directory of files"):
        run("simulated")


@pytest.mark.usefixtures("params")
def test_the_page_ends_with_what_is_covered_and_what_nothing_reads() -> None:
    """Files that were passed over, and spans that a table lacks, looked like features that mean nothing."""
    bars = pd.read_parquet("mine/bars.parquet")
    bars.drop(index=range(100, 103)).to_parquet("mine/bars.parquet")
    interest = small_market(("BTCUSDT",), days=30)["open_interest"].iloc[:-48]
    interest.assign(open_interest=interest["open_interest"].mask(interest.index == 7, 0.0)).to_csv(
        "mine/Open_Interest.CSV.gz", index=False
    )
    Path("mine/fundings.csv").write_text("a,b\n")
    said = run("mine")
    assert "not read: fundings.csv" in said
    lines = {tuple(line.split()[:2]): line for line in said[said.index("coverage:") :].splitlines() if line.strip()}
    assert re.search(r"1,437 rows +3 +0 +gap 3$", lines["bars", "BTCUSDT"])
    assert re.search(r"1,391 rows +48 +1 +history_ends 48, zero_open_interest 1", lines["open_interest", "BTCUSDT"])
    assert lines["funding", "*"].endswith("no file of this table: its features stay unknown")


@pytest.mark.usefixtures("params")
def test_what_will_stop_training_and_trading_is_said_at_once() -> None:
    """A month cannot train, and a rule that needs depth refuses every event of data without it."""
    said = run("mine")
    assert "history: one test block needs about " in said
    assert "history: the bars span 30d: too short, there will be no test block and training will stop" in said
    assert "`validation: {min_train: 180d, test: 60d}`" in said
    assert "warning: the rule `trading.rules.depth_fraction` is on and needs the table `depth`" in said
    assert "no rows of BTCUSDT: every event there is refused (missing_depth)" in said


def test_data_that_can_be_trained_on_and_traded_are_not_warned_about(params: Path) -> None:
    content = yaml.safe_load(params.read_text())
    entry = content["datasets"]["mine"]
    entry |= {"validation": {"min_train": "5d", "test": "2d"}, "trading": {"rules": {"depth_fraction": None}}}
    entry["features"] = {"volatility": {"half_life": "12h", "fast_half_life": "1h", "slow_half_life": "24h"}}
    params.write_text(yaml.safe_dump(content))
    said = run("mine")
    assert re.search(r"history: the bars span 30d: about \d+ test blocks", said)
    assert "warning:" not in said
