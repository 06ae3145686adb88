"""Runs, models and studies in MLflow; no other room uses it.

store      where runs are kept: a SQLite database for one writer at a time, or a tracking server
client     MLflow itself, imported late, with errors that say what to do
layout     names of metrics, and the columns of the runs table
curves     metrics with steps: by fold, by trade, by bin
runs       one run of the pipeline
trials     one study: a run with a run per trial below it
registry   versions of the bundle, the alias `candidate`, and `pull`
champion   the alias `champion`, and the rule by which it moves
served     the bundle as a model of MLflow: `mlflow.pyfunc`, `mlflow models serve`
"""

from slackwater.tracking.registry import pull

__all__ = ["pull"]
