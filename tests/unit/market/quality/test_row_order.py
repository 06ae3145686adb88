"""Rows in order and once: what is repaired, what is refused, and what is no defect."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slackwater.market.quality.order import gaps, in_order, usual_spacing

HOUR = pd.Timedelta("1h")


def interest(rows: int = 40, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT")) -> pd.DataFrame:
    stamps = pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC", unit="us")
    values = np.arange(rows) + 1.0
    parts = [
        pd.DataFrame({"symbol": symbol, "event_time": stamps, "available_time": stamps, "open_interest": values})
        for symbol in symbols
    ]
    return pd.concat(parts, ignore_index=True)


def trades(rows: int = 100) -> pd.DataFrame:
    stamps = pd.date_range("2024-01-01", periods=rows, freq="1min", tz="UTC", unit="us")
    known = {"symbol": "BTCUSDT", "event_time": stamps, "available_time": stamps}
    return pd.DataFrame(known | {"side": "buy", "price": 1.0, "quantity": np.arange(rows) + 1.0})


def rules(table: pd.DataFrame, name: str = "open_interest") -> list[tuple[str, str, int, str]]:
    return [(f.rule, f.symbol, f.rows, f.action) for f in in_order(table, name)[1]]


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=6))
def test_any_order_and_any_copies_become_the_same_table(order: list[int], copies: list[int]) -> None:
    """Fails when the sort is by symbol alone, a copy survives, or a row is lost."""
    good = interest(6)
    spoilt = good.iloc[[*order, *copies]].reset_index(drop=True)
    table, found = in_order(spoilt, "open_interest")
    pd.testing.assert_frame_equal(table.sort_values(["symbol", "event_time"], ignore_index=True), good, check_like=True)
    if any(f.rule == "disorder" for f in found):
        assert (table["symbol"] != table["symbol"].shift()).sum() == 2
    assert sum(f.rows for f in found if f.rule == "doubled_rows") == len(copies)


def test_interleaved_symbols_are_no_disorder() -> None:
    table = interest().sort_values("event_time", kind="stable", ignore_index=True)
    same, found = in_order(table, "open_interest")
    assert same is table
    assert found == []


def test_a_repetition_that_fills_gaps_is_called_by_its_name() -> None:
    table = interest(symbols=("BTCUSDT",))
    filled = table.iloc[[*range(11), 9, 10, *range(13, 40)]]  # two rows missing, two come twice
    _, [copies, *_] = in_order(filled, "open_interest")
    assert (copies.rule, copies.rows) == ("doubled_rows", 2)
    assert "gaps were filled by repetition" in copies.note
    _, [copies, *_] = in_order(table.iloc[[*range(11), 9, 10, *range(11, 40)]], "open_interest")
    assert "filled" not in copies.note


def test_rows_that_differ_are_refused_and_named_by_symbol() -> None:
    table = pd.concat([interest(), interest().iloc[[45]].assign(open_interest=0.5)])
    assert rules(table) == [("disorder", "ETHUSDT", 1, "repaired"), ("conflicting_rows", "ETHUSDT", 2, "refused")]


@pytest.mark.parametrize(("year", "bad"), [(1970, True), (2008, True), (2009, False), (2099, False), (2100, True)])
def test_stamps_of_another_unit_of_time_are_refused(year: int, bad: bool) -> None:
    table = interest(symbols=("BTCUSDT",))
    table.loc[0 if year < 2024 else 39, "event_time"] = pd.Timestamp(f"{year}-06-01", tz="UTC")
    assert ("impossible_time", "BTCUSDT", 1, "refused") in rules(table) or not bad
    assert bad or rules(table) == []


def test_a_doubled_file_without_keys_is_repaired() -> None:
    table, [found] = in_order(trades().loc[lambda t: t.index.repeat(2)], "large_trades")
    pd.testing.assert_frame_equal(table, trades())
    assert (found.rule, found.rows, found.action) == ("doubled_rows", 100, "repaired")


@pytest.mark.parametrize("first", [0, 30, 70])
def test_a_part_that_is_told_twice_is_repaired_up_to_its_edges(first: int) -> None:
    """A recorder that subscribes again is told the newest rows once more."""
    told = pd.concat([trades(), trades().iloc[first : first + 30]])
    table, found = in_order(told, "large_trades")
    pd.testing.assert_frame_equal(table, trades())
    assert found[0].rows == 30


@pytest.mark.parametrize("name", ["large_trades", "open_interest"])
def test_a_row_that_is_told_again_later_is_one_row(name: str) -> None:
    table = trades() if name == "large_trades" else interest()
    again = table.iloc[[20, 60]].assign(available_time=table["available_time"].iloc[[20, 60]] + HOUR)
    same, found = in_order(pd.concat([again, table]), name)
    pd.testing.assert_frame_equal(same, table)
    assert ("doubled_rows", "repaired") in {(each.rule, each.action) for each in found}


def test_two_equal_trades_in_one_moment_are_two_trades() -> None:
    table = pd.concat([trades(), trades().iloc[[20, 60]]]).sort_values("event_time", kind="stable", ignore_index=True)
    same, found = in_order(table, "large_trades")
    assert len(same) == 102
    assert found == []


def test_a_gap_is_a_row_that_is_missing_and_not_one_that_is_late() -> None:
    table = interest(symbols=("BTCUSDT",))
    late = table.copy()
    late.loc[5, "event_time"] += pd.Timedelta("20min")
    assert gaps(late, "open_interest", HOUR) == []
    [gap] = gaps(table.drop(index=[5, 6, 7]), "open_interest", HOUR)
    assert (gap.rows, gap.start.hour, gap.end.hour) == (3, 4, 8)


def test_only_a_regular_table_has_a_spacing() -> None:
    table = interest(symbols=("BTCUSDT",))
    assert usual_spacing(table["event_time"].drop(index=[5, 9])) == HOUR
    assert usual_spacing(table["event_time"].drop(index=range(3, 40, 4))) is None
    assert usual_spacing(table["event_time"].head(10)) is None
