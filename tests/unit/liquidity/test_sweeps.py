"""The state machine of sweeps, one story a test; the upper side, and the lower one as its mirror image."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.errors import ParameterError
from slackwater.features import intermediates as m
from slackwater.features.sweeps import _ABOVE, _BELOW, SweepsFamily
from slackwater.liquidity.levels import ACTIVE, EXPIRED, GLIDED, STARTED, SWEPT
from slackwater.liquidity.sweeps import SweepRules
from slackwater.market import inputs as i

HOUR = timedelta(hours=1)
WIDTH = m.FIRST_EXTRA
FAMILY = SweepsFamily(
    bar_interval=timedelta(minutes=5),
    level_windows=(2 * HOUR, 3 * HOUR),
    burst_window=timedelta(days=3),
    memory=6 * HOUR,
)
NAMES = [feature.name for feature in FAMILY.features()]

A = 0.01
LEVEL = 0.01
"""One hourly range above and below the price, which rests at zero. It is the only level of either side."""
# It touches the level for the last time before the half hour that counts as the approach.
N_QUIET = -(-FAMILY.warm_up // HOUR) * 12 + 33


class Market:
    """A market that is quiet for so long that everything is known, and then does as it is told."""

    def __init__(self, sign: int = 1) -> None:
        self.sign = sign
        self.state = np.zeros(FAMILY.state_size())
        self.constants = FAMILY.constants()
        self.rows = 0
        for k in range(N_QUIET):
            self.quiet(k)

    def quiet(self, k: int = 1) -> dict[str, float]:
        # Once an hour the price touches the level without crossing it.
        reach = LEVEL if k % 12 == 0 else 0.0005
        return self.bar(reach, -reach, 0.0, volume=100.0 + 10.0 * (k % 3 - 1))

    def bar(
        self,
        high: float,
        low: float,
        close: float,
        *,
        volume: float = 100.0,
        interest: float = 1e5,
        liquidation: float = math.nan,
        pool: float = math.nan,
        consumed: float = math.nan,
        missing: bool = False,
    ) -> dict[str, float]:
        """Add a bar, and return the features with the side that is played as ``above``."""
        row = np.full(WIDTH, np.nan)
        self.rows += 1
        row[m.TIME_HOURS] = 480_000 + self.rows / 12.0
        up = self.sign > 0
        if not missing:
            row[i.CLOSE] = math.exp(self.sign * close)
            row[i.VOLUME] = volume
            row[i.OPEN_INTEREST] = interest
            row[m.LOG_CLOSE] = self.sign * close
            row[m.LOG_HIGH], row[m.LOG_LOW] = (high, low) if up else (-low, -high)
            row[m.ATR_HOUR] = A
            row[m.LIQUIDATION_BURST_SHORT if up else m.LIQUIDATION_BURST_LONG] = liquidation
            row[m.POOL_ABOVE if up else m.POOL_BELOW] = self.sign * pool
            row[m.CONSUMED_ABOVE if up else m.CONSUMED_BELOW] = consumed
        out = np.empty(len(NAMES))
        SweepsFamily.advance(self.state, self.constants, row, out)
        named = dict(zip(NAMES, out, strict=True))
        if up:
            return named
        above, below = "above", "below"
        turned = {n.replace(*((below, above) if below in n else (above, below))): v for n, v in named.items()}
        turned["sweep_direction"] *= -1.0
        return turned

    def gap(self) -> dict[str, float]:
        return self.bar(math.nan, math.nan, math.nan, missing=True)

    def tally(self, what: int) -> int:
        return int(self.state[(_ABOVE if self.sign > 0 else _BELOW) + what])

    @property
    def classes(self) -> tuple[int, int, int]:
        """How many attempts were swept, glided and expired."""
        return self.tally(SWEPT), self.tally(GLIDED), self.tally(EXPIRED)


@pytest.fixture(params=[1, -1], ids=["highs", "lows"])
def market(request: pytest.FixtureRequest) -> Market:
    return Market(request.param)


def spike(market: Market, **changes: float) -> dict[str, float]:
    """A sweep: up to 0.6 A beyond the level within one bar, and back inside with the next one."""
    first = {"high": 0.016, "low": 0.0, "close": 0.0115, "volume": 1000.0}
    market.bar(**(first | changes))
    return market.bar(0.013, 0.005, 0.006)


def test_quiet_market_has_one_level_a_side_and_no_attempt(market: Market) -> None:
    out = market.quiet()
    assert market.tally(STARTED) == 0
    assert out["level_distance_above"] == pytest.approx(LEVEL / A)
    assert out["level_distance_below"] == pytest.approx(LEVEL / A)
    assert out["sweep_age_above"] == out["glide_age_above"] == 6.0
    assert out["sweep_direction"] == out["swept_depth_above"] == out["pierced_depth_above"] == 0.0
    assert math.isnan(out["swept_extreme_distance_above"])


def test_spike_and_return_is_swept_on_the_bar_that_reclaims(market: Market) -> None:
    first = market.bar(0.016, 0.0, 0.0115, volume=1000.0, consumed=0.002)
    assert first["sweep_direction"] == 0.0
    assert first["pierced_depth_above"] == pytest.approx(0.6)
    out = market.bar(0.013, 0.005, 0.006, consumed=0.001)
    assert market.classes == (1, 0, 0)
    assert out["sweep_direction"] == 1.0
    assert out["sweep_age_above"] == 0.0
    assert out["sweep_count_above_24h"] == 1.0
    assert out["swept_depth_above"] == pytest.approx(0.6)
    # From the lowest low of the approach.
    assert out["swept_speed_above"] == pytest.approx((0.016 + 0.0005) / A)
    # Usual volume 100 +- 10.
    assert out["swept_burst_above"] == pytest.approx(900.0 / (1.4826 * 10.0))
    assert out["swept_rejection_above"] == pytest.approx((0.016 - 0.006) / 0.016)
    assert out["swept_mass_above"] == pytest.approx(0.003)
    assert out["swept_extreme_distance_above"] == pytest.approx(0.010)
    assert out["pierced_depth_above"] == 0.0
    assert out["sweep_age_below"] == 6.0
    after = market.quiet()
    assert after["sweep_direction"] == 0.0
    assert after["sweep_age_above"] == pytest.approx(1.0 / 12.0)
    assert after["swept_extreme_distance_above"] == pytest.approx(0.016)


def test_one_bar_can_pierce_and_reclaim(market: Market) -> None:
    assert market.bar(0.016, 0.0, 0.004, volume=1000.0)["sweep_direction"] == 1.0


@pytest.mark.parametrize(
    ("outside", "classes"),
    [(5, (1, 0, 0)), (6, (0, 0, 1))],
    ids=["in the last bar", "one bar too late"],
)
def test_return_must_come_within_the_reclaim_window(
    market: Market, outside: int, classes: tuple[int, int, int]
) -> None:
    market.bar(0.016, 0.0, 0.0105, volume=1000.0)
    for _ in range(outside):
        market.bar(0.0107, 0.0103, 0.0105)
    out = market.bar(0.0107, 0.005, 0.006)
    assert market.classes == classes
    assert out["sweep_direction"] == float(classes[0])


@pytest.mark.parametrize(
    ("evidence", "swept"),
    [
        ({"volume": 100.0}, False),
        ({"volume": 129.0}, False),
        ({"volume": 130.0}, True),
        ({"volume": math.nan}, False),
        ({"volume": 100.0, "liquidation": 1.9}, False),
        ({"volume": 100.0, "liquidation": 2.0}, True),
    ],
)
def test_sweep_needs_a_burst(market: Market, evidence: dict[str, float], swept: bool) -> None:
    out = spike(market, **evidence)
    assert market.classes == ((1, 0, 0) if swept else (0, 0, 1))
    assert out["sweep_direction"] == float(swept)


@pytest.mark.parametrize(("after", "swept"), [(99_400.0, True), (99_600.0, False), (math.nan, False)])
def test_fall_of_open_interest_is_a_burst(market: Market, after: float, swept: bool) -> None:
    market.bar(0.016, 0.0, 0.0115)
    out = market.bar(0.013, 0.005, 0.006, interest=after)
    assert out["sweep_direction"] == float(swept)


def test_unknown_burst_of_a_sweep_stays_unknown(market: Market) -> None:
    market.bar(0.016, 0.0, 0.0115, volume=math.nan, liquidation=3.0)
    out = market.bar(0.013, 0.005, 0.006, volume=math.nan)
    assert out["sweep_direction"] == 1.0
    assert math.isnan(out["swept_burst_above"])


@pytest.mark.parametrize(("start", "classes"), [(0.0050, (0, 0, 1)), (0.0044, (1, 0, 0))])
def test_sweep_needs_speed(market: Market, start: float, classes: tuple[int, int, int]) -> None:
    for _ in range(6):
        market.bar(0.0095, start, 0.0095)
    market.bar(0.0125, 0.0090, 0.0105, volume=1000.0)
    market.bar(0.0110, 0.0090, 0.0092)
    assert market.classes == classes


def test_approach_is_no_longer_than_it_says(market: Market) -> None:
    market.bar(0.0095, 0.0, 0.0095)
    for _ in range(6):
        market.bar(0.0095, 0.0050, 0.0095)
    market.bar(0.0125, 0.0090, 0.0105, volume=1000.0)
    market.bar(0.0110, 0.0090, 0.0092)
    assert market.classes == (0, 0, 1)


@pytest.mark.parametrize(("close", "classes"), [(0.0081, (0, 0, 1)), (0.0079, (1, 0, 0))])
def test_sweep_needs_rejection(market: Market, close: float, classes: tuple[int, int, int]) -> None:
    market.bar(0.016, 0.0, 0.0115, volume=1000.0)
    market.bar(0.012, 0.005, close)
    assert market.classes == classes


@pytest.mark.parametrize(("high", "classes"), [(0.0109, (0, 0, 1)), (0.0111, (1, 0, 0))])
def test_sweep_needs_depth(market: Market, high: float, classes: tuple[int, int, int]) -> None:
    market.bar(high, 0.0, 0.004, volume=1000.0)
    assert market.classes == classes


@pytest.mark.parametrize(("high", "classes"), [(0.0249, (1, 0, 0)), (0.0251, (0, 1, 0))])
def test_too_deep_is_a_glide_even_if_it_is_reclaimed_at_once(
    market: Market, high: float, classes: tuple[int, int, int]
) -> None:
    out = market.bar(high, 0.0, 0.004, volume=1000.0)
    assert market.classes == classes
    assert out["glide_count_above_24h"] == float(classes[1])
    assert out["glide_age_above"] == (0.0 if classes[1] else 6.0)


def test_monotone_ramp_glides_with_the_third_close_beyond(market: Market) -> None:
    for k, close in enumerate((0.0115, 0.0125, 0.0135, 0.0145)):
        out = market.bar(close + 0.0005, close - 0.0015, close, volume=1000.0)
        assert market.tally(GLIDED) == (k >= 2)
    assert market.classes == (0, 1, 0)
    assert out["glide_age_above"] == pytest.approx(1.0 / 12.0)
    assert out["sweep_direction"] == 0.0


def test_closes_beyond_must_be_in_a_row(market: Market) -> None:
    for close in (0.0115, 0.0115, 0.0105, 0.0115, 0.0115):
        market.bar(0.012, 0.0, close, volume=1000.0)
    assert market.classes == (0, 0, 0)
    market.bar(0.012, 0.0, 0.0115)
    assert market.classes == (0, 1, 0)


@pytest.mark.parametrize(("volume", "classes"), [(100.0, (0, 1, 0)), (116.0, (0, 0, 1)), (math.nan, (0, 0, 1))])
def test_slow_acceptance_glides_when_the_window_is_over(
    market: Market, volume: float, classes: tuple[int, int, int]
) -> None:
    for _ in range(6):
        market.bar(0.0107, 0.0, 0.0105, volume=volume)
        assert market.classes == (0, 0, 0)
    market.bar(0.0107, 0.0, 0.0105, volume=volume)
    assert market.classes == classes


def test_quiet_close_at_the_level_when_the_window_is_over_expires(market: Market) -> None:
    for _ in range(7):
        market.bar(0.0107, 0.0, 0.0098)
    assert market.classes == (0, 0, 1)


def test_level_made_by_the_spike_itself_does_not_count(market: Market) -> None:
    spike(market)
    # Half an hour: the high of the spike is six bars old at the last of these.
    for _ in range(5):
        assert market.bar(0.017, 0.005, 0.006, volume=1000.0)["level_distance_above"] > 0.0
    assert market.tally(STARTED) == 1
    market.bar(0.018, 0.005, 0.006, volume=1000.0)
    assert market.tally(STARTED) == 2


def test_high_of_yesterday_must_be_old_enough_too(market: Market) -> None:
    while market.rows % 288 != 287:
        market.quiet(market.rows)
    market.bar(0.016, 0.0, 0.004, volume=1000.0)
    assert market.tally(STARTED) == 1
    for _ in range(6):
        market.bar(0.017, 0.0, 0.004)
    assert market.tally(STARTED) == 1
    market.bar(0.0161, 0.0, 0.004)
    assert market.tally(STARTED) == 2


def test_high_of_yesterday_is_a_level(market: Market) -> None:
    while market.rows % 288 != 12:
        market.quiet(market.rows)
    market.bar(0.030, 0.0, 0.004)
    for k in range(14 * 12):
        market.quiet(k)
    assert market.quiet()["level_distance_above"] == pytest.approx(LEVEL / A)
    while market.rows % 288 != 287:
        market.quiet(market.rows)
    at_midnight = market.quiet(1)
    # The swing highs of this family reach back three hours; yesterday's high is three ranges away.
    market.bar(0.024, 0.0, 0.0145, volume=1000.0)
    out = market.bar(0.0150, 0.0140, 0.0145)
    assert at_midnight["level_distance_above"] == pytest.approx(LEVEL / A)
    assert out["level_distance_above"] == pytest.approx((0.030 - 0.0145) / A)


def test_swept_level_rests_for_a_day(market: Market) -> None:
    spike(market)
    first = market.rows
    for k in range(1, 100):
        market.quiet(k)
    # The high of the spike has left the swing windows, so the old level is the only one again.
    spike(market)
    assert market.tally(STARTED) == 1
    while market.rows < first + 287:
        market.quiet(market.rows)
    market.bar(0.0159, 0.0, 0.004, volume=1000.0)
    assert market.tally(STARTED) == 2
    assert market.classes == (2, 0, 0)


def test_last_bar_of_the_rest(market: Market) -> None:
    spike(market)
    for k in range(286):
        out = market.quiet(k)
    assert out["sweep_count_above_24h"] == 1.0
    market.bar(0.0159, 0.0, 0.004, volume=1000.0)
    assert market.tally(STARTED) == 1
    assert market.quiet()["sweep_count_above_24h"] == 0.0


def test_expired_level_does_not_rest(market: Market) -> None:
    spike(market, volume=100.0)
    assert market.classes == (0, 0, 1)
    market.bar(0.0159, 0.0, 0.004, volume=1000.0)
    assert market.classes == (1, 0, 1)


@pytest.mark.parametrize(("pool", "started"), [(0.0114, 1), (0.0116, 2)])
def test_levels_close_to_each_other_are_one(market: Market, pool: float, started: int) -> None:
    market.bar(0.0005, -0.0005, 0.0, pool=pool)
    market.bar(0.016, 0.0, 0.012, volume=1000.0)
    assert market.tally(STARTED) == started


def test_pool_is_that_of_the_bar_before(market: Market) -> None:
    market.bar(0.006, 0.0, 0.0, pool=0.005)
    assert market.tally(STARTED) == 0
    out = market.bar(0.0005, -0.0005, 0.0, pool=0.005)
    assert market.tally(STARTED) == 0
    assert out["level_distance_above"] == pytest.approx(0.5)
    market.bar(0.006, 0.0, 0.0)
    assert market.tally(STARTED) == 1


def test_deepest_of_several_swept_levels_speaks_for_all(market: Market) -> None:
    market.bar(0.0005, -0.0005, 0.0, pool=0.012)
    out = market.bar(0.016, 0.0, 0.004, volume=1000.0)
    assert out["sweep_count_above_24h"] == 2.0
    assert out["swept_depth_above"] == pytest.approx(0.6)


def test_attempt_beyond_the_last_slot_is_ignored(market: Market) -> None:
    for k in range(10):
        # A new pool each bar, further out; the price comes back inside all of them without reclaiming the first.
        market.bar(0.0102 + 0.002 * k, 0.0, 0.00999 - 1e-6 * k, pool=0.012 + 0.002 * k)
        assert market.tally(ACTIVE) <= 6
    assert market.tally(STARTED) == market.tally(ACTIVE) + sum(market.classes)


def test_sweeps_of_both_sides_in_one_bar_have_no_direction(market: Market) -> None:
    market.bar(0.016, -0.016, 0.0, volume=1000.0)
    out = market.quiet()
    assert out["sweep_direction"] == 0.0
    assert out["sweep_age_above"] == out["sweep_age_below"] == pytest.approx(1.0 / 12.0)


def test_gaps_age_and_pierce_nothing(market: Market) -> None:
    spike(market)
    assert all(math.isnan(v) for k in range(11) for v in market.gap().values())
    out = market.quiet()
    assert out["sweep_age_above"] == pytest.approx(1.0)
    assert market.tally(STARTED) == 1


def test_attempt_expires_in_a_gap(market: Market) -> None:
    market.bar(0.016, 0.0, 0.0105, volume=100.0)
    for k in range(6):
        assert market.tally(ACTIVE) == 1, k
        market.gap()
    assert market.classes == (0, 0, 1)
    assert market.quiet()["pierced_depth_above"] == 0.0


def test_attempt_goes_on_after_a_gap(market: Market) -> None:
    market.bar(0.016, 0.0, 0.0105, volume=1000.0)
    for _ in range(5):
        market.gap()
    assert market.bar(0.0107, 0.005, 0.006)["sweep_direction"] == 1.0


def test_close_before_a_gap_counts_as_the_one_before(market: Market) -> None:
    market.bar(0.0105, 0.0, 0.0102)
    for _ in range(7):
        market.gap()
    started = market.tally(STARTED)
    # The last known close was beyond the level: nothing is left to pierce.
    market.bar(0.0104, 0.0101, 0.0103)
    assert market.tally(STARTED) == started


def test_no_attempt_without_a_range() -> None:
    market = Market()
    state = market.state.copy()
    row = np.full(WIDTH, np.nan)
    out = np.empty(len(NAMES))
    row[m.TIME_HOURS] = 480_000 + (market.rows + 1) / 12.0
    row[i.CLOSE], row[m.LOG_CLOSE], row[m.LOG_HIGH], row[m.LOG_LOW] = 1.0, 0.0, 0.0005, -0.0005
    SweepsFamily.advance(state, market.constants, row, out)
    assert np.isnan(out).all()
    market.state[:] = state
    market.rows += 1
    market.bar(0.016, 0.0, 0.004, volume=1000.0)
    assert market.tally(STARTED) == 0


# -- any market ----------------------------------------------------------------------------------------------


def wild_rows(seed: int, n: int = 1500) -> np.ndarray:
    """A market that pierces many levels: a bounded random walk with spikes and gaps."""
    rng = np.random.default_rng(seed)
    close = np.empty(n)
    x = 0.0
    for k in range(n):
        x = 0.98 * x + 0.004 * rng.normal()
        close[k] = x
    open_ = np.r_[0.0, close[:-1]]
    wick = np.abs(rng.standard_t(2, (2, n))) * 0.002
    rows = np.full((n, WIDTH), np.nan)
    rows[:, m.TIME_HOURS] = 480_000 + np.arange(1, n + 1) / 12.0
    rows[:, m.LOG_CLOSE] = close
    rows[:, m.LOG_HIGH] = np.maximum(open_, close) + wick[0]
    rows[:, m.LOG_LOW] = np.minimum(open_, close) - wick[1]
    rows[:, i.CLOSE] = np.exp(close)
    rows[:, i.VOLUME] = rng.gamma(2.0, 50.0, n) * (1.0 + 10.0 * (wick.max(axis=0) > 0.006))
    rows[:, i.OPEN_INTEREST] = 1e5 * np.exp(np.cumsum(rng.normal(size=n)) * 2e-3)
    rows[:, m.ATR_HOUR] = A
    rows[:, m.LIQUIDATION_BURST_LONG] = rng.normal(size=n)
    rows[:, m.LIQUIDATION_BURST_SHORT] = rng.normal(size=n)
    rows[:, m.POOL_ABOVE] = close + 0.02 * rng.random(n)
    rows[:, m.POOL_BELOW] = close - 0.02 * rng.random(n)
    rows[:, m.CONSUMED_ABOVE] = rng.random(n) * 1e-3
    rows[:, m.CONSUMED_BELOW] = rng.random(n) * 1e-3
    gaps = rng.random(n) < 0.02
    keep = [m.TIME_HOURS, m.LOG_CLOSE]
    rows[np.ix_(gaps, [c for c in range(WIDTH) if c not in keep])] = np.nan
    return rows


def run(rows: np.ndarray, family: SweepsFamily = FAMILY) -> tuple[np.ndarray, np.ndarray]:
    """Return the outputs and the state after each row."""
    state, constants = np.zeros(family.state_size()), family.constants()
    out = np.empty((len(rows), len(family.features())))
    states = np.empty((len(rows), _BELOW + 10))
    for k, row in enumerate(rows):
        SweepsFamily.advance(state, constants, row, out[k])
        states[k] = state[: _BELOW + 10]
    return out, states


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_every_attempt_ends_in_exactly_one_class(seed: int) -> None:
    _, states = run(wild_rows(seed))
    for at in (_ABOVE, _BELOW):
        ended = states[:, [at + SWEPT, at + GLIDED, at + EXPIRED]]
        assert (np.diff(ended, axis=0) >= 0.0).all()
        assert (states[:, at + STARTED] == states[:, at + ACTIVE] + ended.sum(axis=1)).all()
        assert (ended[-1] > 0.0).all()
        # None is followed for longer than the reclaim window: all that had started by then have ended.
        assert (ended.sum(axis=1)[6:] >= states[:-6, at + STARTED]).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_market_turned_upside_down_exchanges_the_sides(seed: int) -> None:
    rows = wild_rows(seed)
    mirror = rows.copy()
    mirror[:, m.LOG_CLOSE] = -rows[:, m.LOG_CLOSE]
    mirror[:, i.CLOSE] = 1.0 / rows[:, i.CLOSE]
    for one, two, sign in (
        (m.LOG_HIGH, m.LOG_LOW, -1.0),
        (m.POOL_ABOVE, m.POOL_BELOW, -1.0),
        (m.CONSUMED_ABOVE, m.CONSUMED_BELOW, 1.0),
        (m.LIQUIDATION_BURST_LONG, m.LIQUIDATION_BURST_SHORT, 1.0),
    ):
        mirror[:, one], mirror[:, two] = sign * rows[:, two], sign * rows[:, one]
    out, _ = run(rows)
    turned, _ = run(mirror)
    assert np.isfinite(out).mean() > 0.1
    for k, feature in enumerate(FAMILY.features()):
        if feature.symmetry == "odd":
            np.testing.assert_array_equal(turned[:, k], -out[:, k], feature.name)
        else:
            np.testing.assert_array_equal(turned[:, k], out[:, NAMES.index(feature.partner)], feature.name)


ANY = st.floats(width=64) | st.sampled_from([0.0, 1e-300, 1e300, 1.0])


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.lists(st.tuples(st.integers(0, 300), st.integers(0, WIDTH - 1), ANY), max_size=60))
def test_outputs_are_finite_or_unknown_whatever_comes_in(seed: int, broken: list[tuple[int, int, float]]) -> None:
    family = SweepsFamily(
        bar_interval=FAMILY.bar_interval,
        level_windows=(HOUR,),
        burst_window=timedelta(days=1),
        recent=HOUR,
        memory=HOUR,
    )
    rows = wild_rows(seed, n=family.warm_up // family.bar_interval + 301)
    for row, column, value in broken:
        rows[row - 301, column] = value
    out, _ = run(rows, family)
    assert not np.isinf(out).any()


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 2**32 - 1), st.integers(600, 1400))
def test_rows_do_not_depend_on_later_ones(seed: int, cut: int) -> None:
    rows = wild_rows(seed)
    whole, _ = run(rows)
    other = rows.copy()
    other[cut:] = wild_rows(seed + 1)[cut:]
    np.testing.assert_array_equal(run(other)[0][:cut], whole[:cut])


def test_kernel_stays_within_its_state() -> None:
    room = 64
    state = np.full(FAMILY.state_size() + room, 7.0)
    state[: FAMILY.state_size()] = 0.0
    out = np.full(len(NAMES) + room, 7.0)
    constants = FAMILY.constants()
    for row in wild_rows(0):
        SweepsFamily.advance(state[: FAMILY.state_size()], constants, row, out[: len(NAMES)])
    assert (state[FAMILY.state_size() :] == 7.0).all()
    assert (out[len(NAMES) :] == 7.0).all()


def test_outputs_are_unknown_before_the_warm_up() -> None:
    rows = wild_rows(3)
    out, _ = run(rows)
    warm = FAMILY.warm_up // FAMILY.bar_interval
    assert np.isnan(out[:warm]).all()
    first = warm + int(np.argmax(~np.isnan(rows[warm:, i.CLOSE])))
    assert np.isfinite(out[first, NAMES.index("sweep_age_above")])


# -- parameters ----------------------------------------------------------------------------------------------


def test_features_come_in_pairs_that_know_each_other() -> None:
    features = {f.name: f for f in FAMILY.features()}
    assert len(features) == len(NAMES) == 25
    for feature in features.values():
        if feature.symmetry == "pair":
            partner = features[feature.partner]
            assert partner.partner == feature.name
            assert (partner.unit, partner.role, partner.window) == (feature.unit, feature.role, feature.window)
        assert feature.steps
        assert feature.source.startswith("slackwater.liquidity")
    assert {f.name for f in features.values() if f.role == "context"} == {
        "sweep_direction",
        "swept_extreme_distance_above",
        "swept_extreme_distance_below",
    }


@pytest.mark.parametrize("minutes", [1, 5, 15, 30, 60, 240, 1440])
def test_usual_bars_need_no_other_parameters(minutes: int) -> None:
    family = SweepsFamily(bar_interval=timedelta(minutes=minutes))
    assert family.warm_up % family.bar_interval == timedelta(0)
    assert family.warm_up >= timedelta(days=11)
    assert np.isfinite(family.constants()).all()


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"level_windows": ()}, "level_windows"),
        ({"level_windows": (HOUR, HOUR)}, "level_windows"),
        ({"level_windows": (timedelta(minutes=7),)}, "level_windows"),
        ({"burst_window": 30 * HOUR}, "burst_window"),
        ({"memory": timedelta(minutes=7)}, "memory"),
        ({"recent": timedelta(0)}, "recent"),
        ({"level_exclusion": timedelta(minutes=7)}, "level_exclusion"),
        ({"approach": timedelta(0)}, "approach"),
        ({"reclaim_window": timedelta(minutes=-5)}, "reclaim_window"),
        ({"farthest": math.inf}, "farthest"),
        ({"bar_interval": timedelta(minutes=25)}, "sweeps"),
    ],
)
def test_impossible_parameters_are_refused(wrong: dict[str, object], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        SweepsFamily(**({"bar_interval": timedelta(minutes=5)} | wrong))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"merge": -0.1},
        {"speed": math.nan},
        {"burst": math.inf},
        {"shallowest": 1.5},
        {"rejection": 1.1},
        {"acceptance_closes": 0},
    ],
)
def test_impossible_rules_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        SweepRules(**wrong)  # type: ignore[arg-type]
