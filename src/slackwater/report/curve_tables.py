"""Curves of a run as tables, which ``dvc plots`` draws: the curves of several runs lie over each other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve

from slackwater.evidence.curves import auc_by_fold, calibration_by_bin
from slackwater.storage import atomic_directory, write_json

__all__ = ["write_curve_tables"]

_POINTS: Final = 200
_FEWEST: Final = 20  # events above a threshold: the precision of a handful is noise


def write_curve_tables(
    directory: str | Path, *, scored: pd.DataFrame, equity: pd.DataFrame, sample: pd.DataFrame, market: str
) -> None:
    """Write ``precision_recall``, ``calibration``, ``auc_by_fold``, ``equity`` and ``net_r`` as JSON, all or none.

    Parameters
    ----------
    directory
        Directory of the tables. Each is a list of points with the keys of its axes, ``reference`` (what no skill or the
        start would be, on the vertical axis) and ``market``.
    scored
        ``fold``, ``y_direction`` (0, 1) and ``p_direction`` of the traded events, none of them NaN.
    equity
        `time` and `equity_usd` of the account.
    sample
        `exit_time` and `net_r` of the trades at unit risk.
    market
        Name of the data set, with SYNTHETIC where it was simulated; it stands on every plot.
    """
    tables = {
        "precision_recall": _precision_recall(scored),
        "calibration": _calibration(scored),
        "auc_by_fold": [{"test_block": fold, "auc": value, "reference": 0.5} for fold, value in auc_by_fold(scored)],
        "equity": _in_time(equity["time"], equity["equity_usd"], "equity_usd", _first(equity["equity_usd"])),
        "net_r": _net_r(sample),
    }
    with atomic_directory(directory) as root:
        for name, rows in tables.items():
            write_json([{**row, "market": market} for row in rows], root / f"{name}.json")


def _first(values: pd.Series) -> float:
    return float(values.iloc[0]) if len(values) else 0.0


def _precision_recall(scored: pd.DataFrame) -> list[dict[str, Any]]:
    y, p = (scored[name].to_numpy(np.float64) for name in ("y_direction", "p_direction"))
    if not y.size:
        return []
    precision, recall, thresholds = precision_recall_curve(y, p)
    taken = len(p) - np.searchsorted(np.sort(p), thresholds)
    kept = np.flatnonzero(taken >= min(_FEWEST, len(p)))
    shown = kept[np.unique(np.linspace(0, len(kept) - 1, _POINTS).round().astype(int))]
    base = float(y.mean())
    return [{"recall": float(recall[i]), "precision": float(precision[i]), "reference": base} for i in shown]


def _calibration(scored: pd.DataFrame) -> list[dict[str, Any]]:
    predicted, observed = calibration_by_bin(scored)
    return [
        {"predicted": p, "observed": rate, "reference": p}
        for (_, p), (_, rate) in zip(predicted, observed, strict=True)
    ]


def _net_r(sample: pd.DataFrame) -> list[dict[str, Any]]:
    by_exit = sample.sort_values("exit_time", kind="stable")
    return _in_time(by_exit["exit_time"], by_exit["net_r"].cumsum(), "net_r", 0.0)


def _in_time(times: pd.Series, values: Iterable[float], name: str, reference: float) -> list[dict[str, Any]]:
    return [
        {"time": f"{time:%Y-%m-%dT%H:%M:%S}", name: float(value), "reference": reference}
        for time, value in zip(times, values, strict=True)
        if np.isfinite(value)
    ]
