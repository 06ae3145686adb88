"""Triggers: which there are, which the data allow, and how a run is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import yaml

from pipelines._families import require_families, require_known_triggers
from pipelines.label import trigger_sentence
from slackwater.config.loading import resolve
from slackwater.config.sections import Params
from slackwater.errors import ParameterError
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.fired import require_triggers, unavailable_triggers
from slackwater.market.inputs import INPUT_TABLES

ENGINE = FeatureEngine(default_families(timedelta(minutes=5)))
TRIGGERS = ["extended_move", "cusum", "sweep_confirmation", "crowding_alarm", "cascade", "sampled_move"]
FUNDING = ("funding_rate", "funding_interval_hours", "funding_time_hours")


def params(change: Callable[[dict[str, Any]], object]) -> Params:
    with open("params.yaml", encoding="utf-8") as file:
        content = yaml.safe_load(file)
    change(content["labels"])
    return resolve(content)


def available(*tables: str) -> set[str]:
    return {name for table in ("bars", *tables) for name in INPUT_TABLES[table]}


def test_the_triggers_are_the_outputs_with_that_role() -> None:
    assert [feature.name for feature in ENGINE.features if feature.role == "trigger"] == TRIGGERS
    assert not set(TRIGGERS) & set(ENGINE.manifest(available())["model_features"])


@pytest.mark.parametrize(
    ("tables", "silent"),
    [
        ((), {"crowding_alarm": (*FUNDING, "open_interest"), "cascade": ("open_interest", "liquidated_long")}),
        (("liquidations",), {"crowding_alarm": (*FUNDING, "open_interest")}),
        (("liquidation_totals",), {"crowding_alarm": (*FUNDING, "open_interest")}),
        (("open_interest",), {"crowding_alarm": FUNDING}),
        (("open_interest", "funding"), {}),
    ],
)
def test_what_a_data_set_allows(tables: tuple[str, ...], silent: dict[str, tuple[str, ...]]) -> None:
    """Catches a cascade that is lost with one of two kinds of evidence, and an alarm without funding."""
    assert unavailable_triggers(ENGINE.features, TRIGGERS, available(*tables)) == silent
    described = {entry["name"]: entry["available"] for entry in ENGINE.manifest(available(*tables))["features"]}
    assert {name for name in TRIGGERS if not described[name]} == set(silent)


def test_a_name_that_is_not_a_trigger_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"`here`: there is no trigger `cascades`; did you mean `cascade`\?"):
        require_triggers(ENGINE.features, ["cusum", "cascades"], where="here")
    with pytest.raises(ParameterError, match=r"there is no trigger `return_24h`; there are extended_move, cusum"):
        require_triggers(ENGINE.features, ["return_24h"], where="here")


@pytest.mark.parametrize("key", ["triggers", "sampling"])
def test_the_first_stage_refuses_an_unknown_trigger(key: str) -> None:
    """Catches a name that only the stage `label` would miss, after the long ones."""
    with pytest.raises(ParameterError, match=rf"`labels.{key}`: there is no trigger `extended_moves`"):
        require_known_triggers(params(lambda labels: labels.update({key: ["extended_moves"]})))
    with pytest.raises(ParameterError, match=rf"labels.{key}.*distinct"):
        params(lambda labels: labels.update({key: ["cusum", "cusum"]}))


def test_ingest_names_the_triggers_that_its_tables_silence() -> None:
    told = require_families(params(lambda labels: None), ["fine_bars", "open_interest"])
    assert told == [f"trigger crowding_alarm (`labels.triggers`) is unavailable: no table feeds {', '.join(FUNDING)}"]
    alone = params(lambda labels: labels.update(triggers=["crowding_alarm", "cascade"]))
    with pytest.raises(ParameterError, match=r"`labels.triggers`: none of its triggers can fire; trigger crowding_ala"):
        require_families(alone, ["fine_bars"])


def test_label_tells_how_often_each_fired() -> None:
    counts = {"known": 10_000, "fired": 1_200, "up": 600, "overruled": 30, "with": {}}
    assert trigger_sentence("cusum", counts, 12_000) == (
        "trigger cusum fired 1,200 times in 10,000 rows, 30 of them against an earlier trigger of the list"
    )
    silent = counts | {"fired": 0, "overruled": 0}
    assert "warning: trigger cusum fired 0 times in 10,000 rows: lower" in trigger_sentence("cusum", silent, 12_000)
    assert "is known in none of 12,000 rows" in trigger_sentence("cusum", silent | {"known": 0}, 12_000)
