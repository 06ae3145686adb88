"""Recorded messages from which a reader took nothing: how many, of which kinds, and of which venue they look."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

from slackwater.errors import DefectWarning, SchemaError
from slackwater.market.columns import shown
from slackwater.sources.exchange.venue import Venue
from slackwater.sources.exchange.venues import VENUES

__all__ = ["PassedOver"]

_ANSWERS = ("subscribe", "unsubscribe")


class PassedOver:
    """The count of the messages of a record, and of those from which nothing was taken.

    A kind of which some messages were taken is known to the reader, and is not counted; nor are answers to a
    subscription and signs of life, unless the record has nothing else.

    Parameters
    ----------
    venue
        Venue whose reader was used.
    contract_sizes
        Coins per contract that it was given.
    """

    def __init__(self, venue: Venue, contract_sizes: Mapping[str, float]) -> None:
        self._venue, self._sizes = venue, contract_sizes
        self._messages = 0
        self._taken = Counter[str]()
        self._left = Counter[str]()
        self._elsewhere = Counter[str]()

    def count(self, message: Any, *, taken: bool) -> None:
        """Count one message, from which something was taken or not."""
        self._messages += 1
        kind = _kind(message)
        (self._taken if taken else self._left)[kind] += 1
        if not taken:
            self._elsewhere.update(
                each.name for each in VENUES.values() if each.name != self._venue.name and self._is_of(each, message)
            )

    def report(self) -> None:
        """Name what was passed over.

        Raises
        ------
        SchemaError
            If nothing was taken, and messages are those of another venue.

        Warns
        -----
        DefectWarning
            If nothing was taken, or nothing of some kinds.
        """
        name, taken = self._venue.name, self._taken.total()
        kinds = Counter({kind: n for kind, n in self._left.items() if kind and kind not in self._taken})
        listed = ", ".join(f"{n:,} of {shown(kind)}" for kind, n in kinds.most_common(8)) or "none has a kind"
        others = " and ".join(f"{n:,} look like those of {other}" for other, n in self._elsewhere.most_common())
        counted = f"{taken:,} of {self._messages:,} messages were read as liquidations or trades of {name}"
        if self._messages and not taken and self._elsewhere:
            other = self._elsewhere.most_common(1)[0][0]
            raise SchemaError(f"{counted}, and {others}; give `venue` {other!r} ({listed})")
        if self._messages and (kinds or not taken):
            advice = f"; {others}: read them apart, with that venue" if others else ""
            warnings.warn(f"{counted}; passed over: {listed}{advice}", DefectWarning, stacklevel=3)

    def _is_of(self, venue: Venue, message: Any) -> bool:
        """Return whether the reader of a venue would take something of a message."""
        if venue.read_message is None:
            return False
        try:
            return any(True for _ in venue.read_message(message, self._sizes))
        except SchemaError:  # it knows the message, and lacks the size of a contract
            return True
        except (ValueError, LookupError, TypeError, AttributeError):
            return False


def _kind(message: Any) -> str:
    """Return what a message calls itself, without the symbol; empty if it is an answer or has no name."""
    if not isinstance(message, dict) or message.get("event") in _ANSWERS:
        return ""
    content, asked = message.get("data", message), message.get("arg")
    own = content.get("e") if isinstance(content, dict) else None
    channel = asked.get("channel") if isinstance(asked, dict) else message.get("channel")
    topic = str(message.get("topic") or "").partition(".")[0]
    return str(own or channel or topic or "")
