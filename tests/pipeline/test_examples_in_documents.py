"""Every block of Python in the documents runs: here, or in the test that the list names."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import slackwater as sw
from pipelines._closure import ROOT
from slackwater.storage import write_tables
from tests.pages import PAGES, blocks
from tests.small_bundle import market
from tests.small_run import inside

Names = Callable[[Path], Mapping[str, Any]]


def scored(root: Path) -> dict[str, Any]:
    """The names that pages take over from docs/python.md: a scorer, its tables and an event."""
    scorer = sw.ReversalScorer.load(root / "models/scorer")
    tables = sw.read_tables(root / "data/tables", sw.INPUT_TABLES)
    scores = scorer.score(tables)
    event = scores[scores["direction"] != 0].iloc[-1]
    return {"sw": sw, "scorer": scorer, "tables": tables, "scores": scores, "score": event}


def traded(root: Path) -> dict[str, Any]:
    """The same, with the account of a day of trading."""
    names = scored(root)
    now = names["score"]["event_time"] + pd.Timedelta("10s")
    midnight = now.normalize()
    return names | {
        "now": now,
        "midnight": midnight,
        "exit_time": midnight + timedelta(seconds=1),
        "equity": 10_000.0,
        "net_usd": -50.0,
        "positions": (),
        "symbols": ["BTCUSDT", "ETHUSDT"],
        "quote": float(names["score"]["close"]),
        "record": sw.TrackRecord.start(10_000.0, midnight - timedelta(days=1)),
    }


def own_family(_: Path) -> dict[str, Any]:
    from examples.my_features import PressureFamily

    return {"ReversalScorer": sw.ReversalScorer, "MyFamily": PressureFamily}


HERE: Mapping[str, Names] = {
    "docs/index.md": lambda _: {},
    "docs/bundle.md": lambda _: {},
    "docs/drift.md": scored,
    "docs/gate.md": traded,
    "docs/own_features.md": own_family,
    "docs/simulator.md": lambda _: {},
}
ELSEWHERE = {
    "README.md": "tests/pipeline/test_pipeline.py, on a whole run",
    "docs/python.md": "tests/pipeline/test_pipeline.py, on a whole run",
    "docs/first_hour.md": "tests/pipeline/test_first_hour.py, as a notebook",
    "docs/tracking.md": "tests/unit/tracking/test_registry.py: a store with a registered bundle",
    "docs/live.md": "tests/unit/feed/test_feed_life.py: a venue on loopback",
    "docs/venues.md": "tests/unit/sources/exchange/test_fetch_exchange.py: the same calls to a venue on loopback",
}


def test_every_block_runs_somewhere() -> None:
    """A page with a block that nobody runs is one that will be wrong."""
    pages = {page for page in PAGES if blocks(page, "python")}
    assert pages == {*HERE, *ELSEWHERE}
    for place in ELSEWHERE.values():
        assert (ROOT / re.split("[,:]", place)[0]).is_file(), place


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, small_bundle: Path) -> Path:
    """A directory with a bundle and the tables that it scores, as after a run."""
    place = tmp_path_factory.mktemp("run")
    (place / "models").mkdir()
    (place / "models" / "scorer").symlink_to(small_bundle)
    write_tables(market(), place / "data" / "tables")
    return place


@pytest.mark.usefixtures("compiled_simulator")
@pytest.mark.parametrize("page", HERE)
def test_the_blocks_of_a_page_run(page: str, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All blocks of a page in one namespace, in the order in which they are read."""
    names = dict(HERE[page](root))
    with inside(root):
        for text in blocks(page, "python"):
            exec(compile(text, page, "exec"), names)  # noqa: S102
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("page", ELSEWHERE)
def test_what_runs_elsewhere_is_python_whose_imports_exist(page: str) -> None:
    """A renamed class would leave a block that cannot even start; `await` may stand outside of a function there."""
    for text in blocks(page, "python"):
        tree = compile(text, page, "exec", flags=ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                assert [each.name for each in node.names if not hasattr(module, each.name)] == []
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "FeedSettings":
                from slackwater.feed.settings import FeedSettings

                assert {each.arg for each in node.keywords} <= set(inspect.signature(FeedSettings).parameters)
