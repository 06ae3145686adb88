"""Losses at which leveraged positions are forced out, and where that puts new open interest around its entry."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import ndtr

from slackwater.errors import ParameterError
from slackwater.market.contracts import Contract, contract, liquidation_price
from slackwater.types import Floats

__all__ = ["LiquidationDistances"]

_TAILS: Final = 3.0
"""Standard deviations after which a spread loss is cut."""


@dataclass(frozen=True, kw_only=True)
class LiquidationDistances:
    """Losses at which positions are forced out, with the share of new open interest at each (method, section 4.3).

    Parameters
    ----------
    fractions
        Losses in (0, 1), ascending, as fractions of the entry price, at which a small position is forced out.
    weights
        Shares of new open interest; positive. What is left of 1 is forced out too far away to be placed, and must be at
        least half of the share of the nearer half of the losses: a taker imbalance moves as much.
    sizes_usd
        Notional of the positions with these losses, USD. A venue requires more maintenance margin for a larger
        position, so the same margin forces it out earlier.

    Examples
    --------
    >>> small = LiquidationDistances(fractions=(0.1,), weights=(1.0,), sizes_usd=(1e5,))
    >>> small.log_distances(contract("binance", "BTCUSDT")).round(3).tolist()
    [[-0.105], [0.095]]
    >>> round(LiquidationDistances().too_far, 2)
    0.49
    """

    # The loss of an account on cross margin, log-normal through two quantiles of the newly opened notional of large
    # traders on Hyperliquid (297,596 positions, February 2026): 17 % is lost within 10 % of the entry, and half within
    # 1 / 2.1, as notional over equity has the median 2.1. Shares of up to 3.75, 7, 10, 15, 20, 30 and 50 %.
    fractions: tuple[float, ...] = (0.025, 0.05, 0.085, 0.125, 0.175, 0.25, 0.4)
    weights: tuple[float, ...] = (0.06, 0.06, 0.05, 0.07, 0.06, 0.09, 0.12)
    sizes_usd: tuple[float, ...] = (1e5, 1e5, 3e5, 1e6, 3e6, 1e7, 1e7)

    def __post_init__(self) -> None:
        """Check the shares."""
        if not len(self.fractions) == len(self.weights) == len(self.sizes_usd) or not self.fractions:
            raise ParameterError("`fractions`, `weights` and `sizes_usd` must be of one length and not empty")
        if not all(0.0 < x < 1.0 for x in self.fractions) or list(self.fractions) != sorted(set(self.fractions)):
            raise ParameterError(f"`fractions` must be in (0, 1) and ascend, were {self.fractions}")
        if not all(w > 0.0 for w in self.weights) or sum(self.weights) > 1.0 + 1e-12:
            raise ParameterError(f"`weights` must be positive and sum to at most 1, were {self.weights}")
        if self.nearer and 0.5 * sum(self.weights[: self.nearer]) > self.too_far + 1e-12:
            raise ParameterError(
                f"`weights` must leave half of those of the nearer losses, {self.weights[: self.nearer]}, for what is "
                f"too far, left {self.too_far:g}: a taker imbalance takes as much from it"
            )
        if not all(size > 0.0 for size in self.sizes_usd):
            raise ParameterError(f"`sizes_usd` must be positive, were {self.sizes_usd}")

    @property
    def nearer(self) -> int:
        """Number of the losses, from the nearest on, that a taker imbalance moves: half of them."""
        return len(self.fractions) // 2

    @property
    def too_far(self) -> float:
        """Share of new open interest that is forced out too far away to be placed, if at all."""
        return 1.0 - sum(self.weights)

    def log_distances(self, tiers: Contract) -> Floats:
        """Return the log distances of longs (below, negative) and of shorts (above), shape (2, n).

        The margin tiers of the contract must cover `sizes_usd`.
        """
        first = tiers.tiers[0].maintenance_rate
        out = np.empty((2, len(self.fractions)))
        for row, side in enumerate((1, -1)):
            for column, (loss, size) in enumerate(zip(self.fractions, self.sizes_usd, strict=True)):
                # The margin with which the first tier forces a small position out at exactly this loss.
                margin = side - (side - loss) * (1.0 - side * first)
                price = liquidation_price(tiers, side=side, entry=1.0, quantity=size, leverage=1.0 / margin)
                out[row, column] = math.log(price)
        return out

    def default_log_distances(self) -> Floats:
        """Return `log_distances` under the one confirmed table of margin tiers, that of BTCUSDT at Binance."""
        return self.log_distances(contract("binance", "BTCUSDT"))

    def shares_by_bin(self, log_distances: Floats, *, bin_width: float, spread: float) -> Floats:
        """Spread the losses over the bins around an entry in the centre of its bin.

        Parameters
        ----------
        log_distances
            Of the losses, longs then shorts, shape (2, n).
        bin_width
            Width of a bin, log price.
        spread
            Standard deviation of a loss, log price, > 0. A position is not lost at a gain: the normal distribution is
            cut at the entry, and after three standard deviations, and keeps its share.

        Returns
        -------
        ndarray
            Shares of new open interest in ascending order of price: longs from the farthest bin to that of the entry,
            shorts from there to the farthest; of each all losses, then the nearer ones alone. Shape (2, 2, n). The
            outermost share has no bin: it is too far. So the shares of all losses sum to 1, and those of the nearer to
            0: what a taker imbalance adds to them is taken from what is too far.

        Examples
        --------
        >>> losses = LiquidationDistances(fractions=(0.1,), weights=(0.6,), sizes_usd=(1e5,))
        >>> shares = losses.shares_by_bin(np.array([[-0.11], [0.09]]), bin_width=0.01, spread=0.02)[:, 0]
        >>> shares.sum(axis=1).round(9).tolist(), shares[[0, 1], [0, -1]].round(9).tolist()
        ([1.0, 1.0], [0.4, 0.4])
        >>> int(shares[1, :-1].argmax())
        9
        """
        distances = np.abs(log_distances)[..., None]
        nearest, farthest = np.maximum(distances - _TAILS * spread, 0.0), distances + _TAILS * spread
        bins = math.ceil(float(farthest.max()) / bin_width + 0.5)
        edges = np.clip((np.arange(bins + 1) - 0.5) * bin_width, nearest, farthest)
        below = ndtr((edges - distances) / spread)
        within = np.diff(below, axis=-1) / (below[..., -1:] - below[..., :1])
        shares = within * np.array(self.weights)[:, None]
        placed = np.stack([shares.sum(axis=1), shares[:, : self.nearer].sum(axis=1)], axis=1)
        too_far = np.array([[1.0], [0.0]]) - placed.sum(axis=-1, keepdims=True)
        outwards = np.concatenate([placed, too_far], axis=-1)
        return np.stack([outwards[0, :, ::-1], outwards[1]])
