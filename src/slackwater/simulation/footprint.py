"""Memory and disk that a request needs, and the refusal of a request that exceeds the machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

from slackwater.errors import ParameterError
from slackwater.simulation.request import MarketRequest

__all__ = ["disk_needed", "memory_needed", "refuse_beyond_disk", "refuse_beyond_memory", "streaming_memory_needed"]

#: Measured over one to four years of a symbol; upper ends (benchmarks/bench_simulate.py measures them again).
TABLES_BYTES_PER_MINUTE: Final = 330
WORKING_BYTES_PER_MINUTE: Final = 500
DISK_BYTES_PER_MINUTE: Final = 160
#: Python, its libraries and the compiled kernels.
BYTES_AT_REST: Final = 400e6
GIB: Final = 2.0**30


def memory_needed(request: MarketRequest) -> float:
    """Return the bytes of memory for all tables of a request, and for the work on one symbol."""
    minutes = [request.minutes(symbol) for symbol in request.symbols]
    return BYTES_AT_REST + TABLES_BYTES_PER_MINUTE * sum(minutes) + WORKING_BYTES_PER_MINUTE * max(minutes)


def streaming_memory_needed(request: MarketRequest) -> float:
    """Return the bytes of memory for the largest symbol of a request alone."""
    minutes = max(request.minutes(symbol) for symbol in request.symbols)
    return BYTES_AT_REST + (TABLES_BYTES_PER_MINUTE + WORKING_BYTES_PER_MINUTE) * minutes


def disk_needed(request: MarketRequest) -> float:
    """Return the bytes on disk of all tables of a request."""
    return float(DISK_BYTES_PER_MINUTE * sum(request.minutes(symbol) for symbol in request.symbols))


def refuse_beyond_memory(needed: float) -> None:
    """Raise ParameterError with the estimate if the machine has less memory than `needed` bytes."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise ParameterError(
            f"this market needs about {needed / GIB:,.1f} GiB of memory and the machine has {there / GIB:,.1f}; "
            "choose a shorter span or fewer symbols, or write it symbol by symbol (`stream_market`)"
        )


def refuse_beyond_disk(needed: float, directory: Path) -> None:
    """Raise ParameterError with the estimate if the disk of `directory` has less than `needed` bytes free."""
    parent = next(each for each in (directory, *directory.absolute().parents) if each.exists())
    there = shutil.disk_usage(parent).free
    if needed > there:
        raise ParameterError(
            f"this market needs about {needed / GIB:,.1f} GiB on the disk of {parent} and {there / GIB:,.1f} are free; "
            "choose a shorter span or fewer symbols"
        )
