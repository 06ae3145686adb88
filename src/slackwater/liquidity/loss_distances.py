"""Losses at which leveraged positions are forced out, as measured, and their log distances from the entry."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from slackwater.errors import ParameterError
from slackwater.market.contracts import Contract, contract, liquidation_price
from slackwater.types import Floats

__all__ = ["LiquidationDistances"]


@dataclass(frozen=True, kw_only=True)
class LiquidationDistances:
    """Losses at which positions are forced out, with the share of new open interest at each.

    Parameters
    ----------
    fractions
        Losses in (0, 0.5), as fractions of the entry price, at which a small position is forced out.
    weights
        Shares of new open interest; positive, at most 1 together (the rest is too far to matter).
    sizes_usd
        Notional of the positions with these losses, USD. A venue requires more maintenance margin for a larger
        position, so the same margin forces it out earlier.

    Notes
    -----
    The default losses are the distribution of isolated notional measured on Hyperliquid positions (method, section
    4.3): 32 % below 7 %, 15 % at 7-10 %, 4 % at 10-15 %, 11 % at 15-20 %, 15 % at 20-30 %. The margin that leaves a
    small position with that loss is put under the venue's tiers at the size (method, section 4.2). The sizes are a
    judgement: the larger a position, the less leverage a venue allows it.

    Examples
    --------
    >>> small = LiquidationDistances(fractions=(0.1,), weights=(1.0,), sizes_usd=(1e5,))
    >>> small.log_distances(contract("binance", "BTCUSDT")).round(3).tolist()
    [[-0.105], [0.095]]
    >>> large = LiquidationDistances(fractions=(0.1,), weights=(1.0,), sizes_usd=(5e7,))
    >>> large.log_distances(contract("binance", "BTCUSDT")).round(3).tolist()
    [[-0.092], [0.082]]
    """

    fractions: tuple[float, ...] = (0.025, 0.05, 0.085, 0.125, 0.175, 0.25)
    weights: tuple[float, ...] = (0.16, 0.16, 0.15, 0.04, 0.11, 0.15)
    sizes_usd: tuple[float, ...] = (1e5, 1e5, 3e5, 1e6, 3e6, 1e7)

    def __post_init__(self) -> None:
        """Check the shares."""
        if not len(self.fractions) == len(self.weights) == len(self.sizes_usd) or not self.fractions:
            raise ParameterError("`fractions`, `weights` and `sizes_usd` must be of one length and not empty")
        if not all(0.0 < x < 0.5 for x in self.fractions):
            raise ParameterError(f"`fractions` must be in (0, 0.5), were {self.fractions}")
        if not all(w > 0.0 for w in self.weights) or sum(self.weights) > 1.0 + 1e-12:
            raise ParameterError(f"`weights` must be positive and sum to at most 1, were {self.weights}")
        if not all(size > 0.0 for size in self.sizes_usd):
            raise ParameterError(f"`sizes_usd` must be positive, were {self.sizes_usd}")

    def log_distances(self, tiers: Contract) -> Floats:
        """Return the log distances of longs (below, negative) and of shorts (above), shape (2, n).

        Parameters
        ----------
        tiers
            The contract whose margin tiers hold; must cover `sizes_usd`.
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
