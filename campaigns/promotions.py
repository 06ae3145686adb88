"""How often the verdict calls an edge where there is none, and where there is one (SYNTHETIC markets).

``python -m campaigns.promotions`` makes 60 small markets without a signal, and 20 small and 20 longer ones with
signal 1, tries 21 configurations on each, as `slackwater study` does, and judges the luckiest of them as if the data
were real. It goes on where it was stopped, writes its result to ``campaigns/promotions.json`` with a digest of the
parameters that it holds for, and prints the table of ``docs/method.md``.

Notes
-----
1. A small market has 2 symbols and one year, of which the test blocks are the second half: the verdict has few trades
   to be wrong about, and a search has the most room for luck. The table states the power: the smallest mean result that
   the trades of a market could show. A longer one has 2 symbols and three years, so that an edge can be seen
   (``docs/method.md`` has the calculation).
2. The rules on the odds of a trade are off: with them no trade is taken without a signal, and no trial could be lucky.
3. The stages from `configure` to `label` run as processes in a directory of their own; the trials share their tables.
4. The luckiest trial has the highest t value of its daily results at unit risk. All 21 are counted by the verdict.
5. A simulated market is never eligible; here the verdict is told that the data are real.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import yaml

from campaigns.default_run import over_markets, parameters_digest, trainer_of
from pipelines._closure import ROOT
from slackwater.config import Params, load_params
from slackwater.evidence.baselines import control_predictions
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.trials import configuration_digest, count_trials, daily_series
from slackwater.run.judgement import judge
from slackwater.storage import read_json, write_report
from slackwater.study.spec import trial_params
from slackwater.study.trial import LastRun

OUT: Final = Path(__file__).with_suffix(".json")
STAGES: Final = ("configure", "ingest", "validate", "features", "label")
NULLS, EDGES = range(1, 61), range(1, 21)
SMALL: Final = {"symbols": ["BTCUSDT", "ETHUSDT"], "start": "2023-01-01T00:00:00Z", "end": "2024-01-01T00:00:00Z"}
LONG: Final = SMALL | {"start": "2021-01-01T00:00:00Z"}
GROUPS: Final = ((0.0, NULLS, SMALL), (1.0, EDGES, SMALL), (1.0, EDGES, LONG))
"""Signal, seeds and size of the markets."""
GRID: Final[dict[str, list[Any]]] = {
    "trading.rules.min_expectancy": [None],
    "trading.rules.kelly_fraction": [None],
    "model.kind": ["lightgbm", "logistic", "mean"],
    "trading.entry.probability_threshold": [0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56],
}
MOST_FALSE, FEWEST_TRUE = 0, 18
SAMPLE: Final = ("net_bps_mean", "net_bps_low", "net_r_mean", "net_r_low", "smallest_visible_effect_bps")
VERDICTS: Final = ("eligible", "paper_only", "not_evaluable")


def markets() -> Iterator[dict[str, Any]]:
    """Yield the settings of each market: those of the simulator, and symbols."""
    for signal, seeds, size in GROUPS:
        for seed in seeds:
            yield {"seed": seed, "signal": signal, **size}


def measured(_: Params, market: dict[str, Any]) -> dict[str, Any]:
    """Return the verdict on the luckiest trial of a market."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _run_stages(root, market)
        return market | luckiest(root)


def luckiest(root: Path) -> dict[str, Any]:
    """Try the grid on the tables of a run, and return the verdict on the luckiest trial, as if the data were real."""
    params, last = load_params(root / "params.yaml"), LastRun.read(root / "data")
    points = [dict(zip(GRID, values, strict=True)) for values in product(*GRID.values())]
    rows = [_trial(last, params, point) for point in points]
    best = max(rows, key=lambda row: _t_value(row["returns"]))
    return {"trials": len(rows), "best": best["trial"], **_judged(last, params, rows, best)}


def _trial(last: LastRun, params: Params, point: dict[str, Any]) -> dict[str, Any]:
    tried = trial_params(params, point)
    same = {"dataset": params.dataset.name, "data_sha256": last.data_sha256, "state": "complete"}
    return {
        **same,
        "params_sha256": configuration_digest(tried.model_dump(mode="json")),
        "trial": point,
        **last.measured(tried),
    }


def _judged(last: LastRun, params: Params, rows: list[dict[str, Any]], best: dict[str, Any]) -> dict[str, Any]:
    chosen = trial_params(params, best["trial"])
    predictions, account, unit_risk = last.traded(chosen)
    trainer = trainer_of(chosen)
    keys = ["symbol", "event_time"]
    controls = control_predictions(last.training, trainer, seed=params.evaluation.seed)
    scored = predictions.merge(controls.drop(columns=["row", "fold"]), on=keys, validate="1:1")
    scored = scored.merge(last.training.labels, on=keys, validate="1:1")
    trials = count_trials(
        rows,
        unit_risk,
        dataset=params.dataset.name,
        data_sha256=last.data_sha256,
        params_sha256=best["params_sha256"],
    )
    found = judge(
        scored,
        {"trades": account.trades, "refusals": account.refusals, "equity": account.equity},
        unit_risk,
        trials=trials,
        targets=trainer.targets,
        rules=chosen.trading.rules,
        resampling=Resampling.of(params.evaluation),
        synthetic=False,
    )
    sample = found.backtest["unit_risk"]
    return {
        "verdict": found.verdict.name,
        "failed": list(found.verdict.failed),
        "unknown": list(found.verdict.unknown),
        "counted": trials.count,
        "auc": found.classification["direction"]["auc"],
        "n_trades": len(unit_risk),
        **{name: sample.get(name) for name in SAMPLE},
        "t": t if math.isfinite(t := _t_value(best["returns"])) else None,
    }


def _t_value(returns: dict[str, Any]) -> float:
    daily = daily_series(returns).to_numpy()
    if len(daily) < 30 or not np.ptp(daily):
        return -math.inf
    return float(math.sqrt(len(daily)) * daily.mean() / daily.std(ddof=1))


def _run_stages(root: Path, market: dict[str, Any]) -> None:
    """Write the parameters of a market into a directory, and run the stages up to the labels there."""
    content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    entry = content["datasets"]["simulated"]
    entry["symbols"] = market.get("symbols", entry["symbols"])
    entry["simulate"] |= {key: value for key, value in market.items() if key != "symbols"}
    content["datasets"] = {"simulated": entry}
    (root / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    (root / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    for stage in STAGES:
        command = [sys.executable, "-m", f"pipelines.{stage}"]
        done = subprocess.run(  # noqa: S603
            command, cwd=root, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{market}: stage {stage} ended with {done.returncode}: {done.stdout}{done.stderr}")


def shortfalls(answer: dict[str, Any]) -> list[str]:
    """Return what a result does not show, as sentences; empty if it shows all."""
    found = []
    nulls, longer = of_group(answer, *GROUPS[0]), of_group(answer, *GROUPS[2])
    if (promoted := _eligible(nulls)) > MOST_FALSE:
        found.append(f"{promoted} of {len(nulls)} markets without a signal are called eligible")
    if (seen := _eligible(longer)) < FEWEST_TRUE:
        found.append(f"{seen} of {len(longer)} markets of three years with signal 1 are called eligible")
    return found


def of_group(answer: dict[str, Any], signal: float, seeds: range, size: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the results of a group of markets."""
    wanted = [{"seed": seed, "signal": signal, **size} for seed in seeds]
    return [row for row in answer["markets"] if settings(row) in wanted]


def settings(row: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of the market of a result, as `markets` yields them."""
    return {key: row[key] for key in ("seed", "signal", *SMALL)}


def page(answer: dict[str, Any]) -> str:
    """Return a result as Markdown: the table of ``docs/method.md``."""
    columns = ("signal", "years", "markets", "eligible", "paper only", "not evaluable", "median trades", "median AUC")
    columns = (*columns, "median result (bps)", "smallest visible (bps)", "best t of 21: median", "largest", "above 2")
    forms = {"n_trades": ",.0f", "auc": ".3f", "net_bps_mean": "+.0f", "smallest_visible_effect_bps": ".0f"}
    lines = [f"| {' | '.join(columns)} |", f"|{'---:|' * len(columns)}"]
    failures = []
    for group in GROUPS:
        rows = of_group(answer, *group)
        kind = [f"{group[0]:g}", str(_years(group[2]))]
        said = Counter(row["verdict"] for row in rows)
        t = np.array([row["t"] for row in rows if row["t"] is not None])
        cells = [*kind, str(len(rows)), *(str(said[name]) for name in VERDICTS)]
        table = pd.DataFrame(rows).astype(dict.fromkeys(forms, float))
        cells += [f"{table[name].median():{form}}" for name, form in forms.items()]
        cells += [f"{np.median(t):.1f}", f"{t.max():.1f}", str(int((t > 2.0).sum()))]
        lines.append(f"| {' | '.join(cells)} |")
        failed = Counter(name for row in rows for name in row["failed"])
        counts = ", ".join(f"`{name}` in {n}" for name, n in failed.most_common()) or "none"
        failures += ["", f"Clauses that fail with signal {kind[0]}, years {kind[1]}: {counts}."]
    return "\n".join([*lines, *failures])


def run() -> dict[str, Any]:
    """Measure all markets."""

    def describe(row: dict[str, Any]) -> str:
        return f"{row['verdict']}, {row['n_trades']} trades, best t of {row['trials']} {row['t']}"

    rows = over_markets(measured, markets(), code=Path(__file__), out=OUT, describe=describe)
    return {"synthetic": True, "parameters_sha256": parameters_digest(load_params()), "markets": rows}


def main() -> None:
    """Run all markets, write the result and print its page."""
    answer = run()
    write_report(answer, OUT)
    lines = [page(read_json(OUT)), *(f"NOT MET: {line}" for line in shortfalls(answer))]
    sys.stdout.write("\n".join(lines) + "\n")


def _eligible(rows: list[dict[str, Any]]) -> int:
    return sum(row["verdict"] == "eligible" for row in rows)


def _years(size: dict[str, Any]) -> int:
    return pd.Timestamp(size["end"]).year - pd.Timestamp(size["start"]).year


if __name__ == "__main__":
    main()
