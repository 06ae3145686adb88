"""Contracts that no longer trade, and feeds of liquidations that are dead: found, and not where a coin is thin."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import SchemaError
from slackwater.market.frame import MarketFrame
from slackwater.market.quality.detectors import clean_tables
from slackwater.market.spec import FrameSpec
from slackwater.types import Bools

START = pd.Timestamp("2024-01-01", tz="UTC")
STEPS = {"1min": 10_080, "1h": 720, "4h": 360}


def bars(step: str, still: Bools, symbol: str = "BTCUSDT") -> pd.DataFrame:
    count = len(still)
    chance = np.random.default_rng(count)
    opens = pd.DatetimeIndex(START + pd.Timedelta(step) * np.arange(count)).as_unit("us")
    close = 100.0 * np.exp(np.cumsum(np.where(still, 0.0, chance.normal(0.0, 0.001, count))))
    low = np.where(still, close, close * 0.999)
    table = pd.DataFrame({"symbol": symbol, "open_time": opens, "event_time": opens + pd.Timedelta(step)})
    table["available_time"] = table["event_time"] + pd.Timedelta("2s")
    volume = np.where(still, 0.0, chance.uniform(1.0, 2.0, count))
    return table.assign(open=close, high=close, low=low, close=close, volume=volume)


def settlements(last: pd.Timestamp, symbol: str = "BTCUSDT") -> pd.DataFrame:
    times = pd.date_range(START, last, freq="8h", unit="us")
    table = pd.DataFrame({"symbol": symbol, "event_time": times, "available_time": times + pd.Timedelta("1min")})
    return table.assign(funding_rate=1e-4, interval_hours=8.0)


def examine(**tables: pd.DataFrame) -> tuple[dict[str, pd.DataFrame], list[tuple[str, str, str, int]]]:
    cleaned, ledger = clean_tables(tables, venue="simulated", spacing={})
    return cleaned, [(each.table, each.symbol, each.rule, each.rows) for each in ledger.findings]


def run_of(count: int, first: int, length: int, share: float = 0.0) -> Bools:
    """Return which bars are still: a share of them by chance, and a run."""
    still = np.random.default_rng(7).random(count) < share
    still[max(first - 1, 0) : first + length + 1] = False
    still[first : first + length] = True
    return still


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("share", [0.0, 0.02])
def test_after_a_settlement_bars_and_funding_are_masked(step: str, share: float) -> None:
    count = STEPS[step]
    table = bars(step, run_of(count, count // 3, count, share))
    cleaned, found = examine(bars=table, funding=settlements(table["event_time"].iloc[-1]))
    last = table["event_time"].iloc[count // 3 - 1]
    assert cleaned["bars"]["event_time"].max() == last
    assert cleaned["funding"]["event_time"].max() <= last
    assert [rule for _, _, rule, _ in found] == ["without_trades", "after_settlement"]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("where", ["before the first trade", "in the middle"])
def test_a_halt_is_masked_and_funding_stays(step: str, where: str) -> None:
    count, length = STEPS[step], round(pd.Timedelta("36h") / pd.Timedelta(step))
    table = bars(step, run_of(count, 0 if where == "before the first trade" else count // 2, length))
    cleaned, found = examine(bars=table, funding=settlements(table["event_time"].iloc[-1]))
    assert found == [("bars", "BTCUSDT", "without_trades", length)]
    assert len(cleaned["bars"]) == count - length


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("step", STEPS)
def test_a_coin_that_trades_little_is_left_alone(step: str, share: float) -> None:
    still = np.random.default_rng(1).random(STEPS[step]) < share
    assert examine(bars=bars(step, still))[1] == []


def test_bars_that_move_without_a_trade_are_no_market() -> None:
    """After a settlement some archives go on with the index: such bars looked like a market of volume 0."""
    table = bars("1h", np.zeros(720, dtype=bool))
    settled = table.assign(volume=table["volume"].where(table.index < 240, 0.0))
    cleaned, found = examine(bars=settled, funding=settlements(settled["event_time"].iloc[-1]))
    assert [(rule, rows) for _, _, rule, rows in found] == [("without_trades", 480), ("after_settlement", 60)]
    assert len(cleaned["bars"]) == 240
    single = table.assign(volume=table["volume"].where(table.index != 240, 0.0))
    assert [(rule, rows) for _, _, rule, rows in examine(bars=single)[1]] == [("moved_without_trades", 1)]
    counted = single.assign(trade_count=1.0)  # a volume that was rounded
    assert examine(bars=counted)[1] == []
    with pytest.raises(SchemaError, match="moved_without_trades in 360 rows"):
        examine(bars=table.assign(volume=np.where(table.index % 2 == 0, 0.0, 1.0)))


def test_nights_without_a_trade_are_a_habit() -> None:
    hours = np.arange(STEPS["1h"]) % 24
    assert examine(bars=bars("1h", hours < 7))[1] == []


def test_a_symbol_that_never_trades_is_refused() -> None:
    with pytest.raises(SchemaError, match="without_trades"):
        examine(bars=bars("1h", np.ones(100, dtype=bool)))


def test_what_others_did_is_unknown_after_the_settlement_of_the_only_other() -> None:
    still = run_of(720, 240, 720)
    table = pd.concat([bars("1h", np.zeros(720, dtype=bool)), bars("1h", still, "OLDUSDT")], ignore_index=True)
    cleaned, _ = examine(bars=table)
    frame = MarketFrame.from_tables(
        cleaned, FrameSpec(bar_interval=timedelta(hours=1), decision_lag=timedelta(seconds=5))
    )
    others = frame.table.loc[frame.table["symbol"] == "BTCUSDT", "others_return"]
    assert others.iloc[:240].notna().all()
    assert others.iloc[240:].isna().all()


# -- dead feeds ----------------------------------------------------------------------------------------------

HOURS = 24 * 60
SPEC = FrameSpec(bar_interval=timedelta(hours=1), decision_lag=timedelta(seconds=10))


def totals(table: pd.DataFrame, left: float, first: int, last: int) -> pd.DataFrame:
    """Return liquidations of each bar, of which only a share is left from one bar to another."""
    amounts = np.random.default_rng(3).lognormal(0.0, 1.0, (len(table), 2))
    amounts[first:last] *= left
    out = table[["symbol", "event_time"]].assign(available_time=table["event_time"] + pd.Timedelta("5s"))
    return out.assign(long_quantity=amounts[:, 0], short_quantity=amounts[:, 1])


def events(table: pd.DataFrame, amounts: pd.DataFrame) -> pd.DataFrame:
    rows = amounts.assign(side="long", price=table["close"], quantity=amounts["long_quantity"])
    return rows[rows["quantity"] > 0.0].drop(columns=["long_quantity", "short_quantity"]).reset_index(drop=True)


@pytest.mark.parametrize("left", [0.0, 0.001])
@pytest.mark.parametrize("kind", ["liquidations", "liquidation_totals"])
def test_a_dead_feed_is_unknown_and_not_zero(left: float, kind: str) -> None:
    table = bars("1h", np.zeros(HOURS, dtype=bool))
    amounts = totals(table, left, 500, 560)
    feed = amounts if kind == "liquidation_totals" else events(table, amounts)
    cleaned, found = examine(**{"bars": table, kind: feed})
    assert [(name, rule) for name, _, rule, _ in found] == [(kind, "dead_feed")]
    frame = MarketFrame.from_tables(cleaned, SPEC).table
    for column in ("liquidated_long", "liquidated_short"):
        unknown = np.flatnonzero(frame[column].isna())
        assert set(range(500, 560)) <= set(unknown)
        assert len(unknown) <= 63


def test_quiet_markets_and_sparse_feeds_are_alive() -> None:
    table = bars("1h", np.zeros(HOURS, dtype=bool))
    quiet = totals(table, 0.2, 500, 560)
    assert examine(bars=table, liquidation_totals=quiet)[1] == []
    sparse = totals(table, 1.0, 0, 0)
    rare = np.random.default_rng(5).random(HOURS) < 0.01
    sparse.loc[~rare, ["long_quantity", "short_quantity"]] = 0.0
    assert examine(bars=table, liquidation_totals=sparse)[1] == []


@pytest.mark.parametrize("left", [0.0, 0.001])
def test_a_feed_is_not_dead_while_the_market_is(left: float) -> None:
    """Catches a halt of the venue taken for one of the feed."""
    table = bars("1h", np.zeros(HOURS, dtype=bool))
    table.loc[500:560, "volume"] /= 20.0
    assert examine(bars=table, liquidation_totals=totals(table, left, 500, 561))[1] == []


REAL = Path("data/external/cq_btc_binance_1h/cq_btc_binance_1h_20230416_20241231.parquet")


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_file(), reason=f"{REAL} is not linked (see the README)")
def test_the_dead_hours_of_a_real_feed_are_unknown() -> None:
    """The set marks them in a column of its own."""
    rows = pd.read_parquet(REAL).assign(symbol="BTCUSDT")
    rows["open_time"] = rows["t_open_utc"].dt.as_unit("us")
    rows["event_time"] = rows["open_time"] + pd.Timedelta("1h")
    rows["available_time"] = rows["event_time"] + pd.Timedelta("2s")
    names = {"long_liquidations": "long_quantity", "short_liquidations": "short_quantity"}
    feed = rows.rename(columns=names)[["symbol", "event_time", "available_time", *names.values()]]
    prices = ["symbol", "open_time", "event_time", "available_time", "open", "high", "low", "close", "volume"]
    cleaned, _ = examine(bars=rows[prices], liquidation_totals=feed)
    unknown = MarketFrame.from_tables(cleaned, SPEC).table["liquidated_long"].isna().to_numpy()
    dead = rows["liq_outage"].astype(bool).to_numpy()
    assert dead.sum() == 561
    assert unknown[dead].all()
    assert unknown[~dead].sum() <= 6
