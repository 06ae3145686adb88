"""The view of a desk: its state as a person reads it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from slackwater.journal.event import Event, Kind
from slackwater.market.spec import FrameSpec
from slackwater.paper.desk import Desk
from slackwater.paper.position import Position
from slackwater.paper.view import Candle, PoolView, PositionView, StreamView, SymbolView, View
from slackwater.scoring.stream import EventScore
from slackwater.times import DAY_US, MINUTE, epoch_us, microseconds

__all__ = ["Viewer"]

_KEPT: Final = 50
_BARS_LATE: Final = 2
_LONGEST_AGES: Final[Mapping[str, timedelta]] = {"mark_price": 4 * MINUTE, "fine_bars": 4 * MINUTE}
"""Ages at which tables without inputs count as silent; those with inputs have their staleness."""


class Viewer:
    """Maker of views.

    Parameters
    ----------
    desk
        What is looked at.
    venue
        Name of the venue.
    """

    def __init__(self, desk: Desk, venue: str) -> None:
        self._desk, self._venue = desk, venue
        self._recent: deque[tuple[float, str]] = deque(maxlen=_KEPT)
        self._faults: deque[tuple[float, str]] = deque(maxlen=_KEPT)
        self._decided: dict[str, tuple[float, str]] = {}
        self._events: dict[str, Mapping[str, Any]] = {}
        self._latest: View | None = None

    def take(self, events: Iterable[Event]) -> None:
        """Take note of journalled events."""
        for event in events:
            time = event.ts_ns / 1e9
            if event.kind is Kind.DATA_FAULT:
                self._faults.appendleft((time, str(event.payload["message"])))
                continue
            text = _sentence(event)
            if text:
                self._recent.appendleft((time, text))
            if event.kind in (Kind.PLAN, Kind.REFUSAL):
                self._decided[event.symbol] = (time, text.removeprefix(f"{event.symbol} "))
            elif event.kind is Kind.SCORE:  # not the last score of the symbol: a decision may be of an earlier bar
                self._events[event.symbol] = event.payload

    def latest(self) -> View | None:
        """Return the last view that was made; None before the first."""
        return self._latest

    def refresh(self, now_us: int) -> View:
        """Return the view at a time, in microseconds since 1970."""
        self._latest = self._view(now_us)
        return self._latest

    def _view(self, now_us: int) -> View:
        desk = self._desk
        verdict = desk.session.scorer.manifest["verdict"]
        equity = desk.broker.equity()
        return View(
            time=now_us / 1e6,
            venue=self._venue,
            account=desk.settings.origin.account,
            synthetic=desk.settings.origin.synthetic,
            verdict=str(verdict["verdict"]),
            sentence=str(verdict["sentence"]),
            equity=equity,
            drawdown=max(1.0 - equity / desk.broker.record.peak_equity, 0.0),
            symbols=tuple(self._symbol(name) for name in desk.session.symbols),
            positions=tuple(self._position(each) for _, each in sorted(desk.broker.positions.items())),
            streams=tuple(self._streams(now_us)),
            recent=tuple(self._recent),
            faults=tuple(self._faults),
        )

    def candles(self, symbol: str) -> list[Candle]:
        """Return the finest bars of a symbol over the last day, the oldest first."""
        bars = self._desk.forgone.bars(symbol)
        since = bars[-1].closed_us - DAY_US if bars else 0
        return [
            Candle(time=bar.opened_us // 10**6, open=bar.open, high=bar.high, low=bar.low, close=bar.close)
            for bar in bars
            if bar.opened_us >= since
        ]

    def _symbol(self, symbol: str) -> SymbolView:
        desk = self._desk
        score = desk.scores.get(symbol)
        price = desk.broker.prices.get(symbol, None if score is None else score.context.close)
        if score is None:
            return SymbolView(symbol=symbol, price=price)
        context = score.context
        made: dict[str, Any] = {
            "pool_above": _pool(context.close, context.pool_distance_above, 1),
            "pool_below": _pool(context.close, context.pool_distance_below, -1),
            "swept_above": _extreme(context.close, context.swept_extreme_distance_above, 1),
            "swept_below": _extreme(context.close, context.swept_extreme_distance_below, -1),
            "bar_time": epoch_us(score.event_time) / 1e6,
            "quality": tuple(_lacking(score, desk.settings.fed)),
        }
        return SymbolView(symbol=symbol, price=price, time=desk.now_us / 1e6, **made, **self._event(symbol))

    def _event(self, symbol: str) -> dict[str, Any]:
        """Return what is shown of the last event of a symbol."""
        event = self._events.get(symbol)
        if event is None:
            return {}
        return {
            "direction": event["direction"],
            "triggers": tuple(event["triggers"].split("+")),
            "event_time": epoch_us(event["event_time"]) / 1e6,
            **{name: _known(event[name]) for name in ("p_direction", "trade_edge", "trade_edge_low")},
            "decision": self._decided[symbol][1] if symbol in self._decided else "",
        }

    def _position(self, position: Position) -> PositionView:
        plan = position.plan
        price = self._desk.broker.prices.get(plan.symbol, plan.entry)
        return PositionView(
            trade=position.trade,
            symbol=plan.symbol,
            side=int(plan.side),
            state="open" if position.is_open else "ordered",
            quantity=plan.quantity,
            entry=plan.entry if position.filled is None else position.filled,
            stop=plan.stop,
            target=plan.target,
            liquidation_price=position.liquidation if position.is_open else plan.liquidation_price,
            opened=position.filled_us / 1e6 if position.is_open else None,
            expires=position.expires_us / 1e6,
            r=position.value_usd(price) / plan.risk_usd if position.is_open else None,
        )

    def _streams(self, now_us: int) -> Iterator[StreamView]:
        spec = self._desk.session.scorer.spec
        for table, times in sorted(self._desk.newest.items()):
            limit = _longest_age(table, spec)
            for symbol, time_us in sorted(times.items()):
                age = max(now_us - time_us, 0)
                healthy = limit is None or age <= microseconds(limit)
                yield StreamView(symbol=symbol, table=table, age=age / 1e6, healthy=healthy)


def _longest_age(table: str, spec: FrameSpec) -> timedelta | None:
    """Return the age at which a table is silent; None where events may stay away for hours."""
    if table == "bars":
        return _BARS_LATE * spec.bar_interval
    return _LONGEST_AGES.get(table, spec.staleness.get(table))


def _lacking(score: EventScore, fed: tuple[str, ...]) -> Iterator[str]:
    quality = score.quality
    if not quality.warm:
        yield f"{quality.history} of history, the features need {quality.warm_up}"
    if quality.missing_bars:
        yield f"{quality.missing_bars} bars missing"
    if silent := [name for name in quality.silent_tables if name in fed]:
        yield f"silent: {', '.join(silent)}"
    yield from quality.notes
    if quality.refused_rows:
        yield f"{quality.refused_rows} rows refused"


def _pool(close: float, distance: float, sign: int) -> PoolView | None:
    if not distance > 0.0:
        return None
    return PoolView(price=close * math.exp(sign * distance), distance=distance)


def _extreme(close: float, distance: float, sign: int) -> float | None:
    return close * math.exp(sign * distance) if distance >= 0.0 else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _sentence(event: Event) -> str:
    """Return an event in one short sentence; nothing for those that nobody reads one by one."""
    content = event.payload
    match event.kind:
        case Kind.PLAN:
            side = "long" if content["side"] == 1 else "short"
            return (
                f"{event.symbol} plan: {side} {content['quantity']:g} at {content['entry']:g}, "
                f"stop {content['stop']:g}, target {content['target']:g}"
            )
        case Kind.REFUSAL:
            return f"{event.symbol} refused: {', '.join(reason['code'] for reason in content['reasons'])}"
        case Kind.FILL:
            return f"{event.symbol} filled: {content['order']}, {content['quantity']:g} at {content['price']:g}"
        case Kind.EXIT:
            return f"{event.symbol} exit: {content['exit_reason']}, {content['net_r']:+.2f} R"
        case Kind.ALARM:
            return f"{event.symbol} {content['alarm']} {content['state']}: {content['message']}"
        case Kind.FUNDING:
            return f"{event.symbol} funding: {-content['paid_usd']:+.2f} USDT"
        case Kind.WATCH:
            return f"paper trading {content['state']}"
        case _:
            return ""
