"""A scoring bundle trained in a second on the small market; its numbers mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.models.training import Trainer, TrainingSet
from slackwater.models.training_range import TrainingRange
from slackwater.models.training_shares import TrainingShares
from slackwater.scoring.bundle import write_bundle
from slackwater.trading.price_path import price_paths
from tests.small_market import DECISION_LAG, small_market

BAR = timedelta(hours=1)
SPEC = FrameSpec(bar_interval=BAR, decision_lag=DECISION_LAG)
HORIZON = timedelta(hours=12)
TRAINER = Trainer(
    validation=WalkForward(min_train=timedelta(days=60), test=timedelta(days=20), embargo=timedelta(days=1)),
    model=ModelParameters(n_estimators=20, min_child_samples=10),
)


def market(
    days: int = 160, symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"), bar: timedelta = BAR
) -> dict[str, pd.DataFrame]:
    """Return the small market with settlements at the hours of the venues, so that no rule finds a defect in it."""
    tables = small_market(symbols, days=days, interval=bar, seed=7)
    funding = tables["funding"]
    times = {name: funding[name] - bar for name in ("event_time", "available_time")}
    return tables | {"funding": funding.assign(**times)}


def training_set(
    families: Mapping[str, Any] | None = None,
    *,
    days: int = 160,
    spec: FrameSpec = SPEC,
    without: tuple[str, ...] = (),
) -> tuple[TrainingSet, dict[str, Any]]:
    """Features and labels of the small market without some tables, and the feature manifest."""
    tables = {name: table for name, table in market(days, bar=spec.bar_interval).items() if name not in without}
    engine = FeatureEngine(default_families(spec.bar_interval, **(families or {})))
    frame = MarketFrame.from_tables(tables, spec)
    features = engine.transform(frame)
    labels, _ = build_labels(
        features,
        price_paths(tables["bars"], tables["funding"]),
        trade=TradeRules(),
        horizon=HORIZON,
        decision_lag=DECISION_LAG,
        fine_bar_interval=spec.bar_interval,
    )
    manifest = engine.manifest(frame.available)
    described = [f for f in engine.features if f.name in set(manifest["model_features"])]
    return TrainingSet.join(labels, [features], described), manifest


def make_bundle(
    directory: Path,
    trainer: Trainer = TRAINER,
    given: TrainingSet | None = None,
    families: Mapping[str, Any] | None = None,
    *,
    days: int = 160,
    spec: FrameSpec = SPEC,
    without: tuple[str, ...] = (),
    entry: Mapping[str, Any] | None = None,
    bracket: Mapping[str, Any] | None = None,
    trading: Mapping[str, Any] | None = None,
    symbols: tuple[str, ...] = ("BTCUSDT", "ETHUSDT"),
) -> Path:
    """Train on all events, those of the small market or those given, and write the bundle, as if of some symbols."""
    training, manifest = training_set(families, days=days, spec=spec, without=without)
    training = given or training
    exported = trainer.export(training, trainer.predict_out_of_fold(training))
    models = {fitted.target.name: fitted.model.to_text() for fitted in exported}
    entries = {fitted.target.name: fitted.entry() for fitted in exported}
    clauses = {"real_data": {"requirement": "not simulated", "value": 0.0, "passed": False, "note": ""}}
    verdict = {"verdict": "paper_only", "sentence": "SYNTHETIC market.", "synthetic": True, "clauses": clauses}
    write_bundle(
        directory,
        {
            "dataset": "small",
            "symbols": list(symbols),
            "synthetic": True,
            "verdict": verdict,
            "market": spec.to_dict(),
            "features": {
                "families": dict(families or {}),
                "fingerprint": manifest["fingerprint"],
                "sources": manifest["sources"],
                "model_features": manifest["model_features"],
            },
            "labels": {"horizon": HORIZON, "triggers": ["extended_move", "cusum"]},
            "models": entries,
            "training_range": TrainingRange().fit(training.features).to_dict(),
            "training_shares": _shares(training).to_dict(),
            "trading": {
                "venue": "simulated",
                "entry": {"probability_threshold": 0.5, **(entry or {})},
                "bracket": dict(bracket or {}),
                # The market is random: a gate that asks for worth would refuse everything.
                "rules": {"risk_fraction": 0.01, "min_expectancy": None, "kelly_fraction": None},
                "drawdown_control": {},
                "costs": {},
                **(trading or {}),
            },
            "hashes": {},
        },
        models,
    )
    return directory


def _shares(training: TrainingSet) -> TrainingShares:
    families = [training.families.get(name, name) for name in training.features]
    return TrainingShares.of(training.features, training.labels["event_time"], families)
