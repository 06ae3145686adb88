"""Look-aheads that prefix invariance must catch, each beside the honest feature that it must let pass.

A test of the tests: it fails where the check goes blind to one of these bugs, or where it cries wolf.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.features.checks import check_prefix_invariance
from slackwater.features.violations import broken
from slackwater.market.inputs import INPUT_TABLES
from tests.planted.builders import (
    ALL,
    BAR,
    DAY_BARS,
    PRICES,
    SWITCH,
    TRAINING_ENDS,
    Build,
    Change,
    Tables,
    bar_of,
    bar_return,
    by_symbol,
    counted,
    day_of,
    delisted_market,
    each,
    is_alive,
    joined,
    looked_up,
    market_of,
    mass_below,
    metrics_archive,
    narrow,
    owners_market,
    plain_market,
    planted,
    prices,
    read_archive,
    revised_market,
    shipped,
    slow_chain_market,
    whole_table,
    wide,
)
from tests.small_market import DECISION_LAG

CUTS = 16
BARS = market_of()
BOOK = frozenset({"depth_bid_1pct", "depth_ask_1pct"})
EVERYTHING = frozenset({*PRICES.names, *BOOK, "known"})


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A builder that looks ahead, and one that computes the same quantity without doing so.

    `column` must be accused, and nothing outside of `suspects` may be.
    """

    leaky: Build
    honest: Build
    column: str = "planted"
    suspects: frozenset[str] = frozenset()
    market: Callable[[], Tables] = BARS


# -- statistics over more than the past ----------------------------------------------------------------------


def of_returns(leaky: Change, honest: Change, *, holes: bool = False) -> Leak:
    return Leak(column="return_4h", leaky=by_symbol(leaky, holes=holes), honest=by_symbol(honest, holes=holes))


def pooled_z(out: pd.DataFrame) -> pd.Series:
    """Against mean and deviation of all symbols, up to each close."""
    x = out["return_4h"]
    sums = pd.DataFrame({"n": x.notna(), "x": x.fillna(0.0), "xx": x.fillna(0.0) ** 2}).groupby(out["event_time"]).sum()
    so_far = sums.cumsum()
    mean = so_far["x"] / so_far["n"]
    deviation = (so_far["xx"] / so_far["n"] - mean**2) ** 0.5
    return (x - out["event_time"].map(mean)) / out["event_time"].map(deviation)


def low_pass(x: pd.Series) -> pd.Series:
    spectrum = np.fft.rfft(x.fillna(0.0))
    spectrum[len(spectrum) // 8 :] = 0.0
    return pd.Series(np.fft.irfft(spectrum, len(x)), index=x.index).where(x.notna())


def minus_line(x: pd.Series) -> pd.Series:
    known = x.dropna()
    return x - np.polyval(np.polyfit(known.index.to_numpy(float), known, 1), x.index.to_numpy(float))


def first_component(whole_sample: bool) -> Build:
    """The leading principal component of three price features."""

    def component(out: pd.DataFrame) -> pd.Series:
        names = ["return_1h", "range_position_24h", "volume_ratio_1h"]
        known = out[names].notna().all(axis=1)
        training = known if whole_sample else known & (out["event_time"] <= TRAINING_ENDS)
        x = out.loc[training, names].to_numpy()
        loadings = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)[2][0]
        scores = (out[names] - x.mean(axis=0)) @ (loadings * np.sign(loadings[0]))
        return scores.where(out["event_time"] > TRAINING_ENDS)

    return whole_table(component)


def percentiles(whole_sample: bool) -> Build:
    """Bin numbers, the edges from all rows or from those of the training sample."""

    def binned(out: pd.DataFrame) -> pd.Series:
        x = out["return_4h"]
        given = x if whole_sample else x[out["event_time"] <= TRAINING_ENDS]
        edges = given.quantile(np.arange(0.01, 1.0, 0.01)).to_numpy()
        return pd.Series(np.searchsorted(edges, x), index=x.index, dtype=float).where(
            x.notna() & (out["event_time"] > TRAINING_ENDS)
        )

    return whole_table(binned)


def against_hour_of_day(whole_sample: bool) -> Build:
    def volume(table: pd.DataFrame, _: Tables) -> pd.Series:
        same_hour = table["volume"].groupby([table["symbol"], table["event_time"].dt.hour])
        usual = same_hour.transform("mean") if whole_sample else same_hour.cumsum() / (same_hour.cumcount() + 1)
        return table["volume"] / usual

    return planted(volume)


def beta(whole_sample: bool) -> Build:
    """What a bar did beyond its beta to the other symbol."""

    def residual(table: pd.DataFrame, _: Tables) -> pd.Series:
        x = wide(table, bar_return(table))
        out = {}
        for own, other in (x.columns, x.columns[::-1]):
            if whole_sample:
                slope = x[own].cov(x[other]) / x[other].var()
            else:
                slope = x[own].rolling(200).cov(x[other]) / x[other].rolling(200).var()
            out[own] = x[own] - slope * x[other]
        return narrow(table, pd.DataFrame(out).rename_axis(columns="symbol"))

    return planted(residual)


def interest_over(last: bool) -> Build:
    def scaled(table: pd.DataFrame, _: Tables) -> pd.Series:
        x = table["open_interest"]
        return x / each(x, table, lambda x: x.dropna().iloc[-1] if last else x.rolling(DAY_BARS).mean())

    return planted(scaled, "open_interest")


def share_of_volume(whole_sample: bool) -> Build:
    """The weight of a symbol in the universe."""

    def weight(table: pd.DataFrame, _: Tables) -> pd.Series:
        volume = each(table["volume"], table, lambda x: x.sum() if whole_sample else x.rolling(DAY_BARS).sum())
        return volume / volume.groupby(table["event_time"]).transform("sum")

    return planted(weight)


def market_return(survivors_only: bool) -> Build:
    """The mean return of the universe: of the symbols that are still there at the end, or of those that are there."""

    def mean(table: pd.DataFrame, _: Tables) -> pd.Series:
        returns = bar_return(table)
        if survivors_only:
            returns = returns.where(each(table["event_time"], table, lambda x: x.max()) == table["event_time"].max())
        return returns.groupby(table["event_time"]).transform("mean")

    return planted(mean)


# -- what the price does next --------------------------------------------------------------------------------


def sign_of_return(shift: int) -> Build:
    return planted(
        lambda table, _: np.sign(each(table["close"], table, lambda x: np.log(x).diff().shift(shift))),
    )


def volatility_of_a_day(ahead: bool) -> Build:
    def deviation(table: pd.DataFrame, _: Tables) -> pd.Series:
        return each(bar_return(table), table, lambda x: x.rolling(DAY_BARS).std().shift(-DAY_BARS if ahead else 0))

    return planted(deviation)


def bars_between_bursts(ahead: bool) -> Build:
    """Bars until, or since, the last bar of more than twice the usual volume."""

    def bars(table: pd.DataFrame, _: Tables) -> pd.Series:
        burst = table["volume"] > 2.0 * each(table["volume"], table, lambda x: x.rolling(DAY_BARS).mean())
        number = table.groupby("symbol").cumcount()
        where = number.where(burst).groupby(table["symbol"])
        return (where.bfill() - number if ahead else number - where.ffill()).astype(float)

    return planted(bars)


def rows_with_a_label(wait: bool) -> Build:
    def build(tables: Tables) -> pd.DataFrame:
        out = prices(tables)
        labels = out.groupby("symbol")["close"].shift(-8) > out["close"]
        known = out.groupby("symbol").cumcount(ascending=False) >= 8
        return out[known].reset_index(drop=True) if wait else out.assign(known=out["close"].where(labels.notna()))

    return build


# -- bars, levels and days -----------------------------------------------------------------------------------


def reads_the_next_bar(tables: Tables) -> pd.DataFrame:
    bars = tables["bars"].copy()
    for column in ("high", "low"):
        bars[column] = bars.groupby("symbol")[column].shift(-1).fillna(bars[column])
    bars["high"] = bars[["high", "open", "close"]].max(axis=1)
    bars["low"] = bars[["low", "open", "close"]].min(axis=1)
    return prices({"bars": bars})


def four_hour_close(label: str) -> Build:
    """The return since the last complete bar of four hours, which is stamped with its start or its end."""

    def move(table: pd.DataFrame, _: Tables) -> pd.Series:
        closes = wide(table, table["close"])
        coarse = closes.resample("4h", label=label, closed="right").last()
        return np.log(table["close"] / narrow(table, coarse.reindex(closes.index, method="ffill")))

    return planted(move)


def high_of_the_day(how: str) -> Build:
    def distance(table: pd.DataFrame, _: Tables) -> pd.Series:
        highs = table["high"].groupby([table["symbol"], day_of(table["event_time"])])
        return np.log(highs.transform(how) / table["close"])

    return planted(distance)


def volume_of_the_day(how: str) -> Build:
    def share(table: pd.DataFrame, _: Tables) -> pd.Series:
        volumes = table["volume"].groupby([table["symbol"], day_of(table["event_time"])])
        return table["volume"] / volumes.transform(how)

    return planted(share)


def depth_of_a_pierce(level: Change) -> Build:
    """How far the high of a bar lies beyond a swing level."""
    return planted(lambda table, _: np.log(table["high"] / each(table["high"], table, level)))


def distance_to_swing(swing: Change) -> Build:
    """How far below the last swing high the close lies; a swing high is the highest of nine bars around it."""
    return planted(
        lambda table, _: np.log(each(table["high"], table, lambda x: swing(x).ffill()) / table["close"]),
    )


def other_symbol(on: str) -> Build:
    """What the other symbol did in the bar that has the stamp of this one."""

    def other(table: pd.DataFrame, tables: Tables) -> pd.Series:
        bars = tables["bars"]
        returns = pd.DataFrame(
            {"at": bars[on], "symbol": bars["symbol"], "other": np.log(bars["close"] / bars["open"])}
        )
        pairs = table[["symbol", "event_time"]].merge(returns, left_on="event_time", right_on="at", how="left")
        pairs["other"] = pairs["other"].where(pairs["symbol_x"] != pairs["symbol_y"])
        found = pairs.groupby(["symbol_x", "event_time"])["other"].first()
        return table[["symbol", "event_time"]].join(found, on=["symbol", "event_time"])["other"]

    return planted(other)


# -- joins ---------------------------------------------------------------------------------------------------


def uses(*tables: str) -> frozenset[str]:
    """The features that one of some tables feeds."""
    inputs = {name for table in tables for name in INPUT_TABLES[table]}
    return frozenset({*inputs, *(f.name for f in ALL.features if inputs & {*f.inputs, *f.refined_by})})


def known_early(table: str, column: str) -> Leak:
    """Join a table on when it happened, one stamp ahead, instead of on when it became known."""

    def build(tables: Tables) -> pd.DataFrame:
        early = tables[table].copy()
        early["available_time"] = early["event_time"] - pd.Timedelta("4h")
        early["event_time"] = early["available_time"]
        return shipped(tables | {table: early})

    return Leak(column=column, suspects=uses(table), leaky=build, honest=shipped, market=plain_market)


def as_of(table: str, column: str, leaky: dict[str, str]) -> Leak:
    def build(how: dict[str, str]) -> Build:
        return planted(lambda grid, tables: looked_up(grid, tables[table], column, **how))

    return Leak(leaky=build(leaky), honest=build({}), market=market_of(table))


def funding_acceleration(centred: bool) -> Build:
    """The second difference of the settled rates, ending with the last one, or with the one after it."""

    def acceleration(table: pd.DataFrame, tables: Tables) -> pd.Series:
        rows = tables["funding"]
        rate = rows.groupby("symbol")["funding_rate"]
        rises = rate.diff()
        if centred:
            later = rate.shift(-1) - rows["funding_rate"]
            rows = rows.assign(acceleration=later - rises)
        else:
            rows = rows.assign(acceleration=rises - rises.groupby(rows["symbol"]).shift(1))
        return looked_up(table, rows, "acceleration")

    return planted(acceleration)


def interest_change(lag: timedelta) -> Build:
    def build(tables: Tables) -> pd.DataFrame:
        table = joined({name: tables[name] for name in ("bars", "open_interest") if name in tables}, lag)
        change = each(np.log(table["open_interest"]), table, lambda x: x.diff())
        return table[["symbol", "event_time", "available_time", "close"]].assign(planted=change)

    return build


def revised_interest(overwrite: bool) -> Build:
    """Open interest of a venue that corrects itself: the correction replaces the first row, or follows it."""

    def interest(table: pd.DataFrame, tables: Tables) -> pd.Series:
        rows = tables["open_interest"]
        if overwrite:
            rows = rows.groupby(["symbol", "event_time"], as_index=False).agg(
                {"available_time": "first", "open_interest": "last"}
            )
            return looked_up(table, rows, "open_interest")
        return table["open_interest"]

    return planted(interest, "open_interest")


def transfers_of_known_owners(as_of_the_transfer: bool) -> Build:
    """Coins that identified owners moved within a day."""

    def moved(table: pd.DataFrame, tables: Tables) -> pd.Series:
        owners = tables["owners"].rename(columns={"available_time": "identified"})
        rows = tables["whale_transfers"].merge(owners, on="address", how="left")
        known = rows["identified"].notna()
        if as_of_the_transfer:
            known &= rows["identified"] <= rows["available_time"]
        sums = counted(table, rows, bar_of(rows["available_time"]), rows["amount"].where(known, 0.0))
        return each(sums, table, lambda x: x.rolling(DAY_BARS).sum())

    return planted(moved)


def counted_events(name: str, amount: str, stamp: str) -> Build:
    """What happened within four hours, by when it was known, or by the bar in which it happened or began."""

    def sums(table: pd.DataFrame, tables: Tables) -> pd.Series:
        rows = tables[name]
        closes = {
            "known": lambda: bar_of(rows["available_time"]),
            "happened": lambda: rows["event_time"].dt.ceil(BAR),
            "start of the bar": lambda: rows["event_time"].dt.floor(BAR),
        }
        return each(counted(table, rows, closes[stamp](), rows[amount]), table, lambda x: x.rolling(8).sum())

    return planted(sums)


def stamp_switch(name: str, column: str) -> Leak:
    """Take every stamp of the metrics archive for the end of its period, or know that they switch to the start."""

    def build(knows: bool) -> Build:
        def stamps(created: pd.Series) -> pd.Series:
            # The label at the switch itself occurs twice: as the last end, then as the first start.
            start = created > SWITCH
            start |= (created == SWITCH) & created.duplicated()
            return created.where(~start, created + BAR) if knows else created

        def built(tables: Tables) -> pd.DataFrame:
            # Each symbol has labels of its own, so that duplicates are looked for within one.
            parts = [read_archive({name: rows}, name, stamps) for _, rows in tables[name].groupby("symbol", sort=False)]
            table = joined({"bars": tables["bars"], name: pd.concat(parts, ignore_index=True)})
            change = each(np.log(table[column]), table, lambda x: x.diff(8))
            return table[["symbol", "event_time", "available_time", "close"]].assign(planted=change)

        return built

    return Leak(leaky=build(knows=False), honest=build(knows=True), market=metrics_archive)


# -- the liquidation map -------------------------------------------------------------------------------------


def map_below(*, next_low: bool = False, grid_of_the_sample: bool = False) -> Build:
    def mass(table: pd.DataFrame, _: Tables) -> pd.Series:
        rows = table[table["symbol"] == "BTCUSDT"]
        lows = np.log(rows["low"].to_numpy())
        bottom, top = (lows.min() - 0.1, lows.max() + 0.1) if grid_of_the_sample else (8.0, 12.0)
        below = mass_below(
            np.log(rows["close"].to_numpy()),
            rows["open_interest"].to_numpy(),
            erased_by=np.append(lows[1:], np.inf) if next_low else lows,
            edges=np.linspace(bottom, top, 1000),
        )
        return pd.Series(below, index=rows.index).reindex(table.index)

    return planted(mass, "open_interest")


# -- all of them ---------------------------------------------------------------------------------------------

LEAKS: dict[str, Leak] = {
    # statistics over more than the past
    "shift of minus one": of_returns(lambda x: x.shift(-1), lambda x: x.shift(1)),
    "centred window": of_returns(
        lambda x: x.rolling(9, center=True, min_periods=1).mean(), lambda x: x.rolling(9, min_periods=1).mean()
    ),
    "z-score of the full sample": of_returns(
        lambda x: (x - x.mean()) / x.std(), lambda x: (x - x.expanding().mean()) / x.expanding(2).std()
    ),
    "rank in the full sample": of_returns(lambda x: x.rank(pct=True), lambda x: x.rolling(200, 20).rank(pct=True)),
    "fit over all symbols": Leak(
        column="return_4h",
        leaky=whole_table(lambda out: out["return_4h"] / out["return_4h"].abs().max()),
        honest=by_symbol(lambda x: x / x.abs().cummax()),
    ),
    "mean and deviation fitted over all symbols and rows": Leak(
        column="return_4h",
        leaky=whole_table(lambda out: (out["return_4h"] - out["return_4h"].mean()) / out["return_4h"].std()),
        honest=whole_table(pooled_z),
    ),
    "reversed cumulative sum": of_returns(lambda x: x[::-1].cumsum()[::-1], lambda x: x.cumsum()),
    "exponential mean that runs backwards in time": of_returns(
        lambda x: x[::-1].ewm(halflife=8).mean()[::-1], lambda x: x.ewm(halflife=8).mean()
    ),
    "smoothed forwards and then backwards, so that it does not lag": of_returns(
        lambda x: x.ewm(halflife=2).mean()[::-1].ewm(halflife=2).mean()[::-1],
        lambda x: x.ewm(halflife=2).mean().ewm(halflife=2).mean(),
    ),
    "low-pass filter over the Fourier transform of the sample": of_returns(
        low_pass, lambda x: x.rolling(16, min_periods=1).mean()
    ),
    "deviation from a line through the whole sample": of_returns(
        minus_line, lambda x: x - x.rolling(DAY_BARS, min_periods=1).mean()
    ),
    "gaps filled backwards": of_returns(lambda x: x.bfill(), lambda x: x.ffill(), holes=True),
    "gaps filled by a line to the next known value": of_returns(
        lambda x: x.interpolate(limit_area="inside"), lambda x: x.ffill(), holes=True
    ),
    "gaps filled with the median of the whole sample": of_returns(
        lambda x: x.fillna(x.median()), lambda x: x.fillna(x.expanding().median()), holes=True
    ),
    "clipped at the quartiles of the whole sample": of_returns(
        lambda x: x.clip(x.quantile(0.25), x.quantile(0.75)),
        lambda x: x.clip(x.rolling(200, 20).quantile(0.25), x.rolling(200, 20).quantile(0.75)),
    ),
    "percentiles whose edges come from the whole sample": Leak(
        column="return_4h", leaky=percentiles(whole_sample=True), honest=percentiles(whole_sample=False)
    ),
    "principal component of the whole sample": Leak(
        column="return_4h", leaky=first_component(whole_sample=True), honest=first_component(whole_sample=False)
    ),
    "volume against the mean of the hour over the whole sample": Leak(
        leaky=against_hour_of_day(whole_sample=True), honest=against_hour_of_day(whole_sample=False)
    ),
    "beta fitted over the whole sample": Leak(leaky=beta(whole_sample=True), honest=beta(whole_sample=False)),
    "open interest over the last one of the sample": Leak(
        leaky=interest_over(last=True), honest=interest_over(last=False), market=market_of("open_interest")
    ),
    "universe weighted by the volume of the whole sample": Leak(
        leaky=share_of_volume(whole_sample=True), honest=share_of_volume(whole_sample=False)
    ),
    "universe of the symbols that survive": Leak(
        leaky=market_return(survivors_only=True), honest=market_return(survivors_only=False), market=delisted_market
    ),
    # what the price does next
    "target left among the features: the sign of the next return": Leak(
        leaky=sign_of_return(-1), honest=sign_of_return(0)
    ),
    "volatility of the day that follows": Leak(
        leaky=volatility_of_a_day(ahead=True), honest=volatility_of_a_day(ahead=False)
    ),
    "bars until the next burst of volume": Leak(
        leaky=bars_between_bursts(ahead=True), honest=bars_between_bursts(ahead=False)
    ),
    "rows that appear once their label is known": Leak(
        column="close", leaky=rows_with_a_label(wait=True), honest=rows_with_a_label(wait=False), suspects=EVERYTHING
    ),
    # bars, levels and days
    "high and low of the next bar": Leak(
        column="atr_1h", leaky=reads_the_next_bar, honest=prices, suspects=uses("bars")
    ),
    "bar of four hours stamped with its start": Leak(leaky=four_hour_close("left"), honest=four_hour_close("right")),
    "high of the day known in the morning": Leak(leaky=high_of_the_day("max"), honest=high_of_the_day("cummax")),
    "share of the volume of a day that is not over": Leak(
        leaky=volume_of_the_day("sum"), honest=volume_of_the_day("cumsum")
    ),
    "level made by the spike that pierces it, in a window around the bar": Leak(
        leaky=depth_of_a_pierce(lambda x: x.rolling(17, center=True, min_periods=1).max()),
        honest=depth_of_a_pierce(lambda x: x.rolling(DAY_BARS).max().shift(1)),
    ),
    "level whose window ends one bar late, where there is one": Leak(
        leaky=depth_of_a_pierce(lambda x: x.rolling(4).max().shift(-1).fillna(x.rolling(4).max())),
        honest=depth_of_a_pierce(lambda x: x.rolling(4).max().shift(1)),
    ),
    "swing high marked when it was made instead of when it was confirmed": Leak(
        leaky=distance_to_swing(lambda x: x.where(x == x.rolling(9, center=True).max())),
        honest=distance_to_swing(lambda x: x.shift(4).where(x.shift(4) == x.rolling(9).max())),
    ),
    "bar of the other symbol joined on its open": Leak(
        leaky=other_symbol("open_time"), honest=other_symbol("event_time")
    ),
    # joins
    "next settled funding": known_early("funding", "funding_rate_8h"),
    "open interest one stamp early": known_early("open_interest", "open_interest_delta_1h"),
    "premium one stamp early": known_early("premium_index", "premium_1h"),
    "liquidations before they were published": known_early("liquidations", "liquidated_long_4h"),
    "transfers before they were confirmed": known_early("whale_transfers", "whale_to_exchange_4h"),
    "large trades before they were printed": known_early("large_trades", "large_trade_imbalance_4h"),
    "depth of the next bar": known_early("depth", "depth_imbalance"),
    "metrics stamp switch, open interest": stamp_switch("open_interest", "open_interest"),
    "metrics stamp switch, ratio of top traders": stamp_switch("long_short_ratio", "top_trader_ratio"),
    "rate that the running funding interval will settle at": as_of(
        "funding", "funding_rate", {"direction": "forward", "on": "event_time"}
    ),
    "open interest of the nearest stamp": as_of("open_interest", "open_interest", {"direction": "nearest"}),
    "ratio of top traders joined on when it happened": as_of(
        "long_short_ratio", "top_trader_ratio", {"on": "event_time"}
    ),
    "funding acceleration with the rate that settles next": Leak(
        leaky=funding_acceleration(centred=True),
        honest=funding_acceleration(centred=False),
        market=market_of("funding"),
    ),
    "decision ten minutes after the close": Leak(
        leaky=interest_change(timedelta(minutes=10)),
        honest=interest_change(DECISION_LAG),
        market=market_of("open_interest"),
    ),
    "later revision that overwrites what was published first": Leak(
        leaky=revised_interest(overwrite=True), honest=revised_interest(overwrite=False), market=revised_market
    ),
    "transfers of owners that were identified later": Leak(
        leaky=transfers_of_known_owners(as_of_the_transfer=False),
        honest=transfers_of_known_owners(as_of_the_transfer=True),
        market=owners_market,
    ),
    "transfers counted when they happened instead of when they were known": Leak(
        leaky=counted_events("whale_transfers", "amount", "happened"),
        honest=counted_events("whale_transfers", "amount", "known"),
        market=slow_chain_market,
    ),
    "liquidations stamped with the start of their bar": Leak(
        leaky=counted_events("liquidations", "quantity", "start of the bar"),
        honest=counted_events("liquidations", "quantity", "known"),
        market=market_of("liquidations"),
    ),
    # the liquidation map
    "map erased with the low of the next bar": Leak(
        leaky=map_below(next_low=True), honest=map_below(), market=market_of("open_interest")
    ),
    "map on a grid between the prices of the whole sample": Leak(
        leaky=map_below(grid_of_the_sample=True), honest=map_below(), market=market_of("open_interest")
    ),
}


@cache
def accused(build: Build, market: Callable[[], Tables]) -> dict[str, str]:
    """What the check finds; several leaks share one honest builder."""
    return broken(check_prefix_invariance(build, market(), decision_lag=DECISION_LAG, cuts=CUTS))


@pytest.mark.parametrize("name", LEAKS)
def test_prefix_invariance_catches(name: str) -> None:
    leak = LEAKS[name]
    assert is_alive(leak.leaky(leak.market())[leak.column])
    found = accused(leak.leaky, leak.market)
    assert leak.column in found
    assert set(found) <= {leak.column} | leak.suspects


@pytest.mark.parametrize("name", LEAKS)
def test_prefix_invariance_lets_the_honest_one_pass(name: str) -> None:
    leak = LEAKS[name]
    assert is_alive(leak.honest(leak.market())[leak.column])
    assert accused(leak.honest, leak.market) == {}


def test_a_table_that_lies_about_its_availability_deceives_the_check() -> None:
    """A limit that is written down: the check cuts by the stamps that it is given, so reading them is where to look.

    The very leak of "metrics stamp switch", but with its stamps already in the tables: nothing is left to compare with.
    """
    archive = metrics_archive()
    liar = read_archive(archive, "open_interest", lambda created: created)
    tables = archive | {"open_interest": liar}
    found = check_prefix_invariance(interest_change(DECISION_LAG), tables, decision_lag=DECISION_LAG, cuts=CUTS)
    assert broken(found) == {}
