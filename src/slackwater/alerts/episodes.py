"""Episodes: the first message of each at once, equal updates held back and counted, its end at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from slackwater.alerts.message import Message

__all__ = ["Episodes", "Notice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What is to be sent: an event, and how many equal updates before it were held back.

    Parameters
    ----------
    event
        Number of the event in the journal; it holds the text.
    more
        Number of updates that were held back and that this notice stands for, beside the event itself.
    since_ns
        Time of the first of them; 0 where there is none.
    symbols
        Symbols of them and of the event, in alphabetical order.
    """

    event: int
    more: int = 0
    since_ns: int = 0
    symbols: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class _Episode:
    """State of an episode: what was stated, when something was last sent and heard, and what is held back."""

    stated: list[str] = field(default_factory=list)
    sent: float
    heard: float
    wait: float
    held: list[int] = field(default_factory=list)  # number of the newest event, how many, time of the first
    symbols: list[str] = field(default_factory=list)

    def hold(self, event: int, message: Message) -> None:
        count, since_ns = self.held[1:] if self.held else (0, message.time_ns)
        self.held = [event, count + 1, since_ns]
        self.symbols = sorted({*self.symbols, message.symbol} - {""})

    def released(self) -> tuple[int, int, int, tuple[str, ...]]:
        event, count, since_ns = self.held or (0, 0, 0)
        symbols, self.held, self.symbols = tuple(self.symbols), [], []
        return event, count, since_ns, symbols


class Episodes:
    """State of all episodes; plain values, so that it survives the process.

    Times are seconds by the clock of the machine, since they spare a reader, whatever the speed of the feed.

    Parameters
    ----------
    first_wait
        Wait of the first equal update, in seconds; each message of equal updates doubles it.
    longest_wait
        Limit of the doubling, in seconds. An episode of which nothing was heard for so long is forgotten.
    """

    def __init__(self, first_wait: float, longest_wait: float) -> None:
        self._first_wait, self._longest_wait = first_wait, longest_wait
        self._known: dict[str, _Episode] = {}

    def take(self, event: int, message: Message, now: float) -> Notice | None:
        """Return what is to be sent at once because of an event, or None where it is held back.

        Updates that were held back are part of what is returned, so that nothing is dropped.
        """
        episode = self._known.get(message.episode)
        if episode is None:
            episode = _Episode(sent=now, heard=now, wait=self._first_wait)
            self._known[message.episode] = episode
        episode.heard = now
        if message.update in episode.stated and not message.last:
            episode.hold(event, message)
            return None
        episode.stated.append(message.update)
        episode.sent = now
        if message.last:
            del self._known[message.episode]
        _, more, since_ns, symbols = episode.released()
        return Notice(
            event=event, more=more, since_ns=since_ns, symbols=tuple(sorted({*symbols, message.symbol} - {""}))
        )

    def due(self, now: float) -> list[Notice]:
        """Return what was held back until now, and forget the episodes of which nothing was heard for long."""
        notices = []
        for name, episode in list(self._known.items()):
            # A clock that was set back must not hold up a message for as long as it was wrong.
            if episode.held and abs(now - episode.sent) >= episode.wait:
                event, count, since_ns, symbols = episode.released()
                notices.append(Notice(event=event, more=count - 1, since_ns=since_ns, symbols=symbols))
                episode.sent, episode.wait = now, min(2.0 * episode.wait, self._longest_wait)
            elif not episode.held and abs(now - episode.heard) >= self._longest_wait:
                del self._known[name]
        return notices

    def held(self) -> int:
        """Return how many updates are held back."""
        return sum(episode.held[1] for episode in self._known.values() if episode.held)

    def to_dict(self) -> dict[str, Any]:
        """Return the state in types of JSON."""
        return {name: asdict(episode) for name, episode in self._known.items()}

    def restore(self, content: Mapping[str, Mapping[str, Any]]) -> None:
        """Go on from a state that `to_dict` returned.

        Raises
        ------
        TypeError, ValueError, KeyError
            If it is not such a state.
        """
        self._known = {name: _episode(state) for name, state in content.items()}


def _episode(state: Mapping[str, Any]) -> _Episode:
    held = [int(each) for each in state["held"]]
    if len(held) not in (0, 3):
        raise ValueError(f"`held` must have no or three numbers, had {len(held)}")
    return _Episode(
        stated=[str(each) for each in state["stated"]],
        symbols=[str(each) for each in state["symbols"]],
        held=held,
        sent=float(state["sent"]),
        heard=float(state["heard"]),
        wait=float(state["wait"]),
    )
