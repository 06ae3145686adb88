"""Plots of the controls: differences to the model, what each part of the rule adds, and what the model reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from textwrap import shorten
from typing import Any

import numpy as np

from slackwater.report._plots import BLUE, GREY, RED

__all__ = ["control_drawings"]

_LABEL = 70
"""Characters of the longest label of a row."""


def control_drawings(report: Mapping[str, Any]) -> dict[str, Callable[[Any, str], None]]:
    """Return the plots by name, each to be drawn on a figure with a second line of its title.

    Parameters
    ----------
    report
        Content of ``reports/controls.json``. What it does not hold is not drawn: a plot without content says so.
    """
    return {
        "controls": partial(_controls, report),
        "ablation": partial(_ablation, report),
        "families": partial(_families, report),
        "partial_dependence": partial(_dependence, report),
    }


def _controls(report: Mapping[str, Any], figure: Any, title: str) -> None:
    rows = {name: row for name, row in report["controls"].items() if name != "model"}
    labels = {name.replace("_", " "): row for name, row in rows.items()}
    _forest(
        figure,
        labels,
        "difference_r",
        f"What the trades of the model earn beyond each control, 95 %\n{title}",
        "Mean result of the model less that of the control (R per trade)",
    )


def _ablation(report: Mapping[str, Any], figure: Any, title: str) -> None:
    rows = {f"{row['part']}: {row['name']}, {row['change']}": row for row in report["ablation"]}
    _forest(
        figure,
        rows,
        "difference_r",
        f"What each part of the rule adds, 95 %\n{title}",
        "Whole rule less the changed one (R per event)",
    )


def _forest(figure: Any, rows: Mapping[str, Mapping[str, Any]], name: str, title: str, unit: str) -> None:
    """Draw a value with its interval per row; a row without a value is named."""
    figure.set_size_inches(7.0, 1.6 + 0.24 * max(len(rows), 4))
    axes = figure.subplots()
    for place, row in enumerate(rows.values()):
        value, low, high = (_number(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
        colour = RED if high < 0.0 else BLUE if low > 0.0 else GREY
        if math.isnan(value):
            axes.annotate(row.get("note") or "no trade to compare", (0.0, place), fontsize=7, color=GREY, va="center")
        else:
            axes.plot([low, high], [place, place], color=colour, lw=2)
            axes.plot(value, place, "o", color=colour, ms=4)
    axes.axvline(0.0, color=GREY, linestyle="--", lw=1)
    axes.set_yticks(range(len(rows)), [shorten(name, _LABEL) for name in rows])
    axes.set_ylim(max(len(rows), 1) - 0.5, -0.5)
    axes.tick_params(axis="y", labelsize=7)
    axes.set_xlabel(unit)
    axes.set_title(title)


def _families(report: Mapping[str, Any], figure: Any, title: str) -> None:
    rows, axes = report["families"][::-1], figure.subplots()
    place = np.arange(len(rows))
    axes.barh(place + 0.2, [100.0 * row["gain_share"] for row in rows], 0.4, color=BLUE, label="gain")
    axes.barh(place - 0.2, [100.0 * row["shap_share"] for row in rows], 0.4, color=RED, label="size of SHAP values")
    axes.set_yticks(place, [row["family"] for row in rows])
    axes.set_xlabel("Share (%) of the model of direction, by family")
    if rows:
        axes.legend(frameon=False)
    else:
        axes.text(0.5, 0.5, "a model of this kind does not state it", ha="center", transform=axes.transAxes)
    axes.set_title(f"What the model reads\n{title}")


def _dependence(report: Mapping[str, Any], figure: Any, title: str) -> None:
    found = dict(sorted(report["dependence"].items(), key=lambda item: item[1]["family"]))
    figure.set_size_inches(8.0, 1.2 + 2.2 * max(1, math.ceil(len(found) / 3)))
    figure.suptitle(
        f"Partial dependence of the model of direction (log-odds of a reversal)\n{title}", x=0.02, ha="left"
    )
    if not found:
        figure.text(0.5, 0.4, "the model reads none of these features", ha="center")
        return
    grid = figure.subplots(math.ceil(len(found) / 3), 3, sharey=True, squeeze=False)
    for axes, (name, curve) in zip(grid.flat, found.items(), strict=False):
        axes.plot(curve["value"], curve["log_odds"], color=BLUE, marker="o", ms=2, lw=1)
        axes.axhline(0.0, color=GREY, linestyle="--", lw=1)
        axes.set_title(f"{curve['family']}\n{name}", fontsize=7)
        axes.tick_params(labelsize=7)
    for axes in grid.flat[len(found) :]:
        axes.set_visible(False)
    figure.tight_layout()


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
