"""Tests of a frozen bundle: a real bundle of a small run, on later data, other symbols and data that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from slackwater.metrics.classification import auc
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import read_tables, write_tables
from tests.command import slackwater
from tests.small_bundle import BAR, market
from tests.small_market import small_market
from tests.small_run import STAGES, edit_entry, inside, make_small_run, run_stages

UNTIL = "2024-06-01T00:00:00Z"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the first five months of 260 days: the files of the data set hold more."""
    root = make_small_run(tmp_path_factory.mktemp("run"), "configure", days=260)
    edit_entry(root, lambda entry: entry.update(end=UNTIL))
    run_stages(root, *STAGES, "evaluate", "export")
    return root


def evaluate(root: Path, out: Path, *options: str, data: str = "small", fails: str = "") -> dict:
    with inside(root):
        done = slackwater("evaluate", "--data", data, "--out", str(out), *options)
    if fails:
        assert done.returncode == 1
        assert fails in done.stderr, done.stderr
        assert not out.exists()
        return {}
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "frozen_test.json").read_text())
    assert (
        (out / "frozen_test.md").read_text().startswith(f"# Frozen test: bundle of small on {data}, SYNTHETIC market\n")
    )
    assert "SYNTHETIC market: no evidence of a real edge" in done.stdout
    return result | {"said": done.stdout}


def other_market(root: Path, change: Callable[[dict[str, pd.DataFrame]], object] = dict, **given: object) -> str:
    tables = small_market(interval=BAR, seed=7, **{"days": 260, **given}) if given else market(260)
    if given:
        times = {name: tables["funding"][name] - BAR for name in ("event_time", "available_time")}
        tables["funding"] = tables["funding"].assign(**times)
    change(tables)
    directory = root / "data" / "other"
    shutil.rmtree(directory, ignore_errors=True)
    write_tables(tables, directory)
    return "data/other"


def test_the_end_of_a_data_set_limits_what_the_stages_read(root: Path) -> None:
    for table in read_tables(root / "data/tables").values():
        assert table["event_time"].max() <= pd.Timestamp(UNTIL)
    assert pd.read_parquet(root / "data/small/bars.parquet")["event_time"].max() > pd.Timestamp(UNTIL) + 90 * timedelta(
        days=1
    )


def test_later_data_are_scored_and_labelled_as_the_stages_do(root: Path, tmp_path: Path) -> None:
    """Caught: a test with other features, events or labels than those of training, or with events of training."""
    result = evaluate(root, tmp_path / "out")
    counts, known = result["events"], result["known"]
    parts = ("of_the_training_period", "outside_of_the_period", "tested")
    assert counts["labelled"] == sum(counts[name] for name in parts)
    assert counts["of_the_training_period"] > 300
    trained_until = pd.Timestamp(result["bundle"]["trained_until"])
    begin = trained_until + timedelta(hours=24)
    assert pd.Timestamp(result["data"]["first_event"]) + timedelta(seconds=5) >= begin
    assert (
        pd.Timestamp(UNTIL) >= pd.Timestamp(result["bundle"]["trained_until"]) > pd.Timestamp(UNTIL) - timedelta(days=3)
    )

    whole = shutil.copytree(root, tmp_path / "whole")
    edit_entry(whole, lambda entry: entry.pop("end"))
    run_stages(whole, "configure", "ingest", "validate", "features", "label")
    labels = pd.read_parquet(whole / "data/labels.parquet")
    labels = labels[labels["trades"] & (labels["available_time"] >= begin)]
    scorer = ReversalScorer.load(root / "models/scorer")
    scores = scorer.score(read_tables(whole / "data/small"))
    scored = labels.merge(scores[["symbol", "event_time", "p_direction"]], on=["symbol", "event_time"])
    assert len(scored) == counts["tested"] > 300
    assert known["direction"]["auc"] == pytest.approx(auc(scored["y_direction"], scored["p_direction"]), rel=1e-5)
    assert known["trade"]["payoff_mean"] == pytest.approx(scored["payoff"].mean(), rel=1e-5)
    assert known["backtest"]["unit_risk"]["n_trades"] > 30
    assert {"net_bps_low", "net_bps_high", "net_bps_over_drift_low"} <= set(known["backtest"]["unit_risk"])
    assert set(known["verdict"]["clauses"]) >= {"direction_auc_low", "net_bps_low", "deflated_sharpe", "real_data"}
    assert known["verdict"]["sentence"].startswith("SYNTHETIC market")
    assert result["unseen"] is None


def test_a_period_limits_the_events(root: Path, tmp_path: Path) -> None:
    result = evaluate(root, tmp_path / "out", "--from", "2024-07-01", "--until", "2024-08-01")
    assert pd.Timestamp(result["data"]["first_event"]) >= pd.Timestamp("2024-07-01", tz="UTC")
    assert pd.Timestamp(result["data"]["last_event"]) < pd.Timestamp("2024-08-01", tz="UTC")
    evaluate(root, tmp_path / "no", "--from", "2030-01-01", fails="lie outside of the period that was asked for")
    early = ("--until", "2024-05-01")
    evaluate(root, tmp_path / "no", *early, fails="the end of the training of the bundle and its embargo")
    evaluate(root, tmp_path / "no", "--from", "2024-08-01", "--until", "2024-07-01", fails="`--until` must be after")


def test_symbols_that_the_bundle_does_not_know_are_reported_apart(root: Path, tmp_path: Path) -> None:
    data = other_market(root, symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"))
    result = evaluate(root, tmp_path / "out", data=data)
    assert set(result["known"]["direction"]["by_symbol"]) == {"BTCUSDT", "ETHUSDT"}
    assert set(result["unseen"]["direction"]["by_symbol"]) == {"SOLUSDT"}
    assert result["known"]["n_events"] + result["unseen"]["n_events"] == result["events"]["tested"]
    assert result["unseen"]["backtest"]["unit_risk"]["n_trades"] > 0
    assert "adds SOLUSDT" in result["said"]
    assert "## Unseen symbols" in (tmp_path / "out/frozen_test.md").read_text()
    unknown = other_market(root, symbols=("BTCUSDT", "NEWUSDT"))
    evaluate(root, tmp_path / "no", data=unknown, fails="no facts of the contracts of NEWUSDT")


def test_events_without_warm_up_are_counted(root: Path, tmp_path: Path) -> None:
    def recent(tables: dict[str, pd.DataFrame]) -> None:
        for name, table in tables.items():
            tables[name] = table[table["event_time"] > pd.Timestamp("2024-05-01", tz="UTC")].reset_index(drop=True)

    result = evaluate(root, tmp_path / "out", data=other_market(root, recent))
    assert 0 < result["events"]["lack_warm_up"] < result["events"]["tested"]
    assert f"{result['events']['lack_warm_up']:,} of those tested lie within the warm-up" in result["said"]


@pytest.mark.parametrize(
    ("change", "fails"),
    [
        (lambda tables: tables.pop("bars"), "the data lack the table bars"),
        (lambda tables: tables.pop("open_interest"), "Absent tables: open_interest"),
        (lambda tables: tables.update(bars=tables["bars"].iloc[:200]), "no event"),
        (lambda tables: tables.clear(), "contains no table"),
    ],
)
def test_data_that_do_not_fit_are_refused(
    root: Path, tmp_path: Path, change: Callable[[dict[str, pd.DataFrame]], object], fails: str
) -> None:
    evaluate(root, tmp_path / "no", data=other_market(root, change), fails=fails)


def test_bars_of_another_length_are_refused(root: Path, tmp_path: Path) -> None:
    write_tables(small_market(days=40, interval=timedelta(minutes=30)), root / "data" / "finer")
    evaluate(root, tmp_path / "no", data="data/finer", fails="table bars: ")
    copy = shutil.copytree(root, tmp_path / "copy")
    edit_entry(copy, lambda entry: entry["market"].update(bar_interval="30m", fine_bar_interval="30m"))
    evaluate(copy, tmp_path / "no", fails="the bundle reads bars of 1h, the data set small has bars of 30m")


def test_what_is_not_there_is_named(root: Path, tmp_path: Path, small_bundle: Path) -> None:
    evaluate(root, tmp_path / "no", data="smal", fails="did you mean `small`")
    evaluate(root, tmp_path / "no", "--params", "none.yaml", data="nowhere", fails="nowhere is not a directory")
    evaluate(root, tmp_path / "no", "--bundle", "nowhere", fails="is not a scoring bundle")
    evaluate(root, tmp_path / "no", "--bundle", str(small_bundle), fails="does not contain when its training ended")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    with inside(root):
        done = slackwater("evaluate", "--data", "small", "--out", str(tmp_path / "full"))
    assert "`--out` must be a new directory" in done.stderr
