"""The command `slackwater venue serve`; `slackwater.cli` names the group."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slackwater.errors import MissingExtraError, ParameterError
from slackwater.market.venues import EXCHANGES

if TYPE_CHECKING:
    import pandas as pd

    from slackwater.venue.script import Fault
    from slackwater.venue.server import VenueServer

__all__ = ["venue"]

venue = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Mock venues on loopback; see docs/live.md.")

_SERVED = ("liquidations", "large_trades", "mark_price", "premium_index", "open_interest", "funding", "depth")


@venue.callback()
def group() -> None:
    """Mock venues on loopback; see docs/live.md."""


@venue.command("serve")
def serve(
    name: Annotated[str, typer.Option("--venue", help=f"Formats: one of {', '.join(EXCHANGES)}.")] = "binance",
    tables: Annotated[
        Path | None, typer.Option(help="Directory of canonical tables; without: a simulated market.")
    ] = None,
    symbols: Annotated[str, typer.Option(help="Comma-separated symbols; by default all of --tables.")] = "",
    speed: Annotated[
        str, typer.Option(help="Seconds per second, 1 to 1000; max: as fast as the client takes it.")
    ] = "1",
    start: Annotated[str, typer.Option("--from", help="Start of the replay, UTC; by default that of the data.")] = "",
    end: Annotated[str, typer.Option("--to", help="End of the replay, UTC; by default that of the data.")] = "",
    script: Annotated[Path | None, typer.Option(help="YAML file with a list of faults.")] = None,
    fault: Annotated[
        list[str] | None, typer.Option(help='Fault, such as "silence at=5m lasts=90s"; repeatable.')
    ] = None,
    host: Annotated[str, typer.Option(help="Address of the loopback interface.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port; 0: any that is free.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated market.")] = 1,
) -> None:
    """Replay a data set as a venue: REST and websocket in the venue's own formats, with scripted faults.

    The replay begins with the first subscription, and the server stays after its end, until it is interrupted. It
    listens on the loopback interface alone, and has neither accounts nor orders.
    """
    try:
        from slackwater.venue.server import VenueServer, require_address
    except ModuleNotFoundError as error:
        raise MissingExtraError(f'{error.name} is not installed: run `pip install "slackwater[live]"`') from None
    from slackwater.venue.tape import Tape

    require_address(name, host)
    rate, faults = _speed(speed), _faults(script, fault or [])
    first, last = _time(start, "--from"), _time(end, "--to")
    names = [each.strip() for each in symbols.split(",") if each.strip()]
    held, synthetic = _held(tables, names or ["BTCUSDT"], seed)
    if synthetic:
        typer.echo("SYNTHETIC market: it is not evidence of a real edge")
    tape = Tape(held, names or None)
    server = VenueServer(name, tape, faults=faults, speed=rate, start=first, end=last, host=host, port=port)
    asyncio.run(_serve(server))
    typer.echo("stopped")


async def _serve(server: VenueServer) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # a process that a script puts into the background ignores SIGINT
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with server:
        typer.echo(f"{server.venue} on {server.url} with {', '.join(server.tape.histories)}")
        replay, stop = asyncio.create_task(server.replayed()), asyncio.create_task(stopped.wait())
        await asyncio.wait((replay, stop), return_when=asyncio.FIRST_COMPLETED)
        if replay.done():
            replay.result()
            typer.echo(f"the replay has ended: {', '.join(f'{n:,} {what}' for what, n in sorted(server.sent.items()))}")
            await stop
        replay.cancel()


def _time(text: str, option: str) -> int | None:
    from slackwater.times import epoch_us, parse_time

    return epoch_us(parse_time(text, option)) if text else None


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        return float(text)
    except ValueError:
        raise ParameterError(f"`--speed` must be a number or max, was {text!r}") from None


def _faults(script: Path | None, texts: list[str]) -> tuple[Fault, ...]:
    from slackwater.venue.script import fault_of_text, read_script

    return (*(read_script(script) if script is not None else ()), *map(fault_of_text, texts))


def _held(directory: Path | None, symbols: list[str], seed: int) -> tuple[Mapping[str, pd.DataFrame], bool]:
    """Return the tables to replay, and whether they are simulated."""
    from slackwater.storage import marked_synthetic, read_tables

    if directory is not None:
        return read_tables(directory, ("fine_bars", "bars", *_SERVED)), marked_synthetic(directory)
    from slackwater.simulation.market import simulate
    from slackwater.simulation.request import MarketRequest

    first = datetime.fromisoformat("2024-01-01T00:00Z")
    return simulate(MarketRequest(symbols=symbols, start=first, end=first + timedelta(days=2), seed=seed)).tables, True
