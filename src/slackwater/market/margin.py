"""Margin tier and liquidation price of a position: formulas that Python and compiled kernels share.

Python calls them with a `Contract` and its tiers, a kernel (`slackwater.trading.size_search`) with the first row and
all rows of its table of numbers. This module does not import numba: facts of contracts are read without.
"""

from __future__ import annotations

from typing import Any

__all__ = ["bankruptcy", "liquidation", "tier_at"]


def tier_at(tiers: Any, notional_usd: float) -> int:
    """Return the position of the tier of a notional in the tiers; -1 if it lies beyond them or is NaN."""
    for position in range(len(tiers)):
        if notional_usd <= tiers[position].notional_cap_usd:
            return position
    return -1


def bankruptcy(side: int, entry: float, leverage: float) -> float:
    """Return the price at which the margin is gone, USDT."""
    return entry * (1.0 - side / leverage)


def liquidation(contract: Any, tiers: Any, side: int, entry: float, quantity: float, leverage: float) -> float:
    """Return the liquidation price, USDT; see `slackwater.market.contracts.liquidation_price`.

    If the position lies beyond the tiers, minus its notional there: a price is never negative.
    """
    margin = entry / leverage
    at_entry = tier_at(tiers, quantity * entry)
    if at_entry < 0:
        return -quantity * entry
    if contract.margin_on_entry_value:
        maintenance = entry * tiers[at_entry].maintenance_rate - tiers[at_entry].deduction_usd / quantity
        return max(0.0, entry - side * (margin - maintenance))
    keeps_tier, fee = contract.keeps_tier_of_entry, contract.liquidation_fee
    first, end = (at_entry, at_entry + 1) if keeps_tier else (0, len(tiers))
    price = 0.0
    for position in range(first, end):
        tier = tiers[position]
        of_tier = (entry - side * (margin + tier.deduction_usd / quantity)) / (
            1.0 - side * (tier.maintenance_rate + fee)
        )
        if position == first or side * (of_tier - price) > 0.0:
            price = of_tier
    price = max(0.0, price)
    # A short grows while it loses, maybe beyond what is known; a tier that counts contracts stays.
    if not keeps_tier and tier_at(tiers, quantity * price) < 0:
        return -quantity * price
    return price
