"""The trials that were made on a data set: how many there were, and the daily returns of those that are comparable.

Every configuration that was tried is a line of ``trials.jsonl``, also one that failed. The best of many looks better
than it is (method, section 3.5); here they are counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence.evaluation import daily_returns
from slackwater.storage import digest_of

__all__ = [
    "RETURN_DIGITS",
    "CountedTrials",
    "compact_returns",
    "configuration_digest",
    "count_trials",
    "daily_series",
    "same_returns",
]

RETURN_DIGITS: Final = 5
"""Decimals of a recorded daily return, in R."""


@dataclass(frozen=True, kw_only=True)
class CountedTrials:
    """The trials of one data set, the run itself among them.

    Parameters
    ----------
    count
        Different configurations that were tried, >= 1.
    returns
        Net R per UTC day of those that were measured on the events and labels of the run, one column per trial, the run
        itself first; NaN on days without a trade. None where only the run itself has such returns.
    sentences
        What was counted and what was not, and why.
    """

    count: int
    returns: pd.DataFrame | None
    sentences: tuple[str, ...]


def configuration_digest(effective: Mapping[str, Any]) -> str:
    """Return the digest of all parameters that a trial depends on.

    Parameters
    ----------
    effective
        Effective parameters in types of JSON, as in ``reports/effective_params.yaml``.
    """
    return digest_of({name: section for name, section in effective.items() if name not in ("evaluation", "tracking")})


def compact_returns(trades: pd.DataFrame) -> dict[str, Any]:
    """Return the net R of each UTC day as a ledger holds it: the first day, and one value per day, null without trades.

    Parameters
    ----------
    trades
        ``entry_time`` and ``net_r`` of trades at unit risk.

    Examples
    --------
    >>> times = pd.to_datetime(["2024-01-01T03:00Z", "2024-01-03T01:00Z", "2024-01-03T02:00Z"])
    >>> compact_returns(pd.DataFrame({"entry_time": times, "net_r": [1.0, -0.25, 0.5]}))
    {'start': '2024-01-01', 'net_r': [1.0, None, 0.25]}
    """
    if trades.empty:
        return {"start": None, "net_r": []}
    daily = daily_returns(trades, "net_r").asfreq("D")
    values = [None if np.isnan(value) else round(float(value), RETURN_DIGITS) for value in daily]
    return {"start": daily.index[0].date().isoformat(), "net_r": values}


def same_returns(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two compact returns are those of the same trades: days alike, values up to the last decimal."""
    a, b = daily_series(one), daily_series(other)
    return a.index.equals(b.index) and bool(np.allclose(a, b, rtol=0.0, atol=1.5 * 10.0**-RETURN_DIGITS))


def count_trials(
    rows: Iterable[Mapping[str, Any]],
    unit_risk: pd.DataFrame,
    *,
    dataset: str,
    data_sha256: str,
    params_sha256: str,
) -> CountedTrials:
    """Count the recorded trials of a data set and the run itself, which counts once where it is recorded too.

    A trial that failed or was stopped counts: somebody looked for a better configuration. Two lines with the same data,
    parameters and configuration are one trial, unless their returns differ: then the code did. One that failed
    before its events were known is the trial of the same parameters that did not.

    Parameters
    ----------
    rows
        Lines of the ledger (`slackwater.evidence.trial_ledger.read_trials`).
    unit_risk
        Trades of the run at unit risk.
    dataset
        Name of its data set. A line without a data set counts for every one, and one on the same events and labels
        whatever its data set is called.
    data_sha256
        Digest of its events and labels (`slackwater.models.training.TrainingSet.digest`).
    params_sha256
        Digest of its parameters (`configuration_digest`): two runs without trades are the same only if these are equal.
    """
    rows = list(rows)

    def is_own(row: Mapping[str, Any]) -> bool:
        return row.get("dataset", dataset) == dataset or row.get("data_sha256") == data_sha256

    others = Counter(str(row["dataset"]) for row in rows if not is_own(row))
    own = _not_repeated(_different([row for row in rows if is_own(row)]), params_sha256)
    run = compact_returns(unit_risk)
    of_run = [row for row in own if row.get("data_sha256") == data_sha256 and "returns" in row]
    alike = [row for row in of_run if same_returns(row["returns"], run)]
    itself = next((row for row in alike if run["net_r"] or row.get("params_sha256") == params_sha256), None)
    beside = [row for row in own if row is not itself]
    comparable = [row for row in of_run if row is not itself]
    found = [*_counted(beside, comparable, data_sha256, dataset), *_not_counted(others)]
    if itself is not None:
        found.append(f"this run is trial {itself.get('number', '?')} of the study {itself.get('study', '?')}")
    columns = {
        number: daily_series(returns) for number, returns in enumerate([run, *(row["returns"] for row in comparable)])
    }
    returns = pd.DataFrame(columns).sort_index() if comparable else None
    return CountedTrials(count=1 + len(beside), returns=returns, sentences=tuple(found))


def _different(rows: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the first line of each configuration, and those of the same one with other returns."""
    seen: dict[str, list[Mapping[str, Any]]] = {}
    for at, row in enumerate(rows):
        # The digest of a line with a state is that of all parameters; `trial` repeats some of them.
        keys = ["data_sha256", "params_sha256", *([] if "state" in row else ["code_sha256", "trial"])]
        same = seen.setdefault(digest_of([row[key] for key in keys] if all(key in row for key in keys) else [at]), [])
        measured = [each for each in same if "returns" in each]
        if not same:
            same.append(row)
        elif "returns" in row and not any(same_returns(row["returns"], each["returns"]) for each in measured):
            same[:] = [*measured, row]
    return [row for same in seen.values() for row in same]


def _not_repeated(rows: list[Mapping[str, Any]], params_sha256: str) -> list[Mapping[str, Any]]:
    """Return the rows without failures on unknown events whose parameters are those of the run or of another row."""
    repeated = {
        params_sha256,
        *(row["params_sha256"] for row in rows if {"data_sha256", "params_sha256"} <= row.keys()),
    }
    return [row for row in rows if "data_sha256" in row or row.get("params_sha256") not in repeated]


def _counted(
    beside: list[Mapping[str, Any]], comparable: list[Mapping[str, Any]], data_sha256: str, dataset: str
) -> Iterable[str]:
    if not beside:
        yield f"trials.jsonl records no other trial of {dataset}: this run is the only one on record"
        return
    yield f"other recorded trials of {dataset}: {len(beside):,} count, {len(comparable):,} of them with their returns"
    elsewhere = [row for row in beside if row.get("data_sha256", data_sha256) != data_sha256]
    if elsewhere:
        yield (
            f"{len(elsewhere):,} of these were measured on other events or labels: they count, but their returns are "
            "not set beside those of this run"
        )
    without = Counter(row.get("state", "complete") for row in beside if row not in elsewhere and "returns" not in row)
    if without:
        yield "without returns: " + ", ".join(f"{count:,} {state}" for state, count in sorted(without.items()))


def _not_counted(others: Mapping[str, int]) -> Iterable[str]:
    if others:
        named = ", ".join(f"{count:,} of {name}" for name, count in sorted(others.items()))
        yield f"trials of other data sets are not counted: {named}"


def daily_series(returns: Mapping[str, Any]) -> pd.Series:
    """Return the net R of the UTC days with trades, from compact returns.

    Raises
    ------
    KeyError, TypeError, ValueError
        If they are not such returns.
    """
    values = np.array(returns["net_r"], dtype=np.float64)
    if not values.size:
        return pd.Series([], index=pd.DatetimeIndex([], tz="UTC"), dtype=np.float64)
    days = pd.date_range(date.fromisoformat(returns["start"]), periods=values.size, freq="D", tz="UTC")
    return pd.Series(values, index=days).dropna()
