"""Three prices on known levels, rounded to the safe side, and set once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from slackwater.errors import ParameterError
from slackwater.times import DAY
from slackwater.trading.bracket import Bracket, Levels, level_reasons, trade_levels
from slackwater.trading.rules import BracketRules
from slackwater.trading.score import Score
from tests.trading import AT_LEVELS

BARE = replace(AT_LEVELS, stop_buffer_atr=0.0, target_buffer_atr=0.0)
BARE_SD = BracketRules(stop_buffer_atr=0.0, target_buffer_atr=0.0)
EVERY_LEVEL = {
    "close": 1_000.0,
    "atr_1h": 0.01,
    "distance_to_high_24h": 0.02,
    "distance_to_low_24h": 0.03,
    "distance_to_high_72h": 0.12,
    "distance_to_low_72h": 0.13,
    "swept_extreme_distance_above": 0.04,
    "swept_extreme_distance_below": 0.05,
    "pool_distance_above": 0.06,
    "pool_distance_below": 0.07,
}
"""Eight levels that are all different, so that each mix-up of two shows."""


def log_distances(levels: Levels, close: float = 1_000.0) -> tuple[float, float]:
    """Distances of stop and target from the close, rounded to what one tick of .01 can tell."""
    side = levels.side
    return round(side * math.log(close / levels.stop), 4), round(side * math.log(levels.target / close), 4)


@pytest.mark.parametrize(("side", "stop", "target"), [(1, 948.5, 1_060.5), (-1, 1_043.5, 933.5)])
def test_stop_is_rounded_away_from_the_entry_and_target_toward_it(
    make_score: Callable[..., Score], side: int, stop: float, target: float
) -> None:
    """Catches rounding to nearest: a stop inside of its own buffer, a target that the market need not reach."""
    # Before rounding: 948.73 and 1,060.84 for the long, 1,043.31 and 933.39 for the short.
    levels = trade_levels(make_score(**EVERY_LEVEL).context, side=side, tick_size=0.5, rules=AT_LEVELS, horizon=DAY)
    assert (levels.stop, levels.target) == (stop, target)


@pytest.mark.parametrize(
    ("direction", "missing", "stop", "target", "names"),
    [
        (-1, (), 0.05, 0.06, ("swept", "pool")),
        (1, (), 0.04, 0.07, ("swept", "pool")),
        (-1, ("swept_extreme_distance_below",), 0.03, 0.06, ("range_24h", "pool")),
        (1, ("swept_extreme_distance_above",), 0.02, 0.07, ("range_24h", "pool")),
        (-1, ("pool_distance_above",), 0.05, 0.12, ("swept", "range_72h")),
        (1, ("pool_distance_below",), 0.04, 0.13, ("swept", "range_72h")),
        (-1, ("swept_extreme_distance_above", "pool_distance_below"), 0.05, 0.06, ("swept", "pool")),
    ],
)
def test_each_side_hangs_on_its_own_levels(
    make_score: Callable[..., Score],
    direction: int,
    missing: tuple[str, ...],
    stop: float,
    target: float,
    names: tuple[str, str],
) -> None:
    """Catches a level of the other side or window, NaN that wins a comparison, and a name that does not fit."""
    score = make_score(direction=direction, **EVERY_LEVEL | dict.fromkeys(missing, math.nan))
    levels = trade_levels(score.context, side=-direction, tick_size=0.01, rules=BARE, horizon=DAY)
    assert levels.side == -direction
    assert log_distances(levels) == (stop, target)
    assert (levels.stop_level, levels.target_level) == names


@pytest.mark.parametrize(("direction", "above_or_below"), [(-1, "below"), (1, "above")])
def test_a_swept_extreme_that_was_passed_again_counts_as_none(
    make_score: Callable[..., Score], direction: int, above_or_below: str
) -> None:
    """Catches a stop on the wrong side of the market, and `>` where the price stands on the very extreme."""
    name = f"swept_extreme_distance_{above_or_below}"
    failed = trade_levels(
        make_score(direction=direction, **EVERY_LEVEL | {name: -1e-9}).context,
        side=-direction,
        tick_size=0.01,
        rules=AT_LEVELS,
        horizon=DAY,
    )
    assert failed.stop_level == "range_24h"
    touched = trade_levels(
        make_score(direction=direction, **EVERY_LEVEL | {name: 0.0}).context,
        side=-direction,
        tick_size=0.01,
        rules=AT_LEVELS,
        horizon=DAY,
    )
    assert touched.stop_level == "swept"
    assert touched.stop == 1_000.0 + direction * 2.5


@pytest.mark.parametrize(
    ("pool", "level"),
    [
        (0.0009, "range_72h"),  # .1 of a true range of .01 leaves no room before it
        (0.0011, "pool"),
        (0.1199, "pool"),
        (0.1201, "range_72h"),  # beyond the boundary
        (-0.05, "range_72h"),
        (math.nan, "range_72h"),
    ],
)
def test_a_pool_must_stand_between_the_buffer_and_the_boundary(
    make_score: Callable[..., Score], pool: float, level: str
) -> None:
    """Catches a target beyond the range, and one that the market has already reached."""
    score = make_score(direction=-1, **EVERY_LEVEL | {"pool_distance_above": pool})
    assert trade_levels(score.context, side=1, tick_size=0.01, rules=AT_LEVELS, horizon=DAY).target_level == level


@pytest.mark.parametrize("side", [1, -1])
def test_a_level_that_is_not_ahead_leaves_the_target_to_the_others(make_score: Callable[..., Score], side: int) -> None:
    """Catches a trade that is refused because the price is at the boundary of its range."""
    near = {"distance_to_high_72h": 0.0009, "distance_to_low_72h": 0.0009}  # .1 of a true range of .01 is more
    fits = {"side": side, "tick_size": 0.01, "horizon": DAY}
    at_pool = trade_levels(make_score(**EVERY_LEVEL | near).context, rules=AT_LEVELS, **fits)
    assert at_pool.target_level == "pool"
    bare = make_score(**EVERY_LEVEL | near | {"pool_distance_above": math.nan, "pool_distance_below": 0.0}).context
    at_sd = trade_levels(bare, rules=replace(AT_LEVELS, target_sd=1.0), **fits)
    assert (at_sd.target_level, log_distances(at_sd)[1]) == ("sd", 0.03)
    nowhere = trade_levels(bare, rules=AT_LEVELS, **fits)
    reasons = level_reasons(nowhere, bare, quote=bare.close, tick_size=0.01, rules=AT_LEVELS)
    assert nowhere.target_level == "range_72h"
    assert "no_target" in {reason.code for reason in reasons}


def test_buffers_move_the_stop_out_and_the_target_in(make_score: Callable[..., Score]) -> None:
    """Catches a buffer of the wrong sign, in the wrong unit, or the one used for the other."""
    rules = replace(AT_LEVELS, stop_buffer_atr=0.5, target_buffer_atr=0.2)
    for direction in (-1, 1):
        score = make_score(direction=direction, **EVERY_LEVEL)
        bare = trade_levels(score.context, side=-score.direction, tick_size=0.01, rules=BARE, horizon=DAY)
        moved = trade_levels(score.context, side=-score.direction, tick_size=0.01, rules=rules, horizon=DAY)
        assert bare.side * (bare.stop - moved.stop) == pytest.approx(5.0)
        assert bare.side * (bare.target - moved.target) == pytest.approx(2.0)


def test_a_range_wider_than_the_price_gives_a_negative_stop(make_score: Callable[..., Score]) -> None:
    """Catches a stop that is silently lifted to zero: the gate refuses it, the bracket reports it."""
    score = make_score(close=1.0, atr_1h=0.5, distance_to_low_24h=3.0)
    assert (
        trade_levels(
            score.context, side=1, tick_size=0.1, rules=replace(AT_LEVELS, stop_buffer_atr=1.0), horizon=DAY
        ).stop
        < 0
    )


SD = 0.03 * math.sqrt(0.25)
"""Standard deviation over six hours."""


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("swept", "pool", "boundary", "stop", "target", "names"),
    [
        (math.nan, math.nan, 0.05, 1.5 * SD, 2.0 * SD, ("sd", "sd")),
        (0.0224, math.nan, 0.05, 1.5 * SD, 2.0 * SD, ("sd", "sd")),
        (0.0226, math.nan, 0.05, 0.0226, 2.0 * SD, ("swept", "sd")),
        (math.nan, 0.0299, 0.05, 1.5 * SD, 0.0299, ("sd", "pool")),
        (math.nan, 0.0301, 0.05, 1.5 * SD, 2.0 * SD, ("sd", "sd")),
        (math.nan, 0.02, 0.01, 1.5 * SD, 0.01, ("sd", "range_72h")),
        (-0.01, math.nan, 0.0299, 1.5 * SD, 0.0299, ("sd", "range_72h")),
    ],
)
def test_the_target_is_the_nearer_and_the_stop_the_farther_of_level_and_sd(
    make_score: Callable[..., Score],
    side: int,
    swept: float,
    pool: float,
    boundary: float,
    stop: float,
    target: float,
    names: tuple[str, str],
) -> None:
    """Catches a target that no trade can reach in its time, a stop within the noise of its time, and a day for it."""
    far, near = ("above", "below") if side > 0 else ("below", "above")
    score = make_score(
        close=1_000.0,
        **{f"pool_distance_{far}": pool, f"swept_extreme_distance_{near}": swept},
        **{f"distance_to_{'high' if side > 0 else 'low'}_72h": boundary},
        **{f"distance_to_{'low' if side > 0 else 'high'}_24h": 0.06},  # not swept, so it does not count
    )
    rules = BracketRules(target_sd=2.0, stop_sd=1.5, stop_buffer_atr=0.0, target_buffer_atr=0.0)
    levels = trade_levels(score.context, side=side, tick_size=0.001, rules=rules, horizon=DAY / 4)
    assert log_distances(levels) == (round(stop, 4), round(target, 4))
    assert (levels.stop_level, levels.target_level) == names


def test_a_distance_in_sd_has_no_buffer(make_score: Callable[..., Score]) -> None:
    """Catches a stop farther than its sd, at which the trade is no longer the bet of the barriers."""
    rules = BracketRules(stop_buffer_atr=1.0, target_buffer_atr=1.0)
    levels = trade_levels(make_score().context, side=1, tick_size=0.1, rules=rules, horizon=DAY)
    assert (levels.stop, levels.target) == (48_522.2, 51_522.7)  # 50,000 × exp(±.03)


@pytest.mark.parametrize(("volatility", "clipped"), [(0.001, 0.005), (0.9, 0.25)])
def test_the_unit_is_that_of_the_barriers(make_score: Callable[..., Score], volatility: float, clipped: float) -> None:
    """Catches a sd that is not clipped as that of the labels: the two bets would differ where volatility is extreme."""
    score = make_score(close=1_000.0, volatility_daily=volatility, distance_to_high_72h=1.0)
    levels = trade_levels(score.context, side=1, tick_size=0.001, rules=BARE_SD, horizon=DAY)
    assert log_distances(levels) == (clipped, clipped)


@pytest.mark.parametrize("side", [1, -1])
def test_levels_make_a_trade_only_between_them(side: int) -> None:
    """Catches an entry at or beyond a level, and a price of zero that passes for one."""
    levels = Levels(side=side, stop=100.0 - side, target=100.0 + 2 * side, stop_level="swept", target_level="pool")
    assert levels.at(100.0) == Bracket(side=side, entry=100.0, stop=100.0 - side, target=100.0 + 2 * side)
    for price in (levels.stop, levels.target, 100.0 - 2 * side, 100.0 + 3 * side, math.nan):
        assert levels.at(price) is None
    zero = Levels(side=1, stop=0.0, target=2.0, stop_level="swept", target_level="pool")
    assert zero.at(1.0) is None


def reasons_at(score: Score, side: int, price: float, rules: BracketRules) -> tuple[list[str], Bracket | None]:
    levels = Levels(side=side, stop=100.0 - side, target=100.0 + 2 * side, stop_level="swept", target_level="pool")
    reasons = level_reasons(levels, score.context, quote=price, tick_size=0.01, rules=rules)
    return [reason.code for reason in reasons], levels.at(price)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("close", "price", "expected"),  # as for a long: stop at 99, target at 102
    [
        (100.0, 100.0, []),
        (100.0, 99.0, ["price_moved_through"]),
        (100.0, 98.0, ["price_moved_through"]),
        (100.0, 102.0, ["price_moved_through"]),
        (100.0, 103.0, ["price_moved_through"]),
        (102.0, 101.0, ["no_target"]),  # not yet there, but the plan was made at its target
        (102.0, 102.0, ["no_target"]),
        (99.1, 99.1, ["stop_in_noise"]),
        (99.0, 99.0, ["stop_in_noise"]),  # the stop at the entry
        (98.0, 98.0, ["stop_in_noise"]),
    ],
)
def test_each_place_of_the_price_has_its_reason(
    make_score: Callable[..., Score], side: int, close: float, price: float, expected: list[str]
) -> None:
    """Catches an entry beyond its stop or target, a reason of the other kind, and a refusal that names none."""
    mirrored_close, mirrored_price = (100.0 + side * (value - 100.0) for value in (close, price))
    score = make_score(direction=-side, close=mirrored_close, atr_1h=0.002)
    found, trade = reasons_at(score, side, mirrored_price, BracketRules(min_stop_atr=1.0))
    assert found == expected
    if not expected:
        assert trade is not None


@pytest.mark.parametrize("side", [1, -1])
def test_a_stop_at_the_entry_is_refused_without_the_noise_rule(make_score: Callable[..., Score], side: int) -> None:
    """Catches a refusal that names no reason."""
    score = make_score(direction=-side, close=100.0 - side)
    found, trade = reasons_at(score, side, 100.0 - side, BracketRules(min_stop_atr=0.0, min_stop_ticks=0.0))
    assert trade is None
    assert found


@pytest.mark.parametrize("side", [1, -1])
def test_distances_of_the_stop_are_limited_on_both_ends(make_score: Callable[..., Score], side: int) -> None:
    """Catches a limit that is passed or met the wrong way, and the larger of the two noise rules left out."""
    score = make_score(direction=-side, close=100.0, atr_1h=0.02)
    for rules, expected in (
        (BracketRules(max_stop_distance=0.0099), ["stop_too_far"]),
        (BracketRules(max_stop_distance=0.0101), []),
        (BracketRules(min_stop_atr=0.51), ["stop_in_noise"]),
        (BracketRules(min_stop_atr=0.49), []),
        (BracketRules(min_stop_ticks=100.0, min_stop_atr=0.0), []),  # exactly one hundred ticks
        (BracketRules(min_stop_ticks=99.0, min_stop_atr=0.6), ["stop_in_noise"]),
    ):
        assert reasons_at(score, side, 100.0, rules)[0] == expected
    assert reasons_at(score, side, 100.0 + 0.01 * side, BracketRules(min_stop_ticks=100.0))[0] == []
    assert reasons_at(score, side, 100.0 - 0.01 * side, BracketRules(min_stop_ticks=100.0))[0] == ["stop_in_noise"]


@pytest.mark.parametrize(
    ("side", "stop", "target", "named"),
    [
        (1, 101.0, 110.0, "stop"),
        (1, 100.0, 110.0, "stop"),
        (1, 99.0, 100.0, "target"),
        (1, 99.0, 90.0, "target"),
        (-1, 99.0, 90.0, "stop"),
        (-1, 100.0, 90.0, "stop"),
        (-1, 101.0, 110.0, "target"),
        (1, math.nan, 110.0, "stop"),
        (1, -math.inf, 110.0, "stop"),
        (1, 99.0, math.inf, "target"),
        (1, -1.0, 110.0, "stop"),
        (0, 99.0, 110.0, "side"),
    ],
)
def test_prices_on_the_wrong_side_are_refused(side: int, stop: float, target: float, named: str) -> None:
    """Catches a stop that is no stop."""
    with pytest.raises(ParameterError, match=named):
        Bracket(side=side, entry=100.0, stop=stop, target=target)


@pytest.mark.parametrize("entry", [0.0, -1.0, math.nan, math.inf])
def test_an_entry_that_is_no_price_is_refused(entry: float) -> None:
    """Catches a trade at a price that a market cannot have."""
    with pytest.raises(ParameterError):
        Bracket(side=1, entry=entry, stop=99.0, target=110.0)


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        *(
            (Bracket(side=1, entry=100.0, stop=99.0, target=110.0), name)
            for name in ("side", "entry", "stop", "target")
        ),
        *(
            (Levels(side=1, stop=99.0, target=110.0, stop_level="swept", target_level="pool"), name)
            for name in ("side", "stop", "target", "stop_level", "target_level")
        ),
        (BracketRules(), "max_stop_distance"),
    ],
)
def test_nothing_can_be_moved_afterwards(thing: Any, name: str) -> None:
    """Catches a type that allows a stop to be widened."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, name, 98.0)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(BracketRules)])
@pytest.mark.parametrize("value", [-0.1, 101.0, math.nan, math.inf])
def test_impossible_geometry_rules_are_refused(name: str, value: float) -> None:
    """Catches a buffer of the wrong sign, and a check that NaN passes."""
    with pytest.raises(ParameterError, match=name):
        BracketRules(**{name: value})


@pytest.mark.parametrize("value", [0.0, 0.081])
def test_the_largest_stop_distance_can_only_be_made_stricter(value: float) -> None:
    """Catches a parameter file that lifts the limit of 8 %."""
    with pytest.raises(ParameterError, match="max_stop_distance"):
        BracketRules(max_stop_distance=value)
