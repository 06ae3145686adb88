"""Trades, plans and refusals of a finished backtest as events of a journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.errors import DataError, MissingDataError
from slackwater.journal.event import Event, Kind, Origin
from slackwater.journal.excursions import excursions
from slackwater.journal.kinds import decision_event, exit_event, forgone_event
from slackwater.journal.store import JournalWriter
from slackwater.storage import (
    digest_of,
    finest_bars,
    marked_synthetic,
    parquet_files,
    read_json,
    read_json_lines,
    read_parquet,
    sha256_of,
)

__all__ = ["Imported", "import_run"]

_KEYS = ["symbol", "event_time"]
_PATH_COLUMNS = ["symbol", "open_time", "event_time", "high", "low"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Outcome of an import.

    Parameters
    ----------
    account, synthetic
        Name of the account of the backtest, made of the digests of its files, and whether its market is simulated.
    counts
        Number of events of each kind, and `forgone_unknown`, `excursions_unknown`: refused trades whose result, and
        trades whose excursions, are not known.
    added
        Events that were not in the journal before.
    """

    account: str
    synthetic: bool
    counts: Mapping[str, int]
    added: int


def import_run(place: str | Path, writer: JournalWriter) -> Imported:
    """Write a finished backtest into a journal, all of it or nothing; what is there already is not doubled.

    Parameters
    ----------
    place
        Directory of a run, or its directory ``reports`` with ``journal.jsonl`` and ``trades.parquet``. Beside it,
        where they are: ``data/labels.parquet`` (what refused trades would have earned), ``data/tables`` (excursions)
        and ``models/scorer`` (the bundle).
    writer
        Journal that is open for writing.

    Raises
    ------
    MissingDataError
        If there is no such run.
    DataError
        If a file is damaged, the files are of different runs, or do not state whether the market is SYNTHETIC.
    JournalError
        As `JournalWriter.append_all`.
    """
    run = _Run.of(Path(place))
    decisions, trades = read_json_lines(run.plans), read_parquet(run.trades)
    events = [decision_event(row, run.origin) for row in decisions]
    planned = {event.payload["trade"] for event in events if event.kind == Kind.PLAN}
    exits, holes = _exits(run, trades)
    if lost := sorted({event.payload["trade"] for event in exits} ^ planned):
        raise DataError(
            f"{run.trades} and {run.plans} are not of one run: {len(lost)} trades are in one of them only, first "
            f"{lost[0]}; run the backtest again"
        )
    forgone = list(_forgone(run, decisions))
    refusals = len(events) - len(planned)
    counts = {"plans": len(planned), "refusals": refusals, "exits": len(exits), "forgone": len(forgone)}
    counts |= {"forgone_unknown": refusals - len(forgone), "excursions_unknown": holes}
    events = sorted([*events, *exits, *forgone], key=lambda event: event.ts_ns)
    if not events:
        raise DataError(f"{run.plans} has no decisions: there is nothing to import")
    done = writer.append_all([*events, _run_event(run, counts, events[-1].ts_ns)])
    return Imported(account=run.origin.account, synthetic=run.origin.synthetic, counts=counts, added=done.added)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Files of a run and what identifies it."""

    plans: Path
    trades: Path
    labels: Path
    bars: Path
    digests: Mapping[str, str]
    origin: Origin

    @classmethod
    def of(cls, place: Path) -> _Run:
        reports = place / "reports" if (place / "reports").is_dir() else place
        root = reports.parent
        plans, trades, labels = reports / "journal.jsonl", reports / "trades.parquet", root / "data" / "labels.parquet"
        for path in (plans, trades):
            if not path.is_file():
                raise MissingDataError(f"there is no file {path}: name the directory of a run, after `make repro`")
        tables = root / "data" / "tables"
        bars = finest_bars(tables)
        digests = {path.name: _digest(path) for path in (plans, trades, labels, bars) if path.exists()}
        sums = root / "models" / "scorer" / "SHA256SUMS"
        origin = Origin(
            account=f"backtest-{digest_of(digests)[:8]}",
            synthetic=_synthetic(reports, tables),
            bundle_sha=sha256_of(sums) if sums.is_file() else "",
        )
        return cls(plans=plans, trades=trades, labels=labels, bars=bars, digests=digests, origin=origin)


def _digest(path: Path) -> str:
    """Return the sha256 of a file, or of those of a table with a file per symbol."""
    return digest_of([sha256_of(part) for part in parquet_files(path)]) if path.is_dir() else sha256_of(path)


def _synthetic(reports: Path, tables: Path) -> bool:
    """Return whether a run is of a simulated market, by its reports or the mark of its tables."""
    contents = {path: read_json(path) for path in sorted(reports.glob("*.json"))}
    marks = {
        path: content["synthetic"]
        for path, content in contents.items()
        if isinstance(content, dict) and isinstance(content.get("synthetic"), bool)
    }
    if len(set(marks.values())) > 1:
        said = ", ".join(f"{path.name}: {mark}" for path, mark in marks.items())
        raise DataError(f"{reports} is not of one run: is the market SYNTHETIC? {said}; run the stages again")
    # Tables without the mark prove nothing: a simulated market may come as files of somebody else.
    if tables.is_dir() and marked_synthetic(tables):
        return True
    if not marks:
        raise DataError(
            f"nothing in {reports} states whether the market is SYNTHETIC: keep a report such as verdict.json beside "
            "the trades"
        )
    return next(iter(marks.values()))


def _exits(run: _Run, trades: pd.DataFrame) -> tuple[list[Event], int]:
    """Return the exits of a run, and of how many the excursions are not known."""
    known = run.bars.exists()
    bars = read_parquet(run.bars, _PATH_COLUMNS) if known else pd.DataFrame(columns=_PATH_COLUMNS)
    mae, mfe = excursions(trades, bars)
    rows = trades.to_dict("records")
    exits = [
        exit_event(row, mae_r=adverse, mfe_r=favourable, origin=run.origin)
        for row, adverse, favourable in zip(rows, mae, mfe, strict=True)
    ]
    return exits, int((mae != mae).sum())


def _forgone(run: _Run, decisions: list[dict[str, Any]]) -> Iterator[Event]:
    """Yield what each refused trade would have earned, where the labels of the run contain it."""
    refused = [row for row in decisions if row["decision"] == "refusal"]
    if not run.labels.is_file() or not refused:
        return
    rows = pd.DataFrame({name: [row[name] for row in refused] for name in _KEYS})
    rows["event_time"] = pd.to_datetime(rows["event_time"], utc=True).dt.as_unit("us")
    rows["codes"] = [[reason["code"] for reason in row["reasons"]] for row in refused]
    labels = read_parquet(run.labels, [*_KEYS, "trade_end_time", "net_r"])
    found = rows.merge(labels, on=_KEYS, how="left", validate="1:1")
    for row in found[found["net_r"].notna() & found["trade_end_time"].notna()].itertuples(index=False):
        yield forgone_event(
            symbol=row.symbol,
            event_time=row.event_time,
            known_time=row.trade_end_time,
            codes=row.codes,
            net_r=row.net_r,
            origin=run.origin,
        )


def _run_event(run: _Run, counts: Mapping[str, int], ts_ns: int) -> Event:
    key = f"{Kind.RUN}/{run.origin.account}"
    content = {"files": dict(run.digests), **counts}
    return Event(kind=Kind.RUN, key=key, ts_ns=ts_ns, symbol="", origin=run.origin, payload=content)
