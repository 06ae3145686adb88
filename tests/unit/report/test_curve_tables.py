"""The tables of curves that DVC draws: values, references and the market on every point."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.report.curve_tables import write_curve_tables

MARKET = "toy, SYNTHETIC market"


def events(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    p = 1.0 / (1.0 + np.exp(-rng.normal(0.0, 1.0, n) - 0.5 * (2 * y - 1)))
    return pd.DataFrame({"fold": np.arange(n) // 100, "y_direction": y, "p_direction": p})


def written(root: Path, scored: pd.DataFrame, results: list[float]) -> dict[str, list[dict[str, Any]]]:
    times = pd.date_range("2024-01-01", periods=len(results), freq="D", tz="UTC")
    equity = pd.DataFrame({"time": times, "equity_usd": 10_000.0 + np.cumsum(results)})
    sample = pd.DataFrame({"exit_time": times[::-1], "net_r": results[::-1]})
    write_curve_tables(root / "curves", scored=scored, equity=equity, sample=sample, market=MARKET)
    return {path.stem: json.loads(path.read_text()) for path in (root / "curves").iterdir()}


def test_each_table_has_its_values_its_reference_and_the_market(tmp_path: Path) -> None:
    """Catches a curve of another quantity, a reference that is another, and a plot that could pass for real data."""
    scored = events()
    found = written(tmp_path, scored, [1.0, -2.0, 4.0])
    assert set(found) == {"precision_recall", "calibration", "auc_by_fold", "equity", "net_r"}
    for rows in found.values():
        assert {row["market"] for row in rows} == {MARKET}
    base = scored["y_direction"].mean()
    whole = found["precision_recall"][0]
    assert (whole["recall"], whole["precision"], whole["reference"]) == pytest.approx((1.0, base, base))
    last = found["precision_recall"][-1]
    top = scored.nlargest(20, "p_direction")["y_direction"]
    assert last["precision"] == pytest.approx(top.mean())
    assert len(found["calibration"]) == 10
    assert all(row["reference"] == row["predicted"] for row in found["calibration"])
    assert [row["test_block"] for row in found["auc_by_fold"]] == [0, 1, 2, 3]
    assert [row["equity_usd"] for row in found["equity"]] == [10_001.0, 9_999.0, 10_003.0]
    assert {row["reference"] for row in found["equity"]} == {10_001.0}
    assert [row["net_r"] for row in found["net_r"]] == [1.0, -1.0, 3.0]


def test_a_run_without_events_or_trades_has_empty_curves(tmp_path: Path) -> None:
    """Catches a run that fails because nothing was traded, or points that nobody measured."""
    found = written(tmp_path, events(0), [])
    assert set(map(len, found.values())) == {0}
