"""The table of controls: what the trades of the model earn beyond simpler rules and placebos."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence.controls.paired import (
    UNITS,
    OtherScores,
    PairedDays,
    auc_differences,
    before_funding,
    without_direction,
)
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
        One row per trade: ``event_time``, ``net_r``, ``net_bps``, and ``funding_known``, whether funding is in them;
        None where there are none to measure. NaN rows are left out. Where a row stands for a trade of the model,
        ``trade`` is the position of that one among those whose result is known.
    n_trades
        Number of trades, where the rows of `results` are not trades; None: that of the rows.
    p
        Predictions of direction of the events of `Scores`, where the control makes any; NaN: not known.
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
        Event time, outcome (0, 1) and the prediction of the model for each event of the test blocks that trades; NaN:
        not known.
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
        ``difference_r`` and ``difference_bps``: the mean of the model less that of the control, of its trades with a
        counterpart where the rows of the control stand for trades of the model; ``auc`` of direction and
        ``difference_auc`` likewise, on the events whose direction and predictions are known; each with its 95 %
        interval ``_low`` and ``_high``; ``beaten``: whether the intervals of the differences in R and in basis points
        lie above 0 (None where they or the funding of a trade are not known); ``note``, which counts what is left out
        or not known. NaN where it is not known: a control that was not measured has no number.
    """
    own, predicted = _known(model), ~np.isnan(scores.y + scores.p)
    rows: dict[str, dict[str, Any]] = {
        "model": {
            "rule": model.sentence,
            **calendar.summary(own),
            **_nothing("difference_r", "difference_bps"),
            **_nothing("difference_auc"),
            "auc": auc(scores.y[predicted], scores.p[predicted]),
            "beaten": None,
            "note": _note(model.note, _before_funding(own), without_direction(predicted)),
        }
    }
    others = [None if control.p is None else OtherScores(scores.y, control.p) for control in controls.values()]
    directions = auc_differences(scores.times, scores.y, scores.p, others, calendar.resampling)
    for (name, control), other, direction in zip(controls.items(), others, directions, strict=True):
        results = _known(control)
        paired = own.iloc[results["trade"]] if "trade" in results else own
        row = {"rule": control.sentence, **calendar.summary(results), **calendar.difference(paired, results)}
        if control.results is None:
            row["n_trades"] = None
        elif control.n_trades is not None:
            row["n_trades"] = control.n_trades
        both_known = bool(results["funding_known"].all() and paired["funding_known"].all())
        note = _note(
            control.note,
            f"{len(paired)} of {len(own)} trades of the model have one, and are compared"
            if len(paired) < len(own)
            else "",
            _before_funding(results),
            "" if other is None else without_direction(other.known(scores.y, scores.p)),
        )
        rows[name] = row | direction | {"beaten": _beaten(row) if both_known else None, "note": note}
    return rows


def sentence(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Return in words which controls the trades of the model beat by more than chance, and which beat them.

    A control is better than the model where the intervals of both differences lie below 0. One that is neither beaten
    nor better is not shown to be beaten: the sample may be too small to tell.
    """
    controls = {name: row for name, row in rows.items() if name != "model"}
    if not rows["model"]["n_trades"]:
        return "The gate accepted no trade out of sample, so that no control can be beaten."
    groups: dict[str, list[str]] = {_BEATEN: [], _BETTER: [], _OPEN: [], _UNKNOWN: []}
    for name, row in controls.items():
        groups[_standing(row)].append(name)
    parts = [f"{start}: {_names(names)}" for start, names in groups.items() if names]
    if not groups[_BEATEN] and (groups[_BETTER] or groups[_OPEN]):
        parts.insert(0, "The trades of the model beat no control by more than chance")
    return ". ".join(parts) + "."


_BEATEN: Final = "The trades of the model beat, by more than chance"
_BETTER: Final = "They are worse than, by more than chance"
_OPEN: Final = "They are not shown to beat"
_UNKNOWN: Final = "Not known"


def _standing(row: Mapping[str, Any]) -> str:
    if row["beaten"] is None:
        return _UNKNOWN
    if row["beaten"]:
        return _BEATEN
    return _BETTER if all(row[f"difference_{unit}_high"] < 0.0 for unit in UNITS) else _OPEN


def _names(names: Sequence[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in names)


def _known(control: Control) -> pd.DataFrame:
    """Return the trades of a control whose result is known."""
    columns = ["event_time", "net_r", "net_bps", "funding_known"]
    if control.results is None:
        types = ("datetime64[us, UTC]", np.float64, np.float64, bool)
        return pd.DataFrame(columns=columns).astype(dict(zip(columns, types, strict=True)))
    paired = ["trade"] if "trade" in control.results else []
    return control.results[columns + paired].dropna(ignore_index=True)


def _before_funding(trades: pd.DataFrame) -> str:
    return before_funding(trades["funding_known"].to_numpy(bool))


def _note(*parts: str) -> str:
    return "; ".join(part for part in parts if part)


def _beaten(row: Mapping[str, Any]) -> bool | None:
    lows = [row[f"difference_{unit}_low"] for unit in UNITS]
    return None if any(math.isnan(low) for low in lows) else all(low > 0.0 for low in lows)


def _nothing(*names: str) -> dict[str, float]:
    return {f"{name}{end}": math.nan for name in names for end in ("", "_low", "_high")}
