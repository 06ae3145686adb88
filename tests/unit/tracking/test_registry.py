"""Versions of a real bundle: loaded, served over HTTP, pulled, promoted; in a database and through a server."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import BundleError, MissingDataError, ParameterError, TrackingError
from slackwater.scoring.bundle import Bundle, write_bundle
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import write_parquet
from slackwater.tracking import pull
from slackwater.tracking.champion import promote
from slackwater.tracking.layout import VIEW_KEY
from slackwater.tracking.runs import DatasetFacts, RunRecord, log_run
from slackwater.tracking.store import Store
from tests.command import slackwater
from tests.mlflow_server import free_port, serving
from tests.small_bundle import market
from tests.small_run import inside

# Of MLflow about its own database and its own servers.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def no_store_is_named() -> Iterator[None]:
    """MLflow keeps the store that a test names in the environment, where the next test would find it."""
    named = os.environ.pop("MLFLOW_TRACKING_URI", None)
    yield
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    if named is not None:
        os.environ["MLFLOW_TRACKING_URI"] = named


@pytest.fixture(scope="module")
def events(small_bundle: Path) -> pd.DataFrame:
    """Scores of the events of the small market: features, direction and what the models say."""
    scorer = ReversalScorer.load(small_bundle)
    scores = scorer.score(market())
    return scores[scores["direction"] != 0].reset_index(drop=True)


def bundle_with(bundle: Path, to: Path, **verdict: Any) -> Path:
    """A copy of a bundle with another verdict, as if it were of real data."""
    found = Bundle.load(bundle)
    manifest = found.manifest | {"synthetic": verdict["synthetic"], "verdict": found.manifest["verdict"] | verdict}
    write_bundle(to, manifest, found.models)
    return to


def record(bundle: Path, events: pd.DataFrame, place: Path, *, noise: float = 0.0, name: str = "r") -> RunRecord:
    """A run of a bundle; its predictions are the labels with noise."""
    rng, n = np.random.default_rng(1), len(events)
    y = rng.integers(0, 2, n).astype(float)
    entry = events["event_time"]
    scored = events[["symbol", "event_time"]].assign(trades=True, y_direction=y, y_hit=y, entry_time=entry)
    scored = scored.assign(label_end_time=entry + pd.Timedelta("12h"), p_hit=0.5)
    scored["p_direction"] = 1.0 / (1.0 + np.exp(-(y + noise * rng.normal(size=n))))
    place.mkdir(parents=True, exist_ok=True)
    write_parquet(scored, place / "scored.parquet")
    manifest = Bundle.load(bundle).manifest
    columns = [*manifest["features"]["model_features"], "direction"]
    return RunRecord(
        name=name,
        params={"model": {"kind": "lightgbm"}},
        metrics={"direction": {"auc": 0.6, "ece": 0.1}, "controls": {"never": {"auc": 0.5}}, "verdict": "x"},
        tags={"synthetic": "SYNTHETIC", "dataset": "small", "verdict": manifest["verdict"]["verdict"]},
        artifacts={"predictions": place},
        bundle=bundle,
        curves={"net_r_by_trade": [(1, 0.5), (2, -0.5)]},
        tables={"controls": pd.DataFrame({"control": ["never"], "auc": [0.5]})},
        dataset=DatasetFacts(
            name="small", digest="ab" * 32, rows=scored, source="data/event_features.parquet", target="y_direction"
        ),
        example=events[columns].tail(3),
    )


def log(store: Store, each: RunRecord) -> str:
    return log_run(each, store=store, experiment="slackwater", registered_name="slackwater")


@pytest.fixture(scope="module")
def made(small_bundle: Path, events: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("registry")
    log(Store.of(root), record(small_bundle, events, root / "predicted"))
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy of a directory whose store has one version."""
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    from slackwater.tracking.experiment import prepare_store

    prepare_store(Store.of(copy), "slackwater")  # locations of files are those of the copy
    return copy


def client(store: Store) -> Any:
    import mlflow

    return mlflow.MlflowClient(store.uri)


def test_a_run_shows_its_data_model_and_short_metrics(root: Path) -> None:
    """Catches a runs table without a data set, without a model, or with one flat list of metrics."""
    mlflow = client(Store.of(root))
    experiment = mlflow.get_experiment_by_name("slackwater")
    (run,) = mlflow.search_runs([experiment.experiment_id])
    assert set(run.data.metrics) == {"auc", "direction/ece", "controls/never.auc", "curves/net_r_by_trade"}
    (data,) = run.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("small", "ab" * 18)
    assert "y_direction" in data.dataset.schema
    (model,) = run.outputs.model_outputs
    logged = mlflow.get_logged_model(model.model_id)
    assert [metric.key for metric in logged.metrics] == ["auc"]
    history = mlflow.get_metric_history(run.info.run_id, "curves/net_r_by_trade")
    assert [(point.step, point.value) for point in history] == [(1, 0.5), (2, -0.5)]
    assert json.loads(run.data.tags["mlflow.loggedArtifacts"]) == [{"path": "tables/controls.json", "type": "table"}]
    view = json.loads(json.loads(experiment.tags[f"mlflow.sharedViewState.{VIEW_KEY}"])["state"])
    assert {"metrics.`auc`", "tags.`verdict`", "attributes.`Dataset`"} <= set(view["selectedColumns"])


def test_a_run_that_is_logged_again_stays_one(root: Path, small_bundle: Path, events: pd.DataFrame) -> None:
    """Catches points, tables, data sets, models or versions that are there twice."""
    store = Store.of(root)
    before = client(store).search_runs(["1"])[0]
    again = log(store, record(small_bundle, events, root / "predicted"))
    (after,) = client(store).search_runs(["1"])
    assert again == before.info.run_id
    assert len(client(store).get_metric_history(again, "curves/net_r_by_trade")) == 2
    assert len(after.inputs.dataset_inputs) == len(after.outputs.model_outputs) == 1
    assert len(client(store).search_model_versions("name = 'slackwater'")) == 1
    (table,) = (root / "mlartifacts").glob("*/artifacts/tables/controls.json")
    assert len(json.loads(table.read_text())["data"]) == 1


def test_mlflow_loads_the_model_and_predicts_what_the_scorer_does(root: Path, events: pd.DataFrame) -> None:
    """Catches oriented rows given as they are, another order of columns, class labels for probabilities."""
    import mlflow

    mlflow.set_tracking_uri(Store.of(root).uri)
    model = mlflow.pyfunc.load_model("models:/slackwater@candidate")
    found = model.predict(events)
    outputs = ["p_direction", "p_hit", "trade_edge", "trade_edge_low"]
    assert list(found.columns) == outputs == model.metadata.get_output_schema().input_names()
    assert set(events["direction"]) == {1, -1}
    pd.testing.assert_frame_equal(found, events[outputs], check_exact=True)
    assert len(model.input_example) == 3
    requirements = next((root / "mlartifacts").glob("models/*/artifacts/requirements.txt")).read_text()
    assert "slackwater==" in requirements
    assert not list((root / "mlartifacts").rglob("*.pkl"))
    with pytest.raises(Exception, match=r"`direction` must be 1 or -1, was 0\.0 in row 0"):
        model.predict(events.assign(direction=0))
    with pytest.raises(Exception, match="missing"):
        model.predict(events.drop(columns="return_24h"))


def test_mlflow_serves_the_model(root: Path, events: pd.DataFrame) -> None:
    """Catches a model that loads here and not in the process of a server."""
    port, rows = free_port(), events.tail(4)
    (bundle,) = root.glob("mlartifacts/models/*/artifacts/data/*")
    columns = [*Bundle.load(bundle).manifest["features"]["model_features"], "direction"]
    body = json.dumps({"dataframe_split": json.loads(rows[columns].to_json(orient="split", index=False))})
    command = ("models", "serve", "-m", "models:/slackwater/1", "--env-manager", "local", "--workers", "1")
    with serving(*command, port=port, health="/ping", MLFLOW_TRACKING_URI=Store.of(root).uri) as server:
        request = urllib.request.Request(  # noqa: S310 loopback
            f"{server}/invocations", data=body.encode(), headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
            found = pd.DataFrame(json.loads(answer.read())["predictions"])
    np.testing.assert_allclose(found["p_direction"], rows["p_direction"], rtol=1e-12)


def test_a_pulled_bundle_is_kept_by_its_digest(root: Path, small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a second download, a default store that is not found, and a bundle that is not the registered one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
    (root / "cache").mkdir()
    with inside(root / "cache"), pytest.raises(MissingDataError, match="there is no database"):
        pull()
    assert not list((root / "cache").iterdir())
    with inside(root):
        with pytest.raises(MissingDataError, match=r"there is no models:/slackwater@champion.*slackwater promote"):
            pull()
        client(Store.of(root)).set_registered_model_alias("slackwater", "champion", "1")
        path = pull()
    digest = Bundle.load(small_bundle).digest
    assert path == root / "cache/slackwater/bundles" / digest
    assert Bundle.load(path).digest == digest
    (files,) = (root / "mlartifacts/models").glob("*/artifacts/data/*")
    shutil.rmtree(files)
    assert pull("models:/slackwater/1", tracking_uri=Store.of(root).uri) == path
    (path / "SHA256SUMS").write_text("")  # spoilt, and the store has lost it, too
    with pytest.raises(BundleError, match="is not a scoring bundle"):
        pull("models:/slackwater/1", tracking_uri=Store.of(root).uri)
    shutil.copytree(small_bundle, files)
    (files / "SHA256SUMS").write_text("another")
    with pytest.raises(BundleError, match="is not the bundle that was registered"):
        pull("models:/slackwater/1", tracking_uri=Store.of(root).uri)
    with pytest.raises(MissingDataError, match="the address of a version is"):
        pull("slackwater", tracking_uri=Store.of(root).uri)


def test_the_champion_moves_by_the_rule_or_by_name(root: Path, small_bundle: Path, events: pd.DataFrame) -> None:
    """Catches a champion that was not eligible, or predicts worse, or moved without a trace of why."""
    store = Store.of(root)

    def champion() -> str:
        return str(client(store).get_registered_model("slackwater").aliases.get("champion", ""))

    with inside(root):
        refused, told = slackwater("promote"), slackwater("promote", "--json")
    assert refused.returncode == told.returncode == 1
    answer = json.loads(told.stdout)
    assert (answer["version"], answer["moved"]) == ("1", False)
    assert answer["sentence"] in refused.stdout
    assert "version 1 does not become champion: its verdict is paper_only: SYNTHETIC market." in refused.stdout
    assert champion() == ""
    for number, noise in ((2, 1.0), (3, 9.0), (4, 0.1)):
        eligible = {"verdict": "eligible", "synthetic": False, "sentence": f"Number {number}."}
        bundle = bundle_with(small_bundle, root / f"bundle-{number}", **eligible)
        log(store, record(bundle, events, root / f"predicted-{number}", noise=noise))
        done = promote(store=store)
        assert done.version == str(number)
        assert done.moved == (number != 3), done.sentence
    assert "version 4's AUC of direction is higher by" in done.sentence
    assert f"Events that both predicted: {len(events):,}" in done.sentence
    assert "not known to be as high: version 3's AUC of direction is lower by" in promote("3", store=store).sentence
    assert champion() == "4"
    assert "already" in promote(store=store).sentence
    with pytest.raises(ParameterError, match="name the version"):
        promote(store=store, reason="I want to")
    made_up = {"verdict": "eligible", "synthetic": True, "sentence": "Made up."}
    log(store, record(bundle_with(small_bundle, root / "bundle-5", **made_up), events, root / "predicted-5"))
    assert not promote("5", store=store).moved  # whatever it claims, it has seen no real market
    with inside(root):
        forced = slackwater("promote", "1", "--force", "a demonstration")
    assert forced.returncode == 0
    assert "forced (a demonstration), although: its verdict is paper_only" in forced.stdout
    assert champion() == "1"
    assert client(store).get_model_version("slackwater", "1").tags["forced"] == "a demonstration"


def test_all_of_it_works_through_a_server(
    small_bundle: Path, events: pd.DataFrame, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a local path in a request, files that the server does not hand on, and runs of others that are closed."""
    shutil.copy(made / "mlflow.db", tmp_path / "server.db")  # a database is ten seconds of migrations
    port = free_port()
    command = ("server", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--workers", "1")
    files = ("--artifacts-destination", str(tmp_path / "files"), "--default-artifact-root", "mlflow-artifacts:/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    store = Store.of(tmp_path)
    assert store.is_server
    with pytest.raises(TrackingError, match=r"http://127.* cannot be used .*: start that server, or correct or unset"):
        log_run(record(small_bundle, events, tmp_path / "p"), store=store, experiment="e", registered_name="m")
    with serving(*command, *files, port=port, health="/health"):
        mlflow = client(store)
        home = mlflow.create_experiment("shared")
        other = mlflow.create_run(home, tags={"bundle_sha256": "of another machine"})
        run_id = log_run(
            record(small_bundle, events, tmp_path / "p"), store=store, experiment="shared", registered_name="remote"
        )
        assert mlflow.get_run(other.info.run_id).info.status == "RUNNING"
        assert mlflow.get_run(run_id).info.status == "FINISHED"
        assert (
            Bundle.load(pull("models:/remote@candidate", to=tmp_path / "here")).digest
            == Bundle.load(small_bundle).digest
        )
        assert promote("1", store=store, name="remote", reason="a test").moved
    assert list((tmp_path / "files").rglob("scored.parquet"))
    assert not (tmp_path / "mlartifacts").exists()
    assert not (tmp_path / "mlflow.db").exists()
