"""A study is checked as a whole before anything runs, and every refusal names the key and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipelines._closure import ROOT
from slackwater.config import load_params
from slackwater.errors import ParameterError
from slackwater.study.spec import grid_of, read_spec, trial_params

PARAMS = load_params(ROOT / "params.yaml", "simulated")
GRID = {"name": "mine", "search": "grid", "parameters": {"model.num_leaves": [4, 8]}}
SEARCH = GRID | {"search": "optuna", "trials": 5, "seed": 1}


def read(tmp_path: Path, content: object):
    path = tmp_path / "study.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return read_spec(path, PARAMS)


def varied(*keys: str, value: object = None) -> dict:
    return GRID | {"parameters": {key: value or [1, 2] for key in keys}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (GRID | {"serch": "grid"}, "unknown key `serch`; did you mean `search`"),
        (GRID | {"search": "gird"}, "`search`: Input should be 'grid' or 'optuna', was 'gird'"),
        (GRID | {"name": "../up"}, "`name`"),
        (GRID | {"objective": "direction.acu"}, "`objective`.*'direction.auc'.*was 'direction.acu'"),
        ({"name": "mine", "search": "grid"}, "`parameters`: is missing"),
        (GRID | {"parameters": {}}, "`parameters`"),
        (GRID | {"trials": 4}, "a grid has no `trials`"),
        (GRID | {"search": "optuna"}, "`search: optuna` needs `trials`, how many, and `seed`"),
        (SEARCH | {"trials": 0}, "`trials`"),
        (SEARCH | {"seed": "one"}, "`seed`"),
        (varied("model.num_leafs"), r"no parameter `num_leafs` in model; did you mean `num_leaves`"),
        (varied("modle.num_leaves"), r"no parameter `modle` in params\.yaml; did you mean `model`"),
        (varied("model.kind.name"), r"no parameter `name` in model\.kind; `model\.kind` is a value"),
        (varied("trading.rules"), r"`parameters\.trading\.rules` is a section; name one of risk_fraction"),
        (varied("model.num_leaves", value=[4, 4]), "must list different values"),
        (
            varied("model.num_leaves", value=[4, 1]),
            r"num_leaves: 1} cannot be tried: `model\.num_leaves`.*was 1",
        ),
        (varied("model.num_leaves", value=[4, "many"]), "valid integer, was 'many'"),
        (varied("model.num_leaves", value={"low": 2, "high": 4}), "of a grid must be a list of values"),
        (
            varied("validation.embargo", value=["48h", "1h"]),
            "`validation.embargo` must not be shorter than",
        ),
        (varied("evaluation.draws"), "makes no trial: it changes how results are judged"),
        (varied("tracking.experiment"), "makes no trial"),
        (varied("validation.min_train"), "`parameters.validation.min_train` changes which period is tested"),
        (varied("validation.test"), "changes which period is tested"),
        (varied("dataset.name"), "`dataset` changes what the stages before `train` write.*dvc exp run --queue"),
        (varied("market.decision_lag"), "dvc exp run --queue -S 'market.decision_lag=…'"),
        (varied("features.volatility.half_life"), "dvc exp run --queue"),
        (varied("labels.horizon"), "dvc exp run --queue"),
        (varied("bracket.stop_sd"), "dvc exp run --queue"),
        (varied("costs.impact_coefficient"), "dvc exp run --queue"),
        (SEARCH | {"parameters": {"model.num_leaves": {"low": 8, "high": 4}}}, "`low` must be less than `high`"),
        (SEARCH | {"parameters": {"model.num_leaves": {"low": 1, "high": 4}}}, r"num_leaves: 1} cannot be tried"),
        (SEARCH | {"parameters": {"model.num_leaves": {"low": 2, "high": 4, "setp": 1}}}, "did you mean `step`"),
        (
            SEARCH | {"parameters": {"model.reg_lambda": {"low": 0.0, "high": 4.0, "log": True}}},
            "`log` needs `low` > 0",
        ),
        (SEARCH | {"parameters": {"model.reg_lambda": {"low": 1.0, "high": 4.0, "step": 9.0}}}, r"`step` must be in"),
        (SEARCH | {"parameters": {"model.kind": {"choices": []}}}, r"`parameters\.model\.kind\.choices`"),
        (SEARCH | {"parameters": {"model.kind": {"choices": ["mean", "median"]}}}, "cannot be tried: `model.kind`"),
        (SEARCH | {"parameters": {"model.families": [["price"], None]}}, "lists need `search: grid`"),
        ("- a\n- b\n", "must hold a mapping"),
        ("name: a\nname: b\n", "the key `name` is given twice"),
    ],
)
def test_a_study_that_cannot_be_run_is_refused(tmp_path: Path, content: object, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        read(tmp_path, content)


def test_a_grid_of_too_many_points_is_refused(tmp_path: Path) -> None:
    many = {"model.n_estimators": list(range(1, 102)), "model.min_child_samples": list(range(1, 102))}
    with pytest.raises(ParameterError, match="10,201 points"):
        read(tmp_path, GRID | {"parameters": many})


def test_a_grid_varies_the_last_parameter_fastest_and_nothing_else(tmp_path: Path) -> None:
    spec = read(
        tmp_path,
        varied("model.kind", "trading.entry.max_trend_efficiency", value=None)
        | {"parameters": {"model.kind": ["lightgbm", "mean"], "trading.entry.max_trend_efficiency": [None, 0.3]}},
    )
    points = list(grid_of(spec))
    assert [tuple(point.values()) for point in points] == [
        ("lightgbm", None),
        ("lightgbm", 0.3),
        ("mean", None),
        ("mean", 0.3),
    ]
    made = trial_params(PARAMS, points[3])
    assert (made.model.kind, made.trading.entry.max_trend_efficiency) == ("mean", 0.3)
    assert trial_params(made, points[0]) == trial_params(PARAMS, {"model.kind": "lightgbm"}) == PARAMS


def test_a_grid_varies_which_families_the_models_read(tmp_path: Path) -> None:
    spec = read(tmp_path, GRID | {"parameters": {"model.families": [["price", "funding"], None]}})
    assert [trial_params(PARAMS, point).model.families for point in grid_of(spec)] == [("price", "funding"), None]


def test_the_study_of_the_examples_can_be_run() -> None:
    spec = read_spec(ROOT / "examples" / "study.yaml", PARAMS)
    assert len(list(grid_of(spec))) == 12


def test_an_empty_list_of_families_from_outside_is_one(tmp_path: Path) -> None:
    """Caught: `features.extra: []`, which is the default written out, refused as a list."""
    content = PARAMS.model_dump(mode="json")
    assert content["features"]["extra"] == []
    assert type(PARAMS).model_validate(content) == PARAMS
