"""Models that the stage `controls` fits again: without families of features, and without the events of some symbols."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import pandas as pd

from pipelines._closure import code_digest
from slackwater.errors import DataError
from slackwater.evidence.left_out import Variant, costless_families, without_families
from slackwater.evidence.unseen_symbols import UnseenGroup, symbol_groups, unseen_predictions
from slackwater.models.training import Trainer, TrainingSet
from slackwater.parallel import TimeLeft
from slackwater.storage import digest_of, read_parquet, values_digest, write_parquet
from slackwater.types import Bools, Floats

KEPT: Final = Path("data/ablation")
"""Predictions by digest of what they depend on: a stage that was stopped goes on after the last."""

TOGETHER: Final = "families together, chosen on these events"

_KEYS: Final = ["symbol", "event_time"]


@dataclass(frozen=True, kw_only=True)
class Refits:
    """Fits for the tables of the stage alone; what an earlier run fitted is read from `KEPT`.

    Parameters
    ----------
    training, trainer
        All events, and the trainer of the models.
    events
        The events that the tables compare: ``symbol`` and ``event_time``.
    say
        Called with a line per fit.
    """

    training: TrainingSet
    trainer: Trainer
    events: pd.DataFrame
    say: Callable[[str], None]

    def fitted(self, fits: Mapping[str, Callable[[], pd.DataFrame]]) -> Iterator[pd.DataFrame | str]:
        """Yield the predictions of each fit, or why the data do not allow it, in order."""
        state = self._state()
        paths = {name: KEPT / f"{state}-{digest_of(name)}.parquet" for name in fits}
        waiting = sum(not path.is_file() for path in paths.values())
        left, done = TimeLeft(), 0
        for name, path in paths.items():
            if path.is_file():
                self.say(f"{name}: fitted before")
                yield read_parquet(path)
                continue
            try:
                found = fits[name]()
            except DataError as error:
                yield str(error)
                continue
            KEPT.mkdir(parents=True, exist_ok=True)
            write_parquet(found, path)
            done += 1
            self.say(f"{name}: {done} of {waiting}, {left.after(done, waiting)}")
            yield found

    def _state(self) -> str:
        """Return the digest of data, settings and code; what was kept of others is removed."""
        tables = (self.training.features, self.training.labels)
        settings = repr((self.trainer.validation, self.trainer.model))
        state = digest_of([*map(values_digest, tables), settings, code_digest(Path(__file__))])
        for path in KEPT.glob("*.parquet"):
            if not path.name.startswith(state):
                path.unlink()
        return state

    def directions(self, predictions: pd.DataFrame) -> Floats:
        """Return the probability of a reversal of every event, NaN where it is not among the predictions."""
        found = self.events[_KEYS].merge(predictions[[*_KEYS, "p_direction"]], on=_KEYS, how="left", validate="1:1")
        return found["p_direction"].to_numpy()


def family_variants(refits: Refits, accepted: Callable[[pd.DataFrame], Bools]) -> Iterator[Variant]:
    """Yield the rule with models fitted without each family.

    `accepted` returns which events the gate accepts with predictions.
    """
    read = refits.trainer.families(refits.training)
    yield from _without(refits, accepted, {name: (name,) for name in read}, part="family")


def families_together(
    refits: Refits,
    accepted: Callable[[pd.DataFrame], Bools],
    rows: Iterable[Mapping[str, Any]],
) -> Variant:
    """Return the rule without all families at once that cost nothing alone, by the rows of the table.

    They are chosen on the events on which the row is measured, and its part says so.
    """
    found = costless_families(rows)
    name = ", ".join(found) or "none"
    if len(found) < 2:
        why = "its own row stands above" if found else "no family that may be left out costs nothing alone"
        return Variant(part=TOGETHER, name=name, change="without them", accepted=None, note=f"not measured: {why}")
    (variant,) = _without(refits, accepted, {name: found}, part=TOGETHER)
    return variant


def _without(
    refits: Refits,
    accepted: Callable[[pd.DataFrame], Bools],
    left_out: Mapping[str, Collection[str]],
    *,
    part: str,
) -> Iterator[Variant]:
    """Yield the rule with models fitted without some families each."""
    change = "without it" if part == "family" else "without them"
    note = "" if part == "family" else "the choice flatters leaving them out"

    def fit(gone: Collection[str]) -> pd.DataFrame:
        found = without_families(refits.training, refits.trainer, left_out=gone)
        if found is None:
            raise DataError("nothing is left to fit")
        return found

    fits = {f"without {name}": partial(fit, gone) for name, gone in left_out.items()}
    for name, found in zip(left_out, refits.fitted(fits), strict=True):
        if isinstance(found, str):
            yield Variant(part=part, name=name, change=change, accepted=None, note=f"not measured: {found}")
        else:
            p = refits.directions(found)
            yield Variant(part=part, name=name, change=change, accepted=accepted(found), p=p, note=note)


def unseen_groups(symbols: pd.Series, refits: Refits | None) -> list[UnseenGroup]:
    """Return the predictions of the events of each group of symbols by models that saw none of its events.

    One group that was not measured stands for all where there is one symbol, or nothing is fitted again: `refits` is
    None where `evaluation.depth` is not full.
    """
    groups = symbol_groups(symbols)
    everyone = tuple(sorted(symbol for group in groups for symbol in group))
    if len(groups) == 1:
        return [UnseenGroup(symbols=everyone, note="not applicable: the data set has one symbol")]
    if refits is None:
        how = "not measured: set `evaluation.depth` to `full`, which fits the model without each of them"
        return [UnseenGroup(symbols=everyone, note=how)]
    fits = {
        f"the model that has not seen {', '.join(group)}": partial(
            unseen_predictions, refits.training, refits.trainer, group
        )
        for group in groups
    }
    return [
        UnseenGroup(symbols=group, note=f"not measured: {found}")
        if isinstance(found, str)
        else UnseenGroup(symbols=group, p=refits.directions(found))
        for group, found in zip(groups, refits.fitted(fits), strict=True)
    ]
