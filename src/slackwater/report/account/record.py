"""Content of a journal about one account, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.journal.chain import Verified, verify_chain
from slackwater.journal.errors import BrokenChainError
from slackwater.journal.event import Kind
from slackwater.journal.review import Review, review_account
from slackwater.journal.store import Journal
from slackwater.journal.trades import closed_trades, exits, payloads

__all__ = ["AccountRecord"]

_NUMBERS: Final = (
    *("entry", "exit", "stop", "target", "liquidation_price", "quantity", "notional_usd", "leverage", "risk_usd"),
    *("risk_fraction", "reward_risk", "p_direction", "p_trade", "p_trade_low", "expectancy_low", "risk_multiplier"),
    *("drawdown", "gross_usd", "fees_usd", "slippage_usd", "latency_usd", "funding_usd", "net_usd", "net_bps", "net_r"),
    *("mae_r", "mfe_r"),
)
_TEXTS: Final = ("trade", "symbol", "triggers", "binding", "stop_level", "target_level", "exit_reason")
_NOTE: Final = ("state_of_mind", "plan_followed", "grade", "text", "noted_late")


@dataclass(frozen=True, kw_only=True)
class AccountRecord:
    """One account of a journal.

    Parameters
    ----------
    account, synthetic
        Name, and whether its market is simulated.
    chain, fault
        The walk along the chain of the whole journal, and why it does not hold; one of them is empty.
    bundles
        Digests of the bundles that decided.
    trades
        Closed trades in the order of their exits: the row of the ledger, `mae_r` and `mfe_r`, the answers of the last
        note, `planned_entry` (USDT), and `equity_after` (USDT, NaN where not known).
    plans, scores, refusals, forgone, fills, watches, faults, alarms
        Payloads of the events with `symbol` and `ts_ns`, in the order of the journal; plans by trade.
    initial_equity
        Cash at the start, USDT; None where it is not known.
    review
        Where model, user and rules are consistently wrong.
    """

    account: str
    synthetic: bool
    chain: Verified | None
    fault: str
    bundles: tuple[str, ...]
    trades: pd.DataFrame
    plans: Mapping[str, Mapping[str, Any]]
    scores: list[dict[str, Any]]
    refusals: list[dict[str, Any]]
    forgone: list[dict[str, Any]]
    fills: list[dict[str, Any]]
    watches: list[dict[str, Any]]
    faults: list[dict[str, Any]]
    alarms: list[dict[str, Any]]
    initial_equity: float | None
    review: Review

    @classmethod
    def read(cls, journal: Journal, account: str, *, synthetic: bool) -> AccountRecord:
        """Read it; a chain that does not hold is a fault of the record, and not an error.

        Raises
        ------
        JournalError
            If the file is damaged.
        """
        chain, fault = None, ""
        try:
            chain = verify_chain(journal)
        except BrokenChainError as error:
            fault = str(error)
        plans = {row["trade"]: row for row in payloads(journal, account, Kind.PLAN)}
        watches = payloads(journal, account, Kind.WATCH)
        initial = _initial_equity(watches, plans)
        bundles = journal.rows("SELECT DISTINCT bundle_sha FROM event WHERE account = ? AND bundle_sha <> ''", account)
        kinds = {
            "scores": Kind.SCORE, "refusals": Kind.REFUSAL, "forgone": Kind.FORGONE, "fills": Kind.FILL,
            "faults": Kind.DATA_FAULT, "alarms": Kind.ALARM,
        }  # fmt: skip
        return cls(
            account=account,
            synthetic=synthetic,
            chain=chain,
            fault=fault,
            bundles=tuple(sorted(sha for (sha,) in bundles)),
            trades=_trades(journal, account, plans, initial),
            plans=plans,
            watches=watches,
            initial_equity=initial,
            review=review_account(journal, account, synthetic=synthetic),
            **{name: payloads(journal, account, kind) for name, kind in kinds.items()},
        )

    @property
    def span(self) -> tuple[pd.Timestamp, pd.Timestamp] | None:
        """First and last time of an event; None where there is none."""
        rows = [*self.plans.values(), *self.scores, *self.refusals, *self.fills, *self.watches, *self.faults]
        found = [row["ts_ns"] for row in rows] + list(self.trades["ts_ns"])
        return (moment(min(found)), moment(max(found))) if found else None

    @property
    def without_end(self) -> list[Mapping[str, Any]]:
        """Plans that have no exit: orders that were not filled, and positions that are open."""
        closed = set(self.trades["trade"])
        return [plan for trade, plan in self.plans.items() if trade not in closed]


def moment(ts_ns: int) -> pd.Timestamp:
    """Return a time of the journal as a time stamp, UTC."""
    return pd.Timestamp(ts_ns, unit="ns", tz="UTC")


def _initial_equity(watches: list[dict[str, Any]], plans: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Return the cash at the start: of the settings of the process, else of the first plan."""
    for settings in (row.get("settings") or {} for row in watches):
        if isinstance(settings.get("equity"), (int, float)):
            return float(settings["equity"])
    first = next(iter(plans.values()), {}).get("equity")
    return float(first) if isinstance(first, (int, float)) else None


def _trades(
    journal: Journal, account: str, plans: Mapping[str, Mapping[str, Any]], initial: float | None
) -> pd.DataFrame:
    rows = []
    for row in exits(journal, account):
        plan = plans.get(row["trade"], {})
        rows.append(
            {"ts_ns": row["ts_ns"], "side": int(row["side"]), "funding_known": row.get("funding_known")}
            | {name: row.get(name) for name in (*_NUMBERS, *_TEXTS)}
            | {name: pd.Timestamp(row[name]) for name in ("event_time", "entry_time", "exit_time")}
            | {"planned_entry": plan.get("entry"), "bankruptcy_price": plan.get("bankruptcy_price")}
            | {"p_fair": plan.get("p_fair")}
        )
    times = dict.fromkeys(("event_time", "entry_time", "exit_time"), "datetime64[ns, UTC]")
    numbers = dict.fromkeys((*_NUMBERS, "planned_entry", "bankruptcy_price", "p_fair"), np.float64)
    columns = ["ts_ns", "side", "funding_known", *_TEXTS, *times, *numbers]
    table = pd.DataFrame(rows, columns=columns).astype(numbers | times | {"ts_ns": np.int64, "side": np.int64})
    noted = closed_trades(journal, account)[["trade", *_NOTE]]
    table = table.merge(noted, on="trade", how="left", validate="1:1").sort_values("ts_ns", kind="stable")
    start = np.nan if initial is None else initial
    return table.assign(equity_after=start + np.cumsum(table["net_usd"].to_numpy())).reset_index(drop=True)
