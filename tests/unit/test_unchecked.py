"""Objects made without the checks of their class."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from slackwater.unchecked import unchecked


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    level: float
    slope: float


def test_an_unchecked_maker_takes_every_field() -> None:
    """Catches an object without one of its values, and values under each other's names."""
    assert unchecked(Line, "slope", "level")((2.0, 1.0)) == Line(level=1.0, slope=2.0)
    with pytest.raises(TypeError, match="Line has 2 fields, there are 1 values"):
        unchecked(Line, "slope", "level")((2.0,))
    with pytest.raises(TypeError, match="the fields of Line are others"):
        unchecked(Line, "slope")
