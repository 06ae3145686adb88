"""Largest quantities that stay within a loss, compiled: the gate searches for two of them at every decision."""

from __future__ import annotations

import math
from typing import Final

from numba import njit

__all__ = ["kelly_quantity", "quantity_at_risk"]

_ITERATIONS: Final = 100
_NEWTON_STEPS: Final = 60


@njit(cache=True, nogil=True)
def quantity_at_risk(budget, loss, loss_per_root):  # type: ignore[no-untyped-def]
    """Return the largest quantity (coins) whose loss, ``loss + loss_per_root sqrt(quantity)`` per coin, fits a budget.

    Parameters
    ----------
    budget
        USDT, > 0.
    loss, loss_per_root
        Loss per coin, USDT, > 0 and >= 0.
    """
    root = math.sqrt(budget / loss)
    # Newton on a convex curve comes down from above and never passes the root.
    for _ in range(_NEWTON_STEPS):
        excess = root * root * (loss + loss_per_root * root) - budget
        if not excess > 0.0:
            break
        lower = root - excess / (root * (2.0 * loss + 3.0 * loss_per_root * root))
        if lower >= root:
            break
        root = lower
    # The result is shrunk by a few ulps until it satisfies the constraint.
    quantity, step = root * root, 2.0**-50
    while quantity > 0.0 and budget - quantity * (loss + loss_per_root * math.sqrt(quantity)) < 0.0:
        quantity *= 1.0 - step
        step *= 2.0
    return quantity


@njit(cache=True, nogil=True)
def _kelly_room(quantity, equity, probability, loss, loss_per_root, gain, gain_per_root):  # type: ignore[no-untyped-def]
    """Return what the Kelly stake of a quantity exceeds its loss by, USDT."""
    root = math.sqrt(quantity)
    lost, gained = loss + loss_per_root * root, gain + gain_per_root * root
    kelly = probability - (1.0 - probability) * lost / gained if gained > 0.0 else -1.0
    return equity * kelly - quantity * lost


@njit(cache=True, nogil=True)
def kelly_quantity(equity, probability, loss, loss_per_root, gain, gain_per_root):  # type: ignore[no-untyped-def]
    """Return the largest quantity (coins) whose loss at the stop is within the Kelly stake.

    Parameters
    ----------
    equity
        Share of the account that the stake is counted on, USDT, > 0.
    probability
        Probability of the target, in [0, 1]; NaN leaves nothing.
    loss, loss_per_root, gain, gain_per_root
        Lines of `slackwater.trading.payoff.Payoff` in the root of the quantity, USDT per coin.
    """
    curve = (equity, probability, loss, loss_per_root, gain, gain_per_root)
    most = _kelly_room(0.0, *curve)
    if not most > 0.0:
        return 0.0
    # Without impact the stake is `most` and the loss a straight line: the root is not above.
    above = most / loss
    if _kelly_room(above, *curve) >= 0.0:
        return above
    quantity, step = _brent(0.0, above, 1e-12 * above, 1e-14, curve), 2.0**-50
    # The result is shrunk by a few ulps until it satisfies the constraint.
    while quantity > 0.0 and _kelly_room(quantity, *curve) < 0.0:
        quantity *= 1.0 - step
        step *= 2.0
    return quantity


@njit(cache=True, nogil=True)
def _brent(before, here, absolute, relative, curve):  # type: ignore[no-untyped-def]
    """Return where `_kelly_room` is 0 between two quantities with different signs (Brent 1973).

    The steps and their roundings are those of ``scipy.optimize.brentq``.
    """
    at_before, at_here = _kelly_room(before, *curve), _kelly_room(here, *curve)
    other, at_other, last, step = before, at_before, here - before, here - before
    for _ in range(_ITERATIONS):
        # 1. The root lies between `here`, the best quantity so far, and `other`.
        if at_before != 0.0 and at_here != 0.0 and (at_before < 0.0) != (at_here < 0.0):
            other, at_other = before, at_before
            last = step = here - before
        if abs(at_other) < abs(at_here):
            before, here, other = here, other, here
            at_before, at_here, at_other = at_here, at_other, at_here
        tolerance = (absolute + relative * abs(here)) / 2.0
        half = (other - here) / 2.0
        if at_here == 0.0 or abs(half) < tolerance:
            break
        # 2. Interpolate while that shrinks the bracket fast enough, and halve it otherwise.
        trial = half
        if abs(last) > tolerance and abs(at_here) < abs(at_before):
            if before == other:
                trial = -at_here * (here - before) / (at_here - at_before)
            else:
                slope = (at_before - at_here) / (before - here)
                slope_other = (at_other - at_here) / (other - here)
                rise = at_other * slope_other - at_before * slope
                trial = -at_here * rise / (slope_other * slope * (at_other - at_before))
            if 2.0 * abs(trial) < min(abs(last), 3.0 * abs(half) - tolerance):
                last, step = step, trial
            else:
                last = step = half
        else:
            last = step = half
        # 3. Move by at least the tolerance.
        before, at_before = here, at_here
        here += step if abs(step) > tolerance else (tolerance if half > 0.0 else -tolerance)
        at_here = _kelly_room(here, *curve)
    return here
