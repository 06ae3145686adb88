"""Spans that were asked for: what comes from elsewhere, and what is said about those that never come."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.sources.coverage import NOT_DELIVERED, holes_between_runs, holes_of_funding, holes_of_grid
from slackwater.sources.fetch import fetch, summary
from slackwater.sources.large_trades import LargeTradeRule
from slackwater.sources.own_files.directory import read_directory
from slackwater.sources.request import FetchRequest
from slackwater.times import HOUR, HOUR_US
from tests.mirror.archive import archive_file, zipped
from tests.mirror.faults import QUICK, digests
from tests.mirror.server import Mirror, running

START, END = datetime(2023, 4, 1, tzinfo=UTC), datetime(2023, 5, 1, tzinfo=UTC)
Content = Callable[[str], bytes | None]
BARS = ("fine_bars", "mark_price", "premium_index")


def small(path: str) -> bytes | None:
    return archive_file(path, trades_a_day=400)


def without(kept: Callable[[pd.Timestamp], bool], which: str, *, absent: str = "no such path") -> Content:
    """Return an archive whose files of a kind (a part of their path) keep only the rows stamped as wanted."""

    def content(path: str) -> bytes | None:
        whole = small(path)
        if whole is None or which not in path or absent in path:
            return None if absent in path else whole
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            name = archive.namelist()[0]
            header, *lines = archive.read(name).decode().splitlines()
        column = 5 if "aggTrades" in path else 0
        unit = "ms" if "metrics" not in path else None
        stamps = [line.split(",")[column] for line in lines]
        times = [pd.Timestamp(int(each), unit="ms") if unit else pd.Timestamp(each) for each in stamps]
        rows = [line for line, time in zip(lines, times, strict=True) if kept(time)]
        return zipped(name, "\n".join([header, *rows, ""]).encode())

    return content


def bring(out: Path, content: Content, tables: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {"venue": "binance", "symbols": ["BTCUSDT"], "start": START, "end": END, "interval": "1h"}
    request = FetchRequest(**(wanted | {"tables": list(tables)} | changes))
    with running(Mirror(content)) as mirror:
        return fetch(request, out, mirror=mirror.url, cache=out.parent / f"{out.name}_cache", politeness=QUICK)


def lost(manifest: dict[str, Any]) -> list[tuple[str, str, int]]:
    found = [each for each in manifest["findings"] if each["rule"] == NOT_DELIVERED]
    return [(each["table"], each["start"][:13], each["rows"]) for each in found]


HOLES: dict[str, tuple[Callable[[pd.Timestamp], bool], int]] = {
    "a day": (lambda t: t.day != 7, 24),
    "the first day": (lambda t: t.day != 1, 24),
    "the last day": (lambda t: t.day != 30, 24),
    "two holes": (lambda t: t.day not in (3, 20) or t.hour < 5, 38),
    "its end, from the middle of a day": (lambda t: t < pd.Timestamp("2023-04-21 21:00"), 219),
    "one bar": (lambda t: t != pd.Timestamp("2023-04-21 21:00"), 1),
    "a night over midnight": (lambda t: not 22 <= (t.hour + 24 * t.day) - 24 * 11 < 27, 5),
}


@pytest.mark.parametrize("hole", HOLES)
def test_what_a_monthly_file_lacks_comes_from_the_daily_ones(hole: str, tmp_path: Path) -> None:
    kept, rows = HOLES[hole]
    whole = bring(tmp_path / "whole", small, BARS)
    filled = bring(tmp_path / "filled", without(kept, "monthly"), BARS)
    assert digests(tmp_path / "whole") == digests(tmp_path / "filled")
    found = [(each["table"], each["rows"], each["action"]) for each in filled["findings"]]
    assert sorted(found) == [(name, rows, "repaired") for name in sorted(BARS)]
    assert whole["findings"] == [] == lost(filled)
    assert [each["missing_rows"] for each in filled["coverage"]] == [0, 0, 0]


def test_rows_of_a_monthly_file_that_cannot_be_used_come_from_the_daily_ones(tmp_path: Path) -> None:
    """A row that is masked is a hole of its file as one that was never there."""

    def spoilt(path: str) -> bytes | None:
        whole = small(path)
        if whole is None or "monthly" not in path:
            return whole
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            name = archive.namelist()[0]
            lines = archive.read(name).decode().splitlines()
        for row, column in ((40, 4), (41, 2), (500, 1)):
            cells = lines[row].split(",")
            cells[column] = "" if row == 500 else "x"
            lines[row] = ",".join(cells)
        return zipped(name, "\n".join([*lines, ""]).encode())

    bring(tmp_path / "whole", small, ("fine_bars",))
    manifest = bring(tmp_path / "filled", spoilt, ("fine_bars",))
    assert digests(tmp_path / "whole") == digests(tmp_path / "filled")
    found = {each["rule"]: each["rows"] for each in manifest["findings"]}
    assert found == {"unreadable": 2, "blank": 1, "filled_from_days": 3}
    assert lost(manifest) == []


@pytest.mark.parametrize("hole", ["a day", "the first day", "two holes", "its end, from the middle of a day"])
def test_trades_that_a_monthly_file_lacks_come_from_the_daily_ones(hole: str, tmp_path: Path) -> None:
    """Also the sizes of those below the floor, with which large ones are compared."""
    options = {"large_trades": LargeTradeRule(quantile=0.5, floor_usd=1000.0)}
    bring(tmp_path / "whole", small, ("large_trades",), **options)
    manifest = bring(tmp_path / "filled", without(HOLES[hole][0], "monthly"), ("large_trades",), **options)
    assert digests(tmp_path / "whole") == digests(tmp_path / "filled")
    assert lost(manifest) == []


def test_what_no_file_has_is_in_the_summary_and_reaches_the_ledger(tmp_path: Path) -> None:
    archive = without(lambda t: t.day not in (7, 8), "monthly", absent="klines/BTCUSDT/1h/BTCUSDT-1h-2023-04-07")
    manifest = bring(tmp_path / "out", archive, ("fine_bars",))
    assert lost(manifest) == [("fine_bars", "2023-04-07T00", 24)]
    (entry,) = manifest["coverage"]
    assert (entry["rows"], entry["missing_rows"], entry["missing_hours"]) == (696, 24, 24.0)
    *_, header, line = summary(manifest)
    assert header.split() == ["table", "symbol", "asked", "delivered", "missing", "why"]
    assert "696 rows" in line
    assert "24 rows, 24.0 h: 2023-04-07 00:00 to 2023-04-08 00:00" in line
    assert "the archive has no such file" in line
    assert NOT_DELIVERED in [each.rule for each in read_directory(tmp_path / "out", lags={"fine_bars": HOUR}).findings]


DAILY: dict[str, tuple[str, str, Callable[[pd.Timestamp], bool], list[tuple[str, str, int]]]] = {
    "funding that ends early": (
        "funding",
        "fundingRate",
        lambda t: t < pd.Timestamp("2023-04-20 12:00"),
        [("funding", "2023-04-20T08", 31)],
    ),
    "funding that begins late": (
        "funding",
        "fundingRate",
        lambda t: t > pd.Timestamp("2023-04-03"),
        [("funding", "2023-04-01T00", 6)],
    ),
    "statistics with a hole": (
        "open_interest",
        "metrics",
        lambda t: t.day != 5 or not 3 <= t.hour < 5,
        [("open_interest", "2023-04-05T02", 24)],
    ),
    "statistics that end early": (
        "open_interest",
        "metrics",
        lambda t: t < pd.Timestamp("2023-04-10 12:01"),
        [("open_interest", "2023-04-10T12", 20 * 288 + 144)],
    ),
    "trades that end early in every file": (
        "large_trades",
        "aggTrades",
        lambda t: t < pd.Timestamp("2023-04-28 12:00"),
        [("large_trades", "2023-04-28T11", 0)],
    ),
}


@pytest.mark.parametrize("case", DAILY)
def test_a_hole_that_nothing_fills_is_told(case: str, tmp_path: Path) -> None:
    table, kind, kept, expected = DAILY[case]
    manifest = bring(tmp_path / "out", without(kept, kind), (table,))
    assert lost(manifest) == expected


def test_blank_cells_are_missing_and_the_rows_beside_them_stay(tmp_path: Path) -> None:
    day = {"start": datetime(2023, 4, 5, tzinfo=UTC), "end": datetime(2023, 4, 6, tzinfo=UTC)}

    def blanked(every: int) -> Content:
        def content(path: str) -> bytes | None:
            whole = small(path)
            if whole is None or "metrics" not in path:
                return whole
            with zipfile.ZipFile(io.BytesIO(whole)) as archive:
                name = archive.namelist()[0]
                header, *lines = archive.read(name).decode().splitlines()
            cells = [line.split(",") for line in lines]
            for row in cells[::every]:
                row[2] = ""
            return zipped(name, "\n".join([header, *(",".join(row) for row in cells), ""]).encode())

        return content

    manifest = bring(tmp_path / "some", blanked(20), ("open_interest", "long_short_ratio"), **day)
    assert {name: table["rows"] for name, table in manifest["tables"].items()} == {
        "long_short_ratio": 288,
        "open_interest": 273,
    }
    assert sum(each["rows"] for each in manifest["findings"] if each["rule"] == "blank") == 15
    assert sum(rows for _, _, rows in lost(manifest)) == 15
    manifest = bring(tmp_path / "all", blanked(1), ("open_interest", "long_short_ratio"), **day)
    assert "blank (288)" in manifest["absent"]["open_interest"]


def test_a_trade_of_quantity_zero_is_none(tmp_path: Path) -> None:
    day = {"start": datetime(2023, 4, 5, tzinfo=UTC), "end": datetime(2023, 4, 6, tzinfo=UTC)}

    def content(path: str) -> bytes | None:
        whole = small(path)
        if whole is None or "aggTrades" not in path:
            return whole
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            name = archive.namelist()[0]
            header, *lines = archive.read(name).decode().splitlines()
        cells = [line.split(",") for line in lines]
        for row in cells[::10]:
            row[2] = "0.0"
        return zipped(name, "\n".join([header, *(",".join(row) for row in cells), ""]).encode())

    options = {"large_trades": LargeTradeRule(quantile=0.01, floor_usd=0.0, warm_up=timedelta(hours=1))}
    manifest = bring(tmp_path / "out", content, ("large_trades",), **options, **day)
    assert [(each["rule"], each["rows"]) for each in manifest["findings"] if each["rule"] != "warming_up"] == [
        ("zero_quantity", 40)
    ]
    assert (pd.read_parquet(tmp_path / "out" / "large_trades.parquet")["quantity"] > 0.0).all()
    assert 300 < manifest["tables"]["large_trades"]["rows"] < 360


def test_thin_trades_have_no_holes_where_their_ids_run_on() -> None:
    first = int(START.timestamp()) * 1_000_000
    runs = np.array([[0, 5, 1, 10], [9, 12, 11, 20], [20, 24, 40, 50]]) * [HOUR_US, HOUR_US, 1, 1] + [
        first,
        first,
        0,
        0,
    ]
    holes = holes_between_runs(runs, START, START + 24 * HOUR, HOUR)
    assert [((each.start - first) // HOUR_US, (each.end - first) // HOUR_US) for each in holes] == [(12, 20)]


@pytest.mark.parametrize("hours", [1, 2, 4, 6, 8, 12])
def test_settlements_of_any_interval_are_whole(hours: int) -> None:
    first = int(START.timestamp()) * 1_000_000
    times = first + np.arange(0, 240, hours) * HOUR_US
    intervals = np.full(len(times), float(hours))
    assert holes_of_funding(times, intervals, START, START + 240 * HOUR) == []
    some = np.delete(np.arange(len(times)), [3, 4])
    (hole,) = holes_of_funding(times[some], intervals[some], START, START + 240 * HOUR)
    assert (hole.rows, hole.start) == (2, times[2])


def test_a_span_off_the_grid_lacks_nothing() -> None:
    start = START + timedelta(minutes=20)
    times = (int(START.timestamp()) + np.arange(1, 11) * 3600) * 1_000_000
    assert holes_of_grid(times, start, start + 10 * HOUR, HOUR) == []
