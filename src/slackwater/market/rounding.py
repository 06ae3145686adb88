"""Rounding to a venue's price and quantity steps, exact in decimal arithmetic, as venues state them."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cache
from typing import Final

from numba import njit

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
    return _round(value, step, up=False)


def round_up(value: float, step: float) -> float:
    """Return the smallest multiple of a decimal step that is not below the value; see `round_down`.

    Examples
    --------
    >>> round_up(0.71, 0.1)
    0.8
    """
    return _round(value, step, up=True)


def _round(value: float, step: float, *, up: bool) -> float:
    if not (math.isfinite(value) and math.isfinite(step) and step > 0):
        raise ParameterError(f"`value` must be finite and `step` positive and finite, were {value} and {step}")
    part, whole = _as_ratio(float(step))
    if not (abs(value / step) * part < _EXACT and part < _EXACT and whole < _EXACT):
        exact_step, rounding = Decimal(repr(float(step))), ROUND_CEILING if up else ROUND_FLOOR
        return float((Decimal(repr(float(value))) / exact_step).to_integral_value(rounding) * exact_step)
    rounded: float = _on_grid(value, step, part, whole, up)
    return rounded


_EXACT: Final = 10**15


@njit(cache=True, nogil=True)
def _on_grid(value, step, part, whole, up):  # type: ignore[no-untyped-def]
    """Return the multiple of ``part / whole`` next to a value; the gate asks several times at each decision."""
    count = math.floor(value / step)
    # Decimals of up to 15 digits and their floats have the same order, and a ratio of integers is rounded once.
    while count * part / whole > value:
        count -= 1
    while (count + 1) * part / whole <= value:
        count += 1
    exact = count * part / whole
    return exact if exact == value or not up else (count + 1) * part / whole


@cache
def _as_ratio(step: float) -> tuple[int, int]:
    """Return a decimal step as a ratio of integers."""
    return Decimal(repr(step)).as_integer_ratio()
