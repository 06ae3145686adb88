"""Paired intervals are those of the bootstrap over single trades, day by day."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.evidence.controls.paired import OtherScores, PairedDays, auc_differences
from slackwater.evidence.resampling import Resampling
from slackwater.metrics.classification import auc

RESAMPLING = Resampling(draws=150, mean_block=timedelta(days=3), seed=5)


def some_times(rng: np.random.Generator, n: int) -> pd.Series:
    hours = np.sort(rng.integers(0, 24 * 90, n))
    return pd.Series(pd.to_datetime("2024-01-01", utc=True) + pd.to_timedelta(hours, unit="h")).astype(
        "datetime64[us, UTC]"
    )


def rule(rng: np.random.Generator, times: pd.Series, n: int) -> pd.DataFrame:
    at = np.sort(rng.choice(len(times), n, replace=False))
    return pd.DataFrame(
        {"event_time": times.iloc[at].array, "net_r": rng.normal(size=n), "net_bps": rng.normal(size=n)}
    )


def mean_of_known(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if (~np.isnan(values)).any() else float("nan")


@pytest.mark.parametrize("seed", range(3))
def test_a_difference_has_the_bounds_of_a_bootstrap_of_trades(seed: int) -> None:
    """Caught: draws that differ between both rules, days that are lost, and a mean of daily means."""
    rng = np.random.default_rng(seed)
    times = some_times(rng, 400)
    one, other = rule(rng, times, 90), rule(rng, times, 250)
    found = PairedDays(events=times, resampling=RESAMPLING).difference(one, other)
    for unit in ("r", "bps"):
        # All trades of both rules and every event as rows; a row that is not a trade of a rule is not known to it.
        rows = pd.concat([times, one["event_time"], other["event_time"]], ignore_index=True)
        values = [np.full(len(rows), np.nan) for _ in range(2)]
        values[0][400:490], values[1][490:] = one[f"net_{unit}"], other[f"net_{unit}"]
        low, high = RESAMPLING.difference(mean_of_known, rows, (values[0],), (values[1],))
        assert found[f"difference_{unit}"] == pytest.approx(one[f"net_{unit}"].mean() - other[f"net_{unit}"].mean())
        assert (found[f"difference_{unit}_low"], found[f"difference_{unit}_high"]) == pytest.approx((low, high))


def test_a_rule_is_never_better_than_itself() -> None:
    rng = np.random.default_rng(0)
    times = some_times(rng, 300)
    own = rule(rng, times, 100)
    found = PairedDays(events=times, resampling=RESAMPLING).difference(own, own)
    assert set(found.values()) == {0.0}


def test_without_trades_nothing_is_known_and_outside_of_the_test_period_nothing_is_taken() -> None:
    rng = np.random.default_rng(0)
    times = some_times(rng, 300)
    days, own = PairedDays(events=times, resampling=RESAMPLING), rule(rng, times, 50)
    assert np.isnan(list(days.difference(own, own.iloc[:0]).values())).all()
    assert days.summary(own.iloc[:0])["n_trades"] == 0
    late = own.assign(event_time=own["event_time"] + timedelta(days=200))
    with pytest.raises(ParameterError, match="must lie in the test period"):
        days.difference(own, late)


def test_differences_of_auc_are_those_of_a_bootstrap_of_events() -> None:
    rng = np.random.default_rng(1)
    times = some_times(rng, 300)
    y, p, q = rng.integers(0, 2, 300).astype(float), rng.random(300), rng.random(300)
    known, own = rng.random(300) < 0.6, rng.random(300) < 0.9
    other_y = np.where(known, 1.0 - y, np.nan)
    others = [OtherScores(y, q), None, OtherScores(other_y, q), OtherScores(y, np.full(300, np.nan))]
    found = auc_differences(times, y, p, others, RESAMPLING)
    assert found[0]["auc"] == pytest.approx(auc(y, q))
    assert (found[0]["difference_auc_low"], found[0]["difference_auc_high"]) == pytest.approx(
        RESAMPLING.difference(auc, times, (y, p), (y, q))
    )
    for unknown in (found[1], found[3]):
        assert np.isnan(list(unknown.values())).all()
    # Where either does not know an event, neither is judged by it.
    both = known & own
    (found,) = auc_differences(times, y, np.where(own, p, np.nan), [OtherScores(other_y, q)], RESAMPLING)

    def apart(rows: np.ndarray) -> float:
        kept = rows[both[rows]]
        return auc(y[kept], p[kept]) - auc(1.0 - y[kept], q[kept])

    low, high = RESAMPLING.interval(apart, times, np.arange(300))
    assert found["auc"] == pytest.approx(auc(1.0 - y[both], q[both]))
    assert (found["difference_auc_low"], found["difference_auc_high"]) == pytest.approx((low, high))
