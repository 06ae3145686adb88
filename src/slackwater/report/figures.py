"""Plots of a run. Each title contains the name of the data set, and SYNTHETIC if the market was simulated."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve

from slackwater.metrics.classification import average_precision, calibration_bins
from slackwater.models.targets import Target
from slackwater.storage import atomic_directory

__all__ = ["write_figures"]

_INK, _BLUE, _RED, _GREY = "#1b2a33", "#1f6f8b", "#c8553d", "#9aa5ab"


def write_figures(
    directory: str | Path,
    *,
    scored: pd.DataFrame,
    equity: pd.DataFrame,
    sample: pd.DataFrame,
    targets: Sequence[Target],
    models: str | Path,
    title: str,
) -> None:
    """Write plots of precision and recall, calibration, importance and equity as PNG files.

    Parameters
    ----------
    directory
        Directory of the plots; it is written whole or not at all.
    scored
        Labels and out-of-fold predictions of the test events.
    equity
        Columns `time`, `equity_usd`.
    sample
        Trades at unit risk.
    targets
        Targets that were fitted; precision, recall and importance are those of the headline target.
    models
        Directory with the LightGBM text model of each target, ``<name>.txt``.
    title
        Second line of every title, such as ``simulated, SYNTHETIC market``.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    style: Any = {
        "figure.figsize": (7.0, 4.6),
        "figure.dpi": 120,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _INK,
        "axes.titlelocation": "left",
        "axes.titlesize": 11,
        "font.size": 9,
        "savefig.bbox": "tight",
    }
    (headline,) = (target for target in targets if target.headline)
    drawings: dict[str, Any] = {
        "precision_recall": lambda axes: _precision_recall(axes, scored, headline),
        "calibration": lambda axes: _calibration(axes, scored, targets),
        "importance": lambda axes: _importance(axes, Path(models) / f"{headline.name}.txt"),
        "equity": lambda axes: _equity(axes, equity, sample),
    }
    with atomic_directory(directory) as root, mpl.rc_context(style):
        for name, draw in drawings.items():
            figure, axes = plt.subplots()
            caption = draw(axes)
            axes.set_title(f"{caption}\n{title}")
            # Without the version and the date, the same run gives the same bytes.
            figure.savefig(root / f"{name}.png", metadata={"Software": None})
            plt.close(figure)


def _precision_recall(axes: Any, scored: pd.DataFrame, target: Target) -> str:
    y, p = scored[target.column].to_numpy(), scored[f"p_{target.name}"].to_numpy()
    precision, recall, _ = precision_recall_curve(y, p)
    base_rate = float(y.mean())
    axes.plot(recall, precision, color=_BLUE, label=f"average precision {average_precision(y, p):.3f}")
    axes.axhline(base_rate, color=_GREY, linestyle="--", label=f"base rate {base_rate:.3f}")
    axes.set(
        xlabel="Recall (fraction)", ylabel="Precision (fraction)", xlim=(0, 1), ylim=(max(0.0, base_rate - 0.15), 1.0)
    )
    axes.legend(frameon=False)
    return "Precision and recall of reversals, out of sample"


def _calibration(axes: Any, scored: pd.DataFrame, targets: Sequence[Target]) -> str:
    shown = (target for target in targets if target.offset is None)
    for target, colour in zip(shown, cycle((_BLUE, _RED, _INK)), strict=False):
        p, y = scored[f"p_{target.name}"].to_numpy(), scored[target.column].to_numpy()
        which = calibration_bins(p)
        groups = pd.DataFrame({"p": p, "y": y}).groupby(which)
        means, counts = groups.mean(), groups.size()
        error = 1.96 * np.sqrt(means["y"] * (1.0 - means["y"]) / counts)
        axes.errorbar(means["p"], means["y"], yerr=error, color=colour, marker="o", ms=4, lw=1, label=target.column)
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color=_GREY, linestyle="--", label="perfect calibration")
    axes.set(xlabel="Predicted probability", ylabel="Observed frequency (fraction)")
    axes.legend(frameon=False)
    return "Calibration in ten equal-count bins, out of sample (bars: 95 %, events as independent)"


def _importance(axes: Any, model_text: Path) -> str:
    import lightgbm  # slow to import, and only needed here

    booster = lightgbm.Booster(model_file=str(model_text))
    gain = pd.Series(booster.feature_importance("gain"), index=booster.feature_name()).sort_values()
    top = 100.0 * gain.tail(20) / max(gain.sum(), 1e-12)
    axes.barh(top.index, top, color=_BLUE)
    axes.set(xlabel="Share of gain (%)")
    axes.tick_params(axis="y", labelsize=7)
    return "Feature importance of the direction model"


def _equity(axes: Any, equity: pd.DataFrame, sample: pd.DataFrame) -> str:
    axes.step(equity["time"], equity["equity_usd"], where="post", color=_BLUE, label="account through the gate")
    if len(sample):
        start = float(equity["equity_usd"].iloc[0])
        by_exit = sample.sort_values("exit_time")
        axes.step(
            by_exit["exit_time"],
            start + by_exit["net_usd"].cumsum(),
            where="post",
            color=_GREY,
            lw=1,
            label="every accepted plan at unit risk",
        )
    axes.set(xlabel="Time (UTC)", ylabel="Equity (USDT), net of all costs")
    axes.tick_params(axis="x", rotation=30)
    axes.legend(frameon=False)
    return "Paper-trading equity, out of sample"
