"""Honest features of many kinds that prefix invariance must let pass: a check that cries wolf is switched off.

They come on top of the honest counterparts in `test_planted_leaks`. Each fails here if the check compares what it
should not: rows of other times, the length of a table, the order of its rows.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slackwater.features.checks import check_prefix_invariance
from slackwater.features.violations import broken
from tests.planted.builders import (
    BAR,
    DAY_BARS,
    TRAINING_ENDS,
    Build,
    Tables,
    bar_of,
    bar_return,
    by_symbol,
    counted,
    day_of,
    delisted_market,
    each,
    hole_market,
    is_alive,
    joined,
    late_listing_market,
    looked_up,
    market_of,
    narrow,
    plain_market,
    planted,
    prices,
    revised_market,
    shipped,
    whole_table,
    wide,
)
from tests.small_market import DECISION_LAG, START

CUTS = 15


def trailing_beta(table: pd.DataFrame, _: Tables) -> pd.Series:
    """On the other symbol, from the bars before this one."""
    x = wide(table, bar_return(table))
    slopes = {
        own: x[own].rolling(100).cov(x[other]) / x[other].rolling(100).var() for own, other in (x, x.columns[::-1])
    }
    return narrow(table, pd.DataFrame(slopes).rename_axis(columns="symbol").shift(1))


def mean_of_the_others(lag: int) -> Build:
    """The mean return of all symbols at a close, or at the close before."""

    def mean(table: pd.DataFrame, _: Tables) -> pd.Series:
        returns = wide(table, bar_return(table)).mean(axis=1).shift(lag)
        return table["event_time"].map(returns)

    return planted(mean)


def frozen_regression(table: pd.DataFrame, _: Tables) -> pd.Series:
    """A line through volume and range, fitted on the training rows, which are no features themselves."""
    x = np.log(table["volume"])
    y = np.log(table["high"] / table["low"])
    training = table["event_time"] <= TRAINING_ENDS
    slope, intercept = np.polyfit(x[training], y[training], 1)
    return (y - slope * x - intercept).where(~training)


def hours_since_a_transfer(table: pd.DataFrame, tables: Tables) -> pd.Series:
    """By when the last transfer became known."""
    rows = tables["whale_transfers"]
    rows = rows.assign(hours=(rows["available_time"] - START) / pd.Timedelta("1h"))
    return (table["available_time"] - START) / pd.Timedelta("1h") - looked_up(table, rows, "hours")


def hours_until_funding(table: pd.DataFrame, _: Tables) -> pd.Series:
    """The calendar is known in advance."""
    settles = table["event_time"].dt.ceil("8h")
    return (settles - table["event_time"]) / pd.Timedelta("1h")


def fading_trades(table: pd.DataFrame, tables: Tables) -> pd.Series:
    """Large buys less large sells, halved every six hours, from the moment when each was printed."""
    rows = tables["large_trades"]
    signed = rows["quantity"] * np.where(rows["side"] == "buy", 1.0, -1.0)
    flows = counted(table, rows, bar_of(rows["available_time"]), signed)
    return each(flows, table, lambda x: x.ewm(halflife=12, adjust=False).mean())


def interest_against_its_day(table: pd.DataFrame, _: Tables) -> pd.Series:
    """As published so far: with the rows of a venue that corrects itself."""
    return each(table["open_interest"], table, lambda x: x / x.rolling(DAY_BARS, min_periods=1).mean())


def tables_in_any_order(tables: Tables) -> pd.DataFrame:
    """Funding rows come shuffled; the join sorts them."""
    shuffled = tables["funding"].sample(frac=1.0, random_state=0)
    table = joined({"bars": tables["bars"], "funding": shuffled})
    return table[["symbol", "event_time", "available_time", "close"]].assign(planted=table["funding_rate"])


def noise_by_time(table: pd.DataFrame, _: Tables) -> pd.Series:
    """A jitter that is drawn from the time of the row, not from its position."""
    minutes = (table["event_time"] - START) // pd.Timedelta("1min")
    return np.log(table["close"]) + 1e-4 * np.sin(minutes * 12.9898)


CLEAN: dict[str, Build] = {
    "every family as shipped": shipped,
    "every family, with two days of missing bars": shipped,
    "prices of a symbol that is listed late": prices,
    # trailing windows and recursions
    "trailing median": by_symbol(lambda x: x.rolling(9).median()),
    "trailing standard deviation": by_symbol(lambda x: x.rolling(DAY_BARS).std()),
    "trailing skew": by_symbol(lambda x: x.rolling(DAY_BARS).skew()),
    "trailing z-score": by_symbol(lambda x: (x - x.rolling(96).mean()) / x.rolling(96).std()),
    "trailing position between low and high": by_symbol(
        lambda x: (x - x.rolling(96).min()) / (x.rolling(96).max() - x.rolling(96).min())
    ),
    "trailing slope": by_symbol(lambda x: x.rolling(20).apply(lambda y: np.polyfit(np.arange(20), y, 1)[0], raw=True)),
    "exponential mean and deviation": by_symbol(lambda x: x.ewm(halflife=12).mean() / x.ewm(halflife=48).std()),
    "expanding quantile": by_symbol(lambda x: x - x.expanding(20).quantile(0.9)),
    "drawdown from the highest so far": by_symbol(lambda x: x.cumsum() - x.cumsum().cummax()),
    "difference to a day before": by_symbol(lambda x: x.diff(DAY_BARS)),
    "row-by-row hyperbolic tangent": whole_table(lambda out: np.tanh(out["return_4h"] / 2.0)),
    "rank among the symbols at one close": whole_table(
        lambda out: out["return_4h"].groupby(out["event_time"]).rank() + 0.1 * out["return_4h"]
    ),
    # other symbols, seasons, fits
    "mean of all symbols at the same close": mean_of_the_others(0),
    "mean of all symbols one bar before": mean_of_the_others(1),
    "mean of the symbols that are listed": planted(
        lambda table, _: bar_return(table).groupby(table["event_time"]).transform("mean")
    ),
    "beta on the other symbol up to the bar before": planted(trailing_beta),
    "regression fitted on earlier rows only": planted(frozen_regression),
    "time of day and of week": planted(
        lambda table, _: np.sin(table["event_time"].dt.hour / 24.0 * 2.0 * np.pi) + table["event_time"].dt.day_of_week
    ),
    "hours until the next settlement, by the clock": planted(hours_until_funding),
    "volume-weighted price since midnight": planted(
        lambda table, _: np.log(
            (table["close"] * table["volume"]).groupby([table["symbol"], day_of(table["event_time"])]).cumsum()
            / table["volume"].groupby([table["symbol"], day_of(table["event_time"])]).cumsum()
            / table["close"]
        )
    ),
    "jitter drawn from the time of the row": planted(noise_by_time),
    # joins
    "funding as of its availability": planted(
        lambda table, tables: looked_up(table, tables["funding"], "funding_rate")
    ),
    "ratio of top traders no older than an hour": planted(
        lambda table, tables: looked_up(
            table, tables["long_short_ratio"], "top_trader_ratio", tolerance=pd.Timedelta("1h")
        )
    ),
    "premium averaged over what is known": planted(
        lambda table, _: each(table["premium_index"], table, lambda x: x.rolling(16, min_periods=1).mean()),
        "premium_index",
    ),
    "open interest that the venue corrects": planted(interest_against_its_day, "open_interest"),
    "liquidations summed when they were known": planted(
        lambda table, tables: each(
            counted(
                table,
                tables["liquidations"],
                bar_of(tables["liquidations"]["available_time"]),
                tables["liquidations"]["quantity"],
            ),
            table,
            lambda x: np.log1p(x.rolling(8).sum()),
        )
    ),
    "large trades that fade from when they were printed": planted(fading_trades),
    "hours since the last known transfer": planted(hours_since_a_transfer),
    "bars of four hours stamped with their end": planted(
        lambda table, _: narrow(
            table,
            wide(table, table["close"])
            .resample("4h", label="right", closed="right")
            .last()
            .reindex(pd.DatetimeIndex(sorted(table["event_time"].unique())), method="ffill")
            .rename_axis(index="event_time"),
        )
    ),
    "a table whose rows come in any order": tables_in_any_order,
    "decision one bar late": planted(
        lambda table, tables: looked_up(
            table.assign(available_time=table["available_time"] - BAR), tables["open_interest"], "open_interest"
        )
    ),
}

MARKETS = {
    "every family as shipped": plain_market,
    "every family, with two days of missing bars": hole_market,
    "prices of a symbol that is listed late": late_listing_market,
    "mean of the symbols that are listed": delisted_market,
    "funding as of its availability": market_of("funding"),
    "ratio of top traders no older than an hour": market_of("long_short_ratio"),
    "premium averaged over what is known": market_of("premium_index"),
    "open interest that the venue corrects": revised_market,
    "liquidations summed when they were known": market_of("liquidations"),
    "large trades that fade from when they were printed": market_of("large_trades"),
    "hours since the last known transfer": market_of("whale_transfers"),
    "a table whose rows come in any order": market_of("funding"),
    "decision one bar late": market_of("open_interest"),
}
"""Nothing but bars where it is not said."""


@pytest.mark.parametrize("variant", CLEAN)
def test_prefix_invariance_lets_pass(variant: str) -> None:
    build, market = CLEAN[variant], MARKETS.get(variant, market_of())()
    features = build(market)
    assert is_alive(features["planted" if "planted" in features else "return_4h"])
    assert broken(check_prefix_invariance(build, market, decision_lag=DECISION_LAG, cuts=CUTS)) == {}
