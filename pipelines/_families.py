"""The feature families of ``params.yaml``: the only place where the stages import modules that it names."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Any

from slackwater.config import Params
from slackwater.config.family_settings import feature_settings
from slackwater.config.sections import Features
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.extra import load_class
from slackwater.market.inputs import INPUT_TABLES


def settings_of(features: Features) -> dict[str, Any]:
    """Return the section `features` as `default_families` takes it; import the families from outside."""
    return feature_settings(features, [load_class(name) for name in features.extra])


def engine_of(features: Features, bar_interval: timedelta, inputs: tuple[str, ...]) -> FeatureEngine:
    """Return the engine of the families that the parameters name."""
    return FeatureEngine(default_families(bar_interval, **settings_of(features)), inputs=inputs)


def require_families(params: Params, tables: Collection[str]) -> None:
    """Refuse families from outside that the stage `features` could not run on the tables of some names."""
    spec = params.market.spec
    engine = engine_of(params.features, spec.bar_interval, spec.inputs)
    engine.require_fed({name for table in {*tables, "bars"} for name in INPUT_TABLES.get(table, ())})
