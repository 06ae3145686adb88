"""Size of a trade in numbers, compiled: budget and room, leverage, caps, quantity, and the odds and costs at it.

`slackwater.trading.sizing` makes a `Sizing` or the sentences of a refusal of the result.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

from numba import njit
from numba.extending import register_jitable

from slackwater.market.margin import bankruptcy, liquidation, tier_at
from slackwater.market.rounding import rounded
from slackwater.trading.bracket import stop_distance
from slackwater.trading.costs import fee_fraction, latency_slippage
from slackwater.trading.payoff import (
    Lines,
    amount,
    expectancy,
    order_slippage,
    payoff_lines,
    probability,
    reward_risk,
)
from slackwater.trading.roots import kelly_quantity, quantity_at_risk

__all__ = [
    "BEYOND_TIERS",
    "LIQUIDATED",
    "MISSING_DEPTH",
    "NO_ROOM",
    "SIZED",
    "SLIPPAGE",
    "THROTTLED",
    "TOO_SMALL",
    "SizeFound",
    "search_size",
]

for _formula in (tier_at, liquidation, bankruptcy):
    register_jitable(_formula)

SIZED: Final = 0
MISSING_DEPTH: Final = 1
THROTTLED: Final = 2
NO_ROOM: Final = 3
TOO_SMALL: Final = 4
SLIPPAGE: Final = 5
LIQUIDATED: Final = 6
BEYOND_TIERS: Final = 7
"""Outcomes: a size, or why there is none. TOO_SMALL is that of the caps before costs."""

_NO_CAPS: Final[tuple[float, ...]] = (math.nan,) * 7
_BELOW: Final = 1.0 - 1e-12  # guards against floating-point rounding pushing the size above its cap


class SizeFound(NamedTuple):
    """Result of `search_size`.

    Parameters
    ----------
    outcome
        SIZED, or the first reason against a size.
    quantity
        Coins: the size, or the quantity that was refused, at which reward, expected value and costs are.
    tightest
        Smallest budget of risk: 0 that of the trade, 1 that of its cluster, 2 that of all positions.
    binding
        Place of the cap that set the size, from `at_risk` on; 0 if there is none.
    budget, room, bound
        Risk that the open positions leave, USDT; the smaller of the notional and the margin that they leave, USDT;
        quantity before costs, coins.
    smallest_order, slippage, liquidation_buffer
        Coins; slippage of the entry of `bound`, fraction of price; distance of the liquidation beyond the stop, USDT.
    at_risk, by_leverage, by_margin, by_tier, by_volume, by_depth, by_kelly
        Caps, coins; NaN where the rule is off or there is no size.
    liquidation_price
        USDT; minus the notional of the position where that lies beyond the known tiers.

    The others are fields of `slackwater.trading.sizing.Sizing` and its costs, without meaning where there is no size.
    """

    outcome: int
    tightest: int
    binding: int
    leverage: int
    quantity: float
    budget: float
    room: float
    bound: float
    smallest_order: float
    slippage: float
    liquidation_buffer: float
    at_risk: float
    by_leverage: float
    by_margin: float
    by_tier: float
    by_volume: float
    by_depth: float
    by_kelly: float
    margin_usd: float
    liquidation_price: float
    bankruptcy_price: float
    risk_usd: float
    reward_risk: float
    p_fair: float
    p_trade: float
    p_trade_low: float
    expectancy_low: float
    fee_fraction: float
    entry_slippage: float
    exit_slippage: float
    stop_slippage: float
    latency_slippage: float


class _Trade(NamedTuple):
    """Bracket and market of a trade."""

    side: int
    entry: float
    stop: float
    target: float
    close: float
    volatility_daily: float
    atr_1h: float
    volume_24h: float
    depth: float


class _Account(NamedTuple):
    """Equity and the sums over the open positions, USDT; factor on the risk of the trade."""

    equity: float
    notional: float
    margin: float
    unrealised: float
    risk: float
    cluster_risk: float
    multiplier: float


class _Room(NamedTuple):
    """What account and market leave: risk, notional and margin in USDT, the others in coins."""

    tightest: int
    budget: float
    notional: float
    margin: float
    volume: float
    depth: float
    bound: float


# fmt: off
@njit(cache=True, nogil=True)
def search_size(  # type: ignore[no-untyped-def]
    side, entry, stop, target,
    close, volatility_daily, atr_1h, volume_24h, depth,
    edge, edge_low,
    equity, notional, margin, unrealised, risk, cluster_risk, multiplier,
    lot_size, part, whole,
    contract, rules, costs,
):
    # fmt: on
    """Return the fields of a `SizeFound`.

    Parameters
    ----------
    side, entry, stop, target
        Of the bracket.
    close, volatility_daily, atr_1h, volume_24h, depth
        Of the market context; depth on the thinner side.
    edge, edge_low
        Edge of the trade and its lower bound, log-odds.
    equity, notional, margin, unrealised, risk, cluster_risk
        Of the account and its `Exposure`, USDT.
    multiplier
        Factor on the risk fraction after losses.
    lot_size, part, whole
        Step of the quantity, and its ratio (`slackwater.market.rounding.as_ratio`).
    contract, rules, costs
        Their tables of `numbers`.
    """
    trade = _Trade(side, entry, stop, target, close, volatility_daily, atr_1h, volume_24h, depth)
    account = _Account(equity, notional, margin, unrealised, risk, cluster_risk, multiplier)
    facts, rule, cost = contract[0], rules[0], costs[0]
    lines = payoff_lines(trade, facts, cost, trade)
    low = probability(trade, edge_low)
    smallest = max(facts.min_quantity, facts.min_notional_usd / entry)
    buffer = _liquidation_buffer(trade, rule)

    # 1. Rules that need no quantity, the room that the open positions leave, and the quantity before costs.
    room = _room(trade, account, rule)
    outcome, quantity, slippage = _first_outcome(trade, account, rule, lines, room, smallest)
    # 2. Leverage, for the size that zero costs and no losses would leave: it must not rise because of either.
    leverage, price = 1, math.nan
    if outcome == SIZED:
        outcome, leverage, price = _largest_leverage(trade, contract, rule, quantity, slippage, buffer)
    # 3. The smallest cap, rounded down.
    caps, binding = _NO_CAPS, 0
    if outcome == SIZED:
        caps = _caps(trade, account, contract, rule, cost, lines, room, low, leverage, slippage)
        binding = _smallest(caps)
        quantity = rounded(caps[binding] * _BELOW, lot_size, part, whole, False)
    # 4. Odds and costs at that quantity.
    latency = latency_slippage(cost, volatility_daily)
    slippages = order_slippage(lines, latency, quantity)
    fill = entry * (1.0 + side * slippages[0])
    if outcome == SIZED and quantity > 0.0:
        price = liquidation(facts, contract, side, fill, quantity, leverage)
        if not price >= 0.0:
            outcome = BEYOND_TIERS
    return (
        *(outcome, room.tightest, binding, leverage, quantity),
        *(room.budget, min(room.notional, room.margin), room.bound, smallest, slippage, buffer),
        *caps,
        *(quantity * fill / leverage, price, bankruptcy(side, fill, leverage)),
        *(quantity * amount(lines.unit_loss, quantity), reward_risk(lines, quantity)),
        *(probability(trade, 0.0), probability(trade, edge), low, expectancy(lines, quantity, low)),
        *(fee_fraction(cost, facts), *slippages, latency),
    )


@register_jitable
def _liquidation_buffer(trade: _Trade, rule: Any) -> float:
    return max(
        rule.liquidation_buffer_stop * stop_distance(trade),
        rule.liquidation_buffer_atr * trade.atr_1h * trade.close,
        rule.liquidation_buffer_price * trade.entry,
    )


@register_jitable
def _room(trade: _Trade, account: _Account, rule: Any) -> _Room:
    own = rule.risk_fraction * min(account.multiplier, 1.0) * account.equity
    cluster = rule.max_cluster_risk * account.equity - account.cluster_risk
    total = rule.max_open_risk * account.equity - account.risk
    tightest, budget = 0, own
    if cluster < budget:
        tightest, budget = 1, cluster
    if total < budget:
        tightest, budget = 2, total
    notional = rule.leverage_cap * account.equity - account.notional
    # In isolated mode a gain at the mark stays with its position until that is closed: only cash can be posted.
    margin = account.equity - max(account.unrealised, 0.0) - account.margin
    volume, depth = rule.volume_fraction * trade.volume_24h, rule.depth_fraction * trade.depth
    untouched = min(rule.risk_fraction * account.equity, cluster, total)
    bound = min(untouched / stop_distance(trade), notional / trade.entry, volume)
    if depth < bound:  # NaN where the rule is off
        bound = depth
    return _Room(tightest, budget, notional, margin, volume, depth, bound)


@register_jitable
def _first_outcome(
    trade: _Trade, account: _Account, rule: Any, lines: Lines, room: _Room, smallest: float
) -> tuple[int, float, float]:
    """Return the outcome before leverage, the quantity that it refers to, and the entry slippage of that."""
    if math.isnan(trade.depth) and not math.isnan(rule.depth_fraction):
        return MISSING_DEPTH, 0.0, math.nan
    if account.multiplier <= 0.0:
        return THROTTLED, 0.0, math.nan
    if room.budget <= 0.0 or room.notional <= 0.0 or room.margin <= 0.0:
        return NO_ROOM, 0.0, math.nan
    if room.bound < smallest:
        return TOO_SMALL, 0.0, math.nan
    slippage = amount(lines.entry_slippage, room.bound)
    return SLIPPAGE if slippage > rule.max_entry_slippage else SIZED, room.bound, slippage


@register_jitable
def _tier_quantity(trade: _Trade, contract: Any, rule: Any, leverage: int) -> float:
    """Return the quantity that stays within the known tiers, at the worst fill and when liquidated."""
    if trade.side > 0:
        highest = trade.entry * (1.0 + rule.max_entry_slippage)
    else:
        highest = trade.entry * (1.0 + 1.0 / leverage)  # bankruptcy, beyond any liquidation
    return contract[-1].notional_cap_usd / highest * _BELOW


@register_jitable
def _largest_leverage(
    trade: _Trade, contract: Any, rule: Any, bound: float, slippage: float, buffer: float
) -> tuple[int, int, float]:
    """Return the outcome, the largest leverage whose liquidation keeps the buffer, and its liquidation price."""
    fill = trade.entry * (1.0 + trade.side * slippage)
    for leverage in range(int(rule.leverage_cap), 0, -1):
        quantity = min(bound, _tier_quantity(trade, contract, rule, leverage))
        notional = quantity * trade.entry * (1.0 + slippage)
        tier = tier_at(contract, notional)
        if tier < 0:
            return BEYOND_TIERS, leverage, -notional
        if leverage > contract[tier].max_leverage:
            continue
        price = liquidation(contract[0], contract, trade.side, fill, quantity, leverage)
        if not price >= 0.0:
            return BEYOND_TIERS, leverage, price
        if trade.side * (trade.stop - price) >= buffer:
            return SIZED, leverage, price
    return LIQUIDATED, 1, math.nan


@register_jitable
def _caps(
    trade: _Trade,
    account: _Account,
    contract: Any,
    rule: Any,
    cost: Any,
    lines: Lines,
    room: _Room,
    low: float,
    leverage: int,
    slippage: float,
) -> tuple[float, ...]:
    """Return the caps in the order of `SizeFound`."""
    dearest = trade.entry * (1.0 + slippage)
    loss, gain, kelly = lines.unit_loss, lines.unit_gain, math.nan
    if not math.isnan(rule.kelly_fraction):
        share = rule.kelly_fraction * account.equity
        kelly = kelly_quantity(share, low, loss.at_zero, loss.per_root, gain.at_zero, gain.per_root)
    return (
        quantity_at_risk(room.budget, loss.at_zero, loss.per_root),
        room.notional / dearest,
        room.margin * leverage / (dearest * (1.0 + leverage * fee_fraction(cost, contract[0]))),
        _tier_quantity(trade, contract, rule, leverage),
        room.volume,
        room.depth,
        kelly,
    )


@register_jitable
def _smallest(caps: tuple[float, ...]) -> int:
    """Return the place of the smallest cap, the first of equal ones."""
    binding = 0
    for place in range(1, len(caps)):
        if caps[place] < caps[binding]:
            binding = place
    return binding
