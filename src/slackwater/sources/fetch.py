"""Fill a data-set directory from a venue: canonical tables of symbols and dates, and a record of what is missing."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from slackwater.errors import MissingDataError, ParameterError
from slackwater.market.quality.ledger import Finding
from slackwater.market.schemas import SCHEMAS, validate
from slackwater.sources.binance_archive.catalogue import ARCHIVE_URL, DEFAULT_LAGS, INTERVALS
from slackwater.sources.binance_archive.fetch import ArchiveRequest, fetch_archive
from slackwater.sources.dataset_directory import MANIFEST, dataset_directory, earlier_fetch
from slackwater.sources.http import Politeness, split_credentials
from slackwater.sources.large_trades import LargeTradeRule
from slackwater.sources.progress import Progress
from slackwater.storage import sha256_of, write_json, write_parquet

__all__ = ["VENUES", "FetchRequest", "datasets_entry", "fetch", "summary"]

VENUES: Final = ("binance", "bybit", "okx", "gate")
#: Large trades need the file of all trades, a hundred times as large as the rest: they come when they are named.
BY_DEFAULT: Final = tuple(name for name in DEFAULT_LAGS if name != "large_trades")


@dataclass(frozen=True, kw_only=True)
class FetchRequest:
    """What to fetch.

    Parameters
    ----------
    venue
        One of `VENUES`.
    symbols
        Perpetuals as the venue's canonical names, such as BTCUSDT.
    start, end
        With a time zone; rows stamped from `start` to `end`, both included, of the files that hold anything before
        `end`: a settlement at the midnight of `end` is in the next one.
    tables
        Canonical tables; None: all but `large_trades`.
    interval
        Of the bars.
    source
        ``"archive"``: the public archive, of Binance alone. ``"exchange"``: the venue's own interface, which goes
        back less far. None: the archive where there is one.
    large_trades
        What counts as a large trade.
    """

    venue: str
    symbols: Sequence[str]
    start: datetime
    end: datetime
    tables: Sequence[str] | None = None
    interval: str = "1m"
    source: Literal["archive", "exchange"] | None = None
    large_trades: LargeTradeRule = field(default_factory=LargeTradeRule)

    def __post_init__(self) -> None:
        if self.venue not in VENUES:
            raise ParameterError(f"`venue` must be one of {', '.join(VENUES)}, was {self.venue!r}")
        if isinstance(self.symbols, str) or not self.symbols or len(set(self.symbols)) != len(self.symbols):
            raise ParameterError(f"`symbols` must be names, each once, was {self.symbols!r}")
        for name in ("start", "end"):
            if getattr(self, name).tzinfo is None:
                raise ParameterError(f"`{name}` must carry a time zone, was {getattr(self, name)}")
        if self.end <= self.start:
            raise ParameterError(f"`end` must be after `start`, was {self.end} and {self.start}")
        for name in ("start", "end"):
            if getattr(self, name).year < 2018:
                raise ParameterError(
                    f"`{name}` must not lie before 2018, when no venue had these, was {getattr(self, name)}"
                )
        unknown = sorted(set(self.tables or ()) - set(SCHEMAS))
        if unknown or (self.tables is not None and not self.tables):
            raise ParameterError(f"`tables` must be among {', '.join(SCHEMAS)}; {', '.join(unknown) or 'none'} is not")
        if self.interval not in INTERVALS:
            raise ParameterError(f"`interval` must be one of {', '.join(INTERVALS)}, was {self.interval!r}")
        if self.source not in (None, "archive", "exchange"):
            raise ParameterError(f"`source` must be archive or exchange, was {self.source!r}")
        if self.source == "archive" and self.venue != "binance":
            raise ParameterError(f"there is no archive of {self.venue}, only of binance; use `exchange`")

    @property
    def from_archive(self) -> bool:
        """Whether the archive is asked, and not the exchange."""
        return (self.source or ("archive" if self.venue == "binance" else "exchange")) == "archive"

    @property
    def wanted(self) -> list[str]:
        """The tables that are asked for, sorted."""
        return sorted(set(BY_DEFAULT if self.tables is None else self.tables))

    def to_dict(self) -> dict[str, Any]:
        """Return what was asked, fit for JSON."""
        rule = self.large_trades
        asked: dict[str, Any] = {
            "venue": self.venue,
            "source": "archive" if self.from_archive else "exchange",
            "symbols": sorted(self.symbols),
            "start": self.start.astimezone(UTC).isoformat(),
            "end": self.end.astimezone(UTC).isoformat(),
            "tables": self.wanted,
            "interval": self.interval,
        }
        if "large_trades" in self.wanted:
            hours = {name: getattr(rule, name) / timedelta(hours=1) for name in ("window", "warm_up")}
            asked["large_trades"] = {"quantile": rule.quantile, "floor_usd": rule.floor_usd, "hours": hours}
        return asked


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
    """Fetch tables into a directory, which appears whole or not at all.

    Parameters
    ----------
    request
        What to fetch.
    out
        A new directory, or one that an earlier fetch filled and this one would fill with at least as much.
    cache
        Where downloads and parsed files are kept, so that a run that was killed reads little again; by default
        ``.cache`` beside `out`.
    mirror
        Root of a copy of the archive, or of the exchange's interface.
    politeness, progress
        How hard the server may be asked, and whom to tell.
    now
        The time; by default that of the clock.

    Returns
    -------
    dict
        What was written to ``fetch.json``: what was asked, tables with rows and checksums, what is absent, missing
        and refused, and the findings.

    Raises
    ------
    ParameterError
        If the request cannot be fulfilled, or `out` holds something that would be lost.
    SourceError
        If the server cannot be reached. What came in so far is in the cache; `out` is as it was.
    MissingDataError
        If a symbol has no bars, or no rows at all where no bars were asked for.
    """
    moment = now or datetime.now(UTC)
    if request.start >= moment:
        raise ParameterError(f"`start` lies in the future: {request.start}")
    if mirror:
        split_credentials(mirror)  # one that is no URL is refused before anything is planned
    target = Path(out)
    _refuse_less(request, target)
    with dataset_directory(target) as directory:
        if request.from_archive:
            archive = ArchiveRequest(
                symbols=list(request.symbols),
                start=request.start.astimezone(UTC),
                end=request.end.astimezone(UTC),
                tables=request.wanted,
                interval=request.interval,
                mirror=mirror or ARCHIVE_URL,
                large_trades=request.large_trades,
            )
            kept = target.parent / ".cache" if cache is None else Path(cache)
            found = fetch_archive(archive, directory, cache=kept, politeness=politeness, progress=progress, now=moment)
            asked = request.to_dict() | {"mirror": split_credentials(archive.mirror)[0]}
        else:
            found = _from_exchange(request, directory, mirror, politeness, moment)
            asked = request.to_dict()
        _refuse_nothing(request, found)
        for name, table in found["tables"].items():
            table["file"] = f"{name}.parquet"
            table["sha256"] = sha256_of(directory / table["file"])
        manifest = found | {"request": asked, "findings": [_plain(each) for each in found["findings"]]}
        write_json(manifest, directory / MANIFEST)
    return manifest


def _refuse_nothing(request: FetchRequest, found: dict[str, Any]) -> None:
    """Raise if a symbol has no bars, or no rows at all where none were asked for: no data set can name it."""
    bars = [name for name in ("fine_bars", "bars") if name in request.wanted]
    tables = [found["tables"][name] for name in bars or found["tables"] if name in found["tables"]]
    held = {symbol for table in tables for symbol in table["rows_by_symbol"]}
    lost = sorted(set(request.symbols) - held)
    if lost:
        spans = [each for each in [*found["refused"], *found["missing"]] if each["symbol"] in lost]
        reasons = dict.fromkeys([*(each["reason"] for each in spans), *found["absent"].values()])
        cached = "; what came in of others is not fetched again" if request.from_archive else ""
        raise MissingDataError(
            f"no {'bars' if bars else 'rows'} were found of {', '.join(lost)} from {request.start:%Y-%m-%d} to "
            f"{request.end:%Y-%m-%d} ({'; '.join(list(reasons)[:4]) or 'there are none'}): is that its name at "
            f"{request.venue}, and was it traded then?{cached}"
        )


def summary(manifest: dict[str, Any]) -> Iterator[str]:
    """Yield the lines that tell a reader what a fetch brought, and what it did not.

    Parameters
    ----------
    manifest
        What `fetch` returned.
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
            continue  # told above
        key = (finding["table"], finding["rule"], finding["action"])
        counted[key] = counted.get(key, 0) + finding["rows"]
    for (table, rule, action), rows in sorted(counted.items()):
        yield f"found: {table} {rule}, {rows:,} rows {action}"
    unverified = sum(not each["verified"] for each in manifest["files"])
    if unverified:
        yield f"{unverified:,} of {len(manifest['files']):,} files came without a checksum"


def datasets_entry(manifest: dict[str, Any], out: str | Path) -> str:
    """Return the entry that names the directory, indented to stand below ``datasets:`` in ``params.yaml``.

    Parameters
    ----------
    manifest
        What `fetch` returned.
    out
        The directory, as the parameters shall name it.
    """
    request = manifest["request"]
    interval, where = request["interval"], Path(out)
    if where.is_absolute() and where.is_relative_to(Path.cwd()):
        where = where.relative_to(Path.cwd())
    name = re.sub(r"\W+", "_", where.name)
    if yaml.safe_load(name) != name:  # 2024 and `on` would be no names
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
    """Raise if `out` was fetched before with more than is asked now, which would be lost."""
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
            raise ParameterError(f"{out} holds the {name} {', '.join(lost)}: ask for them too, or name a new directory")
    if now["start"] > before["start"] or now["end"] < before["end"]:
        raise ParameterError(
            f"{out} holds {before['start']} to {before['end']}: ask for all of it, or name a new directory"
        )


def _from_exchange(
    request: FetchRequest, directory: Path, base_url: str, politeness: Politeness | None, now: datetime
) -> dict[str, Any]:
    from slackwater.sources.exchange import fetch_exchange  # the archive needs nothing of it

    found = fetch_exchange(
        request.venue,
        list(request.symbols),
        request.start,
        request.end,
        request.wanted,
        interval=request.interval,
        base_url=base_url or None,
        politeness=politeness,
        now=now,
    )
    tables: dict[str, Any] = {}
    for name, table in found.tables.items():
        if len(table):
            checked = validate(table.sort_values(["symbol", "event_time"], kind="stable"), name)
            write_parquet(checked, directory / f"{name}.parquet")
            first, last = checked["event_time"].min(), checked["event_time"].max()
            by_symbol = {str(symbol): int(rows) for symbol, rows in checked.groupby("symbol").size().items()}
            tables[name] = {
                "rows": len(checked),
                "rows_by_symbol": by_symbol,
                "first": first.isoformat(),
                "last": last.isoformat(),
            }
    return {
        "tables": tables,
        "absent": dict(found.absent),
        "files": [],
        "missing": [],
        "refused": [],
        "findings": list(found.findings),
    }


def _plain(finding: Finding) -> dict[str, Any]:
    return vars(finding) | {"start": finding.start.isoformat(), "end": finding.end.isoformat()}
