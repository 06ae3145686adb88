"""Scores of one symbol bar by bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import MissingDataError, ParameterError
from slackwater.features.engine import FeatureEngine
from slackwater.market.columns import is_name
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import INPUTS
from slackwater.models.targets import TARGETS
from slackwater.numbers import brief
from slackwater.scoring.quality import DataQuality
from slackwater.trading.score import CONTEXT, MarketContext, Score
from slackwater.types import Floats

if TYPE_CHECKING:
    from slackwater.scoring.scorer import ReversalScorer

__all__ = ["EventScore", "ScoreStream"]

_GATE_OUTPUTS: Final = tuple(column for target in TARGETS for column in target.columns)


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


class ScoreStream:
    """Scores of one symbol bar by bar, from the same kernels and models as `ReversalScorer.score`."""

    def __init__(self, scorer: ReversalScorer, symbol: str) -> None:
        if not (isinstance(symbol, str) and is_name(symbol)):
            raise ParameterError(f"`symbol` must be a name such as 'BTCUSDT', was {brief(symbol)}")
        self.symbol = symbol
        self._scorer = scorer
        self._engine = FeatureEngine(scorer._engine.families)
        self._warm_up = scorer.warm_up
        names = self._engine.names
        self._triggers = np.array([names.index(name) for name in scorer._triggers], dtype=np.intp)
        self._context = [(name, names.index(name)) for name in CONTEXT if name in names]
        self._passed = [(name, INPUTS.index(name)) for name in CONTEXT if name not in names]

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
        frame, _ = self._scorer._frame(tables)
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
        scorer = self._scorer
        span = self._engine.span_of(self.symbol)
        features = self._engine.update(taken)
        (event,), (fired,) = scorer._fired(features[None, self._triggers])
        outputs = {name: np.nan for each in scorer._models.values() for name in each.target.columns}
        missing: tuple[str, ...] = ()
        out_of_range: tuple[str, ...] = ()
        if event:
            values = features[scorer._columns]
            oriented = scorer._orientation.apply(values[None, :], np.array([event]))
            outputs = {name: float(column[0]) for name, column in scorer._outputs(oriented).items()}
            missing = scorer._missing(~np.isnan(values))
            (out_of_range,) = scorer._training_range.out_of_range(oriented, scorer._orientation.columns)
        of_gate: dict[str, Any] = {name: outputs.pop(name) for name in _GATE_OUTPUTS}
        context: dict[str, Any] = {name: float(features[at]) for name, at in self._context}
        context |= {name: float(taken.values[at]) for name, at in self._passed}
        return EventScore(
            symbol=self.symbol,
            event_time=taken.event_time,
            available_time=taken.event_time + scorer._spec.decision_lag,
            direction=int(event),
            triggers=fired,
            missing_features=missing,
            out_of_range_features=out_of_range,
            features=features,
            other_outputs=outputs,
            quality=DataQuality.of_bar(taken, span, spec=scorer._spec, warm_up=self._warm_up),
            **of_gate,
            context=MarketContext(**context),
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
