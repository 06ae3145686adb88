"""A scorer's answer for one symbol at one decision, and the market context that it was made in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import DataError, SchemaError
from slackwater.market.columns import mapping_of
from slackwater.numbers import brief, exact_number
from slackwater.times import DAY

__all__ = [
    "CONTEXT",
    "OF_MODELS",
    "SCORE_COLUMNS",
    "VOLATILITY_CAP",
    "VOLATILITY_FLOOR",
    "MarketContext",
    "Score",
    "event_scores",
    "row_numbers",
    "score_context",
]

VOLATILITY_FLOOR: Final = 0.005
VOLATILITY_CAP: Final = 0.25
"""Range to which the daily volatility is clipped where barriers and brackets are placed, fraction per sqrt(day)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketContext:
    """Prices, ranges and liquidity at one bar close: what a trade is planned on besides the models.

    Numbers are taken as they come, NaN included: the gate decides whether they may be traded on. Text that is not a
    number is refused with SchemaError.

    Parameters
    ----------
    close
        Last price of the bar, USDT.
    volatility_daily
        Standard deviation of log returns per square root of a day, fraction.
    atr_1h
        Mean true range on the scale of an hour, fraction of price.
    distance_to_high_24h, distance_to_low_24h, distance_to_high_72h, distance_to_low_72h
        ``log(high / close)`` and ``log(close / low)`` of the last 24 h and 72 h, current bar included, >= 0.
    volume_24h
        Coins traded in the last 24 h.
    depth_bid_1pct, depth_ask_1pct
        Coins resting within 1 % of mid; NaN if the venue gives none.
    swept_extreme_distance_above, swept_extreme_distance_below
        Log distance from the close to the extreme of the last sweep within 24 h, negative once the price has
        passed it again; NaN if there was none.
    pool_distance_above, pool_distance_below
        Log distance from the close to the densest bin of the liquidation map, where that bin is a pool; NaN if
        there is none, or no map.
    trend_efficiency_72h
        Net move of 72 h over the distance walked, in [-1, 1]; NaN if unknown.
    """

    close: float
    volatility_daily: float
    atr_1h: float
    distance_to_high_24h: float
    distance_to_low_24h: float
    distance_to_high_72h: float
    distance_to_low_72h: float
    volume_24h: float
    depth_bid_1pct: float
    depth_ask_1pct: float
    swept_extreme_distance_above: float = math.nan
    swept_extreme_distance_below: float = math.nan
    pool_distance_above: float = math.nan
    pool_distance_below: float = math.nan
    trend_efficiency_72h: float = math.nan

    def __post_init__(self) -> None:
        if {*map(type, _numbers_of_context(self))} != {float}:
            _take_numbers(self, CONTEXT)

    @property
    def depth_1pct(self) -> float:
        """Coins resting within 1 % of mid on the thinner side; NaN if the venue gives none."""
        return min(self.depth_bid_1pct, self.depth_ask_1pct)

    def sd_over(self, horizon: timedelta) -> float:
        """Return the standard deviation of the log return over a horizon: the unit of barriers and brackets.

        The daily volatility is clipped to [`VOLATILITY_FLOOR`, `VOLATILITY_CAP`] and grows with the root of time.
        """
        daily = min(max(self.volatility_daily, VOLATILITY_FLOOR), VOLATILITY_CAP)
        return daily * math.sqrt(horizon / DAY)

    @classmethod
    def from_row(cls, row: Mapping[str, Any] | pd.Series) -> MarketContext:
        """Return the context in a row that has every field of `CONTEXT`; raise SchemaError if one is not a number."""
        return cls(**row_numbers(row, CONTEXT))


CONTEXT: Final = tuple(field.name for field in fields(MarketContext))
"""Columns of the features table that a gate needs besides the probabilities."""

OF_MODELS: Final = ("p_direction", "p_hit", "trade_edge", "trade_edge_low")
"""Fields of a score that are outputs of models."""
# One is made at every bar, nearly always of floats: all of them are looked at in one go.
_numbers_of_context, _numbers_of_models = attrgetter(*CONTEXT), attrgetter(*OF_MODELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One row of a scorer's answer.

    Parameters
    ----------
    symbol
        For example ``"BTCUSDT"``.
    event_time
        Close of the bar that the score describes, UTC.
    available_time
        Earliest time at which the score could have been known (`event_time` + decision lag), UTC.
    direction
        +1 the prior move went up, -1 down, 0 no event at this bar.
    context
        Prices, ranges and liquidity at that close.
    p_direction
        Calibrated probability of a reversal rather than a continuation, in [0, 1]; NaN where there is no event.
    p_hit
        Calibrated probability that the reversal barrier is hit within the horizon, in [0, 1]; NaN likewise.
    trade_edge, trade_edge_low
        Log-odds that the model of the trade adds to its fair odds (`trading.payoff.Payoff`), and their lower bound,
        which nine in ten keep; NaN where there is none.
    missing_features
        Features that should be known but are NaN.
    out_of_range_features
        Features outside of the range that the models were trained on, named where there are too many to trust the
        score.
    triggers
        Names of the triggers that fired in the direction of the score.

    Raises
    ------
    SchemaError
        If `direction` is none of +1, 0, -1, the symbol is empty, or a time is naive.
    """

    symbol: str
    event_time: datetime
    available_time: datetime
    direction: int
    context: MarketContext
    p_direction: float
    p_hit: float
    trade_edge: float = math.nan
    trade_edge_low: float = math.nan
    missing_features: tuple[str, ...] = ()
    out_of_range_features: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (isinstance(self.symbol, str) and self.symbol):
            raise SchemaError(f"`symbol` of a score must be a name such as 'BTCUSDT', was {brief(self.symbol)}")
        if not (isinstance(self.direction, (int, np.integer)) and self.direction in (-1, 0, 1)):
            raise SchemaError(f"`direction` of a score must be +1, 0 or -1, was {brief(self.direction)}")
        if not isinstance(self.context, MarketContext):
            raise SchemaError(f"`context` of a score must be a MarketContext, was a {type(self.context).__name__}")
        if {*map(type, _numbers_of_models(self))} != {float}:
            _take_numbers(self, OF_MODELS)
        for name in ("event_time", "available_time"):
            time = getattr(self, name)
            if not isinstance(time, datetime) or time.tzinfo is None:  # NaT has none
                raise SchemaError(f"`{name}` of a score must be a time with a time zone, was {brief(time)}")

    @classmethod
    def from_row(cls, row: Mapping[str, Any] | pd.Series) -> Score:
        """Return the score in a row of the scorer's table.

        Parameters
        ----------
        row
            Every column of `SCORE_COLUMNS`; others are ignored. A `direction` of NaN (features not yet warm) is not
            an event.

        Raises
        ------
        SchemaError
            If a column is missing or a value is of the wrong kind.
        """
        row = mapping_of(row, "a row of scores")
        missing = [name for name in SCORE_COLUMNS if name not in row]
        if missing:
            raise SchemaError(f"a row of scores lacks the columns {', '.join(missing)}")
        return cls(
            symbol=row["symbol"],
            event_time=row["event_time"],
            available_time=row["available_time"],
            direction=_whole(row_numbers(row, ["direction"])["direction"]),
            context=MarketContext.from_row(row),
            missing_features=_names(row, "missing_features"),
            out_of_range_features=_names(row, "out_of_range_features"),
            triggers=_names(row, "triggers"),
            **row_numbers(row, OF_MODELS),
        )


SCORE_COLUMNS: Final = tuple(
    name for field in fields(Score) for name in (CONTEXT if field.name == "context" else (field.name,))
)
"""Columns of a table of scores: the fields of `Score`, with those of its context in place of the context."""


def row_numbers(row: Mapping[str, Any] | pd.Series, names: Iterable[str]) -> dict[str, float]:
    """Return numbers of a row of scores by name; NaN stays.

    Raises
    ------
    SchemaError
        If a value is not a number; with the name.
    """
    return {name: _number(name, row[name]) for name in names}


def _number(name: str, value: Any) -> float:
    try:
        return exact_number(value)
    except ValueError as error:
        raise SchemaError(f"`{name}` of a score {error}") from None


def _take_numbers(instance: Any, names: Iterable[str]) -> None:
    """Make floats of the fields of a frozen instance that are none yet."""
    for name in names:
        value = getattr(instance, name)
        if type(value) is not float:
            object.__setattr__(instance, name, _number(name, value))


def _whole(direction: float) -> int:
    if direction != direction:  # NaN
        return 0
    if direction not in (-1.0, 0.0, 1.0):
        raise SchemaError(f"`direction` of a score must be +1, 0, -1 or NaN, was {direction}")
    return int(direction)


def _names(row: Mapping[str, Any] | pd.Series, column: str) -> tuple[str, ...]:
    value = row[column]
    if isinstance(value, str) or not isinstance(value, Iterable):
        what = "triggers" if column == "triggers" else "features"
        raise SchemaError(f"`{column}` of a score must name {what} in a sequence, was {brief(value)}")
    if type(value) is tuple and {*map(type, value)} <= {str}:
        return value  # many events share it
    return tuple(str(name) for name in value)


def score_context(features: pd.DataFrame, model_features: Sequence[str]) -> pd.DataFrame:
    """Return what scores need of rows of features, which are many columns: the market, and what is not known.

    Parameters
    ----------
    features
        `symbol`, `event_time`, `available_time`, `CONTEXT` and `model_features`.
    model_features
        Names of the features that should be known; the gate refuses where one is not, as it does live.

    Returns
    -------
    DataFrame
        `symbol`, `event_time`, `available_time`, `CONTEXT` and `missing_features`, a tuple of names.
    """
    unknown = features[list(model_features)].isna().to_numpy()
    missing = [tuple(model_features[int(at)] for at in np.flatnonzero(row)) for row in unknown]
    columns = list(dict.fromkeys(["symbol", "event_time", "available_time", *CONTEXT]))
    # A copy: columns that Arrow has read would hold its memory.
    kept = features[columns].copy()
    return kept.assign(missing_features=pd.Series(missing, index=features.index, dtype=object))


def event_scores(predictions: pd.DataFrame, labels: pd.DataFrame, context: pd.DataFrame) -> pd.DataFrame:
    """Return predicted events that trade as the scores that `slackwater.trading.backtest.Backtest` reads.

    Parameters
    ----------
    predictions
        `symbol`, `event_time`, `trained_until` (when the last label that the models were trained on was known) and
        the results of the models: `p_direction`, `p_hit`, `trade_edge`, `trade_edge_low`, `out_of_range_features`.
    labels
        `symbol`, `event_time` and the `direction` of each event; its `triggers`, joined by "+", and whether it
        `trades`, where there are such columns. Without, every event trades.
    context
        Of `score_context`.

    Raises
    ------
    SchemaError
        If an event has no row of features.
    DataError
        If a prediction is in sample: its models were trained on labels that became known after the event.
    """
    keys = ["symbol", "event_time"]
    in_sample = predictions["trained_until"] >= predictions["event_time"]
    if in_sample.any():
        first = predictions.loc[in_sample].iloc[0]
        raise DataError(
            f"{int(in_sample.sum())} of {len(predictions)} predictions are in sample, first {first['symbol']} "
            f"at {first['event_time']}: its models were trained on labels known until {first['trained_until']}; "
            f"only out-of-sample predictions can be traded"
        )
    events = labels[[*keys, "direction"]].assign(
        triggers=[tuple(filter(None, names.split("+"))) for names in labels.get("triggers", [""] * len(labels))],
        trades=labels.get("trades", True),
    )
    out = predictions[[*keys, *OF_MODELS, "out_of_range_features"]].merge(events, on=keys, validate="1:1")
    out = out.merge(context, on=keys, validate="1:1")
    if len(out) != len(predictions):
        raise SchemaError(f"{len(predictions) - len(out)} of {len(predictions)} predictions have no label or features")
    return out[out["trades"].to_numpy()].drop(columns="trades").reset_index(drop=True)
