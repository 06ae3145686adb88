"""Volume that is in another unit than coins in every row: found where something contradicts it, and nowhere else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slackwater.market.quality.detectors import examine_tables
from slackwater.market.quality.funding import impossible_rate, steep_rate
from slackwater.market.quality.prints import far_wick, lone_print

COUNT = 30 * 24


def market(price: float, *, counted: bool = False, per_hour: float = 1e7) -> dict[str, pd.DataFrame]:
    """Thirty days of hourly bars at a price, that turn some USD over per hour, and eight hours' worth of interest."""
    chance = np.random.default_rng(5)
    stamps = pd.date_range("2024-01-01 01:00", periods=COUNT, freq="1h", tz="UTC", unit="us")
    close = price * np.exp(np.cumsum(chance.normal(0.0, 0.004, COUNT)))
    stamped = {"symbol": "BTCUSDT", "event_time": stamps, "available_time": stamps + pd.Timedelta("2s")}
    bars = pd.DataFrame(stamped | {"open_time": stamps - pd.Timedelta("1h"), "open": close, "close": close})
    bars = bars.assign(high=close * 1.002, low=close * 0.998, volume=per_hour / close * chance.gamma(2.0, 0.5, COUNT))
    if counted:
        bars["trade_count"] = np.ceil(bars["volume"] * close / 1000.0)
    level = 8.0 * per_hour / price * np.exp(np.cumsum(chance.normal(0.0, 0.004, COUNT)))
    return {"bars": bars, "open_interest": pd.DataFrame(stamped | {"open_interest": level})}


def units_of(tables: dict[str, pd.DataFrame]) -> list[tuple[str, str, str, int]]:
    found = examine_tables(tables, venue="here", spacing={})[1].findings
    return [(each.table, each.rule, each.action, each.rows) for each in found if each.rule == "volume_unit"]


def in_usdt(tables: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    bars = tables["bars"]
    return tables | {"bars": bars.assign(volume=bars["volume"] * bars["close"])}


@pytest.mark.parametrize(
    ("price", "sign"), [(60_000.0, "turnover"), (300.0, "interest"), (60_000.0, "trades"), (1e-4, "trades")]
)
def test_a_volume_in_usdt_is_recorded(price: float, sign: str) -> None:
    tables = market(price, counted=sign == "trades", per_hour=1e9 if sign == "turnover" else 1e5)
    if sign != "interest":
        del tables["open_interest"]
    assert units_of(tables) == []
    assert units_of(in_usdt(tables)) == [("bars", "volume_unit", "recorded", COUNT)]


def test_open_interest_in_usd_is_recorded() -> None:
    tables = market(30_000.0)
    interest = tables["open_interest"]
    tables["open_interest"] = interest.assign(open_interest=interest["open_interest"] * 30_000.0)
    assert units_of(tables) == [("bars", "volume_unit", "recorded", COUNT)]


@pytest.mark.parametrize("turns", [0.3, 30.0])
def test_quiet_and_busy_markets_are_no_other_unit(turns: float) -> None:
    tables = market(30_000.0)
    tables["bars"]["volume"] *= turns / 3.0
    assert units_of(tables) == []


def test_a_wick_with_volume_stays_and_is_recorded() -> None:
    """A cascade makes such wicks; a wrong print comes without volume, and a mark price has none to come with."""
    bars = market(100.0)["bars"]
    spoilt = bars.assign(high=bars["high"].where(bars.index != 300, bars["high"] * 3.0))
    assert np.flatnonzero(lone_print(spoilt)).tolist() == [300]
    assert np.flatnonzero(lone_print(spoilt.drop(columns="volume"))).tolist() == [300]
    busy = spoilt.assign(volume=bars["volume"].where(bars.index != 300, bars["volume"].max() * 10.0))
    assert not lone_print(busy).any()
    assert np.flatnonzero(far_wick(busy)).tolist() == [300]
    found = examine_tables({"bars": busy}, venue="here", spacing={})
    assert len(found[0]["bars"]) == COUNT
    assert [(each.rule, each.action, each.rows) for each in found[1].findings] == [("far_wick", "recorded", 1)]


def funding(rates: np.ndarray, hours: float) -> pd.DataFrame:
    stamps = pd.date_range("2024-01-01", periods=len(rates), freq=f"{hours:g}h", tz="UTC", unit="us")
    return pd.DataFrame({"event_time": stamps, "funding_rate": rates, "interval_hours": hours})


@pytest.mark.parametrize("hours", [1.0, 4.0, 8.0])
def test_funding_in_percent_is_found_at_any_interval(hours: float) -> None:
    """An hourly rate is an eighth as large, in percent too."""
    rates = np.random.default_rng(2).normal(1e-4, 5e-5, int(70 * 24 / hours)) * hours / 8.0
    assert not impossible_rate(funding(rates, hours)).any()
    assert impossible_rate(funding(100.0 * rates, hours)).all()


def test_quiet_funding_in_percent_is_found_by_its_rates_at_rest() -> None:
    rates = np.where(np.arange(90) % 3 == 0, 1e-4, 1e-5)
    assert not impossible_rate(funding(rates, 8.0)).any()
    assert impossible_rate(funding(100.0 * rates, 8.0)).all()
    capped = np.where(np.arange(90) % 3 == 0, 1e-2, 1e-4)  # a squeeze at a cap of 1 %, and rates at rest
    assert not impossible_rate(funding(capped, 8.0)).any()


def test_a_rate_of_three_times_its_neighbours_is_flagged_and_not_masked() -> None:
    rates = np.full(60, 1e-4)
    rates[30] = 3e-4
    assert np.flatnonzero(steep_rate(funding(rates, 8.0))).tolist() == [30]
    assert not steep_rate(funding(np.r_[rates[:29], 2e-4, 3e-4, rates[31:]], 8.0)).any()
    assert not steep_rate(funding(rates / 10.0, 8.0)).any()
