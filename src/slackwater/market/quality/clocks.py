"""Detection of tables whose clock is not that of the bars.

Two series about the same times correlate best as they are stamped. Where they correlate best at a lag, one of them is
stamped wrong by that lag: a table that is late loses information, one that is early leaks the future.

=================== ======================================= ==================================
table               of the table                            of the bars
=================== ======================================= ==================================
mark_price          return                                  return
premium_index       change of the premium                   change of log(last / mark)
open_interest       change of abs(change of log(interest))  change of log(volume)
liquidation_totals  liquidated shorts less longs (log)      return
=================== ======================================= ==================================

Changes are taken where levels are persistent, since volume today and volume yesterday would correlate at any lag.
Liquidations and large trades carry prices, which are sharper evidence: they must lie inside the bar of their time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.market.quality.order import usual_spacing
from slackwater.times import DAY, MINUTE_US, epochs_us, microseconds
from slackwater.types import Bools, Floats, Ints

__all__ = ["LaggedSpan", "event_clock", "off_grid", "settlement_shift", "table_clock"]

FURTHEST: Final = timedelta(hours=14)
"""Largest lag that is tried: the range of the world's time zones."""
SHORTEST_BLOCK: Final = 500
PEAK: Final = 6.0
MARGIN: Final = 5.0
"""Required height of the peak, and its height above the correlation as stamped, in standard errors of a correlation,
1 / sqrt(rows). Chance reaches 3 among the lags that are tried."""
EVENT_BLOCK: Final = timedelta(hours=3)
EVENTS: Final = 10
MISFIT_BARS: Final = 5
LONGEST_EVENT_BAR: Final = timedelta(minutes=15)
PRICE_TOLERANCE: Final = 1e-4


@dataclass(frozen=True, kw_only=True)
class LaggedSpan:
    """A stretch of time in which a table's clock is later than the other one by `lag`; earlier, if that is negative.

    First and last stamp are microseconds since 1970. Agreement of the two as stamped, and with the lag removed, is a
    correlation, or a share of prices inside their bars.
    """

    start: int
    end: int
    lag: timedelta
    as_stamped: float
    at_lag: float

    def __str__(self) -> str:
        way = "late" if self.lag > timedelta(0) else "early"
        hours, seconds = divmod(int(abs(self.lag).total_seconds()), 3600)
        size = " ".join(part for part in (f"{hours}h" if hours else "", _minutes(seconds)) if part)
        return f"its clock is {size} {way} (agreement {self.as_stamped:.2f} as stamped, {self.at_lag:.2f} then)"


def _minutes(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return " ".join(part for part in (f"{minutes}m" if minutes else "", f"{rest}s" if rest else "") if part)


def table_clock(
    name: str, rows: pd.DataFrame, bars: pd.DataFrame, mark: pd.DataFrame | None = None
) -> list[LaggedSpan]:
    """Return the spans in which a regular table of one symbol runs on another clock than its bars.

    Parameters
    ----------
    name
        Canonical table; one without a signal in the table above has no findings.
    rows, bars, mark
        The table, the bars and the mark price of the same symbol, in order.
    """
    signals = _SIGNALS.get(name)
    spacing = usual_spacing(rows["event_time"])
    of_bars = usual_spacing(bars["event_time"])
    if signals is None or spacing is None or of_bars is None:
        return []
    step = microseconds(max(spacing, of_bars))
    grid = _grid(rows, bars, step)
    if len(grid) < SHORTEST_BLOCK:
        return []
    marked = None if mark is None else _on_grid(mark, grid, step)
    made = signals(_on_grid(rows, grid, step), _on_grid(bars, grid, step), marked)
    return [] if made is None else _lagged_spans(*made, grid, step)


def event_clock(rows: pd.DataFrame, bars: pd.DataFrame) -> list[LaggedSpan]:
    """Return the spans in which prices of events lie outside the bars of their times, and inside those at a lag.

    Parameters
    ----------
    rows, bars
        `liquidations` or `large_trades` of one symbol, in order, and its finest bars.

    Notes
    -----
    Stretches of 3 hours are tested, and only with bars of 15 minutes or less, because a longer bar contains many prices
    of the next one. Of 10 events or more that mostly lie outside their bars, eight of ten must lie inside at one lag;
    of 10 or more that do not fit among others that do, in 5 bars or more, nine of ten. Prices outside every bar, such
    as bankruptcy prices far from the market, are not evidence about the clock.
    """
    spacing = usual_spacing(bars["event_time"])
    if len(rows) < EVENTS or spacing is None or spacing > LONGEST_EVENT_BAR:
        return []
    stamps, prices = epochs_us(rows["event_time"]), rows["price"].to_numpy()
    ranges = _Ranges.of(bars)
    fits = ranges.hold(stamps, prices) | ~ranges.cover(stamps)
    _, places, counts = np.unique(stamps // microseconds(EVENT_BLOCK), return_inverse=True, return_counts=True)
    share = np.bincount(places, weights=fits) / counts
    found = []
    for block in np.flatnonzero(counts - share * counts >= EVENTS / 2):
        whole = places == block
        misfits = whole & ~fits
        spread = len(np.unique(stamps[misfits] // microseconds(spacing))) >= MISFIT_BARS
        # Most of a stretch, or the misfits if they are spread out: a burst within one bar fits some lag by chance.
        for rows_of, needed in ((whole, max(0.8, share[block] + 0.4)), (misfits, 0.9)):
            chosen = np.flatnonzero(rows_of)
            if len(chosen) < EVENTS or not (spread if rows_of is misfits else share[block] < 0.5):
                continue
            at = {lag: float(ranges.hold(stamps[chosen] - lag, prices[chosen]).mean()) for lag in _HALF_HOURS}
            lag = max(at, key=lambda each: (at[each], -abs(each)))
            if at[lag] >= needed:
                first, last = (int(stamps[chosen[end]]) for end in (0, -1))
                late, as_stamped = timedelta(microseconds=lag), float(share[block])
                found.append(LaggedSpan(start=first, end=last, lag=late, as_stamped=as_stamped, at_lag=at[lag]))
                break
    return found


def settlement_shift(rows: pd.DataFrame) -> timedelta | None:
    """Return the delay of a symbol's settlements against the hours at which all venues settle; None: no delay.

    These are 00:00, 08:00 and 16:00 UTC for an interval of 8 hours, and likewise for one of 4: another hour means
    another clock. Intervals of one hour cannot show it.
    """
    hours, counts = np.unique(rows["interval_hours"].to_numpy(), return_counts=True)
    if not len(hours) or counts.max() < 6:
        return None
    interval = float(hours[np.argmax(counts)])
    stamps = epochs_us(rows.loc[rows["interval_hours"] == interval, "event_time"])
    late = (stamps + MINUTE_US) // MINUTE_US % max(round(interval * 60), 1) // 2 * 2
    minutes, counts = np.unique(late, return_counts=True)
    most = int(np.argmax(counts))
    if counts[most] < 0.9 * len(late) or minutes[most] == 0:
        return None
    return timedelta(minutes=int(minutes[most]))


def off_grid(bars: pd.DataFrame, spacing: timedelta) -> Bools:
    """Return which bars do not close at a whole multiple of their spacing since 1970, as the bars of all venues do.

    Only a spacing that divides the day has such closes.
    """
    if DAY % spacing:
        return np.zeros(len(bars), dtype=bool)
    return np.asarray(epochs_us(bars["event_time"]) % microseconds(spacing) != 0)


# -- series on one grid --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _OnGrid:
    """Rows of a table at the points of a grid; -1 where there is none."""

    table: pd.DataFrame
    places: NDArray[np.intp]

    def __call__(self, column: str) -> Floats:
        values = self.table[column].to_numpy(dtype=np.float64)
        return np.where(self.places >= 0, values[self.places], np.nan)


def _grid(rows: pd.DataFrame, bars: pd.DataFrame, step: int) -> Ints:
    ends = [epochs_us(table["event_time"].iloc[[0, -1]]) for table in (rows, bars)]
    first, last = max(ends[0][0], ends[1][0]), min(ends[0][1], ends[1][1])
    return np.arange(first // step, last // step + 1, dtype=np.int64)


def _on_grid(table: pd.DataFrame, grid: Ints, step: int) -> _OnGrid:
    """Find the first row at or after each point of the grid, less than a row's own spacing later."""
    stamps = epochs_us(table["event_time"])
    spacing = usual_spacing(table["event_time"])
    late = step if spacing is None else min(microseconds(spacing), step)
    found = np.minimum(np.searchsorted(stamps, grid * step), len(stamps) - 1)
    apart = stamps[found] - grid * step
    return _OnGrid(table, np.where((apart >= 0) & (apart < late), found, -1))


def _returns(table: _OnGrid) -> Floats:
    return np.diff(np.log(table("close")), prepend=np.nan)


def _volume(bars: _OnGrid) -> Floats:
    total = np.cumsum(bars.table["volume"].to_numpy())
    at = np.where(bars.places >= 0, total[bars.places], np.nan)
    step = np.diff(at, prepend=np.nan)
    return np.where(step > 0.0, step, np.nan)


def _mark_price(rows: _OnGrid, bars: _OnGrid, mark: _OnGrid | None) -> tuple[Floats, Floats]:
    del mark
    return _returns(rows), _returns(bars)


def _premium_index(rows: _OnGrid, bars: _OnGrid, mark: _OnGrid | None) -> tuple[Floats, Floats] | None:
    if mark is None:
        return None
    basis = np.log(bars("close") / mark("close"))
    return np.diff(rows("premium_index"), prepend=np.nan), np.diff(basis, prepend=np.nan)


def _open_interest(rows: _OnGrid, bars: _OnGrid, mark: _OnGrid | None) -> tuple[Floats, Floats]:
    del mark
    changes = np.abs(np.diff(np.log(rows("open_interest")), prepend=np.nan))
    return np.diff(changes, prepend=np.nan), np.diff(np.log(_volume(bars)), prepend=np.nan)


def _liquidation_totals(rows: _OnGrid, bars: _OnGrid, mark: _OnGrid | None) -> tuple[Floats, Floats]:
    del mark
    sides = [rows(name) for name in ("short_quantity", "long_quantity")]
    scale = max(float(np.nanmean(np.concatenate(sides))), 1e-300)
    return np.log1p(sides[0] / scale) - np.log1p(sides[1] / scale), _returns(bars)


_SIGNALS: Final[dict[str, Callable[[_OnGrid, _OnGrid, _OnGrid | None], tuple[Floats, Floats] | None]]] = {
    "mark_price": _mark_price,
    "premium_index": _premium_index,
    "open_interest": _open_interest,
    "liquidation_totals": _liquidation_totals,
}


# -- the lag at which two series agree best ------------------------------------------------------------------


def _lagged_spans(ours: Floats, theirs: Floats, grid: Ints, step: int) -> list[LaggedSpan]:
    furthest = max(microseconds(FURTHEST) // step, 2)
    block = max(SHORTEST_BLOCK, 4 * furthest)
    count = max(len(grid) // block, 1)
    edges = np.linspace(0, len(grid), count + 1).astype(np.int64)
    ours, theirs = _without_tails(ours), _without_tails(theirs)
    spans: list[LaggedSpan] = []
    # Where no single stretch is conclusive, such as for rare liquidations, all of them together may be.
    for first, last in [*pairwise(edges), (0, len(grid))]:
        if last - first == len(grid) and spans:
            break
        found = _best_lag(ours[first:last], theirs[first:last], furthest)
        if found is None:
            continue
        lag, as_stamped, at_lag = found
        start, end = int(grid[first]) * step, int(grid[last - 1] + 1) * step
        late = timedelta(microseconds=lag * step)
        if spans and spans[-1].lag == late and spans[-1].end >= start - step:
            start = spans.pop().start
        spans.append(LaggedSpan(start=start, end=end, lag=late, as_stamped=as_stamped, at_lag=at_lag))
    return spans


def _best_lag(ours: Floats, theirs: Floats, furthest: int) -> tuple[int, float, float] | None:
    """Return the lag at which ours agrees best with theirs, and both agreements; None: as stamped, or not clear."""
    known = ~(np.isnan(ours) | np.isnan(theirs))
    rows = int(known.sum())
    if rows < SHORTEST_BLOCK // 2:
        return None
    x, y = (np.where(np.isnan(each), 0.0, each - np.nanmean(each)) for each in (ours, theirs))
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    if size == 0.0:
        return None
    points = 1 << (len(x) + furthest).bit_length()
    products = np.fft.irfft(np.fft.rfft(x, points) * np.conj(np.fft.rfft(y, points)), points) / size
    lags = np.arange(-furthest, furthest + 1)
    agreement = products[lags]
    best = int(np.argmax(agreement))
    error = 1.0 / np.sqrt(rows)
    as_stamped, at_lag = float(products[0]), float(agreement[best])
    if lags[best] == 0 or at_lag < PEAK * error or at_lag < as_stamped + MARGIN * error:
        return None
    return int(lags[best]), as_stamped, at_lag


def _without_tails(values: Floats) -> Floats:
    """Clip rare extremes, so that no single hour decides a correlation."""
    if np.isnan(values).all():
        return values
    low, high = np.nanquantile(values, [0.005, 0.995])
    return np.clip(values, low, high)


# -- prices inside of bars -----------------------------------------------------------------------------------

_HALF_HOURS: Final = tuple(k * 30 * MINUTE_US for k in range(-28, 29) if k)


@dataclass(frozen=True)
class _Ranges:
    """Price ranges and times of the bars of one symbol."""

    opens: Ints
    closes: Ints
    low: Floats
    high: Floats

    @classmethod
    def of(cls, bars: pd.DataFrame) -> _Ranges:
        return cls(
            epochs_us(bars["open_time"]),
            epochs_us(bars["event_time"]),
            bars["low"].to_numpy() * (1.0 - PRICE_TOLERANCE),
            bars["high"].to_numpy() * (1.0 + PRICE_TOLERANCE),
        )

    def hold(self, stamps: Ints, prices: Floats) -> Bools:
        """Return which prices lie inside the bar of their time; False where there is none."""
        places = self._bar_of(stamps)
        return self.cover(stamps) & (prices >= self.low[places]) & (prices <= self.high[places])

    def cover(self, stamps: Ints) -> Bools:
        """Return which times have a bar."""
        places = self._bar_of(stamps)
        return (self.opens[places] <= stamps) & (stamps <= self.closes[places])

    def _bar_of(self, stamps: Ints) -> NDArray[np.intp]:
        return np.minimum(np.searchsorted(self.closes, stamps), len(self.closes) - 1)
