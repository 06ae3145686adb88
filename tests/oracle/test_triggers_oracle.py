"""Every trigger against a loop over rows, on columns of other families and of the frame."""

from __future__ import annotations

import math
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from tests.small_market import DECISION_LAG, small_market

HOUR = timedelta(hours=1)
PARAMETERS = {
    "move_window": 24 * HOUR,
    "extended_threshold": 1.0,
    "extended_floor": 0.02,
    "extended_cooldown": 6 * HOUR,
    "sampled_threshold": 0.5,
    "sampled_cooldown": 4 * HOUR,
    "cusum_threshold": 0.8,
    "cusum_floor": 0.02,
    "cusum_cooldown": 5 * HOUR,
    "sweep_cooldown": 3 * HOUR,
    "crowding_acceleration": 0.8,
    "crowding_growth": 0.5,
    "crowding_cooldown": 9 * HOUR,
    "cascade_window": 4 * HOUR,
    "cascade_threshold": 0.8,
    "cascade_burst": 1.5,
    "cascade_drop": 0.01,
    "cascade_cooldown": 2 * HOUR,
}
ENGINE = FeatureEngine(default_families(HOUR, triggers=PARAMETERS))
TRIGGERS = ["extended_move", "cusum", "sweep_confirmation", "crowding_alarm", "cascade", "sampled_move"]


@cache
def table(*absent: str) -> pd.DataFrame:
    """The rows of one symbol on its grid, gaps included: inputs, features, logarithms."""
    market = small_market(("BTCUSDT",), interval=HOUR, days=90, seed=11)
    market["bars"] = market["bars"].drop(index=range(1_400, 1_407)).reset_index(drop=True)
    market = {name: rows for name, rows in market.items() if name not in absent}
    frame = MarketFrame.from_tables(market, FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG))
    made = ENGINE.transform(frame).set_index("event_time")[ENGINE.names]
    out = frame.table.set_index("event_time")[["close", "open_interest"]].join(made)
    out["x"] = np.log(out["close"]).ffill()
    out["r"] = out["x"].diff().where(out["close"].notna())
    out["sd"] = out["volatility_daily"].clip(0.005, 0.25)
    out["present"] = out["close"].notna()
    out["warm"] = out["present"] & (out["present"].rolling(24).sum() >= 0.9 * 24) & (out["volatility_daily"] > 0.0)
    return out


def cooled(directions: list[float], bars: int) -> list[float]:
    """Zero what lies within so many bars of the last one that stayed in the same direction."""
    last = {1.0: -math.inf, -1.0: -math.inf}
    out = []
    for i, direction in enumerate(directions):
        if direction in last:
            if i - last[direction] < bars:
                direction = 0.0
            else:
                last[direction] = i
        out.append(direction)
    return out


def moved(t: pd.DataFrame, window: int, threshold: float, floor: float = 0.0) -> list[float]:
    move = t["x"].diff(window)
    far = (move.abs() >= threshold * t["sd"] * math.sqrt(window / 24)) & (move.abs() >= floor)
    return list(np.sign(move).where(far, 0.0).where(t["warm"]))


def summed(t: pd.DataFrame) -> list[float]:
    out, sums, moves = [], [0.0, 0.0], [0.0, 0.0]
    for warm, r, sd in zip(t["warm"], t["r"], t["sd"], strict=True):
        if not warm:
            out.append(math.nan)
            continue
        direction = 0.0
        for side, sign in enumerate((1.0, -1.0)):
            sums[side] += sign * r / sd
            moves[side] += sign * r
            if sums[side] <= 0.0:
                sums[side] = moves[side] = 0.0
            if sums[side] >= 0.8 and moves[side] >= 0.02:
                direction = sign
        if direction:
            sums, moves = [0.0, 0.0], [0.0, 0.0]
        out.append(direction)
    return out


def crowded(t: pd.DataFrame) -> list[float]:
    z, growth = t["funding_acceleration_z"], t["open_interest_change_z_24h"]
    return list(np.sign(z).where((z.abs() > 0.8) & (growth > 0.5), 0.0).where(z.notna() & growth.notna()))


def cascades(t: pd.DataFrame) -> list[float]:
    fell = -np.log(t["open_interest"]).diff(4)
    long, short = t["liquidation_burst_long"], t["liquidation_burst_short"]
    direction = np.sign(t["x"].diff(4))
    hit_long, hit_short = ((burst >= 1.5).rolling(4, min_periods=1).max() > 0 for burst in (long, short))
    forced = (fell >= 0.01) | (hit_long & (direction < 0)) | (hit_short & (direction > 0))
    known = t["warm"] & (fell.notna() | (long.notna() & short.notna()))
    fast = t["x"].diff(4).abs() >= 0.8 * t["sd"] * math.sqrt(4 / 24)
    return list(direction.where(fast & forced, 0.0).where(known))


def expected(t: pd.DataFrame) -> dict[str, list[float]]:
    return {
        "extended_move": cooled(moved(t, 24, 1.0, 0.02), 6),
        "sampled_move": cooled(moved(t, 24, 0.5), 4),
        "cusum": cooled(summed(t), 5),
        "sweep_confirmation": cooled(list(t["sweep_direction"]), 3),
        "crowding_alarm": cooled(crowded(t), 9),
        "cascade": cooled(cascades(t), 2),
    }


@pytest.mark.parametrize("name", TRIGGERS)
def test_trigger_is_what_a_loop_says(name: str) -> None:
    """Catches a wrong window, side, threshold or cool-down, and a gap that is read as a quiet hour."""
    t = table()
    assert [f.name for f in ENGINE.features if f.role == "trigger"] == TRIGGERS
    assert t[name].value_counts().reindex([1.0, -1.0]).min() >= 3
    np.testing.assert_array_equal(t[name][t["present"]], np.array(expected(t)[name])[t["present"]])


@pytest.mark.parametrize("absent", ["open_interest", "liquidations"])
def test_a_cascade_needs_only_one_kind_of_evidence(absent: str) -> None:
    t = table(absent)
    assert (t["cascade"].abs() == 1.0).sum() >= 3
    np.testing.assert_array_equal(t["cascade"][t["present"]], np.array(expected(t)["cascade"])[t["present"]])


def test_what_cannot_be_known_is_not_zero() -> None:
    """Catches an alarm that never rings because its table is absent, and looks like a quiet market."""
    t = table("open_interest", "liquidations", "funding")
    assert t[["cascade", "crowding_alarm"]].isna().all().all()
    assert t["extended_move"].notna().any()
