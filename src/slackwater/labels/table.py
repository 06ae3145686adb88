"""The labels table: signal events with barriers, weights, the outcome of their trades, and labels from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

import numpy as np
import pandas as pd

from slackwater.durations import duration_name
from slackwater.errors import DataError, ParameterError
from slackwater.labels.barriers import Barriers, Touched, event_rows
from slackwater.labels.events import ROLE_COLUMNS, sample_events
from slackwater.labels.outcomes import LabelReport
from slackwater.labels.trades import TradeRules, trade_outcomes
from slackwater.labels.weights import average_uniqueness, effective_n
from slackwater.parallel import run_tasks
from slackwater.times import DAY_US, timestamps
from slackwater.trading.price_path import PricePath
from slackwater.trading.sent_paths import paths_for_workers

__all__ = ["Label", "build_labels", "horizon_counts", "weighted"]


class Label(Protocol):
    """A label from outside the library: one column of the labels table, with the time at which it was known."""

    @property
    def name(self) -> str:
        """Column of the values in the labels table; the column ``<name>_known_time`` holds the times."""

    def compute(self, events: pd.DataFrame, paths: Mapping[str, PricePath]) -> tuple[Any, Any]:
        """Return values and known times, shape (n,) each, row by row with `events`.

        `events` is the labels table so far. A value may be NaN and its time NaT. A time must not be earlier than the
        data that the value was computed from: training uses a label only after it.
        """


def build_labels(
    features: pd.DataFrame,
    paths: Mapping[str, PricePath],
    *,
    trade: TradeRules,
    horizon: timedelta,
    decision_lag: timedelta,
    fine_bar_interval: timedelta,
    horizons: Sequence[timedelta] = (),
    reversal_multiple: float = 1.0,
    continuation_multiple: float = 1.0,
    symbol_correlation: float = 0.0,
    triggers: Sequence[str] = ("extended_move",),
    sampling: Sequence[str] = ("extended_move",),
    extra: Sequence[Label] = (),
) -> tuple[pd.DataFrame, LabelReport]:
    """Return the labels of all events, in order of time, with their weights, and a report on the events.

    Parameters
    ----------
    features
        The features table.
    paths
        Fine bars and funding of each symbol (`slackwater.trading.price_path.price_paths`); symbols are tasks, and a
        mapping that reads its paths when they are asked for is held one symbol at a time.
    trade
        Definition of the trade of an event. With fine bars longer than one minute the decision lag is charged as
        slippage on top of its costs.
    horizon, decision_lag, fine_bar_interval, horizons, reversal_multiple, continuation_multiple
        As in `slackwater.labels.barriers.triple_barrier`.
    symbol_correlation
        As in `slackwater.labels.weights.average_uniqueness`.
    triggers, sampling
        Outputs of the features table whose rows trade and train, as in `slackwater.labels.events.sample_events`.
    extra
        Labels from outside the library, each with its own name.

    Returns
    -------
    labels : DataFrame
        Columns of `slackwater.labels.barriers.LABEL_COLUMNS`, those of the reported horizons,
        `slackwater.labels.events.ROLE_COLUMNS`, ``weight`` (average uniqueness), ``train_weight`` (the same among
        the rows that train) and both of each reported horizon, such as ``weight_4h``;
        `slackwater.labels.trades.TRADE_COLUMNS`, the columns of `extra`, and ``label_known_time``, when all labels of
        the event but those of the reported horizons were known; sorted by event time and symbol.
    report : LabelReport

    Raises
    ------
    DataError
        If no event could be labelled, such as with a horizon longer than the data, or an extra label is known at or
        before its event.
    ParameterError
        If an extra label has the name of another column, or does not return one value and one time per event.
    """
    events = sample_events(features, triggers=triggers, sampling=sampling)
    for names, role, what in ((triggers, "trades", "labels.triggers"), (sampling, "trains", "labels.sampling")):
        if not events[role].any():
            raise DataError(
                f"no row {role}: none of {', '.join(names)} (`{what}`) fired: history is"
                " shorter than the warm-up, or the thresholds of `features.triggers` are never reached"
            )
    barriers = Barriers(
        horizon=horizon,
        decision_lag=decision_lag,
        fine_bar_interval=fine_bar_interval,
        horizons=tuple(horizons),
        reversal_multiple=reversal_multiple,
        continuation_multiple=continuation_multiple,
    )
    costs = replace(trade.costs, latency=max(trade.costs.latency, barriers.latency_to_charge))
    wanted = features.merge(events[["symbol", "event_time"]], on=["symbol", "event_time"])
    tasks = {
        str(symbol): (events.iloc[rows], wanted[wanted["symbol"] == symbol])
        for symbol, rows in event_rows(events, paths).items()
    }
    with paths_for_workers(paths, tasks) as readable:
        parts = list(run_tasks(_Labeller(barriers, replace(trade, costs=costs), readable).label, tasks))
    labels, report = barriers.table(events, [touched for touched, _ in parts])
    if labels.empty:
        raise DataError(_why_none(report, horizon, paths))
    keys = ["symbol", "event_time"]
    labels = labels.merge(events[[*keys, *ROLE_COLUMNS]], on=keys, how="left", validate="1:1")
    labels = weighted(labels, symbol_correlation=symbol_correlation)
    labels = pd.concat([labels, pd.concat([trades for _, trades in parts], ignore_index=True)], axis=1)
    known = ["label_end_time", "trade_end_time"]
    for label in extra:
        labels = labels.assign(**_columns(label, labels, paths))
        known.append(f"{label.name}_known_time")
    labels["label_known_time"] = labels[known].max(axis=1)
    return labels.sort_values(["event_time", "symbol"], ignore_index=True), report


@dataclass(frozen=True, slots=True)
class _Labeller:
    """Labels the events of one symbol, in whatever process."""

    barriers: Barriers
    trade: TradeRules
    paths: Mapping[str, PricePath]

    def label(self, task: tuple[pd.DataFrame, pd.DataFrame]) -> tuple[Touched, pd.DataFrame]:
        """Return where the price went after the events of a symbol, and the outcome of the trade of each with a label.

        The task has the events and their rows of features.
        """
        events, features = task
        symbol = events["symbol"].iloc[0]
        path = self.paths[symbol]
        touched = self.barriers.touched(events, path)
        labelled = events[touched.labelled].assign(entry_time=timestamps(touched.entry_time[touched.labelled]))
        labelled, horizon = labelled.reset_index(drop=True), self.barriers.horizon
        return touched, trade_outcomes(labelled, features, {symbol: path}, rules=self.trade, horizon=horizon)


def horizon_counts(labels: pd.DataFrame, report: LabelReport, *, horizon: timedelta) -> dict[str, dict[str, float]]:
    """Return the counts of the outcomes by name of the horizon, with the effective number of its labels.

    Parameters
    ----------
    labels, report
        Of `build_labels`.
    horizon
        The headline.
    """
    found = {}
    for each in report.horizons:
        name = duration_name(each.horizon)
        weight = "weight" if each.horizon == horizon else f"weight_{name}"
        counts = {key: value for key, value in vars(each).items() if key != "horizon"}
        found[name] = counts | {"effective_n": effective_n(labels[weight].dropna()) if weight in labels else 0.0}
    return found


def _why_none(report: LabelReport, horizon: timedelta, paths: Mapping[str, PricePath]) -> str:
    """Return why none of the events could be labelled, and what to do."""
    counts = {name.removeprefix("dropped_"): n for name, n in vars(report).items() if name.startswith("dropped_") and n}
    reasons = ", ".join(f"{name.replace('_', ' ')}: {n}" for name, n in counts.items())
    days = max(int(path.close_time[-1] - path.open_time[0]) / DAY_US for path in paths.values())
    return (
        f"none of the {report.events} events could be labelled at the horizon {duration_name(horizon)} on fine bars of "
        f"{days:.1f} days ({reasons}): give longer or more complete `fine_bars`, or set a shorter `labels.horizon`"
    )


def weighted(labels: pd.DataFrame, *, symbol_correlation: float) -> pd.DataFrame:
    """Return the labels with the average uniqueness of each at the headline and at each reported horizon.

    ``weight`` is that among all labels, so that its sum is the effective number of any of them together;
    ``train_weight`` is that among the labels of the rows that train, where a column ``trains`` tells them apart: rows
    that only trade do not make a row that trains less unique.
    """
    weights = {}
    for end in [name for name in labels if name.startswith("label_end_time")]:
        groups = {"weight": labels[end].notna().to_numpy()}
        if "trains" in labels:
            groups["train_weight"] = groups["weight"] & labels["trains"].to_numpy(bool)
        for name, rows in groups.items():
            weight = np.full(len(labels), np.nan)
            weight[rows] = average_uniqueness(labels[rows], symbol_correlation=symbol_correlation, end=end)
            weights[end.replace("label_end_time", name)] = weight
    return labels.assign(**weights)


def _columns(label: Label, labels: pd.DataFrame, paths: Mapping[str, PricePath]) -> dict[str, pd.Series]:
    """Return the two columns of an extra label, checked."""
    name, known = label.name, f"{label.name}_known_time"
    taken = [column for column in (name, known) if column in (*labels.columns, "label_known_time")]
    if taken:
        raise ParameterError(f"an extra label must have a name of its own; the labels table already has {taken}")
    values, times = label.compute(labels, paths)
    if not len(values) == len(times) == len(labels):
        raise ParameterError(
            f"label `{name}` must return one value and one time per event, {len(labels)}, "
            f"returned {len(values)} and {len(times)}"
        )
    columns = {
        name: pd.Series(np.asarray(values), index=labels.index),
        known: pd.Series(pd.to_datetime(np.asarray(times), utc=True).as_unit("us"), index=labels.index),
    }
    # Negated, so that a value without a time counts too.
    early = columns[name].notna() & ~(columns[known] > labels["event_time"])
    if early.any():
        shown = labels.loc[early, ["symbol", "event_time"]].assign(**columns).head()
        raise DataError(f"label `{name}` must be known after its event; {int(early.sum())} are not, first:\n{shown}")
    return columns
