"""The engine against a backtest that anyone can read, on two hundred random markets.

See `tests.oracle.naive_backtest`: it shares the gate with the engine, and nothing else.
"""

from __future__ import annotations

import math
from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.market.contracts import venue_contracts
from slackwater.trading.account import Account
from slackwater.trading.backtest import BacktestResult
from slackwater.trading.bracket import trade_levels
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import TradePlan
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import price_paths
from slackwater.trading.rules import BracketRules, DrawdownRules, EntryRules, SizingRules
from slackwater.trading.score import Score
from tests.oracle.naive_backtest import NaiveBacktest
from tests.trading import AT_LEVELS, row_of, score_of, traded, traded_at_unit_risk

PRICES = {"BTCUSDT": 50_000.0, "ETHUSDT": 3_000.0, "SOLUSDT": 100.0}
CONTRACTS = venue_contracts("simulated")
MARKETS = 200


def random_gate(rng: np.random.Generator, horizon: timedelta) -> Gate:
    """Draw rules: tight and loose, on and off."""

    def one_of(*values: Any) -> Any:
        return values[rng.integers(len(values))]

    (apart,) = rng.spawn(1)
    drawdown_control = DrawdownRules(
        throttle_drawdown=one_of(None, 0.05, 0.15),
        streak_grace=one_of(None, 0, 2),
        max_drawdown=one_of(None, 0.08, 0.3),
        max_daily_loss=one_of(None, 0.01, 0.03),
        max_daily_losing_trades=one_of(None, 2, 5),
        max_weekly_loss=one_of(None, 0.02, 0.06),
        cool_off=one_of(None, timedelta(minutes=20), timedelta(minutes=90)),
        cool_off_streak=one_of(1, 2, 3),
    )
    risk, cluster = one_of(0.003, 0.008, 0.015, 0.02), one_of(0.01, 0.02)
    return Gate(
        entry=EntryRules(
            probability_threshold=one_of(0.0, 0.5, 0.55),
            max_score_age=one_of(None, timedelta(minutes=5), timedelta(hours=2)),
            complete_features=one_of(True, True, False),
            require_sweep=one_of(True, False, False, False),
        ),
        bracket=BracketRules(
            target_sd=(None, None, None, 8.0)[apart.integers(4)],
            stop_sd=(None, None, None, 0.5)[apart.integers(4)],
            stop_buffer_atr=one_of(0.0, 0.25, 1.0),
            min_stop_atr=one_of(0.0, 0.15),
        ),
        rules=SizingRules(
            risk_fraction=min(risk, cluster),
            max_cluster_risk=cluster,
            max_open_risk=one_of(0.02, 0.04),
            leverage_cap=one_of(3.0, 5.0, 10.0),
            depth_fraction=one_of(None, 0.02),
            min_reward_risk=one_of(0.0, 0.0, 0.5, 1.2),
            min_expectancy=one_of(None, None, 0.05),
            kelly_fraction=one_of(None, None, 0.25),
            liquidation_buffer_stop=one_of(0.0, 0.0, 0.5),
        ),
        drawdown_control=one_of(drawdown_control, drawdown_control, DrawdownRules(), DrawdownRules.off()),
        costs=CostModel(multiple=one_of(0.0, 1.0, 1.0, 2.0), latency=timedelta(seconds=one_of(0, 0, 30))),
        horizon=horizon,
    )


def random_prices(rng: np.random.Generator, price: float, common: np.ndarray, sd: float) -> dict[str, np.ndarray]:
    """Draw prices that jump, open with gaps and throw wicks that reach stop and target in one bar."""
    n = len(common)
    own = rng.normal(0.0, sd, n) + (rng.random(n) < 0.008) * rng.normal(0.0, 0.12, n)
    close = price * np.exp(np.cumsum(own + common))
    gaps = (rng.random(n) < 0.05) * rng.normal(0.0, 0.03, n) + (rng.random(n) < 0.02) * rng.normal(0.0, 0.2, n)
    open_ = np.append(price, close[:-1]) * np.exp(gaps)
    wicks = rng.exponential(0.5 * sd, (2, n)) + (rng.random((2, n)) < 0.03) * rng.exponential(0.04, (2, n))
    both = rng.random(n) < 0.02
    wicks[:, both] += rng.exponential(0.05, int(both.sum()))
    high, low = np.maximum(open_, close) * np.exp(wicks[0]), np.minimum(open_, close) * np.exp(-wicks[1])
    return {"open": open_, "high": high, "low": low, "close": close}


def random_scores(
    rng: np.random.Generator, symbol: str, bars: pd.DataFrame, events: range, lag: timedelta
) -> list[Score]:
    """Draw an event every few bars, with near and far levels, and now and then one that must be refused."""
    price, scores = PRICES[symbol], []
    for bar in events:
        direction = int(rng.choice([-1, 0, 1], p=[0.47, 0.06, 0.47]))
        time = bars["open_time"].iloc[bar + 1]
        edge = float(rng.uniform(-0.3, 1.5)) if rng.random() > 0.05 else math.nan
        near, far = rng.uniform(0.002, 0.05, 2), rng.uniform(0.005, 0.12, 2)
        depth = 5e7 / price * float(rng.uniform(0.05, 1.0)) if rng.random() > 0.05 else math.nan
        scores.append(
            score_of(
                symbol=symbol,
                event_time=time,
                available_time=time + lag + timedelta(minutes=30) * bool(rng.random() < 0.01),
                direction=direction,
                p_direction=float(rng.uniform(0.4, 0.9)) if direction else math.nan,
                p_hit=0.5,
                close=float(bars["close"].iloc[bar]),
                volatility_daily=0.05,
                atr_1h=0.004,
                distance_to_high_24h=near[0],
                distance_to_low_24h=near[1],
                distance_to_high_72h=max(near[0], far[0]),
                distance_to_low_72h=max(near[1], far[1]),
                volume_24h=1e9 / price,
                depth_bid_1pct=depth,
                depth_ask_1pct=depth,
                swept_extreme_distance_above=float(rng.choice([math.nan, -0.002, 0.003, 0.02])),
                swept_extreme_distance_below=float(rng.choice([math.nan, -0.002, 0.003, 0.02])),
                pool_distance_above=float(rng.choice([math.nan, 0.0001, 0.01, 0.04])),
                pool_distance_below=float(rng.choice([math.nan, 0.0001, 0.01, 0.04])),
                trend_efficiency_72h=float(rng.uniform(-1, 1)),
                trade_edge=edge,
                trade_edge_low=edge - 0.2,
                missing_features=("funding_rate",) if rng.random() < 0.02 else (),
            )
        )
    return scores


def plant_touches(rng: np.random.Generator, bars: pd.DataFrame, scores: list[Score], gate: Gate) -> None:
    """Let a bar soon after some events end exactly at their target or their stop."""
    for score in scores:
        if score.direction == 0 or rng.random() > 0.3:
            continue
        levels = trade_levels(
            score.context,
            side=-score.direction,
            tick_size=CONTRACTS[score.symbol].tick_size,
            rules=gate.bracket,
            horizon=gate.horizon,
        )
        price = levels.target if rng.random() < 0.7 else levels.stop
        at = int(bars["open_time"].searchsorted(score.event_time)) + int(rng.integers(0, 12))
        if at >= len(bars) or price <= 0:
            continue
        if price > max(bars.at[at, "open"], bars.at[at, "close"]):
            bars.at[at, "high"] = price
        elif price < min(bars.at[at, "open"], bars.at[at, "close"]):
            bars.at[at, "low"] = price


def random_mark(rng: np.random.Generator, bars: pd.DataFrame) -> pd.DataFrame:
    """Draw a mark price that keeps to the last trades but for wicks of its own, and lacks some bars."""
    n = len(bars)
    open_ = bars["open"] * np.exp(rng.normal(0.0, 0.001, n))
    wicks = rng.exponential(0.001, (2, n)) + (rng.random((2, n)) < 0.04) * rng.exponential(0.15, (2, n))
    rows = bars[["symbol", "open_time"]].assign(
        open=open_,
        high=np.maximum(open_, bars["close"]) * np.exp(wicks[0]),
        low=np.minimum(open_, bars["close"]) * np.exp(-wicks[1]),
    )
    return rows[rng.random(n) > 0.05]


def random_funding(
    rng: np.random.Generator, symbol: str, start: pd.Timestamp, bars: int, interval: timedelta, sd: float
) -> pd.DataFrame:
    """Draw settlements whose interval shrinks from eight bars to four and one, some within a bar."""
    steps = np.cumsum(np.repeat([8, 4, 1], [bars // 16, bars // 16, bars // 8]))
    times = start + pd.TimedeltaIndex(steps * interval) + (rng.random() < 0.5) * interval / 3
    rates = rng.normal(0.0, sd, len(times))
    return pd.DataFrame({"symbol": symbol, "event_time": times.as_unit("us"), "funding_rate": rates})


def random_market(seed: int) -> dict[str, Any]:
    """Draw the arguments of a backtest. Seeds share out what is rare, the rest is luck."""
    rng = np.random.default_rng(seed)
    hourly, warm = seed % 4 == 0, seed % 8 == 1
    interval = timedelta(hours=1) if hourly else timedelta(minutes=1)
    horizon = timedelta(hours=int(rng.integers(4, 30))) if hourly else timedelta(minutes=int(rng.integers(20, 150)))
    lag = timedelta(seconds=int(rng.choice([0, 5, 5, 90])))
    n = 330 if hourly else 360
    # Minutes run over a midnight, of a Monday in some.
    start = pd.Timestamp("2024-02-28", tz="UTC") if hourly else pd.Timestamp("2024-03-03 21:00", tz="UTC")
    start = (start + pd.Timedelta(int(rng.integers(0, 3)), "D")).as_unit("us")
    opens = pd.date_range(start, periods=n, freq=interval, unit="us")
    if warm:  # a bar an hour over nine days is enough to know correlations
        opens = pd.date_range(start - pd.Timedelta("9D"), start, freq="1h", unit="us", inclusive="left").append(opens)
    gate = random_gate(rng, horizon)
    common = rng.normal(0.0, 0.006, len(opens))
    paths, scores, marks, rates = [], [], [], []
    for symbol in list(PRICES)[: 1 + seed % 3]:
        stamp = timedelta(milliseconds=int(rng.random() < 0.3))  # some venues close a bar just before the next
        prices = random_prices(rng, PRICES[symbol], common * rng.choice([-1.0, 0.0, 1.0]), 0.003)
        bars = pd.DataFrame({"symbol": symbol, "open_time": opens, "event_time": opens + interval - stamp} | prices)
        first = len(opens) - n + (200 if hourly and seed % 8 == 0 else 10)
        last = len(bars) - int(0.9 * (horizon / interval))  # the path ends too early for a few
        events = random_scores(rng, symbol, bars, range(first, last, int(rng.integers(4, 8))), lag)
        plant_touches(rng, bars, events, gate)
        keep = rng.random(len(bars)) > rng.choice([0.0, 0.02])
        if rng.random() < 0.7:  # a halt
            keep[(halt := int(rng.integers(first, len(bars) - 60))) : halt + int(rng.integers(10, 60))] = False
        keep[[0, -1]] = True
        paths.append(bars[keep])
        scores += events
        if seed % 3 and rng.random() < 0.8:
            marks.append(random_mark(rng, bars))
        if rng.random() < 0.6:
            rates.append(random_funding(rng, symbol, start, n, interval, 2.0 if seed % 10 in (3, 7) else 0.002))
    return {
        "scores": pd.DataFrame([row_of(score) for score in scores]).sample(frac=1.0, random_state=seed),
        "fine_bars": pd.concat(paths, ignore_index=True),
        "gate": gate,
        "funding": pd.concat(rates, ignore_index=True) if rates else None,
        "mark": pd.concat(marks, ignore_index=True) if marks else None,
        "initial_equity": float(rng.choice([2_000.0, 100_000.0, 100_000.0, 3e6])),
        "decision_lag": lag,
        "horizon": horizon,
        "fine_bar_interval": interval,
    }


def assert_same(found: pd.DataFrame, expected: list[dict[str, Any]], what: str) -> None:
    assert all(set(row) == set(found.columns) for row in expected), what
    table = pd.DataFrame(expected, columns=found.columns).astype(found.dtypes)
    pd.testing.assert_frame_equal(found, table, rtol=1e-9, atol=1e-8, obj=what)


def assert_all_same(result: BacktestResult, naive: NaiveBacktest, what: str) -> None:
    """Compare trade by trade, refusal by refusal, and the account after each."""
    refusals = sorted(naive.refusals, key=lambda row: (row["event_time"], row["symbol"]))
    peak, equity = 0.0, []
    for row in naive.equity:
        peak = max(peak, row["equity_usd"])
        equity.append(row | {"drawdown": 1.0 - row["equity_usd"] / peak})
    assert_same(result.trades, naive.trades, f"trades of {what}")
    assert_same(result.refusals, refusals, f"refusals of {what}")
    assert_same(result.equity, equity, f"equity of {what}")
    assert_same(result.exposure, naive.exposure, f"exposure of {what}")
    refused = {(row["decided_at"], row["symbol"], row["event_time"]) for row in naive.refusals}
    made = [(decision.decided_at, decision.symbol, decision.event_time) for decision in result.decisions]
    assert sorted(made) == sorted([*naive.plans, *refused]), f"decisions of {what}"
    assert [time for time, _, _ in made] == sorted(time for time, _, _ in made), f"decisions of {what}"


def test_every_trade_and_refusal_is_that_of_the_naive_backtest() -> None:
    """Catches anything that the engine knows too early, forgets, or charges differently."""
    seen: dict[str, Counter[str]] = {name: Counter() for name in ("exit_reason", "binding", "code", "feature")}
    for seed in range(MARKETS):
        market = random_market(seed)
        result = traded(**market)
        assert_all_same(result, NaiveBacktest(**market), f"market {seed}")
        trades = result.trades
        seen["exit_reason"].update(trades["exit_reason"])
        seen["binding"].update(trades["binding"])
        seen["code"].update(result.refusals["code"])
        # An exit well after the horizon has waited for the market to open again.
        late = trades["exit_time"] > trades["entry_time"] + market["horizon"] + market["fine_bar_interval"]
        gone = trades["exit_reason"] == "liquidation"
        features = {"halt": late, "liquidated by mark": gone & (market["mark"] is not None)}
        features |= {"liquidated by last": gone & (market["mark"] is None), "funding": trades["funding_usd"] != 0.0}
        features |= {"ruined by funding": gone & (trades["funding_usd"] > 20.0 * trades["risk_usd"])}
        features |= {"latency": trades["latency_usd"] > 0.0, "throttled": trades["risk_multiplier"] < 1.0}
        seen["feature"].update({name: int(rows.sum()) for name, rows in features.items()})
    # So that the comparison is not one of empty tables.
    rare = {
        "exit_reason": ("target", "stop", "time", "liquidation"),
        "binding": ("risk", "throttled_risk", "cluster_risk", "open_risk", "kelly"),
        "code": (
            "cooling_off",
            "daily_halt",
            "weekly_halt",
            "drawdown_stop",
            "throttled",
            "open_risk_exceeded",
            "position_open",
            "price_moved_through",
            "no_entry_bar",
            "path_ends_before_horizon",
        ),
        "feature": (
            "halt",
            "liquidated by mark",
            "liquidated by last",
            "funding",
            "ruined by funding",
            "latency",
            "throttled",
        ),
    }
    few = {name: seen[of][name] for of, names in rare.items() for name in names if seen[of][name] < 8}
    assert not few
    assert seen["exit_reason"].total() > 2_000


def test_unit_risk_is_the_naive_backtest_with_a_fresh_account() -> None:
    """Catches a trade of the verdict's sample that is left out, moved, or shrunk by another one."""
    exits = Counter[str]()
    for seed in range(0, MARKETS, 5):
        market = random_market(seed)
        trades = traded_at_unit_risk(**market)
        found = pd.DataFrame([trade.to_row() for trade in trades])
        naive = pd.DataFrame(NaiveBacktest(**market, unit_risk=True).trades)
        pd.testing.assert_frame_equal(
            found, naive.drop(columns="equity_after", errors="ignore"), rtol=1e-9, atol=1e-8, obj=f"{seed}"
        )
        exits.update(trade.exit_reason for trade in trades)
    assert set(exits) == {"target", "stop", "time", "liquidation"}
    assert exits.total() > 1_000


def flat_market() -> tuple[Score, pd.DataFrame]:
    """The fixture of the fatal bug: the entry bar takes the stop, a later one would reach the target."""
    start = pd.Timestamp("2024-03-01", tz="UTC")
    minutes = pd.date_range(start, periods=600, freq="1min", unit="us")
    path = pd.DataFrame({"symbol": "BTCUSDT", "open_time": minutes, "event_time": minutes + pd.Timedelta("1min")})
    path[["open", "high", "low", "close"]] = 50_000.0
    path.loc[61, "low"] = 45_000.0
    path.loc[100, "high"] = 60_000.0
    score = score_of(
        symbol="BTCUSDT",
        event_time=minutes[60],
        available_time=minutes[60] + pd.Timedelta("5s"),
        direction=-1,
        p_direction=0.7,
        p_hit=0.5,
        close=50_000.0,
        volatility_daily=0.03,
        atr_1h=0.005,
        distance_to_high_24h=0.05,
        distance_to_low_24h=0.01,
        distance_to_high_72h=0.08,
        distance_to_low_72h=0.02,
        volume_24h=1e5,
        depth_bid_1pct=1e3,
        depth_ask_1pct=1e3,
        trade_edge=0.9,
        trade_edge_low=0.7,
    )
    return score, path


def test_skipping_the_entry_bar_would_flip_the_result() -> None:
    """Catches the fatal bug: an engine that starts one bar late turns this loss into a gain."""
    score, path = flat_market()
    horizon = timedelta(hours=4)
    options: dict[str, Any] = {
        "scores": pd.DataFrame([row_of(score)]),
        "fine_bars": path,
        "gate": Gate(horizon=horizon, bracket=AT_LEVELS),
        "funding": None,
        "initial_equity": 100_000.0,
        "decision_lag": timedelta(seconds=5),
        "horizon": horizon,
        "fine_bar_interval": timedelta(minutes=1),
    }
    honest = traded(**options)
    assert honest.trades["net_usd"].item() < 0
    assert_all_same(honest, NaiveBacktest(**options), "the fixture")

    plan = options["gate"].decide(
        score, Account(equity=100_000.0), now=path["open_time"][61].to_pydatetime(), price=50_000.0
    )
    assert isinstance(plan, TradePlan)
    only = price_paths(path, None, ["BTCUSDT"])["BTCUSDT"]
    buggy = only.hold(plan, entry_bar=62, horizon=horizon)
    assert buggy.net_usd > 0
    assert only.hold(plan, entry_bar=61, horizon=horizon).net_usd == honest.trades["net_usd"].item()

    # What is left of the market for an engine with the bug: the naive backtest tells the two apart.
    blind = traded(**options | {"fine_bars": path.assign(low=path["low"].where(path.index != 61, 50_000.0))})
    assert blind.trades["net_usd"].item() > 0
    with pytest.raises(AssertionError):
        assert_all_same(blind, NaiveBacktest(**options), "the fixture")
