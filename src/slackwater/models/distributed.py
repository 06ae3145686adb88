"""Boosted trees that all workers of a Dask cluster fit together, for events that do not fit into one process."""

from __future__ import annotations

import logging
import math
import time
from concurrent.futures import TimeoutError as NotDone
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import lightgbm
import numpy as np

from slackwater.errors import ParameterError
from slackwater.models.classifier import ReversalClassifier
from slackwater.parallel import WorkerError, begun, chosen_cluster, say

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from slackwater.parallel.cluster import ClusterWorkers

__all__ = ["DistributedClassifier", "require_cluster"]

_LOOK_EVERY: Final = 0.5
_OF_THE_NETWORK: Final = ("[machines:", "[num_machines:", "[local_listen_port:", "[time_out:")
"""Lines of LightGBM's text that name the workers: a bundle is the same wherever it was fitted."""
_given_up: set[str] = set()


class DistributedClassifier(ReversalClassifier):
    """The trees of :class:`~slackwater.models.classifier.ReversalClassifier`, fitted by `lightgbm.dask`.

    Every worker holds an equal share of the rows, each n-th row, so that all have seen all of the time. The number of
    trees is fixed: stopping early does not work there. What is fitted is a booster like any other, of the same format.

    The workers need each other at every split. A fit that one of them leaves, or that takes longer than `time_limit`,
    is repeated in this process, and so are all later ones: workers that wait for a lost one cannot be asked again.

    Attributes
    ----------
    time_limit : timedelta
        Longest time of one fit by the workers.

    Notes
    -----
    Each worker chooses the bins of some columns from its own rows, so the trees depend on the number of workers and on
    their order, which LightGBM draws anew in each fit. Where bytes must repeat, fit in one process.
    """

    time_limit: timedelta = timedelta(minutes=30)

    def _train(
        self,
        parameters: dict[str, Any],
        X: Any,
        target: NDArray[np.intp],
        weight: NDArray[np.float64],
        base: NDArray[np.float64] | None,
        names: Any,
    ) -> lightgbm.Booster:
        cluster = require_cluster()
        if cluster.address not in _given_up:
            try:
                trees, rows = parameters | {"n_estimators": self.n_estimators}, (X, target, weight, base)
                return _fitted_together(cluster, trees, rows, names, self.time_limit)
            except WorkerError as error:
                _given_up.add(cluster.address)
                say(f"{error}: this process fits alone from here on; start the workers anew before the next run")
        return super()._train(parameters, X, target, weight, base, names)


def require_cluster() -> ClusterWorkers:
    """Return the workers that fit together.

    Raises
    ------
    ParameterError
        If none were chosen, or this is a task of one of them.
    """
    try:
        return chosen_cluster()
    except ParameterError as error:
        raise ParameterError(f"`model.engine` is dask: {error}") from None


def _fitted_together(
    cluster: ClusterWorkers,
    parameters: dict[str, Any],
    rows: tuple[Any, ...],
    names: Any,
    time_limit: timedelta,
) -> lightgbm.Booster:
    """Return trees that the workers have fitted.

    Raises
    ------
    WorkerError
        If a worker was lost, LightGBM failed on one, or the time was over.
    """
    lightgbm.register_logger(_quiet())  # it would print which ports it looks for, and warn of what it sets itself
    workers = cluster.names()
    parameters = {name: value for name, value in parameters.items() if name != "num_threads"}  # of each worker: one
    model = lightgbm.DaskLGBMClassifier(
        client=cluster.client, time_out=math.ceil(time_limit / timedelta(minutes=1)), **parameters
    )

    def fit() -> str:
        # Here, not before: what is sent to a worker that is lost meanwhile may never arrive.
        spread: list[Any] = [None if each is None else _spread(cluster.client, each, workers) for each in rows]
        X, target, weight, base = spread
        with cluster.client.as_current():
            model.fit(X, target, sample_weight=weight, init_score=base, feature_name=names)
        return str(model.to_local().booster_.model_to_string())

    done, start = begun(fit, "fit by all workers"), time.monotonic()
    while True:
        try:
            return lightgbm.Booster(model_str=_without_network(done.result(_LOOK_EVERY)))
        except NotDone:
            pass
        except Exception as error:
            text = " ".join(str(error).split())
            raise WorkerError(f"the workers failed to fit together ({type(error).__name__}: {text:.200})") from error
        if lost := sorted(set(workers) - set(cluster.names())):
            raise WorkerError(f"the worker {lost[0]} was lost during a fit of all workers")
        if time.monotonic() - start > time_limit.total_seconds():
            raise WorkerError(f"the workers took longer than `model.fit_time_limit`, {time_limit}, to fit together")


def _quiet() -> logging.Logger:
    logger = logging.getLogger("lightgbm")
    logger.setLevel(logging.ERROR)
    return logger


def _spread(client: Any, values: Any, workers: list[str]) -> Any:
    """Return a Dask array of which every worker holds each n-th row."""
    from dask import array, delayed  # type: ignore[attr-defined]  # partly typed

    arrays: Any = array
    parts = []
    for i, worker in enumerate(workers):
        share = np.ascontiguousarray(values[i :: len(workers)])
        sent = client.scatter(share, workers=[worker], hash=False)
        parts.append(arrays.from_delayed(delayed(sent), shape=share.shape, dtype=share.dtype))
    return arrays.concatenate(parts)


def _without_network(text: str) -> str:
    return "\n".join(line for line in text.split("\n") if not line.startswith(_OF_THE_NETWORK))
