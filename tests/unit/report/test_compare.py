"""The page of two runs: what it says of them, when it names a winner, and when it refuses to compare."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.evidence.resampling import Resampling
from slackwater.report.compare.pairs import Pairs
from slackwater.report.compare.sides import RunFacts, Side
from slackwater.report.compare.write import write_comparison
from slackwater.report.page.content import Picture, Section
from tests.accessibility import serious_faults
from tests.browser import Browser

RESAMPLING = Resampling(draws=200, mean_block=timedelta(days=14))
EVIL = "<img src=x onerror=alert(1)></td><script>alert(2)</script>"


def events(skill: float = 0.0, *, taken: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Scored events of 400 days, five test blocks; every tenth is traded, with `taken` more than chance."""
    rng, n = np.random.default_rng(1), 1_200
    times = pd.Timestamp("2023-01-01", tz="UTC") + pd.to_timedelta(np.arange(n) * 8, unit="h")
    y = rng.integers(0, 2, n)
    table = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times, "fold": np.arange(n) // 240, "entry_time": times})
    own = np.random.default_rng(seed)
    for name in ("direction", "hit"):
        table[f"y_{name}"] = y.astype("int8")
        table[f"p_{name}"] = 1.0 / (1.0 + np.exp(-own.normal(0.0, 1.0, n) - skill * (2 * y - 1)))
    table["label_end_time"] = times + pd.Timedelta("1D")
    result = np.where(np.arange(n) % 10 == 0, own.normal(0.0, 1.0, n) + taken, np.nan)
    return table.assign(taken_net_r=result, taken_net_bps=50.0 * result)


def facts(**changes: Any) -> RunFacts:
    account = {"initial_equity_usd": 10_000.0, "total_return": 0.1, "max_drawdown": 0.05}
    clauses = {"real_data": {"passed": False, "value": 0.0}, "brier_skill": {"passed": True, "value": 0.01}}
    times = pd.date_range("2023-01-01", periods=5, freq="30D", tz="UTC")
    return RunFacts(
        **{
            "metrics": {"dataset": "toy", "n_trials": 3},
            "verdict": {"verdict": "paper_only", "account": account, "clauses": clauses},
            "params": {"bracket": {"stop_sd": 1.0}, "labels": {"horizon": "24h"}},
            "digests": {"data_sha256": "1" * 64, "code_sha256": "2" * 64},
            "equity": pd.DataFrame({"time": times, "equity_usd": np.arange(5) + 10_000.0, "drawdown": 0.0}),
            **changes,
        }
    )


def side(name: str, table: pd.DataFrame, *, synthetic: bool | None = True, **changes: Any) -> Side:
    return Side(name=name, source=f"directory {name}", events=table, synthetic=synthetic, facts=facts(**changes))


def pairs(one: Side, other: Side) -> Pairs:
    return Pairs.of((one, other), RESAMPLING)


def page(tmp_path: Path, one: Side, other: Side) -> str:
    write_comparison(one, other, tmp_path / "page.html", resampling=RESAMPLING)
    return (tmp_path / "page.html").read_text(encoding="utf-8")


def section(found: Pairs, name: str) -> Section:
    from slackwater.report.compare.skill import skill
    from slackwater.report.compare.trades import trades

    return {"skill": skill, "trades": trades}[name](found)


def picture(found: Section, title: str) -> Picture:
    return next(each for each in found.pictures if each.title == title)


def test_a_winner_needs_an_interval_and_the_number_of_trials() -> None:
    """Catches a run that is called better although its many failed siblings are not known."""
    known = pairs(side("A", events()), side("B", events(0.6, seed=2)))
    answer = section(known, "skill").answer
    assert "B is better" in answer
    assert "Trials counted on these data: A 3, B 3" in answer
    silent = pairs(side("A", events()), side("B", events(0.6, seed=2), metrics={"dataset": "toy"}))
    found = section(silent, "skill")
    assert "no winner is named: trials counted on these data: A 3, B not known" in found.answer
    differences = picture(found, "Paired differences of the probabilities")
    for text in (found.answer, differences.finding, str(differences.table.rows)):
        assert "better'" not in text
        assert "is better" not in text
    assert "not judged: trials not known" in str(differences.table.rows)
    earned = section(pairs(side("A", events()), side("B", events(taken=2.0), metrics={"dataset": "toy"})), "trades")
    assert "differs by" in earned.answer
    assert "no winner is named" in earned.answer
    assert "better" not in earned.answer


def test_without_an_interval_nothing_is_told() -> None:
    """Catches intervals that are not there and are counted as ones without a difference."""
    few = events().iloc[:1]
    (differences, blocks, *_) = section(pairs(side("A", few), side("B", few.copy())), "skill").pictures
    assert differences.finding.startswith("No metric has an interval")
    assert "higher in 0 of 0 test blocks" in blocks.finding


def test_equal_runs_have_no_winner() -> None:
    """Catches a difference of nothing that is read as one."""
    found = section(pairs(side("A", events(seed=3)), side("B", events(seed=3))), "skill")
    assert "equals that of A in every draw" in found.answer
    assert "0 of the 10 intervals on this page exclude zero" in found.answer
    assert picture(found, "AUC of direction by test block").finding.endswith("higher in 0 of 5 test blocks.")


def test_less_of_a_brier_score_is_drawn_as_a_gain() -> None:
    """Catches the lower Brier score of the better run as a triangle that points down."""
    found = section(pairs(side("A", events()), side("B", events(0.6, seed=2))), "skill")
    differences = picture(found, "Paired differences of the probabilities")
    brier = next(row for row in differences.table.rows if row[0] == "Brier score of direction")
    assert brier[4] < 0.0
    assert brier[7] == "better"
    assert 'class="mark loss"' not in differences.drawing
    assert differences.finding.startswith("Better by an interval without zero: B in AUC of direction, Brier score")


def test_days_and_trades_are_counted_by_who_took_them() -> None:
    """Catches a trade of one run that is counted for both, and a result in the column of the other."""
    one, other = events(taken=0.1), events(taken=0.1)
    other.loc[other.index[0], ["taken_net_r", "taken_net_bps"]] = np.nan
    other.loc[other.index[5], ["taken_net_r", "taken_net_bps"]] = 7.0
    found = picture(section(pairs(side("A", one), side("B", other)), "trades"), "Who traded what")
    rows = {row[0]: row[1:] for row in found.table.rows}
    assert rows["events that both trade"][1:3] == [119, 119]
    assert rows["events that A alone trades"] == [1, 1, 0, pytest.approx(one["taken_net_r"].iloc[0]), 0.0]
    assert rows["events that B alone trades"] == [1, 0, 1, 0.0, 7.0]
    assert found.finding.startswith("2 of 240 trades are of one run alone; both trade on 119 of 121 days")


def test_runs_with_other_labels_are_shown_but_not_compared(tmp_path: Path) -> None:
    """Catches differences between answers to different questions, and a page that hides why there are none."""
    other = events(0.6, seed=2)
    other["label_end_time"] += pd.Timedelta("1D")
    text = page(tmp_path, side("A", events()), side("B", other, params={"labels": {"horizon": "48h"}}))
    assert "No: A and B have different labels in label_end_time of 1,200 of 1,200 common events" in text
    assert "So no difference is shown, and neither run is better." in text
    assert 'Paired differences of the probabilities</h3><p class="finding">Nothing is compared.' in text
    assert "B is better" not in text
    assert "<td>labels.horizon</td><td>24h</td><td>48h</td>" in text
    apart = events()
    apart[["event_time", "entry_time", "label_end_time"]] += pd.Timedelta("1h")
    assert "No: A and B have no scored event in common" in page(tmp_path, side("A", events()), side("B", apart))


def test_what_is_not_recorded_is_named(tmp_path: Path) -> None:
    """Catches an empty cell, or a record that is called the same because both lack it."""
    bare = events().drop(columns=["fold", "taken_net_r", "taken_net_bps"])
    one = Side(name="A", source="a file", events=bare, synthetic=None, facts=RunFacts())
    text = page(tmp_path, one, side("B", events(), synthetic=False))
    for each in (
        "Not shown: the test blocks of one run at least are not known.",
        "The trades of one run at least are not known, so they are not compared.",
        "Not shown: the equity of A in time is not recorded there.",
        "The effective parameters of A are not recorded there",
        "The verdict of A is not recorded there.",
        "? not known</td><td>digest of the code",
    ):
        assert each in text
    assert 'class="banner"' not in text


def test_records_that_differ_are_named(tmp_path: Path) -> None:
    """Catches other data or another market behind equal labels that nobody mentions."""
    other = side("B", events(), digests={"data_sha256": "3" * 64, "code_sha256": "2" * 64})
    text = page(tmp_path, side("A", events()), replace(other, facts=replace(other.facts, metrics={"dataset": "two"})))
    assert "Records that differ: data set, digest of features and labels." in text
    assert "What differs all the same: data set." in text
    assert "<td class=fail>✗ differs</td><td>data set</td><td>toy</td><td>two</td>" in text


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_page_runs_nothing_and_says_what_the_market_was(tmp_path: Path, *, synthetic: bool) -> None:
    """Catches a name that becomes markup, a script on a page that needs none, and a request to the net."""
    one, other = events(), events(0.3, seed=4)
    for table in (one, other):
        table["symbol"] = EVIL
    text = page(tmp_path, side("A", one, synthetic=synthetic), side("B", other, synthetic=synthetic))
    assert "<script" not in text
    assert "script-src 'none'" in text
    assert text.count(">SYNTHETIC</text>") == (text.count("<svg") if synthetic else 0)
    with Browser(tmp_path / "profile") as browser:
        browser.load((tmp_path / "page.html").resolve().as_uri())
        assert browser.console == []
        assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
        assert browser.ask("document.querySelectorAll('img, script').length") == 0
        assert serious_faults(browser) == []
        browser.media(scheme="dark")
        assert serious_faults(browser) == []
        browser.resize(360, 740, phone=True)
        assert browser.ask("document.documentElement.scrollWidth") == 360
