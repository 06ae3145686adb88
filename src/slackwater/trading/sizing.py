"""How much to trade: the smallest of several caps, rounded down, at a leverage that outlives the stop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields

from scipy.optimize import brentq

from slackwater.errors import ParameterError
from slackwater.market.contracts import Contract, liquidation_price
from slackwater.market.rounding import round_down
from slackwater.trading.account import Exposure
from slackwater.trading.bracket import Bracket
from slackwater.trading.costs import CostModel
from slackwater.trading.payoff import Payoff
from slackwater.trading.reasons import Reason, ReasonCode
from slackwater.trading.score import Score

__all__ = ["Sizing", "SizingRules", "size_position"]

_BELOW = 1.0 - 1e-12  # keeps a product that was divided by a cap on the cap's own side


@dataclass(frozen=True, slots=True, kw_only=True)
class SizingRules:
    """The limits that no trade may break. Their outer bounds are fixed: a parameter can only be stricter.

    Parameters
    ----------
    risk_fraction
        Equity at risk in one trade, fees and slippage inside, in (0, 0.02].
    max_cluster_risk
        Equity at risk in all positions that are one bet (`Account.exposure`), in (0, 0.02].
    max_open_risk
        Equity at risk in all positions, in (0, 0.04].
    leverage_cap
        Largest margin leverage of a position, and largest total notional over equity, in [1, 10].
    depth_fraction
        Share of the coins resting within 1 % of mid (the thinner side), in (0, 1]. None turns the rule off;
        with it on, a venue that gives no depth gets no size.
    volume_fraction
        Share of the coins traded in the last 24 h, in (0, 0.1].
    min_reward_risk
        Gain at the target over loss at the stop, both after costs, in [0, 100].
    min_expectancy
        What a trade must be worth at the lower bound of its own odds, multiples of the loss at the stop, in
        [0, 1]. None turns the rule off.
    kelly_fraction
        Share of the Kelly stake at that lower bound, in (0, 1]. None turns the rule off. With one of the two on,
        a score without odds of the trade gets no size.
    liquidation_buffer_stop, liquidation_buffer_atr, liquidation_buffer_price
        The liquidation price lies beyond the stop by at least the largest of: this share of the stop
        distance, this many hourly true ranges, this fraction of the entry price; each >= 0.
    max_entry_slippage
        Expected slippage of the entry beyond which no order is sent, fraction of price, in (0, 0.05].

    Raises
    ------
    ParameterError
        If a value is outside of its range.
    """

    risk_fraction: float = 0.01
    max_cluster_risk: float = 0.02
    max_open_risk: float = 0.04
    leverage_cap: float = 5.0
    depth_fraction: float | None = 0.02
    volume_fraction: float = 0.001
    min_reward_risk: float = 1.2
    min_expectancy: float | None = 0.05
    kelly_fraction: float | None = 0.25
    liquidation_buffer_stop: float = 0.5
    liquidation_buffer_atr: float = 0.2
    liquidation_buffer_price: float = 0.003
    max_entry_slippage: float = 0.02

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high, open_low = _RANGES.get(field.name, (0.0, 100.0, False))
            if value is None and field.name in _CAN_BE_OFF:
                continue
            if value is None or not (low < value <= high if open_low else low <= value <= high):
                bracket = "(" if open_low else "["
                raise ParameterError(f"`{field.name}` must be in {bracket}{low:g}, {high:g}], was {value}")

    @property
    def needs_odds(self) -> bool:
        """Whether a score without odds of the trade itself is refused."""
        return self.min_expectancy is not None or self.kelly_fraction is not None


_CAN_BE_OFF = ("depth_fraction", "min_expectancy", "kelly_fraction")
_RANGES = {  # name -> (low, high, whether low itself is excluded); the rest lies in [0, 100]
    "risk_fraction": (0.0, 0.02, True),
    "max_cluster_risk": (0.0, 0.02, True),
    "max_open_risk": (0.0, 0.04, True),
    "leverage_cap": (1.0, 10.0, False),
    "depth_fraction": (0.0, 1.0, True),
    "volume_fraction": (0.0, 0.1, True),
    "min_expectancy": (0.0, 1.0, False),
    "kelly_fraction": (0.0, 1.0, True),
    "max_entry_slippage": (0.0, 0.05, True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizing:
    """A size that obeys every rule, and the numbers that led to it.

    Parameters
    ----------
    quantity, unrounded_quantity
        Coins; the first is the second rounded down to the lot.
    binding
        The cap that set the size: ``risk`` (``throttled_risk`` after losses), ``cluster_risk``, ``open_risk``,
        ``leverage``, ``margin``, ``margin_tier``, ``depth``, ``volume`` or ``kelly``.
    caps
        Every cap with the quantity that it alone would allow, coins.
    leverage
        Whole-numbered margin leverage, the largest that keeps the liquidation price beyond the stop.
    liquidation_price
        USDT, for the expected fill.
    entry_slippage, stop_slippage
        Fractions of the entry and of the stop price.
    unit_loss_usd
        Loss per coin at the stop with fees and slippage, USDT.
    risk_usd
        ``quantity × unit_loss_usd``.
    reward_risk
        Gain at the target over loss at the stop, both after costs.
    p_fair, p_trade, p_trade_low
        Probability of the target rather than the stop: without an edge, as the model says, and at its lower bound;
        NaN where the score has no odds.
    expectancy_low
        Worth of the trade at the lower bound, multiples of `unit_loss_usd`.
    """

    quantity: float
    unrounded_quantity: float
    binding: str
    caps: tuple[tuple[str, float], ...]
    leverage: int
    liquidation_price: float
    entry_slippage: float
    stop_slippage: float
    unit_loss_usd: float
    risk_usd: float
    reward_risk: float
    p_fair: float
    p_trade: float
    p_trade_low: float
    expectancy_low: float


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
    """Size one trade, or say every reason why it has no size.

    Parameters
    ----------
    bracket
        Its three prices.
    score
        Volatility, true ranges, volume and depth, all finite and positive (depth: or NaN on both sides, which
        gets no size unless the depth rule is off).
    contract, rules, costs
        Facts, limits and assumptions.
    equity
        Account value at the mark, USDT, > 0.
    exposure
        What the account already carries.
    risk_multiplier
        Factor on the risk fraction, in [0, 1]: below 1 after losses (`trading.drawdown_control.throttle`).

    Notes
    -----
    The loss per coin grows with the size, because impact does; the risk cap is the quantity whose whole loss
    at the stop, fees and slippage inside, equals the budget. The budget is the smallest of the risk fraction
    and of what the open positions leave of the cluster cap and of the open-risk cap.

    A stop bounds the loss only where the market trades through it: a gap can lose more.

    Depth is the thinner of the two sides.

    Leverage is chosen for the size that zero costs and no throttle would leave, and for its fill. So it never rises
    because trading became dearer or trades lost, and neither does the size.
    """
    payoff = Payoff(bracket=bracket, contract=contract, costs=costs, score=score)
    limits = _Limits(payoff=payoff, rules=rules, equity=equity)
    depth = min(score.depth_bid_1pct, score.depth_ask_1pct)
    if rules.depth_fraction is not None and math.isnan(depth):
        message = "the venue gives no depth; `depth_fraction` must be off (null) for the volume cap to stand alone"
        return (Reason(ReasonCode.MISSING_DEPTH, message), *limits.worth_reasons(0.0))
    if risk_multiplier <= 0.0:
        message = "the losses so far have throttled the risk of a trade to nothing"
        return (Reason(ReasonCode.THROTTLED, message), *limits.worth_reasons(0.0))
    own_risk = "risk" if risk_multiplier >= 1.0 else "throttled_risk"
    budgets = {
        own_risk: rules.risk_fraction * min(risk_multiplier, 1.0) * equity,
        "cluster_risk": rules.max_cluster_risk * equity - exposure.cluster_risk_usd,
        "open_risk": rules.max_open_risk * equity - exposure.risk_usd,
    }
    tightest = min(budgets, key=lambda name: budgets[name])
    budget = budgets[tightest]
    notional_room = rules.leverage_cap * equity - exposure.notional_usd
    free_margin = equity - exposure.margin_usd
    full = _room_reasons(rules, equity, exposure, budget, min(notional_room, free_margin))
    if full:
        return (*full, *limits.worth_reasons(0.0))

    liquidity = {"volume": rules.volume_fraction * score.volume_24h}
    if rules.depth_fraction is not None:
        liquidity["depth"] = rules.depth_fraction * depth
    # What zero costs and no losses would leave: leverage must not rise because of either.
    untouched = min(rules.risk_fraction * equity, budgets["cluster_risk"], budgets["open_risk"])
    bound = min(untouched / bracket.stop_distance, notional_room / bracket.entry, *liquidity.values())
    if bound < limits.smallest_order:
        return (limits.too_small(bound, "the caps before costs"), *limits.worth_reasons(0.0))
    slippage = payoff.entry_slippage.at(bound)
    if slippage > rules.max_entry_slippage:
        message = f"entry slippage may be {slippage:.2%} of price, allowed is {rules.max_entry_slippage:.2%}"
        return (Reason(ReasonCode.SLIPPAGE_TOO_HIGH, message), *limits.worth_reasons(bound))
    leverage = limits.largest_leverage(bound, slippage)
    if leverage is None:
        message = (
            f"no leverage from 1 to {rules.leverage_cap:g} keeps the liquidation price beyond the stop "
            f"{bracket.stop} by {limits.liquidation_buffer:.6g} USDT"
        )
        return (Reason(ReasonCode.LIQUIDATION_BEFORE_STOP, message), *limits.worth_reasons(bound))

    dearest = bracket.entry * (1.0 + slippage)
    caps = {
        tightest: limits.quantity_at_risk(budget),
        "leverage": notional_room / dearest,
        "margin": free_margin * leverage / (dearest * (1.0 + leverage * costs.fee_fraction(contract))),
        "margin_tier": limits.tier_quantity(leverage),
        **liquidity,
    }
    if rules.kelly_fraction is not None:
        caps["kelly"] = limits.kelly_quantity(rules.kelly_fraction)
    binding = min(caps, key=lambda name: caps[name])
    unrounded = caps[binding] * _BELOW
    quantity = round_down(unrounded, contract.lot_size)
    reasons = limits.worth_reasons(quantity)
    # Where Kelly stakes nothing, the trade is worth nothing, and that has been said.
    if quantity < limits.smallest_order and not (binding == "kelly" and reasons):
        reasons = (limits.too_small(quantity, binding), *reasons)
    if reasons:
        return reasons
    entry_slippage, unit_loss = payoff.entry_slippage.at(quantity), payoff.unit_loss.at(quantity)
    return Sizing(
        quantity=quantity,
        unrounded_quantity=unrounded,
        binding=binding,
        caps=tuple(caps.items()),
        leverage=leverage,
        liquidation_price=limits.liquidation(quantity, leverage, entry_slippage),
        entry_slippage=entry_slippage,
        stop_slippage=payoff.stop_slippage.at(quantity),
        unit_loss_usd=unit_loss,
        risk_usd=quantity * unit_loss,
        reward_risk=payoff.reward_risk(quantity),
        p_fair=payoff.probability(0.0),
        p_trade=payoff.probability(score.trade_edge),
        p_trade_low=limits.probability,
        expectancy_low=payoff.expectancy(quantity, limits.probability),
    )


def _room_reasons(
    rules: SizingRules, equity: float, exposure: Exposure, budget: float, room: float
) -> tuple[Reason, ...]:
    """Reasons that the open positions alone give."""
    reasons = []
    if budget <= 0:
        message = (
            f"open positions risk {exposure.risk_usd:,.2f} USDT, {exposure.cluster_risk_usd:,.2f} in the same bet "
            f"({', '.join(exposure.cluster) or 'none'}); the limits are {rules.max_open_risk:.2%} and "
            f"{rules.max_cluster_risk:.2%} of equity {equity:,.2f}"
        )
        reasons.append(Reason(ReasonCode.OPEN_RISK_EXCEEDED, message))
    if room <= 0:
        message = (
            f"open positions hold {exposure.notional_usd:,.2f} USDT of notional and "
            f"{exposure.margin_usd:,.2f} of margin; the limits are {rules.leverage_cap:g} and 1 times "
            f"equity {equity:,.2f}"
        )
        reasons.append(Reason(ReasonCode.LEVERAGE_EXCEEDED, message))
    return tuple(reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    """The caps of one trade as functions of its quantity (coins)."""

    payoff: Payoff
    rules: SizingRules
    equity: float

    @property
    def probability(self) -> float:
        """Probability of the target at the lower bound of the edge."""
        return self.payoff.probability(self.payoff.score.trade_edge_low)

    def worth_reasons(self, quantity: float) -> tuple[Reason, ...]:
        """Reasons that the payoff gives, whatever the account holds."""
        reasons = []
        reward_risk = self.payoff.reward_risk(quantity)
        if not reward_risk >= self.rules.min_reward_risk:
            message = f"reward to risk after costs is {reward_risk:.2f}, required is {self.rules.min_reward_risk:g}"
            reasons.append(Reason(ReasonCode.REWARD_RISK_TOO_LOW, message))
        if self.rules.needs_odds and math.isnan(self.probability):
            message = (
                "the score has no odds of the trade itself; `min_expectancy` and `kelly_fraction` must be off (null) "
                "to trade without"
            )
            reasons.append(Reason(ReasonCode.NO_TRADE_PROBABILITY, message))
        elif self.rules.needs_odds:
            worth = self.payoff.expectancy(quantity, self.probability)
            required = self.rules.min_expectancy
            if worth <= (0.0 if required is None else required):
                message = (
                    f"the trade is worth {worth:+.3f} R at the lower bound of its odds (target before stop "
                    f"{self.probability:.4f}, fair {self.payoff.probability(0.0):.4f}), required is more than "
                    f"{0.0 if required is None else required:g}"
                )
                reasons.append(Reason(ReasonCode.EXPECTED_VALUE_TOO_LOW, message))
        return tuple(reasons)

    @property
    def smallest_order(self) -> float:
        contract = self.payoff.contract
        return max(contract.min_quantity, contract.min_notional_usd / self.payoff.bracket.entry)

    def too_small(self, quantity: float, binding: str) -> Reason:
        contract = self.payoff.contract
        return Reason(
            ReasonCode.BELOW_MINIMUM_SIZE,
            f"{quantity:.6g} coins, set by {binding}, are worth {quantity * self.payoff.bracket.entry:,.2f} USDT; "
            f"the smallest order is {contract.min_quantity:g} coins and {contract.min_notional_usd:g} USDT",
        )

    def quantity_at_risk(self, budget_usd: float) -> float:
        """Return the largest quantity whose loss at the stop is within the budget."""
        at_zero, per_root = self.payoff.unit_loss
        root = math.sqrt(max(budget_usd, 0.0) / at_zero)
        # Newton on a convex curve comes down from above and never passes the root.
        for _ in range(60):
            excess = root * root * (at_zero + per_root * root) - budget_usd
            if not excess > 0.0:
                break
            lower = root - excess / (root * (2.0 * at_zero + 3.0 * per_root * root))
            if lower >= root:
                break
            root = lower
        return _within(root * root, lambda quantity: budget_usd - quantity * self.payoff.unit_loss.at(quantity))

    def kelly_quantity(self, fraction: float) -> float:
        """Return the largest quantity whose loss at the stop is within a share of the Kelly stake."""
        payoff, probability, equity = self.payoff, self.probability, fraction * self.equity
        (loss, loss_per_root), (gain, gain_per_root) = payoff.unit_loss, payoff.unit_gain

        def room(quantity: float) -> float:  # `equity × kelly - quantity × unit_loss`, without a call in it
            root = math.sqrt(quantity)
            lost, gained = loss + loss_per_root * root, gain + gain_per_root * root
            kelly = probability - (1.0 - probability) * lost / gained if gained > 0.0 else -1.0
            return equity * kelly - quantity * lost

        most = room(0.0)
        if not most > 0.0:
            return 0.0
        # Without impact the stake is `most` and the loss a straight line: the root is not above.
        above = most / loss
        if room(above) >= 0.0:
            return above
        return _within(brentq(room, 0.0, above, xtol=1e-12 * above, rtol=1e-14), room)

    @property
    def liquidation_buffer(self) -> float:
        rules, plan, score = self.rules, self.payoff.bracket, self.payoff.score
        return max(
            rules.liquidation_buffer_stop * plan.stop_distance,
            rules.liquidation_buffer_atr * score.atr_1h * score.close,
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


def _within(quantity: float, room: Callable[[float], float]) -> float:
    """Return a quantity that was found to the last bits, from either side, where it leaves room."""
    step = 2.0**-50
    while quantity > 0.0 and room(quantity) < 0.0:
        quantity *= 1.0 - step
        step *= 2.0
    return quantity
