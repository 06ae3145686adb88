"""Families and features in a fitted model: shares of gain and of SHAP values, and partial dependence.

These describe the exported model, on rows that it was fitted to as well; they are not evidence of an edge.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.models.table_rows import TableRows
from slackwater.models.targets import ExplainedModel
from slackwater.types import Floats

__all__ = ["MISSION_FEATURES", "family_shares", "partial_dependence"]

MISSION_FEATURES: Final[Mapping[str, tuple[str, ...]]] = {
    "whale flows": ("whale_accumulation_24h", "large_trade_imbalance_24h"),
    "funding acceleration": ("funding_acceleration_z",),
    "open interest deltas": ("open_interest_delta_24h", "open_interest_delta_4h"),
    "liquidation density": ("liquidation_density_ratio_3atr_7d", "liquidation_mass_above_1atr_7d"),
}
"""Features whose partial dependence is shown, by the family of the mission that they stand for."""

_ROWS: Final = 250
_POINTS: Final = 12


def family_shares(model: ExplainedModel, features: pd.DataFrame, families: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return how much of a model is due to each family, the largest SHAP share first.

    Parameters
    ----------
    model
        A model from a bundle.
    features
        Rows with its columns; up to 250 of them, evenly spaced, are explained.
    families
        Family of each feature; ``direction`` is its own.

    Returns
    -------
    list of dict
        ``family``, ``n_features``, ``gain_share`` (of the gain of trees, or of the sum of |coefficients|) and
        ``shap_share``: the mean size of the sum of the family's SHAP values, as a share of that of all families. A
        family whose values cancel out is small in the second and not in the first.
    """
    names = list(model.feature_names)
    family = np.array([families.get(name, name) for name in names])
    parts = model.contributions(_sample(features, names))[:, :-1]
    gain = model.importance()
    order = list(dict.fromkeys(family))
    size = {name: float(np.abs(parts[:, family == name].sum(axis=1)).mean()) for name in order}
    total = sum(size.values())
    rows = [
        {
            "family": name,
            "n_features": int((family == name).sum()),
            "gain_share": float(gain[family == name].sum()),
            "shap_share": size[name] / total if total else 0.0,
        }
        for name in order
    ]
    return sorted(rows, key=lambda row: -row["shap_share"])


def partial_dependence(model: ExplainedModel, features: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Return the partial dependence of a model on the features of the mission (`MISSION_FEATURES`).

    Parameters
    ----------
    model, features
        As in `family_shares`; the features are oriented, so that the prior move points up.

    Returns
    -------
    dict
        By feature that the model reads: ``family`` of the mission, ``value`` (quantiles 5 % to 95 %) and ``log_odds``,
        the mean raw log-odds of the rows where the feature has that value, less their mean over the values.
    """
    names = list(model.feature_names)
    rows, found = _sample(features, names), {}
    for family, wanted in MISSION_FEATURES.items():
        for name in (each for each in wanted if each in names):
            known = features[name].dropna()
            if known.empty:
                continue
            grid = np.unique(np.quantile(known, np.linspace(0.05, 0.95, _POINTS)))
            log_odds = np.array([model.predict_raw(_at(rows, names.index(name), value)).mean() for value in grid])
            values = {"value": grid.tolist(), "log_odds": (log_odds - log_odds.mean()).tolist()}
            found[name] = {"family": family, **values}
    return found


def _sample(features: pd.DataFrame, names: list[str]) -> Floats:
    """Return some rows of columns, evenly spaced."""
    place = np.linspace(0, len(features) - 1, min(_ROWS, len(features))).astype(int)
    return TableRows.of(features, names, place).taken()


def _at(rows: Any, column: int, value: float) -> Any:
    changed = rows.copy()
    changed[:, column] = value
    return changed
