"""A directory of parquet or CSV files: what is understood, and what is refused by file, column and row."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from slackwater.errors import DataError, MissingDataError, OrderError, ParameterError, SchemaError
from slackwater.market.quality.ledger import Finding
from slackwater.market.schemas import SCHEMAS
from slackwater.sources.own_files.clock import utc
from slackwater.sources.own_files.directory import Reading
from slackwater.sources.own_files.directory import read_directory as read_any
from slackwater.sources.own_files.table_file import TableFile
from tests.small_market import small_market

LAGS = {name: timedelta(seconds=7) for name in SCHEMAS}

BARS = TableFile(file="bars.parquet", columns={"event_time": "close_time"}, available_after=timedelta(seconds=2))


def read(directory: Path, tables: dict[str, TableFile] | None = None, **options: Any) -> Reading:
    return read_any(directory, tables, lags=LAGS, **options)


def read_directory(directory: Path, tables: dict[str, TableFile] | None = None, **options: Any) -> dict[str, Any]:
    return read(directory, tables, **options).tables


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    bars = small_market(days=3)["bars"].drop(columns="available_time").rename(columns={"event_time": "close_time"})
    bars.assign(extra=1).to_parquet(tmp_path / "bars.parquet")
    return tmp_path


def test_columns_are_mapped_and_availability_is_added(directory: Path) -> None:
    table = read_directory(directory, {"bars": BARS}, symbols=["ETHUSDT"])["bars"]
    assert set(table["symbol"]) == {"ETHUSDT"}
    assert ((table["available_time"] - table["event_time"]) == pd.Timedelta("2s")).all()
    assert "extra" not in table


def test_a_missing_directory_file_or_symbol_is_named(directory: Path) -> None:
    with pytest.raises(MissingDataError, match=r"there is no directory .*nowhere"):
        read_directory(directory / "nowhere", {"bars": BARS})
    with pytest.raises(MissingDataError, match=r"there is no file .*none\.parquet \(table bars\)"):
        read_directory(directory, {"bars": TableFile(file="none.parquet", available_after=timedelta(0))})
    with pytest.raises(
        MissingDataError, match=r"bars\.parquet \(table bars\): no rows of \['XRPUSDT'\]; it holds \['BTCUSDT'"
    ):
        read_directory(directory, {"bars": BARS}, symbols=["BTCUSDT", "XRPUSDT"])


def test_a_missing_column_is_named_as_the_file_calls_it(directory: Path) -> None:
    wrong = TableFile(file="bars.parquet", columns={"event_time": "closing"}, available_after=timedelta(0))
    with pytest.raises(SchemaError, match=r"bars\.parquet \(table bars\): missing column closing \(for event_time\)"):
        read_directory(directory, {"bars": wrong})


def test_a_column_map_with_a_typing_error_is_refused(directory: Path) -> None:
    wrong = TableFile(file="bars.parquet", columns={"evnt_time": "close_time"}, available_after=timedelta(0))
    with pytest.raises(SchemaError, match=r"column map of table bars names \['evnt_time'\]"):
        read_directory(directory, {"bars": wrong})


def test_naive_times_are_refused(directory: Path) -> None:
    bars = pd.read_parquet(directory / "bars.parquet")
    bars["close_time"] = bars["close_time"].dt.tz_localize(None)
    bars.to_parquet(directory / "bars.parquet")
    with pytest.raises(SchemaError, match=r"column `close_time` must hold timezone-aware times.*utc_offset"):
        read_directory(directory, {"bars": BARS})


def test_a_file_that_is_not_parquet_is_refused(directory: Path) -> None:
    (directory / "bars.parquet").write_text("<html>not found</html>")
    with pytest.raises(SchemaError, match="is not a readable parquet file"):
        read_directory(directory, {"bars": BARS})


def test_changed_content_is_noticed(directory: Path) -> None:
    digest = hashlib.sha256((directory / "bars.parquet").read_bytes()).hexdigest()

    assert read_directory(directory, {"bars": BARS}, sha256={"bars.parquet": digest})
    with pytest.raises(DataError, match=r"its sha256 is .*, the parameters expect 00"):
        read_directory(directory, {"bars": BARS}, sha256={"bars.parquet": "00"})
    with pytest.raises(ParameterError, match=r"files that no table reads: \['bar\.parquet'\]"):
        read_directory(directory, {"bars": BARS}, sha256={"bar.parquet": digest})


def test_a_link_out_of_the_directory_is_refused(directory: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("elsewhere") / "secret.parquet"
    (directory / "bars.parquet").rename(secret)
    (directory / "bars.parquet").symlink_to(secret)
    with pytest.raises(DataError, match="leads out of"):
        read_directory(directory, {"bars": BARS})


def test_bad_rows_are_named_with_their_file(directory: Path) -> None:
    bars = pd.read_parquet(directory / "bars.parquet")
    bars.loc[9, "close"] = -1.0
    bars.to_parquet(directory / "bars.parquet")
    with pytest.raises(
        SchemaError, match=r"bars\.parquet \(table bars\): column `close` must be above 0; 1 rows.*\n.*\n9 "
    ):
        read_directory(directory, {"bars": BARS})


def test_a_table_of_another_symbol_is_refused_even_where_no_symbols_are_named(directory: Path) -> None:
    funding = small_market(("DOGEUSDT",), days=3)["funding"]
    funding.to_parquet(directory / "funding.parquet")
    tables = {"bars": BARS, "funding": TableFile(file="funding.parquet", available_after=timedelta(0))}
    with pytest.raises(
        MissingDataError, match=r"funding\.parquet \(table funding\): no rows of .* holds \['DOGEUSDT'\]"
    ):
        read_directory(directory, tables)


# -- CSV -----------------------------------------------------------------------------------------------------

NAMES = ["open_time", "open", "high", "low", "close", "volume"]
KLINES = TableFile(
    file="{symbol}-1h.csv",
    columns={name: i for i, name in enumerate(NAMES)},
    bar_length=timedelta(minutes=30),
)


def klines(symbol: str = "BTCUSDT") -> pd.DataFrame:
    bars = small_market(days=3)["bars"]
    return bars[bars["symbol"] == symbol].reset_index(drop=True)


def write_csv(path: Path, *, header: bool = False, **columns: Any) -> None:
    klines()[NAMES].assign(**columns).to_csv(path, header=header, index=False)


TIME_FORMS = {
    "s since 1970": lambda t: t.astype("int64") // 1_000_000,
    "ms since 1970": lambda t: t.astype("int64") // 1_000,
    "us since 1970": lambda t: t.astype("int64"),
    "ns since 1970": lambda t: t.astype("int64") * 1_000,
    "ISO 8601": lambda t: t.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
}


@pytest.mark.parametrize("form", TIME_FORMS)
@pytest.mark.parametrize("header", [False, True])
def test_klines_of_any_clock_are_the_same_bars(tmp_path: Path, form: str, header: bool) -> None:
    """A unit taken for another one moves all bars by decades; a header taken for a row loses the first bar."""
    write_csv(tmp_path / "BTCUSDT-1h.csv", header=header, open_time=TIME_FORMS[form](klines()["open_time"]))
    reading = read(tmp_path, {"bars": KLINES}, symbols=["BTCUSDT"])
    pd.testing.assert_frame_equal(reading.tables["bars"][NAMES], klines()[NAMES])
    pd.testing.assert_series_equal(reading.tables["bars"]["event_time"], klines()["event_time"])
    [file] = reading.files["bars"]
    assert (file.clock, "(no header)" in file.origin) == (form, not header)
    assert reading.findings == []


def test_a_declared_clock_ahead_of_utc_is_put_right(tmp_path: Path) -> None:
    """Fails with the wrong sign: the bars would be twelve hours off, and not six."""
    ahead = (klines()["open_time"] + pd.Timedelta("6h")).dt.strftime("%Y-%m-%d %H:%M:%S")
    write_csv(tmp_path / "BTCUSDT-1h.csv", open_time=ahead)
    with pytest.raises(SchemaError, match=r"holds naive times, first .*utc_offset"):
        read_directory(tmp_path, {"bars": KLINES}, symbols=["BTCUSDT"])
    declared = replace(KLINES, utc_offset=timedelta(hours=6))
    table = read_directory(tmp_path, {"bars": declared}, symbols=["BTCUSDT"])["bars"]
    pd.testing.assert_series_equal(table["open_time"], klines()["open_time"])


def test_numbers_that_share_no_unit_of_time_are_refused(tmp_path: Path) -> None:
    stamps = klines()["open_time"].astype("int64") // 1_000
    stamps.iloc[-1] *= 1_000
    write_csv(tmp_path / "BTCUSDT-1h.csv", open_time=stamps)
    with pytest.raises(SchemaError, match=r"must hold times since 1970, all in s, ms, us or ns"):
        read_directory(tmp_path, {"bars": KLINES}, symbols=["BTCUSDT"])


def test_a_file_without_header_needs_positions(tmp_path: Path) -> None:
    write_csv(tmp_path / "bars.csv")
    with pytest.raises(SchemaError, match=r"has no header and no position for symbol, event_time.*first row is 2024-"):
        read_directory(tmp_path, {"bars": TableFile(file="bars.csv")})


def test_units_sides_and_constants_are_translated(tmp_path: Path) -> None:
    write_csv(tmp_path / "BTCUSDT-1h.csv")
    (tmp_path / "forced.csv").write_text("Time,Side,Price,Contracts\n1704114000000,SELL,20000.5,30\n")
    forced = TableFile(
        file="forced.csv",
        columns={"event_time": "Time", "side": "Side", "price": "Price", "quantity": "Contracts"},
        constants={"symbol": "BTCUSDT"},
        values={"side": {"SELL": "long", "BUY": "short"}},
        scale={"quantity": 0.01},
    )
    tables = read_directory(tmp_path, {"bars": KLINES, "liquidations": forced}, symbols=["BTCUSDT"])
    row = tables["liquidations"].iloc[0]
    assert (row["side"], row["quantity"], row["event_time"]) == ("long", 0.3, pd.Timestamp("2024-01-01 13:00Z"))
    assert row["available_time"] - row["event_time"] == pd.Timedelta("7s")
    one_side = replace(forced, values={"side": {"BUY": "short"}})
    with pytest.raises(SchemaError, match=r"column `side` holds \['SELL'\], which `values` does not explain"):
        read_directory(tmp_path, {"bars": KLINES, "liquidations": one_side}, symbols=["BTCUSDT"])


def test_a_stamp_may_be_a_constant_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    write_csv(tmp_path / "BTCUSDT-1h.csv")
    (tmp_path / "interest.csv").write_text("open_interest\n5\n")
    constants = {"symbol": "BTCUSDT", "event_time": "2024-01-01T00:00Z"}
    source = TableFile(file="interest.csv", constants=constants)
    table = read_directory(tmp_path, {"bars": KLINES, "open_interest": source}, symbols=["BTCUSDT"])["open_interest"]
    assert table["event_time"].item() == pd.Timestamp("2024-01-01", tz="UTC")
    wrong = replace(source, constants=constants | {"event_time": "new year"})
    with pytest.raises(SchemaError, match=r"interest\.csv .*column `event_time` must hold ISO 8601"):
        read_directory(tmp_path, {"bars": KLINES, "open_interest": wrong}, symbols=["BTCUSDT"])


@pytest.mark.parametrize("index", ["event_time", ["symbol", "event_time"]])
def test_an_index_of_a_parquet_file_is_columns(tmp_path: Path, index: str | list[str]) -> None:
    """`frame.set_index("event_time").to_parquet(...)`: pandas would give an index back, and no column."""
    klines().set_index(index).to_parquet(tmp_path / "bars.parquet")
    pd.testing.assert_frame_equal(read(tmp_path).tables["bars"], klines())


def test_a_parquet_file_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    klines().to_parquet(tmp_path / "bars.parquet")
    table = pq.read_table(tmp_path / "bars.parquet")
    pq.write_table(table.append_column("close", table["close"]), tmp_path / "bars.parquet")
    with pytest.raises(SchemaError, match=r"bars\.parquet names a column twice"):
        read(tmp_path)


def test_a_map_may_serve_files_without_an_optional_column(tmp_path: Path) -> None:
    write_csv(tmp_path / "BTCUSDT-1h.csv")
    source = replace(KLINES, scale={**KLINES.scale, "trade_count": 2.0}, values={"taker_buy_volume": {"a": "b"}})
    assert len(read_directory(tmp_path, {"bars": source}, symbols=["BTCUSDT"])["bars"])


def test_a_row_without_a_symbol_is_named(tmp_path: Path) -> None:
    bars = klines()
    bars.assign(symbol=bars["symbol"].where(bars.index != 3)).to_parquet(tmp_path / "bars.parquet")
    with pytest.raises(SchemaError, match=r"bars\.parquet .table bars. lacks a symbol in 1 rows, first in row 3"):
        read(tmp_path)


@pytest.mark.parametrize("strange", ["now", "today", 1_700_000_000])
def test_a_time_that_only_a_machine_would_guess_is_refused(strange: object) -> None:
    values = pd.Series(["2024-01-01T00:00Z", strange], dtype=object)
    with pytest.raises(SchemaError, match="x must hold ISO 8601 times"):
        utc(values, "x", None)


def test_a_symbol_that_a_table_lacks_is_on_record_once(tmp_path: Path) -> None:
    """Its features stay unknown, and nobody would know why."""
    tables = small_market(days=3)
    tables["bars"].to_parquet(tmp_path / "bars.parquet")
    tables["funding"].query("symbol == 'BTCUSDT'").to_parquet(tmp_path / "funding.parquet")
    (found,) = read(tmp_path).findings
    assert (found.table, found.symbol, found.rule, found.action) == ("funding", "ETHUSDT", "no_rows", "recorded")
    (tmp_path / "fetch.json").write_text(json.dumps({"findings": [found.to_dict()]}))
    assert read(tmp_path).findings == [found]


def test_rows_are_sorted_and_copies_taken_out_only_with_a_record(tmp_path: Path) -> None:
    bars = klines()
    spoilt = pd.concat([bars.iloc[:3], bars.iloc[[2]], bars.iloc[10:], bars.iloc[3:10]])
    spoilt.to_csv(tmp_path / "bars.csv", index=False)
    reading = read(tmp_path)
    pd.testing.assert_frame_equal(reading.tables["bars"], bars)
    assert [(f.rule, f.rows, f.action) for f in reading.findings] == [
        ("doubled_rows", 1, "repaired"),
        ("disorder", 7, "repaired"),
    ]


def test_rows_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    bars = klines()
    pd.concat([bars, bars.iloc[[5]].assign(volume=1.0)]).to_csv(tmp_path / "bars.csv", index=False)
    with pytest.raises(OrderError, match=r"bars\.csv: table bars: BTCUSDT conflicting_rows in 2 rows"):
        read_directory(tmp_path)


def test_without_tables_every_table_file_is_read(tmp_path: Path) -> None:
    tables = small_market(days=3)
    tables["bars"].to_parquet(tmp_path / "bars.parquet")
    tables["funding"].to_csv(tmp_path / "funding.csv", index=False)
    tables["depth"].to_parquet(tmp_path / "my_depth.parquet")
    assert set(read_directory(tmp_path)) == {"bars", "funding"}
    tables["funding"].to_parquet(tmp_path / "funding.parquet")
    with pytest.raises(SchemaError, match=r"holds funding\.parquet and funding\.csv"):
        read_directory(tmp_path)


def test_what_was_found_when_the_directory_was_filled_comes_along(tmp_path: Path) -> None:
    """Without it the ledger would say that an archive without its doubled rows was never doubled."""
    klines().to_parquet(tmp_path / "bars.parquet")
    start = pd.Timestamp("2024-01-01", tz="UTC")
    before = Finding(table="bars", symbol="BTCUSDT", rule="x", start=start, end=start, rows=3, action="repaired")
    (tmp_path / "fetch.json").write_text(json.dumps({"findings": [before.to_dict()]}))
    assert read(tmp_path).findings == [before]
    (tmp_path / "fetch.json").write_text('{"findings": [{"table": "bars"}]}')
    with pytest.raises(SchemaError, match=r"fetch\.json does not hold a list of findings"):
        read(tmp_path)


DAMAGED = {
    "empty": (b"", "is empty"),
    "html": (b"<html><body>404</body></html>", "missing column"),
    "binary": (bytes(range(256)), "is not a readable csv file"),
    "ragged": (b"a,b\n1,2\n1,2,3\n", "missing column"),
    "twice": (b"open,open\n1,2\n", "names a column twice"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_csv_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    content, message = DAMAGED[kind]
    (tmp_path / "bars.csv").write_bytes(content)
    with pytest.raises(SchemaError, match=rf"bars\.csv.*{message}"):
        read(tmp_path)


@pytest.mark.filterwarnings("ignore")  # as a user's session may have it; here every warning would be an error anyway
def test_decimal_commas_are_refused_and_not_read_a_column_off(tmp_path: Path) -> None:
    """pandas only warns when the first row has a field too many, and reads what fits: 20 for 20,5."""
    write_csv(tmp_path / "BTCUSDT-1h.csv")
    (tmp_path / "interest.csv").write_text("symbol,event_time,open_interest\nBTCUSDT,2024-01-01T00:00Z,20,5\n")
    interest = TableFile(file="interest.csv")
    with pytest.raises(SchemaError, match=r"interest\.csv: its first row has more fields than the 3 of the header"):
        read_directory(tmp_path, {"bars": KLINES, "open_interest": interest}, symbols=["BTCUSDT"])


def test_the_mark_of_utf_8_and_carriage_returns_are_no_part_of_the_data(tmp_path: Path) -> None:
    text = klines().to_csv(index=False, lineterminator="\r\n")
    (tmp_path / "bars.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    pd.testing.assert_frame_equal(read(tmp_path).tables["bars"], klines())


def test_a_symbol_cannot_lead_out_of_the_directory(tmp_path: Path) -> None:
    (tmp_path / "inside").mkdir()
    write_csv(tmp_path / "BTCUSDT-1h.csv")
    with pytest.raises(DataError, match="leads out of"):
        read_directory(tmp_path / "inside", {"bars": KLINES}, symbols=["../BTCUSDT"])
