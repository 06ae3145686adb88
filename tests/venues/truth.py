"""What happened in the market of the served venues: everything is a plain function of time, so any row can be told."""

from __future__ import annotations

import numpy as np

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

#: Coins of one contract, where a venue counts in contracts.
CONTRACT_SIZE = {"binance": 1.0, "bybit": 1.0, "okx": 0.01, "gate": 0.0001}


def noise(time: int, salt: int) -> float:
    """A number in [0, 1) that looks random and is always the same for a time."""
    value = (time // 1000 * 2_654_435_761 + salt * 40_503) & 0xFFFFFFFF
    value ^= value >> 13
    return ((value * 2_246_822_519) & 0xFFFFFFFF) / 2**32


def bar(time: int, step: int) -> tuple[float, float, float, float]:
    """Open, high, low and close of the bar that opens at a time."""
    opened, closed = (40_000.0 + 2_000.0 * np.sin(t / DAY) for t in (time, time + step))
    reach = 10.0 + 50.0 * noise(time, 1)
    return tuple(round(float(p), 2) for p in (opened, max(opened, closed) + reach, min(opened, closed) - reach, closed))


def volume(time: int) -> float:
    """Coins traded, a whole number of contracts everywhere."""
    return round(1.0 + 100.0 * noise(time, 2), 2)


def open_interest(time: int) -> float:
    return round(50_000.0 + 10_000.0 * np.sin(time / (3 * DAY)), 2)


def ratio(time: int, kind: int) -> float:
    return round(0.5 + 2.0 * noise(time, 10 + kind), 4)


def premium(time: int) -> float:
    return round(0.001 * (noise(time, 3) - 0.5), 8)


def funding_rate(time: int) -> float:
    return round(0.0004 * (noise(time, 4) - 0.5), 8)


def settlements(first: int, last: int, *, changes: dict[int, int] | None = None) -> list[int]:
    """Times of funding: every eight hours, or as `changes` (time to hours) says."""
    out = []
    time = first // DAY * DAY
    while time <= last:
        hours = 8
        for since, each in sorted((changes or {}).items()):
            hours = each if time >= since else hours
        if time >= first:
            out.append(time)
        time += hours * HOUR
    return out


def liquidations(first: int, last: int) -> list[tuple[int, str, float, float]]:
    """Time (whole seconds), side of the position, price, coins; several may share a second."""
    out = []
    for time in range(first // MINUTE * MINUTE, last + 1, MINUTE):
        for each in range(int(4 * noise(time, 5) ** 2)):
            at = time + 7_000
            if first <= at <= last:
                side = "long" if noise(time + each * 1000, 6) < 0.5 else "short"
                out.append((at, side, 40_000.0 + each, round(0.01 * (1 + each), 4)))
    return out
