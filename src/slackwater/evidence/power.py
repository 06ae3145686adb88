"""Power of a sample of trades, and false promotions of a verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["FalsePromotions", "Power"]


@dataclass(frozen=True, kw_only=True)
class Power:
    """What a sample of trades could have shown (method, section 3.2); NaN where that cannot be stated.

    Parameters
    ----------
    n_trades
        Trades of the sample.
    smallest_visible_effect_bps
        Smallest mean result with t = 3, basis points per trade.
    years_to_see_15_bps
        Years of such data that a mean of 15 bps per trade needs for t = 3.
    """

    n_trades: int = 0
    smallest_visible_effect_bps: float = math.nan
    years_to_see_15_bps: float = math.nan

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> Power:
        """Return the power that metrics of trades state."""
        return cls(**{name: metrics[name] for name in cls.__dataclass_fields__ if name in metrics})

    def sentence(self, trades: str) -> str:
        """Return it in words, "" where it cannot be stated."""
        if math.isnan(self.smallest_visible_effect_bps):
            return ""
        return (
            f"The {self.n_trades:,} {trades} would show a mean result of {self.smallest_visible_effect_bps:.3g} bps "
            f"per trade (t = 3); to show 15 bps takes {self.years_to_see_15_bps:.3g} years of such data."
        )


@dataclass(frozen=True, kw_only=True)
class FalsePromotions:
    """How often this verdict called the luckiest of many trials eligible where there was nothing to find.

    Parameters
    ----------
    markets
        Simulated markets without an edge, at least 1.
    eligible
        How many of them were called eligible.
    """

    markets: int
    eligible: int

    @classmethod
    def of(cls, campaign: Mapping[str, Any]) -> FalsePromotions:
        """Return those of a result of ``python -m campaigns.promotions``: markets with ``signal`` and ``verdict``."""
        rows = [row["verdict"] for row in campaign["markets"] if not row["signal"]]
        return cls(markets=len(rows), eligible=rows.count("eligible"))

    @property
    def sentence(self) -> str:
        """Return it in words."""
        return f"{self.eligible} of {self.markets} simulated markets without any edge pass this gate."
