"""Walk-forward training: out-of-fold predictions, and the models that are exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from slackwater.errors import DataError, ParameterError
from slackwater.features.family import Feature
from slackwater.features.orientation import Orientation
from slackwater.model_selection.walk_forward import PurgedWalkForward
from slackwater.models.classifier import ReversalClassifier
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.models.targets import TARGETS, Model, Target
from slackwater.models.training_range import TrainingRange
from slackwater.types import Ints

__all__ = ["Trainer", "TrainingSet"]

Progress = Callable[[str], None]

_MIN_LABELLED = 50


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Oriented features and labels of the same events, in order of time.

    Parameters
    ----------
    features : DataFrame of float64, shape (n_events, n_columns)
        Oriented by the prior move (`slackwater.features.orientation.Orientation`); the last column is `direction`.
    labels : DataFrame
        The labels table; row i is the event of row i of `features`.
    """

    features: pd.DataFrame
    labels: pd.DataFrame

    @classmethod
    def join(cls, labels: pd.DataFrame, features: pd.DataFrame, described: Sequence[Feature]) -> TrainingSet:
        """Join labels to the features of the same bar close.

        Parameters
        ----------
        labels, features
            The tables of the stages `label` and `features`.
        described
            The features that the models may use.

        Raises
        ------
        DataError
            If an event has no row of features with the same decision time.
        """
        keys = ["symbol", "event_time", "available_time"]
        names = [f.name for f in described]
        labels = labels.sort_values(["event_time", "symbol"], ignore_index=True)
        joined = labels[keys].merge(features[[*keys, *names]], on=keys, how="left", indicator=True, validate="1:1")
        lost = joined.index[joined["_merge"] != "both"]
        if len(lost):
            raise DataError(
                f"{len(lost)} of {len(labels)} events have no row of features at their decision, the first:\n"
                f"{joined.loc[lost[:3], keys].to_string()}"
            )
        return cls(features=Orientation(described).frame(joined, labels["direction"]), labels=labels)

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.labels)

    @property
    def label_known_time(self) -> pd.Series:
        """Time at which all labels of an event were known, its trade included."""
        return self.labels["label_known_time"]


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Settings of walk-forward training, and the calls that fit and predict.

    Parameters
    ----------
    validation
        Walk-forward settings.
    model
        Parameters of `slackwater.models.classifier.ReversalClassifier`, which fits every target without a model of its
        own.
    targets
        What is fitted; add one of your own with ``(*TARGETS, MINE)``.

    Raises
    ------
    ParameterError
        If two targets have the same name.
    """

    validation: WalkForward
    model: ModelParameters = field(default_factory=ModelParameters)
    targets: tuple[Target, ...] = TARGETS

    def __post_init__(self) -> None:
        """Check that names are unique."""
        names = [target.name for target in self.targets]
        if len(set(names)) < len(names):
            raise ParameterError(f"`targets` must have different names, were {names}")

    def splits(self, training: TrainingSet) -> Iterator[tuple[Ints, Ints]]:
        """Yield the purged walk-forward splits."""
        splitter = PurgedWalkForward(
            event_times=training.labels["event_time"],
            label_end_times=training.label_known_time,
            min_train=self.validation.min_train,
            test=self.validation.test,
            embargo=self.validation.embargo,
        )
        return splitter.split(training.features)

    def fit(self, training: TrainingSet, target: Target, rows: Ints | None = None) -> Model:
        """Fit the model of a target on the given rows, or on all.

        Where the target has an offset, such as the fair odds of the trade of an event, the model starts there, and
        model and calibrator contain the log-odds above it. Events without a label are left out.

        Weights are those of the barriers, which lie on both sides alike. Uniqueness over the time that a trade was held
        would count stops, which are reached sooner, for more than targets, and bias the odds.

        Raises
        ------
        DataError
            If fewer than 50 of the events have a label.
        """
        rows = np.arange(len(training)) if rows is None else rows
        n_labelled = int(training.labels[target.column].iloc[rows].notna().sum())
        if n_labelled < _MIN_LABELLED:
            raise DataError(
                f"{n_labelled} of {len(rows)} events have a label `{target.column}`, at least {_MIN_LABELLED} are "
                f"needed to fit target {target.name}"
            )
        at, outcome, share = target.sample(training.labels, rows)
        labels = training.labels.iloc[at]
        uniqueness = labels["weight"].to_numpy()
        # Weights have a mean of one, so that the regularisation is the same whatever the overlap.
        mean = float((share * uniqueness).sum() / share.sum())
        return self._new_model(target).fit(
            training.features.iloc[at],
            outcome,
            share * uniqueness / mean,
            event_times=labels["event_time"],
            label_end_times=training.label_known_time.iloc[at],
            init_score=None if target.offset is None else labels[target.offset],
            mean_uniqueness=mean,
        )

    def predict_out_of_fold(self, training: TrainingSet, progress: Progress | None = None) -> pd.DataFrame:
        """Predict every event of every test block with models that saw only labels known before it.

        Parameters
        ----------
        training
            Events in order of time.
        progress
            Called with a line per fold.

        Returns
        -------
        DataFrame
            One row per event of a test block, in order of time: `row` (position in `training`), `symbol`, `event_time`,
            `fold`, and for each target its outputs (`Target.columns`; NaN, on which no gate trades, where too few
            training events have a label). A target without an offset also has ``p_<name>_raw`` (not calibrated) and
            ``base_<name>`` (share of ones in the training rows).
        """

        def predict(train: Ints, test: Ints) -> dict[str, Any]:
            columns: dict[str, Any] = {}
            for target in self.targets:
                y = training.labels[target.column].iloc[train]
                if y.notna().sum() < _MIN_LABELLED:
                    columns |= dict.fromkeys(target.columns, np.full(len(test), np.nan))
                    continue
                model = self.fit(training, target, train)
                raw = model.decision_function(training.features.iloc[test])
                columns |= target.outputs(model.calibrator_, raw)
                if target.offset is None:
                    columns[f"p_{target.name}_raw"] = 1.0 / (1.0 + np.exp(-raw))
                    columns[f"base_{target.name}"] = float(y.mean())
            return columns

        splits = list(self.splits(training))
        blocks = []
        with ThreadPoolExecutor(max_workers=self.validation.parallel_folds) as pool:
            predicted = pool.map(lambda split: predict(*split), splits)
            for fold, ((train, test), columns) in enumerate(zip(splits, predicted, strict=True)):
                block = training.labels.iloc[test][["symbol", "event_time"]].reset_index(drop=True)
                block.insert(0, "row", test)
                block["fold"] = fold
                blocks.append(block.assign(**columns))
                if progress is not None:
                    first = block["event_time"].iloc[0]
                    progress(
                        f"fold {fold + 1} of {len(splits)}: {len(train):,} training events, "
                        f"{len(test):,} tested from {first:%Y-%m-%d}"
                    )
        return pd.concat(blocks, ignore_index=True)

    def training_facts(self, training: TrainingSet) -> pd.DataFrame:
        """Return, for every event of every test block, what else the gate reads about its models.

        Returns
        -------
        DataFrame
            The rows of `predict_out_of_fold`: `out_of_range_features` (names of features outside of the training range,
            where there are too many of them) and `trained_until` (when the last training label was known).
        """
        known_time, blocks = training.label_known_time, []
        for train, test in self.splits(training):
            rows = training.features.iloc[test]
            known = TrainingRange().fit(training.features.iloc[train])
            columns = {
                "out_of_range_features": known.out_of_range(rows.to_numpy(np.float64), rows.columns),
                "trained_until": known_time.iloc[train].max(),
            }
            blocks.append(pd.DataFrame(columns))
        return pd.concat(blocks, ignore_index=True)

    def _new_model(self, target: Target) -> Model:
        if target.model is not None:
            return target.model()
        return ReversalClassifier(embargo=self.validation.embargo, **asdict(self.model))
