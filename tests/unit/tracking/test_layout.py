"""Names of metrics, and the curves that two runs overlay."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from pipelines._closure import ROOT
from slackwater.evidence.curves import auc_by_fold, calibration_by_bin, net_r_by_trade
from slackwater.metrics.classification import auc
from slackwater.tracking.layout import HEADLINE, flattened, is_number, metric_name, named_metrics


def test_no_metric_of_the_committed_report_is_lost_or_without_a_group() -> None:
    """Catches a headline that the report does not have, and two metrics under one name."""
    metrics = json.loads((ROOT / "reports/metrics.json").read_text())
    numbers = {place: value for place, value in flattened(metrics) if is_number(value)}
    named = named_metrics(metrics)
    assert {place for place, _ in named.values()} == set(numbers)
    assert set(HEADLINE) <= set(numbers)
    short = [name for name in named if "/" not in name]
    assert short == list(named)[: len(short)]
    assert short[: len(HEADLINE)] == list(HEADLINE.values())
    assert len(short) <= 15
    assert {name.partition("/")[0] for name in named if "/" in name} == {
        "backtest",
        "controls",
        "direction",
        "hit",
        "trade",
    }


@given(st.dictionaries(st.text(max_size=12), st.floats(allow_nan=False), max_size=4))
def test_metrics_with_other_places_have_other_names(inner: dict[str, float]) -> None:
    """Catches `a: {b/c: 1}` and `a: {b: {c: 1}}` logged as one series."""
    metrics = {
        "direction": {"auc": 0.5, **inner},
        "auc": 0.4,
        "direction/auc": 0.3,
        **{f"{k}.x": v for k, v in inner.items()},
    }
    named = named_metrics(metrics)
    assert len(named) == sum(1 for _ in flattened(metrics))
    assert metric_name("direction.auc") == "auc"


def scored(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    p = rng.uniform(0.3, 0.7, n)
    return pd.DataFrame({"fold": np.arange(n) // 100, "p_direction": p, "y_direction": (rng.uniform(size=n) < p) * 1.0})


def test_the_curve_of_folds_holds_the_auc_of_each_and_skips_what_has_none() -> None:
    table = scored()
    table.loc[table["fold"] == 2, "y_direction"] = 1.0
    rows = table[table["fold"] == 3]
    found = dict(auc_by_fold(table))
    assert sorted(found) == [0, 1, 3]
    assert found[3] == auc(rows["y_direction"], rows["p_direction"])


def test_the_curve_of_calibration_is_that_of_ten_equal_bins() -> None:
    """Catches predicted and observed exchanged: predicted rises from bin to bin by construction."""
    table = scored()
    predicted, observed = calibration_by_bin(table)
    assert [step for step, _ in predicted] == [step for step, _ in observed] == list(range(1, 11))
    values = [value for _, value in predicted]
    assert values == sorted(values)
    assert np.isclose(np.mean([value for _, value in observed]), table["y_direction"].mean())


def test_a_long_curve_of_trades_ends_with_the_sum_of_all() -> None:
    net = np.random.default_rng(5).normal(size=2_000)
    times = pd.date_range("2024-01-01", periods=2_000, freq="1h", tz="UTC")
    shuffled = pd.DataFrame({"exit_time": times, "net_r": net}).sample(frac=1.0, random_state=1)
    curve = net_r_by_trade(shuffled)
    assert len(curve) == 300
    assert curve[0] == (1, net[0])
    assert curve[-1][0] == 2_000
    assert np.isclose(curve[-1][1], net.sum())
    assert net_r_by_trade(shuffled.iloc[:0]) == []
