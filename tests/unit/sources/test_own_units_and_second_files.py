"""Values in USD, values that a file repeats, sums of columns, and columns of a second file."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.config.own_files import Columns
from slackwater.errors import DataError, SchemaError
from slackwater.sources.own_files.directory import Reading, read_directory
from slackwater.sources.own_files.table_file import TableFile
from slackwater.sources.whales.transfer_file import TransferFile

HOUR = timedelta(hours=1)
OPENS = pd.date_range("2024-01-01", periods=48, freq="h", tz="UTC")
CLOSES = 100.0 + np.arange(48.0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Bars in one folder, and in another what the takers bought and sold, and open interest, in USD."""
    (tmp_path / "prices").mkdir()
    (tmp_path / "flows").mkdir()
    prices = dict.fromkeys(("open", "high", "low", "close"), CLOSES)
    pd.DataFrame({"t": OPENS, **prices}).to_parquet(tmp_path / "prices" / "btc.parquet")
    write_flows(tmp_path)
    return tmp_path


def write_flows(root: Path, **changes: Any) -> None:
    """Write the second file, by default with twice as much bought as sold."""
    columns = {"opened": OPENS, "usd_bought": 20.0 * CLOSES, "usd_sold": 10.0 * CLOSES, "oi_usd": 7.0 * CLOSES}
    pd.DataFrame(columns | {"spot": CLOSES} | changes).to_parquet(root / "flows" / "usd.parquet")


def bars(**changes: Any) -> TableFile:
    """Return the source of bars whose volume stands in the second file."""
    options: dict[str, Any] = {
        "file": "prices/btc.parquet",
        "beside": "flows/usd.parquet",
        "beside_on": {"t": "opened"},
        "columns": {"open_time": "t", "volume": ["usd_bought", "usd_sold"], "taker_buy_volume": "usd_bought"},
        "per": {"volume": "spot", "taker_buy_volume": "spot"},
        "constants": {"symbol": "BTCUSDT"},
        "bar_length": HOUR,
    }
    return TableFile(**options | changes)


INTEREST = TableFile(
    file="flows/usd.parquet",
    columns={"open_time": "opened", "open_interest": "oi_usd"},
    per={"open_interest": "spot"},
    constants={"symbol": "BTCUSDT"},
    bar_length=HOUR,
)


def read(root: Path, **tables: TableFile) -> Reading:
    return read_directory(root, {"bars": bars()} | tables, symbols=["BTCUSDT"])


def found(reading: Reading) -> set[tuple[str, str, int]]:
    return {(each.table, each.rule, each.rows) for each in reading.findings}


def test_usd_become_coin_and_columns_are_added_up(directory: Path) -> None:
    reading = read(directory, open_interest=INTEREST)
    made = reading.tables["bars"]
    assert np.allclose(made["volume"], 30.0)
    assert np.allclose(made["taker_buy_volume"], 20.0)
    assert np.allclose(reading.tables["open_interest"]["open_interest"], 7.0)
    assert (made["event_time"] == OPENS + HOUR).all()
    assert reading.findings == []
    [file] = reading.files["bars"]
    assert file.columns["volume"] == "from (usd_bought + usd_sold) / spot"
    assert file.origin == "btc.parquet beside flows/usd.parquet"
    assert "usd_bought" not in file.unread
    assert "oi_usd" in file.unread


def test_the_scale_counts_after_the_sum(directory: Path) -> None:
    made = read_directory(directory, {"bars": bars(scale={"volume": 0.001})}, symbols=["BTCUSDT"]).tables["bars"]
    assert np.allclose(made["volume"], 0.03)
    assert np.allclose(made["taker_buy_volume"], 20.0)


def test_a_frozen_value_is_masked_although_its_price_moves(directory: Path) -> None:
    """In coin it would change with every price, so that no rule would find it frozen."""
    usd = 7.0 * CLOSES
    usd[10:14] = usd[9]
    write_flows(directory, oi_usd=usd)
    reading = read(directory, open_interest=INTEREST)
    assert ("open_interest", "frozen_value", 4) in found(reading)
    assert not reading.tables["open_interest"]["event_time"].isin(OPENS[10:14] + HOUR).any()


def test_a_row_without_a_counterpart_is_missing_and_not_zero(directory: Path) -> None:
    flows = pd.read_parquet(directory / "flows" / "usd.parquet")
    flows.drop(index=[5, 6]).to_parquet(directory / "flows" / "usd.parquet")
    reading = read(directory)
    assert ("bars", "blank", 2) in found(reading)
    assert len(reading.tables["bars"]) == 46
    assert (reading.tables["bars"]["volume"] > 0.0).all()


def test_a_text_file_beside_a_parquet_file_is_read(directory: Path) -> None:
    flows = pd.read_parquet(directory / "flows" / "usd.parquet")
    flows.assign(opened=flows["opened"].astype("int64")).to_csv(directory / "flows" / "usd.csv", index=False)
    prices = pd.read_parquet(directory / "prices" / "btc.parquet")
    prices.assign(t=prices["t"].astype("int64")).to_parquet(directory / "prices" / "btc.parquet")
    made = read_directory(directory, {"bars": bars(beside="flows/usd.csv")}, symbols=["BTCUSDT"]).tables["bars"]
    assert np.allclose(made["volume"], 30.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"opened": OPENS + timedelta(minutes=1)}, "no row of .* has its t among opened: are both clocks in UTC"),
        ({"opened": OPENS[[0, *range(47)]]}, "rows repeat opened, which must identify one"),
        ({"opened": OPENS.strftime("%Y-%m-%dT%H:%MZ")}, "opened cannot be compared"),
        ({"close": CLOSES}, "both have close: which is meant"),
    ],
)
def test_files_that_do_not_match_are_refused(directory: Path, change: dict[str, Any], message: str) -> None:
    write_flows(directory, **change)
    with pytest.raises(SchemaError, match=message):
        read(directory)


def test_a_missing_column_of_a_sum_or_a_price_is_named(directory: Path) -> None:
    for change in ({"columns": {"open_time": "t", "volume": ["usd_bought", "usd_sould"]}}, {"per": {"volume": "spat"}}):
        with pytest.raises(SchemaError, match=r"missing column .*(usd_sould|spat)"):
            read_directory(directory, {"bars": bars(**change)}, symbols=["BTCUSDT"])
    with pytest.raises(SchemaError, match="`beside_on` names its columns when"):
        read_directory(directory, {"bars": bars(beside_on={"when": "opened"})}, symbols=["BTCUSDT"])


def test_a_folder_that_is_linked_into_the_directory_is_part_of_it(directory: Path, tmp_path: Path) -> None:
    """As `data/external` holds linked folders; a file that is a link leads out as before."""
    root = tmp_path / "external"
    root.mkdir()
    for name in ("prices", "flows"):
        (root / name).symlink_to(directory / name)
    assert len(read(root).tables["bars"]) == 48
    secret = tmp_path / "secret.parquet"
    (directory / "flows" / "usd.parquet").rename(secret)
    (directory / "flows" / "usd.parquet").symlink_to(secret)
    with pytest.raises(DataError, match="leads out of"):
        read(root)
    with pytest.raises(DataError, match="leads out of"):
        read_directory(root, {"bars": bars(file="../prices/btc.parquet")}, symbols=["BTCUSDT"])


def funding(rates: Any) -> pd.DataFrame:
    return pd.DataFrame({"event_time": OPENS, "funding_rate": rates / 8.0})


SPREAD = TableFile(
    file="funding.parquet",
    constants={"symbol": "BTCUSDT", "interval_hours": 8.0},
    scale={"funding_rate": 8.0},
    repeated_for=8 * HOUR,
)


def test_a_rate_that_is_spread_over_its_hours_counts_once(directory: Path) -> None:
    rates = np.repeat([1e-4, 2e-4, 2e-4, -1e-4, 3e-4, 5e-4], 8)
    funding(rates).to_parquet(directory / "funding.parquet")
    reading = read(directory, funding=SPREAD)
    assert np.allclose(reading.tables["funding"]["funding_rate"], rates[::8])
    assert (reading.tables["funding"]["event_time"] == OPENS[::8]).all()
    assert ("funding", "doubled_rows", 42) in found(reading)


def test_a_rate_that_changes_between_is_not_one_that_is_repeated(directory: Path) -> None:
    """Such as one that is stamped an hour late: every eighth row would be another one's."""
    funding(np.repeat([1e-4, 2e-4, 2e-4, -1e-4, 3e-4, 5e-4], 8)).shift(1).iloc[1:].assign(
        event_time=OPENS[1:]
    ).to_parquet(directory / "funding.parquet")
    with pytest.raises(SchemaError, match=r"changes between its multiples in 4 of 47 rows, first at 2024-01-01 09:00"):
        read(directory, funding=SPREAD)


def test_bars_that_lack_every_second_counterpart_are_refused_with_that_reason(directory: Path) -> None:
    """Catches advice on lengths and stamps alone, which are right."""
    flows = pd.read_parquet(directory / "flows" / "usd.parquet")
    flows.drop(index=flows.index[::2]).to_parquet(directory / "flows" / "usd.parquet")
    with pytest.raises(SchemaError, match=r"left out before were 24 rows of BTCUSDT \(a number is blank"):
        read(directory)


@pytest.mark.parametrize("lost", [8, 0])
def test_a_settlement_whose_row_is_missing_is_missing(directory: Path, lost: int) -> None:
    """Catches a table that is refused because one hour is not there, and a rate that is dated an hour late."""
    rates = np.repeat([1e-4, 2e-4, 2e-4, -1e-4, 3e-4, 5e-4], 8)
    funding(rates).drop(index=lost).to_parquet(directory / "funding.parquet")
    reading = read(directory, funding=SPREAD)
    assert (reading.tables["funding"]["event_time"] == OPENS[::8].delete(lost // 8)).all()
    assert ("funding", "blank", 1) in found(reading)


def test_the_options_of_an_entry_are_those_of_the_reader() -> None:
    entry = {"file": "a.parquet", "beside": "b.parquet", "beside_on": {"t": "u"}, "per": {"volume": "close"}}
    made = Columns.model_validate(entry | {"columns": {"volume": ["x", "y"]}, "repeated_for": "8h"})
    options = {name: value for name, value in made.model_dump(exclude={"kind"}).items() if value is not None}
    assert TableFile(**options).files == ("a.parquet", "b.parquet")
    assert made.files == ["a.parquet", "b.parquet"]
    with pytest.raises(ValueError, match="give `beside`, a second file, and `beside_on`"):
        Columns.model_validate({"file": "a.parquet", "beside": "b.parquet"})


def test_the_labels_of_transfers_are_not_a_second_file() -> None:
    """Both are files of one source; only `beside` gives columns."""
    known = {"file": "transfers.csv", "labels": "labels.csv"}
    assert TransferFile(**known).files == ("transfers.csv", "labels.csv")
    wide = TransferFile(**known, beside="usd.csv", beside_on={"hash": "tx"})
    assert wide.files == ("transfers.csv", "usd.csv", "labels.csv")


def test_a_frozen_value_is_found_where_symbols_alternate(directory: Path) -> None:
    """Catches a comparison of one symbol with the row of another, which never repeats."""
    usd, spot = np.repeat(7.0 * CLOSES, 2), np.repeat(CLOSES, 2)
    usd[1::2] *= 2.0
    usd[20:28:2] = usd[18]
    rows = {"opened": np.repeat(OPENS, 2), "symbol": ["BTCUSDT", "ETHUSDT"] * 48, "oi_usd": usd, "spot": spot}
    pd.DataFrame(rows).to_parquet(directory / "flows" / "both.parquet")
    source = replace(INTEREST, file="flows/both.parquet", constants={})
    assert ("open_interest", "frozen_value", 4) in found(read(directory, open_interest=source))


@pytest.mark.parametrize("beside", ["csv", "parquet"])
def test_a_stamp_that_is_a_number_is_matched_in_csv_files(directory: Path, beside: str) -> None:
    """Catches a key that is read as text from one file and as a number from the other."""
    for name in ("prices/btc", "flows/usd"):
        table = pd.read_parquet(directory / f"{name}.parquet")
        stamps = table.columns[0]
        table[stamps] = table[stamps].dt.as_unit("ms").astype("int64")
        table.to_csv(directory / f"{name}.csv", index=False)
        table.to_parquet(directory / f"{name}.parquet")
    source = bars(file="prices/btc.csv", beside=f"flows/usd.{beside}")
    made = read_directory(directory, {"bars": source}, symbols=["BTCUSDT"]).tables["bars"]
    assert np.allclose(made["volume"], 30.0)
    assert len(made) == 48


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"per": {"volume": "spot", "open_time": "spot"}}, "`per` is for numbers, and column `open_time`"),
        ({"columns": {"open_time": ["t", "opened"]}}, "`columns: a sum` is for numbers, and column `open_time`"),
        ({"per": {"trade_count": "spot"}}, "missing column trade_count"),
    ],
)
def test_arithmetic_that_cannot_be_done_is_refused_by_name(directory: Path, changes: dict[str, Any], said: str) -> None:
    """Catches a bare TypeError, and a division that is passed over because its column is not there."""
    source = bars(**changes | {"columns": bars().columns | changes.get("columns", {})})
    with pytest.raises(SchemaError, match=said):
        read_directory(directory, {"bars": source}, symbols=["BTCUSDT"])
