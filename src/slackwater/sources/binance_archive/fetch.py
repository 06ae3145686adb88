"""Tables of the archive on disk: plan the files, download and parse them in parallel, and write them in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from slackwater.errors import SchemaError
from slackwater.market.quality.ledger import Finding
from slackwater.sources.binance_archive.catalogue import (
    DATA_TYPES,
    DEFAULT_LAGS,
    ArchiveFile,
    DataType,
    market_of,
    plan,
)
from slackwater.sources.binance_archive.parts import parsed_part, read_findings, read_part, read_sizes
from slackwater.sources.dataset_directory import DatasetTable
from slackwater.sources.http import Downloader, Politeness
from slackwater.sources.large_trades import LargeTradeSelector
from slackwater.sources.progress import Progress
from slackwater.sources.request import FetchRequest
from slackwater.times import DAY

__all__ = ["fetch_archive"]

#: Files that are downloaded and parsed at the same time.
_WORKERS: Final = 4
#: Findings of one kind that are at most this far apart are joined.
_NEIGHBOURS: Final = 2 * DAY


@dataclass(frozen=True, kw_only=True)
class _FileOutcome:
    """A file that was read (`part`: directory of the parsed tables), missing or refused, with the reason."""

    file: ArchiveFile
    status: Literal["read", "missing", "refused"]
    reason: str = ""
    part: Path | None = None
    sha256: str = ""
    verified: bool = False


def fetch_archive(
    request: FetchRequest,
    directory: str | Path,
    *,
    mirror: str,
    cache: str | Path,
    politeness: Politeness | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Write the requested tables into a directory, and return a record of them.

    Parameters
    ----------
    request
        The request.
    directory
        An existing directory for ``<table>.parquet``.
    mirror
        Root of the archive, or of a copy of it.
    cache
        Directory of downloads and parsed files, from which a killed run continues.
    politeness, progress, now
        Limits of requests; receiver of the progress; the time, by default that of the clock.

    Returns
    -------
    dict
        `tables`: rows, first and last stamp by table. `absent`: reason by table. `files`: every file that was read.
        `missing` and `refused`: spans of files that were not, with reasons. `findings`: findings about the rows.

    Raises
    ------
    SourceError
        If the server cannot be reached. Complete downloads stay in the cache.
    """
    watched = progress or Progress()
    types = [each for each in DATA_TYPES if set(each.tables) & set(request.wanted)]
    with Downloader(Path(cache), politeness=politeness, on_bytes=watched.receive) as downloader:
        harvest = _Harvest(request, mirror, downloader, Path(cache) / "parts", watched, now or datetime.now(UTC))
        outcomes = harvest.gather(types)
    tables: dict[str, dict[str, Any]] = {}
    findings = [
        finding
        for outcome in outcomes
        if outcome.part is not None
        for finding in read_findings(outcome.part)
        if finding.table in request.wanted
    ]
    for name in request.wanted:
        of_table = [outcome for outcome in outcomes if name in outcome.file.type.tables]
        written = _write_table(name, of_table, request, Path(directory), findings)
        if written is not None:
            tables[name] = written
    findings += [
        _unread(outcome, name) for outcome in outcomes if outcome.status != "read" for name in _asked(outcome, request)
    ]
    return {
        "tables": tables,
        "absent": {name: _why_absent(name, request) for name in request.wanted if name not in tables},
        "files": [
            {"path": each.file.path, "sha256": each.sha256, "verified": each.verified}
            for each in outcomes
            if each.status == "read"
        ],
        "missing": _spans([each for each in outcomes if each.status == "missing"]),
        "refused": _spans([each for each in outcomes if each.status == "refused"]),
        "findings": _merged(findings),
    }


@dataclass
class _Harvest:
    """Downloads and parses files, several at a time."""

    request: FetchRequest
    mirror: str
    downloader: Downloader
    store: Path
    progress: Progress
    now: datetime

    def gather(self, types: Sequence[DataType]) -> list[_FileOutcome]:
        """Return the outcome of every file, ordered by type, symbol and time."""
        wanted = [
            file
            for data_type in types
            for symbol in sorted(self.request.symbols)
            if market_of(symbol) not in data_type.absent
            for file in plan(
                data_type,
                symbol,
                self.request.start.astimezone(UTC),
                self.request.end.astimezone(UTC),
                interval=self.request.interval,
                now=self.now,
            )
        ]
        self.progress.expect(len(wanted))
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="fetch")
        try:
            running: list[Future[list[_FileOutcome]]] = [pool.submit(self._obtain, file) for file in wanted]
            return [outcome for future in running for outcome in future.result()]
        finally:
            # The first error ends the others: they stop at their next chunk, and keep what they received.
            self.downloader.close()
            pool.shutdown(wait=True, cancel_futures=True)

    def _obtain(self, file: ArchiveFile) -> list[_FileOutcome]:
        outcome = self._read(file)
        days = file.days() if outcome.status in ("missing", "refused") else []
        if not days:
            self.progress.finish(file.name)
            return [outcome]
        self.progress.expect(len(days))
        self.progress.finish(file.name)
        # A refused month stays on record although its days may be read.
        month = [outcome] if outcome.status == "refused" else []
        return [*month, *(each for day in days for each in self._obtain(day))]

    def _read(self, file: ArchiveFile) -> _FileOutcome:
        url = f"{self.mirror.rstrip('/')}/{file.path}"
        reason = ""
        for _ in range(2):
            try:
                download = self.downloader.fetch(url)
            except SchemaError as error:
                return _FileOutcome(file=file, status="refused", reason=str(error))
            if download is None:
                return _FileOutcome(file=file, status="missing", reason=self._why_missing(file))
            try:
                part = parsed_part(
                    download.path,
                    file,
                    sha256=download.sha256,
                    store=self.store,
                    origin=download.url,
                    floor_usd=self.request.large_trades.floor_usd,
                )
            except SchemaError as error:
                reason = str(error)
                if download.verified:
                    break
                # Without a checksum a torn answer looks like a file: request it once more.
                self.downloader.forget(download)
            else:
                return _FileOutcome(
                    file=file, status="read", part=part, sha256=download.sha256, verified=download.verified
                )
        return _FileOutcome(file=file, status="refused", reason=reason)

    def _why_missing(self, file: ArchiveFile) -> str:
        if file.end <= self.now:
            return "the archive has no such file"
        if file.type.periods == ("monthly",):
            return "the month is not over; until then it is on the exchange's own interface alone"
        return "not published yet"


def _write_table(
    name: str, outcomes: Sequence[_FileOutcome], request: FetchRequest, directory: Path, findings: list[Finding]
) -> dict[str, Any] | None:
    """Write one table and return its record; None if there are no rows."""
    with DatasetTable(directory, name, lag=DEFAULT_LAGS[name]) as table:
        for symbol in sorted(request.symbols):
            parts = [each.part for each in outcomes if each.file.symbol == symbol and each.part is not None]
            pieces = _large_trades(parts, request, symbol, findings) if name == "large_trades" else _pieces(parts, name)
            for piece in pieces:
                inside = _between(piece, request.start, request.end)
                overlap = table.append(symbol, inside)
                if overlap:
                    findings.append(_overlap(name, symbol, inside, overlap))
    if not table.rows or table.first is None or table.last is None:
        return None
    return {
        "rows": table.rows,
        "rows_by_symbol": dict(table.rows_by_symbol),
        "first": table.first.isoformat(),
        "last": table.last.isoformat(),
    }


def _pieces(parts: Sequence[Path], name: str) -> Iterator[pa.Table]:
    for part in parts:
        piece = read_part(part, name)
        if piece is not None:
            yield piece


def _large_trades(
    parts: Sequence[Path], request: FetchRequest, symbol: str, findings: list[Finding]
) -> Iterator[pa.Table]:
    """Yield the large trades of each file, relative to the trades of the hours before."""
    selector = LargeTradeSelector(request.large_trades)
    for number, part in enumerate(parts):
        sizes = read_sizes(part)
        if not number and len(sizes.hours):
            start = pd.Timestamp(int(sizes.hours[0]), unit="h", tz="UTC")
            findings.append(
                Finding(
                    table="large_trades",
                    symbol=symbol,
                    rule="warming_up",
                    start=start,
                    end=start + request.large_trades.warm_up,
                    rows=0,
                    action="recorded",
                    note="no trade counts as large before there are trades to compare it with",
                )
            )
        selector.observe(sizes)
        piece = read_part(part, "large_trades")
        if piece is not None:
            time = piece["event_time"].cast(pa.int64()).to_numpy()
            notional = piece["price"].to_numpy() * piece["quantity"].to_numpy()
            yield piece.filter(pa.array(selector.select(time, notional)))


def _between(piece: pa.Table, start: datetime, end: datetime) -> pa.Table:
    time = piece["event_time"]
    first, last = (pa.scalar(each, type=time.type) for each in (start, end))
    return piece.filter(pc.and_(pc.greater_equal(time, first), pc.less_equal(time, last)))


def _overlap(name: str, symbol: str, piece: pa.Table, rows: int) -> Finding:
    first = pd.Timestamp(piece["event_time"][0].as_py())
    return Finding(
        table=name,
        symbol=symbol,
        rule="overlap",
        start=first,
        end=pd.Timestamp(piece["event_time"][min(rows, len(piece)) - 1].as_py()),
        rows=rows,
        action="repaired",
        note="rows that the file before already contains",
    )


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with equal ones of neighbouring files joined."""
    merged: dict[tuple[str, str, str, str, str], list[Finding]] = {}
    for each in findings:
        run = merged.setdefault((each.table, each.symbol, each.rule, each.action, each.note), [])
        if run and each.start - run[-1].end <= _NEIGHBOURS:
            run[-1] = replace(run[-1], end=max(run[-1].end, each.end), rows=run[-1].rows + each.rows)
        else:
            run.append(each)
    return [each for run in merged.values() for each in run]


def _asked(outcome: _FileOutcome, request: FetchRequest) -> list[str]:
    return [name for name in outcome.file.type.tables if name in request.wanted]


def _unread(outcome: _FileOutcome, table: str) -> Finding:
    missing = outcome.status == "missing"
    return Finding(
        table=table,
        symbol=outcome.file.symbol,
        rule="missing_file" if missing else "refused_file",
        start=pd.Timestamp(outcome.file.start),
        end=pd.Timestamp(outcome.file.end),
        rows=0,
        action="recorded" if missing else "refused",
        note=outcome.reason,
    )


def _why_absent(name: str, request: FetchRequest) -> str:
    data_type = next(each for each in DATA_TYPES if name in each.tables)
    reasons = {data_type.absent.get(market_of(symbol), "") for symbol in request.symbols}
    return "; ".join(sorted(reasons - {""})) or "the archive has no rows in this span"


def _spans(outcomes: Sequence[_FileOutcome]) -> list[dict[str, Any]]:
    """Return one entry per run of neighbouring files with the same outcome."""
    spans: list[dict[str, Any]] = []
    for each in outcomes:
        file = each.file
        entry = {
            "tables": list(file.type.tables),
            "symbol": file.symbol,
            "type": file.type.name,
            "start": file.start.isoformat(),
            "end": file.end.isoformat(),
            "files": 1,
            "reason": each.reason,
        }
        last = spans[-1] if spans else None
        if (
            last is not None
            and last["end"] == entry["start"]
            and all(last[name] == entry[name] for name in ("type", "symbol", "reason"))
        ):
            last["end"], last["files"] = entry["end"], last["files"] + 1
        else:
            spans.append(entry)
    return spans
