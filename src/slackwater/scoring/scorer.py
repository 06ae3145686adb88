"""The scorer: from market data to scores and trade plans, with the models of an exported bundle.

`ReversalScorer.score` scores a history of tables, `ScoreStream.update` one live bar; both take the same five steps:

1. `MarketFrame` or `FrameStream` joins the tables to one row per bar close, from what was available by then.
2. `FeatureEngine` computes the features of the row.
3. At a signal event, `Orientation` mirrors the features so that the prior move always goes up.
4. Each model returns raw log-odds, and its calibrator makes the outputs (`Target.outputs`) of them.
5. `TrainingRange` names the features outside of the range that the models were trained on.

`ReversalScorer.gate` turns a score into a trade plan or a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import BundleError, MissingDataError, ParameterError, SchemaError
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
from slackwater.models.targets import TARGETS, Calibrator, Target, TextModel
from slackwater.models.training_range import TrainingRange
from slackwater.scoring.bundle import Bundle
from slackwater.trading.account import Account
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.gate import Gate
from slackwater.trading.score import CONTEXT, MarketContext, Score
from slackwater.types import Bools, Floats

__all__ = ["READERS", "EventScore", "ReversalScorer", "ScoreStream"]

READERS: Final[Mapping[str, Callable[[str], TextModel]]] = {"lightgbm": FlattenedTrees.from_text}
"""Readers of model texts by format."""

_GATE_OUTPUTS = tuple(column for target in TARGETS for column in target.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventScore(Score):
    """A score with the features from which it was computed, for `ReversalScorer.explain`.

    Parameters
    ----------
    features
        All features at the decision, in the order of `FeatureEngine.names`.
    other_outputs
        Outputs of targets from outside the library by name, such as ``p_toy``; NaN where there is no event.
    """

    features: Floats
    other_outputs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _StoredModel:
    """One model of a bundle: its target, its trees and its calibrator."""

    target: Target
    model: TextModel
    calibrator: Calibrator
    text: str
    text_format: str

    @classmethod
    def read(
        cls, text: str, entry: Mapping[str, Any], readers: Mapping[str, Callable[[str], TextModel]]
    ) -> _StoredModel:
        text_format = entry["format"]
        if text_format not in readers:
            raise BundleError(
                f"{entry['file']} has the format {text_format!r}, readers are given for {sorted(readers)}; pass one in "
                "`ReversalScorer.load(path, readers={...})`"
            )
        target, calibrator = Target(**entry["target"]), calibrator_from_dict(entry["calibrator"])
        return cls(target, readers[text_format](text), calibrator, text, text_format)

    def outputs(self, oriented: Floats) -> dict[str, Floats]:
        return self.target.outputs(self.calibrator, self.model.predict_raw(oriented))


class ReversalScorer:
    """Scores and trade plans from the models of a bundle.

    Create one with `load`. A scorer has no market state: `score` starts from history, a `stream` has its own state.

    Attributes
    ----------
    manifest : dict
        Contents of the bundle: data set, verdict, features, hashes.
    synthetic : bool
        Whether the models were trained on a simulated market. Such scores are not evidence about a real one.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        families: Iterable[type[Family]] = (),
        readers: Mapping[str, Callable[[str], TextModel]] | None = None,
    ) -> None:
        manifest = bundle.manifest
        self.manifest = manifest
        self.digest = bundle.digest
        self.synthetic = bool(manifest["synthetic"])
        features = manifest["features"]
        self._spec = FrameSpec.from_dict(manifest["market"])
        self._engine = FeatureEngine(_families(self._spec.bar_interval, features["families"], families))
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
        known = {**READERS, **(readers or {})}
        self._models = {
            name: _StoredModel.read(bundle.models[name], entry, known) for name, entry in manifest["models"].items()
        }
        lost = {target.name for target in TARGETS} - set(self._models)
        if lost:
            raise BundleError(f"the bundle lacks the models {sorted(lost)}")
        self._training_range = TrainingRange.from_dict(_with_lists(manifest["training_range"]))
        if self._training_range.lower_.size != len(self._orientation.columns):
            raise BundleError("the training range of the bundle does not have the columns of its features")
        self._gate = Gate.of(**manifest["trading"], horizon=manifest["labels"]["horizon"])

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        families: Iterable[type[Family]] = (),
        readers: Mapping[str, Callable[[str], TextModel]] | None = None,
    ) -> ReversalScorer:
        """Load a bundle.

        Parameters
        ----------
        path
            Directory of the bundle.
        families
            Feature families from outside of the library that the bundle was made with. Those whose modules the
            process has imported are found without; loading imports nothing.
        readers
            Readers of the texts of models from outside the library, by format (`Model.text_format`).

        Raises
        ------
        BundleError
            If it is damaged, incomplete, made by another version of the features, or needs a family or a reader that
            was not given.
        """
        return cls(Bundle.load(path), families=families, readers=readers)

    # -- history ---------------------------------------------------------------------------------------------

    def score(self, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Return the scores of every event in a set of canonical tables.

        Parameters
        ----------
        tables
            Tables by canonical name (`slackwater.market.schemas.SCHEMAS`); `bars` is required and must have the spacing
            of the bundle. Include `warm_up` of history before the first score you want.

        Returns
        -------
        DataFrame
            One row per symbol and bar close: the features table, then `direction` (1, -1; 0 where there is no signal
            event), `p_direction` and `p_hit` (calibrated probabilities), `trade_edge` and `trade_edge_low` (log-odds
            above the fair ones of the event's own trade, and their lower bound) and the outputs of other targets, all
            NaN where there is no event, `missing_features` (names of features that should be known at an
            event and are not) and
            `out_of_range_features` (names of features outside of the training range, where there are too many).

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
        for name, column in self._outputs(oriented).items():
            out[name] = np.nan
            out.loc[out.index[events], name] = column
        missing: list[tuple[str, ...]] = [()] * len(out)
        out_of_range = list(missing)
        outside = self._training_range.out_of_range(oriented, self._orientation.columns)
        for row, known, names in zip(events, ~np.isnan(values), outside, strict=True):
            missing[row], out_of_range[row] = self._missing(known), names
        out["missing_features"] = pd.Series(missing, dtype=object, index=out.index)
        out["out_of_range_features"] = pd.Series(out_of_range, dtype=object, index=out.index)
        return out

    # -- live ------------------------------------------------------------------------------------------------

    def frame_stream(self) -> FrameStream:
        """Return a live frame that assembles rows for `stream` with the settings of the bundle."""
        return FrameStream(self._spec)

    def stream(self, symbol: str) -> ScoreStream:
        """Return a stream of scores for one symbol; prepare it with `ScoreStream.warm` or `ScoreStream.load_state`."""
        return ScoreStream(self, symbol)

    @property
    def warm_up(self) -> timedelta:
        """Length of the history that a stream needs before all features are known."""
        return self._engine.warm_up

    # -- decisions -------------------------------------------------------------------------------------------

    def gate(self, score: Score | pd.Series, account: Account, **options: Any) -> TradePlan | Refusal:
        """Return a complete plan that keeps every rule, or a refusal that lists every reason.

        Parameters
        ----------
        score
            Score from a stream, or a row of `score`.
        account
            Equity and open positions.
        **options
            Options of `slackwater.trading.gate.Gate.decide`.
        """
        return self._gate.decide(score if isinstance(score, Score) else Score.from_row(score), account, **options)

    def explain(self, score: EventScore | pd.Series, *, model: str = "direction") -> pd.DataFrame:
        """Return the contribution of each feature to the raw log-odds of an event.

        Parameters
        ----------
        score
            Score from a stream, or a row of `score`; must be an event.
        model
            Name of a target that LightGBM fitted: ``"direction"``, ``"hit"`` or ``"trade"``.

        Returns
        -------
        DataFrame
            `feature`, `family`, `value` (oriented by the move) and `contribution` (SHAP value, log-odds), largest
            first; a last row ``(base)`` contains the expected log-odds. Contributions add up to the raw score.

        Raises
        ------
        ParameterError
            If the bundle has no such model, or LightGBM did not fit it.
        SchemaError
            If the score is not an event.

        Notes
        -----
        Takes milliseconds and imports LightGBM.
        """
        stored = self._models.get(model)
        if stored is None or stored.text_format != "lightgbm":
            names = sorted(name for name, each in self._models.items() if each.text_format == "lightgbm")
            raise ParameterError(f"`model` must be one of {names}, was {model!r}")
        import lightgbm  # slow to import, and only needed here

        if isinstance(score, EventScore):
            direction, values = float(score.direction), score.features[self._columns]
        else:
            direction = float(score["direction"])
            values = score[self._orientation.names].to_numpy(np.float64)
        if direction == 0.0:
            raise SchemaError(f"{score.symbol} at {score.event_time} is not an event: there is nothing to explain")
        oriented = self._orientation.apply(values[None, :], np.array([direction]))
        contributions = lightgbm.Booster(model_str=stored.text).predict(oriented, pred_contrib=True)[0]
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

    def _outputs(self, oriented: Floats) -> dict[str, Floats]:
        """Return the outputs of all models by name, shape (n_rows,) each."""
        return {name: column for each in self._models.values() for name, column in each.outputs(oriented).items()}

    def _missing(self, known: Bools) -> tuple[str, ...]:
        return tuple(name for name, there in zip(self._orientation.names, known, strict=True) if not there)


class ScoreStream:
    """Scores of one symbol bar by bar, from the same kernels and models as `ReversalScorer.score`."""

    def __init__(self, scorer: ReversalScorer, symbol: str) -> None:
        self.symbol = symbol
        self._scorer = scorer
        self._engine = FeatureEngine(scorer._engine.families)
        names = self._engine.names
        self._event = names.index("event_direction")
        self._context = [(name, names.index(name)) for name in CONTEXT if name in names]
        self._passed = [(name, INPUTS.index(name)) for name in CONTEXT if name not in names]

    def warm(self, tables: Mapping[str, pd.DataFrame]) -> int:
        """Advance through history and return the number of bars.

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
        """Advance by one bar and return its score.

        Parameters
        ----------
        row
            Row from `FrameStream.close`, or a mapping with `symbol`, `event_time`, the prices and the other inputs that
            are known.

        Returns
        -------
        EventScore
            Score with `direction` 0 and outputs of NaN where there is no event.

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
        outputs = {name: np.nan for each in scorer._models.values() for name in each.target.columns}
        missing: tuple[str, ...] = ()
        out_of_range: tuple[str, ...] = ()
        if event in (1.0, -1.0):
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
            direction=int(event) if event in (1.0, -1.0) else 0,
            missing_features=missing,
            out_of_range_features=out_of_range,
            features=features,
            other_outputs=outputs,
            **of_gate,
            context=MarketContext(**context),
        )

    def save_state(self) -> dict[str, NDArray[Any]]:
        """Return the state as plain arrays, fit for `slackwater.storage.write_arrays`."""
        return self._engine.save_state()

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from `save_state`; raise BundleError if it belongs to other features."""
        self._engine.load_state(arrays)


def _families(
    bar_interval: timedelta, parameters: Mapping[str, Any], given: Iterable[type[Family]]
) -> tuple[Family, ...]:
    """Return the families that a bundle describes; those from outside only if given or imported already."""
    outside, given = parameters.get("extra", ()), tuple(given)
    try:
        extra = [imported_class(str(name), given) for name in outside]
        return default_families(bar_interval, **{**parameters, "extra": extra})
    except ParameterError as error:
        raise BundleError(f"the bundle describes features that cannot be computed: {error}") from error


def _with_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a manifest with the lists that reading it made tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
