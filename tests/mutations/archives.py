"""A judge of how files of the archive are read after mutations of their text, and of their zip."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from slackwater.errors import SlackwaterError
from slackwater.sources.binance_archive.catalogue import DATA_TYPES, ArchiveFile
from slackwater.sources.binance_archive.parts import Part, parse_archive, parsed_part
from slackwater.sources.binance_archive.tables import holes_of_part
from tests.mirror.archive import csv_text, zipped
from tests.mutations.of_values import spoil_bytes

Lines = list[list[str]]
Change = Callable[[Lines, np.random.Generator], bool]

FILES: Final = tuple(
    ArchiveFile(
        type=each,
        symbol="BTCUSD_PERP" if each.name == "liquidationSnapshot" else "BTCUSDT",
        interval="1h",
        period="daily" if "daily" in each.periods else "monthly",
        first=date(2023, 7, 5)
        if each.name == "liquidationSnapshot"
        else date(2024, 1, 5 if "daily" in each.periods else 1),
    )
    for each in DATA_TYPES
)
NULLABLE: Final = ("taker_buy_volume", "trade_count", "top_trader_account_ratio", "account_ratio", "taker_volume_ratio")
STRANGE: Final = (
    "x",
    "-",
    "1,5",
    "1e999",
    "-1e999",
    "inf",
    "NaN",
    "",
    "null",
    " ",
    "0x1f",
    "1_000",
    '"',
    "--3",
    "9" * 400,
)


@cache
def text(place: int) -> str:
    """The native text of one of `FILES`."""
    file = FILES[place]
    stamp = file.first.isoformat()[: 7 if file.period == "monthly" else 10]
    made = csv_text(
        file.type.name, file.symbol, file.interval if file.type.by_interval else "", stamp, trades_a_day=300
    )
    assert made is not None
    return made


# -- operators on the cells --------------------------------------------------------------------------------------


def _cell(lines: Lines, rng: np.random.Generator) -> tuple[int, int]:
    row = int(rng.integers(1, len(lines)))
    return row, int(rng.integers(len(lines[row])))


def strange_cell(lines: Lines, rng: np.random.Generator) -> bool:
    row, column = _cell(lines, rng)
    lines[row][column] = str(rng.choice(STRANGE))
    return True


def strange_column(lines: Lines, rng: np.random.Generator) -> bool:
    _, column = _cell(lines, rng)
    value = str(rng.choice(STRANGE))
    for cells in filter(None, lines[1:]):
        cells[min(column, len(cells) - 1)] = value
    return True


def lost_line(lines: Lines, rng: np.random.Generator) -> bool:
    del lines[int(rng.integers(1, len(lines)))]
    return True


def lost_block(lines: Lines, rng: np.random.Generator) -> bool:
    first = int(rng.integers(1, len(lines)))
    del lines[first : first + len(lines) // 4]
    return True


def doubled_lines(lines: Lines, rng: np.random.Generator) -> bool:
    lines.insert(int(rng.integers(1, len(lines) + 1)), [*lines[_cell(lines, rng)[0]]])
    return True


def shuffled(lines: Lines, rng: np.random.Generator) -> bool:
    lines[1:] = [lines[1 + place] for place in rng.permutation(len(lines) - 1)]
    return True


def no_header(lines: Lines, rng: np.random.Generator) -> bool:
    del lines[0]
    return True


def other_header(lines: Lines, rng: np.random.Generator) -> bool:
    lines[0][int(rng.integers(len(lines[0])))] = str(rng.choice(["x", "", "open", "time", "price"]))
    return True


def header_again(lines: Lines, rng: np.random.Generator) -> bool:
    lines.insert(_cell(lines, rng)[0], [*lines[0]])
    return True


def one_more_column(lines: Lines, rng: np.random.Generator) -> bool:
    for place, cells in enumerate(lines):
        cells.append("extra" if place == 0 else "1")
    return True


def ragged(lines: Lines, rng: np.random.Generator) -> bool:
    row, column = _cell(lines, rng)
    lines[row] = lines[row][:column] if rng.random() < 0.5 else [*lines[row], "1"]
    return True


def another_symbol(lines: Lines, rng: np.random.Generator) -> bool:
    if "symbol" not in lines[0]:
        return False
    lines[_cell(lines, rng)[0]][lines[0].index("symbol")] = "ETHUSDT"
    return True


def another_year(lines: Lines, rng: np.random.Generator) -> bool:
    times = [column for column, name in enumerate(lines[0]) if "time" in name or name == "timestamp"]
    if not times:
        return False
    row = _cell(lines, rng)[0]
    lines[row][times[0]] = (
        lines[row][times[0]].replace("2024", "2031") if "-" in lines[row][times[0]] else "19" * 6 + "0"
    )
    return True


CELLS: Final[tuple[Change, ...]] = (
    strange_cell,
    strange_column,
    lost_line,
    lost_block,
    doubled_lines,
    shuffled,
    no_header,
    other_header,
    header_again,
    one_more_column,
    ragged,
    another_symbol,
    another_year,
)
TEXTS: Final[dict[str, Callable[[str, np.random.Generator], bytes]]] = {
    "as it is": lambda made, _: made.encode(),
    "byte-order mark": lambda made, _: b"\xef\xbb\xbf" + made.encode(),
    "carriage returns": lambda made, _: made.replace("\n", "\r\n").encode(),
    "no last line break": lambda made, _: made.rstrip("\n").encode(),
    "blank lines": lambda made, _: made.replace("\n", "\n\n").encode(),
    "semicolons": lambda made, _: made.replace(",", ";").encode(),
    "UTF-16": lambda made, _: made.encode("utf-16"),
    "cut": lambda made, rng: made.encode()[: int(rng.integers(len(made)))],
    "bytes inside": lambda made, rng: made.encode()[:90] + rng.bytes(6) + made.encode()[90:],
}


def judged(seed: int, directory: Path) -> tuple[str, list[str]]:
    """Return what became of one mutated file: equal, repaired or refused; and the operators.

    Raises
    ------
    AssertionError
        If rows were lost or changed without a word. Any error that is not one of slackwater's is raised as it is.
    """
    rng = np.random.default_rng(seed)
    place = seed % len(FILES)
    file = FILES[place]
    lines = [line.split(",") for line in text(place).splitlines()]
    done: list[str] = []
    for _ in range(int(rng.choice([0, 1, 1, 1, 2]))):
        change = CELLS[rng.integers(len(CELLS))]
        if len(lines) > 2 and change(lines, rng):
            done.append(change.__name__)
    how = str(rng.choice([*TEXTS])) if rng.random() < 0.3 or not done else "as it is"
    content = TEXTS[how]("".join(",".join(cells) + "\n" for cells in lines), rng)
    data = zipped(f"{file.name}.csv", content)
    if rng.random() < 0.15:
        data, how = spoil_bytes(rng, data), f"{how}, spoilt zip"
    done += [] if how == "as it is" else [how]
    path = directory / "file.zip"
    path.write_bytes(data)
    try:
        stored = parsed_part(path, file, sha256=str(seed), store=directory / "parts", origin="zip", floor_usd=0.0)
        part = parse_archive(path, file, floor_usd=0.0)
    except SlackwaterError as error:
        return "refused" if str(error) else "refused without a reason", done
    return _compared(place, part, stored, f"seed {seed}: {file.type.name} after {done}"), done


def _compared(place: int, part: Part, stored: Path, where: str) -> str:
    outcome = "equal"
    for name, rows in reference(place).items():
        read = rows_of(part, name)
        if read == rows:
            continue
        outcome = "repaired"
        told = [each for each in part.findings if each.table == name]
        holes = [] if name == "liquidations" or name not in part.tables else holes_of_part(FILES[place], stored, name)
        invented = read - rows
        unknown = Counter({row: count for row, count in invented.items() if "nan" in row and _known(row, rows)})
        cut = any(each.rule == "open_line" for each in told)
        assert (invented - unknown).total() <= int(cut), f"{where}: {name} holds {[*(invented - unknown)][:2]}"
        assert not unknown or any(each.rule == "blank_value" for each in told), f"{where}: {name} unknown in silence"
        lost = rows.total() - read.total()
        silent = name == "liquidations" or (name == "large_trades" and lost == 1)  # the archive cannot show these
        assert told or holes or silent or not lost, f"{where}: {name} lost {lost} rows in silence"
    return outcome


def _known(row: tuple[str, ...], rows: Counter[tuple[str, ...]]) -> bool:
    """Return whether a row with unknown values is one of the file otherwise."""
    return any(all(ours in (theirs, "nan") for ours, theirs in zip(row, each, strict=True)) for each in rows)


@cache
def reference(place: int) -> dict[str, Counter[tuple[str, ...]]]:
    """The rows of each table of one of `FILES` as it is."""
    file = FILES[place]

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "file.zip")
        path.write_bytes(zipped(f"{file.name}.csv", text(place).encode()))
        part = parse_archive(path, file, floor_usd=0.0)
        return {name: rows_of(part, name) for name in part.tables}


def rows_of(part: Part, name: str) -> Counter[tuple[str, ...]]:
    """Return the rows of a table as texts, however often each comes."""
    if name not in part.tables:
        return Counter()
    columns: list[list[Any]] = [
        [f"{each:.12g}" if isinstance(each, float) else str(each) for each in column.to_pylist()]
        for column in part.tables[name].columns
    ]
    return Counter(zip(*columns, strict=True))
