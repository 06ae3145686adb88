"""The log of inputs: what goes in comes out, and what is damaged is named."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.feed.items import FaultKind, FeedFault, FeedRow, Print, Quality
from slackwater.market.tables import TABLES
from slackwater.paper.errors import PaperError
from slackwater.paper.input_log import InputLog, LoggedInput, Place, Tick, input_files, read_inputs
from slackwater.times import DAY_US, epoch_us, timestamp

NOW = epoch_us(pd.Timestamp("2024-03-01 23:59:59.999999", tz="UTC"))
PRINT = Print("BTCUSDT", NOW - 1, 0.1 + 0.2, 1.0 / 3.0)


def logged(place: Path, *inputs: Any, step: int = 1) -> list[LoggedInput]:
    """Write inputs, and return what was written."""
    taken = [LoggedInput(NOW + number * step, each) for number, each in enumerate(inputs)]
    log = InputLog(place)
    for each in taken:
        log.write(each)
    log.close()
    return taken


def kinds_of_input() -> list[Any]:
    times = {
        name: pd.Timestamp("2024-03-01 12:00:00.123457", tz="UTC")
        for table in TABLES
        for name in (column.name for column in table.columns if column.kind == "time")
    }
    row = {
        "symbol": "BTCUSDT",
        "known": 1.0 / 3.0,
        "unknown": math.nan,
        "without_end": math.inf,
        "none": None,
        "count": np.int64(2**60 + 1),
        "share": np.float64(0.1),
        "sound": np.bool_(True),
        "side": "long",
        "whole": 7,
    }
    faults = [FeedFault(kind, timestamp(NOW), "bars", "", "Köln \u2028 \x1b[2J \"'\n") for kind in FaultKind]
    rows = [FeedRow("bars", times | row, quality) for quality in Quality]
    return [*rows, *faults, PRINT, Tick({"BTCUSDT": 0.1 + 0.2, "ETHUSDT": np.float64(3_000.1)}), Tick({})]


@pytest.mark.parametrize("what", kinds_of_input(), ids=lambda what: type(what).__name__)
def test_every_input_comes_back_as_it_was(tmp_path: Path, what: Any) -> None:
    """Catches a value that is rounded, turned into another type, or lost: after a restart it would decide otherwise."""
    logged(tmp_path, what)
    (again,) = read_inputs(tmp_path)
    assert again.now_us == NOW
    assert type(again.what) is type(what)
    if isinstance(what, FeedRow):
        assert again.what.quality is what.quality
        assert list(again.what.row) == list(what.row)
        for name, value in what.row.items():
            read = again.what.row[name]
            assert read == value or (value != value and read != read), name
            assert isinstance(read, pd.Timestamp) == isinstance(value, pd.Timestamp), name
    else:
        assert again.what == what


def test_lines_follow_each_other_over_days_and_through_places(tmp_path: Path) -> None:
    """Catches a day that is read twice, left out or in the wrong order, and a place that is off by a line."""
    log, places, taken = InputLog(tmp_path), [], []
    for number in range(7):
        places.append(log.place)
        taken.append(LoggedInput(NOW + number * (DAY_US // 3), Tick({"BTCUSDT": float(number)})))
        log.write(taken[-1])
        if number == 3:  # a process that begins again
            log.close()
            log = InputLog(tmp_path)
    places.append(log.place)
    log.close()
    assert [path.name for path in input_files(tmp_path)] == [f"2024-03-0{day}.jsonl" for day in (1, 2, 3)]
    for number, place in enumerate(places):
        assert list(read_inputs(tmp_path, place)) == taken[number:]
    assert list(read_inputs(tmp_path)) == taken


def test_a_clock_that_goes_back_does_not_go_back_a_file(tmp_path: Path) -> None:
    """Catches inputs that are read in another order than they came."""
    log = InputLog(tmp_path)
    taken = [LoggedInput(NOW + shift, PRINT) for shift in (0, 1, -5)]
    for each in taken:
        log.write(each)
    log.close()
    assert list(read_inputs(tmp_path)) == taken
    log.write(taken[-1])  # of the day before, into a log that was closed
    log.close()
    assert list(read_inputs(tmp_path)) == [*taken, taken[-1]]


@pytest.mark.parametrize("size", [1, 100, 200_000])
def test_an_unfinished_last_line_is_cut_off(tmp_path: Path, size: int) -> None:
    """Catches a log that cannot be continued after a kill, or that loses a whole line with the half one."""
    taken = logged(tmp_path, PRINT, PRINT, step=0)
    (path,) = input_files(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + b"x" * size)
    assert list(read_inputs(tmp_path)) == taken
    log = InputLog(tmp_path)
    log.close()
    assert path.read_bytes() == whole
    assert log.place == Place(path.name, len(whole))


def test_a_file_of_half_a_line_is_empty(tmp_path: Path) -> None:
    """Catches a cut that does not end where there is no line at all."""
    logged(tmp_path, PRINT)
    (path,) = input_files(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    InputLog(tmp_path).close()
    assert path.read_bytes() == b""
    assert list(read_inputs(tmp_path)) == []


@pytest.mark.parametrize("damage", ["digit", "byte", "word", "blank", "list", "half"])
def test_a_damaged_line_is_named_by_file_and_number(tmp_path: Path, damage: str) -> None:
    """Catches another price that is believed, a line that is passed over, and a traceback."""
    logged(tmp_path, PRINT, PRINT, PRINT, step=0)
    logged(tmp_path, PRINT, PRINT, step=1)  # the second lies in the next day
    path = input_files(tmp_path)[0]
    lines = path.read_bytes().split(b"\n")
    lines[1] = {
        "digit": lines[1].replace(b"0.30000000000000004", b"0.30000000000000005"),
        "byte": lines[1].replace(b"BTCUSDT", b"BTC\xffSDT"),
        "word": b"hello",
        "blank": b"",
        "list": b"[1, 2]",
        "half": lines[1],
    }[damage]
    if damage == "half":  # of a day that is not the last one
        lines[-2:] = [lines[-2][:-5]]
    path.write_bytes(b"\n".join(lines))
    number = 4 if damage == "half" else 2
    with pytest.raises(PaperError, match=rf"2024-03-01\.jsonl, line {number}, is not an input"):
        list(read_inputs(tmp_path))


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Catches a log that was replaced by another: a checkpoint would continue in the middle of nowhere."""
    logged(tmp_path, PRINT)
    name = input_files(tmp_path)[0].name
    with pytest.raises(PaperError, match="is shorter than it was"):
        list(read_inputs(tmp_path, Place(name, 10_000)))
    with pytest.raises(PaperError, match="has no file 2024-02-01"):
        list(read_inputs(tmp_path, Place("2024-02-01.jsonl", 0)))
    with pytest.raises(PaperError, match="line 1 after byte 5, is not an input"):
        list(read_inputs(tmp_path, Place(name, 5)))


FULL = """
import json, resource, sys
from slackwater.paper.errors import PaperError
from slackwater.paper.input_log import LoggedInput, InputLog, Tick
log, whole = InputLog(sys.argv[1]), 0
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    while True:
        log.write(LoggedInput(int(sys.argv[3]) + whole, Tick({"BTCUSDT": float(whole)})))
        whole += 1
except PaperError as error:
    place = log.place
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    log.write(LoggedInput(int(sys.argv[3]) + whole, Tick({"BTCUSDT": float(whole)})))
    print(json.dumps([str(error), whole, place]))
"""


@pytest.mark.parametrize("limit", [1_000, 1_037])
def test_a_full_disk_is_named_and_leaves_whole_lines(tmp_path: Path, limit: int) -> None:
    """Catches half a line, a place that forgets its file (a restart would take all inputs again), and a traceback."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    command = [sys.executable, "-c", FULL, str(tmp_path), str(limit), str(NOW - DAY_US)]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    message, whole, place = json.loads(said.stdout)
    assert "cannot be written (File too large): free some space" in message
    assert [taken.what.prices["BTCUSDT"] for taken in read_inputs(tmp_path)] == list(range(whole + 1))
    (last,) = read_inputs(tmp_path, Place(*place))  # what was written when there was space again
    assert last.what.prices["BTCUSDT"] == whole


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Catches a traceback where a file lies in the place of the directory."""
    (tmp_path / "log").write_text("")
    with pytest.raises(PaperError, match="cannot be written"):
        InputLog(tmp_path / "log")
