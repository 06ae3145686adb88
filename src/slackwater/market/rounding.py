"""Rounding to a venue's price and quantity steps, exact in decimal arithmetic, as venues state them."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from slackwater.errors import ParameterError

__all__ = ["round_down", "round_up"]


def round_down(value: float, step: float) -> float:
    """Return the largest multiple of a decimal step that is not above the value.

    Raises
    ------
    ParameterError
        If the value is not finite, or the step not positive and finite.

    Examples
    --------
    >>> round_down(0.7, 0.1), round_down(0.123456, 0.001)
    (0.7, 0.123)
    """
    return _round(value, step, ROUND_FLOOR)


def round_up(value: float, step: float) -> float:
    """Return the smallest multiple of a decimal step that is not below the value; see `round_down`.

    Examples
    --------
    >>> round_up(0.71, 0.1)
    0.8
    """
    return _round(value, step, ROUND_CEILING)


def _round(value: float, step: float, rounding: str) -> float:
    if not (math.isfinite(value) and math.isfinite(step) and step > 0):
        raise ParameterError(f"`value` must be finite and `step` positive and finite, were {value} and {step}")
    exact_step = Decimal(repr(float(step)))
    return float((Decimal(repr(float(value))) / exact_step).to_integral_value(rounding) * exact_step)
