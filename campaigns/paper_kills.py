"""Kills of a process that trades on paper: whatever it was told of is there, once, and it decides as if nothing was.

A part of ``python -m campaigns.paper_trading``. Each trader is a process of its own beside ``slackwater venue serve``,
ended by SIGKILL at a random moment: while it continues, connects, scores, trades, or writes. SYNTHETIC.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pandas as pd

from campaigns.paper_faults import journal_counts, reconciled
from slackwater.journal.event import Kind
from slackwater.journal.store import reading
from slackwater.paper.reconcile.reconcile import reconcile
from slackwater.paper.stored_account import PaperSettings, StoredAccount
from slackwater.paper.watch import watch
from slackwater.scoring.scorer import ReversalScorer
from slackwater.storage import write_tables
from tests.paper_run import AFTER, before, paper_bundle, paper_market

__all__ = ["KILLS", "kills", "shortfalls_of"]

KILLS: Final = 105
_EASY: Final = {
    # A kill leaves a gap in the liquidations, whose features are unknown for hours: the gate would refuse everything.
    "entry": {"probability_threshold": 0.0, "in_range_features": False, "complete_features": False},
    "rules": {"risk_fraction": 0.01, "min_expectancy": None, "kelly_fraction": None, "min_reward_risk": 0.2},
}
"""Rules that let trades pass between kills: what is tried here is whether one is lost or there twice."""
SPEED: Final = 30
HOURS: Final = 30.0
MEAN_LIFE: Final = 20.0
"""Seconds that a process lives on average, half a second at least."""
LAST_LIFE: Final = 20.0


@contextmanager
def served(place: Path, tables: dict[str, pd.DataFrame], start: pd.Timestamp, end: pd.Timestamp) -> Iterator[str]:
    """Serve tables as Binance in a process of its own, and give the address."""
    write_tables(tables, place / "tables")
    command = [sys.executable, "-c", "from slackwater.cli import main; main()", "venue", "serve"]
    command += ["--tables", str(place / "tables"), "--speed", str(SPEED)]
    command += ["--from", start.isoformat(), "--to", end.isoformat()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        try:
            line = "" if server.stdout is None else server.stdout.readline()
            while line and " on http" not in line:
                line = "" if server.stdout is None else server.stdout.readline()
            yield line.split(" on ")[1].split(" with ")[0]
        finally:
            server.terminate()


def trade(settings: PaperSettings, scorer: ReversalScorer, told: Path, seconds: float | None) -> None:
    """Continue an account, and tell of each event in the journal; end well after some seconds, if any are given."""
    out = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    account = StoredAccount(settings, scorer, lambda events: _tell(out, [event.key for event in events]))
    account.open(pd.Timestamp(0, tz="UTC"))  # it continues: this time is that of no account

    async def run() -> None:
        running = asyncio.create_task(watch(account))
        await asyncio.wait([running], timeout=seconds)
        if running.done():
            running.result()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(run())


def _tell(out: int, keys: list[str]) -> None:
    os.write(out, "".join(f"{key}\n" for key in keys).encode())


def in_a_process(work: Callable[[], None], life: float | None) -> int:
    """Run some work in a process of its own; kill it after its life, or wait for its end; return its status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException:  # what went wrong is said, and the campaign stops
            traceback.print_exc()
        finally:
            os._exit(status)
    if life is not None:
        time.sleep(life)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def kills(place: Path, number: int = KILLS) -> dict[str, Any]:
    """Kill traders of one account, let the last one end well, and return what is in log and journal."""
    draws = random.Random("kills")  # noqa: S311 no secret
    scorer = ReversalScorer.load(paper_bundle(place / "bundle", trading=_EASY))
    tables = paper_market()
    end = tables["bars"]["event_time"].max() - AFTER
    start = end - timedelta(hours=HOURS)
    told = place / "told.txt"
    with served(place, tables, start, end) as address:
        settings = PaperSettings(
            directory=place / "paper",
            journal=place / "journal.db",
            venue="binance",
            symbols=("BTCUSDT", "ETHUSDT"),
            server=address,
        )
        account = StoredAccount(settings, scorer)
        account.open(start, before(tables, start))
        account.close()
        for _ in range(number):
            life = 0.5 + draws.expovariate(1.0 / (MEAN_LIFE - 0.5))
            status = in_a_process(lambda: trade(settings, scorer, told, None), life)
            if not os.WIFSIGNALED(status):
                raise SystemExit(f"a trader ended by itself, status {status}")
        if status := in_a_process(lambda: trade(settings, scorer, told, LAST_LIFE), None):
            raise SystemExit(f"the last trader did not end well, status {status}")
    answer = reconcile(settings.directory, settings.journal, scorer, tables)
    found = reconciled(answer) | journal_counts(settings.journal)
    with reading(settings.journal) as held:
        keys = {key for (key,) in held.rows("SELECT key FROM event")}
        by_kind = dict(held.rows("SELECT kind, count(*) FROM event GROUP BY kind ORDER BY kind"))
    journal = [each for each in answer.differences if each.what == "journal"]
    return found | {
        "kills": number,
        "hours_of_the_venue": round((answer.end - answer.start) / pd.Timedelta(hours=1), 1),
        "events_by_kind": {Kind(kind).value: count for kind, count in by_kind.items()},
        "told_and_lost": len(set(told.read_text().split("\n")[:-1]) - keys),
        "journal_and_log_differ": len(journal),
    }


def shortfalls_of(found: dict[str, Any]) -> list[str]:
    """Return what of the goals was missed."""
    names = ("unexplained", "doubled_rows", "doubled_plans", "told_and_lost", "journal_and_log_differ")
    return [f"kills: {name}" for name in names if found[name]]
