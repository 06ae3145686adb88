"""The scorecard of the liquidation map as a table for a document."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["scorecard_markdown"]


def scorecard_markdown(card: dict[str, Any]) -> str:
    """Return the scorecard as a table for a document, or the reason why there is none."""
    if "skipped" in card:
        return f"not scored: {card['skipped']}"

    def cell(found: dict[str, Any]) -> str:
        if np.isnan(found["low"]):
            return f"{found['lift']:.2f}"
        return f"{found['lift']:.2f} ({found['low']:.2f} to {found['high']:.2f})"

    head = (
        "map",
        "lift (95 %)",
        "place alone",
        "a week old, same distance",
        "… difference",
        "a week old, same prices",
        "… difference",
        "Spearman",
    )
    lines = [head, ("---",) * len(head)]
    for layer, found in card["layers"].items():
        lines.append(
            (
                "stops" if layer == "stops" else f"half-life {layer}",
                f"**{cell(found)}**",
                cell(found["place_alone"]),
                cell(found["placebo_same_distance"]),
                cell(found["minus_placebo_same_distance"]),
                cell(found["placebo_same_price"]),
                cell(found["minus_placebo_same_price"]),
                f"{found['rank_correlation']['value']:.2f}",
            )
        )
    for name, found in card["controls"].items():
        lines.append((name.replace("_", " "), cell(found), *[""] * 6))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
