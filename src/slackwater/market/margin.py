"""Margin tier and liquidation price of a position: formulas that Python and compiled kernels share.

Python calls them with a `Contract` and its tiers, a kernel with the first row and all rows of its table of numbers.
"""

from __future__ import annotations

import math

from numba.extending import register_jitable

__all__ = ["bankruptcy", "liquidation", "tier_at"]


@register_jitable
def tier_at(tiers, notional_usd):  # type: ignore[no-untyped-def]
    """Return the position of the tier of a notional in the tiers; -1 if it lies beyond them or is NaN."""
    for position in range(len(tiers)):
        if notional_usd <= tiers[position].notional_cap_usd:
            return position
    return -1


@register_jitable
def bankruptcy(side, entry, leverage):  # type: ignore[no-untyped-def]
    """Return the price at which the margin is gone, USDT."""
    return entry * (1.0 - side / leverage)


@register_jitable
def liquidation(contract, tiers, side, entry, quantity, leverage):  # type: ignore[no-untyped-def]
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
    price = 0.0 if side > 0 else math.inf
    for position in range(len(tiers)):
        if contract.keeps_tier_of_entry and position != at_entry:
            continue
        tier = tiers[position]
        rate = tier.maintenance_rate + contract.liquidation_fee
        of_tier = (entry - side * (margin + tier.deduction_usd / quantity)) / (1.0 - side * rate)
        price = max(price, of_tier) if side > 0 else min(price, of_tier)
    price = max(0.0, price)
    # A short grows while it loses, maybe beyond what is known; a tier that counts contracts stays.
    if not contract.keeps_tier_of_entry and tier_at(tiers, quantity * price) < 0:
        return -quantity * price
    return price
