"""The figures of an account, against plain loops over its trades and days."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, ParameterError
from slackwater.metrics.performance import account_summary, daily_sharpe, refusals_by_reason, top_month_share, trades_by

START = datetime(2024, 1, 30, 22, tzinfo=UTC)


def account(seed: int, n: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trades that follow one another with random results, and the equity after each."""
    rng = np.random.default_rng(seed)
    time, cash, rows, equity = START, 10_000.0, [], [(START, 10_000.0)]
    for _ in range(n):
        entry = time + timedelta(minutes=int(rng.integers(1, 4000)))
        time = entry + timedelta(minutes=int(rng.integers(1, 3000)))
        r = float(rng.choice([-1.0, 0.0, 1.7, rng.normal()]))
        cash += 80.0 * r
        equity.append((time, cash))
        rows.append((str(rng.choice(["B", "A"])), entry, entry, int(rng.choice([1, -1])), 80.0 * r, r, 40.0 * r))
    columns = ["symbol", "event_time", "entry_time", "side", "net_usd", "net_r", "net_bps"]
    trades = pd.DataFrame(rows, columns=columns)
    for name in ("event_time", "entry_time"):
        trades[name] = pd.to_datetime(trades[name], utc=True)
    return trades, pd.DataFrame(equity, columns=["time", "equity_usd"])


def naive_sharpe(equity: pd.DataFrame) -> float:
    """One step per UTC day from the first to the last."""
    rows = list(equity.itertuples(index=False))
    day, last, before, returns = rows[0].time.date(), rows[-1].time.date(), rows[0].equity_usd, []
    while day <= last:
        now = before
        for row in rows:
            if row.time.date() == day:
                now = row.equity_usd
        returns.append(now / before - 1.0)
        day, before = day + timedelta(days=1), now
    mean = sum(returns) / len(returns)
    deviation = math.sqrt(sum((x - mean) ** 2 for x in returns) / (len(returns) - 1))
    return math.sqrt(365.0) * mean / deviation


@pytest.mark.parametrize("seed", range(5))
def test_the_summary_is_that_of_plain_loops(seed: int) -> None:
    trades, equity = account(seed, 40)
    got = account_summary(trades, equity)
    wins = [x for x in trades["net_usd"] if x > 0]
    losses = [-x for x in trades["net_usd"] if x < 0]
    peak, deepest, months = 0.0, 0.0, {}
    for value in equity["equity_usd"]:
        peak = max(peak, value)
        deepest = max(deepest, 1.0 - value / peak)
    for time in trades["entry_time"]:
        months[(time.year, time.month)] = months.get((time.year, time.month), 0) + 1
    want = {
        "n_trades": 40,
        "initial_equity_usd": 10_000.0,
        "final_equity_usd": 10_000.0 + sum(trades["net_usd"]),
        "total_return": sum(trades["net_usd"]) / 10_000.0,
        "max_drawdown": deepest,
        "sharpe": naive_sharpe(equity),
        "profit_factor": sum(wins) / sum(losses),
        "win_rate": len(wins) / 40,
        "mean_r": sum(trades["net_r"]) / 40,
        "net_bps_mean": sum(trades["net_bps"]) / 40,
        "top_month_share": max(months.values()) / 40,
    }
    assert got == pytest.approx(want)


@pytest.mark.parametrize("by", ["month", "symbol", "side"])
def test_the_parts_add_up_and_each_is_its_own_summary(by: str) -> None:
    trades, equity = account(3, 60)
    table = trades_by(trades, by)
    assert table["n_trades"].sum() == 60
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["net_usd"].sum() == pytest.approx(equity["equity_usd"].iloc[-1] - 10_000.0)
    names = {
        "month": [f"{t.year}-{t.month:02}" for t in trades["entry_time"]],
        "symbol": list(trades["symbol"]),
        "side": ["long" if side == 1 else "short" for side in trades["side"]],
    }[by]
    assert list(table[by]) == sorted(set(names))
    for row in table.itertuples():
        own = trades[[name == row[1] for name in names]]
        assert row.win_rate == pytest.approx(sum(own["net_usd"] > 0) / len(own))
        assert row.mean_r == pytest.approx(sum(own["net_r"]) / len(own))


def test_without_trades_nothing_is_made_up() -> None:
    trades, equity = account(0, 1)
    got = account_summary(trades.iloc[:0], equity.iloc[:1])
    assert (got["n_trades"], got["final_equity_usd"], got["total_return"], got["max_drawdown"]) == (0, 10_000, 0, 0)
    unknown = ("sharpe", "profit_factor", "win_rate", "mean_r", "net_bps_mean", "top_month_share")
    assert all(math.isnan(got[name]) for name in unknown)
    assert trades_by(trades.iloc[:0], "month").empty
    assert math.isnan(top_month_share(trades.iloc[:0]))


def test_a_ratio_without_variation_or_equity_is_unknown() -> None:
    days = pd.date_range("2024-01-01", periods=3, tz="UTC")
    assert math.isnan(daily_sharpe(pd.DataFrame({"time": days, "equity_usd": [5.0, 5.0, 5.0]})))
    assert math.isnan(daily_sharpe(pd.DataFrame({"time": days, "equity_usd": [5.0, -1.0, 2.0]})))
    assert math.isnan(daily_sharpe(pd.DataFrame({"time": days[:1], "equity_usd": [5.0]})))


def test_bad_values_are_refused() -> None:
    trades, equity = account(0, 3)
    with pytest.raises(DataError, match="`net_r` must be finite"):
        account_summary(trades.assign(net_r=np.nan), equity)
    with pytest.raises(ParameterError, match="`by` must be month, symbol or side, was 'week'"):
        trades_by(trades, "week")  # type: ignore[arg-type]


def test_refusals_count_events_and_name_the_symbols_that_never_trade() -> None:
    """Two reasons for one event are one refused event; a repeated code of one event counts once."""
    time = pd.date_range("2024-01-01", periods=4, freq="h", tz="UTC")
    refusals = pd.DataFrame(
        [("A", time[0], "x"), ("A", time[0], "y"), ("A", time[1], "x"), ("B", time[0], "x"), ("B", time[0], "x")],
        columns=["symbol", "event_time", "code"],
    )
    trades = pd.DataFrame({"symbol": ["B"], "event_time": [time[2]]})
    table = refusals_by_reason(refusals, trades)
    assert table.to_dict("records") == [
        {"code": "x", "events": 3, "share": 0.75, "all_events_of": "A"},
        {"code": "y", "events": 1, "share": 0.25, "all_events_of": ""},
    ]
    assert refusals_by_reason(refusals.iloc[:0], trades).empty
