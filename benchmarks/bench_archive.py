"""The archive reader: zipped csv to canonical parquet on one core, compared with pandas, and memory by number of days.

Run ``make bench``, or ``pytest benchmarks/bench_archive.py -s`` for this part.
"""

from __future__ import annotations

import subprocess
import sys
import zipfile
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.record import Recorder, cpu_seconds
from slackwater.sources.binance_archive.catalogue import DATA_TYPES, ArchiveFile, DataType
from slackwater.sources.binance_archive.parts import parsed_part
from slackwater.storage import sha256_of
from tests.mirror.archive import archive_file
from tests.mirror.server import Mirror, running

TYPES: dict[str, DataType] = {each.name: each for each in DATA_TYPES}
GOAL_ROWS = 1e6
MINUTE = pd.Timedelta("1min")

# In a process of its own: the peak of a process never falls again. Not by getrusage: there a child begins with the peak
# of its parent.
MEMORY = """
import re, sys
from pathlib import Path
from datetime import datetime, timedelta, UTC
from slackwater.sources.fetch import fetch
from slackwater.sources.request import FetchRequest
start = datetime(2022, 9, 1, tzinfo=UTC)
for days in (300, 720):
    request = FetchRequest(
        venue="binance", symbols=["BTCUSDT"], start=start, end=start + timedelta(days=days),
        tables=["fine_bars", "large_trades"],
    )
    fetch(request, f"{sys.argv[2]}/{days}", mirror=sys.argv[1])
    print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def _zip(tmp_path: Path, file: ArchiveFile, *, trades_a_day: int = 1) -> Path:
    content = archive_file(file.path, trades_a_day=trades_a_day)
    assert content is not None
    path = tmp_path / f"{file.name}.zip"
    path.write_bytes(content)
    return path


def _to_parquet(path: Path, file: ArchiveFile, store: Path) -> Path:
    for old in store.glob("*/*/*"):
        old.unlink()
    for old in store.glob("*/*"):
        old.rmdir()
    return parsed_part(path, file, sha256=sha256_of(path), store=store, origin=file.name, floor_usd=100_000.0)


def test_klines(record: Recorder, tmp_path: Path) -> None:
    """Time one month of minute bars."""
    file = ArchiveFile(type=TYPES["klines"], symbol="BTCUSDT", interval="1m", period="monthly", first=date(2024, 1, 1))
    path = _zip(tmp_path, file)

    def ours() -> Path:
        return _to_parquet(path, file, tmp_path / "ours") / "fine_bars.parquet"

    def pandas() -> pd.DataFrame:
        raw = pd.read_csv(path)
        table = raw[["open", "high", "low", "close", "volume", "taker_buy_volume"]].assign(
            open_time=pd.to_datetime(raw["open_time"], unit="ms", utc=True), trade_count=raw["count"].astype("float64")
        )
        table["event_time"] = table["open_time"] + MINUTE
        table.to_parquet(tmp_path / "pandas.parquet", compression="zstd", compression_level=1, index=False)
        return table

    mine, theirs = pq.read_table(ours()).to_pandas(), pandas()
    assert len(mine) == 31 * 1440
    for name in mine:
        np.testing.assert_array_equal(mine[name].to_numpy(), theirs[name].to_numpy())
    taken = cpu_seconds({"ours": ours, "pandas": pandas}, repetitions=5)
    rows = len(mine)
    record(name="archive/klines", value=rows / taken["ours"], unit="rows/CPU-second", goal=GOAL_ROWS)
    record(
        name="archive/klines, pandas.read_csv",
        value=rows / taken["pandas"],
        unit="rows/CPU-second",
        peer="pandas.read_csv and to_parquet, no checks",
    )


def test_agg_trades(record: Recorder, tmp_path: Path) -> None:
    """Time one day of two million trades, reduced to the large ones and to the sizes of all."""
    file = ArchiveFile(type=TYPES["aggTrades"], symbol="BTCUSDT", interval="", period="daily", first=date(2024, 1, 1))
    rows = 2_000_000
    path = _zip(tmp_path, file, trades_a_day=rows)

    def ours() -> Path:
        return _to_parquet(path, file, tmp_path / "ours") / "large_trades.parquet"

    def pandas() -> pd.DataFrame:
        raw = pd.read_csv(path)
        large = raw[raw["price"] * raw["quantity"] >= 100_000.0].sort_values(["transact_time", "agg_trade_id"])
        large.to_parquet(tmp_path / "pandas.parquet", compression="zstd", compression_level=1, index=False)
        return large

    mine, theirs = pq.read_table(ours()).to_pandas(), pandas()
    np.testing.assert_array_equal(mine["trade_id"].to_numpy(), theirs["agg_trade_id"].to_numpy())
    np.testing.assert_array_equal(mine["quantity"].to_numpy(), theirs["quantity"].to_numpy())
    np.testing.assert_array_equal((mine["side"] == "sell").to_numpy(), theirs["is_buyer_maker"].to_numpy())
    taken = cpu_seconds({"ours": ours, "pandas": pandas})
    record(name="archive/aggTrades", value=rows / taken["ours"], unit="rows/CPU-second", goal=GOAL_ROWS)
    record(
        name="archive/aggTrades, pandas.read_csv",
        value=rows / taken["pandas"],
        unit="rows/CPU-second",
        peer="pandas.read_csv, the whole file in memory, no checks, no sizes",
    )
    with zipfile.ZipFile(path) as archive:
        record(name="archive/aggTrades csv", value=archive.infolist()[0].file_size / 1e6, unit="MB")


def test_memory(record: Recorder, tmp_path: Path) -> None:
    """Measure peak memory of a fetch of 300 days of bars and trades, and of 720 days."""
    with running(Mirror(partial(archive_file, trades_a_day=1_000))) as mirror:
        done = subprocess.run(  # noqa: S603 a command of our own
            [sys.executable, "-c", MEMORY, mirror.url, str(tmp_path)], capture_output=True, text=True, check=True
        )
    short, long = (int(line) / 1024 for line in done.stdout.split())
    record(name="archive/memory of 300 days", value=short, unit="MB")
    record(name="archive/memory of 720 days", value=long, unit="MB", goal=short * 1.5, at_least=False)
