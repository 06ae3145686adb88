"""The engine on small hand-made markets: when it enters, what it pays, what the account knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, MissingDataError, OrderError, ParameterError, SchemaError
from slackwater.trading.backtest import Backtest, BacktestResult
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import Refusal
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade, trades_table
from slackwater.trading.price_path import price_paths
from slackwater.trading.rules import DrawdownRules, SizingRules
from slackwater.trading.score import CONTEXT, Score, event_scores, score_context
from tests.trading import AT_LEVELS, changed, row_of, traded, traded_at_unit_risk

EVENT = pd.Timestamp("2024-03-01 12:00", tz="UTC")
LAG = timedelta(seconds=5)
HORIZON = timedelta(hours=4)
GATE = Gate(horizon=HORIZON, bracket=AT_LEVELS)


def bars(
    symbol: str = "BTCUSDT", *, price: float = 50_000.0, interval: str = "1min", periods: int = 720
) -> pd.DataFrame:
    """A market that stands still, to be disturbed bar by bar."""
    opens = pd.date_range(EVENT - pd.Timedelta("1h"), periods=periods, freq=interval).as_unit("us")
    prices = dict.fromkeys(("open", "high", "low", "close"), price)
    return pd.DataFrame({"symbol": symbol, "open_time": opens, "event_time": opens + pd.Timedelta(interval), **prices})


def disturb(path: pd.DataFrame, time: str, **prices: float) -> pd.DataFrame:
    """Change the bar that opens at a time of the day."""
    at = path["open_time"] == pd.Timestamp(f"2024-03-01 {time}", tz="UTC")
    assert at.any()
    for name, price in prices.items():
        path.loc[at, name] = price
    path["high"] = path[["open", "high", "close"]].max(axis=1)
    path["low"] = path[["open", "low", "close"]].min(axis=1)
    return path


def table(*scores: Score) -> pd.DataFrame:
    return pd.DataFrame([row_of(score) for score in scores]).drop(columns=["missing_features", "out_of_range_features"])


def at(score: Score, minutes: float) -> Score:
    """The same score some minutes after the event, or before it."""
    time = EVENT + pd.Timedelta(minutes, "min")
    return replace(score, event_time=time, available_time=time + LAG)


def short(score: Score) -> Score:
    """The same setup after a rise."""
    return changed(score, direction=1, distance_to_high_24h=0.02, distance_to_low_24h=0.05, distance_to_low_72h=0.08)


def ether(score: Score) -> Score:
    return changed(score, symbol="ETHUSDT", close=3_000.0, depth_bid_1pct=1e5, depth_ask_1pct=1e5, volume_24h=1e7)


def only(**rules: Any) -> DrawdownRules:
    """Rules of drawdown_control of which these alone are on."""
    return replace(DrawdownRules.off(), **rules)


def run(scores: pd.DataFrame, fine_bars: pd.DataFrame, **changes: Any) -> BacktestResult:
    options: dict[str, Any] = {
        "gate": GATE,
        "funding": None,
        "initial_equity": 100_000.0,
        "decision_lag": LAG,
        "horizon": HORIZON,
        "fine_bar_interval": timedelta(minutes=1),
    }
    return traded(scores, fine_bars, **options | changes)


def test_entry_is_the_next_open_and_the_exit_the_horizon(make_score: Callable[..., Score]) -> None:
    """Catches an entry at the event's close, and a horizon counted from the event."""
    path = disturb(bars(), "12:01", open=50_010.0)
    trade = run(table(make_score()), path).trades.iloc[0]
    assert trade["entry_time"] == EVENT + pd.Timedelta("1min")
    assert trade["entry"] == 50_010.0
    assert trade["exit_time"] == EVENT + pd.Timedelta("1min") + HORIZON
    assert trade["exit_reason"] == "time"
    assert trade["latency_usd"] == 0.0


def test_the_entry_bar_counts(make_score: Callable[..., Score]) -> None:
    """Catches the fatal bug: skipping the entry bar turns this loss into a gain."""
    path = disturb(bars(), "12:01", low=40_000.0)
    path = disturb(path, "13:00", high=60_000.0)
    result = run(table(make_score()), path)
    assert result.trades["exit_reason"].tolist() == ["stop"]
    assert result.trades["net_usd"].iloc[0] < 0
    without = disturb(bars(), "13:00", high=60_000.0)  # what is left when the entry bar is not looked at
    assert run(table(make_score()), without).trades["net_usd"].iloc[0] > 0


def test_a_stop_costs_one_r_and_a_gap_costs_more(make_score: Callable[..., Score]) -> None:
    """Catches a stop that always fills at its price."""
    touched = run(table(make_score()), disturb(bars(), "12:30", low=48_000.0)).trades.iloc[0]
    assert touched["net_r"] == pytest.approx(-1.0)
    gap = run(table(make_score()), disturb(bars(), "12:30", open=47_000.0)).trades.iloc[0]
    assert gap["exit"] == 47_000.0
    assert gap["net_r"] < -1.5


def test_a_crash_through_the_liquidation_price_takes_the_margin(make_score: Callable[..., Score]) -> None:
    """Catches equity lost beyond an isolated margin, and a liquidation filed as a stop."""
    result = run(table(make_score()), disturb(bars(), "12:30", open=10_000.0))
    trade = result.trades.iloc[0]
    assert trade["exit_reason"] == "liquidation"
    margin = trade["notional_usd"] / trade["leverage"]
    assert -trade["gross_usd"] == pytest.approx(margin, rel=1e-2)
    assert result.equity["equity_usd"].min() > 0


def test_coarse_path_enters_with_the_event_and_pays_for_the_delay(make_score: Callable[..., Score]) -> None:
    """Catches an entry one hour late on hourly bars, and a latency that costs nothing."""
    path = disturb(bars(interval="1h", periods=12), "12:00", open=50_020.0)
    trade = run(table(make_score()), path, fine_bar_interval=timedelta(hours=1)).trades.iloc[0]
    assert trade["entry_time"] == EVENT
    assert trade["entry"] == 50_020.0
    assert trade["latency_usd"] == pytest.approx(trade["notional_usd"] * 0.03 * np.sqrt(5 / 86_400), rel=1e-9)
    assert trade["slippage_usd"] > trade["latency_usd"]


def test_stop_loss_with_latency_is_still_one_r(make_score: Callable[..., Score]) -> None:
    """Catches a latency charged in the books and not in the size."""
    path = disturb(bars(interval="1h", periods=12), "13:00", low=48_000.0)
    trade = run(table(make_score()), path, fine_bar_interval=timedelta(hours=1)).trades.iloc[0]
    assert trade["net_r"] == pytest.approx(-1.0)


@pytest.mark.parametrize(("price", "code"), [(48_000.0, "price_moved_through"), (54_500.0, "price_moved_through")])
def test_a_gap_before_the_entry_is_not_traded(make_score: Callable[..., Score], price: float, code: str) -> None:
    """Catches an entry beyond its own stop or target."""
    result = run(table(make_score()), disturb(bars(), "12:01", open=price))
    assert result.trades.empty
    assert code in result.refusals["code"].tolist()


def test_funding_is_paid_by_the_long_while_it_holds(make_score: Callable[..., Score]) -> None:
    """Catches the sign, a settlement before the entry and one after the exit."""
    stamps = pd.to_datetime(["2024-03-01 12:00", "2024-03-01 16:00", "2024-03-01 20:00"], utc=True)
    rates = pd.DataFrame({"symbol": "BTCUSDT", "event_time": stamps, "funding_rate": 0.001})
    trade = run(table(make_score()), bars(), funding=rates).trades.iloc[0]
    assert trade["funding_usd"] == pytest.approx(0.001 * trade["quantity"] * 50_000.0)
    assert trade["net_usd"] == pytest.approx(
        trade["gross_usd"] - trade["fees_usd"] - trade["slippage_usd"] - trade["funding_usd"]
    )


def test_one_position_a_symbol_until_the_exit_bar_closes(make_score: Callable[..., Score]) -> None:
    """Catches an exit known before its bar has closed, and a position that never closes."""
    path = disturb(bars(), "12:31", low=48_000.0)
    scores = [at(make_score(), minutes) for minutes in (0, 30, 31)]
    result = run(table(*scores), path)
    assert result.trades["event_time"].tolist() == [EVENT, scores[2].event_time]
    assert result.refusals["event_time"].tolist() == [scores[1].event_time]
    assert result.refusals["code"].tolist() == ["position_open"]


def test_same_direction_positions_share_the_cluster_cap(make_score: Callable[..., Score]) -> None:
    """Catches two symbols decided at one moment that do not see each other."""
    eth = ether(make_score())
    sol = changed(eth, symbol="SOLUSDT", close=100.0)
    path = pd.concat([bars(), bars("ETHUSDT", price=3_000.0), bars("SOLUSDT", price=100.0)])
    gate = replace(GATE, rules=SizingRules(risk_fraction=0.009), drawdown_control=DrawdownRules.off())
    trades = run(table(make_score(), eth, sol), path.reset_index(drop=True), gate=gate).trades
    assert trades["symbol"].tolist() == ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    risk = trades.set_index("symbol")["risk_usd"]
    assert risk["ETHUSDT"] == pytest.approx(900.0, rel=0.01)
    assert 0 < risk["SOLUSDT"] < 200
    assert risk.sum() <= 2_000
    assert trades["binding"].tolist() == ["risk", "risk", "cluster_risk"]


def test_the_account_is_valued_at_the_market(make_score: Callable[..., Score]) -> None:
    """Catches the next trade sized on cash alone while an open position is deep under water."""
    path = bars("ETHUSDT", price=3_000.0)
    path.loc[path["open_time"] >= EVENT + pd.Timedelta("10min"), ["open", "high", "low", "close"]] = 2_950.0
    eth = ether(make_score())
    btc = short(at(make_score(), 20))
    result = run(table(eth, btc), pd.concat([bars(), path]).reset_index(drop=True))
    trades = result.trades.set_index("symbol")
    held = trades.loc["ETHUSDT"]
    entry_slippage = (held["slippage_usd"] / held["quantity"]) / (held["entry"] + held["exit"])  # a time exit
    equity = 100_000 - held["quantity"] * (50 + 3_000 * (0.0005 + entry_slippage))
    assert trades.loc["BTCUSDT", "risk_usd"] / trades.loc["BTCUSDT", "risk_fraction"] == pytest.approx(equity)


def test_only_events_are_asked(make_score: Callable[..., Score]) -> None:
    """Catches a refusal for every bar of the market."""
    scores = table(*(replace(at(make_score(), minute), direction=0, p_direction=np.nan) for minute in range(5)))
    scores["direction"] = scores["direction"].astype("float64")
    scores.loc[2, "direction"] = np.nan
    result = run(scores, bars())
    assert result.trades.empty
    assert result.refusals.empty
    assert result.equity["equity_usd"].tolist() == [100_000.0]


def test_the_end_of_the_path_and_its_holes(make_score: Callable[..., Score]) -> None:
    """Catches a trade closed at the end of the data, and an entry long after its event."""
    path = bars()
    hole = path[~path["open_time"].between(EVENT + pd.Timedelta("1min"), EVENT + pd.Timedelta("9min"))]
    result = run(table(make_score(), at(make_score(), 540)), hole)
    assert result.trades.empty
    assert result.refusals["code"].tolist() == ["no_entry_bar", "path_ends_before_horizon"]
    assert result.refusals["decided_at"].tolist() == [EVENT + LAG, EVENT + pd.Timedelta("9h") + LAG]
    assert str(EVENT + LAG) in result.refusals["message"][0]
    assert str(path["event_time"].max()) in result.refusals["message"][1]


def unit_risk(scores: pd.DataFrame, path: pd.DataFrame, **changes: Any) -> list[ClosedTrade]:
    options: dict[str, Any] = {
        "gate": GATE,
        "funding": None,
        "initial_equity": 100_000.0,
        "decision_lag": LAG,
        "horizon": HORIZON,
        "fine_bar_interval": timedelta(minutes=1),
    }
    return traded_at_unit_risk(scores, path, **options | changes)


def test_unit_risk_ignores_the_account(make_score: Callable[..., Score]) -> None:
    """Catches a verdict sample thinned or shrunk by other trades."""
    scores = table(*(at(make_score(), 10 * step) for step in range(3)))
    seen: list[tuple[int, int]] = []
    trades = unit_risk(scores, bars(), progress=lambda done, total: seen.append((done, total)))
    assert len(trades) == 3
    assert len({trade.plan.quantity for trade in trades}) == 1
    assert len(run(scores, bars()).trades) == 1
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_other_predictions_are_traded_as_a_backtest_of_them(make_score: Callable[..., Score]) -> None:
    """Caught: predictions of another event, and what else a score holds lost or kept from the wrong row."""
    options = {
        "initial_equity": 1e5,
        "decision_lag": LAG,
        "horizon": HORIZON,
        "fine_bar_interval": timedelta(minutes=1),
    }
    scores = table(*(at(make_score(), 10 * step) for step in range(4)))
    other = scores.assign(p_direction=[0.9, 0.1, 0.8, 0.2], trade_edge=[1.0, 1.1, 1.2, 1.3], trade_edge_low=0.9)
    backtest = Backtest.of(scores, price_paths(bars()), **options)
    names = ["symbol", "event_time", "p_direction", "trade_edge", "trade_edge_low"]

    def trades_of(given: Backtest) -> pd.DataFrame:
        return trades_table(given.unit_risk_trades(GATE))

    found = trades_of(backtest.rescored(other[names].iloc[::-1]))
    pd.testing.assert_frame_equal(found, trades_of(Backtest.of(other, price_paths(bars()), **options)))
    assert found["p_direction"].tolist() == [0.9, 0.8]
    pd.testing.assert_frame_equal(trades_of(backtest.rescored(scores)), trades_of(backtest))
    with pytest.raises(SchemaError, match="1 events have no prediction, first BTCUSDT"):
        backtest.rescored(other[names].iloc[1:])
    with pytest.raises(SchemaError, match="lacks the columns trade_edge_low"):
        backtest.rescored(other[names[:-1]])


def test_unit_risk_knows_no_drawdown_control(make_score: Callable[..., Score]) -> None:
    """Catches a sample that ends with the account's first bad week."""
    scores, path = [], bars()
    for minute in range(0, 300, 20):
        scores.append(at(make_score(), minute))
        clock = (EVENT + pd.Timedelta(minute + 10, "min")).strftime("%H:%M")
        path = disturb(path, clock, low=48_000.0)
    account = run(table(*scores), path)
    assert {"cooling_off"} <= set(account.refusals["code"])
    trades = unit_risk(table(*scores), path)
    assert len(trades) == 15
    assert {trade.exit_reason for trade in trades} == {"stop"}
    assert {trade.plan.throttle.multiplier for trade in trades} == {1.0}


def test_unit_risk_trades_come_in_the_order_of_their_exits(make_score: Callable[..., Score]) -> None:
    """Catches a series whose next trade began before the last one was known."""
    path = pd.concat(
        [disturb(bars(), "13:59", low=48_000.0), disturb(bars("ETHUSDT", price=3_000.0), "12:40", low=1.0)]
    )
    scores = table(make_score(), at(make_score(), 60), ether(at(make_score(), 30)))
    trades = unit_risk(scores, path.reset_index(drop=True))
    exits = [(trade.exit_time.strftime("%H:%M"), trade.plan.symbol) for trade in trades]
    assert exits == [("12:41", "ETHUSDT"), ("14:00", "BTCUSDT"), ("14:00", "BTCUSDT")]
    assert [trade.plan.event_time.hour for trade in trades] == [12, 12, 13]


def test_costs_can_be_scaled(make_score: Callable[..., Score]) -> None:
    """Catches a cost curve on which nothing moves."""
    path = disturb(bars(), "13:00", high=60_000.0)
    nets = [
        run(table(make_score()), path, gate=replace(GATE, costs=CostModel(multiple=multiple))).trades["net_bps"].iloc[0]
        for multiple in (0.0, 1.0, 2.0)
    ]
    assert nets[0] > nets[1] > nets[2]


def test_progress_is_reported(make_score: Callable[..., Score]) -> None:
    """Catches a bar that stops short of its end."""
    seen: list[tuple[int, int]] = []
    eth = make_score(symbol="ETHUSDT")
    path = pd.concat([bars(), bars("ETHUSDT")]).reset_index(drop=True)
    run(table(make_score(), eth), path, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("column", "code"), [("missing_features", "missing_features"), ("out_of_range_features", "out_of_distribution")]
)
def test_lists_of_features_reach_the_gate(make_score: Callable[..., Score], column: str, code: str) -> None:
    """Catches a column that the engine drops before the gate can see it."""
    scores = pd.DataFrame([row_of(make_score(**{column: ("funding_rate",)}))])
    assert run(scores, bars()).refusals["code"].tolist() == [code]
    assert "funding_rate" in run(scores, bars()).refusals["message"][0]
    assert len(run(scores.drop(columns=column), bars()).trades) == 1


def test_a_refusal_carries_every_reason(make_score: Callable[..., Score]) -> None:
    """Catches a refusal of which only the first reason is kept, or none of its numbers."""
    bad = replace(at(make_score(), 20), p_direction=0.3, missing_features=("basis",))
    result = run(pd.DataFrame([row_of(make_score()), row_of(bad)]), bars())
    refusals = result.refusals
    assert refusals["code"].tolist() == ["missing_features", "probability_below_threshold", "position_open"]
    assert set(refusals["event_time"]) == {bad.event_time}
    assert set(refusals["decided_at"]) == {EVENT + pd.Timedelta("21min")}  # the open at which it would be sent
    for message, number in zip(refusals["message"], ("basis", "0.3", "BTCUSDT"), strict=True):
        assert number in message


def test_every_decision_is_kept_in_full_and_in_order(make_score: Callable[..., Score]) -> None:
    """Catches a journal without the refusals, or with those of the path at its beginning."""
    path = bars()
    path = path[~path["open_time"].between(EVENT + pd.Timedelta("10min"), EVENT + pd.Timedelta("20min"))]
    scores = table(*(at(make_score(), minute) for minute in (0, 5, 12, 30)))
    decisions = run(scores, path).decisions
    kinds = [decision.codes if isinstance(decision, Refusal) else "plan" for decision in decisions]
    assert kinds == ["plan", ("position_open",), ("no_entry_bar",), ("position_open",)]
    minutes = [(decision.event_time - EVENT) / timedelta(minutes=1) for decision in decisions]
    assert minutes == [0, 5, 12, 30]


def test_scores_may_come_in_any_order(make_score: Callable[..., Score]) -> None:
    """Catches a backtest in the order of a file."""
    scores = table(*(at(make_score(), minute) for minute in (20, 0, 10)))
    result = run(scores, disturb(bars(), "12:12", low=48_000.0))
    assert result.trades["event_time"].tolist() == [EVENT, EVENT + pd.Timedelta("20min")]
    assert result.refusals["event_time"].tolist() == [EVENT + pd.Timedelta("10min")]
    assert result.equity["time"].iloc[0] == EVENT


def test_the_mark_price_liquidates(make_score: Callable[..., Score]) -> None:
    """Catches an engine that looks for liquidations on the last trades although a mark price is recorded."""
    crash = disturb(bars(), "12:30", open=10_000.0)
    calm = bars()
    by_last = run(table(make_score()), crash).trades.iloc[0]
    assert by_last["exit_reason"] == "liquidation"
    dip = disturb(bars(), "12:30", open=47_000.0)
    unmarked = run(table(make_score()), dip, mark=calm).trades.iloc[0]
    assert (unmarked["exit_reason"], unmarked["exit"]) == ("stop", 47_000.0)
    # A stop that would fill beyond the bankruptcy price costs the margin and no more.
    assert run(table(make_score()), crash, mark=calm).trades.iloc[0]["net_usd"] == by_last["net_usd"]
    by_mark = run(table(make_score()), calm, mark=crash).trades.iloc[0]
    assert by_mark["exit_reason"] == "liquidation"
    assert by_mark["exit_time"] == EVENT + pd.Timedelta("31min")
    assert by_mark["net_usd"] == by_last["net_usd"]


@pytest.mark.parametrize("rate", [0.9, 0.0, -0.9])
def test_funding_that_eats_the_account_liquidates(make_score: Callable[..., Score], rate: float) -> None:
    """Catches a position that owes more than the account holds and goes on, and one that ends for what it is paid."""
    times = pd.date_range("2024-03-01 13:00", periods=4, freq="1h", tz="UTC", unit="us")
    rates = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times, "funding_rate": rate})
    trade = run(table(make_score()), bars(), funding=rates).trades.iloc[0]
    an_hour = rate * trade["quantity"] * 50_000.0
    if rate <= 0.0:
        assert trade["exit_reason"] == "time"
        assert trade["funding_usd"] == pytest.approx(4 * an_hour)
        return
    hours = round(trade["funding_usd"] / an_hour)
    costs = trade["fees_usd"] + trade["slippage_usd"]
    assert trade["exit_reason"] == "liquidation"
    assert trade["exit"] == 50_000.0  # the account is gone, the margin with it: it is not charged twice
    assert trade["exit_time"] == times[hours - 1]
    assert (hours - 1) * an_hour < 100_000.0 - costs < hours * an_hour


def test_an_account_that_funding_emptied_is_liquidated_however_it_ends(make_score: Callable[..., Score]) -> None:
    """Catches a stop that leaves less than nothing, and no liquidation on record."""
    path = disturb(bars(), "14:00", low=40_000.0)
    quantity = run(table(make_score()), path).trades["quantity"].iloc[0]
    times = pd.to_datetime(["2024-03-01 13:00"], utc=True)
    rates = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times, "funding_rate": 99_500.0 / (quantity * 50_000.0)})
    trade = run(table(make_score()), path, funding=rates).trades.iloc[0]
    assert (trade["exit_reason"], trade["exit"]) == ("liquidation", trade["stop"])
    assert trade["net_usd"] < -100_000.0


def test_ruin_by_funding_in_a_halt_ends_at_the_bankruptcy_price_at_worst(make_score: Callable[..., Score]) -> None:
    """Catches a mark after the halt that costs more than the margin, and one before it that flatters."""
    path = disturb(bars(), "17:00", open=20_000.0, low=20_000.0, close=20_000.0)
    path = path[~path["open_time"].between(EVENT + pd.Timedelta("3h"), EVENT + pd.Timedelta("299min"))]
    times = pd.to_datetime(["2024-03-01 16:00"], utc=True)
    rates = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times, "funding_rate": 5.0})
    trade = run(table(make_score()), path, funding=rates).trades.iloc[0]
    assert trade["exit_reason"] == "liquidation"
    fill = trade["entry"] * (1.0 + trade["slippage_usd"] / trade["notional_usd"])
    assert trade["exit"] == pytest.approx(fill * (1.0 - 1.0 / trade["leverage"]))


def test_an_account_that_posts_all_it_has_is_not_liquidated_for_it(make_score: Callable[..., Score]) -> None:
    """Catches free equity of less than nothing that reads as ruin."""
    rules = replace(GATE.rules, leverage_cap=1.0, risk_fraction=0.02)
    times = pd.date_range("2024-03-01 13:00", periods=4, freq="1h", tz="UTC", unit="us")
    for rate in (0.0, -1e-4, 1e-4):
        rates = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times, "funding_rate": rate})
        trade = run(table(make_score()), bars(), funding=rates, gate=replace(GATE, rules=rules)).trades.iloc[0]
        assert trade["leverage"] == 1
        assert trade["exit_reason"] == "time"


def test_positions_are_valued_at_the_mark(make_score: Callable[..., Score]) -> None:
    """Catches a size that is made on last trades which the venue does not count."""
    mark = bars("ETHUSDT").assign(open=2_950.0, high=2_950.0, low=2_950.0)
    path = pd.concat([bars(), bars("ETHUSDT", price=3_000.0)]).reset_index(drop=True)
    gate = replace(GATE, drawdown_control=DrawdownRules.off())
    scores = table(ether(make_score()), short(at(make_score(), 20)))
    with_mark, without = (run(scores, path, mark=rows, gate=gate) for rows in (mark, None))
    held = with_mark.trades.set_index("symbol").loc["ETHUSDT"]
    lost = without.exposure["equity_usd"][0] - with_mark.exposure["equity_usd"][0]
    assert lost == pytest.approx(50.0 * held["quantity"])
    trades = [result.trades.set_index("symbol").loc["BTCUSDT"] for result in (without, with_mark)]
    equity = [trade["risk_usd"] / trade["risk_fraction"] for trade in trades]
    assert equity[0] - equity[1] == pytest.approx(lost)


def test_a_time_exit_in_a_halt_is_filled_when_the_market_opens(make_score: Callable[..., Score]) -> None:
    """Catches a position sold at a price at which nobody traded, and a symbol that is free too early."""
    path = disturb(bars(), "17:00", open=49_500.0)
    path = path[~path["open_time"].between(EVENT + pd.Timedelta("3h"), EVENT + pd.Timedelta("299min"))]
    result = run(table(make_score(), at(make_score(), 150), at(make_score(), 300)), path)
    trade = result.trades.iloc[0]
    assert (trade["exit_time"], trade["exit"]) == (EVENT + pd.Timedelta("5h"), 49_500.0)
    assert trade["exit_reason"] == "time"
    assert result.refusals["code"].tolist() == ["position_open"]
    assert len(result.trades) == 2


def test_funding_of_a_short_at_shrinking_intervals(make_score: Callable[..., Score]) -> None:
    """Catches one settlement counted every eight hours, and the sign."""
    stamps = ["04:00", "12:00", "12:01", "14:00", "15:00", "16:01", "16:02"]
    times = pd.to_datetime([f"2024-03-01 {stamp}" for stamp in stamps], utc=True)
    rates = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times, "funding_rate": 0.001})
    rates["funding_rate"] *= 2.0 ** np.arange(7)
    trade = run(table(short(make_score())), bars(), funding=rates).trades.iloc[0]
    assert trade["side"] == -1
    # Filled at 12:01 and out at 16:01: after the one settlement, and just in time for the other.
    assert trade["funding_usd"] == pytest.approx(-0.001 * (8 + 16 + 32) * trade["quantity"] * 50_000.0)


def test_the_dearer_latency_counts(make_score: Callable[..., Score]) -> None:
    """Catches a gate whose own latency a coarse path lowers, and one that a fine path charges the lag."""
    slow = replace(GATE, costs=CostModel(latency=timedelta(seconds=45)))
    hourly = {"fine_bars": bars(interval="1h", periods=12), "fine_bar_interval": timedelta(hours=1)}
    minutes = {"fine_bars": bars()}
    for options, gate, seconds in ((hourly, slow, 45), (hourly, GATE, 5), (minutes, slow, 45), (minutes, GATE, 0)):
        trade = run(table(make_score()), gate=gate, **options).trades.iloc[0]
        assert trade["latency_usd"] == pytest.approx(trade["notional_usd"] * 0.03 * np.sqrt(seconds / 86_400))


def stopped(*minutes: int) -> pd.DataFrame:
    """A market that takes the stop of every long in these minutes after the event."""
    path = bars(periods=4_000)
    hit = path["open_time"].isin([EVENT + pd.Timedelta(minute, "min") for minute in minutes])
    return path.assign(low=path["low"].where(~hit, 48_000.0))


def codes(result: BacktestResult) -> list[str]:
    return result.refusals["code"].tolist()


def test_losses_are_followed_by_a_pause_and_a_smaller_size(make_score: Callable[..., Score]) -> None:
    """Catches an account without a memory."""
    scores = [at(make_score(), minute) for minute in (0, 20, 40, 88, 89)]
    gate = replace(GATE, drawdown_control=only(cool_off=timedelta(hours=1), cool_off_streak=2, streak_grace=1))
    result = run(table(*scores), stopped(9, 29), gate=gate)
    # The second loss ends at 12:30; the last two orders would be sent at 13:29 and at 13:30.
    assert codes(result) == ["cooling_off", "cooling_off"]
    assert result.trades["event_time"].tolist() == [scores[index].event_time for index in (0, 1, 4)]
    assert result.trades["risk_multiplier"].tolist() == [1.0, 1.0, 0.5]
    assert result.trades["binding"].tolist() == ["risk", "risk", "throttled_risk"]
    risk = result.trades["risk_fraction"]
    assert risk[2] == pytest.approx(0.5 * risk[0], rel=0.01)


def test_a_day_begins_before_the_trades_that_end_with_it(make_score: Callable[..., Score]) -> None:
    """Catches a loss at midnight that counts for no day, neither as money nor as a trade."""
    midnight = 12 * 60
    scores = [at(make_score(), minute) for minute in (midnight - 20, midnight + 10, 2 * midnight)]
    scores.append(at(make_score(), 3 * midnight - 3))  # sent at 23:58, before the day is over
    for drawdown_control in (only(max_daily_loss=0.005), only(max_daily_losing_trades=1)):
        path = stopped(midnight - 1)
        result = run(table(*scores), path, gate=replace(GATE, drawdown_control=drawdown_control))
        assert result.trades["exit_time"].iloc[0] == EVENT + pd.Timedelta("12h")
        assert result.refusals["event_time"].tolist() == [score.event_time for score in scores[1:]]
        assert set(codes(result)) == {"daily_halt"}
        free = run(
            table(scores[0], at(make_score(), 3 * midnight - 1)),
            path,
            gate=replace(GATE, drawdown_control=drawdown_control),
        )
        assert len(free.trades) == 2  # sent at the next midnight


def test_a_loss_before_midnight_is_forgiven_after_it(make_score: Callable[..., Score]) -> None:
    """Catches a halt that outlasts its day."""
    scores = table(*(at(make_score(), 720 + minute) for minute in (-60, -20, 20)))
    gate = replace(GATE, drawdown_control=only(max_daily_loss=0.005))
    result = run(scores, stopped(690), gate=gate)
    assert result.refusals["event_time"].tolist() == [EVENT + pd.Timedelta("700min")]
    assert codes(result) == ["daily_halt"]
    assert len(result.trades) == 2


def test_an_open_loss_halts_too(make_score: Callable[..., Score]) -> None:
    """Catches a daily loss that counts only what is closed."""
    path = bars("ETHUSDT", price=3_000.0)
    path.loc[path["open_time"] >= EVENT + pd.Timedelta("10min"), ["open", "high", "low", "close"]] = 2_950.0
    scores = table(ether(make_score()), short(at(make_score(), 20)))
    both = pd.concat([bars(), path]).reset_index(drop=True)
    assert codes(run(scores, both, gate=replace(GATE, drawdown_control=only(max_daily_loss=0.005)))) == ["daily_halt"]
    assert codes(run(scores, both, gate=replace(GATE, drawdown_control=only(max_daily_loss=0.02)))) == []


def wandering(symbol: str, price: float, returns: np.ndarray) -> pd.DataFrame:
    """Hourly bars that make these returns up to the event, and stand still after it."""
    close = price * np.exp(np.append(np.cumsum(returns[::-1])[::-1], np.zeros(12)) * -1.0)
    start = EVENT - pd.Timedelta(len(returns) + 1, "h")
    opens = pd.date_range(start, periods=len(close), freq="1h").as_unit("us")
    rows = pd.DataFrame({"symbol": symbol, "open_time": opens, "event_time": opens + pd.Timedelta("1h")})
    return rows.assign(open=close, high=close, low=close, close=close)


@pytest.mark.parametrize(
    ("weight", "side", "days", "capped"),
    [
        (1.0, 1, 9, True),
        (0.0, 1, 9, False),  # two bets, though on the same side
        (0.0, 1, 6, True),  # a week says nothing yet: the same side is one bet
        (-1.0, 1, 9, False),
        (-1.0, -1, 9, True),  # short the one that moves against the other
        (1.0, -1, 9, False),
    ],
)
def test_a_bet_is_what_moves_together(
    make_score: Callable[..., Score], weight: float, side: int, days: int, capped: bool
) -> None:
    """Catches a cluster made of names or sides instead of the correlations that were known at the time."""
    rng = np.random.default_rng(1)
    moves, others = rng.normal(0.0, 0.003, (2, 24 * days))
    path = pd.concat(
        [wandering("BTCUSDT", 50_000.0, moves), wandering("ETHUSDT", 3_000.0, weight * moves + 0.2 * others)]
    )
    eth = ether(make_score()) if side > 0 else ether(short(make_score()))
    rules = SizingRules(risk_fraction=0.01, max_cluster_risk=0.012)
    gate = replace(GATE, rules=rules, drawdown_control=DrawdownRules.off())
    trades = run(
        table(make_score(), eth), path.reset_index(drop=True), gate=gate, fine_bar_interval=timedelta(hours=1)
    ).trades.set_index("symbol")
    assert trades.loc["ETHUSDT", "binding"] == ("cluster_risk" if capped else "risk")
    assert trades.loc["ETHUSDT", "risk_usd"] == pytest.approx(200.0 if capped else 1_000.0, rel=0.02)


def test_the_exposure_after_every_opening_and_closing(make_score: Callable[..., Score]) -> None:
    """Catches an exposure at entry prices, one before instead of after, and longs and shorts that add up."""
    path = pd.concat([disturb(bars(), "14:00", low=48_000.0), bars("ETHUSDT", price=3_000.0)])
    scores = table(make_score(), ether(short(at(make_score(), 60))))
    mark = bars("ETHUSDT").assign(open=3_030.0, high=3_030.0, low=3_030.0)
    result = run(scores, path.reset_index(drop=True), mark=mark)
    btc, eth = (result.trades.set_index("symbol").loc[name] for name in ("BTCUSDT", "ETHUSDT"))
    rows = result.exposure
    assert rows["time"].dt.strftime("%H:%M").tolist() == ["12:01", "13:01", "14:01", "17:01"]
    assert rows["n_positions"].tolist() == [1, 2, 1, 0]
    held, owed = btc["quantity"] * 50_000.0, eth["quantity"] * 3_030.0
    assert rows["gross_notional_usd"].to_numpy() == pytest.approx([held, held + owed, owed, 0.0])
    assert rows["net_notional_usd"].to_numpy() == pytest.approx([held, held - owed, -owed, 0.0])
    risk = np.array([btc["risk_usd"], btc["risk_usd"] + eth["risk_usd"], eth["risk_usd"], 0.0])
    assert rows["open_risk_fraction"].to_numpy() == pytest.approx(risk / rows["equity_usd"])
    assert rows["leverage"].to_numpy() == pytest.approx(rows["gross_notional_usd"] / rows["equity_usd"])
    fee = btc["notional_usd"] * 0.0005
    assert 100_000.0 - fee - btc["slippage_usd"] < rows["equity_usd"][0] < 100_000.0 - fee
    assert rows["equity_usd"][3] == pytest.approx(result.equity["equity_usd"].iloc[-1])


def test_an_empty_exposure_has_the_columns_of_a_full_one(make_score: Callable[..., Score]) -> None:
    """Catches a run without trades whose files the next stage cannot read."""
    full = run(table(make_score()), bars())
    empty = run(table(make_score(p_direction=0.1)), bars())
    for name in ("trades", "equity", "exposure"):
        pd.testing.assert_series_equal(getattr(empty, name).dtypes, getattr(full, name).dtypes)
    pd.testing.assert_series_equal(full.refusals.dtypes, empty.refusals.dtypes)


def test_predictions_in_sample_are_not_traded(make_score: Callable[..., Score]) -> None:
    """Catches a backtest of what the models have learned by heart."""
    row = {"wanted": 1.0, "trained_until": EVENT - pd.Timedelta("1h")}
    rows = pd.DataFrame([row_of(at(make_score(), minute)) | row for minute in (0, 60)])
    predicted = ["symbol", "event_time", "trained_until", "p_direction", "p_hit", "trade_edge", "trade_edge_low"]
    predictions = rows[[*predicted, "out_of_range_features"]]
    labels, features = rows[["symbol", "event_time", "direction"]], rows[["symbol", "event_time", "available_time"]]
    features = pd.concat([features, rows[[*CONTEXT, "wanted"]]], axis=1)
    scores = event_scores(predictions, labels, score_context(features, ["wanted"]))
    assert len(run(scores, bars()).trades) == 1
    for known in (EVENT + pd.Timedelta("1h"), EVENT + pd.Timedelta("2h")):
        late = predictions.assign(trained_until=[row["trained_until"], known])
        with pytest.raises(DataError, match=r"1 of 2 predictions are in sample, first BTCUSDT at 2024-03-01 13:00"):
            event_scores(late, labels, score_context(features, ["wanted"]))


def test_bad_tables_are_named_errors(make_score: Callable[..., Score]) -> None:
    """Catches a backtest of half a table."""
    scores = table(make_score())
    with pytest.raises(SchemaError, match="volatility_daily"):
        run(scores.drop(columns="volatility_daily"), bars())
    with pytest.raises(OrderError, match="repeat"):
        run(pd.concat([scores, scores], ignore_index=True), bars())
    with pytest.raises(MissingDataError, match="BTCUSDT"):
        run(scores, bars("ETHUSDT"))


@pytest.mark.parametrize(
    "bad",
    [
        {"decision_lag": timedelta(seconds=-1)},
        {"fine_bar_interval": timedelta(0)},
        {"horizon": timedelta(hours=5)},
        {"initial_equity": 0.0},
        {"initial_equity": float("nan")},
    ],
)
def test_bad_arguments_are_named_errors(make_score: Callable[..., Score], bad: dict[str, Any]) -> None:
    """Catches a horizon that is not the gate's, and an account without money."""
    with pytest.raises(ParameterError, match=next(iter(bad))):
        run(table(make_score()), bars(), **bad)
