"""The commands `slackwater alerts ...`; `slackwater.cli` names the group."""

from __future__ import annotations

import signal
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slackwater.commands.json_output import AsJson, print_json
from slackwater.errors import ParameterError

if TYPE_CHECKING:
    from slackwater.alerts.channels import Answer
    from slackwater.alerts.follower import AlertFollower

__all__ = ["alerts"]

alerts = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Messages about what a journal holds; see docs/alerts.md."
)

JournalPath = Annotated[Path, typer.Option("--journal", help="File of the journal.")]
_DEFAULT = Path("journal.db")
_LOOK_SECONDS = 0.2


@alerts.command("test")
def send_test(as_json: AsJson = False) -> None:
    """Send a test message to every channel of SLACKWATER_ALERTS; status 1 if one did not take it."""
    from slackwater.alerts.channels import channels_of
    from slackwater.alerts.message import Urgency

    text = "This is a test of `slackwater alerts test`. Nothing has happened."
    answers = [(each.label, each.send("slackwater: test", text, Urgency.NOTE)) for each in channels_of()]
    if as_json:
        print_json({"channels": _rows(answers)})
    else:
        _print_answers(answers)
    if not all(answer.sent for _, answer in answers):
        raise typer.Exit(1)


@alerts.command()
def follow(
    path: JournalPath = _DEFAULT,
    drain: Annotated[str, typer.Option(help="Time at the end for what still waits, such as 10s.")] = "10s",
) -> None:
    """Send messages about what is written into a journal, until Ctrl-C or SIGTERM; status 1 if some were not sent.

    It begins with the events after its last message, at the first time with those that follow. The journal need not
    exist yet. What could not be sent is sent at the next start.
    """
    from slackwater.alerts.channels import channels_of
    from slackwater.alerts.follower import AlertFollower

    within = _duration(drain, "--drain")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # a process that a script puts into the background ignores SIGINT
        signal.signal(number, lambda *_: stopped.set())
    channels = channels_of()
    with AlertFollower(path, channels, tell=_tell) as follower:
        typer.echo(f"following {path} after event {follower.position}, to {', '.join(each.label for each in channels)}")
        follower.start()
        _wait(follower, stopped)
        unsent = follower.stop(within)
        for sentence in unsent:
            typer.echo(sentence, err=True)
        typer.echo(f"stopped after event {follower.position}")
    if unsent:
        raise typer.Exit(1)


@alerts.command()
def check(
    path: JournalPath = _DEFAULT,
    longest: Annotated[str, typer.Option(help="Longest time without a sign of life, such as 15m.")] = "15m",
    as_json: AsJson = False,
) -> None:
    """Send a message if the process that writes a journal is silent, and exit with status 1; for cron.

    A silence that lasts is told again after ever longer waits, and its end once.
    """
    from slackwater.alerts.channels import channels_of
    from slackwater.alerts.silence import check_silence

    found = check_silence(path, channels_of(), longest=_duration(longest, "--longest"))
    if as_json:
        print_json({"silent": found.silent, "sentence": found.sentence, "channels": _rows(found.answers)})
    else:
        typer.echo(found.sentence)
        _print_answers(found.answers)
    if found.silent:
        raise typer.Exit(1)


def _wait(follower: AlertFollower, stopped: threading.Event) -> None:
    """Wait for a signal, or for the end of what can be followed."""
    from slackwater.alerts.errors import OtherJournalError

    while not stopped.wait(_LOOK_SECONDS):
        if isinstance(follower.fault, OtherJournalError):
            raise follower.fault


def _rows(answers: Sequence[tuple[str, Answer]]) -> list[dict[str, object]]:
    return [{"channel": label, "sent": answer.sent, "reason": answer.reason} for label, answer in answers]


def _print_answers(answers: Sequence[tuple[str, Answer]]) -> None:
    for label, answer in answers:
        typer.echo(f"channel {label}: {'sent' if answer.sent else answer.reason}", err=not answer.sent)


def _tell(sentence: str) -> None:
    typer.echo(sentence, err=True)


def _duration(text: str, option: str) -> timedelta:
    from slackwater.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise ParameterError(f"`{option}` {error}") from None
