"""What a message says of an event."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slackwater.alerts.message import MESSAGE_KINDS, Message, StoredEvent, Urgency, message_of
from slackwater.journal.event import FIELDS, Event, Kind
from slackwater.journal.kinds import decision_event, exit_event
from slackwater.trading.decision import Refusal
from slackwater.trading.reasons import Reason
from tests.alert_service import AT_NS, PAPER, alarm, event, fault
from tests.trading import make_plan


def stored(made: Event, number: int = 7) -> StoredEvent:
    """The event as a journal gives it back."""
    return StoredEvent(
        id=number,
        ts_ns=made.ts_ns,
        kind=str(made.kind),
        account=made.origin.account,
        symbol=made.symbol,
        payload=json.loads(made.payload_json()),
    )


def message(made: Event) -> Message:
    found = message_of(stored(made))
    assert found is not None
    return found


def test_a_plan_states_its_numbers_and_calls_the_unknown_unknown() -> None:
    """Catches a NaN that is printed, or passed over."""
    found = message(decision_event(make_plan(quantity=0.000012345).to_dict(), PAPER))
    assert found.title == "SYNTHETIC BTCUSDT: long planned"
    assert "Entry 100, stop 95, target 110 USDT; quantity 0.000012345, risk not known USDT" in found.text
    assert found.text.endswith("[paper, 2024-03-01 00:00:00 UTC]")


def test_a_trade_is_one_episode_from_the_plan_to_the_exit() -> None:
    """Catches a fill or an exit that does not belong to its plan."""
    plan = message(decision_event(make_plan().to_dict(), PAPER))
    trade = plan.episode.removeprefix("paper/trade/")
    filled = {"trade": trade, "order": "entry", "quantity": 2.0, "price": 42310.5, "fee_usd": 4.2}
    fill = message(event(Kind.FILL, f"fill/{trade}/entry/1", filled))
    row = {
        "symbol": "BTCUSDT",
        "event_time": make_plan().event_time,
        "exit_time": make_plan().expires,
        "exit_reason": "target",
        "side": 1,
        "net_r": 1.234,
        "funding_usd": float("nan"),
    }
    exit_ = message(exit_event(row, mae_r=0.3, mfe_r=1.5, origin=PAPER))
    assert {plan.episode, fill.episode, exit_.episode} == {f"paper/trade/{trade}"}
    assert [plan.last, fill.last, exit_.last] == [False, False, True]
    assert len({plan.update, fill.update, exit_.update}) == 3
    assert "2 at 42,310.5 USDT, fee 4.2 USDT" in fill.text
    assert exit_.title == "SYNTHETIC BTCUSDT: long closed, +1.23 R"
    assert "worst -0.30 R and best +1.50 R" in exit_.text
    assert "funding paid not known" in exit_.text


def test_refusals_for_the_same_reasons_are_one_episode_whatever_the_numbers_and_symbols() -> None:
    """Catches an episode per number in a reason: each refusal would be a message."""

    def refusal(symbol: str, *codes: str) -> Message:
        plan = make_plan()
        reasons = tuple(Reason(code, f"the bound is {symbol}") for code in codes)
        given = Refusal(symbol=symbol, event_time=plan.event_time, decided_at=plan.event_time, reasons=reasons)
        return message(decision_event(given.to_dict(), PAPER))

    first = refusal("BTCUSDT", "stale", "throttled")
    assert first.episode == refusal("ETHUSDT", "throttled", "stale").episode
    assert first.episode != refusal("BTCUSDT", "stale").episode
    assert first.title == "SYNTHETIC BTCUSDT: not traded"
    assert "stale: the bound is BTCUSDT; throttled: the bound is BTCUSDT." in first.text


@pytest.mark.parametrize(
    ("name", "title"),
    [("crowding", "crowding alarm"), ("pool", "dense pool near"), ("sweep", "sweep"), ("drift", "drift"), ("x", "x")],
)
def test_an_alarm_is_an_episode_of_its_symbol(name: str, title: str) -> None:
    """Catches an end that is another episode than its beginning, or an alarm of another symbol in the same one."""
    begins, ends = (message(alarm(1, state, name=name)) for state in ("begins", "ends"))
    assert begins.title == f"SYNTHETIC BTCUSDT: {title}"
    assert ends.title == f"SYNTHETIC BTCUSDT: {title} is over"
    assert begins.episode == ends.episode != message(alarm(1, "begins", name=name, symbol="ETHUSDT")).episode
    assert (begins.last, ends.last) == (False, True)
    assert begins.urgency == Urgency.WARNING


def test_a_data_fault_is_an_episode_of_symbol_table_and_rule() -> None:
    """Catches two rules that hide each other."""
    first, again, other = fault(1), fault(2, message="another bar is missing"), fault(3, rule="late")
    assert message(first).episode == message(again).episode != message(other).episode
    assert message(first).title == "SYNTHETIC BTCUSDT: data fault in bars (gap)"
    assert message(first).urgency == Urgency.FAULT


def test_a_real_market_is_not_marked() -> None:
    """Catches the mark of a simulation on everything, which nobody would read any more."""
    real = type(PAPER)(account="live", synthetic=False)
    made = event(Kind.WATCH, "watch/1", {"state": "begins", "code": "abc", "settings": {}}, origin=real, symbol="")
    assert message(made).title == "watch begins"
    assert (message(made).episode, message(made).last) == ("live/watch", False), "a crash loop is one episode"
    assert message(made).text == "Code abc. [live, 2024-03-01 12:05:05 UTC]"


def test_a_message_is_of_printable_lines_of_limited_length() -> None:
    """Catches control characters of a venue's text in a chat, and a text that no service takes."""
    found = message(fault(1, message="\x1b[31mred\n\n" + "x" * 9_000))
    assert found.text.isprintable()
    assert len(found.text) <= 1_500


def test_content_that_is_not_as_agreed_is_told_with_its_number() -> None:
    """Catches an odd event that stops all messages, or is passed over without a word."""
    made = event(Kind.FILL, "fill/odd", {"trade": "t", "order": "o", "quantity": "many", "price": 1.0, "fee_usd": 0.0})
    found = message(made)
    assert found.title == "SYNTHETIC BTCUSDT: fill"
    assert "event 7" in found.text


def test_kinds_without_messages_are_known() -> None:
    """Catches a new kind that nobody thought of: it must be put into one of the two lists."""
    silent = {Kind.RUN, Kind.SCORE, Kind.ORDER, Kind.FUNDING, Kind.FORGONE, Kind.NOTE}
    assert set(MESSAGE_KINDS) | silent == set(Kind)
    for kind in silent:
        content: dict[str, Any] = dict.fromkeys(FIELDS[kind], "")
        assert message_of(StoredEvent(id=1, ts_ns=AT_NS, kind=kind, account="a", symbol="", payload=content)) is None
