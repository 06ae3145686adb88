"""Tables of the archive on disk: plan the files, download and parse them in parallel, and write them in order."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import pandas as pd

from slackwater.errors import SchemaError
from slackwater.market.quality.ledger import Finding
from slackwater.sources.binance_archive.catalogue import (
    DATA_TYPES,
    ArchiveFile,
    DataType,
    market_of,
    plan,
)
from slackwater.sources.binance_archive.parts import parsed_part, read_findings
from slackwater.sources.binance_archive.tables import holes_of_part, write_table
from slackwater.sources.coverage import NOT_DELIVERED, Hole, coverage_entry, not_delivered
from slackwater.sources.http import Downloader, Politeness, split_credentials
from slackwater.sources.progress import Progress
from slackwater.sources.request import FetchRequest
from slackwater.times import DAY, timestamp

__all__ = ["fetch_archive"]

#: Files that are downloaded and parsed at the same time.
_WORKERS: Final = 4
#: Rules of rows and files that did not come although nothing is wrong with them.
_LEFT_OUT: Final = frozenset({"missing_file", "blank", "not_published", "not_filled"})
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
    with Downloader(Path(cache), politeness=politeness, on_bytes=watched.receive, on_wait=watched.say) as downloader:
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
    findings += [
        _unread(outcome, name) for outcome in outcomes if outcome.status != "read" for name in _asked(outcome, request)
    ]
    coverage: list[dict[str, Any]] = []
    for name in request.wanted:
        parts = [(each.file, each.part) for each in outcomes if name in each.file.type.tables and each.part is not None]
        written, holes = write_table(name, parts, request, Path(directory), findings)
        if written is not None:
            tables[name] = written
        for symbol, of_symbol in holes.items():
            lost = not_delivered(name, symbol, of_symbol, _reasons(name, symbol, request, findings))
            rows = written["rows_by_symbol"].get(symbol, 0) if written else 0
            coverage.append(coverage_entry(name, symbol, request.start, request.end, rows, lost))
            findings += lost
    return {
        "tables": tables,
        "absent": {name: _why_absent(name, request, findings) for name in request.wanted if name not in tables},
        "coverage": coverage,
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
        self.progress.say(f"asking {split_credentials(self.mirror)[0]} for {len(wanted):,} files")
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
        days = file.days()
        if days and outcome.part is not None:
            days = [day for day in days if any(_touch(day, hole) for hole in self._holes(file, outcome.part))]
        if not days:
            self.progress.finish(file.name)
            return [outcome]
        self.progress.expect(len(days))
        self.progress.finish(file.name)
        # A refused month stays on record although its days may be read.
        month = [] if outcome.status == "missing" else [outcome]
        return [*month, *(each for day in days for each in self._obtain(day))]

    def _holes(self, file: ArchiveFile, part: Path) -> list[Hole]:
        wanted = [name for name in file.type.tables if name in self.request.wanted]
        return [hole for name in wanted for hole in holes_of_part(file, part, name)]

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


def _touch(day: ArchiveFile, hole: Hole) -> bool:
    """Return whether a hole, open at its start, lies in a day or reaches into it."""
    return bool(timestamp(hole.start) < day.end and timestamp(hole.end) > day.start)


def _reasons(name: str, symbol: str, request: FetchRequest, findings: Sequence[Finding]) -> list[Finding]:
    """Return what explains that rows of a table of a symbol did not come."""
    data_type = next(each for each in DATA_TYPES if name in each.tables)
    if market_of(symbol) in data_type.absent:
        start, end = pd.Timestamp(request.start), pd.Timestamp(request.end)
        span = {"start": start, "end": end}
        why = data_type.absent[market_of(symbol)]
        return [Finding(table=name, symbol=symbol, rule=NOT_DELIVERED, **span, rows=0, action="recorded", note=why)]
    own = [each for each in findings if (each.table, each.symbol) == (name, symbol)]
    return [each for each in own if each.action in ("masked", "refused") or each.rule in _LEFT_OUT]


def _why_absent(name: str, request: FetchRequest, findings: Sequence[Finding]) -> str:
    lost = [each for each in findings if each.table == name and each.rule == NOT_DELIVERED]
    return "; ".join(sorted({each.note for each in lost})) or "the archive has no rows in this span"


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
