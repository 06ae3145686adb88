"""A broken rule is found in the ledger, whatever let it through."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest

from slackwater.errors import ContractError, MissingDataError
from slackwater.market.contracts import venue_contracts
from slackwater.trading.limit_checks import limit_violations, require_limits

SOUND = {
    "symbol": "BTCUSDT",
    "side": 1,
    "entry": 50_000.0,
    "stop": 49_000.0,
    "target": 52_000.0,
    "liquidation_price": 45_000.0,
    "quantity": 0.123,
    "leverage": 5,
    "risk_fraction": 0.01,
    "risk_multiplier": 1.0,
    "risk_usd": 100.0,
    "net_usd": -100.0,
    "exit_reason": "stop",
}
CALM = {"n_positions": 1, "leverage": 0.6, "open_risk_fraction": 0.01}
SECOND = CALM | {"n_positions": 2}


def found(trade: dict[str, Any] | None = None, account: dict[str, Any] | None = None) -> dict[str, int]:
    trades, exposure = pd.DataFrame([SOUND, SOUND | (trade or {})]), pd.DataFrame([CALM, SECOND | (account or {})])
    counts = limit_violations(trades, exposure, venue_contracts("binance"))
    return {name: count for name, count in counts.items() if count}


def test_sound_trades_break_nothing() -> None:
    assert found() == {}
    short = {"side": -1, "stop": 51_000.0, "target": 48_000.0, "liquidation_price": 55_000.0}
    assert found(short) == {}
    assert found({"net_usd": -10_001.0, "exit_reason": "liquidation"}) == {}


@pytest.mark.parametrize(
    ("trade", "account", "rule"),
    [
        ({"leverage": 11}, {}, "margin_leverage"),
        ({}, {"leverage": 10.6}, "total_notional"),
        ({}, {"leverage": math.nan}, "total_notional"),
        ({"risk_fraction": 0.0201}, {}, "risk"),
        ({}, {"open_risk_fraction": 0.0425}, "open_risk"),
        ({"stop": 50_000.0}, {}, "stop_side"),
        ({"stop": 45_999.0, "liquidation_price": 40_000.0}, {}, "stop_distance"),
        ({"net_usd": -10_001.0}, {}, "ruin_on_record"),
        ({"net_usd": math.nan}, {}, "ruin_on_record"),
        ({"quantity": math.nan}, {}, "rounded_up"),
        ({"quantity": 700_000.0005}, {}, "rounded_up"),
        ({"leverage": math.nan}, {}, "margin_leverage"),
        ({"target": 49_500.0}, {}, "target_side"),
        ({"liquidation_price": 49_000.0}, {}, "liquidation_before_stop"),
        ({"quantity": 0.1234}, {}, "rounded_up"),
        ({"risk_multiplier": 1.01}, {}, "throttle"),
        ({"risk_multiplier": 0.0}, {}, "throttle"),
    ],
)
def test_each_broken_rule_is_counted_once(trade: dict[str, Any], account: dict[str, Any], rule: str) -> None:
    assert found(trade, account) == {rule: 1}
    with pytest.raises(ContractError, match=rule):
        require_limits(found(trade, account))


def test_what_the_market_does_later_breaks_no_rule() -> None:
    """The sums are limits on what is opened: a loss raises both, and so do the costs of the entry itself."""
    assert found(account={"n_positions": 1, "leverage": 11.0, "open_risk_fraction": 0.05}) == {}
    assert found(account={"leverage": 10.4, "open_risk_fraction": 0.0415}) == {}


def test_no_trades_break_nothing() -> None:
    trades, exposure = pd.DataFrame([SOUND]).iloc[:0], pd.DataFrame([CALM]).iloc[:0]
    assert set(limit_violations(trades, exposure, venue_contracts("binance")).values()) == {0}


def test_an_unknown_symbol_is_refused() -> None:
    with pytest.raises(MissingDataError, match="DOGEUSDT"):
        found({"symbol": "DOGEUSDT"})
