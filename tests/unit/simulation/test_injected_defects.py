"""Defects on demand: what was injected is what the key says, and what validation makes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, MissingDataError, ParameterError
from slackwater.market.quality.detectors import clean_tables
from slackwater.simulation.defects import DEFECT_KINDS, Defect, inject_defects
from slackwater.simulation.market import MarketRequest, simulate

START = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPACING = {"fine_bars": timedelta(minutes=1)}  # what the stage `validate` knows of a simulated data set


@cache
def good() -> dict[str, pd.DataFrame]:
    end = START + timedelta(days=12)
    return simulate(MarketRequest(symbols=["BTCUSDT", "XRPUSDT"], start=START, end=end, seed=5)).tables


def spoilt(kind: str, table: str, seed: int = 7) -> tuple[dict[str, pd.DataFrame], Defect]:
    tables, key = inject_defects({table: good()[table]}, seed, [kind])
    assert [(each.kind, each.table) for each in key] == [(kind, table)]
    return tables, key[0]


def span(tables: dict[str, pd.DataFrame], defect: Defect) -> pd.DataFrame:
    table = tables[defect.table]
    return table[(table["symbol"] == defect.symbol) & table["event_time"].between(defect.start, defect.end)]


class TestKey:
    def test_every_kind_is_injected_and_recorded(self):
        tables, key = inject_defects(good(), 3)
        assert {each.kind for each in key} == set(DEFECT_KINDS)
        assert list(tables) == list(good())
        for each in key:
            assert each.rows == len(span(good(), each)) > 0

    def test_defects_do_not_touch_each_other(self):
        for seed in range(20):
            _, key = inject_defects(good(), seed)
            for i, one in enumerate(key):
                for other in key[i + 1 :]:
                    if one.table == other.table:
                        assert one.end + HOUR < other.start or other.end + HOUR < one.start

    def test_other_rows_stay_as_they_were(self):
        """Fails when a defect spills over: the key would then be no key."""
        tables, key = inject_defects(good(), 3)
        for name, table in tables.items():
            kept, now = good()[name], table
            for each in (each for each in key if each.table == name):
                late = each.end + HOUR  # stamps may be an hour late
                kept, now = (
                    rows[(rows["symbol"] != each.symbol) | ~rows["event_time"].between(each.start, late)]
                    for rows in (kept, now)
                )
            now = now[now["event_time"] >= START]
            pd.testing.assert_frame_equal(kept.reset_index(drop=True), now.reset_index(drop=True))

    def test_the_good_tables_are_not_changed(self):
        before = {name: table.copy() for name, table in good().items()}
        inject_defects(good(), 3)
        for name, table in good().items():
            pd.testing.assert_frame_equal(table, before[name])

    def test_same_seed_same_defects_whatever_else_is_asked_for(self):
        _, key = inject_defects(good(), 3)
        assert key == inject_defects(good(), 3)[1]
        assert key != inject_defects(good(), 4)[1]
        alone = inject_defects(good(), 3, ["frozen_open_interest"])[1]
        assert alone == [each for each in key if each.kind == "frozen_open_interest"]

    def test_the_key_is_fit_for_json(self):
        _, key = inject_defects(good(), 3, ["gap"])
        assert json.loads(json.dumps([each.to_dict() for each in key]))[0]["kind"] == "gap"


class TestKinds:
    @pytest.mark.parametrize("table", ["fine_bars", "open_interest"])
    def test_a_gap(self, table):
        tables, defect = spoilt("gap", table)
        assert span(tables, defect).empty
        assert len(tables[table]) == len(good()[table]) - defect.rows

    @pytest.mark.parametrize("table", ["fine_bars", "liquidations"])
    def test_duplicates(self, table):
        tables, defect = spoilt("duplicate", table)
        rows = span(tables, defect)
        assert len(rows) == 2 * defect.rows
        assert rows.duplicated().sum() >= defect.rows

    def test_frozen_and_zero_interest(self):
        tables, defect = spoilt("frozen_open_interest", "open_interest")
        values = span(tables, defect)["open_interest"]
        assert (values == values.iloc[0]).all()
        assert defect.end - defect.start > 11 * HOUR
        tables, defect = spoilt("zero_open_interest", "open_interest")
        assert (span(tables, defect)["open_interest"] == 0.0).all()
        assert (tables["open_interest"]["open_interest"] == 0.0).sum() == defect.rows

    def test_a_switch_of_units(self):
        tables, defect = spoilt("unit_switch", "open_interest")
        ratio = span(tables, defect)["open_interest"] / span(good(), defect)["open_interest"]
        np.testing.assert_allclose(ratio, 1000.0)

    def test_a_switch_of_the_unit_of_time(self):
        tables, defect = spoilt("time_unit_switch", "premium_index")
        assert span(tables, defect).empty
        assert (tables["premium_index"]["event_time"].dt.year == 1970).sum() == defect.rows

    @pytest.mark.parametrize("table", ["fine_bars", "liquidations"])
    def test_shifted_stamps(self, table):
        tables, defect = spoilt("shifted_stamps", table)
        late = span(good(), defect)["event_time"] + HOUR
        assert set(late) <= set(tables[table]["event_time"])
        assert len(tables[table]) == len(good()[table])


class TestBadInput:
    def test_it_is_refused_by_name(self):
        with pytest.raises(ParameterError, match=r"`kinds` must be among gap, .* one was 'gaps'"):
            inject_defects(good(), 1, ["gaps"])
        with pytest.raises(ParameterError, match="`seed` must be"):
            inject_defects(good(), -1)
        with pytest.raises(MissingDataError, match="no table can hold such a defect; there are funding"):
            inject_defects({"funding": good()["funding"]}, 1)

    def test_a_market_too_short_is_refused_with_what_it_takes(self):
        short = {name: table[table["event_time"] < START + 24 * HOUR] for name, table in good().items()}
        with pytest.raises(
            ParameterError, match=r"open_interest of .* too short for its defects.* must be over 4 days"
        ):
            inject_defects(short, 1)


def caught(tables: dict[str, pd.DataFrame], defect: Defect) -> bool:
    """Whether validation refuses the table, or finds something there and then."""
    try:
        _, ledger = clean_tables({"fine_bars": good()["fine_bars"]} | tables, venue="simulated", spacing=SPACING)
    except DataError as error:
        return f"table {defect.table}: {defect.symbol}" in str(error)
    return any(
        (each.table, each.symbol) == (defect.table, defect.symbol)
        and each.start <= defect.end + HOUR  # stamps may be an hour late
        and each.end >= defect.start
        for each in ledger.findings
    )


class TestValidation:
    def test_good_tables_raise_no_alarm(self):
        _, ledger = clean_tables(good(), venue="simulated", spacing=SPACING)
        assert ledger.findings == []

    @pytest.mark.parametrize(
        ("kind", "table"),
        [
            ("gap", "fine_bars"),
            ("gap", "open_interest"),
            ("duplicate", "fine_bars"),
            ("duplicate", "liquidations"),
            ("frozen_open_interest", "open_interest"),
            ("zero_open_interest", "open_interest"),
            ("unit_switch", "open_interest"),
            ("time_unit_switch", "premium_index"),
            ("shifted_stamps", "fine_bars"),
            ("shifted_stamps", "liquidations"),
        ],
    )
    @pytest.mark.parametrize("seed", [7, 8, 9])
    def test_it_catches(self, kind, table, seed):
        assert caught(*spoilt(kind, table, seed))

    def test_every_kind_and_table_is_in_the_list_above(self):
        _, key = inject_defects(good(), 3)
        marks = TestValidation.test_it_catches.pytestmark
        listed = {each for mark in marks if mark.args[0] != "seed" for each in mark.args[1]}
        assert {(each.kind, each.table) for each in key} == listed
