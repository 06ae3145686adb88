"""The scorer: probabilities of a reversal from an exported bundle, for history and for live rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import BundleError, MissingDataError, SchemaError
from slackwater.features.engine import FeatureEngine, default_families
from slackwater.features.extra import imported_class
from slackwater.features.family import Family
from slackwater.features.orientation import Orientation
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import INPUT_TABLES, INPUTS
from slackwater.market.quality.detectors import clean_tables
from slackwater.market.spec import FrameSpec
from slackwater.market.stream import FrameStream
from slackwater.models.calibration import calibrator_from_dict
from slackwater.models.predictor import FlattenedTrees
from slackwater.models.training_range import TrainingRange
from slackwater.scoring.bundle import Bundle
from slackwater.trading.gate import Account, Gate, Refusal, TradePlan
from slackwater.trading.score import CONTEXT, Score

__all__ = ["EventScore", "ReversalScorer", "ScoreStream"]

_PROBABILITIES = ("direction", "hit")
_TRADE = "trade"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventScore(Score):
    """A score that remembers the features it was made from, for `ReversalScorer.explain`.

    Parameters
    ----------
    features
        All features at the decision, in the order of `FeatureEngine.names`.
    """

    features: NDArray[np.float64]


class ReversalScorer:
    """Scores events with the models of a bundle, and gates the scores.

    Make one with `load`. A scorer holds no market state: `score` starts from history, `stream` keeps its own.

    Attributes
    ----------
    manifest : dict
        What the bundle says of itself: data set, verdict, features, hashes.
    synthetic : bool
        Whether the models learned from a simulated market. Such scores say nothing about a real one.
    """

    def __init__(self, bundle: Bundle, *, families: Iterable[type[Family]] = ()) -> None:
        manifest = bundle.manifest
        self.manifest = manifest
        self.digest = bundle.digest
        self.synthetic = bool(manifest["synthetic"])
        features = manifest["features"]
        self._spec = FrameSpec.from_dict(manifest["market"])
        self._engine = FeatureEngine(default_families(self._spec.bar_interval, **features["families"]))
        if self._engine.fingerprint != features["fingerprint"]:
            raise BundleError(
                "the bundle was made with other features than this version computes "
                f"(fingerprint {features['fingerprint'][:12]}…, here {self._engine.fingerprint[:12]}…); "
                "export it again with `dvc repro`"
            )
        wanted = set(features["model_features"])
        described = [f for f in self._engine.features if f.name in wanted]
        if [f.name for f in described] != list(features["model_features"]):
            raise BundleError("the bundle names features that this version does not compute")
        self._described = described
        self._orientation = Orientation(described)
        self._columns = np.array([self._engine.names.index(f.name) for f in described], dtype=np.intp)
        self._texts = bundle.models
        self._trees = {name: FlattenedTrees.from_text(text) for name, text in bundle.models.items()}
        self._calibrators = {
            name: calibrator_from_dict(model["calibrator"]) for name, model in manifest["models"].items()
        }
        lost = {*_PROBABILITIES, _TRADE} - set(self._trees)
        if lost:
            raise BundleError(f"the bundle lacks the models {sorted(lost)}")
        self._training_range = TrainingRange.from_dict(_with_lists(manifest["training_range"]))
        if self._training_range.lower_.size != len(self._orientation.columns):
            raise BundleError("the training range of the bundle is not that of its features")
        self._gate = Gate.of(**manifest["trading"], horizon=manifest["labels"]["horizon"])

    @classmethod
    def load(cls, path: str | Path, *, families: Iterable[type[Family]] = ()) -> ReversalScorer:
        """Load a bundle.

        Parameters
        ----------
        path
            Directory of the bundle.
        families
            Feature families from outside of the library that the bundle was made with. Those whose modules the
            process has imported are found without; loading imports nothing.

        Raises
        ------
        BundleError
            If it is damaged, incomplete, made by another version of the features, or needs a family that is not here.
        """
        return cls(Bundle.load(path), families=families)

    # -- history ---------------------------------------------------------------------------------------------

    def score(self, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Score every event in a set of canonical tables.

        Parameters
        ----------
        tables
            By canonical name (`slackwater.market.schemas.SCHEMAS`); `bars` is required and must have the spacing of
            the bundle. Give `warm_up` of history before the first score you want.

        Returns
        -------
        DataFrame
            One row a (symbol, bar close): the features table, then `direction` (1, -1; 0 where there is no event),
            `p_direction` and `p_hit` (calibrated), `trade_edge` and `trade_edge_low` (log-odds beyond the fair ones
            of the event's own trade, and their lower bound), all NaN where there is no event, `missing_features`
            (names of features that should be known at an event and are not) and `out_of_range_features` (names, where
            too many are outside of what the models have learned from).

        Raises
        ------
        SchemaError, OrderError, MissingDataError
            If a table is unusable.
        """
        given = {name: table for name, table in tables.items() if name in INPUT_TABLES}
        checked, _ = clean_tables(given, venue=self.manifest["trading"]["venue"], spacing={})
        frame = MarketFrame.from_tables(checked, self._spec)
        out = self._engine.transform(frame)
        direction = out["event_direction"].fillna(0.0).to_numpy()
        events = np.flatnonzero(direction)
        values = out[self._orientation.names].to_numpy(np.float64)[events]
        oriented = self._orientation.apply(values, direction[events])
        out["direction"] = direction.astype(np.int8)
        for name, column in self._probabilities(oriented).items():
            out[name] = np.nan
            out.loc[out.index[events], name] = column
        missing: list[tuple[str, ...]] = [()] * len(out)
        foreign = list(missing)
        outside = self._training_range.out_of_range(oriented, self._orientation.columns)
        for row, known, names in zip(events, ~np.isnan(values), outside, strict=True):
            missing[row], foreign[row] = self._missing(known), names
        out["missing_features"] = pd.Series(missing, dtype=object, index=out.index)
        out["out_of_range_features"] = pd.Series(foreign, dtype=object, index=out.index)
        return out

    # -- live ------------------------------------------------------------------------------------------------

    def frame_stream(self) -> FrameStream:
        """Return a live frame that assembles the rows for `stream`, as the bundle's features were assembled."""
        return FrameStream(self._spec)

    def stream(self, symbol: str) -> ScoreStream:
        """Return a stream for one symbol; warm it with `ScoreStream.warm` or `ScoreStream.load_state`."""
        return ScoreStream(self, symbol)

    @property
    def warm_up(self) -> timedelta:
        """History that a stream needs before all features are known."""
        return self._engine.warm_up

    # -- decisions -------------------------------------------------------------------------------------------

    def gate(self, score: Score | pd.Series, account: Account, **options: Any) -> TradePlan | Refusal:
        """Decide on a score: a complete plan that keeps every rule, or a refusal that lists every reason.

        Parameters
        ----------
        score
            From a stream, or a row of `score`.
        account
            Equity and open positions.
        **options
            As `slackwater.trading.gate.Gate.decide` takes them.
        """
        return self._gate.decide(score if isinstance(score, Score) else Score.from_row(score), account, **options)

    def explain(self, score: EventScore | pd.Series, *, model: str = "direction") -> pd.DataFrame:
        """Return how much each feature moved the raw log-odds of an event.

        Parameters
        ----------
        score
            From a stream, or a row of `score`; must be an event.
        model
            ``"direction"``, ``"hit"`` or ``"trade"``.

        Returns
        -------
        DataFrame
            `feature`, `family`, `value` (oriented by the move) and `contribution` (SHAP value, log-odds), largest
            first; a last row ``(base)`` holds the expected log-odds. Contributions add up to the raw score.

        Notes
        -----
        Takes milliseconds and imports LightGBM.
        """
        import lightgbm  # slow to import, and only needed here

        if isinstance(score, EventScore):
            direction, values = float(score.direction), score.features[self._columns]
        else:
            direction = float(score["direction"])
            values = score[self._orientation.names].to_numpy(np.float64)
        if direction == 0.0:
            raise SchemaError(f"{score.symbol} at {score.event_time} is no event: there is nothing to explain")
        oriented = self._orientation.apply(values[None, :], np.array([direction]))
        contributions = lightgbm.Booster(model_str=self._texts[model]).predict(oriented, pred_contrib=True)[0]
        table = pd.DataFrame(
            {
                "feature": [*self._orientation.columns, "(base)"],
                "family": [*(f.family for f in self._described), "direction", ""],
                "value": [*oriented[0], np.nan],
                "contribution": contributions,
            }
        )
        order = table["contribution"].abs()[:-1].sort_values(ascending=False, kind="stable").index
        return table.loc[[*order, len(table) - 1]].reset_index(drop=True)

    def _probabilities(self, oriented: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return what a score takes from the models, shape (n_rows,) each."""
        raw = {name: trees.predict_raw(oriented) for name, trees in self._trees.items()}
        trade = self._calibrators[_TRADE]
        return {
            **{f"p_{name}": self._calibrators[name].predict(raw[name]) for name in _PROBABILITIES},
            "trade_edge": trade.log_odds(raw[_TRADE]),
            "trade_edge_low": trade.log_odds_low(raw[_TRADE]),
        }

    def _missing(self, known: NDArray[np.bool_]) -> tuple[str, ...]:
        return tuple(name for name, there in zip(self._orientation.names, known, strict=True) if not there)


class ScoreStream:
    """Scores one symbol bar by bar, with the same kernels and models as `ReversalScorer.score`."""

    def __init__(self, scorer: ReversalScorer, symbol: str) -> None:
        self.symbol = symbol
        self._scorer = scorer
        self._engine = FeatureEngine(scorer._engine.families)
        names = self._engine.names
        self._event = names.index("event_direction")
        self._context = [(name, names.index(name)) for name in CONTEXT if name in names]
        self._passed = [(name, INPUTS.index(name)) for name in CONTEXT if name not in names]

    def warm(self, tables: Mapping[str, pd.DataFrame]) -> int:
        """Advance through history; return how many bars were taken.

        Raises
        ------
        MissingDataError
            If the tables have no bars of the symbol.
        """
        frame = MarketFrame.from_tables(tables, self._scorer._spec)
        bars = 0
        for row in frame.rows(self.symbol):
            self._engine.update(row)
            bars += 1
        return bars

    def update(self, row: FrameRow | Mapping[str, Any]) -> EventScore:
        """Take the row of one bar close and return its score.

        Parameters
        ----------
        row
            From `FrameStream.close`, or a mapping with `symbol`, `event_time`, the prices and whatever other inputs
            are known.

        Returns
        -------
        EventScore
            With `direction` 0 and NaN probabilities where there is no event.

        Raises
        ------
        MissingDataError
            If the row is of another symbol.
        OrderError
            If it is not newer than the last one.
        SchemaError
            If a price is not a positive number.
        """
        taken = row if isinstance(row, FrameRow) else FrameRow.from_mapping(row)
        if taken.symbol != self.symbol:
            raise MissingDataError(f"this stream is of {self.symbol}, the row is of {taken.symbol}")
        scorer = self._scorer
        features = self._engine.update(taken)
        event = features[self._event]
        probabilities: dict[str, Any] = {"p_direction": np.nan, "p_hit": np.nan}
        missing: tuple[str, ...] = ()
        foreign: tuple[str, ...] = ()
        if event in (1.0, -1.0):
            values = features[scorer._columns]
            oriented = scorer._orientation.apply(values[None, :], np.array([event]))
            probabilities = {name: float(column[0]) for name, column in scorer._probabilities(oriented).items()}
            missing = scorer._missing(~np.isnan(values))
            (foreign,) = scorer._training_range.out_of_range(oriented, scorer._orientation.columns)
        context: dict[str, Any] = {name: float(features[at]) for name, at in self._context}
        context |= {name: float(taken.values[at]) for name, at in self._passed}
        return EventScore(
            symbol=self.symbol,
            event_time=taken.event_time,
            available_time=taken.event_time + scorer._spec.decision_lag,
            direction=int(event) if event in (1.0, -1.0) else 0,
            missing_features=missing,
            out_of_range_features=foreign,
            features=features,
            **probabilities,
            **context,
        )

    def save_state(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays, fit for `slackwater.storage.write_arrays`; `load_state` continues."""
        return self._engine.save_state()

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from `save_state`; BundleError if it belongs to other features."""
        self._engine.load_state(arrays)


def _families(
    bar_interval: timedelta, parameters: Mapping[str, Any], given: Iterable[type[Family]]
) -> tuple[Family, ...]:
    """Return the families that a bundle describes, those from outside only if they are here already."""
    extra = [imported_class(name, given) for name in parameters.get("extra", ())]
    return default_families(bar_interval, **{**parameters, "extra": extra})


def _with_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Undo what reading a manifest does to lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
