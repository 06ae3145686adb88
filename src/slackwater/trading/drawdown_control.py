"""Drawdown control: rules that shrink trades after losses, and halt the account before they ruin it.

A `TrackRecord` holds the history of the account, `DrawdownRules` the limits. `throttle` returns the factor on the size
of the next trade, `halts` the reasons against any trade. Neither a loss nor a win ever raises the risk above the base
size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from slackwater.errors import OrderError, ParameterError
from slackwater.trading.reasons import Reason
from slackwater.trading.rules import DrawdownRules

__all__ = ["RECOVERY_WINS", "UNTHROTTLED", "Throttle", "TrackRecord", "halts", "throttle"]

RECOVERY_WINS = 3
"""Wins in a row after which a losing streak is forgotten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """History of an account, as the rules of drawdown control read it; an immutable value.

    Parameters
    ----------
    peak_equity
        Highest equity observed, USDT, > 0.
    worst_drawdown
        Largest fraction below the peak of its time, seen at any observation, >= 0; above 1 if the equity was
        negative. It never falls, so a drawdown stop outlasts a rebound.
    day, week
        UTC day of the last observation, and the Monday of its week.
    day_start_equity, week_start_equity
        Equity at the first observation of that day and of that week, USDT, finite.
    losing_trades_today
        Trades that ended with a loss on that day, >= 0.
    loss_streak
        Losses in a row right now, >= 0.
    worst_streak
        Longest streak of losses since the last recovery, >= `loss_streak`.
    win_streak
        Wins in a row right now, >= 0.
    last_loss_time
        End of the latest trade that lost, timezone-aware; None if none did.

    Raises
    ------
    ParameterError
        If a value is outside of its range or not finite, `week` is not the Monday of `day`, or `last_loss_time`
        is naive.

    Notes
    -----
    The peak counts open positions at the mark. A winner that gives some of it back, if only the cost of its exit, does
    not end at a new high, and so does not reset the streak of losses (method, section 6.6).

    The day and the week start with the first observation in them, so observe at 00:00 UTC, before the trades that end
    then are booked.

    Examples
    --------
    >>> record = TrackRecord.start(10_000.0, datetime(2024, 3, 1, 12, tzinfo=UTC))
    >>> record = record.closed(datetime(2024, 3, 1, 18, tzinfo=UTC), -200.0, 9_800.0)
    >>> record.loss_streak, record.worst_drawdown, record.day_start_equity
    (1, 0.02, 10000.0)
    >>> record.observed(datetime(2024, 3, 2, tzinfo=UTC), 9_800.0).losing_trades_today
    0
    """

    peak_equity: float
    worst_drawdown: float
    day: date
    week: date
    day_start_equity: float
    week_start_equity: float
    losing_trades_today: int
    loss_streak: int
    worst_streak: int
    win_streak: int
    last_loss_time: datetime | None

    def __post_init__(self) -> None:
        if not 0.0 < self.peak_equity < math.inf:
            raise ParameterError(f"`peak_equity` must be in (0, inf), was {self.peak_equity}")
        if not 0.0 <= self.worst_drawdown < math.inf:
            raise ParameterError(f"`worst_drawdown` must be in [0, inf), was {self.worst_drawdown}")
        _check_finite("day_start_equity", self.day_start_equity)
        _check_finite("week_start_equity", self.week_start_equity)
        for name in ("losing_trades_today", "loss_streak", "win_streak"):
            _check_count(name, getattr(self, name), 0)
        _check_count("worst_streak", self.worst_streak, self.loss_streak)
        if self.week != _monday(self.day):
            raise ParameterError(f"`week` must be the Monday of `day`, {_monday(self.day)}, was {self.week}")
        if self.last_loss_time is not None:
            _check_aware("last_loss_time", self.last_loss_time)

    @classmethod
    def start(cls, equity: float, time: datetime) -> TrackRecord:
        """Return a record without a history; raise ParameterError unless equity (USDT) is positive, time is aware."""
        if not 0.0 < equity < math.inf:
            raise ParameterError(f"`equity` must be in (0, inf), was {equity}")
        _check_aware("time", time)
        day = _utc_day(time)
        return cls(
            peak_equity=equity,
            worst_drawdown=0.0,
            day=day,
            week=_monday(day),
            day_start_equity=equity,
            week_start_equity=equity,
            losing_trades_today=0,
            loss_streak=0,
            worst_streak=0,
            win_streak=0,
            last_loss_time=None,
        )

    def observed(self, time: datetime, equity: float) -> TrackRecord:
        """Return the record after the account was observed at this value.

        Parameters
        ----------
        time
            Time of the observation, timezone-aware. Within a day the order of observations is free.
        equity
            Account value with open positions at the mark, USDT; zero and below are a drawdown of 1 and more.

        Raises
        ------
        ParameterError
            If `equity` is not finite or `time` is naive.
        OrderError
            If `time` lies before the UTC day of the last observation.
        """
        _check_finite("equity", equity)
        _check_aware("time", time)
        day = _utc_day(time)
        if day < self.day:
            raise OrderError(f"`time` must not lie before the day of the last observation, {self.day}, was {time}")
        same_day, same_week = day == self.day, _monday(day) == self.week
        peak = max(self.peak_equity, equity)
        if same_day and peak == self.peak_equity and _fraction_lost(peak, equity) <= self.worst_drawdown:
            return self
        return replace(
            self,
            peak_equity=peak,
            worst_drawdown=max(self.worst_drawdown, _fraction_lost(peak, equity)),
            day=day,
            week=_monday(day),
            day_start_equity=self.day_start_equity if same_day else equity,
            week_start_equity=self.week_start_equity if same_week else equity,
            losing_trades_today=self.losing_trades_today if same_day else 0,
        )

    def closed(self, time: datetime, net_usd: float, equity: float) -> TrackRecord:
        """Return the record after the end of a trade.

        Parameters
        ----------
        time
            End of the trade, timezone-aware.
        net_usd
            Its gain after all costs, USDT. Negative is a loss, positive a win; zero leaves the streaks alone.
        equity
            Account value after it, other open positions at the mark, USDT. It is observed first.

        Raises
        ------
        ParameterError, OrderError
            If `net_usd` is not finite, and as in `observed`.
        """
        _check_finite("net_usd", net_usd)
        seen = self.observed(time, equity)
        if net_usd < 0:
            streak = seen.loss_streak + 1
            return replace(
                seen,
                loss_streak=streak,
                worst_streak=max(seen.worst_streak, streak),
                win_streak=0,
                # Exits of one day may be booked in any order; an earlier one must not shorten the pause.
                last_loss_time=time if seen.last_loss_time is None else max(time, seen.last_loss_time),
                losing_trades_today=seen.losing_trades_today + 1,
            )
        won = net_usd > 0
        win_streak = seen.win_streak + 1 if won else seen.win_streak
        # Against the old peak: `seen` has already been raised to this equity.
        recovered = equity > self.peak_equity or win_streak >= RECOVERY_WINS
        return replace(
            seen,
            loss_streak=0 if won or recovered else seen.loss_streak,
            worst_streak=0 if recovered else seen.worst_streak,
            win_streak=win_streak,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttle:
    """Factor on the size of the next trade, with its parts.

    Parameters
    ----------
    multiplier
        Factor on the base risk, the product of the two factors, in [0, 1].
    drawdown
        Present drawdown, fraction of the peak, >= 0.
    drawdown_factor, streak_factor
        Factors of the drawdown and of the streak of losses, each in [0, 1].
    """

    multiplier: float
    drawdown: float
    drawdown_factor: float
    streak_factor: float


UNTHROTTLED = Throttle(multiplier=1.0, drawdown=0.0, drawdown_factor=1.0, streak_factor=1.0)
"""Throttle of an account without a record."""


def throttle(record: TrackRecord, equity: float, rules: DrawdownRules) -> Throttle:
    """Return the factor on the size of the next trade (method, section 6.6).

    Parameters
    ----------
    record
        History of the account.
    equity
        Account value now, open positions at the mark, USDT.
    rules
        The limits.

    Raises
    ------
    ParameterError
        If `equity` is not finite.

    Examples
    --------
    >>> record = TrackRecord.start(10_000.0, datetime(2024, 3, 1, tzinfo=UTC))
    >>> throttle(record, 9_250.0, DrawdownRules())
    Throttle(multiplier=0.5, drawdown=0.075, drawdown_factor=0.5, streak_factor=1.0)
    """
    _check_finite("equity", equity)
    drawdown = _fraction_lost(max(record.peak_equity, equity), equity)
    drawdown_factor = streak_factor = 1.0
    if rules.throttle_drawdown is not None:
        drawdown_factor = max(0.0, 1.0 - drawdown / rules.throttle_drawdown)
    if rules.streak_grace is not None:
        streak_factor = max(rules.streak_floor, 0.5 ** max(0, record.worst_streak - rules.streak_grace))
    return Throttle(
        multiplier=drawdown_factor * streak_factor,
        drawdown=drawdown,
        drawdown_factor=drawdown_factor,
        streak_factor=streak_factor,
    )


def halts(record: TrackRecord, equity: float, now: datetime, rules: DrawdownRules) -> tuple[Reason, ...]:
    """Return every reason not to make a new trade now.

    Parameters
    ----------
    record, equity, rules
        As in `throttle`. Meeting a limit is enough to stop.
    now
        The clock, timezone-aware. If it stands in a later UTC day (week) than the record, that day (week) starts
        with `equity`, and the numbers of the old one no longer apply.

    Returns
    -------
    tuple of Reason
        At most one per code: ``drawdown_stop``, ``daily_halt``, ``weekly_halt``, ``cooling_off``; empty if a trade is
        allowed. A halt forbids entries; it does not close open positions.

    Raises
    ------
    ParameterError, OrderError
        As in `TrackRecord.observed`.

    Examples
    --------
    >>> start = datetime(2024, 3, 1, tzinfo=UTC)
    >>> [reason.code for reason in halts(TrackRecord.start(10_000.0, start), 9_650.0, start, DrawdownRules())]
    ['daily_halt']
    """
    _check_aware("now", now)
    seen = record.observed(now, equity)
    return (
        *_drawdown_stop(seen, rules),
        *_daily_halt(seen, equity, rules),
        *_weekly_halt(seen, equity, rules),
        *_cooling_off(seen, now, rules),
    )


def _drawdown_stop(seen: TrackRecord, rules: DrawdownRules) -> Iterator[Reason]:
    if rules.max_drawdown is not None and seen.worst_drawdown >= rules.max_drawdown:
        message = (
            f"the account was {seen.worst_drawdown:.2%} below its peak, the stop is at {rules.max_drawdown:.2%}: "
            f"it goes back to paper until a new record is started"
        )
        yield Reason("drawdown_stop", message)


def _daily_halt(seen: TrackRecord, equity: float, rules: DrawdownRules) -> Iterator[Reason]:
    causes = []
    if rules.max_daily_loss is not None and _fraction_lost(seen.day_start_equity, equity) >= rules.max_daily_loss:
        causes.append(
            f"equity is {equity:,.2f} USDT after {seen.day_start_equity:,.2f} at the start of the UTC day, the limit "
            f"is a loss of {rules.max_daily_loss:.2%}"
        )
    if rules.max_daily_losing_trades is not None and seen.losing_trades_today >= rules.max_daily_losing_trades:
        causes.append(f"{seen.losing_trades_today} trades lost today, the limit is {rules.max_daily_losing_trades}")
    if causes:
        message = f"{' and '.join(causes)}: no new trade until {seen.day + timedelta(days=1)} 00:00 UTC"
        yield Reason("daily_halt", message)


def _weekly_halt(seen: TrackRecord, equity: float, rules: DrawdownRules) -> Iterator[Reason]:
    if rules.max_weekly_loss is not None and _fraction_lost(seen.week_start_equity, equity) >= rules.max_weekly_loss:
        message = (
            f"equity is {equity:,.2f} USDT after {seen.week_start_equity:,.2f} at the start of the UTC week, the limit "
            f"is a loss of {rules.max_weekly_loss:.2%}: no new trade until {seen.week + timedelta(weeks=1)} 00:00 UTC"
        )
        yield Reason("weekly_halt", message)


def _cooling_off(seen: TrackRecord, now: datetime, rules: DrawdownRules) -> Iterator[Reason]:
    if rules.cool_off is None or seen.last_loss_time is None or seen.loss_streak < rules.cool_off_streak:
        return
    if now - seen.last_loss_time < rules.cool_off:
        message = (
            f"{seen.loss_streak} losses in a row, the last at {seen.last_loss_time}: no new trade until "
            f"{seen.last_loss_time + rules.cool_off}"
        )
        yield Reason("cooling_off", message)


def _fraction_lost(before: float, now: float) -> float:
    """Return the lost fraction of an equity; 1 where there was none, so that such an account halts.

    The difference is divided, because ``1 - now / before`` could round a loss of exactly the limit to less.
    """
    return (before - now) / before if before > 0 else 1.0


def _utc_day(time: datetime) -> date:
    return (time if time.tzinfo is UTC else time.astimezone(UTC)).date()


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _check_finite(name: str, value: float) -> None:
    if not math.isfinite(value):
        raise ParameterError(f"`{name}` must be finite, was {value}")


def _check_count(name: str, value: int, low: int) -> None:
    if not (isinstance(value, int) and value >= low):
        raise ParameterError(f"`{name}` must be a whole number in [{low}, inf), was {value}")


def _check_aware(name: str, time: datetime) -> None:
    if time.tzinfo is None:
        raise ParameterError(f"`{name}` must have a time zone, was {time}")
