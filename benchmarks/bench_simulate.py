"""The simulator: minute bars per minute on one core, and the memory of a stream of symbols to disk.

Run ``make bench``, or ``pytest benchmarks/bench_simulate.py -s`` for this part.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.record import Recorder, cpu_seconds
from slackwater.simulation.market import MarketRequest, simulate
from slackwater.simulation.minute_step import run_market
from slackwater.simulation.shocks import random_streams

START = datetime(2023, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
YEAR = MarketRequest(symbols=["BTCUSDT"], start=START, end=START + 365 * DAY, seed=1)

# In a process of its own: the peak of a process never falls again.
STREAM = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from slackwater.simulation.market import MarketRequest, stream_market
names = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", *(f"COIN{i}USDT" for i in range(6))]
start, end = datetime(2021, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)
stream_market(sys.argv[1], MarketRequest(symbols=names, start=start, end=end, seed=1))
# Not ru_maxrss: a new process inherits that of the one which started it.
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))
"""


def test_speed(record: Recorder) -> None:
    """One symbol and one year: the market alone, and with its tables."""
    minutes = YEAR.minutes("BTCUSDT")

    def market() -> object:
        streams = random_streams("BTCUSDT", YEAR.seed)
        return run_market(YEAR.parameters("BTCUSDT"), streams, first_minute=YEAR.first_minute, minutes=minutes)

    market()  # compiles
    taken = cpu_seconds({"market": market, "tables": lambda: simulate(YEAR)})
    for what, goal in (("market", 20.0), ("tables", None)):
        record(
            name=f"simulate: {what}, a CPU-minute",
            value=minutes / taken[what] * 60.0 / 1e6,
            unit="M minute bars",
            goal=goal,
        )


def test_ten_symbols_over_four_years_stream_through_little_memory(record: Recorder, tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", STREAM, str(tmp_path / "market")], check=True, capture_output=True, text=True
    )
    record(
        name="simulate: 10 symbols x 4 years to disk, peak",
        value=float(done.stdout) / 2**20,
        unit="GiB",
        goal=3.0,
        at_least=False,
    )
    size = sum(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    record(name="simulate: 10 symbols x 4 years, on disk", value=size / 2**30, unit="GiB", at_least=False)
