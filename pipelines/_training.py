"""The trainer of the parameters, shared by the stages `train` and `evaluate`."""

from __future__ import annotations

from pipelines._stage import Stage
from slackwater.models.distributed import require_cluster
from slackwater.models.training import Trainer


def build_trainer(stage: Stage) -> Trainer:
    """Return the trainer of the parameters; a cluster that it needs is there."""
    if stage.model.engine == "dask":
        require_cluster()
    return Trainer(validation=stage.validation.build(), model=stage.model.build())
