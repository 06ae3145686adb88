"""Numbers as users and venues give them: floats, integers, `Decimal`, and text such as ``"43000.5"``."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import numpy as np

__all__ = ["brief", "exact_number"]

# Not what `float` reads: "1_0", "nan", blanks and the digits of other alphabets are not how a venue writes a number.
_NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,3})?")
_LONGEST: Final = 400
_BRIEF: Final = 60


def exact_number(value: Any) -> float:
    """Return a number as float, whatever the type that holds it; NaN and infinities of a float type stay.

    Raises
    ------
    ValueError
        If it is not a number, a text that could be read in two ways (``"1,234"``), or one beyond a float.

    Examples
    --------
    >>> from decimal import Decimal
    >>> exact_number("43000.5"), exact_number(Decimal("0.1")), exact_number(3)
    (43000.5, 0.1, 3.0)
    """
    if isinstance(value, float):  # numpy's float64 included
        return float(value)
    if isinstance(value, (bool, np.bool_)):
        raise ValueError(f"must be a number, was {value!r}")
    if isinstance(value, str):
        if len(value) > _LONGEST or _NUMBER.fullmatch(value) is None:
            raise ValueError(f"must be a number such as 43000.5, was {brief(value)}")
    elif isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"must be a number, was {value!r}")
    elif not isinstance(value, (int, np.integer, np.floating)):
        raise ValueError(f"must be a number, was {brief(value)}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError("must be a number that a float can hold, was larger") from None
    if number in (np.inf, -np.inf) and not isinstance(value, np.floating):
        raise ValueError(f"must be a number that a float can hold, was {brief(value)}")
    return number


def brief(value: Any) -> str:
    """Return how a value of unknown origin is shown in a message: escaped, and no longer than a line."""
    if isinstance(value, int) and abs(value) >= 10**_BRIEF:
        return "an integer of more than 60 digits"  # Python refuses to write the largest ones
    try:
        text = ascii(value[:_BRIEF] if isinstance(value, (str, bytes)) else value)
    except Exception:  # whatever a foreign `__repr__` raises
        return f"a {type(value).__name__}"
    return text if len(text) <= _BRIEF + 2 else f"{text[:_BRIEF]}…"
