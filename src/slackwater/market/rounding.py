"""Rounding to a venue's price and quantity steps, exact in decimal arithmetic, as venues state them."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import cache
from typing import Final

from numba import njit, objmode

from slackwater.errors import ParameterError

__all__ = ["as_ratio", "round_down", "round_up", "rounded"]


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
    found: float = rounded(float(value), float(step), *as_ratio(float(step)), up)
    return found


_EXACT: Final = 1e15


@njit(cache=True, nogil=True)
def rounded(value, step, part, whole, up):  # type: ignore[no-untyped-def]
    """Return the multiple of a step next to a value, for kernels; see `round_down`.

    Parameters
    ----------
    value, step, up
        Number, decimal step, and whether the multiple is not below the number rather than not above it.
    part, whole
        Result of `as_ratio` of the step.
    """
    if not (part > 0.0 and abs(value / step) * part < _EXACT):
        return _in_decimals(value, step, up)
    count = math.floor(value / step) * 1.0  # a whole number below 1e15: sums and products of those are exact
    # Decimals of up to 15 digits and their floats have the same order, and a ratio of integers is rounded once.
    while count * part / whole > value:
        count -= 1.0
    while (count + 1.0) * part / whole <= value:
        count += 1.0
    exact = count * part / whole
    return exact if exact == value or not up else (count + 1.0) * part / whole


@njit(cache=True)
def _in_decimals(value, step, up):  # type: ignore[no-untyped-def]
    with objmode(found="float64"):
        found = _decimal(value, step, up)
    return found  # noqa: RET504 -- no return from an objmode block


def _decimal(value: float, step: float, up: bool) -> float:
    """Return what `rounded` returns, of numbers that floats cannot count exactly."""
    if not (math.isfinite(value) and math.isfinite(step) and step > 0):
        raise ParameterError(f"`value` must be finite and `step` positive and finite, were {value} and {step}")
    exact_step, rounding = Decimal(repr(step)), ROUND_CEILING if up else ROUND_FLOOR
    return float((Decimal(repr(value)) / exact_step).to_integral_value(rounding) * exact_step)


@cache
def as_ratio(step: float) -> tuple[float, float]:
    """Return a decimal step as a ratio of whole numbers; (0, 1) if there is none that floats count exactly."""
    if 0.0 < step < math.inf:
        part, whole = Decimal(repr(float(step))).as_integer_ratio()
        if part < _EXACT and whole < _EXACT:
            return float(part), float(whole)
    return 0.0, 1.0
