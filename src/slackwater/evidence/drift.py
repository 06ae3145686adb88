"""Results of trades beside those of the same positions at random times: the null of a rising or falling market."""

from __future__ import annotations

import numpy as np
import pandas as pd

from slackwater.evidence.evaluation import mean_result
from slackwater.evidence.resampling import Resampling
from slackwater.times import DAY

__all__ = ["drift_earned", "market_drift", "over_drift"]

_BPS = 1e4


def market_drift(events: pd.DataFrame) -> pd.Series:
    """Return the mean log return per day of each symbol, from its first to its last event.

    Parameters
    ----------
    events
        ``symbol``, ``entry_time`` (UTC) and ``entry_price`` of the events of the test blocks.

    Returns
    -------
    Series
        By symbol; NaN for a symbol with events at one time only.
    """
    by_symbol = events.sort_values("entry_time").groupby("symbol")
    first, last = by_symbol[["entry_time", "entry_price"]].first(), by_symbol[["entry_time", "entry_price"]].last()
    days = (last["entry_time"] - first["entry_time"]) / DAY
    return np.log(last["entry_price"] / first["entry_price"]) / days.where(days > 0.0)


def drift_earned(trades: pd.DataFrame, events: pd.DataFrame) -> pd.Series:
    """Return what the position of each trade earns on average at random times, as a log return.

    That is its side times the drift of its symbol times its holding time: the result of an entry at a random time with
    the same exposure, of which no costs are taken.

    Parameters
    ----------
    trades
        ``symbol``, ``side``, ``entry_time`` and ``exit_time`` (UTC).
    events
        As in `market_drift`.

    Returns
    -------
    Series
        One value per trade; NaN where the drift of its symbol is not known.
    """
    held = (trades["exit_time"] - trades["entry_time"]) / DAY
    # Of no trades the symbols are mapped to nothing, not to numbers.
    return trades["side"] * trades["symbol"].map(market_drift(events)).astype(np.float64) * held


def over_drift(trades: pd.DataFrame, events: pd.DataFrame, resampling: Resampling) -> dict[str, float]:
    """Return what trades earn beyond the same positions at random times (method, section 3.2).

    What a position earns at random times is that of `drift_earned`: what is left is due to the times of the trades.

    Parameters
    ----------
    trades
        Trades at unit risk (`slackwater.trading.ledger.trades_table`).
    events
        As in `market_drift`.
    resampling
        Block bootstrap of the intervals.

    Returns
    -------
    dict
        ``drift_bps_mean``, what the positions earn at random times, and ``net_bps_over_drift_mean``, basis points per
        trade; lower bounds of the mean beyond it, ``net_bps_over_drift_low``, ``net_r_over_drift_low`` and
        ``net_usd_over_drift_low``. Without trades nothing; NaN where the drift of a traded symbol is not known.
    """
    if trades.empty:
        return {}
    drift = drift_earned(trades, events)
    in_usd = drift * trades["notional_usd"]
    beyond = {
        "bps": trades["net_bps"] - _BPS * drift,
        "r": trades["net_r"] - in_usd / trades["risk_usd"],
        "usd": trades["net_usd"] - in_usd,
    }
    found = {"drift_bps_mean": _BPS * float(drift.mean(skipna=False))}
    found["net_bps_over_drift_mean"] = float(beyond["bps"].mean(skipna=False))
    for unit, net in beyond.items():
        low, _ = resampling.interval(mean_result, trades["entry_time"], net.to_numpy())
        found[f"net_{unit}_over_drift_low"] = low
    return found
