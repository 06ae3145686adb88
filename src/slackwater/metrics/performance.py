"""Result of an account: equity, drawdown, ratios, trades by month, symbol and side, and refusals by reason."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError
from slackwater.metrics._inputs import finite_values
from slackwater.metrics.trading import expectancy_bps, max_drawdown, profit_factor

__all__ = ["account_summary", "daily_sharpe", "refusals_by_reason", "top_month_share", "trades_by"]

_DAYS_PER_YEAR: Final = 365.0
"""These markets do not close."""
_SIDES: Final = {1: "long", -1: "short"}


def account_summary(trades: pd.DataFrame, equity: pd.DataFrame) -> dict[str, Any]:
    """Return the figures by which a trader judges an account.

    Parameters
    ----------
    trades
        Closed trades with entry_time, net_usd, net_r and net_bps (`slackwater.trading.ledger.Ledger.trades`).
    equity
        time (UTC, ascending) and equity_usd; the first row is the start (`Ledger.equity`).

    Returns
    -------
    dict
        ``n_trades``; ``initial_equity_usd``, ``final_equity_usd``; ``total_return`` and ``max_drawdown`` (fractions);
        ``profit_factor``, of net_usd; ``win_rate``, the share of trades with a net gain; ``mean_r``;
        ``net_bps_mean``; ``sharpe``, see `daily_sharpe`; ``top_month_share``. Without trades those that
        need one are NaN.

    Raises
    ------
    DataError
        If a value is not finite, or the first equity is not positive.

    Examples
    --------
    >>> day = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"], utc=True)
    >>> equity = pd.DataFrame({"time": day, "equity_usd": [100.0, 110.0, 99.0]})
    >>> trades = pd.DataFrame({"entry_time": day[:2], "net_usd": [10.0, -11.0], "net_r": [2.0, -1.0],
    ...                        "net_bps": [50.0, -60.0]})
    >>> summary = account_summary(trades, equity)
    >>> summary["n_trades"], summary["final_equity_usd"], round(summary["total_return"], 6), summary["win_rate"]
    (2, 99.0, -0.01, 0.5)
    """
    values = finite_values(equity["equity_usd"], name="equity_usd")
    drawdown = max_drawdown(values)
    return {
        "n_trades": len(trades),
        "initial_equity_usd": float(values[0]),
        "final_equity_usd": float(values[-1]),
        "total_return": float(values[-1] / values[0] - 1.0),
        "max_drawdown": drawdown,
        "sharpe": daily_sharpe(equity),
        **_results(trades),
        "top_month_share": top_month_share(trades),
    }


def daily_sharpe(equity: pd.DataFrame) -> float:
    """Return the Sharpe ratio of daily returns, per square root of a year of 365 days; the risk-free rate is 0.

    Results count on the UTC day on which a trade is closed; days without an exit count as returns of 0.

    Parameters
    ----------
    equity
        As in `account_summary`.

    Returns
    -------
    float
        NaN with fewer than two days, without any variation, or where the equity falls to 0 or below.
    """
    by_day = equity.groupby(equity["time"].dt.floor("D"))["equity_usd"].last()
    days = pd.date_range(by_day.index[0], by_day.index[-1], freq="D")
    closes = by_day.reindex(days).ffill().to_numpy()
    level = np.concatenate([[float(equity["equity_usd"].iloc[0])], closes])
    if (level <= 0.0).any():
        return math.nan
    returns = level[1:] / level[:-1] - 1.0
    if returns.size < 2 or not returns.std(ddof=1) > 0.0:
        return math.nan
    return float(math.sqrt(_DAYS_PER_YEAR) * returns.mean() / returns.std(ddof=1))


def top_month_share(trades: pd.DataFrame) -> float:
    """Return the largest share of the trades that were entered within one calendar month (UTC); NaN without trades."""
    return float(_months(trades).value_counts(normalize=True).max()) if len(trades) else math.nan


def trades_by(trades: pd.DataFrame, by: Literal["month", "symbol", "side"]) -> pd.DataFrame:
    """Return the results of the trades of each month of entry (UTC), symbol or side.

    Parameters
    ----------
    trades
        As in `account_summary`, with symbol and side (+1 long, -1 short).
    by
        What to group by.

    Returns
    -------
    DataFrame
        One row per group, in order: its name, ``n_trades``, ``share`` of all trades, ``net_usd``, ``profit_factor``,
        ``win_rate``, ``mean_r``, ``net_bps_mean``. Groups without a trade have no row.

    Raises
    ------
    ParameterError
        If `by` is something else.
    """
    if by not in ("month", "symbol", "side"):
        raise ParameterError(f"`by` must be month, symbol or side, was {by!r}")
    key = _months(trades) if by == "month" else trades[by].map(_SIDES if by == "side" else str)
    rows = [
        {by: name, "n_trades": len(own), "share": len(own) / len(trades), "net_usd": float(own["net_usd"].sum())}
        | _results(own)
        for name, own in trades.groupby(key, sort=True)
    ]
    columns = [by, "n_trades", "share", "net_usd", "profit_factor", "win_rate", "mean_r", "net_bps_mean"]
    return pd.DataFrame(rows, columns=columns)


def refusals_by_reason(refusals: pd.DataFrame, trades: pd.DataFrame) -> pd.DataFrame:
    """Count the events that each reason refused.

    Parameters
    ----------
    refusals
        symbol, event_time and code, one row per reason (`Ledger.refusals`).
    trades
        Trades of the same account; with the refused events they are all events.

    Returns
    -------
    DataFrame
        One row per code, the most frequent first: ``code``, ``events``, ``share`` of all events, ``all_events_of`` (the
        symbols of which it refused every event). An event with several reasons counts under each of them.
    """
    keys = ["symbol", "event_time"]
    refused = refusals[[*keys, "code"]].drop_duplicates()
    events = pd.concat([refused[keys], trades[keys]]).drop_duplicates()
    total = events.groupby(events["symbol"].astype(str)).size()
    rows = []
    for code, own in refused.groupby("code"):
        by_symbol = own.groupby(own["symbol"].astype(str)).size()
        whole = [symbol for symbol, count in by_symbol.items() if count == total[symbol]]
        rows.append(
            {"code": code, "events": len(own), "share": len(own) / len(events), "all_events_of": ", ".join(whole)}
        )
    table = pd.DataFrame(rows, columns=["code", "events", "share", "all_events_of"])
    return table.sort_values(["events", "code"], ascending=[False, True], ignore_index=True)


def _months(trades: pd.DataFrame) -> pd.Series:
    return trades["entry_time"].dt.strftime("%Y-%m")


def _results(trades: pd.DataFrame) -> dict[str, float]:
    """Return the figures that are the same for an account and for a part of its trades."""
    net = finite_values(trades["net_usd"], name="net_usd")
    return {
        "profit_factor": profit_factor(net),
        "win_rate": float((net > 0.0).mean()) if net.size else math.nan,
        "mean_r": float(finite_values(trades["net_r"], name="net_r").mean()) if net.size else math.nan,
        "net_bps_mean": expectancy_bps(trades["net_bps"]),
    }
