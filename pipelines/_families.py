"""The feature families and triggers of ``params.yaml``: the only place where stages import modules that it names."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from slackwater.config import Params
from slackwater.config.family_settings import feature_settings
from slackwater.config.sections import Features
from slackwater.errors import ParameterError, did_you_mean
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.extra import load_class
from slackwater.features.fired import require_triggers, unavailable_triggers
from slackwater.market.inputs import INPUT_TABLES


def settings_of(features: Features) -> dict[str, Any]:
    """Return the section `features` as `default_families` takes it; import the families from outside."""
    return feature_settings(features, [load_class(name) for name in features.extra])


def engine_of(features: Features, bar_interval: timedelta, inputs: tuple[str, ...]) -> FeatureEngine:
    """Return the engine of the families that the parameters name."""
    return FeatureEngine(default_families(bar_interval, **settings_of(features)), inputs=inputs)


def require_known_triggers(params: Params) -> FeatureEngine:
    """Refuse triggers and families of models that no family computes; return the engine of the families."""
    spec = params.market.spec
    engine = engine_of(params.features, spec.bar_interval, spec.inputs)
    _require_known_families(params.model.families, engine)
    for name in ("triggers", "sampling"):
        require_triggers(engine.features, getattr(params.labels, name), where=f"labels.{name}")
    return engine


def require_families(params: Params, tables: Collection[str]) -> list[str]:
    """Refuse families and triggers that the stages could not run on the tables of some names.

    Returns
    -------
    list of str
        One sentence per trigger that these tables leave unknown.
    """
    engine = require_known_triggers(params)
    available = {name for table in {*tables, "bars"} for name in INPUT_TABLES.get(table, ())}
    engine.require_fed(available)
    _require_fed_families(params.model.families, engine, available)
    return silent_triggers(params, engine, available)


def _require_known_families(names: Collection[str] | None, engine: FeatureEngine) -> None:
    """Refuse families of `model.families` that compute no feature of a model."""
    if names is None:
        return
    known = list(dict.fromkeys(each.family for each in engine.features if each.role == "model"))
    if not names or len(set(names)) < len(names):
        given = ", ".join(names) or "none"
        raise ParameterError(f"`model.families` must be different names of {', '.join(known)}, was {given}")
    for name in names:
        if name not in known:
            raise ParameterError(f"`model.families`: unknown family {name!r}{did_you_mean(name, known)}")


def _require_fed_families(names: Collection[str] | None, engine: FeatureEngine, available: Collection[str]) -> None:
    """Refuse a family of `model.families` of which the tables feed no feature: the models would lack it silently."""
    inputs = frozenset(available)
    for name in names or ():
        lacking = [each.lacking(inputs) for each in engine.features if each.family == name and each.role == "model"]
        if all(lacking):
            lost = ", ".join(dict.fromkeys(column for each in lacking for column in each))
            raise ParameterError(f"`model.families`: no table of this data set feeds {name}, which needs {lost}")


def silent_triggers(params: Params, engine: FeatureEngine, available: Collection[str]) -> list[str]:
    """Return one sentence per trigger of the parameters that never fires, as no table feeds what it needs.

    Raises
    ------
    ParameterError
        If that leaves no row to trade, or none to learn from.
    """
    sentences = []
    for key, names in (("labels.triggers", params.labels.triggers), ("labels.sampling", params.labels.sampling)):
        silent = unavailable_triggers(engine.features, names, available)
        told = [
            f"trigger {name} (`{key}`) is unavailable: no table feeds {', '.join(inputs)}"
            for name, inputs in silent.items()
        ]
        if len(silent) == len(names):
            raise ParameterError(f"`{key}`: none of its triggers can fire; {'; '.join(told)}")
        sentences += told
    return sentences
