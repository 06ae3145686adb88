"""Digest of one week of an account: what was traded, refused and felt, and what a review has found so far."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError
from slackwater.journal.event import epoch_ns
from slackwater.journal.review import Review
from slackwater.journal.store import Journal
from slackwater.journal.trades import closed_trades

__all__ = ["Digest", "digest_sentences", "week_digest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """One week of an account, from Monday 00:00 UTC.

    Parameters
    ----------
    account, synthetic
        Account, and whether its market is simulated.
    week, start
        ISO week such as ``2024-W03``, and its Monday.
    trades, won, unknown
        Closed trades; those with a result above zero; those whose result is not known, which no sum contains.
    net_r, expected_r, net_usd, funding_usd
        Sums over the closed trades, R and USDT; `expected_r` is what the model promised. NaN where a part is not known.
    best, worst
        Names and results of the best and the worst trade.
    refused, forgone
        Number of refusals, and per reason the number of refused trades with a known result and their sum in R.
    faults
        Number of data faults.
    not_noted
        Trades without a note.
    minds
        Per state of mind of the notes, number of trades and their sum in R.
    not_as_planned
        Number and sum in R of the trades that were not done as planned.
    """

    account: str
    synthetic: bool
    week: str
    start: date
    trades: int
    won: int
    unknown: int
    net_r: float
    expected_r: float
    net_usd: float
    funding_usd: float
    best: tuple[str, float] | None
    worst: tuple[str, float] | None
    refused: int
    forgone: Mapping[str, tuple[int, float]]
    faults: int
    not_noted: tuple[str, ...]
    minds: Mapping[str, tuple[int, float]]
    not_as_planned: tuple[int, float]


def week_digest(journal: Journal, account: str, *, synthetic: bool, week: str = "") -> Digest:
    """Return the digest of a week.

    Parameters
    ----------
    journal
        Open for reading.
    account, synthetic
        As `slackwater.journal.trades.chosen_account` returns them.
    week
        ISO week such as ``2024-W03``; by default that of the last event that is not a note.

    Raises
    ------
    ParameterError
        If it is not a week.
    """
    monday = _monday(week) if week else _last_monday(journal, account)
    begin = datetime(monday.year, monday.month, monday.day, tzinfo=UTC)
    start, end = epoch_ns(begin), epoch_ns(begin + timedelta(days=7))
    everything = closed_trades(journal, account)
    closed = everything[(everything["ts_ns"] >= start) & (everything["ts_ns"] < end)]
    trades = closed[closed["net_r"].notna()]
    ranked = trades.sort_values("net_r", kind="stable")
    ends = [(str(row.trade), float(row.net_r)) for row in ranked.itertuples(index=False)]
    broken = trades[trades["plan_followed"].eq(False)]
    counts = _counts(journal, account, start, end)
    return Digest(
        account=account,
        synthetic=synthetic,
        week=f"{monday.isocalendar().year}-W{monday.isocalendar().week:02d}",
        start=monday,
        trades=len(closed),
        won=int((trades["net_r"] > 0.0).sum()),
        unknown=len(closed) - len(trades),
        net_r=float(trades["net_r"].sum()),
        expected_r=_sum(trades["expected_r"]),
        net_usd=_sum(trades["net_usd"]),
        funding_usd=_sum(trades["funding_usd"]),
        best=ends[-1] if ends else None,
        worst=ends[0] if ends else None,
        refused=counts.get("refusal", 0),
        forgone=_forgone(journal, account, start, end),
        faults=counts.get("data_fault", 0),
        not_noted=tuple(closed.loc[closed["state_of_mind"].isna(), "trade"]),
        minds={
            str(mind): (len(of_mind), float(of_mind["net_r"].sum()))
            for mind, of_mind in trades.dropna(subset="state_of_mind").groupby("state_of_mind")
        },
        not_as_planned=(len(broken), float(broken["net_r"].sum())),
    )


def _sum(values: pd.Series) -> float:
    """Return a sum; NaN where a part of it is not known."""
    return float(values.sum(skipna=False)) if len(values) else 0.0


def _counts(journal: Journal, account: str, start: int, end: int) -> dict[str, int]:
    """Return the number of events per kind, from a time to before another."""
    rows = journal.rows(
        "SELECT kind, count(*) FROM event WHERE account = ? AND ts_ns >= ? AND ts_ns < ? GROUP BY kind",
        *(account, start, end),
    )
    return dict(rows)


def _forgone(journal: Journal, account: str, start: int, end: int) -> dict[str, tuple[int, float]]:
    """Return the number and the sum of the results of refused trades per reason, the most frequent first."""
    sums: dict[str, tuple[int, float]] = {}
    for codes, n, total in journal.rows(
        "SELECT codes, count(net_r), total(net_r) FROM event WHERE account = ? AND kind = 'forgone' "
        "AND net_r IS NOT NULL AND ts_ns >= ? AND ts_ns < ? GROUP BY codes",
        *(account, start, end),
    ):
        for code in codes.split("+"):
            so_far = sums.get(code, (0, 0.0))
            sums[code] = so_far[0] + n, so_far[1] + total
    return dict(sorted(sums.items(), key=lambda item: (-item[1][0], item[0])))


def _monday(week: str) -> date:
    found = re.fullmatch(r"(\d{4})-W(\d{2})", week)
    try:
        if found is None:
            raise ValueError(week)
        return date.fromisocalendar(int(found[1]), int(found[2]), 1)
    except ValueError:
        raise ParameterError(f"`--week` must be an ISO week such as 2024-W03, was {week!r:.40}") from None


def _last_monday(journal: Journal, account: str) -> date:
    ((last,),) = journal.rows("SELECT max(ts_ns) FROM event WHERE account = ? AND kind <> 'note'", account)
    day = datetime.fromtimestamp(last // 10**9, tz=UTC).date()
    return day - timedelta(days=day.weekday())


def digest_sentences(digest: Digest, review: Review) -> Iterator[str]:
    """Yield the lines of a digest, and of what the review of the whole account has found so far."""
    mark = "SYNTHETIC market: no evidence of a real edge; " if digest.synthetic else ""
    yield f"{mark}week {digest.week} (from {digest.start}, UTC) of account {digest.account}"
    yield (
        f"trades     {digest.trades} closed, {digest.won} won; net {digest.net_r:+.2f} R "
        f"({_told(digest.net_usd)} USDT), promised {_told(digest.expected_r)} R; "
        f"funding paid {_told(digest.funding_usd)} USDT"
    )
    if digest.unknown:
        yield f"unknown    the result of {digest.unknown} trades is not known, and is in no sum"
    if digest.best is not None and digest.worst is not None:
        yield f"best       {digest.best[0]} {digest.best[1]:+.2f} R; worst {digest.worst[0]} {digest.worst[1]:+.2f} R"
    yield f"refused    {digest.refused}"
    for code, (n, total) in digest.forgone.items():
        yield f"           {code}: {n} would have ended within the week, {total:+.2f} R in all"
    if digest.faults:
        yield f"data       {digest.faults} faults"
    for mind, (n, total) in digest.minds.items():
        yield f"mind       {mind}: {n} trades, {total:+.2f} R"
    if digest.not_as_planned[0]:
        yield f"plan       {digest.not_as_planned[0]} trades not as planned, {digest.not_as_planned[1]:+.2f} R"
    if digest.not_noted:
        shown = ", ".join(digest.not_noted[:3])
        yield f"not noted  {len(digest.not_noted)} trades, such as {shown}: `slackwater journal note --trade NAME`"
    wrong = [each for each in review.findings if each.verdict]
    if not wrong:
        yield f"review     nothing is consistently wrong so far, of {review.looked_at} groups and measures looked at"
    for each in wrong:
        bounds = f"{each.mean:+.2f} R ({each.low:+.2f} to {each.high:+.2f})"
        yield f"review     {each.dimension} {each.group}: {each.verdict}, {bounds}"


def _told(value: float) -> str:
    return "not known" if np.isnan(value) else f"{value:+,.2f}"
