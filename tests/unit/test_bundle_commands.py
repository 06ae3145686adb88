"""The commands of a bundle: their JSON is JSON and nothing else, and drift says what it left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from slackwater.scoring.bundle import Bundle, write_bundle
from slackwater.storage import read_json, write_tables
from tests.command import slackwater
from tests.small_bundle import market

SINCE = "2024-04-25"


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("market") / "tables"
    write_tables(market(), directory)
    return directory


def answered(*arguments: str) -> dict[str, Any]:
    """Return the JSON on standard output, all of it."""
    done = slackwater(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def changed(bundle: Path, out: Path, **keys: Any) -> str:
    """Write the bundle with some keys of its manifest changed; None removes one."""
    manifest = read_json(bundle / "manifest.json")
    models = {name: (bundle / entry["file"]).read_text() for name, entry in manifest["models"].items()}
    write_bundle(out, {key: value for key, value in {**manifest, **keys}.items() if value is not None}, models)
    return str(out)


def test_inspect_answers_in_json(small_bundle: Path) -> None:
    content = answered("inspect", "--bundle", str(small_bundle))
    assert content["bundle_sha256"] == Bundle.load(small_bundle).digest
    assert (content["dataset"], content["synthetic"], content["verdict"]) == ("small", True, "paper_only")
    assert content["clauses"]["real_data"]["passed"] is False
    assert content["power"] is None


def test_score_answers_in_json(small_bundle: Path, tables: Path, tmp_path: Path) -> None:
    content = answered("score", str(tables), str(tmp_path / "scores.parquet"), "--bundle", str(small_bundle))
    written = pd.read_parquet(tmp_path / "scores.parquet")
    assert content["n_events"] == len(written) == sum(content["events_by_symbol"].values())
    assert content["n_bars"] == 2 * 160 * 24
    assert content["first_event"] == written["event_time"].min().isoformat()
    assert content["n_out_of_range"] == int((written["out_of_range_features"].map(len) > 0).sum())
    assert content["synthetic"] is True


def test_drift_prints_what_its_json_contains(small_bundle: Path, tables: Path, tmp_path: Path) -> None:
    given = ("drift", "--bundle", str(small_bundle), "--tables", str(tables), "--from", SINCE)
    content = answered(*given)
    assert content["synthetic"] is True
    assert content["left_out"]["of_the_training_period"] is None
    assert content["left_out"]["within_warm_up"] > 0
    assert content["first_event"] >= SINCE
    assert content["stretch_days"] in (3, 5)
    features = content["features"]
    assert len(features) == len(read_json(small_bundle / "manifest.json")["features"]["model_features"]) + 1
    assert content["n_beyond"] == sum((each["ratio"] or 0.0) > 1.0 for each in features.values())
    shown = slackwater(*given, "--plot", str(tmp_path / "drift.png"))
    assert shown.stdout.startswith("SYNTHETIC market")
    assert content["sentence"] in shown.stdout
    assert "left out, of the training period: not known, nothing was left out" in shown.stdout
    assert (tmp_path / "drift.png").read_bytes()[:4] == b"\x89PNG"


def test_events_of_the_training_period_are_left_out(small_bundle: Path, tables: Path, tmp_path: Path) -> None:
    """Catches training that is compared with itself: it would never have drifted."""
    training = {"until": f"{SINCE}T00:00:00+00:00", "embargo": {"seconds": 86400.0}, "base_rates": {"direction": 0.5}}
    bundle = changed(small_bundle, tmp_path / "bundle", training=training)
    content = answered("drift", "--bundle", bundle, "--tables", str(tables))
    asked = answered("drift", "--bundle", str(small_bundle), "--tables", str(tables), "--from", SINCE)
    assert content["left_out"]["of_the_training_period"] == asked["left_out"]["outside_of_the_period"] > 0
    assert content["features"] == asked["features"]
    done = slackwater("drift", "--bundle", bundle, "--tables", str(tables), "--until", SINCE)
    assert done.returncode == 1
    assert "no event is left" in done.stderr
    assert "of the training period" in done.stderr


def test_a_bundle_without_shares_is_refused_with_what_to_do(small_bundle: Path, tables: Path, tmp_path: Path) -> None:
    bundle = changed(small_bundle, tmp_path / "bundle", training_shares=None)
    done = slackwater("drift", "--bundle", bundle, "--tables", str(tables), "--json")
    assert done.returncode == 1
    assert "does not contain the shares of its features in training" in done.stderr
    assert done.stdout == ""
