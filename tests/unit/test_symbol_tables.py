"""Tables of many symbols: a file per symbol, read alone and as a whole."""

from __future__ import annotations

import os
import pickle
import shutil
import signal
from dataclasses import fields
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from slackwater import storage
from slackwater.errors import MissingDataError, SchemaError
from slackwater.parallel import run_tasks, use_workers
from slackwater.run.prices import PathsOnDisk, hourly_prices
from slackwater.storage import (
    SYNTHETIC,
    atomic_directory,
    marked_synthetic,
    read_parquet,
    read_tables,
    write_parquet,
    write_tables,
)
from slackwater.symbol_tables import SymbolTables, rows_of_symbol, split_by_symbol, write_symbol
from slackwater.times import epochs_us
from slackwater.trading.correlations import HourlyCorrelations
from slackwater.trading.price_path import PricePath, price_paths

SYMBOLS = [".Y", "1000PEPEUSDT", "BTC/USD:..", "BTCUSDT", "ETHUSDT", "_X", "ethusdt"]


def table(rows: int, seed: int) -> pd.DataFrame:
    """Rows of all symbols, mixed."""
    draws = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "symbol": pd.array(draws.choice(SYMBOLS, rows), dtype="str"),
            "event_time": pd.date_range("2024-01-01", periods=rows, freq="1min", tz="UTC", unit="us"),
            "value": np.where(draws.random(rows) < 0.1, np.nan, draws.normal(size=rows)),
        }
    )
    made.attrs[SYNTHETIC] = True
    return made


def written(root: Path, tables: dict[str, pd.DataFrame]) -> Path:
    root.mkdir(exist_ok=True)
    for symbol, rows in split_by_symbol(tables):
        write_symbol(symbol, rows, root)
    return root


def test_what_is_written_by_symbol_is_read_as_a_whole_and_by_symbol(tmp_path: Path) -> None:
    """Catches a lost row, another order, and a symbol that leads out of the directory."""
    tables = {"bars": table(500, 1), "depth": table(40, 2)}
    root = written(tmp_path / "tables", tables)
    for name, back in read_tables(root).items():
        wanted = tables[name].sort_values("symbol", kind="stable", ignore_index=True)
        pd.testing.assert_frame_equal(back, wanted, check_exact=True)
        assert len(pd.read_parquet(root / f"{name}.parquet")) == len(wanted)
    held = SymbolTables(root)
    assert (held.names, held.symbols, held.rows) == (("bars", "depth"), sorted(SYMBOLS), 540)
    for symbol in SYMBOLS:
        for name, rows in held.of(symbol).items():
            mine = tables[name][tables[name]["symbol"] == symbol].reset_index(drop=True)
            pd.testing.assert_frame_equal(rows, mine, check_exact=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tables"]
    assert marked_synthetic(root)
    assert list(read_parquet(root / "bars.parquet", columns=["value"])) == ["value"]


def test_a_table_in_one_file_is_read_by_symbol_too(tmp_path: Path) -> None:
    """Catches a directory of `write_tables`, such as that of an older run, that is not understood."""
    rows = table(200, 3)
    write_parquet(rows, tmp_path / "bars.parquet")
    held = SymbolTables(tmp_path, ["bars", "funding"])
    assert (held.names, held.symbols, held.rows) == (("bars",), sorted(SYMBOLS), 200)
    mine = rows[rows["symbol"] == "BTCUSDT"].reset_index(drop=True)
    pd.testing.assert_frame_equal(held.of("BTCUSDT")["bars"], mine, check_exact=True)


def test_the_files_of_a_symbol_are_all_that_another_directory_needs(tmp_path: Path) -> None:
    """Catches a table that another machine takes for absent, and rows of others that are sent there."""
    tables = {"bars": table(200, 3), "depth": table(100, 5).query("symbol == 'BTCUSDT'")}
    root = written(tmp_path / "tables", tables)
    (root / "depth.parquet" / "ETHUSDT.parquet").unlink()
    write_parquet(table(50, 6), root / "flows.parquet")
    held = SymbolTables(root)
    for place, symbol in enumerate(SYMBOLS):
        for name, path in held.files_of(symbol):
            (tmp_path / str(place) / name).parent.mkdir(parents=True)
            shutil.copy(path, tmp_path / str(place) / name)
        there = SymbolTables(tmp_path / str(place))
        assert there.names == held.names
        assert set(there.symbols) == {symbol}
        for name, rows in held.of(symbol).items():
            pd.testing.assert_frame_equal(there.of(symbol)[name], rows, check_exact=True)
    assert marked_synthetic(tmp_path / "0" / "flows.parquet")


def test_a_table_without_rows_of_a_symbol_is_empty_and_not_absent(tmp_path: Path) -> None:
    """Catches a symbol that turns an empty table into one that the data set lacks."""
    tables = {"bars": table(100, 4), "depth": table(100, 5).query("symbol == 'BTCUSDT'")}
    root = written(tmp_path, tables)
    empty = SymbolTables(root).of("ETHUSDT")["depth"]
    assert empty.empty
    assert empty.dtypes.equals(tables["depth"].dtypes)
    (root / "depth.parquet" / "ETHUSDT.parquet").unlink()
    assert rows_of_symbol(root / "depth.parquet", "ETHUSDT").dtypes.equals(empty.dtypes)
    assert len(read_parquet(root / "depth.parquet")) == len(tables["depth"])


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    """Catches rows without a symbol, which no reader by symbol would ever see, and a damaged file."""
    with pytest.raises(MissingDataError, match="there is no directory"):
        SymbolTables(tmp_path / "absent")
    root = written(tmp_path / "whole", {"bars": table(50, 6)})
    with pytest.raises(MissingDataError, match=r"there is no file .*depth\.parquet"):
        rows_of_symbol(root / "depth.parquet", "BTCUSDT")
    (root / "bars.parquet" / "BTCUSDT.parquet").write_bytes(b"no parquet")
    with pytest.raises(SchemaError, match=r"BTCUSDT\.parquet is not a readable parquet file"):
        SymbolTables(root).of("BTCUSDT")
    nameless = table(50, 7)
    nameless.loc[[3, 9], "symbol"] = None
    write_parquet(nameless, tmp_path / "one" / "bars.parquet")
    with pytest.raises(SchemaError, match=r"bars\.parquet lacks a symbol in 2 rows, first in row 3"):
        SymbolTables(tmp_path / "one")


def test_a_file_that_a_lost_worker_left_half_written_is_no_part_of_a_table(tmp_path: Path) -> None:
    """Catches doubled rows and a symbol of the name of a temporary file, from a worker that was killed as it wrote."""
    with use_workers("2", tell=lambda line: None), atomic_directory(tmp_path / "tables") as directory:
        killed = partial(write_and_die_once, directory.resolve(), tmp_path / "died")
        symbols = {symbol: symbol for symbol in ("ADAUSDT", "BTCUSDT", "ETHUSDT")}
        assert list(run_tasks(killed, symbols)) == list(symbols)
        # Others may be left too: where one of several processes is lost, the pool ends all of them.
        assert list(directory.rglob(".BTCUSDT.parquet.*"))
        assert SymbolTables(directory).symbols == list(symbols)
        assert len(read_parquet(directory / "bars.parquet")) == 3 * 10
    assert sorted(path.name for path in (tmp_path / "tables").rglob("*.parquet") if path.is_file()) == [
        f"{symbol}.parquet" for symbol in symbols
    ]
    with pytest.raises(MissingDataError, match="there is no directory"):
        write_symbol("ADAUSDT", {"bars": table(1, 1)}, tmp_path / "gone")


def write_and_die_once(directory: Path, died: Path, symbol: str) -> str:
    """Write ten rows; the first process that writes those of BTCUSDT is killed before the file has its name."""
    replace = Path.replace

    def dies(self: Path, target: Path) -> Path:
        if symbol == "BTCUSDT" and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return replace(self, target)

    with patch.object(Path, "replace", dies):
        write_symbol(symbol, {"bars": table(10, 8).assign(symbol=symbol)}, directory)
    return symbol


def test_prices_of_a_symbol_without_bars_are_not_asked_for(tmp_path: Path) -> None:
    """Catches a symbol that only another table holds, as after `dataset.end` before its listing."""
    times = pd.date_range("2024-01-01", periods=600, freq="1min", tz="UTC", unit="us")
    bars = pd.DataFrame({"symbol": "BTCUSDT", "open_time": times, "event_time": times + pd.Timedelta("1min")})
    bars = bars.assign(**dict.fromkeys(("open", "high", "low", "close"), 100.0))
    rates = pd.DataFrame({"symbol": ["BTCUSDT", "ETHUSDT"], "event_time": times[:2], "funding_rate": [1e-4, 2e-4]})
    root = written(tmp_path, {"fine_bars": bars, "funding": rates})
    assert SymbolTables(root).symbols == ["BTCUSDT", "ETHUSDT"]
    paths = pickle.loads(pickle.dumps(PathsOnDisk(root)))  # noqa: S301
    assert list(paths) == list(hourly_prices(root)) == ["BTCUSDT"]
    wanted = price_paths(bars, rates)["BTCUSDT"]
    for name in ("open_time", "close", "funding_rate"):
        np.testing.assert_array_equal(getattr(paths["BTCUSDT"], name), getattr(wanted, name))
    assert "ETHUSDT" not in paths
    assert HourlyCorrelations(hourly_prices(root)).at(int(wanted.close_time[-1]), ["BTCUSDT", "ETHUSDT"]) == {}


@pytest.mark.parametrize("one_file", [False, True])
def test_a_span_of_prices_is_read_without_the_rest(
    one_file: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a span that ends within a halt, settlements next to it that are left out, and a whole path for each."""
    monkeypatch.setattr(storage, "_ROWS_PER_PART", 500)
    rng, n = np.random.default_rng(0), 20_000
    times = pd.date_range("2024-01-01", periods=n, freq="1min", tz="UTC", unit="us")
    kept = np.ones(n, dtype=bool)
    kept[3_000:3_050] = kept[9_000:13_000] = False  # the second halt is of more than a day
    own = pd.DataFrame({"open_time": times, "event_time": times + pd.Timedelta("1min")})[kept]
    bars = pd.concat(
        [
            own.assign(symbol=symbol, **dict.fromkeys(("open", "high", "low", "close"), rng.uniform(1, 2, len(own))))
            for symbol in ("BTCUSDT", "ETHUSDT")
        ],
        ignore_index=True,
    )
    rates = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times[::480], "funding_rate": 1e-4})
    marks = bars[["symbol", "open_time", "event_time", "open", "high", "low"]].iloc[::3]
    tables = {"fine_bars": bars, "funding": rates, "mark_price": marks.assign(open=1.5, high=2.0, low=1.0)}
    root = tmp_path / "tables"
    if one_file:
        write_tables(tables, root)
    else:
        root.mkdir()
        for symbol, parts in split_by_symbol(tables):
            write_symbol(symbol, parts, root)
    whole, paths = PathsOnDisk(root)["BTCUSDT"], PathsOnDisk(root)
    for start in (0, 2_990, 8_900, 13_000, *rng.integers(0, n - 600, 20)):
        first = int(whole.open_time[whole.first_bar_from(int(epochs_us(times[start : start + 1])[0]))])
        last = first + 600 * 60_000_000
        wanted, found = whole.between(first, last), paths.between("BTCUSDT", first, last)
        for field in fields(PricePath):
            np.testing.assert_array_equal(getattr(found, field.name), getattr(wanted, field.name), field.name)
        assert "BTCUSDT" not in paths._recent or 8_000 < start < 13_000
        paths = PathsOnDisk(root)
    with pytest.raises(KeyError):
        paths.between("XRPUSDT", first, last)
