"""Scores, plans and backtests for tests, by the flat names of the ledger and the table of scores."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

import slackwater.trading
from slackwater.trading.backtest import Backtest, BacktestResult
from slackwater.trading.bracket import Bracket, Levels
from slackwater.trading.costs import OrderCosts
from slackwater.trading.decision import TradePlan
from slackwater.trading.drawdown_control import Throttle
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade
from slackwater.trading.price_path import price_paths
from slackwater.trading.rules import BracketRules
from slackwater.trading.score import CONTEXT, MarketContext, Score
from slackwater.trading.sizing import Sizing

TIME = pd.Timestamp("2024-03-01", tz="UTC")
SOUND_SCORE: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "direction": -1,
    "p_direction": 0.62,
    "p_hit": 0.4,
    "close": 50_000.0,
    "volatility_daily": 0.03,
    "atr_1h": 0.006,
    "distance_to_high_24h": 0.05,
    "distance_to_low_24h": 0.02,
    "distance_to_high_72h": 0.08,
    "distance_to_low_72h": 0.03,
    "volume_24h": 20_000.0,
    "depth_bid_1pct": 300.0,
    "depth_ask_1pct": 400.0,
    "swept_extreme_distance_above": math.nan,
    "swept_extreme_distance_below": math.nan,
    "pool_distance_above": math.nan,
    "pool_distance_below": math.nan,
    "trend_efficiency_72h": 0.0,
    "trade_edge": 0.9,
    "trade_edge_low": 0.7,
}
"""A score that a gate with the default rules accepts, for bars about 50,000 USDT."""

AT_LEVELS = BracketRules(target_sd=None, stop_sd=None)
"""Stop and target at levels, however far: prices that do not depend on the horizon, for tests of what follows."""


def score_of(**flat: Any) -> Score:
    """A score from the values of its row; the context among them."""
    context = {name: flat.pop(name) for name in CONTEXT if name in flat}
    return Score(context=MarketContext(**context), **flat)


def changed(score: Score, **changes: Any) -> Score:
    """A score with other values, those of its context included."""
    context = {name: changes.pop(name) for name in CONTEXT if name in changes}
    return replace(score, context=replace(score.context, **context), **changes)


def row_of(score: Score) -> dict[str, Any]:
    """The row of a score in a table of scores."""
    row = asdict(score)
    return row | row.pop("context")


def make_plan(**flat: Any) -> TradePlan:
    """A plan of which only the numbers given are known: every other number is NaN, and would show."""
    side, entry = flat.get("side", 1), flat.get("entry", 100.0)
    known = {"side": side, "entry": entry, "stop": entry * (1 - 0.05 * side), "target": entry * (1 + 0.1 * side)} | flat
    known["depth_bid_1pct"] = known["depth_ask_1pct"] = flat.get("depth_1pct", math.nan)
    known["multiplier"] = flat.get("risk_multiplier", math.nan)

    def part(kind: type, **parts: Any) -> Any:
        unknown = {"int": 0, "float": math.nan, "str": "", "bool": False, "datetime": TIME}
        names = [field for field in fields(kind) if field.name not in parts]
        blank = {field.name: unknown.get(str(field.type), ()) for field in names}
        return kind(**blank | {field.name: known[field.name] for field in names if field.name in known} | parts)

    return part(  # type: ignore[no-any-return]
        TradePlan,
        score=part(Score, direction=-side, symbol=known.get("symbol", "BTCUSDT"), context=part(MarketContext)),
        levels=part(Levels),
        bracket=part(Bracket),
        sizing=part(Sizing, costs=part(OrderCosts)),
        throttle=part(Throttle),
    )


def traded(
    scores: pd.DataFrame,
    fine_bars: pd.DataFrame,
    *,
    gate: Gate,
    funding: pd.DataFrame | None = None,
    mark: pd.DataFrame | None = None,
    progress: Callable[[int, int], None] | None = None,
    initial_equity: float,
    **timing: timedelta,
) -> BacktestResult:
    """One account through all events."""
    backtest = Backtest.of(scores, price_paths(fine_bars, funding, mark=mark), initial_equity=initial_equity, **timing)
    return backtest.run(gate, progress=progress)


def traded_at_unit_risk(
    scores: pd.DataFrame,
    fine_bars: pd.DataFrame,
    *,
    gate: Gate,
    funding: pd.DataFrame | None = None,
    mark: pd.DataFrame | None = None,
    progress: Callable[[int, int], None] | None = None,
    initial_equity: float,
    **timing: timedelta,
) -> list[ClosedTrade]:
    """Every event on an account of its own."""
    backtest = Backtest.of(scores, price_paths(fine_bars, funding, mark=mark), initial_equity=initial_equity, **timing)
    return backtest.unit_risk_trades(gate, progress=progress)


def reason_codes() -> set[str]:
    """Every code that a rule of the library can give, read from the code."""
    sources = Path(slackwater.trading.__path__[0]).glob("*.py")
    return {code for path in sources for code in re.findall(r'Reason\(\s*"([a-z_]+)"', path.read_text())}
