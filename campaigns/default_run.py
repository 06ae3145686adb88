"""The default pipeline up to its training set, on another simulated market: the part that the campaigns repeat."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from pipelines._closure import code_digest
from slackwater.config import Params, load_params
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.family import Feature
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.market.bars import resample_bars
from slackwater.market.contract_file import merge_contracts
from slackwater.market.frame import MarketFrame
from slackwater.models.training import Trainer, TrainingSet
from slackwater.parallel import TimeLeft, run_tasks
from slackwater.simulation.market import MarketRequest, simulate
from slackwater.simulation.parameters import MarketParameters
from slackwater.storage import digest_of, read_json, write_report
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
    return TrainingSet.join(labels, [features], described), described


def trainer_of(params: Params) -> Trainer:
    """Return the trainer of the pipeline."""
    return Trainer(validation=params.validation.build(), model=params.model.build())


def parameters_digest(params: Params) -> str:
    """Return the digest of every parameter that a result depends on, those of the simulated market included."""
    sections = ("dataset", "market", "features", "bracket", "costs", "labels", "validation", "model")
    # An option that the data set does not use is no parameter of the result.
    given = {name: getattr(params, name).model_dump(mode="json", exclude_none=True) for name in sections}
    if params.model.engine == "local":  # nor is the cluster that fits nothing
        given["model"] = {
            key: value for key, value in given["model"].items() if key not in ("engine", "fit_time_limit")
        }
    return digest_of([*given.values(), params.trading.rules.model_dump(mode="json"), asdict(MarketParameters())])


def over_markets(
    measure: Callable[[Params, dict[str, Any]], dict[str, Any]],
    markets: Iterable[dict[str, Any]],
    *,
    code: Path,
    out: Path,
    describe: Callable[[dict[str, Any]], str],
) -> list[dict[str, Any]]:
    """Return a measurement of every market; started again, it goes on where it was stopped.

    Two processes measure, unless ``SLACKWATER_WORKERS`` chooses others.

    Parameters
    ----------
    measure
        Measures one market by the parameters of ``params.yaml``; a function of the module of the campaign, in types
        that JSON keeps.
    markets
        Settings of each market.
    code
        Module of the campaign.
    out
        File of its result. What was measured is kept beside it, in ``<name>.partial.json``, which is valid for one
        state of the code and the parameters, and removed at the end.
    describe
        Returns a line about a measurement.
    """
    kept = out.with_suffix(".partial.json")
    state = digest_of([parameters_digest(load_params()), code_digest(code)])
    before = read_json(kept) if kept.is_file() else {}
    found = before["found"] if before.get("state") == state else {}
    wanted = {digest_of([market]): market for market in markets}
    names = {str(market): name for name, market in wanted.items() if name not in found}
    left = TimeLeft()
    measurements = run_tasks(
        partial(_measured, measure), {each: wanted[name] for each, name in names.items()}, unless_chosen="processes:2"
    )
    for done, ((each, name), row) in enumerate(zip(names.items(), measurements, strict=True), start=1):
        found[name] = row
        write_report({"state": state, "found": found}, kept)
        sys.stdout.write(
            f"SYNTHETIC, {len(found)} of {len(wanted)}, {each}: {describe(row)}; {left.after(done, len(names))}\n"
        )
        sys.stdout.flush()
    kept.unlink(missing_ok=True)
    return [found[name] for name in wanted]


def _measured(measure: Callable[[Params, dict[str, Any]], dict[str, Any]], market: dict[str, Any]) -> dict[str, Any]:
    """Measure a market in a process that reads the parameters itself: they cannot be sent to another one."""
    return measure(load_params(), market)
