"""Runs, models and studies in MLflow; no other room uses it.

store       where runs are kept: a SQLite database for one writer at a time, or a tracking server
client      MLflow itself, imported late, with errors in one sentence
experiment  the experiment, with its view of the runs table
layout      names of metrics, and the columns of that view
curves      metrics with steps: by fold, by trade, by bin
runs        one run of the pipeline
trials      one study: a run with a run per trial below it
registry    versions of the bundle, the alias `candidate`, and `pull`
champion    the alias `champion`, and the rule by which it moves
served      the bundle as a model of MLflow: `mlflow.pyfunc`, `mlflow models serve`
commands    `slackwater promote`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slackwater.tracking.registry import pull as pull

__all__ = ["pull"]


def __getattr__(name: str) -> Any:
    """Import `pull` when it is first asked for: the command line names a module of this room at every start."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from slackwater.tracking import registry

    return registry.pull
