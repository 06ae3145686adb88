"""The answer: an account of paper trading beside history, decision by decision and fill by fill."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.errors import DefectWarning, MissingDataError
from slackwater.journal.event import Event, Kind
from slackwater.journal.store import Journal, reading
from slackwater.paper.code_version import code_version
from slackwater.paper.reconcile.decisions import decision_differences, gate_of_history
from slackwater.paper.reconcile.differences import Cause, Difference, Reconciliation
from slackwater.paper.reconcile.replayed import Replayed, replayed
from slackwater.paper.reconcile.rows import row_differences
from slackwater.paper.reconcile.scores import (
    by_event,
    in_period,
    score_differences,
    scores_as_seen,
    stream_differences,
)
from slackwater.paper.reconcile.trades import paper_trades, trade_differences
from slackwater.paper.stored_account import account_facts, desk_of, require_bundle
from slackwater.scoring.scorer import ReversalScorer
from slackwater.times import epoch_us, microseconds, timestamp
from slackwater.trading.backtest import Backtest, BacktestResult
from slackwater.trading.decision import Refusal, TradePlan
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import price_paths

__all__ = ["reconcile"]

_OF_THE_PROCESS = (Kind.WATCH, Kind.NOTE, Kind.RUN)


def reconcile(
    directory: Path, journal: Path, scorer: ReversalScorer, tables: Mapping[str, pd.DataFrame] | None = None
) -> Reconciliation:
    """Compare an account of paper trading with history.

    1. The inputs are read again; what follows from them must be what the journal holds.
    2. A table of the rows that the account had must give the same scores, to the last bit.
    3. Scores of history are compared with those on paper; rows that differ are the causes.
    4. The backtest of history is compared with decisions, fills, exits, fees and funding on paper.

    Parameters
    ----------
    directory
        Directory of the account (`slackwater.paper.stored_account`).
    journal
        Its journal.
    scorer
        Scorer of its bundle.
    tables
        Canonical tables of history, as fetched afterwards, with the warm-up of the features and with ``fine_bars``;
        None: those that the account had itself, so that 3 finds nothing.

    Raises
    ------
    MissingDataError, ParameterError
        If there is no such account, it is of another bundle, or the tables lack bars of the period.
    PaperError, JournalError, SchemaError
        If a file is damaged.
    """
    facts = account_facts(directory)
    require_bundle(directory, facts, scorer)
    account = replayed(directory, facts, scorer)
    with reading(journal) as held:
        found = list(_journal_differences(account, held, facts["account"]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DefectWarning)  # they were said when the tables were made
        seen = in_period(scores_as_seen(scorer, account), *account.scored)
        reference = seen if tables is None else in_period(scorer.score(tables), *account.scored)
    found += stream_differences(scorer, account.asked, by_event(seen))
    of_scores: list[Difference] = []
    if tables is not None:
        lag, step = microseconds(scorer.spec.decision_lag), microseconds(scorer.spec.bar_interval)
        rows = row_differences(account, tables, lag, step)
        of_scores = list(score_differences(scorer, account.asked, by_event(reference), rows))
    return _with_backtest(account, facts, scorer, tables, reference, [*found, *of_scores], of_scores)


def _journal_differences(account: Replayed, journal: Journal, name: str) -> Iterator[Difference]:
    """Yield the events that the journal lacks, has beside, or has with another content."""
    stored: dict[str, tuple[str, str]] = {}
    codes = set()
    for key, kind, payload in journal.stream(
        "SELECT key, kind, payload_json FROM event WHERE account = ? ORDER BY id", name
    ):
        if kind == Kind.WATCH:
            codes.add(json.loads(payload)["code"])
        elif kind not in _OF_THE_PROCESS:
            stored[key] = (kind, payload)
    cause = Cause.UNEXPLAINED if codes <= {code_version()} else Cause.CODE
    other = f"; it was written by {', '.join(sorted(codes))}, this is {code_version()}" if cause is Cause.CODE else ""
    for key in sorted({*stored, *account.events}):
        event = account.events.get(key)
        if event is None:
            text = f"the journal has {key}, which does not follow from the inputs{other}"
        elif key not in stored:
            text = f"the journal lacks {key}, which follows from the inputs{other}"
        elif names := _differing(event, *stored[key]):
            text = f"{key} differs: {names}{other}"
        else:
            continue
        time = account.end_us if event is None else event.ts_ns // 1000
        yield Difference("journal", "" if event is None else event.symbol, timestamp(time), cause, text)


def _differing(event: Event, kind: str, payload: str) -> str:
    """Return what differs between an event and what the journal has; empty if nothing does."""
    if payload == event.payload_json() and kind == event.kind:
        return ""
    ours, theirs = json.loads(event.payload_json()), json.loads(payload)
    names = [name for name in sorted({*ours, *theirs}) if ours.get(name) != theirs.get(name)]
    values = [f"{name} {theirs.get(name)!r:.40}, and {ours.get(name)!r:.40} follows" for name in names[:3]]
    return ", ".join(values) or f"it is a {kind}, and a {event.kind} follows"


def _with_backtest(
    account: Replayed,
    facts: Mapping[str, Any],
    scorer: ReversalScorer,
    tables: Mapping[str, pd.DataFrame] | None,
    scores: pd.DataFrame,
    found: list[Difference],
    of_scores: list[Difference],
) -> Reconciliation:
    """Run the backtest of history, compare, and put everything together."""
    desk = desk_of(facts, scorer)
    gate = gate_of_history(desk.gate)
    backtest, result = _backtest(account, facts, scorer, gate, tables, scores, desk.settings.finest)
    events = by_event(scores).keys()
    decisions = {(each.symbol, epoch_us(each.event_time)): each for each in result.decisions}
    over = {key: each for key, each in decisions.items() if not _not_over(each)}
    orders = {(o.score.symbol, epoch_us(o.score.event_time)): (o.price, o.time) for o in backtest.orders}
    of_events = {(each.symbol, epoch_us(each.event_time)): each for each in of_scores}
    asked = {key: each for key, each in account.asked.items() if key in over or key not in decisions}
    compared = replace(account, asked=asked)
    of_decisions = list(decision_differences(compared, over, backtest.charged(gate), of_events, orders))
    trades = paper_trades(account)
    rows = result.trades.to_dict("records")
    history = {(str(row["symbol"]), epoch_us(row["event_time"])): row for row in rows}
    of_trades = list(trade_differences(account, trades, history, backtest.paths))
    both = [key for key in trades if key in history]
    planned = [key for key, each in account.asked.items() if isinstance(each.decision, TradePlan)]
    return Reconciliation(
        account=facts["account"],
        synthetic=facts["synthetic"],
        start=timestamp(account.start_us),
        end=timestamp(account.end_us),
        inputs=account.inputs,
        events=len(account.events),
        scores=len(account.asked.keys() | events),
        equal_scores=len((account.asked.keys() & events) - of_events.keys()),
        decisions=len({*compared.asked, *over}),
        equal_decisions=len({*compared.asked, *over}) - len(of_decisions),
        trades=len(both),
        open=sum(key not in trades for key in planned),
        paper_r=sum(float(trades[key].row["net_r"]) for key in both),
        history_r=sum(float(history[key]["net_r"]) for key in both),
        differences=tuple(sorted([*found, *of_decisions, *of_trades], key=lambda each: (each.event_time, each.symbol))),
    )


def _not_over(decision: TradePlan | Refusal) -> bool:
    return isinstance(decision, Refusal) and "path_ends_before_horizon" in decision.codes


def _backtest(
    account: Replayed,
    facts: Mapping[str, Any],
    scorer: ReversalScorer,
    gate: Gate,
    tables: Mapping[str, pd.DataFrame] | None,
    scores: pd.DataFrame,
    finest: tuple[str, Any],
) -> tuple[Backtest, BacktestResult]:
    name, interval = finest
    given = account.tables((name, "funding", "mark_price")) if tables is None else tables
    fine = given.get(name)
    if fine is None or not len(fine):
        who = "the account has seen no `{name}` yet" if tables is None else "the tables have no `{name}`"
        raise MissingDataError(f"{who.format(name=name)}: without them nothing shows what a trade would have met")
    begin = timestamp(account.start_us) - interval
    fine = fine[(fine["open_time"] >= begin) & fine["symbol"].isin(facts["symbols"])]
    if lacking := sorted({*scores["symbol"]} - {*fine["symbol"]}):
        raise MissingDataError(f"the tables have no `{name}` of {', '.join(lacking)} since {begin}")
    backtest = Backtest.of(
        scores.reset_index(drop=True),
        price_paths(
            fine.sort_values(["symbol", "open_time"]).reset_index(drop=True),
            given.get("funding"),
            mark=given.get("mark_price"),
        ),
        initial_equity=facts["equity"],
        decision_lag=scorer.spec.decision_lag,
        horizon=gate.horizon,
        fine_bar_interval=interval,
    )
    return backtest, backtest.run(gate)
