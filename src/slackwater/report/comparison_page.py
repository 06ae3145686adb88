"""Comparison of two runs in words and a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from slackwater.report.markdown import markdown_table

if TYPE_CHECKING:
    from slackwater.evidence.comparison import Comparison

__all__ = ["comparison_lines"]


def comparison_lines(
    result: Comparison, sources: Mapping[str, str], synthetic: Mapping[str, bool | None]
) -> Iterator[str]:
    """Yield the conclusion, what was compared, and the table of differences.

    Parameters
    ----------
    result
        The comparison.
    sources
        What was read for each run, by name.
    synthetic
        Whether the market of each run was simulated, by name; None is not known.
    """
    yield result.sentence
    words = {True: "SYNTHETIC market", False: "real data", None: "whether the market is SYNTHETIC is not recorded"}
    for name, source in sources.items():
        yield f"{name}: {source} ({words[synthetic[name]]})"
    first, second = result.names
    yield (
        f"{result.common:,} events were scored by both, {result.only_first:,} by {first} alone and "
        f"{result.only_second:,} by {second} alone"
    )
    if result.traded is None:
        yield "trades: not compared, for those of one run at least are not known"
    else:
        one, other, both = result.traded
        yield f"trades at unit risk on these events: {one:,} of {first}, {other:,} of {second}, {both:,} of both"
    yield f"\n{markdown_table(result.table)}"
    yield from (f"{each.metric}: {each.note}" for each in result.differences if each.note)
