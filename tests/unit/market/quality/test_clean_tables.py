"""Defects: masked with a reason, or refused; never invented, never silent."""

from __future__ import annotations

from datetime import timedelta

import pandas as pd
import pytest

from slackwater.errors import ParameterError, SchemaError
from slackwater.market.bars import resample_bars
from slackwater.market.quality.detectors import clean_tables
from tests.small_market import small_market

HALF_HOUR = timedelta(minutes=30)
SPACING = {"bars": HALF_HOUR}


def market() -> dict[str, pd.DataFrame]:
    tables = small_market(days=10)
    for name in ("event_time", "available_time"):  # no venue settles at half past midnight
        tables["funding"][name] -= HALF_HOUR
    return tables


def test_clean_tables_leave_an_empty_ledger() -> None:
    tables, ledger = clean_tables(market(), venue="simulated", spacing=SPACING)
    assert ledger.findings == []
    assert {name: len(t) for name, t in tables.items()} == {name: len(t) for name, t in market().items()}


def test_a_gap_is_recorded_with_its_length() -> None:
    tables = market()
    tables["bars"] = tables["bars"].drop(index=[100, 101, 102]).reset_index(drop=True)
    _, ledger = clean_tables(tables, venue="simulated", spacing=SPACING)
    assert [(f.rule, f.rows, f.action, f.symbol) for f in ledger.findings] == [("gap", 3, "recorded", "BTCUSDT")]


def test_an_impossible_bar_is_masked_with_its_reason() -> None:
    tables = market()
    tables["bars"].loc[50, "high"] = tables["bars"].loc[50, "low"] * 0.99
    cleaned, ledger = clean_tables(tables, venue="simulated", spacing=SPACING)
    assert len(cleaned["bars"]) == len(tables["bars"]) - 1
    assert [(f.rule, f.action) for f in ledger.findings] == [("ohlc_violation", "masked")]


def test_open_interest_of_zero_is_masked() -> None:
    tables = market()
    tables["open_interest"].loc[[5, 6], "open_interest"] = 0.0
    _, ledger = clean_tables(tables, venue="simulated", spacing=SPACING)
    assert ledger.to_dict()["rows_by_table_and_rule"] == {"open_interest": {"zero_open_interest": 2}}


def test_too_many_defects_are_no_accident() -> None:
    tables = market()
    tables["open_interest"].loc[:40, "open_interest"] = 0.0
    with pytest.raises(
        SchemaError, match=r"BTCUSDT zero_open_interest in 41 rows, .* 41 of 480 rows, too many to mask"
    ):
        clean_tables(tables, venue="simulated", spacing=SPACING)


def test_known_defects_belong_to_their_venue_only() -> None:
    stamps = pd.date_range("2021-05-19 10:00", periods=400, freq="1h", tz="UTC", unit="us")
    table = pd.DataFrame({"symbol": "BTCUSDT", "event_time": stamps, "available_time": stamps, "open_interest": 1.0})
    bybit, ledger = clean_tables({"open_interest": table}, venue="bybit", spacing={})
    assert len(bybit["open_interest"]) == 398
    assert ["recounted" in finding.note for finding in ledger.findings] == [True]
    other, _ = clean_tables({"open_interest": table}, venue="gate", spacing={})
    assert len(other["open_interest"]) == 400


def test_coarser_bars_keep_prices_and_volume() -> None:
    fine = market()["bars"]
    coarse = resample_bars(fine, timedelta(hours=2))
    assert coarse["volume"].sum() == pytest.approx(fine["volume"].sum())
    first = fine.iloc[:4]
    assert coarse.loc[0, "open"] == first["open"].iloc[0]
    assert coarse.loc[0, "close"] == first["close"].iloc[-1]
    assert coarse.loc[0, "high"] == first["high"].max()
    assert coarse.loc[0, "available_time"] == first["available_time"].max()


def test_a_part_of_a_bar_is_no_bar() -> None:
    """A bar made of fewer parts has too little volume and a wrong close, and would pass for a calm market."""
    fine = market()["bars"].drop(index=5)
    coarse = resample_bars(fine, timedelta(hours=2))
    assert len(coarse) == 2 * 10 * 12 - 1
    with pytest.raises(ParameterError, match="`interval` must be a multiple"):
        resample_bars(fine, timedelta(minutes=45))


def test_liquidations_come_as_events_or_as_totals() -> None:
    """Both tell of the same events: nobody could say which of them the sums hold."""
    tables = market()
    tables["liquidation_totals"] = tables["liquidations"].head(0)
    with pytest.raises(SchemaError, match="`liquidations` or `liquidation_totals`, and not both"):
        clean_tables(tables, venue="simulated", spacing=SPACING)
