"""The shares of training: bins and PSI by hand, and bounds that events in clusters keep."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from slackwater.errors import BundleError, DataError
from slackwater.models.training_shares import TrainingShares

NAN = float("nan")
DAY0 = np.datetime64("2023-01-01")


def days(n_days: int, per_day: int = 5) -> np.ndarray:
    return np.repeat(DAY0 + np.arange(n_days) * np.timedelta64(1, "D"), per_day)


def wandering(n_days: int, columns: int, *, seed: int, per_day: int = 5) -> np.ndarray:
    """A level that remembers weeks, as the volatility of a market does, and noise on it."""
    rng, level = np.random.default_rng(seed), np.zeros((n_days, columns))
    for day in range(1, n_days):
        level[day] = 0.95 * level[day - 1] + rng.normal(size=columns) * math.sqrt(1 - 0.95**2)
    return np.repeat(level, per_day, axis=0) + 0.5 * rng.normal(size=(n_days * per_day, columns))


def psi_by_hand(one: list[int], other: list[int]) -> float:
    """The index by its definition, with half an event in every bin."""
    p, q = ([(count + 0.5) / (sum(each) + 0.5 * len(each)) for count in each] for each in (one, other))
    return sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_bins_are_deciles_and_a_frequent_value_has_its_own() -> None:
    """Catches a flag that is mostly one and is counted together with its zeros: no drift of it would be visible."""
    ten = np.arange(100.0)
    flag = np.r_[np.zeros(3), np.ones(97)]
    shares = TrainingShares.of(np.column_stack([ten, flag]), days(20), ["price", "regime"])
    assert shares.edges[0] == (10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0)
    assert shares.counts[0] == (11, *[10] * 8, 9, 0)
    assert shares.counts[1] == (3, 97, 0, 0)
    assert shares.psi([[50.0, 0.0]] * 10)[1] == pytest.approx(psi_by_hand([10, 0, 0, 0], [3, 97, 0, 0]))


def test_psi_by_hand_with_unknown_values() -> None:
    column = np.r_[np.repeat(1.0, 50), np.repeat(2.0, 40), np.repeat(NAN, 10)]
    shares = TrainingShares.of(column[:, None], days(20), ["price"])
    sample = np.array([1.0, 2.0, 2.0, NAN, NAN, 7.0])[:, None]
    expected = psi_by_hand([0, 1, 0, 2, 1, 2], [0, 50, 0, 40, 0, 10])
    assert shares.psi(sample)[0] == pytest.approx(expected)
    assert shares.missing.tolist() == [0.1]
    assert shares.events == 100


def test_what_is_unknown_before_it_was_ever_known_is_warm_up() -> None:
    """Catches a warm-up that is taken for missing values: its stretches would widen every bound."""
    late = np.r_[np.repeat(NAN, 50), np.arange(50.0)]
    shares = TrainingShares.of(np.column_stack([late, np.arange(100.0)]), days(20), ["slow", "price"])
    assert (sum(shares.counts[0]), shares.counts[0][-1], sum(shares.counts[1])) == (50, 0, 100)
    never = TrainingShares.of(np.full((100, 1), NAN), days(20), ["slow"])
    assert never.counts == ((0, 100),)
    assert never.psi([[1.0]])[0] > 1.0


def test_a_warm_up_of_training_does_not_widen_the_bounds() -> None:
    X = wandering(400, 1, seed=3)
    warm = X.copy()
    warm[:200] = NAN  # 40 days of 5
    bounds = [TrainingShares.of(each, days(400), ["slow"]).no_drift_of(10_000, 7).bound[0] for each in (X, warm)]
    assert bounds[1] < 1.5 * bounds[0]


def test_the_bounds_are_those_of_every_stretch_of_training() -> None:
    """The null by its definition, in plain loops."""
    X, times = wandering(120, 2, seed=1), days(120)
    shares = TrainingShares.of(X, times, ["a", "b"])
    null = shares.no_drift_of(10_000, 5)
    assert (null.days, null.events) == (5, 25.0)
    measured = []
    for start in range(120 - 5 + 1):
        rows = np.zeros(600, dtype=bool)
        rows[5 * start : 5 * (start + 5)] = True
        which = [np.searchsorted(edges, X[:, column]) for column, edges in enumerate(shares.edges)]
        measured.append(
            [psi_by_hand(*(np.bincount(w[part], minlength=11).tolist() for part in (rows, ~rows))) for w in which]
        )
    assert null.expected == pytest.approx(np.mean(measured, axis=0), rel=1e-3)
    bound = np.quantile(measured, 0.95, axis=0)
    assert null.bound == pytest.approx(bound, rel=1e-3)
    assert null.families["a"] == pytest.approx((null.expected[0], null.bound[0]))
    beyond = (np.array(measured) > bound).mean(axis=1)
    assert null.share_beyond == pytest.approx(np.quantile(beyond, 0.975))
    assert null.largest_ratio == pytest.approx(np.quantile((measured / bound).max(axis=1), 0.975), rel=1e-3)


def test_events_in_clusters_keep_the_bound_which_independent_events_would_break() -> None:
    """Catches a bound that counts events as independent: months of one market would nearly all be called drift."""
    X = wandering(2_000, 20, seed=5)
    shares = TrainingShares.of(X[:5_000], days(1_000), ["a"] * 20)
    null = shares.no_drift_of(140, 28)
    psi = np.array([shares.psi(X[start : start + 140]) for start in range(5_000, 9_860, 140)])
    assert 0.01 < (psi > null.bound).mean() < 0.12
    independent = 18.3 * (1 / 140 + 1 / 5_000)  # 95 % of chi-squared with ten degrees of freedom
    assert (psi > independent).mean() > 0.8


def test_the_stretches_have_neither_more_days_nor_more_events_than_the_sample() -> None:
    """Catches a sample of few events that is judged by the bounds of many."""
    shares = TrainingShares.of(wandering(600, 1, seed=2), days(600), ["a"])
    assert [each.days for each in shares.no_drift] == [3, 5, 7, 10, 14, 20, 28]
    assert shares.no_drift_of(10_000, 13).days == 10
    assert shares.no_drift_of(36, 28).days == 7
    assert shares.no_drift_of(14, 28) is None
    assert shares.no_drift_of(10_000, 2) is None
    assert TrainingShares.of(wandering(59, 1, seed=2), days(59), ["a"]).no_drift == ()


def test_a_column_that_became_known_late_has_no_bound() -> None:
    X = wandering(100, 2, seed=4)
    X[:300, 1] = NAN  # known on 40 days of 100
    null = TrainingShares.of(X, days(100), ["a", "late"]).no_drift_of(10_000, 4)
    assert null.bound[0] is not None
    assert (null.expected[1], null.bound[1]) == (None, None)
    assert set(null.families) == {"a"}


def test_the_order_of_the_rows_does_not_matter() -> None:
    X, times = wandering(80, 3, seed=6), days(80)
    X[:50, 1] = NAN
    order = np.random.default_rng(0).permutation(len(X))
    names = ["a", "a", "b"]
    assert TrainingShares.of(X[order], times[order], names) == TrainingShares.of(X, times, names)


def test_shares_survive_json() -> None:
    X = wandering(80, 3, seed=6)
    X[::7, 1] = NAN
    shares = TrainingShares.of(X, days(80), ["a", "a", "b"])
    again = TrainingShares.from_dict(json.loads(json.dumps(shares.to_dict())))
    assert again == shares
    assert again.psi(X[:40]).tolist() == shares.psi(X[:40]).tolist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("counts"), "`counts`"),
        (lambda d: d.update(more=1), "`more`"),
        (lambda d: d["edges"][0].reverse(), "ascending edges"),
        (lambda d: d["counts"][0].append(1), "two counts more"),
        (lambda d: d["counts"].pop(), "columns"),
        (lambda d: d["counts"][0].__setitem__(0, -1), "greater than or equal to 0"),
        (lambda d: d["edges"][0].__setitem__(0, NAN), "finite"),
        (lambda d: d["no_drift"][0]["bound"].pop(), "columns"),
        (lambda d: d["counts"].__setitem__(0, [0] * len(d["counts"][0])), "at least one event"),
    ],
)
def test_damaged_shares_are_refused(change, message) -> None:
    """A bundle may come from anywhere: what is wrong in it is named, and nothing is guessed."""
    values = TrainingShares.of(wandering(80, 2, seed=6), days(80), ["a", "b"]).to_dict()
    values = json.loads(json.dumps(values))
    change(values)
    with pytest.raises(BundleError, match=message):
        TrainingShares.from_dict(values)


def test_rows_that_cannot_be_counted_are_refused() -> None:
    with pytest.raises(DataError, match="infinite"):
        TrainingShares.of([[math.inf]] * 5, days(1), ["a"])
    with pytest.raises(DataError, match="a row per time"):
        TrainingShares.of([[1.0]] * 4, days(1), ["a"])
    shares = TrainingShares.of([[1.0]] * 5, days(1), ["a"])
    for rows in ([[1.0, 2.0]], np.empty((0, 1))):
        with pytest.raises(DataError, match="n_rows >= 1, 1"):
            shares.psi(rows)
