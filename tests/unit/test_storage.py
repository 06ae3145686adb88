"""Outputs appear whole or not at all."""

from __future__ import annotations

import os
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from slackwater import storage
from slackwater.errors import MissingDataError, SchemaError
from slackwater.storage import (
    atomic_directory,
    atomic_file,
    digest_of,
    first_directory,
    read_arrays,
    read_fine_bars,
    read_json,
    read_parquet,
    read_parquet_parts,
    read_parquet_rows,
    read_tables,
    values_digest,
    write_arrays,
    write_json,
    write_parquet,
    write_parquet_parts,
    write_report,
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


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path: Path) -> None:
    """Catches a message about `.a.txt.k3x_w1zq.txt`, which nobody has written and nobody will find."""
    target = tmp_path / "a.txt"
    (target / "in the way").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as caught, atomic_file(target) as path:
        path.write_text("new")
    assert (caught.value.filename, caught.value.filename2) == (str(target), None)
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


def test_the_first_directory_stands(tmp_path: Path) -> None:
    """Catches a cache whose entry is moved away while somebody reads it."""
    target = tmp_path / "deep" / "part"
    with first_directory(target) as late:
        (late / "content").write_text("late")
        with first_directory(target) as early:
            (early / "content").write_text("early")
        kept = (target / "content").stat().st_ino
    assert (target / "content").read_text() == "early"
    assert (target / "content").stat().st_ino == kept
    assert [path.name for path in target.parent.iterdir()] == ["part"]
    with pytest.raises(ZeroDivisionError), first_directory(tmp_path / "other"):
        raise ZeroDivisionError
    assert not (tmp_path / "other").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="file"), first_directory(tmp_path / "file") as directory:
        (directory / "content").write_text("x")


def test_what_a_killed_run_left_of_a_directory_goes_after_a_day(tmp_path: Path) -> None:
    for name, age in ((".part.abandoned", 2 * 86_400), (".part.at_work", 60), (".partner.other", 2 * 86_400)):
        (tmp_path / name).mkdir()
        then = time.time() - age
        os.utime(tmp_path / name, (then, then))
    with first_directory(tmp_path / "part") as directory:
        (directory / "content").write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".part.at_work", ".partner.other", "part"]


def test_tables_come_back_as_they_were(tmp_path: Path) -> None:
    table = pd.DataFrame({"t": pd.date_range("2024", periods=2, tz="UTC", unit="us"), "x": [1.0, None]})
    write_tables({"bars": table, "depth": table}, tmp_path / "tables")
    back = read_tables(tmp_path / "tables", ["bars", "fine_bars"])
    assert list(back) == ["bars"]
    pd.testing.assert_frame_equal(back["bars"], table)
    pd.testing.assert_frame_equal(read_fine_bars(tmp_path / "tables"), table)


def test_a_report_is_the_same_where_the_last_bits_differ(tmp_path: Path) -> None:
    """Catches a report that another processor rewrites, and one that rounds a count, a text or a key."""
    kept = {"bars": 123_456_789, "1.23456789": "0.12345678"}
    exact = kept | {"auc": 0.5234567891234, "by": [np.float64(1e-7 / 3), float("nan")]}
    other = exact | {"auc": np.nextafter(exact["auc"], 1.0), "by": [np.nextafter(1e-7 / 3, 0.0), float("nan")]}
    write_report(exact, tmp_path / "a.json")
    write_report(other, tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == kept | {"auc": 0.523457, "by": [3.33333e-08, None]}
    write_json(exact, tmp_path / "c.json")
    assert read_json(tmp_path / "c.json")["auc"] == exact["auc"]


def test_a_digest_of_values_is_the_same_where_the_last_bits_differ() -> None:
    """Catches a trial that another processor counts anew, and a digest that does not see a value, a name or a time."""
    times = pd.date_range("2024", periods=2, tz="UTC", unit="us")
    table = pd.DataFrame({"t": times, "x": [0.1, None], "n": [1, 2], "s": ["a", None]})
    known = values_digest(table)
    assert values_digest(table.assign(x=[np.nextafter(0.1, 1.0), None])) == known
    changes = ({"x": [0.1001, None]}, {"x": [0.1, 0.0]}, {"n": [1, 3]}, {"s": ["a", "b"]}, {"t": times[::-1]})
    others = [table.assign(**change) for change in changes]
    assert known not in {values_digest(other) for other in [*others, table.rename(columns={"n": "m"}), table[:1]]}


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


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    """Names with a slash, or those that numpy.savez uses itself, must not get lost."""
    arrays = {
        "state/BTC/USDT:USDT": np.array([1.0, np.nan, -0.0]),
        "time": np.array(1_700_000_000_000_001),
        "file": np.array(["a", "longer"]),
        "empty": np.zeros((0, 2), dtype=np.int64),
    }
    write_arrays(arrays, tmp_path / "deep" / "state.npz")
    back = read_arrays(tmp_path / "deep" / "state.npz")
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert (back[name].dtype, back[name].shape) == (array.dtype, array.shape)
        assert back[name].tobytes() == array.tobytes()


def test_arrays_never_hold_a_pickle(tmp_path: Path) -> None:
    """A pickle would run whatever its maker put in."""
    path = tmp_path / "state.npz"
    write_arrays({"a": np.ones(2)}, path)
    with pytest.raises(SchemaError, match="Python objects cannot be written without a pickle: b"):
        write_arrays({"a": np.zeros(2), "b": np.array([None, 1], dtype=object)}, path)
    assert read_arrays(path)["a"].tolist() == [1.0, 1.0]
    np.savez(path, b=np.array([None, 1], dtype=object), allow_pickle=True)
    with pytest.raises(SchemaError, match=r"state\.npz is not a readable file of arrays: .*allow_pickle"):
        read_arrays(path)


def test_damaged_arrays_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    write_arrays({"a": np.arange(1000.0)}, path)
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[500] ^= 1
    for content in (whole[:500], whole[: len(whole) - 30], bytes(flipped), b"", b"no archive"):
        path.write_bytes(content)
        with pytest.raises(SchemaError, match=r"state\.npz is not a readable file of arrays"):
            read_arrays(path)
    with pytest.raises(MissingDataError, match="there is no file"):
        read_arrays(tmp_path / "none.npz")


def npz_of(path: Path, contents: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def header_of(shape: str) -> bytes:
    text = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("shape", ["(1000000000000,)", "(-1,)", "(3,)", "(10, 10**9)", "(" * 90 + ")" * 90, "(True,)"])
def test_an_array_takes_no_more_memory_than_its_file(shape: str, tmp_path: Path) -> None:
    """A header may promise what no machine holds; the memory must not be taken on its word."""
    with pytest.raises(SchemaError, match=r"state\.npz is not a readable file of arrays"):
        read_arrays(npz_of(tmp_path / "state.npz", {"a.npy": header_of(shape) + b"\0" * 16}))


def test_a_compressed_file_is_refused_unread(tmp_path: Path) -> None:
    """Two gigabytes of zeros are two megabytes of file."""
    path = npz_of(tmp_path / "bomb.npz", {"a.npy": header_of("(10,)") + b"\0" * 10_000_000}, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with pytest.raises(SchemaError, match="it is compressed"):
        read_arrays(path)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_wanted_rows_of_a_parquet_table_come_from_all_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches rows of the first part alone, another order, and a value that two symbols share told as one."""
    monkeypatch.setattr(storage, "_ROWS_PER_PART", 4)
    table = pd.DataFrame({"symbol": ["A"] * 9 + ["B"] * 9, "time": [*range(9)] * 2, "x": np.arange(18.0)})
    table["at"] = pd.Timestamp("2024-01-01", tz="UTC").as_unit("us")
    write_parquet(table, tmp_path / "t.parquet")
    wanted = pd.DataFrame({"symbol": ["B", "A", "B", "C"], "time": [8, 5, 1, 1]})
    found = read_parquet_rows(tmp_path / "t.parquet", wanted)
    pd.testing.assert_frame_equal(found, table.iloc[[5, 10, 17]].reset_index(drop=True))
    write_parquet(table[:0], tmp_path / "none.parquet")
    assert read_parquet_rows(tmp_path / "none.parquet", wanted).dtypes.to_dict() == table.dtypes.to_dict()
    with pytest.raises(SchemaError, match="lacks the columns w, y"):
        next(read_parquet_parts(tmp_path / "t.parquet", ["x", "y", "w"]))
    (tmp_path / "t.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(SchemaError, match="not a readable parquet"):
        read_parquet_rows(tmp_path / "t.parquet", wanted)


@pytest.mark.parametrize("lengths", [(3, 9, 0, 5), (4,), (1, 1, 1), (0, 0), (8, 4)])
def test_a_table_written_in_parts_is_the_table(
    lengths: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches rows that are lost where a part ends, another order, and more than a few rows held at a time."""
    monkeypatch.setattr(storage, "_ROWS_PER_PART", 4)
    n = sum(lengths)
    times = pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC").as_unit("us")
    table = pd.DataFrame({"symbol": np.array(["A", "B"] * n)[:n], "time": times, "x": np.arange(n) / 7.0})
    table["symbol"] = table["symbol"].astype("str")
    ends = np.cumsum(lengths)
    parts = [table[end - length : end] for length, end in zip(lengths, ends, strict=True)]
    write_parquet(table, tmp_path / "whole.parquet")
    write_parquet_parts(iter(parts), tmp_path / "parts.parquet")
    pd.testing.assert_frame_equal(read_parquet(tmp_path / "parts.parquet"), table)
    assert (tmp_path / "parts.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_parts_that_are_not_of_one_table_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a file of the first parts alone, and a column that changes its kind in the middle."""
    monkeypatch.setattr(storage, "_ROWS_PER_PART", 2)
    numbers, texts = pd.DataFrame({"x": [1.0, 2.0]}), pd.DataFrame({"x": ["a", "b"]})

    def failing() -> Iterator[pd.DataFrame]:
        yield numbers
        raise SchemaError("the second part is damaged")

    for parts, why in ((iter([]), "no part"), (iter([numbers, texts]), "different columns"), (failing(), "damaged")):
        with pytest.raises(SchemaError, match=why):
            write_parquet_parts(parts, tmp_path / "t.parquet")
        assert [*tmp_path.iterdir()] == []


def test_a_table_that_is_read_in_parts_is_not_held_as_it_is_read(tmp_path: Path) -> None:
    """Caught: Arrow's reader keeps what it has read ahead, at the end the whole file, 480 MiB of 400,000 events."""
    path = tmp_path / "wide.parquet"
    rng = np.random.default_rng(0)
    write_parquet_parts((pd.DataFrame(rng.normal(size=(20_000, 40))).add_prefix("x") for _ in range(10)), path)
    before = pa.total_allocated_bytes()
    held = [pa.total_allocated_bytes() - before for _ in read_parquet_parts(path)]
    assert len(held) > 20
    assert max(held) < path.stat().st_size / 3
