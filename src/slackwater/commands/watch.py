"""The commands `slackwater watch` and `slackwater reconcile`."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slackwater.commands.json_output import AsJson, print_json
from slackwater.errors import MissingExtraError, ParameterError
from slackwater.market.venues import EXCHANGES

if TYPE_CHECKING:
    from slackwater.alerts.follower import AlertFollower
    from slackwater.feed.live import Feed
    from slackwater.paper.reconcile.differences import Reconciliation
    from slackwater.paper.stored_account import StoredAccount
    from slackwater.paper.viewer import Viewer

__all__ = ["reconcile", "watch"]

_Bundle = Annotated[Path, typer.Option(help="Directory of the bundle.")]
_State = Annotated[
    Path, typer.Option("--state", help="Directory of the account; a new one begins where there is none.")
]
_Journal = Annotated[Path, typer.Option("--journal", help="File of the journal.")]


def watch(
    venue: Annotated[str, typer.Option(help=f"One of {', '.join(EXCHANGES)}.")],
    bundle: _Bundle = Path("models/scorer"),
    symbols: Annotated[str, typer.Option(help="Comma-separated; by default those that the models learned from.")] = "",
    history: Annotated[
        Path | None, typer.Option(help="Directory of canonical tables with which a new account begins.")
    ] = None,
    state: _State = Path("paper"),
    journal: _Journal = Path("journal.db"),
    account: Annotated[str, typer.Option(help="Name of the account in the journal.")] = "paper",
    equity: Annotated[float, typer.Option(help="Cash of a new account, USDT.")] = 10_000.0,
    fine_interval: Annotated[str, typer.Option(help="Length of the finest bars, by which orders are checked.")] = "1m",
    server: Annotated[str, typer.Option(help="Address of a mock venue (`slackwater venue serve`).")] = "",
    raw: Annotated[Path | None, typer.Option(help="File for the raw messages of the venue.")] = None,
    web: Annotated[int, typer.Option("--web", help="Port of a page on loopback; 0: any that is free; -1: none.")] = -1,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show nothing but errors.")] = False,
) -> None:
    """Trade on paper: live data, scores, decisions, orders that meet the market, a journal. Never a real order.

    It runs until Ctrl-C or SIGTERM, and continues with the same command after any stop, also after kill -9. Alerts go
    to the services in SLACKWATER_ALERTS, signs of life to SLACKWATER_HEARTBEAT (docs/alerts.md).
    """
    from slackwater.market.inputs import INPUT_TABLES
    from slackwater.paper.stored_account import SETTINGS, PaperSettings, StoredAccount
    from slackwater.scoring.scorer import ReversalScorer
    from slackwater.storage import read_tables

    _require_extra()
    if venue not in EXCHANGES:
        raise ParameterError(f"`--venue` must be one of {', '.join(EXCHANGES)}, was {venue!r}")
    scorer = ReversalScorer.load(bundle)
    names = tuple(each.strip() for each in symbols.split(",") if each.strip()) or tuple(scorer.manifest["symbols"])
    settings = PaperSettings(
        directory=state,
        journal=journal,
        venue=venue,
        symbols=tuple(sorted(names)),
        account=account,
        equity=equity,
        fine_interval=fine_interval,
        server=server or None,
        raw_path=raw,
    )
    stored = StoredAccount(settings, scorer)
    is_new = not (state / SETTINGS).is_file()
    tables = read_tables(history, INPUT_TABLES) if history is not None and is_new else None
    with _alerts(journal) as follower:
        begun = stored.open(_now(server), tables)
        if not quiet:
            typer.echo(_headline(stored, begun, history is not None, is_new))
        asyncio.run(_run(stored, web, quiet))
        _tell_unsent(follower)
    if not quiet:
        typer.echo("stopped; the same command continues from here")


def reconcile(
    bundle: _Bundle = Path("models/scorer"),
    tables: Annotated[
        Path | None,
        typer.Option(
            help="Directory of canonical tables of the period, fetched afterwards; without: what the account saw."
        ),
    ] = None,
    state: _State = Path("paper"),
    journal: _Journal = Path("journal.db"),
    most: Annotated[int, typer.Option(min=0, help="Differences to print.")] = 40,
    as_json: AsJson = False,
) -> None:
    """Compare paper trading with history: every difference gets one cause. Exit status 1 if one is unexplained."""
    from slackwater.paper.reconcile.reconcile import reconcile as compared
    from slackwater.scoring.scorer import ReversalScorer
    from slackwater.storage import read_tables

    _require_extra()
    scorer = ReversalScorer.load(bundle)
    found = compared(state, journal, scorer, None if tables is None else read_tables(tables))
    if as_json:
        print_json(_content(found))
    else:
        for line in _lines(found, most):
            typer.echo(line)
    raise typer.Exit(bool(found.unexplained))


def _require_extra() -> None:
    try:
        import ccxt  # type: ignore[import-untyped]  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError(f'{error.name} is not installed: run `pip install "slackwater[live]"`') from None


def _now(server: str) -> datetime:
    """Return the time at which a new account begins: that of the mock venue, where there is one."""
    if not server:
        return datetime.now(UTC)
    from slackwater.feed.mock_clock import clock_of

    clock = asyncio.run(clock_of(server))
    return datetime.now(UTC) if clock is None else datetime.fromtimestamp(clock.now_ns() / 1e9, UTC)


@contextlib.contextmanager
def _alerts(journal: Path) -> Any:
    """Follow the journal with alerts, where the environment names services; it begins before what it follows."""
    from slackwater.alerts.channels import CHANNELS, channels_of
    from slackwater.alerts.follower import AlertFollower

    if not os.environ.get(CHANNELS, "").strip():
        yield None
        return
    with AlertFollower(journal, channels_of(), tell=lambda text: typer.echo(text, err=True)) as follower:
        follower.start()
        yield follower


def _tell_unsent(follower: AlertFollower | None) -> None:
    for sentence in () if follower is None else follower.stop():
        typer.echo(sentence, err=True)


async def _run(account: StoredAccount, web: int, quiet: bool) -> None:
    """Trade until a signal, with the screens beside it."""
    from slackwater.alerts.heartbeat import Heartbeat
    from slackwater.paper.viewer import Viewer
    from slackwater.paper.watch import watch as paper_watch

    viewer = Viewer(account.desk, account.settings.venue)
    account.on_events = viewer.take
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    feeds: list[Feed] = []
    async with _page(viewer, web):
        trading = asyncio.create_task(paper_watch(account, on_feed=feeds.append))
        showing = asyncio.create_task(_shown(viewer, feeds, Heartbeat(account.settings.journal), quiet))
        stop = asyncio.create_task(stopped.wait())
        await asyncio.wait((trading, showing, stop), return_when=asyncio.FIRST_COMPLETED)
        for task in (trading, showing, stop):
            task.cancel()
        for done in await asyncio.gather(trading, showing, stop, return_exceptions=True):
            if isinstance(done, Exception):
                raise done


@contextlib.asynccontextmanager
async def _page(viewer: Viewer, port: int) -> AsyncIterator[None]:
    if port < 0:
        yield
        return
    from slackwater.paper.screen.web import WebScreen

    async with WebScreen(viewer.latest, viewer.candles, port) as page:
        typer.echo(f"page: {page.url}")
        yield


async def _shown(viewer: Viewer, feeds: list[Feed], heartbeat: Any, quiet: bool) -> None:
    """Draw a view per second, and give a sign of life while data arrive."""
    from slackwater.paper.screen.terminal import TerminalScreen

    with contextlib.nullcontext() if quiet else TerminalScreen() as screen:
        while True:
            if feeds:
                now_ns = feeds[0].clock.now_ns()
                view = viewer.refresh(now_ns // 1000)
                if screen is not None:
                    screen.show(view)
                if any(each.healthy for each in view.streams if each.table == "bars"):
                    heartbeat.beat(now_ns)
            await asyncio.sleep(1.0)


def _headline(account: StoredAccount, begun: str, with_history: bool, is_new: bool) -> str:
    settings, origin = account.settings, account.desk.settings.origin
    mark = "SYNTHETIC: " if origin.synthetic else ""
    verdict = account.scorer.manifest["verdict"]
    text = (
        f"{mark}paper trading {begun}: {', '.join(settings.symbols)} at {settings.venue}, account {origin.account}, "
        f"{account.desk.broker.equity():,.2f} USDT\n{verdict['verdict']}: {verdict['sentence']}"
    )
    if is_new and not with_history:
        text += f"\nwithout --history nothing is traded for the {account.scorer.warm_up} that the features need"
    return text


def _lines(found: Reconciliation, most: int) -> list[str]:
    mark = "SYNTHETIC: " if found.synthetic else ""
    out = [
        f"{mark}account {found.account}, {found.start} to {found.end}: {found.inputs:,} inputs read again, "
        f"{found.events:,} journalled events compared",
        f"scores: {found.equal_scores:,} of {found.scores:,} the same to the last bit",
        f"decisions: {found.equal_decisions:,} of {found.decisions:,} the same",
        f"trades: {found.trades:,} closed by both, {found.paper_r:+.2f} R on paper and {found.history_r:+.2f} R in the "
        f"backtest; {found.open:,} planned and not closed",
    ]
    out += [f"{count:>6,}  {cause}" for cause, count in found.counts().items() if count]
    shown = sorted(found.differences, key=lambda each: each.cause.value != "unexplained")[:most]
    out += [
        f"{each.event_time:%Y-%m-%d %H:%M:%S}  {each.symbol}  {each.what}  [{each.cause}]  {each.text}"
        for each in shown
    ]
    if len(found.differences) > len(shown):
        out.append(f"and {len(found.differences) - len(shown):,} more differences; `--most` prints them, `--json` all")
    unexplained = len(found.unexplained)
    out.append(f"{unexplained:,} unexplained" if unexplained else "every difference has its cause")
    return out


def _content(found: Reconciliation) -> dict[str, Any]:
    names = ("account", "synthetic", "inputs", "events", "scores", "equal_scores", "decisions", "equal_decisions")
    return {name: getattr(found, name) for name in (*names, "trades", "open", "paper_r", "history_r")} | {
        "start": found.start.isoformat(),
        "end": found.end.isoformat(),
        "causes": found.counts(),
        "differences": [
            {**each._asdict(), "cause": each.cause.value, "event_time": each.event_time.isoformat()}
            for each in found.differences
        ],
    }
