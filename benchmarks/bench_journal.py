"""A journal of a million events: the walk along its chain, and a review of it.

Run ``make bench``, or ``pytest benchmarks/bench_journal.py -s`` for this part; it takes minutes, most of them to write
the journal. A third of the events are scores with 200 features, a third refusals, a third results of refused trades.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.record import Recorder, cpu_seconds
from slackwater.evidence.resampling import Resampling
from slackwater.journal.chain import verify_chain
from slackwater.journal.event import FIELDS, Event, Kind, Origin, epoch_ns, trade_id
from slackwater.journal.review import review_account
from slackwater.journal.store import reading, writing

EVENTS = 1_000_000
MINUTE_NS = 60 * 10**9
ORIGIN = Origin(account="backtest-bench", synthetic=True)
CODES = ("expected_value_too_low", "probability_below_threshold", "position_open", "out_of_distribution", "throttled")
START = pd.Timestamp("2023-01-01", tz="UTC")
STEP = timedelta(minutes=3)
BLANK = {kind: dict.fromkeys(names) for kind, names in FIELDS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared(Event):
    """An event whose payload is text already: the benchmark is of reading."""

    text: str

    def payload_json(self) -> str:
        return self.text


def prepared(trade: str, time_ns: int, base: str, kind: Kind, text: str, later: int = 0) -> Event:
    key, text = f"{kind}/{trade}", f"{{{base},{text}}}"
    common = {"symbol": "BTCUSDT", "origin": ORIGIN, "payload": BLANK[kind]}
    return Prepared(kind=kind, key=key, ts_ns=time_ns + later, text=text, **common)


def events() -> Iterator[Event]:
    """Scores, each with a refusal and what was forgone, or, one in a hundred, with a plan and an exit."""
    rng = np.random.default_rng(1)
    snapshots = [
        json.dumps({f"feature_{at}": value for at, value in enumerate(rng.normal(size=200).tolist())})
        for _ in range(500)
    ]
    results = rng.normal(-0.02, 1.0, EVENTS // 3)
    for number, net_r in enumerate(results.tolist()):
        at = START + number * STEP
        time_ns, trade = epoch_ns(at), trade_id(ORIGIN.account, "BTCUSDT", at)
        triggers = ("cusum", "cascade", "cusum+cascade")[number % 3]
        base = f'"trade":"{trade}","event_time":"{at.isoformat()}","triggers":"{triggers}","synthetic":true'

        made = partial(prepared, trade, time_ns, base)
        yield made(Kind.SCORE, f'"p_direction":0.6,"features":{snapshots[number % 500]}')
        if number % 100 == 0:
            yield made(Kind.PLAN, f'"entry":1.0,"volatility_daily":{0.02 + 0.001 * (number % 700 / 100)}', MINUTE_NS)
            rest = f'"side":{1 - 2 * (number // 100 % 2)},"p_trade":0.55,"reward_risk":0.9,"funding_usd":0.1'
            yield made(Kind.EXIT, f'"net_r":{net_r},"mae_r":0.5,"mfe_r":0.5,{rest}', 720 * MINUTE_NS)
        else:
            first, second = sorted((CODES[number % 5], CODES[(number // 5) % 5]))
            codes = first if first == second else f"{first}+{second}"
            reason = '{"code":"throttled","message":"direction probability 0.5357 is below the threshold 0.55"}'
            yield made(Kind.REFUSAL, f'"reasons":[{reason},{reason}]', MINUTE_NS)
            yield made(Kind.FORGONE, f'"codes":"{codes}","net_r":{net_r}', 720 * MINUTE_NS)


def batched(made: Iterator[Event], size: int) -> Iterator[list[Event]]:
    while batch := list(islice(made, size)):
        yield batch


def test_a_million_events(record: Recorder, tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with writing(path, by="benchmark") as writer:
        began = time.process_time()
        added = writer.append_all(events()).added
        record(
            name="journal: events written together", value=added / (time.process_time() - began), unit="events/CPU-s"
        )
    with reading(path) as journal:
        began = time.perf_counter()
        head = verify_chain(journal).head
        wall = time.perf_counter() - began
        assert head == journal.head()[1]
        began = time.perf_counter()
        found = review_account(journal, ORIGIN.account, synthetic=True, resampling=Resampling())
        wall_of_review = time.perf_counter() - began
        assert found.refused + found.trades == EVENTS // 3
        assert found.looked_at >= len(CODES)

        def read_and_digest() -> bytes:
            digest = hashlib.sha256()
            for (payload,) in journal.stream("SELECT CAST(payload_json AS BLOB) FROM event ORDER BY id"):
                digest.update(payload)
            return digest.digest()

        def parse_in_python() -> float:
            rows = journal.stream("SELECT payload_json FROM event WHERE kind = 'forgone'")
            return sum(json.loads(payload)["net_r"] for (payload,) in rows)

        taken = cpu_seconds(
            {
                "verify": lambda: verify_chain(journal),
                "peer of verify": read_and_digest,
                "review": lambda: review_account(journal, ORIGIN.account, synthetic=True),
                "peer of review": parse_in_python,
            },
            repetitions=1,
        )
    size = path.stat().st_size / 1e9
    print(f"{added:,} events, {size:.2f} GB; wall: verify {wall:.2f} s, review {wall_of_review:.2f} s; CPU: {taken}")
    record(name="journal: verify 1 M events", value=taken["verify"], unit="CPU-s", goal=10.0, at_least=False)
    record(name="journal: review of 1 M events", value=taken["review"], unit="CPU-s", goal=2.0, at_least=False)
    record(
        name="journal: verify, times a plain read and digest",
        value=taken["verify"] / taken["peer of verify"],
        unit="x",
        at_least=False,
        peer="sqlite3 and hashlib, one digest of all payloads",
    )
    record(
        name="journal: review, times the parsing of its payloads",
        value=taken["review"] / taken["peer of review"],
        unit="x",
        at_least=False,
        peer="json.loads of every result of a refused trade",
    )
