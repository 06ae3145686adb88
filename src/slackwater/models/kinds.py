"""The models of `params.yaml`, `model.kind`: how each is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Final

from slackwater.models.classifier import ReversalClassifier
from slackwater.models.distributed import DistributedClassifier
from slackwater.models.logistic import RankLogistic
from slackwater.models.mean import MeanModel
from slackwater.models.parameters import ModelParameters, TreeParameters
from slackwater.models.targets import Model

__all__ = ["KINDS", "new_model"]


def _lightgbm(parameters: ModelParameters) -> Model:
    trees = {each.name: getattr(parameters, each.name) for each in fields(TreeParameters)}
    if parameters.engine == "local":
        return ReversalClassifier(**trees)
    together = DistributedClassifier(**trees)
    together.time_limit = parameters.fit_time_limit
    return together


def _logistic(parameters: ModelParameters) -> Model:
    return RankLogistic(c=parameters.logistic_c)


def _mean(parameters: ModelParameters) -> Model:
    return MeanModel([_lightgbm(parameters), _logistic(parameters)])


KINDS: Final[Mapping[str, Callable[[ModelParameters], Model]]] = {
    "lightgbm": _lightgbm,
    "logistic": _logistic,
    "mean": _mean,
}
"""How an unfitted model of each kind is made."""


def new_model(parameters: ModelParameters) -> Model:
    """Return an unfitted model of the kind that the parameters name."""
    return KINDS[parameters.kind](parameters)
