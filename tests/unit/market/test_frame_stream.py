"""The live frame: what it refuses, by name and without a trace, and what a checkpoint is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import BundleError, DataError, OrderError, ParameterError, SchemaError
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import CLOSE, INPUTS, LIQUIDATED_LONG, OPEN_INTEREST, WHALE_TO_EXCHANGE
from slackwater.market.spec import FrameSpec
from slackwater.market.stream import FrameStream
from slackwater.storage import read_arrays, write_arrays

HOUR = timedelta(hours=1)
LAG = timedelta(seconds=5)
T = pd.Timestamp("2024-01-01 01:00", tz="UTC")
Row = dict[str, Any]


def stamp(after: str = "0s", lag: str = "2s", symbol: str = "BTCUSDT") -> Row:
    time = T + pd.Timedelta(after)
    return {"symbol": symbol, "event_time": time, "available_time": time + pd.Timedelta(lag)}


def bar(after: str = "0s", symbol: str = "BTCUSDT", **changes: Any) -> Row:
    made = stamp(after, symbol=symbol)
    made |= {"open_time": made["event_time"] - HOUR, "open": 100.0, "high": 102.0, "low": 99.0, "close": 101.0}
    return made | {"volume": 7.0} | changes


def liquidation(after: str = "0s", **changes: Any) -> Row:
    return stamp(after) | {"side": "long", "price": 100.0, "quantity": 3.0} | changes


def transfer(after: str = "0s", **changes: Any) -> Row:
    made = stamp(after) | {"chain": "bitcoin", "asset": "BTC", "amount": 4.0, "amount_usd": 400.0, "from_owner": None}
    made |= {"from_owner_type": "wallet", "to_owner": "b", "to_owner_type": "exchange", "tx_hash": "x"}
    return made | {"log_index": 0, "source": "test"} | changes


def stream(**changes: Any) -> FrameStream:
    return FrameStream(FrameSpec(**({"bar_interval": HOUR, "decision_lag": LAG} | changes)))


def same(one: Mapping[str, np.ndarray], two: Mapping[str, np.ndarray]) -> bool:
    return list(one) == list(two) and all(np.array_equal(one[name], two[name]) for name in one)


def without(row: Row, name: str) -> Row:
    return {key: value for key, value in row.items() if key != name}


BAD: dict[str, tuple[str, Row, type[DataError], str]] = {
    "unknown table": (
        "fine_bars",
        bar(),
        SchemaError,
        "no table `fine_bars` in a live frame; there are bars, open_interest",
    ),
    "missing column": (
        "bars",
        without(bar(), "low"),
        SchemaError,
        r"bars \(BTCUSDT, 2024-.*: missing column low; it has",
    ),
    "no symbol": ("bars", without(bar(), "symbol"), SchemaError, "missing column symbol"),
    "naive time": (
        "bars",
        bar(event_time=datetime(2024, 1, 1, 1)),
        SchemaError,
        "column `event_time` must be a timezone-aware time .UTC., was naive",
    ),
    "missing time": ("bars", bar(available_time=pd.NaT), SchemaError, "column `available_time` must be .* was NaT"),
    "time as text": ("bars", bar(event_time="2024-01-01"), SchemaError, "column `event_time` must be a timezone-aware"),
    "time out of range": (
        "bars",
        bar(event_time=datetime(9000, 1, 1, tzinfo=UTC)),
        SchemaError,
        "between 2009 and 2100",
    ),
    "NaN price": ("bars", bar(close=float("nan")), SchemaError, "column `close` must be finite, was nan"),
    "infinite price": ("bars", bar(high=np.inf), SchemaError, "column `high` must be finite, was inf"),
    "zero price": ("bars", bar(open=0.0), SchemaError, "column `open` must be above 0, was 0.0"),
    "negative volume": ("bars", bar(volume=-1), SchemaError, "column `volume` must be at least 0, was -1"),
    "text that is read in two ways": ("bars", bar(volume="1,7"), SchemaError, "column `volume` must be a number"),
    "truth as number": ("bars", bar(volume=True), SchemaError, "column `volume` must be a number, was True"),
    "beyond a float": ("bars", bar(volume=10**400), SchemaError, "column `volume` must be a number that a float"),
    "no symbol that can be shown": ("bars", bar(symbol="BTC\x1b[2J"), SchemaError, r"must be a name .*was 'BTC\\x1b"),
    "a row that is a list": ("bars", list(bar().values()), SchemaError, "must map column names to values, was a list"),
    "unknown side": (
        "liquidations",
        liquidation(side="buy"),
        SchemaError,
        "`side` must be one of long, short, was 'buy'",
    ),
    "missing text": ("liquidations", liquidation(side=None), SchemaError, "column `side` must hold text, was None"),
    "nothing liquidated": ("liquidations", liquidation(quantity=0.0), SchemaError, "`quantity` must be above 0"),
    "known before it happened": (
        "liquidations",
        liquidation("50min", available_time=T + timedelta(minutes=49)),
        OrderError,
        "is available before it happened",
    ),
    "older than the last": (
        "open_interest",
        stamp("30min") | {"open_interest": 1.0},
        OrderError,
        "is older than the last one, 2024-.* 01:40",
    ),
    "repeated": (
        "open_interest",
        stamp("40min") | {"open_interest": 1.0},
        OrderError,
        r"repeats \(symbol, event_time\)",
    ),
    "repeated transfer": (
        "whale_transfers",
        transfer("40min"),
        OrderError,
        r"repeats \(symbol, chain, tx_hash, log_index",
    ),
    "a bar known too late": (
        "bars",
        bar("2h", available_time=T + timedelta(hours=2, seconds=6)),
        DataError,
        "closing at 2024-01-01 03:00:00.00:00 becomes available only after the decision, at .* 03:00:06",
    ),
    "a bar of another length": (
        "bars",
        bar("2h", open_time=T - timedelta(hours=1)),
        DataError,
        "opened at 2024-.* and this frame reads bars of 1:00:00: resample them",
    ),
    "a bar off the grid": (
        "bars",
        bar("90min"),
        DataError,
        "not lie on the grid of 60-minute bars that began at 2024-",
    ),
    "too late": (
        "large_trades",
        stamp("-1s", lag="6s") | {"side": "buy", "price": 1.0, "quantity": 1.0},
        OrderError,
        "comes too late, the decision at 2024-01-01 01:00:05.* stamp a row with the time at which it arrived",
    ),
    "both kinds of liquidations": (
        "liquidation_totals",
        stamp("40min") | {"long_quantity": 1.0, "short_quantity": 1.0},
        SchemaError,
        "`liquidations` or `liquidation_totals`, and not both",
    ),
}


@pytest.fixture
def busy() -> FrameStream:
    """A stream with a closed bar, a state and pending rows."""
    made = stream()
    for table, row in (
        ("bars", bar()),
        ("open_interest", stamp() | {"open_interest": 5.0}),
        ("liquidations", liquidation("1s")),
    ):
        made.push(table, row)
    made.close(T)
    made.push("liquidations", liquidation("40min"))
    made.push("open_interest", stamp("40min") | {"open_interest": 6.0})
    made.push("whale_transfers", transfer("40min"))
    return made


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_refused_by_name_and_leaves_no_trace(case: str, busy: FrameStream) -> None:
    table, row, error, message = BAD[case]
    before = busy.save_state()
    with pytest.raises(error, match=message):
        busy.push(table, row)
    assert same(busy.save_state(), before)


def test_a_bad_close_is_refused_and_leaves_no_trace(busy: FrameStream) -> None:
    before = busy.save_state()
    with pytest.raises(OrderError, match=r"the close at .* is not newer than the last one"):
        busy.close(T)
    with pytest.raises(OrderError, match="does not lie on the grid of 60-minute bars"):
        busy.close(T + timedelta(minutes=61))
    with pytest.raises(SchemaError, match="`event_time` must be a timezone-aware time"):
        busy.close(datetime(2024, 1, 1, 2))
    assert same(busy.save_state(), before)


def test_transfers_of_one_block_are_told_apart_by_their_key(busy: FrameStream) -> None:
    """Keys are more than symbol and time: a second transfer of the same block is no repetition."""
    busy.push("whale_transfers", transfer("40min", log_index=1))
    busy.push("whale_transfers", transfer("40min", tx_hash="y", to_owner_type="wallet"))
    busy.push("bars", bar("1h"))
    assert busy.close(T + HOUR)["BTCUSDT"].values[WHALE_TO_EXCHANGE] == 8.0
    assert len(busy.save_state()["frame/keys/whale_transfers/BTCUSDT"]) == 3
    # Keys of older blocks are forgotten, or they would pile up.
    busy.push("whale_transfers", transfer("80h", tx_hash="z"))
    busy.close(T + 2 * HOUR)
    assert len(busy.save_state()["frame/keys/whale_transfers/BTCUSDT"]) == 1


def test_equal_events_are_no_repetition(busy: FrameStream) -> None:
    """Liquidations have no key: two alike at one moment are two."""
    busy.push("liquidations", liquidation("40min"))
    busy.push("bars", bar("1h"))
    assert busy.close(T + HOUR)["BTCUSDT"].values[LIQUIDATED_LONG] == 6.0


def test_the_row_of_the_bar_that_closes_and_no_other() -> None:
    live = stream()
    live.push("bars", bar(symbol="ETHUSDT"))
    live.push("bars", bar("1h", symbol="ETHUSDT", close=101.5))
    live.push("bars", bar("1h"))
    assert list(live.close(T)) == ["ETHUSDT"]
    rows = live.close(T + HOUR)
    assert list(rows) == ["BTCUSDT", "ETHUSDT"]
    assert [row.values[CLOSE] for row in rows.values()] == [101.0, 101.5]
    assert rows["ETHUSDT"].event_time == T + HOUR
    assert live.close(T + 2 * HOUR) == {}


def test_time_zones_and_kinds_of_time_do_not_matter() -> None:
    """A feed may hand out `datetime` in any zone; a comparison of wall clocks would be hours off."""
    live = stream()
    zone = pd.Timestamp(T).tz_convert("Asia/Tokyo").to_pydatetime()
    live.push("bars", bar(event_time=zone, available_time=zone + LAG, open_time=zone - HOUR))
    assert live.close(T.to_pydatetime())["BTCUSDT"].event_time == T


def test_a_feed_without_bars_does_not_pile_up() -> None:
    """Without a bar, rows are still taken into the state; else a delisted symbol would fill the memory."""
    live = stream()
    live.push("bars", bar("-1h"))
    live.push("bars", bar())
    live.close(T)
    assert len(live.save_state()["frame/times/bars/BTCUSDT"]) == 0
    for hours in range(1, 50):
        live.push("liquidations", liquidation(f"{hours}h", symbol="OLDUSDT"))
        live.close(T + hours * HOUR)
    assert len(live.save_state()["frame/times/liquidations/OLDUSDT"]) == 1


def test_a_symbol_that_begins_later_has_its_last_step_only() -> None:
    """What became known before the step of the first bar is not in its sum."""
    live = stream()
    live.push("liquidations", liquidation("-2h", quantity=50.0))
    live.push("bars", bar("-2h", symbol="ETHUSDT"))
    live.close(T - 2 * HOUR)
    live.push("liquidations", liquidation("-30min"))
    live.push("bars", bar())
    assert live.close(T)["BTCUSDT"].values[LIQUIDATED_LONG] == 3.0


def test_a_checkpoint_restores_what_was_pushed_and_not_yet_used(busy: FrameStream, tmp_path: Path) -> None:
    """State, pending rows and keys; the property test covers the values."""
    saved = busy.save_state()
    write_arrays(saved, tmp_path / "live.npz")
    restored = stream()
    restored.load_state(read_arrays(tmp_path / "live.npz"))
    assert same(restored.save_state(), saved)
    with pytest.raises(OrderError, match="repeats"):
        restored.push("whale_transfers", transfer("40min"))
    for live in (busy, restored):
        live.push("bars", bar("1h"))
    one, two = (live.close(T + HOUR)["BTCUSDT"].values for live in (busy, restored))
    np.testing.assert_array_equal(one, two)
    assert one[OPEN_INTEREST] == 6.0


def test_a_checkpoint_knows_of_which_symbols_it_has_told() -> None:
    """Catches a process that repeats its words after each restart: the same rows lead to the same words."""
    told: list[set[str]] = []
    spec = FrameSpec(bar_interval=HOUR, decision_lag=LAG)
    first = FrameStream(spec, on_symbols=lambda names: told.append(set(names)))
    first.push("bars", bar())
    first.close(T)
    again = FrameStream(spec, on_symbols=lambda names: told.append(set(names)))
    again.load_state(first.save_state())
    again.push("bars", bar("1h"))
    again.close(T + HOUR)
    assert told == [{"BTCUSDT"}]
    again.push("bars", bar("2h"))
    again.push("bars", bar("2h", symbol="ETHUSDT"))
    again.close(T + 2 * HOUR)
    assert told == [{"BTCUSDT"}, {"BTCUSDT", "ETHUSDT"}]


def test_a_checkpoint_is_a_copy(busy: FrameStream) -> None:
    """A state that shared its memory would change under the feet of the one who keeps it."""
    saved = {name: array.copy() for name, array in busy.save_state().items()}
    kept = busy.save_state()
    restored = stream()
    restored.load_state(kept)
    restored.push("bars", bar("1h"))
    restored.close(T + HOUR)
    busy.push("bars", bar("1h"))
    busy.close(T + HOUR)
    assert same(kept, saved)


FOREIGN: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "no state": lambda a: a.pop("frame/parameters"),
    "other parameters": lambda a: a.update(stream(liquidation_cap=timedelta(seconds=1)).save_state()),
    "a missing part": lambda a: a.pop("frame/amounts/open_interest/BTCUSDT"),
    "a state of another shape": lambda a: a.update({"frame/state/open_interest/BTCUSDT": np.zeros(2)}),
    "times of another type": lambda a: a.update({"frame/times/open_interest/BTCUSDT": np.zeros((1, 2))}),
    "an unknown table": lambda a: a.update({"frame/last/path/BTCUSDT": np.array(0)}),
    "no clock": lambda a: a.pop("frame/closed"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_a_foreign_or_broken_checkpoint_is_refused_and_leaves_no_trace(case: str, busy: FrameStream) -> None:
    before, arrays = busy.save_state(), busy.save_state()
    FOREIGN[case](arrays)
    with pytest.raises(BundleError, match="saved state"):
        busy.load_state(arrays)
    assert same(busy.save_state(), before)


def test_parameters_out_of_range_are_refused() -> None:
    for change, message in (
        ({"bar_interval": timedelta(0)}, "`bar_interval` must be > 0"),
        ({"decision_lag": -LAG}, "`decision_lag` must be >= 0"),
        ({"liquidation_cap": timedelta(0)}, "`liquidation_cap` must be > 0"),
        ({"staleness": {"fundng": HOUR}}, "names unknown tables .'fundng'."),
    ):
        with pytest.raises(ParameterError, match=message):
            stream(**change)


def test_a_row_without_a_ratio_of_top_traders_leaves_it_unknown() -> None:
    """Some venues publish the ratio of all accounts alone; history reads their table, so live must."""
    live = stream()
    live.push("long_short_ratio", stamp("-5min") | {"account_ratio": 2.0})
    live.push("bars", bar())
    assert np.isnan(live.close(T)["BTCUSDT"].values[INPUTS.index("top_trader_ratio")])


def hours_of(symbol: str, slope: float, lost: set[int]) -> list[Row]:
    """Three days of bars of a symbol that moves by turns, some of them missing."""
    prices = np.exp(slope * np.sin(np.arange(72.0) / 7.0))
    return [
        bar(f"{hour}h", symbol=symbol, **dict.fromkeys(("open", "high", "low", "close"), float(price)))
        for hour, price in enumerate(prices)
        if hour not in lost
    ]


def test_breadth_is_that_of_history_across_gaps_skipped_closes_and_a_restart() -> None:
    """Catches a close of the day before that a gap shifts, that a skipped close loses, or that no checkpoint holds."""
    rows = [*hours_of("A", 0.02, {5, 40}), *hours_of("B", -0.03, set()), *hours_of("C", 0.05, {29})]
    spec = FrameSpec(bar_interval=HOUR, decision_lag=LAG)
    history = MarketFrame.from_tables({"bars": pd.DataFrame(rows)}, spec)
    live, made = stream(), {}
    for hour in range(72):
        time = T + hour * HOUR
        for row in rows:
            if row["event_time"] == time:
                live.push("bars", row)
        if hour in (20, 21, 50):
            continue
        made |= {(symbol, time): each.values for symbol, each in live.close(time).items()}
        if hour == 44:
            saved, live = live.save_state(), stream()
            live.load_state(saved)
    table = history.table
    rows_of = {(row.symbol, row.event_time): at for at, row in enumerate(table.itertuples())}
    for key, values in made.items():
        np.testing.assert_array_equal(values, history.values[rows_of[key]])
    known = table.loc[table["event_time"] == T + 45 * HOUR].set_index("symbol")
    assert known["others_breadth"].notna().all()
    assert known["market_dispersion"].notna().all()
