"""Scores of one symbol bar by bar."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import MissingDataError, ParameterError
from slackwater.features.engine import FeatureEngine
from slackwater.market.columns import is_name
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import INPUTS
from slackwater.numbers import brief
from slackwater.scoring.quality import DataQuality
from slackwater.times import microseconds
from slackwater.trading.score import CONTEXT, OF_MODELS, MarketContext, Score
from slackwater.types import Floats
from slackwater.unchecked import unchecked

if TYPE_CHECKING:
    from slackwater.scoring.scorer import ReversalScorer

__all__ = ["EventScore", "ScoreStream"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventScore(Score):
    """A score with the features from which it was computed, for `ReversalScorer.explain`.

    Parameters
    ----------
    features
        All features at the decision, in the order of `FeatureEngine.names`.
    other_outputs
        Outputs of targets from outside the library by name, such as ``p_toy``; NaN where there is no event.
    quality
        How much history the score has, and how old, silent or back-filled the tables under it are.
    """

    features: Floats
    quality: DataQuality
    other_outputs: Mapping[str, float] = field(default_factory=dict)


_event_score = unchecked(
    EventScore,
    *("symbol", "event_time", "available_time", "direction", "context", *OF_MODELS),
    *("triggers", "missing_features", "out_of_range_features", "features", "quality", "other_outputs"),
)


class _Event(NamedTuple):
    """What the models say at one bar; direction 0 where there is no event."""

    direction: float
    outputs: Sequence[float]
    triggers: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    out_of_range: tuple[str, ...] = ()


class ScoreStream:
    """Scores of one symbol bar by bar, from the same kernels and models as `ReversalScorer.score`.

    One thread at a time may use a stream; those of several symbols may run side by side.
    """

    def __init__(self, scorer: ReversalScorer, symbol: str) -> None:
        if not (isinstance(symbol, str) and is_name(symbol)):
            raise ParameterError(f"`symbol` must be a name such as 'BTCUSDT', was {brief(symbol)}")
        self.symbol = symbol
        self._scorer = scorer
        self._engine = FeatureEngine(scorer._engine.families)
        self._warm_up, self._limits = scorer.warm_up, scorer._spec.staleness
        self._step = microseconds(scorer._spec.bar_interval)
        names = self._engine.names
        self._n_triggers = len(scorer._triggers)
        made, passed = [name for name in CONTEXT if name in names], [name for name in CONTEXT if name not in names]
        self._read = np.array([names.index(name) for name in (*scorer._triggers, *made)], dtype=np.intp)
        self._passed = np.array([INPUTS.index(name) for name in passed], dtype=np.intp)
        self._context_of = unchecked(MarketContext, *made, *passed)
        # A Timestamp takes a Timedelta faster than a timedelta.
        self._decision_lag = pd.Timedelta(scorer._spec.decision_lag).as_unit("us")
        columns = scorer._compiled.columns
        self._no_outputs = [math.nan] * len(columns)
        self._of_gate = itemgetter(*(columns.index(name) for name in OF_MODELS))
        self._others = [(name, at) for at, name in enumerate(columns) if name not in OF_MODELS]

    def warm(self, tables: Mapping[str, pd.DataFrame]) -> int:
        """Advance through history and return the number of bars; tables are checked and cleaned as by `score`.

        Parameters
        ----------
        tables
            As for `ReversalScorer.score`, of all symbols: some features are means over the others.

        Raises
        ------
        SchemaError, OrderError, DataError
            As `ReversalScorer.score`. The state is as it was.
        MissingDataError
            If the tables have no bars of the symbol.

        Warns
        -----
        DefectWarning, UniverseWarning
            As `ReversalScorer.score`.
        """
        frame, _ = self._scorer.frame(tables)
        return self.advance(frame)

    def advance(self, frame: MarketFrame) -> int:
        """Advance through the bars of a frame that the scorer made, and return their number."""
        bars = 0
        for row in frame.rows(self.symbol):
            self._engine.update(row)
            bars += 1
        return bars

    def update(self, row: FrameRow | Mapping[str, Any]) -> EventScore:
        """Advance by one bar and return its score.

        Parameters
        ----------
        row
            Row from `FrameStream.close`, or a mapping with `symbol`, `event_time`, the prices and the other inputs that
            are known (`FrameRow.from_mapping`).

        Returns
        -------
        EventScore
            Score with `direction` 0 and outputs of NaN where there is no event.

        Raises
        ------
        MissingDataError
            If the row is of another symbol.
        OrderError
            If it is not newer than the last one, off the grid of bars, or more than 366 days ahead.
        SchemaError
            If it is not a row, or a value is not a number that the input can take. The state is as it was.
        """
        taken = row if isinstance(row, FrameRow) else FrameRow.from_mapping(row)
        if taken.symbol != self.symbol:
            raise MissingDataError(f"this stream is of {self.symbol}, the row is of {taken.symbol}")
        before = self._engine.span_of(self.symbol)
        features = self._engine.update(taken)
        read = features[self._read].tolist()
        fired = read[: self._n_triggers]
        event = _Event(0.0, self._no_outputs)
        if 1.0 in fired or -1.0 in fired:
            event = self._event(features, fired)
        return _event_score(
            (
                self.symbol,
                taken.event_time,
                taken.event_time + self._decision_lag,
                int(event.direction),
                self._context_of((*read[self._n_triggers :], *taken.values[self._passed].tolist())),
                *self._of_gate(event.outputs),
                event.triggers,
                event.missing,
                event.out_of_range,
                features,
                DataQuality(
                    taken.time_us, self._step, before, self._warm_up, self._limits, taken.ages, taken.backfilled
                ),
                {name: event.outputs[at] for name, at in self._others} if self._others else {},
            )
        )

    def _event(self, features: Floats, fired: list[float]) -> _Event:
        """Return what the models say of an event, from its features and the values of the triggers."""
        scorer = self._scorer
        direction = next(value for value in fired if abs(value) == 1.0)
        *outputs, share_outside, n_missing = scorer._compiled(features[None, :], np.array([direction]))[0].tolist()
        unusual = scorer._unusual(features, direction, share_outside, n_missing)
        return _Event(
            direction, outputs, tuple(compress(scorer._triggers, [value == direction for value in fired])), *unusual
        )

    def save_state(self) -> dict[str, NDArray[Any]]:
        """Return the state of the symbol as plain arrays, fit for `slackwater.storage.write_arrays`.

        Arrays of several streams and of their `FrameStream` can be kept in one file, as a union of mappings.
        """
        return self._engine.save_state()

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from `save_state`; what else is in the arrays, such as other symbols, is left alone.

        Raises
        ------
        BundleError
            If the arrays have no state of the symbol, or one of other features, or a damaged one. The present state
            is as it was.
        """
        self._engine.load_symbol(arrays, self.symbol)
