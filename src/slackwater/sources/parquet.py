"""Bring your own: a directory of parquet files, read through a column map."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from slackwater.errors import DataError, MissingDataError, SchemaError
from slackwater.market.schemas import SCHEMAS, validate

__all__ = ["TableFile", "read_directory"]


@dataclass(frozen=True, kw_only=True)
class TableFile:
    """Where a canonical table is, and how to read it.

    Parameters
    ----------
    file
        Name of a parquet file in the directory.
    available_after
        How long after `event_time` a row can be known; unused where the file has `available_time`.
    columns
        The file's column for each canonical one whose name differs.
    sha256
        Expected digest of the file; empty: not checked.
    """

    file: str
    available_after: timedelta
    columns: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""


def read_directory(
    directory: str | Path, tables: Mapping[str, TableFile], *, symbols: Sequence[str] | None = None
) -> dict[str, pd.DataFrame]:
    """Read canonical tables from a directory of parquet files.

    Parameters
    ----------
    directory
        Where the files are.
    tables
        Canonical name to file. Tables that are not named are absent, and so are the features that need them.
    symbols
        The symbols wanted; every one must have bars. None: all that the bars hold. A table of other symbols alone is
        refused.

    Returns
    -------
    dict of DataFrame
        Values exactly as the files hold them, with `event_time` and `available_time`.

    Raises
    ------
    MissingDataError
        If the directory or a file is not there, or a symbol has no bars.
    SchemaError, OrderError
        If a file is not parquet, lacks a column, or holds values that its schema refuses; with the rows.
    DataError
        If a digest differs.
    """
    root = Path(directory)
    if not root.is_dir():
        raise MissingDataError(f"there is no directory {root}; link or copy the data set there")
    read = {name: _read_table(root, name, source) for name, source in tables.items()}
    bars = next((read[name] for name in ("bars", "path") if name in read), None)
    if bars is None:
        raise MissingDataError(f"{root}: a data set needs a table `bars`, or `path`")
    wanted = sorted(set(symbols) if symbols is not None else set(bars["symbol"].astype("str")))
    out = {}
    for name, whole in read.items():
        table = whole[whole["symbol"].isin(wanted)].reset_index(drop=True)
        lost = sorted(set(wanted) - set(table["symbol"]))
        if table.empty or (lost and name in ("bars", "path")):
            found = sorted(set(whole["symbol"].astype("str")))
            raise MissingDataError(f"{root / tables[name].file} (table {name}): no rows of {lost}; it holds {found}")
        validate(table, name, origin=str(root / tables[name].file))
        out[name] = table
    return out


def _read_table(root: Path, name: str, source: TableFile) -> pd.DataFrame:
    schema = SCHEMAS.get(name)
    if schema is None:
        raise SchemaError(f"there is no canonical table `{name}`; there are {', '.join(SCHEMAS)}")
    path = root / source.file
    if not path.is_file():
        raise MissingDataError(f"there is no file {path} (table {name})")
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{path} leads out of {root}")
    if source.sha256:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != source.sha256:
            raise DataError(f"{path}: its sha256 is {digest}, the parameters expect {source.sha256}")
    unknown = sorted(set(source.columns) - {c.name for c in schema.columns})
    if unknown:
        raise SchemaError(f"the column map of table {name} names {unknown}, which the table does not have")
    try:
        file = pq.ParquetFile(path)
        have = set(file.schema_arrow.names)
        wanted = {c.name: source.columns.get(c.name, c.name) for c in schema.columns}
        needed = {c: wanted[c] for c in schema.required if c != "available_time"}
        missing = {c: theirs for c, theirs in needed.items() if theirs not in have}
        if missing:
            listed = ", ".join(c if c == theirs else f"{theirs} (for {c})" for c, theirs in missing.items())
            raise SchemaError(f"{path} (table {name}): missing column {listed}; it has {', '.join(sorted(have))}")
        present = {c: theirs for c, theirs in wanted.items() if theirs in have}
        raw = file.read(columns=sorted(set(present.values()))).to_pandas()
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise SchemaError(f"{path} (table {name}) is not a readable parquet file: {error}") from error
    table = pd.DataFrame({c: raw[theirs] for c, theirs in present.items()})
    if "available_time" not in table:
        if not isinstance(table["event_time"].dtype, pd.DatetimeTZDtype):
            raise SchemaError(
                f"{path} (table {name}): column `{wanted['event_time']}` must hold timezone-aware times (UTC), "
                f"holds `{table['event_time'].dtype}`, first {table['event_time'].head(3).tolist()}"
            )
        table.insert(2, "available_time", table["event_time"] + source.available_after)
    return table
