"""Inputs of the stage `controls`: the events with their trades, and the parts of the rule that need no fit."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

import pandas as pd

from pipelines._stage import Stage
from slackwater.durations import duration_name, parse_duration
from slackwater.evidence.controls.entry_results import EntryMarket
from slackwater.evidence.controls.measured import among, rule_features
from slackwater.evidence.controls.paired import before_funding
from slackwater.evidence.direction import traded_rows
from slackwater.evidence.left_out import (
    COLUMNS,
    Variant,
    horizon_variants,
    side_variants,
    trigger_variants,
)
from slackwater.labels.trades import TradeRules
from slackwater.run.features import ContextOnDisk
from slackwater.storage import read_parquet
from slackwater.trading.backtest import Backtest
from slackwater.trading.gate import Gate
from slackwater.types import Bools

_KEYS: Final = ["symbol", "event_time"]


def scored_events(labels: pd.DataFrame, predicted: pd.DataFrame) -> pd.DataFrame:
    """Return the events of the test blocks with their predictions, those of the controls, and their labels."""
    scored = read_parquet("data/predictions.parquet")
    scored = scored.merge(predicted.drop(columns=["row", "fold"]), on=_KEYS, validate="1:1")
    return scored.merge(labels, on=_KEYS, validate="1:1")


def tested_events(scored: pd.DataFrame, known: Collection[str]) -> pd.DataFrame:
    """Return the events of the test blocks that trade, by symbol and time, with the features that rules read.

    `known` are the names of the features that were computed.
    """
    wanted = [name for name in rule_features() if name in known]
    features = read_parquet("data/event_features.parquet", columns=[*_KEYS, *wanted])
    events = scored[traded_rows(scored)].sort_values(_KEYS, ignore_index=True)
    return events.merge(features, on=_KEYS, how="left", validate="1:1").assign(net_bps=events["trade_net_bps"])


def entry_market(stage: Stage, backtest: Backtest, gate: Gate) -> EntryMarket:
    """Return the market in which a control enters at any bar close: the bracket, costs and prices of the labels."""
    return EntryMarket(
        bars=ContextOnDisk(),
        paths=backtest.paths,
        trade=TradeRules(
            contracts=gate.contracts,
            bracket=gate.bracket,
            costs=gate.costs,
            reference_notional_usd=stage.labels.reference_notional_usd,
        ),
        horizon=stage.labels.horizon,
        decision_lag=stage.market.decision_lag,
        fine_bar_interval=stage.market.fine_bar_interval,
    )


def accepted_by(backtest: Backtest, gate: Gate, predictions: pd.DataFrame, events: pd.DataFrame) -> Bools:
    """Return which events a gate accepts with other predictions."""
    other = backtest.rescored(predictions)
    # Most events are below the threshold, and the gate need not look at what it would refuse.
    likely = tuple(order for order in other.orders if not order.score.p_direction < gate.entry.probability_threshold)
    plans = (trade.plan for trade in replace(other, orders=likely).unit_risk_trades(gate))
    return among(events, {(plan.symbol, plan.score.event_time) for plan in plans})


def cheap_variants(events: pd.DataFrame, accepted: Bools, market: EntryMarket) -> list[Variant]:
    """Return the rule without one side or one trigger each, and at other horizons: nothing is fitted again."""
    entries = events.loc[accepted, _KEYS].assign(side=-events.loc[accepted, "direction"].astype(int))

    def net_at(horizon: str) -> pd.DataFrame:
        found = replace(market, horizon=parse_duration(horizon)).results(entries)
        return found.reindex(events.index)

    headline = duration_name(market.horizon)
    return [
        *side_variants(events, accepted),
        *trigger_variants(events, accepted),
        *horizon_variants(events, accepted, headline=headline, net_at=net_at),
    ]


def rule_rows(rules: Iterable[Mapping[str, Any]], events: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows of the rule ablation in the form of the table here.

    They are ``rules`` of ``data/reports/sensitivity.json``, which the stage `sensitivity` writes. Their trades are some
    of those that the events suggest, of which `events` knows the funding.
    """
    known = events.loc[events["net_r"].notna(), "funding_known"].to_numpy(bool)
    funding = {"funding_known": bool(known.all()), "note": before_funding(known)}
    found = []
    for row in rules:
        if row["toggled"]:  # the first row is the gate as configured
            measured = {name: row[name] for name in COLUMNS if name in row}
            words = {"name": row["rule"], "change": "without it" if row["toggled"] == "off" else "with it"}
            found.append(dict.fromkeys(COLUMNS, math.nan) | measured | funding | {"part": "rule"} | words)
    return found


def absent_families(manifest: Mapping[str, Any]) -> list[Variant]:
    """Return the families of which the data feed no feature, named and not measured.

    `manifest` is ``data/feature_manifest.json``.
    """
    fitted = [f for f in manifest["features"] if f["role"] == "model"]
    known = {f["family"] for f in fitted if f["available"]}
    names = dict.fromkeys(f["family"] for f in fitted if f["family"] not in known)
    note = "not measured: the data feed none of its features"
    return [Variant(part="family", name=name, change="without it", accepted=None, note=note) for name in names]
