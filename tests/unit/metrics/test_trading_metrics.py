import numpy as np
import pytest

from slackwater.errors import DataError, ParameterError
from slackwater.metrics.trading import (
    expectancy_bps,
    halves_positive,
    longest_losing_streak,
    max_drawdown,
    net_at_cost_multiples,
    positive_quarter_share,
    profit_factor,
    stamp_weighted_mean,
    top_trades_share,
    trade_weighted_mean,
)


def dates(*days: str) -> np.ndarray:
    return np.array(days, dtype="datetime64[us]")


def test_cost_multiples() -> None:
    """Fails if costs are added, or the factor 0 still costs."""
    assert net_at_cost_multiples([10.0, 20.0], [4.0, 6.0]) == {0.0: 15.0, 1.0: 10.0, 2.0: 5.0}
    assert net_at_cost_multiples([10.0], [4.0], multiples=[0.5]) == {0.5: 8.0}


@pytest.mark.parametrize(("net", "factor"), [([2.0, -1.0, 1.0, -1.0], 1.5), ([1.0, 0.0], np.inf), ([-1.0], 0.0)])
def test_profit_factor(net: list[float], factor: float) -> None:
    """Fails if wins are counted instead of summed, or no loss divides by zero."""
    assert profit_factor(net) == factor


def test_max_drawdown_is_from_the_peak_before() -> None:
    """Fails if the fall is taken from the start, from the overall peak, or in money."""
    assert max_drawdown([100.0, 50.0, 200.0, 150.0]) == 0.5
    assert max_drawdown([100.0, 110.0, 120.0]) == 0.0
    assert max_drawdown([100.0, -20.0]) == 1.2


@pytest.mark.parametrize(
    ("net", "streak"),
    [([], 0), ([1.0, 2.0], 0), ([-1.0] * 3, 3), ([-1, 1, -1, -1, 1, -1], 2), ([-1, 0, -1], 1), ([1, -1, -1], 2)],
)
def test_longest_losing_streak(net: list[float], streak: int) -> None:
    """Fails if a streak at either end is missed, a scratch counts as a loss, or losses are counted in all."""
    assert longest_losing_streak(net) == streak


def test_top_trades_share() -> None:
    """Fails if the share is of the net result, or the best trades are a share of the winners only."""
    net = np.concatenate(([50.0], np.full(9, 10.0), np.full(10, -13.0)))
    assert top_trades_share(net) == pytest.approx(50 / 140)
    assert top_trades_share(net, fraction=0.06) == pytest.approx(60 / 140)
    assert top_trades_share(net, fraction=1.0) == 1.0
    assert top_trades_share([1.0] * 100, fraction=0.07) == pytest.approx(7 / 100)


def test_halves_are_halves_of_time() -> None:
    """Fails if the sample is halved by count: ten good trades in a week would make a good half year."""
    times = dates("2024-01-01", "2024-01-02", "2024-01-03", "2024-12-31")
    assert halves_positive([5.0, -9.0, 5.0, -1.0], times) == (True, False)
    assert halves_positive([-5.0, 5.0, 0.0, 1.0], times) == (False, True)
    assert halves_positive([1.0], times[:1]) == (True, False)
    assert halves_positive([1.0, 2.0, 3.0, 4.0], times[::-1]) == (True, True)


def test_quarters_are_calendar_quarters() -> None:
    """Fails if quarters are quarters of the sample, months, or those without trades are forgotten."""
    times = dates("2023-12-31T23:00", "2024-01-01", "2024-03-31", "2024-07-01")
    assert positive_quarter_share([1.0, -3.0, 2.0, 1.0], times) == 2 / 4
    assert positive_quarter_share([1.0, -3.0, 4.0, 1.0], times) == 3 / 4
    assert positive_quarter_share([1.0], times[:1]) == 1.0


def test_error_is_clustered_by_day() -> None:
    """Fails if ten trades of one day count as ten: the t value is then three times too large."""
    rng = np.random.default_rng(0)
    daily = rng.normal(1, 5, 100)
    days = np.datetime64("2024-01-01", "us") + np.arange(100) * np.timedelta64(1, "D")
    alone = trade_weighted_mean(daily, days)
    assert alone.standard_error == pytest.approx(daily.std(ddof=1) / 10)
    hours = (np.arange(10) * np.timedelta64(2, "h"))[None, :]
    copied = trade_weighted_mean(np.repeat(daily, 10), (days[:, None] + hours).ravel())
    assert copied.t == pytest.approx(alone.t)
    assert copied.days == alone.days == 100
    assert copied.t == pytest.approx(copied.mean / copied.standard_error)


def test_one_unit_a_stamp() -> None:
    """Fails if a stamp at which all symbols fired weighs more than one at which one did."""
    times = dates("2024-01-01", "2024-01-01", "2024-01-01", "2024-01-02", "2024-01-03")
    net = [9.0, 9.0, 9.0, 0.0, 0.0]
    assert trade_weighted_mean(net, times).mean == pytest.approx(27 / 5)
    stamp = stamp_weighted_mean(net, times)
    assert stamp.mean == 3.0
    assert stamp.standard_error == pytest.approx(np.std([9.0, 0.0, 0.0], ddof=1) / np.sqrt(3))


def test_two_stamps_of_a_day_are_one_cluster() -> None:
    """Fails if the stamp, not the day, is the cluster."""
    times = dates("2024-01-01T01:00", "2024-01-01T09:00", "2024-01-02", "2024-01-03")
    assert stamp_weighted_mean([1.0, 2.0, 3.0, 4.0], times).days == 3


def test_one_day_has_no_error() -> None:
    """Fails if a single cluster divides by zero or is certain."""
    found = trade_weighted_mean([1.0, 2.0], dates("2024-01-01", "2024-01-01"))
    assert (found.mean, found.days) == (1.5, 1)
    assert np.isnan([found.standard_error, found.t]).all()
    same = trade_weighted_mean([1.0, 1.0], dates("2024-01-01", "2024-01-02"))
    assert np.isnan(same.t)


def test_no_trade_is_no_number_and_no_crash() -> None:
    """Fails if a gate that refused every event stops the run."""
    none = dates()
    assert np.isnan(
        [
            expectancy_bps([]),
            net_at_cost_multiples([], [])[1.0],
            profit_factor([]),
            max_drawdown([]),
            top_trades_share([]),
            positive_quarter_share([], none),
            trade_weighted_mean([], none).mean,
            stamp_weighted_mean([], none).t,
        ]
    ).all()
    assert halves_positive([], none) == (False, False)


def test_refuses_by_name() -> None:
    """Fails if a NaN trade is counted, or two arrays of different trades are combined."""
    for metric in (expectancy_bps, profit_factor, longest_losing_streak, top_trades_share):
        with pytest.raises(DataError, match=r"`net.*` must be finite, was \[nan\] in rows \[1\]"):
            metric([1.0, np.nan])
    with pytest.raises(DataError, match="`equity`"):
        max_drawdown([0.0, 1.0])
    with pytest.raises(ParameterError, match="`cost_bps`"):
        net_at_cost_multiples([1.0], [])
    with pytest.raises(ParameterError, match="`multiples`"):
        net_at_cost_multiples([1.0], [1.0], multiples=[-1.0])
    with pytest.raises(ParameterError, match="`fraction`"):
        top_trades_share([1.0], fraction=0.0)
    for metric in (halves_positive, positive_quarter_share, trade_weighted_mean, stamp_weighted_mean):
        with pytest.raises(ParameterError, match="`times`"):
            metric([1.0, 2.0], dates("2024-01-01"))
