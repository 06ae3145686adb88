"""Results of refused trades: the trades that their events suggest, walked along the bars that followed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, NamedTuple

import numpy as np

from slackwater.journal.event import Event, Origin
from slackwater.journal.kinds import forgone_event
from slackwater.labels.trades import SuggestedTrade, TradeRules, suggested_trade
from slackwater.paper.plan_values import score_of_values, score_values
from slackwater.paper.position import Bar
from slackwater.times import HOUR_US, MINUTE_US, epoch_us, microseconds, timestamp
from slackwater.trading.decision import Refusal
from slackwater.trading.price_path import PricePath
from slackwater.trading.score import Score

__all__ = ["ForgoneTrades"]

_SPARE: Final = 120
"""Bars that are kept beyond the horizon."""

_SETTLED_US: Final = HOUR_US
"""How long after its time exit a trade waits for its last settlement: a feed asks for them every hour."""


class _Waiting(NamedTuple):
    score: Score
    codes: tuple[str, ...]


class ForgoneTrades:
    """Refused events whose horizon has not passed yet, and the bars since.

    A trade of which a bar is missing between entry and time exit has no result. Last trades stand in for the mark
    price, as in the backtest where none is recorded.

    Parameters
    ----------
    rules
        Bracket, costs, contracts and size of the trades.
    horizon, interval, decision_lag
        Time exit; length of the bars; time from the close of an event's bar to its order. Bars that are longer than a
        minute do not show that time, which is charged as latency then, as in the labels.
    origin
        Account and bundle, for the journal.
    """

    def __init__(
        self, rules: TradeRules, *, horizon: timedelta, interval: timedelta, decision_lag: timedelta, origin: Origin
    ) -> None:
        self._horizon, self._origin = horizon, origin
        self._step = microseconds(interval)
        coarse = self._step > MINUTE_US
        self._wait = 0 if coarse else microseconds(decision_lag)
        latency = max(rules.costs.latency, decision_lag) if coarse else rules.costs.latency
        self._rules = replace(rules, costs=replace(rules.costs, latency=latency))
        self._length = microseconds(horizon) // self._step + _SPARE
        self._bars: dict[str, deque[Bar]] = {}
        self._settlements: dict[str, list[tuple[int, float]]] = {}
        self._waiting: list[_Waiting] = []

    def refused(self, score: Score, refusal: Refusal) -> None:
        """Wait for what becomes of a refused event."""
        self._waiting.append(_Waiting(score, refusal.codes))

    def take_bar(self, symbol: str, bar: Bar) -> list[Event]:
        """Take a final bar, and return the results that are known with it."""
        held = self._bars.setdefault(symbol, deque(maxlen=self._length))
        if not held or bar.opened_us > held[-1].opened_us:
            held.append(bar)
        else:  # one that came late, or again
            kept = {each.opened_us: each for each in (*held, bar)}
            held = self._bars[symbol] = deque((kept[time] for time in sorted(kept)), maxlen=self._length)
        due: list[_Waiting] = []
        waiting: list[_Waiting] = []
        for each in self._waiting:
            is_due = each.score.symbol == symbol and bar.closed_us >= self._due_us(each.score)
            (due if is_due else waiting).append(each)
        self._waiting = waiting
        return [event for each in due if (event := self._result(each, list(held))) is not None]

    def bars(self, symbol: str) -> list[Bar]:
        """Return the bars of a symbol that are kept, the oldest first."""
        return list(self._bars.get(symbol, ()))

    def take_funding(self, symbol: str, time_us: int, rate: float) -> None:
        """Take a settlement."""
        held = self._settlements.setdefault(symbol, [])
        held.append((time_us, rate))
        del held[:-100]

    def _entry_us(self, score: Score) -> int:
        """Return the open of the entry bar: the first at or after the order."""
        sent = epoch_us(score.event_time) + self._wait
        return -(-sent // self._step) * self._step

    def _due_us(self, score: Score) -> int:
        """Return when bars and settlements up to the time exit are known."""
        return self._entry_us(score) + microseconds(self._horizon) + _SETTLED_US

    def _result(self, waiting: _Waiting, bars: Sequence[Bar]) -> Event | None:
        score, first = waiting.score, self._entry_us(waiting.score)
        end = first + microseconds(self._horizon)
        walked = [bar for bar in bars if bar.opened_us >= first]  # those after the end value the last settlement
        if sum(bar.opened_us < end for bar in walked) != -(-(end - first) // self._step):  # a bar is missing
            return None
        path = _path(score.symbol, walked, self._settlements.get(score.symbol, []))
        trade = suggested_trade(
            score.context,
            side=-score.direction,
            path=path,
            entry_bar=0,
            rules=self._rules,
            horizon=self._horizon,
        )
        if not isinstance(trade, SuggestedTrade):
            return None
        result = trade.result()
        return forgone_event(
            symbol=score.symbol,
            event_time=score.event_time,
            known_time=timestamp(result.exit.time_us),
            codes=waiting.codes,
            net_r=result.net / trade.risk,
            origin=self._origin,
        )

    # -- checkpoints -----------------------------------------------------------------------------------------

    def values(self) -> dict[str, Any]:
        """Return the state in types of JSON."""
        return {
            "waiting": [[score_values(each.score), list(each.codes)] for each in self._waiting],
            "bars": {symbol: [list(bar) for bar in bars] for symbol, bars in self._bars.items()},
            "settlements": {symbol: [list(each) for each in held] for symbol, held in self._settlements.items()},
        }

    def take_values(self, content: Mapping[str, Any]) -> None:
        """Continue from the state of `values`."""
        self._waiting = [_Waiting(score_of_values(score), tuple(codes)) for score, codes in content["waiting"]]
        self._bars = {
            symbol: deque((Bar(*bar) for bar in bars), maxlen=self._length) for symbol, bars in content["bars"].items()
        }
        self._settlements = {
            symbol: [(int(time), float(rate)) for time, rate in held] for symbol, held in content["settlements"].items()
        }


def _path(symbol: str, bars: Sequence[Bar], settlements: Sequence[tuple[int, float]]) -> PricePath:
    columns = {name: np.array([getattr(bar, name) for bar in bars]) for name in ("open", "high", "low", "close")}
    settled = sorted(dict(settlements).items())
    return PricePath(
        symbol=symbol,
        open_time=np.array([bar.opened_us for bar in bars], dtype=np.int64),
        close_time=np.array([bar.closed_us for bar in bars], dtype=np.int64),
        **columns,
        **{f"mark_{name}": columns[name] for name in ("open", "high", "low")},
        settlement_time=np.array([time for time, _ in settled], dtype=np.int64),
        funding_rate=np.array([rate for _, rate in settled], dtype=np.float64),
    )
