"""Stage `controls`: what the trades earn beyond simpler rules and placebos, and what each part of the rule adds."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from pipelines._controls import (
    absent_families,
    accepted_by,
    cheap_variants,
    entry_market,
    rule_rows,
    scored_events,
    tested_events,
)
from pipelines._refits import Refits, families_together, family_variants, unseen_groups
from pipelines._stage import Stage, run
from pipelines._trading import build_gate, read_backtest
from pipelines._training import build_trainer
from slackwater.evidence.attribution import family_shares, partial_dependence
from slackwater.evidence.baselines import GATED, control_predictions, gated_controls
from slackwater.evidence.controls.measured import ControlledRun, among
from slackwater.evidence.controls.paired import PairedDays
from slackwater.evidence.controls.table import Scores, control_table, sentence
from slackwater.evidence.left_out import WholeRule, findings
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.unseen_symbols import carries_over, unseen_rows
from slackwater.models.readers import READERS
from slackwater.models.targets import ExplainedModel
from slackwater.models.training import TrainingSet
from slackwater.report.controls_page import controls_page
from slackwater.run.training import read_training_set
from slackwater.storage import atomic_file, read_json, read_parquet, write_parquet, write_report
from slackwater.types import Bools, Floats

QUICK = ("price_only",)
"""Controls that are fitted for the gate where `evaluation.depth` is quick."""

_KEYS: Final = ["symbol", "event_time"]


def main(stage: Stage) -> None:
    """Write ``data/control_predictions.parquet``, ``data/reports/controls.json`` and ``data/reports/controls.md``."""
    evaluation = stage.evaluation
    depth, resampling = evaluation.depth, Resampling.of(evaluation)
    training, trainer = read_training_set(), build_trainer(stage)
    manifest, rules = read_json("data/feature_manifest.json"), read_json("data/reports/sensitivity.json")["rules"]
    stage.say("fitting the controls")
    wanted = GATED if depth == "full" else QUICK
    gated = gated_controls(training, trainer, wanted=wanted, seed=resampling.seed, progress=stage.say)
    predicted = control_predictions(training, trainer, gated=gated, seed=resampling.seed, progress=stage.say)
    write_parquet(predicted, "data/control_predictions.parquet")
    scored = scored_events(training.labels, predicted)
    entries = scored[["symbol", "entry_time", "entry_price"]].copy()
    attribution, symbols, families = _attribution(training), training.labels["symbol"], trainer.families(training)
    # The features and labels of all events are not held beside the trades; what is fitted again reads them again.
    del training, predicted
    events = tested_events(scored, [f["name"] for f in manifest["features"]])
    del scored

    backtest = read_backtest(stage)
    gate = build_gate(stage, backtest.symbols)
    market = entry_market(stage, backtest, gate)
    events = events.assign(funding_known=market.funding_known(events))
    sample = read_parquet("reports/unit_risk_trades.parquet", columns=_KEYS)
    accepted = among(events, set(sample.itertuples(index=False, name=None)))
    by_scores: dict[str, tuple[Bools | None, Floats]] = {"permuted_labels": (None, events["p_permuted"].to_numpy())}
    for name, found in gated.items():
        p = events[_KEYS].merge(found, on=_KEYS, how="left", validate="1:1")["p_direction"].to_numpy()
        by_scores[name] = (accepted_by(backtest, gate, found, events), p)
    made = ControlledRun(
        events=events,
        accepted=accepted,
        by_scores=by_scores,
        drift_events=entries,
        market=market,
        bar_interval=stage.market.bar_interval,
        depth=depth,
        seed=resampling.seed,
    )
    calendar = PairedDays(events=events["event_time"], resampling=resampling)
    scores = Scores(times=events["event_time"], y=events["y_direction"].to_numpy(), p=events["p_direction"].to_numpy())
    rows = control_table(made.model, made.controls(stage.say), scores, calendar)

    stage.say("what each part of the rule adds")
    whole = WholeRule(events=events, accepted=accepted, calendar=calendar)
    parts = whole.rows([*cheap_variants(events, accepted, market), *absent_families(manifest)])
    left_out: dict[str, list[str]] = {}
    refits = None
    if depth == "full":
        refits = Refits(training=read_training_set(), trainer=trainer, events=events, say=stage.say)
        accept = partial(accepted_by, backtest, gate, events=events)
        parts += whole.rows(family_variants(refits, accept))
        parts += whole.rows([families_together(refits, accept, parts)])
    else:
        names = [f"the rule without {name}" for name in families]
        left_out["ablation"] = [*names, "the rule without several families"]
        if symbols.nunique() > 1:
            left_out["unseen_symbols"] = ["direction at symbols that the models have not seen"]
        left_out["controls"] = [f"trades of {name.replace('_', ' ')}" for name in GATED if name not in QUICK]
    parts += rule_rows(rules, events)
    unseen = unseen_rows(events, unseen_groups(symbols, refits), resampling)
    report = {
        "dataset": stage.dataset.name,
        "synthetic": stage.dataset.synthetic,
        "depth": depth,
        "draws_per_trade": made.draws,
        "left_out": left_out,
        "sentence": sentence(rows),
        "controls": rows,
        "ablation": parts,
        "ablation_findings": findings(parts),
        "unseen_symbols": unseen,
        "unseen_symbols_finding": carries_over(unseen[0]),
        **attribution,
    }
    write_report(report, "data/reports/controls.json")
    title = f"{stage.dataset.name}{', SYNTHETIC market' if stage.dataset.synthetic else ''}"
    with atomic_file("data/reports/controls.md") as path:
        path.write_text(controls_page(title, report), encoding="utf-8")
    stage.say(report["sentence"])


def _attribution(training: TrainingSet) -> dict[str, Any]:
    """Return what the exported direction model reads, where its kind can be explained."""
    entry = read_json("models/fitted/models.json")["direction"]
    reader = READERS.get(entry["format"])
    with open(f"models/fitted/{entry['file']}", encoding="utf-8") as file:
        model = None if reader is None else reader(file.read())
    if not isinstance(model, ExplainedModel):
        return {"families": [], "dependence": {}}
    return {
        "families": family_shares(model, training.features, training.families),
        "dependence": partial_dependence(model, training.features),
    }


if __name__ == "__main__":
    run("controls", main)
