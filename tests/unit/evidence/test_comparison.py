"""Comparison of two runs: paired on the events that both scored, and refused where they answer different questions."""

from __future__ import annotations

import json
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from slackwater.errors import DataError, SchemaError
from slackwater.evidence.comparison import compare, scored_events
from slackwater.evidence.resampling import Resampling
from slackwater.report.comparison_page import comparison_lines
from slackwater.storage import json_line

KEYS = ["symbol", "event_time"]
DRAWS = Resampling(draws=200, mean_block=timedelta(days=7))


def labels_of(n: int = 1_200, *, seed: int = 0) -> pd.DataFrame:
    """Four events per day of two symbols, with a probability of reversal that `truth` contains."""
    rng = np.random.default_rng(seed)
    times = pd.Timestamp("2023-01-01", tz="UTC") + pd.to_timedelta(np.arange(n) // 2 * 6, unit="h")
    truth = rng.uniform(0.2, 0.8, n)
    return pd.DataFrame(
        {
            "symbol": np.tile(["BTCUSDT", "ETHUSDT"], n // 2),
            "event_time": times,
            "entry_time": times + pd.Timedelta("1min"),
            "label_end_time": times + pd.Timedelta("1D"),
            "y_direction": (rng.random(n) < truth).astype("int8"),
            "y_hit": (rng.random(n) < 0.3).astype("int8"),
            "truth": truth,
        }
    )


def predictions_of(labels: pd.DataFrame, *, noise: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    p = np.clip(labels["truth"] + noise * rng.normal(size=len(labels)), 0.05, 0.95)
    return labels[KEYS].assign(p_direction=p, p_hit=np.clip(0.3 + 0.05 * rng.normal(size=len(labels)), 0.1, 0.9))


LABELS = labels_of()
SHARP = predictions_of(LABELS, noise=0.02, seed=1)
DULL = predictions_of(LABELS, noise=0.6, seed=2)


def trades_of(rows: pd.DataFrame, net_r: float, net_bps: float) -> pd.DataFrame:
    return rows[KEYS].assign(net_r=net_r, net_bps=net_bps)


def by_name(result, name: str):
    (found,) = (each for each in result.differences if each.metric == name)
    return found


def test_metrics_are_those_of_scikit_learn() -> None:
    result = compare(scored_events(DULL, LABELS), scored_events(SHARP, LABELS), resampling=DRAWS)
    y = LABELS["y_direction"]
    for name, measure in (("auc", roc_auc_score), ("brier", brier_score_loss), ("log_loss", log_loss)):
        found = by_name(result, f"direction.{name}")
        assert found.first == pytest.approx(measure(y, DULL["p_direction"]))
        assert found.second == pytest.approx(measure(y, SHARP["p_direction"]))
        assert found.difference == found.second - found.first


def test_the_better_model_is_called_better_by_every_metric() -> None:
    """Catches a sign: a lower Brier score is better, a higher AUC is."""
    result = compare(scored_events(DULL, LABELS), scored_events(SHARP, LABELS), resampling=DRAWS)
    assert [by_name(result, f"direction.{m}").reading for m in ("auc", "brier", "log_loss")] == ["better"] * 3
    back = compare(scored_events(SHARP, LABELS), scored_events(DULL, LABELS), resampling=DRAWS)
    assert [by_name(back, f"direction.{m}").reading for m in ("auc", "brier", "log_loss")] == ["worse"] * 3
    one, other = by_name(result, "direction.auc"), by_name(back, "direction.auc")
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert result.sentence.startswith("B's AUC of direction is higher by .")
    assert result.sentence.endswith(": B is better.")


def test_two_models_of_one_quality_are_not_distinguishable() -> None:
    a, b = (scored_events(predictions_of(LABELS, noise=0.3, seed=seed), LABELS) for seed in (3, 4))
    result = compare(a, b, resampling=DRAWS)
    assert by_name(result, "direction.auc").reading == "not distinguishable"
    assert result.sentence.endswith("): not distinguishable.")


def test_the_interval_is_paired() -> None:
    """Catches intervals of two samples: between models that differ in a grain, they would be as wide as one's own."""
    shaken = SHARP.assign(p_direction=SHARP["p_direction"] + 1e-4 * np.sin(np.arange(len(SHARP))))
    result = compare(scored_events(SHARP, LABELS), scored_events(shaken, LABELS), resampling=DRAWS)
    found = by_name(result, "direction.auc")
    assert found.high - found.low < 0.005


def test_only_common_events_count_and_the_others_are_counted() -> None:
    """Catches a comparison of two different samples of events, of which one is easier."""
    result = compare(scored_events(SHARP[100:], LABELS), scored_events(SHARP[:-30], LABELS), resampling=DRAWS)
    assert (result.common, result.only_first, result.only_second) == (1_070, 30, 100)
    found = by_name(result, "direction.auc")
    assert (
        found.first
        == found.second
        == pytest.approx(roc_auc_score(LABELS["y_direction"][100:-30], SHARP["p_direction"][100:-30]))
    )
    assert "equals that of A" in result.sentence


def test_events_that_only_train_or_lack_a_prediction_are_left_out() -> None:
    labels = LABELS.assign(trades=np.arange(len(LABELS)) % 3 > 0)
    gaps = SHARP.assign(p_direction=SHARP["p_direction"].where(np.arange(len(SHARP)) != 1))
    result = compare(scored_events(gaps, labels), scored_events(DULL, labels), resampling=DRAWS)
    assert (result.common, result.only_first, result.only_second) == (799, 0, 1)


def test_rows_in_another_order_are_the_same_events() -> None:
    shuffled = SHARP.sample(frac=1.0, random_state=0)
    one = compare(scored_events(DULL, LABELS), scored_events(SHARP, LABELS), resampling=DRAWS)
    two = compare(scored_events(DULL, LABELS), scored_events(shuffled, LABELS[::-1]), resampling=DRAWS)
    assert one.to_dict() == two.to_dict()


def test_trades_are_compared_per_event() -> None:
    """An event that is not traded earns nothing; one that both traded is compared by itself too."""
    first, second = trades_of(LABELS[:300], 0.5, 20.0), trades_of(LABELS[150:300], 1.5, 40.0)
    result = compare(scored_events(SHARP, LABELS, first), scored_events(SHARP, LABELS, second), resampling=DRAWS)
    assert result.traded == (300, 150, 150)
    per_event, both = by_name(result, "net_r"), by_name(result, "net_r_both_traded")
    assert (per_event.first, per_event.second) == pytest.approx((0.5 * 300 / 1200, 1.5 * 150 / 1200))
    assert (both.events, both.first, both.second) == (150, 0.5, 1.5)
    assert by_name(result, "net_bps_both_traded").difference == 20.0


def test_trades_of_one_run_alone_are_not_compared() -> None:
    """Catches unknown trades that count as none."""
    known = scored_events(SHARP, LABELS, trades_of(LABELS[:300], 0.5, 20.0))
    result = compare(known, scored_events(SHARP, LABELS), resampling=DRAWS)
    assert result.traded is None
    assert not [each.metric for each in result.differences if "net" in each.metric]
    lines = list(comparison_lines(result, {"A": "x", "B": "y"}, {"A": True, "B": None}))
    assert "trades: not compared, for those of one run at least are not known" in lines
    assert "A: x (SYNTHETIC market)" in lines
    assert "B: y (whether the market is SYNTHETIC is not recorded)" in lines


def test_other_labels_are_refused_by_name() -> None:
    flipped = LABELS.assign(y_direction=np.r_[1 - LABELS["y_direction"][:7], LABELS["y_direction"][7:]])
    with pytest.raises(DataError, match=r"different labels in y_direction of 7 of 1,200 common events, the first BTC"):
        compare(scored_events(SHARP, LABELS), scored_events(SHARP, flipped), resampling=DRAWS)


def test_other_horizons_are_refused_by_name() -> None:
    """Catches a comparison of a forecast of a day with one of half a day."""
    half = LABELS.assign(label_end_time=LABELS["event_time"] + pd.Timedelta("12h"))
    with pytest.raises(
        DataError, match=r"label_end_time of 1,200 .* lasts 0 days 23:59:00 in A and 0 days 11:59:00 in B"
    ):
        compare(scored_events(SHARP, LABELS), scored_events(SHARP, half), resampling=DRAWS)


def test_runs_without_a_common_event_are_refused() -> None:
    later = LABELS.assign(event_time=LABELS["event_time"] + pd.Timedelta("1s"))
    with pytest.raises(DataError, match="no scored event in common: 1,200 of BTCUSDT, ETHUSDT from 2023-01-01"):
        compare(
            scored_events(SHARP, LABELS),
            scored_events(SHARP.assign(event_time=later["event_time"]), later),
            resampling=DRAWS,
        )


def test_a_short_calendar_has_no_interval_and_says_so() -> None:
    """Catches a difference without an interval that is called a finding."""
    few = LABELS[:200]  # 25 days of four blocks
    result = compare(scored_events(DULL[:200], few), scored_events(SHARP[:200], few), resampling=DRAWS)
    found = by_name(result, "direction.auc")
    assert found.reading == "not known"
    assert found.note == "the events span 25 days, an interval needs 6 blocks of 7 days"
    assert "may be chance" in result.sentence
    content = json.loads(json_line(result.to_dict()))
    assert content["differences"]["direction.auc"]["low"] is None


def test_a_certainty_that_was_wrong_is_not_a_number() -> None:
    sure = SHARP.assign(p_direction=(SHARP["p_direction"] > 0.5).astype(float))
    result = compare(scored_events(SHARP, LABELS), scored_events(sure, LABELS), resampling=DRAWS)
    found = by_name(result, "direction.log_loss")
    assert (found.reading, found.second) == ("not known", np.inf)
    assert "a probability of 0 or 1 was wrong" in found.note


def test_tables_that_do_not_fit_are_refused() -> None:
    with pytest.raises(SchemaError, match="the predictions lack the columns p_hit"):
        scored_events(SHARP.drop(columns="p_hit"), LABELS)
    with pytest.raises(SchemaError, match="the labels repeat an event, the first BTCUSDT at 2023-01-01"):
        scored_events(SHARP, pd.concat([LABELS, LABELS[:1]]))
    with pytest.raises(SchemaError, match="the labels are not those of the predictions: 5 events"):
        scored_events(SHARP, LABELS[5:])
    with pytest.raises(SchemaError, match="the trades are not those of the predictions: 2 events"):
        scored_events(SHARP[2:], LABELS, trades_of(LABELS[:4], 1.0, 1.0))
    with pytest.raises(SchemaError, match="the scored events of B lack the columns label_end_time"):
        compare(scored_events(SHARP, LABELS), scored_events(SHARP, LABELS).drop(columns="label_end_time"))
