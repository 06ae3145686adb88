"""How much to trade: the smallest of several caps, rounded down, at a leverage that outlives the stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from slackwater.errors import ParameterError
from slackwater.market.contracts import Contract, liquidation_price
from slackwater.market.rounding import round_down
from slackwater.trading.account import Exposure
from slackwater.trading.costs import CostModel
from slackwater.trading.geometry import Geometry
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
        Equity at risk in all positions of one direction, in (0, 0.02].
    max_open_risk
        Equity at risk in all positions, in (0, 0.04].
    leverage_cap
        Largest margin leverage of a position, and largest total notional over equity, in [1, 10].
    depth_fraction
        Share of the coins resting within 1 % of mid (the thinner side), in (0, 1].
    volume_fraction
        Share of the coins traded in the last 24 h, in (0, 0.1].
    min_reward_risk
        Gain at the target over loss at the stop, both after costs, in [0, 100].
    max_stop_distance
        Distance of the stop from the entry, fraction of price, in (0, 0.08].
    min_stop_atr, min_stop_ticks
        A stop nearer than this many hourly true ranges or ticks stands in the noise, >= 0.
    stop_buffer_atr, target_buffer_atr
        Stop beyond its level and target before its level, hourly true ranges, >= 0.
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
    depth_fraction: float = 0.02
    volume_fraction: float = 0.001
    min_reward_risk: float = 1.2
    max_stop_distance: float = 0.08
    min_stop_atr: float = 0.15
    min_stop_ticks: float = 5.0
    stop_buffer_atr: float = 0.25
    target_buffer_atr: float = 0.1
    liquidation_buffer_stop: float = 0.5
    liquidation_buffer_atr: float = 0.2
    liquidation_buffer_price: float = 0.003
    max_entry_slippage: float = 0.02

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high, open_low = _RANGES.get(field.name, (0.0, 100.0, False))
            if not (low < value <= high if open_low else low <= value <= high):
                bracket = "(" if open_low else "["
                raise ParameterError(f"`{field.name}` must be in {bracket}{low:g}, {high:g}], was {value}")


_RANGES = {  # name -> (low, high, whether low itself is excluded); the rest lies in [0, 100]
    "risk_fraction": (0.0, 0.02, True),
    "max_cluster_risk": (0.0, 0.02, True),
    "max_open_risk": (0.0, 0.04, True),
    "leverage_cap": (1.0, 10.0, False),
    "depth_fraction": (0.0, 1.0, True),
    "volume_fraction": (0.0, 0.1, True),
    "max_stop_distance": (0.0, 0.08, True),
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
        The cap that set the size: ``risk``, ``cluster_risk``, ``open_risk``, ``leverage``, ``margin``,
        ``depth``, ``volume`` or ``margin_tier``.
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
    """

    quantity: float
    unrounded_quantity: float
    binding: str
    leverage: int
    liquidation_price: float
    entry_slippage: float
    stop_slippage: float
    unit_loss_usd: float
    risk_usd: float
    reward_risk: float


def size_position(
    geometry: Geometry,
    *,
    score: Score,
    contract: Contract,
    rules: SizingRules,
    costs: CostModel,
    equity: float,
    exposure: Exposure,
) -> Sizing | tuple[Reason, ...]:
    """Size one trade, or say every reason why it has no size.

    Parameters
    ----------
    geometry
        Its three prices.
    score
        Volatility, true ranges, volume and depth, all finite and positive (depth: or NaN on both sides).
    contract, rules, costs
        Facts, limits and assumptions.
    equity
        Account value at the mark, USDT, > 0.
    exposure
        What the account already carries.

    Notes
    -----
    The loss per coin grows with the size, because impact does; the risk cap is the quantity whose whole loss
    at the stop, fees and slippage inside, equals the budget. The budget is the smallest of the risk fraction
    and of what the open positions leave of the cluster cap and of the open-risk cap.

    A stop bounds the loss only where the market trades through it: a gap can lose more.

    Depth is the thinner of the two sides. Where the venue gives none, the volume cap alone stands for
    liquidity.

    Leverage is chosen for the size that zero costs would leave and for its fill. So it never rises because
    trading became dearer, and neither does the size.
    """
    planner = _Planner(geometry=geometry, score=score, contract=contract, rules=rules, costs=costs)
    budgets = {
        "risk": rules.risk_fraction * equity,
        "cluster_risk": rules.max_cluster_risk * equity - exposure.cluster_risk_usd,
        "open_risk": rules.max_open_risk * equity - exposure.risk_usd,
    }
    tightest = min(budgets, key=lambda name: budgets[name])
    budget = budgets[tightest]
    notional_room = rules.leverage_cap * equity - exposure.notional_usd
    free_margin = equity - exposure.margin_usd
    full = _room_reasons(rules, equity, exposure, budget, min(notional_room, free_margin))
    if full:
        return (*full, *planner.reward_reasons(0.0))

    liquidity = {"volume": rules.volume_fraction * score.volume_24h}
    depth = min(score.depth_bid_1pct, score.depth_ask_1pct)
    if not math.isnan(depth):
        liquidity["depth"] = rules.depth_fraction * depth
    # What zero costs would leave: no cost can leave more.
    bound = min(budget / geometry.stop_distance, notional_room / geometry.entry, *liquidity.values())
    if bound < planner.smallest_order:
        return (planner.too_small(bound, "the caps before costs"), *planner.reward_reasons(0.0))
    slippage = planner.entry_slippage(bound)
    if slippage > rules.max_entry_slippage:
        message = f"entry slippage may be {slippage:.2%} of price, allowed is {rules.max_entry_slippage:.2%}"
        return (Reason(ReasonCode.SLIPPAGE_TOO_HIGH, message), *planner.reward_reasons(bound))
    leverage = planner.largest_leverage(bound, slippage)
    if leverage is None:
        message = (
            f"no leverage from 1 to {rules.leverage_cap:g} keeps the liquidation price beyond the stop "
            f"{geometry.stop} by {planner.liquidation_buffer:.6g} USDT"
        )
        return (Reason(ReasonCode.LIQUIDATION_BEFORE_STOP, message), *planner.reward_reasons(bound))

    dearest = geometry.entry * (1.0 + slippage)
    caps = {
        tightest: planner.quantity_at_risk(budget),
        "leverage": notional_room / dearest,
        "margin": free_margin * leverage / (dearest * (1.0 + leverage * costs.fee_fraction(contract))),
        "margin_tier": planner.tier_quantity(leverage, slippage),
        **liquidity,
    }
    binding = min(caps, key=lambda name: caps[name])
    unrounded = caps[binding] * _BELOW
    quantity = round_down(unrounded, contract.lot_size)
    reasons = planner.reward_reasons(quantity)
    if quantity < planner.smallest_order:
        reasons = (planner.too_small(quantity, binding), *reasons)
    if reasons:
        return reasons
    entry_slippage, unit_loss = planner.entry_slippage(quantity), planner.unit_loss(quantity)
    return Sizing(
        quantity=quantity,
        unrounded_quantity=unrounded,
        binding=binding,
        leverage=leverage,
        liquidation_price=planner.liquidation(quantity, leverage, entry_slippage),
        entry_slippage=entry_slippage,
        stop_slippage=planner.stop_slippage(quantity),
        unit_loss_usd=unit_loss,
        risk_usd=quantity * unit_loss,
        reward_risk=planner.reward_risk(quantity),
    )


def _room_reasons(
    rules: SizingRules, equity: float, exposure: Exposure, budget: float, room: float
) -> tuple[Reason, ...]:
    """Reasons that the open positions alone give."""
    reasons = []
    if budget <= 0:
        message = (
            f"open positions risk {exposure.risk_usd:,.2f} USDT, {exposure.cluster_risk_usd:,.2f} in this "
            f"direction; the limits are {rules.max_open_risk:.2%} and {rules.max_cluster_risk:.2%} of equity "
            f"{equity:,.2f}"
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
class _Planner:
    """The arithmetic of one trade as a function of its quantity (coins)."""

    geometry: Geometry
    score: Score
    contract: Contract
    rules: SizingRules
    costs: CostModel

    def entry_slippage(self, quantity: float) -> float:
        market = self.costs.market_slippage(
            self.contract,
            quantity=quantity,
            volume_24h=self.score.volume_24h,
            volatility_daily=self.score.volatility_daily,
        )
        return market + self.costs.latency_slippage(self.score.volatility_daily)

    def stop_slippage(self, quantity: float) -> float:
        return self.costs.stop_slippage(
            self.contract,
            quantity=quantity,
            volume_24h=self.score.volume_24h,
            volatility_daily=self.score.volatility_daily,
            atr_bar=self.score.atr_bar,
        )

    def unit_loss(self, quantity: float) -> float:
        plan, fee = self.geometry, self.costs.fee_fraction(self.contract)
        return (
            plan.stop_distance
            + plan.entry * (fee + self.entry_slippage(quantity))
            + plan.stop * (fee + self.stop_slippage(quantity))
        )

    def reward_risk(self, quantity: float) -> float:
        plan, fee = self.geometry, self.costs.fee_fraction(self.contract)
        paid = plan.entry * (fee + self.entry_slippage(quantity)) + plan.target * fee
        return (plan.target_distance - paid) / self.unit_loss(quantity)

    def reward_reasons(self, quantity: float) -> tuple[Reason, ...]:
        ratio = self.reward_risk(quantity)
        if ratio >= self.rules.min_reward_risk:
            return ()
        message = f"reward to risk after costs is {ratio:.2f}, required is {self.rules.min_reward_risk:g}"
        return (Reason(ReasonCode.REWARD_RISK_TOO_LOW, message),)

    @property
    def smallest_order(self) -> float:
        return max(self.contract.min_quantity, self.contract.min_notional_usd / self.geometry.entry)

    def too_small(self, quantity: float, binding: str) -> Reason:
        return Reason(
            ReasonCode.BELOW_MINIMUM_SIZE,
            f"{quantity:.6g} coins, set by {binding}, are worth {quantity * self.geometry.entry:,.2f} USDT; "
            f"the smallest order is {self.contract.min_quantity:g} coins and "
            f"{self.contract.min_notional_usd:g} USDT",
        )

    def quantity_at_risk(self, budget_usd: float) -> float:
        """Return the largest quantity whose loss at the stop is within the budget, found from below."""
        low, high = 0.0, budget_usd / self.geometry.stop_distance
        for _ in range(60):
            middle = 0.5 * (low + high)
            if middle * self.unit_loss(middle) <= budget_usd:
                low = middle
            else:
                high = middle
        return low

    @property
    def liquidation_buffer(self) -> float:
        rules, plan = self.rules, self.geometry
        return max(
            rules.liquidation_buffer_stop * plan.stop_distance,
            rules.liquidation_buffer_atr * self.score.atr_1h * self.score.close,
            rules.liquidation_buffer_price * plan.entry,
        )

    def liquidation(self, quantity: float, leverage: int, slippage: float) -> float:
        plan = self.geometry
        fill = plan.entry * (1.0 + plan.side * slippage)
        return liquidation_price(self.contract, side=plan.side, entry=fill, quantity=quantity, leverage=leverage)

    def tier_quantity(self, leverage: int, slippage: float) -> float:
        """Return the quantity that stays within the known tiers, at the fill and when liquidated."""
        if self.geometry.side > 0:
            highest = self.geometry.entry * (1.0 + slippage)
        else:
            highest = self.geometry.entry * (1.0 + 1.0 / leverage)  # bankruptcy, beyond any liquidation
        return self.contract.max_notional_usd / highest * _BELOW

    def largest_leverage(self, bound: float, slippage: float) -> int | None:
        plan = self.geometry
        for leverage in range(int(self.rules.leverage_cap), 0, -1):
            quantity = min(bound, self.tier_quantity(leverage, slippage))
            if leverage > self.contract.tier(quantity * plan.entry * (1.0 + slippage)).max_leverage:
                continue
            price = self.liquidation(quantity, leverage, slippage)
            if plan.side * (plan.stop - price) >= self.liquidation_buffer:
                return leverage
        return None
