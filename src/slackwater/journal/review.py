"""Review of an account: groups of trades where the model, the user or a rule of the gate is consistently wrong.

Many groups are looked at, so that some of them look bad by chance. The intervals hold for all of them together: 95 of
100 accounts without any bad group have none whose interval says so (method, section 3.3; docs/journal.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.stats import norm

from slackwater.evidence.resampling import Resampling
from slackwater.journal.store import Journal
from slackwater.journal.trades import DAY_NS, closed_trades, forgone_by_day
from slackwater.metrics.selection import FEWEST_BLOCKS, Stretch, block_bootstrap_indices
from slackwater.times import DAY
from slackwater.types import Bools, Floats, Ints

__all__ = ["FEWEST_DAYS", "FEWEST_TRADES", "Finding", "Review", "review_account", "review_tables"]

FEWEST_TRADES: Final = 20
FEWEST_DAYS: Final = 10
"""A group needs as many trades, on as many days."""

_HOURS: Final = 4
_CONFIDENCE: Final = 0.95
_MOST_UNDEFINED: Final = 0.05  # a group that is missing in more of the draws has no interval
_WRONG: Final = {
    "net_r": ("loses", ""),
    "surprise_r": ("earns less than the model promised", "earns more than the model promised"),
    "difference_r": ("does worse than the other noted trades", ""),
    "forgone_r": ("", "would have earned: the rule costs money"),
}
"""By measure, the sentence on a group whose whole interval is below zero, and above it; empty where that is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One group and one measure of it.

    Parameters
    ----------
    about
        ``model``, ``user`` or ``gate``.
    dimension, group
        Such as ``trigger`` and ``cusum``.
    measure
        ``net_r``, the mean result; ``surprise_r``, result less what the model promised; ``difference_r``, mean result
        less that of the other noted trades; ``forgone_r``, mean result of refused trades. All in R per trade.
    trades, days
        Number of trades, and of days with one.
    mean, low, high
        Estimate and its interval; NaN bounds where the sample is too small.
    verdict
        A phrase if the whole interval is on the wrong side of zero, empty otherwise.
    too_small
        The reason for which there is no interval; empty where there is one.
    """

    about: str
    dimension: str
    group: str
    measure: str
    trades: int
    days: int
    mean: float
    low: float = np.nan
    high: float = np.nan
    verdict: str = ""
    too_small: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Review of one account.

    Parameters
    ----------
    account, synthetic
        Account, and whether its market is simulated.
    trades, refused, days
        Closed trades with a known result, refused ones with a known result, and days from the first to the last.
    noted, noted_late
        Trades with a note, and those whose first note was written after the exit and may know the result.
    looked_at
        Number of intervals; each is as wide as that number requires.
    findings
        All groups, wrong ones first, then by the number of trades.
    """

    account: str
    synthetic: bool
    trades: int
    refused: int
    days: int
    noted: int
    noted_late: int
    looked_at: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Group:
    """Sums per day of one group: of its measure and of its trades; the same of those that it is compared with."""

    about: str
    dimension: str
    name: str
    measure: str
    days: Ints
    sums: Floats
    counts: Floats
    others: tuple[Floats, Floats] | None = None


def review_account(journal: Journal, account: str, *, synthetic: bool, resampling: Resampling | None = None) -> Review:
    """Return the review of an account.

    Parameters
    ----------
    journal
        Open for reading.
    account, synthetic
        As `slackwater.journal.trades.chosen_account` returns them.
    resampling
        The block bootstrap; by default 2,000 draws of blocks of 14 days.

    Raises
    ------
    ParameterError
        If a setting is out of range.
    JournalError
        If the journal is damaged.
    """
    trades, forgone = closed_trades(journal, account), forgone_by_day(journal, account)
    return review_tables(trades, forgone, account=account, synthetic=synthetic, resampling=resampling or Resampling())


def review_tables(
    trades: pd.DataFrame, forgone: pd.DataFrame, *, account: str, synthetic: bool, resampling: Resampling
) -> Review:
    """Return the review of the tables of an account, as `closed_trades` and `forgone_by_day` return them."""
    trades = trades[trades["net_r"].notna()].reset_index(drop=True)
    groups = [*_of_model(trades), *_of_user(trades), *_of_gate(forgone)]
    every_day = np.concatenate([trades["ts_ns"].to_numpy() // DAY_NS, forgone["day"].to_numpy()]).astype(np.int64)
    days = int(np.ptp(every_day)) + 1 if every_day.size else 0
    first = int(every_day.min()) if days else 0
    findings = _findings(groups, first, days, resampling)
    return Review(
        account=account,
        synthetic=synthetic,
        trades=len(trades),
        refused=int(forgone["n"].sum()),
        days=days,
        noted=int(trades["noted_late"].notna().sum()),
        noted_late=int((trades["noted_late"] == True).sum()),  # noqa: E712  (None where there is no note)
        looked_at=sum(not each.too_small for each in findings),
        findings=tuple(sorted(findings, key=lambda each: (not each.verdict, bool(each.too_small), -each.trades))),
    )


def _of_model(trades: pd.DataFrame) -> Iterator[_Group]:
    """Yield the groups that show where the model is wrong, each by its result and by what was promised."""
    surprise = trades["net_r"] - trades["expected_r"]
    for dimension, group, rows in _groups_of_model(trades):
        if not rows.any():
            continue
        yield _group("model", dimension, group, "net_r", trades["ts_ns"][rows], trades["net_r"][rows])
        known = rows & surprise.notna().to_numpy()
        if known.any():
            yield _group("model", dimension, group, "surprise_r", trades["ts_ns"][known], surprise[known])


def _groups_of_model(trades: pd.DataFrame) -> Iterator[tuple[str, str, Bools]]:
    yield "all", "all trades", np.ones(len(trades), dtype=np.bool_)
    fired = trades["triggers"].fillna("").str.split("+")
    for name in sorted({each for names in fired for each in names if each}):
        yield "trigger", name, np.array([name in names for names in fired], dtype=np.bool_)
    # Hours in fours: single ones would have too few trades, and every interval would be wider for all of them.
    hour = pd.to_datetime(trades["event_time"], utc=True, format="ISO8601").dt.hour.to_numpy() // _HOURS * _HOURS
    for begin in np.unique(hour):
        yield "hour (UTC)", f"{begin:02d}:00-{begin + _HOURS:02d}:00", np.asarray(hour == begin)
    volatility = trades["volatility_daily"].to_numpy()
    if np.isfinite(volatility).any():
        low, high = np.nanquantile(volatility, [1 / 3, 2 / 3])
        yield "regime", f"volatility up to {low:.2%} per day", volatility <= low
        yield "regime", f"volatility {low:.2%} to {high:.2%} per day", (volatility > low) & (volatility <= high)
        yield "regime", f"volatility above {high:.2%} per day", volatility > high
    for side, name in ((1, "long"), (-1, "short")):
        yield "side", name, (trades["side"] == side).to_numpy()


def _of_user(trades: pd.DataFrame) -> Iterator[_Group]:
    """Yield the groups of the notes, each against the other noted trades: what the market did is in both."""
    for dimension, column in (("state of mind", "state_of_mind"), ("plan followed", "plan_followed")):
        noted = trades[trades[column].notna()]
        for answer in sorted(noted[column].unique()):
            rows = (noted[column] == answer).to_numpy()
            name = {True: "yes", False: "no"}.get(answer, str(answer))
            if not rows.all():
                yield _group(
                    "user", dimension, name, "difference_r", noted["ts_ns"], noted["net_r"], rows=rows, against=True
                )


def _of_gate(forgone: pd.DataFrame) -> Iterator[_Group]:
    """Yield the reasons of refusals; a refused trade counts for each of its reasons."""
    codes = forgone["codes"].str.split("+")
    for code in sorted({each for names in codes for each in names}):
        rows = forgone[[code in names for names in codes]]
        days, at = np.unique(rows["day"].to_numpy(), return_inverse=True)
        sums, counts = (_sums(at, rows[name].to_numpy(np.float64), days.size) for name in ("net_r", "n"))
        yield _Group(
            about="gate", dimension="rule", name=code, measure="forgone_r", days=days, sums=sums, counts=counts
        )


def _group(
    about: str,
    dimension: str,
    name: str,
    measure: str,
    ts_ns: pd.Series,
    values: pd.Series,
    *,
    rows: Bools | None = None,
    against: bool = False,
) -> _Group:
    """Return the sums per day of some trades, and of the rest where they are compared with it."""
    days, at = np.unique(ts_ns.to_numpy() // DAY_NS, return_inverse=True)
    inside = np.ones(len(values)) if rows is None else rows.astype(np.float64)
    value, n = values.to_numpy(), days.size
    return _Group(
        about=about,
        dimension=dimension,
        name=name,
        measure=measure,
        days=days,
        sums=_sums(at, value * inside, n),
        counts=_sums(at, inside, n),
        others=(_sums(at, value * (1.0 - inside), n), _sums(at, 1.0 - inside, n)) if against else None,
    )


def _sums(at: Ints, weights: Floats, n: int) -> Floats:
    return np.bincount(at, weights, n).astype(np.float64)


def _findings(groups: list[_Group], first: int, days: int, resampling: Resampling) -> list[Finding]:
    found = [_without_interval(group, days, resampling.mean_block) for group in groups]
    at = [k for k, each in enumerate(found) if not each.too_small]
    if not at:
        return found
    draws = _drawn(days, resampling)
    values = np.column_stack([_means(groups[k], first, draws) for k in at])
    undefined = np.isnan(values).mean(axis=0) > _MOST_UNDEFINED
    flat = ~undefined & (np.nanstd(np.where(undefined, 0.0, values), axis=0) == 0.0)
    usable = ~undefined & ~flat
    bounds = np.full((2, len(at)), np.nan)
    if usable.any():
        estimates = np.array([found[k].mean for k in at])[usable]
        stretch = Stretch.of(days, mean_block=resampling.mean_block)
        bounds[:, usable] = _joint_bounds(estimates, values[:, usable], stretch)
    for k, (low, high) in zip(at, bounds.T, strict=True):
        found[k] = _with_interval(found[k], float(low), float(high))
    return found


def _without_interval(group: _Group, days: int, mean_block: timedelta) -> Finding:
    """Return the estimate of a group, and whether its sample is too small for an interval."""
    trades, on = int(group.counts.sum()), int((group.counts > 0).sum())
    mean = float(group.sums.sum() / trades) if trades else np.nan
    too_small = ""
    if group.others is not None:
        others = int(group.others[1].sum())
        mean -= float(group.others[0].sum() / others)
        if others < FEWEST_TRADES:
            too_small = f"{others} other noted trades, {FEWEST_TRADES} are needed"
    if trades < FEWEST_TRADES or on < FEWEST_DAYS:
        too_small = f"{trades} trades on {on} days, {FEWEST_TRADES} on {FEWEST_DAYS} are needed"
    if days * DAY < FEWEST_BLOCKS * mean_block:
        too_small = f"{days} days, {FEWEST_BLOCKS * mean_block // DAY} are needed for blocks of {mean_block // DAY}"
    return Finding(
        about=group.about,
        dimension=group.dimension,
        group=group.name,
        measure=group.measure,
        trades=trades,
        days=on,
        mean=mean,
        too_small=too_small,
    )


def _drawn(days: int, resampling: Resampling) -> Floats:
    """Return how often each day of the calendar is in each draw, shape (draws, days)."""
    calendar = np.datetime64("1970-01-01", "us") + np.arange(days) * np.timedelta64(1, "D")
    rows = block_bootstrap_indices(
        calendar, mean_block=resampling.mean_block, draws=resampling.draws, seed=resampling.seed
    )
    return np.stack([np.bincount(each, minlength=days).astype(np.float64) for each in rows])


def _means(group: _Group, first: int, draws: Floats) -> Floats:
    """Return the mean of a group in each draw, less that of the others where it has some; NaN where it has no trade."""
    drawn = draws[:, group.days - first]
    with np.errstate(invalid="ignore"):
        means = (drawn @ group.sums) / (drawn @ group.counts)
        if group.others is not None:
            means = means - (drawn @ group.others[0]) / (drawn @ group.others[1])
    return np.asarray(means)


def _joint_bounds(estimates: Floats, values: Floats, stretch: Stretch) -> Floats:
    """Return intervals that hold for all estimates together, shape (2, groups).

    1. Measure each draw of each group by the standard deviation of that group.
    2. Take the largest distance over the groups of each draw: groups that share their trades count less.
    3. Its 95 % quantile is the half width of every interval, in standard deviations, stretched for the short calendar.
    """
    spread = np.nanstd(values, axis=0)
    largest = np.nanmax(np.abs(values - estimates) / spread, axis=1)
    width = float(np.quantile(largest, _CONFIDENCE))
    alone = 1.0 - 2.0 * float(norm.sf(width))
    half = width * spread * stretch.of_bound(min(alone, 1.0 - 1e-9))
    return np.stack([estimates - half, estimates + half])


def _with_interval(finding: Finding, low: float, high: float) -> Finding:
    content: dict[str, Any] = {name: getattr(finding, name) for name in Finding.__slots__}
    if np.isnan(low):
        return Finding(**content | {"too_small": "missing in too many draws, or always the same"})
    below, above = _WRONG[finding.measure]
    verdict = below if high < 0.0 else above if low > 0.0 else ""
    return Finding(**content | {"low": low, "high": high, "verdict": verdict})
