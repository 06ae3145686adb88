"""What every rule of the gate is worth: the same events with one rule toggled at a time.

A rule stays off by default until these tables show that it helps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.evidence.evaluation import Resampling
from slackwater.metrics.trading import expectancy_bps, max_drawdown, profit_factor
from slackwater.trading.backtest import BacktestResult, constant_risk_trades, run_backtest
from slackwater.trading.drawdown_control import DrawdownRules
from slackwater.trading.entry import EntryRules
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade, trades_table
from slackwater.trading.sizing import SizingRules

__all__ = ["drawdown_ablation", "rule_ablation"]

Floats = NDArray[np.float64]

_AS_CONFIGURED = "as configured"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """A rule of the gate: the fields of one of its parts that make it up, off and on."""

    name: str
    part: str
    off: Mapping[str, Any]
    on: Mapping[str, Any]

    def stands(self, gate: Gate) -> bool:
        """Whether the rule is on, with whatever values."""
        part = getattr(gate, self.part)
        return any(getattr(part, name) != value for name, value in self.off.items())

    def toggled(self, gate: Gate) -> Gate:
        """Return the gate with the rule off if it was on, and on if it was off."""
        changes = self.off if self.stands(gate) else self.on
        return replace(gate, **{self.part: replace(getattr(gate, self.part), **changes)})


def _rule(name: str, default: EntryRules | SizingRules | DrawdownRules, off: Mapping[str, Any], **on: Any) -> _Rule:
    """Name a rule whose values, where it is on, are the defaults unless they are given."""
    part = {EntryRules: "entry", SizingRules: "rules", DrawdownRules: "drawdown_control"}[type(default)]
    return _Rule(name=name, part=part, off=off, on={field: getattr(default, field) for field in off} | on)


_ENTRY, _SIZING, _DRAWDOWN = EntryRules(), SizingRules(), DrawdownRules()
_RULES = (
    _rule("probability_threshold", _ENTRY, {"probability_threshold": 0.0}),
    _rule("complete_features", _ENTRY, {"complete_features": False}),
    _rule("in_range_features", _ENTRY, {"in_range_features": False}),
    _rule("max_trend_efficiency", _ENTRY, {"max_trend_efficiency": None}, max_trend_efficiency=0.1),
    _rule("require_sweep", _ENTRY, {"require_sweep": False}, require_sweep=True),
    _rule("min_reward_risk", _SIZING, {"min_reward_risk": 0.0}),
    _rule("min_expectancy", _SIZING, {"min_expectancy": None}),
    _rule("kelly_fraction", _SIZING, {"kelly_fraction": None}),
    _rule("trade_odds", _SIZING, {"min_expectancy": None, "kelly_fraction": None}),
    _rule("depth_fraction", _SIZING, {"depth_fraction": None}),
)
_DRAWDOWN_RULES = (
    _rule("throttle", _DRAWDOWN, {"throttle_drawdown": None}),
    _rule("streak", _DRAWDOWN, {"streak_grace": None}),
    _rule("drawdown_stop", _DRAWDOWN, {"max_drawdown": None}),
    _rule("daily_halt", _DRAWDOWN, {"max_daily_loss": None, "max_daily_losing_trades": None}),
    _rule("weekly_halt", _DRAWDOWN, {"max_weekly_loss": None}),
    _rule("cool_off", _DRAWDOWN, {"cool_off": None}),
    _rule("all", _DRAWDOWN, {name: None for name, value in asdict(DrawdownRules.off()).items() if value is None}),
)


def rule_ablation(
    scores: pd.DataFrame,
    fine_bars: pd.DataFrame,
    *,
    gate: Gate,
    funding: pd.DataFrame | None,
    mark: pd.DataFrame | None = None,
    initial_equity: float,
    decision_lag: timedelta,
    horizon: timedelta,
    fine_bar_interval: timedelta,
    resampling: Resampling,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return the trades at constant risk under the gate as it is, and with one entry or sizing rule toggled.

    Parameters
    ----------
    scores, fine_bars, gate, funding, mark, initial_equity, decision_lag, horizon, fine_bar_interval
        As for `trading.backtest.constant_risk_trades`.
    resampling
        Of the intervals: blocks of calendar time, so the events of a block are drawn together in both samples.
    progress
        Called with (gates done, gates in all).

    Returns
    -------
    DataFrame
        The row ``as configured``, then one a rule: `rule`; `toggled` (``off`` or ``on``: what was done to the
        rule in this row; empty in the first); of the trades of that gate `n_trades`, `net_bps_mean`,
        `net_bps_low`, `net_bps_high` (basis points a trade), `net_r_mean` (multiples of the planned loss) and
        `profit_factor` (of the basis points); `difference_bps`, `difference_low`, `difference_high`: mean net in
        basis points of notional an **event**, with the rule less without it, whichever of the two is configured;
        and `helps`, whether that interval lies above 0 (None in the first row). What is unknown, also for want of
        trades or of blocks of time, is NaN, and helps nobody.

    Raises
    ------
    SchemaError, OrderError, MissingDataError, ParameterError
        As `trading.backtest.constant_risk_trades`.

    Notes
    -----
    An event that is not traded counts 0, so a rule that refuses losers gains and one that refuses winners loses.
    Basis points of notional do not see the size: of a rule that only makes positions smaller (``kelly_fraction``,
    ``depth_fraction``), they show the impact that is saved, the trades that become too small, and those that only
    such a size makes worth it: the gate refuses what is too dear at the size that the other caps leave.

    A rule that is off is toggled on at its default, ``max_trend_efficiency`` at 0.1, which about one event in fifteen
    of the default data set exceeds. Either of ``min_expectancy`` and
    ``kelly_fraction`` alone still asks for odds that are worth something, so ``trade_odds`` toggles the two at once.

    Ten intervals are looked at: one rule in forty that does nothing will seem to help. The sample must be out of
    sample, and a rule chosen by this table is a trial.
    """
    sample = partial(
        constant_risk_trades,
        scores,
        fine_bars,
        funding=funding,
        mark=mark,
        initial_equity=initial_equity,
        decision_lag=decision_lag,
        horizon=horizon,
        fine_bar_interval=fine_bar_interval,
    )
    configured = sample(gate=gate)
    events = scores.loc[scores["direction"].notna() & (scores["direction"] != 0), ["symbol", "event_time"]]
    as_it_is = _net_an_event(configured, events)
    rows = [{"rule": _AS_CONFIGURED, "toggled": "", **_sample_metrics(configured, resampling), "helps": None}]
    for rule, other in _toggled(_RULES, gate, progress):
        trades = sample(gate=other)
        gain = as_it_is - _net_an_event(trades, events)
        with_less_without = gain if rule.stands(gate) else -gain
        mean, low, high = _mean_and_interval(with_less_without, events["event_time"], resampling)
        rows.append(
            {
                "rule": rule.name,
                "toggled": "off" if rule.stands(gate) else "on",
                **_sample_metrics(trades, resampling),
                "difference_bps": mean,
                "difference_low": low,
                "difference_high": high,
                "helps": low > 0.0,
            }
        )
    sample_columns = ["n_trades", "net_bps_mean", "net_bps_low", "net_bps_high", "net_r_mean", "profit_factor"]
    differences = ["difference_bps", "difference_low", "difference_high"]
    return pd.DataFrame(rows, columns=["rule", "toggled", *sample_columns, *differences, "helps"])


def drawdown_ablation(
    scores: pd.DataFrame,
    fine_bars: pd.DataFrame,
    *,
    gate: Gate,
    funding: pd.DataFrame | None,
    mark: pd.DataFrame | None = None,
    initial_equity: float,
    decision_lag: timedelta,
    horizon: timedelta,
    fine_bar_interval: timedelta,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return the account under the gate as it is, and with one rule of drawdown control toggled.

    Parameters
    ----------
    scores, fine_bars, gate, funding, mark, initial_equity, decision_lag, horizon, fine_bar_interval
        As for `trading.backtest.run_backtest`.
    progress
        Called with (gates done, gates in all).

    Returns
    -------
    DataFrame
        The row ``as configured``, then ``throttle``, ``streak``, ``drawdown_stop``, ``daily_halt`` (loss and losing
        trades), ``weekly_halt``, ``cool_off`` and ``all`` of them: `rule`; `toggled` (``off`` or ``on``: what was
        done to the rule in this row; empty in the first); `n_trades`; `final_equity` (USDT); `max_drawdown` (of the
        equity after each exit, fraction of its peak, >= 0); `worst_day` (gain of the worst UTC day on which a trade
        ended, fraction of the equity before it; NaN if none ended).

    Raises
    ------
    SchemaError, OrderError, MissingDataError, ParameterError
        As `trading.backtest.run_backtest`.

    Notes
    -----
    One account is one path: there is no interval, and a difference in the final equity proves nothing. These rules
    are there for the drawdown and the worst day.

    A throttle that reaches 0 where the drawdown stop stands makes the stop redundant, and the reverse: ``all``
    shows what they do together. Rules that are off are toggled on at their defaults; ``all`` counts as on if one is.
    """
    account = partial(
        run_backtest,
        scores,
        fine_bars,
        funding=funding,
        mark=mark,
        initial_equity=initial_equity,
        decision_lag=decision_lag,
        horizon=horizon,
        fine_bar_interval=fine_bar_interval,
    )
    rows = [{"rule": _AS_CONFIGURED, "toggled": "", **_account_metrics(account(gate=gate))}]
    for rule, other in _toggled(_DRAWDOWN_RULES, gate, progress):
        toggled = "off" if rule.stands(gate) else "on"
        rows.append({"rule": rule.name, "toggled": toggled, **_account_metrics(account(gate=other))})
    return pd.DataFrame(rows)


def _toggled(
    rules: Sequence[_Rule], gate: Gate, progress: Callable[[int, int], None] | None
) -> Iterator[tuple[_Rule, Gate]]:
    """Yield every rule with the gate in which it alone is toggled, and tell what is done, the gate as it is first."""
    for done, rule in enumerate(rules, start=1):
        if progress is not None:
            progress(done, len(rules) + 1)
        yield rule, rule.toggled(gate)
    if progress is not None:
        progress(len(rules) + 1, len(rules) + 1)


def _net_an_event(trades: Sequence[ClosedTrade], events: pd.DataFrame) -> Floats:
    """Return the net result of every event, basis points of notional, 0 where it was not traded."""
    table = trades_table(trades)
    net = dict(zip(zip(table["symbol"], table["event_time"], strict=True), table["net_bps"], strict=True))
    keys = zip(events["symbol"], events["event_time"], strict=True)
    return np.array([net.get(key, 0.0) for key in keys], dtype=np.float64)


def _sample_metrics(trades: Sequence[ClosedTrade], resampling: Resampling) -> dict[str, Any]:
    table = trades_table(trades)
    net = table["net_bps"].to_numpy()
    mean, low, high = _mean_and_interval(net, table["entry_time"], resampling)
    return {
        "n_trades": len(table),
        "net_bps_mean": mean,
        "net_bps_low": low,
        "net_bps_high": high,
        "net_r_mean": float(table["net_r"].mean()),
        "profit_factor": profit_factor(net),
    }


def _account_metrics(result: BacktestResult) -> dict[str, Any]:
    equity = result.equity["equity_usd"]
    # The first row is the deposit: no trade ended with it.
    exits = result.equity.iloc[1:]
    at_end = exits.groupby(exits["time"].dt.floor("D"))["equity_usd"].last()
    before = at_end.shift(fill_value=equity.iloc[0])
    gains = (at_end / before - 1.0)[before > 0.0]
    return {
        "n_trades": len(result.trades),
        "final_equity": float(equity.iloc[-1]),
        "max_drawdown": max_drawdown(equity),
        "worst_day": float(gains.min()),
    }


def _mean_and_interval(net: Floats, times: pd.Series, resampling: Resampling) -> tuple[float, float, float]:
    if net.size == 0:
        return math.nan, math.nan, math.nan
    return expectancy_bps(net), *resampling.interval(expectancy_bps, times, net)
