"""Fills and exits of paper trades against those of the backtest, and against the bars of history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from slackwater.journal.event import Kind
from slackwater.journal.trades import late_funding
from slackwater.paper.reconcile.differences import Cause, Difference
from slackwater.paper.reconcile.replayed import Entered, Key, Replayed
from slackwater.times import MINUTE_US, epoch_us, timestamp
from slackwater.trading.decision import TradePlan
from slackwater.trading.price_path import PricePath

__all__ = ["PaperTrade", "paper_trades", "trade_differences"]

_CENT: Final = 0.01
_SHARE: Final = 1e-9


@dataclass(frozen=True, kw_only=True)
class PaperTrade:
    """A closed trade of the account: its plan, the row of its exit, and the funding that became known after it."""

    plan: TradePlan
    row: Mapping[str, Any]
    late_funding_usd: float

    @property
    def funding_usd(self) -> float:
        """All funding that it paid, USDT."""
        return float(self.row["funding_usd"]) + self.late_funding_usd

    @property
    def entered(self) -> Entered:
        """Its fill."""
        return Entered(self.plan, float(self.row["entry"]), self.filled_us)

    @property
    def filled_us(self) -> int:
        """Time of the fill, microseconds since 1970."""
        return epoch_us(self.row["entry_time"])

    @property
    def ended_us(self) -> int:
        """Time of the exit, microseconds since 1970."""
        return epoch_us(self.row["exit_time"])


def paper_trades(account: Replayed) -> dict[Key, PaperTrade]:
    """Return the closed trades of an account by symbol and bar close of their scores."""
    ended = [event for event in account.events.values() if event.kind is Kind.EXIT]
    paid = [event.payload for event in account.events.values() if event.kind is Kind.FUNDING]
    late = late_funding([event.payload for event in ended], paid)
    out = {}
    for event in ended:
        key = (event.symbol, epoch_us(event.payload["event_time"]))
        plan = account.asked[key].decision
        if isinstance(plan, TradePlan):
            out[key] = PaperTrade(plan=plan, row=event.payload, late_funding_usd=late.get(event.payload["trade"], 0.0))
    return out


def trade_differences(
    account: Replayed,
    trades: Mapping[Key, PaperTrade],
    history: Mapping[Key, Mapping[str, Any]],
    paths: Mapping[str, PricePath],
) -> Iterator[Difference]:
    """Yield fills and exits that history contradicts, and where trades that both have closed differ.

    Parameters
    ----------
    account
        Inputs of the account.
    trades
        Its trades.
    history
        Rows of the trades of the backtest.
    paths
        Bars of history by symbol.
    """
    for key in sorted(trades, key=lambda key: key[::-1]):
        ours, path = trades[key], paths.get(key[0])
        if path is None:
            continue
        impossible = _impossible(ours, path, account)
        if impossible is not None:
            yield _difference("exit", key, *impossible)
        if key in history:
            yield from _compared(key, ours, history[key], path, settled=impossible is not None)
    for key, entered in account.open.items():
        path = paths.get(key[0])
        untraded = None if path is None else _untraded(entered, path, account)
        if untraded is not None:
            yield _difference("entry", key, *untraded)


def _compared(
    key: Key, ours: PaperTrade, theirs: Mapping[str, Any], path: PricePath, *, settled: bool
) -> Iterator[Difference]:
    row = ours.row
    if row["entry"] != theirs["entry"]:
        text = f"filled at {row['entry']:.9g}, in the backtest at {theirs['entry']:.9g}, the open of its entry bar"
        yield _difference("entry", key, Cause.BOOK, text)
    if (row["exit_reason"], row["exit"]) != (theirs["exit_reason"], theirs["exit"]) and not settled:
        text = (
            f"{row['exit_reason']} at {row['exit']:.9g} ({row['exit_time']}), in the backtest {theirs['exit_reason']} "
            f"at {theirs['exit']:.9g} ({theirs['exit_time']})"
        )
        within = row["exit_reason"] != theirs["exit_reason"] and _touches_both(ours, path)
        yield _difference("exit", key, Cause.WITHIN if within else Cause.BOOK, text)
    rates = [each["fees_usd"] / (each["quantity"] * (each["entry"] + each["exit"])) for each in (row, theirs)]
    if abs(rates[0] - rates[1]) > _SHARE:
        yield _difference("fee", key, Cause.FEE, f"{rates[0]:.6%} per order, in the backtest {rates[1]:.6%}")
    yield from _funding(key, ours, path)


def _impossible(ours: PaperTrade, path: PricePath, account: Replayed) -> tuple[Cause, str] | None:
    """Return why the bars of history contradict a trade: a price that was not traded, or an exit that came too late."""
    untraded = _untraded(ours.entered, path, account)
    if untraded is not None:
        return untraded
    side, plan, row = int(ours.plan.side), ours.plan, ours.row
    reason = str(row["exit_reason"])
    first, last = _bar_of(path, ours.filled_us), _bar_of(path, ours.ended_us)
    between = slice(first + 1, max(last, first + 1))  # whole bars, and not that of the exit
    marked = path.mark_low if side > 0 else -path.mark_high
    worst, best = (path.low, path.high) if side > 0 else (-path.high, -path.low)
    ended = (worst[between] <= side * plan.stop) | (best[between] > side * plan.target)
    if ended.any():
        when = timestamp(int(path.open_time[between][np.argmax(ended)]))
        text = f"{reason} at {row['exit_time']}, and the bar of {when} has reached its stop or its target before"
        return _why(account, plan.symbol, path, ours.filled_us, ours.ended_us, text)
    near = slice(max(last - 1, first), last + 2)
    reached = {
        "stop": worst[near].min() <= side * plan.stop,
        "target": best[near].max() > side * plan.target,
        "time": True,
        "liquidation": min(worst[near].min(), marked[near].min()) <= side * float(row["liquidation_price"]),
    }
    if not reached[reason]:
        text = f"{reason} at {row['exit_time']}, and no bar of history has reached it"
        return _why(account, plan.symbol, path, ours.filled_us, ours.ended_us, text)
    return None


def _untraded(entered: Entered, path: PricePath, account: Replayed) -> tuple[Cause, str] | None:
    """Return why no bar of history between decision and fill has the price of a fill; None if one has."""
    asked_us = epoch_us(entered.plan.decided_at)
    bars = slice(_bar_of(path, asked_us), _bar_of(path, entered.filled_us) + 1)
    if path.low[bars].min() <= entered.price <= path.high[bars].max():
        return None
    text = f"nothing was traded at its entry, {entered.price:.9g}"
    return _why(account, entered.plan.symbol, path, asked_us, entered.filled_us, text)


def _why(account: Replayed, symbol: str, path: PricePath, start_us: int, end_us: int, text: str) -> tuple[Cause, str]:
    """Return whether bars that the account lacked, had otherwise or too late explain a contradiction."""
    rows = [each for each in account.rows.get(account.finest, []) if each.row["symbol"] == symbol]
    seen = {epoch_us(each.row["open_time"]): each for each in rows}
    first, last = _bar_of(path, start_us), _bar_of(path, end_us)
    for at in range(first, min(last + 1, len(path.open_time))):
        opened = int(path.open_time[at])
        if opened not in seen:
            return Cause.MISSING, f"{text}; the bar of {timestamp(opened)} never came"
        row = seen[opened].row
        if any(float(row[name]) != float(getattr(path, name)[at]) for name in ("high", "low")):
            return Cause.RESTATED, f"{text}; the bar of {timestamp(opened)} came with other values"
        if seen[opened].known_us - int(path.close_time[at]) > MINUTE_US:
            return Cause.LATE, f"{text}; the bar of {timestamp(opened)} came late"
    return Cause.UNEXPLAINED, text


def _touches_both(ours: PaperTrade, path: PricePath) -> bool:
    """Return whether the bar of the exit, or the one of the fill, touches stop and target."""
    plan = ours.plan
    low, high = sorted((plan.stop, plan.target))
    bars = {_bar_of(path, ours.ended_us), _bar_of(path, ours.filled_us)}
    return any(path.low[at] <= low and path.high[at] >= high for at in bars)


def _funding(key: Key, ours: PaperTrade, path: PricePath) -> Iterator[Difference]:
    due = path.funding_usd(
        side=int(ours.plan.side), quantity=ours.plan.quantity, start_us=ours.filled_us, end_us=ours.ended_us
    )
    off = abs(ours.funding_usd - due)
    if off <= _CENT:
        return
    text = f"paid {ours.funding_usd:.4f} USDT, by the settlements of history {due:.4f}"
    # Both value a settlement at a mark price, of which there are two within a minute.
    cause = Cause.BOOK if due and off <= 0.05 * abs(due) else Cause.MISSING
    yield _difference("funding", key, cause, text)


def _bar_of(path: PricePath, time_us: int) -> int:
    """Return the bar in progress at a time, the nearest one outside of the path."""
    at = int(path.open_time.searchsorted(time_us, side="right")) - 1
    return min(max(at, 0), len(path.open_time) - 1)


def _difference(what: str, key: Key, cause: Cause, text: str) -> Difference:
    return Difference(what, key[0], timestamp(key[1]), cause, text)
