"""Objects from outside of the library that several tests add to it: a table of spot prices, and a model."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any, ClassVar

import numpy as np

from slackwater.market.tables import STAMP, Column, Table, newest

SPOT_BASIS = Table(
    name="spot_basis",
    columns=(*STAMP, Column(name="basis", kind="number", unit="fraction")),
    key=("symbol", "event_time"),
    lag=timedelta(seconds=2),
    inputs=("spot_basis",),
    signed=("spot_basis",),
    join=newest("basis"),
    staleness=timedelta(minutes=20),
)


class ToyModel:
    """Log-odds of the share of ones: the smallest model there is."""

    text_format: ClassVar[str] = "toy"

    def __init__(self, constant: float = 0.0) -> None:
        self.constant = constant

    def fit(self, X: Any, y: Any, sample_weight: Any, *, init_score: Any = None) -> ToyModel:
        share = float(np.average(y, weights=sample_weight))
        self.constant = float(np.log(share / (1.0 - share)))
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        return np.full(len(X), self.constant)

    predict_raw = decision_function

    def to_text(self) -> str:
        return json.dumps(self.constant)

    @classmethod
    def from_text(cls, text: str) -> ToyModel:
        return cls(json.loads(text))
