"""Episodes of alarms: each begins, goes on and ends."""

from __future__ import annotations

import json
import math
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np

from slackwater.journal.event import Event
from slackwater.paper.alarms import Alarms
from slackwater.scoring.quality import DataQuality
from slackwater.scoring.stream import EventScore
from slackwater.times import HOUR_US, epoch_us
from slackwater.trading.score import Score
from tests.unit.paper.plans import ORIGIN, START, plan_of

NAMES = ("something", "crowding_alarm", "sweep_confirmation")
SCORE = plan_of().score


def scored(hour: float, *, crowding: float = 0.0, sweep: float = 0.0, **changes: Any) -> EventScore:
    """A score hours after `START`, without an event unless one is given."""
    own = {each.name: getattr(SCORE, each.name) for each in fields(Score)} | {"direction": 0}
    at = START + timedelta(hours=hour)
    pools = {name: changes.pop(name) for name in list(changes) if name.startswith("pool_")}
    own |= {"event_time": at - timedelta(seconds=5), "available_time": at} | changes
    own["context"] = replace(SCORE.context, **pools)
    quality = DataQuality(epoch_us(at), HOUR_US, None, timedelta(0), {}, None)
    return EventScore(**own, features=np.array([9.0, crowding, sweep]), quality=quality)


def said(events: list[Event]) -> list[tuple[str, str]]:
    return [(event.payload["alarm"], event.payload["state"]) for event in events]


def through(*scores: EventScore) -> list[list[tuple[str, str]]]:
    alarms = Alarms(NAMES, ORIGIN)
    return [said(alarms.take(score)) for score in scores]


def test_a_crowded_side_is_one_episode_for_48_hours_after_it_was_last_seen() -> None:
    """Catches an episode per bar, one that ends at the next bar, and one that never ends."""
    hours = [(0, 1.0), (1, 0.0), (10, 1.0), (58, 0.0), (58.1, 0.0), (59, 0.0)]
    assert through(*(scored(hour, crowding=value) for hour, value in hours)) == [
        *([("crowding", "begins")], [], [("crowding", "continues")], [], [("crowding", "ends")], []),
    ]


def test_the_other_side_is_another_episode() -> None:
    """Catches crowded shorts that go under as the continuation of crowded longs."""
    alarms = Alarms(NAMES, ORIGIN)
    (longs,) = alarms.take(scored(0, crowding=1.0))
    (shorts,) = alarms.take(scored(1, crowding=-1.0))
    assert (longs.payload["state"], shorts.payload["state"]) == ("begins", "begins")
    assert "longs are crowded" in longs.payload["message"]
    assert "shorts are crowded" in shorts.payload["message"]
    assert longs.payload["episode"] != shorts.payload["episode"]


def test_what_is_not_known_neither_begins_nor_ends_an_alarm() -> None:
    """Catches an alarm that is called over because open interest or funding is silent."""
    unknown = scored(60, crowding=math.nan, sweep=math.nan)
    assert through(unknown) == [[]]
    assert through(scored(0, crowding=1.0, sweep=1.0), unknown, scored(61)) == [
        [("crowding", "begins"), ("sweep", "begins")],
        [],
        [("crowding", "ends"), ("sweep", "ends")],
    ]


def test_a_pool_begins_within_the_hourly_range_and_ends_beyond_twice_of_it() -> None:
    """Catches an alarm that flickers at the limit, repeats itself, or takes an unknown pool for a near one."""
    atr = SCORE.context.atr_1h
    distances = [1.5 * atr, 0.9 * atr, 0.8 * atr, 1.9 * atr, 2.1 * atr, 0.9 * atr, math.nan, -0.5 * atr]
    assert through(*(scored(hour, pool_distance_above=each) for hour, each in enumerate(distances))) == [
        *([], [("pool", "begins")], [], [], [("pool", "ends")], [("pool", "begins")], [("pool", "ends")], []),
    ]


def test_a_pool_states_where_it_is() -> None:
    """Catches a price on the wrong side of the close."""
    for side, sign in (("above", 1), ("below", -1)):
        (event,) = Alarms(NAMES, ORIGIN).take(scored(0, **{f"pool_distance_{side}": 0.004}))
        price = SCORE.context.close * math.exp(sign * 0.004)
        assert event.payload["message"].endswith(f"0.40% {side} the price, at {price:,.6g}")


def test_drift_is_judged_at_events_alone() -> None:
    """Catches an alarm that ends at a bar without an event, which has no models that anything could be outside of."""
    outside = {"direction": 1, "out_of_range_features": tuple("abcdefg")}
    assert through(scored(0, **outside), scored(1), scored(2, **outside), scored(3, direction=1)) == [
        *([("drift", "begins")], [], [], [("drift", "ends")]),
    ]


def test_symbols_have_alarms_of_their_own() -> None:
    """Catches an episode of one symbol that is ended by another."""
    assert through(scored(0, crowding=1.0), scored(60, symbol="ETHUSDT"), scored(61)) == [
        *([("crowding", "begins")], [], [("crowding", "ends")]),
    ]


def test_a_bundle_without_a_trigger_has_no_alarm_of_it() -> None:
    """Catches a position in the features that is another one's."""
    assert Alarms(("something", "x", "y"), ORIGIN).take(scored(0, crowding=1.0, sweep=1.0)) == []


def test_the_events_of_an_episode_have_its_name_and_their_own_keys() -> None:
    """Catches two events with one key, which the journal refuses, and an end that cannot be joined to its begin."""
    alarms, events = Alarms(NAMES, ORIGIN), []
    for hour, value in [(0, 1.0), (1, 1.0), (2, 1.0), (60, 0.0), (61, 1.0)]:
        events += alarms.take(scored(hour, crowding=value))
    assert [each for _, each in said(events)] == ["begins", "continues", "continues", "ends", "begins"]
    assert len({event.key for event in events}) == len(events)
    names = [event.payload["episode"] for event in events]
    assert len(set(names[:4])) == 1
    assert names[4] != names[0]


def test_episodes_survive_a_checkpoint() -> None:
    """Catches an alarm that begins again after a restart."""
    alarms, again = Alarms(NAMES, ORIGIN), Alarms(NAMES, ORIGIN)
    alarms.take(scored(0, crowding=1.0, pool_distance_below=0.001))
    again.take_values(json.loads(json.dumps(alarms.values())))
    after = scored(60, crowding=0.0)
    assert [repr(each) for each in again.take(after)] == [repr(each) for each in alarms.take(after)]
