"""Features: rows per CPU-second, ratios to pandas and polars, memory, one live row, and the cold start.

Run ``make bench``, or ``pytest benchmarks/bench_features.py -s`` for this part. Results are asserted equal before they
are timed; nothing is asserted about time.

Two figures stand side by side. The **kernel** writes into a buffer that was written before: the first touch of fresh
memory costs several times the arithmetic, so the output is allocated once, filled once, and only then timed.
``FeatureEngine.transform`` is what a user calls, from an empty state, and pays for fresh memory and for its table. The
libraries it is compared with keep the memory of their columns from call to call, so that the kernel is comparable to
them. Every row that the kernel is timed on is warm: a feature that is not known yet costs nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.market import BAR, FIRST_US, STEP_US, synthetic_frame, synthetic_values
from benchmarks.record import Recorder, cpu_seconds
from slackwater.features.chosen_families import default_families
from slackwater.features.engine import FeatureEngine
from slackwater.features.rows import transform_rows
from slackwater.market.frame_row import FrameRow

HERE = Path(__file__).parent
ROLLING = ("volatility", "price", "open_interest", "order_flow", "liquidations")
"""The families that pandas can express."""
PANDAS = "pandas " + ".".join(pd.__version__.split(".")[:2])
POLARS = "polars " + ".".join(pl.__version__.split(".")[:2])


def engine_of(*, only: tuple[str, ...] = (), without: tuple[str, ...] = ()) -> FeatureEngine:
    families = default_families(BAR)
    return FeatureEngine([f for f in families if f.name not in without and (not only or f.name in only)])


def warm_rows(engine: FeatureEngine) -> int:
    return int(engine.warm_up / BAR)


class WarmKernel:
    """The kernel of an engine over the rows of many symbols that come after the warm-up, into one buffer."""

    def __init__(self, engine: FeatureEngine, values: NDArray[np.float64]) -> None:
        self.engine = engine
        self.values = values
        self.warm = warm_rows(engine)
        symbols, bars, _ = values.shape
        self.out = np.zeros((symbols, bars - self.warm, len(engine.names)))
        self.states = np.zeros((symbols, engine._state_size))
        self.state = np.zeros(engine._state_size)
        unused = np.empty((self.warm, len(engine.names)))
        for own, state in zip(values, self.states, strict=True):
            self.run(state, own[: self.warm], FIRST_US, unused)
        self()

    def run(
        self, state: NDArray[np.float64], values: NDArray[np.float64], first: int, out: NDArray[np.float64]
    ) -> None:
        kept = np.empty((0, 0))
        transform_rows(state, self.engine._constants, self.engine._at, values, first, STEP_US, kept, out)

    def __call__(self) -> None:
        first = FIRST_US + self.warm * STEP_US
        for own, state, out in zip(self.values, self.states, self.out, strict=True):
            self.state[:] = state
            self.run(self.state, own[self.warm :], first, out)

    @property
    def rows(self) -> int:
        return self.out.shape[0] * self.out.shape[1]


def known_share(values: NDArray[np.float64]) -> float:
    return float(1.0 - np.isnan(values).mean())


@pytest.mark.parametrize(
    ("what", "without", "goal"),
    [("all families", (), 1e6), ("all families but the three maps", ("liquidation_density",), 2.5e6)],
)
def test_rows_a_second(record: Recorder, what: str, without: tuple[str, ...], goal: float) -> None:
    """Sweeps, whales and the rest stay in. Of the rows that ``transform`` is timed on, a quarter or less is warm-up."""
    engine = engine_of(without=without)
    assert len(engine.names) >= 80
    kernel = WarmKernel(engine, synthetic_values(16, warm_rows(engine) + 20_000))
    values = synthetic_values(3, 110_000)
    frame = synthetic_frame(values)
    made = engine.transform(frame)[engine.names].to_numpy().reshape(3, -1, len(engine.names))
    some = WarmKernel(engine, values[:, : warm_rows(engine) + 1_000])
    np.testing.assert_array_equal(made[:, some.warm : some.warm + 1_000], some.out)
    assert known_share(kernel.out) > 0.9
    del made
    taken = cpu_seconds({"kernel": kernel, "transform": lambda: engine.transform(frame)}, repetitions=5)
    record(
        name=f"features: {what}, kernel, rows a CPU-second",
        value=kernel.rows / taken["kernel"],
        unit="rows/s",
        goal=goal,
    )
    record(
        name=f"features: {what}, FeatureEngine.transform, rows a CPU-second",
        value=len(frame.table) / taken["transform"],
        unit="rows/s",
        goal=goal,
    )
    print(f"\n{what}: {len(engine.names)} outputs, {known_share(kernel.out):.1%} of the values known")


def test_against_pandas_and_polars(record: Recorder) -> None:
    """Our five families whole (65 outputs) against the 60 of them that the others can express.

    pandas and polars get their tables ready-made, sorted, and without a value missing. polars has one thread.
    """
    assert pl.thread_pool_size() == 1, "POLARS_MAX_THREADS came too late"
    engine = engine_of(only=ROLLING)
    symbols, bars = 20, 40_000
    values = synthetic_values(symbols, bars)
    frame = synthetic_frame(values)
    table = frame.table[list(peers.NEEDED)].copy()
    categories = table.assign(symbol=table["symbol"].astype("category"))
    in_polars = pl.from_pandas(table)
    kernel = WarmKernel(engine, values)
    others: dict[str, tuple[float, Callable[[], Any]]] = {
        "pandas groupby.rolling": (10.0, lambda: peers.pandas_groupby(table)),
        "pandas groupby.rolling, tuned": (10.0, lambda: peers.pandas_groupby_tuned(categories)),
        "pandas, loop over symbols": (4.0, lambda: peers.pandas_loop(table)),
        "polars lazy": (5.0, lambda: peers.polars_lazy(in_polars)),
        "polars lazy, tuned": (5.0, lambda: peers.polars_lazy(in_polars, tuned=True)),
    }
    for peer, (_, call) in others.items():
        theirs = call()
        assert len(theirs.columns) >= 20
        for name in theirs.columns:
            found = kernel.out[:, :, engine.names.index(name)]
            wanted = theirs[name].to_numpy().reshape(symbols, bars)[:, kernel.warm :]
            np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7, err_msg=f"{name} in {peer}")
        expressed = len(theirs.columns)
        del theirs
    ours: dict[str, Callable[[], object]] = {
        "kernel": kernel,
        "FeatureEngine.transform": lambda: engine.transform(frame),
    }
    taken = cpu_seconds(ours | {peer: call for peer, (_, call) in others.items()}, repetitions=5)
    # The kernel has the warm rows only: seconds a row are what can be compared.
    rows = {name: kernel.rows if name == "kernel" else symbols * bars for name in taken}
    each = {name: seconds / rows[name] for name, seconds in taken.items()}
    for peer, (goal, _) in others.items():
        for way in ours:
            record(
                name=f"rolling features: {way} against {peer}",
                value=each[peer] / each[way],
                unit="times as fast",
                goal=goal,
                peer=peer.replace("pandas", PANDAS).replace("polars", POLARS),
            )
    print(f"\nwe make {len(engine.names)} outputs, they make {expressed} of them; rows a CPU-second:")
    for name, seconds in each.items():
        print(f"  {name:<36} {1.0 / seconds:>12,.0f}")


def child(code: str, **environment: str) -> str:
    """Run Python code in a process of its own; return what it printed."""
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=HERE.parent,
        env=os.environ | {"PYTHONPATH": str(HERE.parent)} | environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


MEMORY = """
import json
from pathlib import Path
from benchmarks.bench_features import engine_of
from benchmarks.market import synthetic_frame, synthetic_values

def status(key):
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(key))
    return int(line.split()[1]) * 1024

engine = engine_of()
engine.transform(synthetic_frame(synthetic_values(2, 500)))
frame = synthetic_frame(synthetic_values(4, 200_000))
Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
made = engine.transform(frame)
print(json.dumps([status("VmHWM") - before, made[engine.names].to_numpy().nbytes]))
"""


def test_peak_memory(record: Recorder) -> None:
    """What ``transform`` adds to the peak of a process that has its frame already, over the bytes of the features.

    The kernel's high-water mark is reset before; ``ru_maxrss`` would keep the peak of building the frame, and of the
    process that started this one.
    """
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("the high-water mark of a process can be reset on Linux only")
    peak, output = json.loads(child(MEMORY))
    record(
        name="features: peak memory of FeatureEngine.transform over its output",
        value=peak / output,
        unit="times the output",
        goal=2.0,
        at_least=False,
    )


def live_rows(symbol: str, values: NDArray[np.float64], first: int) -> list[FrameRow]:
    start = pd.Timestamp(FIRST_US + first * STEP_US, unit="us", tz="UTC")
    return [FrameRow(symbol, start + i * BAR, row.copy()) for i, row in enumerate(values)]


def test_live(record: Recorder) -> None:
    """One row through all families: one symbol, whose state stays in the cache, and twenty that take turns."""
    engine = engine_of()
    warm, timed, symbols = warm_rows(engine), 20_000, 20
    values = synthetic_values(symbols, warm + timed)
    history = engine.transform(synthetic_frame(values[:1]))[engine.names].to_numpy()
    for row in live_rows("A", values[0, :warm], 0):
        engine.update(row)
    taken = np.empty(timed)
    for i, row in enumerate(live_rows("A", values[0, warm:], warm)):
        start = time.perf_counter_ns()
        made = engine.update(row)
        taken[i] = time.perf_counter_ns() - start
        np.testing.assert_array_equal(made, history[warm + i])
    p50, p99 = np.percentile(taken, [50, 99]) / 1e3
    record(name="live: one row through all families, p50", value=p50, unit="µs", goal=5.0, at_least=False)
    record(name="live: one row through all families, p99", value=p99, unit="µs", goal=20.0, at_least=False)

    kernel = WarmKernel(engine, values)
    last = FIRST_US + (warm - 1) * STEP_US
    for i, state in enumerate(kernel.states):
        engine._states[f"S{i}"], engine._last[f"S{i}"] = state, np.array([last])
    each = timed // symbols
    rows = [live_rows(f"S{i}", values[i, warm : warm + each], warm) for i in range(symbols)]
    for i, row in enumerate(row for turn in zip(*rows, strict=True) for row in turn):
        start = time.perf_counter_ns()
        engine.update(row)
        taken[i] = time.perf_counter_ns() - start
    p50, p99 = np.percentile(taken, [50, 99]) / 1e3
    record(name="live: one row, 20 symbols in turn, p50", value=p50, unit="µs", at_least=False)
    record(name="live: one row, 20 symbols in turn, p99", value=p99, unit="µs", at_least=False)


COLD = """
from datetime import UTC, datetime, timedelta
import slackwater as sw
from slackwater.features.chosen_families import default_families

engine = sw.FeatureEngine(default_families(timedelta(minutes=5)))
row = {"symbol": "A", "event_time": datetime(2024, 1, 1, 0, 5, tzinfo=UTC)}
row |= dict.fromkeys(("open", "high", "low", "close"), 1.0)
engine.update(sw.FrameRow.from_mapping(row))
"""


def test_cold_start(record: Recorder, tmp_path: Path) -> None:
    """Wall time of a process that imports, builds the engine and makes one row; the first one compiles."""
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        child(COLD, NUMBA_CACHE_DIR=str(tmp_path))
        taken.append(time.perf_counter() - start)
    name = "cold start to the first row"
    record(name=f"{name}, no compile cache", value=taken[0], unit="s", goal=20.0, at_least=False)
    record(name=f"{name}, warm compile cache", value=float(np.median(taken[1:])), unit="s", goal=3.0, at_least=False)
