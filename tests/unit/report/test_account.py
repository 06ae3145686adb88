"""The page of an account: what it says of its journal, its trades, its costs and its rules."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.journal.event import Origin
from slackwater.journal.importing import import_run
from slackwater.journal.kinds import data_fault_event, fill_event, funding_event, watch_event
from slackwater.journal.notes import Note, add_note, find_trade
from slackwater.journal.store import reading, writing
from slackwater.report.account.costs import costs, rules
from slackwater.report.account.record import AccountRecord
from slackwater.report.account.survival import survival
from slackwater.report.account.trades import trades
from slackwater.report.account.trust import trust
from slackwater.report.page.content import Picture, Section
from tests.accessibility import serious_faults
from tests.browser import Browser
from tests.command import slackwater
from tests.journal_run import START, make_run

EVIL = "<img src=x onerror=alert(1)></td><script>alert(2)</script>"


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of an imported backtest: 40 closed trades, 80 refusals."""
    root = tmp_path_factory.mktemp("journal")
    with writing(root / "journal.db", by="test") as writer:
        import_run(make_run(root / "run"), writer)
    return root / "journal.db"


@pytest.fixture
def journal(imported: Path, tmp_path: Path) -> Path:
    """A copy to write into."""
    return Path(shutil.copy(imported, tmp_path / "journal.db"))


def origin(path: Path) -> Origin:
    with reading(path) as held:
        ((account, bundle),) = held.rows("SELECT account, bundle_sha FROM event ORDER BY id LIMIT 1")
    return Origin(account=account, synthetic=True, bundle_sha=bundle)


def read(path: Path) -> AccountRecord:
    with reading(path) as held:
        return AccountRecord.read(held, origin(path).account, synthetic=True)


def picture(section: Section, title: str) -> Picture:
    return next(each for each in section.pictures if each.title == title)


def scorecard(record: AccountRecord) -> dict[str, tuple[str, str]]:
    rows = picture(trust(record), "Scorecard of the record").table.rows
    return {row[1]: (row[0], row[2]) for row in rows}


def traded(path: Path, *events: Callable[[Origin], Any]) -> None:
    with writing(path, by="test") as writer:
        writer.append_all([event(origin(path)) for event in events])


def process(state: str, hours: float, code: str = "1.0+aaa") -> Callable[[Origin], Any]:
    settings = {"equity": 10_000.0, "venue": "binance", "symbols": ["BTCUSDT"]}
    time = START + timedelta(hours=hours)
    return lambda o: watch_event(time=time, state=state, code=code, settings=settings, origin=o)


def fault(rule: str, minutes: float) -> Callable[[Origin], Any]:
    time = START + timedelta(minutes=minutes)
    return lambda o: data_fault_event(symbol="", time=time, table="feed", rule=rule, message=EVIL, origin=o)


def test_a_changed_event_is_the_first_thing_that_is_said(journal: Path, tmp_path: Path) -> None:
    """Catches a page that shows numbers of a journal that was changed as if nothing had happened."""
    connection = sqlite3.connect(journal)
    ((trigger,),) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'event_never_changes'").fetchall()
    connection.execute("DROP TRIGGER event_never_changes")
    connection.execute(
        "UPDATE event SET payload_json = replace(payload_json, '\"side\":1', '\"side\":-1') WHERE kind = 'exit'"
    )
    connection.execute(trigger)
    connection.commit()
    connection.close()
    done = slackwater("report", "--journal", str(journal), "--out", str(tmp_path / "page.html"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("No. ")
    assert "was changed after it was written" in done.stdout
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "Nothing on this page can be believed." in text
    assert "<td class=fail>✗ does not</td><td>every event of the journal is the one that was written</td>" in text


def test_code_kills_and_outages_are_told(journal: Path) -> None:
    """Catches another version of the code, a process that was killed, and hours without data that nobody mentions."""
    traded(
        journal,
        process("begins", 0.0),
        process("continues", 5.0),
        process("ends", 6.0),
        process("continues", 7.0, code="1.1+bbb"),
        *(fault("silent", minutes) for minutes in (60.0, 66.0, 75.0)),
        fault("disconnected", 600.0),
        fault("gap", 300.0),
    )
    record = read(journal)
    card = scorecard(record)
    assert card["one version of the code has decided"] == ("✗ does not", "1.0+aaa, 1.1+bbb")
    assert card["every process has ended well, or is running"][1] == "1 processes did not say their end"
    assert card["the feed was never silent or cut off"][1] == "4 reports of silence or a lost connection"
    outages = picture(trust(record), "Outages")
    assert [row[2:4] for row in outages.table.rows] == [[15.0, 3], [0.0, 1]]
    assert outages.finding.startswith(
        "Times that the account was blind: 2; the longest stretch of reports lasted 15 minutes"
    )
    assert "With care" in trust(record).answer


def test_what_a_backtest_cannot_know_is_not_known(imported: Path) -> None:
    """Catches a clean bill for processes and feeds of an account that never had any."""
    card = scorecard(read(imported))
    assert card["every event of the journal is the one that was written"][0] == "✓ holds"
    assert card["the feed was never silent or cut off"] == ("? not known", "no live data are recorded")
    assert card["every process has ended well, or is running"] == ("? not known", "no process is recorded")
    assert card["what every refused trade would have earned is known"] == (
        "✗ does not",
        "2 of 80 refused trades have no known result, or not yet",
    )


def test_equity_and_drawdown_follow_from_the_results(journal: Path) -> None:
    """Catches an equity that does not begin at the cash, and a drawdown from the start instead of the highest."""
    silent = picture(survival(read(journal)), "Equity and drawdown of the account")
    assert silent.finding == "The equity is not known: its start or a result is missing."
    assert not silent.drawing
    traded(journal, process("begins", 0.0))
    record = read(journal)
    net = record.trades["net_usd"].to_numpy()
    equity = 10_000.0 + np.concatenate([[0.0], np.cumsum(net)])
    rows = picture(survival(record), "Equity and drawdown of the account").table.rows
    assert [row[1] for row in rows] == pytest.approx(equity)
    worst = max(100.0 * (1.0 - equity[i] / equity[: i + 1].max()) for i in range(len(equity)))
    assert max(row[2] for row in rows) == pytest.approx(worst)


def test_costs_add_up_and_unknown_funding_is_told(imported: Path) -> None:
    """Catches a cost with the wrong sign, and funding that is not known as nothing."""
    record = read(imported)
    rows = {row[0]: row[1] for row in picture(costs(record), "Costs by kind").table.rows}
    assert rows["funding"] == pytest.approx(0.25 * 40)
    assert rows["gross result"] - rows["all costs"] == pytest.approx(float(record.trades["net_usd"].sum()))
    funded = record.trades["funding_known"].to_numpy(object)
    funded[0] = False
    told = costs(replace(record, trades=record.trades.assign(funding_known=funded))).answer
    assert "Funding of 1 trades is not known, and is not in the sums." in told


def test_the_price_paid_is_that_of_the_fills(journal: Path) -> None:
    """Catches a mean of fills without their quantities, and a sale below its plan as a gain."""
    short = next(row for row in read(journal).trades.to_dict("records") if row["side"] == -1)
    for number, (quantity, share) in enumerate(((1.0, 1.0), (3.0, 0.996))):
        price = short["planned_entry"] * share
        traded(
            journal,
            lambda o, q=quantity, p=price, n=number: fill_event(
                trade=short["trade"], symbol="BTCUSDT", time=START, order="entry", fill=str(n), quantity=q, price=p,
                fee_usd=0.0, origin=o,
            ),
        )  # fmt: skip
    found = picture(costs(read(journal)), "Entries beside their plans")
    rows = [row for row in found.table.rows if row[5] is not None]
    assert len(rows) == 1
    assert rows[0][5] == pytest.approx(short["planned_entry"] * 0.997)
    assert rows[0][6] == pytest.approx(30.0)
    assert found.finding.startswith("Entries cost 30.0 bps more than their plan")


def test_refused_trades_count_for_each_of_their_reasons(imported: Path) -> None:
    """Catches a ledger that counts a trade once where two rules refused it, and lost results as zero."""
    record = read(imported)
    rows = {row[0]: row for row in picture(rules(record), "Ledger of the refusals").table.rows}
    assert rows["expected value too low"][1:3] == [80, 78]
    assert rows["position open"][1:3] == [40, 39]
    both = [row["net_r"] for row in record.forgone if row["net_r"] is not None and "position_open" in row["codes"]]
    assert rows["position open"][3] == pytest.approx(sum(both))
    assert rules(record).answer.startswith("78 of 80 refused trades have a known result")


def test_a_plan_without_an_exit_is_listed(imported: Path) -> None:
    """Catches a position that is open and nowhere on the page."""
    record = read(imported)
    less = replace(record, trades=record.trades.iloc[1:])
    found = picture(trades(less, ""), "Plans without an end")
    assert len(found.table.rows) == 1
    assert found.finding == "0 positions are open, with 0 USDT of planned loss; 1 plans have no fill."
    filled = replace(less, fills=[{"trade": record.trades["trade"].iloc[0], "order": "entry"}])
    assert picture(trades(filled, ""), "Plans without an end").finding.startswith(
        "1 positions are open, with 10.0 USDT"
    )


def test_the_page_without_a_market_says_so_and_runs_nothing(journal: Path, tmp_path: Path) -> None:
    """Catches words of a note that become markup, a request to the net, and a missing chart without a reason."""
    with writing(journal, by="test") as writer:
        found = find_trade(writer, read(journal).trades["trade"].iloc[0])
        answers = Note(state_of_mind="calm", text=EVIL, plan_followed=True, grade="B")
        add_note(writer, found, answers, time=pd.Timestamp("2030-01-01", tz="UTC").to_pydatetime())
    traded(journal, fault("silent", 5.0))
    out, nowhere = tmp_path / "page.html", str(tmp_path / "nowhere")
    done = slackwater("report", "--journal", str(journal), "--state", nowhere, "--out", str(out))
    assert done.returncode == 0, done.stderr
    assert f"no price chart: there is no account of paper trading in {nowhere}" in done.stdout
    text = out.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "The price chart is missing: " in text
    assert "1 of 40 trades have a note, 1 of them written after the exit" in text
    assert text.count(">SYNTHETIC</text>") == text.count("<svg") > 5
    with Browser(tmp_path / "profile") as browser:
        browser.load(out.resolve().as_uri())
        assert browser.console == []
        assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
        assert browser.ask("document.querySelectorAll('img, script').length") == 0
        assert serious_faults(browser) == []
        browser.media(scheme="dark")
        assert serious_faults(browser) == []
        browser.resize(360, 740, phone=True)
        assert browser.ask("document.documentElement.scrollWidth") == 360


def test_funding_that_became_known_after_the_exit_belongs_to_its_trade(journal: Path) -> None:
    """Catches a page that shows the cash of the exit, which the account no longer has."""
    before = read(journal).trades.iloc[0]
    symbol, time = before["symbol"], before["exit_time"].to_pydatetime()
    late = {"trade": before["trade"], "symbol": symbol, "time": time, "rate": 0.001}
    paid = float(before["funding_usd"]) + 2.0
    traded(journal, lambda o: funding_event(paid_usd=paid, origin=o, **late))
    after = read(journal)
    trade = after.trades.iloc[0]
    assert trade["funding_usd"] == pytest.approx(before["funding_usd"] + 2.0)
    assert trade["net_usd"] == pytest.approx(before["net_usd"] - 2.0)
    assert trade["equity_after"] == pytest.approx(before["equity_after"] - 2.0, nan_ok=True)
    risk = next(plan["risk_usd"] for name, plan in after.plans.items() if name == before["trade"])
    assert trade["net_r"] == pytest.approx(before["net_r"] - 2.0 / risk)
