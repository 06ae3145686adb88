"""Population drift: whether later events have the features of the training events, per feature and per family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import BundleError, DataError
from slackwater.models.training_shares import NoDrift, TrainingShares
from slackwater.times import DAY_US, require_times_us

__all__ = ["PopulationDrift", "population_drift", "shares_of"]

_NAMED: Final = 5


def shares_of(manifest: Mapping[str, Any]) -> TrainingShares:
    """Return the training shares in the manifest of a bundle.

    Raises
    ------
    BundleError
        If it contains none, they are damaged, or they are not those of its features.
    """
    if manifest.get("training_shares") is None:
        raise BundleError(
            "the bundle does not contain the shares of its features in training, with which later events are compared: "
            "train and export it again with `dvc repro`"
        )
    shares = TrainingShares.from_dict(manifest["training_shares"])
    columns = len(manifest["features"]["model_features"]) + 1  # the direction is the last one
    if len(shares.families) != columns:
        raise BundleError(f"the training shares of the bundle have {len(shares.families)} columns, not {columns}")
    return shares


@dataclass(frozen=True, kw_only=True)
class PopulationDrift:
    """Population stability index (PSI) of a sample of events against training.

    Parameters
    ----------
    events, days
        Number of events, and of days (UTC) on which they lie.
    first, last
        Time of the first and of the last event.
    features
        One row per feature: ``feature``, ``family``, ``psi``, ``expected`` and ``bound`` (mean and 95 % quantile
        without drift), ``ratio`` (PSI over its bound), and ``missing`` and ``missing_in_training`` (shares). Largest
        ratio first; ``expected``, ``bound`` and ``ratio`` are NaN where there is no bound.
    families
        One row per family: ``family``, ``n_features``, ``psi`` (mean of its features), ``expected``, ``bound``,
        ``ratio``.
    no_drift
        The stretches of training that gave the bounds; None where the sample is too small for any.
    shortest
        The shortest stretches of training; None where training was too short for any.
    """

    events: int
    days: int
    first: pd.Timestamp
    last: pd.Timestamp
    features: pd.DataFrame
    families: pd.DataFrame
    no_drift: NoDrift | None
    shortest: NoDrift | None

    @property
    def drifted(self) -> bool | None:
        """Whether the sample exceeds one of the two limits that 95 % of the stretches of training keep; None: unknown.

        The limits are the number of features beyond their bound, and the largest ratio of a PSI to its bound.
        """
        if self.no_drift is None or not self._judged:
            return None
        return self._beyond > self._usual or bool(self._far)

    @property
    def sentence(self) -> str:
        """Return the finding."""
        sample = f"{self.events:,} events on {self.days:,} days"
        if self.drifted is None or self.no_drift is None:
            if self.shortest is None:
                return f"Drift is not evaluable: training had fewer than 60 days with an event ({sample})."
            return (
                f"Drift is not evaluable: {sample}; it takes {self.shortest.events:,.0f} events on "
                f"{self.shortest.days} days."
            )
        finding = "The population has drifted" if self.drifted else "No drift is visible"
        listed = ", ".join(self._far[:_NAMED]) + (f" and {len(self._far) - _NAMED} more" * (len(self._far) > _NAMED))
        return (
            f"{finding} ({sample}): {self._beyond} of {self._judged} features lie beyond their bound, "
            f"{self._usual:.0f} may without drift; {listed or 'none'} beyond {self.no_drift.largest_ratio:.2f} times "
            f"it. Stretches of training of {self.no_drift.days} days gave the bounds."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the result in types of JSON after `slackwater.storage.json_line`."""
        null = self.no_drift
        return {
            "sentence": self.sentence,
            "drifted": self.drifted,
            "n_events": self.events,
            "n_days": self.days,
            "first_event": self.first.isoformat(),
            "last_event": self.last.isoformat(),
            "n_judged": self._judged,
            "n_beyond": self._beyond,
            "n_beyond_limit": None if null is None else self._usual,
            "far_beyond": self._far,
            "ratio_limit": None if null is None else null.largest_ratio,
            "stretch_days": None if null is None else null.days,
            "families": self.families.set_index("family").to_dict(orient="index"),
            "features": self.features.set_index("feature").to_dict(orient="index"),
        }

    @property
    def _judged(self) -> int:
        return int(self.features["ratio"].notna().sum())

    @property
    def _beyond(self) -> int:
        return int((self.features["ratio"] > 1.0).sum())

    @property
    def _usual(self) -> float:
        """Number of features beyond their bound that nearly every stretch of training keeps to."""
        return 0.0 if self.no_drift is None else self.no_drift.share_beyond * self._judged

    @property
    def _far(self) -> list[str]:
        """Names of the features whose ratio nearly no stretch of training has anywhere."""
        if self.no_drift is None:
            return []
        names: list[str] = self.features.loc[self.features["ratio"] > self.no_drift.largest_ratio, "feature"].tolist()
        return names


def population_drift(shares: TrainingShares, features: pd.DataFrame, times: Any) -> PopulationDrift:
    """Compare the features of events with those of training.

    Parameters
    ----------
    shares
        Of the bundle (`shares_of`).
    features : DataFrame of float64, shape (n_events >= 1, n_columns)
        Oriented features of the events, with the columns of training.
    times : array-like of datetime64, shape (n_events,)
        Time of each event.

    Raises
    ------
    DataError
        If there is no event, or the columns are not those of training.

    Notes
    -----
    The bounds are those of the longest stretches of training with neither more days nor more events than the sample
    (`slackwater.models.training_shares.TrainingShares.no_drift_of`). One feature in twenty lies beyond its own bound
    without any drift, and features move together; so the finding rests on how many do and on how far the furthest is.
    """
    stamps = require_times_us(times, name="times")
    if len(features) != stamps.size or not stamps.size:
        raise DataError(f"there must be one time per event and at least one event, were {stamps.size}, {len(features)}")
    days = np.unique(stamps // DAY_US).size
    null = shares.no_drift_of(stamps.size, days)
    return PopulationDrift(
        events=stamps.size,
        days=days,
        first=pd.Timestamp(int(stamps.min()), unit="us", tz="UTC"),
        last=pd.Timestamp(int(stamps.max()), unit="us", tz="UTC"),
        features=_by_feature(shares, features, null),
        families=_by_family(shares, shares.psi(features), null),
        no_drift=null,
        shortest=shares.no_drift[0] if shares.no_drift else None,
    )


def _by_feature(shares: TrainingShares, features: pd.DataFrame, null: NoDrift | None) -> pd.DataFrame:
    none = [None] * len(shares.families)
    table = pd.DataFrame(
        {
            "feature": list(features.columns),
            "family": shares.families,
            "psi": shares.psi(features),
            "expected": pd.Series(none if null is None else null.expected, dtype="float64"),
            "bound": pd.Series(none if null is None else null.bound, dtype="float64"),
            "missing": features.isna().mean().to_numpy(),
            "missing_in_training": shares.missing,
        }
    )
    return _by_ratio(table)


def _by_family(shares: TrainingShares, psi: Any, null: NoDrift | None) -> pd.DataFrame:
    groups = pd.Series(psi).groupby(np.array(shares.families), sort=False)
    bounds = {} if null is None else null.families
    table = groups.agg(n_features="size", psi="mean").rename_axis("family").reset_index()
    for place, name in enumerate(("expected", "bound")):
        table[name] = [bounds[family][place] if family in bounds else np.nan for family in table["family"]]
    return _by_ratio(table)


def _by_ratio(table: pd.DataFrame) -> pd.DataFrame:
    table.insert(table.columns.get_loc("bound") + 1, "ratio", table["psi"] / table["bound"])
    return table.sort_values("ratio", ascending=False, ignore_index=True)
