"""Open interest, long/short ratios, funding, and bands of depth."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import numpy as np

from slackwater.sources.binance_archive.csv_rows import Columns, Layout
from slackwater.sources.binance_archive.screening import Screening
from slackwater.times import DAY_US, MINUTE_US, SECOND_US, epoch_us

__all__ = [
    "DEPTH",
    "FUNDING",
    "METRICS",
    "parse_depth",
    "parse_funding",
    "parse_long_short_ratio",
    "parse_open_interest",
]

METRICS: Final = Layout(
    {
        "create_time": "clock",
        "symbol": "text",
        "sum_open_interest": "number",
        "sum_open_interest_value": "number",
        "count_toptrader_long_short_ratio": "number",
        "sum_toptrader_long_short_ratio": "number",
        "count_long_short_ratio": "number",
        "sum_taker_long_short_vol_ratio": "number",
    }
)
FUNDING: Final = Layout({"calc_time": "time", "funding_interval_hours": "number", "last_funding_rate": "number"})
DEPTH: Final = Layout({"timestamp": "clock", "percentage": "number", "depth": "number", "notional": "number"})

#: Rows of a whole day.
_DAY_ROWS: Final = 288

#: From this day on a row of a USD-margined file is stamped by the start of its five minutes: a row stamped T describes
#: T + 5 min. Coin-margined files always were stamped so.
STAMPED_BY_START: Final = datetime(2026, 6, 25, tzinfo=UTC)

#: Columns of the archive by canonical name.
_RATIOS: Final = {
    "top_trader_ratio": "sum_toptrader_long_short_ratio",
    "top_trader_account_ratio": "count_toptrader_long_short_ratio",
    "account_ratio": "count_long_short_ratio",
    "taker_volume_ratio": "sum_taker_long_short_vol_ratio",
}


def parse_open_interest(rows: Columns, screening: Screening) -> Columns:
    """Return open interest in coin, which is the value in coin-margined files, where the interest counts contracts."""
    name = "sum_open_interest_value" if screening.file.market == "cm" else "sum_open_interest"
    rows = screening.finite(_stamped(rows, screening), (name,))
    rows = screening.mask(rows, rows[name] < 0.0, "negative_open_interest")
    rows = screening.once(screening.in_order(rows), ("event_time",))
    return {"event_time": rows["event_time"], "open_interest": rows[name]}


def parse_long_short_ratio(rows: Columns, screening: Screening) -> Columns:
    """Return the ratios of longs to shorts; rows without the ratio of the top traders are left out."""
    rows = _stamped(rows, screening)
    columns = {"event_time": rows["event_time"]} | {ours: rows[theirs] for ours, theirs in _RATIOS.items()}
    unpublished = np.isnan(columns["top_trader_ratio"]) | (columns["top_trader_ratio"] == 0.0)
    columns = screening.without(columns, unpublished, "not_published", "no ratio of the top traders")
    wrong = (columns["top_trader_ratio"] < 0.0) | np.isinf(columns["top_trader_ratio"])
    for name in _RATIOS:
        wrong |= (columns[name] < 0.0) | np.isinf(columns[name])
    columns = screening.mask(columns, wrong, "impossible_ratio", "a ratio is not positive")
    for name in _RATIOS:
        screening.note(columns, np.isnan(columns[name]), "blank_value", f"{name} is blank: unknown in these rows")
    return screening.once(screening.in_order(columns), ("event_time",))


def parse_funding(rows: Columns, screening: Screening) -> Columns:
    """Return funding; `stamp` is that of the venue, `event_time` that of the settlement."""
    stamp = rows["calc_time"]
    # A stamp is delayed by milliseconds after the settlement.
    due = (stamp + MINUTE_US // 2) // MINUTE_US * MINUTE_US
    near = np.abs(stamp - due) <= SECOND_US
    columns = {
        "event_time": np.where(near, due, stamp),
        "stamp": np.where(near, np.maximum(stamp, due), stamp),
        "funding_rate": rows["last_funding_rate"],
        "interval_hours": rows["funding_interval_hours"],
    }
    columns = screening.inside_period(columns, SECOND_US)
    columns = screening.finite(columns, ("funding_rate", "interval_hours"))
    hours = columns["interval_hours"]
    columns = screening.mask(columns, (hours <= 0.0) | (hours > 24.0), "impossible_interval")
    beyond = np.abs(columns["funding_rate"]) > 0.05
    columns = screening.mask(columns, beyond, "impossible_funding", "more than 5 % of the notional at once")
    return screening.once(screening.in_order(columns), ("event_time",))


def parse_depth(rows: Columns, screening: Screening) -> Columns:
    """Return coin within 1 % and 5 % of the price, one row per snapshot; snapshots without the 1 % bands are masked."""
    columns = {
        "event_time": rows["timestamp"],
        "band": rows["percentage"],
        "quantity": rows["depth"],
        "notional": rows["notional"],
    }
    columns = screening.inside_period(columns, 0)
    columns = screening.finite(columns, ("band", "quantity"))
    columns = screening.mask(columns, columns["quantity"] < 0.0, "negative_depth")
    unknown = (columns["band"] == 0.0) | (np.abs(columns["band"]) > 100.0)
    columns = screening.mask(columns, unknown, "unknown_band", "a band is a distance in percent, not 0")
    columns = screening.once(screening.in_order(columns, "band"), ("event_time", "band"))
    times, place = np.unique(columns["event_time"], return_inverse=True)
    out: Columns = {"event_time": times}
    for name, band in (
        ("bid_quantity_1pct", -1.0),
        ("ask_quantity_1pct", 1.0),
        ("bid_quantity_5pct", -5.0),
        ("ask_quantity_5pct", 5.0),
    ):
        here = columns["band"] == band
        out[name] = np.full(len(times), np.nan)
        out[name][place[here]] = columns["quantity"][here]
    partial = np.logical_or.reduce([np.isnan(values) for name, values in out.items() if name != "event_time"])
    out = screening.without(out, partial, "partial_snapshot", "a band of 1 % or 5 % is missing", action="masked")
    shrinks = (out["bid_quantity_5pct"] < out["bid_quantity_1pct"]) | (
        out["ask_quantity_5pct"] < out["ask_quantity_1pct"]
    )
    return screening.mask(out, shrinks, "depth_shrinks", "less coin within 5 % than within 1 %")


def _stamped(rows: Columns, screening: Screening) -> Columns:
    """Return rows of metrics with `event_time`, the end of their five minutes."""
    other = ~np.isin(rows["symbol"], ["", screening.file.symbol])
    columns = {name: values for name, values in rows.items() if name not in ("symbol", "create_time")}
    columns["event_time"] = rows["create_time"]
    columns = screening.mask(columns, other, "foreign_symbol", "a row of another symbol")
    columns = screening.inside_period(columns, 0)
    if _stamped_by_start(columns, screening):
        columns["event_time"] = columns["event_time"] + 5 * MINUTE_US
        screening.repaired(columns, "stamped_by_start", "moved by five minutes, to when the row could be known")
    return columns


def _stamped_by_start(columns: Columns, screening: Screening) -> bool:
    """Return whether stamps are the start of five minutes: by the date, or because a whole day contains its midnight.

    The second condition guards against a switch of other symbols at another time. If it is wrong, rows are five minutes
    late, never early.
    """
    file, time = screening.file, columns["event_time"]
    if file.market == "cm" or file.start >= STAMPED_BY_START:
        return True
    midnight = epoch_us(file.start)
    whole = len(np.unique(time)) >= _DAY_ROWS
    return bool(whole and (time == midnight).any() and not (time == midnight + DAY_US).any())
