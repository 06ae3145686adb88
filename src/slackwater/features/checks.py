"""The contract that every feature must keep, as checks that run over any families.

================== =====================================================================================
check              what it refuses
================== =====================================================================================
parity             a live row that differs from the historical one, in any value or in what is unknown
prefix_invariance  a row that changes when later data arrives: a look ahead
warm_up            a value that still depends on where history began after the declared warm-up
sign_symmetry      a feature that does not mirror with the price path as it declares
price_scale        a feature that depends on the unit of the price
saved_state        a restart that changes a value
absent_tables      an absent table that becomes a number, or that disturbs features which do not need it
finite             an infinite value
memory             a kernel from outside that reads or writes beyond its row, state, constants or outputs
================== =====================================================================================

A check returns the violations by feature; `run_checks` runs all of them, and `check_features` raises `ContractError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Final

import numpy as np
import pandas as pd
from numba import njit

from slackwater.errors import ContractError
from slackwater.features.engine import FeatureEngine
from slackwater.features.orientation import Orientation
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUT_TABLES, INPUTS, SIGNED
from slackwater.market.spec import FrameSpec
from slackwater.types import Floats

__all__ = [
    "Violation",
    "check_absent_tables",
    "check_features",
    "check_finite",
    "check_memory",
    "check_parity",
    "check_prefix_invariance",
    "check_price_scale",
    "check_saved_state",
    "check_sign_symmetry",
    "check_warm_up",
    "run_checks",
]

Tables = Mapping[str, pd.DataFrame]


@dataclass(frozen=True, kw_only=True)
class Violation:
    """How a feature breaks a check: what is wrong, the first bar where it is, and the two values that differ there."""

    what: str
    symbol: str = ""
    event_time: pd.Timestamp | None = None
    found: float = math.nan
    expected: float = math.nan

    def __str__(self) -> str:
        """Return it as one sentence."""
        if self.event_time is None:
            return self.what
        return f"{self.what}, first {self.symbol} at {self.event_time}: {self.found!r} against {self.expected!r}"


Violations = dict[str, Violation]
Build = Callable[[Tables], pd.DataFrame]

_KEYS: Final = ["symbol", "event_time"]
_SIGNED: Final = tuple(INPUTS[position] for position in SIGNED)
_OPPOSITE: Final = (
    ("liquidated_long", "liquidated_short"),
    ("liquidated_long_estimate", "liquidated_short_estimate"),
    ("whale_to_exchange", "whale_from_exchange"),
    ("large_buy", "large_sell"),
    ("depth_bid_1pct", "depth_ask_1pct"),
)
_QUANTITIES: Final = ("volume", "taker_buy_volume", "open_interest", *chain.from_iterable(_OPPOSITE))

STEPPING_SHARE: Final = 0.25
"""Share of late starts after which a feature that takes steps may differ: an argmax flips at a rounding error."""


def _differences(
    names: list[str], one: Floats, two: Floats, tolerance: float, what: str, bars: pd.DataFrame
) -> Violations:
    """Compare columns; a value that is unknown on one side only is a difference. `bars` names the rows."""
    out = {}
    for j, name in enumerate(names):
        a, b = one[:, j], two[:, j]
        mask = np.isnan(a) != np.isnan(b)
        with np.errstate(invalid="ignore"):
            far = np.abs(a - b) > tolerance * np.maximum(1.0, np.maximum(np.abs(a), np.abs(b)))
        bad = mask | far
        if bad.any():
            times = bars["event_time"].where(bad)
            row = int(times.argmin()) if times.notna().any() else int(np.argmax(bad))
            out[name] = Violation(
                what=f"{what}: {int(bad.sum())} of {len(a)} rows differ",
                symbol=str(bars["symbol"].iloc[row]),
                event_time=bars["event_time"].iloc[row],
                found=float(a[row]),
                expected=float(b[row]),
            )
    return out


def check_parity(engine: FeatureEngine, frame: MarketFrame) -> Violations:
    """Feed every row live and compare with history, to the last bit."""
    history = engine.transform(frame)
    live = _fresh(engine)
    rows = np.array([live.update(row) for symbol, _ in frame.symbols() for row in frame.rows(symbol)])
    return _differences(engine.names, rows, history[engine.names].to_numpy(), 0.0, "live differs from history", history)


def check_prefix_invariance(
    build: Build,
    tables: Tables,
    *,
    decision_lag: timedelta,
    cuts: int = 30,
    seed: int = 0,
    among: Sequence[int] | None = None,
) -> Violations:
    """Cut every table at random decisions and compare the last row with that of the whole history.

    Parameters
    ----------
    build
        Turns canonical tables into a features table; whatever it does is under test, joins included.
    tables
        Canonical tables.
    decision_lag
        Rows with ``available_time`` up to the bar close plus this are kept.
    cuts, seed, among
        How many decisions to try, the seed of the choice, and the rows of the features table to choose from; by default
        those where most features are known.
    """
    whole = build(tables)
    names = [c for c in whole.columns if c not in (*_KEYS, "available_time")]
    rng = np.random.default_rng(seed)
    # The first rows are all unknown: cut where most values are known, or nothing would be compared.
    known = whole[names].notna().mean(axis=1).to_numpy()
    candidates = np.flatnonzero(known >= 0.95 * known.max()) if among is None else np.asarray(among)
    chosen = rng.choice(candidates, size=min(cuts, len(candidates)), replace=False)
    full_rows, cut_rows = [], []
    for position in chosen:
        row = whole.iloc[position]
        decision = row["event_time"] + decision_lag
        cut = {name: table[table["available_time"] <= decision] for name, table in tables.items()}
        again = build({name: table.reset_index(drop=True) for name, table in cut.items() if len(table)})
        same = again[(again["symbol"] == row["symbol"]) & (again["event_time"] == row["event_time"])]
        if len(same) != 1:
            lost = Violation(what="needs later data to exist", symbol=row["symbol"], event_time=row["event_time"])
            return dict.fromkeys(names, lost)
        full_rows.append(row[names].to_numpy(np.float64))
        cut_rows.append(same.iloc[0][names].to_numpy(np.float64))
    what, bars = "changes when later data arrives", whole.iloc[chosen]
    return _differences(names, np.array(full_rows), np.array(cut_rows), 1e-9, what, bars)


def check_warm_up(engine: FeatureEngine, frame: MarketFrame, *, starts: int = 8, seed: int = 0) -> Violations:
    """Start history a warm-up before the end and compare the last rows with those of the whole history.

    Features that take steps may differ after some starts (`STEPPING_SHARE`), the others after none by more than the
    tolerance of their family, in standard deviations of the feature (or as a share of values beyond one of them).
    Triggers are left out: a cooldown begins with whatever event history saw first. So are stretches with missing
    bars: less history than the warm-up remains in them.
    """
    whole = engine.transform(frame)
    rng = np.random.default_rng(seed)
    out: Violations = {}
    for family in engine.families:
        described = [f for f in family.features() if f.role != "event"]
        names = [f.name for f in described]
        bars = int(engine.warm_up_of(family) / engine.bar_interval)
        late_rows, whole_rows, compared = [], [], []
        for symbol, where in frame.symbols():
            length = where.stop - where.start
            latest = length - bars - 2
            if latest <= 0:
                what = f"history of {symbol} is shorter than {bars} bars, its warm-up"
                out |= dict.fromkeys(names, Violation(what=what))
                continue
            for offset in rng.integers(1, latest + 1, size=starts):
                first = where.start + int(offset)
                part = frame.table.iloc[first : first + bars + 2].reset_index(drop=True)
                if part["close"].isna().any():
                    continue
                late = engine.transform(frame.with_table(part)).iloc[-1:]
                same = whole.merge(late[_KEYS], on=_KEYS)
                if len(same):
                    late_rows.append(late[names].to_numpy(np.float64)[0])
                    whole_rows.append(same[names].to_numpy(np.float64)[0])
                    compared.append(same[_KEYS].iloc[:1])
        if not late_rows:
            continue
        # A thousandth is a lot for a range of a thousandth: differences count in standard deviations.
        deviations = whole[names].replace([np.inf, -np.inf], np.nan).std().to_numpy(np.float64)
        spread = np.where(deviations > 0.0, deviations, 1.0)
        one, two = np.array(late_rows) / spread, np.array(whole_rows) / spread
        what = "still depends on where history began, in standard deviations"
        broken = _differences(names, one, two, family.tolerance, what, pd.concat(compared, ignore_index=True))
        for feature in described:
            if feature.name in broken and feature.steps:
                at = names.index(feature.name)
                close = np.isclose(one[:, at], two[:, at], rtol=family.tolerance, atol=family.tolerance, equal_nan=True)
                if 1.0 - close.mean() <= STEPPING_SHARE:
                    del broken[feature.name]
        out |= broken
    return out


def check_sign_symmetry(engine: FeatureEngine, frame: MarketFrame) -> Violations:
    """Mirror the price path and compare with the features mirrored as they declare."""
    width = _bin_width(engine)
    table = frame.table.copy()
    anchor = round(2.0 * float(np.log(table["close"].dropna().iloc[0])) / width) * width
    logs = {name: anchor - np.log(frame.table[name]) for name in INPUTS[:4]}
    table["open"], table["close"] = np.exp(logs["open"]), np.exp(logs["close"])
    table["high"], table["low"] = np.exp(logs["low"]), np.exp(logs["high"])
    table["taker_buy_volume"] = frame.table["volume"] - frame.table["taker_buy_volume"]
    table["top_trader_ratio"] = 1.0 / frame.table["top_trader_ratio"]
    for name in _SIGNED:
        table[name] = -frame.table[name]
    for one, two in _OPPOSITE:
        table[one], table[two] = frame.table[two], frame.table[one]
    mirror = frame.with_table(table)
    orientation = Orientation(engine.features)
    upright = engine.transform(frame)
    turned = orientation.apply(upright[engine.names].to_numpy(np.float64), np.full(len(upright), -1.0))[:, :-1]
    mirrored = engine.mirrored().transform(mirror)[engine.names].to_numpy(np.float64)
    return _differences(engine.names, mirrored, turned, 1e-6, "does not mirror with the price as declared", upright)


def check_price_scale(engine: FeatureEngine, frame: MarketFrame, *, bins: int = 700) -> Violations:
    """Multiply prices and divide quantities by one factor; nothing but context in coin may move."""
    factor = float(np.exp(bins * _bin_width(engine)))
    table = frame.table.copy()
    for name in INPUTS[:4]:
        table[name] *= factor
    for name in _QUANTITIES:
        table[name] /= factor
    scaled = engine.transform(frame.with_table(table))
    names = [f.name for f in engine.features if f.unit != "coin"]
    before = engine.transform(frame)
    one, two = (features[names].to_numpy(np.float64) for features in (scaled, before))
    return _differences(names, one, two, 1e-6, "depends on the unit of the price", before)


def check_saved_state(engine: FeatureEngine, frame: MarketFrame) -> Violations:
    """Stop in the middle, restore into a new engine, and compare the rest; also reset and run again."""
    out: Violations = {}
    for symbol, _ in frame.symbols():
        rows = list(frame.rows(symbol))
        # Late enough for every feature to be warm, where there is so much history.
        half = 9 * len(rows) // 10
        live = _fresh(engine)
        first = np.array([live.update(row) for row in rows])
        live.reset()
        for row in rows[:half]:
            live.update(row)
        restored = _fresh(engine)
        restored.load_state(live.save_state())
        rest = np.array([restored.update(row) for row in rows[half:]])
        bars = pd.DataFrame({"symbol": symbol, "event_time": [row.event_time for row in rows[half:]]})
        out |= _differences(engine.names, rest, first[half:], 0.0, "a restart changes it", bars)
    return out


def check_absent_tables(build: Build, engine: FeatureEngine, tables: Tables) -> Violations:
    """Leave out one table at a time: what needs it is unknown, and the rest stays to the last bit."""
    whole = build(tables)
    out: Violations = {}
    for absent, inputs in INPUT_TABLES.items():
        if absent == "bars" or absent not in tables:
            continue
        part = build({name: table for name, table in tables.items() if name != absent})
        for feature in engine.features:
            if set(feature.refined_by) & set(inputs):
                continue
            if set(feature.inputs) & set(inputs):
                what, expected = f"has values although `{absent}` is absent", pd.Series(np.nan, index=part.index)
            else:
                what, expected = f"changes when `{absent}` is absent, although it does not need it", whole[feature.name]
            found = part[feature.name]
            if len(found) != len(expected):
                out[feature.name] = Violation(what=f"has other rows when `{absent}` is absent")
            elif not found.equals(expected):
                values = (found.to_numpy()[:, None], expected.to_numpy()[:, None])
                out |= _differences([feature.name], *values, 0.0, what, part)
    return out


def check_finite(engine: FeatureEngine, frame: MarketFrame) -> Violations:
    """Compare with the same values without infinities."""
    features = engine.transform(frame)
    values = features[engine.names].to_numpy(np.float64)
    return _differences(engine.names, values, np.where(np.isinf(values), np.nan, values), 0.0, "is infinite", features)


def check_memory(engine: FeatureEngine, frame: MarketFrame) -> Violations:
    """Run the kernels from outside once more with every index checked, over the rows of the first symbol.

    A violation that says "unsafe" is one with which the compiled kernel may end the process, or cannot run at all.
    """
    out: Violations = {}
    for family, state, constants, times, rows in engine.replay_extras(frame):
        symbol, names = str(frame.table["symbol"].iloc[0]), [f.name for f in family.features()]
        careful = njit(boundscheck=True, error_model="numpy")(getattr(family.advance, "py_func"))  # noqa: B009
        outputs = np.empty(len(names))
        for time, row in zip(times, rows, strict=True):
            if what := _misuse(careful, state, constants, row, outputs):
                out |= dict.fromkeys(names, Violation(what=f"{what}, first {symbol} at {time}"))
                break
    return out


def _misuse(careful: Callable[..., None], state: Floats, constants: Floats, row: Floats, outputs: Floats) -> str:
    """Return what a kernel does that it may not, in one row; empty if nothing."""
    before = row.copy()
    try:
        careful(state, constants, row, outputs)
    except IndexError as error:
        # Beyond the row there is another row; beyond the rest is memory of others. Which of the two it is shows where
        # there is space beyond the rest.
        try:
            careful(_with_space(state), _with_space(constants), row, _with_space(outputs))
        except IndexError:
            return f"reads beyond its row ({error})"
        return f"{_UNSAFE}: reads or writes beyond its state, constants or outputs ({error})"
    except Exception as error:
        return f"{_UNSAFE}: raises {type(error).__name__}: {error}"
    if not np.array_equal(row, before, equal_nan=True):
        return "writes into its row, which later families read"
    return f"{_UNSAFE}: is infinite; a value is a number or NaN" if np.isinf(outputs).any() else ""


def _with_space(own: Floats) -> Floats:
    out = np.zeros(own.size + _SPACE)  # pages that are not touched take no memory
    out[: own.size] = own
    return out


_UNSAFE: Final = "unsafe"
_SPACE: Final = 20_000_000


def check_declared_inputs(engine: FeatureEngine, frame: MarketFrame, names: Sequence[str]) -> Violations:
    """Compare some outputs with those over a frame without the inputs that their families do not declare.

    Prices of bars stay, and so do the inputs of all families that the engine runs: those leave intermediates.
    """
    declared = {i for f in engine.features for i in (*f.inputs, *f.refined_by)} | {"open", "high", "low", "close"}
    hidden = [name for name in frame.inputs if name not in declared]
    table = frame.table.assign(**dict.fromkeys(hidden, np.nan))
    whole, narrow = engine.transform(frame), engine.transform(frame.with_table(table))
    wanted = list(names)
    return _differences(
        wanted,
        whole[wanted].to_numpy(np.float64),
        narrow[wanted].to_numpy(np.float64),
        0.0,
        "reads an input that it does not declare",
        whole,
    )


def check_known(engine: FeatureEngine, frame: MarketFrame, names: Sequence[str]) -> Violations:
    """Return the outputs without a single number, although all inputs that they declare are there."""
    values = engine.transform(frame)
    silent = [f for f in engine.features if f.name in names and values[f.name].isna().all()]
    return {
        f.name: Violation(what=f"is never known, although its inputs {', '.join(f.inputs)} are")
        for f in silent
        if set(f.inputs) <= frame.available
    }


def run_checks(
    engine: FeatureEngine, tables: Tables, *, decision_lag: timedelta = timedelta(seconds=5), cuts: int = 30
) -> dict[str, Violations]:
    """Return the violations of every check, by check; of the memory check alone if a kernel is unsafe to run."""
    spec = FrameSpec(bar_interval=engine.bar_interval, decision_lag=decision_lag)

    def build(given: Tables) -> pd.DataFrame:
        return engine.transform(MarketFrame.from_tables(given, spec))

    frame = MarketFrame.from_tables(tables, spec)
    memory = check_memory(engine, frame)
    if any(_UNSAFE in violation.what for violation in memory.values()):
        return {"memory": memory}  # the compiled kernel is not run
    return {
        "memory": memory,
        "finite": check_finite(engine, frame),
        "parity": check_parity(engine, frame),
        "prefix_invariance": check_prefix_invariance(build, tables, decision_lag=decision_lag, cuts=cuts),
        "warm_up": check_warm_up(engine, frame),
        "sign_symmetry": check_sign_symmetry(engine, frame),
        "price_scale": check_price_scale(engine, frame),
        "saved_state": check_saved_state(engine, frame),
        "absent_tables": check_absent_tables(build, engine, tables),
    }


def check_features(
    engine: FeatureEngine, tables: Tables, *, decision_lag: timedelta = timedelta(seconds=5), cuts: int = 30
) -> None:
    """Run every check over every family.

    Parameters
    ----------
    engine, tables
        The features under test, and canonical tables with more history than ``engine.warm_up``.
    decision_lag, cuts
        As in `FrameSpec`, and the cuts of the prefix invariance.

    Raises
    ------
    ContractError
        Naming every feature that breaks a check, how, and the first bar where it does.
    """
    results = run_checks(engine, tables, decision_lag=decision_lag, cuts=cuts)
    broken = [f"{name} ({check}): {why}" for check, found in results.items() for name, why in found.items()]
    if broken:
        raise ContractError(f"{len(broken)} violations of the feature contract:\n" + "\n".join(broken))


def _fresh(engine: FeatureEngine) -> FeatureEngine:
    """Return an engine of the same kind and families with an empty state."""
    return type(engine)(engine.families)


def _bin_width(engine: FeatureEngine) -> float:
    """Return the bin width of the liquidation map: scale and sign symmetry hold on its grid (method, section 2.5)."""
    return next((f.bin_width for f in engine.families if hasattr(f, "bin_width")), 1e-3)
