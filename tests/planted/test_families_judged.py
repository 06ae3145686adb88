"""Families that a check could judge wrongly: lagged, never known, infinite later, reading an undeclared input."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import pytest

from slackwater.errors import ContractError, ParameterError
from slackwater.features.chosen_families import families_needed, with_needs
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import VOLATILITY
from slackwater.features.mutants import check_family
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import CLOSE, PREMIUM_INDEX, VOLUME
from slackwater.market.spec import FrameSpec
from slackwater.operators import family_kernel
from slackwater.report.family_report import family_report
from slackwater.simulation.feature_check_market import feature_check_market
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


@family_kernel
def _move_in_volatilities(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = math.log(row[CLOSE] / state[0]) / row[VOLATILITY] if state[0] > 0.0 and row[CLOSE] > 0.0 else np.nan
    state[0] = row[CLOSE]


@family_kernel
def _premium(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = row[PREMIUM_INDEX]


@family_kernel
def _last_of_the_row(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = row[-1]


@family_kernel
def _sometimes_written(state, constants, row, out):  # type: ignore[no-untyped-def]
    if row[VOLUME] > 0.0 and row[CLOSE] > state[0]:
        out[0] = 1.0
    state[0] = row[CLOSE]


@family_kernel
def _added_to(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] += row[CLOSE]


@family_kernel
def _changes_its_constants(state, constants, row, out):  # type: ignore[no-untyped-def]
    constants[0] += 1.0
    out[0] = constants[0]


@family_kernel
def _random(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = np.random.random()  # noqa: NPY002 -- as a user might


@family_kernel
def _allocates(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = np.zeros(3)[0]


@family_kernel
def _raises(state, constants, row, out):  # type: ignore[no-untyped-def]
    if row[CLOSE] > 0.0:
        raise ValueError("the price is positive")


@family_kernel
def _no_such_name(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = row.no_such_attribute


@family_kernel
def _text(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = "a"


def toy(advance: Any, **members: Any) -> tuple[Family, ...]:
    made = type("Judged", (Toy,), {"__module__": __name__, "advance": staticmethod(advance), **members})
    kind = dataclass(frozen=True, kw_only=True)(made)
    return families_needed(kind, HOUR)


@pytest.mark.parametrize(
    ("advance", "check", "said"),
    [
        (
            _move_in_volatilities,
            "declared_needs",
            'reads VOLATILITY of the family `volatility`.*add "volatility" to',
        ),
        (_last_of_the_row, "declared_needs", "reads SWEEP_DIRECTION of the family `sweeps`"),
        (_undeclared_premium, "declared_inputs", "does not declare, premium_index: add it to its `inputs`"),
        (_sometimes_written, "memory", "does not write its output toy at every bar, first BTCUSDT"),
        (_added_to, "memory", "does not write its output toy at every bar, first BTCUSDT"),
        (_changes_its_constants, "memory", "writes into its constants, which all symbols share, first BTCUSDT"),
        (_random, "parity", "live differs from history"),
        (_allocates, "memory", "unsafe: allocates, which kernels must not"),
        (_raises, "memory", "unsafe: raised ValueError: the price is positive, first BTCUSDT"),
        (_no_such_name, "memory", "unsafe: does not compile: Unknown attribute 'no_such_attribute'"),
        (_text, "memory", "unsafe: does not compile: "),
    ],
)
def test_a_kernel_is_accused_of_what_it_does(advance: Any, check: str, said: str) -> None:
    """Catches a kernel that passes, and an accusation in the pages and colours of the compiler."""
    report = check_family(toy(advance), tables(), cuts=4)
    assert report.broken
    why = str(report.checks[check]["toy"])
    assert re.search(said, why), why
    assert "\x1b" not in why
    assert "\n" not in why


def test_a_family_that_declares_what_it_needs_is_not_accused_of_reading_it() -> None:
    report = check_family(toy(_move_in_volatilities, needs=("volatility",), tolerance=0.05), tables(), cuts=4)
    assert report.checks["declared_needs"] == report.checks["declared_inputs"] == {}


def test_a_check_without_a_value_to_compare_does_not_hold() -> None:
    """Catches gaps in every stretch of a warm-up, a history that is too short, and a table that is not given."""
    market = tables()
    bars = market["bars"]
    market["bars"] = bars[bars["event_time"].dt.hour % 4 > 0].reset_index(drop=True)
    report = check_family(toy(_previous_return), market, cuts=4)
    assert not report.passed
    assert not report.broken
    assert "not examined: every stretch of 3 bars" in str(report.checks["warm_up"]["toy"])
    assert "NOT EXAMINED for 1 outputs" in family_report(report, family="toy", synthetic=False)
    assert "the family was NOT fully examined" in family_report(report, family="toy", synthetic=False)

    def of_premium(self: Family) -> tuple[Feature, ...]:
        return (self.odd("toy", "f", "fraction", inputs=("close", "premium_index")),)

    alone = check_family(toy(_premium, features=of_premium), {"bars": bars}, cuts=4)
    assert not alone.passed
    assert not alone.broken
    assert "no table that was given feeds premium_index: add it" in str(alone.checks["known"]["toy"])
    assert check_family(toy(_undeclared_premium, features=of_premium), {"bars": bars}, cuts=4).broken
    of_a_month = property(lambda self: timedelta(days=30))
    late = check_family(toy(_previous_return, warm_up=of_a_month), {"bars": bars}, cuts=4)
    assert "not examined: history of BTCUSDT is shorter than 720 bars" in str(late.checks["warm_up"]["toy"])
    assert not late.passed


def test_families_of_ones_own_that_need_each_other_are_checked_together() -> None:
    """Catches a need that is looked for in the library alone."""

    @dataclass(frozen=True, kw_only=True)
    class Second(Toy):
        name: ClassVar[str] = "second"
        needs: ClassVar[tuple[str, ...]] = ("toy",)

        def features(self) -> tuple[Feature, ...]:
            return (self.odd("second", "f", "log", inputs=("close",)),)

    both = families_needed([Toy, Second], HOUR)
    assert [family.name for family in both] == ["toy", "second"]
    assert [family.name for family in with_needs(both, ["toy"])] == ["toy"]
    report = check_family(with_needs(both, ["second"]), tables(), cuts=4)
    assert report.passed, report
    assert set(report.checks["memory"]) <= {"second"}
    with pytest.raises(ParameterError, match="family second needs the families \\['toy'\\] before it"):
        FeatureEngine(families_needed([Second, Toy], HOUR))


def test_a_warm_up_of_a_lifetime_is_not_simulated() -> None:
    families = toy(_previous_return, warm_up=property(lambda self: timedelta(days=20_000)))
    with pytest.raises(ParameterError, match="the warm-up of toy, 20000d, is too long for a SYNTHETIC market"):
        feature_check_market(families, HOUR)
