"""Rules without a model: conditions on features that were known at the entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

import numpy as np
import pandas as pd

from slackwater.durations import duration_name
from slackwater.errors import DataError, ParameterError
from slackwater.times import HOUR, MINUTE
from slackwater.types import Bools, Floats

__all__ = ["ALWAYS_FADE", "FUNDING_THRESHOLD", "PLAYBOOK", "EntryRule", "buy_after_fall"]

_CHECKED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRule:
    """A rule that decides at each bar close from what was known by then.

    Parameters
    ----------
    name, sentence
        Name in the table, and the rule in words.
    needs
        Columns of the features table that the rule is given, each with the data that it comes from in words.
    side
        Side of each row, +1 long, -1 short, 0 none, from a table with ``symbol``, ``event_time`` and the columns of
        `needs`, in order of symbol and time.
    """

    name: str
    sentence: str
    needs: Mapping[str, str]
    side: Callable[[pd.DataFrame], Floats]

    def lacking(self, rows: pd.DataFrame) -> str:
        """Return which data the rule lacks, "" if none: a column that is absent, or known in no row."""
        absent = [what for name, what in self.needs.items() if name not in rows or rows[name].isna().all()]
        return ", ".join(f"no {what}" for what in dict.fromkeys(absent))

    def entries(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the entries of the rule: ``symbol``, ``event_time`` and ``side``, in the order of `rows`.

        Parameters
        ----------
        rows
            Rows of the features table, in order of symbol and time; an entry is made at the bar close of its own row.

        Raises
        ------
        DataError
            If the side of a row changes when the rows after it are absent: the rule looks ahead.
        ParameterError
            If the rule does not return +1, -1 or 0 per row.
        """
        given = rows[["symbol", "event_time", *self.needs]].reset_index(drop=True)
        side = np.asarray(self.side(given), dtype=np.float64)
        if side.shape != (len(given),) or not np.isin(side, (-1.0, 0.0, 1.0)).all():
            raise ParameterError(f"the rule {self.name} must return +1, -1 or 0 for each of {len(given)} rows")
        self._require_no_future(given, side)
        entered = side != 0.0
        return given.loc[entered, ["symbol", "event_time"]].assign(side=side[entered]).reset_index(drop=True)

    def _require_no_future(self, given: pd.DataFrame, side: Floats) -> None:
        """Compare some rows with what the rule returns where no later row is known."""
        for chosen in (side != 0.0, side == 0.0):
            rows = np.flatnonzero(chosen)
            for row in rows[np.linspace(0, len(rows) - 1, min(_CHECKED, len(rows))).astype(int)]:
                past = given[given["event_time"] <= given["event_time"].iloc[row]]
                again = np.asarray(self.side(past.reset_index(drop=True)))[past.index.get_loc(row)]
                if again != side[row]:
                    at = f"{given['symbol'].iloc[row]} at {given['event_time'].iloc[row]}"
                    raise DataError(
                        f"the rule {self.name} looks ahead: at {at} its side is {side[row]:+g}, and {again:+g} where "
                        "the rows after it are not known"
                    )


def _fade(rows: pd.DataFrame) -> Floats:
    return -rows["direction"].to_numpy(np.float64)


ALWAYS_FADE: Final = EntryRule(
    name="always_fade", sentence="fade the move of every event", needs={"direction": "trigger"}, side=_fade
)

_CROWDED: Final = 2.0
_GROWTH: Final = 1.0
_CLEAR_TREND: Final = 0.1
_SWEPT_HOURS: Final = 24.0


def _against(above: Bools, below: Bools) -> Floats:
    """Return -1 where the crowd is long, +1 where it is short."""
    return below.astype(np.float64) - above.astype(np.float64)


def _against_funding(rows: pd.DataFrame) -> Floats:
    # Positive funding: longs pay shorts, so the crowd is long.
    z = rows["funding_rate_z"].to_numpy(np.float64)
    return _against(z >= _CROWDED, z <= -_CROWDED)


FUNDING_THRESHOLD: Final = EntryRule(
    name="funding_threshold",
    sentence=f"fade the side that pays funding, where its z-score is at least {_CROWDED:g}",
    needs={"funding_rate_z": "funding"},
    side=_against_funding,
)


def _playbook(rows: pd.DataFrame) -> Floats:
    z, growth, trend, above, below = (rows[name].to_numpy(np.float64) for name in PLAYBOOK.needs)
    alike = (growth >= _GROWTH) & (np.abs(trend) <= _CLEAR_TREND)
    return _against(
        alike & (z >= _CROWDED) & (above <= _SWEPT_HOURS), alike & (z <= -_CROWDED) & (below <= _SWEPT_HOURS)
    )


PLAYBOOK: Final = EntryRule(
    name="playbook",
    sentence=(
        f"fade the crowd where the z-score of the funding acceleration is at least {_CROWDED:g} and that of the 24 h "
        f"change of open interest at least {_GROWTH:g}, a level on its side was swept and quickly rejected within "
        f"{_SWEPT_HOURS:g} h, and the efficiency of the 72 h trend is at most {_CLEAR_TREND:g}"
    ),
    needs={
        "funding_acceleration_z": "funding",
        "open_interest_change_z_24h": "open interest",
        "trend_efficiency_72h": "bars",
        "sweep_age_above": "bars",
        "sweep_age_below": "bars",
    },
    side=_playbook,
)

_FALL: Final = -0.03
_FALL_WITHIN: Final = 15 * MINUTE
_ONCE_PER: Final = 2 * HOUR


def buy_after_fall(bar_interval: timedelta) -> EntryRule | str:
    """Return the rule that buys after a fall of 3 % within 15 minutes, or why bars of this length cannot show one."""
    if _FALL_WITHIN % bar_interval:
        return f"cannot be evaluated on {duration_name(bar_interval)} bars"
    return EntryRule(
        name="buy_after_fall",
        sentence=(
            f"buy after {100 * _FALL:g} % within {duration_name(_FALL_WITHIN)}, once per {duration_name(_ONCE_PER)}; "
            "at its own times, not at the events"
        ),
        needs={"close": "bars"},
        side=partial(_bought, bars=_FALL_WITHIN // bar_interval),
    )


def _bought(rows: pd.DataFrame, *, bars: int) -> Floats:
    before = rows.groupby("symbol", sort=False)[["event_time", "close"]].shift(bars)
    # Across a gap the row before is older.
    whole = rows["event_time"] - before["event_time"] <= _FALL_WITHIN
    fell = whole & (rows["close"] / before["close"] - 1.0 <= _FALL)
    side = np.zeros(len(rows))
    last: dict[str, pd.Timestamp] = {}
    for row in np.flatnonzero(fell):
        symbol, time = rows["symbol"].iloc[row], rows["event_time"].iloc[row]
        if symbol not in last or time - last[symbol] >= _ONCE_PER:
            side[row], last[symbol] = 1.0, time
    return side
