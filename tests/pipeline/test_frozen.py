"""Tests of a frozen bundle: a real bundle of a small run, on later data, other symbols and data that do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from slackwater.evidence.trial_ledger import read_trials
from slackwater.metrics.classification import auc
from slackwater.scoring.bundle import Bundle, write_bundle
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import SYNTHETIC, read_tables, write_tables
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


def evaluate(
    root: Path, out: Path, *options: str, data: str = "small", fails: str = "", synthetic: bool = True
) -> dict:
    with inside(root):
        done = slackwater("evaluate", "--data", data, "--out", str(out), *options)
    if fails:
        assert done.returncode == 1
        assert fails in done.stderr, done.stderr
        assert not out.exists()
        return {}
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "frozen_test.json").read_text())
    page, mark = (out / "frozen_test.md").read_text(), ", SYNTHETIC market" if synthetic else ""
    assert page.startswith(f"# Frozen test: bundle of small on {data}{mark}\n")
    assert ("SYNTHETIC market: no evidence of a real edge" in done.stdout) is synthetic
    assert result["tests"]["sentence"] in page
    assert result["tests"]["sentence"] in done.stdout
    return result | {"said": done.stdout, "page": page}


def other_bundle(root: Path, directory: Path, change: Callable[[dict[str, Any]], object]) -> tuple[str, str]:
    """Write a bundle of the same models with another manifest, and return the option that names it."""
    bundle = Bundle.load(root / "models/scorer")
    manifest = json.loads((root / "models/scorer/manifest.json").read_text())
    change(manifest)
    write_bundle(directory, manifest, bundle.models)
    return "--bundle", str(directory)


def of_another_venue(manifest: dict[str, Any]) -> None:
    """Make a bundle of it that was, by its own words, trained on a real market."""
    manifest["synthetic"] = manifest["verdict"]["synthetic"] = False
    manifest["trading"]["venue"] = manifest["params"]["dataset"]["venue"] = "binance"


def other_market(root: Path, change: Callable[[dict[str, pd.DataFrame]], object] = dict, **given: object) -> str:
    tables = small_market(interval=BAR, **{"days": 260, "seed": 7, **given}) if given else market(260)
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

    # Events that the bundle was not trained on, each faded: the labels of the stages know what that earns.
    controls = known["controls"]
    fade, model = controls["rows"]["always_fade"], controls["rows"]["model"]
    assert fade["n_trades"] == scored["net_r"].notna().sum()
    assert fade["net_r_mean"] == pytest.approx(scored["net_r"].mean(), rel=1e-5)
    assert model["n_trades"] == known["backtest"]["unit_risk"]["n_trades"]
    assert fade["difference_r"] == pytest.approx(model["net_r_mean"] - fade["net_r_mean"], rel=1e-4)


def test_controls_that_need_no_fit_stand_beside_each_group(root: Path, tmp_path: Path) -> None:
    """Caught: a control that is missing without a word, one that is measured on other events, or one that is fitted."""
    data = other_market(root, symbols=("BTCUSDT", "ETHUSDT", "SOLUSDT"))
    result = evaluate(root, tmp_path / "out", data=data)
    for name in ("known", "unseen"):
        controls = result[name]["controls"]
        rows = controls["rows"]
        unfitted = {"never", "always_fade", "random_24h", "random_30d", "same_size_move", "funding_threshold"}
        assert set(rows) == {"model", *unfitted, "playbook", "buy_after_fall", "permuted_times", "drift"}
        assert rows["random_30d"]["n_trades"] > rows["model"]["n_trades"] > 0
        for measured in ("never", "always_fade", "random_24h", "random_30d", "drift"):
            row = rows[measured]
            assert row["difference_r_low"] < row["difference_r"] < row["difference_r_high"], measured
        assert rows["buy_after_fall"]["net_r_mean"] is None
        assert rows["buy_after_fall"]["note"] == "not measured: cannot be evaluated on 1h bars"
        assert controls["sentence"] in result["said"]
        assert controls["sentence"] in result["page"]
    assert result["known"]["controls"]["rows"] != result["unseen"]["controls"]["rows"]
    assert result["page"].count("| buy after fall |") == result["page"].count("| buy_after_fall |") == 2
    fitted = "(logistic, price only, direction flag, volatility only, permuted labels): in a frozen test nothing is."
    assert result["page"].count(fitted) == 2


def test_every_test_is_recorded_and_every_bundle_is_a_trial(root: Path, tmp_path: Path) -> None:
    """Caught: the best of many bundles that is shown as if it were the only one, or a repetition that counts."""
    shutil.copy(root / "params.yaml", tmp_path)
    ledger, project = tmp_path / "frozen_tests.jsonl", ("--params", str(tmp_path / "params.yaml"))
    ledger.touch()

    def tested(out: str, *options: str, data: str = "small") -> tuple[int, int, dict]:
        result = evaluate(root, tmp_path / out, *project, *options, data=data)
        clause = result["known"]["verdict"]["clauses"]["deflated_sharpe"]
        return result["tests"]["number"], result["tests"]["bundles"], clause

    first = tested("1")
    assert first[:2] == (1, 1)
    (line,) = read_trials(ledger)
    result = json.loads((tmp_path / "1/frozen_test.json").read_text())
    assert line["bundle_sha256"] == ReversalScorer.load(root / "models/scorer").digest
    assert (line["dataset"], line["data_sha256"]) == ("small", result["data"]["sha256"])
    assert (line["first_event"], line["synthetic"]) == (result["data"]["first_event"], True)
    assert pd.Timestamp(line["time"]) <= pd.Timestamp.now("UTC")
    known, sample = line["groups"]["known"], result["known"]["backtest"]["unit_risk"]
    assert line["groups"]["unseen"] is None
    assert (known["n_events"], known["n_trades"]) == (result["events"]["tested"], sample["n_trades"])
    assert known["auc"] == pytest.approx(result["known"]["direction"]["auc"], rel=1e-5)
    assert known["net_r"] == pytest.approx(sample["net_r_mean"], rel=1e-5)

    assert tested("2") == (2, 1, first[2])

    def careful(manifest: dict[str, Any]) -> None:
        manifest["trading"]["entry"]["probability_threshold"] = 0.55

    other = other_bundle(root, tmp_path / "careful", careful)
    number, bundles, clause = tested("3", *other)
    assert (number, bundles) == (3, 2)
    assert first[2]["note"] == ""
    assert clause["note"] == "best of 2 trials"
    assert "of 2 different bundles" in (tmp_path / "3/frozen_test.md").read_text()

    # The same files under another name are the same events; a part of them under the same name overlaps.
    assert tested("4", data="data/small")[:2] == (4, 2)
    assert tested("5", "--from", "2024-07-01", data=str(root / "data/../data/small"))[:2] == (2, 1)
    assert tested("6", data=other_market(root, symbols=("BTCUSDT", "ETHUSDT"), seed=3))[:2] == (1, 1)
    assert len(read_trials(ledger)) == 6


def test_a_damaged_record_is_named_and_a_torn_one_is_mended(root: Path, tmp_path: Path) -> None:
    shutil.copy(root / "params.yaml", tmp_path)
    ledger, project = tmp_path / "frozen_tests.jsonl", ("--params", str(tmp_path / "params.yaml"))
    ledger.write_text("{}\nnothing\n")
    evaluate(root, tmp_path / "no", *project, fails="frozen_tests.jsonl, line 2 is damaged and not a trial")
    ledger.write_text('{"dataset": "another"}\n{"dataset": "sma')
    result = evaluate(root, tmp_path / "out", *project)
    assert "frozen_tests.jsonl, line 2: the last trial of a killed process was torn" in result["said"]
    assert [row["dataset"] for row in read_trials(ledger)] == ["another", "small"]
    evaluate(root, tmp_path / "no", *project, "--from", "2030-01-01", fails="lie outside of the period")
    assert len(read_trials(ledger)) == 2  # nothing was looked at


def test_marked_tables_of_a_simulated_market_are_synthetic_whatever_the_bundle_is(root: Path, tmp_path: Path) -> None:
    """Caught: a simulated market that is evidence of a real edge, because the bundle was trained on a real one."""
    real = other_bundle(root, tmp_path / "real", of_another_venue)
    unmarked = other_market(root, symbols=("BTCUSDT", "ETHUSDT"))
    result = evaluate(root, tmp_path / "real-data", *real, data=unmarked, synthetic=False)
    assert result["known"]["verdict"]["clauses"]["real_data"]["passed"] is True

    def mark_one(tables: dict[str, pd.DataFrame]) -> None:
        tables["depth"].attrs[SYNTHETIC] = True

    marked = other_market(root, mark_one, symbols=("BTCUSDT", "ETHUSDT"))
    result = evaluate(root, tmp_path / "simulated", *real, data=marked)
    assert result["known"]["verdict"]["clauses"]["real_data"]["passed"] is False

    copy = shutil.copytree(root, tmp_path / "copy")
    edit_entry(copy, lambda entry: entry.update(path="data/other", venue="binance"))
    evaluate(copy, tmp_path / "data-set", *real)


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
