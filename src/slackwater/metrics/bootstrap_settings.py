"""Settings of an evaluation and its block bootstrap; reading them imports no compiled code."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from slackwater.settings import Within, settings
from slackwater.times import DAY

__all__ = ["BootstrapSettings", "EvaluationSettings"]


@settings
class BootstrapSettings:
    """Settings of the block bootstrap (`slackwater.metrics.selection.bootstrap_interval`).

    Parameters
    ----------
    draws
        Number of draws, >= 100: fewer do not resolve a 95 % interval.
    mean_block
        Mean length of a block, >= 1 day.
    seed
        Seed of the draws, >= 0.
    """

    draws: Annotated[int, Within(ge=100)] = 2000
    mean_block: Annotated[timedelta, Within(ge=DAY)] = 14 * DAY
    seed: Annotated[int, Within(ge=0)] = 0


@settings
class EvaluationSettings(BootstrapSettings):
    """Settings of an evaluation: its bootstrap, and how much is measured.

    Parameters
    ----------
    draws, mean_block, seed
        As in `BootstrapSettings`.
    depth
        ``"quick"``; or ``"full"``: models are fitted again without each family of features and without each symbol,
        and more random entries stand for each trade.
    """

    depth: Literal["quick", "full"] = "quick"
