"""Plans as plain values and back: a plan is kept while its trade is open, also across a restart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from slackwater.times import epoch_us, timestamp
from slackwater.trading.bracket import Bracket, Levels
from slackwater.trading.costs import OrderCosts
from slackwater.trading.decision import TradePlan
from slackwater.trading.drawdown_control import Throttle
from slackwater.trading.score import MarketContext, Score
from slackwater.trading.sizing import Sizing

__all__ = ["plan_of_values", "plan_values", "score_of_values", "score_values"]

_PARTS: Final[Mapping[str, type]] = {
    "score": Score,
    "context": MarketContext,
    "levels": Levels,
    "bracket": Bracket,
    "sizing": Sizing,
    "costs": OrderCosts,
    "throttle": Throttle,
}
_TIMES: Final = ("decided_at", "expires", "event_time", "available_time")


def plan_values(plan: TradePlan) -> dict[str, Any]:
    """Return a plan in types of JSON: times in microseconds since 1970."""
    return _values(plan, TradePlan)


def plan_of_values(content: Mapping[str, Any]) -> TradePlan:
    """Return the plan of `plan_values`; the score has what a `Score` has, and no features."""
    return TradePlan(**_made(content))


def score_values(score: Score) -> dict[str, Any]:
    """Return what a `Score` has, in types of JSON."""
    return _values(score, Score)


def score_of_values(content: Mapping[str, Any]) -> Score:
    """Return the score of `score_values`."""
    return Score(**_made(content))


def _values(part: Any, kind: type) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for each in fields(kind):
        value = getattr(part, each.name)
        if each.name in _PARTS:
            out[each.name] = _values(value, _PARTS[each.name])
        elif isinstance(value, datetime):
            out[each.name] = epoch_us(value)
        else:
            out[each.name] = value.item() if hasattr(value, "item") else value
    return out


def _made(content: Mapping[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in content.items():
        if name in _PARTS:
            out[name] = _PARTS[name](**_made(value))
        elif name in _TIMES:
            out[name] = timestamp(value)
        elif isinstance(value, list):
            out[name] = tuple(tuple(each) if isinstance(each, list) else each for each in value)
        else:
            out[name] = value
    return out
