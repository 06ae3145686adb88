"""``slackwater zones``, as a user types it."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from pipelines._closure import ROOT
from slackwater.storage import write_tables
from tests.command import slackwater
from tests.small_market import small_market


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("market") / "tables"
    made = small_market(("BTCUSDT", "ETHUSDT"), days=25, interval=timedelta(minutes=5))
    write_tables({name: made[name] for name in ("bars", "open_interest", "liquidations")}, directory)
    return directory


def zones(tables: Path, *arguments: str, fails: bool = False) -> str:
    done = slackwater("zones", "--tables", str(tables), "--params", str(ROOT / "params.yaml"), *arguments)
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output
    assert "Traceback" not in output
    return output


def test_pools_are_listed_and_drawn(tables: Path, tmp_path: Path) -> None:
    picture = tmp_path / "out.png"
    at = "2024-01-24T12:02Z"
    output = zones(
        tables, "--symbol", "ETHUSDT", "--at", at, "--layer", "middle", "--days", "2", "--plot", str(picture)
    )
    assert "ETHUSDT at 2024-01-24 12:00 UTC  SYNTHETIC market" in output
    assert "not amounts in dollars" in output
    assert "above" in output
    assert "below" in output
    assert "#1" in output
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--symbol", "DOGEUSDT"), "MissingDataError: .*no bars of DOGEUSDT; there are BTCUSDT, ETHUSDT"),
        (("--symbol", "BTCUSDT", "--at", "2030-01-01"), "ParameterError: `at` must be within the bars of BTCUSDT"),
        (
            ("--symbol", "BTCUSDT", "--at", "noon"),
            "ParameterError: `--at` must be a time .*2024-06-01T12:00Z, was 'noon'",
        ),
        (("--symbol", "BTCUSDT", "--layer", "nearest"), "ParameterError: `--layer` must be one of"),
        (("--symbol", "BTCUSDT", "--at", "2024-01-03"), "MissingDataError: .*daily range"),
    ],
)
def test_errors_name_what_is_wrong(tables: Path, arguments: tuple[str, ...], message: str) -> None:
    output = zones(tables, *arguments, fails=True)
    assert len(output.strip().splitlines()) == 1
    assert re.search(message, output), output


def test_a_market_without_open_interest_says_so(tables: Path, tmp_path: Path) -> None:
    write_tables({"bars": small_market(("BTCUSDT",), days=25, interval=timedelta(minutes=5))["bars"]}, tmp_path / "t")
    output = zones(tmp_path / "t", "--symbol", "BTCUSDT", fails=True)
    assert "MissingDataError: BTCUSDT: no open interest is known" in output
