"""Stress: losses of the same trades if the market turned against them at the fill.

The recorded path after every entry is bent against the position and walked by the code that ends real trades. A stop
caps a loss only where the market trades through it: a gap can lose more than was planned, and more than 2 % of equity.
Beyond a gap the isolated margin is the next limit, and funding is paid besides.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError
from slackwater.evidence._intervals import statistic_of
from slackwater.evidence._trades_on_paths import on_their_paths
from slackwater.times import HOUR, epoch_us, microseconds
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import ClosedTrade
from slackwater.trading.price_path import PricePath
from slackwater.types import Floats

__all__ = ["SEVERITIES", "stress_losses"]

_FRACTIONS = (0.05, 0.1, 0.2)

SEVERITIES: Final[Mapping[str, tuple[float, ...]]] = MappingProxyType(
    {
        "gap": _FRACTIONS,
        "gap_beyond_stop": (1.0, 2.0, 4.0),
        "wick": _FRACTIONS,
        "limit_hour": _FRACTIONS,
        "halt_2h": _FRACTIONS,
        "halt_24h": _FRACTIONS,
        "funding_8h": (0.02, 0.04),
        "funding_1h": (0.02, 0.04),
    }
)
"""Every scenario with its default severities. See `stress_losses`."""


def stress_losses(
    trades: Sequence[ClosedTrade],
    paths: Mapping[str, PricePath],
    horizon: timedelta,
    severities: Mapping[str, Sequence[float]] = SEVERITIES,
) -> pd.DataFrame:
    """Return realised over planned loss of the trades on adversarial continuations of their paths.

    Parameters
    ----------
    trades
        Unit-risk trades (`trading.backtest.Backtest.unit_risk_trades`), each on its own.
    paths, horizon
        Price paths and time exit of the trades. The horizon is longer than the entry bar and an hour.
    severities
        Severities by scenario:

        ``gap``: the bar after the entry opens this fraction of price, in (0, 1), against the position, the mark price
        included.
        ``gap_beyond_stop``: it opens beyond the stop by this multiple of the stop distance, > 0.
        ``wick``: that one bar of last trades opens a fraction of price, in (0, 1), away, and the mark does not follow.
        ``limit_hour``: for an hour there is no counterparty. Last trades do not move, so no stop is triggered and
        nothing is filled, while the mark moves steadily and can liquidate; then trading resumes this fraction
        of price, in (0, 1), away.
        ``halt_2h``, ``halt_24h``: no bars for that time, then the market reopens this fraction, in (0, 1), away.
        ``funding_8h``, ``funding_1h``: on recorded prices, the position pays this fraction of its notional, in (0, 1),
        at every full 8 hours or hour (UTC).

    Returns
    -------
    DataFrame
        One row per scenario and severity, after a row ``recorded`` of severity 0 with the trades on their own paths:
        `scenario`, `severity`, `n_trades`; `loss_ratio_median`, `loss_ratio_p99`, `loss_ratio_max` (realised over
        planned loss, ``-net_usd / risk_usd``: 1 is as planned, negative a gain); `share_liquidated` (in [0, 1]);
        `worst_equity_fraction` (smallest share of equity that a single trade leaves; below 0: more than all
        of it was lost) and `n_negative_without_liquidation` (trades that leave an equity below 0 without a recorded
        liquidation: any is an error of the backtest). Without trades the shares and ratios are NaN.

    Raises
    ------
    MissingDataError
        If a symbol has no path.
    ParameterError
        If a scenario is unknown; a severity is out of range or leaves no price above 0; a trade did not enter at the
        open of a bar of its path, or the path does not reach its horizon; or the horizon is not longer than the entry
        bar and an hour.

    Notes
    -----
    The market turns at once: except for funding, the entry bar holds the fill alone, so that no trade has ended before.
    After the shock the recorded path continues, scaled to the price at which the market reopened; after a halt it
    continues later. Nothing is random.

    A liquidation ends at the bankruptcy price, as in `PricePath.hold`: the venue's insurance bears the rest.
    It is triggered by the mark, and a mark that opens beyond the liquidation price comes before a stop. Funding is
    paid from the account's balance and does not move the liquidation price.

    Each trade is shocked on its own. In a real shock the losses of positions that are open together add up.
    """
    _check(severities)
    scenarios = [(name, float(value)) for name, values in severities.items() for value in values]
    scenarios = [("recorded", 0.0), *scenarios]

    def shocked(trade: ClosedTrade, path: PricePath) -> list[ClosedTrade]:
        _check_trade(trade, path, horizon)
        return [_shocked(trade, path, horizon, *scenario) for scenario in scenarios]

    of_trades = on_their_paths(shocked, trades, paths)
    rows = []
    for at, (scenario, severity) in enumerate(scenarios):
        ends = [of_trade[at] for of_trade in of_trades]
        net = _array(ends, lambda trade: trade.net_usd)
        equity = _array(ends, lambda trade: trade.plan.equity)
        loss_ratio = -net / _array(ends, lambda trade: trade.plan.risk_usd)
        liquidated = np.array([trade.exit_reason == "liquidation" for trade in ends], dtype=np.bool_)
        rows.append(
            {
                "scenario": scenario,
                "severity": severity,
                "n_trades": len(ends),
                "loss_ratio_median": statistic_of(np.median, loss_ratio),
                "loss_ratio_p99": statistic_of(partial(np.quantile, q=0.99), loss_ratio),
                "loss_ratio_max": statistic_of(np.max, loss_ratio),
                "share_liquidated": statistic_of(np.mean, liquidated),
                "worst_equity_fraction": statistic_of(np.min, (equity + net) / equity),
                "n_negative_without_liquidation": int(np.sum((equity + net < 0.0) & ~liquidated)),
            }
        )
    return pd.DataFrame(rows)


def _check(severities: Mapping[str, Sequence[float]]) -> None:
    for scenario, values in severities.items():
        if scenario not in _SCENARIOS:
            raise ParameterError(f"`severities` must be of {', '.join(_SCENARIOS)}, was of {scenario!r}")
        high = math.inf if scenario == "gap_beyond_stop" else 1.0
        for value in values:
            if not 0.0 < value < high:  # negated, so that NaN fails too
                raise ParameterError(f"`severities` of {scenario} must be in (0, {high:g}), was {value}")


def _check_trade(trade: ClosedTrade, path: PricePath, horizon: timedelta) -> None:
    entry_us = epoch_us(trade.entry_time)
    bar, expiry_us = path.first_bar_from(entry_us), entry_us + microseconds(horizon)
    of_trade = f"{trade.plan.symbol} of {trade.entry_time}"
    if bar == len(path.open_time) or (path.open_time[bar], path.open[bar]) != (entry_us, trade.plan.entry):
        raise ParameterError(f"`paths` must be those of the trades: no bar opens with {of_trade} at its entry")
    if path.close_time[-1] < expiry_us:
        raise ParameterError(f"`paths` must reach the horizon of every trade, {horizon}, ended within {of_trade}")
    if path.close_time[bar] + microseconds(HOUR) >= expiry_us:
        raise ParameterError(f"`horizon` must be longer than the entry bar of {of_trade} and an hour, was {horizon}")


def _shocked(trade: ClosedTrade, path: PricePath, horizon: timedelta, scenario: str, severity: float) -> ClosedTrade:
    """Hold the plan of a trade once more, on the path of a scenario."""
    entry_us = epoch_us(trade.entry_time)
    window = path.between(entry_us, entry_us + microseconds(horizon))
    bent = window if scenario == "recorded" else _SCENARIOS[scenario](window, trade.plan, severity)
    return bent.hold(trade.plan, entry_bar=0, horizon=horizon)


def _gap(path: PricePath, plan: TradePlan, severity: float) -> PricePath:
    return _reopened(_filled(path), 1, _against(plan, severity))


def _gap_beyond_stop(path: PricePath, plan: TradePlan, severity: float) -> PricePath:
    price = plan.stop - plan.side * severity * abs(plan.entry - plan.stop)
    if not price > 0.0:
        raise ParameterError(
            f"`severities` of gap_beyond_stop must leave a price above 0, {severity:g} left {price:g} to {plan.symbol} "
            f"with entry {plan.entry:g} and stop {plan.stop:g}"
        )
    return _reopened(_filled(path), 1, price)


def _wick(path: PricePath, plan: TradePlan, severity: float) -> PricePath:
    price, path = _against(plan, severity), _filled(path)
    return replace(
        path,
        open=_put(path.open, 1, price),
        high=_put(path.high, 1, max(price, path.high[1])),
        low=_put(path.low, 1, min(price, path.low[1])),
    )


def _limit_hour(path: PricePath, plan: TradePlan, severity: float) -> PricePath:
    # The last bar trades in any case: at a gap in the recorded bars the hour may reach that far.
    resumes = min(path.first_bar_from(int(path.open_time[1]) + microseconds(HOUR)), len(path.open) - 1)
    locked = slice(1, resumes)
    slide = path.mark_open[0] * (1.0 - plan.side * np.linspace(0.0, severity, resumes))
    before, after = slide[:-1], slide[1:]
    path = _reopened(_filled(path), resumes, _against(plan, severity))
    return replace(
        path,
        **{name: _put(getattr(path, name), locked, plan.entry) for name in ("open", "high", "low", "close")},
        mark_open=_put(path.mark_open, locked, before),
        mark_high=_put(path.mark_high, locked, np.maximum(before, after)),
        mark_low=_put(path.mark_low, locked, np.minimum(before, after)),
    )


def _halt(path: PricePath, plan: TradePlan, severity: float, *, duration: timedelta) -> PricePath:
    path = _reopened(_filled(path), 1, _against(plan, severity))
    later = np.where(np.arange(len(path.open)) > 0, microseconds(duration), 0)
    return replace(path, open_time=path.open_time + later, close_time=path.close_time + later)


def _funding(path: PricePath, plan: TradePlan, severity: float, *, interval: timedelta) -> PricePath:
    # A settlement at the entry is not paid, so the first one here may lie before it.
    step = microseconds(interval)
    settled = np.arange(path.open_time[0] // step, path.close_time[-1] // step + 1, dtype=np.int64) * step
    return replace(path, settlement_time=settled, funding_rate=np.full(len(settled), plan.side * severity))


_SCENARIOS: Final[Mapping[str, Callable[[PricePath, TradePlan, float], PricePath]]] = {
    "gap": _gap,
    "gap_beyond_stop": _gap_beyond_stop,
    "wick": _wick,
    "limit_hour": _limit_hour,
    "halt_2h": partial(_halt, duration=timedelta(hours=2)),
    "halt_24h": partial(_halt, duration=timedelta(hours=24)),
    "funding_8h": partial(_funding, interval=timedelta(hours=8)),
    "funding_1h": partial(_funding, interval=HOUR),
}


def _against(plan: TradePlan, fraction: float) -> float:
    return plan.entry * (1.0 - plan.side * fraction)


def _filled(path: PricePath) -> PricePath:
    """Return the path with the fill alone in its entry bar."""
    last, mark = path.open[0], path.mark_open[0]
    return replace(
        path,
        **{name: _put(getattr(path, name), 0, last) for name in ("high", "low", "close")},
        **{name: _put(getattr(path, name), 0, mark) for name in ("mark_high", "mark_low")},
    )


def _reopened(path: PricePath, bar: int, price: float) -> PricePath:
    """Return the path with last trades and mark scaled from a bar on so that it opens at a price."""
    factor = np.where(np.arange(len(path.open)) < bar, 1.0, price / path.open[bar])
    prices = ("open", "high", "low", "close", "mark_open", "mark_high", "mark_low")
    return replace(path, **{name: getattr(path, name) * factor for name in prices})


def _put(prices: Floats, where: int | slice, values: float | Floats) -> Any:  # for `replace`, whose fields differ
    changed = prices.copy()
    changed[where] = values
    return changed


def _array(trades: Sequence[ClosedTrade], number: Callable[[ClosedTrade], float]) -> Floats:
    return np.array([number(trade) for trade in trades], dtype=np.float64)
