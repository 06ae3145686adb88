"""What the stages of trading ask of the tables on disk before they trade."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from pipelines._trading import rules_without_their_table
from slackwater.config import load_params
from slackwater.symbol_tables import write_symbol


def test_a_symbol_without_rows_in_the_table_of_a_rule_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a symbol that counts as having a table as another one has it."""
    trading = load_params("params.yaml", "simulated").trading
    (tmp_path / "data/tables").mkdir(parents=True)
    for symbol, rows in (("A", 1), ("B", 0)):
        table = pd.DataFrame({"symbol": [symbol], "value": [1.0]})
        write_symbol(symbol, {"bars": table, "depth": table[:rows]}, tmp_path / "data/tables")
    monkeypatch.chdir(tmp_path)
    stage: object = SimpleNamespace(trading=trading)
    (sentence,) = rules_without_their_table(stage)  # type: ignore[arg-type]
    assert "no rows of B:" in sentence
