"""States from files that no run has left: their digests agree, and still no kernel may hang or leave its buffer."""

from __future__ import annotations

import subprocess
import sys

FORGE = """
from datetime import timedelta
import numpy as np
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.storage import arrays_digest
from tests.small_market import DECISION_LAG, small_market

HOUR = timedelta(hours=1)
spec = FrameSpec(bar_interval=HOUR, decision_lag=DECISION_LAG)
frame = MarketFrame.from_tables(small_market(days=120, interval=HOUR), spec)
rows = list(frame.rows("BTCUSDT"))
history, live = rows[:-72], rows[-72:]
sound = FeatureEngine(default_families(HOUR))
for row in history:
    sound.update(row)
saved = sound.save_state()
hostile = np.array([np.nan, np.inf, -np.inf, -1.0, 0.5, 3.0, 4e9, 1e18, -1e18, 1e-310, 1e300])
draws = np.random.default_rng(3)
slots = len(saved["state/BTCUSDT"])

def forged():
    for value in hostile:
        yield np.full(slots, value)
    for share in (0.5, 0.1, 0.01, 1e-3):
        for _ in range(4):
            yield np.where(draws.random(slots) < share, draws.choice(hostile, slots), saved["state/BTCUSDT"])
    for family in sound.families:
        # Counts and positions stand in the first slots of a family, and of its map.
        begin, end = sound._places[family.name][:2]
        for head in {begin, begin + getattr(family, "map_at", 0)}:
            for slot in range(head, min(head + 32, end)):
                state = saved["state/BTCUSDT"].copy()
                state[slot] = hostile[slot % len(hostile)]
                yield state

number = 0
for state in forged():
    engine = FeatureEngine(sound.families)
    time = saved["time/BTCUSDT"]
    engine.load_state(saved | {
        "state/BTCUSDT": state, "digest/BTCUSDT": np.array(arrays_digest("BTCUSDT", state, time))})
    for row in live:
        engine.update(row)
    number += 1
print(number)
"""


def test_a_forged_state_neither_hangs_nor_crashes() -> None:
    """Catches loops that end only at a value which a sound state holds, and positions that are read from it."""
    done = subprocess.run([sys.executable, "-c", FORGE], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{done.returncode}: {done.stderr[-2000:]}"
    assert int(done.stdout) > 300
