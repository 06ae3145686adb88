"""Check of a finished backtest against the hard limits, using only its ledger.

The limits are written here once more on purpose, independently of the rules of the gate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from slackwater.errors import ContractError, MissingDataError
from slackwater.market.contracts import Contract
from slackwater.market.rounding import round_down

__all__ = ["limit_violations", "require_limits"]

_ROUNDING = 1e-9
#: Fees, slippage, and the gap between the last trade and the mark, at ten times the equity.
_COST_OF_OPENING = 0.05


def limit_violations(trades: pd.DataFrame, exposure: pd.DataFrame, contracts: Mapping[str, Contract]) -> dict[str, int]:
    """Count the trades, and the openings of positions, that break a hard limit.

    Parameters
    ----------
    trades
        As from `slackwater.trading.ledger.Ledger.trades`.
    exposure
        As in `slackwater.trading.backtest.BacktestResult`; its table without rows where trades share no account.
    contracts
        Facts by symbol.

    Returns
    -------
    dict
        Rule to the number of violations: ``margin_leverage`` above 10, ``total_notional`` above 10 times equity,
        ``risk`` above 2 % of equity with fees and slippage, ``open_risk`` above 4 %, ``stop_side``, ``stop_distance``
        above 8 % of price, ``target_side``, ``liquidation_before_stop``, ``rounded_up`` (no whole number of lots),
        ``throttle`` (a multiplier outside of (0, 1]), ``ruin_on_record`` (less than nothing left, and no liquidation).
        NaN counts as a violation.

    Raises
    ------
    MissingDataError
        If a symbol has no contract.

    Notes
    -----
    The gate sees the account before a position is opened, at the price that is traded; the exposure is recorded after
    its entry costs, at the mark. Both sums are therefore counted at openings only, and may exceed their limit by a
    twentieth.
    """
    unknown = sorted(set(trades["symbol"]) - set(contracts))
    if unknown:
        raise MissingDataError(f"no contract of {', '.join(unknown)}")
    side, entry, stop = trades["side"], trades["entry"], trades["stop"]
    equity = trades["risk_usd"] / trades["risk_fraction"]
    whole = [
        math.isfinite(quantity) and quantity == round_down(quantity, contracts[symbol].lot_size)
        for symbol, quantity in zip(trades["symbol"], trades["quantity"], strict=True)
    ]
    opened = exposure["n_positions"].diff().fillna(exposure["n_positions"]) > 0
    # Conditions are stated positively and negated, so NaN counts as a violation.
    kept = {
        "margin_leverage": trades["leverage"] <= 10,
        "total_notional": ~opened | (exposure["leverage"] <= 10.0 * (1.0 + _COST_OF_OPENING)),
        "risk": trades["risk_fraction"] <= 0.02 * (1.0 + _ROUNDING),
        "open_risk": ~opened | (exposure["open_risk_fraction"] <= 0.04 * (1.0 + _COST_OF_OPENING)),
        "stop_side": side * (entry - stop) > 0.0,
        "stop_distance": side * (entry - stop) <= 0.08 * entry * (1.0 + _ROUNDING),
        "target_side": side * (trades["target"] - entry) > 0.0,
        "liquidation_before_stop": side * (stop - trades["liquidation_price"]) > 0.0,
        "rounded_up": pd.Series(whole, dtype=bool),
        "throttle": trades["risk_multiplier"].between(0.0, 1.0, inclusive="right"),
        "ruin_on_record": (equity + trades["net_usd"] >= 0.0) | (trades["exit_reason"] == "liquidation"),
    }
    broken = {name: ~held for name, held in kept.items()}
    return {name: int(np.sum(rows)) for name, rows in broken.items()}


def require_limits(violations: Mapping[str, int]) -> None:
    """Raise ContractError if a count is not 0: such a result is a bug, and must not be published."""
    broken = {name: count for name, count in violations.items() if count}
    if broken:
        raise ContractError(f"the backtest broke hard limits: {broken}; report this as a bug")
