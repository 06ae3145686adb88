"""The commands of the journal: notes, digest, export and verification of an imported backtest."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from slackwater.journal.event import Kind
from slackwater.journal.notes import STATES
from slackwater.journal.store import reading
from slackwater.journal.trades import chosen_account, closed_trades, payloads
from slackwater.storage import SYNTHETIC, read_parquet
from tests.command import slackwater
from tests.journal_run import TRADES, make_run

HOSTILE = '</script><img src="http://example.org/x"><script>alert(1)</script>'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal with an imported backtest."""
    done = slackwater("journal", "import", str(make_run(tmp_path / "run")), "--journal", str(tmp_path / "journal.db"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SYNTHETIC market")
    assert f"{TRADES} plans, {2 * TRADES} refusals, {TRADES} exits" in done.stdout
    assert "not known: what 2 refused trades would have earned" in done.stdout
    return tmp_path / "journal.db"


def journal(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return slackwater("journal", *arguments, "--journal", str(path))


def trades_of(path: Path) -> pd.DataFrame:
    with reading(path) as opened:
        return closed_trades(opened, chosen_account(opened)[0])


def test_a_note_is_added_and_an_edit_keeps_the_old_one(path: Path) -> None:
    """Catches an edit that overwrites, and an answer that is lost because it was not given again."""
    trade = trades_of(path)["trade"][3]
    first = journal(path, "note", "--trade", trade, "--mind", "calm", "--followed", "--grade", "b", "--text", "as ever")
    assert first.stdout == f"noted: {trade}, event {6 * TRADES}\n", first.stderr
    edit = journal(path, "note", "--trade", trade[:-4], "--grade", "D", "--not-followed", "--json")
    expected = {"trade": trade, "event": 6 * TRADES + 1, "edit": True, "state_of_mind": "calm", "text": "as ever"}
    assert json.loads(edit.stdout) == expected | {"plan_followed": False, "grade": "D"}
    with reading(path) as opened:
        account, _ = chosen_account(opened)
        notes = payloads(opened, account, Kind.NOTE)
    assert [(note["grade"], note["plan_followed"]) for note in notes] == [("B", True), ("D", False)]
    row = trades_of(path).iloc[3]
    assert (row["grade"], row["state_of_mind"], row["noted_late"]) == ("D", "calm", True)


def test_a_note_that_cannot_be_taken_is_refused(path: Path) -> None:
    """Catches a question to nobody, a word that is not on the list, and a note on one of several trades."""
    trade = trades_of(path)["trade"][0]
    for arguments, message in (
        (["--trade", trade, "--mind", "calm"], "without a terminal, give `--mind`"),
        (["--trade", trade, "--mind", "euphoric", "--followed", "--grade", "A"], f"must be one of {', '.join(STATES)}"),
        (["--trade", trade, "--mind", "calm", "--followed", "--grade", "G"], "the grade must be one of A, B"),
        (["--trade", "BTCUSDT", "--mind", "calm"], "names more than one trade"),
        (["--trade", "DOGE", "--mind", "calm"], "names no trade; the last ones are"),
    ):
        done = journal(path, "note", *arguments)
        assert done.returncode == 1
        assert message in done.stderr
    assert journal(path.parent / "absent.db", "note", "--trade", trade).returncode == 1
    assert not (path.parent / "absent.db").exists()


def test_a_terminal_is_asked_three_questions_at_most(path: Path) -> None:
    """Catches a fourth question, and an answer that is not taken from a real terminal."""
    trade = trades_of(path)["trade"][5]
    code = "from slackwater.cli import main; main()"
    command = [sys.executable, "-c", code, "journal", "note", "--trade", trade, "--journal", str(path)]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as asked:
        os.write(ours, b"happy\nTired, slept badly\nn\nc\n")
        told, _ = asked.communicate()
    os.close(ours)
    os.close(theirs)
    assert asked.returncode == 0, told
    assert "begin with one of" in told  # "happy" was asked for again
    row = trades_of(path).iloc[5]
    assert (row["state_of_mind"], row["text"]) == ("tired", "slept badly")
    assert (row["plan_followed"], row["grade"]) == (False, "C")


def test_a_digest_adds_up_its_week(path: Path) -> None:
    """Catches a trade of another week, and a sum that leaves one out."""
    trades = trades_of(path)
    exits = pd.to_datetime(trades["ts_ns"], utc=True)
    week = trades[(exits >= "2024-02-05") & (exits < "2024-02-12")]
    noted = week["trade"].iloc[0]
    journal(path, "note", "--trade", noted, "--mind", "angry", "--not-followed", "--grade", "D", "--text", "")
    found = json.loads(journal(path, "digest", "--week", "2024-W06", "--json").stdout)
    assert found["synthetic"] is True
    assert found["trades"] == len(week) >= 2
    assert found["net_r"] == pytest.approx(week["net_r"].sum())
    assert found["not_noted"] == week["trade"].tolist()[1:]
    assert found["minds"] == {"angry": [1, pytest.approx(week["net_r"].iloc[0])]}
    assert found["not_as_planned"][0] == 1
    labels = read_parquet(path.parent / "run" / "data" / "labels.parquet")
    ended = labels[(labels["trade_end_time"] >= "2024-02-05") & (labels["trade_end_time"] < "2024-02-12")]
    assert found["forgone"]["expected_value_too_low"] == [len(ended), pytest.approx(ended["net_r"].sum())]
    text = journal(path, "digest", "--week", "2024-W06").stdout
    assert text.startswith("SYNTHETIC market")
    assert f"not noted  {len(week) - 1} trades" in text
    assert "ISO week" in journal(path, "digest", "--week", "2024-6").stderr
    assert json.loads(journal(path, "digest", "--json").stdout)["week"] == "2024-W18"  # that of the last event


def test_a_review_is_printed_as_text_and_as_json(path: Path) -> None:
    """Catches a review without its mark, and NaN that is not JSON."""
    found = json.loads(journal(path, "review", "--json", "--block-days", "5").stdout)
    assert (found["trades"], found["refused"], found["synthetic"]) == (TRADES, 2 * TRADES - 2, True)
    text = journal(path, "review", "--block-days", "5").stdout
    assert text.startswith("SYNTHETIC market")
    assert f"{found['looked_at']} intervals" in text
    assert "too small" in journal(path, "review", "--block-days", "60").stdout


def test_tables_are_exported_whole(path: Path, tmp_path: Path) -> None:
    """Catches a row that is lost, a float that is rounded, and a text that a spreadsheet would run."""
    trade = trades_of(path)["trade"][1]
    journal(path, "note", "--trade", trade, "--mind", "calm", "--followed", "--grade", "A", "--text", "=1+1")
    everything, exits, notes = tmp_path / "all.parquet", tmp_path / "exits.csv", tmp_path / "notes.csv"
    assert "rows" in journal(path, "export", str(everything)).stdout
    table = read_parquet(everything)
    assert len(table) == 6 * TRADES
    assert table.attrs[SYNTHETIC] is True
    assert json.loads(table["payload_json"].iloc[-1])["text"] == "=1+1"
    journal(path, "export", str(exits), "--kind", "exit")
    expected = trades_of(path)
    assert pd.read_csv(exits)["net_r"].tolist() == expected["net_r"].tolist()
    journal(path, "export", str(notes), "--kind", "note")
    assert pd.read_csv(notes)["text"].tolist() == ["'=1+1"]
    assert "must be one of" in journal(path, "export", str(notes), "--kind", "gossip").stderr
    assert "must end in" in journal(path, "export", str(tmp_path / "all.xlsx")).stderr
    assert not (tmp_path / "all.xlsx").exists()


class Elements(HTMLParser):
    """Elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: dict[str, str | None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name: value for name, value in attrs if name in {"src", "href", "onload", "onclick"}}


def test_the_page_needs_no_network_and_runs_nothing(path: Path, tmp_path: Path) -> None:
    """Catches a note that becomes part of the page, and anything that a browser would fetch."""
    trade = trades_of(path)["trade"][2]
    journal(path, "note", "--trade", trade, "--mind", "calm", "--followed", "--grade", "A", "--text", HOSTILE)
    out = tmp_path / "journal.html"
    assert journal(path, "export", str(out)).returncode == 0
    page = out.read_text(encoding="utf-8")
    elements = Elements()
    elements.feed(page)
    assert elements.attributes == {}
    assert elements.tags.isdisjoint({"script", "img", "link", "iframe", "object"})
    assert "default-src 'none'" in page
    assert "SYNTHETIC" in page
    assert page.count("<tr>") > TRADES
    assert "&lt;/script&gt;" in page
    assert "leave `--kind` away" in journal(path, "export", str(out), "--kind", "exit").stderr


def test_the_chain_is_verified(path: Path) -> None:
    """Catches a verification that prints no head, or does not compare it."""
    found = json.loads(journal(path, "verify", "--json").stdout)
    assert found["events"] == 6 * TRADES - 1
    assert found["head"] in journal(path, "verify").stdout
    assert journal(path, "verify", "--head", found["head"]).returncode == 0
    other = journal(path, "verify", "--head", "0" * 12)
    assert other.returncode == 1
    assert "BrokenChainError" in other.stderr
