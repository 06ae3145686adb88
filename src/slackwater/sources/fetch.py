"""Fetch a data set from a venue into a directory: canonical tables, and a record of what is missing."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pandas as pd
import yaml

from slackwater.errors import MissingDataError, ParameterError
from slackwater.market.quality.ledger import Finding
from slackwater.sources.binance_archive.catalogue import ARCHIVE_URL
from slackwater.sources.binance_archive.fetch import fetch_archive
from slackwater.sources.coverage import (
    NOT_DELIVERED,
    Hole,
    coverage_entry,
    coverage_lines,
    holes_of_funding,
    holes_of_grid,
    not_delivered,
    whole_span,
)
from slackwater.sources.dataset_directory import MANIFEST, dataset_directory, earlier_fetch
from slackwater.sources.exchange.fetch import ExchangeTables, fetch_exchange
from slackwater.sources.http import Politeness, split_credentials
from slackwater.sources.intervals import INTERVALS
from slackwater.sources.progress import Progress
from slackwater.sources.request import FetchRequest
from slackwater.storage import sha256_of, write_json, write_parquet
from slackwater.times import HOUR, MINUTE, epochs_us

__all__ = ["datasets_entry", "fetch", "summary"]

#: Spacing of the statistics of venues, unless that of the bars is longer.
_LEAST_STATISTIC: Final = 5 * MINUTE
#: What is younger than this may not be published yet.
_UNPUBLISHED: Final = HOUR


def fetch(
    request: FetchRequest,
    out: str | Path,
    *,
    cache: str | Path | None = None,
    mirror: str = "",
    politeness: Politeness | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Write the tables of a request into a directory, which appears complete or not at all.

    Parameters
    ----------
    request
        The request.
    out
        A new directory, or one of an earlier fetch whose tables, symbols and span this request covers.
    cache
        Directory of downloads and parsed files, from which a killed run continues; by default ``.cache`` beside `out`.
    mirror
        Root of a copy of the archive, or of the exchange's interface.
    politeness, progress
        Limits of requests, and receiver of the progress.
    now
        The time, by default that of the clock.

    Returns
    -------
    dict
        Content of ``fetch.json``: the request, tables with rows and checksums, absent tables, missing and refused
        files, the coverage of each table and symbol, and the findings, one per span that was not delivered among them.

    Raises
    ------
    ParameterError
        If the request cannot be fulfilled, or `out` holds something that would be lost.
    SourceError
        If the server cannot be reached. Complete downloads stay in the cache; `out` is unchanged.
    MissingDataError
        If a symbol has no bars, or no rows where no bars were requested.
    """
    time = now or datetime.now(UTC)
    if request.start >= time:
        raise ParameterError(f"`start` lies in the future: {request.start}")
    if mirror:
        split_credentials(mirror)  # refuse an invalid URL before any request
    target = Path(out)
    _refuse_less(request, target)
    with dataset_directory(target) as directory:
        if request.from_archive:
            kept, root = target.parent / ".cache" if cache is None else Path(cache), mirror or ARCHIVE_URL
            found = fetch_archive(
                request, directory, mirror=root, cache=kept, politeness=politeness, progress=progress, now=time
            )
            asked = request.to_dict() | {"mirror": split_credentials(root)[0]}
        else:
            found = _from_exchange(request, directory, mirror, politeness, progress or Progress(), time)
            asked = request.to_dict()
        _refuse_nothing(request, found)
        for name, table in found["tables"].items():
            table["file"] = f"{name}.parquet"
            table["sha256"] = sha256_of(directory / table["file"])
        manifest = found | {"request": asked, "findings": [each.to_dict() for each in found["findings"]]}
        write_json(manifest, directory / MANIFEST)
    return manifest


def _refuse_nothing(request: FetchRequest, found: dict[str, Any]) -> None:
    """Raise if a symbol has no bars, or no rows where no bars were requested: it cannot be in a data set."""
    bars = [name for name in ("fine_bars", "bars") if name in request.wanted]
    tables = [found["tables"][name] for name in bars or found["tables"] if name in found["tables"]]
    held = {symbol for table in tables for symbol in table["rows_by_symbol"]}
    lost = sorted(set(request.symbols) - held)
    if lost:
        spans = [each for each in [*found["refused"], *found["missing"]] if each["symbol"] in lost]
        reasons = dict.fromkeys([*(each["reason"] for each in spans), *found["absent"].values()])
        cached = "; complete downloads are not repeated" if request.from_archive else ""
        raise MissingDataError(
            f"no {'bars' if bars else 'rows'} were found of {', '.join(lost)} from {request.start:%Y-%m-%d} to "
            f"{request.end:%Y-%m-%d} ({'; '.join(list(reasons)[:4]) or 'there are none'}): check its name at "
            f"{request.to_dict()['venue']}, and when it was traded{cached}"
        )


def summary(manifest: dict[str, Any]) -> Iterator[str]:
    """Yield a summary of a fetch: tables, absent tables, missing and refused files, findings, and a coverage table.

    Parameters
    ----------
    manifest
        Return value of `fetch`.
    """
    for name, table in manifest["tables"].items():
        yield f"{name:<18}{table['rows']:>14,} rows  {table['first'][:16]} to {table['last'][:16]}"
    for name, reason in manifest["absent"].items():
        yield f"{name:<18}absent: {reason}"
    for kind in ("missing", "refused"):
        for span in manifest[kind]:
            what = f"{span['symbol']} {span['type']} {span['start'][:10]} to {span['end'][:10]}"
            yield f"{kind}: {what}, {span['files']} files: {span['reason']}"
    counted: dict[tuple[str, str, str], int] = {}
    for finding in manifest["findings"]:
        if finding["rule"] in ("missing_file", "refused_file"):
            continue  # listed above
        if finding["rule"] == NOT_DELIVERED:
            continue  # listed below
        key = (finding["table"], finding["rule"], finding["action"])
        counted[key] = counted.get(key, 0) + finding["rows"]
    for (table, rule, action), rows in sorted(counted.items()):
        yield f"found: {table} {rule}, {rows:,} rows {action}"
    unverified = sum(not each["verified"] for each in manifest["files"])
    if unverified:
        yield f"{unverified:,} of {len(manifest['files']):,} files came without a checksum"
    yield from coverage_lines(manifest["coverage"])


def datasets_entry(manifest: dict[str, Any], out: str | Path) -> str:
    """Return the entry of a directory below ``datasets:`` in ``params.yaml``, indented.

    Parameters
    ----------
    manifest
        Return value of `fetch`.
    out
        The directory.
    """
    request = manifest["request"]
    interval, where = request["interval"], Path(out)
    if where.is_absolute() and where.is_relative_to(Path.cwd()):
        where = where.relative_to(Path.cwd())
    name = re.sub(r"\W+", "_", where.name)
    if yaml.safe_load(name) != name:  # YAML would not read 2024 or `on` as names
        name = f"data_{name}"
    entry = {"source": "parquet", "venue": request["venue"], "path": where.as_posix(), "symbols": request["symbols"]}
    if interval != "1m":
        entry["market"] = {"bar_interval": interval, "fine_bar_interval": interval}
    outside = where.is_absolute() or ".." in where.parts
    advice = (
        "  # outside of this directory: link it into data/external, and name the link under `path`\n" if outside else ""
    )
    text = yaml.safe_dump({name: entry}, sort_keys=False, default_flow_style=None, allow_unicode=True, width=1000)
    return advice + textwrap.indent(text, "  ")


def _refuse_less(request: FetchRequest, out: Path) -> None:
    """Raise if `out` holds more than this request covers, which would be lost."""
    written = earlier_fetch(out)
    if written is None:
        return
    before, now = written["request"], request.to_dict()
    for name in ("venue", "source", "interval"):
        if before[name] != now[name]:
            raise ParameterError(f"{out} was fetched with {name} {before[name]}, not {now[name]}; name a new directory")
    for name, held in (("tables", written["tables"]), ("symbols", before["symbols"])):
        lost = sorted(set(held) - set(now[name]))
        if lost:
            raise ParameterError(f"{out} holds the {name} {', '.join(lost)}: request them too, or name a new directory")
    if now["start"] > before["start"] or now["end"] < before["end"]:
        raise ParameterError(
            f"{out} holds {before['start']} to {before['end']}: request all of it, or name a new directory"
        )


def _from_exchange(
    request: FetchRequest,
    directory: Path,
    base_url: str,
    politeness: Politeness | None,
    progress: Progress,
    now: datetime,
) -> dict[str, Any]:
    found = fetch_exchange(
        request.venue,
        list(request.symbols),
        request.start,
        request.end,
        request.wanted,
        interval=request.interval,
        base_url=base_url or None,
        politeness=politeness,
        progress=progress.say,
        now=now,
    )
    tables: dict[str, Any] = {}
    for name, table in found.tables.items():
        write_parquet(table, directory / f"{name}.parquet")
        tables[name] = {
            "rows": len(table),
            "rows_by_symbol": {str(symbol): int(rows) for symbol, rows in table.groupby("symbol").size().items()},
            "first": table["event_time"].min().isoformat(),
            "last": table["event_time"].max().isoformat(),
        }
    empty: dict[str, Any] = {"files": [], "missing": [], "refused": []}
    coverage, lost = _exchange_coverage(request, found, now)
    return {
        "tables": tables,
        "absent": found.absent,
        **empty,
        "coverage": coverage,
        "findings": [*found.findings, *lost],
    }


def _exchange_coverage(
    request: FetchRequest, found: ExchangeTables, now: datetime
) -> tuple[list[dict[str, Any]], list[Finding]]:
    """Return the coverage of each table and symbol of an exchange, and a finding per span that did not come."""
    coverage, findings = [], []
    for name in request.wanted:
        table = found.tables.get(name)
        absent = name in found.absent
        note = found.absent[name] if absent else "not over, or not yet published"
        since = request.start if absent else now - _UNPUBLISHED
        for symbol in sorted(request.symbols):
            rows = None if table is None else table[table["symbol"] == symbol]
            times = {"start": pd.Timestamp(since), "end": pd.Timestamp(request.end)}
            why = Finding(table=name, symbol=symbol, rule=NOT_DELIVERED, **times, rows=0, action="recorded", note=note)
            told = [each for each in found.findings if (each.table, each.symbol) == (name, symbol)]
            lost = not_delivered(name, symbol, _exchange_holes(name, rows, request), [why] if absent else [*told, why])
            count = 0 if rows is None else len(rows)
            coverage.append(coverage_entry(name, symbol, request.start, request.end, count, lost))
            findings += lost
    return coverage, findings


def _exchange_holes(name: str, rows: pd.DataFrame | None, request: FetchRequest) -> list[Hole]:
    if rows is None or rows.empty:
        return whole_span(request.start, request.end)
    times = epochs_us(rows["event_time"])
    if name == "funding":
        return holes_of_funding(times, rows["interval_hours"].to_numpy(), request.start, request.end)
    if name == "liquidations":
        return []  # events come when they come
    bars = name in ("bars", "fine_bars", "mark_price", "premium_index")
    interval = INTERVALS[request.interval]
    return holes_of_grid(times, request.start, request.end, interval if bars else max(interval, _LEAST_STATISTIC))
