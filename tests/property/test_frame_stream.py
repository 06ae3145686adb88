"""The live frame against the frame of history: the same rows, to the last bit, whatever comes between."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.errors import DataError, OrderError, SchemaError
from slackwater.market.frame import MarketFrame
from slackwater.market.spec import FrameSpec
from slackwater.market.stream import FrameStream
from slackwater.storage import read_arrays, write_arrays
from tests.ragged_market import BAR, CAP, LAG, SHORT, ragged_market

seeds = st.integers(0, 2**32 - 1)
caps = st.sampled_from([None, CAP, timedelta(seconds=7)])
absent = st.sets(st.sampled_from(sorted(set(SHORT) - {"liquidation_totals"})))
examples = settings(deadline=None, max_examples=40)

Row = dict[str, Any]


EVENTS = ("liquidations", "whale_transfers", "large_trades", "exchange_flows")


def queues(tables: dict[str, pd.DataFrame]) -> dict[tuple[str, str], list[Row]]:
    """The rows of each symbol and table: events as they arrive, the others in the order of their stamps."""
    return {
        (name, symbol): (rows.sort_values("available_time", kind="stable") if name in EVENTS else rows).to_dict(
            "records"
        )
        for name, table in tables.items()
        for symbol, rows in table.groupby("symbol")
    }


def due(rows: list[Row], decision: pd.Timestamp) -> int:
    """How many rows must be pushed before a decision: all that are available, and those stamped before them."""
    return max((i + 1 for i, row in enumerate(rows) if row["available_time"] <= decision), default=0)


def closes_of(tables: dict[str, pd.DataFrame]) -> pd.DatetimeIndex:
    bars = tables["bars"]["event_time"]
    return pd.date_range(bars.min() - 3 * BAR, bars.max() + 2 * BAR, freq=BAR)


def refused(stream: FrameStream, rng: np.random.Generator, table: str, last: Row) -> None:
    """Offer what must be refused; that it changed nothing shows in the rows that follow."""
    number = next(
        name
        for name in ("close", "price", "quantity", "amount", "open_interest", "depth", "volume", *last)
        if name in last  # the quantity of a liquidation may be unknown, its price may not
    )
    older = {"event_time": last["event_time"] - pd.Timedelta("1s")}
    unborn = {"available_time": last["event_time"] - pd.Timedelta("1s")}
    broken: list[tuple[Row, type[DataError]]] = [
        (last | (unborn if table in EVENTS else older), OrderError),
        (last | {number: None}, SchemaError),
        (last | {"available_time": last["available_time"].tz_localize(None)}, SchemaError),
        ({name: value for name, value in last.items() if name != "event_time"}, SchemaError),
    ]
    row, error = broken[rng.integers(len(broken))]
    with pytest.raises(error):
        stream.push(table, row)


@examples
@given(seed=seeds, absent=absent, cap=caps, totals=st.booleans(), skip=st.sampled_from([0.0, 0.3]))
def test_live_rows_are_those_of_history(
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    absent: set[str],
    cap: timedelta | None,
    totals: bool,
    skip: float,
) -> None:
    """Fails if a join of its own creeps in, a pending row is lost or taken twice, or a checkpoint forgets anything."""
    rng = np.random.default_rng(seed)
    market = ragged_market(seed, totals=totals, bars=25)
    tables = {name: table for name, table in market.items() if name not in absent}
    parameters: dict[str, Any] = {
        "bar_interval": BAR,
        "decision_lag": LAG,
        "staleness": SHORT,
        "liquidation_cap": cap,
    }
    frame = MarketFrame.from_tables(tables, FrameSpec(**parameters))
    history = {(row.symbol, row.event_time): row for symbol, _ in frame.symbols() for row in frame.rows(symbol)}
    waiting = queues(tables)
    pushed = dict.fromkeys(waiting, 0)
    stream = FrameStream(FrameSpec(**parameters))
    directory: Path = tmp_path_factory.mktemp("live")
    for close in closes_of(tables):
        if rng.random() < skip:  # its bars are gone, and nothing else may be
            for time_symbol in [key for key in history if key[1] == close]:
                del history[time_symbol]
            continue
        targets = []
        for key, rows in waiting.items():
            ahead = int(rng.integers(0, 4)) if rng.random() < 0.3 else 0
            until = min(max(due(rows, close + LAG), pushed[key]) + ahead, len(rows))
            targets += [key] * (until - pushed[key])
        for table, symbol in rng.permutation(np.array(targets, dtype=object).reshape(-1, 2)):
            row = waiting[table, symbol][pushed[table, symbol]]
            if rng.random() < 0.05 and pushed[table, symbol]:
                refused(stream, rng, table, waiting[table, symbol][pushed[table, symbol] - 1])
            stream.push(table, row)
            pushed[table, symbol] += 1
        if rng.random() < 0.2:
            write_arrays(stream.save_state(), directory / "state.npz")
            stream = FrameStream(FrameSpec(**parameters))
            stream.load_state(read_arrays(directory / "state.npz"))
        live = stream.close(close)
        assert list(live) == sorted(symbol for symbol, time in history if time == close)
        for symbol, row in live.items():
            expected = history.pop((symbol, close))
            assert (row.symbol, row.event_time) == (expected.symbol, expected.event_time)
            np.testing.assert_array_equal(row.values, expected.values, err_msg=f"{symbol} {close}")
    assert not history


@settings(deadline=None, max_examples=10)
@given(seed=seeds)
def test_a_live_row_needs_no_row_of_later(seed: int) -> None:
    """Fails if history itself looks ahead: it gets only what was pushed when the bar closed."""
    rng = np.random.default_rng(seed)
    tables = ragged_market(seed, bars=25)
    parameters: dict[str, Any] = {"bar_interval": BAR, "decision_lag": LAG, "staleness": SHORT, "liquidation_cap": CAP}
    closes = closes_of(tables)
    close = closes[rng.integers(8, len(closes))]
    stream = FrameStream(FrameSpec(**parameters))
    so_far: dict[str, list[Row]] = {name: [] for name in tables}
    for (name, _), rows in queues(tables).items():
        for row in rows[: due(rows, close + LAG)]:
            stream.push(name, row)
            so_far[name].append(row)
    given_then = {name: pd.DataFrame(rows) for name, rows in so_far.items() if rows}
    live = stream.close(close)
    frame = MarketFrame.from_tables(given_then, FrameSpec(**parameters))
    history = {symbol: list(frame.rows(symbol))[-1] for symbol, _ in frame.symbols()}
    history = {symbol: row for symbol, row in history.items() if row.event_time == close}
    assert set(live) == set(history)
    for symbol, row in live.items():
        np.testing.assert_array_equal(row.values, history[symbol].values)


@settings(deadline=None, max_examples=15)
@given(seed=seeds, cap=caps, totals=st.booleans())
def test_history_taken_at_once_leaves_the_state_of_rows_that_were_pushed(
    seed: int, cap: timedelta | None, totals: bool
) -> None:
    """Fails if `warm` counts a row differently: one that waits, repeats, or belongs to a bar that is missing."""
    rng = np.random.default_rng(seed)
    tables = ragged_market(seed, bars=25, totals=totals)
    parameters: dict[str, Any] = {"bar_interval": BAR, "decision_lag": LAG, "staleness": SHORT, "liquidation_cap": cap}
    closes = closes_of(tables)
    last = closes[rng.integers(8, len(closes))]
    pushed, warmed = FrameStream(FrameSpec(**parameters)), FrameStream(FrameSpec(**parameters))
    so_far: dict[str, list[Row]] = {name: [] for name in tables}
    for (name, _), rows in queues(tables).items():
        so_far[name] += rows[: due(rows, last + LAG) + int(rng.integers(0, 3)) * (name != "bars")]
    past = {name: pd.DataFrame(rows) for name, rows in so_far.items() if rows}
    for name, table in past.items():
        for row in table.to_dict("records"):
            pushed.push(name, row)
    for close in closes[closes <= past["bars"]["event_time"].max()]:
        live = pushed.close(close)
    warmed.warm(past)
    one, other = pushed.save_state(), warmed.save_state()
    assert one.keys() == other.keys()
    for name in one:
        if "backfilled" in name or name == "frame/digest":
            continue
        if name.startswith(
            ("frame/keys", "frame/times", "frame/amounts", "frame/key_times")
        ):  # in the order of arrival
            one[name], other[name] = np.sort(one[name], axis=0), np.sort(other[name], axis=0)
        if name != "frame/origin":  # any bar is on the grid
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)
    assert all(row.ages is not None and row.backfilled == () for row in live.values())
    assert warmed.summary()["backfilled"].all()
