"""Kills of a process that writes a journal: what was acknowledged is there, once, and the chain holds.

Run it with ``python -m campaigns.journal_kills``; it takes less than a minute and writes its result to
``campaigns/journal_kills.json``. Every writer is a process of its own that is ended by SIGKILL at a random moment:
while it makes the journal, adds one event, adds many together, or tells of its success.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from slackwater.journal.chain import verify_chain
from slackwater.journal.event import Event, Kind, Origin
from slackwater.journal.store import reading, writing

KILLS = 300
KILLS_OF_FIRST = 100
BATCH = 40
START_NS = 1_700_000_000 * 10**9
OUT = Path(__file__).with_suffix(".json")
ORIGIN = Origin(account="kills", synthetic=True)


def event(number: int) -> Event:
    """Return the event of a number."""
    content = {"table": "bars", "rule": "gap", "message": f"number {number}, {'x' * (number % 997)}"}
    key, time_ns = f"data_fault/{number}", START_NS + number
    return Event(kind=Kind.DATA_FAULT, key=key, ts_ns=time_ns, symbol="BTCUSDT", origin=ORIGIN, payload=content)


def write_on(journal: Path, told: Path) -> None:
    """Add events from the last acknowledged one on, and tell of each success; batches begin at multiples of `BATCH`."""
    out = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with writing(journal, by="campaign of kills") as writer:
        number = acknowledged(told)
        while True:
            if number % (3 * BATCH) == 0:
                writer.append_all(event(each) for each in range(number, number + BATCH))
                number += BATCH
            else:
                writer.append(event(number))
                number += 1
            os.write(out, b"%d\n" % number)


def acknowledged(told: Path) -> int:
    """Return the number of events of whose success a writer has told."""
    lines = told.read_bytes().split(b"\n")[:-1] if told.exists() else []
    return int(lines[-1]) if lines else 0


def killed(work: Callable[[], None], wait: Callable[[], None]) -> None:
    """Start some work in a process of its own, and end it with SIGKILL after a wait."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    wait()
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit(f"a writer ended by itself, status {status}")


def found(journal: Path, told: Path) -> dict[str, int]:
    """Return what is in a journal after a kill: numbers of events that are lost, doubled, torn or not yet told of."""
    expected = acknowledged(told)
    if not journal.exists() or not journal.stat().st_size:
        return {"lost": expected, "doubled": 0, "torn": 0, "untold": 0}
    try:
        with reading(journal) as stored:
            events = verify_chain(stored).events
            keys = [int(key.split("/")[1]) for (key,) in stored.rows("SELECT key FROM event ORDER BY id")]
    except Exception:
        if expected:
            raise
        return {"lost": 0, "doubled": 0, "torn": 0, "untold": 0}  # a database without a schema: nothing was told of
    untold = events - expected
    whole = untold in (0, BATCH) if expected % (3 * BATCH) == 0 else untold in (0, 1)
    return {
        "lost": len(set(range(expected)) - set(keys)),
        "doubled": len(keys) - len(set(keys)),
        "torn": int(not whole or keys != list(range(events))),
        "untold": int(untold > 0),
    }


def campaign(root: Path, *, kills: int, first: int, seed: int = 1) -> dict[str, Any]:
    """Kill writers of one journal, and writers that make a journal; return what was found."""
    draws = random.Random(seed)  # noqa: S311 no secret
    totals = {"lost": 0, "doubled": 0, "torn": 0, "untold": 0}

    def count(journal: Path, told: Path) -> None:
        for name, number in found(journal, told).items():
            totals[name] += number

    for number in range(first):
        journal, told = root / f"first-{number}.db", root / f"first-{number}.txt"
        killed(partial(write_on, journal, told), lambda: time.sleep(draws.uniform(0.0, 0.06)))
        count(journal, told)
    journal, told = root / "journal.db", root / "told.txt"
    for _ in range(kills):
        before = acknowledged(told)

        def until_it_writes(before: int = before) -> None:
            while acknowledged(told) == before:
                time.sleep(0.001)
            time.sleep(draws.uniform(0.0, 0.03))

        killed(partial(write_on, journal, told), until_it_writes)
        count(journal, told)
    return {
        "kills": kills + first,
        "kills_while_making": first,
        "events": acknowledged(told),
        "acknowledged_events_lost": totals["lost"],
        "events_doubled": totals["doubled"],
        "batches_torn_or_out_of_order": totals["torn"],
        "kills_between_commit_and_acknowledgement": totals["untold"],
    }


def main(kills: int = KILLS, first: int = KILLS_OF_FIRST) -> None:
    """Run the campaign and write its result; with two numbers, run a smaller one and print its result."""
    small = (kills, first) != (KILLS, KILLS_OF_FIRST)
    with tempfile.TemporaryDirectory() as directory:
        result = campaign(Path(directory), kills=kills, first=first)
    if small:
        sys.stdout.write(json.dumps(result) + "\n")
        return
    from slackwater.storage import write_report  # pandas starts threads, and processes were forked until here

    write_report(result, OUT)
    sys.stdout.write(f"{json.dumps(result, indent=2)}\nwritten: {OUT}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
