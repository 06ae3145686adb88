"""Settings of the models and of the walk-forward; reading them imports neither LightGBM nor scikit-learn."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from slackwater.errors import ParameterError
from slackwater.settings import PositiveDuration, Within, settings
from slackwater.times import DAY

__all__ = ["ModelParameters", "TreeParameters", "WalkForward"]

_Share = Annotated[float, Within(gt=0.0, le=1.0)]
_Count = Annotated[int, Within(ge=1)]


@settings
class TreeParameters:
    """Parameters of `slackwater.models.classifier.ReversalClassifier`.

    Parameters
    ----------
    n_estimators
        Number of trees, >= 1.
    num_leaves
        Largest number of leaves per tree, >= 2.
    learning_rate
        Shrinkage of each tree, in (0, 1].
    min_child_samples
        Smallest number of rows per leaf, >= 1.
    colsample_bytree
        Fraction of the columns drawn for each tree, in (0, 1].
    subsample
        Fraction of the rows drawn without replacement, in (0, 1].
    subsample_freq
        Number of trees between two draws of rows, >= 0; 0 draws none.
    reg_lambda
        L2 penalty on the leaf values, >= 0.
    random_state
        Seed of the draws of rows and columns, >= 0.
    n_jobs
        Threads of one fit, >= 1. The trees do not depend on it. Small fits wait longer for a second thread than it
        saves.
    """

    n_estimators: _Count = 250
    num_leaves: Annotated[int, Within(ge=2)] = 8
    learning_rate: _Share = 0.02
    min_child_samples: _Count = 60
    colsample_bytree: _Share = 0.4
    subsample: _Share = 0.7
    subsample_freq: Annotated[int, Within(ge=0)] = 1
    reg_lambda: Annotated[float, Within(ge=0.0)] = 20.0
    random_state: Annotated[int, Within(ge=0)] = 0
    n_jobs: _Count = 1


@settings
class ModelParameters(TreeParameters):
    """Which model is fitted to every target, its parameters, and how its log-odds are calibrated.

    Parameters
    ----------
    kind
        ``"lightgbm"`` (`slackwater.models.classifier.ReversalClassifier`), ``"logistic"``
        (`slackwater.models.logistic.RankLogistic`), or ``"mean"``, the mean of the log-odds of both.
    logistic_c
        Inverse strength of the L2 penalty of the logistic regression, > 0: the smaller, the stronger.
    families
        Families of features that the models read; None: all that the data feed.
    calibration
        Of the log-odds, fitted across the folds that precede a test block: ``"anchored"``
        (`slackwater.models.calibration.AnchoredCalibrator`), ``"sigmoid"``
        (`slackwater.models.calibration.SigmoidCalibrator`), or ``"none"``.
    engine
        Who fits the trees: ``"local"``, one process, or ``"dask"``, all workers of a Dask cluster together
        (`slackwater.models.distributed.DistributedClassifier`), for events beyond the memory of one. The trees depend
        on it.
    fit_time_limit
        Longest time of one fit by such workers, positive; after it one process fits alone.
    """

    kind: Literal["lightgbm", "logistic", "mean"] = "lightgbm"
    logistic_c: Annotated[float, Within(gt=0.0)] = 0.003
    families: tuple[str, ...] | None = None
    calibration: Literal["anchored", "sigmoid", "none"] = "anchored"
    engine: Literal["local", "dask"] = "local"
    fit_time_limit: PositiveDuration = timedelta(minutes=30)

    def _check_together(self) -> None:
        if self.engine == "dask" and self.kind == "logistic":
            raise ParameterError("`engine` must be local for kind logistic: dask fits trees, and it has none")


@settings
class WalkForward:
    """Settings of the purged, expanding walk-forward (`slackwater.model_selection.walk_forward.PurgedWalkForward`).

    Parameters
    ----------
    min_train
        Time from the first event to the first test block, positive.
    test
        Length of a test block, positive.
    embargo
        Time between the end of the last training label and the test block, not negative.
    parallel_folds
        Number of folds fitted at the same time, >= 1. Folds are small: one thread each is faster than several threads
        that wait for one another at every split.
    """

    min_train: PositiveDuration = 180 * DAY
    test: PositiveDuration = 60 * DAY
    embargo: Annotated[timedelta, Within(ge=timedelta(0))] = 2 * DAY
    parallel_folds: _Count = 1
