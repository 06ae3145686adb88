import tracemalloc
from datetime import timedelta

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import norm

from slackwater.errors import DataError, ParameterError
from slackwater.metrics.classification import auc, expected_calibration_error
from slackwater.metrics.selection import (
    Stretch,
    block_bootstrap_indices,
    bootstrap_difference,
    bootstrap_interval,
    deflated_sharpe_ratio,
    ece_quantile_under_perfect_calibration,
    expected_maximum_sharpe_ratio,
    minimum_detectable_effect,
    minimum_track_record_length,
    politis_white_block_length,
    probabilistic_sharpe_ratio,
    probability_of_backtest_overfitting,
)

START = np.datetime64("2023-01-01T05:00", "us")
DAY = np.timedelta64(1, "D")


def every_day(days: int, rows_a_day: int = 1) -> np.ndarray:
    return START + np.repeat(np.arange(days), rows_a_day) * DAY


SAMPLES = 300


def mean_of(values: np.ndarray) -> float:
    return float(values.mean())


# ---------------------------------------------------------------- block bootstrap


def test_a_day_is_drawn_whole() -> None:
    """Fails if symbols of one day are drawn apart: they fall together and are one observation."""
    times = every_day(100, 4) + np.tile(np.arange(4) * np.timedelta64(5, "h"), 100)
    for rows in block_bootstrap_indices(times, draws=20):
        assert rows.size == 400
        days = rows.reshape(100, 4) // 4
        assert (days == days[:, :1]).all()
        assert (np.sort(rows.reshape(100, 4) % 4) == np.arange(4)).all()


def test_mean_block_is_as_long_as_asked() -> None:
    """Fails if blocks are days, or the restart probability is inverted."""
    for wanted in (5, 14):
        blocks = 0
        for rows in block_bootstrap_indices(every_day(1000), mean_block=timedelta(days=wanted), draws=50):
            blocks += 1 + np.sum(np.diff(rows) % 1000 != 1)
        assert 50 * 1000 / blocks == pytest.approx(wanted, rel=0.1)


def test_every_day_is_drawn_equally_often() -> None:
    """Fails if the calendar is no circle: its ends would then be drawn too rarely."""
    counts = sum(np.bincount(rows, minlength=60) for rows in block_bootstrap_indices(every_day(60), draws=3000))
    assert counts.min() > 0.9 * counts.mean()
    assert counts.max() < 1.1 * counts.mean()


def test_empty_days_are_days() -> None:
    """Fails if quiet days are left out of the calendar, which makes blocks of events instead of blocks of time."""
    times = np.concatenate((every_day(10), every_day(10) + 90 * DAY))
    sizes = [rows.size for rows in block_bootstrap_indices(times, mean_block=timedelta(days=5), draws=300)]
    assert min(sizes) < 10 < 30 < max(sizes)
    assert np.mean(sizes) == pytest.approx(20, rel=0.1)


def test_same_seed_same_draws() -> None:
    """Fails if the draws depend on a global state, or on the order in which the rows are given."""
    one, again, other = (
        [rows.tolist() for rows in block_bootstrap_indices(every_day(90), draws=3, seed=seed)] for seed in (1, 1, 2)
    )
    assert one == again != other
    x = np.random.default_rng(0).normal(size=180)
    times = every_day(90, 2) + np.tile([0, 1], 90) * np.timedelta64(1, "h")
    order = np.random.default_rng(1).permutation(180)
    straight = bootstrap_interval(np.mean, times, x, draws=50)
    shuffled = bootstrap_interval(np.mean, times[order], x[order], draws=50)
    assert straight.low == pytest.approx(shuffled.low, abs=1e-12)


def test_independent_days_give_the_textbook_error() -> None:
    """Fails if the standard error is off by a factor, or the interval is not 95 %."""
    x = np.random.default_rng(0).normal(size=800)
    interval = bootstrap_interval(np.mean, every_day(800), x)
    expected = x.std() / np.sqrt(800)
    assert interval.standard_error == pytest.approx(expected, rel=0.2)
    assert (interval.high - interval.low) / (2 * 1.96) == pytest.approx(interval.standard_error, rel=0.1)
    assert interval.low < x.mean() < interval.high
    assert interval.draws == 2000
    narrow = bootstrap_interval(np.mean, every_day(800), x, confidence=0.5)
    assert (narrow.high - narrow.low) / (interval.high - interval.low) == pytest.approx(0.6745 / 1.96, rel=0.1)


def test_copies_of_a_symbol_add_nothing() -> None:
    """Fails if four symbols that move as one halve the standard error."""
    x = np.random.default_rng(0).normal(size=400)
    alone = bootstrap_interval(np.mean, every_day(400), x, draws=500)
    copied = bootstrap_interval(np.mean, every_day(400, 4), np.repeat(x, 4), draws=500)
    assert copied.standard_error == pytest.approx(alone.standard_error, rel=1e-9)


def test_persistence_widens_the_interval() -> None:
    """Fails if days are drawn one by one: at an autocorrelation of .8 the error is then a third of the true one."""
    rng = np.random.default_rng(0)
    n, phi = 3000, 0.8
    shocks = rng.normal(size=n)
    x = np.zeros(n)
    for i in range(1, n):
        x[i] = phi * x[i - 1] + shocks[i]
    true_error = 1 / (1 - phi) / np.sqrt(n)
    interval = bootstrap_interval(np.mean, every_day(n), x, mean_block=timedelta(days=30), draws=500)
    assert interval.standard_error == pytest.approx(true_error, rel=0.3)


def test_sorting_once_changes_nothing() -> None:
    """Fails if the fast form of a statistic sees other rows than the plain one."""
    rng = np.random.default_rng(0)
    y, p = rng.integers(0, 2, 600), rng.random(600).round(2)
    times = START + rng.integers(0, 200 * 24, 600) * np.timedelta64(1, "h")
    fast = bootstrap_interval(auc, times, y, p, draws=50)
    plain = bootstrap_interval(lambda y, p: auc(y, p), times, y, p, draws=50)
    for name in ("low", "high", "standard_error"):
        assert getattr(fast, name) == pytest.approx(getattr(plain, name), abs=1e-12)


def test_difference_is_paired() -> None:
    """Fails if the two sides are drawn apart, so that what both share does not cancel, or the sign is turned."""
    rng = np.random.default_rng(0)
    times, y = every_day(300, 2), rng.integers(0, 2, 600)
    good = y + rng.normal(size=600)
    same = bootstrap_difference(auc, times, (y, good), (y, good), draws=100)
    assert (same.low, same.high, same.standard_error) == (0.0, 0.0, 0.0)
    worse = good + 0.2 * rng.normal(size=600)
    paired = bootstrap_difference(auc, times, (y, good), (y, worse), draws=300)
    alone = bootstrap_interval(auc, times, y, good, draws=300)
    assert paired.standard_error < 0.6 * alone.standard_error
    assert bootstrap_difference(auc, times, (y, good), (y, rng.random(600)), draws=100).low > 0.1
    backwards = bootstrap_difference(auc, times, (y, worse), (y, good), draws=300)
    assert (backwards.low, backwards.high) == pytest.approx((-paired.high, -paired.low))


def test_a_short_calendar_has_no_interval() -> None:
    """Fails if less than six blocks of two weeks pretend to be evidence."""
    short = bootstrap_interval(np.mean, every_day(83), np.arange(83.0))
    assert np.isnan([short.low, short.high, short.standard_error]).all()
    assert short.draws == 0
    assert np.isfinite(bootstrap_interval(np.mean, every_day(84), np.arange(84.0), draws=20).low)
    assert np.isnan(ece_quantile_under_perfect_calibration([0, 1] * 20, [0.5] * 40, every_day(40)))


@pytest.mark.parametrize("blocks", [6, 13])
def test_the_interval_covers_what_it_says_on_short_calendars(blocks: int) -> None:
    """Fails if the interval is the bare percentiles: at 6 blocks these cover .87, and their low is above 0 in .068."""
    rng, days = np.random.default_rng(blocks), 14 * blocks
    times, inside, above = every_day(days), 0, 0
    for seed in range(SAMPLES):
        found = bootstrap_interval(mean_of, times, rng.normal(size=days), draws=150, seed=seed)
        inside += found.low <= 0.0 <= found.high
        above += found.low > 0.0
    assert inside / SAMPLES >= 0.95 - 3.0 * np.sqrt(0.95 * 0.05 / SAMPLES)
    assert above / SAMPLES <= 0.025 + 3.0 * np.sqrt(0.025 * 0.975 / SAMPLES)


def test_the_stretch_undoes_the_shrinkage_of_the_draws() -> None:
    """Fails on a slip in the weights: the variance of a drawn mean is their sum over the sample's autocovariances."""
    rng, days = np.random.default_rng(3), 84
    stretch = Stretch.of(days, mean_block=timedelta(days=14))
    counts = np.stack([np.bincount(rows, minlength=days) for rows in block_bootstrap_indices(every_day(days))])
    errors = [(counts @ rng.normal(size=days) / days).std() for _ in range(2_000)]
    shrunk = np.sqrt(np.mean(np.square(errors)) * days)
    assert shrunk * stretch.of_error == pytest.approx(1.0, abs=0.02)
    # The variance of a chi-squared variable with v degrees of freedom is 2 / v of its squared mean.
    relative = np.var(np.square(errors)) / np.mean(np.square(errors)) ** 2
    assert 2.0 / relative == pytest.approx(stretch.degrees_of_freedom, rel=0.25)
    assert Stretch.of(10_000, mean_block=timedelta(days=14)).of_bound(0.95) == pytest.approx(1.0, abs=0.005)


def test_a_perfect_forecast_rarely_exceeds_its_bound_on_a_short_calendar() -> None:
    """Fails if the draws are taken as they are: a perfect forecast then fails in .055 of samples instead of .01."""
    rng, over, days, rows = np.random.default_rng(5), 0, 84, 150
    for seed in range(SAMPLES):
        day = np.sort(rng.integers(0, days, rows))
        day[[0, -1]] = 0, days - 1
        p = rng.beta(5.0, 5.0, rows)
        y = (rng.random(rows) < p).astype(int)
        times = START + day * np.timedelta64(1, "D")
        over += expected_calibration_error(y, p) > ece_quantile_under_perfect_calibration(
            y, p, times, draws=200, seed=seed
        )
    assert over / SAMPLES <= 0.01 + 3.0 * np.sqrt(0.01 * 0.99 / SAMPLES)


def test_a_statistic_that_is_mostly_undefined_has_no_interval() -> None:
    """Fails if draws without a value are dropped in silence, which leaves the lucky ones."""
    y = np.zeros(100, dtype=int)
    y[50] = 1
    rare = bootstrap_interval(auc, every_day(100), y, np.arange(100.0), draws=200)
    assert np.isnan(rare.low)
    assert 0 < rare.draws < 190


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"mean_block": timedelta(hours=12)}, "mean_block"),
        ({"draws": 0}, "draws"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_bootstrap_refuses_parameters_by_name(changes, named: str) -> None:
    """Fails if an argument out of range runs on."""
    with pytest.raises(ParameterError, match=f"`{named}`"):
        bootstrap_interval(np.mean, every_day(99), np.zeros(99), **changes)


def test_bootstrap_refuses_arrays_that_do_not_belong_together() -> None:
    """Fails if a longer array is cut off in silence, or numbers are taken for times."""
    with pytest.raises(ParameterError, match="one row per time"):
        bootstrap_interval(np.mean, every_day(99), np.zeros(100))
    with pytest.raises(ParameterError, match="one row per time"):
        bootstrap_difference(auc, every_day(4), ([0, 1, 0, 1], [1, 2, 3, 4]), ([0, 1, 0], [1, 2, 3]))
    with pytest.raises(ParameterError, match="datetime64"):
        bootstrap_interval(np.mean, np.arange(99), np.zeros(99))
    with pytest.raises(ParameterError, match="empty"):
        block_bootstrap_indices(every_day(0))
    with pytest.raises(DataError, match="missing"):
        block_bootstrap_indices(np.array(["2024-01-01", "NaT"], dtype="datetime64[us]"))


# ---------------------------------------------------------------- calibration under perfect calibration


def test_ece_quantile_is_that_of_independent_outcomes() -> None:
    """Fails if the residuals are not centred, or the quantile is of another statistic than the error itself."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 0.8, 1500)
    y = (rng.random(1500) < p).astype(int)
    errors = [expected_calibration_error(rng.random(1500) < p, p) for _ in range(1000)]
    quantile = ece_quantile_under_perfect_calibration(y, p, every_day(500, 3))
    assert quantile == pytest.approx(np.quantile(errors, 0.99), rel=0.2)


def test_ece_quantile_does_not_rise_with_miscalibration() -> None:
    """Fails if a badly calibrated model is measured by its own error and passes."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.3, 0.7, 1500)
    y = (rng.random(1500) < np.clip(p + 0.2, 0, 1)).astype(int)
    assert ece_quantile_under_perfect_calibration(y, p, every_day(500, 3)) < 0.08
    assert expected_calibration_error(y, p) > 0.15


def test_ece_quantile_knows_that_copies_add_nothing() -> None:
    """Fails if outcomes are drawn row by row: four symbols in step err four times, not independently."""
    rng = np.random.default_rng(0)
    p = rng.uniform(0.2, 0.8, 600)
    y = (rng.random(600) < p).astype(int)
    alone = ece_quantile_under_perfect_calibration(y, p, every_day(600), draws=500)
    copied = ece_quantile_under_perfect_calibration(np.repeat(y, 4), np.repeat(p, 4), every_day(600, 4), draws=500)
    assert copied == pytest.approx(alone, rel=0.05)


def test_ece_quantile_refuses_by_name() -> None:
    """Fails if a quantile of 99 (for .99) is accepted, or arrays of different length."""
    with pytest.raises(ParameterError, match="`quantile`"):
        ece_quantile_under_perfect_calibration([0, 1], [0.5, 0.5], every_day(2), quantile=99)
    with pytest.raises(ParameterError, match="one row per time"):
        ece_quantile_under_perfect_calibration([0, 1], [0.5, 0.5], every_day(3))


# ---------------------------------------------------------------- Sharpe ratios


def test_deflated_sharpe_ratio_of_the_paper() -> None:
    """Fails on any slip in skewness, kurtosis or the expected maximum.

    Bailey and López de Prado (2014), numerical example: Sharpe 2.5 a year on 1,250 days, skewness -3,
    kurtosis 10, 100 trials with variance 1/2 a year: expected maximum .1132 a day, deflated Sharpe ratio
    .9004. A skewness of -3 with a kurtosis of 10 exists only as a coin with two faces, the bad one 105 times
    in 1,250.
    """
    assert expected_maximum_sharpe_ratio(0.5 / 250, 100) == pytest.approx(0.1132, abs=5e-5)
    faces = np.repeat([-1.0, 0.0], [105, 1145])
    daily_sharpe = 2.5 / np.sqrt(250)
    returns = faces - faces.mean() + daily_sharpe * faces.std(ddof=1)
    deviation = np.sqrt(0.5 / 250 * 99 / 100)
    trials = np.repeat([-deviation, deviation], 50)
    assert deflated_sharpe_ratio(returns, trial_sharpe_ratios=trials) == pytest.approx(0.9004, abs=1e-3)


def test_probabilistic_sharpe_ratio_of_normal_returns() -> None:
    """Fails if the ratio is annualised: it is then no probability."""
    rng = np.random.default_rng(0)
    found = [probabilistic_sharpe_ratio(rng.normal(size=100)) for _ in range(4000)]
    # Without any edge the probability is uniform.
    assert np.quantile(found, [0.05, 0.5, 0.95]) == pytest.approx([0.05, 0.5, 0.95], abs=0.02)


def test_fat_left_tails_lower_the_probability() -> None:
    """Fails if the skewness enters with the wrong sign."""
    x = np.random.default_rng(0).exponential(size=300)
    right = x - x.mean() + 0.1
    left = -(x - x.mean()) + 0.1
    assert probabilistic_sharpe_ratio(left) < probabilistic_sharpe_ratio(right)


@pytest.mark.parametrize("ratios", [[0.1], [0.1, 0.1], [0.4] * 50])
def test_one_ratio_has_no_variance_to_deflate_by(ratios: list[float]) -> None:
    """Fails if the best of many trials, given its own ratio alone or again and again, passes undeflated."""
    returns = np.random.default_rng(0).normal(0.1, 1, 200)
    with pytest.raises(ParameterError, match="at least two ratios that differ"):
        deflated_sharpe_ratio(returns, trial_sharpe_ratios=ratios)


def test_more_trials_deflate_more() -> None:
    """Fails if the number of trials, or their variance, is ignored."""
    returns = np.random.default_rng(0).normal(0.1, 1, 200)
    trials = np.random.default_rng(1).normal(0, 0.05, 50)
    few = deflated_sharpe_ratio(returns, trial_sharpe_ratios=trials[:3] * trials.std(ddof=1) / trials[:3].std(ddof=1))
    many = deflated_sharpe_ratio(returns, trial_sharpe_ratios=trials)
    assert many < few < probabilistic_sharpe_ratio(returns)
    assert expected_maximum_sharpe_ratio(1.0, 1.2) == 0.0


def test_expected_maximum_is_near_the_mean_of_maxima() -> None:
    """Fails if the formula is not that of the maximum of N normal draws."""
    maxima = np.random.default_rng(0).normal(size=(4000, 40)).max(axis=1)
    assert expected_maximum_sharpe_ratio(1.0, 40) == pytest.approx(maxima.mean(), rel=0.02)


@pytest.mark.parametrize("returns", [[], [0.1, 0.2], [0.1, 0.1, 0.1, 0.1]])
def test_no_sharpe_ratio_without_spread(returns: list[float]) -> None:
    """Fails if a strategy with two trades, or with none but one result, is certain to be good."""
    assert np.isnan(probabilistic_sharpe_ratio(returns))
    assert np.isnan(deflated_sharpe_ratio(returns, trial_sharpe_ratios=[0.1, 0.2]))


def test_sharpe_ratios_refuse_by_name() -> None:
    """Fails if a NaN return is skipped or passed on in silence."""
    with pytest.raises(DataError, match="`returns`"):
        probabilistic_sharpe_ratio([0.1, np.nan, 0.2])
    with pytest.raises(DataError, match="`trial_sharpe_ratios`"):
        deflated_sharpe_ratio([0.1, 0.3, 0.2], trial_sharpe_ratios=[np.nan])
    with pytest.raises(ParameterError, match="`trial_sharpe_ratios`"):
        deflated_sharpe_ratio([0.1, 0.3, 0.2], trial_sharpe_ratios=[])
    with pytest.raises(ParameterError, match="`n_trials`"):
        expected_maximum_sharpe_ratio(1.0, 0.5)
    with pytest.raises(ParameterError, match="`trial_variance`"):
        expected_maximum_sharpe_ratio(-1.0, 5)


@pytest.mark.parametrize(("periods_a_year", "years"), [(252, 2.73), (52, 2.83), (12, 3.24)])
def test_track_record_lengths_as_published(periods_a_year: int, years: float) -> None:
    """Fails if the ratio is annualised or the benchmark forgotten: 2 against 1 per year (Bailey, López de Prado 2012).

    Returns of three values have the skewness 0 and the kurtosis 3 of a normal distribution.
    """
    normal = np.tile(np.sqrt(3.0) * np.array([-1.0, 0.0, 0.0, 0.0, 0.0, 1.0]), 2000)
    per_period = np.sqrt(1.0 / periods_a_year)
    found = minimum_track_record_length(normal + 2.0 * per_period, benchmark=per_period)
    assert found / periods_a_year == pytest.approx(years, abs=0.005)


def test_as_many_returns_as_the_track_record_needs_reach_the_confidence() -> None:
    """Fails if the length is not the inverse of the probabilistic Sharpe ratio, skewed returns included."""
    few = np.random.default_rng(0).exponential(size=40) - 0.8
    needed = minimum_track_record_length(few, confidence=0.99)
    ratio = few.mean() / few.std(ddof=1)
    z = ratio * np.sqrt(40 - 1) / norm.ppf(probabilistic_sharpe_ratio(few))  # root of the variance
    assert norm.cdf(ratio * np.sqrt(needed - 1) / z) == pytest.approx(0.99)


def test_no_track_record_shows_what_is_not_there() -> None:
    """Fails if a loser needs a finite time to show a profit, or no spread gives a number."""
    losses = np.array([0.1, -0.3, 0.2, -0.4])
    assert minimum_track_record_length(losses) == np.inf
    assert minimum_track_record_length(-losses, benchmark=5.0) == np.inf
    assert np.isnan(minimum_track_record_length([0.1, 0.1, 0.1]))
    assert np.isnan(minimum_track_record_length([0.1, 0.2]))
    for wrong in (0.5, 1.0):
        with pytest.raises(ParameterError, match="`confidence`"):
            minimum_track_record_length(losses, confidence=wrong)
    with pytest.raises(DataError, match="`returns`"):
        minimum_track_record_length([0.1, np.nan, 0.2])


# ---------------------------------------------------------------- length of a block


def test_block_length_of_one_correlated_lag_by_hand() -> None:
    """Fails if lags count once instead of on both sides, or the window is not flat up to half of the bandwidth."""
    shocks = np.random.default_rng(0).normal(size=1001)
    values = shocks[1:] + 0.9 * shocks[:-1]
    centred = values - values.mean()
    at = [float(centred[: 1000 - lag] @ centred[lag:]) / 1000 for lag in (0, 1)]
    # One correlated lag: the bandwidth is 2, where the window is 0.
    expected = (2.0 * at[1] / (at[0] + 2.0 * at[1])) ** (2 / 3) * 10.0
    assert politis_white_block_length(values) == pytest.approx(expected)


@pytest.mark.parametrize("memory", [0.7, 0.9])
def test_block_length_of_days_that_remember(memory: float) -> None:
    """Fails if the exponent is wrong: with autocorrelation r ** k the best length is known."""
    rng, n, found = np.random.default_rng(0), 4000, []
    for _ in range(20):
        values = lfilter([1.0], [1.0, -memory], rng.normal(size=n + 200))[200:]
        found.append(politis_white_block_length(values))
    best = (2.0 * memory / (1.0 - memory**2)) ** (2 / 3) * n ** (1 / 3)
    assert np.mean(found) == pytest.approx(best, rel=0.15)


def test_independent_days_need_no_blocks() -> None:
    rng = np.random.default_rng(0)
    assert np.median([politis_white_block_length(rng.normal(size=400)) for _ in range(50)]) < 2.5
    assert politis_white_block_length(np.tile([1.0, -1.0], 50)) >= 1.0


def test_block_length_of_too_little_is_not_known() -> None:
    """Fails if nine values, or values without any spread, get a length."""
    assert np.isnan(politis_white_block_length(np.arange(9.0)))
    assert np.isnan(politis_white_block_length(np.ones(100)))
    assert np.isfinite(politis_white_block_length(np.arange(10.0)))
    assert politis_white_block_length(np.arange(1000.0)) <= 3.0 * np.sqrt(1000.0)
    with pytest.raises(DataError, match="`values`"):
        politis_white_block_length([np.nan] * 20)


# ---------------------------------------------------------------- smallest effect


def test_minimum_detectable_effect() -> None:
    """Fails if years grow with the error and not with its square, or t is forgotten."""
    seen = minimum_detectable_effect(10.0, years=4.2)
    assert seen.smallest_effect_bps == 30.0
    assert seen.years_needed == pytest.approx(4.2 * 4)
    assert minimum_detectable_effect(10.0, years=4.2, effect_bps=30.0).years_needed == pytest.approx(4.2)
    assert minimum_detectable_effect(10.0, years=4.2, t=2.0).smallest_effect_bps == 20.0
    assert np.isnan(minimum_detectable_effect(float("nan"), years=1.0).years_needed)
    for wrong in ({"years": 0.0}, {"years": 1.0, "t": -1.0}, {"years": 1.0, "effect_bps": 0.0}):
        with pytest.raises(ParameterError):
            minimum_detectable_effect(10.0, **wrong)
    with pytest.raises(ParameterError, match="standard_error_bps"):
        minimum_detectable_effect(-1.0, years=1.0)


# ---------------------------------------------------------------- overfitting


def test_equally_worthless_trials_overfit() -> None:
    """Fails if the in-sample half leaks into the out-of-sample half: the best would stay best."""
    rng = np.random.default_rng(0)
    found = [probability_of_backtest_overfitting(rng.normal(size=(320, 10)), blocks=8) for _ in range(40)]
    assert np.mean([one.probability for one in found]) == pytest.approx(0.5, abs=0.1)
    assert np.mean([one.probability_of_loss for one in found]) == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize(("n_trials", "neutral"), [(2, 1 / 2), (3, 2 / 3), (5, 3 / 5), (20, 1 / 2)])
def test_the_overfitting_of_equal_trials_stands_beside_it(n_trials: int, neutral: float) -> None:
    """Fails if .5 stands beside the middle one of three, which counts as overfitted: drawn ranks say how often."""
    rng = np.random.default_rng(0)
    found = probability_of_backtest_overfitting(rng.normal(size=(40, n_trials)), blocks=4)
    assert found.neutral == pytest.approx(neutral)
    drawn = rng.integers(1, n_trials + 1, 100_000) / (n_trials + 1)
    assert np.mean(drawn <= 0.5) == pytest.approx(neutral, abs=0.01)


def test_equally_good_trials_have_a_high_pbo_and_no_loss() -> None:
    """Fails if the two shares are one: twelve equally good variants are not overfitted, only interchangeable."""
    good = np.random.default_rng(0).normal(0.5, 1, size=(640, 12))
    found = probability_of_backtest_overfitting(good)
    assert found.probability > 0.15
    assert found.probability_of_loss < 0.01
    assert found.splits == 12870


def test_a_trial_that_is_really_better_is_found() -> None:
    """Fails if the rank is counted from the wrong end."""
    returns = np.random.default_rng(0).normal(size=(320, 5))
    returns[:, 3] += 0.6
    assert probability_of_backtest_overfitting(returns, blocks=8).probability == 0.0


def test_a_trial_that_never_trades_is_worth_nothing() -> None:
    """Fails if zero over zero makes the never-trading trial NaN, and with it the ranks."""
    returns = np.random.default_rng(0).normal(-0.5, 1, size=(320, 3))
    returns[:, 1] = 0.0
    found = probability_of_backtest_overfitting(returns, blocks=8)
    assert (found.probability, found.probability_of_loss) == (0.0, 1.0)


def test_thousands_of_trials_do_not_fill_the_memory() -> None:
    """Catches 6.9 million Sharpe ratios that are all held at once, several times over."""
    returns = np.random.default_rng(0).normal(size=(56, 2_000))
    tracemalloc.start()
    found = probability_of_backtest_overfitting(returns, blocks=14)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.splits == 3_432
    assert peak < 150e6


def test_overfitting_of_a_single_trial_does_not_apply() -> None:
    """Fails if one trial is declared overfitted, or safe."""
    found = probability_of_backtest_overfitting(np.zeros((100, 1)))
    assert np.isnan([found.probability, found.probability_of_loss, found.neutral]).all()
    assert found.splits == 0


def test_overfitting_refuses_by_name() -> None:
    """Fails if blocks cannot be halved, hold no spread, or returns are missing."""
    for blocks in (3, 0, 18):
        with pytest.raises(ParameterError, match="`blocks`"):
            probability_of_backtest_overfitting(np.zeros((100, 2)), blocks=blocks)
    with pytest.raises(ParameterError, match="two periods per block"):
        probability_of_backtest_overfitting(np.zeros((31, 2)))
    with pytest.raises(ParameterError, match="n_periods"):
        probability_of_backtest_overfitting(np.zeros(100))
    with pytest.raises(DataError, match="`trial_returns`"):
        probability_of_backtest_overfitting(np.full((100, 2), np.nan))
