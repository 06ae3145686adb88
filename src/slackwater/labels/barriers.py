"""Triple-barrier labels: the first of reversal, continuation and end of the horizon, at several horizons at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from slackwater.durations import duration_name
from slackwater.errors import DataError, ParameterError
from slackwater.labels._first_touch import first_touch
from slackwater.labels._tables import refuse_rows, require_columns, symbol_rows, times_us
from slackwater.labels.outcomes import NO_TIME, Fate, LabelReport, Outcomes, label_report
from slackwater.times import DAY, DAY_US, HOUR, MINUTE, SECOND_US, microseconds, timestamps
from slackwater.trading.price_path import PricePath
from slackwater.trading.score import VOLATILITY_CAP, VOLATILITY_FLOOR
from slackwater.types import Bools, Floats, Ints

__all__ = ["LABEL_COLUMNS", "Barriers", "Touched", "event_rows", "triple_barrier"]

LABEL_COLUMNS = (
    *("symbol", "event_time", "available_time", "direction", "volatility_daily", "entry_time", "entry_price"),
    *("barrier_log", "code", "label_end_time", "log_return", "tie", "y_direction", "y_hit", "time_to_reversal"),
)
"""Columns of the labels table, in order; `slackwater.labels.table` adds ``weight``."""

_LONGEST_GAP = 15 * MINUTE
_LONGEST_GAP_BARS = 3
_STAMP_TOLERANCE_US = SECOND_US  # some venues stamp the close of a bar one millisecond before the next one opens


def triple_barrier(
    events: pd.DataFrame,
    paths: Mapping[str, PricePath],
    *,
    horizon: timedelta,
    decision_lag: timedelta,
    fine_bar_interval: timedelta,
    horizons: Sequence[timedelta] = (),
    reversal_multiple: float = 1.0,
    continuation_multiple: float = 1.0,
    volatility_floor: float = VOLATILITY_FLOOR,
    volatility_cap: float = VOLATILITY_CAP,
) -> tuple[pd.DataFrame, LabelReport]:
    """Label each event by the barrier that its price touches first (method, section 1.2).

    Parameters
    ----------
    events : DataFrame
        From `slackwater.labels.events.sample_events`: sorted by symbol and event_time.
    paths : mapping of str to PricePath
        Fine bars of each symbol (`slackwater.trading.price_path.price_paths`).
    horizon : timedelta
        The vertical barrier, counted from the open of the entry bar: a multiple of `fine_bar_interval`, and longer.
    decision_lag : timedelta
        From the event to the decision, >= 0.
    fine_bar_interval : timedelta
        Length of a fine bar.
    horizons : sequence of timedelta
        Horizons that are reported beside `horizon`, each with barriers in its own volatility. One that these bars or
        these data cannot show is left out and named in the report.
    reversal_multiple, continuation_multiple : float
        Distance of the two horizontal barriers, in units of the volatility over the horizon, > 0.
    volatility_floor, volatility_cap : float
        Range to which the daily volatility is clipped, fraction per sqrt(day).

    Returns
    -------
    labels : DataFrame
        One row per event that could be labelled, in the order of `events`, with `LABEL_COLUMNS`. ``entry_time`` and
        ``entry_price``: open of the entry bar. ``barrier_log``: distance of the reversal barrier, log price (the
        continuation barrier stands at continuation_multiple / reversal_multiple times as much). ``code`` (int8): +1
        reversal first, -1 continuation first, 0 time-out. ``label_end_time``: close of the exit bar. ``log_return``:
        log return of fading the move, + is reversal. ``tie`` (bool): the exit bar touched both barriers.
        ``y_direction`` (int8): 1 if code is +1, or 0 with a positive return. ``y_hit`` (int8): 1 if code is +1.
        ``time_to_reversal``: hours from the entry to the close of the bar of the reversal, NaN where code is not +1.
        `slackwater.labels.outcomes.HORIZON_COLUMNS` with the name of each reported horizon, such as
        ``y_direction_4h``: float64, or times; NaN and NaT where that horizon ends after the last fine bar, or holds a
        gap.
    report : LabelReport
        How many events were dropped, and why; the outcomes at every horizon.

    Raises
    ------
    ParameterError
        If a duration, a multiple or the volatility range is out of bounds, or the bars are not
        `fine_bar_interval` long.
    SchemaError
        If a column is missing, a time is naive, a direction is not ±1, or a volatility is not finite.
    OrderError
        If `events` is not sorted by symbol and time, or a time repeats.
    DataError
        If `paths` lacks the symbol of an event.

    Examples
    --------
    >>> import pandas as pd
    >>> from slackwater.trading.price_path import price_paths
    >>> opens = pd.date_range("2024-01-01", periods=30, freq="1h", tz="UTC", unit="us")
    >>> fine_bars = pd.DataFrame({
    ...     "symbol": "BTCUSDT", "open_time": opens, "event_time": opens + pd.Timedelta("1h"),
    ...     "open": 100.0, "high": 100.5, "low": 99.5, "close": 100.0})
    >>> fine_bars.loc[27, "low"] = 98.0
    >>> events = pd.DataFrame({"symbol": "BTCUSDT", "event_time": opens[[25]], "available_time": opens[[25]],
    ...                        "direction": 1, "volatility_daily": 0.03})
    >>> labels, report = triple_barrier(
    ...     events, price_paths(fine_bars), horizon=pd.Timedelta("4h"), decision_lag=pd.Timedelta("5s"),
    ...     fine_bar_interval=pd.Timedelta("1h"))
    >>> labels[["entry_price", "code", "label_end_time", "y_direction"]]
       entry_price  code            label_end_time  y_direction
    0        100.0     1 2024-01-02 04:00:00+00:00            1
    >>> report.labelled, report.ties
    (1, 0)
    """
    barriers = Barriers(
        horizon=horizon,
        decision_lag=decision_lag,
        fine_bar_interval=fine_bar_interval,
        horizons=tuple(horizons),
        reversal_multiple=reversal_multiple,
        continuation_multiple=continuation_multiple,
        volatility_floor=volatility_floor,
        volatility_cap=volatility_cap,
    )
    parts = event_rows(events, paths)
    return barriers.table(events, [barriers.touched(events.iloc[rows], paths[name]) for name, rows in parts.items()])


@dataclass(frozen=True, slots=True)
class Touched:
    """Where the prices of one symbol went after its events, before anything is left out.

    Attributes
    ----------
    outcomes : Outcomes
        At each horizon.
    entry_time : int64 array, shape (n_events,)
        Open of the entry bar, microseconds since 1970; 0 where the headline has no label.
    entry_price : float64 array, shape (n_events,)
        Its price; NaN where the headline has no label.
    barrier_log : float64 array, shape (n_events,)
        Distance of the reversal barrier of the headline, log price.
    labelled : bool array, shape (n_events,)
        Whether the headline has a label.
    """

    outcomes: Outcomes
    entry_time: Ints
    entry_price: Floats
    barrier_log: Floats
    labelled: Bools


@dataclass(frozen=True, kw_only=True)
class Barriers:
    """The barriers of `triple_barrier`, for the events of one symbol after the other; parameters are its own.

    Raises
    ------
    ParameterError
        If a duration, a multiple or the volatility range is out of bounds.
    """

    horizon: timedelta
    decision_lag: timedelta
    fine_bar_interval: timedelta
    horizons: tuple[timedelta, ...] = ()
    reversal_multiple: float = 1.0
    continuation_multiple: float = 1.0
    volatility_floor: float = VOLATILITY_FLOOR
    volatility_cap: float = VOLATILITY_CAP

    def __post_init__(self) -> None:
        _check_durations(self.horizon, self.decision_lag, self.fine_bar_interval)
        for name in ("reversal_multiple", "continuation_multiple"):
            if not 0 < getattr(self, name) < np.inf:
                raise ParameterError(f"`{name}` must be > 0 and finite, was {getattr(self, name)}")
        if not 0 < self.volatility_floor <= self.volatility_cap:
            raise ParameterError(
                f"`volatility_floor` must be in (0, `volatility_cap`], was {self.volatility_floor} of "
                f"{self.volatility_cap}"
            )

    @property
    def latency_to_charge(self) -> timedelta:
        """Time from the entry stamp to the decision that the entry price does not contain (`LabelReport`)."""
        return self.decision_lag if _is_coarse(self.fine_bar_interval) else timedelta(0)

    def touched(self, events: pd.DataFrame, path: PricePath) -> Touched:
        """Return where the price of a symbol went after each of its events.

        Raises
        ------
        ParameterError
            If the bars are not `fine_bar_interval` long.
        """
        spans, _ = self._spans()
        headline = spans.index(self.horizon)
        direction = events["direction"].to_numpy(dtype=np.float64)
        volatility = events["volatility_daily"].to_numpy(dtype=np.float64)
        unit = volatility.clip(self.volatility_floor, self.volatility_cap)[:, None] * np.sqrt(
            np.array([span / DAY for span in spans])
        )
        reversal, continuation = unit * self.reversal_multiple, unit * self.continuation_multiple
        outcomes = Outcomes.unknown(len(events), spans)
        entry_time, entry_price = np.zeros(len(events), dtype=np.int64), np.full(len(events), np.nan)
        _require_interval(path, self.fine_bar_interval)
        stamps = times_us(events, "event_time", name="events")
        entry, stop, fate = _windows(stamps, path.open_time, self.decision_lag, spans, self.fine_bar_interval)
        outcomes.fate[:] = fate
        at = np.flatnonzero(fate[:, headline] == Fate.LABELLED)
        entry, stop = entry[at], np.where(fate[at] == Fate.LABELLED, stop[at], 0)
        _fill(outcomes, at, path, entry, stop, direction[at, None], reversal[at], continuation[at])
        entry_time[at], entry_price[at] = path.open_time[entry], path.open[entry]
        return Touched(outcomes, entry_time, entry_price, reversal[:, headline], fate[:, headline] == Fate.LABELLED)

    def table(self, events: pd.DataFrame, parts: Sequence[Touched]) -> tuple[pd.DataFrame, LabelReport]:
        """Return what `triple_barrier` returns, from the parts of the symbols in the order of `events`."""
        spans, left_out = self._spans()
        headline = spans.index(self.horizon)
        outcomes = Outcomes.joined([part.outcomes for part in parts], spans)
        fates = outcomes.fate[:, headline]
        kept = fates == Fate.LABELLED
        outcomes = outcomes.rows(kept)
        entry_time, entry_price, barrier = (
            np.concatenate([np.empty(0, kind), *(getattr(part, name) for part in parts)])[kept]
            for name, kind in (("entry_time", np.int64), ("entry_price", np.float64), ("barrier_log", np.float64))
        )
        labels = events.loc[kept, ["symbol", "event_time", "available_time", "volatility_daily"]].reset_index(drop=True)
        labels = labels.assign(
            direction=events["direction"].to_numpy()[kept].astype(np.int8),
            entry_time=timestamps(entry_time),
            entry_price=entry_price,
            barrier_log=barrier,
            code=outcomes.code[:, headline],
            label_end_time=timestamps(outcomes.end_time[:, headline]),
            log_return=outcomes.log_return[:, headline],
            tie=outcomes.tie[:, headline],
            y_direction=outcomes.reversed(headline).astype(np.int8),
            y_hit=(outcomes.code[:, headline] == 1).astype(np.int8),
        )
        hours = (labels["label_end_time"] - labels["entry_time"]) / HOUR
        labels["time_to_reversal"] = hours.where(labels["code"] == 1)
        labels = labels[list(LABEL_COLUMNS)]
        for k, span in enumerate(spans):
            if k == headline:
                continue
            if len(labels) and np.isnan(outcomes.log_return[:, k]).all():
                left_out.append(f"horizon {duration_name(span)}: it ends after the data, or at a gap, for every event")
            else:
                labels = labels.assign(**outcomes.columns(k))
        return labels, label_report(fates, outcomes, headline, latency=self.latency_to_charge, left_out=left_out)

    def _spans(self) -> tuple[list[timedelta], list[str]]:
        return _resolvable({self.horizon, *self.horizons}, self.fine_bar_interval)


def event_rows(events: pd.DataFrame, paths: Collection[str]) -> dict[Any, slice]:
    """Return the rows of the events of each symbol.

    Raises
    ------
    SchemaError, OrderError, DataError
        As `triple_barrier`, for `events`, and for a symbol without prices.
    """
    rows = _check_events(events)
    absent = [symbol for symbol in rows if symbol not in paths]
    if absent:
        raise DataError(f"`paths` lacks {absent}; it has {list(paths)}")
    return rows


def _fill(
    outcomes: Outcomes,
    at: Ints,
    path: PricePath,
    entry: Ints,
    stop: Ints,
    direction: Floats,
    reversal: Floats,
    continuation: Floats,
) -> None:
    """Fill in the outcomes of the events of a symbol at the rows `at`; nothing is known where stop <= entry."""
    log_entry = np.log(path.open[entry])
    rising = direction > 0
    up, down = np.where(rising, continuation, reversal), np.where(rising, reversal, continuation)
    touch = first_touch(np.log(path.high), np.log(path.low), log_entry, entry, stop, up, down)

    known, touched = stop > entry[:, None], touch < stop
    exit_bar = np.where(touched, touch, stop - 1)
    above, below, opened, closed = (
        np.log(price[exit_bar]) - log_entry[:, None] for price in (path.high, path.low, path.open, path.close)
    )
    adverse, favourable = np.where(rising, above, -below), np.where(rising, -below, above)
    opened = direction * opened
    # A bar that opens beyond the reversal is one: whatever it touches later comes after its first print.
    reversed_ = (adverse < continuation) | (-opened >= reversal)
    # It may open beyond the continuation barrier too: no fill was possible in between.
    lost = np.maximum(continuation, opened)
    result = np.where(reversed_, reversal, -lost)
    outcomes.code[at] = np.where(touched, np.where(reversed_, 1, -1), 0)
    outcomes.tie[at] = touched & ~reversed_ & (favourable >= reversal)
    outcomes.log_return[at] = np.where(known, np.where(touched, result, -direction * closed), np.nan)
    outcomes.end_time[at] = np.where(known, path.close_time[exit_bar], NO_TIME)


def _resolvable(horizons: set[timedelta], fine_bar_interval: timedelta) -> tuple[list[timedelta], list[str]]:
    """Return the horizons that bars of a length can show, in order, and why the others are left out."""
    interval, fit, left_out = duration_name(fine_bar_interval), [], []
    for horizon in sorted(horizons):
        name = f"horizon {duration_name(horizon)}"
        if horizon <= fine_bar_interval:
            left_out.append(f"{name}: on bars of {interval} nearly every touch is a tie")
        elif horizon % fine_bar_interval:
            left_out.append(f"{name}: it is not a multiple of the bars of {interval}")
        else:
            fit.append(horizon)
    return fit, left_out


def _is_coarse(fine_bar_interval: timedelta) -> bool:
    return fine_bar_interval > MINUTE


def _check_durations(horizon: timedelta, decision_lag: timedelta, fine_bar_interval: timedelta) -> None:
    if fine_bar_interval <= timedelta(0):
        raise ParameterError(f"`fine_bar_interval` must be > 0, was {fine_bar_interval}")
    # With one bar to the horizon nearly every touch is a tie.
    if horizon <= fine_bar_interval or horizon % fine_bar_interval != timedelta(0):
        raise ParameterError(
            f"`horizon` must be a multiple of `fine_bar_interval` ({fine_bar_interval}), at least two, was {horizon}"
        )
    if decision_lag < timedelta(0) or (_is_coarse(fine_bar_interval) and decision_lag > fine_bar_interval):
        raise ParameterError(
            f"`decision_lag` must be >= 0, and at most one fine bar if these exceed 1 min, was {decision_lag}"
        )


def _check_events(events: pd.DataFrame) -> dict[Any, slice]:
    columns = ["symbol", "event_time", "available_time", "direction", "volatility_daily"]
    require_columns(events, columns, name="events")
    event_time = times_us(events, "event_time", name="events")
    rows = symbol_rows(events, event_time, name="events")
    wrong_direction = ~events["direction"].isin([-1, 1]).to_numpy()
    refuse_rows(events, wrong_direction, name="events", problem="a `direction` that is not -1 or +1")
    no_volatility = ~np.isfinite(events["volatility_daily"].to_numpy(dtype=np.float64))
    refuse_rows(events, no_volatility, name="events", problem="a `volatility_daily` that is not finite")
    return rows


def _require_interval(path: PricePath, fine_bar_interval: timedelta) -> None:
    length = path.close_time - path.open_time
    expected = microseconds(fine_bar_interval)
    if max(int(length.max()) - expected, expected - int(length.min())) > _STAMP_TOLERANCE_US:
        found = timedelta(microseconds=int(length[np.abs(length - expected) > _STAMP_TOLERANCE_US][0]))
        raise ParameterError(
            f"`fine_bar_interval` must be the length of the bars of {path.symbol}, {found}, was {fine_bar_interval}"
        )


def _windows(
    event_time: Ints, open_time: Ints, decision_lag: timedelta, spans: list[timedelta], fine_bar_interval: timedelta
) -> tuple[Ints, Ints, Ints]:
    """Return entry bar, first bar after each horizon and fate at each of the events of a symbol; from stamps alone."""
    interval = microseconds(fine_bar_interval)
    wait = 0 if _is_coarse(fine_bar_interval) else microseconds(decision_lag)
    entry = np.searchsorted(open_time, event_time + wait)
    entered = entry < open_time.size
    entry_time = np.where(entered, open_time[np.minimum(entry, open_time.size - 1)], event_time + wait)
    window_end = entry_time[:, None] + np.array([microseconds(span) for span in spans])
    stop = np.searchsorted(open_time, window_end)

    longest = microseconds(max(_LONGEST_GAP, _LONGEST_GAP_BARS * fine_bar_interval))
    is_gap = np.diff(open_time) > interval + longest
    gap_start, gap_end = open_time[:-1][is_gap] + interval, open_time[1:][is_gap]
    gap_start = np.append(gap_start, np.iinfo(np.int64).max)
    # Gaps do not overlap, so the first one that ends inside the history or later is the earliest that can
    # touch it.
    nearest_gap = gap_start[np.searchsorted(gap_end, event_time - DAY_US, side="right")]
    starts_late = open_time[0] - (event_time - DAY_US) > longest

    off = entered & (np.abs(entry_time - event_time) > _STAMP_TOLERANCE_US) & _is_coarse(fine_bar_interval)
    fate = np.select(
        [
            (starts_late | (nearest_gap < entry_time))[:, None],
            off[:, None],
            ~entered[:, None] | (window_end > open_time[-1] + interval),
            nearest_gap[:, None] < window_end,
        ],
        [Fate.GAP_BEFORE, Fate.NO_ENTRY_BAR, Fate.BEYOND_PATH_END, Fate.GAP_IN_WINDOW],
        default=Fate.LABELLED,
    )
    return entry, stop, fate
