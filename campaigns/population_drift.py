"""Population drift where there is none and where there is one: how often each rule for reading a PSI finds it.

The first half of the events of a finished run is the training, the second half is cut into samples. The market of the
default data set is SYNTHETIC and keeps its law, so that whatever is found there is false. Then every feature without
frequent values is shifted by itself. Run it in the directory of a finished run with
``python -m campaigns.population_drift``; it takes about a minute and writes ``campaigns/population_drift.json``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.stats import chi2

from slackwater.evidence.population_drift import population_drift
from slackwater.models.training_shares import TrainingShares
from slackwater.report.markdown import markdown_table
from slackwater.run.training import read_training_set
from slackwater.storage import marked_synthetic, read_json, write_report
from slackwater.types import Bools

DAYS: Final = (7, 14, 28, 56)
SHIFTS: Final = (0.5, 1.0, 2.0)
OUT: Final = Path(__file__).with_suffix(".json")
COLUMNS: Final = (
    *("days", "samples", "events", "psi above .1", "psi above .25", "independent events", "own bound", "drifted"),
    *(f"named after {shift:g} sd" for shift in SHIFTS),
)


def measured(X: pd.DataFrame, times: pd.Series, families: list[str], days: int) -> dict[str, Any]:
    """Return the shares of features and samples that the rules call drift, for samples of so many days.

    Parameters
    ----------
    X
        Oriented features of the events, in order of time.
    times
        Time of each event.
    families
        Family of each column.
    days
        Days with an event in a sample.
    """
    day = times.dt.floor("D")
    all_days = np.sort(day.unique())
    early = (day < all_days[len(all_days) // 2]).to_numpy()
    shares = TrainingShares.of(X[early], times[early], families)
    smooth, spread = _without_frequent_values(shares), X[early].std().to_numpy()
    rows = []
    for start in range(len(all_days) // 2, len(all_days) - days + 1, days):
        rows_of_sample = day.isin(all_days[start : start + days]).to_numpy()
        rows.append(_sample(shares, X[rows_of_sample], times[rows_of_sample], spread, smooth))
    table = pd.DataFrame(rows)
    counted = {"days": days, "samples": len(table), "events": float(table.pop("events").median())}
    return counted | table.mean().to_dict()


def _without_frequent_values(shares: TrainingShares) -> Bools:
    return np.array([len(edges) == 9 for edges in shares.edges])


def _sample(shares: TrainingShares, X: pd.DataFrame, times: pd.Series, spread: Any, smooth: Bools) -> dict[str, float]:
    found = population_drift(shares, X, times)
    assert found.no_drift is not None, "the sample is too small"  # noqa: S101
    psi = shares.psi(X)
    freedom = np.array([len(counts) for counts in shares.counts]) - 1
    independent = chi2.ppf(0.95, freedom) * (1.0 / len(X) + 1.0 / shares.events)
    bound = np.array([np.nan if each is None else each for each in found.no_drift.bound])
    row = {
        "events": float(len(X)),
        "psi above .1": float((psi > 0.1).mean()),
        "psi above .25": float((psi > 0.25).mean()),
        "independent events": float((psi > independent).mean()),
        "own bound": float((psi > bound).mean()),
        "drifted": float(bool(found.drifted)),
    }
    for shift in SHIFTS:
        named = shares.psi(X + shift * spread) > bound * found.no_drift.largest_ratio
        row[f"named after {shift:g} sd"] = float(named[smooth].mean())
    return row


def page(answer: dict[str, Any]) -> str:
    """Return the table of the documents: numbers of days and events, then shares."""
    table = pd.DataFrame(answer["samples"], columns=list(COLUMNS)).round(3)
    return markdown_table(table.astype({"days": int, "samples": int}))


def main() -> None:
    """Measure and write the result."""
    training = read_training_set()
    rows = training.trades
    X, times = (part[rows].reset_index(drop=True) for part in (training.features, training.labels["event_time"]))
    families = {each["name"]: each["family"] for each in read_json("data/feature_manifest.json")["features"]}
    columns = [families.get(name, name) for name in X]
    answer = {
        "synthetic": marked_synthetic("data/tables"),
        "events": len(X),
        "features": len(columns),
        "samples": [measured(X, times, columns, days) for days in DAYS],
    }
    write_report(answer, OUT)
    sys.stdout.write(page(answer) + "\n")


if __name__ == "__main__":
    main()
