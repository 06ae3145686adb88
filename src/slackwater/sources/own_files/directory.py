"""A directory of files, read as canonical tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, OrderError, ParameterError, SchemaError
from slackwater.market.quality.ledger import Finding, findings_from
from slackwater.market.quality.order import in_order
from slackwater.market.schemas import SCHEMAS, known_table, validate
from slackwater.market.tables import LAGS
from slackwater.sources.own_files.coverage import ends_apart
from slackwater.sources.own_files.several_files import joined
from slackwater.sources.own_files.source import SYMBOL_MARK, ReadFile, Request, Source, checked_path
from slackwater.sources.own_files.table_file import TableFile
from slackwater.sources.own_files.wrapping import form_of, table_name
from slackwater.storage import read_json

__all__ = ["Reading", "read_directory"]

FETCHED: Final = "fetch.json"
LISTED: Final = 5
"""Symbols that a message lists."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Tables that were read from a directory.

    Parameters
    ----------
    tables
        Canonical tables; every row is one of a file, or computed from them.
    findings
        What had to be done about their rows, and what was found when the directory was filled.
    files
        What was understood of the files of each table.
    unread
        Files and directories of the directory that nothing reads, in order; a directory ends in ``/``.
    archived
        Whether `slackwater fetch` filled the directory from the venue's public archive.
    """

    tables: dict[str, pd.DataFrame]
    findings: list[Finding] = field(default_factory=list)
    files: dict[str, list[ReadFile]] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    archived: bool = False


def read_directory(
    directory: str | Path,
    tables: Mapping[str, Source | Sequence[Source]] | None = None,
    *,
    lags: Mapping[str, timedelta] | None = None,
    symbols: Sequence[str] | None = None,
    sha256: Mapping[str, str] | None = None,
    now: datetime | None = None,
    spacing: Mapping[str, timedelta] | None = None,
) -> Reading:
    """Read canonical tables from a directory of files.

    Parameters
    ----------
    directory
        Path of the directory.
    tables
        Canonical name to source, or to several sources whose rows are joined (`sources_of` makes them of the options
        in ``params.yaml``). None: every file whose name is that of a canonical table. Tables that are not named are
        absent, and so are the features that need them.
    lags
        Time from the stamp of a row of each table to its availability, where neither the file nor `tables` gives it.
        Tables that are not named have the lag of `slackwater.market.tables.LAGS`.
    symbols
        The symbols wanted; every one must have bars. None: all that the bars hold. A table of other symbols alone is
        refused.
    sha256
        Expected digests by name of file; files that are not named are not checked.
    now
        Time after which no row can be known; None: the time of the clock.
    spacing
        Interval of `bars` and of `fine_bars` that the data set is used with. None: any.

    Returns
    -------
    Reading
        Rows as the files hold them, put in order where they were not, equal copies taken out; with findings.

    Raises
    ------
    MissingDataError
        If the directory or a file is not there, or a symbol has no bars.
    SchemaError
        If a file cannot be read as what it should be, lacks a column, or holds values that its schema refuses; with
        the rows.
    OrderError
        If rows contradict each other.
    DataError
        If a digest differs, or a file leads out of the directory.
    ParameterError
        If the name of a file contains ``{symbol}`` and `symbols` is None, a digest is for no file that is read, a
        table is computed from one that is not named, or bars have another interval than `spacing`.
    """
    root = _existing(directory)
    given = canonical_files(root) if tables is None else tables
    sources = {name: [*each] if isinstance(each, Sequence) else [each] for name, each in given.items()}
    _check(root, sources, symbols, dict(sha256 or {}))
    origins = {
        name: ", ".join(str(root / s.files[0]) for s in each if s.files) or name for name, each in sources.items()
    }
    files, whole, repeated, wanted = _read(root, sources, LAGS | dict(lags or {}), symbols, now)
    for name, rows in whole.items():
        nameless = np.flatnonzero(rows["symbol"].isna())
        if len(nameless):
            raise SchemaError(
                f"{origins[name]} (table {name}) lacks a symbol in {len(nameless)} rows, first in row {nameless[0]}"
            )
    out: dict[str, pd.DataFrame] = {}
    before = _found_before(root)
    findings = [*before, *repeated]
    used = {need for each in sources.values() for source in each for need in source.needs}
    for name in sources:
        rows, origin = whole[name], origins[name]
        read = [finding for each in files[name] for finding in each.findings]
        # A fetch has told of the blank values that it wrote.
        findings += [
            each for each in read if each.rule != "blank_value" or not _told(before, name, each.symbol, each.rule)
        ]
        findings += _other_symbols(rows, name, [*wanted, *(each.symbol for each in findings if each.table == name)])
        table = rows[rows["symbol"].isin(wanted)].reset_index(drop=True)
        lost = sorted(set(wanted) - set(table["symbol"].unique()))
        if (table.empty and name not in used) or (lost and name in ("bars", "fine_bars")):
            found = sorted(set(rows["symbol"].astype("str")))
            raise MissingDataError(f"{origin} (table {name}): no rows of {lost}; it holds {found}")
        findings += [
            _no_rows(name, symbol, whole[_grid(sources)])
            for symbol in lost
            if not _told(findings, name, symbol, "no_rows")
        ]
        if table.empty:  # another table is computed from it, of rows that belong to no symbol
            continue
        table, made = in_order(table, name)
        refused = [finding for finding in made if finding.action == "refused"]
        if refused:
            raise OrderError(f"{origin}: {refused[0]}")
        findings += made
        out[name] = validate(table, name, origin=origin)
        _hold_interval(out[name], name, (spacing or {}).get(name), origin)
    if "fine_bars" not in out and spacing and spacing.get("fine_bars") != spacing.get("bars"):
        raise ParameterError(
            f"{root} has no fine_bars, so that labels and trades walk on its bars: `market.fine_bar_interval` must be "
            f"their interval, {spacing.get('bars')}, was {spacing.get('fine_bars')}"
        )
    findings += [
        finding
        for finding in ends_apart(out, _grid(sources))
        if not _told(findings, finding.table, finding.symbol, finding.rule)
    ]
    return Reading(
        tables=out, findings=findings, files=files, unread=_unread(root, sources, wanted), archived=_of_archive(root)
    )


def canonical_files(directory: str | Path) -> dict[str, TableFile]:
    """Return the files of a directory that are named as a canonical table, such as ``bars.parquet``.

    The suffix may be in any letters and stand for any form and compression that is read (`form_of`).

    Raises
    ------
    MissingDataError
        If the directory is not there.
    SchemaError
        If a table is there twice, such as parquet and CSV.
    """
    root = _existing(directory)
    found: dict[str, list[str]] = {}
    for path in sorted(root.iterdir(), key=lambda path: (form_of(path) != "parquet", path)):
        # Only a parquet table may be a directory, one of parts.
        if table_name(path) in SCHEMAS and (form_of(path) == "parquet" or (path.is_file() and form_of(path))):
            found.setdefault(table_name(path), []).append(path.name)
    twice = [names for names in found.values() if len(names) > 1]
    if twice:
        raise SchemaError(f"{root} holds {' and '.join(twice[0])}: leave one of them out, or name it under `tables`")
    return {name: TableFile(file=found[name][0]) for name in SCHEMAS if name in found}


def _existing(directory: str | Path) -> Path:
    root = Path(directory)
    if not root.is_dir():
        raise MissingDataError(f"there is no directory {root}; link or copy the data set there")
    return root


def _check(
    root: Path, sources: Mapping[str, Sequence[Source]], symbols: Sequence[str] | None, digests: Mapping[str, str]
) -> None:
    """Raise if a file, a table or a symbol is missing, before anything is read."""
    if not {"bars", "fine_bars"} & set(sources):
        there = sorted(f"{path.name}{'/' if path.is_dir() else ''}" for path in root.iterdir())[:LISTED] or ["nothing"]
        raise MissingDataError(
            f"{root}: a data set needs a table `bars`, or `fine_bars`: a file of that name, such as bars.parquet, or "
            f"one named under `tables`; the directory holds {', '.join(there)}"
        )
    named = set()
    for name, source in ((name, source) for name, each in sources.items() for source in each):
        known_table(name)
        for need in set(source.needs) - set(sources):
            raise ParameterError(f"{root}: table {name} is computed from {need}, which is not among the tables")
        for file in source.files:
            if SYMBOL_MARK in file and symbols is None:
                raise ParameterError(f"{file} (table {name}) has one file per symbol: name the `symbols`")
            for each in {file.replace(SYMBOL_MARK, symbol): None for symbol in symbols or ("",)}:
                checked_path(root, each, name, digests.get(each, ""))
                named.add(each)
    unread = sorted(set(digests) - named)
    if unread:
        raise ParameterError(f"`sha256` names files that no table reads: {unread}")


def _grid(sources: Mapping[str, Sequence[Source]]) -> str:
    return "bars" if "bars" in sources else "fine_bars"


def _read(
    root: Path,
    sources: Mapping[str, Sequence[Source]],
    lags: Mapping[str, timedelta],
    symbols: Sequence[str] | None,
    now: datetime | None,
) -> tuple[dict[str, list[ReadFile]], dict[str, pd.DataFrame], list[Finding], list[str]]:
    """Return the files of each table, their rows, which of these came twice, and the symbols wanted."""
    # The bars come first, because they may name the symbols; last what is computed from other tables.
    order = sorted(sources, key=lambda name: (name != _grid(sources), any(source.needs for source in sources[name])))
    wanted = None if symbols is None else list(dict.fromkeys(symbols))
    files: dict[str, list[ReadFile]] = {}
    whole: dict[str, pd.DataFrame] = {}
    repeated: list[Finding] = []
    for name in order:
        request = Request(root=root, table=name, lag=lags[name], symbols=wanted, tables=whole, now=now)
        files[name] = [read for source in sources[name] for read in source.read(request)]
        rows, found = joined([read.table for read in files[name]], name)
        repeated += found
        if len(sources[name]) > 1:  # each may be in order, and the one after the other not
            rows = rows.sort_values(["symbol", "event_time"], kind="stable", ignore_index=True)
        whole[name] = rows
        if wanted is None:
            wanted = sorted(set(whole[name]["symbol"].dropna().astype("str")))
    return {name: files[name] for name in sources}, whole, repeated, wanted or []


def _told(findings: Sequence[Finding], table: str, symbol: str, rule: str) -> bool:
    return any((each.table, each.symbol, each.rule) == (table, symbol, rule) for each in findings)


def _hold_interval(bars: pd.DataFrame, name: str, wanted: timedelta | None, origin: str) -> None:
    """Raise ParameterError if bars do not have the interval that they are used with."""
    if wanted is None:
        return
    length = bars["event_time"] - bars["open_time"]
    other = length[length != pd.Timedelta(wanted)]
    if len(other):
        setting = "fine_bar_interval" if name == "fine_bars" else "bar_interval"
        raise ParameterError(
            f"{origin} (table {name}): its bars are {other.iloc[0].to_pytimedelta()} long, and `market.{setting}` is "
            f"{wanted}: set it to the interval of the bars"
        )


def _unread(root: Path, sources: Mapping[str, Sequence[Source]], symbols: Sequence[str]) -> tuple[str, ...]:
    """Return what of a directory nothing reads."""
    names = [file for each in sources.values() for source in each for file in source.files]
    read = {root / name.replace(SYMBOL_MARK, symbol) for name in names for symbol in symbols or ("",)}
    partly = {above for path in read for above in path.parents} - {*root.parents}
    there = [path for directory in sorted(partly) for path in sorted(directory.iterdir())]
    passed_over = [path for path in there if path not in read | partly | {root / FETCHED} and path.name[0] != "."]
    return tuple(f"{path.relative_to(root)}{'/' if path.is_dir() else ''}" for path in passed_over)


def _other_symbols(rows: pd.DataFrame, table: str, told: Sequence[str]) -> list[Finding]:
    """Return a finding for the rows of symbols that the data set does not name, if there are any."""
    others = rows[~rows["symbol"].isin(told)]
    if others.empty:
        return []
    names = sorted(set(others["symbol"].astype("str")))
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    note = f"rows of symbols that the data set does not name: {', '.join(names[:LISTED])}{more}"
    return [Finding.of_rows(others, table, "*", "other_symbols", "recorded", note)]


def _no_rows(table: str, symbol: str, bars: pd.DataFrame) -> Finding:
    times = bars["event_time"][bars["symbol"] == symbol]
    note = "no rows of this symbol: its features that need them stay unknown"
    return Finding(
        table=table,
        symbol=symbol,
        rule="no_rows",
        start=times.min(),
        end=times.max(),
        rows=0,
        action="recorded",
        note=note,
    )


def _of_archive(root: Path) -> bool:
    manifest = root / FETCHED
    content = read_json(manifest) if manifest.is_file() else None
    request = content.get("request") if isinstance(content, dict) else None
    return isinstance(request, dict) and request.get("source") == "archive"


def _found_before(root: Path) -> list[Finding]:
    """Return what was found when the directory was filled, if it was filled by `slackwater fetch`."""
    manifest = root / FETCHED
    if not manifest.is_file():
        return []
    content = read_json(manifest)
    return findings_from(content.get("findings", []) if isinstance(content, dict) else content, origin=str(manifest))
