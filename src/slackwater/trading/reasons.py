"""Why a trade is refused: stable names, and a sentence with the numbers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Reason", "ReasonCode"]


class ReasonCode(StrEnum):
    """Stable names of the reasons for a refusal."""

    NO_EVENT = "no_event"
    NO_PROBABILITY = "no_probability"
    PROBABILITY_BELOW_THRESHOLD = "probability_below_threshold"
    NO_TRADE_PROBABILITY = "no_trade_probability"
    EXPECTED_VALUE_TOO_LOW = "expected_value_too_low"
    MISSING_FEATURES = "missing_features"
    OUT_OF_DISTRIBUTION = "out_of_distribution"
    CLEAR_TREND = "clear_trend"
    NO_SWEPT_LEVEL = "no_swept_level"
    STALE = "stale"
    NOT_YET_AVAILABLE = "not_yet_available"
    BAD_INPUT = "bad_input"
    BAD_EQUITY = "bad_equity"
    MISSING_DEPTH = "missing_depth"
    UNKNOWN_CONTRACT = "unknown_contract"
    THROTTLED = "throttled"
    DRAWDOWN_STOP = "drawdown_stop"
    DAILY_HALT = "daily_halt"
    WEEKLY_HALT = "weekly_halt"
    COOLING_OFF = "cooling_off"
    POSITION_OPEN = "position_open"
    NO_TARGET = "no_target"
    STOP_TOO_FAR = "stop_too_far"
    STOP_IN_NOISE = "stop_in_noise"
    PRICE_MOVED_THROUGH = "price_moved_through"
    OPEN_RISK_EXCEEDED = "open_risk_exceeded"
    LEVERAGE_EXCEEDED = "leverage_exceeded"
    SLIPPAGE_TOO_HIGH = "slippage_too_high"
    LIQUIDATION_BEFORE_STOP = "liquidation_before_stop"
    REWARD_RISK_TOO_LOW = "reward_risk_too_low"
    BELOW_MINIMUM_SIZE = "below_minimum_size"
    NO_ENTRY_BAR = "no_entry_bar"
    PATH_ENDS_BEFORE_HORIZON = "path_ends_before_horizon"


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a refusal: a stable code and a sentence with the numbers."""

    code: ReasonCode
    message: str
