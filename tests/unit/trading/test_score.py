"""A score is read from a row by name, and a malformed row is refused by name."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from slackwater.errors import DataError, SchemaError
from slackwater.storage import read_parquet_parts, write_parquet
from slackwater.trading.score import CONTEXT, SCORE_COLUMNS, Score, event_scores, score_context
from tests.trading import row_of


def same(one: Score, other: Score) -> bool:
    """Whether all fields agree, NaN agreeing with NaN."""
    return repr(row_of(one)) == repr(row_of(other))


def test_a_row_survives_the_table(make_score: Callable[..., Score]) -> None:
    """Catches a field read under another name, and types that pandas changed on the way."""
    names = [*CONTEXT, "p_direction", "p_hit", "trade_edge", "trade_edge_low"]
    numbers = {name: 0.01 * place for place, name in enumerate(names)} | {"depth_bid_1pct": math.nan}
    score = make_score(missing_features=("funding_rate",), out_of_range_features=("spread", "depth"), **numbers)
    table = pd.DataFrame([row_of(score) | {"return_24h": 0.1}])
    table["direction"] = table["direction"].astype("int8")
    for row in (table.iloc[0], table.to_dict("records")[0]):
        read = Score.from_row(row)
        assert same(read, score)
        assert type(read.direction) is int
        assert type(read.trade_edge_low) is float


@pytest.mark.parametrize("direction", [math.nan, np.nan, 0.0])
def test_direction_that_is_not_warm_is_no_event(make_score: Callable[..., Score], direction: float) -> None:
    """Catches int(nan)."""
    assert Score.from_row(row_of(make_score()) | {"direction": direction}).direction == 0


@pytest.mark.parametrize("name", SCORE_COLUMNS)
def test_missing_column_is_named(make_score: Callable[..., Score], name: str) -> None:
    """Catches a default that hides an absent column."""
    row = row_of(make_score())
    del row[name]
    with pytest.raises(SchemaError, match=name):
        Score.from_row(row)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"direction": 0.5}, "direction"),
        ({"direction": "up"}, "must be a number"),
        ({"close": "dear"}, "must be a number"),
        ({"close": None}, "must be a number"),
        ({"symbol": ""}, "symbol"),
        ({"symbol": 7}, "symbol"),
        ({"event_time": pd.Timestamp("2024-03-01")}, "event_time"),
        ({"available_time": pd.NaT}, "available_time"),
        ({"missing_features": "funding_rate"}, "in a sequence"),
        ({"missing_features": math.nan}, "in a sequence"),
        ({"out_of_range_features": "funding_rate"}, "in a sequence"),
        ({"trade_edge": "large"}, "must be a number"),
    ],
)
def test_malformed_rows_are_refused(make_score: Callable[..., Score], change: dict[str, Any], named: str) -> None:
    """Catches a naive time, a name spelled into letters, and text where a number belongs."""
    with pytest.raises(SchemaError, match=named):
        Score.from_row(row_of(make_score()) | change)


def tables(make_score: Callable[..., Score]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Predictions, labels and features of two events, the features of a third bar with them."""
    rows = []
    for hours, direction in ((0, -1), (5, 1), (9, 0)):
        score = make_score(direction=direction, p_direction=0.6 + 0.01 * hours)
        later = {name: getattr(score, name) + pd.Timedelta(hours=hours) for name in ("event_time", "available_time")}
        rows.append(row_of(score) | later | {"funding_rate": math.nan if hours else 0.0001, "return_24h": -0.05})
    table = pd.DataFrame(rows)
    keys = ["symbol", "event_time"]
    features = table[[*keys, "available_time", *CONTEXT, "funding_rate", "return_24h"]]
    predictions = table.loc[
        :1, [*keys, "p_direction", "p_hit", "trade_edge", "trade_edge_low", "out_of_range_features"]
    ]
    predictions = predictions.assign(trained_until=predictions["event_time"] - pd.Timedelta("1h"))
    return predictions, table.loc[:1, [*keys, "direction"]], features


def test_predicted_events_become_scores(make_score: Callable[..., Score]) -> None:
    """Catches a row joined to another event, and an unknown feature that the backtest trades on and live does not."""
    predictions, labels, features = tables(make_score)
    out = event_scores(predictions.iloc[::-1], labels, score_context(features, ["funding_rate", "return_24h", "close"]))
    first, second = (Score.from_row(row) for row in out.sort_values("event_time").to_dict("records"))
    assert same(first, make_score(p_direction=0.6))
    assert (second.direction, second.p_direction) == (1, pytest.approx(0.65))
    assert second.missing_features == ("funding_rate",)


def test_rows_that_only_train_are_not_scores(make_score: Callable[..., Score]) -> None:
    """Catches a backtest on the bars that models learn from, and a score that does not name what fired."""
    predictions, labels, features = tables(make_score)
    labels = labels.assign(triggers=["extended_move+cusum", ""], trains=True, trades=[True, False])
    (row,) = event_scores(predictions, labels, score_context(features, ["funding_rate"])).to_dict("records")
    assert Score.from_row(row).triggers == ("extended_move", "cusum")
    assert Score.from_row(row).event_time == labels["event_time"].iloc[0]
    everything = event_scores(predictions, labels.drop(columns=["triggers", "trades"]), score_context(features, []))
    assert everything["triggers"].tolist() == [(), ()]


def test_predictions_in_sample_cannot_be_traded(make_score: Callable[..., Score]) -> None:
    """Catches a backtest on events that the models have learned from, be it one that was settled at the very bar."""
    predictions, labels, features = tables(make_score)
    predictions.loc[1, "trained_until"] = predictions.loc[1, "event_time"]
    with pytest.raises(DataError, match="1 of 2 predictions are in sample"):
        event_scores(predictions, labels, score_context(features, []))


def test_a_prediction_without_features_is_refused(make_score: Callable[..., Score]) -> None:
    """Catches an event that an inner join drops in silence."""
    predictions, labels, features = tables(make_score)
    with pytest.raises(SchemaError, match="1 of 2 predictions have no label or features"):
        event_scores(predictions, labels, score_context(features.drop(index=1), []))
    with pytest.raises(SchemaError, match="1 of 2 predictions have no label or features"):
        event_scores(predictions, labels.drop(index=1), score_context(features, []))


def test_what_scores_need_does_not_hold_what_it_was_read_from(tmp_path: Path) -> None:
    """Caught: columns of Arrow, 12 MiB per symbol, alive as long as the context of its events."""
    keys = {"symbol": "BTCUSDT", "event_time": pd.Timestamp("2024-01-01", tz="UTC")}
    rows = pd.DataFrame(np.zeros((50_000, len(CONTEXT))), columns=list(CONTEXT)).assign(**keys, available_time=0)
    write_parquet(rows, tmp_path / "features.parquet")
    before = pa.total_allocated_bytes()
    found = [score_context(part, ["close"]) for part in read_parquet_parts(tmp_path / "features.parquet")]
    assert sum(map(len, found)) == len(rows)
    assert pa.total_allocated_bytes() - before < rows[list(CONTEXT)].to_numpy().nbytes / 3
