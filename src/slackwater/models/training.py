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
from slackwater.models.training_range import TrainingRange

__all__ = ["Trainer", "TrainingSet"]

Progress = Callable[[str], None]

_FEWEST_TRADES = 50


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

    @property
    def label_known_time(self) -> pd.Series:
        """When the last of an event's labels was known: of its barriers, and of its trade if it has one."""
        return self.labels["label_known_time"]


@dataclass(frozen=True, kw_only=True)
class Trainer:
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
            label_end_times=training.label_known_time,
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
        weight = training.labels["weight"].to_numpy()[rows]
        return ReversalClassifier(embargo=self.embargo, **self.model).fit(
            training.features.iloc[rows],
            y[rows],
            # Mean one in the fold, so that the regularisation means the same whatever the overlap.
            weight / weight.mean(),
            event_times=training.labels["event_time"].iloc[rows],
            label_end_times=training.label_known_time.iloc[rows],
            independence=float(weight.mean()),
        )

    def fit_trade(self, training: TrainingSet, rows: NDArray[np.int64] | None = None) -> ReversalClassifier:
        """Fit the odds of each event's own trade (`slackwater.labels.trades`) on the given rows, or on all.

        The trees start from the fair odds of the trade's stop and target, so what they and their calibrator hold is
        the edge: log-odds beyond fair ones. A trade that ran out of time counts as a win and a loss, weighted by its
        payoff. Events without a trade are left out.

        Weights are those of the barriers, which stand on both sides alike. Uniqueness over the time that a trade was
        held would count stops, which are quick, for more than targets, and bias the odds.

        Raises
        ------
        DataError
            If fewer than 50 of the events have a trade.
        """
        rows = np.arange(len(training)) if rows is None else rows
        payoff = training.labels["payoff"].to_numpy()[rows]
        n_trades = int(np.count_nonzero(~np.isnan(payoff)))
        if n_trades < _FEWEST_TRADES:
            raise DataError(
                f"{n_trades} of {len(rows)} events have a trade, at least {_FEWEST_TRADES} are needed to fit"
            )
        chosen, outcome, share = _soft_outcomes(payoff)
        at = rows[chosen]
        labels = training.labels.iloc[at]
        uniqueness = labels["weight"].to_numpy()
        mean = float((share * uniqueness).sum() / share.sum())
        return ReversalClassifier(embargo=self.embargo, **self.model).fit(
            training.features.iloc[at],
            outcome,
            share * uniqueness / mean,
            event_times=labels["event_time"],
            label_end_times=training.label_known_time.iloc[at],
            base_log_odds=labels["fair_log_odds"],
            independence=mean,
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

        def predict(train: NDArray[np.int64], test: NDArray[np.int64]) -> dict[str, Any]:
            columns: dict[str, Any] = {}
            for name, y in targets.items():
                model = self.fit(training, y, train)
                raw = model.decision_function(training.features.iloc[test])
                columns[f"p_{name}"] = model.calibrator_.predict(raw)
                columns[f"p_{name}_raw"] = 1.0 / (1.0 + np.exp(-raw))
                columns[f"base_{name}"] = float(np.mean(y[train]))
            return columns

        return self._over_folds(training, predict, progress)

    def trades_out_of_fold(self, training: TrainingSet, progress: Progress | None = None) -> pd.DataFrame:
        """Say of every event of every test block what a gate asks of models that saw only what was settled before.

        Parameters
        ----------
        training
            Events in order of time, with the columns of `slackwater.labels.trades`.
        progress
            Called with a line a fold.

        Returns
        -------
        DataFrame
            One row an event of a test block, in order of time: `row`, `symbol`, `event_time`, `fold`, `trade_edge`
            and `trade_edge_low` (log-odds beyond fair ones, and their lower bound; NaN, which no gate trades on, where
            too few trades were settled to fit), `out_of_range_features` (names, where
            too many lie outside of the training range), and `trained_until` (when the last training label was
            settled).
        """
        known_time, payoff = training.label_known_time, training.labels["payoff"].to_numpy()

        def predict(train: NDArray[np.int64], test: NDArray[np.int64]) -> dict[str, Any]:
            rows = training.features.iloc[test]
            edges = dict.fromkeys(("trade_edge", "trade_edge_low"), np.full(len(test), np.nan))
            if np.isfinite(payoff[train]).sum() >= _FEWEST_TRADES:
                model = self.fit_trade(training, train)
                raw = model.decision_function(rows)
                edges = {
                    "trade_edge": model.calibrator_.log_odds(raw),
                    "trade_edge_low": model.calibrator_.log_odds_low(raw),
                }
            known = TrainingRange().fit(training.features.iloc[train])
            return {
                **edges,
                "out_of_range_features": known.out_of_range(rows.to_numpy(np.float64), rows.columns),
                "trained_until": known_time.iloc[train].max(),
            }

        return self._over_folds(training, predict, progress)

    def _over_folds(
        self,
        training: TrainingSet,
        predict: Callable[[NDArray[np.int64], NDArray[np.int64]], dict[str, Any]],
        progress: Progress | None,
    ) -> pd.DataFrame:
        splits = list(self.splits(training))
        blocks = []
        with ThreadPoolExecutor(max_workers=self.parallel_folds) as pool:
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


def _soft_outcomes(payoff: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int8], NDArray[np.float64]]:
    """Return payoffs in [0, 1] as weighted wins and losses: rows, outcomes (1, 0) and weights; NaN not at all.

    >>> rows, outcome, weight = _soft_outcomes(np.array([1.0, 0.25, np.nan]))
    >>> rows.tolist(), outcome.tolist(), weight.tolist()
    ([0, 1, 1], [1, 1, 0], [1.0, 0.25, 0.75])
    """
    rows = np.repeat(np.arange(len(payoff)), 2)
    outcome = np.tile(np.array([1, 0], dtype=np.int8), len(payoff))
    weight = np.where(outcome == 1, payoff[rows], 1.0 - payoff[rows])
    kept = weight > 0.0  # NaN is not
    return rows[kept], outcome[kept], weight[kept]
