"""The features that rolling windows can express, as one writes them in pandas and in polars.

These are all outputs of the families volatility, price, open interest, order flow and liquidations (at five minutes)
but the age of a range, which pandas can only give through Python code a row, and the event trigger. The formulas are
those of tests/oracle/test_features_oracle.py.

pandas.groupby and polars come in two ways: as their documentation writes it, and tuned (all columns of a window in one
call, keys as categories and grouped once, results taken by position; polars told that the rows come sorted).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

NEEDED = (
    "symbol",
    "high",
    "low",
    "close",
    "volume",
    "taker_buy_volume",
    "open_interest",
    "liquidated_long",
    "liquidated_short",
    "liquidated_long_estimate",
    "liquidated_short_estimate",
    "depth_bid_1pct",
    "depth_ask_1pct",
)
HOUR = 12
DAY = 24 * HOUR
LIQUIDATED = NEEDED[7:11]
BOOK = NEEDED[11:]
JUMPS = {"jump_1h": HOUR, "jump_24h": DAY}
SURPRISING = ("jump_1h", "jump_24h", "liquidated_long", "liquidated_short")
SURPRISES = (
    "open_interest_spike_1h",
    "open_interest_change_z_24h",
    "liquidation_burst_long",
    "liquidation_burst_short",
)
SQUARES = tuple(f"{name}_squared" for name in SURPRISING)


def alpha(half_life: float) -> float:
    return 1.0 - 2.0 ** (-1.0 / half_life)


def pandas_features(table: pd.DataFrame, group: Callable[[pd.DataFrame], Any]) -> pd.DataFrame:
    """Return the features; `group` makes the windows those of one symbol."""
    columns = {name: table[name] for name in (*LIQUIDATED, *BOOK, "volume", "open_interest")}
    if "symbol" in table:
        columns["symbol"] = table["symbol"]
    t = pd.DataFrame(columns, copy=False)
    t["x"], t["top"], t["bottom"] = np.log(table["close"]), np.log(table["high"]), np.log(table["low"])
    t["interest"] = np.log(table["open_interest"])
    t["signed"] = 2.0 * table["taker_buy_volume"] - table["volume"]

    by = group(t)
    moves = {h: by["x"].diff(h * HOUR).to_numpy() for h in (1, 4, 12, 24, 72)}
    deltas = {h: by["interest"].diff(h * HOUR).to_numpy() for h in (1, 4, 24, 72)}
    previous = by["x"].shift().fillna(t["x"])
    t["square"] = by["x"].diff().to_numpy() ** 2
    t["built"] = np.maximum(by["open_interest"].diff().to_numpy(), 0.0)
    t["true_range"] = np.maximum(t["top"], previous) - np.minimum(t["bottom"], previous)
    for name, rows in JUMPS.items():
        t[name] = deltas[rows // HOUR]
    for name, squared in zip(SURPRISING, SQUARES, strict=True):
        t[squared] = t[name] ** 2

    by = group(t)
    fast, usual, slow = (by["square"].ewm(alpha=alpha(h * HOUR), ignore_na=True).mean().to_numpy() for h in (1, 24, 72))
    book = by[list(BOOK)].ewm(alpha=alpha(DAY), ignore_na=True).mean().to_numpy()
    moments = by[[*SURPRISING, *SQUARES]].ewm(alpha=alpha(7 * DAY), ignore_na=True).mean().to_numpy()
    sums = {h: by[["volume", "signed", *LIQUIDATED]].rolling(h * HOUR).sum().to_numpy()[:, -6:] for h in (1, 4, 24)}
    built = {h: by["built"].rolling(h * HOUR).sum().to_numpy() for h in (24, 72)}
    ranges = {rows: by["true_range"].rolling(rows).mean().to_numpy() for rows in (6 * HOUR, 7 * DAY)}
    tops = {h: by["top"].rolling(h * HOUR).max().to_numpy() for h in (24, 72)}
    bottoms = {h: by["bottom"].rolling(h * HOUR).min().to_numpy() for h in (24, 72)}

    before = pd.DataFrame(moments, columns=[*SURPRISING, *SQUARES], copy=False)
    if "symbol" in t:
        before["symbol"] = t["symbol"]
    before = group(before)[[*SURPRISING, *SQUARES]].shift().to_numpy()

    daily = np.sqrt(usual * DAY)
    x = t["x"].to_numpy()
    out = {
        "volatility_daily": daily,
        "volatility_ratio_1h": np.sqrt(fast / usual),
        "volatility_ratio_72h": np.sqrt(usual / slow),
        "atr_1h": ranges[6 * HOUR] * math.sqrt(HOUR),
        "atr_1d": ranges[7 * DAY] * math.sqrt(DAY),
        "volume_ratio_1h": sums[1][:, 0] * 24.0 / sums[24][:, 0],
        "volume_24h": sums[24][:, 0],
        "open_interest_to_volume_24h": t["open_interest"].to_numpy() / sums[24][:, 0],
    }
    out |= {f"return_{h}h": move / (daily * math.sqrt(h / 24)) for h, move in moves.items()}
    for h in (24, 72):
        out[f"range_position_{h}h"] = 2.0 * (x - bottoms[h]) / (tops[h] - bottoms[h]) - 1.0
        out[f"distance_to_high_{h}h"] = tops[h] - x
        out[f"distance_to_low_{h}h"] = x - bottoms[h]
        out[f"open_interest_built_share_{h}h"] = built[h] / t["open_interest"].to_numpy()
    for h, delta in deltas.items():
        crossed = 1e4 * delta * moves[h]
        out[f"open_interest_delta_{h}h"] = delta
        out[f"open_interest_build_price_{h}h"] = np.where(delta > 0.0, crossed, 0.0)
        out[f"open_interest_unwind_price_{h}h"] = np.where(delta < 0.0, -crossed, 0.0)
    for h, of in sums.items():
        volume, signed = of[:, 0], of[:, 1]
        longs, shorts, long_estimate, short_estimate = (1e4 * of[:, i] / volume for i in range(2, 6))
        out[f"taker_imbalance_{h}h"] = signed / volume
        out[f"liquidated_long_{h}h"], out[f"liquidated_short_{h}h"] = longs, shorts
        out[f"liquidation_balance_{h}h"] = (longs - shorts) / (longs + shorts + 0.02)
        out[f"liquidated_long_estimate_{h}h"] = long_estimate
        out[f"liquidated_short_estimate_{h}h"] = short_estimate
    for i, (name, source) in enumerate(zip(SURPRISES, SURPRISING, strict=True)):
        with np.errstate(divide="ignore", invalid="ignore"):  # nothing has varied before the first rows
            out[name] = (t[source].to_numpy() - before[:, i]) / np.sqrt(before[:, i + 4] - before[:, i] ** 2)
    bid, ask = t[BOOK[0]].to_numpy(), t[BOOK[1]].to_numpy()
    out["depth_imbalance"] = (bid - ask) / (bid + ask)
    out["depth_ratio_24h"] = (bid + ask) / (book[:, 0] + book[:, 1])
    out["depth_ratio_bid_24h"] = bid / book[:, 0]
    out["depth_ratio_ask_24h"] = ask / book[:, 1]
    return pd.DataFrame(out, copy=False)


class Documented:
    """Windows a symbol as the documentation of pandas writes them: a column at a time, put in place by the index."""

    def __init__(self, table: pd.DataFrame, columns: list[str] | None = None) -> None:
        self.table = table
        self.columns = columns

    def __getitem__(self, columns: str | list[str]) -> Documented:
        return Documented(self.table, [columns] if isinstance(columns, str) else columns)

    def each(self, call: Callable[[Any], pd.Series]) -> Any:
        done = {name: call(self.table.groupby("symbol")[name]) for name in self.columns or ()}
        return next(iter(done.values())) if len(done) == 1 else pd.DataFrame(done)

    def shift(self) -> Any:
        return self.each(lambda by: by.shift())

    def diff(self, rows: int = 1) -> Any:
        return self.each(lambda by: by.diff(rows))

    def rolling(self, rows: int) -> Windows:
        return Windows(self, lambda by: by.rolling(rows))

    def ewm(self, **parameters: Any) -> Windows:
        return Windows(self, lambda by: by.ewm(**parameters))


class Windows:
    def __init__(self, of: Documented, windows: Callable[[Any], Any]) -> None:
        self.of = of
        self.windows = windows

    def __getattr__(self, what: str) -> Callable[[], Any]:
        def placed(by: Any) -> pd.Series:
            return getattr(self.windows(by), what)().reset_index(level=0, drop=True)

        return lambda: self.of.each(placed)


def pandas_groupby(table: pd.DataFrame) -> pd.DataFrame:
    """Group by symbol, roll."""
    return pandas_features(table, Documented)


def pandas_groupby_tuned(table: pd.DataFrame) -> pd.DataFrame:
    """Group once by a category, roll all columns at once; wants `symbol` as a category."""
    return pandas_features(table, lambda t: t.groupby("symbol", sort=False, observed=True))


def pandas_loop(table: pd.DataFrame) -> pd.DataFrame:
    """Roll one symbol after the other."""
    parts = [
        pandas_features(part.drop(columns="symbol").reset_index(drop=True), lambda t: t)
        for _, part in table.groupby("symbol", sort=False, observed=True)
    ]
    return pd.concat(parts, ignore_index=True)


def polars_lazy(table: pl.DataFrame, *, tuned: bool = False) -> pl.DataFrame:
    """Roll over windows of a symbol; `tuned` trusts that the rows come sorted by symbol."""
    col = pl.col

    def own(expression: pl.Expr) -> pl.Expr:
        return expression.over("symbol", mapping_strategy="explode" if tuned else "group_to_rows")

    def ewm(name: str, half_life: float) -> pl.Expr:
        return own(col(name).ewm_mean(alpha=alpha(half_life), adjust=True, ignore_nulls=True))

    logs = [
        col("close").log().alias("x"),
        col("high").log().alias("top"),
        col("low").log().alias("bottom"),
        col("open_interest").log().alias("interest"),
        (2.0 * col("taker_buy_volume") - col("volume")).alias("signed"),
    ]
    previous = own(col("x").shift()).fill_null(col("x"))
    first = [
        *(own(col("x").diff(h * HOUR)).alias(f"move_{h}") for h in (1, 4, 12, 24, 72)),
        *(own(col("interest").diff(h * HOUR)).alias(f"delta_{h}") for h in (1, 4, 24, 72)),
        (own(col("x").diff()) ** 2).alias("square"),
        own(col("open_interest").diff()).clip(lower_bound=0.0).alias("built"),
        (pl.max_horizontal("top", previous) - pl.min_horizontal("bottom", previous)).alias("true_range"),
    ]
    surprising = ("delta_1", "delta_24", "liquidated_long", "liquidated_short")
    squares = [(col(name) ** 2).alias(squared) for name, squared in zip(surprising, SQUARES, strict=True)]
    second = [
        *(ewm("square", h * HOUR).alias(f"variance_{h}") for h in (1, 24, 72)),
        *(ewm(name, DAY).alias(f"usual_{name}") for name in BOOK),
        *(
            own(col(name).ewm_mean(alpha=alpha(7 * DAY), adjust=True, ignore_nulls=True).shift()).alias(f"{name}_mean")
            for name in (*surprising, *SQUARES)
        ),
        *(
            own(col(name).rolling_sum(h * HOUR)).alias(f"{name}_{h}")
            for name in ("volume", "signed", *LIQUIDATED)
            for h in (1, 4, 24)
        ),
        *(own(col("built").rolling_sum(h * HOUR)).alias(f"built_{h}") for h in (24, 72)),
        *(own(col("true_range").rolling_mean(rows)).alias(f"range_{rows}") for rows in (6 * HOUR, 7 * DAY)),
        *(own(col("top").rolling_max(h * HOUR)).alias(f"top_{h}") for h in (24, 72)),
        *(own(col("bottom").rolling_min(h * HOUR)).alias(f"bottom_{h}") for h in (24, 72)),
    ]
    daily = (col("variance_24") * DAY).sqrt()
    hourly = col(f"range_{6 * HOUR}")
    out = {
        "volatility_daily": daily,
        "volatility_ratio_1h": (col("variance_1") / col("variance_24")).sqrt(),
        "volatility_ratio_72h": (col("variance_24") / col("variance_72")).sqrt(),
        "atr_1h": hourly * math.sqrt(HOUR),
        "atr_1d": col(f"range_{7 * DAY}") * math.sqrt(DAY),
        "volume_ratio_1h": col("volume_1") * 24.0 / col("volume_24"),
        "volume_24h": col("volume_24"),
        "open_interest_to_volume_24h": col("open_interest") / col("volume_24"),
    }
    out |= {f"return_{h}h": col(f"move_{h}") / (daily * math.sqrt(h / 24)) for h in (1, 4, 12, 24, 72)}
    for h in (24, 72):
        top, bottom = col(f"top_{h}"), col(f"bottom_{h}")
        out[f"range_position_{h}h"] = 2.0 * (col("x") - bottom) / (top - bottom) - 1.0
        out[f"distance_to_high_{h}h"] = top - col("x")
        out[f"distance_to_low_{h}h"] = col("x") - bottom
        out[f"open_interest_built_share_{h}h"] = col(f"built_{h}") / col("open_interest")
    for h in (1, 4, 24, 72):
        delta, crossed = col(f"delta_{h}"), 1e4 * col(f"delta_{h}") * col(f"move_{h}")
        out[f"open_interest_delta_{h}h"] = delta
        out[f"open_interest_build_price_{h}h"] = pl.when(delta > 0.0).then(crossed).otherwise(0.0)
        out[f"open_interest_unwind_price_{h}h"] = pl.when(delta < 0.0).then(-crossed).otherwise(0.0)
    for h in (1, 4, 24):
        per = {name: 1e4 * col(f"{name}_{h}") / col(f"volume_{h}") for name in LIQUIDATED}
        longs, shorts, long_estimate, short_estimate = per.values()
        out[f"taker_imbalance_{h}h"] = col(f"signed_{h}") / col(f"volume_{h}")
        out[f"liquidated_long_{h}h"], out[f"liquidated_short_{h}h"] = longs, shorts
        out[f"liquidation_balance_{h}h"] = (longs - shorts) / (longs + shorts + 0.02)
        out[f"liquidated_long_estimate_{h}h"] = long_estimate
        out[f"liquidated_short_estimate_{h}h"] = short_estimate
    for name, source, squared in zip(SURPRISES, surprising, SQUARES, strict=True):
        mean = col(f"{source}_mean")
        out[name] = (col(source) - mean) / (col(f"{squared}_mean") - mean**2).sqrt()
    bid, ask = (col(name) for name in BOOK)
    usual_bid, usual_ask = (col(f"usual_{name}") for name in BOOK)
    out["depth_imbalance"] = (bid - ask) / (bid + ask)
    out["depth_ratio_24h"] = (bid + ask) / (usual_bid + usual_ask)
    out["depth_ratio_bid_24h"] = bid / usual_bid
    out["depth_ratio_ask_24h"] = ask / usual_ask
    last = [expression.alias(name) for name, expression in out.items()]
    lazy = table.lazy().with_columns(logs).with_columns(first).with_columns(squares).with_columns(second)
    return lazy.select(last).collect()
