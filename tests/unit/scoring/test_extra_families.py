"""A bundle that was made with a family from outside: it needs that very family, and loading it runs no code."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from examples.my_features import PressureFamily
from slackwater import BundleError, ReversalScorer
from tests.small_bundle import make_bundle, market
from tests.unit.scoring.test_bundle import edit_manifest

FAMILY = "examples.my_features:PressureFamily"
LOAD = "import sys; {before}from slackwater import ReversalScorer; ReversalScorer.load(sys.argv[1]); print('loaded')"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("extra") / "scorer", families={"extra": [FAMILY]})


def loading(path: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LOAD.format(before=before), str(path)], capture_output=True, text=True, check=False
    )


def test_it_refuses_without_the_family_and_names_its_module(bundle: Path) -> None:
    """Catches a load that imports what a file names, and a refusal that does not tell what to do."""
    done = loading(bundle)
    assert done.returncode != 0
    assert "BundleError" in done.stderr
    assert FAMILY in done.stderr
    assert "import examples.my_features first" in done.stderr
    assert "loaded" in loading(bundle, "import examples.my_features; ").stdout


def test_its_features_are_scored_alike_in_history_and_live(bundle: Path) -> None:
    """Catches a scorer that loads the family for one of the two alone."""
    scorer, tables = ReversalScorer.load(bundle, families=[PressureFamily]), market()
    scores = scorer.score(tables)
    name = "pressure_4h"
    assert name in scorer.manifest["features"]["model_features"]
    events = scores[(scores["direction"] != 0) & (scores["symbol"] == "BTCUSDT")]
    last = events["event_time"].max()
    frames, stream = scorer.frame_stream(), scorer.stream("BTCUSDT")
    stream.warm({key: table[table["available_time"] < last] for key, table in tables.items()})
    for key, table in tables.items():
        recent = table["available_time"].between(last - np.timedelta64(3, "D"), last + np.timedelta64(5, "s"))
        for row in table[recent].to_dict("records"):
            frames.push(key, row)
    live = stream.update(frames.close(last)["BTCUSDT"])
    assert live.p_direction == events["p_direction"].iloc[-1]
    assert live.features[scorer._engine.names.index(name)] == events[name].iloc[-1]


def test_a_family_whose_code_has_changed_is_named(bundle: Path, tmp_path: Path) -> None:
    """Catches a refusal that blames the version of slackwater for an edit of the user's own file."""
    copy = shutil.copytree(bundle, tmp_path / "scorer")
    edit_manifest(copy, lambda m: m["features"].update(fingerprint="0", sources={FAMILY: "0123456789abcdef"}))
    message = f"the code of {FAMILY} is not that with which the bundle was made"
    for families in ([], [PressureFamily]):
        with pytest.raises(BundleError, match=message):
            ReversalScorer.load(copy, families=families)
    edit_manifest(copy, lambda m: m["features"].pop("sources"))  # a bundle from before
    with pytest.raises(BundleError, match="made with other features than this version computes"):
        ReversalScorer.load(copy)


def test_a_class_that_its_module_lost_is_named(bundle: Path, tmp_path: Path) -> None:
    """Catches the advice to import a module that is imported."""
    copy = shutil.copytree(bundle, tmp_path / "scorer")
    edit_manifest(copy, lambda m: m["features"]["families"].update(extra=["examples.my_features:FormerFamily"]))
    with pytest.raises(BundleError, match=r"module examples.my_features has no FormerFamily any more; use the module"):
        ReversalScorer.load(copy)


@pytest.mark.parametrize("named", ["antigravity:X", "os:system", "no colon", "tests.small_market:small_market", 7])
def test_a_bundle_that_names_another_class_is_refused(bundle: Path, tmp_path: Path, named: object) -> None:
    """Catches a bundle that reaches a function, or a module that nobody imported."""
    copy = tmp_path / "scorer"
    shutil.copytree(bundle, copy)
    edit_manifest(copy, lambda content: content["features"]["families"].update(extra=[named]))
    with pytest.raises(BundleError):
        ReversalScorer.load(copy)
    assert "antigravity" not in sys.modules
