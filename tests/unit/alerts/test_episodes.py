"""Episodes: the first at once, equal updates held back and counted, the end at once; grouping drops nothing."""

from __future__ import annotations

import json
import random

import pytest

from slackwater.alerts.episodes import Episodes, Notice
from slackwater.alerts.grouping import grouped
from slackwater.alerts.message import Message, Urgency
from tests.alert_service import AT_NS

WAIT, LONGEST = 300.0, 4 * 3600.0


def said(
    episode: str = "e", update: str = "u", *, last: bool = False, symbol: str = "BTCUSDT", text: str = "It is so."
) -> Message:
    title = f"SYNTHETIC {symbol}: {update}"
    return Message(episode=episode, update=update, last=last, title=title, text=text, time_ns=AT_NS, symbol=symbol)


def test_equal_updates_are_held_back_and_counted_with_doubling_waits() -> None:
    """Catches a flood of equal messages, a wait that does not double, and a count that forgets one."""
    episodes = Episodes(WAIT, LONGEST)
    sent: list[tuple[int, int]] = []
    for minute in range(120):
        at_once = episodes.take(minute, said(), 60.0 * minute)
        sent += [(minute, each.more) for each in [at_once] if each]
        sent += [(minute, each.more) for each in episodes.due(60.0 * minute)]
    assert [minute for minute, _ in sent] == [0, 5, 15, 35, 75]
    assert sum(1 + more for _, more in sent) + episodes.held() == 120


def test_the_end_of_an_episode_is_sent_at_once_with_what_was_held_back() -> None:
    """Catches an end that waits, and updates that vanish with it."""
    episodes = Episodes(WAIT, LONGEST)
    assert episodes.take(1, said(), 0.0) is not None
    assert episodes.take(2, said(symbol="ETHUSDT"), 1.0) is None
    assert episodes.take(3, said(), 2.0) is None
    end = episodes.take(4, said(update="over", last=True), 3.0)
    assert end == Notice(event=4, more=2, since_ns=AT_NS, symbols=("BTCUSDT", "ETHUSDT"))
    assert episodes.take(5, said(), 4.0) == Notice(event=5, symbols=("BTCUSDT",)), "a new episode begins at once"


def test_what_states_something_new_is_sent_at_once() -> None:
    """Catches a fill that waits because its plan has just been sent."""
    episodes = Episodes(WAIT, LONGEST)
    assert all(episodes.take(n, said(update=name), float(n)) for n, name in enumerate(("plan", "fill a", "fill b")))
    assert episodes.take(9, said(update="fill a"), 9.0) is None


def test_an_episode_is_forgotten_after_a_long_silence_and_not_before() -> None:
    """Catches a memory that grows for ever, and one that lets every repetition through."""
    episodes = Episodes(WAIT, LONGEST)
    assert episodes.take(1, said(), 0.0)
    episodes.due(LONGEST - 1.0)
    assert episodes.take(2, said(), LONGEST - 1.0) is None
    assert [each.event for each in episodes.due(LONGEST)] == [2]
    episodes.due(2 * LONGEST)
    assert episodes.to_dict() == {}


def test_a_clock_that_was_set_back_holds_nothing_up() -> None:
    """Catches a message that waits for a year because the clock was a year ahead."""
    episodes = Episodes(WAIT, LONGEST)
    assert episodes.take(1, said(), 1e9)
    assert episodes.take(2, said(), 1e9) is None
    assert [each.event for each in episodes.due(1e9 - 1e7)] == [2]


@pytest.mark.parametrize("seed", range(5))
def test_every_event_is_in_one_notice_also_over_restarts(seed: int) -> None:
    """Catches a loss or a double between take, due, an end, and a state that went through JSON."""
    draws, episodes, counted, now = random.Random(seed), Episodes(WAIT, LONGEST), 0, 0.0
    for number in range(500):
        now += draws.expovariate(1 / 200.0)
        update = draws.choice(["a", "a", "a", "b", "end"])
        notice = episodes.take(number, said(draws.choice("xyz"), update, last=update == "end"), now)
        counted += sum(1 + each.more for each in [*([notice] if notice else []), *episodes.due(now)])
        if draws.random() < 0.1:
            state = json.loads(json.dumps(episodes.to_dict()))
            episodes = Episodes(WAIT, LONGEST)
            episodes.restore(state)
    assert counted + episodes.held() == 500


def many(number: int, *, text: str = "Longs crowd.") -> list[tuple[Notice, Message]]:
    return [(Notice(event=n), said(symbol=f"COIN{n}USDT", update="crowding alarm", text=text)) for n in range(number)]


def test_twenty_symbols_of_one_moment_are_one_message() -> None:
    """Catches twenty messages in a second, of which the service refuses the last."""
    found = grouped(many(20), limit=3_000)
    assert found.contained == 20
    assert found.title == "SYNTHETIC 20 messages"
    assert found.text.splitlines()[0] == "20 × crowding alarm."
    assert all(f"COIN{n}USDT: crowding alarm. Longs crowd." in found.text for n in range(20))


@pytest.mark.parametrize("limit", [120, 500, 1_750, 3_000])
def test_what_does_not_fit_waits_for_the_next_message(limit: int) -> None:
    """Catches a message that is cut off with the events at its end, a summary that is missing, and a text too long."""
    items, seen = many(60, text="Longs crowd on this coin."), 0
    while items:
        found = grouped(items, limit=limit)
        assert 1 <= found.contained <= len(items)
        assert len(found.text) <= limit
        if len(items) > 1:
            assert found.text.startswith(f"{len(items)} × crowding alarm.")
            assert found.title.startswith(f"SYNTHETIC {len(items)} messages")
        assert found.text.count("Longs crowd on this coin.") in (found.contained, found.contained - 1)
        seen += found.contained
        items = items[found.contained :]
    assert seen == 60


def test_a_summary_of_many_kinds_leaves_room_for_the_messages() -> None:
    """Catches a summary that fills the message, so that nothing else is in it."""
    items = [(Notice(event=n), said(update=f"data fault in bars (rule_{n})")) for n in range(90)]
    found = grouped(items, limit=900)
    summary = found.text.splitlines()[0]
    assert len(summary) < 400
    assert summary.startswith("1 × data fault in bars (rule_0), ")
    assert summary.endswith(f", {90 - summary.count('×')} others.")
    assert found.contained >= 6


def test_the_heaviest_leads_the_summary_and_gives_the_urgency() -> None:
    """Catches a fault behind forty notes."""
    worst = Message(
        episode="d", update="u", title="data fault in bars (gap)", text="x", time_ns=AT_NS, symbol="",
        urgency=Urgency.FAULT,
    )  # fmt: skip
    found = grouped([*many(3), (Notice(event=9), worst)], limit=3_000)
    assert found.text.startswith("1 × data fault in bars (gap), 3 × crowding alarm.")
    assert found.urgency == Urgency.FAULT


def test_exits_of_different_results_are_counted_together() -> None:
    """Catches a summary that is as long as what it sums up."""
    exits = [(Notice(event=n), said(update=f"long closed, {r:+.2f} R")) for n, r in enumerate((1.0, -1.0))]
    assert grouped(exits, limit=3_000).text.startswith("2 × long closed.")


def test_updates_that_were_held_back_are_counted_in_the_text() -> None:
    """Catches a message that looks as if nothing had been held back."""
    held = Notice(event=1, more=7, since_ns=AT_NS, symbols=("BTCUSDT", "ETHUSDT"))
    text = grouped([(held, said())], limit=3_000).text
    assert text == "It is so. And 7 more updates since 2024-03-01 12:05:05 UTC (BTCUSDT, ETHUSDT)."


def test_messages_that_are_no_longer_kept_are_named_first() -> None:
    """Catches a channel that was away for long and never states what it left out."""
    found = grouped(many(1), limit=3_000, unsent=1_234)
    assert found.text.startswith("1,234 older messages could not be sent; the journal has them.")
