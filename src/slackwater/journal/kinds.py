"""Events made of the project's own objects, one function per kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

from slackwater.errors import SchemaError
from slackwater.journal.event import Event, Kind, Origin, epoch_ns, trade_id

if TYPE_CHECKING:  # a process that only adds events does not pay for the scorer
    from slackwater.scoring.stream import EventScore

__all__ = [
    "alarm_event",
    "data_fault_event",
    "decision_event",
    "exit_event",
    "fill_event",
    "forgone_event",
    "funding_event",
    "order_event",
    "score_event",
    "watch_event",
]


def score_event(score: EventScore, feature_names: Sequence[str], origin: Origin) -> Event:
    """Return the event of a score at a trigger, with its context and a snapshot of every feature.

    Parameters
    ----------
    score
        As `slackwater.scoring.stream.ScoreStream.update` returns it.
    feature_names
        Names of `score.features`, in order: those of the scorer's `FeatureEngine`.
    origin
        Account and bundle.

    Raises
    ------
    SchemaError
        If there are not as many names as features.
    """
    if len(feature_names) != len(score.features):
        raise SchemaError(f"a score has {len(score.features)} features, {len(feature_names)} names were given")
    content = {each.name: getattr(score, each.name) for each in fields(score)}
    content |= {
        "context": {each.name: getattr(score.context, each.name) for each in fields(score.context)},
        "features": dict(zip(feature_names, score.features.tolist(), strict=True)),
        "quality": score.quality.to_dict(),
        "triggers": "+".join(score.triggers),
    }
    return _of_trade(Kind.SCORE, content, score.available_time, origin)


def decision_event(decision: Mapping[str, Any], origin: Origin) -> Event:
    """Return the event of a plan or of a refusal.

    Parameters
    ----------
    decision
        As `TradePlan.to_dict` and `Refusal.to_dict` return it, and as it is in ``reports/journal.jsonl``.
    origin
        Account and bundle.
    """
    kind = {"plan": Kind.PLAN, "refusal": Kind.REFUSAL}[decision["decision"]]
    content = {name: value for name, value in decision.items() if name != "decision"}
    return _of_trade(kind, content, _time(decision["decided_at"]), origin)


def exit_event(row: Mapping[str, Any], *, mae_r: float, mfe_r: float, origin: Origin) -> Event:
    """Return the event of the end of a trade.

    Parameters
    ----------
    row
        As `ClosedTrade.to_row` returns it, or a row of `Ledger.trades`.
    mae_r, mfe_r
        Largest loss and largest gain while the position was open, before costs, in R, >= 0; NaN if unknown.
    origin
        Account and bundle.
    """
    return _of_trade(Kind.EXIT, {**row, "mae_r": mae_r, "mfe_r": mfe_r}, row["exit_time"], origin)


def forgone_event(
    *, symbol: str, event_time: datetime, known_time: datetime, codes: Sequence[str], net_r: float, origin: Origin
) -> Event:
    """Return the event of what a refused trade would have earned: the ledger of the rules.

    Parameters
    ----------
    symbol, event_time
        Those of the refusal.
    known_time
        Time at which the trade would have ended, UTC.
    codes
        Codes of the reasons of the refusal.
    net_r
        Result after costs, in R.
    origin
        Account and bundle.
    """
    content = {"symbol": symbol, "event_time": event_time, "codes": "+".join(sorted(set(codes))), "net_r": net_r}
    return _of_trade(Kind.FORGONE, content, known_time, origin)


def order_event(
    *,
    trade: str,
    symbol: str,
    time: datetime,
    order: str,
    role: str,
    side: int,
    quantity: float,
    price: float,
    origin: Origin,
) -> Event:
    """Return the event of an order that was sent.

    Parameters
    ----------
    trade
        Name of the trade (`slackwater.journal.event.trade_id`).
    symbol, time
        Symbol, and time of the order, UTC.
    order
        Name of the order, unique within the trade.
    role
        ``entry``, ``stop``, ``target`` or ``time``.
    side, quantity, price
        +1 to buy, -1 to sell; coins; limit or trigger, USDT, NaN for an order at the market.
    origin
        Account and bundle.
    """
    content = {"trade": trade, "order": order, "role": role, "side": side, "quantity": quantity, "price": price}
    return _event(Kind.ORDER, f"{trade}/{order}", time, symbol, content, origin)


def fill_event(
    *,
    trade: str,
    symbol: str,
    time: datetime,
    order: str,
    fill: str,
    quantity: float,
    price: float,
    fee_usd: float,
    origin: Origin,
) -> Event:
    """Return the event of a fill.

    Parameters
    ----------
    trade, symbol, time, order, origin
        As for `order_event`.
    fill
        Name of the fill, unique within the order.
    quantity, price, fee_usd
        Coins, USDT per coin, and USDT paid.
    """
    content = {"trade": trade, "order": order, "quantity": quantity, "price": price, "fee_usd": fee_usd}
    return _event(Kind.FILL, f"{trade}/{order}/{fill}", time, symbol, content, origin)


def funding_event(*, trade: str, symbol: str, time: datetime, rate: float, paid_usd: float, origin: Origin) -> Event:
    """Return the event of one settlement of funding.

    Parameters
    ----------
    trade, symbol, origin
        As for `order_event`.
    time
        Time of the settlement, UTC.
    rate, paid_usd
        Fraction of the notional, positive when longs pay; USDT paid, negative if received.
    """
    content = {"trade": trade, "rate": rate, "paid_usd": paid_usd}
    return _event(Kind.FUNDING, f"{trade}/{epoch_ns(time)}", time, symbol, content, origin)


def data_fault_event(*, symbol: str, time: datetime, table: str, rule: str, message: str, origin: Origin) -> Event:
    """Return the event of a fault of the data.

    Parameters
    ----------
    symbol, time
        Symbol, empty if it concerns all, and time at which it was found, UTC.
    table, rule, message
        Table, name of the broken rule (docs/data_quality.md), and a sentence.
    origin
        Account and bundle.
    """
    content = {"table": table, "rule": rule, "message": message}
    key = f"{origin.account}/{symbol}/{table}/{rule}/{epoch_ns(time)}"
    return _event(Kind.DATA_FAULT, key, time, symbol, content, origin)


def alarm_event(
    *, symbol: str, time: datetime, alarm: str, episode: str, state: str, message: str, origin: Origin
) -> Event:
    """Return the event of an alarm.

    Parameters
    ----------
    symbol, time
        Symbol, and time at which it was known, UTC.
    alarm
        ``crowding``, ``pool``, ``sweep`` or ``drift``.
    episode
        Name that all its events have in common.
    state
        ``begins``, ``continues`` or ``ends``.
    message
        One sentence.
    origin
        Account and bundle.
    """
    content = {"alarm": alarm, "episode": episode, "state": state, "message": message}
    return _event(Kind.ALARM, f"{origin.account}/{episode}/{state}/{epoch_ns(time)}", time, symbol, content, origin)


def watch_event(*, time: datetime, state: str, code: str, settings: Mapping[str, Any], origin: Origin) -> Event:
    """Return the event of a process that trades on paper.

    Parameters
    ----------
    time
        When it began or ended, UTC.
    state
        ``begins``, ``continues`` (after a stop) or ``ends``.
    code
        Version and digest of the code.
    settings
        Settings by name.
    origin
        Account and bundle.
    """
    content = {"state": state, "code": code, "settings": dict(settings)}
    return _event(Kind.WATCH, f"{origin.account}/{state}/{epoch_ns(time)}", time, "", content, origin)


def _of_trade(kind: Kind, content: Mapping[str, Any], time: datetime, origin: Origin) -> Event:
    """Return an event of which there is one per score."""
    symbol = content["symbol"]
    trade = trade_id(origin.account, symbol, _time(content["event_time"]))
    named = {name: value for name, value in content.items() if name != "symbol"}
    return _event(kind, trade, time, symbol, named | {"trade": trade}, origin)


def _event(kind: Kind, key: str, time: datetime, symbol: str, content: Mapping[str, Any], origin: Origin) -> Event:
    return Event(kind=kind, key=f"{kind}/{key}", ts_ns=epoch_ns(time), symbol=symbol, origin=origin, payload=content)


def _time(value: datetime | str) -> datetime:
    return datetime.fromisoformat(value) if isinstance(value, str) else value
