"""Text that a screen may show, whoever wrote it, and the forms of numbers, times and ages."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["UNKNOWN", "age", "clock", "fixed", "plain", "price", "printable"]

UNKNOWN: Final = "–"
"""What stands where a value is not known: never zero, never an empty cell."""

_SMALLEST, _LARGEST = 1e-7, 1e10  # beyond them numbers have an exponent
_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def printable(text: str, longest: int = 1_000) -> str:
    r"""Return a text without control codes and signs that turn or hide others, on one line.

    Examples
    --------
    >>> printable("up\x1b[2J and\naway")
    'up�[2J and away'
    """
    signs = (sign if sign.isprintable() else " " if sign.isspace() else "\ufffd" for sign in text[: longest + 1])
    cleaned = "".join(signs)
    return cleaned if len(cleaned) <= longest else f"{cleaned[: longest - 1]}…"


def plain(value: Any) -> Any:
    r"""Return content in types of JSON with every text `printable`, and None for numbers that are not finite.

    Examples
    --------
    >>> plain({"price": float("nan"), "faults": ((1.5, "a\tb"),)})
    {'price': None, 'faults': [[1.5, 'a b']]}
    """
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def fixed(value: float | None, form: str) -> str:
    """Return a number in a form, such as ``"+.2f"``; what is not known or not finite is a dash.

    Examples
    --------
    >>> fixed(0.1234, "+.2f"), fixed(None, "+.2f")
    ('+0.12', '–')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return format(value, form) if abs(value) < _LARGEST else f"{value:.3g}"


def price(value: float | None) -> str:
    """Return a price with six significant digits, five below 1.

    Examples
    --------
    >>> price(67123.4), price(0.0000123456), price(3_512_345.6), price(None)
    ('67,123.4', '0.000012346', '3,512,346', '–')
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value and not _SMALLEST < abs(value) < _LARGEST:
        return f"{value:.3g}"
    digits = 5 - math.floor(math.log10(abs(value))) - (abs(value) < 1.0) if value else 2
    return f"{value:,.{max(digits, 0)}f}"


def age(seconds: float | None) -> str:
    """Return a duration in its largest whole unit.

    Examples
    --------
    >>> age(3.2), age(200), age(90_000), age(None)
    ('3 s', '3 m', '1 d', '–')
    """
    if seconds is None or not math.isfinite(seconds):
        return UNKNOWN
    if seconds >= _LARGEST:
        return f"{seconds:.3g} s"
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{max(seconds, 0.0) // size:,.0f} {unit}"


def clock(time: float | None, form: str = "%H:%M:%S") -> str:
    """Return a time in UTC, given in seconds since 1970.

    Examples
    --------
    >>> clock(86_399.5), clock(None), clock(1e300)
    ('23:59:59', '–', '–')
    """
    try:
        return UNKNOWN if time is None else datetime.fromtimestamp(time, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):  # not a time of this calendar
        return UNKNOWN
