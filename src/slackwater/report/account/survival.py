"""Section 3: equity, drawdown and R multiples of an account, and what so few trades can show."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from slackwater.journal.review import Finding
from slackwater.report.account.record import AccountRecord
from slackwater.report.page.content import UNKNOWN, Picture, Section, Table, number, percent, words
from slackwater.report.page.drawing import Axis, Plot, moments
from slackwater.report.page.forest import Row, forest
from slackwater.types import Floats

__all__ = ["findings_picture", "survival"]

_NONE: Final = "No trade with a known result was closed, so there is nothing to draw."
_MEASURES: Final = {
    "net_r": "net result",
    "surprise_r": "result less what was promised",
    "difference_r": "result less the other noted trades",
    "forgone_r": "result of refused trades",
}
"""Measures of the review in words, R per trade."""
_SHORT: Final = {"net_r": "", "surprise_r": ", less promise", "difference_r": ", less others", "forgone_r": ""}


def survival(record: AccountRecord) -> Section:
    """Return the section: equity, drawdown, R multiples, and the review of model and user with intervals."""
    known = record.trades[record.trades["net_r"].notna()]
    equity, drawdown = _equity(record)
    answer = _NONE
    if len(known):
        (whole,) = [f for f in record.review.findings if f.dimension == "all" and f.measure == "net_r"]
        answer = (
            f"The account of {number(record.initial_equity, 5)} USDT stood at {number(float(equity[-1]), 5)} USDT "
            f"after {len(known):,} closed trades, with a largest drawdown of {percent(float(np.max(drawdown)))} from "
            f"exit to exit. Mean result {_estimate(whole)}."
        )
    pictures = [_in_time(record, equity, drawdown), _multiples(record), _excursions(record), _review(record)]
    return Section(name="survival", question="Would I have survived?", answer=answer, pictures=pictures)


def _estimate(found: Finding) -> str:
    mean = f"{number(found.mean)} R per trade"
    return (
        f"{mean}; no interval: {found.too_small}"
        if found.too_small
        else f"{mean} ({number(found.low)} to {number(found.high)})"
    )


def _equity(record: AccountRecord) -> tuple[Floats, Floats]:
    """Return equity (USDT) and drawdown (fraction of the highest) at the start and after every exit."""
    start = math.nan if record.initial_equity is None else record.initial_equity
    equity = np.concatenate([[start], record.trades["equity_after"].to_numpy(np.float64)])
    return equity, 1.0 - equity / np.maximum.accumulate(equity)


def _in_time(record: AccountRecord, equity: Floats, drawdown: Floats) -> Picture:
    title = "Equity and drawdown of the account"
    head = ["time (UTC)", "equity (USDT)", "drawdown (%)"]
    span = record.span
    if not len(record.trades) or span is None or np.isnan(equity).any():
        finding = _NONE if not len(record.trades) else f"The equity is {UNKNOWN}: its start or a result is missing."
        return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=[]))
    times = [span[0], *record.trades["exit_time"]]
    at = np.array([each.timestamp() for each in times])
    x = Axis(title="Time (UTC)", low=at.min(), high=max(at.max(), at.min() + 1.0), ticks=moments(list(at)))
    y = Axis.around("Equity (USDT), net of all costs", equity)
    plot = Plot(label=title, x=x, y=y, synthetic=record.synthetic, height=270.0)
    plot.rule(y=float(equity[0]), kind="muted", name="at the start")
    plot.line(at, equity, kind="plain", steps=True, name="equity after exits")
    steps, held = np.repeat(at, 2)[1:], np.repeat(equity, 2)[:-1]
    plot.band(steps, held, np.maximum.accumulate(held), kind="loss")
    rows = [
        [f"{time:%Y-%m-%d %H:%M}", float(value), 100.0 * float(lost)]
        for time, value, lost in zip(times, equity, drawdown, strict=True)
    ]
    worst = int(np.argmax(drawdown))
    finding = (
        f"From {number(float(equity[0]), 5)} to {number(float(equity[-1]), 5)} USDT; the deepest drawdown was "
        f"{percent(float(drawdown[worst]))}, on {times[worst]:%Y-%m-%d %H:%M}."
    )
    return Picture(
        title=title,
        finding=finding,
        drawing=plot.svg(),
        table=Table(head=head, rows=rows),
        note="At exits only: what an open position lost in between is in the largest losses of the trades.",
    )


def _multiples(record: AccountRecord) -> Picture:
    title, head = "R multiples of the trades", ["R from", "R to", "trades"]
    values = record.trades["net_r"].dropna().to_numpy()
    if not len(values):
        return Picture(title=title, finding=_NONE, drawing="", table=Table(head=head, rows=[]))
    edges = np.linspace(min(values.min(), -1.2), max(values.max(), 1.2), 19)
    counts, _ = np.histogram(values, bins=edges)
    plot = Plot(
        label=title,
        x=Axis(title="Net result (R: multiples of the planned loss)", low=edges[0], high=edges[-1]),
        y=Axis(title="Trades", low=0.0, high=1.1 * counts.max()),
        synthetic=record.synthetic,
        height=270.0,
    )
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        plot.bar(low, high, 0.0, count, kind="loss" if high <= 0.0 else "gain")
    plot.rule(x=0.0)
    beyond = int((values < -1.05).sum())
    return Picture(
        title=title,
        finding=(
            f"{percent(float((values > 0.0).mean()))} of {len(values):,} trades gain, the median is "
            f"{number(float(np.median(values)))} R; {beyond} lose more than 1.05 R, the worst "
            f"{number(float(values.min()))} R."
        ),
        drawing=plot.svg(),
        table=Table(
            head=head, rows=[[float(a), float(b), int(n)] for a, b, n in zip(edges, edges[1:], counts, strict=False)]
        ),
    )


def _excursions(record: AccountRecord) -> Picture:
    title, head = (
        "Largest loss and gain while open",
        ["entry (UTC)", "symbol", "largest loss (R)", "largest gain (R)", "net (R)"],
    )
    known = record.trades[record.trades[["mae_r", "mfe_r", "net_r"]].notna().all(axis=1)]
    rows = [
        [f"{row.entry_time:%Y-%m-%d %H:%M}", row.symbol, row.mae_r, row.mfe_r, row.net_r]
        for row in known.itertuples(index=False)
    ]
    lacking = len(record.trades) - len(known)
    if known.empty:
        return Picture(
            title=title, finding="The extremes of no trade are known.", drawing="", table=Table(head=head, rows=[])
        )
    x = Axis.around("Largest loss while open, before costs (R)", known["mae_r"], include=[0.0, 1.0])
    y = Axis.around("Largest gain while open, before costs (R)", known["mfe_r"], include=[0.0, 1.0])
    plot = Plot(label=title, x=x, y=y, synthetic=record.synthetic, height=270.0)
    plot.rule(x=1.0, kind="loss")
    for gains, kind, shape, name in ((True, "gain", "up", "gained"), (False, "loss", "down", "lost")):
        some = known[(known["net_r"] > 0.0) == gains]
        plot.points(some["mae_r"], some["mfe_r"], kind=kind, shape=shape, name=name)
    lost = known[known["net_r"] <= 0.0]
    finding = (
        f"The {len(lost):,} losing trades had stood up to {number(float(lost['mfe_r'].max()))} R in front."
        if len(lost)
        else "No trade lost."
    )
    if lacking:
        finding += f" Of {lacking:,} trades the extremes are not known."
    return Picture(title=title, finding=finding, drawing=plot.svg(), table=Table(head=head, rows=rows))


def _review(record: AccountRecord) -> Picture:
    found = [each for each in record.review.findings if each.about in ("model", "user")]
    return findings_picture(
        record,
        found,
        title="Where model and user are consistently wrong",
        note="Left of the line is a loss, or less than the model promised.",
    )


def findings_picture(record: AccountRecord, found: list[Finding], *, title: str, note: str) -> Picture:
    """Return the forest of findings of the review that have an interval, with all of them in the table."""
    drawn = [each for each in found if not each.too_small]
    rows = [
        Row(label=f"{words(each.group)}{_SHORT[each.measure]}", value=each.mean, low=each.low, high=each.high)
        for each in drawn
    ]
    wrong = [f"{each.dimension} {each.group} {each.verdict}" for each in found if each.verdict]
    small = len(found) - len(drawn)
    if not found:
        finding = "The account has no group of trades."
    elif not drawn:
        finding = f"Nothing can be said yet: all {small:,} groups are too small for an interval."
    else:
        finding = (
            f"{'; '.join(wrong) if wrong else 'No interval lies on the wrong side of zero'}; {len(drawn):,} intervals"
        )
        finding += f" that hold together, {small:,} groups are too small for one."
    cells = [
        [
            *(each.about, each.dimension, each.group, _MEASURES[each.measure], each.trades, each.days),
            *(each.mean, each.low, each.high, each.verdict or each.too_small),
        ]
        for each in found
    ]
    head = ["about", "by", "group", "measure", "trades", "days", "mean (R)", "low", "high", "remark"]
    return Picture(
        title=title,
        finding=finding,
        drawing=forest(rows, title="R per trade, intervals that hold together", label=title, synthetic=record.synthetic)
        if rows
        else "",
        table=Table(head=head, rows=cells),
        note=f"{note} A group needs 20 trades on 10 days, the account six blocks of the bootstrap (docs/journal.md).",
        wide=not rows,
    )
