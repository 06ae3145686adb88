"""The stylised facts of a simulated market as a Markdown page."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

__all__ = ["facts_page"]


def facts_page(by_seed: Mapping[int, pd.DataFrame], *, holding: int, share: float) -> str:
    """Return the facts and their ranges as Markdown, one row per fact and one column per seed, with misses marked.

    Parameters
    ----------
    by_seed : Mapping of int to DataFrame
        Facts by seed, as from `slackwater.simulation.facts.facts_by_seed`; at least one seed.
    holding : int
        Number of seeds on which all facts hold.
    share : float
        Share of the seeds on which a fact must hold.
    """
    lines = [
        ["fact", "range", *(f"seed {seed}" for seed in by_seed), "holds on", "what"],
        ["---", "---", *("---:" for _ in by_seed), "---", "---"],
    ]
    for row, fact in next(iter(by_seed.values())).iterrows():
        cells = [each.loc[row] for each in by_seed.values()]
        span = count = ""
        if math.isfinite(fact["low"]):
            held = sum(cell["holds"] is not pd.NA and bool(cell["holds"]) for cell in cells)
            span = f"{fact['low']:.4g} to {fact['high']:.4g}"
            count = f"{held} of {len(cells)}{'' if held >= share * len(cells) else '  MISS'}"
        lines.append([fact["name"], span, *(_cell(cell) for cell in cells), count, fact["note"]])
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    padded = ([cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines)
    page = [f"| {' | '.join(cells)} |" for cells in padded]
    return "\n".join([*page, "", f"All facts hold on {holding} of {len(by_seed)} seeds."])


def _cell(fact: pd.Series) -> str:
    if math.isnan(fact["value"]):
        return "absent"
    missed = fact["holds"] is not pd.NA and not fact["holds"]
    return f"{fact['value']:.4g}{' MISS' if missed else ''}"
