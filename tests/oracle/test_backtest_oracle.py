"""The engine against a loop that anyone can read.

The engine walks each accepted plan ahead to its exit. The oracle knows nothing ahead: it steps through the
clock bar by bar, with the positions, their funding and the account in plain variables. Both ask the same
gate, and must agree trade by trade.
"""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from slackwater.trading.backtest import run_backtest
from slackwater.trading.costs import CostModel
from slackwater.trading.gate import Account, Gate, OpenPosition, TradePlan
from slackwater.trading.score import Score
from slackwater.trading.sizing import SizingRules

SYMBOLS = ("BTCUSDT", "ETHUSDT")
START = pd.Timestamp("2024-03-01", tz="UTC")
LAG = pd.Timedelta("5s")
BARS = 400
END = pd.Timestamp("2100-01-01", tz="UTC")


def random_market(seed: int, interval: pd.Timedelta) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Two symbols that jump, with missing bars, hourly funding and events with wide and narrow levels."""
    rng = np.random.default_rng(seed)
    paths, scores, rates = [], [], []
    for symbol, price in zip(SYMBOLS, (50_000.0, 3_000.0), strict=True):
        steps = rng.normal(0.0, 0.004, BARS) + (rng.random(BARS) < 0.01) * rng.normal(0.0, 0.15, BARS)
        close = price * np.exp(np.cumsum(steps))
        # some bars open with a gap
        open_ = np.append(price, close[:-1]) * np.exp((rng.random(BARS) < 0.05) * rng.normal(0, 0.03, BARS))
        high = np.maximum(open_, close) * np.exp(rng.exponential(0.002, BARS))
        low = np.minimum(open_, close) * np.exp(-rng.exponential(0.002, BARS))
        opens = START + interval * np.arange(BARS)
        rows = pd.DataFrame(
            {"symbol": symbol, "open_time": opens, "event_time": opens + interval}
            | {"open": open_, "high": high, "low": low, "close": close}
        )
        for bar in range(20, BARS, 7):
            near, far = rng.uniform(0.002, 0.06), rng.uniform(0.01, 0.15)
            direction = int(rng.choice([-1, 0, 1], p=[0.45, 0.1, 0.45]))
            scores.append(
                Score(
                    symbol=symbol,
                    event_time=rows["event_time"].iloc[bar],
                    available_time=rows["event_time"].iloc[bar] + LAG,
                    direction=direction,
                    p_direction=float(rng.uniform(0.4, 0.9)) if direction else math.nan,
                    p_hit=0.5,
                    close=float(close[bar]),
                    volatility_daily=0.05,
                    atr_1h=0.004,
                    atr_bar=0.002,
                    distance_to_high_24h=near,
                    distance_to_low_24h=near,
                    distance_to_high_72h=far,
                    distance_to_low_72h=far,
                    volume_24h=2e5,
                    depth_bid_1pct=1e3,
                    depth_ask_1pct=1e3,
                )
            )
        keep = rng.random(BARS) > 0.02
        keep[[0, -1]] = True
        paths.append(rows[keep])
        hours = int(interval * BARS / pd.Timedelta("1h"))
        settled = START + pd.Timedelta("1h") * np.arange(1, 1 + hours)
        rates.append(
            pd.DataFrame({"symbol": symbol, "event_time": settled, "funding_rate": rng.normal(0, 0.001, len(settled))})
        )
    tables = (pd.DataFrame([asdict(score) for score in scores]), pd.concat(paths), pd.concat(rates))
    return tuple(table.reset_index(drop=True) for table in tables)  # type: ignore[return-value]


def naive_backtest(
    scores: pd.DataFrame, path: pd.DataFrame, rates: pd.DataFrame, gate: Gate, interval: pd.Timedelta
) -> pd.DataFrame:
    """Step through all bars of all symbols in time order; nothing is known before it happens."""
    horizon = pd.Timedelta(gate.horizon)
    bars = {symbol: list(rows.itertuples(index=False)) for symbol, rows in path.groupby("symbol")}
    settlements = {symbol: list(rows.itertuples(index=False)) for symbol, rows in rates.groupby("symbol")}

    def price(symbol: str, time: pd.Timestamp) -> float:
        return [bar.open for bar in bars[symbol] if bar.open_time <= time][-1]

    def funding(position: dict[str, Any], until: pd.Timestamp) -> float:
        plan = position["plan"]
        return sum(
            plan.side * plan.quantity * price(plan.symbol, row.event_time) * row.funding_rate
            for row in settlements[plan.symbol]
            if position["entry_time"] < row.event_time <= until
        )

    def net(position: dict[str, Any]) -> float:
        plan, exit_ = position["plan"], position["exit"]
        slip = {"stop": plan.stop_slippage, "time": plan.exit_slippage}.get(position["exit_reason"], 0.0)
        return (
            plan.side * plan.quantity * (exit_ - plan.entry)
            - plan.fee_fraction * plan.quantity * (plan.entry + exit_)
            - plan.quantity * (plan.entry * plan.entry_slippage + exit_ * slip)
            - funding(position, position["exit_time"])
        )

    def worth(position: dict[str, Any], now: pd.Timestamp) -> float:
        plan = position["plan"]
        paid = plan.quantity * plan.entry * (plan.fee_fraction + plan.entry_slippage)
        gain = plan.side * plan.quantity * (price(plan.symbol, now) - plan.entry)
        return gain - paid - funding(position, now)

    def held(position: dict[str, Any], now: pd.Timestamp) -> OpenPosition:
        plan = position["plan"]
        return OpenPosition(
            symbol=plan.symbol,
            side=plan.side,
            quantity=plan.quantity,
            entry=plan.entry,
            mark=price(plan.symbol, now),
            leverage=plan.leverage,
            risk_usd=plan.risk_usd,
        )

    def exit_in(position: dict[str, Any], bar: Any) -> tuple[float, str] | None:
        plan = position["plan"]
        if plan.side > 0:
            worst, best = bar.low, bar.high
            beyond = lambda value, level: value <= level  # noqa: E731
            reached = best >= plan.target
        else:
            worst, best = bar.high, bar.low
            beyond = lambda value, level: value >= level  # noqa: E731
            reached = best <= plan.target
        if beyond(bar.open, plan.liquidation_price):
            return plan.bankruptcy_price, "liquidation"
        if beyond(bar.open, plan.stop):
            return bar.open, "stop"
        if beyond(worst, plan.stop):
            return plan.stop, "stop"
        if reached:
            return plan.target, "target"
        later = [other for other in bars[plan.symbol] if other.open_time > bar.open_time]
        if not later or later[0].open_time >= position["entry_time"] + horizon:
            return bar.close, "time"
        return None

    orders: dict[tuple[str, pd.Timestamp], Score] = {}
    for row in scores.to_dict("records"):
        score = Score.from_row(row)
        sent = score.event_time if interval > pd.Timedelta("1min") else score.event_time + LAG
        candidates = [bar for bar in bars[score.symbol] if bar.open_time >= sent]
        in_time = bool(candidates) and candidates[0].open_time < sent + interval
        end = bars[score.symbol][-1].event_time
        if score.direction and in_time and candidates[0].open_time + horizon <= end:
            orders[score.symbol, candidates[0].open_time] = score

    cash, trades, positions = 100_000.0, [], []

    def release(until: pd.Timestamp) -> None:
        nonlocal cash
        gone = [position for position in positions if position.get("exit_time", END) <= until]
        for position in sorted(gone, key=lambda position: (position["exit_time"], position["plan"].symbol)):
            positions.remove(position)
            cash += net(position)
            plan = position.pop("plan")
            numbers = {"quantity": plan.quantity, "risk_fraction": plan.risk_fraction, "equity_after": cash}
            trades.append({"symbol": plan.symbol, "event_time": plan.event_time} | position | numbers)

    for time in sorted(path["open_time"].unique()):
        for symbol in SYMBOLS:
            score = orders.get((symbol, time))
            if score is not None:
                now = max(time, score.event_time + LAG)
                release(now)
                equity = cash + sum(worth(position, now) for position in positions)
                account = Account(equity=equity, open_positions=tuple(held(each, now) for each in positions))
                plan = gate.decide(score, account, now=now, price=price(symbol, time))
                if isinstance(plan, TradePlan):
                    positions.append({"plan": plan, "entry_time": time})
        for position in positions:
            for bar in bars[position["plan"].symbol]:
                if bar.open_time == time and "exit_time" not in position:
                    found = exit_in(position, bar)
                    if found is not None:
                        position["exit"], position["exit_reason"] = found
                        position["exit_time"] = bar.event_time
    release(END - pd.Timedelta("1s"))
    return pd.DataFrame(trades)


GATE = Gate(
    rules=SizingRules(risk_fraction=0.005, leverage_cap=10.0, min_reward_risk=0.0),
    probability_threshold=0.5,
    max_score_age=timedelta(hours=2),
)


def compare(seed: int, interval: pd.Timedelta, horizon: pd.Timedelta) -> set[str]:
    scores, path, rates = random_market(seed, interval)
    coarse = interval > pd.Timedelta("1min")
    gate = replace(GATE, horizon=horizon.to_pytimedelta())
    result = run_backtest(
        scores,
        path,
        gate=gate,
        funding=rates,
        initial_equity=100_000.0,
        decision_lag=LAG.to_pytimedelta(),
        horizon=gate.horizon,
        path_interval=interval.to_pytimedelta(),
    )
    with_latency = replace(gate, costs=CostModel(latency=LAG.to_pytimedelta() if coarse else timedelta(0)))
    expected = naive_backtest(scores, path, rates, with_latency, interval)
    assert len(expected) >= 3
    pd.testing.assert_frame_equal(result.trades[expected.columns.tolist()], expected, check_dtype=False, rtol=1e-9)
    return set(expected["exit_reason"])


def test_every_trade_is_that_of_the_naive_loop() -> None:
    """Catches anything that the engine knows too early, forgets, or charges differently."""
    seen = set()
    for seed in range(12):
        seen |= compare(seed, pd.Timedelta("1min"), pd.Timedelta("90min"))
    assert seen == {"target", "stop", "time", "liquidation"}


def test_on_hourly_bars_too() -> None:
    """The same on a path coarser than a minute: entry with the event, latency in the costs."""
    for seed in range(100, 104):
        compare(seed, pd.Timedelta("1h"), pd.Timedelta("24h"))


def test_skipping_the_entry_bar_would_flip_the_result() -> None:
    """The fixture of the fatal bug: the first minute takes the stop, a later one would reach the target."""
    minutes = START + pd.Timedelta("1min") * np.arange(600)
    path = pd.DataFrame({"symbol": "BTCUSDT", "open_time": minutes})
    path["event_time"] = minutes + pd.Timedelta("1min")
    path[["open", "high", "low", "close"]] = 50_000.0
    path.loc[61, "low"] = 45_000.0
    path.loc[100, "high"] = 60_000.0
    score = Score(
        symbol="BTCUSDT",
        event_time=minutes[60],
        available_time=minutes[60] + LAG,
        direction=-1,
        p_direction=0.7,
        p_hit=0.5,
        close=50_000.0,
        volatility_daily=0.03,
        atr_1h=0.005,
        atr_bar=0.001,
        distance_to_high_24h=0.05,
        distance_to_low_24h=0.01,
        distance_to_high_72h=0.08,
        distance_to_low_72h=0.02,
        volume_24h=1e5,
        depth_bid_1pct=1e3,
        depth_ask_1pct=1e3,
    )
    options: dict[str, Any] = {
        "gate": replace(GATE, horizon=timedelta(hours=4)),
        "funding": None,
        "initial_equity": 100_000.0,
        "decision_lag": LAG.to_pytimedelta(),
        "horizon": timedelta(hours=4),
        "path_interval": timedelta(minutes=1),
    }
    honest = run_backtest(pd.DataFrame([asdict(score)]), path, **options).trades
    assert honest["net_usd"].sum() < 0
    # what an engine that starts at the second bar would see
    blind = path.assign(low=path["low"].where(path.index != 61, 50_000.0))
    flattered = run_backtest(pd.DataFrame([asdict(score)]), blind, **options).trades
    assert flattered["net_usd"].sum() > 0
