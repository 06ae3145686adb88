"""The trades that events suggest under several brackets: where stop and target lie, how trades end, what they earn.

No gate stands between event and trade here, so that the tables hold results where a gate accepts nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from slackwater.evidence._intervals import BPS, MEAN, mean_and_interval
from slackwater.evidence.resampling import Resampling
from slackwater.labels.trades import SuggestedTrade, TradeRules, suggested_trade
from slackwater.metrics.trading import trade_weighted_mean
from slackwater.times import timestamp
from slackwater.trading.backtest import Backtest
from slackwater.trading.rules import BracketRules
from slackwater.trading.symbol_tasks import of_each_symbol

__all__ = ["EVERY_EVENT", "bracket_table", "result_table", "suggested_trades", "trigger_table"]

EVERY_EVENT = "every event"
_TOP = "top fifth by p_direction"
_TOP_SHARE = 0.2
_GRID = ((None, None), (1.0, 0.5), (1.0, 1.0), (1.5, 1.0), (1.5, 1.5))
_T = 3.0
_EFFECT_R = 0.05

_NET_R = ("net_r_mean", "net_r_low", "net_r_high")
_OUTCOME = (
    *("reason", "exit_reason", "stop_sd", "target_sd", "reward_risk"),
    *("fair", "paid", "cost_r", "net_bps", "net_r"),
)


class _Variant(NamedTuple):
    name: str
    rules: BracketRules
    without: tuple[str, ...] = ()


def _variants(configured: BracketRules) -> Iterator[_Variant]:
    yield _Variant(f"as configured: {_name(configured)}", configured)
    for target_sd, stop_sd in _GRID:
        rules = replace(configured, target_sd=target_sd, stop_sd=stop_sd)
        if rules != configured:
            yield _Variant(_name(rules), rules)
    yield _Variant("time exit only", configured, ("stop", "target"))


def _name(rules: BracketRules) -> str:
    if rules.target_sd is None and rules.stop_sd is None:
        return "levels alone"
    return f"target_sd {_shown(rules.target_sd)}, stop_sd {_shown(rules.stop_sd)}"


def _shown(distance_sd: float | None) -> str:
    return "null" if distance_sd is None else f"{distance_sd:g}"


def suggested_trades(
    backtest: Backtest, trade: TradeRules, *, progress: Callable[[int, int], None] | None = None
) -> pd.DataFrame:
    """Return the trade of every event under several brackets.

    Parameters
    ----------
    backtest
        Events and prices.
    trade
        Contracts, the configured bracket, costs and the reference size; the latency of the backtest is charged.
    progress
        Called after each symbol, whose trades are a task, with (events done, events in all).

    Returns
    -------
    DataFrame
        One row per bracket and event: `bracket`, `symbol`, `event_time`, `entry_time` (UTC), `p_direction`; `reason`:
        the code of the first reason that there is no trade, "" where there is one. Of a trade, else "" and NaN:
        `exit_reason`; `stop_sd`, `target_sd`: distances from the entry, standard deviations of the log return over the
        horizon; `reward_risk`; `fair`: probability of the target without drift and costs; `paid`: the payoff, in [0,
        1]; `cost_r`: fees and slippage, in R; `net_bps`, `net_r`: result after costs and funding.

    Notes
    -----
    The brackets are the configured one, first; ``levels alone``: stop and target at levels, however far; a grid of
    `target_sd` and `stop_sd`; and ``time exit only``: the configured trade without its levels, at the same size and in
    the same R, which has no odds.
    """
    # A table per symbol: as rows of Python's numbers, those of all would take several times the memory.
    found = of_each_symbol(partial(_rows_of_orders, trade), backtest, progress=progress)
    if not found:
        return _table([])
    starts = np.cumsum([0, *map(len, found.values())])
    n = sum(1 for _ in _variants(trade.bracket))
    of_symbols = {symbol: count(start, n) for symbol, start in zip(found, starts, strict=False)}
    first = np.array([next(of_symbols[order.score.symbol]) for order in backtest.orders])
    tables = [*found.values()]
    found.clear()
    table = pd.concat(tables, ignore_index=True)
    tables.clear()  # all of these rows are held once, and once more in another order
    return table.take((first[:, None] + np.arange(n)).ravel()).reset_index(drop=True)


def _rows_of_orders(trade: TradeRules, backtest: Backtest) -> pd.DataFrame:
    """Return the rows of the orders of a backtest, one per bracket."""
    charged = replace(trade.costs, latency=max(trade.costs.latency, backtest.latency))
    variants = [(variant, replace(trade, bracket=variant.rules, costs=charged)) for variant in _variants(trade.bracket)]
    rows = []
    paths = {symbol: backtest.paths[symbol] for symbol in {order.score.symbol for order in backtest.orders}}
    for order in backtest.orders:
        score, path = order.score, paths[order.score.symbol]
        bar = path.first_bar_from(order.entry_us)
        event = (score.symbol, score.event_time, timestamp(order.entry_us), score.p_direction)
        sd = score.context.sd_over(backtest.horizon)
        for variant, rules in variants:
            found = suggested_trade(
                score.context, side=-score.direction, path=path, entry_bar=bar, rules=rules, horizon=backtest.horizon
            )
            rows.append((variant.name, *event, *_outcome(found, sd, variant.without)))
    return _table(rows)


def _table(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    columns = ["bracket", "symbol", "event_time", "entry_time", "p_direction", *_OUTCOME]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype(dict.fromkeys(["event_time", "entry_time"], "datetime64[us, UTC]"))


def _outcome(found: SuggestedTrade | tuple[Any, ...], sd: float, without: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the columns `_OUTCOME`."""
    if not isinstance(found, SuggestedTrade):
        return (found[0].code, "", *[math.nan] * (len(_OUTCOME) - 2))
    bracket, result = found.bracket, found.result(without=without)
    odds = (math.nan, math.nan) if without else (float(expit(found.fair_log_odds)), result.payoff)
    return (
        "",
        result.exit.reason,
        abs(math.log(bracket.entry / bracket.stop)) / sd,
        abs(math.log(bracket.entry / bracket.target)) / sd,
        found.reward_risk,
        *odds,
        result.costs / found.risk,
        BPS * result.net / bracket.entry,
        result.net / found.risk,
    )


def bracket_table(suggested: pd.DataFrame) -> pd.DataFrame:
    """Return where stop and target lie, how the trades end, and what their odds and costs are, by bracket.

    Parameters
    ----------
    suggested
        Of `suggested_trades`.

    Returns
    -------
    DataFrame
        One row per bracket: `n_events`, `n_trades`, `refused` (events without a trade by their first reason);
        medians of `stop_sd`, `target_sd` and `reward_risk`; `target_share`, `stop_share`, `time_share`; means of
        `fair`, `paid` and `cost_r`. NaN without a trade.
    """
    return pd.DataFrame(
        [{"bracket": name, **_placement(rows)} for name, rows in suggested.groupby("bracket", sort=False)]
    )


def result_table(suggested: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """Return what the trades of every bracket earn: of every event, and of the top fifth by direction probability.

    Parameters
    ----------
    suggested
        Of `suggested_trades`.
    resampling
        Block bootstrap of the intervals.

    Returns
    -------
    DataFrame
        One row per bracket and sample: `n_trades`; `net_bps_mean`, `net_bps_low`, `net_bps_high` (basis points per
        trade, 95 %) and `t` (clustered by day); `net_r_mean`, `net_r_low`, `net_r_high`; the smallest mean that the
        sample could show at t = 3, `visible_bps` and `visible_r`; `trades_to_see_5pct_r`: the number of such trades
        that .05 R at t = 3 needs. NaN where the sample is empty or too short.

    Notes
    -----
    The fifth is chosen among all events of the table, with their out-of-sample probabilities; a bracket chosen by this
    table is a trial.
    """
    rows = []
    for name, trades in suggested.groupby("bracket", sort=False):
        for sample, chosen in ((EVERY_EVENT, trades), (_TOP, _top(trades))):
            rows.append({"bracket": name, "sample": sample, **_result(chosen, resampling)})
    return pd.DataFrame(rows)


def trigger_table(suggested: pd.DataFrame, labels: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
    """Return both for the configured bracket, of every event and of the events of each trigger.

    Parameters
    ----------
    suggested
        Of `suggested_trades`.
    labels
        `symbol`, `event_time` and, where triggers are told apart, `triggers`: the names of those that fired, joined by
        "+".
    resampling
        Block bootstrap of the intervals.

    Returns
    -------
    DataFrame
        `trigger`, then the columns of `bracket_table` and `result_table`. An event of two triggers counts for both.
    """
    trades = suggested[suggested["bracket"] == suggested["bracket"].iloc[0]] if len(suggested) else suggested
    keys = ["symbol", "event_time"]
    known = labels[keys].assign(triggers=labels.get("triggers", ""))
    fired = trades[keys].merge(known, on=keys, how="left", validate="1:1")["triggers"].fillna("").str.split("+")
    names = sorted({name for each in fired for name in each if name})
    samples = [(EVERY_EVENT, trades), *((name, trades[[name in each for each in fired]]) for name in names)]
    return pd.DataFrame([{"trigger": name, **_placement(rows), **_result(rows, resampling)} for name, rows in samples])


def _top(trades: pd.DataFrame) -> pd.DataFrame:
    known = trades[trades["p_direction"].notna()]
    return known.nlargest(math.ceil(_TOP_SHARE * len(known)), "p_direction")


def _placement(rows: pd.DataFrame) -> dict[str, Any]:
    trades = rows[rows["reason"] == ""]
    refused = rows.loc[rows["reason"] != "", "reason"].value_counts()
    return {
        "n_events": len(rows),
        "n_trades": len(trades),
        "refused": ", ".join(f"{code} {count:,}" for code, count in refused.items()),
        **{name: float(trades[name].median()) for name in ("stop_sd", "target_sd", "reward_risk")},
        **{f"{name}_share": float((trades["exit_reason"] == name).mean()) for name in ("target", "stop", "time")},
        **{name: float(trades[name].mean()) for name in ("fair", "paid", "cost_r")},
    }


def _result(rows: pd.DataFrame, resampling: Resampling) -> dict[str, Any]:
    trades = rows[rows["reason"] == ""].sort_values(["entry_time", "symbol"])
    times = trades["entry_time"]
    in_bps, in_r = (trades[name].to_numpy() for name in ("net_bps", "net_r"))
    errors = [trade_weighted_mean(net, times).standard_error if net.size else math.nan for net in (in_bps, in_r)]
    seen_bps, seen_r = (_T * error for error in errors)
    intervals = [mean_and_interval(net, times, resampling, names) for net, names in ((in_bps, MEAN), (in_r, _NET_R))]
    return {
        "n_trades": len(trades),
        **intervals[0],
        "t": intervals[0][MEAN[0]] / errors[0] if errors[0] > 0.0 else math.nan,
        **intervals[1],
        "visible_bps": seen_bps,
        "visible_r": seen_r,
        "trades_to_see_5pct_r": float(np.ceil(len(trades) * (seen_r / _EFFECT_R) ** 2)),
    }
