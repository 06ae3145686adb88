"""The example family with one bug: its kernel reads beyond its row, where history keeps the next bar."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from examples.my_features import PressureFamily
from slackwater.features.family import Feature
from slackwater.features.intermediates import VOLATILITY
from slackwater.market.inputs import CLOSE
from slackwater.operators import family_kernel
from slackwater.types import Floats


@family_kernel
def _advance(state, constants, row, out):  # type: ignore[no-untyped-def]
    # The close of "the row before" is looked up on the wrong side of this one.
    out[0] = math.log(row[row.size + CLOSE] / row[CLOSE]) / row[VOLATILITY]


@dataclass(frozen=True, kw_only=True)
class LeakyFamily(PressureFamily):
    """A move that has not happened yet."""

    name: ClassVar[str] = "leaky"
    advance = staticmethod(_advance)

    def features(self) -> tuple[Feature, ...]:
        return (self.odd("last_move", "log(c_T / c_{T-1}) / sd", "standard deviations", inputs=("close",)),)

    def constants(self) -> Floats:
        return np.array([0.0])

    def state_size(self) -> int:
        return 1
