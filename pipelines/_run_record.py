"""Record of a run for the stage `track`: curves, tables, pages, predictions and the data set, beside the reports."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from slackwater.evidence.curves import Curve, auc_by_fold, calibration_by_bin, net_r_by_trade
from slackwater.evidence.direction import traded_rows
from slackwater.report.html_page import html_page
from slackwater.storage import read_parquet, write_parquet
from slackwater.tracking.runs import DatasetFacts

CODE = ("src", "pipelines", "dvc.yaml", "requirements.lock")
KEYS = ["symbol", "event_time"]
EXAMPLE_ROWS = 5


def scored_events() -> pd.DataFrame:
    """Return predictions and labels of all events of the test blocks: what two runs are compared by."""
    labels = read_parquet("data/labels.parquet")
    return read_parquet("data/predictions.parquet").merge(labels, on=KEYS, validate="1:1")


def curves(scored: pd.DataFrame, trades: pd.DataFrame) -> dict[str, Curve]:
    """Return the curves of a run, of its traded events and its trades at unit risk."""
    traded = scored[traded_rows(scored)].dropna(subset=["y_direction", "p_direction"])
    predicted, observed = calibration_by_bin(traded)
    return {
        "auc_by_fold": auc_by_fold(traded),
        "net_r_by_trade": net_r_by_trade(trades),
        "calibration_predicted_by_bin": predicted,
        "calibration_observed_by_bin": observed,
    }


def tables(metrics: Mapping[str, Any], verdict: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Return what MLflow shows as tables: clauses of the verdict, controls, and the direction in groups."""
    found = {"clauses": _table(verdict["clauses"], "clause"), "controls": _table(metrics["controls"], "control")}
    groups = {name: rows for name, rows in metrics["direction"].items() if name.startswith("by_")}
    return found | {f"direction_{name}": _table(rows, name.removeprefix("by_")) for name, rows in groups.items()}


def _table(rows: Mapping[str, Any], key: str) -> pd.DataFrame:
    return pd.DataFrame([{key: name, **row} for name, row in rows.items()])


@contextmanager
def files(scored: pd.DataFrame, trades: pd.DataFrame, title: str) -> Iterator[dict[str, Path]]:
    """Yield pages and predictions by folder in the run; they are made for it."""
    with TemporaryDirectory() as place:
        made = {name: Path(place) / name for name in ("pages", "predictions")}
        for directory in made.values():
            directory.mkdir()
        pictures = {"trading": sorted(Path("reports/trading_plots").glob("*.png"))}
        for name in ("trading", "controls", "direction"):
            text = Path(f"reports/{name}.md").read_text(encoding="utf-8")
            page = html_page(text, title=f"{name}: {title}", pictures=pictures.get(name, ()))
            (made["pages"] / f"{name}.html").write_text(page, encoding="utf-8")
        write_parquet(scored, made["predictions"] / "scored.parquet")
        write_parquet(trades, made["predictions"] / "unit_risk_trades.parquet")
        yield made


def dataset_and_example(name: str, manifest: Mapping[str, Any]) -> tuple[DatasetFacts, pd.DataFrame]:
    """Return the events with their features and the label of the headline, and a few of them as example."""
    labels = read_parquet("data/labels.parquet", columns=[*KEYS, "direction", "y_direction"])
    columns = [*KEYS, *manifest["features"]["model_features"]]
    rows = read_parquet("data/event_features.parquet", columns=columns).merge(labels, on=KEYS, validate="1:1")
    facts = DatasetFacts(
        name=name,
        digest=manifest["hashes"]["data_sha256"],
        rows=rows,
        source="data/event_features.parquet",
        target="y_direction",
    )
    return facts, rows.tail(EXAMPLE_ROWS)[[*columns[len(KEYS) :], "direction"]]


def tags_of_the_checkout() -> dict[str, str]:
    """Return commit, uncommitted changes and DVC's name of the experiment; one that is not known is left out."""
    commit, experiment = _git("rev-parse", "HEAD"), os.environ.get("DVC_EXP_NAME", "")
    found = {"dvc_experiment": experiment} if experiment else {}
    if commit:
        dirty = str(bool(_git("status", "--porcelain", "--untracked-files=no", "--", *CODE))).lower()
        found |= {"mlflow.source.git.commit": commit, "mlflow.source.git.dirty": dirty, "git_dirty": dirty}
    return found


def _git(*arguments: str) -> str:
    """Return the output of git, empty outside of a repository."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
