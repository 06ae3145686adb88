"""The market frame: only what was known at the decision, and nothing where nothing was known."""

from __future__ import annotations

import errno
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, MissingDataError, SchemaError
from slackwater.market import moves_of_others as module
from slackwater.market.bar_grids import split_rows
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import INPUTS
from slackwater.market.moves_of_others import moves_of_others, read_moves, write_moves_of_others
from slackwater.market.spec import FrameSpec
from tests.ragged_market import ragged_market

BAR = timedelta(hours=1)
LAG = timedelta(seconds=5)
T = pd.date_range("2024-01-01 01:00", periods=6, freq="1h", tz="UTC", unit="us")


def bars(times: pd.DatetimeIndex = T, symbol: str = "BTCUSDT") -> pd.DataFrame:
    price = np.arange(100.0, 100.0 + len(times))
    return pd.DataFrame(
        {
            "symbol": symbol,
            "event_time": times,
            "available_time": times + pd.Timedelta("2s"),
            "open": price,
            "high": price + 1,
            "low": price - 1,
            "close": price,
            "volume": 10.0,
        }
    )


def snapshot(times: list[str], lag: str, values: list[float]) -> pd.DataFrame:
    stamps = pd.DatetimeIndex(pd.to_datetime(times, utc=True)).as_unit("us")
    return pd.DataFrame(
        {
            "symbol": "BTCUSDT",
            "event_time": stamps,
            "available_time": stamps + pd.Timedelta(lag),
            "open_interest": values,
        }
    )


def frame(**tables: pd.DataFrame) -> MarketFrame:
    return MarketFrame.from_tables({"bars": bars()} | tables, FrameSpec(bar_interval=BAR, decision_lag=LAG))


def test_a_row_uses_what_was_available_and_not_what_had_happened() -> None:
    """Joining on the stamp instead of on availability looks 5 minutes ahead."""
    table = snapshot(["2024-01-01 01:00", "2024-01-01 02:00"], "5min", [1.0, 2.0])
    known = frame(open_interest=table).table["open_interest"].tolist()
    assert np.isnan(known[0])
    assert known[1:3] == [1.0, 2.0]


def test_availability_at_the_decision_itself_counts_and_a_microsecond_later_does_not() -> None:
    exact = snapshot(["2024-01-01 01:00"], "5s", [1.0])
    late = snapshot(["2024-01-01 01:00"], "5000001us", [1.0])
    assert frame(open_interest=exact).table["open_interest"][0] == 1.0
    assert np.isnan(frame(open_interest=late).table["open_interest"][0])


def test_a_late_row_does_not_displace_a_newer_one() -> None:
    table = snapshot(["2024-01-01 01:00", "2024-01-01 00:30"], "0s", [2.0, 1.0])
    table.loc[1, "available_time"] = pd.Timestamp("2024-01-01 01:30", tz="UTC")
    assert frame(open_interest=table).table["open_interest"][1] == 2.0


def test_a_silent_table_is_unknown_and_not_frozen() -> None:
    table = snapshot(["2024-01-01 01:00"], "0s", [1.0])
    values = frame(open_interest=table).table["open_interest"]
    assert values[:3].tolist() == [1.0, 1.0, 1.0]
    assert values[4:].isna().all()


def test_absent_tables_are_nan_and_not_zero() -> None:
    made = frame()
    assert made.available == {"open", "high", "low", "close", "volume"}
    assert made.table["liquidated_long"].isna().all()


def test_events_count_in_the_bar_in_which_they_became_known() -> None:
    stamps = pd.DatetimeIndex(pd.to_datetime(["2024-01-01 01:59:58", "2024-01-01 02:00:04"], utc=True)).as_unit("us")
    events = pd.DataFrame(
        {
            "symbol": "BTCUSDT",
            "event_time": stamps,
            "available_time": stamps + pd.Timedelta("5s"),
            "side": ["long", "short"],
            "price": 100.0,
            "quantity": [3.0, 4.0],
        }
    )
    made = frame(liquidations=events).table
    assert made["liquidated_long"].tolist()[1:3] == [3.0, 0.0]
    assert made["liquidated_short"].tolist()[1:3] == [0.0, 4.0]
    assert np.isnan(made["liquidated_long"][0])  # before the feed began


def test_a_missing_bar_is_a_row_of_nan() -> None:
    made = frame(bars=bars(T.delete(2)))
    assert len(made.table) == 6
    assert made.table.loc[2, list(INPUTS)].isna().all()
    assert len(list(made.rows("BTCUSDT"))) == 5


def test_symbols_do_not_see_each_other() -> None:
    table = snapshot(["2024-01-01 01:00"], "0s", [1.0])
    made = frame(bars=pd.concat([bars(), bars(symbol="ETHUSDT")]), open_interest=table)
    assert [name for name, _ in made.symbols()] == ["BTCUSDT", "ETHUSDT"]
    assert made.table.loc[made.table["symbol"] == "ETHUSDT", "open_interest"].isna().all()


def test_what_cannot_be_framed_is_refused() -> None:
    with pytest.raises(MissingDataError, match="needs a table `bars`"):
        MarketFrame.from_tables({}, FrameSpec(bar_interval=BAR, decision_lag=LAG))
    with pytest.raises(DataError, match="become available only after the decision"):
        MarketFrame.from_tables({"bars": bars()}, FrameSpec(bar_interval=BAR, decision_lag=timedelta(seconds=1)))
    with pytest.raises(DataError, match="do not ascend on a grid"):
        frame(bars=bars(T + pd.to_timedelta([0, 0, 7, 0, 0, 0], unit="min")))
    late = bars(T + pd.Timedelta("1min")).assign(symbol="ETHUSDT")
    with pytest.raises(DataError, match=r"closes of ETHUSDT are 1 minutes after those of BTCUSDT, not on one grid"):
        frame(bars=pd.concat([bars(), late], ignore_index=True))
    with pytest.raises(MissingDataError, match="no rows of XRPUSDT"):
        list(frame().rows("XRPUSDT"))
    with pytest.raises(SchemaError, match="needs \\['close'\\]"):
        FrameRow.from_mapping({"symbol": "A", "event_time": T[0], "open": 1.0, "high": 1.0, "low": 1.0})
    with pytest.raises(SchemaError, match="timezone-aware"):
        FrameRow("A", pd.Timestamp("2024-01-01"), np.ones(len(INPUTS)))


def events(times: list[str], **columns: object) -> pd.DataFrame:
    stamps = pd.DatetimeIndex(pd.to_datetime(times, utc=True)).as_unit("us")
    known = {"symbol": "BTCUSDT", "event_time": stamps, "available_time": stamps + pd.Timedelta("2s")}
    return pd.DataFrame(known | columns)


def test_others_are_the_bars_that_close_at_the_same_time() -> None:
    """A mean that holds the bar itself, or a bar of an hour ago, would say little of the others."""
    own, second, third = bars(), bars(T.delete(2), "ETHUSDT"), bars(T[:3], "XRPUSDT")
    second["open"] = second["close"] / np.exp(0.02)
    third["open"] = third["close"] * np.exp(0.04)
    table = frame(bars=pd.concat([own, second, third])).table.set_index(["symbol", "event_time"])
    mean, absolute = table["others_return"], table["others_absolute_return"]
    np.testing.assert_allclose(mean["BTCUSDT"], [-0.01, -0.01, -0.04, 0.02, 0.02, 0.02])
    np.testing.assert_allclose(absolute["BTCUSDT"], [0.03, 0.03, 0.04, 0.02, 0.02, 0.02])
    np.testing.assert_allclose(mean["ETHUSDT"], [-0.02, -0.02, np.nan, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(mean["XRPUSDT"], [0.01, 0.01, 0.0])


def test_breadth_and_dispersion_compare_moves_of_a_day() -> None:
    """A share that counts the symbol itself, or a move over another day, says little of the others."""
    closes = pd.date_range("2024-01-01 01:00", periods=30, freq="1h", tz="UTC").as_unit("us")
    paths = {"A": 0.01, "B": 0.02, "C": -0.03, "D": 0.0}  # log return per hour
    made = [
        bars(closes, name).assign(
            **dict.fromkeys(("open", "high", "low", "close"), 100.0 * np.exp(slope * np.arange(30)))
        )
        for name, slope in paths.items()
    ]
    made[1] = made[1].drop(index=3)  # the day that ends at row 27 begins in a gap
    table = frame(bars=pd.concat(made)).table
    rows = {name: table[table["symbol"] == name].reset_index(drop=True) for name in paths}
    assert rows["A"].loc[:23, ["others_breadth", "market_dispersion"]].isna().all().all()
    at = {name: own.iloc[25] for name, own in rows.items()}
    np.testing.assert_allclose([at[name]["others_breadth"] for name in "ABCD"], [0.0, 0.0, 2 / 3, 1 / 3])
    np.testing.assert_allclose(
        [at[name]["market_dispersion"] for name in "ABCD"], 24 * np.std([0.01, 0.02, -0.03, 0.0])
    )
    gap = {name: own.iloc[27] for name, own in rows.items()}
    np.testing.assert_allclose([gap[name]["others_breadth"] for name in "ABCD"], [-0.5, 0.0, 0.5, 0.0])
    assert np.isnan(gap["B"]["market_dispersion"])
    np.testing.assert_allclose(gap["A"]["market_dispersion"], 24 * np.std([0.01, -0.03, 0.0]))


def test_a_symbol_alone_has_no_others() -> None:
    closes = pd.date_range("2024-01-01 01:00", periods=30, freq="1h", tz="UTC").as_unit("us")
    alone = frame(bars=bars(closes))
    names = ["others_return", "others_absolute_return", "others_breadth", "market_dispersion"]
    assert alone.table[names].isna().all().all()
    assert not set(names) & alone.available


def test_large_trades_sum_by_the_side_of_the_aggressor() -> None:
    trades = events(["2024-01-01 01:10", "2024-01-01 01:20", "2024-01-01 01:30"], price=1.0)
    made = frame(large_trades=trades.assign(side=["buy", "sell", "buy"], quantity=[1.0, 2.0, 4.0])).table
    assert made["large_buy"].tolist()[1:3] == [5.0, 0.0]
    assert made["large_sell"].tolist()[1:3] == [2.0, 0.0]


def test_the_ratio_of_top_traders_is_a_snapshot() -> None:
    made = frame(long_short_ratio=events(["2024-01-01 01:30"], top_trader_ratio=[1.5])).table["top_trader_ratio"]
    assert made.tolist()[1:4] == [1.5, 1.5, 1.5]
    assert made[[0, 5]].isna().all()  # before the first, and once it is three hours old


def test_a_venue_without_a_ratio_of_top_traders_leaves_it_unknown() -> None:
    """The ratio of all accounts is another one: it must not stand in for it."""
    made = frame(long_short_ratio=events(["2024-01-01 01:30"], account_ratio=[1.5]))
    assert made.table["top_trader_ratio"].isna().all()
    assert "top_trader_ratio" not in made.available


def test_totals_feed_the_sums_and_not_the_estimates() -> None:
    """A bucket says nothing of how many events it holds."""
    totals = events(["2024-01-01 01:30", "2024-01-01 01:40"], long_quantity=[1.0, 2.0], short_quantity=[0.0, 5.0])
    made = MarketFrame.from_tables(
        {"bars": bars(), "liquidation_totals": totals},
        FrameSpec(bar_interval=BAR, decision_lag=LAG, liquidation_cap=timedelta(seconds=1)),
    )
    assert made.table["liquidated_long"][1] == 3.0
    assert made.table["liquidated_short"][1] == 5.0
    assert not {"liquidated_long_estimate", "liquidated_short_estimate"} & made.available


def test_liquidations_do_not_count_twice() -> None:
    table = events(["2024-01-01 01:30"], side="long", price=1.0, quantity=1.0)
    totals = events(["2024-01-01 01:30"], long_quantity=1.0, short_quantity=0.0)
    with pytest.raises(SchemaError, match="`liquidations` or `liquidation_totals`, and not both"):
        frame(liquidations=table, liquidation_totals=totals)


def test_a_burst_behind_a_capped_feed_counts_for_more() -> None:
    """Twelve seconds in a row with an event: the factor rises from that of a lone one to that of ten full slots."""
    times = [f"2024-01-01 01:{m:02d}:{s:02d}" for m, s in [(10, 0), *((20, s) for s in range(12))]]
    for last in range(len(times)):
        table = events(times[: last + 1], side=["short"] * last + ["long"], price=1.0, quantity=2.0)
        made = MarketFrame.from_tables(
            {"bars": bars(), "liquidations": table},
            FrameSpec(bar_interval=BAR, decision_lag=LAG, liquidation_cap=timedelta(seconds=1)),
        ).table
        share = (min(last, 10) if last else 1) / 11
        assert made["liquidated_long"][1] == 2.0
        assert made["liquidated_long_estimate"][1] == pytest.approx(2.0 * -np.log(1 - share) / share, rel=1e-12)


def test_the_estimate_makes_up_for_a_feed_of_one_event_a_second() -> None:
    """Cascades of three liquidations a second behind one slot a second, as Binance publishes them: a third is seen."""
    rng = np.random.default_rng(0)
    starts = np.sort(rng.integers(0, 6 * 3600 - 60, 40))
    seconds = np.sort(np.concatenate([s + rng.uniform(0.0, 60.0, rng.poisson(180)) for s in starts]))
    times = pd.DatetimeIndex(T[0] + pd.to_timedelta(seconds, unit="s")).as_unit("us")
    truth = pd.DataFrame(
        {
            "symbol": "BTCUSDT",
            "event_time": times,
            "available_time": times + pd.Timedelta("1s"),
            "side": rng.choice(["long", "short"], len(times)),
            "price": 100.0,
            "quantity": rng.lognormal(size=len(times)),
        }
    )
    seen = truth[~truth["event_time"].dt.floor("1s").duplicated(keep="last")]
    made = MarketFrame.from_tables(
        {"bars": bars(), "liquidations": seen},
        FrameSpec(bar_interval=BAR, decision_lag=LAG, liquidation_cap=timedelta(seconds=1)),
    ).table
    columns = ["liquidated_long", "liquidated_short"]
    known = truth[truth["available_time"] <= T[-1] + LAG]["quantity"].sum()
    raw, estimate = made[columns].sum().sum(), made[[f"{c}_estimate" for c in columns]].sum().sum()
    assert raw < 0.45 * known
    assert 0.7 * known < estimate < 1.1 * known


def test_a_frame_of_one_symbol_is_its_part_of_the_whole() -> None:
    """Catches moves of others that are those of other rows, and inputs that a split by symbol loses."""
    tables, spec = ragged_market(3), FrameSpec(bar_interval=timedelta(minutes=5), decision_lag=LAG)
    whole = MarketFrame.from_tables(tables, spec)
    others = moves_of_others(tables["bars"][["symbol", "event_time", "available_time", "open", "close"]], spec)
    assert list(others) == [symbol for symbol, _ in whole.symbols()]
    parts = {}
    for symbol, rows in whole.symbols():
        own = {name: table[table["symbol"] == symbol] for name, table in tables.items()}
        parts[symbol] = MarketFrame.of_one_symbol(own, spec, others[symbol])
        pd.testing.assert_frame_equal(parts[symbol].table, whole.table.iloc[rows].reset_index(drop=True))
        assert parts[symbol].values.tobytes() == whole.values[rows].tobytes()
    assert frozenset().union(*(part.available for part in parts.values())) == whole.available
    with pytest.raises(DataError, match=r"the bars of one symbol are wanted, these are of .* and 2 more"):
        MarketFrame.of_one_symbol(tables, spec, others[symbol])


@pytest.mark.parametrize("rows", [1, 500, 10_000_000])
def test_moves_of_others_in_spans_are_those_of_the_whole(
    rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches a row that is lost or doubled where a span ends, and a move whose day before lies in another span."""
    monkeypatch.setattr(module, "_ROWS", rows)
    monkeypatch.setattr(module, "_DAYS", 1)
    bars, spec = ragged_market(3, bars=2_000)["bars"], FrameSpec(bar_interval=timedelta(minutes=5), decision_lag=LAG)
    wanted = moves_of_others(bars, spec)
    assert len({len(moves) for moves in wanted.values()}) == 3
    assert all(np.isfinite(moves).any(axis=0).all() for moves in wanted.values())
    (tmp_path / "moves").mkdir()
    files = write_moves_of_others(split_rows(bars), spec, tmp_path / "moves")
    assert [*files] == [*wanted]
    assert {*(tmp_path / "moves").iterdir()} == {*files.values()}
    for symbol, moves in wanted.items():
        assert read_moves(files[symbol]).tobytes() == moves.tobytes()
    with pytest.raises(MissingDataError, match="at least one row"):
        write_moves_of_others(iter(()), spec, tmp_path / "moves")
    with pytest.raises(MissingDataError, match="at least one row"):
        moves_of_others(pd.DataFrame(), spec)


def test_moves_of_symbols_with_years_between_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catches a span in which no symbol has a row, such as after a stamp of a wrong year."""
    monkeypatch.setattr(module, "_ROWS", 1)
    spec, later = FrameSpec(bar_interval=BAR, decision_lag=LAG), T + pd.Timedelta("900D")
    both = pd.concat([bars(), bars(later, "ETHUSDT")], ignore_index=True)
    files = write_moves_of_others(split_rows(both), spec, tmp_path)
    for symbol, moves in moves_of_others(both, spec).items():
        assert read_moves(files[symbol]).tobytes() == moves.tobytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_an_error_and_never_other_moves() -> None:
    """Catches numbers that vanish with the buffer of a file: all symbols after it had the moves of other rows."""
    for n in (1, 100, 100_000):
        with pytest.raises(OSError, match="No space left") as raised:
            module._append(np.zeros((n, 2)), Path("/dev/full"))
        assert raised.value.errno == errno.ENOSPC


def test_a_file_of_moves_that_was_cut_is_an_error(tmp_path: Path) -> None:
    """Catches one row that is taken for that of all bars."""
    spec, one = FrameSpec(bar_interval=BAR, decision_lag=LAG), bars()
    files = write_moves_of_others(split_rows(one), spec, tmp_path)
    files["BTCUSDT"].write_bytes(files["BTCUSDT"].read_bytes()[:32])
    with pytest.raises(SchemaError, match="the moves of others are of 1 rows, BTCUSDT has 6"):
        MarketFrame.of_one_symbol({"bars": one}, spec, read_moves(files["BTCUSDT"]))
    with pytest.raises(SchemaError, match="has 0 rows from 1 on, 5 are wanted"):
        module._read(files["BTCUSDT"], 1, 5, 4)
