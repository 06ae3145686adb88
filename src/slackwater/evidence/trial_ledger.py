"""The ledgers of trials: one line per trial, added whole or not at all and never changed.

``trials.jsonl`` holds the configurations that were tried, ``frozen_tests.jsonl`` the bundles that were tested.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from slackwater.errors import MissingDataError, SchemaError
from slackwater.evidence.trials import daily_series
from slackwater.storage import json_line

__all__ = ["append_trial", "mend_torn_line", "read_trials"]


def read_trials(path: str | Path) -> list[dict[str, Any]]:
    """Read a ledger of trials; a file without lines has none.

    Raises
    ------
    MissingDataError
        If there is no such file.
    SchemaError
        If a line is damaged; with its number.
    """
    source = Path(path)
    if not source.is_file():
        raise MissingDataError(f"there is no file {source}; an empty one says that there was no other trial")
    rows = []
    for number, line in enumerate(source.read_bytes().splitlines(), start=1):
        if line.strip():
            rows.append(_row(line, f"{source}, line {number}"))
    return rows


def _row(line: bytes, where: str) -> dict[str, Any]:
    mend = "restore the file from git, or take the line away if it is the torn end of a trial"
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SchemaError(f"{where} is damaged and not a trial ({error}): {mend}") from error
    if not isinstance(row, dict):
        raise SchemaError(f"{where} must be a mapping, was a {type(row).__name__}: {mend}")
    try:
        # A frozen test has returns for each group of its events; a group without events is null.
        for measured in filter(None, (row, *row.get("groups", {}).values())):
            if "returns" in measured:
                daily_series(measured["returns"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise SchemaError(
            f"{where}: `returns` must hold the day `start` and a list `net_r` of numbers and null: {mend}"
        ) from error
    return row


def append_trial(row: Mapping[str, Any], path: str | Path) -> str:
    """Add a line to the ledger by one write, and wait until it is on the disk; writers wait for each other.

    Keys are sorted and numbers in full precision; NaN and infinities become null. An end that a killed process left is
    repaired before, and what was done is returned (`mend_torn_line`).

    Raises
    ------
    OSError
        If the disk is full or cannot be written; the ledger is then as it was.
    """
    line = (json_line(row) + "\n").encode()
    with _writing(Path(path)) as file:
        mended = _mended(file, Path(path))
        before = os.fstat(file).st_size
        if os.write(file, line) < len(line):
            os.ftruncate(file, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(file)
    return mended


def mend_torn_line(path: str | Path) -> str:
    """Repair the end of a ledger whose writer was killed, and return what was done, "" where nothing was to do.

    A last line without its end is kept if it is a whole trial, and taken away otherwise. Any other damage is left to
    `read_trials`, which names it.
    """
    path = Path(path)
    if not path.is_file():
        return ""
    with _writing(path) as file:
        return _mended(file, path)


def _mended(file: int, path: Path) -> str:
    content = path.read_bytes()
    if not content or content.endswith(b"\n"):
        return ""
    begin, number = content.rfind(b"\n") + 1, content.count(b"\n") + 1
    try:
        whole = isinstance(json.loads(content[begin:]), dict)
    except ValueError:
        whole = False
    if whole:
        os.write(file, b"\n")
    else:
        os.ftruncate(file, begin)
    os.fsync(file)
    what = "lacked its end, which was added" if whole else f"was torn ({len(content) - begin} bytes) and was taken away"
    return f"{path}, line {number}: the last trial of a killed process {what}"


@contextmanager
def _writing(path: Path) -> Iterator[int]:
    """Yield the ledger, open for lines at its end, while no other process writes to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)
