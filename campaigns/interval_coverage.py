"""Coverage of the 95 % interval and of the calibration bound, by length of the calendar in mean blocks.

Results without any edge: daily returns that are independent, or remember the day before, and trades at fair odds that
win six times what they lose or twice. Run it with ``python -m campaigns.interval_coverage``; it takes about ten minutes
and writes ``campaigns/interval_coverage.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from slackwater.metrics.classification import expected_calibration_error
from slackwater.metrics.selection import bootstrap_interval, ece_quantile_under_perfect_calibration
from slackwater.storage import write_report
from slackwater.types import Floats, Ints

BLOCKS: Final = (6, 8, 10, 13, 26, 40)
BLOCK_DAYS: Final = 14
SAMPLES: Final = 1000
DRAWS: Final = 400
OUT: Final = Path(__file__).with_suffix(".json")


def _independent(rng: np.random.Generator, days: int) -> tuple[Ints, Floats]:
    return np.arange(days), rng.normal(size=days)


def _remembering(rng: np.random.Generator, days: int) -> tuple[Ints, Floats]:
    shocks = rng.normal(size=days + 30)
    values = np.zeros_like(shocks)
    for day in range(1, len(shocks)):
        values[day] = 0.3 * values[day - 1] + shocks[day]
    return np.arange(days), values[30:]


def _fair_trades(win: float, per_day: float) -> Callable[[np.random.Generator, int], tuple[Ints, Floats]]:
    def draw(rng: np.random.Generator, days: int) -> tuple[Ints, Floats]:
        when = np.sort(rng.integers(0, days, max(2, rng.poisson(per_day * days))))
        when[0], when[-1] = 0, days - 1
        return when, np.where(rng.random(when.size) < 1.0 / (1.0 + win), win, -1.0)

    return draw


MARKETS: Final[Mapping[str, Callable[[np.random.Generator, int], tuple[Ints, Floats]]]] = {
    "independent days": _independent,
    "autocorrelation 0.3": _remembering,
    "fair trades, six to one": _fair_trades(6.0, 0.7),
    "fair trades, two to one": _fair_trades(2.0, 0.15),
}


def coverage(market: str, blocks: int, *, samples: int = SAMPLES, draws: int = DRAWS) -> dict[str, Any]:
    """Return how often the interval of the mean holds the truth, 0, and how often it lies above it."""
    rng = np.random.default_rng(blocks)
    inside = above = 0
    for seed in range(samples):
        day, value = MARKETS[market](rng, BLOCK_DAYS * blocks)
        found = bootstrap_interval(_mean, _times(day), value, draws=draws, seed=seed)
        inside += found.low <= 0.0 <= found.high
        above += found.low > 0.0
    return {"market": market, "blocks": blocks, "covers": inside / samples, "low_above_0": above / samples}


def exceedance(blocks: int, rows: int, *, samples: int = SAMPLES // 2, draws: int = DRAWS) -> dict[str, Any]:
    """Return how often a perfectly calibrated forecast exceeds its bound, nominally .01."""
    rng, over = np.random.default_rng(blocks), 0
    for seed in range(samples):
        day = np.sort(rng.integers(0, BLOCK_DAYS * blocks, rows))
        day[0], day[-1] = 0, BLOCK_DAYS * blocks - 1
        p = rng.beta(5.0, 5.0, rows)
        y = rng.random(rows) < p
        bound = ece_quantile_under_perfect_calibration(y, p, _times(day), draws=draws, seed=seed)
        over += expected_calibration_error(y, p) > bound
    return {"blocks": blocks, "rows": rows, "exceeded": over / samples}


def _mean(values: Floats) -> float:
    return float(np.mean(values))


def _times(day: Ints) -> Any:
    return np.datetime64("2024-01-01") + day * np.timedelta64(1, "D")


def main() -> None:
    """Measure and write the result."""
    rows = []
    for market in MARKETS:
        for blocks in BLOCKS:
            rows.append(coverage(market, blocks))
            sys.stdout.write(f"{market}, {blocks} blocks: covers {rows[-1]['covers']:.3f}\n")
            sys.stdout.flush()
    bounds = [exceedance(blocks, 30 * blocks) for blocks in BLOCKS]
    write_report({"samples": SAMPLES, "draws": DRAWS, "intervals": rows, "calibration_bounds": bounds}, OUT)


if __name__ == "__main__":
    main()
