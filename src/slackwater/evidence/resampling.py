"""The block bootstrap with which an evaluation makes its intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pandas as pd

from slackwater.metrics.bootstrap_settings import BootstrapSettings
from slackwater.metrics.selection import bootstrap_difference, bootstrap_interval

__all__ = ["Resampling"]


class Resampling(BootstrapSettings):
    """The block bootstrap of an evaluation: blocks of calendar time, all symbols of a block together."""

    __slots__ = ()

    @classmethod
    def of(cls, evaluation: Any) -> Resampling:
        """Return the bootstrap of the section `evaluation` of the parameters."""
        return cls(**{each.name: getattr(evaluation, each.name) for each in fields(BootstrapSettings)})

    def interval(self, statistic: Callable[..., float], times: pd.Series, *arrays: Any) -> tuple[float, float]:
        """Return the 95 % interval of a statistic."""
        found = bootstrap_interval(
            statistic, times, *arrays, mean_block=self.mean_block, draws=self.draws, seed=self.seed
        )
        return found.low, found.high

    def difference(
        self, statistic: Callable[..., float], times: pd.Series, one: tuple[Any, ...], two: tuple[Any, ...]
    ) -> tuple[float, float]:
        """Return the 95 % interval of a paired difference."""
        found = bootstrap_difference(
            statistic, times, one, two, mean_block=self.mean_block, draws=self.draws, seed=self.seed
        )
        return found.low, found.high
