"""The command `contracts`, as a user types it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from slackwater.market.contract_file import read_contracts
from tests.venues.natives import NATIVES
from tests.venues.server import Habits, VenueServer, running

pytest.importorskip("ccxt", reason="the extra `exchange` is not installed")

SLACKWATER = str(Path(sys.executable).parent / "slackwater")
HABITS = Habits(listed=1_577_836_800_000, now=1_795_000_000_000)


def test_a_venue_is_asked_and_its_answer_is_a_file_to_trade_on(tmp_path: Path) -> None:
    """Fails where the names are taken apart wrongly, or the file cannot be read again."""
    out = tmp_path / "contracts.json"
    with running(VenueServer(NATIVES["bybit"](HABITS))) as server:
        arguments = ["contracts", "--venue", "bybit", "--symbols", "BTCUSDT", "--out", str(out), "--mirror", server.url]
        done = subprocess.run([SLACKWATER, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "note: fees are not asked for" in done.stdout
    assert len(read_contracts(out, "bybit")["BTCUSDT"].tiers) == 2
    entry = yaml.safe_load(done.stdout.partition("without the indentation):\n\n")[2])
    assert entry == {"contract_facts": json.loads(out.read_text())}


def test_an_unknown_venue_is_one_line_and_no_file(tmp_path: Path) -> None:
    out = tmp_path / "contracts.json"
    arguments = ["contracts", "--venue", "deribit", "--symbols", "BTCUSDT", "--out", str(out)]
    done = subprocess.run([SLACKWATER, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("slackwater: ParameterError: `venue` must be a known venue")
    assert not out.exists()


def test_the_wait_for_a_venue_that_does_not_answer_is_not_silent(tmp_path: Path) -> None:
    """It was silent for a minute of retries."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        mirror = f"http://127.0.0.1:{taken.getsockname()[1]}"
        arguments = ["contracts", "--venue", "bybit", "--symbols", "BTCUSDT", "--out", str(tmp_path / "facts.json")]
        asking = subprocess.Popen([SLACKWATER, *arguments, "--mirror", mirror], stderr=subprocess.PIPE, text=True)
        assert asking.stderr is not None
        said = asking.stderr.readline()
        asking.kill()
        asking.communicate()
    assert "bybit" in said
    assert "SourceError" not in said
