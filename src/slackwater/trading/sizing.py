"""Size of a trade: the smallest of several caps, rounded down, at a leverage whose liquidation lies beyond the stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from slackwater.market.contracts import Contract, known_price
from slackwater.market.rounding import as_ratio
from slackwater.trading.account import Exposure
from slackwater.trading.bracket import Bracket
from slackwater.trading.costs import CostModel, OrderCosts
from slackwater.trading.reasons import Reason
from slackwater.trading.rules import SizingRules
from slackwater.trading.score import Score
from slackwater.trading.size_search import (
    BEYOND_TIERS,
    MISSING_DEPTH,
    NO_ROOM,
    SIZED,
    SLIPPAGE,
    THROTTLED,
    TOO_SMALL,
    SizeFound,
    search_size,
)
from slackwater.unchecked import unchecked

__all__ = ["Sizing", "size_position"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """Size, leverage and risk of one plan, with the numbers that led to them.

    Parameters
    ----------
    quantity, notional_usd
        Coins, rounded down to the lot; coins × entry price, USDT.
    binding
        The cap that set the size: ``risk`` (``throttled_risk`` after losses), ``cluster_risk``, ``open_risk``,
        ``leverage``, ``margin``, ``margin_tier``, ``depth``, ``volume`` or ``kelly``.
    caps
        Every cap with the quantity that it alone would allow, coins.
    leverage, leverage_cap, margin_usd
        Whole-numbered margin leverage, the largest that keeps the liquidation price beyond the stop; the cap that it
        may have been lowered from; the margin that it posts.
    liquidation_price, bankruptcy_price
        USDT, for the expected fill.
    risk_usd, risk_fraction
        Loss at the stop with fees and slippage, USDT and fraction of equity. A gap through the stop can lose more.
    reward_risk
        Gain at the target over loss at the stop, both after costs.
    p_fair, p_trade, p_trade_low
        Probability of the target rather than the stop: without an edge, by the model, and at its lower bound; the last
        two are NaN where the score has no odds and no rule requires them.
    expectancy_low
        Expected value of the trade at the lower bound, in R (multiples of `risk_usd`).
    costs
        Costs of each order at this quantity.
    """

    quantity: float
    notional_usd: float
    binding: str
    caps: tuple[tuple[str, float], ...]
    leverage: int
    leverage_cap: float
    margin_usd: float
    liquidation_price: float
    bankruptcy_price: float
    risk_usd: float
    risk_fraction: float
    reward_risk: float
    p_fair: float
    p_trade: float
    p_trade_low: float
    expectancy_low: float
    costs: OrderCosts


def size_position(
    bracket: Bracket,
    *,
    score: Score,
    contract: Contract,
    rules: SizingRules,
    costs: CostModel,
    equity: float,
    exposure: Exposure,
    risk_multiplier: float = 1.0,
) -> Sizing | tuple[Reason, ...]:
    """Return the size of one trade, or every reason why it has none (method, section 6.4).

    Parameters
    ----------
    bracket
        Its three prices.
    score
        Odds of the trade, and the market context: volatility, true ranges, volume and depth, all finite and positive
        (depth: or NaN on both sides, which gets no size unless the depth rule is off).
    contract, rules, costs
        Facts, limits and assumptions.
    equity
        Account value at the mark, USDT, > 0.
    exposure
        Exposure that the account already carries.
    risk_multiplier
        Factor on the risk fraction, in [0, 1]: below 1 after losses (`trading.drawdown_control.throttle`).
    """
    found = _search(bracket, score, contract, rules, costs, equity, exposure, risk_multiplier)
    if found.outcome == BEYOND_TIERS:
        known_price(contract, found.liquidation_price)
    values = _value_reasons(found, rules)
    if found.outcome != SIZED:
        return (*_refused(found, bracket, contract, rules, equity, exposure), *values)
    budgets = ("risk" if risk_multiplier >= 1.0 else "throttled_risk", "cluster_risk", "open_risk")
    names = (budgets[found.tightest], "leverage", "margin", "margin_tier", "volume", "depth", "kelly")
    binding = names[found.binding]
    # A Kelly cap of zero is already reported as expected_value_too_low; do not also report the size as too small.
    if found.quantity < found.smallest_order and not (binding == "kelly" and values):
        return (_too_small(found.quantity, binding, bracket, contract), *values)
    return values or _sizing(found, names, bracket, rules, costs, equity)


def _search(
    bracket: Bracket,
    score: Score,
    contract: Contract,
    rules: SizingRules,
    costs: CostModel,
    equity: float,
    exposure: Exposure,
    risk_multiplier: float,
) -> SizeFound:
    """Return the result of `search_size`, which is compiled for floats: what a user gives may be whole numbers."""
    context = score.context
    return SizeFound._make(
        search_size(
            int(bracket.side),
            float(bracket.entry),
            float(bracket.stop),
            float(bracket.target),
            context.close,
            context.volatility_daily,
            context.atr_1h,
            context.volume_24h,
            context.depth_1pct,
            score.trade_edge,
            score.trade_edge_low,
            float(equity),
            float(exposure.notional_usd),
            float(exposure.margin_usd),
            float(exposure.unrealised_usd),
            float(exposure.risk_usd),
            float(exposure.cluster_risk_usd),
            float(risk_multiplier),
            float(contract.lot_size),
            *as_ratio(contract.lot_size),
            contract.numbers,
            rules.numbers,
            costs.numbers,
        )
    )


def _sizing(
    found: SizeFound, names: tuple[str, ...], bracket: Bracket, rules: SizingRules, costs: CostModel, equity: float
) -> Sizing:
    """Return the size with the numbers that led to it; `names` are those of the caps."""
    caps = [*zip(names, found[_FIRST_CAP : _FIRST_CAP + len(names)], strict=True)]
    if rules.kelly_fraction is None:
        del caps[6]
    if rules.depth_fraction is None:
        del caps[5]
    quantity, risk_usd = found.quantity, found.risk_usd
    return _made(
        (
            quantity,
            quantity * bracket.entry,
            names[found.binding],
            tuple(caps),
            found.leverage,
            rules.leverage_cap,
            found.margin_usd,
            found.liquidation_price,
            found.bankruptcy_price,
            risk_usd,
            risk_usd / equity,
            found.reward_risk,
            found.p_fair,
            found.p_trade,
            found.p_trade_low,
            found.expectancy_low,
            _costs((*found[_FIRST_COST:], costs.multiple)),
        )
    )


_FIRST_CAP: Final = SizeFound._fields.index("at_risk")
_FIRST_COST: Final = SizeFound._fields.index("fee_fraction")
_made = unchecked(
    Sizing,
    *("quantity", "notional_usd", "binding", "caps", "leverage", "leverage_cap", "margin_usd"),
    *("liquidation_price", "bankruptcy_price", "risk_usd", "risk_fraction", "reward_risk"),
    *("p_fair", "p_trade", "p_trade_low", "expectancy_low", "costs"),
)
_costs = unchecked(OrderCosts, *SizeFound._fields[_FIRST_COST:], "cost_multiple")


def _value_reasons(found: SizeFound, rules: SizingRules) -> tuple[Reason, ...]:
    """Return the reasons in the payoff, whatever the account holds."""
    reasons = []
    if not found.reward_risk >= rules.min_reward_risk:
        message = f"reward to risk after costs is {found.reward_risk:.2f}, required is {rules.min_reward_risk:g}"
        reasons.append(Reason("reward_risk_too_low", message))
    if rules.needs_odds and math.isnan(found.p_trade_low):
        message = (
            "the score has no odds of the trade; `min_expectancy` and `kelly_fraction` must be off (null) "
            "to trade without"
        )
        reasons.append(Reason("no_trade_probability", message))
    elif rules.needs_odds:
        required = rules.min_expectancy or 0.0
        if found.expectancy_low <= required:
            message = (
                f"the expected value is {found.expectancy_low:+.3f} R at the lower bound of the odds (target before "
                f"stop {found.p_trade_low:.4f}, fair {found.p_fair:.4f}), required is more than {required:g}"
            )
            reasons.append(Reason("expected_value_too_low", message))
    return tuple(reasons)


def _refused(
    found: SizeFound, bracket: Bracket, contract: Contract, rules: SizingRules, equity: float, exposure: Exposure
) -> tuple[Reason, ...]:
    """Return the reasons beside the payoff that there is no size."""
    if found.outcome == NO_ROOM:
        return _room_reasons(rules, equity, exposure, found.budget, found.room)
    if found.outcome == TOO_SMALL:
        return (_too_small(found.bound, "the caps before costs", bracket, contract),)
    if found.outcome == MISSING_DEPTH:
        message = "the venue gives no depth; `depth_fraction` must be off (null) for the volume cap to stand alone"
        return (Reason("missing_depth", message),)
    if found.outcome == THROTTLED:
        return (Reason("throttled", "the losses so far have throttled the risk per trade to zero"),)
    if found.outcome == SLIPPAGE:
        message = f"entry slippage may be {found.slippage:.2%} of price, allowed is {rules.max_entry_slippage:.2%}"
        return (Reason("slippage_too_high", message),)
    message = (
        f"no leverage from 1 to {rules.leverage_cap:g} keeps the liquidation price beyond the stop "
        f"{bracket.stop} by {found.liquidation_buffer:.6g} USDT"
    )
    return (Reason("liquidation_before_stop", message),)


def _too_small(quantity: float, binding: str, bracket: Bracket, contract: Contract) -> Reason:
    return Reason(
        "below_minimum_size",
        f"{quantity:.6g} coins, set by {binding}, are {quantity * bracket.entry:,.2f} USDT; "
        f"the smallest order is {contract.min_quantity:g} coins and {contract.min_notional_usd:g} USDT",
    )


def _room_reasons(
    rules: SizingRules, equity: float, exposure: Exposure, budget: float, room: float
) -> tuple[Reason, ...]:
    """Return the reasons in the open positions alone."""
    reasons = []
    if budget <= 0:
        message = (
            f"open positions risk {exposure.risk_usd:,.2f} USDT, {exposure.cluster_risk_usd:,.2f} in the same cluster "
            f"({', '.join(exposure.cluster) or 'none'}); the limits are {rules.max_open_risk:.2%} and "
            f"{rules.max_cluster_risk:.2%} of equity {equity:,.2f}"
        )
        reasons.append(Reason("open_risk_exceeded", message))
    if room <= 0:
        message = (
            f"open positions hold {exposure.notional_usd:,.2f} USDT of notional and {exposure.margin_usd:,.2f} of "
            f"margin; the limits are {rules.leverage_cap:g} times equity {equity:,.2f}, and the cash, which is equity "
            f"without gains at the mark of {exposure.unrealised_usd:,.2f}"
        )
        reasons.append(Reason("leverage_exceeded", message))
    return tuple(reasons)
