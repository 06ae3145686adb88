"""Alarms before and around a cascade: a crowded side, a dense pool near the price, a sweep, drift; one episode each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from slackwater.journal.event import Event, Origin
from slackwater.journal.kinds import alarm_event
from slackwater.scoring.stream import EventScore
from slackwater.times import DAY, epoch_us, microseconds, timestamp

__all__ = ["Alarms"]

_CROWDED: Final = 2 * DAY
"""How long a crowded side is one episode: the reversal after it is looked for within 24 to 48 hours."""

_FAR: Final = 2.0
"""A pool ends to be near at this multiple of the distance at which it began."""


class _Finding(NamedTuple):
    """What one bar says of an alarm: whether it holds, how long it does then, and a sentence for that case."""

    alarm: str
    holds: bool
    lasts: timedelta
    text: str


_SIDES: Final = {"crowding": {1: "longs", -1: "shorts"}, "sweep": {1: "above", -1: "below"}}
"""Sides of an alarm by the sign of its feature; each has episodes of its own, as the pools have."""


class Alarms:
    """Episodes of alarms by symbol: each begins, goes on, and ends.

    Parameters
    ----------
    feature_names
        Names of the features of a score, in order.
    origin
        Account and bundle, for the journal.
    """

    def __init__(self, feature_names: tuple[str, ...], origin: Origin) -> None:
        self._at = {name: place for place, name in enumerate(feature_names)}
        self._origin = origin
        self._episodes: dict[str, dict[str, Any]] = {}

    def take(self, score: EventScore) -> list[Event]:
        """Return the alarms that begin, go on or end with the score of a bar."""
        now_us = epoch_us(score.available_time)
        return [event for each in self._findings(score) for event in self._advanced(score.symbol, each, now_us)]

    def _findings(self, score: EventScore) -> Iterator[_Finding]:
        for sign, side in _SIDES["crowding"].items():
            text = f"funding accelerates while open interest rises: {side} are crowded"
            yield from self._fired(score, "crowding_alarm", sign, _Finding(f"crowding_{side}", True, _CROWDED, text))
        for name, sign in (("above", 1), ("below", -1)):
            yield self._pool(score, name, sign)
        for sign, side in _SIDES["sweep"].items():
            text = f"a pool {side} the price was swept and rejected"
            yield from self._fired(score, "sweep_confirmation", sign, _Finding(f"sweep_{side}", True, DAY, text))
        if score.direction:
            outside = score.out_of_range_features
            text = f"{len(outside)} features lie outside of the training range: {', '.join(outside[:5])}"
            yield _Finding("drift", bool(outside), timedelta(0), text)

    def _pool(self, score: EventScore, side: str, sign: int) -> _Finding:
        context = score.context
        distance = getattr(context, f"pool_distance_{side}")
        alarm = f"pool_{side}"
        limit = context.atr_1h * (_FAR if f"{alarm}/{score.symbol}" in self._episodes else 1.0)
        price = context.close * math.exp(sign * distance) if not math.isnan(distance) else math.nan
        text = f"a dense pool of liquidations is {distance:.2%} {side} the price, at {price:,.6g}"
        return _Finding(alarm, 0.0 < distance <= limit, timedelta(0), text)

    def _fired(self, score: EventScore, trigger: str, sign: int, fired: _Finding) -> Iterator[_Finding]:
        """Yield what a trigger says; nothing where it is not known, so that no episode ends for that reason."""
        value = float(score.features[self._at[trigger]]) if trigger in self._at else math.nan
        if not math.isnan(value):
            yield fired._replace(holds=sign * value > 0.0)

    def _advanced(self, symbol: str, found: _Finding, now_us: int) -> Iterator[Event]:
        place = f"{found.alarm}/{symbol}"
        episode = self._episodes.get(place)
        if found.holds:
            state = "begins" if episode is None else "continues"
            if episode is None:
                episode = self._episodes[place] = {"name": f"{place}/{now_us}"}
            episode["until"] = now_us + microseconds(found.lasts)
            # A pool stays near for hours: only its begin and end are news.
            if state == "begins" or found.lasts:
                yield self._event(symbol, found.alarm, episode["name"], state, found.text, now_us)
        elif episode is not None and now_us > episode["until"]:
            del self._episodes[place]
            yield self._event(
                symbol, found.alarm, episode["name"], "ends", f"{found.alarm.replace('_', ' ')} is over", now_us
            )

    def _event(self, symbol: str, alarm: str, episode: str, state: str, text: str, now_us: int) -> Event:
        return alarm_event(
            symbol=symbol,
            time=timestamp(now_us),
            alarm=alarm.partition("_")[0],
            episode=episode,
            state=state,
            message=text,
            origin=self._origin,
        )

    # -- checkpoints -----------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """Return the state in types of JSON."""
        return {place: dict(episode) for place, episode in self._episodes.items()}

    def take_values(self, content: Mapping[str, Any]) -> None:
        """Continue from the state of `values`."""
        self._episodes = {place: dict(episode) for place, episode in content.items()}
