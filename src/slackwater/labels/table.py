"""The labels table: events, their barriers and their weights in one go."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pandas as pd

from slackwater.errors import DataError
from slackwater.labels.barriers import LabelReport, triple_barrier
from slackwater.labels.events import sample_events
from slackwater.labels.trades import TradeRules, trade_outcomes
from slackwater.labels.weights import average_uniqueness

__all__ = ["build_labels"]


def build_labels(
    features: pd.DataFrame,
    fine_bars: pd.DataFrame,
    funding: pd.DataFrame | None = None,
    mark: pd.DataFrame | None = None,
    *,
    trade: TradeRules,
    horizon: timedelta,
    decision_lag: timedelta,
    fine_bar_interval: timedelta,
    reversal_multiple: float = 1.0,
    continuation_multiple: float = 1.0,
) -> tuple[pd.DataFrame, LabelReport]:
    """Return the labels of all events, in order of time, with their weights, and what became of the events.

    Parameters
    ----------
    features
        The features table.
    fine_bars
        The finest bars.
    funding
        Settled rates; None where there is no funding.
    mark
        Bars of the mark price, at which funding is paid; None: the last trades stand in.
    trade
        What the trade of an event is taken to be. On a path coarser than one minute the decision lag is charged as
        slippage on top of its costs.
    horizon, decision_lag, fine_bar_interval, reversal_multiple, continuation_multiple
        As in `slackwater.labels.barriers.triple_barrier`.

    Returns
    -------
    labels : DataFrame
        Columns of `slackwater.labels.barriers.LABEL_COLUMNS`, ``weight``, and `slackwater.labels.trades.TRADE_COLUMNS`,
        sorted by event time and symbol.
    report : LabelReport

    Raises
    ------
    DataError
        If no event could be labelled.
    """
    events = sample_events(features)
    if events.empty:
        raise DataError(
            f"no event in {len(features)} rows of features: history is shorter than the warm-up, or the "
            "thresholds of features.price are never reached"
        )
    labels, report = triple_barrier(
        events,
        fine_bars,
        horizon=horizon,
        decision_lag=decision_lag,
        fine_bar_interval=fine_bar_interval,
        reversal_multiple=reversal_multiple,
        continuation_multiple=continuation_multiple,
    )
    if labels.empty:
        raise DataError(f"none of the {report.events} events could be labelled: {report}")
    labels["weight"] = average_uniqueness(labels)
    costs = replace(trade.costs, latency=max(trade.costs.latency, report.latency_to_charge))
    outcomes = trade_outcomes(
        labels, features, fine_bars, funding, rules=replace(trade, costs=costs), horizon=horizon, mark=mark
    )
    labels = pd.concat([labels, outcomes], axis=1)
    return labels.sort_values(["event_time", "symbol"], ignore_index=True), report
