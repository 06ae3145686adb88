"""The files that the entry of docs/own_data.md reads, SYNTHETIC: `python examples/own_data.py data/external/mine`.

Put that entry into `datasets/mine.yaml`; `slackwater understand mine` then prints how each file is read.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from slackwater.market.bars import resample_bars
from slackwater.simulation.market import MarketRequest, simulate

HOUR = timedelta(hours=1)
CLOCK = timedelta(hours=6)  # how far the clock of the exporting program is ahead of UTC


def write_exports(directory: Path, days: int = 40) -> None:
    """Write bars without a header, open interest in USD and forced orders in contracts, as three CSV files."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    request = MarketRequest(symbols=["BTCUSDT"], start=start, end=start + timedelta(days=days), seed=1)
    tables = simulate(request).tables
    directory.mkdir(parents=True, exist_ok=True)

    bars = resample_bars(tables["fine_bars"], HOUR)
    exported = bars[["open_time", "open", "high", "low", "close", "volume"]]
    exported = exported.assign(open_time=(bars["open_time"] + CLOCK).dt.strftime("%Y-%m-%d %H:%M:%S"))
    exported.to_csv(directory / "BTCUSDT-ohlcv.csv", header=False, index=False)

    interest = tables["open_interest"].merge(bars[["event_time", "close"]], on="event_time")
    usd = interest["open_interest"] * interest["close"]
    interest = interest[["event_time", "close"]].set_axis(["t", "price"], axis=1).assign(oi_usd=usd)
    interest.to_csv(directory / "oi.csv", index=False)

    forced = tables["liquidations"]
    orders = forced[["event_time", "price"]].set_axis(["T", "ap"], axis=1)
    side = forced["side"].astype(str).map({"long": "SELL", "short": "BUY"})  # of the order that closed the position
    orders.assign(S=side, q=1000.0 * forced["quantity"]).to_csv(directory / "forced.csv", index=False)


if __name__ == "__main__":
    write_exports(Path(sys.argv[1]))
