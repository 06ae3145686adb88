"""Look-aheads planted into a family on purpose, to show that the contract would have seen them.

A mutant is the family with one defect: its inputs come one bar ahead, a later row of a table is read under the stamp
of the one before it, a table is stamped one bar too early, or an output is smoothed over a centred window. The prefix
check runs at bars where the mutant differs from the family: there the family must pass, and the mutant must not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.features.checks import Tables, Violation, Violations, check_prefix_invariance, run_checks
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Family
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import INPUT_TABLES, INPUTS
from slackwater.market.spec import FrameSpec

__all__ = ["FamilyReport", "MutantResult", "check_family"]

_STAMPS: Final = ("event_time", "available_time", "open_time", "bucket_start")
_CUTS: Final = 6

Build = Callable[[Tables], pd.DataFrame]


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
    """Result of `check_family`.

    Parameters
    ----------
    checks
        Violations by check, of the family under test alone.
    mutants
        One result per mutant.
    """

    checks: dict[str, Violations]
    mutants: tuple[MutantResult, ...]

    @property
    def passed(self) -> bool:
        """Whether the family keeps the contract, and no mutant that changes an output stayed unseen."""
        return not any(self.checks.values()) and all(mutant.caught is not False for mutant in self.mutants)


def check_family(
    families: tuple[Family, ...], tables: Tables, *, decision_lag: timedelta = timedelta(seconds=5), cuts: int = 30
) -> FamilyReport:
    """Run the whole contract over the last of some families, then plant mutants into it.

    Parameters
    ----------
    families
        The family under test after the families that it needs.
    tables
        Canonical tables with more history than the warm-up.
    decision_lag
        As in `FrameSpec`.
    cuts
        Cuts of the prefix invariance.
    """
    family, engine = families[-1], FeatureEngine(families)
    names = [feature.name for feature in family.features()]
    read = _tables_read(families, tables)
    found = run_checks(engine, read, decision_lag=decision_lag, cuts=cuts)
    checks = {check: {n: why for n, why in violations.items() if n in names} for check, violations in found.items()}
    spec = FrameSpec(bar_interval=engine.bar_interval, decision_lag=decision_lag)

    def honest(given: Tables) -> pd.DataFrame:
        return _own(engine.transform(MarketFrame.from_tables(given, spec)), names)

    whole = honest(read)
    results = []
    for name, mutant in _mutants(engine, family, read, spec):
        other = mutant(read)
        among = _differing_rows(whole, other, names)
        if not len(among):
            results.append(MutantResult(name=name, caught=None))
            continue
        lag = {"decision_lag": decision_lag, "cuts": _CUTS, "among": among}
        for column, why in check_prefix_invariance(honest, read, **lag).items():  # type: ignore[arg-type]
            checks["prefix_invariance"].setdefault(column, why)
        accused = check_prefix_invariance(mutant, read, **lag)  # type: ignore[arg-type]
        column = min(accused, key=lambda c: (accused[c].event_time is None, accused[c].event_time), default="")
        results.append(MutantResult(name=name, caught=bool(accused), column=column, violation=accused.get(column)))
    return FamilyReport(checks=checks, mutants=tuple(results))


def _tables_read(families: tuple[Family, ...], tables: Tables) -> dict[str, pd.DataFrame]:
    """Return the bars, and the tables that feed an input of the families."""
    inputs = {name for f in families for feature in f.features() for name in (*feature.inputs, *feature.refined_by)}
    return {name: table for name, table in tables.items() if name == "bars" or inputs & set(INPUT_TABLES.get(name, ()))}


def _own(features: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    return features[["symbol", "event_time", "available_time", *names]]


def _differing_rows(one: pd.DataFrame, two: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Return the rows whose values differ, those where both are known first choice."""
    a, b = one[names].to_numpy(np.float64), two[names].to_numpy(np.float64)
    differs = ~((a == b) | (np.isnan(a) & np.isnan(b)))
    both = (differs & ~np.isnan(a) & ~np.isnan(b)).any(axis=1)
    return np.flatnonzero(both if both.any() else differs.any(axis=1))


def _mutants(engine: FeatureEngine, family: Family, tables: Tables, spec: FrameSpec) -> Iterator[tuple[str, Build]]:
    names = [feature.name for feature in family.features()]
    for table in tables:
        fed = [name for name in INPUT_TABLES[table] if name in INPUTS]
        yield f"inputs of `{table}` one bar ahead", _one_bar_ahead(engine, names, spec, fed)
        if table != "bars":
            yield f"a later row of `{table}` under an earlier stamp", _changed(engine, names, spec, table, _later_row)
            yield f"`{table}` stamped one bar early", _changed(engine, names, spec, table, _early_stamp)
    yield "centred window over the outputs", _centred(engine, names, spec)


def _one_bar_ahead(engine: FeatureEngine, names: list[str], spec: FrameSpec, fed: list[str]) -> Build:
    def build(given: Tables) -> pd.DataFrame:
        frame = MarketFrame.from_tables(given, spec)
        table = frame.table.copy()
        known = table["close"].notna()
        ahead = table.loc[known, ["symbol", *fed]].groupby("symbol")[fed].shift(-1)
        # The last row of a symbol has no next one, and keeps its own values.
        table.loc[known, fed] = ahead.where(ahead.notna(), table.loc[known, fed])
        return _own(
            engine.transform(MarketFrame(table, bar_interval=frame.bar_interval, available=frame.available)), names
        )

    return build


def _changed(
    engine: FeatureEngine,
    names: list[str],
    spec: FrameSpec,
    table: str,
    change: Callable[[pd.DataFrame, timedelta], pd.DataFrame],
) -> Build:
    def build(given: Tables) -> pd.DataFrame:
        changed = {**given, table: change(given[table], spec.bar_interval)} if table in given else given
        return _own(engine.transform(MarketFrame.from_tables(changed, spec)), names)

    return build


def _later_row(table: pd.DataFrame, _: timedelta) -> pd.DataFrame:
    out = table.sort_values(["symbol", "event_time"], kind="stable").copy()
    values = [name for name in out.select_dtypes("number").columns if name not in _STAMPS]
    keys = [name for name in ("symbol", "asset", "side") if name in out]
    later = out.groupby(keys)[values].shift(-1)
    out[values] = later.where(later.notna(), out[values])
    return out.sort_index()


def _early_stamp(table: pd.DataFrame, bar: timedelta) -> pd.DataFrame:
    return table.assign(available_time=table["available_time"] - bar)


def _centred(engine: FeatureEngine, names: list[str], spec: FrameSpec) -> Build:
    def build(given: Tables) -> pd.DataFrame:
        out = _own(engine.transform(MarketFrame.from_tables(given, spec)), names)
        smooth = out.groupby("symbol")[names].rolling(3, center=True, min_periods=1).mean()
        out[names] = smooth.droplevel(0).reindex(out.index)
        return out

    return build
