"""Colours, style and files of the plots of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from slackwater.storage import atomic_directory, atomic_file

__all__ = ["BLUE", "GREY", "INK", "RED", "write_plot", "write_plots"]

INK, BLUE, RED, GREY = "#1b2a33", "#1f6f8b", "#c8553d", "#9aa5ab"
_STYLE = {
    "figure.figsize": (7.0, 4.6),
    "figure.dpi": 120,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "font.size": 9,
    "savefig.bbox": "tight",
}


def write_plots(directory: str | Path, drawings: Mapping[str, Callable[[Any], None]], style: Mapping[str, Any]) -> None:
    """Draw each plot on a figure of its own, and write them as PNG files, all or none."""
    with atomic_directory(directory) as root:
        for name, draw in drawings.items():
            _draw(root / f"{name}.png", draw, style)


def write_plot(path: str | Path, draw: Callable[[Any], None], style: Mapping[str, Any]) -> None:
    """Draw a plot on a figure of its own, and write it as a PNG file, whole or not at all."""
    with atomic_file(path) as temporary:
        _draw(temporary, draw, style)


def _draw(path: Path, draw: Callable[[Any], None], style: Mapping[str, Any]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    parameters: Any = {**_STYLE, **style}
    with mpl.rc_context(parameters):
        figure = plt.figure()
        draw(figure)
        # Without the version and the date, the same run gives the same bytes.
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)
