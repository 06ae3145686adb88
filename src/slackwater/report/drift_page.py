"""Population drift in words, tables and a figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slackwater.report._plots import BLUE, GREY, INK, RED, write_plot
from slackwater.report.markdown import markdown_table

if TYPE_CHECKING:
    import pandas as pd

    from slackwater.evidence.population_drift import PopulationDrift

__all__ = ["drift_lines", "write_drift_figure"]

_DRAWN: Final = 25


def drift_lines(drift: PopulationDrift, left_out: Mapping[str, int | None], *, shown: int) -> Iterator[str]:
    """Yield the finding, the families, and the features that lie furthest beyond their bound.

    Parameters
    ----------
    drift
        The measured drift.
    left_out
        Number of events that were left out, by reason; None where it is not known.
    shown
        Number of features to list.
    """
    yield drift.sentence
    yield f"events from {drift.first:%Y-%m-%d %H:%M} to {drift.last:%Y-%m-%d %H:%M} UTC"
    for reason, count in left_out.items():
        words = reason.replace("_", " ")
        yield f"left out, {words}: {'not known, nothing was left out' if count is None else f'{count:,}'}"
    yield f"\n{markdown_table(drift.families)}\n"
    listed = drift.features.head(shown)
    yield f"{len(listed)} of {len(drift.features)} features, by PSI over its bound (`--json` has all):\n"
    yield markdown_table(listed)


def write_drift_figure(drift: PopulationDrift, path: str | Path, *, synthetic: bool, dataset: str) -> None:
    """Draw the index of the families and of the features that lie furthest beyond their bound, beside their bounds.

    Parameters
    ----------
    drift
        The measured drift.
    path
        PNG file to write; it appears whole or not at all.
    synthetic
        Whether the market is simulated; the title then contains SYNTHETIC.
    dataset
        Name of the data set of the bundle.
    """
    title = f"{dataset}{', SYNTHETIC market' if synthetic else ''}: {drift.events:,} events on {drift.days:,} days"

    def draw(figure: Any) -> None:
        top = drift.features.head(_DRAWN)
        heights = [len(drift.families), len(top)]
        figure.set_size_inches(7.0, 2.0 + 0.21 * sum(heights))
        figure.set_layout_engine("constrained")
        families, features = figure.subplots(2, 1, height_ratios=heights)
        _draw(families, drift.families, "family")
        _draw(features, top, "feature")
        families.set_title(f"Population stability index against training\n{title}", loc="left", fontsize=11)
        features.set_xlabel("PSI")
        features.legend(frameon=False, loc="upper left", bbox_to_anchor=(0.0, -2.0 / len(top)), ncols=2)

    write_plot(path, draw, {})


def _draw(axes: Any, table: pd.DataFrame, name: str) -> None:
    places = range(len(table))
    colours = [RED if ratio > 1.0 else BLUE if ratio <= 1.0 else GREY for ratio in table["ratio"]]
    axes.barh(places, table["psi"], color=colours, height=0.6)
    axes.plot(table["bound"], places, "|", color=INK, ms=9, mew=1.5, label="bound: 95 % of the stretches of training")
    axes.plot(table["expected"], places, ".", color=INK, ms=5, label="expected without drift")
    axes.set_yticks(places, table[name])
    axes.invert_yaxis()
