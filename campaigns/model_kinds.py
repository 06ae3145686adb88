"""Kinds of models and sets of features on the data set that was run last; each of them is a trial and is recorded.

``python -m campaigns.model_kinds`` reads the events of the last run (``data/event_features.parquet`` and
``data/labels.parquet``), predicts direction out of sample at the headline and at the reported horizons, appends every
combination to ``trials.jsonl`` as soon as it is measured, and prints them as a table. What is recorded for the same
data, parameters and code is not measured again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd

from pipelines._closure import ROOT, code_digest
from slackwater.config import Params
from slackwater.durations import duration_name
from slackwater.evidence.direction import DirectionReport, rows_by_trigger
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.trial_ledger import append_trial, read_trials
from slackwater.models.horizons import TEST_BLOCKS_PER_FIT, at_horizon, horizon_target, reported_horizons
from slackwater.models.kinds import KINDS
from slackwater.models.targets import HEADLINE, PRICE_FAMILIES
from slackwater.models.training import Trainer, TrainingSet
from slackwater.report.markdown import markdown_table
from slackwater.run.parameters import params_of_last_run
from slackwater.run.training import read_training_set
from slackwater.storage import digest_of

LEDGER: Final = ROOT / "trials.jsonl"


class Trial(NamedTuple):
    """What is varied: the kind of model, the features that it reads, and the horizon ("" is the headline)."""

    kind: str
    features: str
    horizon: str


def trials(horizons: list[str]) -> Iterator[Trial]:
    """Yield every combination."""
    for horizon in ["", *horizons]:
        for features in ("all", "price"):
            for kind in KINDS:
                yield Trial(kind, features, horizon)


def measured(trial: Trial, training: TrainingSet, params: Params) -> dict[str, Any]:
    """Return metrics of direction for all traded events, and for those of each trigger.

    Models are fitted anew once in three test blocks, as those of the reported horizons are.
    """
    validation = params.validation.build()
    target = horizon_target(trial.horizon) if trial.horizon else HEADLINE
    trainer = Trainer(
        validation=replace(validation, test=TEST_BLOCKS_PER_FIT * validation.test),
        model=replace(params.model.build(), kind=trial.kind),
        targets=(target,),
    )
    if trial.features == "price":
        trainer = trainer.reading(PRICE_FAMILIES)
    given = at_horizon(training, trial.horizon) if trial.horizon else training
    scored = trainer.predict_out_of_fold(given).merge(training.labels, on=["symbol", "event_time"], validate="1:1")
    report = DirectionReport(
        headline=duration_name(params.labels.horizon),
        symbol_correlation=params.labels.symbol_correlation,
        resampling=Resampling.of(params.evaluation),
    )
    return {name: report.metrics(scored[rows], trial.horizon) for name, rows in rows_by_trigger(scored).items()}


def main() -> None:
    """Measure and record every trial that is not recorded yet."""
    params, training = params_of_last_run(ROOT), read_training_set()
    same = {
        "dataset": params.dataset.name,
        "synthetic": params.dataset.synthetic,
        "data_sha256": training.digest,
        "params_sha256": digest_of([each.model_dump(mode="json") for each in (params.validation, params.model)]),
        "code_sha256": code_digest(Path(__file__)),
    }
    ledger, rows = read_trials(LEDGER), []
    for trial in trials(reported_horizons(training.labels.columns)):
        entry = {"study": "model_kinds", **same, "trial": trial._asdict()}
        found = next((each for each in ledger if {key: each.get(key) for key in entry} == entry), None)
        if found is None:
            found = {**entry, "metrics": measured(trial, training, params)}
            append_trial(found, LEDGER)
        for name in ("all", "extended_move"):
            if name in found["metrics"]:
                rows.append({**trial._asdict(), "rows": name, **found["metrics"][name]})
                sys.stdout.write(f"{rows[-1]}\n")
                sys.stdout.flush()
    sys.stdout.write(markdown_table(pd.DataFrame(rows)) + "\n")


if __name__ == "__main__":
    main()
