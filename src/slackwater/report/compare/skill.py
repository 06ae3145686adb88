"""Section 2: paired differences of the probabilities, over all events and by test block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from slackwater.evidence.comparison import Difference
from slackwater.metrics.classification import auc
from slackwater.report.compare.pairs import Pairs
from slackwater.report.page.content import Picture, Section, Table, number
from slackwater.report.page.drawing import Axis, Plot
from slackwater.report.page.forest import Row, forest

__all__ = ["difference_picture", "judged", "skill"]

_HEAD: Final = ("metric", "events", "A", "B", "B less A", "low, 95 %", "high, 95 %", "B is", "remark")


def skill(pairs: Pairs) -> Section:
    """Return the section: AUC, Brier score and log loss of both runs on the same events."""
    found = pairs.differences("direction.", "hit.")
    if pairs.comparison is None:
        answer = "Not answered: the runs cannot be compared."
    else:
        answer = f"{judged(pairs, pairs.comparison.differences[0])} {_by_chance(pairs)}"
    pictures = [
        difference_picture(
            pairs,
            found,
            title="Paired differences of the probabilities",
            axis="Gain of B over A in the metric, 95 %",
            note=(
                "Right of the line B is better: of Brier score and log loss, of which less is better, A less B is "
                "drawn; the table has B less A."
            ),
        ),
        _blocks(pairs),
    ]
    return Section(name="skill", question="Does one rank events better?", answer=answer, pictures=pictures)


def judged(pairs: Pairs, difference: Difference) -> str:
    """Return the sentence of a headline; a winner needs an interval without zero and the number of trials."""
    if difference.reading in ("better", "worse") and not pairs.trials_known:
        return (
            f"The {difference.words} differs by {number(difference.difference)} ({number(difference.low)} to "
            f"{number(difference.high)}), but no winner is named: {pairs.trials}."
        )
    return f"{difference.sentence(('A', 'B'))} {pairs.trials[:1].upper()}{pairs.trials[1:]}."


def _by_chance(pairs: Pairs) -> str:
    found = [each for each in pairs.differences("") if not math.isnan(each.low + each.high)]
    beyond = sum(each.reading in ("better", "worse") for each in found)
    return (
        f"{beyond} of the {len(found)} intervals on this page exclude zero; each does so by chance in 5 of 100 "
        "comparisons of equally good runs."
    )


def difference_picture(pairs: Pairs, found: Sequence[Difference], *, title: str, axis: str, note: str) -> Picture:
    """Return the forest of some differences, right of the line where B is better, with the table behind it."""
    rows = [_row(each) for each in found]
    better = [row.label for row in rows if row.kind == "gain"]
    worse = [row.label for row in rows if row.kind == "loss"]
    intervals = sum(math.isfinite(row.low + row.high) for row in rows)
    if not rows:
        finding = "Nothing is compared."
    elif not intervals:
        finding = "No metric has an interval, so nothing can be concluded; the table has the reasons."
    elif not better and not worse:
        finding = f"No interval of {intervals} excludes zero: the runs cannot be told apart by these metrics."
    elif not pairs.trials_known:
        finding = (
            f"{len(better) + len(worse)} of {intervals} intervals exclude zero; no winner is named: {pairs.trials}."
        )
    else:
        said = [f"{name} in {', '.join(those)}" for name, those in (("B", better), ("A", worse)) if those]
        finding = f"Better by an interval without zero: {'; '.join(said)}; {pairs.trials}."
    cells = [
        [each.words, each.events, each.first, each.second, each.difference, each.low, each.high, reading, each.note]
        for each, reading in zip(found, map(pairs.reading, found), strict=True)
    ]
    return Picture(
        title=title,
        finding=finding,
        drawing=forest(rows, title=axis, label=title, synthetic=pairs.synthetic) if rows else "",
        table=Table(head=_HEAD, rows=cells),
        note=f"Both runs on the same drawn events (block bootstrap). {note}" if rows else "",
    )


def _row(each: Difference) -> Row:
    """Return a difference as a row of the forest, turned so that more is better for B."""
    sign, (low, high) = (1.0, (each.low, each.high)) if each.larger_is_better else (-1.0, (each.high, each.low))
    label = each.words.replace(" per event that both traded", ", both traded")
    return Row(label=label, value=sign * each.difference, low=sign * low, high=sign * high, note=each.note)


def _blocks(pairs: Pairs) -> Picture:
    """Return the AUC of both by test block, where the blocks are the same."""
    title, head = "AUC of direction by test block", ["test block", "first event", "events", "A", "B", "B less A"]
    table = Table(head=head, rows=[])
    if pairs.comparison is None:
        return Picture(title=title, finding="Nothing is compared.", drawing="", table=table)
    known = pairs.rows.get("fold_a"), pairs.rows.get("fold_b")
    if known[0] is None or known[1] is None:
        finding = "Not shown: the test blocks of one run at least are not known."
        return Picture(title=title, finding=finding, drawing="", table=table)
    if not known[0].equals(known[1]):
        finding = "Not shown: the runs divide the common events into different test blocks."
        return Picture(title=title, finding=finding, drawing="", table=table)
    rows = [_of_block(place, block) for place, (_, block) in enumerate(pairs.rows.groupby("fold_a", sort=True), 1)]
    known_rows = [row for row in rows if math.isfinite(row[-1])]
    higher = sum(row[-1] > 0.0 for row in known_rows)
    blank = len(rows) - len(known_rows)
    finding = f"The AUC of B is higher in {higher} of {len(known_rows)} test blocks."
    if blank:
        finding += f" In {blank} others all labels are the same, so there is no AUC."
    if not known_rows:
        return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=rows))
    values = [value for row in known_rows for value in row[3:5]]
    x = Axis(title="Test block", low=0.5, high=len(rows) + 0.5, ticks=[(row[0], str(row[0])) for row in rows])
    plot = Plot(
        label=title, x=x, y=Axis.around("AUC of direction", values, include=[0.5]), synthetic=pairs.synthetic,
        height=270.0,
    )  # fmt: skip
    plot.rule(y=0.5, kind="muted", name="no skill")
    for at, kind, shape, name in ((3, "plain", "circle", "A"), (4, "ink", "square", "B")):
        plot.line([row[0] for row in rows], [row[at] for row in rows], kind=f"{kind} pale")
        plot.points([row[0] for row in rows], [row[at] for row in rows], kind=kind, shape=shape, name=name)
    return Picture(
        title=title,
        finding=finding,
        drawing=plot.svg(),
        table=Table(head=head, rows=rows),
        note="One block is too short for an interval: the count describes, it does not decide.",
    )


def _of_block(place: int, block: Any) -> list[Any]:
    known = block[block["y_direction_a"].notna()]
    y = known["y_direction_a"].to_numpy(np.float64)
    one, two = (auc(y, known[f"p_direction_{side}"].to_numpy(np.float64)) for side in ("a", "b"))
    return [place, f"{block['event_time'].min():%Y-%m-%d}", len(known), one, two, two - one]
