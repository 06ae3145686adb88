"""A journal of a million events: the walk along its chain, and a review of it.

Run ``make bench``, or ``pytest benchmarks/bench_journal.py -s`` for this part; it takes minutes, most of them to write
the journal. A third of the events are scores with 200 features, a third refusals, a third results of refused trades.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.record import Recorder, cpu_seconds
from slackwater.evidence.resampling import Resampling
from slackwater.journal.chain import verify_chain
from slackwater.journal.event import Event, Kind, Origin, epoch_ns
from slackwater.journal.kinds import decision_event, exit_event, forgone_event
from slackwater.journal.review import review_account
from slackwater.journal.store import reading, writing

EVENTS = 1_000_000
FEATURES = [f"feature_{number}" for number in range(200)]
ORIGIN = Origin(account="backtest-bench", synthetic=True)
CODES = ("expected_value_too_low", "probability_below_threshold", "position_open", "out_of_distribution", "throttled")
START = pd.Timestamp("2023-01-01", tz="UTC")


def events() -> Iterator[Event]:
    """Scores, each with a refusal and what was forgone, or, one in a hundred, with a plan and an exit."""
    rng = np.random.default_rng(1)
    reasons = [{"code": code, "message": f"{code.replace('_', ' ')}: 0.5357 is below 0.55"} for code in CODES]
    for number in range(EVENTS // 3):
        at = START + timedelta(minutes=3 * number)
        base = {"symbol": "BTCUSDT", "event_time": at, "triggers": ("cusum", "cascade", "cusum+cascade")[number % 3]}
        decided = base | {"decided_at": at + timedelta(minutes=1)}
        traded = number % 100 == 0
        plan = dict.fromkeys(("side", "entry", "stop", "target", "quantity", "risk_usd", "volatility_daily"), 0.02)
        refusal = {"reasons": [reasons[number % 5], reasons[(number // 5) % 5]]}
        decision = decision_event(
            {"decision": "plan" if traded else "refusal", **decided, **(plan if traded else refusal)}, ORIGIN
        )
        snapshot = {"direction": 1, "p_direction": 0.6, "trade_edge": 0.1, "context": {"close": 1.0}}
        snapshot |= {"features": dict(zip(FEATURES, rng.normal(size=200).tolist(), strict=True)), **base}
        trade = decision.payload["trade"]
        yield Event(
            kind=Kind.SCORE,
            key=f"score/{trade}",
            ts_ns=epoch_ns(at),
            symbol="BTCUSDT",
            origin=ORIGIN,
            payload=snapshot | {"trade": trade},
        )
        yield decision
        end, net_r = at + timedelta(hours=12), float(rng.normal(-0.02, 1.0))
        if traded:
            row = base | {"exit_time": end, "exit_reason": "time", "side": 1 - 2 * (number % 2), "net_r": net_r}
            row |= {"funding_usd": 0.1, "p_trade": 0.55, "reward_risk": 0.9, "net_usd": 100.0 * net_r}
            yield exit_event(row, mae_r=0.5, mfe_r=0.5, origin=ORIGIN)
        else:
            codes = [each["code"] for each in refusal["reasons"]]
            yield forgone_event(
                symbol="BTCUSDT", event_time=at, known_time=end, codes=codes, net_r=net_r, origin=ORIGIN
            )


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
