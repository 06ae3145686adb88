"""Paper trading beside a mock venue: every fault of four venues, a hundred kills, and a month of ten symbols.

Run it with ``make campaigns``, or ``python -m campaigns.paper_trading faults`` (or ``kills``, ``month``) for a part. It
adds every result to ``campaigns/paper_trading.json`` as it comes, and continues with what is missing; results of other
sources are dropped. The seed of a run is its name. SYNTHETIC.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pandas as pd

from campaigns import paper_faults, paper_kills, paper_month
from campaigns.paper_faults import Result
from pipelines._closure import code_digest
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import read_json, write_report
from tests.paper_run import paper_bundle, paper_market

OUT: Final = Path(__file__).with_suffix(".json")


class Results:
    """Results of one part, kept in the file as they come."""

    def __init__(self, part: str, code: Path) -> None:
        self.part, self.code = part, code_digest(code)
        before = read_json(OUT).get(part, {}) if OUT.is_file() else {}
        self.found: dict[str, Result] = before.get("results", {}) if before.get("code_sha256") == self.code else {}

    def add(self, name: str, result: Result) -> None:
        """Keep a result, and say it on a line."""
        self.found[name] = result
        whole = read_json(OUT) if OUT.is_file() else {}
        write_report(whole | {self.part: {"code_sha256": self.code, "results": self.found}}, OUT)
        say(f"SYNTHETIC, {self.part}, {name}: {result}")


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def faults(place: Path) -> list[str]:
    """Run every fault of every venue."""
    results = Results("faults", Path(paper_faults.__file__))
    scorer, tables = account_of(place)
    for name in paper_faults.fault_names():
        if name not in results.found:
            results.add(name, paper_faults.fault_run(name, scorer, tables))
    missed = {name: paper_faults.shortfalls_of(name, found) for name, found in results.found.items()}
    return [f"{name}: {', '.join(what)}" for name, what in missed.items() if what]


def kills(place: Path) -> list[str]:
    """Kill a process that trades a hundred times."""
    results = Results("kills", Path(paper_kills.__file__))
    if "kills" not in results.found:
        results.add("kills", paper_kills.kills(place))
    return paper_kills.shortfalls_of(results.found["kills"])


def month(place: Path) -> list[str]:
    """Trade symbols for a month without sockets."""
    results = Results("month", Path(paper_month.__file__))
    name = f"{paper_month.SYMBOLS} symbols, {paper_month.DAYS} days"
    if name not in results.found:
        results.add(name, paper_month.month(place, say))
    return paper_month.shortfalls_of(results.found[name])


def account_of(place: Path) -> tuple[ReversalScorer, dict[str, pd.DataFrame]]:
    """Return a scorer and the market that it is tried on."""
    return ReversalScorer.load(paper_bundle(place / "bundle")), paper_market()


PARTS: Final[dict[str, Callable[[Path], list[str]]]] = {"faults": faults, "kills": kills, "month": month}


def main(*wanted: str) -> None:
    """Run the parts, or some of them; what is missing ends it with a list."""
    warnings.simplefilter("ignore")
    lacking: list[Any] = []
    for part in wanted or tuple(PARTS):
        with tempfile.TemporaryDirectory() as directory:
            lacking += PARTS[part](Path(directory))
    say(f"goals that were missed: {len(lacking)} {lacking}")
    raise SystemExit(bool(lacking))


if __name__ == "__main__":
    main(*sys.argv[1:])
