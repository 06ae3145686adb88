"""Parameters of the feature families: type, default and bounds of each, written once.

A family derives from its class here; `slackwater.config` derives the sections of ``params.yaml`` from the same
classes. Nothing here imports a kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, TypeAlias, get_args, get_origin, get_type_hints

from slackwater.errors import ParameterError
from slackwater.settings import PositiveDuration, Within, settings
from slackwater.times import DAY, HOUR, MINUTE

__all__ = [
    "FundingParameters",
    "LiquidationDensityParameters",
    "LiquidationsParameters",
    "OpenInterestParameters",
    "OrderFlowParameters",
    "PriceParameters",
    "RegimeParameters",
    "SweepsParameters",
    "TriggersParameters",
    "VolatilityParameters",
    "WhaleFlowsParameters",
    "Window",
    "Windows",
    "whole_bar_windows",
]


class WholeBars:
    """Marks a duration that must be a whole number of bars."""


Window: TypeAlias = Annotated[timedelta, Within(gt=timedelta(0)), WholeBars()]
"""A duration that is a whole number of bars."""
Windows: TypeAlias = tuple[Window, ...]
"""Distinct windows, at least one."""


@settings
class VolatilityParameters:
    """Parameters of `slackwater.features.volatility.VolatilityFamily`.

    Parameters
    ----------
    half_life, fast_half_life, slow_half_life
        Half-lives of the exponentially weighted variances; the first scales returns, events and barriers.
    atr_window
        Window of the true range of a bar, and of an hour.
    atr_day_window
        Window of the true range of a day: the unit in which the liquidation map is read.
    """

    half_life: PositiveDuration = 24 * HOUR
    fast_half_life: PositiveDuration = HOUR
    slow_half_life: PositiveDuration = 72 * HOUR
    atr_window: Window = 6 * HOUR
    atr_day_window: Window = 7 * DAY


@settings
class PriceParameters:
    """Parameters of `slackwater.features.price.PriceFamily`.

    Parameters
    ----------
    return_windows, range_windows
        Windows of the moves and of the ranges.
    """

    return_windows: Windows = (HOUR, 4 * HOUR, 12 * HOUR, 24 * HOUR, 72 * HOUR)
    range_windows: Windows = (24 * HOUR, 72 * HOUR)


@settings
class RegimeParameters:
    """Parameters of `slackwater.features.regime.RegimeFamily`.

    Parameters
    ----------
    windows
        Windows of the efficiency ratio, the variance ratio and the moves of the other symbols.
    trend_fast_half_life, trend_slow_half_life
        Half-lives of the two averages of the log price whose distance is the trend strength.
    variance_ratio_horizon
        The longer return of the variance ratio; at least two bars.
    stress_window, stress_usual_window
        Recent and usual activity of the other symbols.
    """

    windows: Windows = (24 * HOUR, 72 * HOUR)
    trend_fast_half_life: PositiveDuration = 6 * HOUR
    trend_slow_half_life: PositiveDuration = 48 * HOUR
    variance_ratio_horizon: Window = 2 * HOUR
    stress_window: Window = HOUR
    stress_usual_window: Window = 7 * DAY


@settings
class OpenInterestParameters:
    """Parameters of `slackwater.features.open_interest.OpenInterestFamily`.

    Parameters
    ----------
    windows
        Windows of the changes and of the quadrants.
    built_windows
        Windows of the share of open interest that was built in them.
    spike_window
        Window of the change that is held against its past.
    usual_half_life
        Half-life of the mean and standard deviation of what is usual.
    """

    windows: Windows = (HOUR, 4 * HOUR, 24 * HOUR, 72 * HOUR)
    built_windows: Windows = (24 * HOUR, 72 * HOUR)
    spike_window: Window = HOUR
    usual_half_life: PositiveDuration = 7 * DAY


@settings
class FundingParameters:
    """Parameters of `slackwater.features.funding.FundingFamily`.

    Parameters
    ----------
    premium_fast_half_life, premium_slow_half_life
        Half-lives of the two averages of the premium index.
    settlements
        Number of settlements before the last one that its z-scores compare it with.
    """

    premium_fast_half_life: PositiveDuration = HOUR
    premium_slow_half_life: PositiveDuration = 8 * HOUR
    settlements: Annotated[int, Within(ge=10, le=1000)] = 90


@settings
class LiquidationsParameters:
    """Parameters of `slackwater.features.liquidations.LiquidationsFamily`.

    Parameters
    ----------
    windows
        Windows of the sums.
    usual_half_life
        Half-life of the mean and standard deviation that a burst is compared with.
    """

    windows: Windows = (HOUR, 4 * HOUR, 24 * HOUR)
    usual_half_life: PositiveDuration = 7 * DAY


@settings
class LiquidationDensityParameters:
    """Parameters of `slackwater.features.liquidation_density.LiquidationDensityFamily`.

    Parameters
    ----------
    half_lives
        How long voluntary exits take to halve the mass: three, ascending.
    stop_half_life
        The same for stops.
    swing_windows
        Windows whose highs and lows stops stand behind.
    bin_width
        Width of a bin in log price, in (0, 0.02].
    spread
        Standard deviation in log price, in (0, 0.1], of the distance at which positions with the same loss are forced
        out; stops are not spread.
    reaches
        Distances within which the mass is summed, in average true ranges of a day, ascending; the last bounds the
        search for the densest bin.
    consumed_window
        Window over which the mass that the price ran through is summed.
    longest_gap
        Longest gap between two snapshots of open interest; the change across a longer one opens and closes nothing.
    """

    half_lives: tuple[PositiveDuration, PositiveDuration, PositiveDuration] = (DAY, 7 * DAY, 30 * DAY)
    stop_half_life: PositiveDuration = 3 * DAY
    swing_windows: Windows = (24 * HOUR, 72 * HOUR, 7 * DAY)
    bin_width: Annotated[float, Within(gt=0.0, le=0.02)] = 0.0025
    spread: Annotated[float, Within(gt=0.0, le=0.1)] = 0.02
    reaches: tuple[Annotated[float, Within(gt=0.0, le=10.0)], ...] = (0.5, 1.0, 2.0, 3.0)
    consumed_window: Window = 4 * HOUR
    longest_gap: PositiveDuration = 2 * HOUR

    def _check_together(self) -> None:
        if len(self.half_lives) != 3 or list(self.half_lives) != sorted(set(self.half_lives)):
            raise ParameterError(f"`half_lives` must be three, ascending, were {self.half_lives}")
        if not self.reaches or list(self.reaches) != sorted(set(self.reaches)):
            raise ParameterError(f"`reaches` must ascend, were {self.reaches}")


@settings
class SweepsParameters:
    """Parameters of `slackwater.features.sweeps.SweepsFamily`.

    Parameters
    ----------
    level_windows
        Windows of the swing highs and lows that are levels.
    level_exclusion
        A high or a low is a level only when this much older than the bar before; at least one bar.
    approach
        Time before the piercing bar that counts for the speed; at least one bar.
    reclaim_window
        Time after the close of the piercing bar within which a level can be reclaimed; at least one bar.
    burst_window
        Whole days whose volume of the same hour is the usual one.
    recent
        How long a level rests after a sweep or a glide, how long a sweep is described, and the window of the counts.
    memory
        Largest age that is reported.
    """

    level_windows: Windows = (24 * HOUR, 72 * HOUR, 7 * DAY)
    # Shorter than a bar, these three become one bar.
    level_exclusion: PositiveDuration = 30 * MINUTE
    approach: PositiveDuration = 30 * MINUTE
    reclaim_window: PositiveDuration = 30 * MINUTE
    burst_window: Window = 7 * DAY
    recent: Window = 24 * HOUR
    memory: Window = 72 * HOUR

    def _check_together(self) -> None:
        if self.burst_window % DAY:
            raise ParameterError(f"`burst_window` must be whole days, was {self.burst_window}")


@settings
class WhaleFlowsParameters:
    """Parameters of `slackwater.features.whales.WhaleFlowsFamily`.

    Parameters
    ----------
    windows
        Windows of the flows and of the changes of the ratio.
    burst_window, usual_window
        A burst is the rate of transfers or large trades over the first against that over the second.
    """

    windows: Windows = (4 * HOUR, 12 * HOUR, 24 * HOUR, 48 * HOUR)
    burst_window: Window = HOUR
    usual_window: Window = 7 * DAY


@settings
class OrderFlowParameters:
    """Parameters of `slackwater.features.order_flow.OrderFlowFamily`.

    Parameters
    ----------
    windows
        Windows of the taker imbalance.
    depth_half_life
        Half-life of the usual depth.
    """

    windows: Windows = (HOUR, 4 * HOUR, 24 * HOUR)
    depth_half_life: PositiveDuration = 24 * HOUR


@settings
class TriggersParameters:
    """Parameters of `slackwater.features.triggers.TriggersFamily`.

    No trigger fires twice in one direction within its cool-down.

    Parameters
    ----------
    move_window
        Window of the moves of `extended_move` and `sampled_move`.
    extended_threshold, extended_floor, extended_cooldown
        `extended_move` fires at a move of at least so many standard deviations over `move_window`, and at least
        `extended_floor` (log).
    sampled_threshold, sampled_cooldown
        `sampled_move` fires at a move of at least so many standard deviations, however small it is.
    cusum_threshold, cusum_floor, cusum_cooldown
        `cusum` fires when returns in one direction add up to so many daily standard deviations, and to at least
        `cusum_floor` (log).
    sweep_cooldown
        `sweep_confirmation` fires when a level that was swept is reclaimed.
    crowding_acceleration, crowding_growth, crowding_cooldown
        `crowding_alarm` fires when the z-scores of the acceleration of funding, towards either side, and of the
        change of open interest over 24 h exceed these.
    cascade_window, cascade_threshold, cascade_burst, cascade_drop, cascade_cooldown
        `cascade` fires at a move of at least so many standard deviations over `cascade_window`, within which
        liquidations of the side that it hits have a z-score of at least `cascade_burst`, or open interest falls by at
        least `cascade_drop` (log).
    """

    move_window: Window = 12 * HOUR
    extended_threshold: Annotated[float, Within(gt=0.0)] = 1.5
    extended_floor: Annotated[float, Within(ge=0.0, lt=1.0)] = 0.01
    extended_cooldown: Window = 2 * HOUR
    sampled_threshold: Annotated[float, Within(gt=0.0)] = 0.5
    sampled_cooldown: Window = 4 * HOUR
    cusum_threshold: Annotated[float, Within(gt=0.0)] = 1.0
    cusum_floor: Annotated[float, Within(ge=0.0, lt=1.0)] = 0.01
    cusum_cooldown: Window = 2 * HOUR
    sweep_cooldown: Window = 2 * HOUR
    crowding_acceleration: Annotated[float, Within(ge=0.0)] = 2.0
    crowding_growth: float = 1.0
    crowding_cooldown: Window = 8 * HOUR
    cascade_window: Window = HOUR
    cascade_threshold: Annotated[float, Within(gt=0.0)] = 2.0
    cascade_burst: Annotated[float, Within(gt=0.0)] = 3.0
    cascade_drop: Annotated[float, Within(gt=0.0, lt=1.0)] = 0.005
    cascade_cooldown: Window = 2 * HOUR


def whole_bar_windows(parameters: Any) -> Iterator[tuple[str, timedelta]]:
    """Yield name and value of the durations of a settings object that must be whole bars.

    Raises
    ------
    ParameterError
        If a list of windows is empty or repeats itself.
    """
    for name, is_list in _whole_bar_fields(parameters.__class__):
        value = getattr(parameters, name)
        if is_list and (not value or len(set(value)) != len(value)):
            raise ParameterError(f"`{name}` must be distinct durations, at least one, was {value}")
        for window in value if is_list else (value,):
            yield name, window


@cache
def _whole_bar_fields(cls: type) -> tuple[tuple[str, bool], ...]:
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for each in fields(cls):
        hint = hints[each.name]
        is_list = get_origin(hint) is tuple
        item = get_args(hint)[0] if is_list else hint
        if any(isinstance(mark, WholeBars) for mark in getattr(item, "__metadata__", ())):
            found.append((each.name, is_list))
    return tuple(found)
