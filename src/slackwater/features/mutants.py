"""Look-aheads planted into a family on purpose, to show that the contract would have seen them.

A mutant is the family with one defect: its inputs come one bar ahead, a later row of a table is read under the stamp
of the one before it, a table is stamped one bar too early, or an output is smoothed over a centred window. The prefix
check runs at bars where the mutant differs from the family: there the family must pass, and the mutant must not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from slackwater.features.checks import Build, Tables, check_prefix_invariance, run_checks
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Family
from slackwater.features.kernel_checks import check_declarations
from slackwater.features.violations import Violation, Violations, broken, not_examined
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.market.tables import TABLES, Table

__all__ = ["FamilyReport", "MutantResult", "check_family"]

_CUTS: Final = 6
_DEGREES: Final = (1, 2, 4, 8, 16, 32, 64)
"""Bars by which inputs are moved, until the checks see it."""

_KEYS: Final = ["symbol", "event_time", "available_time"]


@dataclass(frozen=True, kw_only=True)
class MutantResult:
    """What became of one mutant.

    Parameters
    ----------
    name
        The defect.
    caught
        Whether a check saw it; None: no output changed, the family does not read what was changed.
    column, violation
        The output that was accused first, and how.
    """

    name: str
    caught: bool | None
    column: str = ""
    violation: Violation | None = None


@dataclass(frozen=True, kw_only=True)
class FamilyReport:
    """Result of `check_family`: violations of the family under test by check, and one result per mutant."""

    checks: dict[str, Violations]
    mutants: tuple[MutantResult, ...]

    @property
    def broken(self) -> bool:
        """Whether an output breaks a check, or a mutant that changes an output stayed unseen."""
        return self._has("broken") or any(mutant.caught is False for mutant in self.mutants)

    @property
    def passed(self) -> bool:
        """Whether the family keeps the contract, every check that applies had values, and a mutant was caught."""
        return not self.broken and not self._has("not examined") and any(mutant.caught for mutant in self.mutants)

    def _has(self, verdict: str) -> bool:
        return any(why.verdict == verdict for found in self.checks.values() for why in found.values())


def check_family(
    families: tuple[Family, ...],
    tables: Tables,
    *,
    decision_lag: timedelta = timedelta(seconds=5),
    cuts: int = 30,
    outside: Sequence[Table] = (),
    tell: Callable[[str], None] = lambda text: None,
) -> FamilyReport:
    """Run the whole contract over the last of some families, then plant mutants into it.

    Parameters
    ----------
    families
        The family under test after the families that it needs.
    tables, decision_lag, cuts, outside
        As in `slackwater.features.checks.check_features`.
    tell
        Called with what is about to be done, before each part of some seconds.
    """
    spec = FrameSpec(bar_interval=families[-1].bar_interval, decision_lag=decision_lag, tables=(*TABLES, *outside))
    family, engine = families[-1], FeatureEngine(families, inputs=spec.inputs)
    names = [feature.name for feature in family.features()]
    read = _tables_read(families, tables, spec)
    tell(f"{family.name}: running the contract over {len(tables['bars']):,} bars; the first run compiles kernels")
    found = run_checks(engine, read, decision_lag=decision_lag, cuts=cuts, outside=outside)
    checks = {check: {n: why for n, why in violations.items() if n in names} for check, violations in found.items()}
    if list(found) == ["memory"]:
        return FamilyReport(checks=checks, mutants=())
    frame = MarketFrame.from_tables(tables, spec)
    checks |= {
        check: {n: why for n, why in violations.items() if n in names}
        for check, violations in check_declarations(engine, frame).items()
    }
    checks["known"] = _known(engine, family, frame)
    for check, left_out in _left_out(family, read).items():
        checks[check] = left_out | checks[check]

    honest = _builder(engine, names, spec)
    whole = honest(read)
    results = []
    for name, degrees in _mutants(engine, family, read, spec):
        tell(f"{family.name}: planting {name}")
        result = MutantResult(name=name, caught=None)
        for mutant in degrees:
            among = _differing_rows(whole, mutant(read), names)
            if not len(among):
                continue
            for column, why in _accused(honest, read, among, decision_lag).items():
                earlier = checks["prefix_invariance"].get(column)
                if earlier is None or earlier.verdict != "broken":
                    checks["prefix_invariance"][column] = why
            accused = _accused(mutant, read, among, decision_lag)
            column = min(accused, key=lambda c: (accused[c].event_time is None, accused[c].event_time), default="")
            result = MutantResult(name=name, caught=bool(accused), column=column, violation=accused.get(column))
            if accused:
                break
        results.append(result)
    return FamilyReport(checks=checks, mutants=tuple(results))


def _tables_read(families: tuple[Family, ...], tables: Tables, spec: FrameSpec) -> dict[str, pd.DataFrame]:
    """Return the bars, and the tables that feed an input of the families."""
    inputs = {name for f in families for feature in f.features() for name in (*feature.inputs, *feature.refined_by)}
    fed = {table.name: inputs & set(table.inputs) for table in spec.tables}
    return {name: table for name, table in tables.items() if name == "bars" or fed.get(name)}


def _known(engine: FeatureEngine, family: Family, frame: MarketFrame) -> Violations:
    """Return the outputs without a single number although their inputs are fed, or with one although they are not."""
    values = engine.transform(frame)
    out: Violations = {}
    for feature in family.features():
        silent = values[feature.name].isna().all()
        absent = ", ".join(sorted(feature.lacking(frame.available)))
        if silent and absent:
            out[feature.name] = not_examined(f"no table that was given feeds {absent}: add it")
        elif silent:
            what = f"is never known, although its inputs {', '.join(feature.inputs)} are"
            out[feature.name] = Violation(what=what)
        elif absent:
            out[feature.name] = Violation(what=f"has values although no table that was given feeds {absent}")
    return out


def _left_out(family: Family, read: Tables) -> dict[str, Violations]:
    """Return what checks leave out by their nature: it neither breaks nor keeps them."""

    def of(names: list[str], why: str) -> Violations:
        return dict.fromkeys(names, Violation(what=why, verdict="does not apply"))

    described = family.features()
    alone = [f.name for f in described] if len(read) == 1 else []
    return {
        "warm_up": of([f.name for f in described if f.role == "trigger"], "a cooldown begins where history does"),
        "price_scale": of([f.name for f in described if f.unit == "coin"], "an amount in coin depends on the price"),
        "absent_tables": of(alone, "the family reads the bars alone"),
    }


def _accused(build: Build, tables: Tables, among: np.ndarray, decision_lag: timedelta) -> Violations:
    """Return the outputs that the prefix check accuses at some rows."""
    found = check_prefix_invariance(build, tables, decision_lag=decision_lag, cuts=_CUTS, among=[*among])
    return broken(found)


def _builder(
    engine: FeatureEngine,
    names: list[str],
    spec: FrameSpec,
    *,
    tables: Callable[[Tables], Tables] = dict,
    frame: Callable[[MarketFrame], MarketFrame] = lambda frame: frame,
    features: Callable[[pd.DataFrame], pd.DataFrame] = lambda features: features,
) -> Build:
    """Return what turns tables into the features of a family, with a change of tables, frame or features on the way."""

    def build(given: Tables) -> pd.DataFrame:
        made = engine.transform(frame(MarketFrame.from_tables(tables(given), spec)))
        return features(made[[*_KEYS, *names]])

    return build


def _differing_rows(one: pd.DataFrame, two: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Return the rows whose values differ, those where both are known first choice."""
    a, b = one[names].to_numpy(np.float64), two[names].to_numpy(np.float64)
    differs = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    both = (differs & ~np.isnan(a) & ~np.isnan(b)).any(axis=1)
    return np.flatnonzero(both if both.any() else differs.any(axis=1))


def _mutants(
    engine: FeatureEngine, family: Family, tables: Tables, spec: FrameSpec
) -> Iterator[tuple[str, list[Build]]]:
    """Yield each defect in rising degrees: what lags by some bars looks ahead only if its inputs come earlier still."""
    build = partial(_builder, engine, [feature.name for feature in family.features()], spec)
    for table in tables:
        fed = [name for each in spec.tables if each.name == table for name in each.inputs]
        yield f"inputs of `{table}` one bar ahead", [build(frame=partial(_ahead, fed, bars)) for bars in _DEGREES]
        if table != "bars":
            yield f"a later row of `{table}` under an earlier stamp", [build(tables=partial(_later_row, table))]
            early = [build(tables=partial(_early_stamp, table, bars * spec.bar_interval)) for bars in _DEGREES]
            yield f"`{table}` stamped one bar early", early
    yield "centred window over the outputs", [build(features=_centred)]


def _ahead(fed: list[str], bars: int, frame: MarketFrame) -> MarketFrame:
    table = frame.table.copy()
    known = table["close"].notna()
    ahead = table.loc[known, ["symbol", *fed]].groupby("symbol")[fed].shift(-bars)
    # The last rows of a symbol have no later one, and keep their own values.
    table.loc[known, fed] = ahead.where(ahead.notna(), table.loc[known, fed])
    return frame.with_table(table)


def _later_row(name: str, tables: Tables) -> Tables:
    if name not in tables:
        return tables
    out = tables[name].sort_values(["symbol", "event_time"], kind="stable").copy()
    values = list(out.select_dtypes("number").columns)
    keys = [key for key in ("symbol", "asset", "side") if key in out]
    later = out.groupby(keys)[values].shift(-1)
    out[values] = later.where(later.notna(), out[values])
    return {**tables, name: out.sort_index()}


def _early_stamp(name: str, bar: timedelta, tables: Tables) -> Tables:
    if name not in tables:
        return tables
    table = tables[name]
    return {**tables, name: table.assign(available_time=table["available_time"] - bar)}


def _centred(features: pd.DataFrame) -> pd.DataFrame:
    names = [name for name in features if name not in _KEYS]
    smooth = features.groupby("symbol")[names].rolling(3, center=True, min_periods=1).mean()
    return features.assign(**smooth.droplevel(0).reindex(features.index))
