"""Wallets of Hyperliquid, and flows as others publish them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError, SchemaError
from slackwater.market.schemas import validate
from slackwater.sources.own_files.source import ReadFile, Request
from slackwater.sources.own_files.table_file import TableFile
from slackwater.sources.whales.flows import flows_from_transfers
from slackwater.sources.whales.hyperliquid import HyperliquidFills, HyperliquidLedger

NOW = datetime(2025, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


# -- flows ---------------------------------------------------------------------------------------------------

FLOWS = """asset,time,inflow,outflow
BTC,2024-03-01T00:00:00Z,5,2
BTC,2024-03-01T01:00:00Z,1,4
"""
COLUMNS = {"symbol": "asset", "inflow_usd": "inflow", "outflow_usd": "outflow"}


def flows(tmp_path: Path, text: str = FLOWS, **options: Any) -> ReadFile:
    (tmp_path / "flows.csv").write_text(text, encoding="utf-8")
    told: dict[str, Any] = {"columns": COLUMNS | {"bucket_start": "time"}, "bar_length": HOUR}
    told |= {"constants": {"source": "mine"}, "values": {"symbol": {"BTC": "BTCUSDT"}}}
    request = Request(root=tmp_path, table="exchange_flows", lag=timedelta(minutes=35))
    [read] = TableFile(file="flows.csv", **(told | options)).read(request)
    return read


def test_a_flow_ends_with_its_bucket_and_is_known_after_it(tmp_path: Path) -> None:
    """Catches a bucket that is stamped by its start and known at it: an hour of the future."""
    table = flows(tmp_path).table
    assert table["netflow_usd"].tolist() == [3.0, -3.0]
    assert set(table["symbol"]) == {"BTCUSDT"}
    assert table["event_time"].tolist() == [pd.Timestamp(f"2024-03-01T0{hour}:00Z") for hour in (1, 2)]
    assert (table["bucket_start"] + pd.Timedelta(HOUR) == table["event_time"]).all()
    assert (table["available_time"] - table["event_time"] == pd.Timedelta("35min")).all()
    by_end = flows(tmp_path, columns=COLUMNS | {"event_time": "time"})
    assert by_end.table["event_time"].iloc[0] == pd.Timestamp("2024-03-01T00:00Z")
    assert by_end.table["bucket_start"].iloc[0] == pd.Timestamp("2024-02-29T23:00Z")


def test_a_net_flow_alone_may_be_negative(tmp_path: Path) -> None:
    columns = {"event_time": "time", "netflow_usd": "net"}
    constants = {"symbol": "BTCUSDT", "asset": "BTC", "source": "mine"}
    table = flows(
        tmp_path, "time,net\n2024-03-01T00:00:00Z,-7.5\n", columns=columns, constants=constants, values={}
    ).table
    assert table["netflow_usd"].tolist() == [-7.5]
    assert "inflow_usd" not in table


def test_flows_before_their_labels_stood_are_masked(tmp_path: Path) -> None:
    """Catches sums over labels that were restated since."""
    read = flows(tmp_path, known_since=datetime(2024, 3, 1, 1, tzinfo=UTC))
    assert read.table["netflow_usd"].tolist() == [-3.0]
    assert [(each.rule, each.rows, each.action) for each in read.findings] == [("restated_labels", 1, "masked")]
    with pytest.raises(SchemaError, match="all 2 rows are of before 2025-01-01"):
        flows(tmp_path, known_since=datetime(2025, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": COLUMNS | {"bucket_start": "when"}}, r"when \(for bucket_start\); it has asset"),
        (
            {"columns": {"symbol": "asset", "bucket_start": "time", "inflow_usd": "inflow"}},
            "missing column netflow_usd",
        ),
        ({"text": FLOWS.replace("BTC", "DOGE")}, r"holds \['DOGE'\], which `values` does not explain"),
        ({"text": "BTC,2024-03-01T00:00:00Z,5,2\n"}, "has no header and no position"),
        ({"text": "<html>\n<body>\n"}, "missing column"),
    ],
)
def test_what_makes_no_flow_is_refused_by_name(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=message):
        flows(tmp_path, **changes)


# -- fills ---------------------------------------------------------------------------------------------------

RULE: dict[str, Any] = {"quantile": 0.9, "floor_usd": 1_000.0, "warm_up": HOUR}
START = 1_700_000_000_000 // 3_600_000 * 3_600_000


def read_fills(tmp_path: Path, rows: list[Any], symbols: tuple[str, ...] = ("BTCUSDT",), **rule: Any) -> ReadFile:
    path = tmp_path / "fills.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return fills_of(path, symbols, **rule)


def fills_of(path: Path, symbols: tuple[str, ...] = ("BTCUSDT",), **rule: Any) -> ReadFile:
    [read] = HyperliquidFills(file=path.name, **(RULE | rule)).read(
        Request(root=path.parent, table="large_trades", symbols=symbols)
    )
    return read


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
    table = read_fills(tmp_path, [*quiet(), taken, big, sold, later]).table
    assert table[["side", "quantity"]].to_numpy().tolist() == [["buy", 50.0], ["sell", 60.0], ["buy", 500.0]]
    early = read_fills(tmp_path, [*quiet(), taken, big, sold]).table
    pd.testing.assert_frame_equal(table.iloc[:2], early)
    assert (table["available_time"] > table["event_time"]).all()
    path = tmp_path / "fills.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in [*quiet(), taken, big, sold]), encoding="utf-8")
    pd.testing.assert_frame_equal(fills_of(path).table, early)


def test_an_order_that_filled_in_pieces_is_one_trade(tmp_path: Path) -> None:
    """A sweep of fifty makers is one whale, not fifty shrimps."""
    pieces = [fill(130, sz="1", tid=1_000 + place) for place in range(50)]
    again = pieces[:3]
    read = read_fills(tmp_path, [*quiet(), *pieces, *again])
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
def test_fills_that_cannot_be_used_are_masked(bad: dict[str, Any], rule: str, tmp_path: Path) -> None:
    read = read_fills(tmp_path, [*quiet(), fill(130, sz="50"), fill(131, **({"sz": "70"} | bad))])
    assert len(read.table) == 1
    assert [each.rule for each in read.findings] == [rule]


def test_fills_of_nothing_wanted_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no fill of DOGE"):
        read_fills(tmp_path, quiet(2), ("DOGEUSDT",))
    with pytest.raises(SchemaError, match=r"fills\.json lacks time, side, px"):
        read_fills(tmp_path, [{"coin": "BTC"}])
    with pytest.raises(SchemaError, match="holds no rows"):
        read_fills(tmp_path, [])
    with pytest.raises(SchemaError, match="row 1 must map names to values, was 1"):
        read_fills(tmp_path, [1, 2])
    with pytest.raises(ParameterError, match=r"`quantile` must be in \(0, 1\)"):
        read_fills(tmp_path, quiet(2), quantile=1.0)
    path = tmp_path / "fills.json"
    for content in (b"<html>", b"\xff", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(SchemaError, match="neither JSON nor lines of it"):
            fills_of(path)
    (tmp_path / "fills.parquet").write_bytes(b"PAR1")
    with pytest.raises(SchemaError, match="not a readable parquet file"):
        fills_of(tmp_path / "fills.parquet")


def test_fills_of_other_coins_are_on_record(tmp_path: Path) -> None:
    read = read_fills(tmp_path, [*quiet(), fill(130, sz="50"), fill(131, coin="DOGE")])
    assert [(each.rule, each.symbol, each.rows) for each in read.findings] == [("other_asset", "DOGE", 1)]


@pytest.mark.parametrize("name", ["coin", "side", "time", "crossed", "tid"])
def test_a_list_in_place_of_a_value_is_refused_with_its_row(name: str, tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=f"`{name}` of row 3 must be a text or a number"):
        read_fills(tmp_path, [*quiet(2), fill(3, **{name: ["BTC"]})])


# -- ledger --------------------------------------------------------------------------------------------------


def ledger(tmp_path: Path, rows: list[Any], **options: Any) -> pd.DataFrame:
    (tmp_path / "ledger.json").write_text(json.dumps(rows), encoding="utf-8")
    return ledger_of(tmp_path / "ledger.json", **options)


def ledger_of(path: Path, **options: Any) -> pd.DataFrame:
    [read] = HyperliquidLedger(file=path.name, **options).read(
        Request(root=path.parent, table="whale_transfers", symbols=("BTCUSDT",), now=NOW)
    )
    return read.table


def update(kind: str, usdc: str, number: int = 0) -> dict[str, Any]:
    return {"time": START + number, "hash": f"0x{number}", "delta": {"type": kind, "usdc": usdc}}


def test_deposits_go_onto_the_venue_and_withdrawals_off(tmp_path: Path) -> None:
    """Catches the two swapped, and money that moves within the venue taken for a flow."""
    rows = [update("deposit", "100", 1), update("withdraw", "40", 2), update("accountClassTransfer", "7", 3)]
    table = ledger(tmp_path, rows, user="0xabc")
    assert table["amount_usd"].tolist() == [100.0, 40.0]
    assert table["to_owner_type"].tolist() == ["exchange", "wallet"]
    assert table["from_owner"].tolist() == ["0xabc", "Hyperliquid"]
    assert set(table["symbol"]) == {"USDC"}
    (flow,) = flows_from_transfers(table, HOUR, ["BTCUSDT"]).to_dict("records")
    assert (flow["inflow_usd"], flow["outflow_usd"], flow["symbol"]) == (100.0, 40.0, "BTCUSDT")
    with pytest.raises(SchemaError, match="update 1 has no `type`"):
        ledger(tmp_path, [{"time": START, "hash": "0x", "delta": "much"}])
    with pytest.raises(SchemaError, match="`hash` of row 1"):
        ledger(tmp_path, [{"time": START, "hash": ["0x"], "delta": {"type": "deposit", "usdc": "1"}}])
    with pytest.raises(SchemaError, match="update 1 has no `type`"):
        ledger(tmp_path, [{"time": START, "hash": "0x", "delta": {"type": ["deposit"], "usdc": "1"}}])
    with pytest.raises(SchemaError, match=r"ledger\.json lacks delta"):
        ledger(tmp_path, [{"time": START, "hash": "0x"}])


# -- real data -----------------------------------------------------------------------------------------------

REAL = Path("data/external/whales")


def real(name: str) -> Path:
    path = REAL / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


@pytest.mark.real_data
def test_real_flows() -> None:
    def read(file: str, asset: str, columns: dict[str, str], bar_length: timedelta | None) -> pd.DataFrame:
        constants = {"symbol": f"{asset}USDT", "source": "labels of others"}
        source = TableFile(file=real(file).name, columns=columns, constants=constants, bar_length=bar_length)
        request = Request(root=REAL, table="exchange_flows", lag=timedelta(minutes=32))
        return validate(source.read(request)[0].table, "exchange_flows")

    both = {"inflow_usd": "wallet_to_exchange_usd", "outflow_usd": "exchange_to_wallet_usd"}
    times = {"event_time": "time", "bucket_start": "time"}
    blocks = read("btc_exchange_wallet_flows.parquet", "BTC", both | times, None)
    assert len(blocks) > 16_000
    assert (blocks["available_time"] - blocks["event_time"] == pd.Timedelta("32min")).all()
    net = {"bucket_start": "time", "netflow_usd": "exchange_netflow_usd"}
    hourly = read("eth_exchange_netflow_1h.parquet", "ETH", net, HOUR)
    assert len(hourly) == 2784
    assert {-1.0, 1.0} <= set(np.sign(hourly["netflow_usd"]))
    alerts = {"bucket_start": "time", "netflow_usd": "whale_net_usd"}
    assert len(read("btc_whale_alert_net_1h.parquet", "BTC", alerts, HOUR)) == 483


@pytest.mark.real_data
def test_real_wallets() -> None:
    symbols = ("ETHUSDT", "BTCUSDT")
    rule: dict[str, Any] = {"quantile": 0.99, "floor_usd": 5_000.0, "warm_up": timedelta(days=1)}
    fills = fills_of(real("hyperliquid_2023_trades.parquet"), symbols, **rule).table
    assert 10 < len(fills) < 2_000
    assert (fills["price"] * fills["quantity"] >= 5_000.0).all()
    table = ledger_of(real("hyperliquid_2023_ledger_updates.parquet"))
    assert 500 < len(table) <= 560
    flows = flows_from_transfers(table, timedelta(days=1), ["BTCUSDT"])
    assert flows["inflow_usd"].sum() > flows["outflow_usd"].sum()
