"""Spoilt files: every one ends in a named finding or a clear error, none in a crash, none in silence."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from slackwater.errors import SchemaError
from slackwater.sources.binance_archive.catalogue import ArchiveFile
from slackwater.sources.binance_archive.parts import Part, parse_archive
from tests.mirror.archive import zipped
from tests.unit.sources.test_binance_formats import archive, rules, text_of

Edit = Callable[[list[list[str]]], None]
KLINES = archive("klines")
MARK = archive("markPriceKlines")
PREMIUM = archive("premiumIndexKlines")
FUNDING = archive("fundingRate", day="2024-01")
METRICS = archive("metrics", day="2024-01-06")
DEPTH = archive("bookDepth")
TRADES = archive("aggTrades")
LIQUIDATIONS = archive("liquidationSnapshot", "BTCUSD_PERP", "2023-07-05")


def parse(path: Path, file: ArchiveFile, content: bytes) -> Part:
    path.write_bytes(content)
    return parse_archive(path, file)


def cells_of(file: ArchiveFile) -> list[list[str]]:
    return [line.split(",") for line in text_of(file).splitlines()]


def put(row: int, column: int, value: str) -> Edit:
    def edit(cells: list[list[str]]) -> None:
        cells[row][column] = value

    return edit


def put_all(column: int, value: str) -> Edit:
    def edit(cells: list[list[str]]) -> None:
        for row in cells[1:]:
            row[column] = value

    return edit


def swap(first: int, second: int) -> Edit:
    def edit(cells: list[list[str]]) -> None:
        for row in cells:
            row[first], row[second] = row[second], row[first]
        del cells[0]  # without a header nothing says so

    return edit


def shift(column: int, milliseconds: int) -> Edit:
    def edit(cells: list[list[str]]) -> None:
        for row in cells[1:]:
            row[column] = str(int(row[column]) + milliseconds)

    return edit


def repeat(row: int, times: int = 1) -> Edit:
    def edit(cells: list[list[str]]) -> None:
        cells[row:row] = [list(cells[row])] * times

    return edit


def repeat_larger(cells: list[list[str]]) -> None:
    cells[5:5] = [list(cells[5])]
    cells[6][2] = "999.0"


def cut(row: int, columns: int) -> Edit:
    def edit(cells: list[list[str]]) -> None:
        cells[row] = cells[row][:columns]

    return edit


def header_again(cells: list[list[str]]) -> None:
    cells.insert(700, list(cells[0]))


def backwards(cells: list[list[str]]) -> None:
    cells[1:] = cells[:0:-1]


DAY = 86_400_000
#: What is done to the rows, and the finding that must come of it: some rows are taken out, the others stand.
MASKED: dict[str, tuple[ArchiveFile, Edit, str]] = {
    "NaN price": (KLINES, put(5, 1, "NaN"), "blank"),
    "empty price": (KLINES, put(5, 1, ""), "blank"),
    "infinite price": (KLINES, put(5, 2, "inf"), "unreadable"),
    "price beyond all doubles": (KLINES, put(5, 2, "1e999"), "unreadable"),
    "text for a price": (KLINES, put(5, 1, "n/a?"), "unreadable"),
    "decimal comma": (KLINES, put(5, 1, '"42,000.5"'), "unreadable"),
    "hexadecimal": (KLINES, put(5, 1, "0x10"), "unreadable"),
    "zero price": (KLINES, put(5, 3, "0"), "impossible_price"),
    "negative price": (KLINES, put(5, 3, "-1"), "impossible_price"),
    "negative volume": (KLINES, put(5, 5, "-3.0"), "negative_volume"),
    "volume of another unit": (KLINES, put(5, 5, "900000"), "volume_mismatch"),
    "takers above volume": (KLINES, put(5, 9, "900000"), "taker_above_volume"),
    "high below low": (KLINES, put(5, 2, "1.0"), "ohlc_violation"),
    "low above open": (KLINES, put(5, 3, "99999999"), "ohlc_violation"),
    "future stamp": (KLINES, put(5, 0, "4102444800000"), "outside_period"),
    "stamp in seconds": (KLINES, put(5, 0, "1704412800"), "outside_period"),
    "stamp of nothing": (KLINES, put(5, 0, "0"), "outside_period"),
    "no stamp": (KLINES, put(5, 0, ""), "outside_period"),
    "stamp that overflows": (KLINES, put(5, 0, "9" * 400), "outside_period"),
    "close of another bar": (KLINES, put(5, 6, "1704499199999"), "wrong_span"),
    "row cut short": (KLINES, cut(1440, 4), "unreadable"),
    "row too long": (KLINES, put(5, 11, "0,0,0"), "unreadable"),
    "header in the middle": (KLINES, header_again, "unreadable"),
    "huge field": (KLINES, put(5, 1, "7" * 600_000), "unreadable"),
    "bytes of nothing": (KLINES, put(5, 1, "\x00\x01"), "unreadable"),
    "a row twice": (KLINES, repeat(5), "doubled_rows"),
    "rows backwards": (KLINES, backwards, "disorder"),
    "negative mark price": (MARK, put(5, 4, "-2"), "impossible_price"),
    "premium that is a price": (PREMIUM, put(5, 4, "42000"), "impossible_premium"),
    "premium NaN": (PREMIUM, put(5, 4, "nan"), "blank"),
    "funding of 80 %": (FUNDING, put(5, 2, "0.8"), "impossible_funding"),
    "funding interval of nothing": (FUNDING, put(5, 1, "0"), "impossible_interval"),
    "funding in the future": (FUNDING, put(5, 0, "1893456000000"), "outside_period"),
    "negative open interest": (METRICS, put(5, 2, "-5"), "negative_open_interest"),
    "open interest of nothing": (METRICS, put(5, 2, '""'), "blank"),
    "another symbol": (METRICS, put(5, 1, "ETHUSDT"), "foreign_symbol"),
    "negative ratio": (METRICS, put(5, 5, "-1"), "impossible_ratio"),
    "date of no calendar": (METRICS, put(5, 0, "2024-02-31 00:00:00"), "unreadable"),
    "stamp with a zone": (METRICS, put(5, 0, "2024-01-06T00:25:00+08:00"), "unreadable"),
    "negative depth": (DEPTH, put(5, 2, "-1"), "negative_depth"),
    "band of nothing": (DEPTH, put(5, 1, "0"), "unknown_band"),
    "band is missing": (DEPTH, lambda cells: cells.pop(5), "partial_snapshot"),
    "depth that shrinks": (DEPTH, put(10, 2, "0.001"), "depth_shrinks"),
    "trade of nothing": (TRADES, put(5, 2, "0"), "zero_quantity"),
    "trade at a negative price": (TRADES, put(5, 1, "-1"), "impossible_trade"),
    "trade of no side": (TRADES, put(5, 6, ""), "unreadable"),
    "trade of another side": (TRADES, put(5, 6, "maybe"), "unreadable"),
    "trade twice": (TRADES, repeat(5), "doubled_rows"),
    "trade twice, and larger": (TRADES, repeat_larger, "conflicting_rows"),
    "trades that are missing": (TRADES, lambda cells: cells.__delitem__(slice(50, 90)), "missing_trades"),
    "liquidation of no side": (LIQUIDATIONS, put(5, 1, "HOLD"), "unknown_side"),
    "liquidation at a negative price": (LIQUIDATIONS, put(5, 5, "-1"), "negative_value"),
    "fill far from its order": (LIQUIDATIONS, put(5, 6, "1.0"), "impossible_price"),
    "liquidation that was not filled": (LIQUIDATIONS, put(5, 9, "0"), "not_filled"),
}


@pytest.mark.parametrize("name", MASKED)
def test_a_spoilt_row_ends_in_a_finding_and_the_others_stand(name: str, tmp_path: Path) -> None:
    file, edit, rule = MASKED[name]
    sound = parse(tmp_path / "sound.zip", file, zipped(f"{file.name}.csv", text_of(file).encode()))
    cells = cells_of(file)
    edit(cells)
    spoilt = "\n".join(",".join(row) for row in cells) + "\n"
    part = parse(tmp_path / "spoilt.zip", file, zipped(f"{file.name}.csv", spoilt.encode()))
    assert rules(part).get(rule, 0) > rules(sound).get(rule, 0)
    for table, rows in part.tables.items():
        assert len(rows) >= 0.97 * len(sound.tables[table]) - 1
        assert len(rows) <= len(sound.tables[table])


#: What is done to all rows, and what the error must say: the file cannot be used.
REFUSED: dict[str, tuple[ArchiveFile, Edit, str]] = {
    "another day": (KLINES, lambda cells: (shift(0, 3 * DAY)(cells), shift(6, 3 * DAY)(cells)), "outside_period"),
    "clock six hours off": (KLINES, lambda cells: (shift(0, DAY // 4)(cells), shift(6, DAY // 4)(cells)), "outside_p"),
    "another interval": (KLINES, shift(6, 240_000), "wrong_span"),
    "open and close swapped": (KLINES, swap(1, 4), "open and close are swapped"),
    "high and low swapped": (KLINES, swap(2, 3), "ohlc_violation"),
    "volumes swapped": (KLINES, swap(5, 7), "volume_mismatch"),
    "price and volume swapped": (KLINES, swap(4, 5), "ohlc_violation"),
    "price and quantity swapped": (TRADES, swap(1, 2), "price and quantity are swapped"),
    "all prices NaN": (KLINES, put_all(4, "NaN"), "blank"),
    "all volumes negative": (KLINES, put_all(5, "-1"), "negative_volume"),
    "all prices text": (KLINES, put_all(4, "none"), "has no rows|a cell that cannot be read"),
    "premium of prices": (PREMIUM, put_all(4, "42000.0"), "impossible_premium"),
    "a symbol throughout": (METRICS, put_all(1, "XRPUSDT"), "foreign_symbol"),
    "a hundred broken rows": (KLINES, lambda cells: [put(row, 1, "?")(cells) for row in range(1, 101)], "100 of 1,440"),
    "header alone": (KLINES, lambda cells: cells.__delitem__(slice(1, None)), "has a header and no rows"),
    "a column is missing": (KLINES, lambda cells: [row.pop(4) for row in cells], "the header must name"),
    "a column is missing, no header": (
        KLINES,
        lambda cells: [row.pop(4) for row in cells[:]] and cells.pop(0),
        "11 columns",
    ),
    "a column twice": (KLINES, put(0, 4, "open"), "the header must name"),
    "another kind of file": (
        METRICS,
        lambda cells: cells.__setitem__(slice(None), cells_of(KLINES)),
        "the header must",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_spoilt_file_ends_in_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    file, edit, reason = REFUSED[name]
    cells = cells_of(file)
    edit(cells)
    spoilt = "\n".join(",".join(row) for row in cells) + "\n"
    with pytest.raises(SchemaError, match=reason) as caught:
        parse(tmp_path / "spoilt.zip", file, zipped(f"{file.name}.csv", spoilt.encode()))
    assert "spoilt.zip" in str(caught.value)


def _zip_of(*members: tuple[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return buffer.getvalue()


SOUND = text_of(KLINES).encode()
GOOD = _zip_of((f"{KLINES.name}.csv", SOUND))


def _encrypted() -> bytes:
    """Set the flag of encryption in both headers."""
    spoilt = bytearray(GOOD)
    spoilt[6] |= 1
    spoilt[GOOD.index(b"PK\x01\x02") + 8] |= 1
    return bytes(spoilt)


def _lying_about_size() -> bytes:
    """Say that the csv is four gigabytes."""
    spoilt = bytearray(GOOD)
    place = GOOD.index(b"PK\x01\x02") + 24
    spoilt[place : place + 4] = struct.pack("<I", 0xF0000000)
    return bytes(spoilt)


def _another_crc() -> bytes:
    spoilt = bytearray(GOOD)
    crc = struct.pack("<I", zlib.crc32(SOUND) ^ 1)
    for place in (14, GOOD.index(b"PK\x01\x02") + 16):
        spoilt[place : place + 4] = crc
    return bytes(spoilt)


#: The container is spoilt, or holds something else.
CONTAINERS: dict[str, tuple[bytes, str]] = {
    "nothing at all": (b"", "not a readable zip"),
    "an error page": (b"<html>404</html>", "not a readable zip.*begins with '<html>"),
    "a plain csv": (SOUND, "not a readable zip"),
    "cut in half": (GOOD[: len(GOOD) // 2], "not a readable zip"),
    "cut by a byte": (GOOD[:-1], "not a readable zip"),
    "a hole in the middle": (GOOD[:400] + bytes(2000) + GOOD[2400:], "not a readable zip"),
    "another checksum inside": (_another_crc(), "not a readable zip: Bad CRC"),
    "encrypted": (_encrypted(), "is encrypted"),
    "a lie about the size": (_lying_about_size(), "that is not a csv"),
    "a bomb": (_zip_of((f"{KLINES.name}.csv", bytes(64 << 20))), "that is not a csv"),
    "no member": (_zip_of(), "exactly one csv, holds 0"),
    "two members": (_zip_of((f"{KLINES.name}.csv", SOUND), ("b.csv", SOUND)), "exactly one csv, holds 2"),
    "a path upwards": (_zip_of((f"../../{KLINES.name}.csv", SOUND)), r"must hold `BTCUSDT-1m-2024-01-05\.csv`"),
    "a path from the root": (_zip_of((f"/etc/{KLINES.name}.csv", SOUND)), "must hold"),
    "a path of another system": (_zip_of((f"..\\{KLINES.name}.csv", SOUND)), "must hold"),
    "a csv of another day": (_zip_of(("BTCUSDT-1m-2024-01-06.csv", SOUND)), "must hold"),
    "a program": (_zip_of(("run.sh", b"#!/bin/sh\n")), "must hold"),
    "a compression of its own": (
        zipped(f"{KLINES.name}.csv", SOUND, compress_type=zipfile.ZIP_LZMA),
        "compressed by method 14",
    ),
    "a zip in a zip": (_zip_of((f"{KLINES.name}.csv", GOOD)), "it is not UTF-8 text"),
    "an empty csv": (_zip_of((f"{KLINES.name}.csv", b"")), "is empty"),
    "an error page inside": (_zip_of((f"{KLINES.name}.csv", b"<html><body>sorry</body></html>")), "the header must"),
    "JSON inside": (_zip_of((f"{KLINES.name}.csv", b'{"code": -1003, "msg": "banned"}')), "the header must name"),
    "semicolons": (_zip_of((f"{KLINES.name}.csv", SOUND.replace(b",", b";"))), "the header must name"),
    "two bytes a letter": (_zip_of((f"{KLINES.name}.csv", SOUND.decode().encode("utf-16"))), "it is not UTF-8 text"),
    "a line without an end": (_zip_of((f"{KLINES.name}.csv", SOUND[:100_000] * 60)), "."),
    "a field of five megabytes": (
        _zip_of((f"{KLINES.name}.csv", SOUND[:200] + b"".join(b"%07d" % each for each in range(800_000)))),
        "a line of more than",
    ),
    "a quote that never ends": (_zip_of((f"{KLINES.name}.csv", SOUND.replace(b",", b',"', 100))), "."),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_spoilt_container_ends_in_an_error_that_names_it(name: str, tmp_path: Path) -> None:
    content, reason = CONTAINERS[name]
    with pytest.raises(SchemaError, match=f"(?s){reason}") as caught:
        parse(tmp_path / "spoilt.zip", KLINES, content)
    assert "spoilt.zip" in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*")] == ["spoilt.zip"]  # nothing was unpacked


def test_every_single_cut_of_a_zip_is_noticed(tmp_path: Path) -> None:
    """A truncated file is never a short day."""
    for end in range(0, len(GOOD), len(GOOD) // 40):
        with pytest.raises(SchemaError, match="not a readable zip"):
            parse(tmp_path / "cut.zip", KLINES, GOOD[:end])


def test_there_are_enough_of_them() -> None:
    assert len(MASKED) + len(REFUSED) + len(CONTAINERS) >= 60


def test_a_ragged_row_of_other_bytes_is_not_lost_without_a_count(tmp_path: Path) -> None:
    """The handler of such rows printed a traceback and counted nothing."""
    lines = text_of(KLINES).encode().splitlines()
    lines[5] = b"\xce,1"
    with pytest.raises(SchemaError, match="cannot be read as a csv: it is not UTF-8 text"):
        parse(tmp_path / "file.zip", KLINES, zipped(f"{KLINES.name}.csv", b"\n".join(lines)))


def test_a_blank_ratio_is_unknown_and_on_record(tmp_path: Path) -> None:
    cells = cells_of(METRICS)
    cells[9][cells[0].index("count_long_short_ratio")] = ""
    text = "".join(",".join(row) + "\n" for row in cells)
    part = parse(tmp_path / "file.zip", METRICS, zipped(f"{METRICS.name}.csv", text.encode()))
    assert rules(part) == {"blank_value": 1}
    assert len(part.tables["long_short_ratio"]) == len(cells) - 1


@pytest.mark.parametrize("column", [4, 8])
def test_a_liquidation_counts_once_whatever_stands_in_a_column_that_is_not_read(column: int, tmp_path: Path) -> None:
    """One of the two copies of a row, with a strange quantity that nothing reads, counted as a second liquidation."""
    cells = cells_of(LIQUIDATIONS)
    cells[1][column] = "1e999"
    text = "".join(",".join(row) + "\n" for row in cells)
    part = parse(tmp_path / "file.zip", LIQUIDATIONS, zipped(f"{LIQUIDATIONS.name}.csv", text.encode()))
    assert len(part.tables["liquidations"]) == 60
    assert rules(part)["doubled_rows"] == 60


@pytest.mark.parametrize("file", [LIQUIDATIONS, KLINES, TRADES])
def test_a_last_line_without_an_end_may_be_cut_and_that_is_on_record(file: ArchiveFile, tmp_path: Path) -> None:
    """A number that was cut reads as another number."""
    name, text = f"{file.name}.csv", text_of(file)
    assert "open_line" not in rules(parse(tmp_path / "whole.zip", file, zipped(name, text.encode())))
    part = parse(tmp_path / "cut.zip", file, zipped(name, text.rstrip("\n").encode()))
    assert rules(part)["open_line"] == 1
