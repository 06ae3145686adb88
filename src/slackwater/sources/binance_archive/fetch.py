"""From a request to tables on disk: plan the files, download and parse them side by side, and put them in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from slackwater.errors import ParameterError, SchemaError
from slackwater.market.quality.ledger import Finding
from slackwater.sources.binance_archive.catalogue import (
    ARCHIVE_URL,
    DATA_TYPES,
    DEFAULT_LAGS,
    INTERVALS,
    ArchiveFile,
    DataType,
    market_of,
    plan,
)
from slackwater.sources.binance_archive.parts import parsed_part, read_findings, read_part, read_sizes
from slackwater.sources.dataset_directory import DatasetTable
from slackwater.sources.http import Downloader, Politeness
from slackwater.sources.large_trades import LargeTradeRule, LargeTradeSelector
from slackwater.sources.progress import Progress, Silence

__all__ = ["ArchiveRequest", "FileOutcome", "fetch_archive"]

#: Files that are downloaded and parsed at the same time.
WORKERS: Final = 4
#: Findings of one kind that are as near to each other are told as one.
NEIGHBOURS: Final = timedelta(days=2)


@dataclass(frozen=True, kw_only=True)
class ArchiveRequest:
    """What is wanted of the archive.

    Parameters
    ----------
    symbols
        Perpetuals such as BTCUSDT or BTCUSD_PERP.
    start, end
        UTC.
    tables
        Names among `DEFAULT_LAGS`.
    interval
        Of the bars, the mark price and the premium index.
    mirror
        Root of the archive, or of a copy of it.
    lags
        From `event_time` to `available_time`, by table.
    large_trades
        What counts as a large trade.
    """

    symbols: Sequence[str]
    start: datetime
    end: datetime
    tables: Sequence[str]
    interval: str = "1m"
    mirror: str = ARCHIVE_URL
    lags: Mapping[str, timedelta] = field(default_factory=lambda: DEFAULT_LAGS)
    large_trades: LargeTradeRule = field(default_factory=LargeTradeRule)

    def __post_init__(self) -> None:
        if self.interval not in INTERVALS:
            raise ParameterError(f"`interval` must be one of {', '.join(INTERVALS)}, was {self.interval!r}")
        unknown = sorted(set(self.tables) - set(DEFAULT_LAGS))
        if unknown or not self.tables:
            raise ParameterError(
                f"`tables` must be among {', '.join(DEFAULT_LAGS)}; {', '.join(unknown) or 'none'} is not"
            )
        for symbol in self.symbols:
            market_of(symbol)


@dataclass(frozen=True, kw_only=True)
class FileOutcome:
    """What became of one file.

    Parameters
    ----------
    file
        The file.
    status
        ``"read"``, ``"missing"``: the archive does not have it, or ``"refused"``: it cannot be used.
    reason
        Why it was not read.
    part
        Directory of the parsed tables.
    sha256, verified
        Digest of the zip, and whether the archive's checksum said the same.
    """

    file: ArchiveFile
    status: Literal["read", "missing", "refused"]
    reason: str = ""
    part: Path | None = None
    sha256: str = ""
    verified: bool = False


def fetch_archive(
    request: ArchiveRequest,
    directory: str | Path,
    *,
    cache: str | Path,
    politeness: Politeness | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Write the tables that were asked for into a directory, and return what there is to know about them.

    Parameters
    ----------
    request
        What is wanted.
    directory
        An existing directory for ``<table>.parquet``.
    cache
        Where downloads and parsed files are kept; a run that was killed takes up from there.
    politeness, progress, now
        How hard the server may be asked; whom to tell; the time, by default that of the clock.

    Returns
    -------
    dict
        `tables`: rows, first and last stamp by table. `absent`: reason by table. `files`: every file that was read.
        `missing` and `refused`: spans of files that were not, with reasons. `findings`: what was found in the files.

    Raises
    ------
    SourceError
        If the server cannot be reached. What came in so far stays in the cache.
    """
    told = progress or Silence()
    types = [each for each in DATA_TYPES if set(each.tables) & set(request.tables)]
    with Downloader(Path(cache), politeness=politeness, on_bytes=told.receive) as downloader:
        harvest = _Harvest(request, downloader, Path(cache) / "parts", told, now or datetime.now(UTC))
        outcomes = harvest.gather(types)
    tables: dict[str, dict[str, Any]] = {}
    findings = [
        finding
        for outcome in outcomes
        if outcome.part is not None
        for finding in read_findings(outcome.part)
        if finding.table in request.tables
    ]
    for name in sorted(request.tables):
        of_table = [outcome for outcome in outcomes if name in outcome.file.type.tables]
        written = _write_table(name, of_table, request, Path(directory), findings)
        if written is not None:
            tables[name] = written
    findings += [
        _unread(outcome, name) for outcome in outcomes if outcome.status != "read" for name in _asked(outcome, request)
    ]
    return {
        "tables": tables,
        "absent": {name: _why_absent(name, request) for name in sorted(request.tables) if name not in tables},
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

    request: ArchiveRequest
    downloader: Downloader
    store: Path
    progress: Progress
    now: datetime

    def gather(self, types: Sequence[DataType]) -> list[FileOutcome]:
        """Return the outcome of every file, ordered by type, symbol and time."""
        wanted = [
            file
            for data_type in types
            for symbol in sorted(self.request.symbols)
            if market_of(symbol) not in data_type.absent
            for file in plan(
                data_type,
                symbol,
                self.request.start,
                self.request.end,
                interval=self.request.interval,
                now=self.now,
            )
        ]
        self.progress.expect(len(wanted))
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="fetch")
        try:
            running: list[Future[list[FileOutcome]]] = [pool.submit(self._obtain, file) for file in wanted]
            return [outcome for future in running for outcome in future.result()]
        finally:
            # The first error ends the others: they stop at their next piece, and keep what came in.
            self.downloader.close()
            pool.shutdown(wait=True, cancel_futures=True)

    def _obtain(self, file: ArchiveFile) -> list[FileOutcome]:
        outcome = self._read(file)
        days = file.days() if outcome.status in ("missing", "refused") else []
        if not days:
            self.progress.finish(file.name)
            return [outcome]
        self.progress.expect(len(days))
        self.progress.finish(file.name)
        # What is wrong with a month stays on record although its days come.
        month = [outcome] if outcome.status == "refused" else []
        return [*month, *(each for day in days for each in self._obtain(day))]

    def _read(self, file: ArchiveFile) -> FileOutcome:
        url = f"{self.request.mirror.rstrip('/')}/{file.path}"
        reason = ""
        for _ in range(2):
            try:
                download = self.downloader.fetch(url)
            except SchemaError as error:
                return FileOutcome(file=file, status="refused", reason=str(error))
            if download is None:
                return FileOutcome(file=file, status="missing", reason=self._why_missing(file))
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
                # Without a checksum a torn answer looks like a file: it is asked for once more.
                self.downloader.forget(download)
            else:
                return FileOutcome(
                    file=file, status="read", part=part, sha256=download.sha256, verified=download.verified
                )
        return FileOutcome(file=file, status="refused", reason=reason)

    def _why_missing(self, file: ArchiveFile) -> str:
        if file.end <= self.now:
            return "the archive has no such file"
        if file.type.periods == ("monthly",):
            return "the month is not over, until then it is published by the exchange's own interface alone"
        return "not published yet"


def _write_table(
    name: str, outcomes: Sequence[FileOutcome], request: ArchiveRequest, directory: Path, findings: list[Finding]
) -> dict[str, Any] | None:
    """Write one table; None if there are no rows."""
    with DatasetTable(directory, name, lag=request.lags[name]) as table:
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
    parts: Sequence[Path], request: ArchiveRequest, symbol: str, findings: list[Finding]
) -> Iterator[pa.Table]:
    """Yield the large trades of each file, judged by the trades of the hours before."""
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
                    note="no trade is called large before there is something to compare it with",
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
        note="the file before reaches as far; its rows stand",
    )


def _merged(findings: Sequence[Finding]) -> list[Finding]:
    """Return findings with those of neighbouring files that say the same as one."""
    merged: dict[tuple[str, str, str, str, str], list[Finding]] = {}
    for each in findings:
        run = merged.setdefault((each.table, each.symbol, each.rule, each.action, each.note), [])
        if run and each.start - run[-1].end <= NEIGHBOURS:
            run[-1] = replace(run[-1], end=max(run[-1].end, each.end), rows=run[-1].rows + each.rows)
        else:
            run.append(each)
    return [each for run in merged.values() for each in run]


def _asked(outcome: FileOutcome, request: ArchiveRequest) -> list[str]:
    return [name for name in outcome.file.type.tables if name in request.tables]


def _unread(outcome: FileOutcome, table: str) -> Finding:
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


def _why_absent(name: str, request: ArchiveRequest) -> str:
    data_type = next(each for each in DATA_TYPES if name in each.tables)
    reasons = {data_type.absent.get(market_of(symbol), "") for symbol in request.symbols}
    return "; ".join(sorted(reasons - {""})) or "the archive has no rows in this span"


def _spans(outcomes: Sequence[FileOutcome]) -> list[dict[str, Any]]:
    """Return runs of neighbouring files of the same fate, as one entry each."""
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
