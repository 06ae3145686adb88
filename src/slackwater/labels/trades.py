"""Outcome of the trade that each event suggests, with its own stop, target and time exit, after costs.

The barriers of `slackwater.labels.barriers` measure whether the move reverses. The outcome of the trade measures
whether its target comes before its stop, at the odds that its own bracket offers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pandas as pd

from slackwater.errors import ParameterError
from slackwater.labels._tables import require_columns, times_us
from slackwater.market.contracts import Contract, venue_contracts
from slackwater.times import timestamp
from slackwater.trading.bracket import level_reasons, trade_levels
from slackwater.trading.costs import CostModel
from slackwater.trading.input_checks import context_violations
from slackwater.trading.payoff import Payoff
from slackwater.trading.price_path import PricePath
from slackwater.trading.rules import BracketRules
from slackwater.trading.score import CONTEXT, MarketContext

__all__ = ["TRADE_COLUMNS", "TradeRules", "trade_outcomes"]

TRADE_COLUMNS = (
    *("trade_stop", "trade_target", "trade_exit", "trade_end_time", "fair_log_odds", "reward_risk"),
    *("net_r", "payoff", "y_trade"),
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
        costs. ``net_r``: result after fees, slippage and funding, multiples of its loss at the stop. ``payoff``:
        ``(net_r + 1) / (reward_risk + 1)``, clipped to [0, 1]. ``y_trade``: 1.0 where `net_r` > 0, else 0.0. NaN, NaT
        and "" where the levels leave no trade (`trading.bracket.level_reasons`) or the gain at the target does not
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
    return out


_NO_TRADE: dict[str, Any] = {"trade_exit": "", "trade_end_time": pd.NaT}


def _outcome(
    row: Mapping[str, Any], path: PricePath, entry_us: int, rules: TradeRules, horizon: timedelta
) -> Mapping[str, Any]:
    context, contract = MarketContext.from_row(row), rules.contracts.get(row["symbol"])
    if contract is None or any(context_violations(context)):
        return _NO_TRADE
    side, tick_size = -int(row["direction"]), contract.tick_size
    levels = trade_levels(context, side=side, tick_size=tick_size, rules=rules.bracket)
    entry_bar = path.first_bar_from(entry_us)
    quote = float(path.open[entry_bar])
    bracket = levels.at(quote)
    refused = any(level_reasons(levels, context, quote=quote, tick_size=tick_size, rules=rules.bracket))
    if bracket is None or refused:
        return _NO_TRADE
    payoff = Payoff(bracket=bracket, contract=contract, costs=rules.costs, context=context)
    quantity = rules.reference_notional_usd / quote
    reward_risk = payoff.reward_risk(quantity)
    if not reward_risk > 0.0:
        return _NO_TRADE
    end = path.exit(
        side=bracket.side,
        stop=bracket.stop,
        target=bracket.target,
        liquidation_price=0.0 if bracket.side > 0 else math.inf,
        entry_bar=entry_bar,
        horizon=horizon,
    )
    funding = path.funding_usd(
        side=bracket.side, quantity=1.0, start_us=entry_us, end_us=end.held_us, gone_us=end.gone_us
    )
    net_of_costs = payoff.net_of_costs(quantity, exit_price=end.price, exit_reason=end.reason)
    net_r = (net_of_costs - funding) / payoff.unit_loss.at(quantity)
    return {
        "trade_stop": bracket.stop,
        "trade_target": bracket.target,
        "trade_exit": end.reason,
        "trade_end_time": timestamp(end.time_us),
        "fair_log_odds": math.log(bracket.stop_distance / bracket.target_distance),
        "reward_risk": reward_risk,
        "net_r": net_r,
        "payoff": min(max((net_r + 1.0) / (reward_risk + 1.0), 0.0), 1.0),
        "y_trade": float(net_r > 0.0),
    }
