"""Fetches on a bad network: hundreds of faults and kills against the mirror, and the tables compared byte by byte.

Run it with ``python -m campaigns.archive_faults``; it takes a few minutes and writes its result to
``campaigns/archive_faults.json``. The files are made up by the mirror of the tests, in the native formats.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from slackwater.sources.fetch import fetch
from slackwater.storage import write_report
from tests.mirror.faults import (
    QUICK,
    BadNetwork,
    Watch,
    digests,
    fetch_and_kill,
    fetch_until_whole,
    request,
)
from tests.mirror.server import Mirror, running

ROUNDS = 12
KILLS = 24
GOAL_FAULTS = 200
OUT = Path(__file__).with_suffix(".json")
TABLES = ("fine_bars", "mark_price", "premium_index", "open_interest", "long_short_ratio", "funding", "large_trades")
WANTED = request(("2024-01-05", "2024-01-09"), ("BTCUSDT", "ETHUSDT"), TABLES)


def campaign(root: Path) -> dict[str, Any]:
    """Run all rounds and return their results."""
    with running(Mirror()) as mirror:
        fetch(WANTED, root / "good" / "out", mirror=mirror.url, politeness=QUICK)
    good = digests(root / "good" / "out")
    injected: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    equal, looks, partial = 0, 0, 0
    for seed in range(ROUNDS):
        network = BadNetwork(seed=seed, share=0.35)
        out = root / f"faults-{seed}" / "out"
        with running(Mirror(faults=network)) as mirror, Watch(out) as watch:
            ends += fetch_until_whole(WANTED, out, mirror, network)
        injected += mirror.injected
        equal += digests(out) == good
        looks, partial = looks + watch.looks, partial + len(watch.partial)
        sys.stdout.write(f"round {seed}: {sum(mirror.injected.values())} faults, equal: {digests(out) == good}\n")
        sys.stdout.flush()
    moments = random.Random(1)  # noqa: S311 no secret
    killed, equal_after_kills, continued = 0, 0, 0
    for number in range(KILLS // 4):
        network = BadNetwork(seed=100 + number, share=0.1)
        out = root / f"kills-{number}" / "out"
        with running(Mirror(faults=network, chunk_pause=0.004)) as mirror, Watch(out) as watch:
            for _ in range(4):
                killed += fetch_and_kill(WANTED, out, mirror, after=moments.uniform(0.02, 1.2))
            ends += fetch_until_whole(WANTED, out, mirror, network)
        injected += mirror.injected
        continued += sum("range" in headers for _, headers in mirror.requests)
        equal_after_kills += digests(out) == good
        looks, partial = looks + watch.looks, partial + len(watch.partial)
        sys.stdout.write(f"kills {number}: {killed} so far, equal: {digests(out) == good}\n")
        sys.stdout.flush()
    return {
        "faults": sum(injected.values()),
        "goal_faults": GOAL_FAULTS,
        "faults_by_kind": dict(sorted(injected.items())),
        "rounds": ROUNDS,
        "rounds_with_equal_tables": equal,
        "kills": killed,
        "kill_rounds": KILLS // 4,
        "kill_rounds_with_equal_tables": equal_after_kills,
        "downloads_continued": continued,
        "runs_by_end": dict(sorted(ends.items())),
        "looks_at_the_directory": looks,
        "partial_tables_seen": partial,
        "tables": len(good),
    }


def main() -> None:
    """Run the campaign and write its result."""
    with tempfile.TemporaryDirectory() as root:
        answer = campaign(Path(root))
    write_report(answer, OUT)
    sys.stdout.write(
        f"{answer['faults']} faults and {answer['kills']} kills; tables equal in "
        f"{answer['rounds_with_equal_tables']} of {ROUNDS} rounds, and in "
        f"{answer['kill_rounds_with_equal_tables']} of {KILLS // 4} rounds of kills; "
        f"partial tables seen: {answer['partial_tables_seen']}: {OUT.name}\n"
    )


if __name__ == "__main__":
    main()
