"""Plots of a run. Each title contains the name of the data set, and SYNTHETIC if the market was simulated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve

from slackwater.metrics.classification import average_precision, calibration_bins
from slackwater.models.readers import READERS
from slackwater.models.targets import ExplainedModel, Target
from slackwater.report._plots import BLUE, GREY, INK, RED, write_plots
from slackwater.storage import read_json

__all__ = ["write_figures"]


def write_figures(
    directory: str | Path,
    *,
    scored: pd.DataFrame,
    equity: pd.DataFrame,
    sample: pd.DataFrame,
    targets: Sequence[Target],
    models: str | Path,
    title: str,
    more: Mapping[str, Callable[[Any, str], None]] | None = None,
) -> None:
    """Write plots of precision and recall, calibration, importance and equity as PNG files.

    Parameters
    ----------
    directory
        Directory of the plots; it is written whole or not at all.
    scored
        Labels and out-of-fold predictions of the test events.
    equity, sample
        Equity of the account (`time`, `equity_usd`), and trades at unit risk.
    targets
        Targets that were fitted; precision, recall and importance are those of the headline target.
    models
        Directory with ``models.json`` and the text of the model of each target.
    title
        Second line of every title, such as ``simulated, SYNTHETIC market``.
    more
        Further plots by name, each drawn on a figure with that line.
    """
    (headline,) = (target for target in targets if target.headline)

    def titled(draw: Callable[..., str], *given: Any) -> Callable[[Any], None]:
        def draw_on(figure: Any) -> None:
            axes = figure.subplots()
            axes.set_title(f"{draw(axes, *given)}\n{title}")

        return draw_on

    drawings: dict[str, Callable[[Any], None]] = {
        "precision_recall": titled(_precision_recall, scored, headline),
        "calibration": titled(_calibration, scored, targets),
        "importance": titled(_importance, Path(models), headline),
        "equity": titled(_equity, equity, sample),
        **{name: partial(_with_line, draw, title) for name, draw in (more or {}).items()},
    }
    write_plots(directory, drawings, {"axes.titlelocation": "left", "axes.titlesize": 11})


def _with_line(draw: Callable[[Any, str], None], title: str, figure: Any) -> None:
    draw(figure, title)


def _precision_recall(axes: Any, scored: pd.DataFrame, target: Target) -> str:
    y, p = scored[target.column].to_numpy(), scored[f"p_{target.name}"].to_numpy()
    precision, recall, _ = precision_recall_curve(y, p)
    base_rate = float(y.mean())
    axes.plot(recall, precision, color=BLUE, label=f"average precision {average_precision(y, p):.3f}")
    axes.axhline(base_rate, color=GREY, linestyle="--", label=f"base rate {base_rate:.3f}")
    axes.set(
        xlabel="Recall (fraction)", ylabel="Precision (fraction)", xlim=(0, 1), ylim=(max(0.0, base_rate - 0.15), 1.0)
    )
    axes.legend(frameon=False)
    return "Precision and recall of reversals, out of sample"


def _calibration(axes: Any, scored: pd.DataFrame, targets: Sequence[Target]) -> str:
    shown = (target for target in targets if target.offset is None)
    for target, colour in zip(shown, cycle((BLUE, RED, INK)), strict=False):
        p, y = scored[f"p_{target.name}"].to_numpy(), scored[target.column].to_numpy()
        which = calibration_bins(p)
        groups = pd.DataFrame({"p": p, "y": y}).groupby(which)
        means, counts = groups.mean(), groups.size()
        error = 1.96 * np.sqrt(means["y"] * (1.0 - means["y"]) / counts)
        axes.errorbar(means["p"], means["y"], yerr=error, color=colour, marker="o", ms=4, lw=1, label=target.column)
    low, high = axes.get_xlim()
    axes.plot([low, high], [low, high], color=GREY, linestyle="--", label="perfect calibration")
    axes.set(xlabel="Predicted probability", ylabel="Observed frequency (fraction)")
    axes.legend(frameon=False)
    return "Calibration in ten equal-count bins, out of sample (bars: 95 %, events as independent)"


def _importance(axes: Any, models: Path, target: Target) -> str:
    entry = read_json(models / "models.json")[target.name]
    read = READERS.get(entry["format"])
    model = None if read is None else read((models / entry["file"]).read_text(encoding="utf-8"))
    if isinstance(model, ExplainedModel):
        share = pd.Series(100.0 * model.importance(), index=list(model.feature_names)).sort_values().tail(20)
        axes.barh(share.index, share, color=BLUE)
    else:
        axes.text(0.5, 0.5, f"a model of the format {entry['format']} does not state it", ha="center")
    axes.set(xlabel="Share (%): of the gain of trees, of the sum of |coefficients| of a regression")
    axes.tick_params(axis="y", labelsize=7)
    return f"Feature importance of the {target.name} model"


def _equity(axes: Any, equity: pd.DataFrame, sample: pd.DataFrame) -> str:
    axes.step(equity["time"], equity["equity_usd"], where="post", color=BLUE, label="account through the gate")
    if len(sample):
        start = float(equity["equity_usd"].iloc[0])
        by_exit = sample.sort_values("exit_time")
        axes.step(
            by_exit["exit_time"],
            start + by_exit["net_usd"].cumsum(),
            where="post",
            color=GREY,
            lw=1,
            label="every accepted plan at unit risk",
        )
    axes.set(xlabel="Time (UTC)", ylabel="Equity (USDT), net of all costs")
    axes.tick_params(axis="x", rotation=30)
    axes.legend(frameon=False)
    return "Paper-trading equity, out of sample"
