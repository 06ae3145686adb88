"""The campaign on daily liquidations: what it chooses is known by then, and its controls read what they should."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from campaigns.daily_liquidations import COST, days, measured, results

DAYS = pd.date_range("2022-01-01", periods=700, tz="UTC")


def market(seed: int = 0, rebound: float = 0.0, drift: float = 0.0) -> pd.DataFrame:
    """Return two symbols whose liquidations follow their moves, with a rebound on the day after liquidated longs."""
    rng, parts = np.random.default_rng(seed), []
    for symbol in ("AUSDT", "BUSDT"):
        change = drift + 0.03 * rng.standard_normal(len(DAYS))
        hit = rng.random(len(DAYS)) < 0.08
        change[hit] = -0.06
        change[1:][hit[:-1]] += rebound
        part = {"date_utc": DAYS, "symbol": symbol, "close": 100.0 * np.exp(np.cumsum(change)), "oi_coin": 1e6}
        noise = rng.uniform(0.0, 10.0, len(DAYS))
        long = np.where(hit, 1e4 + noise, noise)
        parts.append(pd.DataFrame(part | {"funding_pct": 0.01, "long_liq_coin": long, "short_liq_coin": noise}))
    return pd.concat(parts, ignore_index=True)


def row(table: pd.DataFrame) -> dict[str, float]:
    return next(iter(measured(table)))  # long, at the close, for a day


def test_a_rebound_is_found_and_a_rising_market_is_none() -> None:
    found = row(market(rebound=0.03))
    assert found["n_trades"] > 40
    assert found["over_random_days_low"] > 100.0
    rising = row(market(drift=0.01))
    assert rising["net_bps"] > 50.0
    assert rising["over_random_days_low"] < 0.0


def test_what_is_chosen_does_not_depend_on_later_days() -> None:
    table = market()
    later = table["date_utc"] > DAYS[400]
    changed = table.assign(close=table["close"].mask(later, 5.0), long_liq_coin=table["long_liq_coin"].mask(later, 1e9))
    columns = ["move", "unusual 1", "usual 1", "unusual -1", "usual -1"]
    known = days(table)["date_utc"] <= DAYS[400]
    pd.testing.assert_frame_equal(days(changed).loc[known, columns], days(table).loc[known, columns])


def test_longs_pay_positive_funding_and_both_pay_costs() -> None:
    rows = days(market())
    net = results(rows, hold=2, delay=1)
    at = 100
    change = rows["close"][at + 3] / rows["close"][at + 1] - 1.0
    funding = 2 * 3 * 0.0001
    assert net[1][at] == pytest.approx(change - funding - COST)
    assert net[-1][at] == pytest.approx(-change + funding - COST)
    assert net[1][rows["symbol"] == "AUSDT"].iloc[-3:].isna().all()
