"""Several messages as one, with a summary that comes first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from slackwater.alerts.episodes import Notice
from slackwater.alerts.message import Message, Urgency, clock_text

__all__ = ["Grouped", "grouped"]

_NAMED: Final = 12  # symbols that are named of those of equal updates


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouped:
    """One message to a channel, and how many notices of the given ones it contains, from the first on."""

    title: str
    text: str
    urgency: Urgency
    contained: int


def grouped(items: Sequence[tuple[Notice, Message]], *, limit: int, unsent: int = 0) -> Grouped:
    """Return the messages that wait for a channel as one, as many as fit, beginning with the oldest.

    Parameters
    ----------
    items
        At least one; the oldest first.
    limit
        Largest number of characters of the text.
    unsent
        Number of older messages that are no longer kept, since the channel has not answered for too long.
    """
    lost = f"{unsent:,} older messages could not be sent; the journal has them." if unsent else ""
    if len(items) == 1 and not lost:
        notice, message = items[0]
        return Grouped(
            title=message.title, text=_cut(_text(notice, message), limit), urgency=message.urgency, contained=1
        )
    summary = "\n".join(part for part in (lost, _summary([message for _, message in items], limit // 3)) if part)
    lines: list[str] = []
    room = limit - len(summary)
    for notice, message in items:
        line = f"{message.title}. {_text(notice, message)}"
        if lines and len(line) + 1 > room:
            break
        lines.append(_cut(line, max(room - 1, 1)))
        room -= len(lines[-1]) + 1
    shown = f" (the first {len(lines)})" if len(lines) < len(items) else ""
    synthetic = "SYNTHETIC " if any(message.title.startswith("SYNTHETIC ") for _, message in items) else ""
    return Grouped(
        title=f"{synthetic}{len(items):,} messages{shown}",
        text="\n".join((summary, *lines)),
        urgency=max(message.urgency for _, message in items),
        contained=len(lines),
    )


def _summary(messages: Sequence[Message], limit: int) -> str:
    """Return how many messages have which title, without the symbols, the heaviest first, while there is room."""
    kinds = Counter((-message.urgency, _of_any_symbol(message)) for message in messages)
    rest, parts = len(messages), list[str]()
    for (_, name), count in sorted(kinds.items()):
        part = f"{count:,} × {name}"
        if len(", ".join((*parts, part))) > limit:
            break
        parts.append(part)
        rest -= count
    others = f"{rest:,} {'others' if parts else 'messages'}"
    return f"{', '.join(parts + [others] * (rest > 0))}."


def _of_any_symbol(message: Message) -> str:
    title = message.title.removeprefix("SYNTHETIC ").removeprefix(f"{message.symbol}: ")
    return re.sub(r", [+-]\d+\.\d\d R$", "", title)


def _text(notice: Notice, message: Message) -> str:
    """Return the text of a message, and what was held back with it."""
    if not notice.more:
        return message.text
    several = len(notice.symbols) > 1
    named = [*notice.symbols[:_NAMED], *(["others"] if len(notice.symbols) > _NAMED else [])]
    symbols = f" ({', '.join(named)})" if several else ""
    updates = "update" if notice.more == 1 else "updates"
    return f"{message.text} And {notice.more:,} more {updates} since {clock_text(notice.since_ns)}{symbols}."


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: max(limit - 1, 0)]}…"
