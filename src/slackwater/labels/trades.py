"""Outcome of the trade that each event suggests, with its own stop, target and time exit, after costs.

The barriers of `slackwater.labels.barriers` measure whether the move reverses. The outcome of the trade measures
whether its target comes before its stop, at the odds that its own bracket offers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

import pandas as pd

from slackwater.errors import ParameterError
from slackwater.labels._tables import require_columns, times_us
from slackwater.market.contracts import Contract, venue_contracts
from slackwater.times import timestamp
from slackwater.trading.bracket import Bracket, level_reasons, trade_levels
from slackwater.trading.costs import CostModel
from slackwater.trading.input_checks import context_violations
from slackwater.trading.payoff import Payoff
from slackwater.trading.price_path import Exit, PricePath
from slackwater.trading.reasons import Reason
from slackwater.trading.rules import BracketRules
from slackwater.trading.score import CONTEXT, MarketContext

__all__ = [
    "TRADE_COLUMNS",
    "SuggestedTrade",
    "TradeResult",
    "TradeRules",
    "suggested_trade",
    "trade_outcomes",
]

TRADE_COLUMNS = (
    *("trade_stop", "trade_target", "trade_exit", "trade_end_time", "fair_log_odds", "reward_risk"),
    *("net_r", "trade_net_bps", "payoff", "y_trade"),
)
"""Columns that `trade_outcomes` adds to the labels table, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeRules:
    """Definition of the trade of an event.

    Parameters
    ----------
    contracts
        Facts by symbol, default: those of the simulated venue; an event of another symbol has no trade.
    bracket, costs
        Placement of stop and target, and costs, as in the gate.
    reference_notional_usd
        Size at which impact is charged, USDT, > 0.

    Raises
    ------
    ParameterError
        If the size is out of range.
    """

    contracts: Mapping[str, Contract] = field(default_factory=lambda: venue_contracts("simulated"))
    bracket: BracketRules = field(default_factory=BracketRules)
    costs: CostModel = field(default_factory=CostModel)
    reference_notional_usd: float = 10_000.0

    def __post_init__(self) -> None:
        if not 0.0 < self.reference_notional_usd < math.inf:
            raise ParameterError(f"`reference_notional_usd` must be in (0, inf), was {self.reference_notional_usd}")


def trade_outcomes(
    labels: pd.DataFrame,
    features: pd.DataFrame,
    paths: Mapping[str, PricePath],
    *,
    rules: TradeRules,
    horizon: timedelta,
) -> pd.DataFrame:
    """Return the outcome of the trade against the move of each event, row by row with `labels` (method, section 1.4).

    Parameters
    ----------
    labels
        From `slackwater.labels.barriers.triple_barrier`: ``symbol``, ``event_time``, ``direction``, ``entry_time``.
    features
        ``symbol``, ``event_time``, ``available_time`` and `slackwater.trading.score.CONTEXT`; at least one row per
        event.
    paths
        Fine bars and funding of each symbol (`slackwater.trading.price_path.price_paths`).
    rules
        Bracket, costs and size.
    horizon
        Time exit, from the open of the entry bar.

    Returns
    -------
    DataFrame
        `TRADE_COLUMNS`, in the row order of `labels`. ``trade_stop``, ``trade_target`` (USDT), ``trade_exit``
        (``stop``, ``target``, ``time``), ``trade_end_time`` (close of the exit bar, UTC). ``fair_log_odds``: ``log(D /
        T)`` of the distances to stop and target. ``reward_risk``: gain at the target over loss at the stop, after
        costs. ``net_r``: result after fees, slippage and funding, multiples of its loss at the stop. ``trade_net_bps``:
        the same, basis points of the entry notional. ``payoff``: ``(net_r + 1) / (reward_risk + 1)``, clipped to [0,
        1]. ``y_trade``: 1.0 where `net_r` > 0, else 0.0. NaN, NaT and "" where the levels leave no trade
        (`trading.bracket.level_reasons`) or the gain at the target does not
        exceed its costs.

    Raises
    ------
    SchemaError
        If a column is missing, or an event has no row of features.

    Notes
    -----
    Clipping hides losses beyond the stop; the report on adversarial paths measures them. Liquidation is not considered:
    the gate chooses a leverage at which the stop comes first.
    """
    require_columns(labels, ["symbol", "event_time", "direction", "entry_time"], name="labels")
    keys = ["symbol", "event_time"]
    wanted = list(dict.fromkeys([*keys, "available_time", *CONTEXT]))
    require_columns(features, wanted, name="features")
    context = labels[[*keys, "direction"]].merge(features[wanted], on=keys, how="left", validate="1:1")
    entries = times_us(labels, "entry_time", name="labels")
    rows = [
        _outcome(row, paths[row["symbol"]], int(entry_us), rules, horizon)
        for row, entry_us in zip(context.to_dict("records"), entries, strict=True)
    ]
    out = pd.DataFrame(rows, columns=list(TRADE_COLUMNS), index=labels.index)
    out["trade_end_time"] = pd.to_datetime(out["trade_end_time"], utc=True).dt.as_unit("us")
    # Also where no event has a trade, or there is none: the table of all symbols is put together from these.
    kinds = dict.fromkeys(TRADE_COLUMNS, "float64") | {"trade_exit": "str"}
    return out.astype({name: kind for name, kind in kinds.items() if name != "trade_end_time"})


_BPS = 1e4
_NO_TRADE: dict[str, Any] = {"trade_exit": "", "trade_end_time": pd.NaT}


def _outcome(
    row: Mapping[str, Any], path: PricePath, entry_us: int, rules: TradeRules, horizon: timedelta
) -> Mapping[str, Any]:
    trade = suggested_trade(
        MarketContext.from_row(row),
        side=-int(row["direction"]),
        path=path,
        entry_bar=path.first_bar_from(entry_us),
        rules=rules,
        horizon=horizon,
    )
    if not isinstance(trade, SuggestedTrade):
        return _NO_TRADE
    result = trade.result()
    return {
        "trade_stop": trade.bracket.stop,
        "trade_target": trade.bracket.target,
        "trade_exit": result.exit.reason,
        "trade_end_time": timestamp(result.exit.time_us),
        "fair_log_odds": trade.fair_log_odds,
        "reward_risk": trade.reward_risk,
        "net_r": result.net / trade.risk,
        "trade_net_bps": _BPS * result.net / trade.bracket.entry,
        "payoff": result.payoff,
        "y_trade": float(result.net > 0.0),
    }


class TradeResult(NamedTuple):
    """How a suggested trade ended; amounts per coin, USDT.

    Parameters
    ----------
    exit
        Reason, time and price.
    net
        Result after fees, slippage and funding.
    costs
        Fees and slippage of the entry and of this exit.
    payoff
        ``(net_r + 1) / (reward_risk + 1)``, clipped to [0, 1].
    """

    exit: Exit
    net: float
    costs: float
    payoff: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedTrade:
    """Trade against the move of an event at the reference size, with its path; `suggested_trade` makes it.

    Attributes
    ----------
    bracket, payoff
        Entry, stop and target; gain and loss after costs.
    quantity
        Reference size, coins.
    path, entry_bar, horizon
        Fine bars, the bar at whose open it is entered, and the time exit counted from there.
    """

    bracket: Bracket
    payoff: Payoff
    quantity: float
    path: PricePath
    entry_bar: int
    horizon: timedelta

    @property
    def risk(self) -> float:
        """Loss per coin at the stop with fees and slippage, USDT: one R."""
        return self.payoff.unit_loss.at(self.quantity)

    @property
    def reward_risk(self) -> float:
        """Gain at the target over loss at the stop, both after costs."""
        return self.payoff.reward_risk(self.quantity)

    @property
    def fair_log_odds(self) -> float:
        """Log-odds of target against stop without drift and before costs."""
        return math.log(self.bracket.stop_distance / self.bracket.target_distance)

    def result(self, *, without: Collection[str] = ()) -> TradeResult:
        """Walk the trade to its exit; `without` names levels that do not end it, ``stop`` and ``target``."""
        side, quantity = self.bracket.side, self.quantity
        end = self.path.exit(
            side=side,
            stop=-side * math.inf if "stop" in without else self.bracket.stop,
            target=side * math.inf if "target" in without else self.bracket.target,
            liquidation_price=0.0 if side > 0 else math.inf,
            entry_bar=self.entry_bar,
            horizon=self.horizon,
        )
        entry_us = int(self.path.open_time[self.entry_bar])
        funding = self.path.funding_usd(
            side=side, quantity=1.0, start_us=entry_us, end_us=end.held_us, gone_us=end.gone_us
        )
        net_of_costs = self.payoff.net_of_costs(quantity, exit_price=end.price, exit_reason=end.reason)
        net = net_of_costs - funding
        return TradeResult(
            exit=end,
            net=net,
            costs=side * (end.price - self.bracket.entry) - net_of_costs,
            payoff=min(max((net / self.risk + 1.0) / (self.reward_risk + 1.0), 0.0), 1.0),
        )


def suggested_trade(
    context: MarketContext, *, side: int, path: PricePath, entry_bar: int, rules: TradeRules, horizon: timedelta
) -> SuggestedTrade | tuple[Reason, ...]:
    """Return the trade that an event suggests, or every reason that there is none.

    Parameters
    ----------
    context
        Market context of the event.
    side
        +1 long, -1 short.
    path, entry_bar
        Fine bars of the symbol, and the bar at whose open the trade is entered.
    rules
        Bracket, costs and size.
    horizon
        Time exit, from the open of the entry bar.

    Returns
    -------
    SuggestedTrade or tuple of Reason
        Codes of the gate: ``unknown_contract``, ``bad_input``, those of `trading.bracket.level_reasons`, and
        ``reward_risk_too_low`` where the gain at the target does not exceed its costs.
    """
    contract = rules.contracts.get(path.symbol)
    if contract is None:
        return (Reason("unknown_contract", f"no contract of {path.symbol}"),)
    if bad_inputs := tuple(context_violations(context)):
        return bad_inputs
    tick_size, quote = contract.tick_size, float(path.open[entry_bar])
    levels = trade_levels(context, side=side, tick_size=tick_size, rules=rules.bracket, horizon=horizon)
    bracket = levels.at(quote)
    reasons = tuple(level_reasons(levels, context, quote=quote, tick_size=tick_size, rules=rules.bracket))
    if bracket is None or reasons:
        return reasons
    trade = SuggestedTrade(
        bracket=bracket,
        payoff=Payoff(bracket=bracket, contract=contract, costs=rules.costs, context=context),
        quantity=rules.reference_notional_usd / quote,
        path=path,
        entry_bar=entry_bar,
        horizon=horizon,
    )
    if not trade.reward_risk > 0.0:
        return (Reason("reward_risk_too_low", f"the gain at the target {bracket.target} does not exceed its costs"),)
    return trade
