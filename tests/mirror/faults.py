"""Fetch through a bad network, again and again, until all is there; and watch that nothing partial is ever seen."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from slackwater.errors import MissingDataError, SourceError
from slackwater.sources.fetch import fetch
from slackwater.sources.http import Politeness
from slackwater.sources.request import FetchRequest
from slackwater.storage import sha256_of
from tests.mirror.server import FAULTS, Mirror

SLACKWATER = str(Path(sys.executable).parent / "slackwater")
#: Waits short enough for a test; the order of events is what it is with long ones.
QUICK = Politeness(attempts=6, first_wait=0.01, longest_wait=0.05, timeout=1.0)
PARQUET_END = b"PAR1"


@dataclass
class BadNetwork:
    """Spoils a share of the requests, by a seed."""

    seed: int
    share: float
    active: bool = True
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def __call__(self, path: str, number: int) -> str | None:
        if self.active and self._random.random() < self.share:
            return self._random.choice(FAULTS)
        return None


class Watch:
    """Looks at a directory all the time: it must be absent, or whole."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.looks = 0
        self.partial: list[str] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(0.002):
            self.looks += 1
            try:
                manifest = json.loads((self.out / "fetch.json").read_text(encoding="utf-8"))
                for table in manifest["tables"].values():
                    with (self.out / table["file"]).open("rb") as file:
                        file.seek(-4, 2)
                        if file.read() != PARQUET_END:
                            self.partial.append(f"{table['file']} has no end")
            except FileNotFoundError:
                # Absent, or changing places just now; a directory without a manifest would be a part of one.
                names = [path.name for path in self.out.iterdir()] if self.out.is_dir() else []
                if names and "fetch.json" not in names:
                    self.partial.append(f"{names} without a manifest")
            except (ValueError, OSError) as error:
                self.partial.append(repr(error))


def digests(out: Path) -> dict[str, str]:
    return {path.name: sha256_of(path) for path in sorted(out.glob("*.parquet"))}


def whole(manifest: dict[str, object]) -> bool:
    """Whether nothing is missing but what the mirror really lacks."""
    return not manifest["missing"] and not manifest["refused"]


def request(days: tuple[str, str], symbols: tuple[str, ...], tables: tuple[str, ...]) -> FetchRequest:
    first, last = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in days)
    return FetchRequest(venue="binance", symbols=symbols, start=first, end=last, tables=tables)


def fetch_until_whole(
    wanted: FetchRequest, out: Path, mirror: Mirror, network: BadNetwork, *, most_runs: int = 12
) -> Counter[str]:
    """Fetch through the bad network until all is there; the last run is through a good one."""
    ends: Counter[str] = Counter()
    for run in range(most_runs):
        network.active = run < most_runs - 1
        try:
            manifest = fetch(wanted, out, mirror=mirror.url, politeness=QUICK)
        except (SourceError, MissingDataError) as error:
            ends[type(error).__name__] += 1
            continue
        ends["whole" if whole(manifest) else "with gaps"] += 1
        if whole(manifest):
            break
    return ends


def fetch_and_kill(wanted: FetchRequest, out: Path, mirror: Mirror, *, after: float) -> bool:
    """Start the command, kill it with -9 that many seconds after its first request; whether it was still running."""
    seen = len(mirror.requests)
    command = [
        *(SLACKWATER, "fetch", "--venue", wanted.venue, "--symbols", ",".join(wanted.symbols)),
        *("--from", wanted.start.isoformat(), "--to", wanted.end.isoformat(), "--tables", ",".join(wanted.wanted)),
        *("--out", str(out), "--mirror", mirror.url, "--delay", "0"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while len(mirror.requests) == seen and process.poll() is None:
            time.sleep(0.005)
        try:
            process.wait(after)
        except subprocess.TimeoutExpired:
            return True
        return False
    finally:
        process.kill()
        process.wait()
