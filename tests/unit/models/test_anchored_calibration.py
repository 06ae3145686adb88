"""The anchored calibrator: what it may not do to a ranking, and the bound that holds in the next block of time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.exceptions import NotFittedError

from slackwater.errors import BundleError, DataError, ParameterError
from slackwater.models._likelihood import variance_between
from slackwater.models.calibration import AnchoredCalibrator, calibrator_from_dict


def drawn(n_rows: int, slope: float, level: float = 0.0, offset: float = 0.0, seed: int = 0):
    rng = np.random.default_rng(seed)
    raw = rng.normal(0.0, 0.7, n_rows)
    return raw, rng.random(n_rows) < expit(offset + slope * raw + level)


def test_the_slope_maximises_the_likelihood_with_its_prior():
    """Caught: a weight, an anchor or an offset that is lost, and a prior at another slope."""
    rng = np.random.default_rng(1)
    raw, y = drawn(400, slope=0.8)
    weight, anchors, offset = rng.uniform(0.1, 1.0, 400), rng.normal(0.2, 0.1, 400), rng.normal(-0.5, 0.3, 400)
    prior = 80.0 * weight / weight.sum()

    def loss(slope: float) -> float:
        log_odds = offset + anchors + slope * (raw - anchors)
        happened = weight * y + prior * expit(offset + anchors + 0.5 * (raw - anchors))
        return float(((weight + prior) * np.logaddexp(0.0, log_odds) - happened * log_odds).sum())

    best = minimize_scalar(loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-9}).x
    calibrator = AnchoredCalibrator(prior_rows=80.0).fit(raw, y, weight, anchors=anchors, offset=offset)
    assert calibrator.slope_ == pytest.approx(best, abs=1e-6)


def test_without_rows_the_prior_holds_and_nothing_is_bounded():
    """Caught: an exception in the first test block, or a bound of which no outcome knows."""
    calibrator = AnchoredCalibrator(anchor=0.4).fit([], [])
    assert calibrator.log_odds([0.4, 1.4]) == pytest.approx([0.4, 0.9])
    assert np.isnan(calibrator.log_odds_low([0.4, 1.4])).all()


@pytest.mark.parametrize(("slope", "expected"), [(-2.0, 0.0), (3.0, 1.0)])
def test_the_slope_neither_turns_a_ranking_around_nor_makes_it_surer(slope, expected):
    assert AnchoredCalibrator().fit(*drawn(50_000, slope)).slope_ == expected


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 40),
    scale=st.floats(-12, 300),
    share=st.floats(0, 1),
    anchor=st.floats(-5, 5),
)
def test_any_rows_keep_the_order_of_the_raw_log_odds(seed, n_rows, scale, share, anchor):
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=n_rows) * 10.0**scale
    blocks = rng.integers(0, 4, n_rows)
    calibrator = AnchoredCalibrator(anchor=anchor).fit(raw, rng.random(n_rows) < share, blocks=blocks)
    assert 0.0 <= calibrator.slope_ <= 1.0
    p = calibrator.predict(np.sort(raw))
    assert np.isfinite(p).all()
    assert (np.diff(p) >= 0.0).all()
    assert float(calibrator.log_odds(anchor)) == anchor


def test_equal_log_odds_say_nothing():
    """Caught: a bound that holds the slope to be exact because no row could speak against it."""
    calibrator = AnchoredCalibrator().fit(np.full(500, 0.3), np.arange(500) % 5 == 0)
    assert calibrator.slope_ == 0.5
    assert np.isnan(calibrator.log_odds_low([0.0])).all()


def test_the_bound_falls_with_outcomes_that_fell_short_and_the_estimate_does_not():
    """Caught: an edge of zero that is bounded at zero although every trade paid less than its fair odds."""
    calibrator = AnchoredCalibrator().fit(*drawn(20_000, 0.0, level=-0.4, offset=0.0))
    assert float(calibrator.log_odds(0.0)) == 0.0
    assert float(calibrator.log_odds_low(0.0)) < -0.3
    exceeded = AnchoredCalibrator().fit(*drawn(20_000, 0.0, level=0.4))
    assert exceeded.shift_ == 0.0


def test_nine_bounds_in_ten_hold_in_the_block_that_follows():
    """Caught: a variance of rows alone, above which the level of the next block lies in two of three only."""
    rng = np.random.default_rng(4)
    held = []
    for _ in range(150):
        levels = rng.normal(0.0, 0.25, 25)
        blocks = np.repeat(np.arange(25), 100)
        raw = rng.normal(0.0, 0.4, blocks.size)
        y = rng.random(blocks.size) < expit(0.5 * raw + levels[blocks])
        past = blocks < 24
        calibrator = AnchoredCalibrator().fit(raw[past], y[past], blocks=blocks[past])
        held.append(0.5 * 0.2 + levels[24] >= float(calibrator.log_odds_low(0.2)))
    assert 0.85 <= np.mean(held) <= 0.985


def test_copies_count_as_what_they_weigh():
    raw, y = drawn(800, 0.6)
    once = AnchoredCalibrator().fit(raw, y)
    copied = AnchoredCalibrator().fit(np.tile(raw, 4), np.tile(y, 4), np.full(3_200, 0.25))
    assert [copied.slope_, copied.shift_] == pytest.approx([once.slope_, once.shift_], abs=1e-6)
    assert copied.covariance_ == pytest.approx(once.covariance_, rel=1e-5)


FITTED = AnchoredCalibrator(anchor=-0.3).fit(*drawn(2_000, 0.7), blocks=np.arange(2_000) // 500)


@pytest.mark.parametrize("calibrator", [FITTED, AnchoredCalibrator(anchor=0.1).fit([], [])])
def test_the_way_to_json_and_back_keeps_every_bit(calibrator):
    rebuilt = calibrator_from_dict(json.loads(json.dumps(calibrator.to_dict())))
    raw = np.array([-800.0, -3.0, 0.0, 1e-9, 2.0, 800.0])
    np.testing.assert_array_equal(rebuilt.predict(raw), calibrator.predict(raw))
    np.testing.assert_array_equal(rebuilt.log_odds_low(raw), calibrator.log_odds_low(raw))
    assert [float(calibrator.predict(value)) for value in raw.tolist()] == calibrator.predict(raw).tolist()
    assert rebuilt.to_dict() == calibrator.to_dict()


@pytest.mark.parametrize(
    "change",
    [
        {"slope": 1.1},
        {"slope": -0.1},
        {"slope": float("nan")},
        {"shift": 0.1},
        {"anchor": "0"},
        {"anchor": None},
        {"slope_variance": -1.0},
        {"intercept_variance": float("inf")},
        {"extra": 0.0},
    ],
)
def test_a_damaged_bundle_does_not_become_a_calibrator(change):
    with pytest.raises(BundleError, match="calibrator"):
        calibrator_from_dict(FITTED.to_dict() | change)
    without = {key: value for key, value in FITTED.to_dict().items() if key != "covariance"}
    with pytest.raises(BundleError, match="covariance"):
        calibrator_from_dict(without)


def test_what_cannot_be_used_is_refused():
    with pytest.raises(ParameterError, match="`anchor` must be finite"):
        AnchoredCalibrator(anchor=np.inf).fit([], [])
    with pytest.raises(ParameterError, match="`prior_slope`"):
        AnchoredCalibrator(prior_slope=1.5).fit([], [])
    with pytest.raises(DataError, match="first bad row 1"):
        AnchoredCalibrator().fit([0.1, np.nan], [0, 1])
    with pytest.raises(DataError):
        AnchoredCalibrator().fit([0.1, 0.2], [0, 1], anchors=[0.0, np.inf])
    with pytest.raises(NotFittedError):
        AnchoredCalibrator().predict(0.0)


def test_the_variance_between_unequal_blocks_is_that_of_dersimonian_and_laird():
    """Caught: a count of blocks for that of their differences, and blocks that count alike."""
    block = np.repeat([0, 1, 2], [40, 100, 400])
    outcome = np.concatenate([np.arange(n) < ones for n, ones in ((40, 32), (100, 40), (400, 220))]) * 1.0
    information = np.array([10.0, 25.0, 100.0])  # n / 4 at even odds
    level = np.array([12.0, -10.0, 20.0]) / information
    heterogeneity = (information * level**2).sum()
    freedom = information.sum() - (information**2).sum() / information.sum()
    found = variance_between(outcome, np.full(540, 0.5), np.ones(540), block)
    assert found == pytest.approx((heterogeneity - 2.0) / freedom)
    assert found > 0.1
