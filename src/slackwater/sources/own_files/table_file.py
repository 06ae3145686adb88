"""One table: where it is, and how the columns of its file become canonical ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.schemas import known_table
from slackwater.market.tables import Table
from slackwater.sources.own_files.bar_ends import hold_lengths, whole_closes
from slackwater.sources.own_files.beside import WideFile
from slackwater.sources.own_files.clock import FEWEST, Clock, utc
from slackwater.sources.own_files.numbers import Numbers, is_plain, numbers
from slackwater.sources.own_files.raw_columns import Name, RawFile, open_raw
from slackwater.sources.own_files.screen import Screen
from slackwater.sources.own_files.source import SYMBOL_MARK, FileSource, ReadFile, Request
from slackwater.times import DAY

__all__ = ["ColumnMap", "TableFile"]

OPENINGS: Final = ("open_time", "bucket_start")
TIMES: Final = (*OPENINGS, "event_time", "available_time", "seen")
NET_FLOW: Final[Mapping[str, tuple[str, ...]]] = {"netflow_usd": ("inflow_usd", "outflow_usd")}


@dataclass(frozen=True, kw_only=True)
class ColumnMap(FileSource):
    """A source that maps the columns of a parquet or CSV file to ours.

    Parameters
    ----------
    file
        Name of the file in the directory. With ``{symbol}`` in it there is one file per symbol.
    beside
        Name of a second file whose columns stand beside those of the first, such as volumes beside prices. Empty: none.
    beside_on
        Where there is a second file: its column for each column of `file` that identifies a row.
    columns
        The file's column for each of ours whose name differs; a position from 0 where a CSV file has no header. A list
        of columns is added up.
    constants
        Value of each column that the file lacks because it never changes, such as `symbol`.
    values
        For a column of text: what each of the file's values means, such as ``{"side": {"SELL": "long"}}``.
    scale
        Factor from the file's unit to ours, such as 0.01 coin per contract.
    per
        For a column of numbers: the file's column by which it is divided, such as the price that turns USD into coin.
        Rows that repeat such a value exactly are masked: divided by a price that moves, it would not look frozen.
    utc_offset
        How far the clock of the file is ahead of UTC, for stamps that name no zone. None: they state their zone, or
        count from 1970.
    """

    beside: str = ""
    beside_on: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Name | Sequence[Name]] = field(default_factory=dict)
    constants: Mapping[str, str | float] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    scale: Mapping[str, float] = field(default_factory=dict)
    per: Mapping[str, Name] = field(default_factory=dict)
    utc_offset: timedelta | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files, the one with the rows first."""
        return (self.file, self.beside) if self.beside else (self.file,)

    def rows(
        self,
        request: Request,
        wanted: Iterable[str],
        needed: Iterable[str],
        *,
        derivable: Mapping[str, tuple[str, ...]] | None = None,
        symbol: str | None = None,
    ) -> ReadFile:
        """Return the rows of the file under our names.

        Parameters
        ----------
        request
            Directory and table.
        wanted, needed
            Our columns, and those of them that must be there.
        derivable
            Columns that need not be there because the caller makes them of others, and these others.
        symbol
            What ``{symbol}`` stands for.

        Raises
        ------
        SchemaError
            If the file cannot be read, lacks a column, or holds other things than times, numbers or known values
            where they must be; or the map names a column that is not among those wanted.
        """
        self._refuse_unknown(request.table, wanted)
        path = request.root / self.file.replace(SYMBOL_MARK, symbol or "")
        raw = self._opened(request.root, symbol)
        given = {column: f"always {value}" for column, value in self.constants.items()}
        given |= {"symbol": "in the name of the file"} if symbol else {}
        mapped = self._mapped(raw, request.table, [name for name in wanted if name not in given], needed, derivable)
        counted = {column.name for column in known_table(request.table).columns if column.kind == "number"}
        counted |= set(mapped) - set(wanted)
        as_text = [theirs for ours, theirs in mapped.items() if ours not in counted and ours not in self.values]
        read = raw.read(mapped.values(), as_text=as_text)
        table = pd.DataFrame({column: read[theirs] for column, theirs in mapped.items()}).assign(**self.constants)
        if symbol:
            table["symbol"] = symbol
        where = f"{path} (table {request.table})"
        clocks = self._times(table, mapped, where)
        self._refuse_arithmetic(set(table) - counted, where)
        made = self._numbers(table, [name for name in table if name in counted], mapped, raw, where)
        for column in set(self.values) & set(table):
            table[column] = _translated(table[column], column, self.values[column], where)
        screen = Screen(request.table)
        note = f"a number is missing or is not one{f': {made.example}' if made.example else ''}"
        table = screen.drop_unreadable(table, made.unreadable, note, where)
        table = self._combined(table, screen)
        if raw.may_be_cut() and len(table):
            last = np.arange(len(table)) == len(table) - 1
            screen.record(table, last, "open_line", "the file does not end with a line break: its last row may be cut")
        return ReadFile(
            table=table,
            origin=f"{path.name}{' (no header)' if raw.headless else ''}{f' beside {self.beside}' * bool(self.beside)}",
            columns=given | {column: self._described(column, mapped[column]) for column in mapped if column in wanted},
            unread=tuple(str(name) for name in raw.names if name not in mapped.values()),
            clock=" and ".join(dict.fromkeys(clocks)),
            findings=screen.findings,
        )

    def _opened(self, root: Path, symbol: str | None) -> RawFile | WideFile:
        first, *others = (
            open_raw(root / name.replace(SYMBOL_MARK, symbol or "")) for name in (self.file, self.beside) if name
        )
        return WideFile(first=first, other=others[0], on=self.beside_on) if others else first

    def _refuse_arithmetic(self, columns: Collection[str], where: str) -> None:
        """Refuse to add up, divide or scale columns that do not hold numbers."""
        added = {column for column in self.columns if len(self._theirs(column)) > 1}
        for what, named in {"scale": {*self.scale}, "per": {*self.per}, "columns: a sum": added}.items():
            for column in sorted(named & set(columns)):
                raise SchemaError(f"{where}: `{what}` is for numbers, and column `{column}` does not hold any")

    def _times(self, table: pd.DataFrame, mapped: Mapping[str, Name], where: str) -> list[Clock]:
        """Turn the stamps into UTC, in place, and return their clocks."""
        clocks = []
        for column in TIMES:
            if column in table:
                named = f"{where}: column `{mapped.get(column, column)}`"
                begins = self._dates_begin and column in OPENINGS
                table[column], clock = utc(table[column], named, self.utc_offset, dates_begin=begins)
                clocks.append(clock)
        if self.utc_offset and not any(clock.naive for clock in clocks):
            raise SchemaError(
                f"{where}: `utc_offset` is for stamps that name no zone, and all of these do ({', '.join(clocks)}): "
                "leave it out"
            )
        return clocks

    @property
    def _dates_begin(self) -> bool:
        """Whether bare dates of openings are moments, because the rows are known to cover whole days."""
        return False

    def _numbers(
        self,
        table: pd.DataFrame,
        counted: Iterable[str],
        mapped: Mapping[str, Name],
        raw: RawFile | WideFile,
        where: str,
    ) -> Numbers:
        """Turn the columns of numbers into numbers, in place, and return which rows cannot be read."""
        columns = {ours: table[ours] for ours in counted}
        if raw.form == "csv" and not all(map(is_plain, columns.values())):
            # One cell with a separator shows the form of all; pandas may have read others in another one.
            theirs = [mapped[ours] for ours in columns if ours in mapped]
            written = raw.read(theirs, as_text=theirs)
            columns |= {ours: written[mapped[ours]] for ours in columns if ours in mapped}
        made = numbers(columns, where)
        for column, values in made.columns.items():
            table[column] = values
        return made

    def _combined(self, table: pd.DataFrame, screen: Screen) -> pd.DataFrame:
        """Return the rows with their numbers added up, divided and scaled as the map states."""
        table, repeated = table.copy(), np.zeros(len(table), dtype=np.bool_)
        for column in [name for name in table if {name} & {*self.columns, *self.per, *self.scale}]:
            for other in self._theirs(column)[1:]:
                table[column] += table.pop(_plus(column, other))
            if column in self.per:
                divisor = table.pop(_over(column, self.per[column]))
                symbols = table["symbol"] if "symbol" in table else np.zeros(len(table))
                change, moved = (values.groupby(symbols, sort=False).diff() for values in (table[column], divisor))
                same = (change == 0.0) & (table[column] != 0.0) & (moved != 0.0)
                repeated |= same.to_numpy()
                table[column] /= divisor
            if column in self.scale:
                table[column] *= self.scale[column]
        note = f"a value repeats exactly before it is divided by {', '.join(map(str, set(self.per.values())))}: unknown"
        return screen.drop(table, repeated, "frozen_value", note)

    @property
    def _changed(self) -> set[str]:
        """Our columns that the map names, other than by a constant."""
        return {*self.columns, *self.per, *self.scale, *self.values}

    def _theirs(self, column: str) -> tuple[Name, ...]:
        """Return the file's columns that make one of ours."""
        named = self.columns.get(column, column)
        return (named,) if isinstance(named, str | int) else tuple(named)

    def _described(self, column: str, theirs: Name) -> str:
        names = [f"position {name}" if isinstance(name, int) else name for name in (theirs, *self._theirs(column)[1:])]
        added = " + ".join(names) if len(names) == 1 or column not in self.per else f"({' + '.join(names)})"
        divisor = f" / {self.per[column]}" if column in self.per else ""
        factor = f" x {self.scale[column]:g}" if column in self.scale else ""
        return f"from {added}{divisor}{factor}"

    def _refuse_unknown(self, table: str, have: Iterable[str]) -> None:
        for what in ("columns", "constants", "values", "scale", "per"):
            unknown = sorted(set(getattr(self, what)) - set(have))
            if unknown:
                raise SchemaError(
                    f"the column map of table {table} names {unknown} under `{what}`; the columns are {', '.join(have)}"
                )

    def _mapped(
        self,
        raw: RawFile | WideFile,
        table: str,
        wanted: Iterable[str],
        needed: Iterable[str],
        derivable: Mapping[str, tuple[str, ...]] | None,
    ) -> dict[str, Name]:
        """Return the file's column for each of ours that it has, and for what is added to it or divides it."""
        theirs = {column: self._theirs(column)[0] for column in wanted}
        named = {*needed, *self.columns, *self.per}
        for column in [name for name in theirs if name in named or raw.position(theirs[name]) is not None]:
            more = {_plus(column, name): name for name in self._theirs(column)[1:]}
            more |= {_over(column, self.per[column]): self.per[column]} if column in self.per else {}
            theirs |= more
            named |= set(more)
        found = {column: raw.position(name) for column, name in theirs.items()}
        lost = [column for column in theirs if found[column] is None and column in named]
        for column, others in (derivable or {}).items():
            if column in lost and column not in self._changed and all(found.get(each) is not None for each in others):
                lost.remove(column)
        if not lost:
            return {column: name for column, name in found.items() if name is not None}
        listed = ", ".join(c if c == theirs[c] else f"{theirs[c]} (for {c})" for c in lost)
        if raw.headless:
            raise SchemaError(
                f"{raw.path} (table {table}) has no header and no position for {listed}: name positions under "
                f"`columns`, such as {{event_time: 0}}; its first row is {', '.join(raw.first_row)}"
            )
        have = ", ".join(sorted(map(str, raw.names)))
        raise SchemaError(
            f"{raw.path} (table {table}): missing column {listed}; it has {have}; name it under `columns`, or its only "
            "value under `constants`"
        )


@dataclass(frozen=True, kw_only=True)
class TableFile(ColumnMap):
    """A file of a canonical table, with or without canonical names: the kind ``columns``.

    Parameters
    ----------
    available_after
        How long after `event_time` a row can be known; unused where the file has `available_time`. None: the default
        lag of the table.
    bar_length
        Where the file stamps a row at its opening alone: how much later it closes. `columns` then names `open_time`,
        or `bucket_start` for exchange flows.
    repeated_for
        For how long a file repeats each value, such as a funding rate in every hour until the next settlement: only the
        rows at whole multiples of it (UTC) are read. Where such a row is not there, its value is missing.
    known_since
        Values are as they were published from this time on. Rows before it may have been restated, and are masked.

    Notes
    -----
    Exchange flows without a net flow are the inflow less the outflow.
    """

    available_after: timedelta | None = None
    bar_length: timedelta | None = None
    repeated_for: timedelta | None = None
    known_since: datetime | None = None

    def read(self, request: Request) -> list[ReadFile]:
        """Return the rows of the file, or of the file of each symbol; see `ColumnMap.rows`."""
        if SYMBOL_MARK not in self.file:
            return [self._read(request, None)]
        return [self._read(request, symbol) for symbol in request.symbols or ()]

    def _read(self, request: Request, symbol: str | None) -> ReadFile:
        schema = known_table(request.table)
        opening, derivable = self._derivable(schema)
        wanted = dict.fromkeys([*(column.name for column in schema.columns), *derivable])
        needed = {*schema.required, *derivable} - {"available_time"}
        read = self.rows(request, wanted, needed, derivable=derivable, symbol=symbol)
        table, columns = read.table, dict(read.columns)
        where, screen = (
            f"{request.root / self.file.replace(SYMBOL_MARK, symbol or '')} (table {schema.name})",
            Screen(request.table),
        )
        screen.findings += read.findings
        table = _usable(table, schema, screen, where)
        table = self._ended(table, columns, opening, schema, screen, where)
        table = self._once(table, schema, screen, where)
        if "available_time" not in table:
            lag = request.lag if self.available_after is None else self.available_after
            table = table.assign(available_time=table["event_time"] + lag)
            columns["available_time"] = "the stamp and its lag"
        if "netflow_usd" in derivable and "netflow_usd" not in table:
            table = table.assign(netflow_usd=table["inflow_usd"] - table["outflow_usd"])
            columns["netflow_usd"] = "inflow - outflow"
        table = screen.drop_restated(table, self.known_since, str(request.root / self.file))
        table = screen.drop_not_yet(table, request.now, opening, where)
        return replace(read, table=table.reset_index(drop=True), columns=columns, findings=screen.findings)

    @property
    def _dates_begin(self) -> bool:
        return self.bar_length is not None and self.bar_length % DAY == timedelta(0)

    def _ended(
        self, table: pd.DataFrame, columns: dict[str, str], opening: str, schema: Table, screen: Screen, where: str
    ) -> pd.DataFrame:
        """Return the rows with both ends of each bar, and describe what they were made of."""
        if "event_time" not in schema.key:  # single events happen at any time, but not all of them at midnight
            _hold_moments(table, screen, where)
            return table
        if "event_time" in table:
            closes, moved = whole_closes(table["event_time"])
            table = table.assign(event_time=closes)
            columns["event_time"] += moved
        if self.bar_length is not None:
            ends = {"event_time": (opening, self.bar_length), opening: ("event_time", -self.bar_length)}
            for name, (other, length) in ends.items():
                if name not in table:
                    table = table.assign(**{name: table[other] + length})
                    columns[name] = "the other end of the bar"
        if opening not in table:
            return table
        keys = [name for name in schema.key if name != "event_time"]
        return hold_lengths(table, opening, groups=keys, declared=self.bar_length, screen=screen, where=where)

    def _once(self, table: pd.DataFrame, schema: Table, screen: Screen, where: str) -> pd.DataFrame:
        """Return the first row of each value that the file repeats.

        Raises
        ------
        SchemaError
            If a row between repeats another value than the one before it.
        """
        if self.repeated_for is None:
            return table
        told = table["event_time"].dt.floor(pd.Timedelta(self.repeated_for))
        between = table["event_time"] != told
        counted = [column.name for column in schema.columns if column.kind == "number" and column.name in table]
        keys = [name for name in schema.key if name != "event_time"]
        groups = [table[name] for name in keys]
        first = told != told.groupby(groups, sort=False).shift()
        changed = table.groupby(keys, sort=False)[counted].diff().abs().gt(0.0).any(axis=1) & ~first
        if changed.any():
            raise SchemaError(
                f"{where}: `repeated_for` is {self.repeated_for}, and a value changes between its multiples in "
                f"{int(changed.sum()):,} of {len(table):,} rows, first at {table['event_time'][changed].iloc[0]}"
            )
        note = f"the row at the multiple of {self.repeated_for} before it is not there: its value is missing"
        screen.record(table, first & between, "blank", note)
        note = "a value that was told before"
        return screen.drop(table, between, "doubled_rows", note, action="repaired")

    def _derivable(self, schema: Table) -> tuple[str, dict[str, tuple[str, ...]]]:
        """Return the column of openings, and which columns can be made of which others."""
        names = {column.name for column in schema.columns}
        opening = "bucket_start" if "bucket_start" in names else "open_time"
        derivable = {name: parts for name, parts in NET_FLOW.items() if name in names}
        if self.bar_length is not None:
            derivable |= {"event_time": (opening,), opening: ("event_time",)}
        return opening, derivable


def _plus(column: str, other: Name) -> str:
    return f"{column} + {other}"


def _over(column: str, other: Name) -> str:
    return f"{column} / {other}"


def _usable(table: pd.DataFrame, schema: Table, screen: Screen, where: str) -> pd.DataFrame:
    """Return the rows whose numbers are there and finite: a blank one is missing, an infinite one is wrong."""
    numbers_there = [column for column in schema.columns if column.kind == "number" and column.name in table]
    needed = [column.name for column in numbers_there if not column.nullable]
    blank = table[needed].isna().any(axis=1)
    table = screen.drop(table, blank, "blank", "a number is blank: the row is missing", action="recorded")
    infinite = np.isinf(table[[column.name for column in numbers_there]].to_numpy(dtype=np.float64)).any(axis=1)
    table = screen.drop_unreadable(table, infinite, "a number is not finite", where)
    for name in (column.name for column in numbers_there if column.nullable):
        screen.record(table, table[name].isna(), "blank_value", f"`{name}` is blank: unknown in these rows")
    if "event_time" not in schema.key and "quantity" in table:
        table = screen.drop(table, table["quantity"] == 0.0, "zero_quantity", "nothing was traded")
    return table


def _hold_moments(table: pd.DataFrame, screen: Screen, where: str) -> None:
    """Raise SchemaError if all events are stamped on whole hours or days, and record it if on whole minutes."""
    stamps = table["event_time"]
    if len(stamps) < FEWEST or (stamps != stamps.dt.floor("min")).any():
        return
    for unit, said in (("D", "at 00:00: dates"), ("h", "on the full hour: sums of hours")):
        if (stamps == stamps.dt.floor(unit)).all():
            raise SchemaError(f"{where}: all {len(stamps):,} events are stamped {said}, and not moments")
    note = "all stamps are whole minutes: seconds were cut off, so that events may be known too early by up to a minute"
    screen.record(table, np.ones(len(table), dtype=np.bool_), "whole_minutes", note)


def _translated(values: pd.Series, column: str, meanings: Mapping[str, str], where: str) -> pd.Series:
    unknown = sorted(set(values.astype("str")) - set(meanings))
    if unknown:
        raise SchemaError(f"{where}: column `{column}` holds {unknown[:3]}, which `values` does not explain")
    return values.astype("str").map(dict(meanings))
