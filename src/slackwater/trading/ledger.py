"""Ledger of an account: every trade from plan to exit, every refusal with its reasons, and the resulting equity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError
from slackwater.trading.decision import Refusal, TradePlan

__all__ = ["EXIT_REASONS", "ClosedTrade", "Ledger", "trades_table"]

EXIT_REASONS = ("time", "target", "stop", "liquidation")
_BPS = 1e4
_TIME = "datetime64[us, UTC]"
_TYPES = {
    **dict.fromkeys(("event_time", "entry_time", "exit_time"), _TIME),
    **dict.fromkeys(("symbol", "triggers", "binding", "stop_level", "target_level", "exit_reason"), "str"),
    "side": "int8",
    "leverage": "int64",
    "funding_known": "bool",
}
_TRADE_COLUMNS = {
    name: _TYPES.get(name, "float64")
    for name in (
        *("symbol", "event_time", "triggers", "entry_time", "exit_time", "side", "entry", "exit", "stop", "target"),
        *("liquidation_price", "quantity", "notional_usd", "leverage", "binding", "risk_usd"),
        *("risk_fraction", "reward_risk", "p_direction", "p_trade", "p_trade_low", "expectancy_low"),
        *("stop_level", "target_level", "risk_multiplier", "drawdown", "exit_reason", "gross_usd"),
        *("fees_usd", "slippage_usd", "latency_usd", "funding_usd", "funding_known", "net_usd", "gross_bps", "net_bps"),
        *("net_r", "equity_after"),
    )
}
_REFUSAL_COLUMNS = {
    **dict.fromkeys(("symbol", "triggers"), "str"),
    **dict.fromkeys(("event_time", "decided_at"), _TIME),
    **dict.fromkeys(("code", "message"), "str"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedTrade:
    """One trade from its plan to its exit.

    Parameters
    ----------
    plan
        The decision.
    entry_time, exit_time
        Open of the entry bar and close of the exit bar, UTC.
    exit_price
        Market price of the exit before slippage, USDT. A liquidation ends at the bankruptcy price, where the margin
        is lost, or at the mark where funding has used up the account.
    exit_reason
        ``time``, ``target``, ``stop`` or ``liquidation``.
    funding_usd
        Paid over the holding time, USDT; negative if received.
    held_until, gone_after
        The position was open until the first for certain, and no longer after the second
        (`slackwater.trading.price_path.Exit`); None: both are the exit time.
    funding_known
        Whether the settled rates cover the holding time; if not, `funding_usd` and the net result lack what is unknown.
    filled
        Market price of the fill before slippage, USDT, where it is not that of the plan; None: `plan.entry`.

    Raises
    ------
    ParameterError
        If the exit reason is unknown.

    Notes
    -----
    Prices are those of the market; `slippage_usd` holds the cost of an order beyond them. So
    ``gross_usd = side × quantity × (exit - entry)`` and ``net = gross - fees - slippage - funding``.
    """

    plan: TradePlan
    entry_time: datetime
    exit_time: datetime
    exit_price: float
    exit_reason: str
    funding_usd: float
    held_until: datetime | None = None
    gone_after: datetime | None = None
    funding_known: bool = True
    filled: float | None = None

    def __post_init__(self) -> None:
        if self.exit_reason not in EXIT_REASONS:
            raise ParameterError(f"`exit_reason` must be one of {', '.join(EXIT_REASONS)}, was {self.exit_reason!r}")

    @property
    def entry_price(self) -> float:
        """Market price of the entry before slippage, USDT."""
        return float(self.plan.entry if self.filled is None else self.filled)

    @property
    def gross_usd(self) -> float:
        """Gain before costs, USDT."""
        return self.plan.side * self.plan.quantity * (self.exit_price - self.entry_price)

    @property
    def entry_costs_usd(self) -> float:
        """Fee and slippage of the entry, USDT."""
        notional = self.plan.notional_usd if self.filled is None else self.plan.quantity * self.filled
        return float(notional * (self.plan.costs.fee_fraction + self.plan.costs.entry_slippage))

    @property
    def fees_usd(self) -> float:
        """Fees of both orders, USDT."""
        return self.plan.costs.fee_fraction * self.plan.quantity * (self.entry_price + self.exit_price)

    @property
    def slippage_usd(self) -> float:
        """Spread, impact, stop slippage and latency of both orders, USDT; a target rests and has none."""
        plan, costs = self.plan, self.plan.costs
        at_exit = {"time": costs.exit_slippage, "stop": costs.stop_slippage}.get(self.exit_reason, 0.0)
        return float(plan.quantity * (self.entry_price * costs.entry_slippage + self.exit_price * at_exit))

    @property
    def net_usd(self) -> float:
        """Gain after all costs, USDT."""
        return self.gross_usd - self.fees_usd - self.slippage_usd - self.funding_usd

    def to_row(self) -> dict[str, Any]:
        """Return the trade as a row of the trades table, without `equity_after`."""
        plan = self.plan
        values = plan.flat() | {
            "entry_time": self.entry_time,
            "exit_time": self.exit_time,
            "entry": self.entry_price,
            "exit": self.exit_price,
            "exit_reason": self.exit_reason,
            "gross_usd": self.gross_usd,
            "fees_usd": self.fees_usd,
            "slippage_usd": self.slippage_usd,
            "latency_usd": plan.notional_usd * plan.costs.latency_slippage,
            "funding_usd": self.funding_usd,
            "funding_known": self.funding_known,
            "net_usd": self.net_usd,
            "gross_bps": _BPS * self.gross_usd / plan.notional_usd,
            "net_bps": _BPS * self.net_usd / plan.notional_usd,
            "net_r": self.net_usd / plan.risk_usd,
        }
        return {name: values[name] for name in _TRADE_COLUMNS if name in values}


def trades_table(trades: Iterable[ClosedTrade]) -> pd.DataFrame:
    """Return one row per trade, in the order given, with the columns of `Ledger.trades` but `equity_after`.

    For trades that do not share an account.
    """
    columns = {name: dtype for name, dtype in _TRADE_COLUMNS.items() if name != "equity_after"}
    return _table([trade.to_row() for trade in trades], columns)


class Ledger:
    """Collect trades and refusals in the order in which they become known.

    Parameters
    ----------
    initial_equity
        Cash at the start, USDT, > 0.
    start
        Time of the first row of the equity table, UTC.

    Raises
    ------
    ParameterError
        If `initial_equity` is not positive and finite.
    """

    def __init__(self, *, initial_equity: float, start: datetime) -> None:
        if not 0.0 < initial_equity < float("inf"):
            raise ParameterError(f"`initial_equity` must be positive and finite, was {initial_equity}")
        self._times: list[datetime] = [start]
        self._equity: list[float] = [float(initial_equity)]
        self._trades: list[dict[str, Any]] = []
        self._refusals: list[Refusal] = []

    @property
    def cash(self) -> float:
        """Initial equity and the net gains of all closed trades, USDT."""
        return self._equity[-1]

    def record_trade(self, trade: ClosedTrade) -> None:
        """Record a trade at its exit; trades must come in the order of their exits."""
        self._times.append(trade.exit_time)
        self._equity.append(self.cash + trade.net_usd)
        self._trades.append({**trade.to_row(), "equity_after": self.cash})

    def record_refusal(self, refusal: Refusal) -> None:
        """Record a refusal."""
        self._refusals.append(refusal)

    def trades(self) -> pd.DataFrame:
        """Return one row per closed trade, in the order of exits.

        Columns ending in `_usd` are USDT, in `_bps` basis points of the entry notional, `net_r` multiples of
        `risk_usd`. Times are UTC; `side` is +1 long, -1 short; `risk_fraction` is of the equity at the
        decision; `latency_usd` is part of `slippage_usd`.
        """
        return _table(self._trades, _TRADE_COLUMNS)

    def refusals(self) -> pd.DataFrame:
        """Return one row per reason, with its code and message and the triggers, by event time and symbol."""
        rows = [
            {
                "symbol": refusal.symbol,
                "triggers": "+".join(refusal.triggers),
                "event_time": refusal.event_time,
                "decided_at": refusal.decided_at,
                "code": reason.code,
                "message": reason.message,
            }
            for refusal in self._refusals
            for reason in refusal.reasons
        ]
        table = _table(rows, _REFUSAL_COLUMNS)
        return table.sort_values(["event_time", "symbol"], kind="stable", ignore_index=True)

    def equity(self) -> pd.DataFrame:
        """Return time (UTC), equity_usd after each exit, and drawdown as a fraction of the peak so far."""
        rows = [{"time": time, "equity_usd": equity} for time, equity in zip(self._times, self._equity, strict=True)]
        table = _table(rows, {"time": _TIME, "equity_usd": "float64"})
        values = table["equity_usd"].to_numpy()
        table["drawdown"] = 1.0 - values / np.maximum.accumulate(values)
        return table


def _table(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Build a table whose columns and types are the same with many rows and with none."""
    series = {}
    for name, dtype in columns.items():
        values = [row[name] for row in rows]
        if dtype == _TIME:
            series[name] = pd.to_datetime(pd.Series(values, dtype="object"), utc=True).dt.as_unit("us")
        else:
            series[name] = pd.Series(values, dtype=dtype)
    return pd.DataFrame(series)
