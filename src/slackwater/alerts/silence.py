"""Alarm of a process that is silent: the dead man's switch of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from slackwater.alerts.channels import Answer, Channel
from slackwater.alerts.heartbeat import Beat, heartbeat_path, last_beat
from slackwater.alerts.message import Urgency, clock_text
from slackwater.durations import duration_text
from slackwater.errors import ParameterError
from slackwater.storage import strict_json, write_json

__all__ = ["Silence", "check_silence"]

_LONGEST_WAIT: Final = 4 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Outcome of a check.

    Parameters
    ----------
    silent
        Whether nothing was heard for too long.
    sentence
        What was found.
    answers
        Label of each channel that was asked, and its answer; empty where no message was due.
    """

    silent: bool
    sentence: str
    answers: tuple[tuple[str, Answer], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What was told of a silence: when last, in seconds since 1970, and the wait until it is told again."""

    at: float
    wait: float


def check_silence(
    journal: str | Path, channels: Sequence[Channel], *, longest: timedelta, clock: Callable[[], float] = time.time
) -> Silence:
    """Send a message if the process that writes a journal has given no sign of life for too long.

    A silence that lasts is told again after `longest`, then after twice as long, and so on up to four hours. When the
    process is heard again, that is told once. What was told is in ``<journal>.silence``.

    Parameters
    ----------
    journal
        Journal; it need not exist.
    channels
        Channels to tell.
    longest
        Longest time without a sign of life, above zero.
    clock
        Clock of the machine, in seconds since 1970.

    Raises
    ------
    ParameterError
        If `longest` is not above zero.
    """
    if longest <= timedelta(0):
        raise ParameterError(f"`longest` must be above zero, was {longest}")
    now, limit = clock(), longest.total_seconds()
    beat, record = last_beat(journal), Path(journal).with_name(f"{Path(journal).name}.silence")
    told = _told(record)
    if beat is not None and abs(now - beat.machine_ns / 1e9) <= limit:
        found = Silence(silent=False, sentence=f"The last sign of life is of {clock_text(beat.machine_ns)}.")
        if told is None:
            return found
        answers = _sent(channels, "The watch is heard again", found.sentence, Urgency.NOTE)
        if any(answer.sent for _, answer in answers):
            with suppress(OSError):
                record.unlink()
        return replace(found, answers=answers)
    sentence = _sentence(journal, beat, longest)
    if told is not None and abs(now - told.at) < told.wait:
        return Silence(silent=True, sentence=sentence)
    answers = _sent(channels, "The watch is silent", sentence, Urgency.FAULT)
    if any(answer.sent for _, answer in answers):
        wait = limit if told is None else min(2.0 * told.wait, max(limit, _LONGEST_WAIT))
        with suppress(OSError):  # on a full disk it is told each time
            write_json(asdict(_Told(at=now, wait=wait)), record)
    return Silence(silent=True, sentence=sentence, answers=answers)


def _sentence(journal: str | Path, beat: Beat | None, longest: timedelta) -> str:
    if beat is None:
        return (
            f"There is no sign of life in {heartbeat_path(journal).name}: no process has written it, or it is damaged."
        )
    return (
        f"Nothing was heard since {clock_text(beat.machine_ns)} (by the clock of the feed {clock_text(beat.feed_ns)}), "
        f"for longer than {duration_text(longest)}; process {beat.process}, journal {Path(journal).name}."
    )


def _sent(channels: Sequence[Channel], title: str, text: str, urgency: Urgency) -> tuple[tuple[str, Answer], ...]:
    return tuple((channel.label, channel.send(title, text, urgency)) for channel in channels)


def _told(record: Path) -> _Told | None:
    try:
        content = strict_json(record.read_text(encoding="utf-8"))
        return _Told(at=float(content["at"]), wait=float(content["wait"]))
    except (OSError, ValueError, TypeError, KeyError):  # a damaged record makes one message too many
        return None
