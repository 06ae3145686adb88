"""From labels and features to out-of-fold predictions, and to the models that are exported."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import DataError
from slackwater.features.family import Feature
from slackwater.features.orientation import Orientation
from slackwater.model_selection.walk_forward import PurgedWalkForward
from slackwater.models.classifier import ReversalClassifier

__all__ = ["Recipe", "TrainingSet"]

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """Oriented features beside the labels of the same events, in order of time.

    Parameters
    ----------
    features : DataFrame of float64, shape (n_events, n_columns)
        Oriented by the prior move (`slackwater.features.orientation.Orientation`); the last column is `direction`.
    labels : DataFrame
        The labels table, row by row the same events.
    """

    features: pd.DataFrame
    labels: pd.DataFrame

    @classmethod
    def join(cls, labels: pd.DataFrame, features: pd.DataFrame, described: Sequence[Feature]) -> TrainingSet:
        """Join labels to the features of their own bar close.

        Parameters
        ----------
        labels, features
            The tables of the stages `label` and `features`.
        described
            The features that the models may use.

        Raises
        ------
        DataError
            If an event has no row of features, or its features were decided at another time.
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


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is fitted and measured: what the metrics describe, and what the export repeats on all events.

    Parameters
    ----------
    first_train, test, embargo
        See `slackwater.model_selection.walk_forward.PurgedWalkForward`.
    model
        Parameters of `slackwater.models.classifier.ReversalClassifier`.
    parallel_folds
        Folds that are fitted at the same time. A fold is small: one thread each is far quicker than two threads
        that wait for one another at every split.
    """

    first_train: timedelta
    test: timedelta
    embargo: timedelta
    model: dict[str, Any]
    parallel_folds: int = 1

    def splits(self, training: TrainingSet) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield the purged walk-forward splits."""
        splitter = PurgedWalkForward(
            event_times=training.labels["event_time"],
            label_end_times=training.labels["label_end_time"],
            first_train=self.first_train,
            test=self.test,
            embargo=self.embargo,
        )
        return splitter.split(training.features)

    def fit(
        self, training: TrainingSet, y: NDArray[np.int8], rows: NDArray[np.int64] | None = None
    ) -> ReversalClassifier:
        """Fit on the given rows, or on all."""
        rows = np.arange(len(training)) if rows is None else rows
        labels = training.labels.iloc[rows]
        weight = labels["weight"].to_numpy()
        return ReversalClassifier(embargo=self.embargo, **self.model).fit(
            training.features.iloc[rows],
            y[rows],
            # Mean one in the fold, so that the regularisation means the same whatever the overlap.
            weight / weight.mean(),
            event_times=labels["event_time"],
            label_end_times=labels["label_end_time"],
        )

    def predict_out_of_fold(
        self, training: TrainingSet, targets: dict[str, NDArray[np.int8]], progress: Progress | None = None
    ) -> pd.DataFrame:
        """Predict every event of every test block with models that saw only what was settled before it.

        Parameters
        ----------
        training
            Events in order of time.
        targets
            Name to labels in {0, 1}, shape (n_events,).
        progress
            Called with a line a fold.

        Returns
        -------
        DataFrame
            One row an event of a test block, in order of time: `row` (position in `training`), `symbol`,
            `event_time`, `fold`, and for each target ``p_<name>`` (calibrated), ``p_<name>_raw`` (not calibrated)
            and ``base_<name>`` (share of ones in the training rows).
        """
        splits = list(self.splits(training))
        blocks = []
        with ThreadPoolExecutor(max_workers=self.parallel_folds) as pool:
            predicted = pool.map(lambda split: self._predict_block(training, targets, *split), splits)
            for fold, ((train, test), block) in enumerate(zip(splits, predicted, strict=True)):
                block.insert(3, "fold", fold)
                blocks.append(block)
                if progress is not None:
                    first = block["event_time"].iloc[0]
                    progress(
                        f"fold {fold + 1} of {len(splits)}: {len(train):,} training events, "
                        f"{len(test):,} tested from {first:%Y-%m-%d}"
                    )
        return pd.concat(blocks, ignore_index=True)

    def _predict_block(
        self,
        training: TrainingSet,
        targets: dict[str, NDArray[np.int8]],
        train: NDArray[np.int64],
        test: NDArray[np.int64],
    ) -> pd.DataFrame:
        block = training.labels.iloc[test][["symbol", "event_time"]].reset_index(drop=True)
        block.insert(0, "row", test)
        for name, y in targets.items():
            model = self.fit(training, y, train)
            raw = model.decision_function(training.features.iloc[test])
            block[f"p_{name}"] = model.calibrator_.predict(raw)
            block[f"p_{name}_raw"] = 1.0 / (1.0 + np.exp(-raw))
            block[f"base_{name}"] = float(np.mean(y[train]))
        return block
