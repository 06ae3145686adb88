"""Paper trading beside a mock venue: real sockets, ccxt's real client, real files, and a clock that waits for all."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slackwater.feed.items import FeedRow
from slackwater.journal.store import reading
from slackwater.market.spec import FrameSpec
from slackwater.paper.input_log import InputLog, LoggedInput, input_files, read_inputs
from slackwater.paper.reconcile.differences import Reconciliation
from slackwater.paper.reconcile.reconcile import reconcile
from slackwater.paper.stored_account import CHECKPOINT, LOG, PaperSettings, StoredAccount
from slackwater.paper.watch import watch
from slackwater.scoring.scorer import ReversalScorer
from slackwater.venue.script import fault_of_text
from slackwater.venue.server import VenueServer
from slackwater.venue.tape import Tape
from tests.small_bundle import HORIZON, make_bundle, market
from tests.small_market import DECISION_LAG
from tests.virtual_clock import VirtualClock

NOT_FED = ("whale_transfers", "long_short_ratio", "exchange_flows", "large_trades")
DAYS = 110
BAR = timedelta(minutes=5)
SPEC = FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG)
AFTER = HORIZON + timedelta(hours=1)
_EXACT = 8.0
"""Volumes are multiples of its inverse, so that their sums are exact in any order."""
_DECIMALS = {"open": 2, "high": 2, "low": 2, "close": 2, "price": 2, "quantity": 3, "open_interest": 3}
_DECIMALS |= {"premium_index": 8, "funding_rate": 8, "bid_quantity_1pct": 3, "ask_quantity_1pct": 3}


def paper_market(
    days: int = DAYS,
    *,
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
    minutes_of: timedelta = timedelta(days=2),
) -> dict[str, pd.DataFrame]:
    """The small market in the tables that a feed supplies, in decimals of a venue, its end with bars of a minute.

    Its mark price is that of its last trades. A book is read two seconds before a bar closes.
    """
    made = market(days, symbols, bar=BAR)
    tables = {name: table.round(_DECIMALS) for name, table in made.items() if name not in NOT_FED}
    for name in ("event_time", "available_time"):
        tables["depth"][name] = tables["bars"]["event_time"] - timedelta(seconds=2)
    bars = tables["bars"]
    for name in ("volume", "taker_buy_volume"):
        bars[name] = np.ceil(bars[name] / 5.0 * _EXACT) / _EXACT * 5.0
    late = bars[bars["open_time"] >= bars["event_time"].max() - minutes_of]
    fine = pd.concat([_minutes(row) for row in late.to_dict("records")], ignore_index=True)
    fine = fine.sort_values(["symbol", "open_time"], ignore_index=True)
    premium = tables["premium_index"]
    early = premium[premium["event_time"] <= late["open_time"].min()]
    each = fine[["symbol", "event_time", "available_time"]].assign(
        premium_index=np.round(1e-4 * np.sin(np.arange(len(fine))), 8)
    )
    tables["premium_index"] = pd.concat([early, each], ignore_index=True)
    return tables | {"fine_bars": fine, "mark_price": fine.drop(columns=["volume", "taker_buy_volume"])}


def _minutes(bar: dict[str, Any]) -> pd.DataFrame:
    """Five bars of a minute that make up one of five: open, the two extremes, and close, in straight lines."""
    first, second = ("low", "high") if bar["close"] >= bar["open"] else ("high", "low")
    knots = [bar["open"], bar[first], (bar[first] + bar[second]) / 2.0, bar[second]]
    path = np.round([*knots, (bar[second] + bar["close"]) / 2.0, bar["close"]], 2)
    opened = bar["open_time"] + pd.to_timedelta(np.arange(5), unit="min")
    closed = opened + timedelta(minutes=1)
    return pd.DataFrame(
        {
            "symbol": bar["symbol"],
            "event_time": closed,
            "available_time": closed + timedelta(seconds=2),
            "open_time": opened,
            "open": path[:-1],
            "high": np.maximum(path[:-1], path[1:]),
            "low": np.minimum(path[:-1], path[1:]),
            "close": path[1:],
            "volume": bar["volume"] / 5.0,
            "taker_buy_volume": bar["taker_buy_volume"] / 5.0,
        }
    )


def paper_bundle(directory: Path, **given: Any) -> Path:
    """A bundle of that market with many events, whose gate lets most of them pass, and whose trades are short."""
    pause = timedelta(minutes=20)
    often = {"extended_threshold": 0.7, "extended_cooldown": pause, "cusum_threshold": 0.4, "cusum_cooldown": pause}
    families = {"triggers": often | {"extended_floor": 0.001, "cusum_floor": 0.001}}
    entry = {"probability_threshold": 0.0, "in_range_features": False}
    near = {"stop_sd": 0.3, "target_sd": 0.3}
    given |= {"families": families, "entry": entry, "bracket": near}
    return make_bundle(directory, days=DAYS, spec=SPEC, without=NOT_FED, **given)


def before(tables: dict[str, pd.DataFrame], time: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """What was known at a time, of the tables that feed inputs."""
    return {
        name: table[table["available_time"] <= time].reset_index(drop=True)
        for name, table in tables.items()
        if name not in ("mark_price", "fine_bars")
    }


@dataclass
class PaperRun:
    """A period of paper trading that ended well."""

    account: StoredAccount
    sent: dict[str, int]


async def _traded(
    settings: PaperSettings,
    scorer: ReversalScorer,
    tables: dict[str, pd.DataFrame],
    span: tuple[pd.Timestamp, pd.Timestamp],
    faults: Sequence[str],
) -> PaperRun:
    start, end = span
    clock = VirtualClock(start.value)
    script = [fault_of_text(each) for each in faults]
    tape = Tape(tables, settings.symbols)
    ends = int(end.value // 1000)
    async with VenueServer(
        settings.venue, tape, clock=clock, faults=script, start=int(start.value // 1000), end=ends, begin="call"
    ) as server:
        here = PaperSettings(**{**vars(settings), "server": server.url})
        account = StoredAccount(here, scorer)
        account.open(start, before(tables, start))
        connected = asyncio.Event()
        running = asyncio.create_task(watch(account, clock, on_feed=lambda feed: connected.set()))
        await asyncio.wait([running, asyncio.create_task(connected.wait())], return_when=asyncio.FIRST_COMPLETED)
        while server.channels < _channels(settings) and not running.done():
            await asyncio.sleep(0.01)
        server.begin()
        with clock.running():
            await asyncio.wait([running, asyncio.create_task(server.replayed())], return_when=asyncio.FIRST_COMPLETED)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if not running.cancelled() and running.exception() is not None:
            raise running.exception()
        return PaperRun(account, dict(server.sent))


def _channels(settings: PaperSettings) -> int:
    """How many channels there are: bars, fine bars, trades, liquidations; OKX has one of these for all, Gate none."""
    symbols = len(settings.symbols)
    return 3 * symbols + {"okx": 1, "gate": 0}.get(settings.venue, symbols)


def trade_on_paper(
    place: Path,
    scorer: ReversalScorer,
    tables: dict[str, pd.DataFrame],
    hours: float,
    faults: Sequence[str] = (),
    **settings: Any,
) -> PaperRun:
    """Trade hours of a market on paper; after them comes as much as a horizon, for a reconciliation."""
    end = tables["bars"]["event_time"].max() - AFTER
    asked = PaperSettings(
        **{
            "directory": place / "paper",
            "journal": place / "journal.db",
            "venue": "binance",
            "symbols": tuple(sorted(set(tables["bars"]["symbol"]))),
        }
        | settings
    )
    return asyncio.run(_traded(asked, scorer, tables, (end - timedelta(hours=hours), end), faults))


class Period:
    """A recorded period: its files, the scorer, and the market that was replayed."""

    def __init__(self, root: Path, hours: float) -> None:
        self.root = root
        self.scorer = ReversalScorer.load(paper_bundle(root / "bundle"))
        self.tables = paper_market()
        self.account = trade_on_paper(root, self.scorer, self.tables, hours).account

    def settings(self, place: Path, **changes: Any) -> PaperSettings:
        kept = {**vars(self.account.settings), "directory": place / "paper", "journal": place / "journal.db"}
        return PaperSettings(**kept | changes)

    def copy(self, place: Path, *, journal: bool = True, checkpoint: str = CHECKPOINT) -> Path:
        """Copy the files; with another checkpoint, as a process leaves them that was killed before it wrote one."""
        shutil.copytree(self.root / "paper", place / "paper")
        if checkpoint != CHECKPOINT:
            shutil.copy(place / "paper" / checkpoint, place / "paper" / CHECKPOINT)
        if journal:
            shutil.copy(self.root / "journal.db", place / "journal.db")
        return place

    def reconciled(self, place: Path, tables: dict[str, pd.DataFrame] | None = None) -> Reconciliation:
        return reconcile(place / "paper", place / "journal.db", self.scorer, tables)


def edit_log(place: Path, change: Callable[[FeedRow], FeedRow | None]) -> int:
    """Change the rows of a log one by one, or leave them out; return how many were."""
    changed = 0
    inputs = list(read_inputs(place / "paper" / LOG))
    for path in input_files(place / "paper" / LOG):
        path.unlink()
    log = InputLog(place / "paper" / LOG)
    for taken in inputs:
        what = change(taken.what) if isinstance(taken.what, FeedRow) else taken.what
        changed += what is not taken.what
        if what is not None:
            log.write(LoggedInput(taken.now_us, what))
    log.close()
    return changed


def events(path: Path) -> dict[str, tuple[str, int, str]]:
    """Everything in a journal but the words of the process, by key."""
    with reading(path) as held:
        rows = held.rows("SELECT key, kind, ts_ns, payload_json FROM event WHERE kind != 'watch'")
    assert len({row[0] for row in rows}) == len(rows)
    return {key: (kind, ts_ns, payload) for key, kind, ts_ns, payload in rows}
