"""Desks on the small bundle, and the inputs of a market of hourly bars as a feed would give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta

import pandas as pd

from slackwater.feed.items import FeedRow, Print, Quality
from slackwater.journal.event import Event, Origin
from slackwater.market.inputs import INPUT_TABLES
from slackwater.paper.desk import Desk, DeskSettings
from slackwater.paper.input_log import LoggedInput, Tick
from slackwater.paper.live_rule import LiveDataRule
from slackwater.scoring.scorer import ReversalScorer
from slackwater.scoring.session import Session
from slackwater.times import HOUR, HOUR_US, SECOND, SECOND_US, epoch_us, timestamp
from slackwater.trading.rules import BracketRules, EntryRules
from tests.small_bundle import market
from tests.small_market import DECISION_LAG

SYMBOLS = ("BTCUSDT", "ETHUSDT")
FED = ("bars", "funding", "open_interest", "premium_index", "liquidations", "depth")
OTHERS = tuple(sorted(set(INPUT_TABLES) - set(FED)))


def history(tables: Mapping[str, pd.DataFrame], start: pd.Timestamp) -> dict[str, pd.DataFrame]:
    """What was known at the start."""
    return {
        name: table[table["available_time"] <= start].reset_index(drop=True)
        for name, table in tables.items()
        if name in INPUT_TABLES
    }


def desk_of(scorer: ReversalScorer, tables: Mapping[str, pd.DataFrame], start: pd.Timestamp) -> Desk:
    """A desk that begins with history; its gate lets most events pass."""
    session = Session(scorer, SYMBOLS)
    session.warm(history(tables, start))
    gate = scorer.paper_gate("binance", (LiveDataRule(FED),))
    gate = replace(
        gate,
        entry=EntryRules(probability_threshold=0.0, in_range_features=False),
        bracket=BracketRules(target_sd=None, stop_sd=None),
    )
    settings = DeskSettings(
        origin=Origin(account="paper", synthetic=True, bundle_sha=scorer.digest),
        equity=10_000.0,
        start_us=epoch_us(start),
        finest=("bars", HOUR),
    )
    desk = Desk(session, gate, settings)
    desk.closes.warm(tables["bars"][tables["bars"]["available_time"] <= start])
    return desk


def inputs_of(tables: Mapping[str, pd.DataFrame], start: pd.Timestamp, end: pd.Timestamp) -> list[LoggedInput]:
    """Rows when they were known, a trade a second after each bar, and a tick when each decision is due."""
    out = []
    for name, table in tables.items():
        if name in INPUT_TABLES:
            new = table[(table["available_time"] > start) & (table["available_time"] <= end)]
            for row in new.to_dict("records"):
                known = epoch_us(row["available_time"])
                out.append(LoggedInput(known, FeedRow(name, row, Quality.LIVE if name == "bars" else Quality.POLLED)))
    bars = tables["bars"]
    for row in bars[(bars["event_time"] > start) & (bars["event_time"] <= end)].to_dict("records"):
        at = epoch_us(row["event_time"]) + 30 * SECOND_US
        out.append(LoggedInput(at, Print(row["symbol"], at, row["close"], 1e6)))
        mark = {"symbol": row["symbol"]} | {name: row[name] for name in _OF_BARS}
        out.append(LoggedInput(at + SECOND_US, FeedRow("mark_price", mark, Quality.POLLED)))
    first = epoch_us(start) // HOUR_US * HOUR_US
    for close in range(first, epoch_us(end) + 1, HOUR_US):
        prices = {
            row["symbol"]: row["close"] for row in bars[bars["event_time"] == timestamp(close)].to_dict("records")
        }
        out.append(LoggedInput(close + epoch_us(timestamp(0) + DECISION_LAG), Tick(prices)))
    return sorted(out, key=lambda taken: (taken.now_us, isinstance(taken.what, Tick)))


def taken_by(desk: Desk, inputs: Iterable[LoggedInput]) -> list[Event]:
    return [event for taken in inputs for event in desk.take(taken)]


_OF_BARS = ("event_time", "available_time", "open_time", "open", "high", "low", "close")
__all__ = ["FED", "SECOND", "SYMBOLS", "desk_of", "history", "inputs_of", "market", "taken_by", "timedelta"]
