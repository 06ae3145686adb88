"""How often the verdict calls an edge where there is none, and where there is one (SYNTHETIC markets).

``python -m campaigns.promotions`` makes 60 small markets without a signal and 20 default markets with signal 1, tries
20 configurations on each, as `slackwater study` does, and judges the luckiest of them as if the data were real. It goes
on where it was stopped, and writes its result to ``campaigns/promotions.json`` with a digest of the parameters that it
holds for, and with each market that of the code. ``python -m campaigns.promotions 6`` measures the next 6 alone.

Notes
-----
1. The markets without a signal have 2 symbols and one year: the verdict has few trades to be wrong about, and a search
   has the most room for luck. Those with a signal have the 4 symbols and two years of the default market.
2. The stages from `configure` to `label` run as processes in a directory of their own; the trials share their tables.
3. The luckiest trial has the highest t value of its daily results at unit risk. All 20 are counted by the verdict.
4. A simulated market is never eligible; here the verdict is told that the data are real.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import islice, product
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from campaigns.default_run import parameters_digest, trainer_of
from pipelines._closure import ROOT, code_digest
from slackwater.config import Params, load_params
from slackwater.evidence.baselines import control_predictions
from slackwater.evidence.evaluation import Resampling
from slackwater.evidence.trials import configuration_digest, count_trials, daily_series
from slackwater.run.judgement import judge
from slackwater.storage import digest_of, read_json, write_report
from slackwater.study.spec import trial_params
from slackwater.study.trial import LastRun

OUT: Final = Path(__file__).with_suffix(".json")
STAGES: Final = ("configure", "ingest", "validate", "features", "label")
NULLS, EDGES = range(1, 61), range(1, 21)
SMALL: Final = {"symbols": ["BTCUSDT", "ETHUSDT"], "start": "2023-01-01T00:00:00Z", "end": "2024-01-01T00:00:00Z"}
GRID: Final[dict[str, list[Any]]] = {
    "model.kind": ["lightgbm", "logistic"],
    "trading.rules.min_expectancy": [None, 0.05],
    "trading.entry.probability_threshold": [0.5, 0.52, 0.54, 0.56, 0.58],
}
MOST_FALSE, FEWEST_TRUE = 0, 18


def markets() -> Iterator[dict[str, Any]]:
    """Yield the settings of each market: those of the simulator, and symbols."""
    for seed in NULLS:
        yield {"seed": seed, "signal": 0.0, **SMALL}
    for seed in EDGES:
        yield {"seed": seed, "signal": 1.0}


def measured(market: dict[str, Any]) -> dict[str, Any]:
    """Return the verdict on the luckiest trial of a market."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _run_stages(root, market)
        params = load_params(root / "params.yaml")
        last = LastRun.read(root / "data")
        points = [dict(zip(GRID, values, strict=True)) for values in product(*GRID.values())]
        rows = [_trial(last, params, point) for point in points]
        best = max(rows, key=lambda row: _t_value(row["returns"]))
        return {**market, "trials": len(rows), "best": best["trial"], **_judged(last, params, rows, best)}


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
    trainer, manifest = trainer_of(chosen), read_json(last.data / "feature_manifest.json")
    families = {f["name"]: f["family"] for f in manifest["features"] if f["role"] == "model" and f["available"]}
    keys = ["symbol", "event_time"]
    controls = control_predictions(last.training, trainer, families=families, seed=params.evaluation.seed)
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
        **{name: sample.get(name) for name in ("net_bps_mean", "net_bps_low", "net_r_mean", "net_r_low")},
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
    rows = answer["markets"]
    nulls, edges = ([row for row in rows if bool(row["signal"]) is signal] for signal in (False, True))
    found = []
    if len(nulls) < len(NULLS) or len(edges) < len(EDGES):
        so_far = f"{len(nulls)} of {len(NULLS)} markets without a signal, {len(edges)} of {len(EDGES)} with one"
        found.append(f"measured are {so_far}")
    promoted, seen = (sum(row["verdict"] == "eligible" for row in some) for some in (nulls, edges))
    if promoted > MOST_FALSE:
        found.append(f"{promoted} of {len(nulls)} markets without a signal are called eligible")
    if len(edges) - seen > len(EDGES) - FEWEST_TRUE:
        found.append(f"{seen} of {len(edges)} markets with signal 1 are called eligible")
    return found


def main() -> None:
    """Measure the markets that are not measured yet, or as many of them as are asked for, and write the result."""
    parameters, code = parameters_digest(load_params()), code_digest(Path(__file__))
    before = read_json(OUT) if OUT.is_file() else {}
    rows: list[dict[str, Any]] = before["markets"] if before.get("parameters_sha256") == parameters else []
    known = {digest_of([_settings(row)]) for row in rows}
    left = [market for market in markets() if digest_of([market]) not in known]
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else len(left)
    pool = ProcessPoolExecutor(max_workers=2)
    try:
        for future in as_completed([pool.submit(measured, market) for market in islice(left, asked)]):
            rows.append(future.result() | {"code_sha256": code})
            report = {"synthetic": True, "parameters_sha256": parameters, "markets": sorted(rows, key=_order)}
            write_report(report, OUT)
            said = f"{rows[-1]['verdict']}, {rows[-1]['n_trades']} trades, best t of 20 {rows[-1]['t']}"
            sys.stdout.write(f"SYNTHETIC, {len(rows)}, {_settings(rows[-1])}: {said}\n")
            sys.stdout.flush()
    finally:
        pool.shutdown(cancel_futures=True)
    for line in shortfalls(read_json(OUT)):
        sys.stdout.write(f"NOT SHOWN: {line}\n")


def _settings(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("seed", "signal", *SMALL) if key in row}


def _order(row: dict[str, Any]) -> tuple[float, int]:
    return row["signal"], row["seed"]


if __name__ == "__main__":
    main()
