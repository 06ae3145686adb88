"""Rule ablation: the same events with one rule of the gate toggled at a time.

A rule stays off by default until these tables show that it helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from slackwater.evidence._intervals import DIFFERENCE, DIFFERENCE_R, MEAN, effect, mean_and_interval, sample_metrics
from slackwater.evidence.resampling import Resampling
from slackwater.metrics.trading import max_drawdown
from slackwater.parallel import run_tasks
from slackwater.trading.backtest import Backtest
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade, trades_table
from slackwater.trading.rules import DrawdownRules, EntryRules, SizingRules, switches
from slackwater.trading.symbol_tasks import unit_risk_trades_of_gates
from slackwater.types import Floats

__all__ = ["drawdown_ablation", "rule_ablation"]

_AS_CONFIGURED = "as configured"
_UNITS = {"net_bps": DIFFERENCE, "net_r": DIFFERENCE_R}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Toggle:
    """A row of the ablation: whether the rule is on in the gate as configured, and the gate with it toggled."""

    rule: str
    was_on: bool
    gate: Gate

    @property
    def toggled(self) -> str:
        return "off" if self.was_on else "on"


def _toggles(gate: Gate, part: str, rules: type) -> Iterator[_Toggle]:
    """Yield a toggle per name among the switches of a settings class; several settings may share one."""
    default, present = asdict(rules()), getattr(gate, part)
    off: dict[str, dict[str, Any]] = {}
    on: dict[str, dict[str, Any]] = {}
    for name, switch in switches(rules):
        for toggle in (name,) if switch.toggles is None else switch.toggles:
            # A row of several settings comes after those of its members.
            off[toggle] = off.pop(toggle, {}) | {name: switch.off}
            on.setdefault(toggle, {})[name] = default[name] if switch.on is None else switch.on
    for toggle, values in off.items():
        was_on = any(getattr(present, name) != value for name, value in values.items())
        changed = replace(present, **(values if was_on else on[toggle]))
        yield _Toggle(rule=toggle, was_on=was_on, gate=replace(gate, **{part: changed}))


def _extra_toggles(gate: Gate) -> Iterator[_Toggle]:
    for rule in gate.extra_rules:
        others = tuple(other for other in gate.extra_rules if other is not rule)
        yield _Toggle(rule=rule.name, was_on=True, gate=replace(gate, extra_rules=others))


def rule_ablation(
    backtest: Backtest,
    gate: Gate,
    resampling: Resampling,
    *,
    configured: Sequence[ClosedTrade],
    at_trades: Callable[[int, int], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Return the unit-risk trades under the gate as it is, and with one rule for entry or size toggled.

    Parameters
    ----------
    backtest
        Events and prices.
    gate
        The gate as configured; its extra rules are toggled too.
    resampling
        Block bootstrap of the intervals: the events of a calendar block are drawn together in both samples.
    configured
        Unit-risk trades of the gate as configured (`Backtest.unit_risk_trades`).
    at_trades
        Called after each symbol, whose trades under all gates are a task, with (events done, events in all).
    progress
        Called after each row, which is a task, with (gates done, gates in all).

    Returns
    -------
    DataFrame
        The row ``as configured``, then one per rule: `rule`; `toggled` (``off`` or ``on``: the change made in this
        row; empty in the first); of the trades of that gate `n_trades`, `net_bps_mean`, `net_bps_low`, `net_bps_high`
        (basis points per trade), `net_r_mean` (R per trade) and `profit_factor` (of the basis points);
        `difference_bps`, `difference_low`, `difference_high`: mean net result in basis points of notional per
        **event**, with the rule less without it, whichever of the two is configured; `difference_r`,
        `difference_r_low`, `difference_r_high`: the same in R; and `helps`, whether one of both intervals lies above 0
        and none below (None in the first row). An unknown number, also for lack of trades or of blocks of time, is
        NaN, and counts as not helping.

    Notes
    -----
    An event that is not traded counts 0, so a rule that refuses losers gains and one that refuses winners loses.
    Basis points of notional do not depend on the size: for a rule that only makes positions smaller
    (``kelly_fraction``, ``depth_fraction``) they show the impact that is saved, the trades that become too small, and
    those that only the smaller size makes acceptable, because the gate refuses what impact makes too expensive.

    A rule that is off is toggled on at its default, ``max_trend_efficiency`` at 0.1, which about one event in fifteen
    of the default data set exceeds. Either of ``min_expectancy`` and ``kelly_fraction`` alone still requires odds with
    a positive expected value, so ``trade_odds`` toggles both at once.

    Of forty rules without effect, one or two will seem to help. The sample must be out of sample, and a rule
    chosen by this table is a trial.
    """
    events = pd.DataFrame(
        {
            "symbol": [score.symbol for score in backtest.events],
            "event_time": pd.DatetimeIndex(
                [score.event_time for score in backtest.events], dtype="datetime64[us, UTC]"
            ),
        }
    )
    toggles = [*_toggles(gate, "entry", EntryRules), *_toggles(gate, "rules", SizingRules), *_extra_toggles(gate)]
    as_configured = {unit: _net_per_event(configured, events, unit) for unit in _UNITS}
    rows = [{"rule": _AS_CONFIGURED, "toggled": "", **sample_metrics(configured, resampling), "helps": None}]
    samples = unit_risk_trades_of_gates(backtest, [toggle.gate for toggle in toggles], progress=at_trades)
    tasks = {toggle.rule: (toggle, trades) for toggle, trades in zip(toggles, samples, strict=True)}
    row_of = partial(_row, events, as_configured, resampling)
    for done, row in enumerate(run_tasks(row_of, tasks), start=1):
        rows.append(row)
        if progress is not None:
            progress(done, len(tasks))
    columns = ["rule", "toggled", "n_trades", *MEAN, "net_r_mean", "profit_factor", *DIFFERENCE, *DIFFERENCE_R, "helps"]
    return pd.DataFrame(rows, columns=columns)


def _row(
    events: pd.DataFrame,
    as_configured: Mapping[str, Floats],
    resampling: Resampling,
    task: tuple[_Toggle, Sequence[ClosedTrade]],
) -> dict[str, Any]:
    toggle, trades = task
    difference: dict[str, float] = {}
    for unit, names in _UNITS.items():
        gain = as_configured[unit] - _net_per_event(trades, events, unit)
        with_less_without = gain if toggle.was_on else -gain
        difference |= mean_and_interval(with_less_without, events["event_time"], resampling, names)
    return {
        "rule": toggle.rule,
        "toggled": toggle.toggled,
        **sample_metrics(trades, resampling),
        **difference,
        "helps": effect(difference) == "helps",
    }


def drawdown_ablation(
    backtest: Backtest, gate: Gate, *, configured: pd.DataFrame, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Return the account under the gate as it is, and with one rule of drawdown control toggled.

    Parameters
    ----------
    backtest, gate
        As in `rule_ablation`.
    configured
        Equity of the account under the gate as configured (`Ledger.equity`).
    progress
        Called with (gates done, gates in all).

    Returns
    -------
    DataFrame
        The row ``as configured``, then ``throttle``, ``streak``, ``drawdown_stop``, ``daily_halt`` (loss and losing
        trades), ``weekly_halt``, ``cool_off`` and ``all`` of them: `rule`; `toggled` (``off`` or ``on``: the change
        made in this row; empty in the first); `n_trades`; `final_equity` (USDT); `max_drawdown` (of the equity after
        each exit, fraction of its peak, >= 0); `worst_day` (gain of the worst UTC day on which a trade ended, fraction
        of the equity before it; NaN if none ended).

    Notes
    -----
    An account is a single path: there is no interval, and a difference in the final equity is not evidence. These rules
    are meant to limit the drawdown and the worst day.

    A throttle that reaches 0 at the drawdown stop makes the stop redundant, and the reverse: ``all`` shows their joint
    effect. Rules that are off are toggled on at their defaults; ``all`` counts as on if one is.
    """
    rows = [{"rule": _AS_CONFIGURED, "toggled": "", **_account_metrics(configured)}]
    for toggle in _each([*_toggles(gate, "drawdown_control", DrawdownRules)], progress):
        equity = backtest.run(toggle.gate).equity
        rows.append({"rule": toggle.rule, "toggled": toggle.toggled, **_account_metrics(equity)})
    return pd.DataFrame(rows)


def _each(toggles: Sequence[_Toggle], progress: Callable[[int, int], None] | None) -> Iterator[_Toggle]:
    """Yield every toggle, and report progress after each."""
    for done, toggle in enumerate(toggles, start=1):
        yield toggle
        if progress is not None:
            progress(done, len(toggles))


def _net_per_event(trades: Sequence[ClosedTrade], events: pd.DataFrame, unit: str) -> Floats:
    """Return the net result of every event in a unit, 0 where it was not traded."""
    table = trades_table(trades)
    net = dict(zip(zip(table["symbol"], table["event_time"], strict=True), table[unit], strict=True))
    keys = zip(events["symbol"], events["event_time"], strict=True)
    return np.array([net.get(key, 0.0) for key in keys], dtype=np.float64)


def _account_metrics(equity: pd.DataFrame) -> Mapping[str, Any]:
    """Return the metrics of an account from its equity after every exit; the first row is the deposit."""
    exits = equity.iloc[1:]
    at_end = exits.groupby(exits["time"].dt.floor("D"))["equity_usd"].last()
    before = at_end.shift(fill_value=equity["equity_usd"].iloc[0])
    gains = (at_end / before - 1.0)[before > 0.0]
    return {
        "n_trades": len(exits),
        "final_equity": float(equity["equity_usd"].iloc[-1]),
        "max_drawdown": max_drawdown(equity["equity_usd"]),
        "worst_day": float(gains.min()),
    }
