"""Defects on demand: what goes wrong in real feeds, put into good tables, so that validation has something to catch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, ParameterError

__all__ = ["DEFECT_KINDS", "Defect", "inject_defects"]

HOUR: Final = timedelta(hours=1)
CONTRACTS_PER_COIN: Final = 1000.0


@dataclass(frozen=True, kw_only=True)
class Defect:
    """One defect that was put in: a line of the key.

    Parameters
    ----------
    kind
        One of `DEFECT_KINDS`.
    table, symbol
        Where it is.
    start, end
        First and last `event_time` that it touches, as they were before.
    rows
        How many rows it touches.
    note
        What was done to them.
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
    return rows.assign(open_interest=rows["open_interest"] * CONTRACTS_PER_COIN)


def _milliseconds(rows: pd.DataFrame) -> pd.DataFrame:
    """Count the stamps in milliseconds, and read them as if they were microseconds."""
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
    """What `change` does to the rows of a span, and whether whoever delivers the table sorts it again."""

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
"""What can be injected."""


def inject_defects(
    tables: Mapping[str, pd.DataFrame], seed: int, kinds: Collection[str] = DEFECT_KINDS
) -> tuple[dict[str, pd.DataFrame], list[Defect]]:
    """Put defects into good tables, and say where they are.

    Parameters
    ----------
    tables : Mapping of str to DataFrame
        Canonical tables, sorted by symbol and event time. They are not changed. Those that are absent are passed over.
    seed : int
        At least 0; says which symbols and times are hit. A defect does not depend on which others are asked for.
    kinds : collection of str
        Which of `DEFECT_KINDS`; default: all of them.

    Returns
    -------
    tables : dict of str to DataFrame
        The tables with their defects; the others are the same objects.
    key : list of Defect
        What was injected. No two defects touch the same time of a table.

    Raises
    ------
    ParameterError
        If a kind is unknown, the seed is negative, or a table is too short for its defects.
    MissingDataError
        If no table is there that could hold one.
    """
    unknown = sorted(set(kinds) - set(DEFECT_KINDS))
    if unknown:
        raise ParameterError(f"`kinds` must be among {', '.join(DEFECT_KINDS)}; one was {unknown[0]!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ParameterError(f"`seed` must be an integer of at least 0, was {seed!r}")
    # Rows keep their number among the good rows until the end, so that one defect does not move the next.
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


def _chosen_rows(table: pd.DataFrame, injection: _Injection, chance: np.random.Generator) -> pd.DataFrame:
    """Return the rows of one symbol over the injection's span, inside of the part of the time that is its own."""
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
