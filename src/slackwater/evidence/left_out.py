"""One table of what each part of the model's rule adds: families, rules, sides, triggers and the horizon.

Every row is the whole rule beside the same rule without one part, out of sample and on the same events.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence._intervals import DIFFERENCE, DIFFERENCE_AUC, DIFFERENCE_R, effect
from slackwater.evidence.controls.paired import (
    OtherScores,
    PairedDays,
    auc_differences,
    before_funding,
    without_direction,
)
from slackwater.evidence.direction import rows_by_trigger
from slackwater.models.horizons import horizon_target, reported_horizons
from slackwater.models.targets import PRICE_FAMILIES
from slackwater.models.training import Trainer, TrainingSet
from slackwater.types import Bools, Floats

__all__ = [
    "COLUMNS",
    "Variant",
    "WholeRule",
    "costless_families",
    "findings",
    "horizon_variants",
    "side_variants",
    "trigger_variants",
    "without_families",
]

COLUMNS: Final = (
    *("part", "name", "change", "n_trades", "net_r_mean", "net_bps_mean"),
    *(*DIFFERENCE_R, *DIFFERENCE, "auc", *DIFFERENCE_AUC, "funding_known", "note"),
)
"""Columns of a row, in order."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """The rule with one part changed.

    Parameters
    ----------
    part, name, change
        Kind of part (``family``, ``side``, ``trigger``, ``horizon``, or several families together), the part itself,
        and the change in words.
    accepted
        Which events it trades; None: it was not measured, and `note` says why.
    p, y
        Its predictions of direction and what they predict. `p` None: it has none of its own, and no AUC; `y` None: that
        of the whole rule.
    net
        ``net_r``, ``net_bps`` and ``funding_known`` of the trade of each event; None: those of the whole rule.
    note
        Why it was not measured, or a remark.
    """

    part: str
    name: str
    change: str
    accepted: Bools | None
    p: Floats | None = None
    y: Floats | None = None
    net: pd.DataFrame | None = None
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class WholeRule:
    """The rule of a run on its events, and the rows that compare it with itself without one part.

    Parameters
    ----------
    events
        Events of the test blocks that trade: ``event_time``, ``net_r`` and ``net_bps`` of the suggested trade (NaN:
        none), ``funding_known``, whether funding is in them, ``y_direction`` and ``p_direction`` (NaN: not known).
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
        **event**, an event without a trade counting 0; an event whose trade is not known in both is left out. AUC is
        compared where the variant has predictions of its own, both on the events on which they are known. A part that
        only takes events away, such as a side, predicts nothing else and has no AUC. ``funding_known`` is False where
        a trade of either rule has its result before funding; ``note`` counts such trades and unknown events.
        """
        given = list(variants)
        y, p = self.events["y_direction"].to_numpy(np.float64), self.events["p_direction"].to_numpy()
        scores = [_scores(variant, y) for variant in given]
        directions = auc_differences(self.events["event_time"], y, p, scores, self.calendar.resampling)
        known = [np.ones(0, dtype=bool) if other is None else other.known(y, p) for other in scores]
        return [
            self._row(variant, without_direction(rows)) | auc
            for variant, auc, rows in zip(given, directions, known, strict=True)
        ]

    def _row(self, variant: Variant, note: str) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
        row |= {"part": variant.part, "name": variant.name, "change": variant.change, "funding_known": None}
        if variant.accepted is None:
            return row | {"note": variant.note}
        net = self.events if variant.net is None else variant.net
        traded = variant.accepted & net["net_r"].notna().to_numpy()
        funding = self._funding_known(traded, net)
        row |= {
            "n_trades": int(traded.sum()),
            "net_r_mean": float(net["net_r"][traded].mean()) if traded.any() else math.nan,
            "net_bps_mean": float(net["net_bps"][traded].mean()) if traded.any() else math.nan,
            "funding_known": bool(funding.all()),
            "note": "; ".join(part for part in (variant.note, before_funding(funding), note) if part),
        }
        for unit, names in (("net_r", DIFFERENCE_R), ("net_bps", DIFFERENCE)):
            apart = _per_event(self.events[unit], self.accepted) - _per_event(net[unit], variant.accepted)
            known = ~np.isnan(apart)
            found = self.calendar.mean(self.events["event_time"][known], pd.Series(apart[known]))
            row |= dict(zip(names, found, strict=True))
        return row

    def _funding_known(self, traded: Bools, net: pd.DataFrame) -> Bools:
        """Return of each event that either rule trades whether funding is in its results."""
        own = self.accepted & self.events["net_r"].notna().to_numpy()
        missing = [rows & ~table["funding_known"].eq(True) for rows, table in ((own, self.events), (traded, net))]
        return ~np.logical_or(*missing).to_numpy()[own | traded]


def _scores(variant: Variant, y: Floats) -> OtherScores | None:
    """Return the predictions of a variant, if it has any of its own."""
    return None if variant.p is None else OtherScores(y if variant.y is None else variant.y, variant.p)


def _per_event(net: pd.Series, accepted: Bools) -> Floats:
    return np.where(accepted, net.to_numpy(np.float64), 0.0)


def side_variants(events: pd.DataFrame, accepted: Bools) -> list[Variant]:
    """Return the rule without long trades, and without short ones."""
    long = (events["direction"] < 0).to_numpy()
    return [
        Variant(part="side", name=f"{name} trades", change="without them", accepted=accepted & ~gone)
        for name, gone in (("long", long), ("short", ~long))
    ]


def trigger_variants(events: pd.DataFrame, accepted: Bools) -> list[Variant]:
    """Return the rule without each trigger: an event at which another one fired as well is kept.

    The only trigger is named, and not measured.
    """
    groups = rows_by_trigger(events)
    names = [name for name in groups if name not in ("all", "only_trains")]
    if len(names) == 1:
        note = "not measured: the only trigger"
        return [Variant(part="trigger", name=names[0], change="without it", accepted=None, note=note)]
    variants = []
    for name in names:
        kept = np.logical_or.reduce([groups[other] for other in names if other != name])
        variants.append(Variant(part="trigger", name=name, change="without it", accepted=accepted & kept))
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
        Returns ``net_r``, ``net_bps`` and ``funding_known`` of the trade of each event at a horizon, NaN where there is
        none or it was not accepted.
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


def without_families(training: TrainingSet, trainer: Trainer, *, left_out: Collection[str]) -> pd.DataFrame | None:
    """Predict the test blocks with models fitted without some families of features.

    Parameters
    ----------
    training
        All events.
    trainer
        The trainer of the models; its headline and the targets with a lower bound are fitted.
    left_out
        The families that are left out.

    Returns
    -------
    DataFrame or None
        As `Trainer.predict_out_of_fold`; None where nothing would be left.
    """
    rest = [family for family in trainer.families(training) if family not in left_out]
    if not rest:
        return None
    own = replace(trainer, targets=tuple(t for t in trainer.targets if t.headline or t.lower_bound))
    return own.reading(rest).predict_out_of_fold(training)


def costless_families(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the families that cost nothing to leave out alone, as far as these events show.

    Those are the families of which `effect` says that they cost or add nothing visible. Where none of the others helps,
    those of price stay: something has to be left to fit.

    Parameters
    ----------
    rows
        Rows of `WholeRule.rows`, of which those of families are looked at.
    """
    effects = {row["name"]: effect(row) for row in rows if row["part"] == "family"}
    costless = tuple(name for name, found in effects.items() if found in ("costs", "adds nothing visible"))
    if any(found in ("helps", "mixed") for found in effects.values()):
        return costless
    return tuple(name for name in costless if name not in PRICE_FAMILIES)


def findings(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return, by kind of part, one sentence about what helps by more than chance, what costs, and what is not visible.

    What a part does is that of `slackwater.evidence._intervals.effect`, the same as ``helps`` in the rule ablation;
    ``mixed`` where one interval lies above 0 and another below.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        groups = found.setdefault(row["part"], {name: [] for name in _EFFECTS})
        groups[effect(row)].append(row["name"])
    return {
        part: ". ".join(f"{name.capitalize()}: {', '.join(names)}" for name, names in groups.items() if names) + "."
        for part, groups in found.items()
    }


_EFFECTS: Final = ("helps", "costs", "mixed", "adds nothing visible", "not known")
