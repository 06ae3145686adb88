"""The table of controls: what the trades of the model earn beyond simpler rules and placebos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from slackwater.evidence.controls.paired import UNITS, OtherScores, PairedDays, auc_differences
from slackwater.metrics.classification import auc
from slackwater.types import Floats

__all__ = ["Control", "Scores", "control_table", "sentence"]


@dataclass(frozen=True, kw_only=True)
class Control:
    """What was measured of a control, or why nothing was.

    Parameters
    ----------
    sentence
        The control in words.
    results
        One row per trade: ``event_time``, ``net_r`` and ``net_bps``; None where there are none to measure. NaN rows are
        left out.
    n_trades
        Number of trades, where the rows of `results` are not trades; None: that of the rows.
    p
        Predictions of direction of the events of `Scores`, where the control makes any.
    note
        Why it was not measured, or a remark.
    """

    sentence: str
    results: pd.DataFrame | None = None
    n_trades: int | None = None
    p: Floats | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Directions that were predicted, to compare those of a control with those of the model.

    Parameters
    ----------
    times, y, p
        Event time, outcome (0, 1) and the prediction of the model for each event of the test blocks that trades.
    """

    times: pd.Series
    y: Floats
    p: Floats


def control_table(
    model: Control, controls: Mapping[str, Control], scores: Scores, calendar: PairedDays
) -> dict[str, dict[str, Any]]:
    """Return one row for the model and one per control.

    Parameters
    ----------
    model
        The trades that the gate accepts.
    controls
        Controls by name.
    scores
        Directions that the model predicted.
    calendar
        The days of the test period.

    Returns
    -------
    dict
        By name, ``model`` first: ``rule`` in words; ``n_trades``; ``net_r_mean`` and ``net_bps_mean`` per trade;
        ``difference_r`` and ``difference_bps``: the mean of the model less that of the control; ``auc`` of direction
        and ``difference_auc`` likewise; each with its 95 % interval ``_low`` and ``_high``; ``beaten``: whether the
        intervals of the differences in R and in basis points lie above 0 (None where they are not known); ``note``.
        NaN where it is not known: a control that was not measured has no number.
    """
    own = _known(model)
    rows: dict[str, dict[str, Any]] = {
        "model": {
            "rule": model.sentence,
            **calendar.summary(own),
            **_nothing("difference_r", "difference_bps"),
            **_nothing("difference_auc"),
            "auc": auc(scores.y, scores.p),
            "beaten": None,
            "note": model.note,
        }
    }
    every = np.ones(len(scores.y), dtype=bool)
    others = [None if c.p is None else OtherScores(scores.y, c.p, (every, every)) for c in controls.values()]
    directions = auc_differences(scores.times, scores.y, scores.p, others, calendar.resampling)
    for (name, control), direction in zip(controls.items(), directions, strict=True):
        results = _known(control)
        row = {"rule": control.sentence, **calendar.summary(results), **calendar.difference(own, results)}
        if control.results is None:
            row["n_trades"] = None
        elif control.n_trades is not None:
            row["n_trades"] = control.n_trades
        rows[name] = row | direction | {"beaten": _beaten(row), "note": control.note}
    return rows


def sentence(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return in words which controls the trades of the model beat by more than chance, and which they do not."""
    controls = {name: row for name, row in rows.items() if name != "model"}
    if not rows["model"]["n_trades"]:
        return "The gate accepted no trade out of sample, so that no control can be beaten."
    groups = {
        "The trades of the model beat, by more than chance": [n for n, row in controls.items() if row["beaten"]],
        "They do not beat, by more than chance": [n for n, row in controls.items() if row["beaten"] is False],
        "Not known": [n for n, row in controls.items() if row["beaten"] is None],
    }
    parts = [f"{start}: {_names(names)}" for start, names in groups.items() if names]
    if not groups["The trades of the model beat, by more than chance"]:
        parts.insert(0, "The trades of the model beat no control by more than chance")
    return ". ".join(parts) + "."


def _names(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _known(control: Control) -> pd.DataFrame:
    """Return the trades of a control whose result is known."""
    columns = ["event_time", "net_r", "net_bps"]
    if control.results is None:
        empty = {"event_time": pd.DatetimeIndex([], dtype="datetime64[us, UTC]"), "net_r": [], "net_bps": []}
        return pd.DataFrame(empty).astype({"net_r": np.float64, "net_bps": np.float64})
    return control.results[columns].dropna(ignore_index=True)


def _beaten(row: Mapping[str, Any]) -> bool | None:
    lows = [row[f"difference_{unit}_low"] for unit in UNITS]
    return None if any(math.isnan(low) for low in lows) else all(low > 0.0 for low in lows)


def _nothing(*names: str) -> dict[str, float]:
    return {f"{name}{end}": math.nan for name in names for end in ("", "_low", "_high")}
