"""The engine on small hand-made markets: when it enters, what it pays, what the account knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, OrderError, ParameterError, SchemaError
from slackwater.trading.backtest import BacktestResult, constant_risk_trades, run_backtest
from slackwater.trading.costs import CostModel
from slackwater.trading.gate import Gate
from slackwater.trading.score import Score
from slackwater.trading.sizing import SizingRules

EVENT = pd.Timestamp("2024-03-01 12:00", tz="UTC")
LAG = timedelta(seconds=5)
HORIZON = timedelta(hours=4)
GATE = Gate(horizon=HORIZON)


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
    return pd.DataFrame([asdict(score) for score in scores]).drop(columns="missing_features")


def run(scores: pd.DataFrame, path: pd.DataFrame, **changes: Any) -> BacktestResult:
    options: dict[str, Any] = {
        "gate": GATE,
        "funding": None,
        "initial_equity": 100_000.0,
        "decision_lag": LAG,
        "horizon": HORIZON,
        "path_interval": timedelta(minutes=1),
    }
    return run_backtest(scores, path, **options | changes)


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
    trade = run(table(make_score()), path, path_interval=timedelta(hours=1)).trades.iloc[0]
    assert trade["entry_time"] == EVENT
    assert trade["entry"] == 50_020.0
    assert trade["latency_usd"] == pytest.approx(trade["notional_usd"] * 0.03 * np.sqrt(5 / 86_400), rel=1e-9)
    assert trade["slippage_usd"] > trade["latency_usd"]


def test_stop_loss_with_latency_is_still_one_r(make_score: Callable[..., Score]) -> None:
    """Catches a latency charged in the books and not in the size."""
    path = disturb(bars(interval="1h", periods=12), "13:00", low=48_000.0)
    trade = run(table(make_score()), path, path_interval=timedelta(hours=1)).trades.iloc[0]
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
    later = [EVENT + pd.Timedelta(minutes) for minutes in ("30min", "31min")]
    scores = [
        make_score(),
        *(make_score(event_time=time, available_time=time + pd.Timedelta(LAG)) for time in later),
    ]
    result = run(table(*scores), path)
    assert result.trades["event_time"].tolist() == [EVENT, later[1]]
    assert result.refusals["event_time"].tolist() == [later[0]]
    assert result.refusals["code"].tolist() == ["position_open"]


def test_same_direction_positions_share_the_cluster_cap(make_score: Callable[..., Score]) -> None:
    """Catches two symbols decided at one moment that do not see each other."""
    eth = make_score(symbol="ETHUSDT", close=3_000.0, depth_bid_1pct=1e5, depth_ask_1pct=1e5, volume_24h=1e7)
    sol = replace(eth, symbol="SOLUSDT", close=100.0)
    path = pd.concat([bars(), bars("ETHUSDT", price=3_000.0), bars("SOLUSDT", price=100.0)])
    gate = replace(GATE, rules=SizingRules(risk_fraction=0.009))
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
    eth = make_score(symbol="ETHUSDT", close=3_000.0, depth_bid_1pct=1e5, depth_ask_1pct=1e5, volume_24h=1e7)
    time = EVENT + pd.Timedelta("20min")
    btc = make_score(event_time=time, available_time=time + pd.Timedelta(LAG), direction=1)
    btc = replace(btc, distance_to_high_24h=0.02, distance_to_low_72h=0.09)
    result = run(table(eth, btc), pd.concat([bars(), path]).reset_index(drop=True))
    trades = result.trades.set_index("symbol")
    held = trades.loc["ETHUSDT"]
    entry_slippage = (held["slippage_usd"] / held["quantity"]) / (held["entry"] + held["exit"])  # a time exit
    equity = 100_000 - held["quantity"] * (50 + 3_000 * (0.0005 + entry_slippage))
    assert trades.loc["BTCUSDT", "risk_usd"] / trades.loc["BTCUSDT", "risk_fraction"] == pytest.approx(equity)


def test_only_events_are_asked(make_score: Callable[..., Score]) -> None:
    """Catches a refusal for every bar of the market."""
    scores = table(
        *(
            make_score(event_time=EVENT + pd.Timedelta(f"{minute}min"), direction=0, p_direction=np.nan)
            for minute in range(5)
        )
    )
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
    late = path["event_time"].max() - pd.Timedelta("2h")
    scores = table(make_score(), make_score(event_time=late, available_time=late + pd.Timedelta(LAG)))
    result = run(scores, hole)
    assert result.trades.empty
    assert result.refusals["code"].tolist() == ["no_entry_bar", "path_ends_before_horizon"]


def test_constant_risk_ignores_the_account(make_score: Callable[..., Score]) -> None:
    """Catches a verdict sample thinned or shrunk by other trades."""
    times = [EVENT + pd.Timedelta(f"{10 * step}min") for step in range(3)]
    scores = table(*(make_score(event_time=time, available_time=time + pd.Timedelta(LAG)) for time in times))
    trades = constant_risk_trades(
        scores,
        bars(),
        gate=GATE,
        funding=None,
        initial_equity=100_000.0,
        decision_lag=LAG,
        horizon=HORIZON,
        path_interval=timedelta(minutes=1),
    )
    assert len(trades) == 3
    assert len(set(trades["quantity"])) == 1
    assert len(run(scores, bars()).trades) == 1
    assert trades["equity_after"].iloc[-1] == pytest.approx(100_000 + trades["net_usd"].sum())


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


def test_missing_features_column_is_used_where_it_is(make_score: Callable[..., Score]) -> None:
    """Catches a column that the engine drops before the gate can see it."""
    scores = pd.DataFrame([asdict(make_score(missing_features=("funding_rate",)))])
    assert run(scores, bars()).refusals["code"].tolist() == ["missing_features"]


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
        {"path_interval": timedelta(0)},
        {"horizon": timedelta(hours=5)},
        {"initial_equity": 0.0},
        {"initial_equity": float("nan")},
    ],
)
def test_bad_arguments_are_named_errors(make_score: Callable[..., Score], bad: dict[str, Any]) -> None:
    """Catches a horizon that is not the gate's, and an account without money."""
    with pytest.raises(ParameterError, match=next(iter(bad))):
        run(table(make_score()), bars(), **bad)
