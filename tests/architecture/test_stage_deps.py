"""What the stages declare in dvc.yaml, compared with what they reach."""

from __future__ import annotations

import ast
import inspect
import os
import shutil
import subprocess
import sys
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from campaigns.faults import copied
from pipelines import _stage
from pipelines._closure import ROOT, import_closure
from pipelines._deps import with_code_deps
from slackwater import config
from slackwater.config import load_params
from slackwater.errors import ParameterError
from slackwater.features.chosen_families import default_families
from slackwater.models.classifier import ReversalClassifier
from slackwater.models.parameters import TreeParameters
from slackwater.simulation.request import MarketRequest

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]


def declared(stage: str) -> set[str]:
    return {str(dep) for dep in STAGES[stage]["deps"]}


def module_of(stage: str) -> Path:
    return ROOT / "pipelines" / f"{stage}.py"


def test_code_deps_are_as_the_imports_require() -> None:
    """A change in a module that a stage runs, but does not declare, would leave stale outputs: run `make deps`."""
    text = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
    assert with_code_deps(text) == text


def deps_after(root: Path) -> dict[str, set[str]]:
    """The deps of every stage after `make deps` in a copy of the repository."""
    subprocess.run(
        [sys.executable, "-m", "pipelines._deps"], cwd=root, check=True, env=os.environ | {"PYTHONPATH": "src"}
    )
    stages = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return {name: {str(dep) for dep in stage["deps"]} for name, stage in stages.items()}


def test_deps_follow_the_imports_and_the_extra_families(tmp_path: Path) -> None:
    """An import, or a family of the user's, that did not become a dep would leave stale outputs when it is edited."""
    for name in ("src", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "toy.py").write_text("from .formulas import slope\n")
    (tmp_path / "mine" / "formulas.py").write_text("slope = 1\n")
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["datasets"]["bybit_1h"]["features"]["extra"] = ["mine.toy:Toy", "installed_elsewhere.families:Other"]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    stage = tmp_path / "pipelines" / "ingest.py"
    stage.write_text(stage.read_text().replace("def main(", "import slackwater.labels.weights\n\ndef main(", 1))
    before = {name: declared(name) for name in STAGES}
    added = {name: deps - before[name] for name, deps in deps_after(tmp_path).items()}
    family = {"mine/toy.py", "mine/formulas.py"}
    assert any(row.startswith("src/slackwater/labels") for row in added.pop("ingest"))
    assert {name for name, rows in added.items() if rows} == {"features", "scorecard", "export", "page"}
    assert all(rows in (set(), family) for rows in added.values())


def test_a_stage_refuses_an_extra_family_that_is_not_a_dep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a family added to params.yaml without `make deps`, whose edits DVC would not see."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(_stage, "extra_family_files", lambda: {ROOT / "mine" / "toy.py"})
    with pytest.raises(ParameterError, match=r"mine/toy\.py, which `features\.extra` names: run `make deps`"):
        _stage.Stage("features")
    _stage.Stage("validate")


@pytest.mark.parametrize("stage", [name for name in STAGES if STAGES[name].get("params")])
def test_sections_that_a_stage_reads_are_declared(stage: str) -> None:
    """A parameter that is read but not declared can change without a rerun; one that is not read reruns for nothing."""
    (rows,) = (each[_stage.EFFECTIVE] for each in STAGES[stage]["params"])
    params = {str(row).split(".")[0] for row in rows}
    own = [path for path in import_closure(module_of(stage)) if path.parent == ROOT / "pipelines"]
    read = {
        node.attr
        for path in {module_of(stage), *own}
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "stage"
    }
    sections = set(config.Params.model_fields)
    if "params" in read:
        assert sections == params
    else:
        assert params <= read & sections
        assert read & sections <= params | {"dataset"}


def test_a_key_that_a_stage_does_not_declare_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """An edit of `contract_facts` or of `labels` in the entry of a data set must not rerun what does not read it."""
    monkeypatch.chdir(ROOT)
    ingest = _stage.Stage("ingest")
    assert ingest.market.lags["open_interest"] > timedelta(0)
    assert set(ingest.dataset.model_dump()) >= {"tables", "path"}
    with pytest.raises(ParameterError, match=r"stage ingest reads `dataset\.contract_facts` but does not declare it"):
        _ = ingest.dataset.contract_facts
    with pytest.raises(ParameterError, match="stage ingest reads `labels`"):
        _ = ingest.labels
    with pytest.raises(ParameterError, match=r"reads `market\.bar_interval`, `market\.decision_lag`, `market\.liq"):
        _ = ingest.market.spec


def test_every_stage_output_is_read_or_shown() -> None:
    """An output that no stage reads and no reader is told of is dead."""
    shown = (ROOT / "docs" / "output.md").read_text()
    read = {dep for stage in STAGES for dep in declared(stage)}
    for stage in STAGES.values():
        for out in (*stage.get("outs", []), *stage.get("metrics", [])):
            name = next(iter(out)) if isinstance(out, dict) else out
            assert name in read or name in shown, name


def test_the_campaign_of_faults_copies_what_no_stage_makes() -> None:
    """A file that a stage began to read was not in the copy, and the campaign could not begin."""
    assert {"src", "campaigns/promotions.json", "trials.jsonl"} <= set(copied())
    assert all((ROOT / name).exists() for name in copied())


def test_the_id_of_a_run_is_never_restored() -> None:
    """DVC's run cache (filled by `dvc commit` and `dvc exp`) would bring back the id without the run in MLflow."""
    (out,) = STAGES["track"]["outs"]
    assert out["state/run_id.txt"] == {"cache": False, "persist": True}


def test_parameters_match_the_signatures_that_they_reach() -> None:
    """Two signatures are written in full: scikit-learn reads that of an estimator, a user that of a `MarketRequest`."""
    params = load_params(ROOT / "params.yaml")
    assert {each.name for each in fields(TreeParameters)} <= set(inspect.signature(ReversalClassifier).parameters)
    assert params.dataset.simulate is not None
    assert set(params.dataset.simulate.model_dump()) <= set(inspect.signature(MarketRequest).parameters)


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
