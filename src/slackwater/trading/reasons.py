"""Reasons for a refusal: a stable code, and a sentence with the numbers that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["CODES", "Reason"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason for a refusal.

    Parameters
    ----------
    code
        Stable name in snake case. docs/gate.md lists those of the library; a rule from outside has its own.
    message
        A sentence with the numbers.
    """

    code: str
    message: str


CODES: Final = frozenset(
    {
        "bad_equity",
        "bad_input",
        "below_minimum_size",
        "clear_trend",
        "cooling_off",
        "daily_halt",
        "drawdown_stop",
        "expected_value_too_low",
        "leverage_exceeded",
        "liquidation_before_stop",
        "missing_depth",
        "missing_features",
        "no_entry_bar",
        "no_event",
        "no_probability",
        "no_swept_level",
        "no_target",
        "no_trade_probability",
        "not_yet_available",
        "open_risk_exceeded",
        "out_of_distribution",
        "path_ends_before_horizon",
        "position_open",
        "price_moved_through",
        "probability_below_threshold",
        "reward_risk_too_low",
        "rule_failed",
        "slippage_too_high",
        "stale",
        "stop_in_noise",
        "stop_too_far",
        "throttled",
        "unknown_contract",
        "weekly_halt",
    }
)
"""Codes of the library; a rule from outside must not give them."""
