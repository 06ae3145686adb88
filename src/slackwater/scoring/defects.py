"""Defects of the tables that a scorer was given, in one warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import numpy as np
import pandas as pd

from slackwater.errors import DefectWarning
from slackwater.market.columns import shown
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import CLOSE
from slackwater.market.quality.ledger import DefectLedger, Finding
from slackwater.market.spec import FrameSpec
from slackwater.types import Bools

__all__ = ["silences", "warn_of_defects"]

_MOST: Final = 30
"""Lines of a warning."""


def silences(frames: Iterable[MarketFrame], tables: Mapping[str, pd.DataFrame], spec: FrameSpec) -> list[Finding]:
    """Return a finding for each table and symbol of which nothing is known at some bars.

    The bars before the first row are not counted, unless none of them has one: history begins somewhere.

    Parameters
    ----------
    frames, spec
        The frame of the tables, whole or in parts, and its settings.
    tables
        Tables by name that were given, cleaned.
    """
    joined = [table for name in tables if (table := spec.table(name)) is not None and table.join is not None]
    held = {table.name: sorted(map(str, tables[table.name]["symbol"].unique())) for table in joined}
    found: dict[str, list[Finding]] = {table.name: [] for table in joined}
    for frame in frames:
        for symbol, where in frame.symbols():
            values, times = frame.values[where], frame.table["event_time"].iloc[where]
            for table in joined:
                positions = [spec.inputs.index(each) for each in table.inputs]
                known = ~np.isnan(values[:, positions]).all(axis=1)
                silent = ~known & ~np.isnan(values[:, CLOSE])
                if known.any():
                    silent[: known.argmax()] = False
                if silent.any():
                    note = _note(silent, symbol, held[table.name], spec.staleness[table.name])
                    bars = times[silent]
                    found[table.name].append(
                        Finding.of_rows(bars.to_frame(), table.name, symbol, "silent", "recorded", note)
                    )
    return [finding for of_table in found.values() for finding in of_table]


def _note(silent: Bools, symbol: str, held: Sequence[str], staleness: timedelta) -> str:
    if symbol in held:
        return f"unknown at {silent.sum():,} of {len(silent):,} bars: no row within {staleness}"
    return f"no row of it; the table has {', '.join(map(shown, held[:5])) or 'no row at all'}"


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
