"""Families that a check could judge wrongly: lagged, never known, infinite later, reading an undeclared input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np
import pytest

from slackwater.errors import ContractError
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Family, Feature
from slackwater.features.mutants import check_family
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import CLOSE, PREMIUM_INDEX
from slackwater.market.spec import FrameSpec
from slackwater.operators import family_kernel
from slackwater.types import Floats
from tests.small_market import DECISION_LAG, small_market

HOUR = timedelta(hours=1)


@family_kernel
def _previous_return(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = state[1] if state[2] > 1.0 and row[CLOSE] > 0.0 else np.nan
    state[1] = math.log(row[CLOSE] / state[0]) if state[2] > 0.0 else np.nan
    state[0] = row[CLOSE]
    state[2] += 1.0


@family_kernel
def _undeclared_premium(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = row[PREMIUM_INDEX] if not math.isnan(row[PREMIUM_INDEX]) else 0.0


@family_kernel
def _unknown(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = np.nan


@family_kernel
def _infinite_at_the_third_bar(state, constants, row, out):  # type: ignore[no-untyped-def]
    state[0] += 1.0
    out[0] = 1.0 / (state[0] - 3.0)


@dataclass(frozen=True, kw_only=True)
class Toy(Family):
    """One output of the close."""

    name: ClassVar[str] = "toy"
    needs: ClassVar[tuple[str, ...]] = ()
    advance = staticmethod(_previous_return)

    def features(self) -> tuple[Feature, ...]:
        return (self.odd("toy", "f", "log", inputs=("close",)),)

    def constants(self) -> Floats:
        return np.zeros(1)

    def state_size(self) -> int:
        return 3

    @property
    def warm_up(self) -> timedelta:
        return 3 * HOUR


@dataclass(frozen=True, kw_only=True)
class Undeclared(Toy):
    advance = staticmethod(_undeclared_premium)


@dataclass(frozen=True, kw_only=True)
class Unknown(Toy):
    advance = staticmethod(_unknown)


@dataclass(frozen=True, kw_only=True)
class InfiniteLater(Toy):
    advance = staticmethod(_infinite_at_the_third_bar)


def tables() -> dict[str, object]:
    market = small_market(interval=HOUR, days=20)
    return {name: market[name] for name in ("bars", "premium_index")}


def test_a_lagged_feature_is_not_accused() -> None:
    """Catches a mutant that is not a look-ahead in a feature of the bar before."""
    assert check_family((Toy(bar_interval=HOUR),), tables(), cuts=4).passed


def test_an_input_that_is_read_but_not_declared_is_refused() -> None:
    """Catches checks over the declared tables alone."""
    assert not check_family((Undeclared(bar_interval=HOUR),), tables(), cuts=4).passed


def test_a_family_that_is_never_known_does_not_pass() -> None:
    """Catches nothing but NaN, which keeps every other check."""
    assert not check_family((Unknown(bar_interval=HOUR),), tables(), cuts=4).passed


def test_an_infinite_live_value_leaves_no_half_advanced_state() -> None:
    """Catches families that are one bar apart after an error."""
    engine = FeatureEngine([InfiniteLater(bar_interval=HOUR)])
    frame = MarketFrame.from_tables(tables(), FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))
    first, second, third = list(frame.rows("BTCUSDT"))[:3]
    engine.update(first)
    engine.update(second)
    with pytest.raises(ContractError, match="infinite"):
        engine.update(third)
    assert list(engine.save_state()) == ["fingerprint"]


@family_kernel
def _beyond_its_state(state, constants, row, out):  # type: ignore[no-untyped-def]
    state[3_000_000] = 1.0
    out[0] = row[CLOSE]


@dataclass(frozen=True, kw_only=True)
class BeyondState(Toy):
    advance = staticmethod(_beyond_its_state)


def test_a_kernel_that_could_end_the_process_is_named_and_not_run() -> None:
    """Catches a segmentation fault in place of a report."""
    report = check_family((BeyondState(bar_interval=HOUR),), tables(), cuts=4)
    assert not report.passed
    assert list(report.checks) == ["memory"]
    assert "beyond its state" in report.checks["memory"]["toy"].what
