"""Parsed files of the archive: their tables and findings, kept in the cache."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from slackwater.errors import SchemaError
from slackwater.market.quality.ledger import Finding
from slackwater.sources import large_trades
from slackwater.sources.binance_archive import bars, events, metrics
from slackwater.sources.binance_archive.catalogue import ArchiveFile
from slackwater.sources.binance_archive.container import open_csv
from slackwater.sources.binance_archive.csv_rows import Columns, CsvRows, Layout
from slackwater.sources.binance_archive.screening import Screening
from slackwater.sources.binance_archive.trades import AGG_TRADES, parse_trades
from slackwater.sources.large_trades import TradeSizes
from slackwater.storage import digest_of, first_directory, read_arrays, read_json, write_arrays, write_json
from slackwater.types import Ints

__all__ = ["Part", "parse_archive", "parsed_part", "read_findings", "read_part", "read_runs", "read_sizes"]

TableParser = Callable[[Columns, Screening], Columns]

_LAYOUTS: Final[Mapping[str, Layout]] = {
    "klines": bars.BARS,
    "markPriceKlines": bars.BARS,
    "premiumIndexKlines": bars.BARS,
    "fundingRate": metrics.FUNDING,
    "metrics": metrics.METRICS,
    "bookDepth": metrics.DEPTH,
    "liquidationSnapshot": events.LIQUIDATIONS,
    "aggTrades": AGG_TRADES,
}
_PARSERS: Final[Mapping[str, TableParser]] = {
    "fine_bars": bars.parse_bars,
    "mark_price": bars.parse_mark_price,
    "premium_index": bars.parse_premium_index,
    "funding": metrics.parse_funding,
    "open_interest": metrics.parse_open_interest,
    "long_short_ratio": metrics.parse_long_short_ratio,
    "depth": metrics.parse_depth,
    "liquidations": events.parse_liquidations,
}
#: Tables that may have nothing in a file that has rows for another table.
_MAY_BE_EMPTY: Final = frozenset({"long_short_ratio"})
_TIMES: Final = ("event_time", "open_time", "stamp")
#: Times follow one another in equal steps; the first bytes of prices and counts hardly change from row to row.
_ENCODINGS: Final[Mapping[str, str]] = {
    **dict.fromkeys(_TIMES, "DELTA_BINARY_PACKED"),
    **dict.fromkeys(("open", "high", "low", "close", "trade_count"), "BYTE_STREAM_SPLIT"),
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """The tables of one file, without `symbol` and `available_time`.

    Parameters
    ----------
    tables
        Canonical name to rows, sorted by `event_time`.
    findings
        Findings about the file.
    sizes, runs
        Sizes of all trades, and runs of trades without a hole, for a file of trades.
    """

    tables: Mapping[str, pa.Table]
    findings: list[Finding]
    sizes: TradeSizes | None = None
    runs: Ints | None = None


def parse_archive(path: str | Path, file: ArchiveFile, *, origin: str = "", floor_usd: float = 100_000.0) -> Part:
    """Return the tables and findings of a zip of the archive.

    Parameters
    ----------
    path
        The zip.
    file
        The file that it should be.
    origin
        Source of the file, for messages; by default the path.
    floor_usd
        Least notional of a trade that is kept.

    Raises
    ------
    SchemaError
        If it is not such a zip, or too many of its rows cannot be used.
    """
    origin = origin or str(path)
    with open_csv(path, origin=origin, name=file.name) as stream:
        rows = CsvRows(stream, _LAYOUTS[file.type.name], origin)
        if file.type.name == "aggTrades":
            screening = Screening(file, "large_trades", origin)
            candidates = parse_trades(rows, screening, floor_usd=floor_usd)
            screening.open_line(rows.may_be_cut)
            table = _arrow(candidates.columns)
            return Part(
                tables={"large_trades": table},
                findings=screening.findings,
                sizes=candidates.sizes,
                runs=candidates.runs,
            )
        blocks = list(rows)
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in rows.layout.used} if blocks else {}
    if not columns or not len(next(iter(columns.values()))):
        raise SchemaError(f"{origin} has a header and no rows" if not rows.unreadable else f"{origin} has no rows")
    tables: dict[str, pa.Table] = {}
    findings: list[Finding] = []
    refused: list[SchemaError] = []
    for name in file.type.tables:
        screening = Screening(file, name, origin)
        screening.unreadable(rows.unreadable)
        screening.open_line(rows.may_be_cut)
        parsed = _PARSERS[name](dict(columns), screening)
        empty = not len(parsed["event_time"])
        if not (empty and name in _MAY_BE_EMPTY):
            try:
                screening.judge(len(parsed["event_time"]))
                tables[name] = _arrow(parsed)
            except SchemaError as error:  # the other table of the file may be good
                refused.append(error)
                screening.leave_out(str(error))
        findings += screening.findings
    if refused and not tables:
        raise refused[0]
    return Part(tables=tables, findings=findings)


def parsed_part(
    path: str | Path, file: ArchiveFile, *, sha256: str, store: str | Path, origin: str, floor_usd: float
) -> Path:
    """Return the directory of a parsed file, which is parsed unless the store holds it.

    Parameters
    ----------
    path, sha256
        The zip, and the digest of its content.
    file, origin, floor_usd
        See `parse_archive`.
    store
        Directory of the parts. Their names depend on the content of the zip and on the code of the parser, so that a
        part of another file or of an earlier parser is never used.

    Raises
    ------
    SchemaError
        See `parse_archive`. Nothing is stored then.
    """
    key = digest_of([sha256, file.path, floor_usd, _code_digest()])
    part = Path(store) / key[:2] / key
    if not part.is_dir():
        parsed = parse_archive(path, file, origin=origin, floor_usd=floor_usd)
        with first_directory(part) as directory:
            for name, table in parsed.tables.items():
                _write(table, directory / f"{name}.parquet")
            if parsed.sizes is not None and parsed.runs is not None:
                sizes: dict[str, npt.NDArray[Any]] = {"hours": parsed.sizes.hours, "counts": parsed.sizes.counts}
                write_arrays(sizes | {"runs": parsed.runs}, directory / "sizes.npz")
            write_json([finding.to_dict() for finding in parsed.findings], directory / "findings.json")
    return part


def read_part(part: Path, table: str) -> pa.Table | None:
    """Return one table of a parsed file; None where the file has no rows for it.

    Raises
    ------
    SchemaError
        If the part is damaged; it is deleted, and the next run parses the file again.
    """
    path = part / f"{table}.parquet"
    if not path.is_file():
        if not part.is_dir():
            raise SchemaError(f"{part} is gone from the cache; run it again")
        return None
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise SchemaError(f"{path} is damaged ({error}) and was deleted; run it again") from None


def read_findings(part: Path) -> list[Finding]:
    """Return the findings about a parsed file."""
    return [
        Finding(**{**row, "start": pd.Timestamp(row["start"]), "end": pd.Timestamp(row["end"])})
        for row in read_json(part / "findings.json")
    ]


def read_sizes(part: Path) -> TradeSizes:
    """Return the sizes of all trades of a parsed file of trades."""
    sizes = read_arrays(part / "sizes.npz")
    return TradeSizes(sizes["hours"], sizes["counts"])


def read_runs(part: Path) -> Ints:
    """Return the runs of trades without a hole of a parsed file of trades, shape (runs, 4)."""
    return np.asarray(read_arrays(part / "sizes.npz")["runs"], dtype=np.int64)


def _arrow(columns: Columns) -> pa.Table:
    """Return columns as a table with canonical types."""
    arrays: dict[str, pa.Array] = {}
    for name, values in columns.items():
        if name in _TIMES:
            arrays[name] = pa.array(values, type=pa.int64()).cast(pa.timestamp("us", tz="UTC"))
        elif values.dtype == object:
            arrays[name] = pa.array(values, type=pa.string())
        else:
            arrays[name] = pa.array(values, type=pa.float64())
    return pa.table(arrays)


def _write(table: pa.Table, path: Path) -> None:
    """Write a table. The encodings take two thirds of the time, and nine tenths of the space, of plain numbers."""
    pq.write_table(
        table,
        path,
        compression="zstd",
        compression_level=1,
        # Numbers of a market hardly repeat, so that dictionary encoding costs time and saves nothing.
        use_dictionary=[name for name in ("side",) if name in table.column_names],
        column_encoding={name: _ENCODINGS[name] for name in table.column_names if name in _ENCODINGS},
    )


@cache
def _code_digest() -> str:
    """Return a digest of the code of the parser, on which the tables of a file depend."""
    here = Path(__file__).parent
    files = [*sorted(here.glob("*.py")), Path(large_trades.__file__)]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
