"""A month of ten symbols on paper without sockets, with faults in the streams: one thread, and its memory by day.

A part of ``python -m campaigns.paper_trading``. The messages are Binance's, as the mock venue sends them; requests are
answered as it answers them. A day takes minutes, most of them for requested tables: bars are of five minutes alone, so
that mark price and premium index are requested every five minutes. SYNTHETIC.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from campaigns.paper_faults import journal_counts, reconciled
from slackwater.paper.reconcile.reconcile import reconcile
from slackwater.scoring.scorer import ReversalScorer
from slackwater.times import epoch_us
from tests.paper_line import PaperLine
from tests.paper_run import AFTER, paper_bundle, paper_market

__all__ = ["DAYS", "SYMBOLS", "month", "shortfalls_of"]

SYMBOLS: Final = 10
DAYS: Final = 30
WARM_UP: Final = 110
"""Days of history before it."""
_NAMES: Final = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA", "LINK", "AVAX", "LTC", "DOT")
_OTHERS: Final = {
    "tick_size": 0.01,
    "lot_size": 0.001,
    "min_quantity": 0.001,
    "min_notional_usd": 5.0,
    "maker_fee": 0.0002,
    "taker_fee": 0.0005,
    "half_spread": 0.0001,
    "tiers": [{"notional_cap_usd": 1e7, "maintenance_rate": 0.01, "max_leverage": 50.0}],
}
"""Facts of the contracts that are not built in."""
_GROWN: Final = 1.1
"""Most that the memory may grow from the second day to the last, in times."""


def script(days: int) -> list[str]:
    """Return the faults of each day."""
    hours = {
        "duplicates": (3, "lasts=30m"),
        "reorder": (6, "lasts=30m"),
        "silence": (9, "lasts=6m"),
        "acknowledge_only": (12, "lasts=11m stream=bars"),
        "forming_then_silence": (15, "lasts=12m"),
    }
    return [f"{kind} at={24 * day + hour}h {more}" for day in range(days) for kind, (hour, more) in hours.items()]


def names(symbols: int) -> tuple[str, ...]:
    """Return the first of the symbols."""
    return tuple(f"{name}USDT" for name in _NAMES[:symbols])


def bundle(directory: Path, symbols: int) -> Path:
    """Write a bundle whose gate knows the contracts of these symbols at Binance."""
    facts = {"venue": "binance", "as_of": "2024-01-01", "source": "SYNTHETIC", "contracts": {}, "others": _OTHERS}
    return paper_bundle(directory, symbols=names(symbols), trading={"venue": "binance", "contract_facts": facts})


def market(days: int, symbols: int) -> dict[str, pd.DataFrame]:
    """Return a market whose finest bars are those of five minutes."""
    tables = paper_market(WARM_UP + days + 1, symbols=names(symbols), minutes_of=timedelta(hours=1))
    del tables["fine_bars"]
    bars, prices = tables["bars"], ("open", "high", "low", "close")
    tables["mark_price"] = bars[["symbol", "event_time", "available_time", "open_time", *prices]]
    whole = tables["premium_index"]["event_time"].isin(bars["event_time"])
    tables["premium_index"] = tables["premium_index"][whole].reset_index(drop=True)
    return tables


def month(place: Path, say: Callable[[str], None], *, days: int = DAYS, symbols: int = SYMBOLS) -> dict[str, Any]:
    """Trade days of some symbols, reconcile them, and return what was found."""
    scorer, tables = ReversalScorer.load(bundle(place / "bundle", symbols)), market(days, symbols)
    start = tables["bars"]["event_time"].max() - AFTER - timedelta(days=days)
    line = PaperLine(place, scorer, tables, start, fine_interval="5m", faults=script(days))
    memory, begin = [], time.process_time()
    for day in range(1, days + 1):
        line.run(epoch_us(start + timedelta(days=day)))
        memory.append(round(resident(), 1))
        say(f"SYNTHETIC, month, day {day}: {memory[-1]} MiB, {time.process_time() - begin:.0f} CPU-s so far")
    line.account.end()
    answer = reconcile(line.settings.directory, line.settings.journal, scorer, tables)
    bars = {name: count for (table, name), count in line.assembly.counts.items() if table == "bars"}
    lacking = _lacking(line, tables["bars"], start, days)
    return (
        reconciled(answer)
        | journal_counts(line.settings.journal)
        | {
            "symbols": symbols,
            "days": days,
            "bars_by_quality": bars,
            "bars_lacking": lacking,
            "memory_mib_by_day": memory,
            "paper_r": round(answer.paper_r, 3),
            "history_r": round(answer.history_r, 3),
        }
    )


def _lacking(line: PaperLine, bars: pd.DataFrame, start: pd.Timestamp, days: int) -> int:
    """Return how many bars of the period the account has never had."""
    closed = bars["event_time"]
    wanted = bars[(closed > start) & (closed < start + timedelta(days=days))]
    counts = line.assembly.counts
    had = sum(counts["bars", name] for name in ("live", "late", "polled", "backfilled"))
    return max(len(wanted) - had, 0)


def resident() -> float:
    """Return the resident memory of this process, MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def shortfalls_of(found: dict[str, Any]) -> list[str]:
    """Return what of the goals was missed."""
    names = ("unexplained", "doubled_rows", "doubled_plans", "bars_lacking")
    missed = [f"month: {name}" for name in names if found[name]]
    memory = found["memory_mib_by_day"]
    flat = len(memory) < 3 or np.max(memory[2:]) <= _GROWN * memory[1]
    return missed if flat else [*missed, "month: memory has grown"]
