"""Section 1: whether two runs can be compared, with what each has recorded of itself."""

from __future__ import annotations

from typing import Any, Final

from slackwater.report.compare.pairs import Pairs
from slackwater.report.page.content import UNKNOWN, Picture, Section, Table, words

__all__ = ["comparable"]

_MARKET: Final = {True: "SYNTHETIC market", False: "real data", None: UNKNOWN}
_SAME: Final = {True: "✓ same", False: "✗ differs", None: "? not known"}
_DIGESTS: Final = {
    "data_sha256": "digest of features and labels",
    "code_sha256": "digest of the code",
    "params_sha256": "digest of the parameters",
}


def comparable(pairs: Pairs) -> Section:
    """Return the section: the common events and labels, and the records of both runs side by side."""
    return Section(
        name="comparable",
        question="Can these runs be compared?",
        answer=_answer(pairs),
        pictures=[_events(pairs), _records(pairs)],
    )


def _answer(pairs: Pairs) -> str:
    if pairs.comparison is None:
        return f"No: {pairs.obstacle}. So no difference is shown, and neither run is better."
    found = pairs.comparison
    answer = f"Yes, on the {found.common:,} events that both scored out of sample, whose labels are the same"
    left = found.only_first + found.only_second
    answer += f"; {left:,} events that one run alone scored are left out." if left else "; no event is left out."
    other = [name for name, same in _sameness(pairs).items() if same is False and "digest" not in name]
    return f"{answer} What differs all the same: {', '.join(other)}." if other else answer


def _sameness(pairs: Pairs) -> dict[str, bool | None]:
    """Return whether each record of the two runs is the same; None where one of them is not known."""
    return {name: None if UNKNOWN in cells else cells[0] == cells[1] for name, cells in _cells(pairs).items()}


def _cells(pairs: Pairs) -> dict[str, tuple[str, str]]:
    """Return the record of A and that of B by its name."""
    found: dict[str, list[str]] = {"data set": [], "market": [], "verdict": [], "trials on these data": []}
    found |= {name: [] for name in _DIGESTS.values()}
    for side in pairs.sides:
        facts = side.facts
        found["data set"].append(str(facts.metrics.get("dataset") or UNKNOWN))
        found["market"].append(_MARKET[side.synthetic])
        found["verdict"].append(words(str(facts.verdict.get("verdict") or UNKNOWN)))
        found["trials on these data"].append(UNKNOWN if facts.trials is None else f"{facts.trials:,}")
        for key, name in _DIGESTS.items():
            found[name].append(str(facts.digests.get(key) or UNKNOWN)[:12])
    return {name: (one, other) for name, (one, other) in found.items()}


def _records(pairs: Pairs) -> Picture:
    same = _sameness(pairs)
    rows: list[list[Any]] = [["", "read from", *(side.source for side in pairs.sides)]]
    rows += [[_SAME[same[name]], name, *cells] for name, cells in _cells(pairs).items()]
    differ = [name for name, found in same.items() if found is False]
    unknown = [name for name, found in same.items() if found is None]
    finding = f"Records that differ: {', '.join(differ)}." if differ else "No record differs."
    if unknown:
        finding += f" Not known of one run at least: {', '.join(unknown)}."
    return Picture(
        title="Records of the two runs",
        finding=finding,
        drawing="",
        table=Table(head=["comparison", "record", "A", "B"], rows=rows),
        note=(
            "Other features or parameters are what a comparison is for. The labels themselves are compared value by "
            "value: with other ones the runs answer different questions, and nothing is compared."
        ),
    )


def _events(pairs: Pairs) -> Picture:
    title, head = "Common events", ["events", "number", "share of A (%)", "share of B (%)"]
    found = pairs.comparison
    if found is None:
        return Picture(title=title, finding=f"{pairs.obstacle}.", drawing="", table=Table(head=head, rows=[]))
    totals = (found.common + found.only_first, found.common + found.only_second)
    rows = [
        ["scored by both", found.common, *(100.0 * found.common / total for total in totals)],
        ["scored by A alone", found.only_first, 100.0 * found.only_first / totals[0], "–"],
        ["scored by B alone", found.only_second, "–", 100.0 * found.only_second / totals[1]],
    ]
    first, last = (f"{each:%Y-%m-%d}" for each in (pairs.rows["event_time"].min(), pairs.rows["event_time"].max()))
    finding = f"{found.common:,} common events from {first} to {last}, on which everything below is measured."
    return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=rows))
