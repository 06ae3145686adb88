"""The example of paper trading, run as a user runs it: real processes and sockets on a small market."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pipelines._closure import ROOT
from slackwater.journal.store import reading
from slackwater.storage import write_tables
from tests.paper_run import paper_bundle, paper_market


def test_the_example_of_paper_trading_runs(tmp_path: Path) -> None:
    """Catches an option that was renamed, a replay that never ends, and a record that cannot be explained."""
    write_tables(paper_market(), tmp_path / "tables")
    bundle = paper_bundle(tmp_path / "bundle")
    options = ("--tables", tmp_path / "tables", "--bundle", bundle, "--out", tmp_path / "out")
    command = [sys.executable, str(ROOT / "examples/live.py"), *map(str, options), "--hours", "0.25", "--speed", "120"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "the chain holds" in done.stdout
    assert "every difference has its cause" in done.stdout
    assert "no price chart" not in done.stdout
    assert (tmp_path / "out" / "account.html").is_file()
    with reading(tmp_path / "out" / "journal.db") as held:
        states = [
            row[0]
            for row in held.rows(
                "SELECT json_extract(payload_json, '$.state') FROM event WHERE kind = 'watch' ORDER BY id"
            )
        ]
    assert states == ["begins", "ends"]
    again = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert again.returncode == 1
    assert "holds an earlier account" in again.stderr
