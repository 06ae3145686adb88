"""What the planted features are built from: small markets, the joined table, and the usual moves on it.

A builder turns canonical tables into a features table, as `check_prefix_invariance` wants it. Those made here keep the
close beside the planted column, so that a test can tell whether a check accuses the guilty column only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.price import PriceFamily
from slackwater.features.volatility import VolatilityFamily
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from tests.small_market import DECISION_LAG, START, small_market

Tables = dict[str, pd.DataFrame]
Build = Callable[[Tables], pd.DataFrame]
Change = Callable[[pd.Series], pd.Series]

INTERVAL = timedelta(minutes=30)
BAR = pd.Timedelta(INTERVAL)
DAY_BARS = 48
MARKET = small_market(days=45)
TRAINING_ENDS = START + timedelta(days=25)
"""Rows up to here are those that an honest fit may use; they are no features themselves."""

PRICES = FeatureEngine([VolatilityFamily(bar_interval=INTERVAL), PriceFamily(bar_interval=INTERVAL)])
# The half-lives of the shipped map need 90 days of history: too many for a small market.
ALL = FeatureEngine(
    default_families(
        INTERVAL,
        liquidation_density={"half_lives": (timedelta(hours=6), timedelta(days=1), timedelta(days=3))},
    )
)


# -- features of the engine, changed afterwards --------------------------------------------------------------


def shipped(tables: Tables, lag: timedelta = DECISION_LAG) -> pd.DataFrame:
    """Every family, as it ships."""
    return ALL.transform(MarketFrame.from_tables(tables, FrameSpec(bar_interval=INTERVAL, decision_lag=lag)))


def prices(tables: Tables) -> pd.DataFrame:
    """The features that need nothing but bars."""
    frame = MarketFrame.from_tables(
        {"bars": tables["bars"]}, FrameSpec(bar_interval=INTERVAL, decision_lag=DECISION_LAG)
    )
    return PRICES.transform(frame)


def by_symbol(change: Change, *, holes: bool = False) -> Build:
    """Replace the return over 4 h by a function of it, symbol by symbol; with holes, every third value is unknown."""

    def build(tables: Tables) -> pd.DataFrame:
        out = prices(tables)
        given = out["return_4h"]
        if holes:
            given = given.where((out["event_time"] - START) // BAR % 3 > 0)
        out["return_4h"] = given.groupby(out["symbol"]).transform(change)
        return out

    return build


def whole_table(change: Callable[[pd.DataFrame], pd.Series]) -> Build:
    """Replace the return over 4 h by a function of the whole features table."""

    def build(tables: Tables) -> pd.DataFrame:
        out = prices(tables)
        out["return_4h"] = change(out)
        return out

    return build


# -- features from the joined table --------------------------------------------------------------------------


def joined(tables: Tables, lag: timedelta = DECISION_LAG) -> pd.DataFrame:
    """One row per (symbol, bar close) with what was known at the decision."""
    return MarketFrame.from_tables(tables, FrameSpec(bar_interval=INTERVAL, decision_lag=lag)).table


def planted(compute: Callable[[pd.DataFrame, Tables], pd.Series], *needs: str) -> Build:
    """Build a column `planted` from the joined table and the canonical tables.

    `needs` names the tables to join besides the bars; leaving out the others saves time.
    """

    def build(tables: Tables) -> pd.DataFrame:
        table = joined({name: tables[name] for name in ("bars", *needs) if name in tables})
        return table[["symbol", "event_time", "available_time", "close"]].assign(planted=compute(table, tables))

    return build


def is_alive(values: pd.Series) -> bool:
    """Whether there is something to compare: a column of NaN, or of one number, passes every check."""
    known = values.dropna()
    return len(known) > 1000 and bool((known != known.iloc[0]).any())


def each(values: pd.Series, table: pd.DataFrame, change: Change) -> pd.Series:
    """Apply a function to the rows of each symbol."""
    return values.groupby(table["symbol"]).transform(change)


def bar_return(table: pd.DataFrame) -> pd.Series:
    return np.log(table["close"] / table["open"])


def day_of(times: pd.Series) -> pd.Series:
    """The UTC day of a bar; the one that closes at midnight is the last of its day."""
    return (times - pd.Timedelta("1us")).dt.floor("D")


def wide(table: pd.DataFrame, values: pd.Series) -> pd.DataFrame:
    """One column a symbol, one row a close."""
    return table.assign(values=values).pivot_table(index="event_time", columns="symbol", values="values", dropna=False)


def narrow(table: pd.DataFrame, values: pd.DataFrame) -> pd.Series:
    """Back from `wide` to the rows of the joined table."""
    long = values.reset_index().melt("event_time", var_name="symbol", value_name="values")
    return table[["symbol", "event_time"]].merge(long, how="left")["values"].set_axis(table.index)


def looked_up(
    table: pd.DataFrame,
    rows: pd.DataFrame,
    column: str,
    *,
    on: str = "available_time",
    direction: str = "backward",
    tolerance: pd.Timedelta | None = None,
) -> pd.Series:
    """Find for each decision the value of another table, as-of on one of its times."""
    decisions = pd.DataFrame({"symbol": table["symbol"], "decision": table["available_time"], "row": table.index})
    found = pd.merge_asof(
        decisions.sort_values("decision", kind="stable"),
        rows[["symbol", on, column]].rename(columns={on: "at"}).sort_values("at", kind="stable"),
        left_on="decision",
        right_on="at",
        by="symbol",
        direction=direction,
        tolerance=tolerance,
    )
    return found.set_index("row")[column].reindex(table.index)


def counted(table: pd.DataFrame, rows: pd.DataFrame, closes: pd.Series, amounts: pd.Series) -> pd.Series:
    """Sum amounts by the close of the bar in which each row is said to count; zero where there is none."""
    sums = amounts.groupby([rows["symbol"], closes.rename("event_time").dt.as_unit("us")]).sum()
    return table[["symbol", "event_time"]].join(sums.rename("sum"), on=["symbol", "event_time"])["sum"].fillna(0.0)


def bar_of(known: pd.Series) -> pd.Series:
    """The close of the first bar at whose decision a row was known."""
    return (known - DECISION_LAG).dt.ceil(BAR)


# -- markets with something more -----------------------------------------------------------------------------


def plain_market() -> Tables:
    return MARKET


@cache
def market_of(*names: str) -> Callable[[], Tables]:
    """Bars and some other tables: a check that has less to cut takes half the time."""
    return lambda: {name: MARKET[name] for name in ("bars", *names)}


def hole_market() -> Tables:
    """A market whose first symbol misses two days of bars."""
    bars = MARKET["bars"]
    return MARKET | {"bars": bars.drop(index=range(1_200, 1_296)).reset_index(drop=True)}


def late_listing_market() -> Tables:
    """A market whose second symbol is listed after three weeks."""
    bars = MARKET["bars"]
    early = (bars["symbol"] == "ETHUSDT") & (bars["event_time"] <= START + timedelta(days=21))
    return {"bars": bars[~early].reset_index(drop=True)}


@cache
def revised_market() -> Tables:
    """A market whose venue corrects every other open interest by a tenth, three hours later."""
    rows = MARKET["open_interest"]
    again = rows.iloc[::2].copy()
    again["available_time"] += pd.Timedelta("3h")
    again["open_interest"] *= 1.1
    rows = pd.concat([rows, again]).sort_values("available_time", ignore_index=True)
    return {"bars": MARKET["bars"], "open_interest": rows}


@cache
def slow_chain_market() -> Tables:
    """A market whose transfers need two hours until they are confirmed."""
    rows = MARKET["whale_transfers"]
    late = rows.assign(available_time=rows["event_time"] + pd.Timedelta("2h"))
    return {"bars": MARKET["bars"], "whale_transfers": late}


@cache
def owners_market() -> Tables:
    """A market whose transfers come from addresses that are identified one by one, during the sample."""
    rng = np.random.default_rng(1)
    addresses = [f"0x{i:02x}" for i in range(60)]
    transfers = MARKET["whale_transfers"]
    transfers = transfers.assign(address=rng.choice(addresses, len(transfers)))
    seen = START + pd.to_timedelta(rng.integers(0, 45 * 86_400, len(addresses)), unit="s")
    owners = pd.DataFrame({"address": addresses, "available_time": pd.DatetimeIndex(seen).as_unit("us")})
    owners = owners.sort_values("available_time", ignore_index=True)
    return {"bars": MARKET["bars"], "whale_transfers": transfers, "owners": owners}


@cache
def delisted_market() -> Tables:
    """A market of three symbols of which one is taken off the list after 30 days."""
    bars = small_market(("BTCUSDT", "ETHUSDT", "LUNAUSDT"), days=45)["bars"]
    gone = (bars["symbol"] == "LUNAUSDT") & (bars["event_time"] > START + timedelta(days=30))
    return {"bars": bars[~gone].reset_index(drop=True)}


SWITCH = START + timedelta(days=20)


@cache
def metrics_archive() -> Tables:
    """A market whose archive of metrics is stamped as that of Binance (binance-public-data #491).

    A row is the snapshot at the end of its period and ``create_time`` is all that the file says of it: the end of the
    period up to `SWITCH`, its start from then on. ``available_time`` is the truth, by which the check cuts.
    """
    out = {"bars": MARKET["bars"]}
    for name in ("open_interest", "long_short_ratio"):
        rows = MARKET[name]
        stamps = rows["event_time"].where(rows["event_time"] <= SWITCH, rows["event_time"] - BAR)
        out[name] = rows.assign(create_time=stamps)
    return out


def read_archive(tables: Tables, name: str, stamps: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    """Read a metric from `metrics_archive` as a canonical table, given what its stamps are taken for."""
    rows = tables[name]
    snapshots = stamps(rows["create_time"])
    return rows.assign(event_time=snapshots, available_time=snapshots + pd.Timedelta("330s"))


# -- a liquidation map in a few lines ------------------------------------------------------------------------


def mass_below(
    closes: NDArray[np.float64],
    interest: NDArray[np.float64],
    *,
    erased_by: NDArray[np.float64],
    edges: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Estimate what would be liquidated within 5 % below each close.

    Every rise of open interest puts its mass half a percent and two percent below the close, and the map loses what
    lies above the lows that do the erasing. Prices are logarithms, `edges` are those of the bins.
    """
    opened = np.nan_to_num(np.maximum(np.diff(interest, prepend=np.nan), 0.0) / interest)
    mass = np.zeros(len(edges) + 1)
    out = np.empty(len(closes))
    for i, close in enumerate(closes):
        for distance in (0.005, 0.02):
            mass[np.searchsorted(edges, close - distance)] += opened[i]
        mass[np.searchsorted(edges, erased_by[i]) :] = 0.0
        out[i] = mass[np.searchsorted(edges, close - 0.05) :].sum()
    return out
