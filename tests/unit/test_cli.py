"""The command, as a user types it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer

from pipelines._closure import ROOT
from slackwater import __version__
from slackwater.cli import app
from slackwater.commands.by_task import DATA, LIVE, MARKET, RUNS, ByTask
from slackwater.evidence.clauses import holds, not_computed
from slackwater.evidence.verdict import Verdict
from slackwater.scoring.bundle import write_bundle
from slackwater.storage import read_json, write_json, write_tables
from tests.small_bundle import market

SLACKWATER = str(Path(sys.executable).parent / "slackwater")


def run(*arguments: str, fails: bool = False) -> str:
    done = subprocess.run([SLACKWATER, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_version() -> None:
    assert run("--version").strip() == __version__


def test_inspect_shows_the_verdict_and_says_synthetic(small_bundle: Path) -> None:
    output = run("inspect", "--bundle", str(small_bundle))
    assert "(SYNTHETIC)" in output
    assert "FAILED   real_data: 0, not simulated" in output


def test_inspect_tells_what_is_not_known_from_what_failed(small_bundle: Path, tmp_path: Path) -> None:
    """Caught: a clause without a value that is shown as failed, and a run without trades that shows no power."""
    manifest = read_json(small_bundle / "manifest.json")
    models = {name: (small_bundle / entry["file"]).read_text() for name, entry in manifest["models"].items()}
    clauses = (
        not_computed("profit_factor", "> 1.15", "too few trades"),
        holds("real_data", "not simulated", 1.0, True),
    )
    write_json(Verdict(clauses=clauses, synthetic=False).to_dict(), tmp_path / "verdict.json")
    manifest["verdict"] = read_json(tmp_path / "verdict.json")
    write_bundle(tmp_path / "bundle", manifest, models)
    output = run("inspect", "--bundle", str(tmp_path / "bundle"))
    assert "verdict   not_evaluable: It is not known whether there is an edge; not evaluable: profit_factor." in output
    assert "power     No trade was taken out of sample." in output
    assert "UNKNOWN  profit_factor: not known, > 1.15  (too few trades)" in output
    assert "holds    real_data: 1, not simulated" in output


def test_inspect_shows_the_result_of_the_account(small_bundle: Path, tmp_path: Path) -> None:
    """The clauses speak of bps per trade, while the account of the same run may have lost money."""
    manifest = read_json(small_bundle / "manifest.json")
    account = {
        "n_trades": 3,
        "initial_equity_usd": 1e4,
        "final_equity_usd": 9878.0,
        "total_return": -0.0122,
        "max_drawdown": 0.02,
        "profit_factor": 0.7,
        "win_rate": 1 / 3,
        "mean_r": -0.2,
        "sharpe": None,
        "net_bps_mean": 25.5,
        "top_month_share": 1.0,
    }
    models = {name: (small_bundle / entry["file"]).read_text() for name, entry in manifest["models"].items()}
    manifest["verdict"]["account"] = account
    write_bundle(tmp_path / "bundle", manifest, models)
    output = run("inspect", "--bundle", str(tmp_path / "bundle"))
    assert "backtest  3 trades: 10,000 USDT become 9,878 (-1.2 %)" in output
    assert "Sharpe unknown" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("features", "--bar-minutes", "0"), "--bar-minutes"),
        (("features", "--bar-minutes", "7"), "ParameterError: `features.volatility.atr_window` must be a"),
        (("simulate", "--out", "m", "--days", "100000000"), "--days"),
        (
            ("check-features", "examples.my_features:PressureFamily", "--decision-lag", "-5s"),
            "`--decision-lag` must be",
        ),
        (("zones", "--symbol", "BTCUSDT"), "no parameter file params.yaml: run this in the root of the"),
        (("inspect",), "BundleError: models/scorer is not a scoring bundle"),
    ],
)
def test_a_bad_option_or_place_is_named_without_a_traceback(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(ROOT)]))
    monkeypatch.chdir(tmp_path)
    output = run(*arguments, fails=True)
    assert message in output
    assert "Traceback" not in output


def test_help_shows_what_stands_in_brackets() -> None:
    assert 'pip install "slackwater[exchange]"' in " ".join(run("contracts", "--help").split())


def test_completion_of_the_shell_can_be_installed() -> None:
    assert "--install-completion" in run("--help")


@pytest.mark.parametrize("arguments", [("--help",), ("99999",), ("port",)])
def test_the_mirror_explains_itself(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mirror", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == (0 if arguments == ("--help",) else 2)
    assert "usage: python -m tests.mirror" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_score_writes_events(small_bundle: Path, tmp_path: Path) -> None:
    write_tables(market(), tmp_path / "tables")
    output = run("score", str(tmp_path / "tables"), str(tmp_path / "out.parquet"), "--bundle", str(small_bundle))
    assert "SYNTHETIC" in output
    events = pd.read_parquet(tmp_path / "out.parquet")
    assert events["p_direction"].between(0.0, 1.0).all()
    assert (events["direction"] != 0).all()


def test_a_known_error_is_one_line_and_not_a_traceback(tmp_path: Path) -> None:
    output = run("inspect", "--bundle", str(tmp_path), fails=True)
    assert output.startswith("slackwater: BundleError: ")
    assert "Traceback" not in output


def test_a_family_in_the_working_directory_is_found(tmp_path: Path) -> None:
    """An installed script searches its own directory and not that of the user, unlike `python -m`."""
    (tmp_path / "mine.py").write_text("class NotAFamily: ...\n", encoding="utf-8")
    done = subprocess.run(
        [SLACKWATER, "check-features", "mine:NotAFamily"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot be imported" not in done.stderr
    assert "mine:NotAFamily" in done.stderr


def test_the_help_lists_every_command_once_and_by_task() -> None:
    """A command without a task would stand at the end, under a title that helps nobody."""
    output = run("--help")
    sections = re.split(r"^(\S.*):\n", output, flags=re.MULTILINE)
    titles = sections[1::2]
    assert titles[titles.index("Options") + 1 :] == [DATA, MARKET, RUNS, LIVE]
    listed = re.findall(r"^  ([a-z-]+)  +[A-Z]", output.partition(f"{DATA}:")[2], flags=re.MULTILINE)
    assert sorted(listed) == sorted(typer.main.get_command(app).commands)
    assert "..." not in output.partition(f"{DATA}:")[2]  # a sentence that is cut says nothing


def test_a_command_without_a_task_is_shown_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Caught: a command that the help passes over because nobody has given it a section."""
    toys = typer.Typer(cls=ByTask, rich_markup_mode=None)
    toys.command("first", rich_help_panel=DATA, help="One.")(lambda: None)
    toys.command("second", help="Two.")(lambda: None)
    with pytest.raises(SystemExit):
        toys(["--help"])
    assert "Data:\n  first   One.\n\nOther commands:\n  second  Two.\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (("inpsect",), "'inspect'"),
        (("jornal", "verify"), "'journal'"),
        (("venue", "serv"), "'serve'"),
        (("zones", "--symbl", "BTCUSDT"), "--symbol"),
        (("understand", "bybit_1"), "did you mean `bybit_1h`?"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_nearest(
    arguments: tuple[str, ...], near: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert near in run(*arguments, fails=True)


def test_the_exit_status_is_the_documented_one(tmp_path: Path) -> None:
    """docs/commands.md: a script must tell a wrong command line from an error that has a name."""
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    documented = {int(status) for status in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)}
    done = [
        subprocess.run([SLACKWATER, *words], capture_output=True, check=False, cwd=tmp_path).returncode
        for words in (("--version",), ("inspect",), ("inspect", "--no-such-option"))
    ]
    assert done == [0, 1, 2]
    assert documented == {0, 1, 2, 130}
