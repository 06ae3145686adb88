"""One table of what each part of the model's rule adds: families, rules, sides, triggers and the horizon.

Every row is the whole rule beside the same rule without one part, out of sample and on the same events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence._intervals import DIFFERENCE, DIFFERENCE_R
from slackwater.evidence.controls.paired import OtherScores, PairedDays, auc_differences
from slackwater.evidence.direction import rows_by_trigger
from slackwater.models.horizons import horizon_target, reported_horizons
from slackwater.models.training import Trainer, TrainingSet
from slackwater.types import Bools, Floats

__all__ = [
    "COLUMNS",
    "Variant",
    "WholeRule",
    "findings",
    "horizon_variants",
    "side_variants",
    "trigger_variants",
    "without_family",
]

_DIFFERENCE_AUC: Final = ("difference_auc", "difference_auc_low", "difference_auc_high")
COLUMNS: Final = (
    *("part", "name", "change", "n_trades", "net_r_mean", "net_bps_mean"),
    *(*DIFFERENCE_R, *DIFFERENCE, "auc", *_DIFFERENCE_AUC),
)
"""Columns of a row, in order."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The rule with one part changed.

    Parameters
    ----------
    part, name, change
        Kind of part (``family``, ``side``, ``trigger``, ``horizon``), the part itself, and the change in words.
    accepted
        Which events it trades.
    kept
        Events on which its predictions are judged; None: all.
    p, y
        Its predictions of direction and what they predict; None: those of the whole rule.
    net
        ``net_r`` and ``net_bps`` of the trade of each event; None: those of the whole rule.
    """

    part: str
    name: str
    change: str
    accepted: Bools
    kept: Bools | None = None
    p: Floats | None = None
    y: Floats | None = None
    net: pd.DataFrame | None = None


@dataclass(frozen=True, kw_only=True)
class WholeRule:
    """The rule of a run on its events, and the rows that compare it with itself without one part.

    Parameters
    ----------
    events
        Events of the test blocks that trade: ``event_time``, ``net_r`` and ``net_bps`` of the suggested trade (NaN:
        none), ``y_direction`` and ``p_direction``.
    accepted
        Which of them the gate accepts.
    calendar
        The days of the test period.
    """

    events: pd.DataFrame
    accepted: Bools
    calendar: PairedDays

    def rows(self, variants: Iterable[Variant]) -> list[dict[str, Any]]:
        """Return one row per variant, with the columns `COLUMNS`.

        The differences are those of the whole rule less the variant: above 0 the part helps. Those of results are per
        **event**, an event without a trade counting 0; an event whose trade is not known in both is left out.
        """
        given = list(variants)
        y, p = self.events["y_direction"].to_numpy(np.float64), self.events["p_direction"].to_numpy()
        scores = [_scores(variant, y, p) for variant in given]
        directions = auc_differences(self.events["event_time"], y, p, scores, self.calendar.resampling)
        return [self._row(variant) | auc for variant, auc in zip(given, directions, strict=True)]

    def _row(self, variant: Variant) -> dict[str, Any]:
        net = self.events if variant.net is None else variant.net
        traded = variant.accepted & net["net_r"].notna().to_numpy()
        row: dict[str, Any] = {
            "part": variant.part,
            "name": variant.name,
            "change": variant.change,
            "n_trades": int(traded.sum()),
            "net_r_mean": float(net["net_r"][traded].mean()) if traded.any() else math.nan,
            "net_bps_mean": float(net["net_bps"][traded].mean()) if traded.any() else math.nan,
        }
        for unit, names in (("net_r", DIFFERENCE_R), ("net_bps", DIFFERENCE)):
            apart = _per_event(self.events[unit], self.accepted) - _per_event(net[unit], variant.accepted)
            known = ~np.isnan(apart)
            found = self.calendar.mean(self.events["event_time"][known], pd.Series(apart[known]))
            row |= dict(zip(names, found, strict=True))
        return row


def _scores(variant: Variant, y: Floats, p: Floats) -> OtherScores | None:
    """Return the predictions of a variant that differ from those of the whole rule, if any do."""
    if variant.kept is None and variant.p is None:
        return None
    other_y, other_p = (y if variant.y is None else variant.y), (p if variant.p is None else variant.p)
    known = ~np.isnan(other_y) & ~np.isnan(other_p)  # a horizon is not known for every event
    return OtherScores(other_y, other_p, (known, known if variant.kept is None else known & variant.kept))


def _per_event(net: pd.Series, accepted: Bools) -> Floats:
    return np.where(accepted, net.to_numpy(np.float64), 0.0)


def side_variants(events: pd.DataFrame, accepted: Bools) -> list[Variant]:
    """Return the rule without long trades, and without short ones."""
    long = (events["direction"] < 0).to_numpy()
    return [
        Variant(part="side", name=f"{name} trades", change="without them", accepted=accepted & ~gone, kept=~gone)
        for name, gone in (("long", long), ("short", ~long))
    ]


def trigger_variants(events: pd.DataFrame, accepted: Bools) -> list[Variant]:
    """Return the rule without each trigger: an event at which another one fired as well is kept."""
    groups = rows_by_trigger(events)
    names = [name for name in groups if name not in ("all", "only_trains")]
    if len(names) < 2:
        return []
    variants = []
    for name in names:
        kept = np.logical_or.reduce([groups[other] for other in names if other != name])
        variants.append(Variant(part="trigger", name=name, change="without it", accepted=accepted & kept, kept=kept))
    return variants


def horizon_variants(
    events: pd.DataFrame, accepted: Bools, *, headline: str, net_at: Callable[[str], pd.DataFrame]
) -> list[Variant]:
    """Return the same trades and directions at each other reported horizon.

    Parameters
    ----------
    events
        As in `WholeRule`, with the columns of the reported horizons and their predictions.
    accepted
        Which events the gate accepts.
    headline
        Name of the horizon of the whole rule.
    net_at
        Returns ``net_r`` and ``net_bps`` of the trade of each event at a horizon, NaN where there is none or it was not
        accepted.
    """
    variants = []
    for name in reported_horizons(events.columns):
        if name == headline:
            continue
        column = f"p_{horizon_target(name).name}"
        p = events[column].to_numpy(np.float64) if column in events else np.full(len(events), np.nan)
        y = events[horizon_target(name).column].to_numpy(np.float64)
        variants.append(
            Variant(
                part="horizon",
                name=f"{headline} instead of {name}",
                change=f"at {name}",
                accepted=accepted,
                p=p,
                y=y,
                net=net_at(name),
            ),
        )
    return variants


def without_family(
    training: TrainingSet, trainer: Trainer, *, families: Mapping[str, str], family: str
) -> pd.DataFrame | None:
    """Predict the test blocks with models fitted without a family of features.

    Parameters
    ----------
    training
        All events.
    trainer
        The trainer of the models; its headline and the targets with a lower bound are fitted.
    families
        Family of each feature that is fitted.
    family
        The family that is left out.

    Returns
    -------
    DataFrame or None
        As `Trainer.predict_out_of_fold`; None where nothing would be left.
    """
    columns = [name for name in training.features.columns if families.get(name) != family]
    if not set(columns) - {"direction"}:
        return None
    own = replace(trainer, targets=tuple(t for t in trainer.targets if t.headline or t.lower_bound))
    return own.predict_out_of_fold(TrainingSet(features=training.features[columns], labels=training.labels))


def findings(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return, by kind of part, one sentence about what helps by more than chance, what costs, and what is not visible.

    A part helps where the interval of a difference in R per event or in AUC lies above 0, and costs where one lies
    below and none above.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        groups = found.setdefault(row["part"], {"helps": [], "costs": [], "adds nothing visible": [], "not known": []})
        groups[_effect(row)].append(row["name"])
    return {
        part: ". ".join(f"{effect.capitalize()}: {', '.join(names)}" for effect, names in groups.items() if names) + "."
        for part, groups in found.items()
    }


def _effect(row: Mapping[str, Any]) -> str:
    bounds = [(row[f"{name}_low"], row[f"{name}_high"]) for name in ("difference_r", "difference_auc")]
    known = [(low, high) for low, high in bounds if low is not None and high is not None and not math.isnan(low + high)]
    if any(low > 0.0 for low, _ in known):
        return "helps"
    if any(high < 0.0 for _, high in known):
        return "costs"
    return "adds nothing visible" if known else "not known"
