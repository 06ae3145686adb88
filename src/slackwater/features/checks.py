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
                   (`slackwater.features.kernel_checks`)
================== =====================================================================================

A check returns the violations by feature, and those of which it compared no value; `run_checks` runs all of them, and
`check_features` raises `ContractError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from itertools import chain
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import ContractError
from slackwater.features.engine import FeatureEngine
from slackwater.features.kernel_checks import UNSAFE, check_memory
from slackwater.features.orientation import Orientation
from slackwater.features.violations import Violation, Violations, differences, not_examined
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUT_TABLES, INPUTS, SIGNED
from slackwater.market.spec import FrameSpec
from slackwater.market.tables import TABLES, Table
from slackwater.types import Ints

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

_MORE: Final = 3
"""Rows in which a feature is compared that the choice at random misses."""

STEPPING_SHARE: Final = 0.25
"""Share of late starts after which a feature that takes steps may differ: an argmax flips at a rounding error."""


def check_parity(engine: FeatureEngine, frame: MarketFrame) -> Violations:
    """Feed every row live and compare with history, to the last bit."""
    history = engine.transform(frame)
    live = _fresh(engine)
    rows = np.array([live.update(row) for symbol, _ in frame.symbols() for row in frame.rows(symbol)])
    return differences(engine.names, rows, history[engine.names].to_numpy(), 0.0, "live differs from history", history)


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
    known = whole[names].notna().to_numpy()
    share = known.mean(axis=1)
    candidates = np.flatnonzero(share >= 0.95 * share.max()) if among is None else np.asarray(among)
    chosen = rng.choice(candidates, size=min(cuts, len(candidates)), replace=False)
    if among is None:
        chosen = np.append(chosen, _more_known(known, chosen, rng))
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
    return differences(names, np.array(full_rows), np.array(cut_rows), 1e-9, what, bars)


def _more_known(known: NDArray[np.bool_], chosen: Ints, rng: np.random.Generator) -> Ints:
    """Return rows to compare besides the chosen ones, so that every column has one in which it is known, if any."""
    more = [np.empty(0, dtype=np.int64)]
    for column in np.flatnonzero(~known[chosen].any(axis=0) & known.any(axis=0)):
        rows = np.flatnonzero(known[:, column])
        more.append(rng.choice(rows, size=min(_MORE, len(rows)), replace=False))
    return np.unique(np.concatenate(more))


def check_warm_up(engine: FeatureEngine, frame: MarketFrame, *, starts: int = 8, seed: int = 0) -> Violations:
    """Start history a warm-up before the end and compare the last rows with those of the whole history.

    Features that take steps may differ after some starts (`STEPPING_SHARE`), the others after none by more than the
    tolerance of their family, in standard deviations of the feature (or as a share of values beyond one of them).
    Triggers are left out: a cooldown begins with whatever event history saw first. So are stretches with missing
    bars: less history than the warm-up remains in them.
    """
    whole = engine.transform(frame)
    present = frame.table["close"].notna().to_numpy()
    out: Violations = {}
    rng = np.random.default_rng(seed)
    for family in engine.families:
        described = [f for f in family.features() if f.role != "trigger"]
        if not described:
            continue
        names = [f.name for f in described]
        bars = int(engine.warm_up_of(family) / engine.bar_interval)
        first, why = _late_starts(frame, present, whole[names].notna().to_numpy(), bars, starts, rng)
        if not len(first):
            out |= dict.fromkeys(names, not_examined(why))
            continue
        late = pd.concat([_from(engine, frame, at, bars + 2) for at in first], ignore_index=True)
        same = whole.iloc[np.cumsum(present)[first + bars + 1] - 1]
        late_rows, whole_rows = late[names].to_numpy(np.float64), same[names].to_numpy(np.float64)
        # A thousandth is a lot for a range of a thousandth: differences count in standard deviations.
        deviations = whole[names].replace([np.inf, -np.inf], np.nan).std().to_numpy(np.float64)
        spread = np.where(deviations > 0.0, deviations, 1.0)
        one, two = late_rows / spread, whole_rows / spread
        what = "still depends on where history began, in standard deviations"
        broken = differences(names, one, two, family.tolerance, what, late)
        for feature in described:
            if feature.name in broken and feature.steps and broken[feature.name].verdict == "broken":
                at = names.index(feature.name)
                close = np.isclose(one[:, at], two[:, at], rtol=family.tolerance, atol=family.tolerance, equal_nan=True)
                if 1.0 - close.mean() <= STEPPING_SHARE:
                    del broken[feature.name]
        out |= broken
    return out


def _late_starts(
    frame: MarketFrame,
    present: NDArray[np.bool_],
    known: NDArray[np.bool_],
    bars: int,
    starts: int,
    rng: np.random.Generator,
) -> tuple[Ints, str]:
    """Return rows of the frame at which history may start late, some per symbol; if none, why not.

    The stretch of `bars` + 2 from a start has no missing bar. `known` tells which features are known at each bar.
    """
    out, why = [np.empty(0, dtype=np.int64)], []
    missing = np.concatenate([[0], np.cumsum(~present)])
    for symbol, where in frame.symbols():
        first = np.arange(where.start + 1, where.stop - bars - 1)
        if not len(first):
            why.append(f"history of {symbol} is shorter than {bars} bars, the warm-up: give more of it")
            continue
        first = first[missing[first + bars + 2] == missing[first]]
        if not len(first):
            why.append(f"every stretch of {bars} bars of {symbol}, the warm-up, misses bars: give data with fewer gaps")
            continue
        chosen = rng.integers(len(first), size=starts)
        more = _more_known(known[np.cumsum(present)[first + bars + 1] - 1], chosen, rng)
        out.append(first[np.append(chosen, more)])
    return np.concatenate(out), "; ".join(why)


def _from(engine: FeatureEngine, frame: MarketFrame, first: int, count: int) -> pd.DataFrame:
    """Return the last row of features over some rows of a frame, as if history began there."""
    part = frame.table.iloc[first : first + count].reset_index(drop=True)
    return engine.transform(frame.with_table(part)).iloc[-1:]


def check_sign_symmetry(engine: FeatureEngine, frame: MarketFrame, *, signed: Sequence[str] = _SIGNED) -> Violations:
    """Mirror the price path and compare with the features mirrored as they declare."""
    width = _bin_width(engine)
    table = frame.table.copy()
    anchor = round(2.0 * float(np.log(table["close"].dropna().iloc[0])) / width) * width
    logs = {name: anchor - np.log(frame.table[name]) for name in INPUTS[:4]}
    table["open"], table["close"] = np.exp(logs["open"]), np.exp(logs["close"])
    table["high"], table["low"] = np.exp(logs["low"]), np.exp(logs["high"])
    table["taker_buy_volume"] = frame.table["volume"] - frame.table["taker_buy_volume"]
    table["top_trader_ratio"] = 1.0 / frame.table["top_trader_ratio"]
    for name in signed:
        table[name] = -frame.table[name]
    for one, two in _OPPOSITE:
        table[one], table[two] = frame.table[two], frame.table[one]
    mirror = frame.with_table(table)
    orientation = Orientation(engine.features)
    upright = engine.transform(frame)
    turned = orientation.apply(upright[engine.names].to_numpy(np.float64), np.full(len(upright), -1.0))[:, :-1]
    mirrored = engine.mirrored().transform(mirror)[engine.names].to_numpy(np.float64)
    return differences(engine.names, mirrored, turned, 1e-6, "does not mirror with the price as declared", upright)


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
    return differences(names, one, two, 1e-6, "depends on the unit of the price", before)


def check_saved_state(engine: FeatureEngine, frame: MarketFrame) -> Violations:
    """Stop in the middle, restore into a new engine, and compare the rest; also reset and run again."""
    whole, again, bars = [], [], []
    for symbol, _ in frame.symbols():
        rows = list(frame.rows(symbol))
        live = _fresh(engine)
        first = np.array([live.update(row) for row in rows])
        # Late enough for every feature to be warm, where there is so much history, and before the last known value.
        known = ~np.isnan(first)
        last = len(rows) - 1 - np.argmax(known[::-1], axis=0)[known.any(axis=0)]
        half = max(min([9 * len(rows) // 10, *last]), 1)
        live.reset()
        for row in rows[:half]:
            live.update(row)
        restored = _fresh(engine)
        restored.load_state(live.save_state())
        again.append(np.array([restored.update(row) for row in rows[half:]]).reshape(-1, len(engine.names)))
        whole.append(first[half:])
        bars.append(pd.DataFrame({"symbol": symbol, "event_time": [row.event_time for row in rows[half:]]}))
    rest, table = np.concatenate(again), pd.concat(bars, ignore_index=True)
    return differences(engine.names, rest, np.concatenate(whole), 0.0, "a restart changes it", table)


def check_absent_tables(
    build: Build, engine: FeatureEngine, tables: Tables, *, feeds: Mapping[str, Sequence[str]] = INPUT_TABLES
) -> Violations:
    """Leave out one table at a time: what needs it is unknown, and the rest stays to the last bit."""
    whole = build(tables)
    silent = not_examined("no value of it is known with all tables")
    out: Violations = {name: silent for name in engine.names if whole[name].isna().all()}
    for absent, inputs in feeds.items():
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
                out |= differences([feature.name], *values, 0.0, what, part)
    return out


def check_finite(engine: FeatureEngine, frame: MarketFrame) -> Violations:
    """Compare with the same values without infinities."""
    features = engine.transform(frame)
    values = features[engine.names].to_numpy(np.float64)
    return differences(engine.names, values, np.where(np.isinf(values), np.nan, values), 0.0, "is infinite", features)


def run_checks(
    engine: FeatureEngine,
    tables: Tables,
    *,
    decision_lag: timedelta = timedelta(seconds=5),
    cuts: int = 30,
    outside: Sequence[Table] = (),
) -> dict[str, Violations]:
    """Return the violations of every check, by check; of the memory check alone if a kernel is unsafe to run.

    `outside` describes the tables that are not canonical, as in `FrameSpec`; the rest is as in `check_features`.
    """
    spec = FrameSpec(bar_interval=engine.bar_interval, decision_lag=decision_lag, tables=(*TABLES, *outside))
    feeds = {table.name: table.inputs for table in spec.tables if table.inputs}

    def build(given: Tables) -> pd.DataFrame:
        return engine.transform(MarketFrame.from_tables(given, spec))

    frame = MarketFrame.from_tables(tables, spec)
    memory = check_memory(engine, frame)
    if any(UNSAFE in violation.what for violation in memory.values()):
        return {"memory": memory}  # the compiled kernel is not run
    signed = [spec.inputs[position] for position in spec.signed]
    return {
        "memory": memory,
        "finite": check_finite(engine, frame),
        "parity": check_parity(engine, frame),
        "prefix_invariance": check_prefix_invariance(build, tables, decision_lag=decision_lag, cuts=cuts),
        "warm_up": check_warm_up(engine, frame),
        "sign_symmetry": check_sign_symmetry(engine, frame, signed=signed),
        "price_scale": check_price_scale(engine, frame),
        "saved_state": check_saved_state(engine, frame),
        "absent_tables": check_absent_tables(build, engine, tables, feeds=feeds),
    }


def check_features(
    engine: FeatureEngine,
    tables: Tables,
    *,
    decision_lag: timedelta = timedelta(seconds=5),
    cuts: int = 30,
    outside: Sequence[Table] = (),
) -> None:
    """Run every check over every family.

    Parameters
    ----------
    engine, tables
        The features under test, and canonical tables with more history than ``engine.warm_up``.
    decision_lag, cuts
        As in `FrameSpec`, and the cuts of the prefix invariance.
    outside
        Tables that are not canonical, as in `FrameSpec`; give the engine their inputs too.

    Raises
    ------
    ContractError
        Naming every feature that breaks a check, how, and the first bar where it does; or of which a check compared
        no value, although a table feeds its inputs.
    """
    results = run_checks(engine, tables, decision_lag=decision_lag, cuts=cuts, outside=outside)
    fed = {name for table in (*TABLES, *outside) if table.name in tables for name in table.inputs}
    absent = {feature.name for feature in engine.features if feature.lacking(fed)}
    broken = [
        f"{name} ({check}): {why}"
        for check, found in results.items()
        for name, why in found.items()
        if why.verdict == "broken" or name not in absent
    ]
    if broken:
        raise ContractError(f"{len(broken)} violations of the feature contract:\n" + "\n".join(broken))


def _fresh(engine: FeatureEngine) -> FeatureEngine:
    """Return an engine of the same kind and families with an empty state."""
    return type(engine)(engine.families, inputs=engine.inputs)


def _bin_width(engine: FeatureEngine) -> float:
    """Return the bin width of the liquidation map: scale and sign symmetry hold on its grid (method, section 2.5)."""
    return next((f.bin_width for f in engine.families if hasattr(f, "bin_width")), 1e-3)
