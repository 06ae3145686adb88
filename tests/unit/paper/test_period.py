"""A period of paper trading beside a mock venue, once; then what follows from its files alone.

Whatever was decided follows from the log of inputs, so one recorded period is enough: processes that are killed, code
that is wrong and rows that never came are tried on copies of its files.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from slackwater.errors import MissingDataError, ParameterError
from slackwater.feed.items import FeedRow
from slackwater.journal.chain import verify_chain
from slackwater.journal.errors import BrokenChainError, JournalError
from slackwater.journal.store import reading
from slackwater.paper import stored_account
from slackwater.paper.broker import Broker
from slackwater.paper.errors import PaperError
from slackwater.paper.input_log import Tick, input_files
from slackwater.paper.reconcile.differences import Cause
from slackwater.paper.reconcile.reconcile import reconcile
from slackwater.paper.stored_account import CHECKPOINT, LOG, START, StoredAccount
from slackwater.scoring.scorer import ReversalScorer
from slackwater.scoring.session import Session
from slackwater.scoring.stream import ScoreStream
from tests.accessibility import serious_faults
from tests.browser import Browser
from tests.command import slackwater
from tests.paper_run import Period, edit_log, events

HOURS = 2.0

pytestmark = pytest.mark.filterwarnings("ignore::slackwater.errors.DefectWarning")


@pytest.fixture(scope="module")
def period(tmp_path_factory: pytest.TempPathFactory) -> Period:
    return Period(tmp_path_factory.mktemp("period"), HOURS)


def opened(period: Period, place: Path, **changes: Any) -> str:
    """Open an account, and leave it."""
    account = StoredAccount(period.settings(place, **changes), period.scorer)
    state = account.open(pd.Timestamp("2024-01-01", tz="UTC"))
    account.close()
    return state


# -- what was recorded -----------------------------------------------------------------------------------------------


def test_a_period_leaves_a_whole_journal(period: Period) -> None:
    """Catches a process that trades and does not tell: every kind of event is there, and the chain holds."""
    with reading(period.root / "journal.db") as held:
        verify_chain(held)
        kinds = dict(held.rows("SELECT kind, count(*) FROM event GROUP BY kind"))
        states = [
            row[0] for row in held.rows("SELECT json_extract(payload_json, '$.state') FROM event WHERE kind='watch'")
        ]
    assert states == ["begins", "ends"]
    assert kinds["score"] == kinds["plan"] + kinds["refusal"]
    assert kinds["order"] == 3 * kinds["plan"] > 0
    assert kinds["fill"] >= kinds["plan"]
    assert kinds["fill"] - kinds["plan"] == kinds.get("exit", 0)


def test_a_snapshot_of_every_feature_and_the_bundle_are_with_a_score(period: Period) -> None:
    with reading(period.root / "journal.db") as held:
        rows = held.rows("SELECT bundle_sha, payload_json FROM event WHERE kind = 'score'")
    for bundle, payload in rows:
        content = json.loads(payload)
        assert bundle == period.scorer.digest
        assert len(content["features"]) == len(period.scorer.feature_names)
        assert content["quality"]["live"]
        assert content["synthetic"]


def test_everything_is_explained_by_the_rows_that_the_account_had(period: Period) -> None:
    """Features of a stream and of a table of the same rows are the same to the last bit, and nothing else differs."""
    found = period.reconciled(period.root)
    assert found.unexplained == ()
    assert found.scores == found.equal_scores > 5
    assert found.events == len(events(period.root / "journal.db"))


def test_everything_is_explained_against_history(period: Period) -> None:
    """Against the tables of the market, differences have causes, and the market has moved between decision and fill."""
    found = period.reconciled(period.root, period.tables)
    assert found.unexplained == ()
    counts = found.counts()
    assert counts[Cause.BOOK] > 0
    assert sum(counts.values()) == len(found.differences)
    assert {cause for cause, count in counts.items() if count} <= {
        Cause.BOOK,
        Cause.MISSING,
        Cause.LATE,
        Cause.BACKFILLED,
    }


# -- after a kill ----------------------------------------------------------------------------------------------------


def test_a_process_that_was_killed_decides_everything_alike(period: Period, tmp_path: Path) -> None:
    """Without a checkpoint and without a journal, the log alone leads to the same events, to the last byte."""
    place = period.copy(tmp_path, journal=False, checkpoint=START)
    opened(period, place)
    assert events(place / "journal.db") == events(period.root / "journal.db")


def test_nothing_is_journalled_twice(period: Period, tmp_path: Path) -> None:
    place = period.copy(tmp_path, checkpoint=START)
    opened(period, place)
    opened(period, place)
    assert events(place / "journal.db") == events(period.root / "journal.db")
    with reading(place / "journal.db") as held:
        states = held.rows("SELECT json_extract(payload_json, '$.state') FROM event WHERE kind = 'watch' ORDER BY id")
        verify_chain(held)
    assert [state for (state,) in states][-1] == "continues"


def test_a_half_written_input_is_cut_off(period: Period, tmp_path: Path) -> None:
    place = period.copy(tmp_path, journal=False, checkpoint=START)
    last = input_files(place / "paper" / LOG)[-1]
    whole = last.read_bytes()
    last.write_bytes(whole + b'{"now":17')
    opened(period, place)
    assert last.read_bytes() == whole
    assert events(place / "journal.db") == events(period.root / "journal.db")


def test_other_code_that_decides_otherwise_is_named(
    period: Period, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an update, inputs since the checkpoint may lead to other decisions: what to do stands in the message."""
    place = period.copy(tmp_path, checkpoint=START)
    take_print = Broker.take_print
    dearer = lambda self, trade, now: take_print(self, trade._replace(price=trade.price + 1.0), now)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(Broker, "take_print", dearer)
        with pytest.raises(PaperError, match="decides otherwise what was decided since the last checkpoint"):
            opened(period, place)
    assert opened(period, place) == "continues"  # and the lock is free


def test_a_first_start_that_was_killed_leaves_no_account(
    period: Period, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches half an account, which the next start would refuse for good."""

    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stored_account, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            opened(period, tmp_path)
    assert not (tmp_path / "paper").exists()
    (tmp_path / ".paper.abcdefgh").mkdir()  # as SIGKILL leaves it
    assert opened(period, tmp_path) == "begins"
    assert not (tmp_path / ".paper.abcdefgh").exists()


def test_ticks_at_which_nothing_is_to_be_done_are_not_logged(period: Period, tmp_path: Path) -> None:
    """Catches a log that grows by two lines per second while a venue is out of reach."""
    place = period.copy(tmp_path)
    account = StoredAccount(period.settings(place), period.scorer)
    account.open(pd.Timestamp("2024-01-01", tz="UTC"))
    before = input_files(place / "paper" / LOG)[-1].stat().st_size
    due = account.desk.next_decision_us
    for second in range(60):
        assert account.take(due + second * 1_000_000, Tick({"BTCUSDT": 10_000.0})) == []
    account.close()
    lines = input_files(place / "paper" / LOG)[-1].read_text()[before:].count("\n")
    assert lines <= 1  # an hour may have begun


# -- before anything starts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"equity": 5_000.0}, "is the account of equity 10000.0"),
        ({"venue": "bybit"}, "is the account of venue 'binance'"),
        ({"symbols": ("BTCUSDT",)}, "is the account of symbols"),
        ({"fine_interval": "5m"}, "is the account of fine_interval '1m'"),
        ({"server": None}, None),  # the bundle is SYNTHETIC as well
    ],
)
def test_other_settings_are_another_account(
    period: Period, tmp_path: Path, changes: dict[str, Any], words: str | None
) -> None:
    place = period.copy(tmp_path)
    if words is None:
        assert opened(period, place, **changes) == "continues"
        return
    with pytest.raises(PaperError, match=words):
        opened(period, place, **changes)


def test_two_processes_do_not_trade_one_account(period: Period, tmp_path: Path) -> None:
    """Catches two writers of one log, whose inputs would lead to neither's decisions."""
    place = period.copy(tmp_path)
    first = StoredAccount(period.settings(place), period.scorer)
    first.open(pd.Timestamp("2024-01-01", tz="UTC"))
    with pytest.raises(PaperError, match="is being traded by slackwater watch"):
        opened(period, place, journal=tmp_path / "another.db")
    first.close()
    assert opened(period, place) == "continues"


def test_what_is_wrong_is_named_before_anything_starts(period: Period, tmp_path: Path) -> None:
    """Catches a process that begins, and finds out at its first decision."""
    other = tmp_path / "other"
    (other / "paper").mkdir(parents=True)
    (other / "paper" / "thesis.txt").write_text("mine")
    with pytest.raises(PaperError, match="holds other files"):
        opened(period, other)
    foreign = period.copy(tmp_path / "foreign")
    (foreign / "journal.db").write_bytes(b"a photograph" * 1000)
    with pytest.raises(JournalError, match="not a database"):
        opened(period, foreign)
    broken = period.copy(tmp_path / "broken")
    content = (broken / "journal.db").read_bytes()
    at = content.index(b'"direction"')
    (broken / "journal.db").write_bytes(content[:at] + b'"direktion"' + content[at + 11 :])
    with pytest.raises(BrokenChainError, match="was changed after it was written"):
        opened(period, broken)
    with pytest.raises(ParameterError, match="no contract facts of NOBODYUSDT at binance"):
        opened(period, tmp_path / "new", symbols=("NOBODYUSDT",))
    with pytest.raises(ParameterError, match="`fine_interval` must be one of"):
        opened(period, tmp_path / "new", fine_interval="1h")
    damaged = period.copy(tmp_path / "damaged")
    (damaged / "paper" / CHECKPOINT).write_bytes((damaged / "paper" / CHECKPOINT).read_bytes()[:-9000])
    with pytest.raises(Exception, match=r"checkpoint\.npz"):
        opened(period, damaged)


# -- planted bugs ----------------------------------------------------------------------------------------------------


def test_a_bug_in_the_live_stream_is_unexplained(
    period: Period, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open interest that is read wrongly in the live process alone."""
    place = period.copy(tmp_path, journal=False, checkpoint=START)
    push = Session.push

    def wrong(self: Session, table: str, row: Any) -> None:
        push(self, table, {**row, "open_interest": row["open_interest"] * 1.001} if table == "open_interest" else row)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "push", wrong)
        opened(period, place)
    found = period.reconciled(place, period.tables)
    assert found.unexplained
    assert any(each.what == "journal" and "features" in each.text for each in found.unexplained)


def test_a_stream_that_is_not_its_table_is_unexplained(
    period: Period, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug of the stream is in the reconciliation's own reading too, and the table of the same rows finds it."""
    place = period.copy(tmp_path, journal=False, checkpoint=START)
    update = ScoreStream.update

    def wrong(self: ScoreStream, row: Any) -> Any:
        score = update(self, row)
        score.features[10] += 1e-12 * abs(score.features[10]) + 1e-300
        return score

    monkeypatch.setattr(ScoreStream, "update", wrong)
    opened(period, place)
    found = period.reconciled(place)
    names = [each.text for each in found.unexplained if each.what == "score"]
    assert names
    assert all("from the same rows" in text and period.scorer.feature_names[10] in text for text in names)
    for text in names:
        paper, history = re.findall(r"` (\S+) and ([^ ,;]+)", text)[0]
        assert paper != history  # in the digits that are shown, too


def test_a_fill_that_the_market_has_not_seen_is_unexplained(
    period: Period, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that fills at better prices than were traded."""
    place = period.copy(tmp_path, journal=False, checkpoint=START)
    take_print = Broker.take_print

    def kind(self: Broker, trade: Any, now_us: int) -> Any:
        position = self.positions.get(trade.symbol)
        better = 1.0 if position is None or position.is_open else 1.0 - 0.05 * position.plan.side
        return take_print(self, trade._replace(price=trade.price * better), now_us)

    monkeypatch.setattr(Broker, "take_print", kind)
    opened(period, place)
    found = period.reconciled(place, period.tables)
    assert any("nothing was traded at its entry" in each.text for each in found.unexplained)


# -- rows that differ ------------------------------------------------------------------------------------------------


def test_rows_that_never_came_are_the_cause(period: Period, tmp_path: Path) -> None:
    place = period.copy(tmp_path, journal=False, checkpoint=START)
    numbers = itertools.count()

    def without(row: FeedRow) -> FeedRow | None:
        return None if row.table == "open_interest" and next(numbers) % 2 else row

    assert edit_log(place, without) > 5
    opened(period, place)
    found = period.reconciled(place, period.tables)
    assert found.unexplained == ()
    assert any(each.cause is Cause.MISSING and "open_interest" in each.text for each in found.differences)


@pytest.mark.parametrize(
    ("change", "cause", "words"),
    [
        (lambda row: row | {"available_time": row["available_time"] + timedelta(minutes=7)}, Cause.LATE, "came 4"),
        (lambda row: row | {"open_interest": row["open_interest"] * 1.01}, Cause.RESTATED, "came with open_interest"),
    ],
)
def test_rows_that_came_late_or_otherwise_are_the_cause(
    period: Period, tmp_path: Path, change: Callable[[dict[str, Any]], dict[str, Any]], cause: Cause, words: str
) -> None:
    place = period.copy(tmp_path, journal=False, checkpoint=START)

    def changed(row: FeedRow) -> FeedRow:
        return replace(row, row=change(row.row)) if row.table == "open_interest" else row

    assert edit_log(place, changed) > 5
    opened(period, place)
    found = period.reconciled(place, period.tables)
    assert found.unexplained == ()
    assert any(each.cause is cause and words in each.text for each in found.differences)


def test_other_code_is_named_as_the_cause(period: Period, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = period.copy(tmp_path, journal=False, checkpoint=START)
    take_print = Broker.take_print
    with monkeypatch.context() as patch:
        patch.setattr(stored_account, "code_version", lambda: "0.0.9+0123456789ab")
        patch.setattr(
            Broker,
            "take_print",
            lambda self, trade, now: take_print(self, trade._replace(price=trade.price + 1.0), now),
        )
        opened(period, place)
    found = period.reconciled(place)
    assert found.unexplained == ()
    of_the_journal = [each for each in found.differences if each.what == "journal"]
    assert of_the_journal
    assert all(each.cause is Cause.CODE and "0.0.9+0123456789ab" in each.text for each in of_the_journal)


# -- the command -----------------------------------------------------------------------------------------------------


def test_the_command_answers_by_its_exit_status(
    period: Period, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = period.copy(tmp_path, journal=False, checkpoint=START)
    files = ["--bundle", str(period.root / "bundle"), "--state", str(place / "paper"), "--journal"]
    done = slackwater("reconcile", *files, str(period.root / "journal.db"))
    assert done.returncode == 0, done.stderr
    assert "SYNTHETIC" in done.stdout
    assert "every difference has its cause" in done.stdout
    take_print = Broker.take_print
    with monkeypatch.context() as patch:
        patch.setattr(
            Broker,
            "take_print",
            lambda self, trade, now: take_print(self, trade._replace(price=trade.price + 1.0), now),
        )
        opened(period, place)
    done = slackwater("reconcile", *files, str(place / "journal.db"), "--json")
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert content["causes"]["unexplained"] == len(content["differences"]) > 0


def test_what_cannot_be_reconciled_is_named(period: Period, tmp_path: Path, small_bundle: Path) -> None:
    with pytest.raises(MissingDataError, match="there is no account of paper trading"):
        reconcile(tmp_path, period.root / "journal.db", period.scorer)
    with pytest.raises(ParameterError, match="was traded with the bundle"):
        reconcile(period.root / "paper", period.root / "journal.db", ReversalScorer.load(small_bundle))
    with pytest.raises(MissingDataError, match="the tables have no `fine_bars`"):
        period.reconciled(period.root, {name: table for name, table in period.tables.items() if name != "fine_bars"})


def test_the_report_draws_what_the_account_saw(period: Period, tmp_path: Path) -> None:
    """Catches a chart of another market, a trade whose plan cannot be seen, and late bars that are not drawn."""

    def late(row: FeedRow) -> FeedRow:
        time = row.row["available_time"] + timedelta(minutes=3)
        return replace(row, row={**row.row, "available_time": time}) if row.table == "bars" else row

    out, copy = tmp_path / "page.html", period.copy(tmp_path)
    assert edit_log(copy, late)
    place = ("--state", str(copy / "paper"), "--bundle", str(period.root / "bundle"), "--out", str(out))
    done = slackwater("report", "--journal", str(copy / "journal.db"), *place)
    assert done.returncode == 0, done.stderr
    assert "no price chart" not in done.stdout
    with reading(period.root / "journal.db") as held:
        first, end = held.rows(
            "SELECT json_extract(payload_json, '$.entry_time'), json_extract(payload_json, '$.exit_reason') "
            "FROM event WHERE kind = 'exit' ORDER BY 1 LIMIT 1"
        )[0]
    with Browser(tmp_path / "profile") as browser:
        browser.open(out)
        assert browser.console == []
        assert "candles of 5 min" in browser.ask("document.getElementById('range').textContent")
        browser.ask("document.getElementById('next').click()")
        browser.wait("document.querySelector('#trade h3')")
        title = browser.ask("document.querySelector('#trade h3').textContent")
        assert f"{first[:10]} {first[11:16]} UTC" in title
        assert title.endswith(f"ended by {end}")
        shown = browser.ask("document.getElementById('trade').innerText")
        assert "none was written" in shown
        assert "time exit only" in shown
        assert serious_faults(browser) == []


def test_the_report_without_that_account_says_why(period: Period, tmp_path: Path) -> None:
    """Catches the market of one account under the trades of another."""
    place = period.copy(tmp_path)
    facts = json.loads((place / "paper" / "watch.json").read_text())
    (place / "paper" / "watch.json").write_text(json.dumps(facts | {"account": "other"}))
    where = (
        "--state",
        str(place / "paper"),
        "--bundle",
        str(period.root / "bundle"),
        "--out",
        str(place / "page.html"),
    )
    done = slackwater("report", "--journal", str(place / "journal.db"), *where)
    assert done.returncode == 0, done.stderr
    assert f"no price chart: {place / 'paper'} is the directory of the account other" in done.stdout
    (place / "paper" / "watch.json").write_text(json.dumps(facts | {"bundle": "0" * 64}))
    other = slackwater("report", "--journal", str(place / "journal.db"), *where)
    assert other.returncode == 1
    assert "was traded with the bundle 000000000000…" in other.stderr
