"""Coverage of the 95 % interval and of the calibration bound, by length of the calendar in mean blocks.

Results without any edge: daily returns that are independent, or remember the day before, and trades at fair odds that
win six times what they lose or twice. Run it with ``python -m campaigns.interval_coverage``; it takes about two minutes
and writes ``campaigns/interval_coverage.json``.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np

from slackwater.metrics.classification import expected_calibration_error
from slackwater.metrics.selection import (
    Stretch,
    block_bootstrap_indices,
    ece_quantile_under_perfect_calibration,
)
from slackwater.storage import write_report
from slackwater.types import Floats, Ints

BLOCKS: Final = (6, 8, 10, 13, 26, 40)
BLOCK_DAYS: Final = 14
SAMPLES: Final = 2000
DRAWS: Final = 500
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
    """Return how often the interval of the mean result holds the truth, 0, and how often it lies above it.

    All samples meet the same draws of days, so that a mean of drawn rows is a product of two matrices.
    """
    rng, days = np.random.default_rng(blocks), BLOCK_DAYS * blocks
    block = timedelta(days=BLOCK_DAYS)
    drawn = np.stack([np.bincount(rows, minlength=days) for rows in _draws(days, block, draws)]).astype(float)
    stretch, inside, above = Stretch.of(days, mean_block=block), 0, 0
    for _ in range(samples):
        day, value = MARKETS[market](rng, days)
        number, total = np.bincount(day, minlength=days), np.bincount(day, weights=value, minlength=days)
        with np.errstate(invalid="ignore"):
            means = (drawn @ total) / (drawn @ number)
        low, high = stretch.bounds(float(value.mean()), means[~np.isnan(means)])
        inside += low <= 0.0 <= high
        above += low > 0.0
    return {"market": market, "blocks": blocks, "covers": inside / samples, "low_above_0": above / samples}


def _draws(days: int, block: timedelta, draws: int) -> Iterator[Ints]:
    return block_bootstrap_indices(_times(np.arange(days)), mean_block=block, draws=draws)


def exceedance(blocks: int, rows: int, *, samples: int = SAMPLES // 5, draws: int = DRAWS) -> dict[str, Any]:
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
