"""Outputs appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from slackwater.errors import MissingDataError, SchemaError
from slackwater.storage import (
    atomic_directory,
    atomic_file,
    digest_of,
    read_json,
    read_parquet,
    read_path,
    read_tables,
    write_json,
    write_tables,
)


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def fail_half_way() -> None:
        with atomic_file(target) as path:
            path.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_a_failed_directory_leaves_the_old_one_and_no_debris(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with atomic_directory(target) as root:
        (root / "a").write_text("old")

    def fail_half_way() -> None:
        with atomic_directory(target) as root:
            (root / "a").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert (target / "a").read_text() == "old"
    with atomic_directory(target) as root:
        (root / "b").write_text("new")
    assert [p.name for p in target.iterdir()] == ["b"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_tables_come_back_as_they_were(tmp_path: Path) -> None:
    table = pd.DataFrame({"t": pd.date_range("2024", periods=2, tz="UTC", unit="us"), "x": [1.0, None]})
    write_tables({"bars": table, "depth": table}, tmp_path / "tables")
    back = read_tables(tmp_path / "tables", ["bars", "path"])
    assert list(back) == ["bars"]
    pd.testing.assert_frame_equal(back["bars"], table)
    pd.testing.assert_frame_equal(read_path(tmp_path / "tables"), table)


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "x.json").write_text("{")
    with pytest.raises(SchemaError, match=r"x\.parquet is not a readable parquet"):
        read_parquet(tmp_path / "x.parquet")
    with pytest.raises(SchemaError, match=r"x\.json is not valid JSON"):
        read_json(tmp_path / "x.json")
    for read in (read_parquet, read_json, read_tables):
        with pytest.raises(MissingDataError, match="there is no"):
            read(tmp_path / "none")


def test_json_has_no_nan(tmp_path: Path) -> None:
    """NaN is not JSON: `dvc metrics` and browsers would stumble over it."""
    write_json({"a": float("nan"), "b": [float("inf"), 1.0]}, tmp_path / "x.json")
    assert read_json(tmp_path / "x.json") == {"a": None, "b": [None, 1.0]}


def test_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1}) != digest_of({"a": 1, "b": 3})
