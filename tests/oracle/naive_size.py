"""Levels and size of one trade as anyone would write them: dicts of named numbers, and decimals for steps.

It shares with the library the fields of settings and contracts, and the two searches for a root of
`slackwater.trading.roots`.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from slackwater.market.contracts import Contract
from slackwater.trading.account import Exposure
from slackwater.trading.bracket import Bracket
from slackwater.trading.costs import CostModel
from slackwater.trading.roots import kelly_quantity, quantity_at_risk
from slackwater.trading.rules import BracketRules, SizingRules
from slackwater.trading.score import MarketContext

DAY_SECONDS = 86_400.0
BELOW = 1.0 - 1e-12


def rounded(value: float, step: float, way: str) -> float:
    exact = Decimal(repr(step))
    return float((Decimal(repr(value)) / exact).to_integral_value(way) * exact)


def naive_levels(context: MarketContext, side: int, tick: float, rules: BracketRules, days: float) -> dict[str, Any]:
    """Return stop, target and the names of their levels."""
    long = side > 0
    swept = context.swept_extreme_distance_below if long else context.swept_extreme_distance_above
    extreme = context.distance_to_low_24h if long else context.distance_to_high_24h
    pool = context.pool_distance_above if long else context.pool_distance_below
    boundary = context.distance_to_high_72h if long else context.distance_to_low_72h
    close, way = context.close, ROUND_FLOOR if long else ROUND_CEILING
    sd = min(max(context.volatility_daily, 0.005), 0.25) * math.sqrt(days)

    def before(distance: float, buffer: float = 0.0) -> float:
        return close * math.exp(side * distance) - side * buffer * (context.atr_1h * close)

    stops = {"swept": before(-swept, rules.stop_buffer_atr)} if swept >= 0.0 else {}
    if rules.stop_sd is not None:
        stops["sd"] = before(-rules.stop_sd * sd)
    stops = stops or {"range_24h": before(-extreme, rules.stop_buffer_atr)}
    levels = {"range_72h": before(boundary, rules.target_buffer_atr)}
    if pool > 0.0:
        levels["pool"] = before(pool, rules.target_buffer_atr)
    targets = {name: price for name, price in levels.items() if side * (rounded(price, tick, way) - close) > 0}
    if rules.target_sd is not None:
        targets["sd"] = before(rules.target_sd * sd)
    targets = targets or levels
    farthest = (min if long else max)(stops, key=stops.__getitem__)
    nearest = (min if long else max)(targets, key=targets.__getitem__)
    prices = {"stop": rounded(stops[farthest], tick, way), "target": rounded(targets[nearest], tick, way)}
    return {"side": side, **prices, "stop_level": farthest, "target_level": nearest}


def naive_liquidation(contract: Contract, side: int, entry: float, quantity: float, leverage: float) -> float:
    at_entry = contract.tier(quantity * entry)
    margin = entry / leverage
    if contract.liquidation == "entry_value":
        maintenance = entry * at_entry.maintenance_rate - at_entry.deduction_usd / quantity
        return max(0.0, entry - side * (margin - maintenance))
    fee = 0.0 if contract.liquidation == "notional" else contract.taker_fee
    tiers = (at_entry,) if contract.liquidation == "whole_notional_with_fee" else contract.tiers
    prices = [
        (entry - side * (margin + tier.deduction_usd / quantity)) / (1.0 - side * (tier.maintenance_rate + fee))
        for tier in tiers
    ]
    return max(0.0, *prices) if side > 0 else min(prices)


def naive_size(
    plan: Bracket,
    context: MarketContext,
    edges: tuple[float, float],
    contract: Contract,
    rules: SizingRules,
    costs: CostModel,
    equity: float,
    open_: Exposure,
    multiplier: float,
) -> dict[str, Any] | str:
    """Return the numbers of a size, or the code of the first reason against one.

    The reasons in the payoff, which do not keep a size from being found, are not looked for.
    """
    side, entry, stop, target = plan.side, plan.entry, plan.stop, plan.target
    stop_distance, target_distance = side * (entry - stop), side * (target - entry)
    # Costs, as lines in the root of the quantity.
    fee, spread = costs.multiple * contract.taker_fee, costs.multiple * contract.half_spread
    coefficient = costs.multiple * costs.event_impact_factor * costs.impact_coefficient
    impact = coefficient * context.volatility_daily / math.sqrt(context.volume_24h)
    latency = costs.multiple * context.volatility_daily * math.sqrt(costs.latency.total_seconds() / DAY_SECONDS)
    at_entry, at_stop = spread + latency, spread + costs.multiple * costs.stop_slippage_atr * context.atr_1h
    paid = entry * (fee + at_entry)
    loss = (stop_distance + paid + stop * (fee + at_stop), (entry + stop) * impact)
    gain = (target_distance - paid - target * fee, -entry * impact)

    def probability(edge: float) -> float:
        against = target_distance / stop_distance
        if edge < 0.0:
            return math.exp(edge) / (math.exp(edge) + against)
        return 1.0 / (1.0 + against * math.exp(-edge))

    def tier_quantity(leverage: int) -> float:
        highest = entry * (1.0 + rules.max_entry_slippage) if side > 0 else entry * (1.0 + 1.0 / leverage)
        return contract.tiers[-1].notional_cap_usd / highest * BELOW

    # What is left to risk and to hold.
    depth = min(context.depth_bid_1pct, context.depth_ask_1pct)
    if rules.depth_fraction is not None and math.isnan(depth):
        return "missing_depth"
    if multiplier <= 0.0:
        return "throttled"
    budgets = {
        "risk" if multiplier >= 1.0 else "throttled_risk": rules.risk_fraction * min(multiplier, 1.0) * equity,
        "cluster_risk": rules.max_cluster_risk * equity - open_.cluster_risk_usd,
        "open_risk": rules.max_open_risk * equity - open_.risk_usd,
    }
    tightest = min(budgets, key=budgets.__getitem__)
    notional_room = rules.leverage_cap * equity - open_.notional_usd
    free_margin = equity - max(open_.unrealised_usd, 0.0) - open_.margin_usd
    if budgets[tightest] <= 0.0:
        return "open_risk_exceeded"
    if min(notional_room, free_margin) <= 0.0:
        return "leverage_exceeded"
    liquidity = {"volume": rules.volume_fraction * context.volume_24h}
    if rules.depth_fraction is not None:
        liquidity["depth"] = rules.depth_fraction * depth
    untouched = min(rules.risk_fraction * equity, budgets["cluster_risk"], budgets["open_risk"])
    bound = min(untouched / stop_distance, notional_room / entry, *liquidity.values())
    if bound < max(contract.min_quantity, contract.min_notional_usd / entry):
        return "below_minimum_size"
    slippage = at_entry + impact * math.sqrt(bound)
    if slippage > rules.max_entry_slippage:
        return "slippage_too_high"

    # The largest leverage whose liquidation keeps its distance.
    buffer = max(
        rules.liquidation_buffer_stop * stop_distance,
        rules.liquidation_buffer_atr * context.atr_1h * context.close,
        rules.liquidation_buffer_price * entry,
    )
    for leverage in range(int(rules.leverage_cap), 0, -1):
        quantity = min(bound, tier_quantity(leverage))
        if leverage > contract.tier(quantity * entry * (1.0 + slippage)).max_leverage:
            continue
        price = naive_liquidation(contract, side, entry * (1.0 + side * slippage), quantity, leverage)
        if side * (stop - price) >= buffer:
            break
    else:
        return "liquidation_before_stop"

    # The smallest cap.
    low = probability(edges[1])
    dearest = entry * (1.0 + slippage)
    caps = {
        tightest: quantity_at_risk(budgets[tightest], *loss),
        "leverage": notional_room / dearest,
        "margin": free_margin * leverage / (dearest * (1.0 + leverage * fee)),
        "margin_tier": tier_quantity(leverage),
        **liquidity,
    }
    if rules.kelly_fraction is not None:
        caps["kelly"] = kelly_quantity(rules.kelly_fraction * equity, low, *loss, *gain)
    binding = min(caps, key=caps.__getitem__)
    quantity = rounded(caps[binding] * BELOW, contract.lot_size, ROUND_FLOOR)
    if quantity < max(contract.min_quantity, contract.min_notional_usd / entry):
        return "below_minimum_size"
    root = math.sqrt(quantity)
    entry_slippage, stop_slippage = at_entry + impact * root, at_stop + impact * root
    fill = entry * (1.0 + side * entry_slippage)
    unit_loss, unit_gain = loss[0] + loss[1] * root, gain[0] + gain[1] * root
    return {
        "quantity": quantity,
        "notional_usd": quantity * entry,
        "binding": binding,
        "caps": tuple(caps.items()),
        "leverage": leverage,
        "leverage_cap": rules.leverage_cap,
        "margin_usd": quantity * fill / leverage,
        "liquidation_price": naive_liquidation(contract, side, fill, quantity, leverage),
        "bankruptcy_price": fill * (1.0 - side / leverage),
        "risk_usd": quantity * unit_loss,
        "risk_fraction": quantity * unit_loss / equity,
        "reward_risk": unit_gain / unit_loss,
        "p_fair": probability(0.0),
        "p_trade": probability(edges[0]),
        "p_trade_low": low,
        "expectancy_low": low * (1.0 + unit_gain / unit_loss) - 1.0,
        "costs": {
            "fee_fraction": fee,
            "entry_slippage": entry_slippage,
            "exit_slippage": entry_slippage - latency,
            "stop_slippage": stop_slippage,
            "latency_slippage": latency,
            "cost_multiple": costs.multiple,
        },
    }
