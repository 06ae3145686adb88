"""A directory of parquet files: what is understood, and what is refused by file, column and row."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from slackwater.errors import DataError, MissingDataError, SchemaError
from slackwater.sources.parquet import TableFile, read_directory
from tests.small_market import small_market

BARS = TableFile(file="bars.parquet", columns={"event_time": "close_time"}, available_after=timedelta(seconds=2))


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
    with pytest.raises(SchemaError, match="column `close_time` must hold timezone-aware times"):
        read_directory(directory, {"bars": BARS})


def test_a_file_that_is_not_parquet_is_refused(directory: Path) -> None:
    (directory / "bars.parquet").write_text("<html>not found</html>")
    with pytest.raises(SchemaError, match="is not a readable parquet file"):
        read_directory(directory, {"bars": BARS})


def test_changed_content_is_noticed(directory: Path) -> None:
    digest = hashlib.sha256((directory / "bars.parquet").read_bytes()).hexdigest()

    def expecting(sha256: str) -> TableFile:
        return TableFile(file="bars.parquet", columns=BARS.columns, available_after=timedelta(0), sha256=sha256)

    assert read_directory(directory, {"bars": expecting(digest)})
    with pytest.raises(DataError, match=r"its sha256 is .*, the parameters expect 00"):
        read_directory(directory, {"bars": expecting("00")})


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
