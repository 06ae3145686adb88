"""The ledger: what it says, and that it survives being written down."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest

from slackwater.errors import SchemaError
from slackwater.market.quality.detectors import examine_tables
from slackwater.market.quality.known_defects import KNOWN_DEFECTS, KnownDefect
from slackwater.market.quality.ledger import DefectLedger, Finding, findings_from
from slackwater.report.defects_page import defects_page

START = pd.Timestamp("2024-01-01", tz="UTC")


def finding(**change: Any) -> Finding:
    usual = {"table": "bars", "symbol": "BTCUSDT", "rule": "gap", "rows": 3, "action": "recorded", "note": "a note"}
    return Finding(**usual | {"start": START, "end": START + pd.Timedelta("3h")} | change)  # type: ignore[arg-type]


def test_findings_survive_a_round_trip() -> None:
    given = [finding(), finding(action="refused", note="")]
    written = json.loads(json.dumps([each.to_dict() for each in given]))
    assert findings_from(written, origin="here") == given


DAMAGED: dict[str, Any] = {
    "no list": 3,
    "no mapping": ["gap"],
    "a missing key": [{"table": "bars"}],
    "an unknown action": [finding().to_dict() | {"action": "invented"}],
    "a naive time": [finding().to_dict() | {"start": "2024-01-01"}],
    "no time": [finding().to_dict() | {"end": None}],
}


@pytest.mark.parametrize("case", DAMAGED)
def test_what_is_no_finding_is_refused_by_its_origin(case: str) -> None:
    with pytest.raises(SchemaError, match=r"^fetch\.json does not hold a list of findings"):
        findings_from(DAMAGED[case], origin="fetch.json")


def test_only_refusals_are_raised_and_all_of_them() -> None:
    DefectLedger([finding(), finding(action="masked")]).raise_if_refused()
    ledger = DefectLedger([finding(action="refused"), finding(), finding(action="refused", symbol="ETHUSDT")])
    with pytest.raises(SchemaError, match=r"(?s)2 findings:.*BTCUSDT gap in 3 rows.*ETHUSDT gap in 3 rows"):
        ledger.raise_if_refused()


def test_the_page_lists_the_worst_first_and_does_not_grow_without_end() -> None:
    many = [finding(rows=k + 1) for k in range(50)]
    page = defects_page([*many, finding(action="refused", rule="unit_switch")], title="mine", absent=["depth"])
    assert page.index("## bars: unit_switch, refused") < page.index("## bars: gap, recorded")
    assert "| recorded | bars | gap | 50 | 1,275 | BTCUSDT |" in page
    assert "- and 30 more" in page
    assert "stay unknown: depth." in page
    assert "Nothing was found." in defects_page([], title="mine")


def test_known_defects_are_well_formed() -> None:
    """A span that ends before it begins would mask nothing, for ever."""
    assert len(KNOWN_DEFECTS) >= 17
    for known in KNOWN_DEFECTS:
        assert known.start < known.end
        assert known.start.tzinfo is not None
        assert known.reason


def depth(symbol: str) -> dict[str, pd.DataFrame]:
    stamps = pd.date_range("2025-04-10", "2025-05-25", freq="1h", tz="UTC", unit="us")
    known = {"symbol": symbol, "event_time": stamps, "available_time": stamps}
    values = {name: range(1, len(stamps) + 1) for name in ("bid_quantity_1pct", "ask_quantity_1pct")}
    return {"depth": pd.DataFrame(known | values).astype(dict.fromkeys(values, "float64"))}


def test_a_known_defect_of_every_symbol_is_masked_whatever_its_length() -> None:
    cleaned, ledger = examine_tables(depth("DOGEUSDT"), venue="binance", spacing={})
    [found] = ledger.findings
    assert (found.rule, found.action, found.rows) == ("known_defect", "masked", 34 * 24)
    assert not cleaned["depth"]["event_time"].between("2025-04-16", "2025-05-19 23:00Z").any()


def test_what_is_known_to_be_wrong_does_not_count_as_too_much() -> None:
    """Two days of zeros of a month are over 1 %, and would refuse what is known and can be masked."""
    stamps = pd.date_range("2022-03-01", "2022-03-31", freq="1h", tz="UTC", unit="us")
    zero = (stamps >= "2022-03-07") & (stamps < "2022-03-09")
    known = {"symbol": "ETHUSDT", "event_time": stamps, "available_time": stamps}
    table = pd.DataFrame(known | {"open_interest": [0.0 if bad else 5.0 for bad in zero]})
    cleaned, ledger = examine_tables({"open_interest": table}, venue="binance", spacing={})
    assert [(f.rule, f.rows, f.action) for f in ledger.findings] == [("zero_open_interest", 48, "masked")]
    assert examine_tables({"open_interest": table}, venue="okx", spacing={})[1].refused
    assert len(cleaned["open_interest"]) == len(table) - 48


def test_days_that_are_known_to_be_missing_are_recorded_only_where_the_table_spans_them() -> None:
    def liquidations(start: str, end: str) -> dict[str, pd.DataFrame]:
        stamps = pd.DatetimeIndex([start, end], tz="UTC").as_unit("us")
        known = {"symbol": "BTCUSD_PERP", "event_time": stamps, "available_time": stamps}
        return {"liquidations": pd.DataFrame(known | {"side": "long", "price": [1.0, 2.0], "quantity": 1.0})}

    tables = liquidations("2023-09-08", "2023-09-24 12:00")
    cleaned, ledger = examine_tables(tables, venue="binance", spacing={})
    assert [(f.start.day, f.rows, f.action) for f in ledger.findings] == [(9, 0, "recorded"), (23, 0, "recorded")]
    assert len(cleaned["liquidations"]) == 2
    assert examine_tables(tables, venue="bybit", spacing={})[1].findings == []
    assert examine_tables(liquidations("2023-09-10", "2023-09-22"), venue="binance", spacing={})[1].findings == []


def test_known_defects_concern_their_venue_table_and_symbol() -> None:
    known = KnownDefect(venue="a", symbol="X", table="t", start=START, end=START, reason="r")
    assert known.concerns("a", "t", "X")
    assert not any(known.concerns(*each) for each in (("b", "t", "X"), ("a", "u", "X"), ("a", "t", "Y")))
