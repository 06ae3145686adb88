"""The default pipeline up to its training set, on another simulated market: the part that the campaigns repeat."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from slackwater.config import Params
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Feature
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.market.bars import resample_bars
from slackwater.market.contract_file import merge_contracts
from slackwater.market.frame import MarketFrame
from slackwater.models.training import Trainer, TrainingSet
from slackwater.simulation.market import MarketRequest, simulate
from slackwater.simulation.parameters import MarketParameters
from slackwater.storage import digest_of
from slackwater.trading.costs import CostModel
from slackwater.trading.price_path import price_paths


def training_set(params: Params, *, skew: float | None = None, **market: Any) -> tuple[TrainingSet, list[Feature]]:
    """Simulate the default market with other settings (seed, signal, skew, ...), and compute features and labels.

    Returns
    -------
    TrainingSet, list of Feature
        The events with their features, and the descriptions of these features.
    """
    made = params.dataset.simulate.model_dump() | market
    rules = params.market
    request = MarketRequest(symbols=params.dataset.symbols, options={} if skew is None else {"skew": skew}, **made)
    tables = dict(simulate(request).tables)
    tables["bars"] = resample_bars(tables["fine_bars"], rules.bar_interval)
    frame = MarketFrame.from_tables(
        tables,
        rules.spec,
    )
    engine = FeatureEngine(default_families(rules.bar_interval, **params.features.model_dump()))
    features = engine.transform(frame)
    manifest = engine.manifest(frame.available)
    described = [Feature.from_manifest(f) for f in manifest["features"] if f["name"] in set(manifest["model_features"])]
    labels, _ = build_labels(
        features,
        price_paths(tables["fine_bars"], tables["funding"], mark=tables["mark_price"]),
        trade=TradeRules(
            contracts=merge_contracts(params.dataset.contract_facts, params.dataset.venue),
            bracket=params.bracket.build(),
            costs=CostModel(**dict(params.costs)),
            reference_notional_usd=params.labels.reference_notional_usd,
        ),
        decision_lag=rules.decision_lag,
        fine_bar_interval=rules.fine_bar_interval,
        **params.labels.model_dump(exclude={"reference_notional_usd"}),
    )
    return TrainingSet.join(labels, features, described), described


def trainer_of(params: Params) -> Trainer:
    """Return the trainer of the pipeline."""
    return Trainer(validation=params.validation.build(), model=params.model.build())


def parameters_digest(params: Params) -> str:
    """Return the digest of every parameter that a result depends on, those of the simulated market included."""
    sections = ("dataset", "market", "features", "bracket", "costs", "labels", "validation", "model")
    rules = params.trading.rules.model_dump(mode="json")
    market = asdict(MarketParameters())
    return digest_of([*(getattr(params, name).model_dump(mode="json") for name in sections), rules, market])
