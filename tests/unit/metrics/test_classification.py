import numpy as np
import pytest

from slackwater.errors import DataError, ParameterError
from slackwater.metrics.classification import (
    auc,
    auc_from_counts,
    auc_within,
    average_precision,
    brier_skill,
    calibration_bins,
    expected_calibration_error,
    overconfidence,
    reliability_line,
)

RANKING = [auc, average_precision]
PROBABILITY = [lambda y, p: brier_skill(y, p, 0.5), expected_calibration_error, overconfidence, reliability_line]


def test_auc_by_hand() -> None:
    """Fails if ties count as won or lost, or the order is the wrong way round."""
    assert auc([0, 1], [0.2, 0.8]) == 1.0
    assert auc([0, 1], [0.8, 0.2]) == 0.0
    assert auc([0, 1, 0, 1], [0.5] * 4) == 0.5
    assert auc([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9]) == 3.5 / 4


def test_auc_takes_any_score() -> None:
    """Fails if scores are held to [0, 1]: the direction of the prior move (±1) is one of the baselines."""
    assert auc([0, 0, 1, 1], [-1, 1, 1, 1]) == 0.75
    assert auc([0, 1], [-300.0, 4.0]) == 1.0


def test_counts_are_repetitions() -> None:
    """Fails if counts are applied in sorted order, or a count of 0 still counts."""
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 50), rng.random(50).round(1)
    counts = rng.integers(0, 4, 50)
    again = np.repeat(np.arange(50), counts)
    assert auc_from_counts(y, p)(counts) == pytest.approx(auc(y[again], p[again]), abs=1e-14)


def test_order_of_the_rows_does_not_matter() -> None:
    """Fails if ties are broken by position, which rewards a table that is sorted by outcome."""
    y = np.array([1] * 30 + [0] * 30)
    p = np.random.default_rng(1).random(60).round(1)
    for metric in (auc, average_precision, expected_calibration_error):
        assert metric(y, p) == pytest.approx(metric(y[::-1], p[::-1]), abs=1e-14)


def test_the_training_base_rate_has_no_skill_wherever_the_test_rate_lies() -> None:
    """Fails if the reference is r (1 - r) with the training rate: .4 forecast where .3 come true then "has skill"."""
    y = np.array([1] * 30 + [0] * 70)
    for rate in (0.1, 0.3, 0.4, 0.6):
        assert brier_skill(y, np.full(100, rate), rate) == pytest.approx(0.0, abs=1e-12)
    assert brier_skill(y, np.full(100, 0.3), 0.4) > 0
    assert brier_skill(y, np.full(100, 0.5), 0.4) < 0


def test_brier_skill_is_the_textbook_one_where_the_rates_agree() -> None:
    """Fails if the score is not 1 - mean((p - y)²) / (r (1 - r))."""
    y, p = np.array([1, 0, 0, 1]), np.array([0.7, 0.1, 0.4, 0.9])
    assert brier_skill(y, p, 0.5) == pytest.approx(1 - np.mean((p - y) ** 2) / 0.25)


def test_brier_skill_takes_the_rate_of_each_fold() -> None:
    """Fails if only the first or the mean of the folds' base rates is used."""
    y, rate = np.array([1, 0, 1, 0]), np.array([0.9, 0.1, 0.9, 0.1])
    assert brier_skill(y, rate, rate) == 0.0
    assert brier_skill(y, rate, 0.5) > 0.9


@pytest.mark.parametrize("rate", [-0.1, 1.1, np.nan, [0.5, np.nan]])
def test_brier_skill_refuses_a_rate_that_is_none(rate: object) -> None:
    """Fails if a missing training rate gives a silent NaN verdict."""
    with pytest.raises(DataError, match="`base_rate`"):
        brier_skill([0, 1], [0.5, 0.5], rate)


def test_bins_hold_equally_many_rows() -> None:
    """Fails if the bins are of equal width, or the last one swallows the remainder."""
    p = np.random.default_rng(0).beta(1, 9, 1000)
    assert np.bincount(calibration_bins(p)).tolist() == [100] * 10
    assert set(np.bincount(calibration_bins(p[:95]))) <= {9, 10}
    assert (np.diff(calibration_bins(np.sort(p))) >= 0).all()


def test_rows_of_one_probability_share_a_bin() -> None:
    """Fails if a plateau of an isotonic calibration is cut between bins."""
    p = np.repeat([0.2, 0.5, 0.6], [50, 7, 43])
    which = calibration_bins(p)
    assert all(np.unique(which[p == value]).size == 1 for value in (0.2, 0.5, 0.6))
    assert np.unique(calibration_bins(np.full(20, 0.5))).size == 1


def test_calibration_error_by_hand() -> None:
    """Fails if the error is squared, signed, or not weighted by the rows of the bin."""
    y = np.array([0, 0, 0, 1, 1, 1, 0, 1])
    p = np.array([0.2] * 4 + [0.9] * 4)
    assert expected_calibration_error(y, p, bins=2) == pytest.approx((4 * 0.05 + 4 * 0.15) / 8)


def test_calibration_error_cannot_cancel_across_bins() -> None:
    """Fails if the bins are summed before the absolute value is taken."""
    y = np.array([1] * 50 + [0] * 50)
    assert expected_calibration_error(y, np.array([0.4] * 50 + [0.6] * 50)) == pytest.approx(0.6)


def test_overconfidence_counts_only_what_lies_beyond_the_outcomes() -> None:
    """Catches a sign, a base rate of one half, and bins that cancel each other."""
    y = np.array([0, 0, 0, 0, 1, 0, 1, 0, 1, 1] * 4)  # .4 happened
    truth = np.linspace(0.05, 0.95, 10)
    p, happened = np.repeat(truth, 40), np.concatenate([np.arange(40) < round(40 * t) for t in truth])
    assert overconfidence(happened, p) == pytest.approx(0.0)
    timid, sure = 0.5 + 0.5 * (p - 0.5), np.where(p > 0.5, (1.0 + p) / 2.0, p / 2.0)
    assert overconfidence(happened, timid) == 0.0
    assert expected_calibration_error(happened, timid) > 0.1
    assert overconfidence(happened, sure) == pytest.approx(expected_calibration_error(happened, sure))
    assert overconfidence(y, np.full(40, 0.5)) == pytest.approx(0.1), "a level that is too high is beyond the base rate"
    assert overconfidence(y, np.full(40, 0.3)) == pytest.approx(0.1)
    wrong_side = np.where(happened.astype(bool), 0.4, 0.6)
    assert overconfidence(happened, wrong_side) == pytest.approx(0.6)


def test_reliability_line_recovers_a_known_distortion() -> None:
    """Fails if slope and intercept are exchanged, or y is regressed on p instead of its logit."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=200_000)
    y = rng.random(z.size) < 1 / (1 + np.exp(-(0.4 + 0.7 * z)))
    line = reliability_line(y, 1 / (1 + np.exp(-z)))
    assert line.slope == pytest.approx(0.7, abs=0.02)
    assert line.intercept == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),
        ([0, 1, 0, 1], [0.5] * 4),
        ([1, 1, 1], [0.2, 0.4, 0.9]),
        ([], []),
    ],
)
def test_reliability_line_is_nan_where_there_is_none(y: list[int], p: list[float]) -> None:
    """Fails if a separable or a constant sample gives a huge slope, a crash or a warning."""
    line = reliability_line(y, p)
    assert np.isnan([line.slope, line.intercept]).all()


def test_reliability_line_survives_certainty() -> None:
    """Fails if a probability of exactly 0 or 1 makes the logit infinite."""
    line = reliability_line([0, 1, 1, 0, 1, 0], [0.0, 1.0, 0.6, 0.4, 0.0, 1.0])
    assert np.isfinite([line.slope, line.intercept]).all()


@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 1], []])
def test_one_class_gives_nan_and_no_crash(y: list[int]) -> None:
    """Fails if a fold with one class stops the run, or scores .5 as if something had been ranked."""
    p = [0.2, 0.5, 0.9][: len(y)]
    assert all(np.isnan(metric(y, p)) for metric in RANKING)
    if y:
        assert 0 <= overconfidence(y, p) <= expected_calibration_error(y, p) <= 1
        assert np.isnan(brier_skill(y, p, float(y[0])))
    else:
        assert np.isnan(expected_calibration_error(y, p))
        assert np.isnan(overconfidence(y, p))
        assert np.isnan(brier_skill(y, p, 0.5))


@pytest.mark.parametrize("metric", RANKING + PROBABILITY)
def test_refuses_bad_input_by_name(metric) -> None:
    """Fails if a NaN probability is ranked somewhere, or the message does not name array and row."""
    with pytest.raises(DataError, match=r"`p` must be finite, was \[nan\] in rows \[1\]"):
        metric([0, 1, 1], [0.5, np.nan, 0.5])
    with pytest.raises(DataError, match="`y` must be 0 or 1"):
        metric([0, 2, 1], [0.5, 0.5, 0.5])
    with pytest.raises(ParameterError, match="`p` must have the shape of `y`"):
        metric([0, 1, 1], [0.5, 0.5])


@pytest.mark.parametrize("metric", PROBABILITY)
def test_refuses_what_is_no_probability(metric) -> None:
    """Fails if a raw margin is scored as a probability."""
    with pytest.raises(DataError, match=r"`p` must be in \[0, 1\]"):
        metric([0, 1], [0.5, 1.2])


def test_refuses_no_bins() -> None:
    """Fails if zero bins divide by zero somewhere deeper."""
    with pytest.raises(ParameterError, match="`bins`"):
        expected_calibration_error([0, 1], [0.5, 0.5], bins=0)


def test_auc_within_groups_counts_pairs_of_the_same_group() -> None:
    """Fails if groups are averaged whatever their size, or pairs across groups count."""
    rng = np.random.default_rng(3)
    group = rng.integers(0, 5, 300)
    y, p = rng.integers(0, 2, 300), rng.random(300).round(1) + group
    pairs = [
        (p[i] > p[j]) + 0.5 * (p[i] == p[j])
        for i in np.flatnonzero(y == 1)
        for j in np.flatnonzero(y == 0)
        if group[i] == group[j]
    ]
    assert auc_within(y, p, group) == pytest.approx(np.mean(pairs))
    assert np.isnan(auc_within([0, 1], [0.1, 0.2], [0, 1]))
    assert np.isnan(auc_within([], [], []))
    with pytest.raises(ParameterError, match="`group` must be one number per row"):
        auc_within([0, 1], [0.1, 0.2], [0])
