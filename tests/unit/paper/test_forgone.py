"""What refused trades would have earned, against the labels of the same events."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.journal.event import Event, Kind
from slackwater.labels.trades import TradeRules, trade_outcomes
from slackwater.market.contracts import venue_contracts
from slackwater.paper.forgone import ForgoneTrades
from slackwater.paper.position import Bar
from slackwater.times import HOUR, HOUR_US, MINUTE, SECOND, epoch_us, microseconds, timestamp
from slackwater.trading.decision import Refusal
from slackwater.trading.price_path import price_paths
from slackwater.trading.reasons import Reason
from slackwater.trading.score import Score
from tests.trading import SOUND_SCORE, row_of, score_of
from tests.unit.paper.plans import ORIGIN

HORIZON = timedelta(hours=6)
LAG = 5 * SECOND
RULES = TradeRules(contracts=venue_contracts("binance"))
EVENT = pd.Timestamp("2024-03-01 07:00", tz="UTC")


def bars_of(step: timedelta, seed: int, hours: int = 9) -> pd.DataFrame:
    """A random walk from an hour before the event, at which it is at 50,000."""
    random, count = np.random.default_rng(seed), int(hours * HOUR / step)
    wide = 0.004 * np.sqrt(step / (10 * MINUTE))
    close = np.exp(np.cumsum(random.normal(0.0, wide, count)))
    close *= 50_000.0 / close[int(HOUR / step) - 1]
    open_ = np.r_[close[0], close[:-1]]
    opened = EVENT - HOUR + step * np.arange(count)
    return pd.DataFrame(
        {
            "symbol": "BTCUSDT",
            "open_time": opened,
            "event_time": opened + step,
            "open": open_,
            "high": np.maximum(open_, close) * (1 + 0.3 * wide),
            "low": np.minimum(open_, close) * (1 - 0.3 * wide),
            "close": close,
        }
    )


RATES = np.linspace(-2e-3, 5e-3, 8)
FUNDING = pd.DataFrame(
    {"symbol": "BTCUSDT", "event_time": [EVENT + hour * HOUR for hour in range(8)], "funding_rate": RATES}
)


def event_score(side: int = 1) -> Score:
    times = {"event_time": EVENT, "available_time": EVENT + LAG}
    return score_of(**SOUND_SCORE | {"direction": -side, "swept_extreme_distance_below": 0.01} | times)


def waiting(step: timedelta, score: Score, rules: TradeRules = RULES) -> ForgoneTrades:
    forgone = ForgoneTrades(rules, horizon=HORIZON, interval=step, decision_lag=LAG, origin=ORIGIN)
    reasons = (Reason("cooling_off", "after losses"), Reason("bad_day", "a day"), Reason("cooling_off", "again"))
    forgone.refused(
        score,
        Refusal(symbol=score.symbol, event_time=score.event_time, decided_at=score.available_time, reasons=reasons),
    )
    return forgone


def bars_in(bars: pd.DataFrame) -> list[Bar]:
    return [
        Bar(
            epoch_us(row["open_time"]), epoch_us(row["event_time"]), *(row[n] for n in ("open", "high", "low", "close"))
        )
        for row in bars.to_dict("records")
    ]


def told(forgone: ForgoneTrades, bars: list[Bar], *, late: timedelta = timedelta(0)) -> list[Event]:
    """Give it bars, and settlements so long after they happened."""
    due = [(epoch_us(row["event_time"]), row["funding_rate"]) for row in FUNDING.to_dict("records")]
    events = []
    for bar in bars:
        while due and due[0][0] + microseconds(late) < bar.closed_us:
            forgone.take_funding("BTCUSDT", *due.pop(0))
        events += forgone.take_bar("BTCUSDT", bar)
    return events


def expected(bars: pd.DataFrame, step: timedelta, score: Score) -> pd.Series:
    """The row of the labels, with the entry and the latency of `build_labels`."""
    fine = step <= MINUTE
    opened = bars["open_time"]
    entry = opened[opened >= EVENT + (LAG if fine else timedelta(0))].min()
    row = row_of(score)
    labels = pd.DataFrame([{name: row[name] for name in ("symbol", "event_time", "direction")} | {"entry_time": entry}])
    costs = RULES.costs if fine else replace(RULES.costs, latency=max(RULES.costs.latency, LAG))
    paths = price_paths(bars, FUNDING)
    return trade_outcomes(labels, pd.DataFrame([row]), paths, rules=replace(RULES, costs=costs), horizon=HORIZON).iloc[
        0
    ]


@pytest.mark.parametrize("step", [MINUTE, 5 * MINUTE, HOUR])
@pytest.mark.parametrize("side", [1, -1])
def test_a_refused_trade_earns_what_the_labels_say(step: timedelta, side: int) -> None:
    """Catches another entry bar, bracket, cost or settlement than those of the backtest; the last one comes late."""
    exits, score = set(), event_score(side)
    for seed in range(12):
        bars = bars_of(step, seed)
        events = told(waiting(step, score), bars_in(bars), late=timedelta(minutes=50))
        theirs = expected(bars, step, score)
        exits.add(theirs["trade_exit"])
        if not theirs["trade_exit"]:  # the price has moved too far: there is no trade
            assert events == []
            continue
        (event,) = events
        assert event.kind is Kind.FORGONE
        assert event.payload["net_r"] == pytest.approx(theirs["net_r"], rel=1e-12), seed
        assert timestamp(event.ts_ns // 1000) == theirs["trade_end_time"]
        assert event.payload["codes"] == "bad_day+cooling_off"
    assert len(exits - {""}) >= 2, exits


def test_bars_that_come_late_or_twice_change_nothing() -> None:
    """Catches a trade that is dropped because a bar was repeated or came after its successor."""
    score, bars = event_score(), bars_in(bars_of(MINUTE, 1))
    (event,) = told(waiting(MINUTE, score), bars)
    mixed = list(bars)
    mixed[100], mixed[101] = mixed[101], mixed[100]
    mixed.insert(150, mixed[140])
    (again,) = told(waiting(MINUTE, score), mixed)
    assert repr(again) == repr(event)


@pytest.mark.parametrize("gap", [slice(60, 62), slice(300, 301), slice(419, 421), slice(30, 450)])
def test_a_trade_of_which_a_bar_is_missing_has_no_result(gap: slice) -> None:
    """Catches a result over a hole, at its begin, in its middle and at its end, and an outage of all of it."""
    bars = bars_in(bars_of(MINUTE, 1))
    del bars[gap]
    assert told(waiting(MINUTE, event_score()), bars) == []


def test_a_bar_that_is_missing_after_the_time_exit_does_not_matter() -> None:
    """Catches a result that is lost for a bar which it does not need."""
    bars = bars_in(bars_of(MINUTE, 1))
    assert len(told(waiting(MINUTE, event_score()), bars[:430] + bars[440:])) == 1


def test_no_result_before_its_time_and_none_of_another_symbol() -> None:
    """Catches a trade that is judged before its horizon, twice, or by the bars of another symbol."""
    forgone, bars = waiting(MINUTE, event_score()), bars_in(bars_of(MINUTE, 1, hours=20))
    counts = [len(forgone.take_bar("ETHUSDT", bar)) + len(forgone.take_bar("BTCUSDT", bar)) for bar in bars]
    assert sum(counts) == 1
    assert bars[counts.index(1)].closed_us == epoch_us(EVENT) + 60_000_000 + 7 * HOUR_US


def test_an_event_that_suggests_no_trade_has_no_result() -> None:
    """Catches a result of levels that leave no trade, and a symbol without contract."""
    unknown = replace(event_score(), context=replace(event_score().context, volatility_daily=float("nan")))
    assert told(waiting(MINUTE, unknown), bars_in(bars_of(MINUTE, 1))) == []
    assert told(waiting(MINUTE, event_score(), replace(RULES, contracts={})), bars_in(bars_of(MINUTE, 1))) == []


@pytest.mark.parametrize("cut", [0, 61, 200, 419, 480])
def test_waiting_trades_survive_a_checkpoint(cut: int) -> None:
    """Catches bars, settlements or refusals that are lost with a restart."""
    bars, forgone = bars_in(bars_of(MINUTE, 1)), waiting(MINUTE, event_score())
    events = told(forgone, bars)
    first = waiting(MINUTE, event_score())
    for row in FUNDING.to_dict("records"):
        first.take_funding("BTCUSDT", epoch_us(row["event_time"]), row["funding_rate"])
    again = [event for bar in bars[:cut] for event in first.take_bar("BTCUSDT", bar)]
    second = ForgoneTrades(RULES, horizon=HORIZON, interval=MINUTE, decision_lag=LAG, origin=ORIGIN)
    second.take_values(json.loads(json.dumps(first.values())))
    again += [event for bar in bars[cut:] for event in second.take_bar("BTCUSDT", bar)]
    assert [repr(event) for event in again] == [repr(event) for event in events]
    assert json.dumps(second.values()["waiting"]) == "[]"
