"""The map as a family: what opens positions, and what must not."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError
from slackwater.features.engine import FeatureEngine
from slackwater.features.liquidation_density import LiquidationDensityFamily
from slackwater.features.volatility import VolatilityFamily
from slackwater.market.frame_row import FrameRow

HOUR = timedelta(hours=1)
START = pd.Timestamp("2024-01-01", tz="UTC")


def mass_after(interest: list[tuple[int, float]], hours: int = 20) -> float:
    """Feed hourly bars that stand still; `interest` are (hour of the snapshot, coin). Return the mass below."""
    density = LiquidationDensityFamily(
        bar_interval=HOUR,
        half_lives=(HOUR, 2 * HOUR, 3 * HOUR),
        swing_windows=(2 * HOUR,),
    )
    volatility = VolatilityFamily(
        bar_interval=HOUR,
        half_life=HOUR,
        slow_half_life=2 * HOUR,
        atr_window=2 * HOUR,
        atr_day_window=3 * HOUR,
    )
    engine = FeatureEngine((volatility, density))
    column = engine.names.index("liquidation_mass_below_3atr_3h")
    first = START.value / 3.6e12
    for hour in range(hours):
        known = [snapshot for snapshot in interest if snapshot[0] <= hour]
        row = {"symbol": "A", "event_time": START + hour * HOUR, "open": 100.0, "high": 103.0, "low": 97.0}
        inputs = {"open_interest": known[-1][1], "open_interest_time_hours": first + known[-1][0]} if known else {}
        out = engine.update(FrameRow.from_mapping(row | {"close": 100.0} | inputs))
    return float(out[column])


def test_a_rise_opens_positions() -> None:
    assert mass_after([(h, 1000.0 if h < 18 else 2000.0) for h in range(20)]) > 0.1


def test_a_rise_across_a_long_gap_opens_nothing() -> None:
    """A recount by the venue, masked, would leave a stripe of positions that nobody holds."""
    assert mass_after([*((h, 1000.0) for h in range(14)), *((h, 2000.0) for h in range(18, 20))]) == 0.0


def test_a_fall_across_a_long_gap_closes_nothing() -> None:
    risen = [(h, 1000.0 if h < 8 else 2000.0) for h in range(14)]
    whole = mass_after([*risen, *((h, 2000.0) for h in range(18, 20))])
    assert mass_after([*risen, *((h, 1000.0) for h in range(18, 20))]) == pytest.approx(2.0 * whole)
    assert whole > 0.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"half_lives": (HOUR, HOUR, 2 * HOUR)}, "must be three, ascending"),
        ({"half_lives": (timedelta(0), HOUR, 2 * HOUR)}, "half_lives` must be > 0"),
        ({"bin_width": 0.0}, "bin_width` must be > 0 and <= 0.02"),
        ({"bin_width": np.nan}, "bin_width` must be > 0 and <= 0.02"),
        ({"spread": 0.0}, "spread` must be > 0 and <= 0.1"),
        ({"spread": np.nan}, "spread` must be > 0 and <= 0.1"),
        ({"reaches": (2.0, 1.0)}, "must ascend"),
        ({"reaches": (0.0, 1.0)}, "reaches` must be > 0 and <= 10"),
        ({"swing_windows": ()}, "swing_windows"),
        ({"longest_gap": timedelta(0)}, "longest_gap"),
    ],
)
def test_impossible_parameters_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        LiquidationDensityFamily(bar_interval=HOUR, **changes)
