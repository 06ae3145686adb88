"""Injection of defects of real feeds into the tables of a simulated market."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, ParameterError
from slackwater.simulation.market import TRUTH, simulate
from slackwater.simulation.request import MarketRequest
from slackwater.storage import atomic_directory, write_json, write_parquet
from slackwater.times import HOUR

__all__ = ["DEFECT_KINDS", "Defect", "inject_defects", "write_with_defects"]

_CONTRACTS_PER_COIN: Final = 1000.0


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One injected defect, an entry of the key.

    Parameters
    ----------
    kind
        One of `DEFECT_KINDS`.
    table, symbol
        Its place.
    start, end
        First and last `event_time` of the changed rows, before the change.
    rows
        Number of changed rows.
    note
        The change.
    """

    kind: str
    table: str
    symbol: str
    start: pd.Timestamp
    end: pd.Timestamp
    rows: int
    note: str

    def to_dict(self) -> dict[str, Any]:
        """Return the defect fit for JSON."""
        return asdict(self) | {"start": self.start.isoformat(), "end": self.end.isoformat()}


def _nothing(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.head(0)


def _twice(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.loc[rows.index.repeat(2)]


def _frozen(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(open_interest=rows["open_interest"].iloc[0])


def _zero(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(open_interest=0.0)


def _contracts(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(open_interest=rows["open_interest"] * _CONTRACTS_PER_COIN)


def _milliseconds(rows: pd.DataFrame) -> pd.DataFrame:
    """Return stamps in milliseconds that are read as microseconds."""
    return rows.assign(
        **{
            name: pd.to_datetime(rows[name].dt.as_unit("us").astype("int64") // 1000, unit="us", utc=True)
            for name in _times(rows)
        }
    )


def _late(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(**{name: rows[name] + HOUR for name in _times(rows)})


def _times(rows: pd.DataFrame) -> list[str]:
    return [name for name in ("open_time", "event_time", "available_time") if name in rows]


@dataclass(frozen=True)
class _Injection:
    """A change of the rows of a span, and whether the changed table is sorted again."""

    kind: str
    table: str
    span: timedelta
    change: Callable[[pd.DataFrame], pd.DataFrame]
    note: str
    sorts: bool = False


INJECTIONS: Final = (
    _Injection("gap", "fine_bars", 3 * HOUR, _nothing, "rows are missing"),
    _Injection("gap", "open_interest", 6 * HOUR, _nothing, "rows are missing"),
    _Injection("duplicate", "fine_bars", HOUR, _twice, "every row comes twice"),
    _Injection("duplicate", "liquidations", 6 * HOUR, _twice, "every row comes twice"),
    _Injection("frozen_open_interest", "open_interest", 12 * HOUR, _frozen, "the first value is repeated"),
    _Injection("zero_open_interest", "open_interest", HOUR, _zero, "published as zero"),
    _Injection("unit_switch", "open_interest", 24 * HOUR, _contracts, "contracts of a thousandth of a coin"),
    _Injection("time_unit_switch", "premium_index", 2 * HOUR, _milliseconds, "milliseconds read as microseconds"),
    _Injection("shifted_stamps", "fine_bars", 6 * HOUR, _late, "all stamps an hour late"),
    _Injection("shifted_stamps", "liquidations", 6 * HOUR, _late, "all stamps an hour late, sorted again", sorts=True),
)

DEFECT_KINDS: Final = tuple(dict.fromkeys(each.kind for each in INJECTIONS))
"""Kinds of defects that can be injected."""


def inject_defects(
    tables: Mapping[str, pd.DataFrame], seed: int, kinds: Collection[str] = DEFECT_KINDS
) -> tuple[dict[str, pd.DataFrame], list[Defect]]:
    """Return tables with injected defects, and the key of the defects.

    Parameters
    ----------
    tables : Mapping of str to DataFrame
        Canonical tables, sorted by symbol and event time. They are not changed; absent ones are skipped.
    seed : int
        At least 0; determines the symbols and times. A defect does not depend on the other kinds.
    kinds : collection of str
        Some of `DEFECT_KINDS`, by default all.

    Returns
    -------
    tables : dict of str to DataFrame
        The tables with their defects; the others are the same objects.
    key : list of Defect
        The injected defects; no two of them change the same time of a table.

    Raises
    ------
    ParameterError
        If a kind is unknown, the seed is negative, or a table is too short for its defects.
    MissingDataError
        If no table can hold one of these defects.
    """
    unknown = sorted(set(kinds) - set(DEFECT_KINDS))
    if unknown:
        raise ParameterError(f"`kinds` must be among {', '.join(DEFECT_KINDS)}; one was {unknown[0]!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ParameterError(f"`seed` must be an integer of at least 0, was {seed!r}")
    # Rows keep their number among the original rows until the end, so that one defect does not move the next.
    good = {name: tables[name].reset_index(drop=True) for name in {each.table for each in INJECTIONS} & set(tables)}
    spoilt, key = dict(good), []
    for place, injection in enumerate(INJECTIONS):
        if injection.kind not in kinds or injection.table not in good:
            continue
        rows = _chosen_rows(good[injection.table], injection, np.random.default_rng([seed, place]))
        table = spoilt[injection.table]
        before, after = table[table.index < rows.index[0]], table[table.index > rows.index[-1]]
        spoilt[injection.table] = pd.concat([before, injection.change(rows), after])
        key.append(
            Defect(
                kind=injection.kind,
                table=injection.table,
                symbol=str(rows["symbol"].iloc[0]),
                start=rows["event_time"].iloc[0],
                end=rows["event_time"].iloc[-1],
                rows=len(rows),
                note=injection.note,
            )
        )
    if not key:
        raise MissingDataError(f"no table can hold such a defect; there are {', '.join(tables) or 'none'}")
    for injection in INJECTIONS:
        if injection.kind in kinds and injection.table in spoilt and injection.sorts:
            in_order = spoilt[injection.table].sort_values(["symbol", "event_time"], kind="stable")
            spoilt[injection.table] = in_order
    hit = {defect.table for defect in key}
    return {name: spoilt[name].reset_index(drop=True) if name in hit else tables[name] for name in tables}, key


def write_with_defects(out: Path, request: MarketRequest, kinds: Collection[str] = DEFECT_KINDS) -> list[Defect]:
    """Write the tables of a simulated market with defects, its truth, and the key as ``defects.json``; return the key.

    Parameters
    ----------
    out
        Directory to write; it appears complete or not at all.
    request
        The market; its seed determines the defects, too.
    kinds
        See `inject_defects`.
    """
    made = simulate(request)
    tables, key = inject_defects(made.tables, request.seed, kinds)
    with atomic_directory(out) as directory:
        for folder, content in ((directory, tables), (directory / TRUTH, made.truth)):
            for name, table in content.items():
                write_parquet(table, folder / f"{name}.parquet")
        injected = [each.to_dict() for each in key]
        write_json({"synthetic": True, "seed": request.seed, "defects": injected}, directory / "defects.json")
    return key


def _chosen_rows(table: pd.DataFrame, injection: _Injection, chance: np.random.Generator) -> pd.DataFrame:
    """Return the rows of one symbol over the injection's span, within its own part of the time."""
    symbol = chance.choice(sorted(set(table["symbol"])))
    rows = table[table["symbol"] == symbol]
    first, last = rows["event_time"].iloc[0], rows["event_time"].iloc[-1]
    neighbours = [each for each in INJECTIONS if each.table == injection.table]
    part = (last - first) / len(neighbours)
    earliest = first + neighbours.index(injection) * part + HOUR
    latest = earliest - HOUR + part - injection.span - HOUR
    starts = rows.loc[rows["event_time"].between(earliest, latest), "event_time"]
    if starts.empty:
        needed = len(neighbours) * max(each.span + 3 * HOUR for each in neighbours)
        raise ParameterError(
            f"table {injection.table} of {symbol} is too short for its defects: {last - first}, must be over {needed}"
        )
    start = starts.iloc[int(chance.integers(len(starts)))]
    inside = (rows["event_time"] >= start) & (rows["event_time"] < start + injection.span)
    return rows[inside]
