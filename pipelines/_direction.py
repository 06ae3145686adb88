"""The page of direction of the stage `evaluate`."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipelines._stage import Stage
from slackwater.durations import duration_name
from slackwater.evidence.direction import DirectionReport, hours_to_barriers
from slackwater.evidence.resampling import Resampling
from slackwater.report.direction_page import direction_page
from slackwater.storage import atomic_file, read_json


def write_direction_page(
    stage: Stage, scored: pd.DataFrame, labels: pd.DataFrame, resampling: Resampling
) -> dict[str, Any]:
    """Write ``data/reports/direction.md`` and return its tables for the metrics."""
    headline = duration_name(stage.labels.horizon)
    report = DirectionReport(
        headline=headline, symbol_correlation=stage.labels.symbol_correlation, resampling=resampling
    )
    tables = report.tables(scored)
    equal = stage.labels.reversal_multiple == stage.labels.continuation_multiple
    shares = report.reversals(labels, equal_barriers=equal)
    hours = hours_to_barriers(labels)
    synthetic = ", SYNTHETIC market" if stage.dataset.synthetic else ""
    page = direction_page(
        f"Direction: {stage.dataset.name}{synthetic}",
        tables,
        headline=headline,
        shares=shares,
        hours=hours,
        left_out=tuple(read_json("data/reports/labels.json")["left_out"]),
    )
    with atomic_file("data/reports/direction.md") as path:
        path.write_text(page, encoding="utf-8")
    return {**tables, "reversals_within": shares, "hours_to_barrier": hours}
