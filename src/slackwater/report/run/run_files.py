"""The files of a run that the report is made of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from slackwater.evidence.direction import traded_rows
from slackwater.storage import read_json, read_json_lines, read_parquet

__all__ = ["RunFiles"]

_PREDICTIONS: Final = ["symbol", "event_time", "fold", "p_direction", "p_direction_raw", "p_hit", "p_hit_raw"]
_LABELS: Final = ["symbol", "event_time", "direction", "triggers", "trades", "y_direction", "y_hit"]


@dataclass(frozen=True, kw_only=True)
class RunFiles:
    """What stages of a run wrote, read once.

    Parameters
    ----------
    root
        Directory of the run.
    verdict, metrics, controls, sensitivity, defects, map_scorecard
        Content of the reports in JSON.
    manifest
        Description of the features (``data/feature_manifest.json``).
    trades, unit_risk_trades, refusals, equity
        Tables of the backtest.
    plans
        The plans of the journal, by symbol and time of the signal event.
    scored
        Signal events of the test blocks that trade, with predictions and labels.
    null_markets
        Result of ``python -m campaigns.promotions``; None where the run has none.
    """

    root: Path
    verdict: dict[str, Any]
    metrics: dict[str, Any]
    controls: dict[str, Any]
    sensitivity: dict[str, Any]
    defects: dict[str, Any]
    map_scorecard: dict[str, Any]
    manifest: dict[str, Any]
    trades: pd.DataFrame
    unit_risk_trades: pd.DataFrame
    refusals: pd.DataFrame
    equity: pd.DataFrame
    plans: dict[tuple[str, pd.Timestamp], dict[str, Any]]
    scored: pd.DataFrame
    null_markets: dict[str, Any] | None

    @property
    def synthetic(self) -> bool:
        """Whether the market was simulated."""
        return bool(self.verdict["synthetic"])

    @property
    def dataset(self) -> str:
        """Name of the data set."""
        return str(self.metrics["dataset"])

    @classmethod
    def read(cls, root: str | Path) -> RunFiles:
        """Read them.

        Raises
        ------
        MissingDataError, DataError
            If a file is missing or damaged.
        """
        root = Path(root)
        reports = {name: read_json(root / "data" / "reports" / f"{name}.json") for name in _REPORTS}
        tables = {name: read_parquet(root / "reports" / f"{name}.parquet") for name in _TABLES}
        scored = read_parquet(root / "data" / "predictions.parquet", columns=_PREDICTIONS).merge(
            read_parquet(root / "data" / "labels.parquet", columns=_LABELS),
            on=["symbol", "event_time"],
            validate="1:1",
        )
        lines = read_json_lines(root / "reports" / "journal.jsonl")
        promotions = root / "campaigns" / "promotions.json"
        return cls(
            root=root,
            **reports,
            **tables,
            defects=read_json(root / "reports" / "defects.json"),
            manifest=read_json(root / "data" / "feature_manifest.json"),
            plans={_event(line): line for line in lines if line["decision"] == "plan"},
            scored=scored[traded_rows(scored)].reset_index(drop=True),
            null_markets=read_json(promotions) if promotions.is_file() else None,
        )


_REPORTS: Final = ("verdict", "metrics", "controls", "sensitivity", "map_scorecard")
_TABLES: Final = ("trades", "unit_risk_trades", "refusals", "equity")


def _event(line: dict[str, Any]) -> tuple[str, pd.Timestamp]:
    return line["symbol"], pd.Timestamp(line["event_time"])
