"""A directory of tables that is filled piece by piece, and seen as a whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slackwater.errors import OrderError, ParameterError
from slackwater.sources.dataset_directory import GROUP_ROWS, DatasetTable, dataset_directory
from slackwater.storage import sha256_of, write_json

LAG = timedelta(seconds=30)
MINUTE = 60_000_000


def piece(first: int, last: int, *, step: int = MINUTE) -> pa.Table:
    """Return open interest, a row a minute."""
    time_ = np.arange(first, last, dtype=np.int64) * step
    return pa.table({"event_time": pa.array(time_).cast(pa.timestamp("us", tz="UTC")), "open_interest": time_ / 1e6})


def write(directory: Path, pieces: list[tuple[str, pa.Table]]) -> Path:
    with DatasetTable(directory, "open_interest", lag=LAG) as table:
        for symbol, each in pieces:
            table.append(symbol, each)
    return table.path


def test_the_bytes_do_not_depend_on_the_pieces(tmp_path: Path) -> None:
    rows = GROUP_ROWS * 2 + 77
    whole = write(tmp_path, [("A", piece(0, rows)), ("B", piece(0, 50))])
    digest = sha256_of(whole)
    edges = [*range(0, rows, 40_001), rows]
    small = [("A", piece(a, b)) for a, b in pairwise(edges)]
    assert sha256_of(write(tmp_path, [*small, ("B", piece(0, 20)), ("B", piece(20, 50))])) == digest
    file = pq.ParquetFile(whole)
    assert [file.metadata.row_group(group).num_rows for group in range(3)] == [GROUP_ROWS, GROUP_ROWS, 77 + 50]


def test_rows_that_were_there_already_are_left_out(tmp_path: Path) -> None:
    with DatasetTable(tmp_path, "open_interest", lag=LAG) as table:
        assert table.append("A", piece(0, 10)) == 0
        assert table.append("A", piece(8, 12)) == 2
        assert table.append("A", piece(3, 5)) == 2
        assert table.append("B", piece(0, 3)) == 0
    read = pd.read_parquet(table.path)
    assert read.groupby("symbol").size().to_dict() == {"A": 12, "B": 3}
    assert not read.duplicated(["symbol", "event_time"]).any()
    assert ((read["available_time"] - read["event_time"]) == pd.Timedelta(LAG)).all()


def test_pieces_out_of_order_are_refused(tmp_path: Path) -> None:
    with DatasetTable(tmp_path, "open_interest", lag=LAG) as table:
        table.append("B", piece(0, 3))
        with pytest.raises(OrderError, match="A comes after B"):
            table.append("A", piece(0, 3))
        with pytest.raises(OrderError, match="runs backwards"):
            table.append("B", piece(0, 9).take([3, 2]))


def test_an_error_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    def fill_half() -> None:
        with dataset_directory(tmp_path / "out") as directory:
            (directory / "fine_bars.parquet").write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fill_half()
    assert not (tmp_path / "out").exists()
    assert [path.name for path in tmp_path.iterdir()] == [".out.lock"]


def filled(out: Path, content: str) -> None:
    with dataset_directory(out) as directory:
        (directory / "fine_bars.parquet").write_text(content)
        digest = sha256_of(directory / "fine_bars.parquet")
        manifest = {"tables": {"fine_bars": {"file": "fine_bars.parquet", "sha256": digest}}, "request": {}}
        write_json(manifest, directory / "fetch.json")


def test_what_was_fetched_is_replaced_as_a_whole(tmp_path: Path) -> None:
    filled(tmp_path / "out", "old")
    filled(tmp_path / "out", "new")
    assert (tmp_path / "out" / "fine_bars.parquet").read_text() == "new"


def test_what_was_changed_by_hand_is_not_replaced(tmp_path: Path) -> None:
    filled(tmp_path / "out", "old")
    (tmp_path / "out" / "fine_bars.parquet").write_text("mine")
    with pytest.raises(ParameterError, match=r"fine_bars\.parquet was added or changed after it was fetched"):
        filled(tmp_path / "out", "new")
    assert (tmp_path / "out" / "fine_bars.parquet").read_text() == "mine"


def test_what_a_file_manager_leaves_is_in_nobodys_way(tmp_path: Path) -> None:
    filled(tmp_path / "out", "old")
    (tmp_path / "out" / ".DS_Store").write_bytes(b"\x00")
    filled(tmp_path / "out", "new")
    assert (tmp_path / "out" / "fine_bars.parquet").read_text() == "new"


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ParameterError, match="is a file; name a directory"):
        filled(tmp_path / "out", "new")


KILLED = """
import os, signal, sys
from pathlib import Path
from slackwater.sources.dataset_directory import dataset_directory
with dataset_directory(sys.argv[1]) as directory:
    (directory / "fine_bars.parquet").write_bytes(b"half")
    print("filling", flush=True)
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.stdin.read()
"""


def test_a_killed_run_leaves_nothing_under_the_name_and_the_next_one_clears_up(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run([sys.executable, "-c", KILLED, str(out), "kill"], capture_output=True, check=False)
    assert done.returncode == -9
    assert not out.exists()
    assert len(list(tmp_path.iterdir())) == 2  # the lock, and what the killed run left
    neighbour = tmp_path / ".out.of.another"
    neighbour.mkdir()
    filled(out, "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".out.lock", ".out.of.another", "out"]


def test_a_run_killed_while_it_changed_places_puts_back_the_old(tmp_path: Path) -> None:
    """The moment between the two renames: the old one is away, the new one not there yet."""
    out = tmp_path / "out"
    filled(out, "old")
    aside = tmp_path / ".out.old.abcd1234"
    aside.mkdir()
    out.replace(aside / "out")
    with pytest.raises(ZeroDivisionError), dataset_directory(out):
        raise ZeroDivisionError
    assert (out / "fine_bars.parquet").read_text() == "old"
    assert not aside.exists()


def test_two_runs_into_one_directory_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(out), "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"filling\n"
        with pytest.raises(ParameterError, match=r"is being filled by fetch \(process \d+\)"):
            filled(out, "new")
    finally:
        other.kill()
        other.communicate()
    filled(out, "new")


def test_a_directory_of_somebody_else_is_not_taken_for_a_leftover(tmp_path: Path) -> None:
    """Fails where a name alone decides what is cleared away."""
    theirs = tmp_path / ".data.snapshot"
    theirs.mkdir()
    (theirs / "thesis.txt").write_text("precious")
    with dataset_directory(tmp_path / "data"):
        pass
    assert (theirs / "thesis.txt").read_text() == "precious"
