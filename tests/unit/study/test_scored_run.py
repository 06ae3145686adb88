"""Scored events of a run from real directories, a real MLflow store and a real DVC repository."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, SchemaError
from slackwater.evidence.comparison import scored_events
from slackwater.study.scored_run import read_scored_run
from tests.command import slackwater
from tests.small_run import inside

KEYS = ["symbol", "event_time"]
STAGE = """
stages:
  make:
    cmd: cp -r made/. .
    deps: [made]
    outs:
      - data/predictions.parquet
      - data/labels.parquet
      - reports/unit_risk_trades.parquet
      - reports/metrics.json: {cache: false}
"""


def write_run(root: Path, seed: int, *, synthetic: bool = True) -> Path:
    """Write the files of a run as a checkout has them: the labels are always the same, the predictions never."""
    rng, n = np.random.default_rng(0), 400
    times = pd.Timestamp("2023-01-01", tz="UTC") + pd.to_timedelta(np.arange(n), unit="D")
    labels = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times, "entry_time": times})
    labels["label_end_time"] = times + pd.Timedelta("1D")
    for name in ("y_direction", "y_hit"):
        labels[name] = rng.integers(0, 2, n).astype("int8")
    own = np.random.default_rng(seed)
    predictions = labels[KEYS].assign(fold=0, p_direction=own.random(n), p_hit=own.random(n))
    for folder in ("data", "reports"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    predictions.to_parquet(root / "data" / "predictions.parquet")
    labels.to_parquet(root / "data" / "labels.parquet")
    labels[KEYS][:50].assign(net_r=1.0, net_bps=5.0).to_parquet(root / "reports" / "unit_risk_trades.parquet")
    (root / "reports" / "metrics.json").write_text(json.dumps({"synthetic": synthetic}))
    return root


def expected(root: Path) -> pd.DataFrame:
    """Read the run of a checkout by hand."""
    parts = ("data/predictions", "data/labels", "reports/unit_risk_trades")
    return scored_events(*(pd.read_parquet(root / f"{part}.parquet") for part in parts))


def same(found: pd.DataFrame, root: Path) -> bool:
    return found.equals(expected(root))


def test_a_checkout_and_a_directory_of_its_files(tmp_path: Path) -> None:
    root = write_run(tmp_path / "a", 1)
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in [*root.rglob("*.parquet"), *root.rglob("*.json")]:
        shutil.copy(file, flat)
    for place in (root, flat, flat / "predictions.parquet"):
        found = read_scored_run(str(place))
        assert same(found.events, root)
        assert found.synthetic is True
        assert str(place) in found.source


def test_a_checkout_tells_what_it_has_recorded(tmp_path: Path) -> None:
    """Catches a record of one run that is shown for another, and one that is missing as an error."""
    root = write_run(tmp_path / "a", 1)
    assert read_scored_run(str(root)).facts.settings() == {}
    (root / "reports" / "metrics.json").write_text(json.dumps({"synthetic": True, "n_trials": 7}))
    (root / "reports" / "verdict.json").write_text(json.dumps({"verdict": "paper_only"}))
    (root / "reports" / "effective_params.yaml").write_text("bracket: {stop_sd: 1.5}\nempty: {}\n")
    (root / "models" / "scorer").mkdir(parents=True)
    (root / "models" / "scorer" / "manifest.json").write_text(json.dumps({"hashes": {"data_sha256": "2" * 64}}))
    found = read_scored_run(str(root)).facts
    assert found.trials == 7
    assert found.verdict["verdict"] == "paper_only"
    assert found.settings() == {"bracket.stop_sd": 1.5, "empty": {}}
    assert found.digests == {"data_sha256": "2" * 64}
    assert found.equity is None


def test_the_command_writes_two_runs_side_by_side(tmp_path: Path) -> None:
    """Catches A and B in the wrong order, a page that is not written, and two pages asked for at once."""
    one, two = (str(write_run(tmp_path / name, seed)) for seed, name in enumerate(("one", "two"), start=1))
    out = tmp_path / "page.html"
    done = slackwater("report", "--compare", one, two, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("B's AUC of direction is ")
    assert f"<td>directory {one}</td><td>directory {two}</td>" in out.read_text(encoding="utf-8")
    labels = pd.read_parquet(tmp_path / "two" / "data" / "labels.parquet")
    labels.assign(y_hit=1).to_parquet(tmp_path / "two" / "data" / "labels.parquet")
    other = slackwater("report", "--compare", one, two, "--out", str(out))
    assert other.returncode == 0, other.stderr
    assert other.stdout.startswith("No: A and B have different labels in y_hit of ")
    both = slackwater("report", "--run", one, "--compare", one, two)
    assert both.returncode != 0
    assert "`--run` and `--compare` are different pages: give one of them" in both.stderr


def test_a_table_of_scored_events_stands_for_the_files(tmp_path: Path) -> None:
    root = write_run(tmp_path / "a", 1)
    (tmp_path / "b").mkdir()
    expected(root).to_parquet(tmp_path / "b" / "scored.parquet")
    for place in (tmp_path / "b", tmp_path / "b" / "scored.parquet"):
        found = read_scored_run(str(place))
        assert same(found.events, root)
        assert found.synthetic is None


def test_a_run_without_labels_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    root = write_run(tmp_path / "a", 1)
    (root / "data" / "labels.parquet").unlink()
    with pytest.raises(MissingDataError, match=r"has no labels\.parquet: run `dvc repro`"):
        read_scored_run(str(root))
    with pytest.raises(MissingDataError, match=r"there is no .*labels\.parquet: give the directory of the run"):
        read_scored_run(str(root / "data" / "predictions.parquet"))
    (root / "data" / "labels.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(SchemaError, match=r"labels\.parquet is not a readable parquet file"):
        read_scored_run(str(root))


@pytest.mark.filterwarnings("ignore")  # of MLflow about its own database
def test_an_mlflow_run(tmp_path: Path) -> None:
    """Its files lie in a folder, predictions and labels in one table; its tag says whether the market was simulated."""
    import mlflow

    root = write_run(tmp_path / "a", 1, synthetic=False)
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.create_experiment("e", artifact_location=(tmp_path / "files").as_uri())
    tags = {"synthetic": "SYNTHETIC", "data_sha256": "1" * 64, "verdict": "paper_only"}
    run = client.create_run(experiment, tags=tags).info.run_id
    predictions, labels = (pd.read_parquet(root / "data" / f"{name}.parquet") for name in ("predictions", "labels"))
    predictions.merge(labels, on=KEYS).to_parquet(root / "scored.parquet")
    for file in (root / "scored.parquet", root / "reports" / "unit_risk_trades.parquet"):
        client.log_artifact(run, str(file), "predictions")
    empty = client.create_run(experiment).info.run_id
    with inside(tmp_path):
        found = read_scored_run(run)
        assert same(found.events, root)
        assert found.synthetic is True
        assert found.facts.digests == {"data_sha256": "1" * 64}
        with pytest.raises(MissingDataError, match=r"run [0-9a-f]+ has no predictions.parquet and no labels.parquet"):
            read_scored_run(empty)
        with pytest.raises(MissingDataError, match="cannot be read from MLflow"):
            read_scored_run("0" * 32)
    assert same(read_scored_run(run, tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}").events, root)


def test_a_run_id_without_a_store_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with inside(tmp_path), pytest.raises(MissingDataError, match="give `--tracking-uri`"):
        read_scored_run("0" * 32)
    assert not (tmp_path / "mlflow.db").exists()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git tag `one` and a DVC experiment `two`; only the cache of DVC has their predictions."""
    from dvc.repo import Repo

    root = tmp_path_factory.mktemp("repository")
    (root / "dvc.yaml").write_text(STAGE)
    own = {
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@b.c",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b.c",
    }

    def git(*command: str) -> None:
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True, env=os.environ | own)

    git("init", "-q")
    with inside(root), warnings.catch_warnings(), Repo.init() as dvc:
        warnings.simplefilter("ignore")
        write_run(root / "made", 1)
        dvc.reproduce()
        git("add", "-A")
        git("commit", "-qm", "one")
        git("tag", "one")
        write_run(root / "made", 2)
        dvc.reproduce()
        dvc.experiments.save(name="two")
    return root


def test_a_git_revision_and_a_dvc_experiment(repository: Path, tmp_path: Path) -> None:
    """Catches a reader that takes the files of the working directory for those of every revision."""
    with inside(repository):
        one, two = read_scored_run("one"), read_scored_run("two")
    assert same(one.events, write_run(tmp_path / "by_hand", 1))
    assert same(two.events, write_run(tmp_path / "by_hand", 2))
    assert not one.events.equals(two.events)
    assert one.synthetic is True


def test_the_command_compares_two_revisions(repository: Path) -> None:
    with inside(repository):
        done = slackwater("compare", "HEAD", ".", "--draws", "100", "--json")
        assert done.returncode == 0, done.stderr
        content = json.loads(done.stdout)
        assert content["sources"] == {"A": "the revision HEAD", "B": "directory ."}
        assert content["events"] == {"common": 400, "only_a": 0, "only_b": 0}
        assert content["synthetic"] == {"A": True, "B": True}
        assert content["traded"] == {"a": 50, "b": 50, "both": 50}
        shown = slackwater("compare", "HEAD", ".", "--draws", "100")
    assert shown.stdout.splitlines()[0] == content["sentence"]
    assert "SYNTHETIC market" in shown.stdout
    assert "400 events were scored by both, 0 by A alone and 0 by B alone" in shown.stdout


def test_a_revision_that_the_cache_lacks_is_refused_by_name(repository: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(repository, copy)
    shutil.rmtree(copy / ".dvc" / "cache")
    with inside(copy):
        with pytest.raises(
            MissingDataError, match=r"HEAD records data/predictions.parquet, but the cache.*`dvc fetch`"
        ):
            read_scored_run("HEAD")
        with pytest.raises(MissingDataError, match=r"no_such_name is not a file, .* or a git revision"):
            read_scored_run("no_such_name")
    with inside(tmp_path), pytest.raises(MissingDataError, match="nothing is not a file"):
        read_scored_run("nothing")
