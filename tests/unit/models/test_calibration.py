"""Calibrators: the fit against its definition, few or strange rows, and the way to JSON and back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.exceptions import NotFittedError

from slackwater.errors import BundleError, DataError, ParameterError
from slackwater.models.calibration import IdentityCalibrator, SigmoidCalibrator, calibrator_from_dict


def drawn(n_rows: int, slope: float, intercept: float = 0.0, spread: float = 0.7, seed: int = 0):
    rng = np.random.default_rng(seed)
    raw = spread * rng.normal(size=n_rows)
    return raw, rng.random(n_rows) < expit(slope * raw + intercept)


def test_the_fit_maximises_the_likelihood_with_its_prior():
    """Caught: a weight that is lost, a prior that pulls to a slope of 0 in place of 1, a fit that stops early."""
    raw, y = drawn(300, slope=1.6, intercept=-0.4)
    weight = np.random.default_rng(1).uniform(0.1, 1.0, 300)
    prior = 80.0 * weight / weight.sum()

    def loss(parameters):
        log_odds = parameters[0] * raw + parameters[1]
        happened = weight * y + prior * expit(raw)
        return float(((weight + prior) * np.logaddexp(0.0, log_odds) - happened * log_odds).sum())

    best = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10}).x
    calibrator = SigmoidCalibrator(prior_rows=80.0).fit(raw, y, weight)
    assert [calibrator.slope_, calibrator.intercept_] == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, 0.0), (1.0, 0.3), (2.0, -0.5)])
def test_many_rows_outvote_the_prior(slope, intercept):
    """Caught: a calibration that does not calibrate."""
    calibrator = SigmoidCalibrator().fit(*drawn(60_000, slope, intercept))
    assert calibrator.slope_ == pytest.approx(slope, abs=0.05)
    assert calibrator.intercept_ == pytest.approx(intercept, abs=0.04)


def test_few_rows_leave_the_log_odds_nearly_as_they_are():
    """Caught: ten rows that the trees happen to separate, and a probability of .999 for the next."""
    raw = np.linspace(-1.0, 1.0, 10)
    calibrator = SigmoidCalibrator().fit(raw, raw > 0)
    assert 1.0 < calibrator.slope_ < 1.5
    assert abs(calibrator.intercept_) < 0.05


def test_weights_are_counts_of_rows():
    """Caught: a prior that is applied to rows in place of weight."""
    raw, y = drawn(200, slope=0.5)
    twice = SigmoidCalibrator().fit(np.tile(raw, 2), np.tile(y, 2))
    weighted = SigmoidCalibrator().fit(raw, y, np.full(200, 2.0))
    assert twice.to_dict() == pytest.approx(weighted.to_dict(), abs=1e-8)


def test_a_ranking_that_was_wrong_is_ignored_but_not_turned_around():
    """Caught: a negative slope, or an intercept that was fitted beside it and not anew."""
    raw, y = drawn(3_000, slope=-3.0, intercept=0.5)
    calibrator = SigmoidCalibrator(prior_rows=1e-6).fit(raw, y)
    assert calibrator.slope_ == 0.0
    assert calibrator.predict([-5.0, 5.0]) == pytest.approx([y.mean(), y.mean()])


def test_equal_scores_say_nothing_about_the_slope():
    """Caught: a head without splits, and a slope of millions that multiplies the refitted trees."""
    raw = 0.2 + 1e-4 * np.random.default_rng(0).random(500)
    y = np.arange(500) % 5 == 0
    calibrator = SigmoidCalibrator(prior_rows=1e-6).fit(raw, y)
    assert calibrator.slope_ == 1.0
    assert float(calibrator.predict(raw[0])) == pytest.approx(0.2, abs=1e-3)


@settings(deadline=None, max_examples=150)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_rows=st.integers(1, 40),
    scale=st.floats(-12, 300),
    share=st.floats(0, 1),
    prior_rows=st.floats(1e-3, 1e4),
)
def test_any_rows_give_a_usable_calibrator(seed, n_rows, scale, share, prior_rows):
    """Caught: overflow, a fit that does not converge (a warning is an error), a slope infinite or negative."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=n_rows) * 10.0**scale
    weight = 10.0 ** rng.uniform(-9, 2, n_rows)
    calibrator = SigmoidCalibrator(prior_rows=prior_rows).fit(raw, rng.random(n_rows) < share, weight)
    assert calibrator.slope_ >= 0.0
    p = calibrator.predict(np.sort(raw))
    assert np.isfinite(p).all()
    assert (np.diff(p) >= 0.0).all()


@pytest.mark.parametrize("calibrator", [IdentityCalibrator(), SigmoidCalibrator().fit(*drawn(500, 0.7))])
def test_the_way_to_json_and_back_keeps_every_bit(calibrator):
    """Caught: numbers rounded on the way into the bundle, and numpy types that JSON refuses."""
    raw = np.array([-800.0, -3.0, -0.1, 0.0, 1e-9, 2.0, 800.0])
    rebuilt = calibrator_from_dict(json.loads(json.dumps(calibrator.to_dict())))
    assert type(rebuilt) is type(calibrator)
    np.testing.assert_array_equal(rebuilt.predict(raw), calibrator.predict(raw))
    assert rebuilt.to_dict() == calibrator.to_dict()


@pytest.mark.parametrize("calibrator", [IdentityCalibrator(), SigmoidCalibrator().fit(*drawn(500, 0.7))])
def test_one_value_and_a_column_give_the_same_bits(calibrator):
    """Caught: live and batch probabilities that differ in the last bit."""
    raw = np.random.default_rng(2).normal(size=1_001) * 3
    column = calibrator.predict(raw)
    assert column.shape == raw.shape
    assert [float(calibrator.predict(value)) for value in raw.tolist()] == column.tolist()


def test_identity_is_the_logistic_function():
    """Caught: an identity that is not one."""
    assert float(IdentityCalibrator().predict(math.log(3.0))) == pytest.approx(0.75)


SOUND = {
    "method": "sigmoid",
    "slope": 1.0,
    "intercept": 0.0,
    "slope_variance": 0.04,
    "covariance": 0.001,
    "intercept_variance": 0.01,
}


def test_a_sound_calibrator_is_read():
    assert calibrator_from_dict(SOUND).log_odds_low(0.0) == pytest.approx(-0.1 * 1.2815516)


def test_log_odds_that_rows_came_with_are_not_learned_again():
    """Caught: an offset that is ignored (the intercept would have to stand for all of it), or added with a sign."""
    rng = np.random.default_rng(3)
    offset, raw = rng.normal(-2.0, 1.0, 40_000), rng.normal(0.0, 0.5, 40_000)
    y = rng.random(40_000) < 1.0 / (1.0 + np.exp(-(offset + 0.5 * raw + 0.2)))
    calibrator = SigmoidCalibrator(prior_rows=1.0).fit(raw, y, offset=offset)
    assert calibrator.slope_ == pytest.approx(0.5, abs=0.06)
    assert calibrator.intercept_ == pytest.approx(0.2, abs=0.06)


def test_nine_lower_bounds_in_ten_hold():
    """Caught: a covariance of the wrong scale, a bound on the wrong side, or two-sided."""
    rng = np.random.default_rng(4)
    held = []
    for _ in range(400):
        raw = rng.normal(0.3, 0.5, 600)
        y = rng.random(600) < 1.0 / (1.0 + np.exp(-(0.6 * raw + 0.1)))
        calibrator = SigmoidCalibrator(prior_rows=1e-3).fit(raw, y)
        held.append(calibrator.log_odds_low([-0.5, 0.3, 1.2]) < 0.6 * np.array([-0.5, 0.3, 1.2]) + 0.1)
    assert np.mean(held, axis=0) == pytest.approx([0.9, 0.9, 0.9], abs=0.045)


def test_rows_that_repeat_each_other_widen_the_bound_and_move_nothing():
    raw, y = drawn(1_000, 0.7)
    once = SigmoidCalibrator(prior_rows=1e-6).fit(raw, y)
    quarter = SigmoidCalibrator(prior_rows=1e-6).fit(raw, y, effective_rows=250.0)
    np.testing.assert_array_equal(once.log_odds(raw), quarter.log_odds(raw))
    widths = [c.log_odds(raw) - c.log_odds_low(raw) for c in (once, quarter)]
    np.testing.assert_allclose(widths[1], 2.0 * widths[0], rtol=1e-6)


@pytest.mark.parametrize(("rows", "copies"), [(1_000, 1), (1_000, 4), (1_000, 20), (3_000, 10), (400, 10)])
def test_copies_do_not_tighten_the_bound_of_an_edge_that_is_not_there(rows: int, copies: int) -> None:
    """Caught: a prior outvoted by raw rows, and a bound that counts it in full: above the truth in .21 of samples."""
    rng = np.random.default_rng(7)
    above, offset = [], np.full(rows, -np.log(3.0))
    for _ in range(300):
        raw = np.repeat(rng.normal(0.0, 0.3, rows // copies), copies)
        y = np.repeat(rng.random(rows // copies) < 0.25, copies)
        calibrator = SigmoidCalibrator(prior_slope=0.0)
        calibrator.fit(raw, y, offset=offset, effective_rows=rows / copies)
        above.append(calibrator.log_odds_low(np.array([0.0]))[0] > 0.0)
    assert np.mean(above) <= 0.1 + 3.0 * np.sqrt(0.1 * 0.9 / 300)


def test_a_sceptic_believes_the_offset_and_not_the_trees():
    """With few rows the trees are noise to it; with many that agree with them it follows."""
    few, many = drawn(40, 1.0), drawn(20_000, 1.0)
    assert SigmoidCalibrator(prior_slope=0.0).fit(*few).slope_ < 0.35 < SigmoidCalibrator().fit(*few).slope_
    assert SigmoidCalibrator(prior_slope=0.0).fit(*many).slope_ > 0.9


def test_a_sceptic_does_not_believe_trees_that_it_has_not_seen_tell_rows_apart():
    """Caught: a slope of 1 without any variance, let loose on refitted trees that do tell rows apart."""
    y = np.random.default_rng(6).random(60) < 0.3
    calibrator = SigmoidCalibrator(prior_slope=0.0).fit(np.zeros(60), y, offset=np.full(60, -0.8))
    assert calibrator.slope_ == 0.0
    assert np.ptp(calibrator.log_odds_low([-2.0, 0.0, 2.0])) == 0.0
    assert SigmoidCalibrator().fit(np.zeros(60), y).slope_ == 1.0


def test_what_was_never_measured_has_no_bound():
    assert np.isnan(IdentityCalibrator().log_odds_low([0.0, 1.0])).all()
    assert IdentityCalibrator().log_odds([0.0, 1.0]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("wrong", [{"offset": [0.0]}, {"offset": [0.0, np.nan]}])
def test_an_impossible_offset_is_refused(wrong):
    with pytest.raises(DataError, match="offset"):
        SigmoidCalibrator().fit([0.1, 0.2], [0, 1], **wrong)


@pytest.mark.parametrize("rows", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_effective_rows_are_refused(rows):
    with pytest.raises(ParameterError, match="effective_rows"):
        SigmoidCalibrator().fit([0.1, 0.2], [0, 1], effective_rows=rows)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"method": "isotonic"},
        {"method": "sigmoid"},
        {"method": "sigmoid", "slope": 1.0},
        {"method": "sigmoid", "slope": 1.0, "intercept": 0.0},
        {**SOUND, "extra": 1.0},
        {**SOUND, "slope": -0.1},
        {**SOUND, "slope": float("nan")},
        {**SOUND, "slope": float("inf")},
        {**SOUND, "slope": "1"},
        {**SOUND, "slope": True},
        {**SOUND, "slope": 10**400},
        {**SOUND, "slope_variance": -1e-9},
        {**SOUND, "intercept_variance": None},
        {"method": "identity", "slope": 1.0},
        {"method": ["sigmoid"]},
        ["sigmoid"],
        "sigmoid",
        None,
    ],
)
def test_a_damaged_bundle_does_not_become_a_calibrator(values):
    """Caught: a half-written file that would turn into probabilities, or into an exception of another kind."""
    with pytest.raises(BundleError, match="calibrator"):
        calibrator_from_dict(values)


@pytest.mark.parametrize(
    ("raw", "y", "weight"),
    [
        ([], [], None),
        ([0.1, 0.2], [1], None),
        ([[0.1], [0.2]], [0, 1], None),
        ([0.1, np.nan], [0, 1], None),
        ([0.1, np.inf], [0, 1], None),
        ([0.1, 0.2], [-1, 1], None),
        ([0.1, 0.2], [0, 1], [1.0]),
        ([0.1, 0.2], [0, 1], [2.0, -1.0]),
        ([0.1, 0.2], [0, 1], [1.0, np.nan]),
        ([0.1, 0.2], [0, 1], [0.0, 0.0]),
    ],
)
def test_rows_that_cannot_be_used(raw, y, weight):
    """Caught: labels of -1 and 1 taken for weights, NaN that turns slope and intercept into NaN."""
    with pytest.raises(DataError):
        SigmoidCalibrator().fit(raw, y, weight)


@pytest.mark.parametrize("prior_rows", [0.0, -1.0, float("inf"), float("nan")])
def test_prior_rows_out_of_range(prior_rows):
    """Caught: no prior at all, with which a separable tail sends the slope to infinity."""
    with pytest.raises(ParameterError, match="`prior_rows` must be finite and > 0"):
        SigmoidCalibrator(prior_rows=prior_rows).fit([0.0, 1.0], [0, 1])


def test_prediction_before_the_fit():
    """Caught: an AttributeError where a user of scikit-learn expects NotFittedError."""
    with pytest.raises(NotFittedError):
        SigmoidCalibrator().predict(0.0)
    with pytest.raises(NotFittedError):
        SigmoidCalibrator().to_dict()
