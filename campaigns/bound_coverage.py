"""Coverage of lower bounds of calibrated log-odds in the block of time that follows those they were fitted to.

SYNTHETIC outcomes, drawn in months: nothing to be learned, a steady edge, odds below the offered ones, a level or an
edge that drifts, an edge that ended. Each independent outcome occurs four times, as labels that overlap do. Run it with
``python -m campaigns.bound_coverage``; it takes about two minutes, writes ``campaigns/bound_coverage.json`` after every
world, and goes on from there when it is started again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from scipy.special import expit, logit
from scipy.stats import beta
from sklearn.isotonic import isotonic_regression

from slackwater.models.calibration import AnchoredCalibrator, SigmoidCalibrator
from slackwater.storage import write_report
from slackwater.types import Floats, Ints

MONTHS: Final = (2, 6, 12, 24, 35)
PER_MONTH: Final = 100
COPIES: Final = 4
SAMPLES: Final = 30
OFFSETS: Final = {"even odds": 0.0, "one to three": -1.1}
BINS: Final = 10
ROLLING: Final = 2000
OUT: Final = Path(__file__).with_suffix(".json")


class Rows(NamedTuple):
    """Log-odds of a model, outcomes, the log-odds of the truth, and the month of each row."""

    raw: Floats
    outcome: Floats
    truth: Floats
    month: Ints

    def where(self, mask: Any) -> Rows:
        """Return the rows of a mask."""
        return Rows(*(column[mask] for column in self))


def _levels(rng: np.random.Generator, world: str) -> Floats:
    level = np.full(MONTHS[-1] + 1, -0.12 if world == "below the offered odds" else 0.0)
    if world == "drifting level":
        for month in range(1, level.size):
            level[month] = 0.6 * level[month - 1] + rng.normal(0.0, 0.2)
    return level


def _slopes(rng: np.random.Generator, world: str) -> Floats:
    slope = np.full(MONTHS[-1] + 1, 0.0 if world in ("nothing", "below the offered odds") else 0.6)
    if world == "drifting edge":
        slope = np.clip(0.5 + np.cumsum(rng.normal(0.0, 0.15, slope.size)), 0.0, 1.2)
    if world == "an edge that ended":
        slope[slope.size // 2 :] = 0.0
    return slope


WORLDS: Final = (
    *("nothing", "steady edge", "below the offered odds", "drifting level", "drifting edge", "an edge that ended"),
)


def draw(rng: np.random.Generator, world: str, offset: float) -> Rows:
    """Return the rows of a world, above an offset in log-odds."""
    month = np.repeat(np.arange(MONTHS[-1] + 1), PER_MONTH // COPIES)
    raw = rng.normal(0.0, 0.25, month.size)
    truth = _levels(rng, world)[month] + _slopes(rng, world)[month] * raw
    outcome = (rng.random(month.size) < expit(offset + truth)).astype(np.float64)
    return Rows(*(np.repeat(column, COPIES) for column in (raw, outcome, truth, month)))


def _anchored(past: Rows, offset: float) -> AnchoredCalibrator:
    weight, offsets = np.full(past.raw.size, 1.0 / COPIES), np.full(past.raw.size, offset)
    return AnchoredCalibrator().fit(past.raw, past.outcome, weight, offset=offsets, blocks=past.month)


def _between_blocks(past: Rows, offset: float, at: Floats) -> Floats:
    return _anchored(past, offset).log_odds_low(at)


def _within_blocks(past: Rows, offset: float, at: Floats) -> Floats:
    """About the anchored line, without what its level missed and without the variance between blocks."""
    weight, offsets = np.full(past.raw.size, 1.0 / COPIES), np.full(past.raw.size, offset)
    one_block = AnchoredCalibrator().fit(past.raw, past.outcome, weight, offset=offsets)
    return one_block.log_odds_low(at) - one_block.shift_


def _sigmoid(past: Rows, offset: float, at: Floats) -> Floats:
    weight, offsets = np.full(past.raw.size, 1.0 / COPIES), np.full(past.raw.size, offset)
    fitted = SigmoidCalibrator(prior_slope=0.0).fit(past.raw, past.outcome, weight, offset=offsets)
    return np.asarray(fitted.log_odds_low(at))


def _beta(past: Rows, offset: float, at: Floats) -> Floats:
    """Jeffreys' bound of the share of each bin, carried over to the calibrated log-odds."""
    line = _anchored(past, offset)
    edges = np.quantile(past.raw, np.linspace(0.0, 1.0, BINS + 1)[1:-1])
    which = np.searchsorted(edges, past.raw)
    number = np.bincount(which, minlength=BINS) / COPIES
    won = np.bincount(which, weights=past.outcome, minlength=BINS) / COPIES
    expected = np.bincount(which, weights=expit(offset + line.log_odds(past.raw)), minlength=BINS) / COPIES / number
    short = logit(beta.ppf(0.1, won + 0.5, number - won + 0.5)) - logit(expected)
    return np.asarray(line.log_odds(at) + np.minimum(short, 0.0)[np.searchsorted(edges, at)])


def _venn_abers(past: Rows, offset: float, at: Floats) -> Floats:
    """Carry over the isotonic share of the last rows and of a row that failed to the calibrated log-odds."""
    line = _anchored(past, offset)
    order = np.argsort(past.raw[-ROLLING:], kind="stable")
    raw, outcome = past.raw[-ROLLING:][order], past.outcome[-ROLLING:][order]
    expected = expit(offset + line.log_odds(raw))
    grid = np.quantile(raw, np.linspace(0.02, 0.98, 15))
    short = np.zeros(grid.size)
    for place, value in enumerate(grid):
        here = np.searchsorted(raw, value, side="right")
        shares = isotonic_regression(np.insert(outcome, here, 0.0))
        pool = np.delete(shares == shares[here], here)
        share = float(np.clip(shares[here], 1e-3, 1.0 - 1e-3))
        short[place] = logit(share) - logit(expected[pool].mean()) if pool.any() else logit(share)
    return np.asarray(line.log_odds(at) + np.minimum(np.interp(at, grid, short), 0.0))


METHODS: Final[Mapping[str, Callable[[Rows, float, Floats], Floats]]] = {
    "normal, within blocks": _within_blocks,
    "normal, slope and intercept": _sigmoid,
    "beta per bin": _beta,
    "venn-abers, rolling": _venn_abers,
    "normal, between blocks": _between_blocks,
}


def coverage(world: str, offset: float, *, samples: int = SAMPLES) -> dict[str, dict[str, float]]:
    """Return for each method how often the truth of the next month lies above the bound, and how far below it."""
    rng = np.random.default_rng(WORLDS.index(world))
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
    for _ in range(samples):
        rows = draw(rng, world, offset)
        for month in MONTHS:
            past, now = rows.where(rows.month < month), rows.where(rows.month == month)
            estimate = _anchored(past, offset).log_odds(now.raw)
            for name, method in METHODS.items():
                low = method(past, offset, now.raw)
                found[name].append((float((now.truth >= low).mean()), float((estimate - low).mean())))
    return {
        name: {"covers": float(np.mean([row[0] for row in rows])), "width": float(np.mean([row[1] for row in rows]))}
        for name, rows in found.items()
    }


def main() -> None:
    """Measure every world that is not in the result yet, and write it."""
    held = json.loads(OUT.read_text()) if OUT.exists() else {}
    worlds = held["worlds"] if held.get("samples") == SAMPLES else {}
    for world in WORLDS:
        for odds, offset in OFFSETS.items():
            name = f"{world}, {odds}"
            if name not in worlds:
                worlds[name] = coverage(world, offset)
                write_report({"synthetic": True, "nominal": 0.9, "samples": SAMPLES, "worlds": worlds}, OUT)
                sys.stdout.write(f"SYNTHETIC {name}: {worlds[name]}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
