"""Plots of the trades: the account, and the sensitivity of the same trades to costs, size, leverage, risk and venue.

Each title names the data set, with the word SYNTHETIC where the market was simulated. A table without trades gives a
plot with the words "no trades".
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slackwater.storage import atomic_directory

__all__ = ["write_trading_figures"]

_INK, _BLUE, _RED, _GREY = "#1b2a33", "#1f6f8b", "#c8553d", "#9aa5ab"
_BAND = 0.18  # opacity of an interval
_R_BINS = np.arange(-3.0, 5.01, 0.25)
_EXITS = {"target": _BLUE, "time": "#a9c6cf", "stop": "#e3a48f", "liquidation": _RED}
_COSTS = {
    "fee": "#1f6f8b",
    "spread": "#6ba7b8",
    "impact": "#b5d3db",
    "stop_slippage": "#c8553d",
    "latency": "#e3a48f",
    "funding": "#d9b44a",
}
_NET_BPS = "Net result (bps of notional)"


def write_trading_figures(
    directory: str | Path,
    *,
    equity: pd.DataFrame,
    trades: pd.DataFrame,
    sample: pd.DataFrame,
    exposure: pd.DataFrame,
    cost: pd.DataFrame,
    capacity: pd.DataFrame,
    leverage: pd.DataFrame,
    counterfactual: pd.DataFrame,
    ruin: pd.DataFrame,
    venues: pd.DataFrame,
    title: str,
) -> None:
    """Draw ten PNG files into a directory.

    Parameters
    ----------
    directory
        Target directory; it appears whole or not at all.
    equity
        Columns `time`, `equity_usd` and `drawdown` (fraction of the peak), as in `Ledger.equity`.
    trades, sample
        Trades of the account and unit-risk trades, as in `Ledger.trades`.
    exposure
        Columns `time`, `gross_notional_usd`, `net_notional_usd`, `open_risk_fraction` (of equity), `leverage`
        (gross notional over equity) and `n_positions`.
    cost, capacity, leverage, counterfactual, ruin
        Tables of `slackwater.evidence.cost_sensitivity`, `slackwater.evidence.leverage` and `slackwater.evidence.ruin`.
    venues
        One row per venue: `venue`, `n_trades`, `net_bps_mean`, `net_bps_low`, `net_bps_high`, `gross_bps`, and the
        parts between net and gross: `fee_bps`, `spread_bps`, `impact_bps`, `stop_slippage_bps`, `latency_bps` and
        `funding_bps` (negative if received), all basis points of notional per trade.
    title
        Second line of every title, such as ``simulated, SYNTHETIC market``.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    style: Any = {
        "figure.figsize": (7.0, 4.6),
        "figure.dpi": 120,
        "figure.constrained_layout.use": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": _INK,
        "date.converter": "concise",
        "font.size": 9,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "savefig.bbox": "tight",
    }
    # Name: values that are known wherever there were trades, title, and drawing.
    drawings: dict[str, tuple[pd.Series, str, Callable[[Any], None]]] = {
        "equity_and_drawdown": (
            equity["equity_usd"].iloc[1:],
            "Equity and drawdown of the paper account, net of all costs",
            lambda figure: _equity_and_drawdown(figure, equity),
        ),
        "r_multiples": (
            sample["net_r"],
            "Distribution of net results per trade",
            lambda figure: _r_multiples(figure, sample, trades),
        ),
        "costs": (
            cost["net_bps_mean"],
            "Cost sensitivity",
            lambda figure: _costs(figure, cost),
        ),
        "capacity": (
            capacity["net_bps_mean"],
            "Capacity: net result by notional per trade",
            lambda figure: _capacity(figure, capacity),
        ),
        "leverage": (
            leverage["median_r"],
            "Leverage sensitivity with stop",
            lambda figure: _leverage(figure, leverage[leverage["variant"] == "with stop"]),
        ),
        "leverage_without_stop": (
            leverage["median_r"],
            "Leverage sensitivity without stop, margin at risk",
            lambda figure: _leverage(figure, leverage[leverage["variant"] == "without stop"]),
        ),
        "counterfactuals": (
            counterfactual["net_bps_mean"],
            "Counterfactuals: the same trades without stop or target",
            lambda figure: _counterfactuals(figure, counterfactual),
        ),
        "ruin": (
            ruin["ruin_probability"],
            "Probability of ruin by risk per trade",
            lambda figure: _ruin(figure, ruin),
        ),
        "venues": (
            venues["net_bps_mean"],
            "Venue comparison: gross result, costs and net result",
            lambda figure: _venues(figure, venues),
        ),
        "exposure": (
            exposure.loc[exposure["n_positions"] > 0, "gross_notional_usd"],
            "Exposure of the account, daily maximum",
            lambda figure: _exposure(figure, exposure),
        ),
    }
    with atomic_directory(directory) as root, mpl.rc_context(style):
        for name, (known, heading, draw) in drawings.items():
            figure = plt.figure()
            if known.notna().any():
                draw(figure)
            else:
                _no_trades(figure)
            figure.suptitle(f"{heading}\n{title}", x=0.01, ha="left", fontsize=11)
            # Without the version and the date, the same run gives the same bytes.
            figure.savefig(root / f"{name}.png", metadata={"Software": None})
            plt.close(figure)


def _no_trades(figure: Any) -> None:
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, "no trades", ha="center", va="center", fontsize=14, color=_GREY)


def _equity_and_drawdown(figure: Any, equity: pd.DataFrame) -> None:
    money, fall = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    start = float(equity["equity_usd"].iloc[0])
    money.step(equity["time"], equity["equity_usd"], where="post", color=_BLUE, lw=1.2)
    money.axhline(start, color=_GREY, linestyle="--", lw=1, label=f"start: {start:,.0f} USDT")
    money.set(ylabel="Equity (USDT)")
    money.yaxis.set_major_formatter("{x:,.0f}")
    _key(money)
    below = -100.0 * equity["drawdown"]
    deepest = int(below.to_numpy().argmin())
    fall.fill_between(equity["time"], below, step="post", color=_RED, alpha=0.5, lw=0)
    fall.set(ylabel="Drawdown (%)", ylim=(min(1.15 * float(below.min()), -1.0), 0.0))
    day = f"{equity['time'].iloc[deepest]:%Y-%m-%d}"
    fall.set_xlabel(f"Day (UTC); maximum drawdown {-below.iloc[deepest]:.1f} % on {day}")


def _r_multiples(figure: Any, sample: pd.DataFrame, trades: pd.DataFrame) -> None:
    axes = figure.subplots()
    lowest, highest = _R_BINS[0], _R_BINS[-1]
    for table, name, look in (
        (sample, "unit-risk trades", {"color": _BLUE, "alpha": 0.55}),
        (trades, "account", {"color": _INK, "histtype": "step", "lw": 1.2}),
    ):
        if len(table):
            r = table["net_r"].to_numpy()
            what = f"mean {r.mean():+.2f} R, {np.mean(r > 0.0):.0%} won"
            weights = np.full(r.size, 100.0 / r.size)
            axes.hist(
                r.clip(lowest, highest), bins=_R_BINS, weights=weights, label=f"{name}: {r.size:,}, {what}", **look
            )
    axes.axvline(0.0, color=_INK, lw=0.8)
    axes.axvline(-1.0, color=_RED, lw=1, linestyle="--", label="planned loss, -1 R")
    _key(axes, columns=1)
    r = sample["net_r"]
    tails = (
        f"outermost bars hold all values beyond: {int((r < lowest).sum())} below {lowest:g} R (worst {r.min():.1f}), "
        f"{int((r > highest).sum())} above {highest:g} R (best {r.max():.1f})"
    )
    axes.set(xlabel=f"Net result (R)\n{tails}", ylabel="Share of trades (%)")


def _costs(figure: Any, cost: pd.DataFrame) -> None:
    net, factor = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    x = cost["multiple"]
    net.plot(x, cost["net_bps_mean"], color=_BLUE, marker="o", ms=4, label=_mean_label(cost))
    net.fill_between(x, cost["net_bps_low"], cost["net_bps_high"], color=_BLUE, alpha=_BAND, lw=0, label="95 %")
    net.axhline(0.0, color=_INK, lw=0.8)
    net.set(ylabel=_NET_BPS)
    _key(net)
    factor.plot(x, cost["profit_factor"], color=_INK, marker="o", ms=4)
    factor.axhline(1.0, color=_GREY, linestyle="--", lw=1)
    factor.set(ylabel="Profit factor", xlabel="Fees and slippage (multiple of the assumed)")


def _capacity(figure: Any, capacity: pd.DataFrame) -> None:
    net, depth = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    x = capacity["notional_usd"].to_numpy()
    # Impact goes with the square root of the size: straight lines between the points would bend on a log scale.
    between = np.geomspace(x[0], x[-1], 200)

    def curve(column: str) -> Any:
        return np.interp(np.sqrt(between), np.sqrt(x), capacity[column])

    net.plot(between, curve("net_bps_mean"), color=_BLUE, label=_mean_label(capacity))
    net.plot(x, capacity["net_bps_mean"], "o", color=_BLUE, ms=4)
    net.fill_between(between, curve("net_bps_low"), curve("net_bps_high"), color=_BLUE, alpha=_BAND, lw=0, label="95 %")
    net.plot(between, curve("round_trip_slippage_bps_mean"), color=_RED, linestyle=":", label="slippage of both orders")
    zero = capacity["break_even_usd"].iloc[0]
    if np.isfinite(zero):
        net.axvline(zero, color=_RED, lw=1, linestyle="--", label=f"break-even: {_short(float(f'{zero:.3g}'))} USDT")
    net.axhline(0.0, color=_INK, lw=0.8)
    net.set(ylabel="Net result (bps of notional)", xscale="log")
    _key(net)
    share = 100.0 * capacity["share_within_depth"]
    if share.notna().any():
        depth.plot(x, share, color=_INK, marker="o", ms=4)
    else:
        depth.text(0.5, 0.5, "depth unknown", ha="center", va="center", color=_GREY, transform=depth.transAxes)
    depth.set(ylabel="Within the depth\nlimit (% of trades)", ylim=(-4.0, 104.0), xlabel="Notional per trade (USDT)")
    depth.set_xticks(x, labels=[_short(value) for value in x])
    depth.minorticks_off()


def _leverage(figure: Any, leverage: pd.DataFrame) -> None:
    figure.set_size_inches(7.0, 6.4)
    shares, r, margin = figure.subplots(3, 1, sharex=True)
    at = np.arange(len(leverage))
    for i, (column, name, colour) in enumerate(
        (
            ("stopped", "stopped", _GREY),
            ("liquidated", "liquidated", _RED),
            ("exited_before_reversal", "either, before the reversal", _INK),
        )
    ):
        shares.bar(at + 0.27 * (i - 1), 100.0 * leverage[column], width=0.25, color=colour, label=name)
    shares.set(ylabel="Share of trades (%)")
    _key(shares)
    for axes, columns, label, factor in (
        (r, ("median_r", "mean_r"), "Net result (R)", 1.0),
        (
            margin,
            ("median_return_on_margin", "return_on_margin_mean"),
            "Net result\n(% of margin, log beyond ±1)",
            100.0,
        ),
    ):
        for column, name, look in zip(columns, ("median", "mean"), ("o-", "s--"), strict=True):
            axes.plot(at, factor * leverage[column], look, color=_BLUE if name == "median" else _INK, ms=4, label=name)
        axes.axhline(0.0, color=_INK, lw=0.8)
        axes.set(ylabel=label)
        _key(axes)
    margin.set_yscale("symlog", linthresh=1.0)  # means of a few per cent beside the loss of the whole margin
    margin.yaxis.set_major_formatter("{x:g}")
    left_out = [f"\n{n:,} not offered" if n else "" for n in leverage["not_offered"]]
    labels = [f"{value:g}×{out}" for value, out in zip(leverage["leverage"], left_out, strict=True)]
    margin.set_xticks(at, labels=labels)
    margin.set(xlabel="Margin leverage; one R is the loss at the nearer of stop and liquidation")


def _counterfactuals(figure: Any, counterfactual: pd.DataFrame) -> None:
    net, exits = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    at = np.arange(len(counterfactual))
    others = (counterfactual["variant"] != "as planned").to_numpy()
    for rows, shift, mean, low, high, name, colour in (
        (at >= 0, -0.12, "net_bps_mean", "net_bps_low", "net_bps_high", "mean net, 95 %", _BLUE),
        (others, 0.12, "difference_bps", "difference_low", "difference_high", "difference to the plan, 95 %", _RED),
    ):
        table, y = counterfactual[rows], at[rows] + shift
        net.hlines(y, table[low], table[high], color=colour, lw=2, alpha=0.5)
        net.plot(table[mean], y, "o", color=colour, ms=5, label=name)
    net.axvline(0.0, color=_INK, lw=0.8)
    worst = [f"{row.variant}\n(worst {row.worst_bps:,.0f} bps)" for row in counterfactual.itertuples()]
    net.set_yticks(at, labels=worst)
    net.set(xlabel=_NET_BPS)
    left = np.zeros(len(counterfactual))
    for name, colour in _EXITS.items():
        share = 100.0 * counterfactual[f"{name}_share"].to_numpy()
        exits.barh(at, share, left=left, color=colour, height=0.6, label=f"exit by {name}")
        left += share
    exits.set(xlabel="Share of trades (%)", xlim=(0.0, 100.0))
    exits.tick_params(left=False)
    net.invert_yaxis()  # shared
    figure.legend(loc="outside lower center", ncols=3)


def _ruin(figure: Any, ruin: pd.DataFrame) -> None:
    chance, middle = figure.subplots(2, 1, sharex=True)
    at = np.arange(len(ruin))
    limit, years = ruin["drawdown"].iloc[0], ruin["years"].iloc[0]
    bars = chance.bar(at, 100.0 * ruin["ruin_probability"], width=0.5, color=_RED)
    chance.bar_label(bars, fmt="%.1f %%", padding=2)
    chance.set(ylabel=f"Probability of a\n{100.0 * limit:g} % drawdown (%)")
    chance.set(ylim=(0.0, 115.0), yticks=range(0, 101, 25))  # room for the label of a certainty
    middle.plot(at, 100.0 * ruin["median_annual_return"], "o-", color=_BLUE, ms=4, label="median return per year")
    middle.plot(at, -100.0 * ruin["median_max_drawdown"], "s--", color=_INK, ms=4, label="median maximum drawdown")
    middle.axhline(0.0, color=_INK, lw=0.8)
    middle.set(ylabel="Share of equity (%)")
    _key(middle)
    middle.set_xticks(at, labels=[f"{100.0 * fraction:g} %" for fraction in ruin["risk_fraction"]])
    streak = ruin["expected_longest_losing_streak"].iloc[0]
    middle.set_xlabel(
        f"Equity at risk per trade, over {years:g} year{'s' if years != 1 else ''}; "
        f"expected longest losing streak {streak:.0f}"
    )


def _venues(figure: Any, venues: pd.DataFrame) -> None:
    axes = figure.subplots()
    at = np.arange(len(venues))
    paid, received = np.zeros(len(venues)), np.zeros(len(venues))
    for name, colour in _COSTS.items():
        part = venues[f"{name}_bps"].fillna(0.0).to_numpy()
        # Amounts received are stacked below zero, so that the two stacks do not hide each other.
        foot = np.where(part >= 0.0, paid, received)
        axes.bar(at - 0.17, part, width=0.34, bottom=foot, color=colour, label=name.replace("_", " "))
        paid, received = paid + part.clip(min=0.0), received + part.clip(max=0.0)
    axes.plot(at + 0.17, venues["gross_bps"], "D", color=_GREY, ms=6, label="gross result")
    axes.vlines(at + 0.17, venues["net_bps_low"], venues["net_bps_high"], color=_INK, lw=2, alpha=0.5)
    axes.plot(at + 0.17, venues["net_bps_mean"], "o", color=_INK, ms=6, label="net result, 95 %")
    axes.axhline(0.0, color=_INK, lw=0.8)
    taken = zip(venues["venue"], venues["n_trades"], strict=True)
    axes.set_xticks(at, labels=[f"{venue}\n{n:,} trades" for venue, n in taken])
    axes.set(ylabel="Mean per trade (bps of notional)", xlim=(-0.6, len(venues) - 0.4))
    figure.legend(loc="outside right center")


def _exposure(figure: Any, exposure: pd.DataFrame) -> None:
    figure.set_size_inches(7.0, 6.4)
    notional, risk, leverage, positions = figure.subplots(4, 1, sharex=True)
    by_day = _states(exposure).groupby(lambda time: time.floor("D"))
    most, least = by_day.max().clip(lower=0.0), by_day.min().clip(upper=0.0)  # both from zero: net has either sign
    # A step ends where the next one begins, and the last day has no next one.
    edges = most.index.append(most.index[-1:] + pd.Timedelta("1D"))
    most, least = most.reindex(edges, method="ffill"), least.reindex(edges, method="ffill")
    for axes, column, factor, label, colour in (
        (notional, "gross_notional_usd", 1.0, "gross", _GREY),
        (notional, "net_notional_usd", 1.0, "net (long less short)", _BLUE),
        (risk, "open_risk_fraction", 100.0, "Open risk\n(% of equity)", _RED),
        (leverage, "leverage", 1.0, "Gross notional\n(multiple of equity)", _GREY),
        (positions, "n_positions", 1.0, "Open positions", _INK),
    ):
        lowest, highest = factor * least[column], factor * most[column]
        axes.fill_between(edges, lowest, highest, step="post", color=colour, alpha=0.6, lw=0, label=label)
        axes.set(ylabel=label)
    notional.set(ylabel="Notional (USDT)")
    notional.yaxis.set_major_formatter(lambda value, _: _short(value))
    _key(notional)
    for axes in (risk, leverage, positions):
        axes.set_ylim(bottom=0.0)
    positions.yaxis.get_major_locator().set_params(integer=True)
    positions.set_xlabel("Day (UTC)")
    figure.align_ylabels()


def _states(exposure: pd.DataFrame) -> pd.DataFrame:
    """Return the states by time, with a copy at midnight of those that last beyond it."""
    states = exposure.drop_duplicates("time", keep="last").set_index("time").sort_index().select_dtypes("number")
    midnights = pd.date_range(states.index[0].ceil("D"), states.index[-1], freq="D")
    return states.reindex(states.index.union(midnights)).ffill()


def _key(axes: Any, columns: int = 4) -> None:
    """Put the legend above the plot, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=columns, borderaxespad=0.2)


def _mean_label(curve: pd.DataFrame) -> str:
    return f"mean of {int(curve['n_trades'].max()):,} trades"


def _short(value: float) -> str:
    """Return an amount with the suffix k or M, as on an axis."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
