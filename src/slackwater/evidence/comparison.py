"""Comparison of two runs on the events that both scored: paired differences with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import DataError, SchemaError
from slackwater.evidence.direction import traded_rows
from slackwater.evidence.resampling import Resampling
from slackwater.metrics.classification import auc
from slackwater.metrics.selection import FEWEST_BLOCKS
from slackwater.models.targets import TARGETS, Target
from slackwater.times import DAY
from slackwater.types import Bools, Floats

__all__ = ["Comparison", "Difference", "compare", "paired_events", "scored_events"]

_KEYS: Final = ["symbol", "event_time"]
_TAKEN: Final = {"net_r": "taken_net_r", "net_bps": "taken_net_bps"}
"""Columns of the results of the trades that a run took, by column of its trades."""
_COMPARED: Final = tuple(target for target in TARGETS if target.offset is None)
"""Targets whose outputs are probabilities."""
_WORDS: Final = {"auc": "AUC", "brier": "Brier score", "log_loss": "log loss"}
_RESULTS: Final = {
    "net_r": "net result per event (R)",
    "net_bps": "net result per event (bps)",
    "net_r_both_traded": "net result per event that both traded (R)",
    "net_bps_both_traded": "net result per event that both traded (bps)",
}
_LABELS: Final = (*(target.column for target in _COMPARED), "label_end_time")


def scored_events(predictions: pd.DataFrame, labels: pd.DataFrame, trades: pd.DataFrame | None = None) -> pd.DataFrame:
    """Join what `compare` reads of a run: one row per event of the test blocks.

    Parameters
    ----------
    predictions
        ``data/predictions.parquet`` of a run: `symbol`, `event_time`, probabilities ``p_direction`` and ``p_hit``, and
        the test block `fold` where it is known.
    labels
        ``data/labels.parquet`` of the run: ``y_direction``, ``y_hit``, `entry_time`, `label_end_time`, and `trades`
        where some events only train.
    trades
        ``reports/unit_risk_trades.parquet`` of the run: the trades that its gate took, of one risk each. None where
        they are not known.

    Returns
    -------
    DataFrame
        The predicted events with their labels; with `trades` also ``taken_net_r`` and ``taken_net_bps``, NaN where the
        event was not traded.

    Raises
    ------
    SchemaError
        If a column is missing, an event is repeated, or one was predicted without a label or traded without a
        prediction.
    """
    outputs = [f"p_{target.name}" for target in _COMPARED]
    known = [name for name in ("trades",) if name in labels]
    parts = [
        (predictions, "the predictions", [*_KEYS, *outputs, *(name for name in ("fold",) if name in predictions)]),
        (labels, "the labels", [*_KEYS, "entry_time", *_LABELS, *known]),
    ]
    if trades is not None:
        parts.append((trades, "the trades", [*_KEYS, *_TAKEN]))
    scored, *others = (_columns(*part) for part in parts)
    for (_, what, _), other in zip(parts[1:], others, strict=True):
        how = "left" if what == "the trades" else "inner"
        joined = scored.merge(other.rename(columns=_TAKEN), on=_KEYS, how=how)
        lost = len(scored) - len(joined) if how == "inner" else len(other) - len(other.merge(scored[_KEYS], on=_KEYS))
        if lost:
            raise SchemaError(f"{what} are not those of the predictions: {lost:,} events of one have none in the other")
        scored = joined
    return scored


def _columns(table: pd.DataFrame, what: str, wanted: list[str]) -> pd.DataFrame:
    lacking = [name for name in wanted if name not in table]
    if lacking:
        raise SchemaError(f"{what} lack the columns {', '.join(lacking)}")
    if table.duplicated(_KEYS).any():
        raise SchemaError(f"{what} repeat an event, the first {_event(table[table.duplicated(_KEYS)])}")
    return table[wanted]


def _event(rows: pd.DataFrame) -> str:
    return f"{rows['symbol'].iloc[0]} at {rows['event_time'].iloc[0]}"


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A metric of two runs on the same events, and B less A.

    Parameters
    ----------
    metric
        Such as ``direction.auc``.
    events
        Number of events.
    first, second
        The metric of A and of B.
    difference, low, high
        B less A and its 95 % interval; NaN where there is none.
    larger_is_better
        Whether B is better where the difference is positive.
    note
        Why there is no interval, or nothing.
    """

    metric: str
    events: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    larger_is_better: bool = True
    note: str = ""

    @property
    def words(self) -> str:
        """Return the name of the metric in words, such as ``AUC of direction``."""
        return _in_words(self.metric)

    @property
    def reading(self) -> str:
        """Return ``better``, ``worse``, ``not distinguishable`` or ``not known``, of B beside A."""
        if math.isnan(self.low + self.high):
            return "not known"
        if self.low <= 0.0 <= self.high:
            return "not distinguishable"
        return "better" if (self.low > 0.0) == self.larger_is_better else "worse"

    def sentence(self, names: Sequence[str]) -> str:
        """Return the difference in a sentence; `names` are those of A and B."""
        what = f"{names[1]}'s {self.words}"
        if math.isnan(self.difference):
            return f"{what} cannot be compared: {self.note}."
        if math.isnan(self.low + self.high):
            return f"{what} differs by {self.difference:.3g}, which may be chance: there is no interval, {self.note}."
        if self.low == self.high == 0.0:
            return f"{what} equals that of {names[0]} in every draw."
        digits = max(0, 1 - math.floor(math.log10(self.high - self.low)))  # two digits of the width
        size, low, high = (_number(each, digits) for each in (abs(self.difference), self.low, self.high))
        way = "higher" if self.difference > 0 else "lower"
        reading = self.reading if self.reading == "not distinguishable" else f"{names[1]} is {self.reading}"
        return f"{what} is {way} by {size} ({low} to {high}): {reading}."


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Paired differences of two runs.

    Parameters
    ----------
    names
        Names of A and B.
    common, only_first, only_second
        Number of events that both scored, and that only A or only B did.
    traded
        Number of common events that A traded, that B traded and that both did; None where trades are not known.
    differences
        By metric, the AUC of direction first.
    """

    names: tuple[str, str]
    common: int
    only_first: int
    only_second: int
    traded: tuple[int, int, int] | None
    differences: tuple[Difference, ...]

    @property
    def sentence(self) -> str:
        """Return the conclusion on the headline, the AUC of direction."""
        return self.differences[0].sentence(self.names)

    @property
    def table(self) -> pd.DataFrame:
        """Return one row per metric."""
        first, second = self.names
        rows = [
            {
                "metric": each.metric,
                "events": each.events,
                first: each.first,
                second: each.second,
                "difference": each.difference,
                "low": each.low,
                "high": each.high,
                f"{second} is": each.reading,
            }
            for each in self.differences
        ]
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison in types of JSON after `slackwater.storage.write_report`."""
        traded = None if self.traded is None else dict(zip(("a", "b", "both"), self.traded, strict=True))
        return {
            "sentence": self.sentence,
            "a": self.names[0],
            "b": self.names[1],
            "events": {"common": self.common, "only_a": self.only_first, "only_b": self.only_second},
            "traded": traded,
            "differences": {
                each.metric: {
                    "n_events": each.events,
                    "a": each.first,
                    "b": each.second,
                    "difference": each.difference,
                    "low": each.low,
                    "high": each.high,
                    "b_is": each.reading,
                    "note": each.note,
                }
                for each in self.differences
            },
        }


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    *,
    resampling: Resampling | None = None,
    names: tuple[str, str] = ("A", "B"),
) -> Comparison:
    """Compare two runs on the events that both scored and trade.

    Parameters
    ----------
    first, second
        Tables of `scored_events` of A and of B.
    resampling
        Block bootstrap of the intervals: both runs on the same drawn events.
    names
        Names of A and B in sentences and tables.

    Returns
    -------
    Comparison
        AUC, Brier score and log loss (natural logarithm) of direction and of hit. Where the trades of both are known,
        also the results of their trades at unit risk, in R and in bps of the notional: ``net_r`` and ``net_bps`` per
        common event, of which one that is not traded earns nothing, and ``..._both_traded`` per event that both traded.

    Raises
    ------
    SchemaError
        If a column is missing.
    DataError
        If no event was scored by both, or their labels differ: other barriers, horizons or prices. Such runs answer
        different questions.
    """
    own = _scored(first, second, names)
    common = _paired(own, names)
    pairs = _Pairs(rows=common, resampling=resampling or Resampling())
    both_known = all(name in table for table in own for name in _TAKEN.values())
    traded = pairs.traded() if both_known else None
    found = [row for target in _COMPARED for row in pairs.of_probability(target)]
    found += [row for name in _TAKEN.values() for row in pairs.of_trades(name)] if both_known else []
    n_first, n_second = (len(each) - len(common) for each in own)
    return Comparison(
        names=names,
        common=len(common),
        only_first=n_first,
        only_second=n_second,
        traded=traded,
        differences=tuple(found),
    )


def paired_events(first: pd.DataFrame, second: pd.DataFrame, names: tuple[str, str] = ("A", "B")) -> pd.DataFrame:
    """Return the events that two runs scored and trade, in the order of time.

    Columns of A end in ``_a`` and those of B in ``_b``; `symbol`, `event_time`, and a column that only one run has,
    keep their name. Parameters and errors are those of `compare`.
    """
    return _paired(_scored(first, second, names), names)


def _scored(first: pd.DataFrame, second: pd.DataFrame, names: tuple[str, str]) -> list[pd.DataFrame]:
    """Return the events of each run that it scored and trades."""
    own = []
    for name, table in zip(names, (first, second), strict=True):
        table = _columns(table, f"the scored events of {name}", _wanted(table))
        scored = table[[f"p_{target.name}" for target in _COMPARED]].notna().all(axis=1)
        own.append(table[traded_rows(table) & scored.to_numpy()])
    return own


def _paired(own: Sequence[pd.DataFrame], names: tuple[str, str]) -> pd.DataFrame:
    common = own[0].merge(own[1], on=_KEYS, suffixes=("_a", "_b")).sort_values(["event_time", "symbol"])
    if common.empty:
        raise DataError(
            f"{names[0]} and {names[1]} have no scored event in common: {_span(own[0])}, and {_span(own[1])}"
        )
    _require_labels(common, names)
    return common.reset_index(drop=True)


def _wanted(table: pd.DataFrame) -> list[str]:
    outputs = [f"p_{target.name}" for target in _COMPARED]
    return [*_KEYS, *outputs, "entry_time", *_LABELS, *(n for n in ("trades", "fold", *_TAKEN.values()) if n in table)]


def _span(table: pd.DataFrame) -> str:
    if table.empty:
        return "none that trades"
    symbols = ", ".join(sorted(table["symbol"].unique())[:5])
    return f"{len(table):,} of {symbols} from {table['event_time'].min()} to {table['event_time'].max()}"


def _require_labels(common: pd.DataFrame, names: tuple[str, str]) -> None:
    """Refuse runs whose labels of the same events differ; the message names the horizons where these differ."""
    found, other = [], np.zeros(len(common), dtype=bool)
    for column in _LABELS:
        one, two = common[f"{column}_a"], common[f"{column}_b"]
        differs = ((one != two) & ~(one.isna() & two.isna())).to_numpy(bool)
        other |= differs
        if differs.any():
            found.append(f"{column} of {int(differs.sum()):,}")
    if not found:
        return
    longest = [(common[f"label_end_time_{side}"] - common[f"entry_time_{side}"]).max() for side in ("a", "b")]
    horizons = f"; the longest label lasts {longest[0]} in {names[0]} and {longest[1]} in {names[1]}"
    raise DataError(
        f"{names[0]} and {names[1]} have different labels in {', '.join(found)} of {len(common):,} common events, the "
        f"first {_event(common[other])}{horizons if longest[0] != longest[1] else ''}: give runs whose horizon, "
        "barriers and prices are the same"
    )


@dataclass(frozen=True, kw_only=True)
class _Pairs:
    """The common events, with the columns of A (``_a``) and of B (``_b``)."""

    rows: pd.DataFrame
    resampling: Resampling

    def of_probability(self, target: Target) -> list[Difference]:
        """Return AUC, Brier score and log loss of a target on the events that have its label."""
        rows = self.rows[self.rows[f"{target.column}_a"].notna()]
        y = rows[f"{target.column}_a"].to_numpy(np.float64)
        p = [rows[f"p_{target.name}_{side}"].to_numpy(np.float64) for side in ("a", "b")]
        times, name = rows["event_time"], target.name
        squared, surprise = [(y - each) ** 2 for each in p], [_log_loss(y, each) for each in p]
        return [
            self._difference(f"{name}.auc", times, auc, [(y, each) for each in p]),
            self._difference(f"{name}.brier", times, _mean, [(each,) for each in squared], larger_is_better=False),
            self._difference(f"{name}.log_loss", times, _mean, [(each,) for each in surprise], larger_is_better=False),
        ]

    def of_trades(self, column: str) -> list[Difference]:
        """Return the result per common event, and per event that both traded."""
        results = [self.rows[f"{column}_{side}"].to_numpy(np.float64) for side in ("a", "b")]
        times, name = self.rows["event_time"], column.removeprefix("taken_")
        earned = [(np.nan_to_num(each),) for each in results]  # an event that is not traded earns nothing
        both = ~np.isnan(results[0] + results[1])
        return [
            self._difference(name, times, _mean, earned),
            self._difference(f"{name}_both_traded", times[both], _mean, [(each[both],) for each in results]),
        ]

    def traded(self) -> tuple[int, int, int]:
        first, second = (self._is_traded(side) for side in ("a", "b"))
        return int(first.sum()), int(second.sum()), int((first & second).sum())

    def _is_traded(self, side: str) -> Bools:
        return self.rows[f"{_TAKEN['net_r']}_{side}"].notna().to_numpy()

    def _difference(
        self,
        metric: str,
        times: pd.Series,
        statistic: Callable[..., float],
        given: Sequence[tuple[Floats, ...]],
        *,
        larger_is_better: bool = True,
    ) -> Difference:
        first, second = (statistic(*each) if len(times) else math.nan for each in given)
        note, low, high = self._obstacle(times, second - first), math.nan, math.nan
        if not note:
            low, high = self.resampling.difference(statistic, times, given[1], given[0])
            note = "" if low == low else "the metric is not defined in too many draws"
        return Difference(
            metric=metric,
            events=len(times),
            first=first,
            second=second,
            difference=second - first,
            low=low,
            high=high,
            larger_is_better=larger_is_better,
            note=note,
        )

    def _obstacle(self, times: pd.Series, difference: float) -> str:
        """Return why there cannot be an interval, or nothing."""
        if not len(times):
            return "there is no such event"
        if not math.isfinite(difference):
            return "a probability of 0 or 1 was wrong, or all labels are the same"
        days = (times.max().normalize() - times.min().normalize()).days + 1
        if days * DAY < FEWEST_BLOCKS * self.resampling.mean_block:
            block = self.resampling.mean_block.days
            return f"the events span {days} days, an interval needs {FEWEST_BLOCKS} blocks of {block} days"
        return ""


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else math.nan


def _log_loss(y: Floats, p: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return -np.log(np.where(y == 1.0, p, 1.0 - p))


def _in_words(metric: str) -> str:
    """Return ``AUC of direction`` for ``direction.auc``."""
    target, _, name = metric.partition(".")
    return f"{_WORDS[name]} of {target}" if name else _RESULTS[metric]


def _number(value: float, digits: int) -> str:
    """Return a number without the zero before its point, as in ``.008``."""
    return f"{value:.{digits}f}".replace("0.", ".", 1) if abs(value) < 1.0 else f"{value:.{digits}f}"
