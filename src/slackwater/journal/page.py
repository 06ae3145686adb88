"""One self-contained page of an account: nothing on it is requested from a network, and nothing on it runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import numpy as np
import pandas as pd

from slackwater.journal.review import Finding, Review
from slackwater.types import Floats

__all__ = ["journal_page"]

_MOST_ROWS: Final = 1_000
_WIDTH, _HEIGHT, _EDGE = 860, 240, 40
_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; color: #1c2733; }
h1, h2 { line-height: 1.2; } .mark { background: #fff3cd; padding: .5rem .75rem; border-left: 4px solid #d39e00; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #dde3ea; vertical-align: top; }
.number { text-align: right; } .wrong td { background: #fdecea; } .wide { overflow-x: auto; }
svg { max-width: 100%; height: auto; }
"""


def journal_page(review: Review, trades: pd.DataFrame) -> str:
    """Return a page of HTML with the review of an account, its results over time and its trades.

    Parameters
    ----------
    review
        Of the account.
    trades
        As `slackwater.journal.trades.closed_trades` returns them; the page lists the last 1,000 and says so.
    """
    title = f"Journal of {review.account}{' (SYNTHETIC)' if review.synthetic else ''}"
    parts = [f"<h1>{escape(title)}</h1>"]
    if review.synthetic:
        parts.append('<p class="mark">SYNTHETIC market: no evidence of a real edge.</p>')
    parts.append(
        f"<p>{review.trades:,} closed trades and {review.refused:,} refused ones with a known result on "
        f"{review.days:,} days; {review.noted:,} trades have a note, {review.noted_late:,} of them written after the "
        "exit. All times are UTC; R is the planned loss at the stop with costs.</p>"
    )
    known = trades[trades["net_r"].notna()].sort_values("ts_ns", kind="stable")
    parts += ["<h2>Net result over time</h2>", _line(np.cumsum(known["net_r"].to_numpy(dtype=np.float64)))]
    parts += ["<h2>Review</h2>", _review(review), "<h2>Trades</h2>", _trades(trades)]
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _line(total_r: Floats) -> str:
    """Return a drawing of the sum of the results, trade by trade."""
    if not total_r.size:
        return "<p>No closed trades.</p>"
    values = np.concatenate([[0.0], total_r])
    low, high = float(values.min()), float(values.max())
    span = (high - low) or 1.0
    x = _EDGE + np.arange(values.size) / (values.size - 1) * (_WIDTH - 2 * _EDGE)
    y = _HEIGHT - _EDGE - (values - low) / span * (_HEIGHT - 2 * _EDGE)
    zero = _HEIGHT - _EDGE + low / span * (_HEIGHT - 2 * _EDGE)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    label = (
        f"Sum of net results after {total_r.size:,} trades: {total_r[-1]:+.2f} R, between {low:+.2f} and {high:+.2f}"
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}">'
        f'<line x1="{_EDGE}" x2="{_WIDTH - _EDGE}" y1="{zero:.1f}" y2="{zero:.1f}" stroke="#9aa7b4"/>'
        f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="1.5"/></svg><p>{escape(label)}.</p>'
    )


def _review(review: Review) -> str:
    intro = (
        f"<p>{review.looked_at:,} intervals, each so wide that all of them hold together in 95 of 100 accounts. "
        "A group whose whole interval is on the wrong side of zero is marked.</p>"
    )
    head = ("About", "Group", "Measure", "Trades", "Days", "Mean (R per trade)", "Finding")
    rows = [(*_finding_cells(each), "wrong" if each.verdict else "") for each in review.findings]
    return intro + _table(head, [row[:-1] for row in rows], classes=[row[-1] for row in rows], numbers=(3, 4, 5))


def _finding_cells(each: Finding) -> tuple[str, ...]:
    interval = "" if each.too_small else f" ({each.low:+.3f} to {each.high:+.3f})"
    said = f"too small: {each.too_small}" if each.too_small else each.verdict
    group = f"{each.dimension}: {each.group}"
    return each.about, group, each.measure, f"{each.trades:,}", f"{each.days:,}", f"{each.mean:+.3f}{interval}", said


def _trades(trades: pd.DataFrame) -> str:
    shown = trades.tail(_MOST_ROWS)
    said = "" if len(shown) == len(trades) else f"<p>The last {len(shown):,} of {len(trades):,} trades.</p>"
    head = (
        "Trade",
        "Side",
        "Triggers",
        "Exit",
        "Net (R)",
        "MAE (R)",
        "MFE (R)",
        "State of mind",
        "Plan",
        "Grade",
        "Note",
    )
    rows = [
        (
            *(row.trade, {1: "long", -1: "short"}.get(row.side, ""), row.triggers, row.exit_reason),
            *(_number(value) for value in (row.net_r, row.mae_r, row.mfe_r)),
            *(row.state_of_mind, {True: "followed", False: "not followed"}.get(row.plan_followed, "")),
            *(row.grade, row.text),
        )
        for row in shown.iloc[::-1].itertuples(index=False)
    ]
    return said + _table(head, rows, numbers=(4, 5, 6))


def _number(value: float) -> str:
    return "not known" if np.isnan(value) else f"{value:+.2f}"


def _table(
    head: Sequence[str], rows: Sequence[Iterable[object]], *, numbers: tuple[int, ...], classes: Sequence[str] = ()
) -> str:
    """Return a table whose cells are text, whatever stands in them."""

    def cells(tag: str, row: Iterable[object]) -> str:
        texts = [escape(value) if isinstance(value, str) else "" for value in row]  # a missing note is NaN
        return "".join(
            f"<{tag}{' class=number' if at in numbers else ''}>{text}</{tag}>" for at, text in enumerate(texts)
        )

    marks = classes or [""] * len(rows)
    body = "\n".join(
        f"<tr{f' class={mark}' if mark else ''}>{cells('td', row)}</tr>" for mark, row in zip(marks, rows, strict=True)
    )
    return (
        f'<div class="wide"><table><thead><tr>{cells("th", head)}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )
