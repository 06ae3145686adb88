"""Flows that others summed, and wallets of Hyperliquid."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, ParameterError, SchemaError
from slackwater.sources.large_trades import LargeTradeRule
from slackwater.sources.whales import (
    FlowColumns,
    Labels,
    WhaleTable,
    flows_from_transfers,
    read_fills,
    read_flows,
    read_ledger,
)

NOW = datetime(2025, 6, 1, tzinfo=UTC)
LIVE = Labels.point_in_time()
HOUR = timedelta(hours=1)

FLOWS = """asset,time,inflow,outflow
BTC,2024-03-01T00:00:00Z,5,2
BTC,2024-03-01T01:00:00Z,1,4
DOGE,2024-03-01T01:00:00Z,1,4
"""


def flows(tmp_path: Path, text: str = FLOWS, **options: Any) -> WhaleTable:
    path = tmp_path / "flows.csv"
    path.write_text(text, encoding="utf-8")
    told = {"source": "mine", "symbols": {"BTC": "BTCUSDT"}, "bucket": HOUR, "lag": timedelta(minutes=35)}
    told |= {"labels": LIVE, "now": NOW}
    told |= {"columns": FlowColumns(time="time", stamp="start", inflow="inflow", outflow="outflow")}
    return read_flows(path, **(told | options))  # type: ignore[arg-type]


def test_a_flow_ends_with_its_bucket_and_is_known_after_it(tmp_path: Path) -> None:
    """Catches a bucket that is stamped by its start and known at it: an hour of the future."""
    read = flows(tmp_path)
    table = read.table
    assert table["netflow_usd"].tolist() == [3.0, -3.0]
    assert table["event_time"].tolist() == [pd.Timestamp(f"2024-03-01T0{hour}:00Z") for hour in (1, 2)]
    assert (table["bucket_start"] + pd.Timedelta(HOUR) == table["event_time"]).all()
    assert (table["available_time"] - table["event_time"] == pd.Timedelta("35min")).all()
    assert [(each.rule, each.rows) for each in read.findings] == [("other_asset", 1)]
    by_end = flows(tmp_path, columns=FlowColumns(time="time", stamp="end", inflow="inflow", outflow="outflow"))
    assert by_end.table["event_time"].iloc[0] == pd.Timestamp("2024-03-01T00:00Z")


def test_a_net_flow_alone_may_be_negative(tmp_path: Path) -> None:
    columns = FlowColumns(time="time", stamp="end", netflow="net", asset="=BTC")
    table = flows(tmp_path, "time,net\n2024-03-01T00:00:00Z,-7.5\n", columns=columns).table
    assert table["netflow_usd"].tolist() == [-7.5]
    assert "inflow_usd" not in table


MASKED = {
    "no number": ("BTC,2024-03-01T02:00:00Z,x,1", "unreadable", "masked"),
    "negative inflow": ("BTC,2024-03-01T02:00:00Z,-1,1", "unreadable", "masked"),
    "missing outflow": ("BTC,2024-03-01T02:00:00Z,1,", "unreadable", "masked"),
    "again": ("BTC,2024-03-01T01:00:00Z,1,4", "doubled_rows", "repaired"),
    "not over": ("BTC,2025-06-01T00:00:00Z,1,4", "future", "masked"),
}


@pytest.mark.parametrize("case", MASKED)
def test_rows_that_cannot_be_used_are_masked_and_named(case: str, tmp_path: Path) -> None:
    line, rule, action = MASKED[case]
    read = flows(tmp_path, FLOWS + line + "\n")
    assert len(read.table) == 2
    assert (rule, 1, action) in [(each.rule, each.rows, each.action) for each in read.findings]


def test_rows_that_contradict_each_other_are_masked_both(tmp_path: Path) -> None:
    read = flows(tmp_path, FLOWS + "BTC,2024-03-01T01:00:00Z,9,4\n")
    assert len(read.table) == 1
    assert ("conflicting_rows", 2) in [(each.rule, each.rows) for each in read.findings]


def change(**changes: Any) -> Callable[[Path], WhaleTable]:
    return lambda tmp_path: flows(tmp_path, **changes)


REFUSED: dict[str, tuple[Callable[[Path], WhaleTable], type[Exception], str]] = {
    "nobody vouches": (change(labels=None), SchemaError, "providers restate"),
    "all restated": (
        change(labels=Labels(known_since=datetime(2025, 1, 1, tzinfo=UTC))),
        SchemaError,
        "all 2 flows are of before 2025-01-01",
    ),
    "negative lag": (change(lag=-HOUR), ParameterError, "`bucket` and `lag` must not be negative"),
    "no column": (
        change(columns=FlowColumns(time="when", stamp="end", netflow="net")),
        SchemaError,
        "missing column when; it has asset, time",
    ),
    "no header": (change(text="BTC,2024-03-01T00:00:00Z,5,2\n"), SchemaError, "missing column"),
    "html": (change(text="<html>\n<body>\n"), SchemaError, "missing column"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_trusted_is_refused_by_name(case: str, tmp_path: Path) -> None:
    read, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        read(tmp_path)


def test_a_file_of_flows_of_which_nothing_is_left_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"no row can be used: unreadable in \d rows"):
        flows(tmp_path, "asset,time,inflow,outflow\nBTC,2025-01-01T00:00Z,x,1\nBTC,2025-01-01T01:00Z,1,y\n")


def test_columns_that_make_no_flow_are_refused() -> None:
    with pytest.raises(ParameterError, match="`stamp` must be start or end"):
        FlowColumns(time="t", stamp="middle", netflow="n")  # type: ignore[arg-type]
    for wrong in ({"inflow": "i"}, {}):
        with pytest.raises(ParameterError, match="name `inflow` and `outflow`, or `netflow`"):
            FlowColumns(time="t", stamp="end", **wrong)


# -- fills ---------------------------------------------------------------------------------------------------

RULE = LargeTradeRule(quantile=0.9, floor_usd=1_000.0, warm_up=HOUR)
START = 1_700_000_000_000 // 3_600_000 * 3_600_000


def fill(number: int, **changes: Any) -> dict[str, Any]:
    made = {"coin": "BTC", "px": "100", "sz": "1", "side": "B", "time": START + 60_000 * number, "crossed": True}
    return made | {"tid": number, "dir": "Open Long", "hash": "0x0", "user": "0xabc"} | changes


def quiet(many: int = 120) -> list[dict[str, Any]]:
    return [fill(number) for number in range(many)]


def test_a_large_fill_is_the_aggressors_and_is_judged_by_the_past(tmp_path: Path) -> None:
    """Catches both fills of a trade counted, and a quantile that the large trade itself moved."""
    big = fill(130, sz="50")
    taken = big | {"side": "A", "crossed": False, "user": "0xdef"}  # the same trade, of its maker
    sold = fill(131, sz="60", side="A")
    later = fill(200, sz="500")
    table = read_fills([*quiet(), taken, big, sold, later], symbols={"BTC": "BTCUSDT"}, rule=RULE).table
    assert table[["side", "quantity"]].to_numpy().tolist() == [["buy", 50.0], ["sell", 60.0], ["buy", 500.0]]
    early = read_fills([*quiet(), taken, big, sold], symbols={"BTC": "BTCUSDT"}, rule=RULE).table
    pd.testing.assert_frame_equal(table.iloc[:2], early)
    assert (table["available_time"] > table["event_time"]).all()
    path = tmp_path / "fills.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in [*quiet(), taken, big, sold]), encoding="utf-8")
    pd.testing.assert_frame_equal(read_fills(path, symbols={"BTC": "BTCUSDT"}, rule=RULE).table, early)


def test_an_order_that_filled_in_pieces_is_one_trade() -> None:
    """A sweep of fifty makers is one whale, not fifty shrimps."""
    pieces = [fill(130, sz="1", tid=1_000 + place) for place in range(50)]
    again = pieces[:3]
    read = read_fills([*quiet(), *pieces, *again], symbols={"BTC": "BTCUSDT"}, rule=RULE)
    assert read.table["quantity"].tolist() == [50.0]
    assert [(each.rule, each.rows, each.action) for each in read.findings] == [("doubled_rows", 3, "repaired")]


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ({"px": "x"}, "unreadable"),
        ({"sz": "-1"}, "unreadable"),
        ({"side": "?"}, "unreadable"),
        ({"crossed": "false"}, "unreadable"),
    ],
)
def test_fills_that_cannot_be_used_are_masked(bad: dict[str, Any], rule: str) -> None:
    read = read_fills(
        [*quiet(), fill(130, sz="50"), fill(131, **({"sz": "70"} | bad))], symbols={"BTC": "BTCUSDT"}, rule=RULE
    )
    assert len(read.table) == 1
    assert [each.rule for each in read.findings] == [rule]


def test_fills_of_nothing_wanted_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no fill of DOGE"):
        read_fills(quiet(2), symbols={"DOGE": "DOGEUSDT"})
    with pytest.raises(SchemaError, match="the rows lacks px"):
        read_fills([{"coin": "BTC"}], symbols={"BTC": "BTCUSDT"})
    with pytest.raises(MissingDataError):
        read_fills(tmp_path / "none.json", symbols={"BTC": "BTCUSDT"})
    path = tmp_path / "fills.json"
    for content in (b"<html>", b"\xff", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(SchemaError, match="neither JSON nor lines of it"):
            read_fills(path, symbols={"BTC": "BTCUSDT"})
    path.write_text("[1, 2]", encoding="utf-8")
    with pytest.raises(SchemaError, match="row 1 must map names to values, was 1"):
        read_fills(path, symbols={"BTC": "BTCUSDT"})


@pytest.mark.parametrize("name", ["coin", "side", "time", "crossed", "tid"])
def test_a_list_in_place_of_a_value_is_refused_with_its_row(name: str) -> None:
    with pytest.raises(SchemaError, match=f"`{name}` of row 3 must be a text or a number"):
        read_fills([*quiet(2), fill(3, **{name: ["BTC"]})], symbols={"BTC": "BTCUSDT"}, rule=RULE)


# -- ledger --------------------------------------------------------------------------------------------------


def update(kind: str, usdc: str, number: int = 0) -> dict[str, Any]:
    return {"time": START + number, "hash": f"0x{number}", "delta": {"type": kind, "usdc": usdc}}


def test_deposits_go_onto_the_venue_and_withdrawals_off() -> None:
    """Catches the two swapped, and money that moves within the venue taken for a flow."""
    rows = [update("deposit", "100", 1), update("withdraw", "40", 2), update("accountClassTransfer", "7", 3)]
    table = read_ledger(rows, user="0xabc", now=NOW).table
    assert table["amount_usd"].tolist() == [100.0, 40.0]
    assert table["to_owner_type"].tolist() == ["exchange", "wallet"]
    assert table["from_owner"].tolist() == ["0xabc", "Hyperliquid"]
    assert set(table["symbol"]) == {"USDC"}
    (flow,) = flows_from_transfers(table, HOUR, symbols={"USDC": "BTCUSDT"}).to_dict("records")
    assert (flow["inflow_usd"], flow["outflow_usd"], flow["symbol"]) == (100.0, 40.0, "BTCUSDT")
    with pytest.raises(SchemaError, match="update 1 has no `type`"):
        read_ledger([{"time": START, "hash": "0x", "delta": "much"}])
    with pytest.raises(SchemaError, match="`hash` of row 1"):
        read_ledger([{"time": START, "hash": ["0x"], "delta": {"type": "deposit", "usdc": "1"}}])
    with pytest.raises(SchemaError, match="update 1 has no `type`"):
        read_ledger([{"time": START, "hash": "0x", "delta": {"type": ["deposit"], "usdc": "1"}}])
    with pytest.raises(SchemaError, match="the rows lacks delta"):
        read_ledger([{"time": START, "hash": "0x"}])


# -- real data -----------------------------------------------------------------------------------------------

REAL = Path("data/external/whales")


def real(name: str) -> Path:
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


@pytest.mark.real_data
def test_real_flows() -> None:
    columns = FlowColumns(time="time", stamp="end", inflow="wallet_to_exchange_usd", outflow="exchange_to_wallet_usd")
    told: dict[str, Any] = {"source": "labels of others", "labels": LIVE, "lag": timedelta(minutes=32)}
    symbols = {"BTC": "BTCUSDT", "ETH": "ETHUSDT"}
    blocks = read_flows(
        real("btc_exchange_wallet_flows.parquet"), symbols=symbols, bucket=timedelta(0), columns=columns, **told
    )
    assert len(blocks.table) > 16_000
    assert (blocks.table["available_time"] - blocks.table["event_time"] == pd.Timedelta("32min")).all()
    net = FlowColumns(time="time", stamp="start", netflow="exchange_netflow_usd")
    hourly = read_flows(real("eth_exchange_netflow_1h.parquet"), symbols=symbols, bucket=HOUR, columns=net, **told)
    assert len(hourly.table) == 2784
    assert {-1.0, 1.0} <= set(np.sign(hourly.table["netflow_usd"]))
    whales = FlowColumns(time="time", stamp="start", netflow="whale_net_usd")
    alerts = read_flows(real("btc_whale_alert_net_1h.parquet"), symbols=symbols, bucket=HOUR, columns=whales, **told)
    assert len(alerts.table) == 483
    with pytest.raises(SchemaError, match="providers restate"):
        read_flows(
            real("btc_whale_alert_net_1h.parquet"),
            symbols=symbols,
            bucket=HOUR,
            columns=whales,
            **(told | {"labels": None}),
        )


@pytest.mark.real_data
def test_real_wallets() -> None:
    rule = LargeTradeRule(quantile=0.99, floor_usd=5_000.0)
    fills = read_fills(real("hyperliquid_2023_trades.parquet"), symbols={"ETH": "ETHUSDT", "BTC": "BTCUSDT"}, rule=rule)
    assert 10 < len(fills.table) < 2_000
    assert (fills.table["price"] * fills.table["quantity"] >= 5_000.0).all()
    ledger = read_ledger(real("hyperliquid_2023_ledger_updates.parquet")).table
    assert 500 < len(ledger) <= 560
    flows = flows_from_transfers(ledger, timedelta(days=1), symbols={"USDC": "BTCUSDT"})
    assert flows["inflow_usd"].sum() > flows["outflow_usd"].sum()
