"""A score is read from a row by name, and a malformed row is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import SchemaError
from slackwater.trading.score import Score


def test_a_row_survives_the_table(make_score: Callable[..., Score]) -> None:
    """Catches a field read under another name, and types that pandas changed on the way."""
    score = make_score(missing_features=("funding_rate",), depth_bid_1pct=math.nan)
    table = pd.DataFrame([asdict(score) | {"return_24h": 0.1}])
    table["direction"] = table["direction"].astype("int8")
    for row in (table.iloc[0], table.to_dict("records")[0]):
        read = Score.from_row(row)
        assert math.isnan(read.depth_bid_1pct)
        assert asdict(read) | {"depth_bid_1pct": 0.0} == asdict(score) | {"depth_bid_1pct": 0.0}
        assert type(read.direction) is int


@pytest.mark.parametrize("direction", [math.nan, np.nan, 0.0])
def test_direction_that_is_not_warm_is_no_event(make_score: Callable[..., Score], direction: float) -> None:
    """Catches int(nan)."""
    assert Score.from_row(asdict(make_score()) | {"direction": direction}).direction == 0


@pytest.mark.parametrize("name", ["p_direction", "atr_bar", "missing_features", "event_time"])
def test_missing_column_is_named(make_score: Callable[..., Score], name: str) -> None:
    """Catches a default that hides an absent column."""
    row = asdict(make_score())
    del row[name]
    with pytest.raises(SchemaError, match=name):
        Score.from_row(row)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"direction": 0.5}, "direction"),
        ({"direction": "up"}, "no number"),
        ({"close": "dear"}, "no number"),
        ({"close": None}, "no number"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": 7}, "symbol"),
        ({"event_time": pd.Timestamp("2024-03-01")}, "event_time"),
        ({"available_time": pd.NaT}, "available_time"),
        ({"missing_features": "funding_rate"}, "missing_features"),
        ({"missing_features": math.nan}, "missing_features"),
    ],
)
def test_malformed_rows_are_refused(make_score: Callable[..., Score], change: dict[str, Any], named: str) -> None:
    """Catches a naive time, a name spelled into letters, and text where a number belongs."""
    with pytest.raises(SchemaError, match=named):
        Score.from_row(asdict(make_score()) | change)
