"""Own tables: bars by their own stamps, cells and files in other forms, facts told twice, and what nothing reads."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from slackwater.errors import DataError, MissingDataError, ParameterError, SchemaError
from slackwater.market.quality.detectors import examine_tables
from slackwater.market.quality.known_defects import known_defects
from slackwater.market.schemas import SCHEMAS
from slackwater.sources.own_files.clock import utc
from slackwater.sources.own_files.coverage import coverage
from slackwater.sources.own_files.directory import Reading, read_directory
from slackwater.sources.own_files.numbers import numbers
from slackwater.sources.own_files.table_file import TableFile
from slackwater.sources.whales.transfer_file import TransferFile
from tests.small_market import small_market

LAGS = {name: timedelta(seconds=7) for name in SCHEMAS}
HALF_HOUR = timedelta(minutes=30)
MARKET = small_market(("BTCUSDT",), days=10)


def read(directory: Path, tables: dict[str, Any] | None = None, **options: Any) -> Reading:
    return read_directory(directory, tables, lags=LAGS, **options)


def bars(**columns: Any) -> pd.DataFrame:
    return MARKET["bars"].assign(**columns).drop(columns="available_time")


def as_arrow(table: pd.DataFrame) -> pa.Table:
    return pq.read_table(io.BytesIO(table.to_parquet(index=False)))


# -- bars ------------------------------------------------------------------------------------------------------

OFF = {
    "opening taken for the close": lambda b: {"event_time": b["open_time"]},
    "exchanged": lambda b: {"event_time": b["open_time"], "open_time": b["event_time"]},
    "five hours early": lambda b: {"event_time": b["event_time"] - pd.Timedelta("5h30min")},
    "a minute long": lambda b: {"event_time": b["open_time"] + pd.Timedelta("1min")},
    "an hour long": lambda b: {"event_time": b["open_time"] + pd.Timedelta("1h")},
    "one second short in a third of the rows": lambda b: {
        "event_time": b["event_time"] - pd.to_timedelta((b.index % 3 == 0) * 2, unit="s")
    },
}


@pytest.mark.parametrize("kind", OFF)
@pytest.mark.parametrize("name", ["bars", "mark_price"])
def test_bars_that_do_not_close_when_their_stamps_say_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    """A bar that is known before it closes tells the future."""
    bars(**OFF[kind](MARKET["bars"])).to_parquet(tmp_path / f"{name}.parquet")
    if name != "bars":
        bars().to_parquet(tmp_path / "bars.parquet")
    with pytest.raises(DataError, match=rf"{name}\.parquet \(table {name}\): .* (opening|apart|long)"):
        read(tmp_path)


def test_a_wrong_bar_length_is_refused(tmp_path: Path) -> None:
    bars().drop(columns="event_time").to_parquet(tmp_path / "bars.parquet")
    for length in (timedelta(minutes=1), timedelta(hours=1)):
        with pytest.raises(SchemaError, match=r"rows are 0:30:00 apart and \S+ long"):
            read(tmp_path, {"bars": TableFile(file="bars.parquet", bar_length=length)})
    bars().to_parquet(tmp_path / "bars.parquet")
    with pytest.raises(SchemaError, match="are not 0:01:00 long, as `bar_length` states"):
        read(tmp_path, {"bars": TableFile(file="bars.parquet", bar_length=timedelta(minutes=1))})


@pytest.mark.parametrize("tick", ["1us", "1ms", "1s"])
def test_a_close_that_names_its_last_tick_is_the_end_of_the_bar(tmp_path: Path, tick: str) -> None:
    """Its neighbours would else look an interval late, and the advice would put the future into them."""
    short = MARKET["bars"]["event_time"] - pd.Timedelta(tick)
    bars(event_time=short).to_parquet(tmp_path / "bars.parquet")
    bars(event_time=short).drop(columns="open_time").to_parquet(tmp_path / "closes.parquet")
    MARKET["open_interest"].to_parquet(tmp_path / "open_interest.parquet")
    reading = read(
        tmp_path, {"bars": TableFile(file="bars.parquet"), "open_interest": TableFile(file="open_interest.parquet")}
    )
    closes = TableFile(file="closes.parquet", bar_length=HALF_HOUR)
    for table in (reading.tables["bars"], read(tmp_path, {"bars": closes}).tables["bars"]):
        pd.testing.assert_frame_equal(table[["open_time", "event_time"]], MARKET["bars"][["open_time", "event_time"]])
    assert examine_tables(reading.tables, venue="okx", spacing={})[1].findings == []


def test_a_few_bars_of_another_length_are_left_out_with_a_finding(tmp_path: Path) -> None:
    ends = MARKET["bars"]["event_time"].copy()
    ends.iloc[7] -= pd.Timedelta("10min")
    bars(event_time=ends).to_parquet(tmp_path / "bars.parquet")
    reading = read(tmp_path)
    assert [(f.rule, f.rows, f.action) for f in reading.findings] == [("wrong_span", 1, "masked")]
    assert len(reading.tables["bars"]) == len(ends) - 1


def test_bars_of_the_future_and_the_running_one_are_left_out(tmp_path: Path) -> None:
    bars().to_parquet(tmp_path / "bars.parquet")
    now = MARKET["bars"]["event_time"].iloc[-3] + pd.Timedelta("10min")
    reading = read(tmp_path, now=now.to_pydatetime())
    assert [(f.rule, f.rows, f.action) for f in reading.findings] == [
        ("unfinished", 1, "masked"),
        ("future", 1, "masked"),
    ]
    with pytest.raises(SchemaError, match="no row can be used: future in"):
        read(tmp_path, now=datetime(2020, 1, 1, tzinfo=UTC))


def test_the_interval_of_bars_is_that_of_the_parameters(tmp_path: Path) -> None:
    """It was found after minutes of features and labels."""
    bars().to_parquet(tmp_path / "bars.parquet")
    five = timedelta(minutes=5)
    with pytest.raises(ParameterError, match=r"`market\.bar_interval` is 0:05:00"):
        read(tmp_path, spacing={"bars": five, "fine_bars": five})
    with pytest.raises(
        ParameterError, match=r"no fine_bars.*`market\.fine_bar_interval` must be .* 0:30:00, was 0:05:00"
    ):
        read(tmp_path, spacing={"bars": HALF_HOUR, "fine_bars": five})
    assert read(tmp_path, spacing={"bars": HALF_HOUR, "fine_bars": HALF_HOUR}).findings == []


# -- stamps ----------------------------------------------------------------------------------------------------


def test_an_offset_belongs_to_stamps_without_a_zone(tmp_path: Path) -> None:
    """A text on a local clock beside epoch time: both would be moved."""
    local = (MARKET["bars"]["open_time"] + pd.Timedelta("6h")).dt.strftime("%Y-%m-%d %H:%M:%S")
    epoch = MARKET["bars"]["event_time"].astype("int64") // 1000
    bars(open_time=local, event_time=epoch).to_csv(tmp_path / "bars.csv", index=False)
    source = TableFile(file="bars.csv", utc_offset=timedelta(hours=6))
    table = read(tmp_path, {"bars": source}).tables["bars"]
    pd.testing.assert_series_equal(table["open_time"], MARKET["bars"]["open_time"])
    bars(open_time=MARKET["bars"]["open_time"].astype("int64"), event_time=epoch).to_csv(
        tmp_path / "bars.csv", index=False
    )
    with pytest.raises(SchemaError, match="`utc_offset` is for stamps that name no zone, and all of these do"):
        read(tmp_path, {"bars": source})


@pytest.mark.parametrize("size", [10**5, 10**6, 10**7])
@pytest.mark.parametrize("unit", [1, 1000])
def test_stamps_that_a_spreadsheet_rounded_are_refused(size: int, unit: int) -> None:
    stamps = MARKET["liquidations"]["event_time"].astype("int64") // 1000 + 37
    rounded = (stamps // size * size) // unit
    with pytest.raises(SchemaError, match=r"x: its stamps are rounded to .* a spreadsheet"):
        utc(rounded, "x", None)
    with pytest.raises(SchemaError, match="x is written with an exponent, 1"):
        utc(stamps.map("{:.5E}".format), "x", None)
    for true in (stamps, stamps.map("{:.13e}".format), MARKET["bars"]["event_time"].astype("int64") // 1000):
        assert len(utc(true, "x", None)[0]) == len(true)


def test_a_date_is_not_a_moment(tmp_path: Path) -> None:
    """Whether the value of 2024-01-02 was known in its morning or in its night, nobody can say."""
    days = pd.date_range("2024-01-01", periods=30, tz="UTC")
    daily = pd.DataFrame({"symbol": "BTCUSDT", "day": days.strftime("%Y-%m-%d"), "open_interest": 5.0})
    bars().to_parquet(tmp_path / "bars.parquet")
    for form in (daily, daily.assign(day=days.date)):
        form.to_parquet(tmp_path / "interest.parquet")
        interest = TableFile(file="interest.parquet", columns={"event_time": "day"}, utc_offset=timedelta(0))
        with pytest.raises(SchemaError, match=r"holds bare dates, such as .*; give each stamp its time of day"):
            read(tmp_path, {"bars": TableFile(file="bars.parquet"), "open_interest": interest})
        covering = replace(interest, columns={"open_time": "day"}, bar_length=timedelta(days=1))
        made = read(tmp_path, {"bars": TableFile(file="bars.parquet"), "open_interest": covering})
        assert made.tables["open_interest"]["event_time"].iloc[0] == pd.Timestamp("2024-01-02", tz="UTC")
    events = MARKET["liquidations"]
    (tmp_path / "interest.parquet").unlink()
    for unit, said in (("D", "at 00:00: dates"), ("h", "on the full hour")):
        floored = events.assign(event_time=events["event_time"].dt.floor(unit))
        floored.to_parquet(tmp_path / "liquidations.parquet")
        with pytest.raises(SchemaError, match=rf"all \d+ events are stamped {said}"):
            read(tmp_path)
    events.assign(event_time=events["event_time"].dt.floor("min")).to_parquet(tmp_path / "liquidations.parquet")
    assert [(f.rule, f.rows) for f in read(tmp_path).findings] == [("whole_minutes", len(events))]


# -- numbers ---------------------------------------------------------------------------------------------------

WRITTEN: dict[str, Callable[[float], str]] = {
    "English": lambda x: f"{x:,.4f}",
    "Swiss": lambda x: f"{x:,.4f}".replace(",", "\u2019"),
    "German": lambda x: f"{x:,.4f}".translate(str.maketrans(",.", ".,")),
    "French": lambda x: f"{x:,.4f}".translate(str.maketrans(",.", "\u202f,")),
    "plain": lambda x: f"{x:.4f}",
    "exponent": lambda x: f"{x:.17e}",
}


@pytest.mark.parametrize("form", WRITTEN)
def test_numbers_with_thousands_separators_are_read(tmp_path: Path, form: str) -> None:
    """Every amount from a thousand on was left out: the whales."""
    amounts = [1_234_567.25, 8_616.0212, 8.7277, 755.3251] * 10
    usd = [516_961_273.4, 523.6623, 45_319_506.79, 1_000.0] * 10
    stamps = pd.date_range("2024-01-02", periods=40, freq="17min", tz="UTC").strftime("%Y-%m-%dT%H:%M:%SZ")
    rows = pd.DataFrame({"t": stamps, "hash": [f"h{n}" for n in range(40)], "value": amounts, "usd": usd})
    rows = rows.assign(value=rows["value"].map(WRITTEN[form]), usd=rows["usd"].map(WRITTEN[form]))
    rows.to_csv(tmp_path / "transfers.csv", index=False)
    bars().to_parquet(tmp_path / "bars.parquet")
    transfers = TransferFile(
        file="transfers.csv",
        known_since=datetime(2020, 1, 1, tzinfo=UTC),
        columns={"event_time": "t", "tx_hash": "hash", "amount": "value", "amount_usd": "usd"},
        constants={"chain": "bitcoin", "asset": "BTC", "source": "q"},
    )
    tables = {"bars": TableFile(file="bars.parquet"), "whale_transfers": transfers}
    made = read(tmp_path, tables).tables["whale_transfers"]
    assert sorted(made["amount"]) == pytest.approx(sorted(amounts))
    assert sorted(made["amount_usd"]) == pytest.approx(sorted(usd))


def test_numbers_that_can_be_read_in_two_ways_are_refused() -> None:
    with pytest.raises(SchemaError, match=r"x: '1,337' can be read in two ways"):
        numbers({"a": pd.Series(["1,337", "5"])}, "x")
    both = numbers({"a": pd.Series(["1.337", "5"]), "b": pd.Series(["60.383,5", "2"])}, "x").columns
    assert both["a"].tolist() == [1337.0, 5.0]
    assert both["b"].tolist() == [60383.5, 2.0]


@pytest.mark.parametrize("share", [0.005, 0.02])
def test_a_file_is_refused_once_more_than_one_row_in_a_hundred_cannot_be_read(tmp_path: Path, share: float) -> None:
    """The same for every reader; a reader that left out a third of the rows went on with the rest."""
    bad = MARKET["bars"].index < share * len(MARKET["bars"])
    words = MARKET["bars"]["close"].astype("str").mask(bad, "none given")
    bars(close=words).to_csv(tmp_path / "bars.csv", index=False)
    if share > 0.01:
        with pytest.raises(
            SchemaError, match=r"bars\.csv .*: 10 of 480 rows cannot be read: .*`close` is 'none given'"
        ):
            read(tmp_path)
    else:
        (found,) = read(tmp_path).findings
        assert (found.rule, found.rows, found.action) == ("unreadable", 3, "masked")


# -- files -----------------------------------------------------------------------------------------------------

TEXT = bars().to_csv(index=False).encode()


def zipped(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("anything.csv", content)


WRAPPED: dict[str, Callable[[Path], object]] = {
    "bars.csv.gz": lambda path: path.write_bytes(gzip.compress(TEXT)),
    "Bars.CSV.GZ": lambda path: path.write_bytes(gzip.compress(TEXT)),
    "bars.csv.bz2": lambda path: path.write_bytes(bz2.compress(TEXT)),
    "bars.csv.xz": lambda path: path.write_bytes(lzma.compress(TEXT)),
    "bars.csv.zst": lambda path: path.write_bytes(pa.Codec("zstd").compress(TEXT, asbytes=True)),
    "bars.csv.zip": lambda path: zipped(path, TEXT),
    "BARS.PARQUET": lambda path: bars().to_parquet(path),
    "bars.feather": lambda path: pyarrow.feather.write_feather(as_arrow(bars()), path),
    "bars.arrow": lambda path: pyarrow.feather.write_feather(as_arrow(bars()), path),
    "bars.jsonl": lambda path: bars().to_json(
        path, orient="records", lines=True, date_format="iso", double_precision=15
    ),
    "bars.tsv": lambda path: bars().to_csv(path, sep="\t", index=False),
    "bars.parquet": lambda path: bars().assign(year="2024").to_parquet(path, partition_cols=["symbol", "year"]),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_a_table_in_another_wrapping_is_read(tmp_path: Path, name: str) -> None:
    WRAPPED[name](tmp_path / name)
    for tables in (None, {"bars": TableFile(file=name)}):
        reading = read(tmp_path, tables)
        pd.testing.assert_frame_equal(
            reading.tables["bars"].drop(columns="available_time"),
            bars()[reading.tables["bars"].columns.drop("available_time")],
        )
        assert (reading.findings, reading.unread) == ([], ())


DAMAGED: dict[str, tuple[str, bytes]] = {
    "cut": ("bars.csv.gz", gzip.compress(TEXT)[:-20]),
    "not compressed": ("bars.csv.zst", TEXT),
    "not a zip": ("bars.csv.zip", TEXT),
    "no feather": ("bars.feather", TEXT),
    "NUL": ("bars.csv", TEXT.replace(b"BTC", b"B\0C", 1)),
    "utf-16": ("bars.csv", TEXT.decode().encode("utf-16")),
    "open quote": ("bars.csv", TEXT + b'"'),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_wrapping_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    name, content = DAMAGED[kind]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SchemaError, match=rf"{name} is not a readable"):
        read(tmp_path)


def test_what_nothing_reads_is_named(tmp_path: Path) -> None:
    bars().to_parquet(tmp_path / "bars.parquet")
    for name in ("funding.xlsx", "Fundings.csv", "README", ".hidden", "fetch.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "depth").mkdir()
    assert read(tmp_path).unread == ("Fundings.csv", "README", "depth/", "funding.xlsx")
    with pytest.raises(MissingDataError, match="it is a directory; only a parquet table may be one"):
        read(tmp_path, {"bars": TableFile(file="bars.parquet"), "depth": TableFile(file="depth")})


def test_a_directory_without_bars_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "bars").mkdir()
    bars().to_csv(tmp_path / "bars.zip")
    with pytest.raises(MissingDataError, match=r"needs a table `bars`.*; the directory holds bars\.zip, bars/"):
        read(tmp_path)


def test_a_part_that_leads_out_of_the_directory_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    (root / "bars.parquet" / "symbol=BTCUSDT").mkdir(parents=True)
    bars().to_parquet(tmp_path / "secret.parquet")
    (root / "bars.parquet" / "symbol=BTCUSDT" / "part.parquet").symlink_to(tmp_path / "secret.parquet")
    with pytest.raises(DataError, match="leads out of"):
        read(root)


BYTES = {
    "bytes": pa.binary(),
    "large bytes": pa.large_binary(),
    "filled up": pa.binary(10),
    "large text": pa.large_string(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
}


@pytest.mark.parametrize("kind", BYTES)
def test_text_as_bytes_is_text(tmp_path: Path, kind: str) -> None:
    table = as_arrow(bars())
    names = ["BTCUSDT\0\0\0" if kind == "filled up" else "BTCUSDT"] * len(table)
    column = pa.array(
        [name.encode() for name in names] if "bytes" in kind or kind == "filled up" else names, BYTES[kind]
    )
    pq.write_table(table.set_column(table.column_names.index("symbol"), "symbol", column), tmp_path / "bars.parquet")
    assert set(read(tmp_path, symbols=["BTCUSDT"]).tables["bars"]["symbol"]) == {"BTCUSDT"}
    wrong = pa.array([b"\xff\xfe"] * len(table), pa.binary())
    pq.write_table(table.set_column(table.column_names.index("symbol"), "symbol", wrong), tmp_path / "bars.parquet")
    with pytest.raises(SchemaError, match=r"bars\.parquet: column `symbol` holds bytes that are not text"):
        read(tmp_path)


# -- cells that hold nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_a_blank_cell_is_missing_and_the_rows_beside_it_stay(tmp_path: Path, form: str) -> None:
    """Providers leave a tenth of the cells blank; an infinite one is wrong."""
    blank = MARKET["open_interest"].index % 10 == 3
    table = MARKET["open_interest"].assign(open_interest=lambda rows: rows["open_interest"].mask(blank))
    write = {"parquet": table.to_parquet, "csv": lambda path: table.to_csv(path, index=False)}
    write[form](tmp_path / f"open_interest.{form}")
    bars().to_parquet(tmp_path / "bars.parquet")
    reading = read(tmp_path)
    pd.testing.assert_frame_equal(
        reading.tables["open_interest"], MARKET["open_interest"][~blank].reset_index(drop=True)
    )
    assert [(f.rule, f.rows, f.action) for f in reading.findings] == [("blank", 48, "recorded")]
    [line] = [each for each in coverage(reading.tables, reading.findings, ["BTCUSDT"]) if each.table == "open_interest"]
    assert (line.missing, line.masked) == (48, 0)
    table.assign(open_interest=float("nan")).to_parquet(tmp_path / "open_interest.parquet")
    (tmp_path / "open_interest.csv").unlink(missing_ok=True)
    with pytest.raises(SchemaError, match="no row can be used: blank in 480 rows"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["liquidations", "large_trades"])
def test_an_event_of_quantity_zero_is_none(tmp_path: Path, name: str) -> None:
    zero = MARKET[name].index % 20 == 3
    MARKET[name].assign(quantity=MARKET[name]["quantity"].mask(zero, 0.0)).to_parquet(tmp_path / f"{name}.parquet")
    bars().to_parquet(tmp_path / "bars.parquet")
    reading = read(tmp_path)
    pd.testing.assert_frame_equal(reading.tables[name], MARKET[name][~zero].reset_index(drop=True))
    assert [(f.rule, f.rows, f.action) for f in reading.findings] == [("zero_quantity", int(zero.sum()), "masked")]


# -- facts -----------------------------------------------------------------------------------------------------


def test_the_same_fact_in_two_files_is_one(tmp_path: Path) -> None:
    """Monthly files overlap; what both hold would count twice."""
    events = MARKET["liquidations"].drop(columns="available_time")
    twin = pd.concat([events.iloc[:200], events.iloc[[199]]])  # two equal events of one file are two
    twin.to_parquet(tmp_path / "one.parquet")
    events.iloc[190:].to_parquet(tmp_path / "two.parquet")
    bars().to_parquet(tmp_path / "bars.parquet")
    later = TableFile(file="two.parquet", available_after=timedelta(minutes=1))
    sources = {"bars": TableFile(file="bars.parquet"), "liquidations": [TableFile(file="one.parquet"), later]}
    reading = read(tmp_path, sources)
    assert len(reading.tables["liquidations"]) == len(events) + 1
    assert [(f.rule, f.rows, f.action) for f in reading.findings] == [("doubled_rows", 10, "repaired")]


def test_a_fact_that_a_file_tells_again_before_its_first_arrival_is_one(tmp_path: Path) -> None:
    """Within a file and between files the first arrival counts, in whatever order the rows are."""
    events = MARKET["liquidations"]
    later = events.iloc[190:210].assign(available_time=events["available_time"].iloc[190:210] + pd.Timedelta("1h"))
    events.iloc[:200].to_parquet(tmp_path / "one.parquet")
    pd.concat([later, events.iloc[190:]]).to_parquet(tmp_path / "two.parquet")
    bars().to_parquet(tmp_path / "bars.parquet")
    both = [TableFile(file="one.parquet"), TableFile(file="two.parquet")]
    reading = read(tmp_path, {"bars": TableFile(file="bars.parquet"), "liquidations": both})
    pd.testing.assert_frame_equal(reading.tables["liquidations"], events.reset_index(drop=True))


@pytest.mark.parametrize("name", ["liquidations", "open_interest"])
def test_a_fact_that_is_told_again_is_known_since_the_first_time(tmp_path: Path, name: str) -> None:
    table = MARKET[name]
    again = table.iloc[50:60].assign(available_time=table["available_time"].iloc[50:60] + pd.Timedelta("1h"))
    pd.concat([again, table]).to_parquet(tmp_path / f"{name}.parquet")
    bars().to_parquet(tmp_path / "bars.parquet")
    reading = read(tmp_path)
    pd.testing.assert_frame_equal(reading.tables[name], table.reset_index(drop=True))
    assert next((f.rule, f.rows, f.action) for f in reading.findings) == ("doubled_rows", 10, "repaired")


def test_rows_of_other_symbols_and_ends_that_are_missing_are_on_record(tmp_path: Path) -> None:
    small_market(days=10)["bars"].to_parquet(tmp_path / "bars.parquet")
    MARKET["open_interest"].iloc[48:-96].to_parquet(tmp_path / "open_interest.parquet")
    found = read(tmp_path, symbols=["BTCUSDT"]).findings
    assert [(f.table, f.rule, f.rows) for f in found] == [
        ("bars", "other_symbols", 480),
        ("open_interest", "history_begins", 48),
        ("open_interest", "history_ends", 96),
    ]
    assert "ETHUSDT" in found[0].note


def test_bars_that_end_before_those_of_another_symbol_are_on_record(tmp_path: Path) -> None:
    """A file cut in its middle looks like a symbol that ends; a later listing is usual."""
    both = small_market(days=10)["bars"]
    of_second = both["symbol"] == "ETHUSDT"
    cut = of_second & (both["event_time"] > both["event_time"].max() - pd.Timedelta("2D"))
    both[~(cut | ~of_second & (both.index < 50))].to_parquet(tmp_path / "bars.parquet")
    reading = read(tmp_path)
    assert [(f.table, f.symbol, f.rule, f.rows) for f in reading.findings] == [("bars", "ETHUSDT", "history_ends", 96)]
    [line] = [each for each in coverage(reading.tables, reading.findings, ["ETHUSDT"]) if each.table == "bars"]
    assert (line.missing, line.asked and line.asked[1]) == (96, both["event_time"].max())


def test_defects_of_an_archive_are_those_of_data_that_come_from_it(tmp_path: Path) -> None:
    """A user's own records are not wrong because Binance's archive is."""
    stamps = pd.date_range("2022-03-06", "2022-03-10", freq="30min", tz="UTC").as_unit("us")
    known = {"symbol": "BTCUSDT", "event_time": stamps, "available_time": stamps}
    interest = pd.DataFrame(known | {"open_interest": 5.0 + pd.Series(range(len(stamps))) / 1000})
    bars().to_parquet(tmp_path / "bars.parquet")
    for source, masked in ((None, 0), ("exchange", 0), ("archive", 96)):
        if source:
            (tmp_path / "fetch.json").write_text(json.dumps({"request": {"source": source}, "findings": []}))
        listed = known_defects(archived=read(tmp_path).archived)
        _, ledger = examine_tables({"open_interest": interest}, venue="binance", spacing={}, known=listed)
        assert sum(each.rows for each in ledger.findings if each.rule == "known_defect") == masked
