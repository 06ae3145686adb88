"""Queued experiments of DVC, which run in a temporary copy: each is a line of the repository's ledger of trials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slackwater.config import Params
from slackwater.evidence.trial_ledger import append_trial, read_trials
from slackwater.evidence.trials import configuration_digest


def repository() -> Path:
    """Return the repository: of a queued experiment the one that it was queued in, else the current directory."""
    return Path(os.environ.get("DVC_ROOT", ".")).resolve()


def queued_experiment() -> str:
    """Return the name of the queued experiment that this process is a part of, "" if it is of none.

    A run in the repository itself is not a trial: a changed ledger would run `evaluate` again at every change of the
    data set.
    """
    return os.environ.get("DVC_EXP_NAME", "") if repository() != Path.cwd() else ""


def record(row: Mapping[str, Any], *same: str) -> None:
    """Add a queued run to the ledger of the repository, unless a line has the same values under some keys."""
    ledger = repository() / "trials.jsonl"
    known = read_trials(ledger) if ledger.is_file() else []
    if not any(all(each.get(key) == row[key] for key in same) for each in known):
        append_trial(row, ledger)


def record_failure(params: Params, reason: str) -> None:
    """Record a queued run that a stage ended, unless a line of the same parameters and the same data set stands there.

    Which events it had is not known: the tables beside it may be those of another run.
    """
    if not (name := queued_experiment()):
        return
    row = {
        "study": "dvc queue",
        "dataset": params.dataset.name,
        "synthetic": params.dataset.synthetic,
        "params_sha256": configuration_digest(params.model_dump(mode="json")),
        "number": name,
        "trial": {"experiment": name},
        "state": "failed",
        "reason": reason,
    }
    record(row, "dataset", "params_sha256")
