"""One live row of the scorer, with and without the gate, and scikit-learn's `predict_proba` of one of its models.

Run ``make bench``, or ``pytest benchmarks/bench_live.py -s`` for this part. The bundle is trained on the small random
market of the tests, with the trees of the default parameters; its numbers mean nothing. The peer is what most users
write, one model on a DataFrame of one row: it makes no feature, knows no range and calibrates nothing. Scores are
asserted equal to LightGBM's; times are not asserted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import lightgbm
import numpy as np
import pandas as pd
import pytest

import slackwater as sw
from benchmarks.record import Recorder
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.models.parameters import ModelParameters
from slackwater.scoring.bundle import Bundle
from slackwater.scoring.stream import EventScore
from slackwater.trading.account import Account
from tests.small_bundle import SPEC, TRAINER, make_bundle, market

PEER = f"scikit-learn API of lightgbm {'.'.join(lightgbm.__version__.split('.')[:2])}, predict_proba of a DataFrame"
ROUNDS = 4


class Taken(NamedTuple):
    """CPU microseconds of each row, without those of the clock: other processes take no part of them."""

    off_event: list[float]
    event: list[float]
    with_gate: list[float]
    peer: list[float]


class Live(NamedTuple):
    scorer: sw.ReversalScorer
    peer: lightgbm.LGBMClassifier
    rows: list[FrameRow]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Live:
    model = ModelParameters(min_child_samples=10)
    path = make_bundle(tmp_path_factory.mktemp("bundle") / "scorer", replace(TRAINER, model=model))
    scorer = sw.ReversalScorer.load(path)
    columns = scorer._orientation.columns
    anything = pd.DataFrame(np.random.default_rng(0).normal(size=(100, len(columns))), columns=columns)
    peer = lightgbm.LGBMClassifier(n_estimators=1, n_jobs=1, verbosity=-1).fit(anything, np.arange(100) % 2)
    peer._Booster = lightgbm.Booster(model_str=Bundle.load(path).models["direction"])
    rows = list(MarketFrame.from_tables(market(), SPEC).rows("BTCUSDT"))
    return Live(scorer, peer, rows)


def oriented(scorer: sw.ReversalScorer, score: EventScore) -> pd.DataFrame:
    values = scorer._orientation.apply(score.features[None, scorer._columns], np.array([float(score.direction)]))
    return pd.DataFrame(values, columns=scorer._orientation.columns)


def events(live: Live) -> Iterator[EventScore]:
    stream = live.scorer.stream("BTCUSDT")
    yield from (score for score in map(stream.update, live.rows) if score.direction)


def clock_reading() -> float:
    """Return what one reading of the clock of a thread takes, CPU microseconds: it is a call of the system."""
    readings = [time.thread_time_ns() for _ in range(10_001)]
    return float(np.median(np.diff(readings))) / 1e3


def measure(live: Live) -> Taken:
    """Stream all rows, stream them again with the gate, and then let the peer predict every event."""
    taken, account, clock = Taken([], [], [], []), Account(equity=10_000.0), time.thread_time_ns
    stream, scores = live.scorer.stream("BTCUSDT"), []
    for row in live.rows:
        start = clock()
        score = stream.update(row)
        (taken.event if score.direction else taken.off_event).append((clock() - start) / 1e3)
        if score.direction:
            scores.append(score)
    stream = live.scorer.stream("BTCUSDT")
    for row in live.rows:
        start = clock()
        score = stream.update(row)
        if score.direction:
            live.scorer.gate(score, account)
            taken.with_gate.append((clock() - start) / 1e3)
    for table in [oriented(live.scorer, score) for score in scores]:
        start = clock()
        live.peer.predict_proba(table)
        taken.peer.append((clock() - start) / 1e3)
    reading = clock_reading()
    return Taken(*([spent - reading for spent in each] for each in taken))


def test_live_row(record: Recorder, live: Live) -> None:
    """All that `update` returns: features, every target with its bounds, range check, triggers and context."""
    calibrator = live.scorer._models["direction"].calibrator
    for score in events(live):
        raw = live.peer.predict_proba(oriented(live.scorer, score), raw_score=True)
        assert score.p_direction == calibrator.predict(raw)[0]
    measure(live)
    rounds = [measure(live) for _ in range(ROUNDS)]
    found = {name: np.concatenate([getattr(each, name) for each in rounds]) for name in Taken._fields}
    p50 = {name: float(np.median(values)) for name, values in found.items()}
    goals = {"event": 30.0, "with_gate": 14.0, "off_event": 100.0}
    texts = {"event": "at an event", "with_gate": "at an event, with the gate", "off_event": "without an event"}
    for name, text in texts.items():
        record(name=f"live score {text}: p50", value=p50[name], unit="CPU µs", at_least=False)
        record(
            name=f"live score {text}: against predict_proba",
            value=p50["peer"] / p50[name],
            unit="times as fast",
            goal=goals[name],
            peer=PEER,
        )
    p99 = float(np.percentile(found["event"], 99))
    record(name="live score at an event: p99 over p50", value=p99 / p50["event"], unit="", goal=4.0, at_least=False)
    print(f"\n{len(found['event']):,} events of {found['off_event'].size + found['event'].size:,} rows; p50 {p50}")
