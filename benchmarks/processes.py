"""Processes that a process has started, and their memory, from the files of Linux."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["descendants", "peak_mib", "proportional_mib"]


def descendants(root: int) -> Iterator[int]:
    """Yield a process and all that it has started."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # it has ended
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    while found:
        process = found.pop()
        yield process
        found += children.get(process, [])


def peak_mib(process: int) -> float:
    """Return the largest resident memory of a process so far; 0 if it has ended."""
    return _mib(process, "status", "VmHWM")


def proportional_mib(process: int) -> float:
    """Return the memory of a process now, in which a page that several share counts once in all; 0 if it has ended."""
    return _mib(process, "smaps_rollup", "Pss")


def _mib(process: int, file: str, field: str) -> float:
    try:
        kib = re.search(rf"^{field}:\s+(\d+)", Path(f"/proc/{process}/{file}").read_text(), re.MULTILINE)
    except OSError:
        return 0.0
    return int(kib[1]) / 1024 if kib else 0.0
