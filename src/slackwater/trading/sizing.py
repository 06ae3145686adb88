"""Size of a trade: the smallest of several caps, rounded down, at a leverage whose liquidation lies beyond the stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from slackwater.market.contracts import Contract, bankruptcy_price, liquidation_price
from slackwater.market.rounding import round_down
from slackwater.trading.account import Exposure
from slackwater.trading.bracket import Bracket
from slackwater.trading.costs import CostModel, OrderCosts
from slackwater.trading.payoff import Payoff
from slackwater.trading.reasons import Reason
from slackwater.trading.roots import kelly_quantity, quantity_at_risk
from slackwater.trading.rules import SizingRules
from slackwater.trading.score import Score

__all__ = ["Sizing", "size_position"]

_BELOW = 1.0 - 1e-12  # guards against floating-point rounding pushing the size above its cap


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
    # 1. Rules that need no quantity, and the room that the open positions leave.
    context = score.context
    payoff = Payoff(bracket=bracket, contract=contract, costs=costs, context=context)
    probability = payoff.probability(score.trade_edge_low)
    limits = _Limits(payoff=payoff, rules=rules, equity=equity, probability=probability)
    depth = context.depth_1pct
    if rules.depth_fraction is not None and math.isnan(depth):
        message = "the venue gives no depth; `depth_fraction` must be off (null) for the volume cap to stand alone"
        return limits.refusal(0.0, Reason("missing_depth", message))
    if risk_multiplier <= 0.0:
        return limits.refusal(0.0, Reason("throttled", "the losses so far have throttled the risk per trade to zero"))
    own_risk = "risk" if risk_multiplier >= 1.0 else "throttled_risk"
    budgets = {
        own_risk: rules.risk_fraction * min(risk_multiplier, 1.0) * equity,
        "cluster_risk": rules.max_cluster_risk * equity - exposure.cluster_risk_usd,
        "open_risk": rules.max_open_risk * equity - exposure.risk_usd,
    }
    tightest = min(budgets, key=budgets.__getitem__)
    budget = budgets[tightest]
    notional_room = rules.leverage_cap * equity - exposure.notional_usd
    # In isolated mode a gain at the mark stays with its position until that is closed: only cash can be posted.
    free_margin = equity - max(exposure.unrealised_usd, 0.0) - exposure.margin_usd
    full = _room_reasons(rules, equity, exposure, budget, min(notional_room, free_margin))
    if full:
        return limits.refusal(0.0, *full)

    # 2. Leverage, for the size that zero costs and no losses would leave: it must not rise because of either.
    liquidity = {"volume": rules.volume_fraction * context.volume_24h}
    if rules.depth_fraction is not None:
        liquidity["depth"] = rules.depth_fraction * depth
    untouched = min(rules.risk_fraction * equity, budgets["cluster_risk"], budgets["open_risk"])
    bound = min(untouched / bracket.stop_distance, notional_room / bracket.entry, *liquidity.values())
    if bound < limits.smallest_order:
        return limits.refusal(0.0, limits.too_small(bound, "the caps before costs"))
    slippage = payoff.entry_slippage.at(bound)
    if slippage > rules.max_entry_slippage:
        message = f"entry slippage may be {slippage:.2%} of price, allowed is {rules.max_entry_slippage:.2%}"
        return limits.refusal(bound, Reason("slippage_too_high", message))
    leverage = limits.largest_leverage(bound, slippage)
    if leverage is None:
        message = (
            f"no leverage from 1 to {rules.leverage_cap:g} keeps the liquidation price beyond the stop "
            f"{bracket.stop} by {limits.liquidation_buffer:.6g} USDT"
        )
        return limits.refusal(bound, Reason("liquidation_before_stop", message))

    # 3. The smallest cap, rounded down.
    dearest = bracket.entry * (1.0 + slippage)
    caps = {
        tightest: quantity_at_risk(budget, *payoff.unit_loss),
        "leverage": notional_room / dearest,
        "margin": free_margin * leverage / (dearest * (1.0 + leverage * costs.fee_fraction(contract))),
        "margin_tier": limits.tier_quantity(leverage),
        **liquidity,
    }
    if rules.kelly_fraction is not None:
        share = rules.kelly_fraction * equity
        caps["kelly"] = kelly_quantity(share, limits.probability, *payoff.unit_loss, *payoff.unit_gain)
    binding = min(caps, key=caps.__getitem__)
    quantity = round_down(caps[binding] * _BELOW, contract.lot_size)
    reasons = limits.value_reasons(quantity)
    # A Kelly cap of zero is already reported as expected_value_too_low; do not also report the size as too small.
    if quantity < limits.smallest_order and not (binding == "kelly" and reasons):
        reasons = (limits.too_small(quantity, binding), *reasons)
    if reasons:
        return reasons
    return limits.sizing(score, quantity=quantity, binding=binding, caps=caps, leverage=leverage)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """The caps of one trade as functions of its quantity (coins).

    Parameters
    ----------
    payoff, rules, equity
        As in `size_position`.
    probability
        Probability of the target at the lower bound of the edge.
    """

    payoff: Payoff
    rules: SizingRules
    equity: float
    probability: float

    def value_reasons(self, quantity: float) -> tuple[Reason, ...]:
        """Return the reasons in the payoff, whatever the account holds."""
        reasons = []
        reward_risk = self.payoff.reward_risk(quantity)
        if not reward_risk >= self.rules.min_reward_risk:
            message = f"reward to risk after costs is {reward_risk:.2f}, required is {self.rules.min_reward_risk:g}"
            reasons.append(Reason("reward_risk_too_low", message))
        if self.rules.needs_odds and math.isnan(self.probability):
            message = (
                "the score has no odds of the trade; `min_expectancy` and `kelly_fraction` must be off (null) "
                "to trade without"
            )
            reasons.append(Reason("no_trade_probability", message))
        elif self.rules.needs_odds:
            expected = self.payoff.expectancy(quantity, self.probability)
            required = self.rules.min_expectancy or 0.0
            if expected <= required:
                message = (
                    f"the expected value is {expected:+.3f} R at the lower bound of the odds (target before stop "
                    f"{self.probability:.4f}, fair {self.payoff.probability(0.0):.4f}), required is more than "
                    f"{required:g}"
                )
                reasons.append(Reason("expected_value_too_low", message))
        return tuple(reasons)

    def refusal(self, quantity: float, *reasons: Reason) -> tuple[Reason, ...]:
        """Return the reasons of the account, then those in the payoff."""
        return (*reasons, *self.value_reasons(quantity))

    def sizing(
        self, score: Score, *, quantity: float, binding: str, caps: Mapping[str, float], leverage: int
    ) -> Sizing:
        """Return the size with the numbers that led to it."""
        payoff, bracket, costs = self.payoff, self.payoff.bracket, self.payoff.order_costs(quantity)
        risk_usd = quantity * payoff.unit_loss.at(quantity)
        fill = bracket.entry * (1.0 + bracket.side * costs.entry_slippage)
        return Sizing(
            quantity=quantity,
            notional_usd=quantity * bracket.entry,
            binding=binding,
            caps=tuple(caps.items()),
            leverage=leverage,
            leverage_cap=self.rules.leverage_cap,
            margin_usd=quantity * fill / leverage,
            liquidation_price=self.liquidation(quantity, leverage, costs.entry_slippage),
            bankruptcy_price=bankruptcy_price(side=bracket.side, entry=fill, leverage=leverage),
            risk_usd=risk_usd,
            risk_fraction=risk_usd / self.equity,
            reward_risk=payoff.reward_risk(quantity),
            p_fair=payoff.probability(0.0),
            p_trade=payoff.probability(score.trade_edge),
            p_trade_low=self.probability,
            expectancy_low=payoff.expectancy(quantity, self.probability),
            costs=costs,
        )

    @property
    def smallest_order(self) -> float:
        contract = self.payoff.contract
        return max(contract.min_quantity, contract.min_notional_usd / self.payoff.bracket.entry)

    def too_small(self, quantity: float, binding: str) -> Reason:
        contract = self.payoff.contract
        return Reason(
            "below_minimum_size",
            f"{quantity:.6g} coins, set by {binding}, are {quantity * self.payoff.bracket.entry:,.2f} USDT; "
            f"the smallest order is {contract.min_quantity:g} coins and {contract.min_notional_usd:g} USDT",
        )

    @property
    def liquidation_buffer(self) -> float:
        rules, plan, context = self.rules, self.payoff.bracket, self.payoff.context
        return max(
            rules.liquidation_buffer_stop * plan.stop_distance,
            rules.liquidation_buffer_atr * context.atr_1h * context.close,
            rules.liquidation_buffer_price * plan.entry,
        )

    def liquidation(self, quantity: float, leverage: int, slippage: float) -> float:
        plan, contract = self.payoff.bracket, self.payoff.contract
        fill = plan.entry * (1.0 + plan.side * slippage)
        return liquidation_price(contract, side=plan.side, entry=fill, quantity=quantity, leverage=leverage)

    def tier_quantity(self, leverage: int) -> float:
        """Return the quantity that stays within the known tiers, at the worst fill and when liquidated."""
        plan = self.payoff.bracket
        if plan.side > 0:
            highest = plan.entry * (1.0 + self.rules.max_entry_slippage)
        else:
            highest = plan.entry * (1.0 + 1.0 / leverage)  # bankruptcy, beyond any liquidation
        return self.payoff.contract.max_notional_usd / highest * _BELOW

    def largest_leverage(self, bound: float, slippage: float) -> int | None:
        plan, contract = self.payoff.bracket, self.payoff.contract
        for leverage in range(int(self.rules.leverage_cap), 0, -1):
            quantity = min(bound, self.tier_quantity(leverage))
            if leverage > contract.tier(quantity * plan.entry * (1.0 + slippage)).max_leverage:
                continue
            price = self.liquidation(quantity, leverage, slippage)
            if plan.side * (plan.stop - price) >= self.liquidation_buffer:
                return leverage
        return None
