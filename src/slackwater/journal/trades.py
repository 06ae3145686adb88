"""Tables of an account of a journal: its closed trades with their notes, and what its rules have refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.journal.errors import JournalError
from slackwater.journal.event import Kind
from slackwater.journal.store import Journal

__all__ = ["chosen_account", "closed_trades", "exits", "forgone_by_day", "late_funding", "latest_notes", "payloads"]

DAY_NS: Final = 86_400 * 10**9
_PLAN_FIELDS: Final = ("volatility_daily",)
_NOTE_FIELDS: Final = ("state_of_mind", "plan_followed", "grade", "text")
_FROM_EXIT: Final = (
    *("trade", "event_time", "entry_time", "exit_time", "triggers", "side", "exit_reason", "net_r", "mae_r", "mfe_r"),
    *("p_trade", "reward_risk", "funding_usd", "net_usd"),
)
_NUMBERS: Final = ("net_r", "mae_r", "mfe_r", "p_trade", "reward_risk", "funding_usd", "net_usd", *_PLAN_FIELDS)


def chosen_account(journal: Journal, account: str = "") -> tuple[str, bool]:
    """Return the account of a name, or of its first letters, and whether it is SYNTHETIC.

    Parameters
    ----------
    journal
        Open for reading.
    account
        Name or its beginning; empty where the journal has one account.

    Raises
    ------
    JournalError
        If there is no such account, or several; with the names.
    """
    there = journal.accounts()
    found = [account] if account in there else [name for name in there if name.startswith(account)]
    if len(found) != 1:
        names = ", ".join(there) or "no account yet"
        what = f"`--account` {account!r} names {len(found)} accounts" if account else "`--account` must be given"
        raise JournalError(f"{what}: {journal.path} has {names}")
    return found[0], there[found[0]]


def payloads(journal: Journal, account: str, kind: Kind) -> list[dict[str, Any]]:
    """Return the payloads of the events of a kind, with `symbol` and `ts_ns`, in the order of the journal."""
    rows = journal.rows(
        "SELECT symbol, ts_ns, payload_json FROM event WHERE account = ? AND kind = ? ORDER BY id", account, str(kind)
    )
    return [{"symbol": symbol, "ts_ns": ts_ns, **_content(journal, text)} for symbol, ts_ns, text in rows]


def _content(journal: Journal, text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise JournalError(
            f"{journal.path} holds a payload that is not JSON ({error}): run `slackwater journal verify`"
        ) from error


def late_funding(exits: Iterable[Mapping[str, Any]], funding: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the funding that became known after the exit, USDT paid, by trade; trades without any are left out.

    A settlement that a trade lived to see is charged when its rate is known, which may be after the exit. Its event is
    in the journal then, and the exit cannot be changed any more.

    Parameters
    ----------
    exits, funding
        Payloads of the exits, and of all settlements that were paid.
    """
    paid: dict[str, float] = {}
    for row in funding:
        paid[row["trade"]] = paid.get(row["trade"], 0.0) + float(row["paid_usd"])
    # Where the funding at the exit was not known, all that was paid became known later.
    return {
        row["trade"]: paid[row["trade"]] - float(row.get("funding_usd") or 0.0) for row in exits if row["trade"] in paid
    }


def exits(journal: Journal, account: str) -> list[dict[str, Any]]:
    """Return the payloads of the exits, as `payloads`, with the funding that became known after them."""
    rows = payloads(journal, account, Kind.EXIT)
    late = late_funding(rows, payloads(journal, account, Kind.FUNDING))
    return [_with_funding(row, late[row["trade"]]) if late.get(row["trade"]) else row for row in rows]


def _with_funding(row: dict[str, Any], late: float) -> dict[str, Any]:
    net, result, risk = (row.get(name) for name in ("net_usd", "net_r", "risk_usd"))
    return row | {
        "funding_usd": float(row.get("funding_usd") or 0.0) + late,
        "net_usd": None if net is None else net - late,
        "net_r": None if result is None or not risk else result - late / risk,
    }


def latest_notes(journal: Journal, account: str) -> dict[str, dict[str, Any]]:
    """Return the last note of each trade, by trade; an edit is a later note."""
    return {row["trade"]: row for row in payloads(journal, account, Kind.NOTE)}


def closed_trades(journal: Journal, account: str) -> pd.DataFrame:
    """Return one row per closed trade, in the order of the journal.

    Returns
    -------
    DataFrame
        `trade`, `symbol`, `ts_ns` (exit, int64 nanoseconds UTC), `event_time`, `triggers` (joined by "+"), `side`
        (+1, -1), `exit_reason`; float64, NaN where not known: `net_r`, `mae_r`, `mfe_r`, `p_trade`, `reward_risk`,
        `expected_r` (the mean result that the model promised, R), `volatility_daily` (of the plan), `funding_usd`,
        `net_usd`; of the last note, missing where there is none: `state_of_mind`, `plan_followed`, `grade`, `text`, and
        `noted_late`, whether its first note was written after the exit.
    """
    plans = {row["trade"]: row for row in payloads(journal, account, Kind.PLAN)}
    notes = latest_notes(journal, account)
    first_note: dict[str, int] = {}
    for row in payloads(journal, account, Kind.NOTE):
        first_note.setdefault(row["trade"], row["ts_ns"])
    rows = []
    for row in exits(journal, account):
        plan, note = plans.get(row["trade"], {}), notes.get(row["trade"], {})
        rows.append(
            {"symbol": row["symbol"], "ts_ns": row["ts_ns"]}
            | {name: row.get(name) for name in _FROM_EXIT}
            | {name: plan.get(name) for name in _PLAN_FIELDS}
            | {name: note.get(name) for name in _NOTE_FIELDS}
            | {"noted_late": first_note.get(row["trade"], -1) > row["ts_ns"] if note else None}
        )
    columns = ["symbol", "ts_ns", *_FROM_EXIT, *_PLAN_FIELDS, *_NOTE_FIELDS, "noted_late"]
    table = pd.DataFrame(rows, columns=columns)
    table = table.astype(dict.fromkeys(_NUMBERS, np.float64) | {"ts_ns": np.int64})
    table["expected_r"] = table["p_trade"] * (1.0 + table["reward_risk"]) - 1.0
    return table


def forgone_by_day(journal: Journal, account: str) -> pd.DataFrame:
    """Return what refused trades would have earned: per codes and day, their number and their sum in R.

    Returns
    -------
    DataFrame
        `codes` (joined by "+"), `day` (days since 1970, UTC), `n`, `net_r`. Refusals without a known result are not
        among them.
    """
    rows = journal.rows(
        f"SELECT codes, ts_ns / {DAY_NS} AS day, count(net_r), total(net_r) FROM event "  # noqa: S608
        "WHERE account = ? AND kind = 'forgone' AND net_r IS NOT NULL GROUP BY codes, day",
        account,
    )
    table = pd.DataFrame(rows, columns=["codes", "day", "n", "net_r"])
    return table.astype({"codes": "str", "day": np.int64, "n": np.int64, "net_r": np.float64})
