"""How often the worth rule is deceived where nothing can be predicted: simulated markets of signal 0, seed by seed.

SYNTHETIC markets. Run it with ``make campaigns``; it takes about two minutes a seed and leaves its answer, with a
digest of the parameters that it stands for, in ``campaigns/null_gate.json``.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from slackwater.config import Params, load_params
from slackwater.evidence.evaluation import worth_at_reference
from slackwater.features.engine import FeatureEngine, default_families
from slackwater.features.family import Feature
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.market.bars import resample_bars
from slackwater.market.contracts import venue_contracts
from slackwater.market.frame import MarketFrame
from slackwater.models.training import Recipe, TrainingSet
from slackwater.sources.simulate.market import simulate_market
from slackwater.storage import digest_of, write_json
from slackwater.trading.costs import CostModel
from slackwater.trading.geometry import GeometryRules

SEEDS = (1, 2, 3, 4, 5, 6)
GOAL = 0.05
OUT = Path(__file__).with_suffix(".json")


def training_set(params: Params, *, seed: int, signal: float) -> TrainingSet:
    """Make the default market anew, and its features and labels by the default recipe."""
    made = params.dataset.simulate.model_dump() | {"seed": seed, "signal": signal}
    market = params.market
    tables = simulate_market(params.dataset.symbols, **made)
    tables["bars"] = resample_bars(tables["path"], market.bar_interval)
    frame = MarketFrame.from_tables(
        tables,
        bar_interval=market.bar_interval,
        decision_lag=market.decision_lag,
        staleness=market.staleness,
        liquidation_cap=market.liquidation_cap,
    )
    engine = FeatureEngine(default_families(market.bar_interval, **params.features.model_dump()))
    features = engine.transform(frame)
    manifest = engine.manifest(frame.available)
    described = [Feature.from_manifest(f) for f in manifest["features"] if f["name"] in set(manifest["model_features"])]
    labels, _ = build_labels(
        features,
        tables["path"],
        tables["funding"],
        trade=TradeRules(
            contracts=venue_contracts(params.dataset.venue),
            geometry=GeometryRules(**params.geometry.model_dump()),
            costs=CostModel(**params.costs.model_dump()),
            reference_notional_usd=params.labels.reference_notional_usd,
        ),
        decision_lag=market.decision_lag,
        path_interval=market.path_interval,
        **params.labels.model_dump(exclude={"reference_notional_usd"}),
    )
    return TrainingSet.join(labels, features, described)


def parameters_digest(params: Params) -> str:
    """Return the digest of every parameter that the answer depends on."""
    sections = ("dataset", "market", "features", "geometry", "costs", "labels", "validation", "model")
    rules = params.trading.rules.model_dump(mode="json")
    return digest_of([*(getattr(params, name).model_dump(mode="json") for name in sections), rules])


def passing(params: Params, *, seed: int, signal: float) -> dict[str, Any]:
    """Return how many events of the test blocks pass the worth rule at the reference size, and what they earned."""
    training = training_set(params, seed=seed, signal=signal)
    recipe = Recipe(**params.validation.model_dump(), model=params.model.model_dump())
    edges = recipe.trades_out_of_fold(training)
    labels = training.labels.iloc[edges["row"]].reset_index(drop=True)
    rules = params.trading.rules
    worth = worth_at_reference(labels.assign(trade_edge_low=edges["trade_edge_low"].to_numpy()))
    passed = (worth > rules.min_expectancy) & (labels["reward_risk"] >= rules.min_reward_risk)
    earned = labels.loc[passed, "net_r"]
    return {
        "seed": seed,
        "signal": signal,
        "events": len(edges),
        "passed": int(passed.sum()),
        "share": float(passed.mean()),
        "net_r_mean_of_passed": float(earned.mean()) if len(earned) else None,
        "net_r_mean_of_all": float(labels["net_r"].mean()),
    }


def main() -> None:
    """Run all seeds and write the answer."""
    params = load_params()
    rows = []
    for signal, seeds in ((0.0, SEEDS), (params.dataset.simulate.signal, SEEDS[:2])):
        for seed in seeds:
            rows.append(passing(params, seed=seed, signal=signal))
            sys.stdout.write(f"SYNTHETIC signal {signal:g} seed {seed}: {rows[-1]['share']:.2%} pass\n")
            sys.stdout.flush()
    shares = pd.DataFrame(rows).query("signal == 0.0")["share"]
    worst, mean = float(np.max(shares)), float(np.mean(shares))
    answer = {"synthetic": True, "goal": GOAL, "mean_share": mean, "worst_share": worst, "markets": rows}
    write_json(answer | {"parameters_sha256": parameters_digest(params)}, OUT)
    sys.stdout.write(f"mean {mean:.2%}, worst {worst:.2%}, goal at most {GOAL:.0%}: {OUT.name}\n")


if __name__ == "__main__":
    main()
