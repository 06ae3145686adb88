"""The scorer: from market data to scores and trade plans, with the models of an exported bundle.

`ReversalScorer.score` scores a history of tables, `ScoreStream.update` one live bar; both take the same five steps:

1. `MarketFrame` or `FrameStream` joins the tables to one row per bar close, from what was available by then.
2. `FeatureEngine` computes the features of the row.
3. Where a trigger of the bundle fired, `Orientation` mirrors the features so that the prior move always goes up.
4. Each model returns raw log-odds, and its calibrator makes the outputs (`Target.outputs`) of them.
5. `TrainingRange` names the features outside of the range that the models were trained on.

Steps 3 to 5 are one compiled call (`slackwater.models.compiled`), for the events of a history or for one row.

`ReversalScorer.gate` turns a score into a trade plan or a refusal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slackwater.errors import BundleError, ParameterError, SchemaError, UnprovenEdgeError
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine, not_bars
from slackwater.features.extra import imported_class
from slackwater.features.family import Family, Feature
from slackwater.features.fired import require_triggers
from slackwater.features.orientation import Orientation
from slackwater.market.columns import mapping_of, shown
from slackwater.market.contracts import venue_contracts
from slackwater.market.frame import MarketFrame
from slackwater.market.quality.ledger import Finding
from slackwater.market.spec import FrameSpec
from slackwater.market.stream import FrameStream
from slackwater.market.symbol_frames import SymbolFrames
from slackwater.models.calibration import calibrator_from_dict
from slackwater.models.compiled import CompiledModels, StoredModel
from slackwater.models.readers import READERS
from slackwater.models.targets import TARGETS, ExplainedModel, Target, TextModel
from slackwater.models.training_range import TrainingRange
from slackwater.numbers import brief
from slackwater.scoring.bundle import Bundle
from slackwater.scoring.defects import silences, warn_of_defects
from slackwater.scoring.given_tables import cleaned_tables
from slackwater.scoring.history import scores_of_parts
from slackwater.scoring.manifest import other_features, with_lists
from slackwater.scoring.stream import EventScore, ScoreStream
from slackwater.scoring.universe import Universe
from slackwater.trading.account import Account
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.extra_rules import GateRule, check_rules
from slackwater.trading.gate import Gate
from slackwater.trading.score import Score, row_numbers
from slackwater.types import Floats

__all__ = ["READERS", "UNPROVEN_EDGE", "EventScore", "ReversalScorer", "ScoreStream"]

UNPROVEN_EDGE = "I accept that no edge is demonstrated"
"""What `ReversalScorer.live_gate` asks for where the verdict is not ``eligible``."""


class ReversalScorer:
    """Scores and trade plans from the models of a bundle.

    Create one with `load`. A scorer has no market state: `score` starts from history, a `stream` has its own state.

    Threads may share a scorer: nothing in it changes after loading, and the compiled calls release the interpreter's
    lock. A stream (`ScoreStream`, `frame_stream`) belongs to one thread at a time.

    Attributes
    ----------
    manifest : dict
        Contents of the bundle: data set, verdict, features, hashes.
    digest : str
        Sha256 of ``SHA256SUMS``, which names the digest of every other file.
    synthetic : bool
        Whether the models were trained on a simulated market. Such scores are not evidence about a real one.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        families: Iterable[type[Family]] = (),
        readers: Mapping[str, Callable[[str], TextModel]] | None = None,
        extra_rules: tuple[GateRule, ...] = (),
    ) -> None:
        check_rules(extra_rules)
        manifest = bundle.manifest
        self.manifest = manifest
        self.digest = bundle.digest
        self.synthetic: bool = manifest["synthetic"]
        try:
            self._read(bundle, families, {**READERS, **(readers or {})}, extra_rules)
        except (ParameterError, SchemaError) as error:
            raise BundleError(f"the bundle contains settings that cannot be used: {error}") from error

    def _read(
        self,
        bundle: Bundle,
        families: Iterable[type[Family]],
        readers: Mapping[str, Callable[[str], TextModel]],
        extra_rules: tuple[GateRule, ...],
    ) -> None:
        manifest = bundle.manifest
        features = manifest["features"]
        self._spec = FrameSpec.from_dict(manifest["market"])
        self._engine = FeatureEngine(_families(self._spec.bar_interval, features["families"], families))
        if self._engine.fingerprint != features["fingerprint"]:
            raise BundleError(other_features(features, self._engine))
        wanted = set(features["model_features"])
        described = [f for f in self._engine.features if f.name in wanted]
        if [f.name for f in described] != list(features["model_features"]):
            raise BundleError("the bundle names features that this version does not compute")
        self._described = described
        self._orientation = Orientation(described)
        self._columns = np.array([self._engine.names.index(f.name) for f in described], dtype=np.intp)
        self._triggers = tuple(manifest["labels"]["triggers"])
        require_triggers(self._engine.features, self._triggers, where="labels.triggers of the bundle")
        self._trigger_columns = np.array([self._engine.names.index(name) for name in self._triggers], dtype=np.intp)
        self._universe = Universe(manifest["symbols"], described)
        self._models = {
            name: _stored_model(bundle.models[name], entry, readers) for name, entry in manifest["models"].items()
        }
        self._check_models()
        self._training_range = TrainingRange.from_dict(with_lists(manifest["training_range"]))
        if self._training_range.lower_.size != len(self._orientation.columns):
            raise BundleError("the training range of the bundle does not have the columns of its features")
        self._compiled = CompiledModels(
            [*self._models.values()], self._orientation, self._columns, self._training_range
        )
        gate = Gate.of(**manifest["trading"], horizon=manifest["labels"]["horizon"], symbols=manifest["symbols"])
        self._gate = replace(gate, extra_rules=extra_rules)

    def _check_models(self) -> None:
        """See that the models are those that the gate reads, and that those with named columns have the columns."""
        stored = {name: each.target.to_dict() for name, each in self._models.items()}
        lost = {target.name for target in TARGETS} - set(stored)
        if lost:
            raise BundleError(f"the bundle lacks the models {sorted(lost)}")
        expected = {target.name: target.to_dict() for target in TARGETS}
        for name, target in stored.items():
            if target["name"] != name or target != expected.get(name, target):
                raise BundleError(f"the model {name!r} of the bundle is of another target: {target}")
        for name, each in self._models.items():
            names = getattr(each.model, "feature_names", None)
            if names is not None and names != tuple(self._orientation.columns):
                raise BundleError(f"the model {name!r} of the bundle was not trained on the columns of its features")

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        sha256: str | None = None,
        families: Iterable[type[Family]] = (),
        readers: Mapping[str, Callable[[str], TextModel]] | None = None,
        extra_rules: tuple[GateRule, ...] = (),
    ) -> ReversalScorer:
        """Load a bundle.

        Parameters
        ----------
        path
            Directory of the bundle.
        sha256
            Digest that the bundle must have (`digest`), 64 hexadecimal digits: no other bundle is read.
        families
            Feature families from outside of the library that the bundle was made with. Those whose modules the
            process has imported are found without; loading imports nothing.
        readers
            Readers of the texts of models from outside the library, by format (`Model.text_format`).
        extra_rules
            Rules of the gate from outside the library, as in `Gate`, beside those of the bundle.

        Raises
        ------
        ParameterError
            If an extra rule could not be asked, or shares its name, or `sha256` is not a digest.
        BundleError
            If it is damaged, incomplete, of another digest or format, made by another version of the features, or
            needs a family or a reader that was not given.
        """
        return cls(Bundle.load(path, sha256=sha256), families=families, readers=readers, extra_rules=extra_rules)

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
            event), `triggers` (names of those of the bundle that fired in that direction), `p_direction` and `p_hit`
            (calibrated probabilities), `trade_edge` and `trade_edge_low` (log-odds above the fair ones of the event's
            own trade, and their lower bound) and the outputs of other targets, all NaN where there is no event,
            `missing_features` (names of features that should be known at an event and are not),
            `out_of_range_features` (names of features outside of the training range, where there are too many), and
            the data quality of every row (`slackwater.scoring.quality.quality_columns`).

        Raises
        ------
        SchemaError, OrderError, MissingDataError, DataError
            If a table is unusable, there is no canonical table of its name, or the bars have another spacing.

        Warns
        -----
        DefectWarning
            If rows were repaired or masked, bars or other regular rows are missing, bars close at unusual times, or
            nothing is known of a table that was given at some bars; one line per table, symbol and rule.
        UniverseWarning
            If the bars are not those of the symbols that the models learned from: some features are means over all
            others.
        """
        frames, bars = self._symbol_frames(tables)
        return scores_of_parts(self, frames, n_bars=len(bars))

    def score_symbols(self, tables: Mapping[str, pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Return the scores of one symbol after the other, each made when it is its turn.

        Together they are the rows of `score`, in that order. Who keeps only the events of each needs the memory of the
        tables and of one symbol, where the result of `score` holds every feature of every bar. Parameters, errors and
        warnings are those of `score`.
        """
        frames, _ = self._symbol_frames(tables)
        return starmap(self.score_frame, frames)

    def score_frame(self, frame: MarketFrame, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Return what `score` returns, of tables that were cleaned before, or are to be taken as they are.

        Parameters
        ----------
        frame
            `MarketFrame.from_tables` of the tables with the settings `spec`.
        tables
            The tables by name.
        """
        return scores_of_parts(self, [(frame, tables)], n_bars=frame.n_bars)

    def frame(self, tables: Mapping[str, pd.DataFrame]) -> tuple[MarketFrame, dict[str, pd.DataFrame]]:
        """Return the frame of tables from a user, and the tables cleaned: the one way in, of `score` and of `warm`.

        Parameters, errors and warnings are those of `score`.
        """
        checked, findings = self._cleaned(tables)
        frame = MarketFrame.from_tables(checked, self._spec)
        warn_of_defects([*findings, *silences([frame], checked, self._spec)])
        self._universe.compare(checked["bars"]["symbol"].unique())
        return frame, checked

    def _symbol_frames(self, tables: Mapping[str, pd.DataFrame]) -> tuple[SymbolFrames, pd.DataFrame]:
        """Return what `frame` does, symbol by symbol, and the bars of all of them."""
        checked, findings = self._cleaned(tables)
        frames = SymbolFrames(checked, self._spec)
        warn_of_defects([*findings, *silences((frame for frame, _ in frames), checked, self._spec)])
        bars = checked["bars"]
        self._universe.compare(bars["symbol"].unique())
        if not_bars(bars).any():
            self._engine.require_bars(MarketFrame.from_tables(checked, self._spec))  # counts the rows of all symbols
        return frames, bars

    def _cleaned(self, tables: Mapping[str, pd.DataFrame]) -> tuple[dict[str, pd.DataFrame], list[Finding]]:
        return cleaned_tables(tables, venue=self.manifest["trading"]["venue"], bar_interval=self._spec.bar_interval)

    # -- live ------------------------------------------------------------------------------------------------

    def frame_stream(self) -> FrameStream:
        """Return a live frame that assembles rows for `stream` with the settings of the bundle.

        It warns as `score` does where the bars of a close are not those of the symbols of the bundle, once for each
        set of symbols.
        """
        return FrameStream(self._spec, on_symbols=self._universe.compare)

    def stream(self, symbol: str) -> ScoreStream:
        """Return a stream of scores for one symbol; prepare it with `ScoreStream.warm` or `ScoreStream.load_state`."""
        return ScoreStream(self, symbol)

    @property
    def warm_up(self) -> timedelta:
        """Length of the history that a stream needs before all features are known."""
        return self._engine.warm_up

    @property
    def spec(self) -> FrameSpec:
        """Settings of the frame: length of bars, decision lag, tables."""
        return self._spec

    @property
    def features(self) -> tuple[Feature, ...]:
        """Features of an `EventScore`, in order, with the inputs that they read."""
        return tuple(self._engine.features)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features of an `EventScore`, in order."""
        return tuple(self._engine.names)

    # -- decisions -------------------------------------------------------------------------------------------

    def gate(
        self,
        score: Score | pd.Series | Mapping[str, Any],
        account: Account,
        *,
        now: datetime | None = None,
        price: float | None = None,
    ) -> TradePlan | Refusal:
        """Return a complete plan that keeps every rule, or a refusal that lists every reason.

        Parameters
        ----------
        score
            Score from a stream, or a row of `score`.
        account
            Equity and open positions.
        now
            The clock, timezone-aware; default: the time at which the score became available.
        price
            Market price at which the order would be sent, USDT; default: the close of the score's bar.

        Raises
        ------
        SchemaError
            If a row lacks a column of a score, or holds a value of another type.
        ParameterError, OrderError
            As `slackwater.trading.gate.Gate.decide`.
        """
        taken = score if isinstance(score, Score) else Score.from_row(score)
        return self._gate.decide(taken, account, now=now, price=price)

    def paper_gate(self, venue: str, extra_rules: tuple[GateRule, ...] = ()) -> Gate:
        """Return the gate for paper trading on a venue: the rules of the bundle, the contracts of the venue.

        Parameters
        ----------
        venue
            Name of a venue. Facts of contracts that the bundle was made with hold for its own venue alone.
        extra_rules
            Further rules, such as those on live data.

        Raises
        ------
        ParameterError
            If there is no such venue, or a rule could not be asked.
        """
        own = self.manifest["trading"]["venue"] == venue
        contracts = self._gate.contracts if own else venue_contracts(venue)
        return replace(self._gate, contracts=contracts, extra_rules=(*self._gate.extra_rules, *extra_rules))

    def live_gate(self, accepted: str = "") -> Gate:
        """Return the gate for orders with real money; `gate` answers for research and paper trading.

        Parameters
        ----------
        accepted
            Where the verdict of the bundle is not ``eligible``: the sentence `UNPROVEN_EDGE`, word by word.

        Raises
        ------
        UnprovenEdgeError
            If the verdict is not ``eligible``, or of a SYNTHETIC market, and the sentence is not given.
        """
        verdict = self.manifest["verdict"]
        if (self.synthetic or verdict["verdict"] != "eligible") and accepted != UNPROVEN_EDGE:
            raise UnprovenEdgeError(
                f"the verdict of the bundle is {verdict['verdict']}{', SYNTHETIC' if self.synthetic else ''}: "
                f"{verdict['sentence']} Trade it on paper, or call "
                f'live_gate("{UNPROVEN_EDGE}")'
            )
        return self._gate

    def explain(self, score: EventScore | pd.Series | Mapping[str, Any], *, model: str = "direction") -> pd.DataFrame:
        """Return the contribution of each feature to the raw log-odds of an event.

        Parameters
        ----------
        score
            Score from a stream, or a row of `score`; must be an event.
        model
            Name of a target whose model can be explained: ``"direction"``, ``"hit"`` or ``"trade"``.

        Returns
        -------
        DataFrame
            `feature`, `family`, `value` (oriented by the move) and `contribution` (log-odds: the SHAP value of trees,
            coefficient times score of a logistic regression, or their mean), largest first; a last row ``(base)``
            contains the rest. Contributions add up to the raw score.

        Raises
        ------
        ParameterError
            If the bundle has no such model, or it cannot be explained.
        SchemaError
            If the score is not an event, or lacks a feature.

        Notes
        -----
        Of trees it takes milliseconds and imports LightGBM, which is given the checked text of the trees and nothing
        else of the bundle.
        """
        explained = {name: each.model for name, each in self._models.items() if isinstance(each.model, ExplainedModel)}
        if not isinstance(model, str) or model not in explained:
            raise ParameterError(f"`model` must be one of {sorted(explained)}, was {brief(model)}")
        if isinstance(score, EventScore):
            direction, values = float(score.direction), score.features[self._columns]
            which = f"{score.symbol} at {score.event_time}"
        else:
            row = mapping_of(score, "a row of scores")
            names = ("symbol", "event_time", "direction", *self._orientation.names)
            if missing := [name for name in names if name not in row]:
                raise SchemaError(f"a row of scores lacks the columns {', '.join(missing)}")
            numbers = row_numbers(row, names[2:])
            direction, values = numbers.pop("direction"), np.array(list(numbers.values()))
            which = f"{shown(row['symbol'])} at {shown(row['event_time'])}"
        if direction not in (1.0, -1.0):
            raise SchemaError(f"{which} is not an event: there is nothing to explain")
        oriented = self._orientation.apply(values[None, :], np.array([direction]))
        contributions = explained[model].contributions(oriented)[0]
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

    def _unusual(
        self, features: Floats, direction: float, share_outside: float, n_missing: float
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the names of the features that an event lacks, and of those out of range if they are too many."""
        missing: tuple[str, ...] = ()
        out_of_range: tuple[str, ...] = ()
        if n_missing:
            unknown = np.flatnonzero(np.isnan(features[self._columns]))
            missing = tuple(self._orientation.names[at] for at in unknown.tolist())
        if share_outside > self._training_range.limit_:
            oriented = self._orientation.apply(features[None, self._columns], np.array([direction]))
            (out_of_range,) = self._training_range.out_of_range(oriented, self._orientation.columns)
        return missing, out_of_range


def _stored_model(
    text: str, entry: Mapping[str, Any], readers: Mapping[str, Callable[[str], TextModel]]
) -> StoredModel:
    """Return one model of a bundle: its target, its text read and its calibrator."""
    text_format = entry["format"]
    if text_format not in readers:
        raise BundleError(
            f"{entry['file']} has the format {brief(text_format)}, readers are given for {sorted(readers)}; pass "
            "one in `ReversalScorer.load(path, readers={...})`"
        )
    target, calibrator = Target(**entry["target"]), calibrator_from_dict(entry["calibrator"])
    return StoredModel(target, readers[text_format](text), calibrator)


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
