"""Feature values against pandas: rolling windows, group by group, as a researcher would write them in a notebook."""

from __future__ import annotations

import math
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.liquidation_density import LiquidationDensityFamily
from slackwater.features.volatility import VolatilityFamily
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from tests.oracle.naive_map import NaiveMap
from tests.small_market import DECISION_LAG, small_market

HOUR = timedelta(hours=1)
ENGINE = FeatureEngine(default_families(HOUR))
DAY = 24


@cache
def frame() -> MarketFrame:
    market = small_market(("BTCUSDT", "ETHUSDT"), interval=HOUR, days=80)
    return MarketFrame.from_tables(market, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))


@cache
def inputs() -> pd.DataFrame:
    """The frame rows of one symbol, with logarithms."""
    table = frame().table
    out = table[table["symbol"] == "BTCUSDT"].reset_index(drop=True)
    out["x"] = np.log(out["close"])
    out["r"] = out["x"].diff()
    out["other_x"] = np.log(table.loc[table["symbol"] == "ETHUSDT", "close"].to_numpy())
    out["sd"] = ewm(out["r"] ** 2, 24).pow(0.5) * math.sqrt(DAY)
    previous = out["x"].shift().fillna(out["x"])
    out["true_range"] = np.maximum(np.log(out["high"]), previous) - np.minimum(np.log(out["low"]), previous)
    out["atr_1d"] = out["true_range"].rolling(7 * DAY).mean() * math.sqrt(DAY)
    return out


@cache
def features() -> pd.DataFrame:
    out = ENGINE.transform(frame())
    return out[out["symbol"] == "BTCUSDT"].reset_index(drop=True)


def ewm(values: pd.Series, half_life: float) -> pd.Series:
    return values.ewm(alpha=1.0 - 2.0 ** (-1.0 / half_life), adjust=True, ignore_na=True).mean()


def z_before(values: pd.Series, half_life: float) -> pd.Series:
    mean, square = ewm(values, half_life).shift(), ewm(values**2, half_life).shift()
    return (values - mean) / (square - mean**2).pow(0.5)


def expected() -> dict[str, pd.Series]:
    t = inputs()
    out = {
        "volatility_daily": t["sd"],
        "volatility_ratio_1h": (ewm(t["r"] ** 2, 1) / ewm(t["r"] ** 2, 24)).pow(0.5),
        "volatility_ratio_72h": (ewm(t["r"] ** 2, 24) / ewm(t["r"] ** 2, 72)).pow(0.5),
        "atr_1h": t["true_range"].rolling(6).mean(),
        "atr_1d": t["atr_1d"],
        "volume_24h": t["volume"].rolling(24).sum(),
        "volume_ratio_1h": t["volume"] * 24 / t["volume"].rolling(24).sum(),
        "trend_strength_6h_48h": (ewm(t["x"], 6) - ewm(t["x"], 48)) / t["atr_1d"],
        "extension_48h": (t["x"] - ewm(t["x"], 48)) / t["atr_1d"],
        "market_stress_1h": t["others_absolute_return"] / t["others_absolute_return"].rolling(7 * DAY).mean(),
        "others_breadth_24h": np.sign(t["other_x"].diff(24)),
        "market_dispersion_24h": (t["x"] - t["other_x"]).diff(24).abs() / 2 / t["sd"],
        "open_interest_to_volume_24h": t["open_interest"] / t["volume"].rolling(24).sum(),
        "premium_1h": 1e4 * ewm(t["premium_index"], 1),
        "premium_8h": 1e4 * ewm(t["premium_index"], 8),
        "premium_change_1h_8h": 1e4 * (ewm(t["premium_index"], 1) - ewm(t["premium_index"], 8)),
        "depth_imbalance": (t["depth_bid_1pct"] - t["depth_ask_1pct"]) / (t["depth_bid_1pct"] + t["depth_ask_1pct"]),
        "depth_ratio_bid_24h": t["depth_bid_1pct"] / ewm(t["depth_bid_1pct"], 24),
        "depth_ratio_ask_24h": t["depth_ask_1pct"] / ewm(t["depth_ask_1pct"], 24),
        "liquidation_burst_long": z_before(t["liquidated_long"], 7 * DAY),
        "liquidation_burst_short": z_before(t["liquidated_short"], 7 * DAY),
        "top_trader_ratio": np.log(t["top_trader_ratio"]),
        "whale_burst_1h": per_usual(t["whale_to_exchange"] + t["whale_from_exchange"]),
        "large_trade_burst_1h": per_usual(t["large_buy"] + t["large_sell"]),
    }
    depth = t["depth_bid_1pct"] + t["depth_ask_1pct"]
    out["depth_ratio_24h"] = depth / ewm(depth, 24)
    for h in (1, 4, 12, 24, 72):
        out[f"return_{h}h"] = t["x"].diff(h) / (t["sd"] * math.sqrt(h / 24))
    for h in (24, 72):
        top, bottom = np.log(t["high"].rolling(h).max()), np.log(t["low"].rolling(h).min())
        out[f"range_position_{h}h"] = 2 * (t["x"] - bottom) / (top - bottom) - 1
        out[f"distance_to_high_{h}h"], out[f"distance_to_low_{h}h"] = top - t["x"], t["x"] - bottom
        out[f"range_age_high_{h}h"] = t["high"].rolling(h).apply(lambda w: np.argmax(w[::-1]), raw=True) / h
        out[f"range_age_low_{h}h"] = t["low"].rolling(h).apply(lambda w: np.argmin(w[::-1]), raw=True) / h
        out[f"trend_efficiency_{h}h"] = t["x"].diff(h) / t["r"].abs().rolling(h).sum()
        squares = (t["x"].diff(2) ** 2).rolling(h).sum()
        out[f"variance_ratio_2h_{h}h"] = squares / (2 * (t["r"] ** 2).rolling(h).sum())
        scale = 1.0 / (t["sd"] * math.sqrt(h / 24))
        others = t["others_return"].rolling(h).sum()
        out[f"others_return_{h}h"] = others * scale
        out[f"relative_return_{h}h"] = (t["x"].diff(h) - others) * scale
        built = t["open_interest"].diff().clip(lower=0).rolling(h).sum()
        out[f"open_interest_built_share_{h}h"] = built / t["open_interest"]
    interest = np.log(t["open_interest"])
    for h in (1, 4, 24, 72):
        delta, move = interest.diff(h), t["x"].diff(h)
        out[f"open_interest_delta_{h}h"] = delta
        out[f"open_interest_build_price_{h}h"] = 1e4 * delta.clip(lower=0) * move
        out[f"open_interest_unwind_price_{h}h"] = 1e4 * (-delta).clip(lower=0) * move
    out["open_interest_spike_1h"] = z_before(interest.diff(1), 7 * DAY)
    out["open_interest_change_z_24h"] = z_before(interest.diff(24), 7 * DAY)
    for h in (1, 4, 24):
        volume = t["volume"].rolling(h).sum()
        out[f"taker_imbalance_{h}h"] = (2 * t["taker_buy_volume"] - t["volume"]).rolling(h).sum() / volume
        longs = 1e4 * t["liquidated_long"].rolling(h).sum() / volume
        shorts = 1e4 * t["liquidated_short"].rolling(h).sum() / volume
        out[f"liquidated_long_{h}h"], out[f"liquidated_short_{h}h"] = longs, shorts
        out[f"liquidation_balance_{h}h"] = (longs - shorts) / (longs + shorts + 0.02)
        for side in ("long", "short"):
            estimate = t[f"liquidated_{side}_estimate"].rolling(h).sum()
            out[f"liquidated_{side}_estimate_{h}h"] = 1e4 * estimate / volume
    for h in (4, 12, 24, 48):
        volume = t["volume"].rolling(h).sum()
        to = 1e4 * t["whale_to_exchange"].rolling(h).sum() / volume
        off = 1e4 * t["whale_from_exchange"].rolling(h).sum() / volume
        against = np.sign(off - to) * np.sign(t["x"].diff(h)) < 0
        out[f"whale_to_exchange_{h}h"], out[f"whale_from_exchange_{h}h"] = to, off
        out[f"whale_accumulation_{h}h"] = off - to
        out[f"whale_divergence_{h}h"] = (off - to).where(against, 0.0)
        out[f"large_trade_imbalance_{h}h"] = (t["large_buy"] - t["large_sell"]).rolling(h).sum() / volume
        out[f"top_trader_ratio_change_{h}h"] = np.log(t["top_trader_ratio"]).diff(h)
        for asset in ("coin", "stable"):
            flow = t[f"exchange_netflow_{asset}_usd"]
            out[f"exchange_{asset}_inflow_{h}h"] = flow.rolling(h).mean() / flow.abs().rolling(7 * DAY).mean()
    out |= funding(t)
    return out


def per_usual(amount: pd.Series) -> pd.Series:
    return amount / amount.rolling(7 * DAY).mean()


def funding(t: pd.DataFrame) -> dict[str, pd.Series]:
    """Difference on the grid of settlements, then hold until the next one."""
    settled = t.drop_duplicates("funding_time_hours").dropna(subset="funding_rate")
    rate = 1e4 * settled["funding_rate"] * 8.0 / settled["funding_interval_hours"]
    acceleration = rate.diff().diff()
    out = {
        "funding_rate_8h": rate,
        "funding_change_8h": rate.diff(),
        "funding_acceleration_8h": acceleration,
        "funding_rate_z": robust_z(rate),
        "funding_acceleration_z": robust_z(acceleration),
    }
    held = {name: values.reindex(t.index).ffill() for name, values in out.items()}
    time = t["event_time"].astype("int64") / 3.6e9
    start = (np.ceil(time / 8) - 1) * 8
    elapsed = time - start
    premium = 1e4 * t["premium_index"]
    average = (premium * elapsed).groupby(start).cumsum() / elapsed.groupby(start).cumsum()
    predicted = average + (1.0 - average).clip(-5.0, 5.0)
    change = np.log(t["open_interest"]).diff(24)
    return held | {
        "funding_acceleration_open_interest_24h": held["funding_acceleration_8h"] * change,
        "funding_elapsed": elapsed / 8,
        "funding_predicted_8h": predicted,
        "funding_divergence_8h": predicted - held["funding_rate_8h"],
    }


def robust_z(values: pd.Series) -> pd.Series:
    def one(window: np.ndarray) -> float:
        before, value = window[:-1], window[-1]
        median = np.median(before)
        deviations = np.abs(before - median)
        return (value - median) / max(1.4826 * np.median(deviations), 0.5 * 1.2533 * deviations.mean())

    return values.rolling(91).apply(one, raw=True)


EXPECTED = expected()


@pytest.mark.parametrize("name", EXPECTED)
def test_feature_is_what_pandas_says(name: str) -> None:
    """A wrong window, a wrong scale, a column swapped with its neighbour: none survives the comparison."""
    found, wanted = features()[name], EXPECTED[name]
    known = found.notna()
    assert known.sum() > 300
    np.testing.assert_allclose(found[known], wanted[known], rtol=1e-6, atol=1e-7)


def test_no_family_is_left_out() -> None:
    """A feature without an oracle here has one elsewhere: the map below, sweeps and triggers in files of their own."""
    elsewhere = ("liquidation_density", "sweeps", "triggers")
    left = {f.name for f in ENGINE.features if f.family not in elsewhere} - set(EXPECTED)
    assert left == set()


def test_density_is_what_dictionaries_say() -> None:
    families = (
        VolatilityFamily(bar_interval=HOUR, slow_half_life=timedelta(hours=30)),
        LiquidationDensityFamily(
            bar_interval=HOUR,
            half_lives=(6 * HOUR, 24 * HOUR, 72 * HOUR),
            stop_half_life=24 * HOUR,
            bin_width=0.002,
        ),
    )
    engine = FeatureEngine(families)
    table = inputs()[:1000]
    part = MarketFrame(table, bar_interval=HOUR, available=frame().available)
    out = engine.transform(part)
    spans = ("6h", "24h", "72h")
    naive = NaiveMap(0.002, [2.0 ** (-1.0 / h) for h in (6, 24, 72, 24)])
    logs = {name: np.log(table[name]) for name in ("high", "low")}
    swings = [(logs["low"].rolling(h, 1).min(), logs["high"].rolling(h, 1).max()) for h in (24, 72, 168)]
    atr_hour = table["true_range"].rolling(6).mean()
    warm = int(engine.warm_up_of(families[1]) / HOUR)
    consumed, pools = [], []
    for i in range(len(table)):
        low, high, close = logs["low"][i], logs["high"][i], table["x"][i]
        # The hourly range counts as known once the volatility is warm.
        naive.atr = atr_hour[i] if i >= int(families[0].warm_up / HOUR) else math.nan
        # The snapshot known at a close is that of the bar before: an hour and five minutes are needed to publish it.
        then = max(i - 1, 0)
        assert i == 0 or table["open_interest_time_hours"][i] == table["event_time"][then].value / 3.6e12
        tilt = 2.0 * table["taker_buy_volume"][then] / table["volume"][then] - 1.0
        entry = (logs["low"][then] + logs["high"][then] + table["x"][then]) / 3.0
        bar = (low, high, entry, table["open_interest"][i], tilt)
        naive.advance(bar, [(lows[i], highs[i]) for lows, highs in swings])
        consumed.append(naive.consumed.copy())
        if i < warm or i % 7:
            continue
        row, unit, interest = out.iloc[i], table["atr_1d"][i], table["open_interest"][i]
        steps = [max(math.floor(reach * unit / 0.002 + 0.5), 1) for reach in (0.5, 1.0, 2.0, 3.0)]
        ahead = [[naive.ahead(side, layer, close, steps[-1]) for layer in range(4)] for side in range(2)]
        for layer in range(4):
            what, tail = ("stop", "") if layer == 3 else ("liquidation", f"_{spans[layer]}")
            totals = []
            for side, word in enumerate(("below", "above")):
                bins, other = ahead[side][layer], ahead[1 - side][layer]
                for reach, n in zip(("0.5", "1", "2", "3"), steps, strict=True):
                    mass = sum(m for step, m in bins.items() if step <= n) / interest
                    assert row[f"{what}_mass_{word}_{reach}atr{tail}"] == pytest.approx(mass, abs=1e-9)
                totals.append(mass)
                gone = sum(c[side * 4 + layer] for c in consumed[-4:]) / interest
                assert row[f"{what}_consumed_{word}_4h{tail}"] == pytest.approx(gone, abs=1e-9)
                distance, rank = (
                    row[f"{what}_pool_distance_{word}_3atr{tail}"],
                    row[f"{what}_pool_rank_{word}_3atr{tail}"],
                )
                standing = row[f"pool_distance_{word}"]
                if not bins:
                    assert (distance, rank) == (3.0, 0.0)
                    assert layer != 1 or math.isnan(standing)
                    continue
                most = max(bins.values())
                place = round(distance * unit / 0.002)
                assert distance == 3.0 or bins[place] == pytest.approx(most)
                denser = 1 + sum(m >= most * (1 + 1e-9) for m in other.values())
                assert rank == pytest.approx(1.0 - denser / (2.0 * steps[-1]))
                if layer == 1 and distance < 3.0:
                    middle = (math.floor(close / 0.002) + (place if side else -place) + 0.5) * 0.002
                    wanted = abs(middle - close) if rank >= 0.9 and place <= 25 else math.nan
                    pools.append(wanted)
                    assert standing == pytest.approx(wanted, nan_ok=True)
            ratio = math.log((totals[1] + 1e-3) / (totals[0] + 1e-3))
            assert row[f"{what}_density_ratio_3atr{tail}"] == pytest.approx(ratio, abs=1e-9)
    assert 20 < np.isfinite(pools).sum() < len(pools)
