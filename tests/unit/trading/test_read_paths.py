"""Which price paths are kept: those used last, whatever longer ones came before them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from slackwater.trading.price_path import PricePath
from slackwater.trading.read_paths import RecentPaths


@pytest.mark.parametrize("longest", [60, 120])
def test_a_long_path_that_is_gone_takes_no_room(longest: int) -> None:
    """One that does not fit at all is the hardest: it must not keep the others from being kept for ever."""
    recent, made = RecentPaths(100), list[str]()

    def path(name: str, bars: int) -> PricePath:
        def make() -> PricePath:
            made.append(name)
            return cast("PricePath", SimpleNamespace(open_time=np.zeros(bars)))

        return recent.of(name, make)

    path("long", longest)
    for _ in range(50):
        for place in range(8):
            path(f"short {place}", 10)
    assert made == ["long", *(f"short {place}" for place in range(8))]
    assert recent.bars == 80
    assert "long" not in recent
