"""Direction by trigger, by horizon, by side and by symbol: how good it is, and what the rows could have shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence.resampling import Resampling
from slackwater.labels.weights import average_uniqueness, effective_n
from slackwater.metrics.classification import auc, brier_skill, expected_calibration_error
from slackwater.models.horizons import horizon_target, reported_horizons
from slackwater.types import Bools, Floats

__all__ = [
    "DirectionReport",
    "direction_metrics",
    "hours_to_barriers",
    "rows_by_trigger",
    "traded_rows",
]

_T: Final = 3.0
_QUANTILES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True, kw_only=True)
class DirectionReport:
    """Settings of the tables of direction.

    Parameters
    ----------
    headline
        Name of the horizon whose columns have no suffix, such as ``24h``.
    symbol_correlation
        As in `slackwater.labels.weights.average_uniqueness`; gives the effective number of the rows of a group.
    resampling
        Block bootstrap of the intervals.
    """

    headline: str
    symbol_correlation: float
    resampling: Resampling

    def tables(self, scored: pd.DataFrame) -> dict[str, dict[str, Any]]:
        """Return metrics of direction by trigger, horizon, side and symbol.

        Parameters
        ----------
        scored
            One row per event of the test blocks: labels and out-of-fold predictions joined. Without a column
            ``triggers`` all rows are one group, and without a column ``trades`` all of them trade.

        Returns
        -------
        dict
            ``by_trigger``, ``by_horizon``, ``by_side`` and ``by_symbol``, each of them metrics (`direction_metrics`) by
            name. Where some rows train without being traded, they are the group ``only_trains`` of the triggers.
        """
        traded = traded_rows(scored)
        sides = {"after_up_moves": 1, "after_down_moves": -1}
        groups = {
            "by_trigger": rows_by_trigger(scored),
            "by_side": {name: traded & (scored["direction"] == side).to_numpy() for name, side in sides.items()},
            "by_symbol": {
                str(symbol): traded & (scored["symbol"] == symbol).to_numpy()
                for symbol in sorted(scored["symbol"].unique())
            },
        }
        tables = {
            table: {name: self.metrics(scored[rows]) for name, rows in each.items()} for table, each in groups.items()
        }
        names = reported_horizons([*scored.columns, f"y_direction_{self.headline}"])
        own = scored[traded]
        by_horizon = {name: self.metrics(own, "" if name == self.headline else name) for name in names}
        return tables | {"by_horizon": by_horizon}

    def metrics(self, rows: pd.DataFrame, horizon: str = "") -> dict[str, Any]:
        """Return `direction_metrics` of rows at a reported horizon, or at the headline."""
        name, end, column = "direction", "label_end_time", "y_direction"
        if horizon:
            target = horizon_target(horizon)
            name, end, column = target.name, f"label_end_time_{horizon}", target.column
        rows = rows[rows[column].notna() & rows[f"p_{name}"].notna()]
        weight = average_uniqueness(rows, symbol_correlation=self.symbol_correlation, end=end)
        return direction_metrics(
            rows[column].to_numpy(np.float64),
            rows[f"p_{name}"].to_numpy(),
            rows[f"p_{name}_raw"].to_numpy(),
            rows[f"base_{name}"].to_numpy(),
            times=rows["event_time"],
            effective=effective_n(weight),
            resampling=self.resampling,
        )

    def reversals(self, labels: pd.DataFrame, *, equal_barriers: bool) -> dict[str, dict[str, float]]:
        """Return how often the reversal barrier comes first within each horizon, beside a market without drift.

        Parameters
        ----------
        labels
            The labels table; the rows that trade count, whether or not a model was tested on them.
        equal_barriers
            Whether both barriers are equally far away. Without drift, reversal and continuation are then equally
            frequent, each half of what does not time out; otherwise the expected share is not known.

        Returns
        -------
        dict
            By name of the horizon, in order of length: ``n``, ``effective_n``, the shares ``reversal``,
            ``continuation`` and ``time_out``, ``reversal_expected``, ``difference`` of reversal and expected with its
            interval ``_low`` and ``_high``, and ``smallest_visible_difference``, which would have had t = 3.
        """
        own, found = labels[traded_rows(labels)], {}
        for name in reported_horizons([*labels.columns, f"y_direction_{self.headline}"]):
            suffix = "" if name == self.headline else f"_{name}"
            rows = own[own[f"code{suffix}"].notna()]
            weight = average_uniqueness(rows, symbol_correlation=self.symbol_correlation, end=f"label_end_time{suffix}")
            found[name] = self._reversal(rows["event_time"], rows[f"code{suffix}"], effective_n(weight), equal_barriers)
        return found

    def _reversal(self, times: pd.Series, code: pd.Series, effective: float, equal: bool) -> dict[str, float]:
        """Return the shares of the codes; half a code is the difference of one event from what no drift would give."""
        share = {each: float((code == each).mean()) for each in (1, -1, 0)}
        halves, unknown = code.to_numpy(np.float64) / 2.0, float("nan")
        known = equal and len(halves) > 0
        low, high = self.resampling.interval(_mean, times, halves) if known else (unknown, unknown)
        return {
            "n": len(halves),
            "effective_n": effective,
            "reversal": share[1],
            "continuation": share[-1],
            "time_out": share[0],
            "reversal_expected": (share[1] + share[-1]) / 2.0 if known else unknown,
            "difference": float(halves.mean()) if known else unknown,
            "difference_low": low,
            "difference_high": high,
            "smallest_visible_difference": _T * float(halves.std() / np.sqrt(effective)) if known else unknown,
        }


def _mean(values: Floats) -> float:
    return float(np.mean(values))


def direction_metrics(
    y: Floats, p: Floats, raw: Floats, base: Floats, *, times: pd.Series, effective: float, resampling: Resampling
) -> dict[str, Any]:
    """Return metrics of a probability beside what these rows could have shown.

    Parameters
    ----------
    y
        Outcomes, 0 or 1, shape (n,).
    p, raw
        Calibrated and raw probabilities.
    base
        Share of ones in the training rows.
    times
        Event times.
    effective
        Effective number of the rows.
    resampling
        Block bootstrap of the intervals.

    Returns
    -------
    dict
        ``n``, ``effective_n``, ``base_rate``, ``auc_raw`` and ``auc``, each with its interval ``_low`` and ``_high``,
        ``brier_skill``, ``ece``, and ``smallest_visible_auc``: the smallest AUC that would have had t = 3, above 1
        where none would. NaN where it is not known.
    """
    unknown = (float("nan"), float("nan"))
    low, high = resampling.interval(auc, times, y, p) if len(y) else unknown
    raw_low, raw_high = resampling.interval(auc, times, y, raw) if len(y) else unknown
    base_rate = float(y.mean()) if len(y) else float("nan")
    return {
        "n": len(y),
        "effective_n": effective,
        "base_rate": base_rate,
        "auc_raw": auc(y, raw),
        "auc_raw_low": raw_low,
        "auc_raw_high": raw_high,
        "auc": auc(y, p),
        "auc_low": low,
        "auc_high": high,
        "brier_skill": brier_skill(y, p, base),
        "ece": expected_calibration_error(y, p),
        "smallest_visible_auc": _smallest_visible_auc(effective, base_rate),
    }


def _smallest_visible_auc(effective: float, base_rate: float) -> float:
    """Return .5 and three standard errors of an AUC without information, sqrt((1 / n1 + 1 / n0) / 12)."""
    ones, zeros = effective * base_rate, effective * (1.0 - base_rate)
    if not (ones > 0.0 and zeros > 0.0):
        return float("nan")
    return 0.5 + _T * float(np.sqrt((1.0 / ones + 1.0 / zeros) / 12.0))


def traded_rows(scored: pd.DataFrame) -> Bools:
    """Return which rows are scored and traded; all of them without a column ``trades``."""
    return scored["trades"].to_numpy(bool) if "trades" in scored else np.ones(len(scored), dtype=bool)


def rows_by_trigger(scored: pd.DataFrame) -> dict[str, Bools]:
    """Return the rows of each trigger: a row at which several fired is one of each."""
    traded = traded_rows(scored)
    groups = {"all": traded}
    if "triggers" in scored:
        fired = scored["triggers"].fillna("").str.split("+")
        names = sorted({name for each in fired for name in each if name})
        groups |= {name: traded & fired.map(lambda each, name=name: name in each).to_numpy(bool) for name in names}
    if not traded.all():
        groups["only_trains"] = ~traded
    return groups


def hours_to_barriers(labels: pd.DataFrame) -> dict[str, Mapping[str, float]]:
    """Return quantiles of the hours from entry to the barrier at the headline, of reversals and of continuations.

    In a market without drift, and with barriers equally far away, both have the same distribution.

    Returns
    -------
    dict
        ``reversal`` and ``continuation``: ``n`` and the quantiles ``q10`` to ``q90`` in hours, NaN without any.
    """
    own = labels[traded_rows(labels)]
    hours = (own["label_end_time"] - own["entry_time"]) / pd.Timedelta(hours=1)
    groups = {"reversal": own["time_to_reversal"].dropna(), "continuation": hours[own["code"] == -1]}
    return {
        name: {"n": len(each), **{f"q{round(100 * q)}": float(each.quantile(q)) for q in _QUANTILES}}
        for name, each in groups.items()
    }
