"""The report of two runs, from what was read of them to the file."""

from __future__ import annotations

from pathlib import Path

from slackwater.evidence.resampling import Resampling
from slackwater.report.compare.accounts import accounts, settings
from slackwater.report.compare.comparable import comparable
from slackwater.report.compare.pairs import Pairs
from slackwater.report.compare.sides import Side
from slackwater.report.compare.skill import skill
from slackwater.report.compare.trades import trades
from slackwater.report.page.document import document
from slackwater.storage import atomic_file

__all__ = ["write_comparison"]


def write_comparison(first: Side, second: Side, out: str | Path, *, resampling: Resampling) -> str:
    """Write two runs side by side as one HTML file without a script, and return its conclusion.

    Parameters
    ----------
    first, second
        A and B.
    out
        File to write; it appears whole or not at all. Runs that cannot be compared are shown side by side too: the
        page says why, and shows no difference.
    resampling
        Block bootstrap of the intervals.

    Raises
    ------
    SchemaError
        If the events of a run lack a column.
    """
    pairs = Pairs.of((first, second), resampling)
    sections = [comparable(pairs), skill(pairs), trades(pairs), accounts(pairs), settings(pairs)]
    page = document(sections, None, heading="Comparison of two runs, A and B", synthetic=pairs.synthetic)
    with atomic_file(out) as path:
        path.write_text(page, encoding="utf-8")
    return sections[0].answer if pairs.comparison is None else sections[1].answer
