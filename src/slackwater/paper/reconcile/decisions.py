"""Plans and refusals on paper against those of the backtest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from slackwater.paper.live_rule import LiveDataRule
from slackwater.paper.reconcile.differences import Cause, Difference
from slackwater.paper.reconcile.replayed import Asked, Key, Replayed
from slackwater.times import MINUTE_US, timestamp
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.gate import Gate

__all__ = ["decision_differences", "gate_of_history"]

Decision = TradePlan | Refusal

_LIVE: Final[Mapping[str, Cause]] = {
    "late_decision": Cause.LATE,
    "not_warm": Cause.HISTORY,
    "missing_bars": Cause.MISSING,
    "silent_tables": Cause.MISSING,
    "unproven_rows": Cause.BACKFILLED,
    "refused_rows": Cause.LATE,
}
"""Causes of the refusals of `LiveDataRule`, which history does not know; the first that fits counts."""

_CLOCK_US: Final = 10 * MINUTE_US


def gate_of_history(gate: Gate) -> Gate:
    """Return a gate without the rule on live data."""
    rules = tuple(rule for rule in gate.extra_rules if not isinstance(rule, LiveDataRule))
    return replace(gate, extra_rules=rules)


def decision_differences(
    account: Replayed,
    history: Mapping[Key, Decision],
    gate: Gate,
    scores: Mapping[Key, Difference],
    orders: Mapping[Key, tuple[float, datetime]],
) -> Iterator[Difference]:
    """Yield where paper and backtest have decided differently, in the order of time.

    Parameters
    ----------
    account
        Decisions on paper, with what the gate was asked.
    history
        Those of the backtest.
    gate
        Gate that decided in the backtest.
    scores
        Differences of scores by event: a decision that differs with its score has the same cause.
    orders
        Market price (USDT) and time of the order of each event in the backtest.
    """
    before: Difference | None = None
    for key in sorted({*account.asked, *history}, key=lambda key: key[::-1]):
        asked, theirs = account.asked.get(key), history.get(key)
        if asked is not None and theirs is not None and _alike(asked.decision, theirs):
            continue
        ours = "nothing" if asked is None else _said(asked.decision)
        text = f"on paper {ours}, in the backtest {'nothing' if theirs is None else _said(theirs)}"
        cause, why = _cause(key, asked, theirs, account, gate, scores, orders.get(key), before)
        before = Difference("decision", key[0], timestamp(key[1]), cause, f"{text}: {why}")
        yield before


def _cause(
    key: Key,
    asked: Asked | None,
    theirs: Decision | None,
    account: Replayed,
    gate: Gate,
    scores: Mapping[Key, Difference],
    order: tuple[float, datetime] | None,
    before: Difference | None,
) -> tuple[Cause, str]:
    """Return the cause of one difference, and how it follows from it."""
    if key in scores:
        return scores[key].cause, "the scores differ"
    if asked is None or theirs is None:
        return Cause.UNEXPLAINED, "only one of them has the event"
    if isinstance(asked.decision, Refusal):
        codes = set(asked.decision.codes)
        if live := next((cause for code, cause in _LIVE.items() if code in codes), None):
            near = any(0 <= asked.now_us - time <= _CLOCK_US for time in account.clock_faults)
            return (Cause.CLOCK if near else live), "refused on its live data"
    # What the gate of history says at the price of the backtest, to the account on paper.
    if order is not None:
        price, now = order
        if _alike(gate.decide(asked.score, asked.account, now=now, price=price), theirs):
            # Bars of more than a minute do not show the price at the decision: the backtest pays for the delay.
            charged = f"which charges a delay of {gate.costs.latency.total_seconds():g} s"
            return Cause.BOOK, f"the price was {asked.price} on paper, and {price} in the backtest, {charged}"
    if before is not None:
        return before.cause, f"the accounts differ since {before.symbol} at {before.event_time}"
    return Cause.UNEXPLAINED, "score, account and price are the same"


def _alike(one: Decision, other: Decision) -> bool:
    """Return whether two decisions are the same: plans of the same size, or refusals for the same reasons."""
    if isinstance(one, TradePlan) and isinstance(other, TradePlan):
        names = ("side", "entry", "stop", "target", "quantity", "leverage")
        return all(getattr(one, name) == getattr(other, name) for name in names)
    if isinstance(one, Refusal) and isinstance(other, Refusal):
        return set(one.codes) - set(_LIVE) == set(other.codes)
    return False


def _said(decision: Decision) -> str:
    if isinstance(decision, Refusal):
        return f"refused ({', '.join(decision.codes)})"
    return f"{decision.side} {decision.quantity:g} at {decision.entry:g}, stop {decision.stop:g}"
