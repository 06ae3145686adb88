"""What the stages declare against what they reach."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
import yaml

from pipelines._closure import ROOT, import_closure
from slackwater import config
from slackwater.config import load_params
from slackwater.features.engine import default_families
from slackwater.market.frame import STALENESS, MarketFrame
from slackwater.market.schemas import SCHEMAS
from slackwater.models.classifier import ReversalClassifier
from slackwater.models.training import Trainer
from slackwater.simulation.market import simulate_market
from slackwater.simulation.tables import DEFAULT_LAGS
from slackwater.trading.rules import SizingRules

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def declared(stage: str) -> set[str]:
    return {str(dep) for dep in STAGES[stage]["deps"]}


def module_of(stage: str) -> Path:
    return ROOT / "pipelines" / f"{stage}.py"


@pytest.mark.parametrize("stage", STAGES)
def test_deps_cover_the_import_closure(stage: str) -> None:
    """A change in a module that a stage runs, but does not declare, would leave stale outputs."""
    deps = declared(stage)
    for path in import_closure(module_of(stage)):
        parents = {path.relative_to(ROOT).as_posix()} | {
            p.relative_to(ROOT).as_posix() for p in path.parents if p != ROOT and ROOT in p.parents
        }
        assert deps & parents, f"{stage} runs {path.relative_to(ROOT)} but does not declare it"


@pytest.mark.parametrize("stage", STAGES)
def test_deps_name_nothing_that_is_not_run(stage: str) -> None:
    """A dep that is never imported reruns the stage for nothing."""
    reached = {path.relative_to(ROOT).as_posix() for path in import_closure(module_of(stage))}
    for dep in declared(stage):
        if dep.startswith(("src/", "pipelines/")):
            assert any(path == dep or path.startswith(f"{dep}/") for path in reached), f"{stage}: {dep}"


@pytest.mark.parametrize("stage", STAGES)
def test_sections_that_a_stage_reads_are_declared(stage: str) -> None:
    """A parameter that is read but not declared can change without a rerun."""
    params = {str(p).split(".")[0] for p in STAGES[stage].get("params", [])}
    shared = [path for path in import_closure(module_of(stage)) if path.parent == ROOT / "pipelines"]
    read = {
        node.attr
        for path in {module_of(stage), *shared}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "stage"
    }
    sections = set(config.Params.model_fields)
    assert read & sections <= params
    if "params" in read:
        assert sections <= params
    else:
        assert params - {"datasets"} <= read & sections | {"dataset"}


def test_every_stage_output_is_read_or_shown() -> None:
    """An output that no stage reads and no reader is told of is dead."""
    readme = (ROOT / "README.md").read_text()
    read = {dep for stage in STAGES for dep in declared(stage)}
    for stage in STAGES.values():
        for out in (*stage.get("outs", []), *stage.get("metrics", [])):
            name = next(iter(out)) if isinstance(out, dict) else out
            assert name in read or name in readme, name


def test_parameters_match_the_signatures_that_they_reach() -> None:
    """A key of params.yaml that the library renamed would fail only in the stage that uses it."""
    params = load_params(ROOT / "params.yaml")
    assert set(params.model.model_dump()) <= set(inspect.signature(ReversalClassifier).parameters)
    assert set(params.validation.model_dump()) <= set(inspect.signature(Trainer).parameters)
    assert set(params.trading.rules.model_dump()) <= set(inspect.signature(SizingRules).parameters)
    assert params.dataset.simulate is not None
    assert set(params.dataset.simulate.model_dump()) <= set(inspect.signature(simulate_market).parameters)
    families = default_families(params.market.bar_interval, **params.features.model_dump())
    assert {family.name for family in families} == set(params.features.model_dump())


def test_params_repeat_the_defaults_of_the_library() -> None:
    """Two sets of defaults would drift apart: what the parameters say is what a library user gets."""
    params = load_params(ROOT / "params.yaml")
    named = default_families(params.market.bar_interval, **params.features.model_dump())
    assert named == default_families(params.market.bar_interval)


def test_stages_hold_no_formulas() -> None:
    """Stages read, call the library and write; a loop over rows or arithmetic on columns belongs below."""
    for stage in STAGES:
        source = module_of(stage).read_text()
        for word in ("import numpy", "import pandas", ".iterrows(", ".apply("):
            assert word not in source, f"{stage}: {word}"


def test_lags_and_staleness_agree_with_the_library() -> None:
    """The same defaults stand in params.yaml and in the library, for those who use it without the pipeline."""
    market = load_params(ROOT / "params.yaml").market
    assert market.staleness == STALENESS
    assert set(market.available_after) == set(SCHEMAS)
    # The simulator makes some of the tables; the bars come from its path.
    assert {name: market.available_after[name] for name in DEFAULT_LAGS} == dict(DEFAULT_LAGS)
    assert market.liquidation_cap == inspect.signature(MarketFrame.from_tables).parameters["liquidation_cap"].default
