"""A finished backtest as files, made of the project's own objects in milliseconds; its numbers mean nothing."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slackwater.storage import write_json, write_json_lines, write_parquet
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.ledger import ClosedTrade, Ledger
from slackwater.trading.reasons import Reason
from tests.trading import make_plan

START = pd.Timestamp("2024-01-01", tz="UTC")
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TRADES = 40


def make_run(root: Path) -> Path:
    """Write 40 trades, 80 refusals, labels of all but two of those, and hourly bars."""
    rng = np.random.default_rng(0)
    bars = _bars(rng)
    ledger = Ledger(initial_equity=10_000.0, start=START)
    decisions: list[TradePlan | Refusal] = []
    labels: list[dict[str, Any]] = []
    for number in range(TRADES):
        at = START + timedelta(days=3 * number + 1, hours=number % 20)
        plan, trade = _trade(bars, at, number)
        decisions.append(plan)
        ledger.record_trade(trade)
        for hours in (1, 2):
            time = at + timedelta(hours=hours)
            reasons = (Reason("expected_value_too_low", "the lower bound is 0.01"), Reason("position_open", "it is"))
            decisions.append(
                Refusal(symbol="BTCUSDT", event_time=time, decided_at=time + MINUTE, reasons=reasons[:hours])
            )
            known = number > 0
            labels.append(
                {
                    "symbol": "BTCUSDT",
                    "event_time": time,
                    "trade_end_time": time + timedelta(hours=12) if known else pd.NaT,
                    "net_r": float(rng.normal()) if known else np.nan,
                }
            )
    write_json_lines((each.to_dict() for each in decisions), root / "reports" / "journal.jsonl")
    write_parquet(ledger.trades(), root / "reports" / "trades.parquet")
    write_json({"synthetic": True}, root / "reports" / "verdict.json")
    table = pd.DataFrame(labels)
    times = {name: table[name].dt.as_unit("us") for name in ("event_time", "trade_end_time")}
    write_parquet(table.assign(**times), root / "data" / "labels.parquet")
    bars.attrs["synthetic"] = True
    write_parquet(bars, root / "data" / "tables" / "fine_bars.parquet")
    return root


def _bars(rng: np.random.Generator) -> pd.DataFrame:
    n = 24 * (3 * TRADES + 10)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.004, n)))
    opens = pd.date_range(START, periods=n, freq="1h").as_unit("us")
    wick = np.abs(rng.normal(0.0, 0.004, (2, n)))
    return pd.DataFrame(
        {
            "symbol": "BTCUSDT",
            "open_time": opens,
            "event_time": opens + HOUR,
            "high": close * np.exp(wick[0]),
            "low": close * np.exp(-wick[1]),
            "close": close,
        }
    )


def _trade(bars: pd.DataFrame, at: pd.Timestamp, number: int) -> tuple[TradePlan, ClosedTrade]:
    entry_row = int((at - START) / HOUR)
    exit_row, side = entry_row + 12, 1 - 2 * (number % 2)
    entry = float(bars["close"][entry_row - 1])
    plan = make_plan(
        symbol="BTCUSDT",
        event_time=at,
        available_time=at,
        decided_at=at + MINUTE,
        expires=at + timedelta(hours=13),
        triggers=("cusum", "cascade") if number % 3 == 0 else ("cusum",),
        side=side,
        entry=entry,
        quantity=2.0,
        notional_usd=2.0 * entry,
        risk_usd=10.0,
        reward_risk=1.1,
        p_trade=0.6,
        fee_fraction=0.0005,
        volatility_daily=0.02 + 0.001 * (number % 7),
        entry_slippage=0.0,
        exit_slippage=0.0,
        stop_slippage=0.0,
        latency_slippage=0.0,
    )
    trade = ClosedTrade(
        plan=plan,
        entry_time=bars["open_time"][entry_row],
        exit_time=bars["event_time"][exit_row],
        exit_price=float(bars["close"][exit_row]),
        exit_reason="time",
        funding_usd=0.25,
    )
    return plan, trade
