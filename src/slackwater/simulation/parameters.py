"""Parameters of the simulated market, with units and ranges."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from slackwater.errors import ParameterError, did_you_mean

__all__ = ["MarketParameters", "parameters_of"]


#: A day far beyond all runs.
NEVER = 1e6


def _bounded(default: float, low: float, high: float, unit: str) -> Any:
    """Return a dataclass field that may hold [low, high]."""
    return field(default=default, metadata={"low": low, "high": high, "unit": unit})


@dataclass(frozen=True, kw_only=True)
class MarketParameters:
    """Parameters of the market of one symbol.

    The metadata of every field contain its range and unit. Prices, pressures and premia are stated relative to
    `sigma_daily`, so that markets of different volatility differ only in scale.

    Raises
    ------
    ParameterError
        If a field is not a finite number inside its range.

    Examples
    --------
    >>> MarketParameters(sigma_daily=0.03).sigma_daily
    0.03
    >>> MarketParameters(sigma_daily=-0.03)
    Traceback (most recent call last):
    slackwater.errors.ParameterError: `sigma_daily` must be in [0.0005, 0.5] (per square root of a day), was -0.03
    """

    # The contract.
    sigma_daily: float = _bounded(0.035, 0.0005, 0.5, "per square root of a day")
    start_price: float = _bounded(10.0, 1e-6, 1e9, "quote currency per coin")
    price_decimals: float = _bounded(4, 0, 10, "decimal places of the tick")
    average_daily_volume: float = _bounded(2e7, 1e-3, 1e15, "coin per day")
    open_interest: float = _bounded(7e6, 1e-3, 1e15, "coin")

    # Predictability. `signal` scales the response of the price to pressure and nothing else.
    signal: float = _bounded(0.4, 0.0, 1.0, "fraction of the pressure that moves the price")
    whale_signal: float = _bounded(0.5, 0.0, 1.0, "weight of the pressure in what whales want")

    # Zero: rises and falls are alike. Above, falls make volatility; the price stays a martingale.
    skew: float = _bounded(0.0, 0.0, 1.0, "excess of the volatility after falls over that after rises")

    # Shared by all symbols.
    common_price_share: float = _bounded(0.88, 0.0, 1.0, "share of the variance of price shocks")
    common_volatility_share: float = _bounded(0.4, 0.0, 1.0, "share of the variance of log volatility")
    common_mood_share: float = _bounded(0.1, 0.0, 1.0, "share of the variance of the crowd's mood")

    # Price shocks.
    news_per_day: float = _bounded(0.12, 0.0, 10.0, "per day")
    news_size: float = _bounded(0.8, 0.0, 5.0, "multiples of sigma_daily")
    jumps_per_day: float = _bounded(0.17, 0.0, 100.0, "per day")
    jump_size: float = _bounded(8.0, 0.0, 50.0, "multiples of the volatility of one minute")
    excitation: float = _bounded(80.0, 0.0, 1000.0, "rise of volatility per daily volume forced to trade")

    # The crowd.
    mood_memory: float = _bounded(2500.0, 10.0, 1e6, "minutes")
    mood_trend_response: float = _bounded(0.35, 0.0, 5.0, "mood per unit of trend")
    mood_noise: float = _bounded(0.34, 0.0, 3.0, "standard deviation of mood")
    regime_memory: float = _bounded(14500.0, 10.0, 1e6, "minutes")
    regime_noise: float = _bounded(0.6, 0.0, 3.0, "standard deviation of mood")
    mood_bias: float = _bounded(0.12, -2.0, 2.0, "mood; positive: the crowd prefers to be long")
    hedged_share: float = _bounded(0.47, 0.0, 0.95, "share of open interest that never trades")
    crowd_impact: float = _bounded(17.0, 0.0, 100.0, "multiples of sigma_daily per daily volume bought net")
    crowd_pressure_half_life: float = _bounded(700.0, 1.0, 1e6, "minutes")

    # Exhaustion: a crowded side makes its final push and then unwinds.
    exhaustion_rate: float = _bounded(20.0, 0.0, 1000.0, "episodes per day and unit of crowding")
    final_push: float = _bounded(0.8, 0.0, 5.0, "multiples of sigma_daily per twelve hours")
    unwind_speed: float = _bounded(2.0, 1.0, 20.0, "multiple of the ordinary speed")

    # Forced trades.
    forced_impact: float = _bounded(0.9, 0.0, 10.0, "multiples of sigma_daily per square root of a daily volume")
    forced_pressure_half_life: float = _bounded(120.0, 1.0, 1e6, "minutes")

    # Whales.
    whale_share: float = _bounded(0.10, 0.0, 1.0, "standard deviation of their position per open interest")
    whale_transfers_per_day: float = _bounded(29.0, 0.0, 1000.0, "per day")
    large_trades_per_day: float = _bounded(150.0, 0.0, 1440.0, "per day")

    # Sweeps: trades through the highs or lows where the stops are, and back.
    sweeps_per_day: float = _bounded(4.0, 0.0, 1000.0, "per day spent within reach of the stops")
    sweep_size: float = _bounded(0.005, 0.0, 0.5, "of the daily volume")

    # Premium of the perpetual over its index.
    premium_of_pressure: float = _bounded(3.4e-4, 0.0, 0.1, "fraction per sigma_daily of pressure")
    premium_of_eagerness: float = _bounded(5.35e-4, 0.0, 0.1, "fraction per unit of mood")
    premium_of_crowding: float = _bounded(2.9e-4, 0.0, 0.1, "fraction per unit of net long share")
    premium_noise: float = _bounded(1.5e-4, 0.0, 0.01, "fraction, standard deviation")
    four_hour_funding_day: float = _bounded(NEVER, 0.0, NEVER, "days since 1970, from which funding settles every 4 h")

    # The book.
    depth_share: float = _bounded(0.004, 1e-6, 1.0, "of the daily volume within 1 % of the mid, per side")

    def __post_init__(self) -> None:
        for each in dataclasses.fields(self):
            value, bounds = getattr(self, each.name), each.metadata
            if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
                raise ParameterError(f"`{each.name}` must be a number, was {value!r}")
            if not (math.isfinite(value) and bounds["low"] <= value <= bounds["high"]):
                raise ParameterError(
                    f"`{each.name}` must be in [{bounds['low']:g}, {bounds['high']:g}] ({bounds['unit']}), was {value}"
                )
        if self.price_decimals != int(self.price_decimals):
            raise ParameterError(f"`price_decimals` must be a whole number, was {self.price_decimals}")

    def as_record(self) -> np.record:
        """Return the fields as one numpy record of float64, the form that the kernels read by field name."""
        names = [each.name for each in dataclasses.fields(self)]
        record = np.zeros(1, dtype=[(name, np.float64) for name in names])
        for name in names:
            record[name] = getattr(self, name)
        return record.view(np.recarray)[0]


#: Parameters of symbols that differ from the defaults.
_KNOWN_SYMBOLS: Mapping[str, Mapping[str, float]] = {
    "BTCUSDT": {
        "sigma_daily": 0.0275,
        "start_price": 60_000.0,
        "price_decimals": 1,
        "average_daily_volume": 200_000.0,
        "open_interest": 70_000.0,
    },
    "ETHUSDT": {
        "sigma_daily": 0.030,
        "start_price": 3_000.0,
        "price_decimals": 2,
        "average_daily_volume": 4_000_000.0,
        "open_interest": 1_400_000.0,
    },
    "SOLUSDT": {
        "sigma_daily": 0.038,
        "start_price": 150.0,
        "price_decimals": 3,
        "average_daily_volume": 25_000_000.0,
        "open_interest": 8_500_000.0,
    },
    "XRPUSDT": {
        "sigma_daily": 0.0395,
        "start_price": 2.0,
        "price_decimals": 4,
        "average_daily_volume": 800_000_000.0,
        "open_interest": 280_000_000.0,
        "four_hour_funding_day": 19_631.0,  # 2023-10-01
    },
}


def parameters_of(symbol: str, options: Mapping[str, float]) -> MarketParameters:
    """Return the parameters of a symbol: the defaults, those of the symbol, then `options`.

    Parameters
    ----------
    symbol : str
        Name of the perpetual. Symbols without parameters of their own get the defaults of `MarketParameters`.
    options : Mapping of str to float
        Fields of `MarketParameters` that replace the symbol's own.

    Raises
    ------
    ParameterError
        If an option is not a field of `MarketParameters`, or its value is outside of its range.

    Examples
    --------
    >>> parameters_of("BTCUSDT", {"signal": 0.0}).open_interest
    70000.0
    """
    names = [each.name for each in dataclasses.fields(MarketParameters)]
    for name in options:
        if name not in names:
            raise ParameterError(f"`{name}` is not an option of the simulated market{did_you_mean(name, names)}")
    return MarketParameters(**{**_KNOWN_SYMBOLS.get(symbol, {}), **options})
