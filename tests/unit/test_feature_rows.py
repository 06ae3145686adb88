"""The features of chosen rows, from the files of their symbols."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from slackwater.run import features
from slackwater.run.features import feature_rows
from slackwater.storage import write_parquet

TIMES = pd.date_range("2024-01-01", periods=6, freq="1h", tz="UTC")
SYMBOLS = ["BTCUSDT", "ETHUSDT", "SOL/USDT"]


def test_rows_of_a_symbol_come_from_its_file_and_no_other_rows_are_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a time that is wanted of one symbol and taken from another, and a cost of all events per symbol."""
    tables = {name: pd.DataFrame({"symbol": name, "event_time": TIMES, "value": range(6)}) for name in SYMBOLS}
    for at, table in enumerate(tables.values()):
        write_parquet(table, tmp_path / f"{at}-{SYMBOLS[at].replace('/', '%2F')}.parquet")
    wanted = pd.DataFrame({"symbol": ["SOL/USDT", "BTCUSDT", "BTCUSDT"], "event_time": [TIMES[4], TIMES[3], TIMES[1]]})
    read, asked = features.read_parquet_rows, list[list[str]]()

    def spy(path: Path, rows: pd.DataFrame) -> pd.DataFrame:
        asked.append(rows["symbol"].tolist())
        return read(path, rows)

    monkeypatch.setattr(features, "read_parquet_rows", spy)
    found = list(feature_rows(wanted, tmp_path))
    assert [table["value"].tolist() for table in found] == [[1, 3], [], [4]]
    assert [table["symbol"].tolist() for table in found] == [["BTCUSDT", "BTCUSDT"], [], ["SOL/USDT"]]
    assert asked == [["BTCUSDT", "BTCUSDT"], [], ["SOL/USDT"]]
