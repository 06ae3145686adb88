"""A finished backtest in a journal: every number as it was, and nothing twice."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, MissingDataError
from slackwater.journal.chain import verify_chain
from slackwater.journal.errors import JournalError
from slackwater.journal.event import Kind, Origin
from slackwater.journal.excursions import excursions
from slackwater.journal.importing import Imported, import_run
from slackwater.journal.kinds import (
    data_fault_event,
    decision_event,
    fill_event,
    funding_event,
    order_event,
    score_event,
)
from slackwater.journal.store import reading, writing
from slackwater.journal.trades import chosen_account, closed_trades, payloads
from slackwater.market.spec import FrameSpec
from slackwater.scoring.quality import DataQuality
from slackwater.scoring.stream import EventScore
from slackwater.storage import read_parquet, write_json, write_parquet
from slackwater.symbol_tables import split_by_symbol, write_symbol
from slackwater.times import epoch_us, microseconds
from slackwater.trading.decision import Refusal
from slackwater.trading.reasons import Reason
from slackwater.trading.score import CONTEXT, MarketContext
from tests.journal_run import HOUR, TRADES, make_run
from tests.trading import SOUND_SCORE, TIME, make_plan


def imported(run: Path, path: Path) -> Imported:
    with writing(path, by="test") as writer:
        return import_run(run, writer)


def test_a_backtest_comes_over_whole_and_once(tmp_path: Path) -> None:
    """Catches a number that was rounded, a refusal that was dropped, and an import that doubles what is there."""
    run, path = make_run(tmp_path / "run"), tmp_path / "journal.db"
    done = imported(run, path)
    assert done.synthetic
    assert done.counts == {
        "plans": TRADES,
        "refusals": 2 * TRADES,
        "exits": TRADES,
        "forgone": 2 * TRADES - 2,
        "forgone_unknown": 2,
        "excursions_unknown": 0,
    }
    assert done.added == 6 * TRADES - 2 + 1
    again = imported(run / "reports", path)  # the directory of the reports names the same run
    assert (again.account, again.added) == (done.account, 0)
    expected = read_parquet(run / "reports" / "trades.parquet")
    with reading(path) as journal:
        assert verify_chain(journal).events == done.added
        assert chosen_account(journal) == (done.account, True)
        exits = payloads(journal, done.account, Kind.EXIT)
        trades = closed_trades(journal, done.account)
        times = [ts_ns for (ts_ns,) in journal.rows("SELECT ts_ns FROM event ORDER BY id")]
        plans = payloads(journal, done.account, Kind.PLAN)
        refusals = payloads(journal, done.account, Kind.REFUSAL)
        forgone = payloads(journal, done.account, Kind.FORGONE)
    assert times == sorted(times)
    for name in expected.select_dtypes("float"):
        np.testing.assert_array_equal(np.array([row[name] for row in exits], dtype=float), expected[name])
    assert [row["ts_ns"] for row in exits] == [time.value for time in expected["exit_time"].dt.as_unit("ns")]
    assert trades["trade"].tolist() == [row["trade"] for row in plans]
    np.testing.assert_allclose(trades["expected_r"], 0.6 * 2.1 - 1.0)
    assert [reason["code"] for reason in refusals[1]["reasons"]] == ["expected_value_too_low", "position_open"]
    labels = read_parquet(run / "data" / "labels.parquet").dropna()
    assert [row["net_r"] for row in forgone] == labels["net_r"].tolist()
    assert {row["codes"] for row in forgone} == {"expected_value_too_low", "expected_value_too_low+position_open"}


def test_what_a_run_does_not_have_stays_unknown(tmp_path: Path) -> None:
    """Catches an absent table that becomes zero: results of refused trades, and excursions."""
    run = make_run(tmp_path / "run")
    (run / "data" / "labels.parquet").unlink()
    (run / "data" / "tables" / "fine_bars.parquet").unlink()
    done = imported(run, tmp_path / "journal.db")
    assert (done.counts["forgone"], done.counts["forgone_unknown"]) == (0, 2 * TRADES)
    assert done.counts["excursions_unknown"] == TRADES
    with reading(tmp_path / "journal.db") as journal:
        assert closed_trades(journal, done.account)["mae_r"].isna().all()


def test_bars_with_a_file_per_symbol_give_the_same_journal(tmp_path: Path) -> None:
    """Catches excursions that become unknown, and an account whose name does not depend on the bars."""
    run = make_run(tmp_path / "run")
    whole = imported(run, tmp_path / "whole.db")
    path = run / "data" / "tables" / "fine_bars.parquet"
    bars = read_parquet(path)
    path.unlink()
    accounts = set()
    for factor in (1.0, 1.5):
        for symbol, rows in split_by_symbol({"fine_bars": bars.assign(high=bars["high"] * factor)}):
            write_symbol(symbol, rows, path.parent)
        done = imported(run, tmp_path / f"{factor}.db")
        assert done.counts == whole.counts
        accounts.add(done.account)
    assert len(accounts) == 2


def test_files_of_different_runs_are_refused(tmp_path: Path) -> None:
    """Catches trades beside the plans of another run, and a market of which nobody knows whether it is real."""
    run, path = make_run(tmp_path / "run"), tmp_path / "journal.db"
    trades = read_parquet(run / "reports" / "trades.parquet")
    write_parquet(trades.iloc[:-1], run / "reports" / "trades.parquet")
    with pytest.raises(DataError, match="not of one run: 1 trades"):
        imported(run, path)
    write_parquet(trades, run / "reports" / "trades.parquet")
    write_json({"synthetic": False}, run / "reports" / "metrics.json")
    with pytest.raises(DataError, match=r"metrics.json: False"):
        imported(run, path)
    for report in (run / "reports").glob("*.json"):
        report.unlink()
    (run / "data" / "tables" / "fine_bars.parquet").unlink()
    (run / "data" / "tables").rmdir()
    with pytest.raises(DataError, match="whether the market is SYNTHETIC"):
        imported(run, path)
    with pytest.raises(MissingDataError, match=r"no file .*journal\.jsonl"):
        imported(tmp_path, path)
    with reading(path) as journal:
        assert journal.head()[0] == 0


def test_excursions_are_those_of_the_bars_before_the_exit(tmp_path: Path) -> None:
    """Catches bars from before the entry or of the exit, a turned side, and a hole that counts as calm."""
    run = make_run(tmp_path / "run")
    trades, bars = read_parquet(run / "reports" / "trades.parquet"), read_parquet(run / "data/tables/fine_bars.parquet")
    mae, mfe = excursions(trades, bars.sample(frac=1.0, random_state=1))
    for at, row in enumerate(trades.to_dict("records")):
        inside = bars[(bars["open_time"] >= row["entry_time"]) & (bars["event_time"] < row["exit_time"])]
        prices = [*inside["high"], *inside["low"], row["exit"], row["entry"]]
        moves = [row["side"] * (price - row["entry"]) * row["quantity"] / row["risk_usd"] for price in prices]
        assert mae[at] == pytest.approx(max(-min(moves), 0.0), rel=1e-12)
        assert mfe[at] == pytest.approx(max(moves), rel=1e-12)
    hole = bars.drop(bars.index[bars["open_time"] == trades["entry_time"][3] + 4 * HOUR])
    mae, _ = excursions(trades, hole)
    assert np.flatnonzero(np.isnan(mae)).tolist() == [3]


def test_every_kind_is_made_of_the_objects_of_the_project(tmp_path: Path) -> None:
    """Catches a field of a score, a plan or a refusal that the journal does not hold, and a feature without a name."""
    context = MarketContext(**{name: SOUND_SCORE[name] for name in CONTEXT})
    flat = {name: value for name, value in SOUND_SCORE.items() if name not in CONTEXT}
    features = np.array([0.1, np.nan, -3.0])
    ages = {"funding": timedelta(hours=2), "depth": None}
    limits = FrameSpec(bar_interval=timedelta(hours=1), decision_lag=timedelta(seconds=5)).staleness
    first, last = (epoch_us(TIME - timedelta(hours=hours)) for hours in (9 * 24 - 1, 2))
    step = microseconds(timedelta(hours=1))
    quality = DataQuality(epoch_us(TIME), step, (first, last), timedelta(days=9), limits, ages)
    when = {"event_time": TIME, "available_time": TIME + timedelta(seconds=5)}
    score = EventScore(**flat, **when, context=context, features=features, quality=quality)
    origin = Origin(account="paper", synthetic=False, bundle_sha="ab" * 32)
    plan = make_plan(symbol="BTCUSDT", decided_at=TIME, quantity=1.0)
    reason = Reason("stale", "the score is 9 min old")
    refusal = Refusal(symbol="ETHUSDT", event_time=TIME, decided_at=TIME, reasons=(reason,))
    common: dict[str, Any] = {"trade": "t", "symbol": "BTCUSDT", "time": TIME, "origin": origin}
    events = [
        score_event(score, ["a", "b", "c"], origin),
        decision_event(plan.to_dict(), origin),
        decision_event(refusal.to_dict(), origin),
        order_event(**common, order="1", role="entry", side=1, quantity=2.0, price=float("nan")),
        fill_event(**common, order="1", fill="1", quantity=2.0, price=10.0, fee_usd=0.1),
        funding_event(**common, rate=1e-4, paid_usd=-0.2),
        data_fault_event(
            symbol="", time=TIME, table="bars", rule="gap", message="one minute is missing", origin=origin
        ),
    ]
    with writing(tmp_path / "journal.db", by="test") as writer:
        assert writer.append_all([*events, *events]).added == len(events)
    with reading(tmp_path / "journal.db") as journal:
        rows = dict(journal.rows("SELECT kind, payload_json FROM event"))
    stored = {kind: json.loads(text) for kind, text in rows.items()}
    assert stored["score"]["features"] == {"a": 0.1, "b": None, "c": -3.0}
    known = {"history": 777_600.0, "warm": True, "missing_bars": 1, "live": True, "silent_tables": ["depth"]}
    rest = {"ages": {"funding": 7_200.0, "depth": None}, "backfilled": [], "refused_rows": 0, "notes": []}
    assert stored["score"]["quality"] == known | rest
    assert stored["score"]["context"] == {
        name: None if np.isnan(SOUND_SCORE[name]) else SOUND_SCORE[name] for name in CONTEXT
    }
    assert set(plan.to_dict()) - {"decision", "symbol"} <= set(stored["plan"])
    assert stored["refusal"]["reasons"] == [{"code": "stale", "message": "the score is 9 min old"}]
    assert stored["order"]["price"] is None
    assert stored["score"]["trade"] == stored["plan"]["trade"] == "BTCUSDT-20240301T000000-" + events[0].key[-6:]
    with pytest.raises(DataError, match="3 features, 2 names"):
        score_event(score, ["a", "b"], origin)


def test_an_account_is_chosen_by_its_beginning(tmp_path: Path) -> None:
    """Catches two accounts that are reviewed as one."""
    run, path = make_run(tmp_path / "run"), tmp_path / "journal.db"
    first = imported(run, path)
    trades = read_parquet(run / "reports" / "trades.parquet")
    write_parquet(trades.assign(net_r=trades["net_r"] * 2.0), run / "reports" / "trades.parquet")
    second = imported(run, path)
    assert first.account != second.account
    with reading(path) as journal:
        with pytest.raises(JournalError, match=f"{first.account}, {second.account}"):
            chosen_account(journal)
        assert chosen_account(journal, second.account[:-1]) == (second.account, True)
        ours, theirs = (closed_trades(journal, each.account)["net_r"] for each in (first, second))
    pd.testing.assert_series_equal(2.0 * ours, theirs)
