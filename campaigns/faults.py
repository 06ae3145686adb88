"""Kills and poor machines: every fault is followed by `make repro` alone, and the outputs must be those of before.

Run it with ``make faults``. It works in a small copy of the repository with a simulated data set of two symbols, and
adds every result to ``campaigns/faults.json`` as it comes: a run that was stopped continues with what is missing, in a
new copy or in the directory that is given as an argument. Results of other sources are dropped. The seed of a fault is
its name.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import yaml

from pipelines._closure import ROOT, code_digest, stage_files
from pipelines._stage import Stage
from slackwater.storage import read_json, write_report

OUT = Path(__file__).with_suffix(".json")
KILLS, KILLS_OF_TRACK, KILLS_OF_FIRST_TRACK = 5, 30, 10
SMALL = {
    "source": "simulate",
    "venue": "simulated",
    "symbols": ["BTCUSDT", "ETHUSDT"],
    "simulate": {
        "start": "2023-01-01T00:00:00Z",
        "end": "2023-05-20T00:00:00Z",
        "seed": 20230101,
        "signal": 0.4,
        "whale_signal": 0.5,
    },
    "validation": {"min_train": "60d", "test": "20d"},
    "model": {"n_estimators": 20},
    "evaluation": {"draws": 100},
}
SET_BACK = (  # the clock of a process, 400 days ago
    "import time\n_now, _now_ns = time.time, time.time_ns\n"
    "time.time = lambda: _now() - 400 * 86_400\ntime.time_ns = lambda: _now_ns() - 400 * 86_400 * 10**9\n"
)
Result = dict[str, Any]


def copied() -> list[str]:
    """Return what a run needs: code, settings, and the files that a stage reads and no stage makes."""
    code = ["src", "pipelines", "datasets", "dvc.yaml", "params.yaml", ".gitignore", ".dvcignore"]
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    made = {
        next(iter(out)) if isinstance(out, dict) else out
        for stage in stages
        for out in (*stage["outs"], *stage.get("metrics", []))
    }
    read = {dep for stage in stages for dep in stage["deps"]} - made
    return [*code, *sorted(dep for dep in read if not any(Path(dep).is_relative_to(name) for name in code))]


class Workshop:
    """A small copy of the repository with one finished run, and the digests of its outputs."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        self._copy_repository()
        measured = root / "state" / "seconds.json"
        self.seconds: dict[str, float] = read_json(measured) if measured.is_file() else {}
        for stage in STAGES:
            since = time.monotonic()
            done = self.repro(stage)
            self.seconds.setdefault(stage, time.monotonic() - since)
            if done.returncode:
                raise SystemExit(f"the run before all faults failed at {stage}:\n{done.stdout}{done.stderr}")
            say(f"before all faults: {stage}, {self.seconds[stage]:.1f} s")
        write_report(self.seconds, measured)
        self.good = {stage: self.digest(stage) for stage in STAGES}

    def _copy_repository(self) -> None:
        """Copy what a run needs; the files of an earlier copy are replaced, its outputs stay."""
        for name in copied():
            if (ROOT / name).is_dir():
                shutil.rmtree(self.root / name, ignore_errors=True)
                shutil.copytree(ROOT / name, self.root / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (self.root / name).parent.mkdir(exist_ok=True)
                shutil.copy(ROOT / name, self.root / name)
        (self.root / ".dvc").mkdir(exist_ok=True)
        shutil.copy(ROOT / ".dvc" / "config", self.root / ".dvc")
        (self.root / "datasets" / "small.yaml").write_text(yaml.safe_dump(SMALL))
        params = (self.root / "params.yaml").read_text(encoding="utf-8")
        (self.root / "params.yaml").write_text(params.replace("dataset: simulated ", "dataset: small ", 1))
        self.run("git", "init", "-q")

    def run(self, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command in the copy."""
        environment = options.pop("env", self.environment)
        return subprocess.run(  # noqa: S603
            command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=900, **options
        )

    def repro(self, *what: str) -> subprocess.CompletedProcess[str]:
        """Run what `make repro` runs, up to a stage."""
        return self.run(sys.executable, "-m", "pipelines._repro", *what)

    def stage(self, stage: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a stage without DVC."""
        return self.run(sys.executable, "-m", f"pipelines.{stage}", **options)

    def digest(self, stage: str) -> str:
        """Return the digest of the outputs of a stage, without the id of the run."""
        digest = hashlib.sha256()
        for out in OUTS[stage]:
            place = self.root / out
            files = sorted(path for path in (place.rglob("*") if place.is_dir() else [place]) if path.is_file())
            for path in files if out != "state/run_id.txt" else []:
                digest.update(path.relative_to(self.root).as_posix().encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    def runs(self) -> Result:
        """Return how the runs in the database ended, and whether each has a version and its id is written."""
        if not (self.root / "mlflow.db").is_file():
            return {"one_whole_run": False}
        with closing(sqlite3.connect(self.root / "mlflow.db")) as database:
            ends = database.execute("SELECT run_uuid, status FROM runs").fetchall()
            versions = [run for (run,) in database.execute("SELECT run_id FROM model_versions")]
        finished = [run for run, status in ends if status == "FINISHED"]
        written = (self.root / "state/run_id.txt").read_text().strip()
        return {"one_whole_run": [written] == finished == versions and all(end != "RUNNING" for _, end in ends)}

    def recovered(self, stage: str) -> Result:
        """Run `make repro` once, and return whether all is as before."""
        done = self.repro(stage)
        left = [
            path for path in self.root.rglob(".*.????????*") if ".dvc" not in path.parts and "src" not in path.parts
        ]
        found = {"repro": done.returncode, "same": self.digest(stage) == self.good[stage], "leftovers": len(left)}
        return found | (self.runs() if stage == "track" else {})


def kill(shop: Workshop, stage: str, draws: random.Random, *, first: bool = False) -> Result:
    """Kill DVC and a stage with all its processes at a random moment."""
    if first:
        for path in (*shop.root.glob("mlflow.db*"), shop.root / "state/run_id.txt"):
            path.unlink(missing_ok=True)
    share = draws.uniform(0.0, 1.1)
    process = subprocess.Popen(  # noqa: S603
        ["dvc", "repro", "--force", "--single-item", stage],  # noqa: S607
        cwd=shop.root,
        env=shop.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        process.wait(timeout=share * shop.seconds[stage])
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return {"moment": round(share, 3)} | shop.recovered(stage)


def poor(shop: Workshop, stage: str, **options: Any) -> Result:
    """Run a stage on a poor machine: it works, or ends in one sentence."""
    done = shop.stage(stage, **options)
    sentence = done.returncode == 1 and "Traceback" not in done.stderr and " failed: " in done.stderr
    return {"ended_well": done.returncode == 0, "one_sentence": sentence} | shop.recovered(stage)


def limited(kind: int, amount: int) -> Callable[[], None]:
    """Return what sets a limit in a new process."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(kind, (amount, amount))

    return limit


@contextmanager
def locked(database: Path, seconds: float) -> Iterator[None]:
    """Hold a database for some seconds from another process."""
    code = (
        "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); time.sleep(float(sys.argv[2])); c.execute('COMMIT')"
    )
    command = [sys.executable, "-c", code, str(database), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:  # noqa: S603
        if holder.stdout is not None:
            holder.stdout.readline()
        try:
            yield
        finally:
            holder.kill()


def disk(shop: Workshop, stage: str, draws: random.Random) -> Result:
    """Let no file grow beyond some kilobytes: a disk that fills up while a stage writes."""
    return poor(shop, stage, preexec_fn=limited(resource.RLIMIT_FSIZE, draws.randint(0, 40_000)))


def memory(shop: Workshop, stage: str, draws: random.Random) -> Result:
    """Let a stage have little memory."""
    return poor(shop, stage, preexec_fn=limited(resource.RLIMIT_AS, draws.randint(600, 2_500) * 1_000_000))


def lock(shop: Workshop, stage: str, draws: random.Random) -> Result:
    """Hold the database while the stage starts."""
    with locked(shop.root / "mlflow.db", draws.choice([5.0, 12.0, 600.0])):
        done = shop.stage(stage)
    sentence = done.returncode == 1 and "Traceback" not in done.stderr and "locked" in done.stderr
    return {"ended_well": done.returncode == 0, "one_sentence": sentence} | shop.recovered(stage)


def clock(shop: Workshop, stage: str, draws: random.Random) -> Result:
    """Set the clock back by more than a year."""
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "sitecustomize.py").write_text(SET_BACK)
        return poor(shop, stage, env=shop.environment | {"PYTHONPATH": place})


def homeless(shop: Workshop, stage: str, draws: random.Random) -> Result:
    """Take HOME away, or let it be none."""
    kept = {key: value for key, value in shop.environment.items() if key not in ("HOME", "XDG_CACHE_HOME")}
    return poor(shop, stage, env=kept | draws.choice([{}, {"HOME": "/dev/null"}]))


def twice(shop: Workshop, stage: str, draws: random.Random) -> Result:
    """Run a stage in two processes at once."""
    command = [sys.executable, "-m", f"pipelines.{stage}"]
    both = [subprocess.Popen(command, cwd=shop.root, env=shop.environment, stdout=subprocess.DEVNULL) for _ in "ab"]  # noqa: S603
    return {"ends": [process.wait() for process in both]} | shop.recovered(stage)


def half_written_lock(shop: Workshop, stage: str, draws: random.Random) -> Result:
    """Leave DVC's table of locks as a kill leaves it."""
    (shop.root / ".dvc/tmp/rwlock").write_text(draws.choice(["", "{", '{"read": {"']))
    return shop.recovered(stage)


STAGES = list(yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"])


def outs_of_stages() -> dict[str, list[str]]:
    """Return the outputs of every stage."""
    os.chdir(ROOT)
    return {name: Stage(name).outs for name in STAGES}


OUTS = outs_of_stages()


def faults() -> Iterator[tuple[str, Callable[[Workshop, random.Random], Result]]]:
    """Yield the name of every fault, which is its seed, and what it does."""
    for stage in reversed(STAGES):
        for number in range(KILLS_OF_TRACK if stage == "track" else KILLS):
            first = stage == "track" and number < KILLS_OF_FIRST_TRACK
            yield f"kill {stage} {number}", lambda shop, draws, s=stage, f=first: kill(shop, s, draws, first=f)
    others: Mapping[Callable[..., Result], tuple[int, list[str]]] = {
        disk: (1, STAGES),
        memory: (2, STAGES),
        lock: (3, ["track"]),
        clock: (1, ["ingest", "export", "track"]),
        homeless: (2, ["features", "track"]),
        twice: (2, ["track"]),
        half_written_lock: (2, ["track"]),
    }
    for fault, (times, stages) in others.items():
        for stage in stages:
            for number in range(times):
                yield f"{fault.__name__} {stage} {number}", lambda shop, draws, f=fault, s=stage: f(shop, s, draws)


def shortfalls(results: Mapping[str, Result]) -> list[str]:
    """Return the faults after which something was missing, or was said in another way than in one sentence."""
    return [
        name
        for name, found in results.items()
        if found["repro"] != 0
        or not found["same"]
        or found["leftovers"]
        or not found.get("one_whole_run", True)
        or not (found.get("ended_well", True) or found.get("one_sentence", True))
        or any(found.get("ends", []))
    ]


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Inject the faults whose results are missing, and write each result as it comes."""
    code = code_digest(*stage_files(), Path(__file__))
    before = read_json(OUT) if OUT.is_file() else {}
    results: dict[str, Result] = before.get("results", {}) if before.get("code_sha256") == code else {}
    missing = [(name, fault) for name, fault in faults() if name not in results]
    say(f"{len(results)} results are there, {len(missing)} faults to come")
    if missing:
        with tempfile.TemporaryDirectory() as place:
            shop = Workshop(Path(sys.argv[1] if len(sys.argv) > 1 else place).resolve())
            for name, fault in missing:
                results[name] = fault(shop, random.Random(name))  # noqa: S311 no secret
                say(f"{name}: {results[name]}")
                write_report({"code_sha256": code, "results": results}, OUT)
    kills = sum(name.startswith("kill ") for name in results)
    lacking = shortfalls(results)
    say(f"{len(results)} faults, {kills} of them kills; repairs by hand: {len(lacking)} {lacking}")
    raise SystemExit(bool(lacking))


if __name__ == "__main__":
    main()
