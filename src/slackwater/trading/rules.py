"""Settings of the gate, and of the trades that labels measure: types, defaults, bounds, and how a rule is turned off.

This module imports neither kernels nor market data, so that `slackwater.config` can derive the sections of
``params.yaml`` from it. Every class raises `ParameterError` if a value is outside of its bounds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import cache
from typing import Annotated, Any, Final, get_args, get_type_hints

from slackwater.errors import ParameterError
from slackwater.kernel_numbers import KernelNumbers
from slackwater.settings import PositiveDuration, Within, settings
from slackwater.times import DAY, HOUR, MINUTE

__all__ = [
    "LONGEST_HORIZON",
    "BracketRules",
    "CostAssumptions",
    "DrawdownRules",
    "EntryRules",
    "SizingRules",
    "Switch",
    "starved_rules",
    "switches",
]

LONGEST_HORIZON: Final = 30 * DAY
"""Time after which a position must be closed, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """How the rule behind a setting is turned off and on; stands among the annotations of the field.

    Parameters
    ----------
    reasons
        Codes that the rule gives in a refusal.
    off
        Value without the rule.
    on
        Value with which the rule ablation turns on a rule that is off; None: the default of the field.
    toggles
        Names of the rows of the rule ablation in which the setting is toggled; None: one row, named as the field.
    needs
        Table without which the rule refuses every event; None: it needs no table beside the bars.
    """

    reasons: tuple[str, ...]
    off: Any = None
    on: Any = None
    toggles: tuple[str, ...] | None = None
    needs: str | None = None


def switches(rules: type) -> tuple[tuple[str, Switch], ...]:
    """Return the fields of a settings class that turn a rule off, each with its switch, in order."""
    return _switches(rules)


@cache  # every gate asks
def _switches(rules: type) -> tuple[tuple[str, Switch], ...]:
    hints = get_type_hints(rules, include_extras=True)
    return tuple(
        (field.name, item)
        for field in fields(rules)
        for part in (hints[field.name], *get_args(hints[field.name]))
        for item in getattr(part, "__metadata__", ())
        if isinstance(item, Switch)
    )


def starved_rules(
    rules: Any, held: Mapping[str, Collection[str]], symbols: Iterable[str]
) -> Iterator[tuple[str, Switch, list[str]]]:
    """Yield the rules that are on and whose table is absent: they refuse every event.

    Parameters
    ----------
    rules
        Settings, such as `SizingRules`.
    held
        The symbols with rows, by name of the table.
    symbols
        Symbols of the data set.

    Yields
    ------
    name, switch, lacking
        Field, its switch, and the symbols without the table, in order.

    Examples
    --------
    >>> [(name, lacking) for name, _, lacking in starved_rules(SizingRules(), {"depth": ["B"]}, ["A", "B"])]
    [('depth_fraction', ['A'])]
    >>> list(starved_rules(SizingRules(depth_fraction=None), {}, ["A"]))
    []
    """
    wanted = sorted(symbols)
    for name, switch in switches(type(rules)):
        if switch.needs is not None and getattr(rules, name) != switch.off:
            lacking = [symbol for symbol in wanted if symbol not in held.get(switch.needs, ())]
            if lacking:
                yield name, switch, lacking


@settings
class EntryRules:
    """Conditions on a score.

    Parameters
    ----------
    probability_threshold
        Smallest calibrated direction probability that is traded; 0 turns the rule off. It opens the gate and never
        enters the size: it is not the probability that the plan's own stop, target and time exit pay.
    max_score_age
        Age of the bar's close beyond which a score is stale; None turns the rule off.
    complete_features, in_range_features
        Whether to refuse scores that lack features which should be known, and scores made from values outside of the
        range that the models were trained on.
    max_trend_efficiency
        Efficiency of the 72 h trend beyond which it is not faded; None turns the rule off.
    require_sweep
        Whether to refuse events without a swept level on the losing side within 24 h.
    """

    probability_threshold: Annotated[
        float, Within(ge=0.0, le=1.0), Switch(off=0.0, reasons=("probability_below_threshold", "no_probability"))
    ] = 0.55
    max_score_age: Annotated[PositiveDuration, Switch(reasons=("stale",), toggles=())] | None = 5 * MINUTE
    complete_features: Annotated[bool, Switch(off=False, reasons=("missing_features",))] = True
    in_range_features: Annotated[bool, Switch(off=False, reasons=("out_of_distribution",))] = True
    max_trend_efficiency: Annotated[float, Within(ge=0.0, le=1.0), Switch(reasons=("clear_trend",), on=0.1)] | None = (
        None
    )
    require_sweep: Annotated[bool, Switch(off=False, on=True, reasons=("no_swept_level",))] = False


@settings
class BracketRules(KernelNumbers):
    """Placement of stop and target, and the stops that are refused.

    Parameters
    ----------
    target_sd
        Largest distance of the target, standard deviations of the log return over the horizon: a level that stands
        nearer takes precedence. None: the target is at the nearest level, however far.
    stop_sd
        Smallest distance of the stop in the same unit: a swept extreme that lies farther takes precedence. None: the
        stop is beyond the swept extreme, and beyond the extreme of 24 h where none was swept.
    stop_buffer_atr, target_buffer_atr
        Distance of the stop beyond its level and of the target before its level, hourly true ranges.
    max_stop_distance
        Largest distance of the stop from the entry, fraction of price.
    min_stop_atr, min_stop_ticks
        Smallest distance of the stop, hourly true ranges and ticks; a nearer one is within the noise.
    """

    target_sd: Annotated[float, Within(gt=0.0, le=10.0)] | None = 1.0
    stop_sd: Annotated[float, Within(gt=0.0, le=10.0)] | None = 1.0
    stop_buffer_atr: Annotated[float, Within(ge=0.0, le=100.0)] = 0.25
    target_buffer_atr: Annotated[float, Within(ge=0.0, le=100.0)] = 0.1
    max_stop_distance: Annotated[float, Within(gt=0.0, le=0.08)] = 0.08
    min_stop_atr: Annotated[float, Within(ge=0.0, le=100.0)] = 0.15
    min_stop_ticks: Annotated[float, Within(ge=0.0, le=100.0)] = 5.0


@settings
class CostAssumptions(KernelNumbers):
    """Cost assumptions that labels, sizing, gate and backtest share.

    Parameters
    ----------
    multiple
        Factor on fees and slippage; 0, 1 and 2 give the cost curve. Funding is a payment between traders with a sign,
        not a cost, and is not scaled.
    impact_coefficient
        Y of the square-root law.
    event_impact_factor
        Factor on impact: every trade is made in an event, when depth is about 63 % of normal.
    stop_slippage_atr
        Extra slippage of a stop, in hourly true ranges.
    latency
        Delay between the price of a plan and its fill that is charged as slippage of one standard deviation. Zero
        where the fine bars resolve the delay.
    """

    multiple: Annotated[float, Within(ge=0.0, le=10.0)] = 1.0
    impact_coefficient: Annotated[float, Within(ge=0.0, le=10.0)] = 1.0
    event_impact_factor: Annotated[float, Within(ge=1.0, le=10.0)] = 1.6
    stop_slippage_atr: Annotated[float, Within(ge=0.0, le=10.0)] = 0.03
    latency: Annotated[timedelta, Within(ge=timedelta(0), le=HOUR)] = timedelta(0)

    @property
    def latency_days(self) -> float:
        """Delay that is charged, days."""
        return self.latency / DAY

    def _kernel_rows(self) -> Iterator[dict[str, float | None]]:
        names = ("multiple", "impact_coefficient", "event_impact_factor", "stop_slippage_atr", "latency_days")
        yield {name: getattr(self, name) for name in names}


_ODDS = ("expected_value_too_low", "no_trade_probability")


@settings
class SizingRules(KernelNumbers):
    """Limits that every position must respect. A parameter can only be stricter than the bounds.

    Parameters
    ----------
    risk_fraction
        Fraction of equity at risk per trade, fees and slippage included.
    max_cluster_risk
        Fraction of equity at risk in all positions of a correlated cluster (`Account.exposure`).
    max_open_risk
        Fraction of equity at risk in all positions.
    leverage_cap
        Largest margin leverage of a position, and largest total notional over equity.
    volume_fraction
        Share of the coins traded in the last 24 h.
    max_entry_slippage
        Expected slippage of the entry beyond which no order is sent, fraction of price.
    liquidation_buffer_stop, liquidation_buffer_atr, liquidation_buffer_price
        Distance of the liquidation price beyond the stop: at least the largest of this share of the stop distance,
        this many hourly true ranges, and this fraction of the entry price.
    min_reward_risk
        Smallest gain at the target over loss at the stop, both after costs; 0 turns the rule off.
    min_expectancy
        Smallest expected value at the lower bound of the trade's own odds, in R; None turns the rule off.
    kelly_fraction
        Share of the Kelly stake at that lower bound; None turns the rule off. With one of the two on, a score without
        odds of the trade gets no size.
    depth_fraction
        Share of the coins resting within 1 % of mid (the thinner side); None turns the rule off. With it on, a venue
        that gives no depth gets no size.

    Raises
    ------
    ParameterError
        If a value is outside of its bounds, or not ``risk_fraction <= max_cluster_risk <= max_open_risk``.
    """

    risk_fraction: Annotated[float, Within(gt=0.0, le=0.02)] = 0.01
    max_cluster_risk: Annotated[float, Within(gt=0.0, le=0.02)] = 0.02
    max_open_risk: Annotated[float, Within(gt=0.0, le=0.04)] = 0.04
    leverage_cap: Annotated[float, Within(ge=1.0, le=10.0)] = 5.0
    volume_fraction: Annotated[float, Within(gt=0.0, le=0.1)] = 0.001
    max_entry_slippage: Annotated[float, Within(gt=0.0, le=0.05)] = 0.02
    liquidation_buffer_stop: Annotated[float, Within(ge=0.0, le=100.0)] = 0.5
    liquidation_buffer_atr: Annotated[float, Within(ge=0.0, le=100.0)] = 0.2
    liquidation_buffer_price: Annotated[float, Within(ge=0.0, le=100.0)] = 0.003
    min_reward_risk: Annotated[float, Within(ge=0.0, le=100.0), Switch(off=0.0, reasons=("reward_risk_too_low",))] = (
        0.75
    )
    min_expectancy: (
        Annotated[float, Within(ge=0.0, le=1.0), Switch(reasons=_ODDS, toggles=("min_expectancy", "trade_odds"))] | None
    ) = 0.05
    kelly_fraction: (
        Annotated[float, Within(gt=0.0, le=1.0), Switch(reasons=_ODDS, toggles=("kelly_fraction", "trade_odds"))] | None
    ) = 0.25
    depth_fraction: (
        Annotated[float, Within(gt=0.0, le=1.0), Switch(reasons=("missing_depth",), needs="depth")] | None
    ) = 0.02

    def _check_together(self) -> None:
        if not self.risk_fraction <= self.max_cluster_risk <= self.max_open_risk:
            raise ParameterError(
                "`risk_fraction` <= `max_cluster_risk` <= `max_open_risk` must hold, were "
                f"{self.risk_fraction}, {self.max_cluster_risk}, {self.max_open_risk}"
            )

    @property
    def needs_odds(self) -> bool:
        """Whether a score without odds of the trade itself is refused."""
        return self.min_expectancy is not None or self.kelly_fraction is not None


_Share = Annotated[float, Within(gt=0.0, le=1.0)]


@settings
class DrawdownRules:
    """Limits of drawdown control; None turns a rule off.

    Parameters
    ----------
    throttle_drawdown
        Drawdown at which the size reaches zero, fraction of the peak.
    streak_grace
        Losses in a row without effect; each further one halves the size.
    streak_floor
        Smallest factor that a streak leaves of the size. At 0 a long one leaves less than the smallest order, and an
        account that cannot trade cannot recover.
    max_drawdown
        Drawdown at which the account stops for good, fraction of the peak.
    max_daily_loss, max_weekly_loss
        Loss, realised and open, at which trading stops until the next UTC day or week: fraction of the equity at
        the start of the day or week.
    max_daily_losing_trades
        Losing trades at which trading stops until the next UTC day.
    cool_off
        Pause after a loss that is the `cool_off_streak`-th in a row or a later one.
    cool_off_streak
        Losses in a row from which on each is followed by the pause.

    Examples
    --------
    >>> DrawdownRules().max_daily_loss
    0.03
    >>> DrawdownRules(max_daily_loss=3.0)
    Traceback (most recent call last):
    slackwater.errors.ParameterError: `max_daily_loss` must be > 0 and <= 1, was 3.0
    """

    throttle_drawdown: Annotated[_Share, Switch(reasons=("throttled",), toggles=("throttle", "all"))] | None = 0.15
    streak_grace: Annotated[int, Within(ge=0), Switch(reasons=("throttled",), toggles=("streak", "all"))] | None = 2
    streak_floor: Annotated[float, Within(ge=0.0, le=1.0)] = 1.0 / 16.0
    max_drawdown: Annotated[_Share, Switch(reasons=("drawdown_stop",), toggles=("drawdown_stop", "all"))] | None = 0.15
    max_daily_loss: Annotated[_Share, Switch(reasons=("daily_halt",), toggles=("daily_halt", "all"))] | None = 0.03
    max_daily_losing_trades: (
        Annotated[int, Within(ge=1), Switch(reasons=("daily_halt",), toggles=("daily_halt", "all"))] | None
    ) = 3
    max_weekly_loss: Annotated[_Share, Switch(reasons=("weekly_halt",), toggles=("weekly_halt", "all"))] | None = 0.06
    cool_off: Annotated[PositiveDuration, Switch(reasons=("cooling_off",), toggles=("cool_off", "all"))] | None = (
        6 * HOUR
    )
    cool_off_streak: Annotated[int, Within(ge=1)] = 2

    @classmethod
    def off(cls) -> DrawdownRules:
        """Return rules of which none is on: every trade has its base size."""
        return cls(**{name: switch.off for name, switch in switches(cls)})
