"""The same bytes, whoever runs the tasks: in one process, in two, and by two Dask workers of which one may be killed.

Run it with ``python -m campaigns.equal_bytes``; it takes about a quarter of an hour, goes on where it was stopped, and
writes ``campaigns/equal_bytes.json``. Every round simulates another small market, runs the stages from `validate`
to `sensitivity` in each of the four ways, and compares the digest of every file that they write.
SYNTHETIC markets.
"""

from __future__ import annotations

import io
import random
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from pipelines._closure import code_digest
from slackwater.parallel import TimeLeft, use_workers
from slackwater.storage import digest_of, read_json, write_report
from tests.dask_cluster import Cluster
from tests.small_run import make_small_run
from tests.worker_runs import KillsAt, digests

ROUNDS: Final = 20
OUT: Final = Path(__file__).with_suffix(".json")
_MOMENTS: Final = (
    *("validate: ", "features: ", "label: ", "train: "),
    *("train: fold ", "train: fold 3 of", "train: fold 2 of"),
)
"""Beginnings of lines of the stages at which a worker is killed."""


def one_round(number: int) -> dict[str, Any]:
    """Return the number of files that a round has written, those that differ by way, and when a worker was killed."""
    draws = random.Random(number)  # noqa: S311 -- no secret
    moment, victim = draws.choice(_MOMENTS), draws.randrange(2)
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        tables = make_small_run(root / "tables", "configure", "ingest", "validate", days=160 + number)
        found = {}
        for way in ("serial", "2"):
            with use_workers(way):
                found[way] = digests(tables, root / f"by-{way}", io.StringIO())
        with Cluster(root / "cluster") as cluster:
            workers = [cluster.add_worker(), cluster.add_worker()]
            cluster.wait_for_workers()
            with use_workers(cluster.address, tell=lambda line: None):
                found["2 dask workers"] = digests(tables, root / "by-dask", io.StringIO())
                killing = KillsAt(moment, workers[victim].kill)
                found["2 dask workers, one killed"] = digests(tables, root / "by-one", killing)
            if not killing.done or workers[victim].wait() != -9:
                raise SystemExit(f"round {number}: no worker was killed at {moment!r}")
    wanted = found.pop("serial")
    differing = {way: [name for name in wanted if each.get(name) != wanted[name]] for way, each in found.items()}
    extra = {way: sorted(set(each) - set(wanted)) for way, each in found.items()}
    return {
        "files": len(wanted),
        "differing": {way: [*names, *extra[way]] for way, names in differing.items()},
        "killed_at": moment,
    }


def main() -> None:
    """Run the rounds that have not been run yet by this code."""
    state = digest_of([code_digest(Path(__file__)), ROUNDS])
    held = read_json(OUT) if OUT.is_file() else {}
    rounds = held["rounds"] if held.get("state") == state else []
    left = TimeLeft()
    before = len(rounds)
    for number in range(before, ROUNDS):
        rounds.append(one_round(number))
        write_report({"state": state, "synthetic": True, "rounds": rounds}, OUT)
        done = number + 1
        sys.stdout.write(f"SYNTHETIC, round {done} of {ROUNDS}, {left.after(done - before, ROUNDS - before)}\n")
        sys.stdout.flush()
    differing = sum(len(names) for each in rounds for names in each["differing"].values())
    files = sum(each["files"] * len(each["differing"]) for each in rounds)
    sys.stdout.write(
        f"SYNTHETIC, {len(rounds)} rounds: {differing} of {files} files differ from those of one process\n"
    )
    if differing:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
