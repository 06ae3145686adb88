"""Defects of the tables that a scorer was given, in one warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import DefectWarning
from slackwater.market.columns import shown
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import CLOSE
from slackwater.market.quality.ledger import DefectLedger, Finding
from slackwater.market.spec import FrameSpec

__all__ = ["silences", "warn_of_defects"]

_MOST: Final = 30
"""Lines of a warning."""


def silences(frame: MarketFrame, tables: Mapping[str, pd.DataFrame], spec: FrameSpec) -> Iterator[Finding]:
    """Yield a finding for each table and symbol of which nothing is known at some bars.

    The bars before the first row are not counted, unless none of them has one: history begins somewhere.

    Parameters
    ----------
    frame, spec
        Frame of the tables, and its settings.
    tables
        Tables by name that were given, cleaned.
    """
    times = frame.table["event_time"]
    for name, given in tables.items():
        table = spec.table(name)
        if table is None or table.join is None:
            continue
        positions = [spec.inputs.index(each) for each in table.inputs]
        held = sorted(map(str, given["symbol"].unique()))
        for symbol, where in frame.symbols():
            values = frame.values[where]
            known = ~np.isnan(values[:, positions]).all(axis=1)
            silent = ~known & ~np.isnan(values[:, CLOSE])
            if known.any():
                silent[: known.argmax()] = False
            if not silent.any():
                continue
            if symbol in held:
                note = f"unknown at {silent.sum():,} of {len(silent):,} bars: no row within {spec.staleness[name]}"
            else:
                note = f"no row of it; the table has {', '.join(map(shown, held[:5])) or 'no row at all'}"
            bars = times.iloc[where][silent]
            yield Finding(
                table=name,
                symbol=symbol,
                rule="silent",
                start=bars.iloc[0],
                end=bars.iloc[-1],
                rows=int(silent.sum()),
                action="recorded",
                note=note,
            )


def warn_of_defects(findings: Iterable[Finding]) -> None:
    """Warn the caller of the caller of the caller with DefectWarning, if there are findings."""
    lines = [f"  {finding}" for finding in DefectLedger(findings).joined()]
    if not lines:
        return
    if len(lines) > _MOST:
        lines[_MOST:] = [f"  and {len(lines) - _MOST:,} more"]
    warnings.warn(
        "the tables have defects; features and scores are computed from what is left, and what is unknown at an event "
        "is in its `missing_features`:\n" + "\n".join(lines),
        DefectWarning,
        stacklevel=4,
    )
