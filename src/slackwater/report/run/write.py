"""The report of a run, from its directory to the file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from slackwater.market.spec import FrameSpec
from slackwater.report.page.document import document
from slackwater.report.run.costs import costs
from slackwater.report.run.inputs import inputs
from slackwater.report.run.run_files import RunFiles
from slackwater.report.run.skill import skill
from slackwater.report.run.survival import survival
from slackwater.report.run.trades import Trades
from slackwater.report.run.trust import trust
from slackwater.storage import atomic_file

__all__ = ["write_page"]


def write_page(
    run: str | Path, out: str | Path, *, spec: FrameSpec, features: Mapping[str, Any], horizon: timedelta
) -> int:
    """Write the report of a run as one HTML file, and return its size in bytes.

    Parameters
    ----------
    run
        Directory of the run, with the outputs of the stages up to `evaluate`.
    out
        File to write; it appears whole or not at all.
    spec, features
        Settings of the market frame, and parameters of the feature families by name.
    horizon
        Time exit of the trades.

    Raises
    ------
    MissingDataError, DataError
        If a file of the run is missing or damaged, or its files do not belong together.
    """
    found = RunFiles.read(run)
    trades = Trades(found, spec=spec, features=features, horizon=horizon)
    sections = [trust(found), trades.section(), survival(found), costs(found), skill(found), inputs(found)]
    heading = f"Report of a run: {found.dataset}{_period(found)}"
    page = document(sections, trades.chart(), heading=heading, synthetic=found.synthetic)
    with atomic_file(out) as path:
        path.write_text(page, encoding="utf-8")
    return len(page.encode())


def _period(run: RunFiles) -> str:
    """Return the days of the scored events, as the heading names them."""
    times = run.scored["event_time"]
    return f", test blocks {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}" if len(times) else ""
