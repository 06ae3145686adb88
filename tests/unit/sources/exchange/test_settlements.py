"""Funding intervals, told from settlements: venues state the one of today only."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from slackwater.market.venues import funding_history
from slackwater.sources.exchange.settlements import settlement_hours


def times(*hours: float) -> pd.Series:
    return pd.Series(pd.Timestamp("2024-01-01", tz="UTC") + pd.to_timedelta(list(hours), unit="h"))


CASES = {
    "eight": ([0, 8, 16, 24], [8, 8, 8, 8], []),
    "shortened": ([0, 8, 16, 20, 24], [8, 8, 8, 4, 4], []),
    "lengthened": ([0, 4, 8, 16, 24], [4, 4, 4, 8, 8], []),
    "to an hour and back": ([0, 8, 9, 10, 11, 16, 24], [8, 8, 1, 1, 1, 8, 8], [5]),
    "one lost": ([0, 4, 8, 16, 20, 24], [4, 4, 4, 4, 4, 4], [3]),
    "two lost": ([0, 8, 32, 40], [8, 8, 8, 8], [2]),
    "lost at the change": ([0, 8, 16, 28, 32, 36], [8, 8, 8, 4, 4, 4], [3]),
    "six": ([0, 6, 12, 18, 24], [6, 6, 6, 6, 6], []),
    "eight, then six": ([0, 8, 16, 24, 30, 36, 42], [8, 8, 8, 8, 6, 6, 6], []),
    "eight, then six from another hour": ([0, 8, 16, 18, 24, 30], [8, 8, 8, 2, 6, 6], []),
    "three, then twelve": ([0, 3, 6, 9, 12, 24, 36, 48], [3, 3, 3, 3, 3, 12, 12, 12], []),
    "five": ([0, 5, 10, 15], [5, 5, 5, 5], []),
    "twelve alone": ([0, 12, 24], [12, 12, 12], []),
    "one of six lost": ([0, 6, 12, 24, 30, 36], [6, 6, 6, 6, 6, 6], [3]),
    "seconds late": ([0, 8.004, 15.998], [8, 8, 8], []),
}


@pytest.mark.parametrize("case", CASES)
def test_intervals(case: str) -> None:
    """Catches the interval of today given to all of history, and a lost settlement taken for a longer interval."""
    hours, expected, lost = CASES[case]
    got, missing = settlement_hours(times(*hours))
    assert got.tolist() == expected
    assert missing[missing].index.tolist() == lost


def test_nothing_tells_the_interval_of_a_lone_settlement() -> None:
    got, missing = settlement_hours(times(0))
    assert got.isna().all()
    assert not missing.any()
    assert settlement_hours(times())[0].empty


REAL = {
    "bybit_1h": ("bybit", ["2025-02-28"]),
    "binance_5m": ("binance", ["2024-05-14"]),
    "binance_1h_2024_summer": ("binance", ["2024-08-31"]),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_what_the_contracts_say_of_their_funding_is_what_was_settled(name: str, symbol: str) -> None:
    """`slackwater.market.venues.funding_history` rests on this."""
    path = Path("data/external") / name / "funding.parquet"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    funding = pd.read_parquet(path)
    own = funding[funding["symbol"] == symbol].sort_values("time")["time"].reset_index(drop=True)
    hours, missing = settlement_hours(own)
    assert set(hours) == {8.0}
    assert not missing.any()
    venue, untils = REAL[name]
    (span,) = [span for span in funding_history(venue, symbol) if span.until in untils]
    assert (span.since, span.until) == (f"{own.iloc[0]:%Y-%m-%d}", f"{own.iloc[-1]:%Y-%m-%d}")
    assert span.interval_hours == 8.0
