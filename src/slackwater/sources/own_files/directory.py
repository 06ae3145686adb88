"""A directory of files, read as canonical tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, OrderError, ParameterError, SchemaError
from slackwater.market.quality.ledger import Finding, findings_from
from slackwater.market.quality.order import in_order
from slackwater.market.schemas import SCHEMAS, validate
from slackwater.sources.own_files.raw_columns import SUFFIXES
from slackwater.sources.own_files.table_file import SYMBOL_MARK, ReadFile, TableFile, read_file
from slackwater.storage import read_json

__all__ = ["Reading", "canonical_files", "read_directory"]

FETCHED: Final = "fetch.json"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a directory holds.

    Parameters
    ----------
    tables
        Canonical tables; every row is one of a file.
    findings
        What had to be done about their rows, and what whoever filled the directory found.
    files
        What was understood of the files of each table.
    """

    tables: dict[str, pd.DataFrame]
    findings: list[Finding] = field(default_factory=list)
    files: dict[str, list[ReadFile]] = field(default_factory=dict)


def read_directory(
    directory: str | Path,
    tables: Mapping[str, TableFile] | None = None,
    *,
    lags: Mapping[str, timedelta],
    symbols: Sequence[str] | None = None,
    sha256: Mapping[str, str] | None = None,
) -> Reading:
    """Read canonical tables from a directory of parquet or CSV files.

    Parameters
    ----------
    directory
        Where the files are.
    tables
        Canonical name to file. None: every file whose name is that of a canonical table. Tables that are not named
        are absent, and so are the features that need them.
    lags
        How long after its stamp a row of each table can be known, where neither the file nor `tables` says it.
    symbols
        The symbols wanted; every one must have bars. None: all that the bars hold. A table of other symbols alone is
        refused.
    sha256
        Expected digests by name of file; files that are not named are not checked.

    Returns
    -------
    Reading
        Rows as the files hold them, put in order where they were not, equal copies taken out; with findings.

    Raises
    ------
    MissingDataError
        If the directory or a file is not there, or a symbol has no bars.
    SchemaError
        If a file is neither parquet nor CSV, lacks a column, or holds values that its schema refuses; with the rows.
    OrderError
        If rows contradict each other.
    DataError
        If a digest differs, or a file leads out of the directory.
    ParameterError
        If ``{symbol}`` stands in the name of a file and `symbols` is None, or a digest is for no file that is read.
    """
    root = Path(directory)
    if not root.is_dir():
        raise MissingDataError(f"there is no directory {root}; link or copy the data set there")
    sources = canonical_files(root) if tables is None else dict(tables)
    if not {"bars", "fine_bars"} & set(sources):
        raise MissingDataError(f"{root}: a data set needs a table `bars`, or `fine_bars`")
    digests = dict(sha256 or {})
    files = {name: list(_read(root, name, source, lags[name], symbols, digests)) for name, source in sources.items()}
    unread = sorted(set(digests) - {each.path.relative_to(root).as_posix() for read in files.values() for each in read})
    if unread:
        raise ParameterError(f"`sha256` names files that no table reads: {unread}")
    whole = {name: _joined(read) for name, read in files.items()}
    for name, rows in whole.items():
        nameless = np.flatnonzero(rows["symbol"].isna())
        if len(nameless):
            file = root / sources[name].file
            raise SchemaError(
                f"{file} (table {name}) lacks a symbol in {len(nameless)} rows, first in row {nameless[0]}"
            )
    bars = whole["bars" if "bars" in whole else "fine_bars"]
    wanted = sorted(set(symbols) if symbols is not None else set(bars["symbol"].astype("str")))
    out: dict[str, pd.DataFrame] = {}
    findings = _found_before(root)
    for name, rows in whole.items():
        table = rows[rows["symbol"].isin(wanted)].reset_index(drop=True)
        lost = sorted(set(wanted) - set(table["symbol"]))
        if table.empty or (lost and name in ("bars", "fine_bars")):
            found = sorted(set(rows["symbol"].astype("str")))
            raise MissingDataError(f"{root / sources[name].file} (table {name}): no rows of {lost}; it holds {found}")
        findings += [_no_rows(name, symbol, bars) for symbol in lost if not _told(findings, name, symbol)]
        table, made = in_order(table, name)
        refused = [finding for finding in made if finding.action == "refused"]
        origin = str(root / sources[name].file)
        if refused:
            raise OrderError(f"{origin}: {refused[0]}")
        findings += made
        out[name] = validate(table, name, origin=origin)
    return Reading(tables=out, findings=findings, files=files)


def canonical_files(directory: str | Path) -> dict[str, TableFile]:
    """Return the files of a directory that are named as a canonical table, such as ``bars.parquet``.

    Raises
    ------
    SchemaError
        If a table is there twice, as parquet and as CSV.
    """
    root = Path(directory)
    found = {
        name: [f"{name}{suffix}" for suffix in SUFFIXES if (root / f"{name}{suffix}").is_file()] for name in SCHEMAS
    }
    twice = [names for names in found.values() if len(names) > 1]
    if twice:
        raise SchemaError(f"{root} holds {' and '.join(twice[0])}: leave one of them out, or name it under `tables`")
    return {name: TableFile(file=names[0]) for name, names in found.items() if names}


def _read(
    root: Path,
    name: str,
    source: TableFile,
    lag: timedelta,
    symbols: Sequence[str] | None,
    digests: Mapping[str, str],
) -> list[ReadFile]:
    if SYMBOL_MARK not in source.file:
        return [read_file(root, name, source, lag=lag, sha256=digests.get(source.file, ""))]
    if symbols is None:
        raise ParameterError(f"{source.file} (table {name}) has one file a symbol: name the `symbols`")
    return [
        read_file(
            root,
            name,
            source,
            lag=lag,
            symbol=symbol,
            sha256=digests.get(source.file.replace(SYMBOL_MARK, symbol), ""),
        )
        for symbol in symbols
    ]


def _joined(read: Sequence[ReadFile]) -> pd.DataFrame:
    tables = [each.table for each in read]
    return tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)


def _told(findings: Sequence[Finding], table: str, symbol: str) -> bool:
    return any((each.table, each.symbol, each.rule) == (table, symbol, "no_rows") for each in findings)


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


def _found_before(root: Path) -> list[Finding]:
    """Return what was found when the directory was filled, if it was filled by `slackwater fetch`."""
    manifest = root / FETCHED
    if not manifest.is_file():
        return []
    content = read_json(manifest)
    return findings_from(content.get("findings", []) if isinstance(content, dict) else content, origin=str(manifest))
