"""A whole run of a data set in a fresh clone: seconds, and the memory of its largest process and of all together.

``python -m benchmarks.bench_run perp_bars_4h --workers 2``; the data set lies in ``data/external`` of this repository.
Memory is the proportional set size, in which a page that several processes share counts once.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import descendants, proportional_mib
from slackwater.storage import read_json

ROOT = Path(__file__).parent.parent
_EVERY = 0.3


def main() -> None:
    """Run the data set and print what it took."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench_run", description=__doc__)
    parser.add_argument("dataset", help="entry of `datasets` in params.yaml")
    parser.add_argument("--workers", default="serial", help="as SLACKWATER_WORKERS; workers of a cluster do not count")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        clone = Path(place, "clone")
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)  # noqa: S603, S607
        if (ROOT / "data" / "external").is_dir():
            (clone / "data").mkdir(exist_ok=True)
            (clone / "data" / "external").symlink_to(ROOT / "data" / "external")
        params = clone / "params.yaml"
        text, changed = re.subn(r"^dataset: \w+", f"dataset: {given.dataset}", params.read_text("utf-8"), flags=re.M)
        assert changed == 1
        params.write_text(text, "utf-8")
        environment = {"PYTHONPATH": f"{clone / 'src'}{os.pathsep}{clone}", "SLACKWATER_WORKERS": given.workers}
        begun, most, together = time.perf_counter(), 0.0, 0.0
        with subprocess.Popen(
            [sys.executable, "-m", "pipelines._repro"], cwd=clone, env=os.environ | environment
        ) as run:
            while run.poll() is None:
                held = [proportional_mib(process) for process in descendants(run.pid)]
                most, together = max(most, *held), max(together, sum(held))
                time.sleep(_EVERY)
        seconds = time.perf_counter() - begun
        if run.returncode:
            raise SystemExit(f"the run of {given.dataset} failed")
        verdict = read_json(clone / "reports" / "verdict.json")["verdict"]
    sys.stdout.write(
        f"{given.dataset} by {given.workers}: {seconds:.0f} s; the largest process {most:,.0f} MiB, all together "
        f"{together:,.0f} MiB; verdict {verdict}\n"
    )


if __name__ == "__main__":
    main()
