"""Engines that break one rule of the contract each, beside the engine with that bug repaired.

The bugs sit in one more step of Python behind a small real engine, so that every check runs over all of it: history,
live rows, a restart, the market upside down. Every check of the contract has a bug here that no other check sees; it
fails where a check goes blind, where it accuses a healthy column, or where it has become superfluous.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from slackwater.errors import ContractError
from slackwater.features import checks
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Family
from slackwater.features.order_flow import OrderFlowFamily
from slackwater.features.price import PriceFamily
from slackwater.features.volatility import VolatilityFamily
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import CLOSE, FUNDING_RATE, OPEN, PREMIUM_INDEX, VOLUME
from slackwater.market.spec import FrameSpec
from tests.planted.builders import INTERVAL, Tables
from tests.small_market import DECISION_LAG, small_market

Row = NDArray[np.float64]

HOUR = timedelta(hours=1)
FAMILIES: tuple[Family, ...] = (
    VolatilityFamily(
        bar_interval=INTERVAL,
        half_life=3 * HOUR,
        slow_half_life=6 * HOUR,
        atr_window=3 * HOUR,
        atr_day_window=24 * HOUR,
    ),
    PriceFamily(bar_interval=INTERVAL, return_windows=(HOUR, 4 * HOUR), range_windows=(24 * HOUR,)),
    OrderFlowFamily(bar_interval=INTERVAL, windows=(HOUR, 4 * HOUR), depth_half_life=6 * HOUR),
)
MOVE = "return_4h"


@cache
def market() -> Tables:
    """Five days of two symbols, as far as these families and bugs read it; the first misses three hours of bars."""
    tables = small_market(days=5)
    bars = tables["bars"].drop(index=range(200, 206)).reset_index(drop=True)
    return {"bars": bars} | {name: tables[name] for name in ("funding", "premium_index", "depth")}


class Extended(FeatureEngine):
    """An engine whose rows pass through one more step, which may remember one number a symbol.

    History, live rows, a saved state and the engine of the mirrored market all take the same step, as in a healthy
    engine; a subclass breaks one of them.
    """

    def __init__(self, families: tuple[Family, ...], **options: Any) -> None:
        super().__init__(families, **options)
        self.memories: dict[str, Row] = {}
        self.at = {name: i for i, name in enumerate(self.names)}
        self.features = tuple(self.describe(f) for f in self.features)

    describe: ClassVar[Callable[..., Any]] = staticmethod(lambda feature: feature)

    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        """Change a row of outputs in place."""

    def transform(self, frame: MarketFrame) -> pd.DataFrame:
        table = super().transform(frame)
        values = table[self.names].to_numpy(np.float64, copy=True)
        present = ~np.isnan(frame.values[:, CLOSE])
        memories: dict[str, Row] = {}
        for symbol, inputs, out in zip(table["symbol"], frame.values[present], values, strict=True):
            self.step(memories.setdefault(symbol, np.zeros(1)), inputs, out)
        table[self.names] = values
        return table

    def update(self, row: FrameRow) -> Row:
        out = super().update(row)
        self.step(self.memories.setdefault(row.symbol, np.zeros(1)), row.values, out)
        return out

    def reset(self) -> None:
        super().reset()
        self.memories.clear()

    def save_state(self) -> dict[str, NDArray[Any]]:
        return super().save_state() | {f"memory/{name}": memory.copy() for name, memory in self.memories.items()}

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().load_state(arrays)
        self.memories = {
            key.removeprefix("memory/"): np.array(arrays[key]) for key in arrays if key.startswith("memory/")
        }

    def mirrored(self) -> FeatureEngine:
        """No family here is lopsided."""
        return type(self)(self.families)


# -- parity --------------------------------------------------------------------------------------------------


class Smoothed(Extended):
    """The depth imbalance is the mean of this row and the last one."""

    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        now = out[self.at["depth_imbalance"]]
        out[self.at["depth_imbalance"]] = (now + memory[0]) / 2.0
        memory[0] = now


class HistoryIsSmoothed(Extended):
    def transform(self, frame: MarketFrame) -> pd.DataFrame:
        out = super().transform(frame)
        smoothed = out.groupby("symbol")["depth_imbalance"].transform(lambda x: x.rolling(2, min_periods=1).mean())
        return out.assign(depth_imbalance=smoothed)


class LiveIsSmoothed(Smoothed):
    transform = FeatureEngine.transform


class SinglePrecision(Extended):
    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        out[self.at[MOVE]] = np.float32(out[self.at[MOVE]])


class LiveIsInSinglePrecision(SinglePrecision):
    transform = FeatureEngine.transform


class LiveKnowsNoNaN(Extended):
    def update(self, row: FrameRow) -> Row:
        return np.nan_to_num(super().update(row))


class LiveOverlooksMissingBars(Extended):
    """Every row is taken for the one right after the last, so that a gap ages nothing."""

    def __init__(self, families: tuple[Family, ...], **options: Any) -> None:
        super().__init__(families, **options)
        self.last: dict[str, pd.Timestamp] = {}

    def update(self, row: FrameRow) -> Row:
        time = self.last.get(row.symbol, row.event_time - INTERVAL) + INTERVAL
        self.last[row.symbol] = time
        return super().update(replace(row, event_time=time))

    def reset(self) -> None:
        super().reset()
        self.last.clear()


class Trend(Extended):
    """An exponential mean of the returns stands in for the return over 4 h."""

    weight = 0.08
    scale = 3_000.0

    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        memory[0] += self.weight * (math.log(inputs[CLOSE] / inputs[OPEN]) - memory[0])
        out[self.at[MOVE]] = self.scale * memory[0] if not math.isnan(out[self.at[MOVE]]) else np.nan


class LiveSymbolsShareAMemory(Trend):
    def update(self, row: FrameRow) -> Row:
        out = FeatureEngine.update(self, row)
        self.step(self.memories.setdefault("", np.zeros(1)), row.values, out)
        return out


# -- warm-up -------------------------------------------------------------------------------------------------


class LongTrend(Trend):
    """Its memory is far longer than the warm-up of the family whose column it fills."""

    weight = 0.002


class LongTrendOfSmallNumbers(LongTrend):
    """The same in log prices: far below one."""

    scale = 1.0


class SinceTheBeginning(Trend):
    """The sum of all returns of history, in percent."""

    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        memory[0] += 100.0 * math.log(inputs[CLOSE] / inputs[OPEN])
        out[self.at[MOVE]] += memory[0]


class ForgetsWhatFamiliesNeed(Extended):
    """Returns are scaled by a volatility that takes longer to warm up than they do themselves."""

    def warm_up_of(self, family: Family) -> timedelta:
        return family.warm_up


# -- sign symmetry and price scale ---------------------------------------------------------------------------


class SizeOfTheMove(Extended):
    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        out[self.at[MOVE]] = abs(out[self.at[MOVE]])


class SizeOfTheMoveDeclared(SizeOfTheMove):
    describe = staticmethod(lambda f: replace(f, symmetry="even") if f.name == MOVE else f)


class FallsCountDouble(Extended):
    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        out[self.at[MOVE]] *= 2.0 if out[self.at[MOVE]] < 0.0 else 1.0


class EverythingCountsDouble(Extended):
    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        out[self.at[MOVE]] *= 2.0


class PairOfItself(Extended):
    """The distance to the high says that the market upside down has it unchanged."""

    describe = staticmethod(lambda f: replace(f, partner=f.name) if f.name == "distance_to_high_24h" else f)


class VolumeInCoin(Extended):
    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        out[self.at["volume_ratio_1h"]] = inputs[VOLUME]


class VolumeInCoinDeclared(VolumeInCoin):
    describe = staticmethod(lambda f: replace(f, unit="coin") if f.name == "volume_ratio_1h" else f)


class RangeInDollars(Extended):
    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        out[self.at["atr_1h"]] *= inputs[CLOSE]


# -- saved state ---------------------------------------------------------------------------------------------


class MemoryIsNotSaved(Trend):
    save_state = FeatureEngine.save_state


class MemoryOutlivesAReset(Trend):
    reset = FeatureEngine.reset


class StateIsSavedInSinglePrecision(Trend):
    def save_state(self) -> dict[str, NDArray[Any]]:
        for kept in (self._states, self.memories):  # rounded before the digest is taken, which knows only damage
            for symbol, values in kept.items():
                kept[symbol] = values.astype(np.float32).astype(np.float64)
        return super().save_state()


# -- absent tables, infinite values --------------------------------------------------------------------------


class AbsentBookIsBalanced(Extended):
    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        if math.isnan(out[self.at["depth_imbalance"]]):
            out[self.at["depth_imbalance"]] = 0.0


class WaitsForFunding(Extended):
    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        if math.isnan(inputs[FUNDING_RATE]):
            out[self.at[MOVE]] = np.nan


class WaitsForFundingDeclared(WaitsForFunding):
    describe = staticmethod(lambda f: replace(f, inputs=(*f.inputs, "funding_rate")) if f.name == MOVE else f)


class LeansOnThePremium(Extended):
    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        out[self.at[MOVE]] += 0.0 if math.isnan(inputs[PREMIUM_INDEX]) else 1e3 * inputs[PREMIUM_INDEX]


class LeansOnThePremiumDeclared(LeansOnThePremium):
    describe = staticmethod(lambda f: replace(f, refined_by=("premium_index",)) if f.name == MOVE else f)


class DividesByAnAge(Extended):
    """The bar that makes the high of the day has the age zero."""

    least = 0.0

    def step(self, memory: Row, inputs: Row, out: Row) -> None:
        with np.errstate(divide="ignore"):
            for name in ("range_age_high_24h", "range_age_low_24h"):
                out[self.at[name]] = 1.0 / (self.least + out[self.at[name]])


class DividesByAnAgeOfAtLeastOne(DividesByAnAge):
    least = 1.0


# -- all of them ---------------------------------------------------------------------------------------------


def as_known(tables: Tables) -> MarketFrame:
    return MarketFrame.from_tables(tables, FrameSpec(bar_interval=INTERVAL, decision_lag=DECISION_LAG))


def with_the_book_of_the_next_bar(tables: Tables) -> MarketFrame:
    """The book of the end of a bar is stamped with its start."""
    early = tables["depth"].copy() if "depth" in tables else None
    if early is not None:
        for stamp in ("event_time", "available_time"):
            early[stamp] -= INTERVAL
        tables = {**tables, "depth": early}
    return as_known(tables)


@dataclass(frozen=True, kw_only=True)
class Bug:
    """An engine (and the frame it is fed), the columns that it spoils, and the checks that must say so.

    No columns: most of them, that of the move among others.
    """

    engine: type[Extended]
    columns: frozenset[str]
    seen_by: frozenset[str]
    repaired: type[Extended] = Extended
    frame_of: Callable[[Tables], MarketFrame] = as_known


def bug(engine: type[Extended], columns: str, seen_by: str, repaired: type[Extended] = Extended, **rest: Any) -> Bug:
    return Bug(
        engine=engine,
        columns=frozenset(columns.split()),
        seen_by=frozenset(seen_by.split()),
        repaired=repaired,
        **rest,
    )


MANY = ""
PAIR = "distance_to_high_24h"
AGES = "range_age_high_24h range_age_low_24h"
BOOK = "depth_bid_1pct depth_ask_1pct depth_imbalance depth_ratio_6h depth_ratio_bid_6h depth_ratio_ask_6h"
BUGS: dict[str, Bug] = {
    "history is smoothed afterwards": bug(HistoryIsSmoothed, "depth_imbalance", "parity", Smoothed),
    "live rows are smoothed": bug(LiveIsSmoothed, "depth_imbalance", "parity", Smoothed),
    "live rows pass through single precision": bug(LiveIsInSinglePrecision, MOVE, "parity", SinglePrecision),
    "an unknown value is zero in live rows": bug(LiveKnowsNoNaN, MANY, "parity"),
    "live rows overlook missing bars": bug(LiveOverlooksMissingBars, MANY, "parity saved_state"),
    "all symbols share one memory in live rows": bug(LiveSymbolsShareAMemory, MOVE, "parity", Trend),
    "the book is stamped one bar early": bug(
        Extended, BOOK, "prefix_invariance", frame_of=with_the_book_of_the_next_bar
    ),
    "a mean remembers longer than the warm-up": bug(LongTrend, MOVE, "warm_up", Trend),
    "a sum since the beginning of history": bug(SinceTheBeginning, MOVE, "warm_up", Trend),
    "the warm-up of a needed family is forgotten": bug(ForgetsWhatFamiliesNeed, "return_1h return_4h", "warm_up"),
    "a size is declared to have a sign": bug(SizeOfTheMove, MOVE, "sign_symmetry", SizeOfTheMoveDeclared),
    "falls count double": bug(FallsCountDouble, MOVE, "sign_symmetry", EverythingCountsDouble),
    "one of a pair is said to be its own mirror image": bug(PairOfItself, PAIR, "sign_symmetry"),
    "a volume in coin is called a ratio": bug(VolumeInCoin, "volume_ratio_1h", "price_scale", VolumeInCoinDeclared),
    "a range is in dollars": bug(RangeInDollars, "atr_1h", "price_scale sign_symmetry"),
    "a memory is not saved": bug(MemoryIsNotSaved, MOVE, "saved_state", Trend),
    "a memory outlives a reset": bug(MemoryOutlivesAReset, MOVE, "saved_state", Trend),
    "the state is saved in single precision": bug(StateIsSavedInSinglePrecision, MANY, "saved_state", Trend),
    "an absent book counts as balanced": bug(AbsentBookIsBalanced, "depth_imbalance", "absent_tables"),
    "a price feature waits for the funding rate": bug(WaitsForFunding, MOVE, "absent_tables", WaitsForFundingDeclared),
    "a price feature leans on the premium": bug(LeansOnThePremium, MOVE, "absent_tables", LeansOnThePremiumDeclared),
    "a division by an age that may be zero": bug(DividesByAnAge, AGES, "finite", DividesByAnAgeOfAtLeastOne),
}


@cache
def findings(kind: type[Extended], frame_of: Callable[[Tables], MarketFrame] = as_known) -> dict[str, dict[str, str]]:
    """What each check finds in an engine."""
    engine = kind(FAMILIES)

    def build(tables: Tables) -> pd.DataFrame:
        return engine.transform(frame_of(tables))

    tables, frame = market(), frame_of(market())
    return {
        "finite": checks.check_finite(engine, frame),
        "parity": checks.check_parity(engine, frame),
        "prefix_invariance": checks.check_prefix_invariance(build, tables, decision_lag=DECISION_LAG, cuts=4),
        "warm_up": checks.check_warm_up(engine, frame),
        "sign_symmetry": checks.check_sign_symmetry(engine, frame),
        "price_scale": checks.check_price_scale(engine, frame),
        "saved_state": checks.check_saved_state(engine, frame),
        "absent_tables": checks.check_absent_tables(build, engine, tables),
    }


@pytest.mark.parametrize("name", BUGS)
def test_the_right_checks_catch(name: str) -> None:
    planted = BUGS[name]
    found = findings(planted.engine, planted.frame_of)
    assert {check for check, columns in found.items() if columns} == planted.seen_by
    for check in planted.seen_by:
        assert set(found[check]) == planted.columns if planted.columns else MOVE in found[check]


@pytest.mark.parametrize("name", BUGS)
def test_all_checks_let_the_repaired_one_pass(name: str) -> None:
    assert {check: found for check, found in findings(BUGS[name].repaired).items() if found} == {}


def test_every_check_sees_a_bug_that_no_other_one_sees() -> None:
    alone = {check for planted in BUGS.values() for check in planted.seen_by if len(planted.seen_by) == 1}
    assert alone == set(findings(Extended))


def test_warm_up_sees_that_small_numbers_remember_too_long() -> None:
    assert MOVE in findings(LongTrendOfSmallNumbers)["warm_up"]


def test_check_features_names_the_feature_and_the_check() -> None:
    """History that is smoothed afterwards: live rows cannot follow."""
    with pytest.raises(ContractError, match=r"1 violations .*\ndepth_imbalance \(parity\): live differs"):
        checks.check_features(HistoryIsSmoothed(FAMILIES), market(), cuts=2)


def test_check_features_is_content_with_a_healthy_engine() -> None:
    checks.check_features(FeatureEngine(FAMILIES), market(), cuts=2)
