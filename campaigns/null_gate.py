"""False positives of the rule on expected value, on simulated markets in which nothing can be predicted (signal 0).

SYNTHETIC markets. Run it with ``make campaigns``; it takes about two minutes per seed and writes its result, with a
digest of the parameters that it holds for, to ``campaigns/null_gate.json``.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from campaigns.default_run import parameters_digest, trainer_of, training_set
from slackwater.config import Params, load_params
from slackwater.evidence.evaluation import expected_value_at_reference
from slackwater.models.targets import TARGETS
from slackwater.storage import write_report

SEEDS = (1, 2, 3, 4, 5, 6)
GOAL = 0.05
TRADE = next(target for target in TARGETS if target.name == "trade")
OUT = Path(__file__).with_suffix(".json")


def passing(params: Params, *, seed: int, signal: float) -> dict[str, Any]:
    """Return how many test events pass the rule on expected value at the reference size, and their results."""
    training, _ = training_set(params, seed=seed, signal=signal)
    edges = replace(trainer_of(params), targets=(TRADE,)).predict_out_of_fold(training)
    labels = training.labels.iloc[edges["row"]].reset_index(drop=True)
    rules = params.trading.rules
    expected = expected_value_at_reference(labels.assign(trade_edge_low=edges["trade_edge_low"].to_numpy()))
    passed = (expected > rules.min_expectancy) & (labels["reward_risk"] >= rules.min_reward_risk)
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
    """Run all seeds and write the result."""
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
    write_report(answer | {"parameters_sha256": parameters_digest(params)}, OUT)
    sys.stdout.write(f"mean {mean:.2%}, worst {worst:.2%}, goal at most {GOAL:.0%}: {OUT.name}\n")


if __name__ == "__main__":
    main()
