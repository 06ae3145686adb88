"""The example of data of one's own: what the script writes is what the documented entry reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from examples.own_data import write_exports
from pipelines._closure import ROOT
from tests.architecture.test_readme import own_entry
from tests.command import slackwater


@pytest.mark.usefixtures("compiled_simulator")
def test_the_documented_entry_reads_the_files_of_the_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clock, units, sides and columns of docs/own_data.md, on real files: a wrong word there would be everybody's."""
    write_exports(tmp_path / "data/external/mine")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets/mine.yaml").write_text(yaml.safe_dump(own_entry()["mine"]))
    monkeypatch.chdir(tmp_path)
    done = slackwater("understand", "mine")
    assert done.returncode == 0, done.stderr
    expected = (
        "bars: 960 rows of BTCUSDT\n  span     2024-01-01 01:00 to 2024-02-10 00:00 UTC",
        "clock    ISO 8601, naive, +06:00 of UTC",
        "open_interest from oi_usd / price, coin",
        "quantity from q x 0.001, coin",
        "side from S",
        "findings: none",
    )
    assert [text for text in expected if text not in done.stdout] == []
