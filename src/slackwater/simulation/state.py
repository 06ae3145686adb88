"""State of the market between minutes, and record of a minute.

Both are numpy records: the kernels read and write them by field name and in place.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

__all__ = ["MINUTE", "STATE", "SUB_STEPS", "Record"]

#: A numpy record, a random generator or an array of records inside a kernel; numba checks the field names.
Record: TypeAlias = Any

#: Price moves within a minute.
SUB_STEPS = 6

STATE = np.dtype(
    [
        # price.py: everything in log price or per square root of a minute
        ("log_price", "f8"),
        ("fundamental", "f8"),  # the martingale part of the log price
        ("volatility_factor", "f8", (4,)),
        ("volatility", "f8"),  # per square root of a minute, of the present minute
        ("relative_volatility", "f8"),  # over its long-run mean
        ("season", "f8"),  # activity by the hour of the day, mean 1
        ("excitation", "f8"),  # extra volatility after forced trades and news
        ("crowd_pressure", "f8"),  # slow displacement that the crowd's flow would cause at signal 1
        ("forced_pressure", "f8"),  # fast displacement that forced trades would cause at signal 1
        # crowd.py
        ("trend", "f8"),  # exponentially weighted sum of returns, 12 hours
        ("mood", "f8"),
        ("regime", "f8"),
        ("eagerness", "f8"),  # to be long: mood, regime and bias, within their limits
        ("phase", "i8"),  # CALM, FINAL_PUSH or UNWIND
        ("phase_side", "f8"),  # +1 the longs are exhausted, -1 the shorts
        ("phase_minutes", "i8"),
        ("phase_extreme", "f8"),  # the 48-hour extreme at the start of the final push
        ("hourly_high", "f8", (48,)),
        ("hourly_low", "f8", (48,)),
        ("high_48h", "f8"),
        ("low_48h", "f8"),
        # liquidation.py
        ("forced_flow", "f8"),  # coin, signed, decaying: the metaorder that liquidations amount to
        ("depletion", "f8"),  # share of the book that forced trades have eaten
        ("unprinted", "f8", (2,)),  # coin of longs and shorts liquidated, too small yet for an order of its own
        # whales.py, and the market makers who are everyone's counterparty
        ("whale_taste", "f8"),
        ("whale_position", "f8"),  # coin, signed
        ("whale_wanted", "f8"),  # coin, signed
        ("whale_moved", "f8"),  # the position for which coins have been moved so far, coin, signed
        ("whale_untold", "f8"),  # coin traded since the last large trade, signed
        ("market_maker_position", "f8"),  # coin, signed
        # sweeps.py
        ("hunter_position", "f8"),  # coin, signed
        ("sweep_side", "f8"),  # +1 through the highs, -1 through the lows, 0 no sweep
        ("sweep_minutes", "i8"),
        # funding.py
        ("premium", "f8"),
        ("premium_noise", "f8"),
        ("premium_sum", "f8"),
        ("premium_weight", "f8"),
        ("interval_minutes", "f8"),  # minutes of the running interval so far
        ("mark_premium", "f8"),  # the premium smoothed over the last minutes: what the mark price keeps of it
        # tape.py
        ("depth_noise", "f8"),
        ("outer_depth_noise", "f8"),
        # rows written so far
        ("settlements", "i8"),
        ("orders", "i8"),
        ("transfers", "i8"),
        ("large_trades", "i8"),
    ],
    align=True,
)

MINUTE = np.dtype(
    [
        # shocks.py: standardised
        ("volatility_shock", "f8", (4,)),
        ("price_shock", "f8", (SUB_STEPS,)),  # in volatilities of a sub-step
        ("diffusion", "f8"),  # the return without jumps and news, in volatilities of the minute
        ("news", "f8"),  # log return
        ("news_sub_step", "i8"),  # -1: no news
        ("mood_shock", "f8"),
        ("regime_shock", "f8"),
        # flows in coin; signed ones are positive when bought
        ("crowd_net", "f8"),
        ("crowd_gross", "f8"),
        ("whale_net", "f8"),
        ("hunter_net", "f8"),
        ("liquidated", "f8", (2, SUB_STEPS)),  # of longs and of shorts
        ("stopped", "f8", (2,)),
        # log prices; the close is the state's
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("sub_step_close", "f8", (SUB_STEPS,)),
    ],
    align=True,
)
