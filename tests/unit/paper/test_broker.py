"""The paper broker: orders, exits, funding and the account."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from slackwater.errors import ParameterError
from slackwater.feed.items import Print
from slackwater.journal.event import Event, Kind
from slackwater.paper.broker import Broker
from slackwater.paper.position import Bar
from slackwater.times import HOUR_US, MINUTE_US, epoch_us, timestamp
from slackwater.trading.decision import TradePlan
from slackwater.trading.price_path import PricePath
from tests.unit.paper.plans import ARRIVES, HORIZON, START, START_US, bar_of, broker_of, plan_of

EXIT_COLUMNS = ("fees_usd", "slippage_usd", "funding_usd", "gross_usd", "net_usd", "net_bps", "net_r", "entry", "exit")


def traded(time_us: int, price: float, quantity: float = 1e9, symbol: str = "BTCUSDT") -> Print:
    return Print(symbol, time_us, price, quantity)


def started(plan: TradePlan | None = None, price: float = 50_000.0) -> Broker:
    """A broker whose order was filled when it arrived."""
    broker, plan = broker_of(), plan or plan_of()
    broker.order(plan, START_US)
    broker.take_print(traded(ARRIVES, price, symbol=plan.symbol), ARRIVES)
    return broker


def kinds(events: list[Event]) -> list[Kind]:
    return [event.kind for event in events]


# -- orders --------------------------------------------------------------------------------------------------


def test_a_plan_sends_its_entry_stop_and_target() -> None:
    """Catches an order that is not in the journal, or one at another price or side than that of the plan."""
    plan = plan_of()
    events = broker_of().order(plan, START_US)
    sent = [(e.payload["role"], e.payload["side"], e.payload["quantity"]) for e in events]
    assert sent == [("entry", 1, plan.quantity), ("stop", -1, plan.quantity), ("target", -1, plan.quantity)]
    assert [e.payload["price"] for e in events[1:]] == [plan.stop, plan.target]
    assert len({event.key for event in events}) == 3


def test_a_second_order_of_a_symbol_is_refused() -> None:
    """Catches a position that is replaced without a word."""
    broker = started()
    with pytest.raises(ParameterError, match="BTCUSDT has one"):
        broker.order(plan_of(), START_US)
    assert broker.positions["BTCUSDT"].is_open


def test_fills_state_price_after_slippage_and_the_fee() -> None:
    """Catches a journal whose fills do not pay for the market that they met."""
    broker, plan = broker_of(), plan_of()
    broker.order(plan, START_US)
    (fill,) = broker.take_print(traded(ARRIVES, 50_100.0), ARRIVES)
    assert fill.payload["price"] == 50_100.0 * (1.0 + plan.costs.entry_slippage)
    assert fill.payload["fee_usd"] == pytest.approx(plan.costs.fee_fraction * plan.quantity * 50_100.0, rel=1e-12)
    exit_fill, ended = broker.take_print(traded(ARRIVES + 1, 48_000.0), ARRIVES + 1)
    assert exit_fill.payload["price"] == 48_000.0 * (1.0 - plan.costs.stop_slippage)
    assert (ended.kind, ended.payload["exit_reason"], ended.payload["exit"]) == (Kind.EXIT, "stop", 48_000.0)


def test_the_bar_of_a_fill_that_nobody_saw_may_end_it() -> None:
    """Catches a position that lives on through the stop in the bar that filled it, and its settlement."""
    broker, plan = broker_of(), plan_of()
    broker.order(plan, START_US)
    bar = bar_of(59, 50_000.0, 50_500.0, 48_000.0, 50_200.0)
    events = broker.take_bar("BTCUSDT", bar, bar.closed_us)
    assert kinds(events) == [Kind.FILL, Kind.FILL, Kind.EXIT]
    assert (events[-1].payload["entry"], events[-1].payload["exit"]) == (50_500.0, plan.stop)
    assert kinds(broker.take_funding("BTCUSDT", bar.closed_us, 1e-4)) == [Kind.FUNDING]


@pytest.mark.parametrize("mark_first", [True, False])
def test_the_mark_of_the_bar_of_a_fill_liquidates(mark_first: bool) -> None:
    """Catches a liquidation that is missed because the mark price came before the bar."""
    broker = broker_of()
    broker.order(replace(plan_of(), bracket=replace(plan_of().bracket, stop=1.0)), START_US)
    mark, bar = bar_of(1, 50_000.0, 50_000.0, 30_000.0, 50_000.0), bar_of(1, 50_000.0, 50_100.0, 49_900.0, 50_000.0)
    steps = [lambda: broker.take_mark("BTCUSDT", mark, ARRIVES), lambda: broker.take_bar("BTCUSDT", bar, ARRIVES)]
    events = [event for step in (steps if mark_first else steps[::-1]) for event in step()]
    assert kinds(events) == [Kind.FILL, Kind.FILL, Kind.EXIT]
    assert events[-1].payload["exit_reason"] == "liquidation"


def test_other_symbols_are_not_touched() -> None:
    """Catches trades, bars, marks and settlements that reach the position of another symbol."""
    broker = started()
    assert broker.take_print(traded(ARRIVES + 1, 1.0, symbol="ETHUSDT"), 0) == []
    assert broker.take_bar("ETHUSDT", bar_of(1, 1.0, 1.0, 1.0, 1.0), 0) == []
    assert broker.take_mark("ETHUSDT", bar_of(1, 1.0, 1.0, 1.0, 1.0), 0) == []
    assert broker.take_funding("ETHUSDT", START_US + HOUR_US, 1.0) == []
    assert broker.positions["BTCUSDT"].funding_usd == 0.0


# -- the account ---------------------------------------------------------------------------------------------


def test_equity_is_cash_and_the_value_of_what_is_open_at_the_mark() -> None:
    """Catches an equity without open positions, at the last trade rather than the mark, or at an older mark."""
    broker = started()
    position = broker.positions["BTCUSDT"]
    assert broker.equity() == 10_000.0 + position.value_usd(50_000.0)
    broker.take_mark("BTCUSDT", bar_of(2, 50_500.0, 50_600.0, 50_400.0, 50_500.0), 0)
    broker.take_mark("BTCUSDT", bar_of(1, 50_100.0, 50_100.0, 50_100.0, 50_100.0), 0)  # late
    broker.prices["BTCUSDT"] = 1.0
    assert broker.equity() == 10_000.0 + position.value_usd(50_500.0)
    account = broker.account({})
    assert account.equity == broker.equity()
    assert [(each.symbol, each.entry, each.mark) for each in account.open_positions] == [
        ("BTCUSDT", 50_000.0, 50_500.0)
    ]


def test_an_order_that_waits_counts_as_a_position() -> None:
    """Catches a second order while the first is on its way."""
    broker = broker_of()
    broker.order(plan_of(), START_US)
    assert broker.working == {"BTCUSDT"}
    assert broker.account(None).holds("BTCUSDT")
    assert broker.equity() == 10_000.0


def test_the_record_sees_losses_in_a_row_and_midnight() -> None:
    """Catches a loss that is not counted, a streak that a win leaves, and a day that begins after its first exit."""
    broker = broker_of()
    for hour, exit_price, streak in ((0, 48_000.0, 1), (1, 48_000.0, 2), (2, 60_000.0, 0)):
        at = START + timedelta(hours=hour)
        broker.order(plan_of(at=at), epoch_us(at))
        broker.take_print(traded(epoch_us(at) + MINUTE_US, 50_000.0), epoch_us(at) + MINUTE_US)
        ends = epoch_us(at) + 2 * MINUTE_US
        assert kinds(broker.take_print(traded(ends, exit_price), ends)) == [Kind.FILL, Kind.EXIT]
        assert broker.record.loss_streak == streak
        if streak:
            assert broker.record.last_loss_time == timestamp(ends)
    assert broker.record.losing_trades_today == 2
    assert broker.record.peak_equity == max(10_000.0, broker.cash)
    midnight = epoch_us(START.normalize() + timedelta(days=1))
    broker.observe(midnight)
    assert (broker.record.losing_trades_today, broker.record.day_start_equity) == (0, broker.equity())


# -- funding -------------------------------------------------------------------------------------------------


def test_a_settlement_known_after_the_exit_changes_cash_once() -> None:
    """Catches a settlement that a position escapes by ending before it is known, or pays twice."""
    broker = started()
    broker.take_mark("BTCUSDT", bar_of(60, 50_200.0, 50_300.0, 50_100.0, 50_250.0), 0)
    ends = START_US + HOUR_US + 5 * MINUTE_US
    *_, ended = broker.take_print(traded(ends, 48_000.0), ends)
    cash = broker.cash
    assert cash == 10_000.0 + ended.payload["net_usd"]
    (event,) = broker.take_funding("BTCUSDT", START_US + HOUR_US, 1e-4)
    # At the open of the mark of its hour, also if the mark has moved on since.
    assert event.payload["paid_usd"] == pytest.approx(1e-4 * plan_of().quantity * 50_200.0, rel=1e-12)
    assert broker.cash == cash - event.payload["paid_usd"]
    assert broker.take_funding("BTCUSDT", START_US + HOUR_US, 1e-4) == []
    assert broker.take_funding("BTCUSDT", START_US + 2 * HOUR_US, 1e-4) == []


def test_the_mark_of_an_hour_survives_a_checkpoint() -> None:
    """Catches a settlement that a restart values at the last mark instead of that of its hour."""
    broker, again = started(), broker_of()
    broker.take_mark("BTCUSDT", bar_of(60, 50_200.0, 50_300.0, 50_100.0, 50_250.0), START_US + HOUR_US)
    again.take_values(json.loads(json.dumps(broker.values())))
    (event,) = again.take_funding("BTCUSDT", START_US + HOUR_US, 1e-4)
    assert event.payload["paid_usd"] == pytest.approx(1e-4 * plan_of().quantity * 50_200.0, rel=1e-12)


def test_a_settlement_is_paid_by_whoever_was_open_then() -> None:
    """Catches the next position of a symbol that pays for the one before it."""
    broker = started()
    ends = START_US + HOUR_US + MINUTE_US
    *_, ended = broker.take_print(traded(ends, 48_000.0), ends)
    again = START + timedelta(hours=1, minutes=2)
    broker.order(plan_of(at=again), epoch_us(again))
    broker.take_print(traded(epoch_us(again) + MINUTE_US, 50_000.0), epoch_us(again) + MINUTE_US)
    (event,) = broker.take_funding("BTCUSDT", START_US + HOUR_US, 1e-4)
    assert event.payload["trade"] == ended.payload["trade"]
    assert broker.positions["BTCUSDT"].funding_usd == 0.0


def test_ended_positions_are_kept_for_a_day() -> None:
    """Catches a list that grows for ever, and one that forgets before a settlement is known."""
    broker = started()
    broker.take_print(traded(ARRIVES + 1, 48_000.0), ARRIVES + 1)
    broker.observe(ARRIVES + 23 * HOUR_US)
    assert len(broker.values()["ended"]) == 1
    broker.observe(ARRIVES + 25 * HOUR_US)
    assert broker.values()["ended"] == []


# -- against the backtest ------------------------------------------------------------------------------------


def path_of(prices: list[float], settlements: list[tuple[int, float]]) -> PricePath:
    """Bars of a minute from one minute after `START`, each with one price."""
    opened = START_US + MINUTE_US * (1 + np.arange(len(prices)))
    price = np.array(prices)
    names = ("open", "high", "low", "close", "mark_open", "mark_high", "mark_low")
    return PricePath(
        symbol="BTCUSDT",
        open_time=opened,
        close_time=opened + MINUTE_US,
        **dict.fromkeys(names, price),
        settlement_time=np.array([time for time, _ in settlements], dtype=np.int64),
        funding_rate=np.array([rate for _, rate in settlements]),
    )


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("ends", "reason"), [(48_500.0, "stop"), (56_000.0, "target"), (50_300.0, "time"), (30_000.0, "liquidation")]
)
def test_trades_at_opens_alone_are_those_of_the_backtest(side: int, ends: float, reason: str) -> None:
    """Catches costs, funding or exits that differ from the backtest where both see the same prices."""
    plan = plan_of(side)
    last = ends if side > 0 else 100_000.0 - ends
    count = 12 * 60 + 5
    walk = 50_000.0 + 300.0 * np.sin(np.arange(count) / 50.0)
    walk[0], walk[-120 if reason != "time" else -6 :] = 50_000.0, last
    settlements = [(START_US + hour * HOUR_US, 1e-4 * (-1) ** hour + 2e-5) for hour in range(1, 13)]
    path = path_of(walk.tolist(), settlements)
    theirs = path.hold(plan, entry_bar=0, horizon=HORIZON)
    broker, events = broker_of(), []
    broker.order(plan, START_US)
    due = list(settlements)
    for at, opened in enumerate(path.open_time.tolist()):
        mark = Bar(opened, opened + MINUTE_US, *[walk[at]] * 4)
        if due and due[0][0] <= opened:
            broker.take_mark("BTCUSDT", mark._replace(high=walk[at], low=walk[at]), opened)
            events += broker.take_funding("BTCUSDT", *due.pop(0))
        events += broker.take_print(traded(opened, float(walk[at])), opened)
    (ours,) = [event.payload for event in events if event.kind is Kind.EXIT]
    assert theirs.exit_reason == ours["exit_reason"] == reason
    row = theirs.to_row()
    for name in EXIT_COLUMNS:
        assert ours[name] == pytest.approx(row[name], rel=1e-9, abs=1e-9), name
    assert broker.cash == pytest.approx(10_000.0 + theirs.net_usd, rel=1e-12)


# -- anything that can come ----------------------------------------------------------------------------------

PRICES = st.floats(30_000.0, 70_000.0)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("order"), st.sampled_from([1, -1])),
        st.tuples(st.just("print"), PRICES, st.floats(0.001, 0.2)),
        st.tuples(st.just("bar"), PRICES, PRICES, PRICES, PRICES),
        st.tuples(st.just("mark"), PRICES, PRICES, PRICES, PRICES),
        st.tuples(st.just("funding"), st.floats(-1e-3, 1e-3), st.integers(0, 3)),
        st.tuples(st.just("observe")),
    ),
    min_size=5,
    max_size=40,
)
PLANS = {(side, hour): plan_of(side, at=START + timedelta(minutes=20 * hour)) for side in (1, -1) for hour in range(41)}


def step(broker: Broker, number: int, what: tuple[Any, ...]) -> list[Event]:
    """Let 20 minutes pass, and then something happen."""
    now = START_US + 20 * MINUTE_US * number
    if what[0] == "order":
        taken = "BTCUSDT" in broker.positions
        return [] if taken else broker.order(PLANS[what[1], number], now)
    if what[0] == "print":
        return broker.take_print(traded(now, *what[1:]), now)
    if what[0] == "funding":
        return broker.take_funding("BTCUSDT", (now // HOUR_US - what[2]) * HOUR_US, what[1])
    if what[0] == "observe":
        broker.observe(now)
        return []
    open_, *others, close = what[1:]
    bar = Bar(now - MINUTE_US, now, open_, max(what[1:]), min(what[1:]), close)
    assert others
    return broker.take_bar("BTCUSDT", bar, now) if what[0] == "bar" else broker.take_mark("BTCUSDT", bar, now)


@given(steps=STEPS, cut=st.integers(0, 40))
@hypothesis_settings(max_examples=60)
def test_whatever_comes_the_ledger_adds_up_also_across_a_checkpoint(steps: list[tuple[Any, ...]], cut: int) -> None:
    """Catches money that appears or is lost, and state that a checkpoint leaves out."""
    whole, before, events, again = broker_of(), broker_of(), [], []
    for number, what in enumerate(steps):
        events += step(whole, number, what)
        if number == cut:
            text = json.dumps(before.values())
            before = broker_of(123.0)
            before.take_values(json.loads(text))
        again += step(before, number, what)
    assert [repr(event) for event in events] == [repr(event) for event in again]
    assert json.dumps(whole.values()) == json.dumps(before.values())
    assert (whole.record, whole.equity()) == (before.record, before.equity())
    exits = {e.payload["trade"]: e.payload for e in events if e.kind is Kind.EXIT}
    paid = dict.fromkeys([e.payload["trade"] for e in events if e.kind is Kind.FUNDING], 0.0)
    for event in events:
        if event.kind is Kind.FUNDING:
            paid[event.payload["trade"]] += event.payload["paid_usd"]
    late = {trade: paid.get(trade, 0.0) - ended["funding_usd"] for trade, ended in exits.items()}
    cash = 10_000.0 + sum(ended["net_usd"] for ended in exits.values()) - sum(late.values())
    assert whole.cash == pytest.approx(cash, rel=1e-9)
    for trade, ended in exits.items():
        moved = ended["side"] * ended["quantity"] * (ended["exit"] - ended["entry"])
        costs = ended["fees_usd"] + ended["slippage_usd"] + ended["funding_usd"]
        assert ended["net_usd"] == pytest.approx(moved - costs, rel=1e-9, abs=1e-9)
        assert ended["mae_r"] >= 0.0 <= ended["mfe_r"], trade
    keys = [event.key for event in events]
    assert len(set(keys)) == len(keys)
