"""Channels: the services to which alerts go, one per URL of apprise in the environment."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from slackwater.alerts.answers import Heard, listening
from slackwater.alerts.message import Urgency
from slackwater.errors import MissingExtraError, ParameterError

if TYPE_CHECKING:
    from apprise import Apprise

__all__ = ["CHANNELS", "Answer", "Channel", "channels_of"]

CHANNELS: Final = "SLACKWATER_ALERTS"
"""Environment variable with the URLs, separated by spaces or line breaks."""

_SCHEMA: Final = re.compile(r"([a-z][a-z0-9]{0,19})://", re.IGNORECASE)
_LONGEST_TEXT: Final = 3_000
_SHORTEST_TEXT: Final = 120
_TITLE_ROOM: Final = 250
_TYPES: Final = {Urgency.NOTE: "info", Urgency.WARNING: "warning", Urgency.FAULT: "failure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Outcome of one attempt.

    Parameters
    ----------
    sent
        Whether the service took the message.
    reason
        Why not, without anything of the URL; empty if it did.
    wait
        Seconds that the service asks to wait before the next attempt; None if it does not ask.
    """

    sent: bool
    reason: str = ""
    wait: float | None = None


class Channel:
    """Service that takes messages; made by `channels_of`. Its URL is in none of its names and texts.

    Attributes
    ----------
    name
        Name that is the same whenever the same URL is given: schema and four digits of a digest.
    label
        Name for people: place in the list and schema.
    limit
        Largest number of characters of a text.
    """

    __slots__ = ("_service", "label", "limit", "name")

    def __init__(self, name: str, label: str, limit: int, service: Apprise) -> None:
        self.name, self.label, self.limit = name, label, limit
        self._service = service

    def send(self, title: str, text: str, urgency: Urgency) -> Answer:
        """Send one message, in one attempt of a few seconds; no error is raised."""
        from apprise import NotifyFormat, NotifyType

        with listening() as heard:
            try:
                sent = bool(
                    self._service.notify(
                        text, title=title, notify_type=NotifyType(_TYPES[urgency]), body_format=NotifyFormat.TEXT
                    )
                )
            except Exception as error:  # whatever a service does, the others go on; its text may contain the URL
                return Answer(sent=False, reason=f"failed ({type(error).__name__})", wait=heard.wait)
        return Answer(sent=True) if sent else Answer(sent=False, reason=_reason(heard), wait=heard.wait)


def channels_of(environment: Mapping[str, str] = os.environ) -> tuple[Channel, ...]:
    """Return the channels that `SLACKWATER_ALERTS` names.

    Raises
    ------
    ParameterError
        If there is none, apprise cannot read a URL, or one is there twice. A URL is named by its place in the list and
        its schema, never by its content.
    MissingExtraError
        If apprise is not installed.
    """
    urls = environment.get(CHANNELS, "").split()
    if not urls:
        raise ParameterError(
            f"the environment variable {CHANNELS} names no channel: set it to one or more URLs of apprise, such as "
            "tgram://TOKEN/CHAT, separated by spaces"
        )
    channels = tuple(_channel(url, f"{at} of {len(urls)}") for at, url in enumerate(urls, start=1))
    for at, channel in enumerate(channels, start=1):
        if channel.name in {each.name for each in channels[: at - 1]}:
            raise ParameterError(f"{CHANNELS}: URL {channel.label} is there twice: leave one out")
    return channels


def _channel(url: str, place: str) -> Channel:
    try:
        from apprise import Apprise, AppriseAsset, OverflowMode
    except ModuleNotFoundError as error:
        raise MissingExtraError(f'{error.name} is not installed: run `pip install "slackwater[live]"`') from None

    with listening():
        schema = _schema(url)
        # Without a limit of its own apprise sends from the calling thread, where its answers are heard.
        service = Apprise(asset=AppriseAsset(async_mode=False, service_timeout=0, secure_logging=True))
        plugin = Apprise.instantiate(url, asset=service.asset)
        if plugin is None:
            raise ParameterError(
                f"{CHANNELS}: apprise cannot read URL {place} ({schema}): compare it with what apprise documents for "
                "that service"
            )
        # The outbox repeats what failed, with its own waits, and `optional` would call a failure a success.
        plugin.retry, plugin.optional, plugin.overflow_mode = 0, False, OverflowMode.SPLIT
        service.add(plugin)
    limit = max(_SHORTEST_TEXT, min(_LONGEST_TEXT, plugin.body_maxlen - _TITLE_ROOM))
    digest = hashlib.sha256(url.encode()).hexdigest()[:4]  # 16 bits tell channels apart, and nothing about a token
    return Channel(f"{schema}-{digest}", f"{place} ({schema})", limit, service)


def _schema(url: str) -> str:
    """Return the schema of a URL if apprise has it; what else stands there may be a secret in the wrong place."""
    from apprise.manager_plugins import NotificationManager

    found = _SCHEMA.match(url)
    known: Any = NotificationManager()  # type: ignore[no-untyped-call]
    if found and (found[1].lower() in known or found[1].lower() in ("http", "https")):
        return found[1].lower()
    return "unknown schema" if found else "no schema"


def _reason(heard: Heard) -> str:
    if heard.status:
        asked = "" if heard.wait is None else f" and asks for {heard.wait:g} s"
        return f"answered {heard.status}{asked}"
    return f"could not be reached ({heard.failure})" if heard.failure else "did not take the message"
