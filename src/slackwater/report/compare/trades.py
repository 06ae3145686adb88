"""Section 3: paired differences of the trades at unit risk, event by event and day by day."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from slackwater.report.compare.pairs import Pairs
from slackwater.report.compare.skill import difference_picture, judged
from slackwater.report.page.content import Picture, Section, Table, number
from slackwater.report.page.drawing import Axis, Plot, months

__all__ = ["trades"]

_NOT_KNOWN: Final = "The trades of one run at least are not known, so they are not compared."
_SIDES: Final = {"a": "taken_net_r_a", "b": "taken_net_r_b"}


def trades(pairs: Pairs) -> Section:
    """Return the section: the trades of both runs on the common events."""
    known = pairs.comparison is not None and pairs.comparison.traded is not None
    found = pairs.differences("net_r")
    if pairs.comparison is None:
        answer = "Not answered: the runs cannot be compared."
    elif not known:
        answer = _NOT_KNOWN
    else:
        answer = f"{judged(pairs, found[0])} A common event that a run does not trade earns it 0."
    pictures = [
        difference_picture(
            pairs,
            found,
            title="Paired differences of the trades",
            axis="Gain of B over A (R per event), 95 %",
            note="Right of the line B earns more.",
        ),
        difference_picture(
            pairs,
            pairs.differences("net_bps"),
            title="Paired differences in basis points",
            axis="Gain of B over A (bps of notional per event), 95 %",
            note="Right of the line B earns more.",
        ),
    ]
    if known:
        pictures += [_sum(pairs), _days(pairs)]
    return Section(name="trades", question="Does one earn more?", answer=answer, pictures=pictures)


def _sum(pairs: Pairs) -> Picture:
    """Return the sums of the results of both in time."""
    title, head = "Sum of results on the common events", ["event (UTC)", "symbol", "A (R)", "B (R)"]
    rows = pairs.rows[pairs.rows[list(_SIDES.values())].notna().any(axis=1)]
    if rows.empty:
        return Picture(
            title=title, finding="Neither run trades a common event.", drawing="", table=Table(head=head, rows=[])
        )
    at = np.asarray(pd.DatetimeIndex(rows["event_time"]).as_unit("us").asi8 / 1e6, dtype=np.float64)
    sums = {name: rows[column].fillna(0.0).cumsum().to_numpy() for name, column in _SIDES.items()}
    x = Axis(title="Time of the event (UTC)", low=at.min(), high=at.max(), ticks=months(list(at)))
    y = Axis.around("Sum of net results (R, at unit risk)", *sums.values(), include=[0.0])
    plot = Plot(label=title, x=x, y=y, synthetic=pairs.synthetic, height=270.0)
    plot.rule(y=0.0)
    for name, kind in (("a", "plain"), ("b", "ink")):
        plot.line(at, sums[name], kind=kind, name=f"{name.upper()}{' (squares)' if name == 'b' else ''}", steps=True)
    plot.points(at[-1:], sums["a"][-1:], kind="plain", shape="circle")
    every = max(len(at) // 12, 1)
    plot.points(at[::every], sums["b"][::every], kind="ink", shape="square", size=3.0)
    last = {name: float(values[-1]) for name, values in sums.items()}
    cells = [
        [f"{row.event_time:%Y-%m-%d %H:%M}", row.symbol, row.taken_net_r_a, row.taken_net_r_b]
        for row in rows.itertuples(index=False)
    ]
    return Picture(
        title=title,
        finding=f"A ends at {number(last['a'])} R and B at {number(last['b'])} R; one path each, without an interval.",
        drawing=plot.svg(),
        table=Table(head=head, rows=cells),
        note="An event that a run does not trade is not known in its column, and adds nothing to its line.",
    )


def _days(pairs: Pairs) -> Picture:
    """Return days and trades by who took them, with their results."""
    rows = pairs.rows.assign(day=pairs.rows["event_time"].dt.floor("D"))
    taken = {name: rows[column].notna() for name, column in _SIDES.items()}
    days = {name: set(rows.loc[found, "day"]) for name, found in taken.items()}
    common = days["a"] & days["b"]
    groups = {
        "events that both trade": taken["a"] & taken["b"],
        "events that A alone trades": taken["a"] & ~taken["b"],
        "events that B alone trades": taken["b"] & ~taken["a"],
        "days on which both trade": rows["day"].isin(common),
        "days on which A alone trades": rows["day"].isin(days["a"] - common),
        "days on which B alone trades": rows["day"].isin(days["b"] - common),
    }
    cells = [
        [
            name,
            int(rows.loc[found, "day"].nunique()),
            *(int((found & taken[side]).sum()) for side in _SIDES),
            *(float(rows.loc[found & taken[side], column].sum()) for side, column in _SIDES.items()),
        ]
        for name, found in groups.items()
    ]
    total, differ = (int(found.sum()) for found in (taken["a"].astype(int) + taken["b"], taken["a"] ^ taken["b"]))
    return Picture(
        title="Who traded what",
        finding=(
            f"{differ:,} of {total:,} trades are of one run alone; both trade on {len(common):,} of "
            f"{len(days['a'] | days['b']):,} days with a trade."
        ),
        drawing="",
        table=Table(head=["group", "days", "trades of A", "trades of B", "sum of A (R)", "sum of B (R)"], rows=cells),
        wide=True,
    )
