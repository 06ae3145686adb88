"""The log of what a paper trader was told, in order, from which it continues after a stop and is explained.

A trader does nothing but follow this log. Whatever it says before a kill is read again after it, and leads to the same
decisions, orders and fills.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple, TextIO, TypeAlias

import pandas as pd

from slackwater.feed.items import FaultKind, FeedFault, FeedRow, Print, Quality
from slackwater.market.tables import TABLES
from slackwater.paper.errors import PaperError
from slackwater.times import epoch_us, timestamp

__all__ = ["Input", "InputLog", "LoggedInput", "Place", "Tick", "input_files", "read_inputs"]

_TIMES: Final = frozenset(column.name for table in TABLES for column in table.columns if column.kind == "time")


class Tick(NamedTuple):
    """The time has moved on; `prices` are the last ones by symbol, USDT."""

    prices: Mapping[str, float]


Input: TypeAlias = FeedRow | FeedFault | Print | Tick


class LoggedInput(NamedTuple):
    """An input and when it came, in microseconds since 1970."""

    now_us: int
    what: Input

    def line(self) -> str:
        """Return it as one line of JSON, with NaN and Infinity as they are, and its checksum before it."""
        text = json.dumps({"now": self.now_us, **_content(self.what)}, separators=(",", ":"))
        return f"{_checksum(text)} {text}\n"


class Place(NamedTuple):
    """Place in the log: name of a file, and bytes of it that lie before."""

    file: str
    offset: int


class InputLog:
    """Log that is open for adding inputs: one file per UTC day.

    Parameters
    ----------
    directory
        Its directory. A last line that a killed process left unfinished is cut off.

    Raises
    ------
    PaperError
        If it cannot be written, as on a full disk; what was written before is whole.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        self._file: TextIO | None = None
        self._name = ""
        self._length = 0
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            if files := input_files(self.directory):
                _cut_unfinished_line(files[-1])
                self._open(files[-1].name)
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def place(self) -> Place:
        """The end of the log."""
        return Place(self._name, self._length)

    def write(self, taken: LoggedInput) -> None:
        """Add an input; it is with the operating system when this returns."""
        name = f"{datetime.fromtimestamp(taken.now_us // 1_000_000, UTC):%Y-%m-%d}.jsonl"
        line = taken.line()
        try:
            if self._file is None or name > self._name:
                self._open(max(name, self._name))
            assert self._file is not None  # noqa: S101 -- for the type checker
            self._file.write(line)
            self._file.flush()
        except OSError as error:
            self._drop_half_a_line()
            raise self._unwritable(error) from error
        self._length += len(line)

    def sync(self) -> None:
        """Wait until everything is on the disk."""
        if self._file is not None:
            try:
                os.fsync(self._file.fileno())
            except OSError as error:
                raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the file; `write` opens it again."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _open(self, name: str) -> None:
        self.close()
        path = self.directory / name
        self._file = path.open("a", encoding="ascii")
        self._name, self._length = name, path.stat().st_size

    def _drop_half_a_line(self) -> None:
        with contextlib.suppress(OSError):  # the buffer could not be written: what of it was, is cut off
            self.close()
        path = self.directory / self._name
        if path.is_file():
            os.truncate(path, min(self._length, path.stat().st_size))

    def _unwritable(self, error: OSError) -> PaperError:
        return PaperError(
            f"the log of inputs {self.directory} cannot be written ({error.strerror}): free some space or make it "
            "writable, and start again; nothing that was decided is lost"
        )


def input_files(directory: str | Path) -> list[Path]:
    """Return the files of a log, the oldest first."""
    return sorted(Path(directory).glob("????-??-??.jsonl"))


def read_inputs(directory: str | Path, since: Place | None = None) -> Iterator[LoggedInput]:
    """Yield the inputs of a log from a place on; an unfinished last line is left out.

    Raises
    ------
    PaperError
        If a line is not the one that was written, or the place is not there; with file and line.
    """
    files = input_files(directory)
    if since is not None and since.file:
        if since.file not in {path.name for path in files}:
            raise PaperError(f"the log {directory} has no file {since.file}: restore it, or begin anew elsewhere")
        files = [path for path in files if path.name >= since.file]
    for path in files:
        with path.open(encoding="ascii", errors="replace") as file:
            if since is not None and path.name == since.file:
                if path.stat().st_size < since.offset:
                    raise PaperError(f"{path} is shorter than it was: restore it, or begin anew elsewhere")
                file.seek(since.offset)
            for number, line in enumerate(file, start=1):
                if not line.endswith("\n") and path == files[-1]:
                    return
                try:
                    taken = _of_line(line)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    begin = since.offset if since is not None and path.name == since.file else 0
                    where = f"{path}, line {number}{f' after byte {begin}' if begin else ''}"
                    raise PaperError(
                        f"{where}, is not an input ({error}): {line[:80]!r}; restore the file, or begin anew elsewhere"
                    ) from None
                yield taken


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _of_line(line: str) -> LoggedInput:
    checksum, _, text = line.removesuffix("\n").partition(" ")
    if checksum != _checksum(text):
        raise ValueError("its checksum is that of another line")
    return _taken(json.loads(text))


def _cut_unfinished_line(path: Path) -> None:
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        at = end
        while at > 0:  # a line of a row has some hundred bytes
            start = max(at - 65_536, 0)
            file.seek(start)
            found = file.read(at - start).rfind(b"\n")
            if found >= 0:
                at = start + found + 1
                break
            at = start
        if at < end:
            file.truncate(at)


def _content(what: Input) -> dict[str, Any]:
    if isinstance(what, FeedRow):
        row = {name: _plain(value) for name, value in what.row.items()}
        return {"is": "row", "table": what.table, "quality": what.quality.value, "row": row}
    if isinstance(what, FeedFault):
        place = {"kind": what.kind.value, "time": epoch_us(what.time), "stream": what.stream, "symbol": what.symbol}
        return {"is": "fault", **place, "text": what.text}
    if isinstance(what, Tick):
        return {"is": "tick", "prices": dict(what.prices)}
    return {"is": "print", **what._asdict()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return epoch_us(value)
    return value.item() if hasattr(value, "item") else value


def _taken(content: Mapping[str, Any]) -> LoggedInput:
    return LoggedInput(int(content["now"]), _INPUTS[content["is"]](content))


def _row(content: Mapping[str, Any]) -> FeedRow:
    row = {name: timestamp(value) if name in _TIMES else value for name, value in content["row"].items()}
    return FeedRow(content["table"], row, Quality(content["quality"]))


def _fault(content: Mapping[str, Any]) -> FeedFault:
    time: pd.Timestamp = timestamp(content["time"])
    return FeedFault(FaultKind(content["kind"]), time, content["stream"], content["symbol"], content["text"])


def _tick(content: Mapping[str, Any]) -> Tick:
    return Tick({str(symbol): float(price) for symbol, price in content["prices"].items()})


def _print(content: Mapping[str, Any]) -> Print:
    return Print(*(content[name] for name in Print._fields))


_INPUTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Input]]] = {
    "row": _row,
    "fault": _fault,
    "tick": _tick,
    "print": _print,
}
