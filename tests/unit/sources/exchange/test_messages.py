"""Sides of liquidations: one venue names the order's, another the position's."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from slackwater.errors import DefectWarning, ParameterError, SchemaError
from slackwater.sources.exchange.messages import read_messages

T = 1_739_502_302_929
STAMP = pd.Timestamp(T, unit="ms", tz="UTC")


def binance(side: str, **changes: object) -> str:
    order = {"s": "BTCUSDT", "S": side, "q": "2", "p": "100", "ap": "99.5", "z": "1.5", "T": T} | changes
    return json.dumps({"stream": "btcusdt@forceOrder", "data": {"e": "forceOrder", "E": T + 30, "o": order}})


def bybit(side: str) -> str:
    row = {"T": T, "s": "BTCUSDT", "S": side, "v": "1.5", "p": "99.5"}
    return json.dumps({"topic": "allLiquidation.BTCUSDT", "ts": T + 300, "data": [row]})


def bybit_before_2025(side: str) -> str:
    row = {"updatedTime": T, "symbol": "BTCUSDT", "side": side, "size": "1.5", "price": "99.5"}
    return json.dumps({"topic": "liquidation.BTCUSDT", "ts": T, "data": row})


def okx(position: str, order: str) -> str:
    detail = {"bkPx": "99.5", "posSide": position, "side": order, "sz": "150", "ts": str(T)}
    data = [{"instId": "BTC-USDT-SWAP", "instType": "SWAP", "details": [detail]}]
    return json.dumps({"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": data})


LONGS = {
    "binance": ("binance", binance("SELL")),
    "bybit": ("bybit", bybit("Buy")),
    "bybit before 2025": ("bybit", bybit_before_2025("Buy")),
    "okx": ("okx", okx("long", "sell")),
    "okx net": ("okx", okx("net", "sell")),
}
SHORTS = {
    "binance": ("binance", binance("BUY")),
    "bybit": ("bybit", bybit("Sell")),
    "okx": ("okx", okx("short", "buy")),
    "okx net": ("okx", okx("net", "buy")),
}


@pytest.mark.parametrize(("cases", "side"), [(LONGS, "long"), (SHORTS, "short")])
def test_one_side_for_all_venues(cases: dict[str, tuple[str, str]], side: str) -> None:
    """Catches longs and shorts swapped on one venue, which would turn the sign of every cascade."""
    for name, (venue, line) in cases.items():
        (row,) = read_messages([line], venue, contract_sizes={"BTCUSDT": 0.01})["liquidations"].to_dict("records")
        assert row["side"] == side, name
        assert (row["price"], row["quantity"]) == (99.5, 1.5), name
        assert row["event_time"] == STAMP
        assert row["available_time"] >= STAMP + pd.Timedelta("1s")


def test_a_record_that_knows_when_a_message_arrived_is_believed() -> None:
    arrived = (T + 450) * 1_000_000 + 789
    table = read_messages([f"{arrived} {binance('BUY')}"], "binance")["liquidations"]
    assert table["available_time"].item() == pd.Timestamp((T + 450) * 1000, unit="us", tz="UTC")
    early = read_messages([f"{(T - 9_000) * 1_000_000} {binance('BUY')}"], "binance")["liquidations"]
    assert early["available_time"].item() == STAMP  # a clock that is behind


def test_the_seller_is_the_aggressor_where_the_buyer_made() -> None:
    trade = {"e": "trade", "E": T, "T": T, "s": "BTCUSDT", "p": "100", "q": "3", "X": "MARKET", "m": True}
    lines = [json.dumps(trade), json.dumps(trade | {"m": False}), json.dumps(trade | {"X": "INSURANCE_FUND"})]
    assert read_messages(lines, "binance")["trades"]["side"].tolist() == ["sell", "buy"]


BAD = {
    "a list as symbol": (
        "binance",
        binance("BUY").replace('"BTCUSDT"', '["BTCUSDT"]'),
        "line 2 is not a message of binance",
    ),
    "half a character": ("binance", binance("BUY").replace("BTCUSDT", "\\ud800"), "line 2 is not a message of binance"),
    "null": ("binance", "null", "line 2 is not a message of binance"),
    "a number": ("bybit", "5", "line 2 is not a message of bybit"),
    "a list": ("okx", "[1]", "line 2 is not a message of okx"),
    "a list as argument": ("okx", '{"arg": [1]}', "line 2 is not a message of okx"),
    "nested without end": ("okx", "[" * 100_000, "line 2 is not a message of okx"),
    "no json": ("binance", "hello", "line 2 is not a message of binance"),
    "unknown side": ("binance", binance("HOLD"), "line 2 is not a message of binance .'HOLD'."),
    "no quantity": ("bybit", bybit("Buy").replace('"v"', '"w"'), "line 2 is not a message of bybit .'v'."),
    "contracts of unknown size": ("okx", okx("long", "sell"), "name the coins per contract of BTCUSDT"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_lines_are_named(case: str) -> None:
    venue, line, message = BAD[case]
    with pytest.raises(SchemaError, match=message):
        read_messages(["", line], venue)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_bytes(binance("BUY").encode() + b"\n\xff\n")
    with path.open(encoding="utf-8") as lines, pytest.raises(SchemaError, match="the lines are not UTF-8"):
        read_messages(lines, "binance")


def test_a_price_that_is_none_is_refused_and_an_unknown_venue_too() -> None:
    with pytest.raises(SchemaError, match="column `price`"):
        read_messages([bybit("Buy").replace('"99.5"', '"x"')], "bybit")
    with pytest.raises(ParameterError, match=r"whose messages can be read \(binance, bybit, okx\), was 'gate'"):
        read_messages([], "gate")


NATIVE = Path("data/external/native")


@pytest.mark.real_data
def test_the_venues_own_examples() -> None:
    if not NATIVE.is_dir():
        pytest.skip(f"{NATIVE} is not there")

    def message(path: str) -> str:
        return json.dumps(json.loads((NATIVE / "rest_json" / path).read_text(encoding="utf-8").split("\n= \n")[1]))

    own = read_messages([message("binance/Subscriptions__UsdFutures__Liquidations.txt")], "binance")["liquidations"]
    assert own[["side", "price", "quantity"]].iloc[0].tolist() == ["long", 9910.0, 0.014]
    own = read_messages([message("bybit/V5__Linear__Liquidations.txt")], "bybit")["liquidations"]
    assert own[["symbol", "side", "quantity"]].iloc[0].tolist() == ["ETHUSDT", "short", 20_000.0]


@pytest.mark.real_data
def test_a_real_capture() -> None:
    path = NATIVE / "binance_ws_capture" / "usdm_btcusdt_20240808_first2000.jsonl"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with path.open(encoding="utf-8") as lines, pytest.warns(DefectWarning, match="of 2,000 messages were read"):
        trades = read_messages(lines, "binance")["trades"]
    assert 300 < len(trades) <= 347
    assert trades["price"].between(60_000, 63_000).all()
    assert set(trades["side"]) == {"buy", "sell"}
    # The recorder's clock is more than a second behind the venue's: nothing may be known before it happened.
    assert (trades["available_time"] >= trades["event_time"]).all()


def test_what_is_told_again_counts_once_by_its_earliest_arrival() -> None:
    """Two recorders side by side, and a venue that repeats its last liquidations at each subscription."""
    for venue, line in LONGS.values():
        lines = [f"{T + 3_600_000}000000 {line}", f"{T + 50}000000 {line}", f"{T + 90}000000 {line}"]
        (row,) = read_messages(lines, venue, contract_sizes={"BTCUSDT": 0.01})["liquidations"].to_dict("records")
        assert row["available_time"] == STAMP + pd.Timedelta("50ms")


def test_equal_liquidations_of_one_message_are_different_ones() -> None:
    row = {"T": T, "s": "BTCUSDT", "S": "Buy", "v": "1.5", "p": "99.5"}
    line = json.dumps({"topic": "allLiquidation.BTCUSDT", "ts": T + 300, "data": [row, row]})
    assert len(read_messages([line], "bybit")["liquidations"]) == 2
    assert len(read_messages([line, line], "bybit")["liquidations"]) == 2


def test_trades_are_told_apart_by_their_id_and_those_of_nothing_are_left_out() -> None:
    def trade(number: int | None, quantity: str = "3", kind: str = "aggTrade") -> str:
        content = {"e": kind, "E": T, "T": T, "s": "BTCUSDT", "p": "100", "q": quantity, "m": False}
        return json.dumps(content if number is None else content | {"a" if kind == "aggTrade" else "t": number})

    def count(*lines: str) -> int:
        return len(read_messages(lines, "binance")["trades"])

    assert count(trade(1), trade(2), trade(1)) == 2
    assert count(trade(None), trade(None)) == 2
    assert count(trade(1), trade(1, kind="trade")) == 2
    assert count(trade(1), trade(2, "0")) == 1


def test_a_liquidation_of_nothing_is_none_and_a_stamp_in_seconds_is_refused() -> None:
    def line(size: str, time: int = T) -> str:
        row = {"T": time, "s": "BTCUSDT", "S": "Buy", "v": size, "p": "99.5"}
        return json.dumps({"topic": "allLiquidation.BTCUSDT", "ts": T + 300, "data": [row]})

    assert list(read_messages([line("0"), line("2"), line("0.0")], "bybit")["liquidations"]["quantity"]) == [2.0]
    assert read_messages([line("0")], "bybit") == {}
    for time in (T // 1000, T * 1000):
        with pytest.raises(SchemaError, match=r"^line 1 is not a message of bybit \((its time|cannot convert)"):
            read_messages([line("2", time)], "bybit")


ANSWER = '{"event": "subscribe", "arg": {"channel": "liquidation-orders"}}'


@pytest.mark.parametrize("case", ["binance", "bybit", "bybit before 2025", "okx"])
def test_a_record_of_another_venue_is_refused_with_its_name(case: str) -> None:
    """Catches a record read as of the wrong venue, which is a market without liquidations."""
    venue, line = LONGS[case]
    for other in {"binance", "bybit", "okx"} - {venue}:
        message = rf"^0 of 3 messages were read .* of {other}, and 2 look like those of {venue}; give `venue` '{venue}'"
        with pytest.raises(SchemaError, match=message):
            read_messages([line, ANSWER, line], other)


def test_what_is_passed_over_is_counted_by_kind() -> None:
    """Catches a venue that renames its messages: half of a record would be missing, and nothing would tell."""
    ticker = json.dumps({"e": "bookTicker", "E": T, "s": "BTCUSDT"})
    with pytest.warns(
        DefectWarning, match=r"^1 of 4 .* passed over: 2 of bookTicker, 1 of allLiquidation; 1 look like"
    ):
        assert len(read_messages([binance("BUY"), ticker, bybit("Buy"), ticker], "binance")["liquidations"]) == 1
    renamed = bybit("Buy").replace("allLiquidation", "everyLiquidation")
    with pytest.warns(DefectWarning, match=r"^2 of 3 .* passed over: 1 of everyLiquidation$"):
        read_messages([bybit("Buy"), bybit("Sell"), renamed], "bybit")
    for line, kinds in ((ticker, "1 of bookTicker"), ('{"code": 0, "data": []}', "none has a kind")):
        with pytest.warns(DefectWarning, match=rf"^0 of 1 messages were read .* passed over: {kinds}$"):
            assert read_messages([line], "binance") == {}


def test_answers_of_a_venue_are_not_worth_a_warning() -> None:
    sizes = {"BTCUSDT": 0.01}
    assert (
        len(read_messages([ANSWER, okx("long", "sell"), "", ANSWER], "okx", contract_sizes=sizes)["liquidations"]) == 1
    )
    assert read_messages(["", " "], "okx") == {}
