"""Transfers of wallets: known when they are certain, labelled as they were, and counted once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, ParameterError, SchemaError
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.sources.own_files.source import ReadFile, Request
from slackwater.sources.whales.flows import FlowsFromTransfers, flows_from_transfers
from slackwater.sources.whales.transfer_file import TransferFile
from slackwater.sources.whales.whale_alert import WhaleAlert
from tests.small_market import small_market

T0 = datetime(2024, 3, 1, 12, tzinfo=UTC)
NOW = datetime(2024, 6, 1, tzinfo=UTC)
SYMBOLS = ("BTCUSDT", "ETHUSDT")
LIVE = datetime(1970, 1, 1, tzinfo=UTC)


def item(number: int = 0, **changes: Any) -> dict[str, Any]:
    made = {
        "blockchain": "bitcoin",
        "symbol": "btc",
        "id": f"id{number}",
        "transaction_type": "transfer",
        "hash": f"hash{number}",
        "from": {"address": "1abc", "owner_type": "unknown"},
        "to": {"address": "3xyz", "owner": "kraken", "owner_type": "exchange"},
        "timestamp": int(T0.timestamp()) + 60 * number,
        "amount": 12.5 + number,
        "amount_usd": 750_000.0,
        "transaction_count": 1,
    }
    return made | changes


def write(path: Path, items: list[Any]) -> Path:
    path.write_text(json.dumps({"result": "success", "count": len(items), "transactions": items}), encoding="utf-8")
    return path


def asked(root: Path) -> Request:
    return Request(root=root, table="whale_transfers", symbols=SYMBOLS, now=NOW)


def alert(tmp_path: Path, items: list[Any], **options: Any) -> ReadFile:
    write(tmp_path / "alerts.json", items)
    return alerts(tmp_path, **options)


def alerts(tmp_path: Path, file: str = "alerts.json", **options: Any) -> ReadFile:
    [read] = WhaleAlert(file=file, **({"known_since": LIVE} | options)).read(asked(tmp_path))
    return read


def label_file(tmp_path: Path, rows: list[tuple[str, str, str, datetime]]) -> str:
    table = pd.DataFrame(rows, columns=["address", "owner", "owner_type", "known_since"])
    table.to_csv(tmp_path / "labels.csv", index=False)
    return "labels.csv"


def test_an_answer_of_whale_alert(tmp_path: Path) -> None:
    row = alert(tmp_path, [item()]).table.iloc[0]
    assert (row["symbol"], row["chain"], row["asset"], row["amount"]) == ("BTCUSDT", "bitcoin", "BTC", 12.5)
    assert (row["from_owner_type"], row["to_owner"], row["to_owner_type"]) == ("unknown", "kraken", "exchange")
    assert (row["tx_hash"], row["log_index"], row["source"]) == ("hash0", 0.0, "whale_alert")
    assert row["event_time"] == pd.Timestamp(T0)


def test_a_transfer_is_known_once_it_is_certain_and_told(tmp_path: Path) -> None:
    """Catches a transfer that is known with its block: nobody acts on a block that may be taken back."""
    table = alert(tmp_path, [item(), item(1, blockchain="ethereum", symbol="eth")]).table
    waits = dict(zip(table["chain"], table["available_time"] - table["event_time"], strict=True))
    assert waits == {"bitcoin": pd.Timedelta("32min"), "ethereum": pd.Timedelta("15min")}
    slow = {"indexer_lag": timedelta(minutes=10), "confirmation": {"bitcoin": timedelta(hours=1)}}
    table = alert(tmp_path, [item()], **slow).table
    assert table["available_time"].item() == pd.Timestamp(T0) + pd.Timedelta("70min")


def test_a_record_that_came_later_is_known_later_and_never_earlier(tmp_path: Path) -> None:
    block = int(T0.timestamp())
    items = [item(received_at=block + 9_000), item(1, received_at=block + 61), item(2)]
    table = alert(tmp_path, items).table
    waits = (table["available_time"] - table["event_time"]).tolist()
    assert waits == [pd.Timedelta("150min"), pd.Timedelta("32min"), pd.Timedelta("32min")]


@pytest.mark.parametrize("ticks", [1, 1_000, 1_000_000])
def test_a_recorder_may_count_in_any_unit(ticks: int, tmp_path: Path) -> None:
    """Catches milliseconds taken for seconds: the transfer would be known in the year 55,000."""
    later = T0 + timedelta(hours=3)
    seen = item(received_at=int(later.timestamp()) * ticks)
    table = alert(tmp_path, [seen, item(1)]).table
    assert table["available_time"].tolist() == [pd.Timestamp(later), pd.Timestamp(T0) + pd.Timedelta("33min")]


def test_a_chain_of_unknown_speed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"when a transfer on 'dogecoin' is certain: give `confirmation: {dogecoin: "):
        alert(tmp_path, [item(blockchain="dogecoin")])
    known = {"dogecoin": timedelta(minutes=20)}
    assert len(alert(tmp_path, [item(blockchain="dogecoin")], confirmation=known).table) == 1


# -- labels --------------------------------------------------------------------------------------------------


def test_labels_that_nobody_vouches_for_are_refused(tmp_path: Path) -> None:
    """Catches a history whose labels were restated: it knows which address was to become an exchange's."""
    for options in ({"known_since": None}, {"labels": "labels.csv"}):
        with pytest.raises(ParameterError, match=r"give either `known_since`.* providers restate"):
            alert(tmp_path, [item()], **options)


def test_rows_before_the_labels_stood_are_masked(tmp_path: Path) -> None:
    since = T0 + timedelta(seconds=90)
    read = alert(tmp_path, [item(number) for number in range(4)], known_since=since)
    assert read.table["tx_hash"].tolist() == ["hash2", "hash3"]
    (finding,) = read.findings
    assert (finding.rule, finding.rows, finding.action) == ("restated_labels", 2, "masked")
    with pytest.raises(SchemaError, match="all 1 rows are of before 2024-05-01"):
        alert(tmp_path, [item()], known_since=datetime(2024, 5, 1, tzinfo=UTC))
    with pytest.raises(ParameterError, match="`known_since` must carry a time zone"):
        alert(tmp_path, [item()], known_since=datetime(2024, 5, 1))


def test_a_label_file_labels_what_was_known_then(tmp_path: Path) -> None:
    """Catches today's owner of an address in yesterday's row; the moment that counts is when the transfer is known."""
    since = T0 + timedelta(minutes=33)
    file = label_file(
        tmp_path, [("3xyz", "Kraken", "CEX", since), ("3xyz", "Kraken", "wallet", T0 + timedelta(days=1))]
    )
    items = [item(0), item(1), item(2), item(2000)]
    table = alert(tmp_path, items, known_since=None, labels=file).table
    # Known 32 minutes after the block: the first before anybody knew the address.
    assert table["to_owner_type"].tolist() == ["unknown", "exchange", "exchange", "wallet"]
    assert table["to_owner"].isna().tolist() == [True, False, False, False]
    assert set(table["from_owner_type"]) == {"unknown"}


WRONG_LABEL_FILES = {
    "no column": (b"address,owner,owner_type\na,b,exchange\n", "this one lacks known_since"),
    "no rows": (b"address,owner,owner_type,known_since\n", "holds no labels"),
    "naive": (b"address,owner,owner_type,known_since\na,b,exchange,2024-01-01\n", "must hold timezone-aware times"),
    "unknown type": (
        b"address,owner,owner_type,known_since\na,b,bank,2024-01-01T00:00Z\n",
        "row 1 must have an `owner_type` of exchange.*'bank'",
    ),
    "no address": (b"address,owner,owner_type,known_since\n,b,exchange,2024-01-01T00:00Z\n", "row 1 has no address"),
    "twice": (
        b"address,owner,owner_type,known_since\n" + b"a,b,exchange,2024-01-01T00:00Z\n" * 2,
        "row 2 repeats an address",
    ),
    "no UTF-8": (b"address,owner,owner_type,known_since\n\xff,b,exchange,2024-01-01T00:00Z\n", "not a readable csv"),
    "html": (b"<html>\n", "this one lacks address"),
}


@pytest.mark.parametrize("case", WRONG_LABEL_FILES)
def test_a_wrong_label_file_is_named(case: str, tmp_path: Path) -> None:
    content, message = WRONG_LABEL_FILES[case]
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(SchemaError, match=rf"labels\.csv.*{message}"):
        alert(tmp_path, [item()], known_since=None, labels="labels.csv")


def test_addresses_of_ethereum_are_compared_in_small_letters(tmp_path: Path) -> None:
    """Catches a checksummed address that never meets its label: the flow would be zero."""
    file = label_file(tmp_path, [("0xABc", "Kraken", "exchange", T0 - timedelta(days=1))])
    items = [item(to={"address": "0xabC", "owner_type": "unknown"})]
    assert alert(tmp_path, items, known_since=None, labels=file).table["to_owner"].tolist() == ["Kraken"]


# -- rows ----------------------------------------------------------------------------------------------------


def test_a_transfer_counts_once_and_two_of_one_transaction_twice(tmp_path: Path) -> None:
    """An overlap of two downloads must not double a flow; a transaction with two outputs is two transfers."""
    items = [item(0), item(0), item(0, id="id9", amount=3.0), item(1)]
    read = alert(tmp_path, items)
    assert read.table["amount"].tolist() == [12.5, 3.0, 13.5]
    assert read.table["log_index"].tolist() == [0.0, 1.0, 0.0]
    without_ids = [{key: value for key, value in each.items() if key != "id"} for each in items]
    assert alert(tmp_path, without_ids).table["amount"].tolist() == [12.5, 3.0, 13.5]


MASKED: dict[str, tuple[dict[str, Any], str]] = {
    "future": ({"timestamp": int(NOW.timestamp()) + 10}, "future"),
    "negative": ({"amount": -1.0}, "unreadable"),
    "no number": ({"amount_usd": "much"}, "unreadable"),
    "missing": ({"amount": None}, "unreadable"),
    "infinite": ({"amount": "inf"}, "unreadable"),
    "no hash": ({"hash": ""}, "unidentified"),
}


@pytest.mark.parametrize("case", MASKED)
def test_rows_that_cannot_be_used_are_masked_and_named(case: str, tmp_path: Path) -> None:
    changes, rule = MASKED[case]
    read = alert(tmp_path, [item(0), item(1, **changes)])
    assert len(read.table) == 1
    assert [(each.rule, each.rows, each.symbol) for each in read.findings] == [(rule, 1, "BTCUSDT")]


REFUSED: dict[str, tuple[str | bytes, str]] = {
    "no utf-8": (b'{"a": "\xff"', r"alerts\.json is neither JSON nor lines of it"),
    "nested without end": ("[" * 100_000, r"alerts\.json is neither JSON nor lines of it"),
    "hash is a mapping": (
        json.dumps([item(), item(1, hash={"a": 1})]),
        "`tx_hash` of row 2 must be a text or a number",
    ),
    "owner is a list": (
        json.dumps([item(to={"owner": ["kraken"], "address": "", "owner_type": "exchange"})]),
        "`to_owner` of row 1",
    ),
    "seen yesterday": (json.dumps([item(received_at="yesterday")]), "`received_at` must hold ISO 8601 times"),
    "seen in no unit": (json.dumps([item(received_at=5)]), "`received_at` must hold times since 1970"),
    "half a character": (json.dumps([item(hash="\ud800")]), "neither JSON nor lines of it"),
    "no json": ("<html>", r"alerts\.json is neither JSON nor lines of it"),
    "empty": ("", "holds no transactions"),
    "none": ('{"transactions": []}', "holds no transactions"),
    "error": ('{"result": "error", "message": "usage limit reached"}', "an error of Whale Alert: usage limit"),
    "text in place of a transaction": ('["hello"]', "transaction 1 is not a transaction"),
    "no time": (json.dumps([{k: v for k, v in item().items() if k != "timestamp"}]), "transaction 1 lacks 'timestamp'"),
    "time of 1970": (json.dumps([item(timestamp=1)]), "must hold times since 1970"),
    "from is text": (json.dumps([item(**{"from": "me"})]), "transaction 1 is not a transaction"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_files_that_are_none_are_refused_by_name(case: str, tmp_path: Path) -> None:
    text, message = REFUSED[case]
    path = tmp_path / "alerts.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SchemaError, match=message):
        alerts(tmp_path)


def test_lines_and_lists_are_read_alike(tmp_path: Path) -> None:
    items = [item(number) for number in range(3)]
    whole = alert(tmp_path, items).table
    for text in (json.dumps(items), "\n".join(json.dumps(each) for each in items), "\ufeff" + json.dumps(items)):
        path = tmp_path / "other.json"
        path.write_text(text, encoding="utf-8")
        other = alerts(tmp_path, path.name).table
        pd.testing.assert_frame_equal(other, whole)


def test_a_line_may_hold_any_character(tmp_path: Path) -> None:
    """U+2028 ends a line for Python and not for JSON."""
    named = item(to={"address": "3xyz", "owner": "kra\u2028ken", "owner_type": "exchange"})
    path = tmp_path / "alerts.jsonl"
    path.write_text("\n".join(json.dumps(each, ensure_ascii=False) for each in (named, item(1))), encoding="utf-8")
    assert len(alerts(tmp_path, path.name).table) == 2


def test_an_amount_beyond_all_numbers_is_masked(tmp_path: Path) -> None:
    read = alert(tmp_path, [item(), item(1, amount=10**400)])
    assert [(each.rule, each.rows) for each in read.findings] == [("unreadable", 1)]


def test_a_repeated_id_is_one_transfer_and_on_record(tmp_path: Path) -> None:
    read = alert(tmp_path, [item(), item(1) | {"id": "id0"}])
    assert read.table["tx_hash"].tolist() == ["hash0"]
    assert [(each.rule, each.rows, each.action) for each in read.findings] == [("doubled_rows", 1, "repaired")]


def test_ids_of_nineteen_digits_are_told_apart(tmp_path: Path) -> None:
    """As floats they would be one, and one of the transfers lost."""
    read = alert(tmp_path, [item(id=1_234_567_890_123_456_781), item(1, id=1_234_567_890_123_456_789)])
    assert len(read.table) == 2
    assert read.findings == []


def test_a_type_of_owner_that_nobody_knows_is_on_record(tmp_path: Path) -> None:
    """A column of labels that is mapped wrongly would make every flow zero, and nobody would see it."""
    read = alert(tmp_path, [item(to={"address": "3xyz", "owner": "kraken", "owner_type": "kraken"}), item(1)])
    assert read.table["to_owner_type"].tolist() == ["unknown", "exchange"]
    assert [(each.rule, each.rows, each.action) for each in read.findings] == [("unknown_owner_type", 1, "recorded")]
    assert "'kraken' of `to_owner_type` is not known: taken for unknown" in read.findings[0].note


def test_a_file_of_which_nothing_is_left_is_refused_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match=r"column `amount` must hold numbers, holds `str`, first \[.x., .y.\]"):
        alert(tmp_path, [item(amount="x"), item(1, amount="y")])


def test_coins_of_another_kind_are_not_added_up(tmp_path: Path) -> None:
    """Catches USDT counted as coins of the perpetual: a million of one is not a million of the other."""
    with pytest.raises(ParameterError, match="maps USDT to BTCUSDT, which is on BTC"):
        alert(tmp_path, [item(symbol="usdt")], symbols={"USDT": "BTCUSDT"})
    with pytest.raises(ParameterError, match=r"maps WBTC to BTCUSD, .* not in the data set; did you mean `BTCUSDT`"):
        alert(tmp_path, [item()], symbols={"WBTC": "BTCUSD"})
    read = alert(tmp_path, [item(symbol="usdt")])
    assert read.table["symbol"].item() == "USDT"
    assert [(each.rule, each.symbol, each.action) for each in read.findings] == [("other_asset", "USDT", "recorded")]
    assert alert(tmp_path, [item(symbol="wbtc")], symbols={"WBTC": "BTCUSDT"}).table["symbol"].item() == "BTCUSDT"


def test_a_coin_of_two_perpetuals_needs_a_name(tmp_path: Path) -> None:
    """Catches transfers that one of the two gets by the order of the symbols."""
    write(tmp_path / "alerts.json", [item()])
    both = replace(asked(tmp_path), symbols=("BTCUSDT", "BTCUSDC"))
    with pytest.raises(ParameterError, match="BTC has several perpetuals: name one of them"):
        WhaleAlert(file="alerts.json", known_since=LIVE).read(both)
    [read] = WhaleAlert(file="alerts.json", known_since=LIVE, symbols={"BTC": "BTCUSDC"}).read(both)
    assert read.table["symbol"].tolist() == ["BTCUSDC"]
    flows = flows_from_transfers(read.table, timedelta(hours=1), ["BTCUSDT", "BTCUSDC"])
    assert flows["symbol"].tolist() == ["BTCUSDC", "BTCUSDT"]


def test_small_transfers_are_left_out_and_on_record(tmp_path: Path) -> None:
    read = alert(tmp_path, [item(), item(1, amount_usd=499_999.0)], min_usd=500_000.0)
    assert read.table["tx_hash"].tolist() == ["hash0"]
    assert [(each.rule, each.rows) for each in read.findings] == [("below_floor", 1)]


# -- a file of one's own -------------------------------------------------------------------------------------

CSV = """block_time,hash,value,usd,sender,receiver,receiver_kind
2024-03-01T12:00:00Z,a,5,300000,somebody,Binance,CEX
2024-03-01T12:05:00Z,b,7,420000,Kraken,,
"""
COLUMNS = {"event_time": "block_time", "tx_hash": "hash", "amount": "value", "amount_usd": "usd"}
COLUMNS |= {"from_owner": "sender", "to_owner": "receiver", "to_owner_type": "receiver_kind"}


CONSTANTS = {"chain": "bitcoin", "asset": "BTC", "source": "dune"}


def own(tmp_path: Path, text: str = CSV, **options: Any) -> ReadFile:
    (tmp_path / "transfers.csv").write_text(text, encoding="utf-8")
    told = {"columns": COLUMNS, "constants": CONSTANTS, "known_since": LIVE} | options
    [read] = TransferFile(file="transfers.csv", **told).read(asked(tmp_path))
    return read


def test_a_csv_of_ones_own(tmp_path: Path) -> None:
    table = own(tmp_path).table
    assert table["amount"].tolist() == [5.0, 7.0]
    assert table["to_owner_type"].tolist() == ["exchange", "unknown"]
    assert table["from_owner_type"].tolist() == ["unknown", "unknown"]
    assert table["to_owner"].isna().tolist() == [False, True]
    assert set(table["source"]) == {"dune"}
    assert table["event_time"].tolist() == [pd.Timestamp(T0), pd.Timestamp(T0) + pd.Timedelta("5min")]


def change(**changes: Any) -> Callable[[Path], ReadFile]:
    return lambda tmp_path: own(tmp_path, **changes)


WRONG: dict[str, tuple[Callable[[Path], ReadFile], type[DataError] | type[ParameterError], str]] = {
    "no such column": (
        change(columns={"amount": "volume"}),
        SchemaError,
        r"transfers\.csv .table whale_transfers.: missing column .*volume .for amount.*; it has block_time",
    ),
    "no chain": (
        change(constants={"asset": "BTC", "source": "dune"}),
        SchemaError,
        "missing column chain; it has .*; name it under `columns`, or its only value under `constants`",
    ),
    "unknown name": (
        change(columns={"volume": "value"}),
        SchemaError,
        r"names \['volume'\] under `columns`; the columns are event_time, chain",
    ),
    "naive times": (change(text=CSV.replace("Z,", ",")), SchemaError, "must hold timezone-aware times"),
    "unlabelled": (change(known_since=None), ParameterError, "providers restate"),
    "no file of rows": (change(text=""), SchemaError, r"transfers\.csv is empty"),
}


def test_a_label_file_needs_addresses(tmp_path: Path) -> None:
    file = label_file(tmp_path, [("a", "b", "exchange", T0)])
    with pytest.raises(SchemaError, match="a label file needs the column `from_address`"):
        own(tmp_path, known_since=None, labels=file)


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_or_map_is_named(case: str, tmp_path: Path) -> None:
    read, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        read(tmp_path)


def test_a_log_index_tells_transfers_of_one_transaction_apart(tmp_path: Path) -> None:
    text = "block_time,hash,value,usd,log_index\n" + "2024-03-01T12:00:00Z,a,5,300000,3\n" * 2
    text += "2024-03-01T12:00:00Z,a,5,300000,4\n2024-03-01T12:00:00Z,a,5,300000,\n"
    columns = {name: theirs for name, theirs in COLUMNS.items() if "owner" not in name}
    read = own(tmp_path, text, columns=columns)
    assert read.table["log_index"].tolist() == [3.0, 4.0]
    assert {(each.rule, each.action) for each in read.findings} == {
        ("doubled_rows", "repaired"),
        ("unidentified", "masked"),
    }


# -- flows ---------------------------------------------------------------------------------------------------


def test_flows_are_known_after_each_of_their_transfers(tmp_path: Path) -> None:
    """Catches a bucket that is known at its end, while its last transfer is not certain yet."""
    inward = [item(number) for number in (1, 2, 60)]
    outward = item(30, **{"from": {"owner": "kraken", "owner_type": "exchange"}, "to": {"owner_type": "unknown"}})
    between = item(40, **{"from": {"owner": "binance", "owner_type": "exchange"}})
    transfers = alert(tmp_path, [*inward, outward, between]).table
    flows = flows_from_transfers(transfers, timedelta(hours=1), SYMBOLS)
    (row,) = flows.to_dict("records")
    assert (row["inflow_usd"], row["outflow_usd"], row["netflow_usd"]) == (2.25e6, 0.75e6, 1.5e6)
    assert (row["bucket_start"], row["event_time"]) == (pd.Timestamp(T0), pd.Timestamp(T0) + pd.Timedelta("1h"))
    assert (row["available_time"] >= transfers["available_time"]).all()
    assert row["available_time"] == row["event_time"] + pd.Timedelta("32min")


def test_stablecoins_belong_to_every_perpetual_and_coins_to_their_own(tmp_path: Path) -> None:
    items = [item(1), item(2, symbol="usdt", blockchain="tron"), item(3, symbol="doge")]
    transfers = alert(tmp_path, items).table
    flows = flows_from_transfers(transfers, timedelta(hours=1), SYMBOLS)
    assert sorted(zip(flows["symbol"], flows["asset"], strict=True)) == [
        ("BTCUSDT", "BTC"),
        ("BTCUSDT", "USDT"),
        ("ETHUSDT", "USDT"),
    ]
    assert flows_from_transfers(transfers.iloc[:0], timedelta(hours=1), SYMBOLS).empty
    with pytest.raises(ParameterError, match="`bucket` must be positive"):
        FlowsFromTransfers(bucket=timedelta(0))


def test_transfers_reach_the_market_frame(tmp_path: Path) -> None:
    """The whole way: what was read is what the features see, in coins, and not before it is known."""
    bars = small_market(days=3)["bars"]
    bars = bars[bars["symbol"] == "BTCUSDT"]
    # The block is in the hour that ends at the bar, the message comes in the next one.
    close = bars["event_time"].iloc[30]
    table = alert(tmp_path, [item(timestamp=int(close.timestamp()) - 600)]).table
    step = bars["event_time"].iloc[1] - bars["event_time"].iloc[0]
    frame = MarketFrame.from_tables(
        {"bars": bars, "whale_transfers": table}, FrameSpec(bar_interval=step, decision_lag=timedelta(seconds=5))
    )
    seen = frame.table.set_index("event_time")["whale_to_exchange"]
    known = table["available_time"].item()
    assert np.nansum(seen) == 12.5
    first = seen[seen == 12.5].index.item()
    assert first - step < known - timedelta(seconds=5) <= first
