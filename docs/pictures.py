"""Pictures of docs/concepts.md, made from a SYNTHETIC market: `python -m docs.pictures` writes docs/pictures/*.svg."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slackwater.evidence.map_history import replay
from slackwater.features.chosen_families import default_families
from slackwater.liquidity.density import LAYERS
from slackwater.market.bars import resample_bars
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.simulation.market import MarketRequest, simulate
from slackwater.storage import atomic_file

HERE = Path(__file__).parent / "pictures"
SYMBOL, BAR, DAY = "BTCUSDT", timedelta(minutes=5), timedelta(days=1)
START, DAYS, SEED = datetime(2024, 1, 1, tzinfo=UTC), 56, 1
WARM_UP = timedelta(days=30)
REACH = 8.0  # percent of the price that the picture of the map shows
INK, LONG, SHORT, GREY = "#1b2a33", "#c8553d", "#1f6f8b", "#9aa5ab"
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "text.color": INK,
    "svg.fonttype": "none",  # text stays text: it can be read aloud, searched and compared
    "svg.hashsalt": "slackwater",
    "font.family": "sans-serif",
}
Tables = Mapping[str, pd.DataFrame]


def market() -> Tables:
    """Return the tables of the market, with bars of five minutes and liquidations in USDT."""
    request = MarketRequest(symbols=[SYMBOL], start=START, end=START + timedelta(days=DAYS), seed=SEED, signal=0.4)
    tables = simulate(request).tables
    forced = tables["liquidations"].assign(usd=lambda each: each["price"] * each["quantity"])
    return tables | {"bars": resample_bars(tables["fine_bars"], BAR), "liquidations": forced}


def cascade_of(tables: Tables) -> pd.Timestamp:
    """Return the start of the hour in which most longs were liquidated, after the warm-up and a day before the end."""
    forced = tables["liquidations"]
    inside = forced["event_time"].between(START + WARM_UP, START + timedelta(days=DAYS) - DAY)
    longs = forced[inside & (forced["side"] == "long")]
    return pd.Timestamp(longs.groupby(longs["event_time"].dt.floor("h"))["usd"].sum().idxmax())


def cascade(figure: Any, tables: Tables) -> None:
    """Draw price, liquidations and open interest around the cascade."""
    start = cascade_of(tables)
    price, forced, interest = figure.subplots(3, 1, sharex=True, height_ratios=(2.2, 1.0, 1.0))
    bars = _around(tables["bars"], start)
    price.plot(_hours(bars, start), bars["close"], color=INK, lw=1.2)
    price.set_ylabel("Price (USDT)")
    for side, colour in (("long", LONG), ("short", SHORT)):
        rows = _around(tables["liquidations"], start)
        rows = rows[rows["side"] == side]
        summed = rows.groupby((_hours(rows, start) * 12.0).astype(int) / 12.0)["usd"].sum() / 1e6
        forced.bar(summed.index, summed, width=1 / 12, color=colour, label=f"{side}s liquidated")
    forced.set_ylabel("Liquidated per 5 min\n(million USDT)")
    forced.legend(frameon=False, loc="upper right")
    held = _around(tables["open_interest"], start)
    interest.plot(_hours(held, start), held["open_interest"] / 1e3, color=INK, lw=1.2)
    interest.set_ylabel("Open interest\n(thousand coins)")
    interest.set_xlabel("Time since the start of the hour (hours)")
    for axes in (price, forced, interest):
        axes.axvspan(0.0, 1.0, color=LONG, alpha=0.12, lw=0)
    figure.suptitle(f"One cascade, {SYMBOL}, SYNTHETIC market, {start:%Y-%m-%d %H:%M} UTC", x=0.02, ha="left")


def liquidation_map(figure: Any, tables: Tables) -> None:
    """Draw what the map estimated before the cascade, beside the liquidations of the day that followed."""
    start = cascade_of(tables)
    until = {name: table[table["event_time"] <= start] for name, table in tables.items()}
    frame = MarketFrame.from_tables(until, FrameSpec(bar_interval=BAR, decision_lag=timedelta(seconds=5)))
    history = replay(frame, default_families(BAR), SYMBOL, at=start, span=DAY)
    last, price = history.last, float(history.bars["close"].iloc[-1])
    estimated, happened = figure.subplots(1, 2, sharey=True)
    distance = 100.0 * (np.sqrt(last.edges[1:] * last.edges[:-1]) / price - 1.0)
    shown = np.abs(distance) <= REACH
    distance = distance[shown]
    height = float(np.median(np.diff(distance)))
    layer = LAYERS.index("middle")
    for side, (name, colour) in enumerate((("longs", LONG), ("shorts", SHORT))):
        mass = 100.0 * last.mass[side, layer][shown]
        estimated.barh(distance, mass, height, color=colour, label=f"would be liquidated: {name}")
    estimated.set_xlabel("Estimate (% of open interest per bin)")
    estimated.set_ylabel("Distance from the price (%)")
    estimated.legend(frameon=False, loc="center right")
    forced = tables["liquidations"]
    forced = forced[forced["event_time"].between(start, start + DAY)]
    edges = np.append(distance - height / 2, distance[-1] + height / 2)
    for side, colour in (("long", LONG), ("short", SHORT)):
        rows = forced[forced["side"] == side]
        summed, _ = np.histogram(100.0 * (rows["price"] / price - 1.0), edges, weights=rows["usd"] / 1e6)
        happened.barh(distance, summed, height, color=colour, label=f"liquidated: {side}s")
    happened.set_xlabel("Next 24 hours (million USDT per bin)")
    happened.legend(frameon=False, loc="upper right")
    for axes in (estimated, happened):
        axes.axhline(0.0, color=INK, lw=0.8)
        axes.set_ylim(-REACH, REACH)
    figure.suptitle(f"The map at {start:%Y-%m-%d %H:%M} UTC, and what followed, SYNTHETIC market", x=0.02, ha="left")


def funding(figure: Any, tables: Tables) -> None:
    """Draw premium and funding rate, and what positions of constant value paid."""
    rates, paid = figure.subplots(2, 1, sharex=True)
    first = START + WARM_UP
    premium, settled = (rows[rows["event_time"] >= first] for rows in (tables["premium_index"], tables["funding"]))
    by_eight_hours = premium.groupby(premium["event_time"].dt.ceil("8h"))["premium_index"].mean() * 1e4
    days = (settled["event_time"] - first) / DAY
    rates.plot((by_eight_hours.index - first) / DAY, by_eight_hours, color=GREY, lw=1.2, label="premium, mean of 8 h")
    rates.step(days, 1e4 * settled["funding_rate"], where="pre", color=INK, lw=1.2, label="funding rate per 8 h")
    rates.set_ylabel("Basis points")
    for sign, name, colour in ((-1.0, "long", LONG), (1.0, "short", SHORT)):
        paid.step(
            days,
            sign * (10_000.0 * settled["funding_rate"]).cumsum(),
            where="post",
            color=colour,
            lw=1.4,
            label=f"{name} of 10,000 USDT",
        )
    paid.set_ylabel("Received (USDT)")
    paid.set_xlabel("Time (days)")
    for axes in (rates, paid):
        axes.axhline(0.0, color=GREY, lw=0.6)
        axes.legend(frameon=False, loc="best")
    figure.suptitle(f"Premium, funding and who pays, {SYMBOL}, SYNTHETIC market", x=0.02, ha="left")


PICTURES: Mapping[str, tuple[Callable[[Any, Tables], None], tuple[float, float]]] = {
    "cascade": (cascade, (7.4, 6.0)),
    "liquidation_map": (liquidation_map, (7.4, 4.6)),
    "funding": (funding, (7.4, 4.4)),
}


def write_pictures(directory: Path) -> None:
    """Write every picture as an SVG file."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    tables = market()
    directory.mkdir(parents=True, exist_ok=True)
    for name, (draw, size) in PICTURES.items():
        with mpl.rc_context(STYLE), atomic_file(directory / f"{name}.svg") as temporary:
            figure = plt.figure(figsize=size, layout="constrained")
            draw(figure, tables)
            figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": None})
            plt.close(figure)


def _around(table: pd.DataFrame, start: pd.Timestamp) -> pd.DataFrame:
    """Return the rows from twelve hours before a time to a day after it."""
    return table[table["event_time"].between(start - DAY / 2, start + DAY)]


def _hours(table: pd.DataFrame, start: pd.Timestamp) -> Any:
    return (table["event_time"] - start) / timedelta(hours=1)


if __name__ == "__main__":
    write_pictures(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
