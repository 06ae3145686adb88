"""A run of the first stages on the small market, in seconds: real files, real stages, numbers that mean nothing."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from pipelines._closure import ROOT
from pipelines._stage import Stage
from slackwater.storage import write_tables
from tests.small_bundle import market

STAGES = ("configure", "ingest", "validate", "features", "label", "train", "backtest", "sensitivity", "controls")
"""What `evaluate` reads; nothing up to here needs git or MLflow."""

_HOURLY = {
    "market": {"bar_interval": "1h", "fine_bar_interval": "1h"},
    "features": {
        "volatility": {"half_life": "72h", "fast_half_life": "6h", "slow_half_life": "7d", "atr_window": "14h"},
        "regime": {"variance_ratio_horizon": "4h"},
        "sweeps": {"reclaim_window": "3h", "approach": "6h", "burst_window": "30d"},
        "triggers": {"cascade_window": "4h"},
    },
    "labels": {"horizon": "12h", "horizons": ["12h"]},
    "validation": {"min_train": "60d", "test": "20d", "embargo": "24h", "parallel_folds": 1},
    "model": {"n_estimators": 15, "min_child_samples": 10},
    "evaluation": {"draws": 100, "mean_block": "3d"},
    "trading": {
        "entry": {"probability_threshold": 0.5, "complete_features": False},
        # The market is random: a gate that asks for worth would refuse everything.
        "rules": {"min_expectancy": None, "kelly_fraction": None},
    },
}


def make_small_run(root: Path, *stages: str, days: int = 160) -> Path:
    """Write the small market as a data set of its own below `root`, and run some stages there (all by default)."""
    write_tables(market(days), root / "data" / "small")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    entry = {"source": "parquet", "venue": "simulated", "path": "data/small", "symbols": ["BTCUSDT", "ETHUSDT"]}
    content = params | {"dataset": "small", "datasets": {"small": entry | _HOURLY}}
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    shutil.copy(ROOT / "dvc.yaml", root)
    (root / "trials.jsonl").write_text("")
    run_stages(root, *(stages or STAGES))
    return root


def run_stages(root: Path, *stages: str) -> str:
    """Run stages in a directory, in this process; return what they said."""
    told = io.StringIO()
    with inside(root), contextlib.redirect_stdout(told):
        for name in stages:
            importlib.import_module(f"pipelines.{name}").main(Stage(name))
    return told.getvalue()


@contextlib.contextmanager
def inside(root: Path) -> Iterator[None]:
    """Work in a directory."""
    before = Path.cwd()
    os.chdir(root)
    try:
        yield
    finally:
        os.chdir(before)


def edit_entry(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the entry of the data set in ``params.yaml``."""
    content = yaml.safe_load((root / "params.yaml").read_text(encoding="utf-8"))
    change(content["datasets"]["small"])
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
