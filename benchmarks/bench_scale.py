"""Workers beside one process, and the cost of more symbols; SYNTHETIC markets.

``make bench-scale`` measures for an hour or more and goes on where it was stopped; ``python -m benchmarks.bench_scale
--days 90 --symbols 1,2`` is a first look. Results are written to ``reports/scale.json`` and printed as tables:

- features, folds and markets of a campaign by one and by two processes, and by one and two workers of a Dask cluster on
  the loopback interface, interleaved, on workers that are there already, after equal results were asserted;
- every stage up to `controls`, or to that of ``--until``, over markets of more and more symbols, each in a process of
  its own: seconds, processor seconds, those of them in the system, and peak memory; and the exponent of the processor
  seconds with the number of symbols;
- with ``--workers 2`` the same stages by two processes: seconds, and the peak memory of the stage and of its workers.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import pandas as pd
import yaml

from benchmarks.processes import descendants, peak_mib
from campaigns.default_run import trainer_of, training_set
from pipelines._closure import ROOT, code_digest
from slackwater.config import Params, load_params
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.market.bars import resample_bars
from slackwater.parallel import run_tasks, use_workers
from slackwater.report.markdown import markdown_table
from slackwater.run.feature_table import write_feature_table
from slackwater.simulation.market import MarketRequest, simulate
from slackwater.storage import digest_of, read_json, sha256_of, values_digest, write_report
from slackwater.symbol_tables import split_by_symbol, write_symbol
from tests.dask_cluster import Cluster

OUT: Final = Path("reports/scale.json")
SYMBOLS: Final = (1, 2, 5, 10, 20, 50)
DAYS: Final = 731
CAMPAIGN_DAYS: Final = 320
STAGES: Final = (
    *("configure", "ingest", "validate", "features", "scorecard", "label", "train"),
    *("backtest", "sensitivity", "controls"),
)

_TIMED: Final = """
import json, os, re, runpy, sys, time
begun = time.perf_counter()
sys.argv = [sys.argv[1]]
runpy.run_module(f"pipelines.{sys.argv[0]}", run_name="__main__")
# Of this program alone: `getrusage` begins with the peak of the process that started it.
peak = int(re.search(r"VmHWM:\\s+([0-9]+)", open("/proc/self/status").read())[1]) / 1024
took = {"seconds": time.perf_counter() - begun, "cpu": time.process_time(), "system": os.times().system}
print(json.dumps(took | {"mib": peak}))
"""


def workers_compared(params: Params, days: int, rounds: int) -> list[dict[str, Any]]:
    """Return the seconds of features and folds by who computes them, and the ratios that follow."""
    with tempfile.TemporaryDirectory() as place, ExitStack() as ends:
        root = Path(place)
        work = {"features": _features(params, days, root), "folds": _folds(params, days), "campaign": _campaign(days)}
        ways = {"serial": "serial", "1 process": "1", "2 processes": "2"}
        for count in (1, 2):
            cluster = ends.enter_context(Cluster(root / f"cluster-{count}"))
            for _ in range(count):
                cluster.add_worker()
            cluster.wait_for_workers()
            ways[f"{count} dask workers"] = cluster.address
        return [_compared(name, each, ways, rounds) for name, each in work.items()]


class _Work(NamedTuple):
    run: Callable[[], Any]
    digest: Callable[[Any], str]
    """Of what it returns, not timed."""


def _compared(name: str, work: _Work, ways: Mapping[str, str], rounds: int) -> dict[str, Any]:
    """Return the median seconds of each way; each round takes every way once."""
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    found = set()
    for _ in range(rounds):
        for way, workers in ways.items():
            with use_workers(workers):
                found.add(work.digest(work.run()))  # workers start, import and compile
                begun = time.perf_counter()
                made = work.run()
                seconds[way].append(time.perf_counter() - begun)
                found.add(work.digest(made))
            _say(f"SYNTHETIC, {name} by {way}: {seconds[way][-1]:.1f} s")
    assert len(found) == 1, f"{name}: the results differ"
    median = {way: statistics.median(each) for way, each in seconds.items()}
    return {
        "work": name,
        **{f"{way}, s": value for way, value in median.items()},
        "1 to 2 processes, of linear": median["1 process"] / median["2 processes"] / 2,
        "1 to 2 dask workers, of linear": median["1 dask workers"] / median["2 dask workers"] / 2,
        "1 dask worker over serial": median["1 dask workers"] / median["serial"] - 1,
    }


def _end(params: Params, days: int) -> datetime:
    return params.dataset.simulate.start + timedelta(days=days)


def _features(params: Params, days: int, root: Path) -> _Work:
    spec, made = params.market.spec, params.dataset.simulate.model_dump() | {"end": _end(params, days)}
    tables = simulate(MarketRequest(symbols=params.dataset.symbols, **made)).tables
    tables["bars"] = resample_bars(tables.pop("fine_bars"), params.market.bar_interval)
    (root / "tables").mkdir()
    for symbol, rows in split_by_symbol(tables):
        write_symbol(symbol, rows, root / "tables")
    families = default_families(params.market.bar_interval, **params.features.of_the_library())
    engine = FeatureEngine(families, inputs=spec.inputs)

    def run() -> Path:
        write_feature_table(engine, spec, tables=root / "tables", out=root / "features")
        return root / "features"

    return _Work(run, lambda made: digest_of([sha256_of(path) for path in sorted(made.iterdir())]))


def _folds(params: Params, days: int) -> _Work:
    training, _ = training_set(params, end=_end(params, days))
    trainer = trainer_of(params)
    return _Work(lambda: trainer.predict_out_of_fold(training), values_digest)


def _campaign(days: int) -> _Work:
    """Markets as those of a campaign, each of two symbols and from the simulation to predictions out of fold."""
    markets = {f"market {seed}": {"seed": seed, "days": min(days, CAMPAIGN_DAYS)} for seed in range(4)}
    return _Work(lambda: list(run_tasks(_market, markets)), digest_of)


def _market(market: dict[str, int]) -> str:
    """Return the digest of the predictions on a market, in a process that reads the parameters itself."""
    params = load_params(ROOT / "params.yaml", "simulated")
    params = params.model_copy(
        update={"dataset": params.dataset.model_copy(update={"symbols": ["BTCUSDT", "ETHUSDT"]})}
    )
    training, _ = training_set(params, seed=market["seed"], end=_end(params, market["days"]))
    return values_digest(trainer_of(params).predict_out_of_fold(training))


def stages_of(params: Params, symbols: int, days: int, until: str, workers: str = "serial") -> dict[str, Any]:
    """Return what each stage takes on a market of a number of symbols, one after the other and in one process each.

    `workers` are those of its tasks.
    """
    names = [f"S{i:03d}USDT" for i in range(symbols)]
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        content = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        entry = content["datasets"]["simulated"]
        entry["symbols"], entry["simulate"]["end"] = names, _end(params, days).isoformat()
        entry["contract_facts"] = content["datasets"]["perp_bars_4h"]["contract_facts"] | {"venue": "simulated"}
        (root / "params.yaml").write_text(yaml.safe_dump(content | {"dataset": "simulated"}), encoding="utf-8")
        (root / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
        (root / "trials.jsonl").write_text("", encoding="utf-8")
        return {name: _stage(name, root, workers) for name in STAGES[: STAGES.index(until) + 1]}


def _stage(name: str, root: Path, workers: str = "serial") -> dict[str, float]:
    """Return what a stage takes; its workers are looked at several times per second."""
    by_worker = dict[int, float]()
    environment = {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "SLACKWATER_WORKERS": workers}
    with tempfile.TemporaryFile("w+", encoding="utf-8") as told:
        stage = subprocess.Popen(  # noqa: S603 -- a stage of this repository
            [sys.executable, "-c", _TIMED, name], cwd=root, env=os.environ | environment, stdout=told
        )
        while stage.poll() is None:
            by_worker |= {each: peak_mib(each) or by_worker.get(each, 0.0) for each in descendants(stage.pid)}
            time.sleep(0.2)
        told.seek(0)
        lines = told.read().splitlines()
    if stage.returncode:
        raise SystemExit(f"the stage {name} failed:\n" + "\n".join(lines[-20:]))
    by_worker.pop(stage.pid, None)
    return dict(json.loads(lines[-1])) | ({"largest worker": max(by_worker.values())} if by_worker else {})


def curve(points: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per stage: what it takes at each number of symbols, and the exponents between least and most."""
    rows = []
    for name in STAGES[1:]:
        cpu = {n: each[name]["cpu"] for n, each in points.items() if name in each}
        if not cpu:  # after that of `--until`
            continue
        row = {"stage": name, **{f"{n}, CPU-s": value for n, value in cpu.items()}}
        row |= {f"{n}, of it system": points[n][name]["system"] for n in cpu}
        row |= {f"{n}, MiB": points[n][name]["mib"] for n in cpu}
        if len(cpu) > 1:
            # From 5 symbols on, where there are: below, a stage imports and compiles more than it computes.
            low, high = next((n for n in cpu if n >= 5 and n < max(cpu)), min(cpu)), max(cpu)
            row["exponent"] = math.log(cpu[high] / cpu[low]) / math.log(high / low)
        rows.append(row)
    return rows


def by_workers(points: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per stage: seconds by workers, and peaks of the stage and of its largest worker."""
    rows = []
    for name in STAGES[1:]:
        row: dict[str, Any] = {"stage": name}
        for n, each in points.items():
            if name in each:
                row |= {f"{n}, s": each[name]["seconds"], f"{n}, MiB": each[name]["mib"]}
                row[f"{n}, largest worker, MiB"] = each[name].get("largest worker")
        rows.append(row)
    return rows


def main() -> None:
    """Measure what is not measured yet, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_scale", description=__doc__)
    parser.add_argument("--symbols", default=",".join(map(str, SYMBOLS)), help="numbers of symbols of the cost curve")
    parser.add_argument("--days", type=int, default=DAYS, help="length of the markets")
    parser.add_argument("--rounds", type=int, default=3, help="times that every way is measured; 0: no comparison")
    parser.add_argument("--until", default=STAGES[-1], choices=STAGES[1:], help="last stage of the cost curve")
    parser.add_argument("--workers", default="serial", help="processes that run the tasks of the cost curve, such as 2")
    given = parser.parse_args()
    params = load_params(ROOT / "params.yaml", "simulated")
    state = digest_of([code_digest(Path(__file__)), params.model_dump(mode="json"), given.days])
    found = read_json(OUT) if OUT.is_file() else {}
    if found.get("state") != state:
        found = {"state": state, "synthetic": True, "days": given.days, "processors": os.cpu_count(), "curve": {}}
    if given.rounds and found.get("rounds") != given.rounds:
        found["rounds"], found["workers"] = given.rounds, workers_compared(params, given.days, given.rounds)
        write_report(found, OUT)
    measured = found["curve"] if given.workers == "serial" else found.setdefault(f"by {given.workers}", {})
    for symbols in map(int, given.symbols.split(",")):
        if str(symbols) not in measured:
            _say(f"SYNTHETIC, {symbols} symbols over {given.days} days by {given.workers}")
            measured[str(symbols)] = stages_of(params, symbols, given.days, given.until, given.workers)
            write_report(found, OUT)
    points = dict(sorted((int(n), each) for n, each in measured.items()))
    _say(f"SYNTHETIC, {given.days} days, {os.cpu_count()} processors")
    if "workers" in found:
        _say(f"median of {found['rounds']}")
        _say(markdown_table(pd.DataFrame(found["workers"]).set_index("work").T.round(3).reset_index()))
    table = curve(points) if given.workers == "serial" else by_workers(points)
    _say(markdown_table(pd.DataFrame(table).round(2)))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
