"""Messages made of the events of a journal, in plain English."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

from slackwater.journal.event import Kind

__all__ = ["MESSAGE_KINDS", "Message", "StoredEvent", "Urgency", "clock_text", "message_of"]

_LONGEST_TITLE: Final = 150
_LONGEST_TEXT: Final = 1_500
_ALARMS: Final = {"crowding": "crowding alarm", "pool": "dense pool near", "sweep": "sweep", "drift": "drift"}
_SIDES: Final = {1: "long", -1: "short"}


class Urgency(IntEnum):
    """Weight of a message, from an entry of a diary to a fault."""

    NOTE = 0
    WARNING = 1
    FAULT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """Event as a journal holds it: columns `id`, `ts_ns`, `kind`, `account`, `symbol`, and the payload as a mapping."""

    id: int
    ts_ns: int
    kind: str
    account: str
    symbol: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Message about one event.

    Parameters
    ----------
    episode
        Name of what it belongs to: one trade, one alarm of a symbol from beginning to end, one kind of data fault.
    update
        Name of what it states about the episode. Messages of an episode that state the same are equal updates.
    last
        Whether it ends the episode.
    title, text
        One line, and a few sentences without a line break.
    time_ns
        Time at which the event was known, nanoseconds since 1970 (UTC), by the clock of the feed.
    symbol
        Symbol; empty where it concerns none.
    urgency
        Weight.
    """

    episode: str
    update: str
    last: bool = False
    title: str
    text: str
    time_ns: int
    symbol: str
    urgency: Urgency = Urgency.NOTE


def message_of(event: StoredEvent) -> Message | None:
    """Return the message about an event, or None for a kind of which nobody wants to hear.

    What is not known is called so. The title of a message of a simulated market begins with SYNTHETIC.
    """
    made = _MAKERS.get(event.kind)
    if made is None:
        return None
    try:
        message = made(event)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        message = _unreadable(event)
    mark = "SYNTHETIC " if event.payload.get("synthetic", True) else ""
    return replace(
        message,
        episode=f"{event.account}/{message.episode}",
        title=_line(f"{mark}{message.title}", _LONGEST_TITLE),
        text=_line(f"{message.text} [{event.account}, {clock_text(event.ts_ns)}]", _LONGEST_TEXT),
    )


def clock_text(time_ns: int) -> str:
    """Return a time as it stands in messages.

    Examples
    --------
    >>> clock_text(1_704_067_200_000_000_000)
    '2024-01-01 00:00:00 UTC'
    """
    return f"{datetime.fromtimestamp(time_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _alarm(event: StoredEvent) -> Message:
    content = event.payload
    name, state = str(content["alarm"]), str(content["state"])
    over = state == "ends"
    return _message(
        event,
        # The alarm and its symbol belong to the name, so that no two alarms share an episode by mistake.
        episode=f"alarm/{name}/{event.symbol}/{content['episode']}",
        update="over" if over else "alarm",
        last=over,
        title=f"{_ALARMS.get(name, name)}{' is over' if over else ''}",
        text=str(content["message"]),
        urgency=Urgency.NOTE if over else Urgency.WARNING,
    )


def _plan(event: StoredEvent) -> Message:
    content = event.payload
    text = (
        f"Entry {_number(content['entry'])}, stop {_number(content['stop'])}, target {_number(content['target'])} "
        f"USDT; quantity {_number(content['quantity'])}, risk {_number(content['risk_usd'])} USDT; "
        f"triggers {content['triggers'] or 'not known'}; trade {content['trade']}."
    )
    title = f"{_side(content)} planned"
    return _message(event, episode=f"trade/{content['trade']}", update="plan", title=title, text=text)


def _refusal(event: StoredEvent) -> Message:
    reasons = event.payload["reasons"]
    codes = "+".join(sorted({str(reason["code"]) for reason in reasons}))
    text = "; ".join(f"{reason['code']}: {reason['message']}" for reason in reasons)
    # Symbols share the episode: what the gate refuses, it mostly refuses for many of them.
    return _message(event, episode=f"refusal/{codes}", update="refusal", title="not traded", text=f"{text}.")


def _fill(event: StoredEvent) -> Message:
    content = event.payload
    text = (
        f"{_number(content['quantity'])} at {_number(content['price'])} USDT, fee {_number(content['fee_usd'])} USDT; "
        f"order {content['order']}, trade {content['trade']}."
    )
    episode, update = f"trade/{content['trade']}", f"fill {content['order']}"
    return _message(event, episode=episode, update=update, title="order filled", text=text)


def _exit(event: StoredEvent) -> Message:
    content = event.payload
    text = (
        f"Exit: {content['exit_reason']}; result {_signed(content['net_r'])} R after costs, worst "
        f"{_signed(content['mae_r'], negated=True)} R and best {_signed(content['mfe_r'])} R while it was open, before "
        f"costs; funding paid {_number(content['funding_usd'])} USDT; trade {content['trade']}."
    )
    title = f"{_side(content)} closed, {_signed(content['net_r'])} R"
    return _message(event, episode=f"trade/{content['trade']}", update="exit", last=True, title=title, text=text)


def _data_fault(event: StoredEvent) -> Message:
    content = event.payload
    return _message(
        event,
        episode=f"data/{event.symbol}/{content['table']}/{content['rule']}",
        update="fault",
        title=f"data fault in {content['table']} ({content['rule']})",
        text=str(content["message"]),
        urgency=Urgency.FAULT,
    )


def _unreadable(event: StoredEvent) -> Message:
    text = f"The content of event {event.id} is not what a {event.kind} has; the journal holds it."
    return _message(event, episode=f"event/{event.id}", update="", last=True, title=str(event.kind), text=text)


def _watch(event: StoredEvent) -> Message:
    content = event.payload
    # Begins and ends are equal updates: a process that ends as soon as it begins would send a message every second.
    text, state = f"Code {content['code'] or 'not known'}.", str(content["state"])
    return _message(event, episode="watch", update=state, title=f"watch {state}", text=text)


_MAKERS: Final[Mapping[str, Callable[[StoredEvent], Message]]] = MappingProxyType(
    {
        Kind.ALARM: _alarm,
        Kind.PLAN: _plan,
        Kind.REFUSAL: _refusal,
        Kind.FILL: _fill,
        Kind.EXIT: _exit,
        Kind.DATA_FAULT: _data_fault,
        Kind.WATCH: _watch,
    }
)
MESSAGE_KINDS: Final = tuple(str(kind) for kind in _MAKERS)
"""Kinds of events that there are messages about."""


def _message(event: StoredEvent, *, title: str, **content: Any) -> Message:
    named = f"{event.symbol}: {title}" if event.symbol else title
    return Message(title=named, time_ns=event.ts_ns, symbol=event.symbol, **content)


def _side(content: Mapping[str, Any]) -> str:
    return _SIDES.get(content["side"], "position")


def _number(value: Any) -> str:
    """Return a number with up to seven significant digits, and never with an exponent."""
    return "not known" if value is None else format(Decimal(f"{float(value):.7g}"), ",f")


def _signed(value: Any, *, negated: bool = False) -> str:
    if value is None:
        return "not known"
    return f"{-float(value) + 0.0 if negated else float(value):+.2f}"


def _line(text: str, longest: int) -> str:
    """Return a text as one printable line of limited length."""
    printable = "".join(each if each.isprintable() else " " for each in text)
    return printable if len(printable) <= longest else f"{printable[: longest - 1]}…"
