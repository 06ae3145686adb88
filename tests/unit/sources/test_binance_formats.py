"""Files of the archive as they are: with or without a header, in either unit, doubled, unsorted, stamped either way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.sources.binance_archive.catalogue import DATA_TYPES, ArchiveFile, market_of, plan
from slackwater.sources.binance_archive.parts import Part, parse_archive
from tests.mirror.archive import csv_text, zipped

TYPES = {each.name: each for each in DATA_TYPES}
NATIVE = Path("data/external/native")
Read = Callable[..., Part]


def archive(kind: str, symbol: str = "BTCUSDT", day: str = "2024-01-05", interval: str = "1m") -> ArchiveFile:
    monthly = len(day) == 7
    return ArchiveFile(
        type=TYPES[kind],
        symbol=symbol,
        interval=interval,
        period="monthly" if monthly else "daily",
        first=date.fromisoformat(f"{day}-01" if monthly else day),
    )


def text_of(file: ArchiveFile) -> str:
    stamp = file.first.isoformat()[: 7 if file.period == "monthly" else 10]
    text = csv_text(file.type.name, file.symbol, file.interval, stamp)
    assert text is not None
    return text


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def parse(file: ArchiveFile, content: str | bytes | None = None) -> Part:
        raw = text_of(file) if content is None else content
        path = tmp_path / "file.zip"
        path.write_bytes(zipped(f"{file.name}.csv", raw.encode() if isinstance(raw, str) else raw))
        return parse_archive(path, file)

    return parse


def frame(part: Part, table: str) -> pd.DataFrame:
    return part.tables[table].to_pandas()


def rules(part: Part) -> dict[str, int]:
    counted: dict[str, int] = {}
    for finding in part.findings:
        counted[finding.rule] = counted.get(finding.rule, 0) + finding.rows
    return counted


def test_bars_are_stamped_by_their_close_and_hold_what_the_file_says(read: Read) -> None:
    file = archive("klines")
    bars = frame(read(file), "fine_bars")
    raw = pd.read_csv(StringIO(text_of(file)))
    assert len(bars) == 1440
    np.testing.assert_array_equal(bars["close"], raw["close"])
    np.testing.assert_array_equal(bars["taker_buy_volume"], raw["taker_buy_volume"])
    opened = pd.to_datetime(raw["open_time"], unit="ms", utc=True)
    assert (bars["open_time"] == opened).all()
    assert (bars["event_time"] == opened + pd.Timedelta("1min")).all()


def _microseconds(text: str) -> str:
    header, *rows = text.splitlines()
    cells = [row.split(",") for row in rows]
    for row in cells:
        row[0] += "000"
        row[6] += "999"
    return "\n".join([header, *(",".join(row) for row in cells)]) + "\n"


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.split("\n", 1)[1],
        lambda text: "\ufeff" + text,
        lambda text: "\ufeff" + text.split("\n", 1)[1],
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", "\r"),
        lambda text: text + "\n\n",
        _microseconds,
        lambda text: text.replace(",0.", ",.").replace(",0\n", ",0e0\n"),
        lambda text: text.replace("open_time", "Open_Time"),
    ],
    ids=["no header", "BOM", "BOM, no header", "CRLF", "CR", "blank lines", "microseconds",
         "exponents", "capitals"],
)  # fmt: skip
def test_ways_of_writing_the_same_file_give_the_same_table(change: Callable[[str], str], read: Read) -> None:
    file = archive("klines")
    plain, changed = read(file), read(file, change(text_of(file)))
    pd.testing.assert_frame_equal(frame(plain, "fine_bars"), frame(changed, "fine_bars"))
    assert not changed.findings


def test_a_file_whose_header_names_another_order_is_read_by_name(read: Read) -> None:
    file = archive("klines")
    raw = pd.read_csv(StringIO(text_of(file)))
    turned = raw[raw.columns[::-1]].to_csv(index=False)
    pd.testing.assert_frame_equal(frame(read(file, turned), "fine_bars"), frame(read(file), "fine_bars"))


def test_a_month_holds_what_its_days_hold(read: Read) -> None:
    month = frame(read(archive("klines", day="2022-02")), "fine_bars")
    days = [frame(read(archive("klines", day=f"2022-02-{day:02}")), "fine_bars") for day in range(1, 29)]
    pd.testing.assert_frame_equal(month, pd.concat(days, ignore_index=True))


def test_coin_margined_bars_are_in_coin(read: Read) -> None:
    file = archive("klines", "BTCUSD_PERP")
    bars = frame(read(file), "fine_bars")
    raw = pd.read_csv(StringIO(text_of(file)))
    np.testing.assert_array_equal(bars["volume"], raw["quote_volume"])
    np.testing.assert_array_equal(bars["taker_buy_volume"], raw["taker_buy_quote_volume"])


def test_metrics_before_the_switch_are_stamped_as_written(read: Read) -> None:
    """Fails if the five minutes are added to all files."""
    part = read(archive("metrics", day="2026-06-24"))
    table = frame(part, "open_interest")
    assert table["event_time"].iloc[0] == pd.Timestamp("2026-06-24T00:05Z")
    assert table["event_time"].iloc[-1] == pd.Timestamp("2026-06-25T00:00Z")
    assert "stamped_by_start" not in rules(part)


def test_metrics_from_the_switch_on_move_to_when_they_could_be_known(read: Read) -> None:
    """The look-ahead of five minutes: fails if a row stamped 00:00 stays there."""
    part = read(archive("metrics", day="2026-06-25"))
    table = frame(part, "open_interest")
    assert table["event_time"].iloc[0] == pd.Timestamp("2026-06-25T00:05Z")
    assert len(table) == 288
    assert rules(part)["stamped_by_start"] == 2 * 288  # both tables of the file


def test_a_part_of_a_day_after_the_switch_moves_too(read: Read) -> None:
    """Its rows do not show how they are stamped; the date does."""
    file = archive("metrics", day="2026-07-02")
    table = frame(read(file, "\n".join(text_of(file).splitlines()[:50])), "open_interest")
    assert table["event_time"].iloc[0] == pd.Timestamp("2026-07-02T00:05Z")


def test_a_part_of_a_day_of_a_coin_margined_contract_moves_at_any_date(read: Read) -> None:
    """Those were always stamped by the start: fails if only a whole day is known by its midnight."""
    file = archive("metrics", "BTCUSD_PERP", day="2023-06-25")
    whole = frame(read(file), "open_interest")
    part = frame(read(file, "\n".join(text_of(file).splitlines()[:50])), "open_interest")
    assert set(part["event_time"]) <= set(whole["event_time"])
    pd.testing.assert_frame_equal(part, whole[whole["event_time"].isin(part["event_time"])].reset_index(drop=True))


def test_a_whole_day_that_begins_at_its_own_midnight_is_never_read_early(read: Read) -> None:
    """A switch of other files at another time: rows may come late, not early."""
    file = archive("metrics", day="2025-03-03")
    written = text_of(file)
    clock = pd.read_csv(StringIO(written))
    moved = pd.to_datetime(clock["create_time"]) - pd.Timedelta("5min")
    clock["create_time"] = moved.dt.strftime("%Y-%m-%d %H:%M:%S")
    part = read(file, clock.to_csv(index=False))
    pd.testing.assert_frame_equal(frame(part, "open_interest"), frame(read(file), "open_interest"))


def test_metrics_of_coin_margined_contracts_are_in_coin_and_stamped_by_start(read: Read) -> None:
    file = archive("metrics", "BTCUSD_PERP", day="2023-06-25")
    part = read(file)
    table = frame(part, "open_interest")
    raw = pd.read_csv(StringIO(text_of(file))).sort_values("create_time")
    np.testing.assert_array_equal(table["open_interest"], raw["sum_open_interest_value"])
    assert table["event_time"].iloc[0] == pd.Timestamp("2023-06-25T00:05Z")
    assert "long_short_ratio" not in part.tables
    assert rules(part)["not_published"] == 288


def test_unsorted_rows_are_sorted_and_said_so(read: Read) -> None:
    part = read(archive("metrics", day="2024-01-05"))  # the mirror's odd days come in no order
    assert frame(part, "open_interest")["event_time"].is_monotonic_increasing
    assert rules(part)["disorder"] > 0


def test_a_midnight_that_is_there_twice_is_kept_once(read: Read) -> None:
    file = archive("metrics", day="2024-01-06")
    text = text_of(file)
    last = text.splitlines()[-1]
    part = read(file, text + last + "\n")
    assert len(frame(part, "open_interest")) == 288
    assert rules(part)["doubled_rows"] == 2
    other = last.split(",")
    other[2] = "1.0"
    part = read(file, text + ",".join(other) + "\n")
    assert frame(part, "open_interest")["open_interest"].iloc[-1] == float(last.split(",")[2])
    assert rules(part)["conflicting_rows"] == 1  # of open interest; the ratios are the same again


def test_funding_stands_at_its_settlement_and_is_known_after_its_stamp(read: Read) -> None:
    table = frame(read(archive("fundingRate", day="2024-01")), "funding")
    assert len(table) == 93
    assert (table["event_time"].dt.floor("8h") == table["event_time"]).all()
    assert (table["stamp"] >= table["event_time"]).all()
    assert (table["stamp"] > table["event_time"]).any()


def test_funding_stamped_just_before_its_settlement_is_not_known_early(read: Read) -> None:
    table = frame(read(archive("fundingRate", day="2024-01"), "1704095999998,8,0.0001\n"), "funding")
    assert table["event_time"].tolist() == [pd.Timestamp("2024-01-01T08:00Z")]
    assert table["stamp"].tolist() == [pd.Timestamp("2024-01-01T08:00Z")]


@pytest.mark.parametrize("year", ["2023", "2024"])
def test_depth_of_both_ways_to_write_a_band(year: str, read: Read) -> None:
    file = archive("bookDepth", day=f"{year}-03-05")
    text = text_of(file)
    assert (",-5.00," if year == "2024" else ",-5,") in text
    table = frame(read(file), "depth")
    raw = pd.read_csv(StringIO(text))
    for name, band in (("bid_quantity_1pct", -1), ("ask_quantity_1pct", 1), ("bid_quantity_5pct", -5)):
        np.testing.assert_array_equal(table[name], raw.loc[raw["percentage"] == band, "depth"])


def test_liquidations_are_there_once_on_the_side_of_the_position(read: Read) -> None:
    file = archive("liquidationSnapshot", "BTCUSD_PERP", day="2023-07-05")
    part = read(file)
    table = frame(part, "liquidations")
    raw = pd.read_csv(StringIO(text_of(file)))[::2].reset_index(drop=True)
    assert len(table) == len(raw) == 60
    assert rules(part)["doubled_rows"] == 60
    np.testing.assert_array_equal(table["side"], np.where(raw["side"] == "SELL", "long", "short"))
    np.testing.assert_allclose(table["quantity"], raw["accumulated_fill_quantity"] * 100.0 / raw["average_price"])


def test_trades_below_the_floor_are_counted_and_not_kept(read: Read) -> None:
    file = archive("aggTrades", day="2022-03-05")  # no header yet
    part = read(file)
    raw = pd.read_csv(StringIO(text_of(file)), header=None)
    large = raw[raw[1] * raw[2] >= 100_000.0]
    table = frame(part, "large_trades")
    np.testing.assert_array_equal(table["trade_id"], large[0])
    np.testing.assert_array_equal(table["side"] == "sell", large[6])
    assert part.sizes is not None
    assert int(part.sizes.counts.sum()) == len(raw)
    assert part.sizes.hours.tolist() == list(range(part.sizes.hours[0], part.sizes.hours[0] + 24))


def test_trades_out_of_order_are_sorted_and_lost_ids_are_counted(read: Read) -> None:
    file = archive("aggTrades")
    header, *rows = text_of(file).splitlines()
    shuffled = [rows[place] for place in np.random.default_rng(1).permutation(len(rows)) if place not in (7, 8)]
    part = read(file, "\n".join([header, *shuffled]))
    pd.testing.assert_frame_equal(frame(part, "large_trades"), frame(read(file), "large_trades"))
    assert rules(part)["missing_trades"] == 2


def test_whole_months_come_as_one_file_and_the_rest_by_the_day() -> None:
    def utc(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    def names(kind: str, start: str, end: str, now: str = "2024-06-15") -> list[str]:
        files = plan(TYPES[kind], "BTCUSDT", utc(start), utc(end), interval="1m", now=utc(now))
        return [file.name.removeprefix("BTCUSDT-").removeprefix("1m-").removeprefix(f"{kind}-") for file in files]

    assert names("klines", "2023-12-31", "2024-03-02") == ["2023-12-31", "2024-01", "2024-02", "2024-03-01"]
    assert names("klines", "2024-06-01", "2024-07-01")[:2] == ["2024-06-01", "2024-06-02"]  # the month is not over
    assert names("fundingRate", "2024-01-10", "2024-02-02") == ["2024-01", "2024-02"]
    assert names("metrics", "2024-01-31", "2024-02-02") == ["2024-01-31", "2024-02-01"]
    assert names("klines", "2024-01-05T12:00", "2024-01-06T00:01") == ["2024-01-05", "2024-01-06"]
    long = plan(TYPES["klines"], "BTCUSDT", utc("2020-01-01"), utc("2024-01-01"), interval="1m", now=utc("2024-06-15"))
    assert [file.end for file in long[:-1]] == [file.start for file in long[1:]]
    assert len(long) == 48


@pytest.mark.parametrize("symbol", ["../../etc", "btcusdt", "BTC/USDT", "BTCUSDT_240628", "", "A%2F", "BTCUSDT.zip"])
def test_what_is_no_perpetual_is_refused(symbol: str) -> None:
    with pytest.raises(ParameterError):
        market_of(symbol)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "kind", "symbol", "day", "rows"),
    [
        ("binance_vision_excerpts/BTCUSDT-metrics_native_excerpt.csv", "metrics", "BTCUSDT", "2023-11-14", 20),
        (
            "binance_vision_excerpts/BTCUSD_PERP-metrics-2023-06-25_native_excerpt.csv",
            "metrics",
            "BTCUSD_PERP",
            "2023-06-25",
            3,
        ),
        (
            "binance_vision_excerpts/BTCUSD_PERP-liquidationSnapshot-2023-06-25_native_excerpt.csv",
            "liquidationSnapshot",
            "BTCUSD_PERP",
            "2023-06-25",
            2,
        ),
        ("binance_vision_klines/DOTUSDT-1m-2024-11-first3days.csv", "klines", "DOTUSDT", "2024-11", 4320),
        ("binance_vision_klines/LINKUSDT-1m-2023-02-first3days.csv", "klines", "LINKUSDT", "2023-02", 4320),
    ],
)
def test_real_excerpts_parse_without_a_masked_row(
    name: str, kind: str, symbol: str, day: str, rows: int, read: Read
) -> None:
    path = NATIVE / name
    if not path.is_file():
        pytest.skip(f"there is no {path}")
    part = read(archive(kind, symbol, day), path.read_bytes())
    assert [len(table) for table in part.tables.values()] == [rows] * len(part.tables)
    assert not [finding for finding in part.findings if finding.action == "masked"]


def test_the_days_of_a_month_follow_each_other() -> None:
    days = archive("klines", day="2024-02").days()
    assert len(days) == 29
    assert days[0].start + timedelta(days=29) == days[-1].end
