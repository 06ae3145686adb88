"""The trainer of the parameters, shared by the stages `train` and `evaluate`."""

from __future__ import annotations

from pipelines._stage import Stage
from slackwater.models.training import Trainer


def build_trainer(stage: Stage) -> Trainer:
    """Return the trainer of the parameters."""
    return Trainer(validation=stage.validation.build(), model=stage.model.build())
