"""Exits on hand-written bars, each one a way in which backtests flatter themselves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, OrderError, SchemaError
from slackwater.times import microseconds
from slackwater.trading.account import Account
from slackwater.trading.decision import TradePlan
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import EXIT_REASONS
from slackwater.trading.price_path import PricePath, price_paths, walk_to_exit
from slackwater.trading.score import Score

QUIET = (100.0, 101.0, 99.0, 100.0)
Bar = tuple[float, float, float, float]
Exit = tuple[str, str, float]


def walk(
    *bars: Bar, marks: list[Bar] | None = None, side: int = 1, stop: float, target: float, liquidation: float
) -> tuple[str, int, float]:
    last = [np.array(column) for column in zip(*bars, strict=True)]
    mark_open, mark_high, mark_low, _ = [np.array(column) for column in zip(*(marks or bars), strict=True)]
    code, bar, price = walk_to_exit(
        *last, mark_open, mark_high, mark_low, 0, len(bars), side, stop, target, liquidation
    )
    return EXIT_REASONS[code], bar, price


LONG = {"side": 1, "stop": 95.0, "target": 110.0, "liquidation": 80.0}
SHORT = {"side": -1, "stop": 105.0, "target": 90.0, "liquidation": 120.0}
ABOVE, BELOW = np.nextafter(110.0, 200.0), np.nextafter(90.0, 0.0)
EXITS = [
    pytest.param([QUIET, (100, 111, 99, 105)], LONG, ("target", 1, 110.0), id="target"),
    pytest.param([QUIET, (100, 110, 99, 105)], LONG, ("time", 1, 105.0), id="touch of the target is no fill"),
    pytest.param([QUIET, (100, ABOVE, 99, 105)], LONG, ("target", 1, 110.0), id="hair's breadth through is one"),
    pytest.param([QUIET, (110, 110, 99, 105)], LONG, ("time", 1, 105.0), id="open at the target is no fill"),
    pytest.param([QUIET, (112, 113, 111, 112)], LONG, ("target", 1, 110.0), id="never better than the target"),
    pytest.param([QUIET, (112, 113, 94, 96)], LONG, ("target", 1, 110.0), id="the first print is beyond the target"),
    pytest.param([QUIET, (112, 113, 70, 96)], LONG, ("target", 1, 110.0), id="so it is before a liquidation"),
    pytest.param([QUIET, (110, 113, 94, 96)], LONG, ("stop", 1, 95.0), id="open at the target, then both: a stop"),
    pytest.param([QUIET, (100, 101, 94, 96)], LONG, ("stop", 1, 95.0), id="stop"),
    pytest.param([QUIET, (100, 101, 95, 96)], LONG, ("stop", 1, 95.0), id="touch of the stop is a fill"),
    pytest.param([QUIET, (100, 111, 94, 105)], LONG, ("stop", 1, 95.0), id="tie is a stop"),
    pytest.param([QUIET, (93, 112, 92, 111)], LONG, ("stop", 1, 93.0), id="gap through the stop fills at the open"),
    pytest.param([(100, 101, 94, 96), (100, 111, 99, 105)], LONG, ("stop", 0, 95.0), id="entry bar counts: stop"),
    pytest.param([(100, 111, 99, 105), QUIET], LONG, ("target", 0, 110.0), id="entry bar counts: target"),
    pytest.param([QUIET, (79, 99, 78, 98)], LONG, ("liquidation", 1, 79.0), id="gap through the liquidation price"),
    pytest.param([QUIET, (80, 99, 78, 98)], LONG, ("liquidation", 1, 80.0), id="open at the liquidation price"),
    pytest.param([QUIET, (96, 99, 70, 98)], LONG, ("stop", 1, 95.0), id="stop comes first on the way down"),
    pytest.param([QUIET, (100, 101, 70, 98)], LONG | {"stop": 60.0}, ("liquidation", 1, 80.0), id="it stands nearer"),
    pytest.param([QUIET, QUIET], LONG, ("time", 1, 100.0), id="time"),
    pytest.param([QUIET, (1, 1e6, 0.1, 7)], LONG | {"stop": 0, "target": 1e9, "liquidation": 0}, ("time", 1, 7.0)),
    pytest.param([QUIET, (100, 101, 89, 95)], SHORT, ("target", 1, 90.0), id="short: target"),
    pytest.param([QUIET, (100, 101, 90, 95)], SHORT, ("time", 1, 95.0), id="short: touch of the target is no fill"),
    pytest.param([QUIET, (100, 101, BELOW, 95)], SHORT, ("target", 1, 90.0), id="short: hair's breadth through"),
    pytest.param([QUIET, (100, 106, 89, 95)], SHORT, ("stop", 1, 105.0), id="short: tie"),
    pytest.param([QUIET, (100, 105, 99, 95)], SHORT, ("stop", 1, 105.0), id="short: touch of the stop"),
    pytest.param([QUIET, (88, 108, 87, 101)], SHORT, ("target", 1, 90.0), id="short: the first print is a target"),
    pytest.param([QUIET, (107, 108, 100, 101)], SHORT, ("stop", 1, 107.0), id="short: gap"),
    pytest.param([QUIET, (121, 122, 100, 101)], SHORT, ("liquidation", 1, 121.0), id="short: liquidation"),
    pytest.param([QUIET, (100, 9e9, 100, 101)], SHORT | {"stop": 1e9, "liquidation": np.inf}, ("stop", 1, 1e9)),
]


@pytest.mark.parametrize(("bars", "levels", "expected"), EXITS)
def test_exits(bars: list[Bar], levels: dict[str, float], expected: tuple[str, int, float]) -> None:
    """Catches each of: entry bar skipped, tie won, touch filled, gap filled at the stop, exit on the wrong side."""
    assert walk(*bars, **levels) == expected


CALM = (100.0, 100.5, 99.5, 100.0)


@pytest.mark.parametrize(
    ("bar", "mark", "levels", "expected"),
    [
        # A wick of the last trades beyond both prices: the mark has not followed, the stop has.
        ((100, 101, 70, 98), CALM, LONG, ("stop", 1, 95.0)),
        ((70, 101, 70, 98), CALM, LONG, ("stop", 1, 70.0)),
        # A wick of the mark that the last trades have not seen.
        (QUIET, (100, 101, 80, 100), LONG, ("liquidation", 1, 80.0)),
        (QUIET, (79, 101, 79, 100), LONG, ("liquidation", 1, 79.0)),
        (QUIET, (100, 101, 80.5, 100), LONG, ("time", 1, 100.0)),
        # The mark opens beyond: liquidated before the stop's gap fill.
        ((94, 96, 93, 95), (78, 96, 78, 95), LONG, ("liquidation", 1, 78.0)),
        # Both within the bar: the one that the price meets first.
        ((100, 101, 94, 98), (100, 101, 79, 98), LONG, ("stop", 1, 95.0)),
        ((100, 101, 94, 98), (100, 101, 96, 98), LONG | {"liquidation": 97.0}, ("liquidation", 1, 97.0)),
        # The mark never fills a target or a stop.
        (QUIET, (100, 120, 99, 100), LONG, ("time", 1, 100.0)),
        (QUIET, (100, 101, 90, 100), LONG, ("time", 1, 100.0)),
        # A target in the bar of a liquidation: the worse is what happened.
        ((100, 111, 99, 100), (100, 101, 79, 100), LONG, ("liquidation", 1, 80.0)),
        ((100, 140, 99, 98), CALM, SHORT, ("stop", 1, 105.0)),
        (QUIET, (100, 120, 99, 100), SHORT, ("liquidation", 1, 120.0)),
        (QUIET, (100, 119, 99, 100), SHORT, ("time", 1, 100.0)),
    ],
)
def test_liquidation_is_by_the_mark(
    bar: Bar, mark: Bar, levels: dict[str, float], expected: tuple[str, int, float]
) -> None:
    """Catches liquidation by a wick that the venue's mark price never followed, and one by the mark that is missed."""
    assert walk(QUIET, bar, marks=[CALM, mark], **levels) == expected


def test_a_short_is_a_long_on_the_mirrored_market() -> None:
    """Catches a law that holds for one side only."""
    rng = np.random.default_rng(3)
    for _ in range(300):
        bars = []
        for _ in range(6):
            low, first, last, high = np.sort(100.0 + rng.integers(-30, 31, 4) / 2.0)
            bars.append((first, high, low, last))
        marks = bars if rng.random() < 0.5 else bars[::-1]
        levels = {"stop": 100.0 - rng.integers(1, 20), "target": 100.0 + rng.integers(1, 20)}
        levels["liquidation"] = 100.0 - rng.integers(1, 30)
        mirrored = {name: 200.0 - price for name, price in levels.items()}

        def mirror(rows: list[Bar]) -> list[Bar]:
            return [(200.0 - o, 200.0 - l, 200.0 - h, 200.0 - c) for o, h, l, c in rows]  # noqa: E741

        reason, bar, price = walk(*bars, marks=marks, side=1, **levels)
        assert walk(*mirror(bars), marks=mirror(marks), side=-1, **mirrored) == (reason, bar, 200.0 - price)


def table(minutes: int = 4) -> pd.DataFrame:
    opens = pd.date_range("2024-03-01", periods=minutes, freq="1min", tz="UTC").as_unit("us")
    return pd.DataFrame(
        {
            "symbol": "BTCUSDT",
            "open_time": opens,
            "event_time": opens + pd.Timedelta("1min"),
            "open": np.arange(minutes) + 100.0,
            "high": np.arange(minutes) + 101.0,
            "low": np.arange(minutes) + 99.0,
            "close": np.arange(minutes) + 100.5,
        }
    )


def funding(*times: str, rate: float = 0.001) -> pd.DataFrame:
    stamps = pd.to_datetime(list(times), utc=True).as_unit("us")
    return pd.DataFrame({"symbol": "BTCUSDT", "event_time": stamps, "funding_rate": rate})


def moment(text: str) -> int:
    return microseconds(pd.Timestamp(text, tz="UTC") - pd.Timestamp(0, tz="UTC"))


def only(path: pd.DataFrame, rates: pd.DataFrame | None = None, mark: pd.DataFrame | None = None) -> PricePath:
    return price_paths(path, rates, ["BTCUSDT"], mark=mark)["BTCUSDT"]


def flat(minutes: int = 12) -> pd.DataFrame:
    return table(minutes).assign(open=100.0, high=100.0, low=100.0, close=100.0)


def ending(path: pd.DataFrame, mark: pd.DataFrame | None = None, *, minutes: int = 5, **levels: float) -> Exit:
    """How a position that enters with the second bar ends; levels that are not named are never reached."""
    far = {"side": 1, "stop": 1.0, "target": 1e6, "liquidation_price": 0.0}
    end = only(path, None, mark).exit(entry_bar=1, horizon=timedelta(minutes=minutes), **far | levels)
    return end.reason, pd.Timestamp(end.time_us, unit="us", tz="UTC").strftime("%H:%M:%S"), end.price


def test_the_horizon_counts_from_the_open_of_the_entry_bar() -> None:
    """Catches a time exit one bar early or late."""
    path = table(12)
    assert ending(path) == ("time", "00:06:00", path["close"][5])
    assert ending(path, minutes=1) == ("time", "00:02:00", path["close"][1])
    path.loc[6, ["low", "high"]] = 1.0, 1e7  # the bar after the horizon
    assert ending(path) == ("time", "00:06:00", path["close"][5])


def halted(**prices: float) -> pd.DataFrame:
    """No bars from 00:04 on; the market opens again at 00:09, with these prices."""
    path = flat().drop(index=range(4, 9))
    for name, price in prices.items():
        path.loc[9, name] = price
    path["high"] = path[["open", "high", "close"]].max(axis=1)
    path["low"] = path[["open", "low", "close"]].min(axis=1)
    return path


@pytest.mark.parametrize(
    ("prices", "levels", "expected"),
    [
        ({"open": 97.0}, {}, ("time", "00:09:00", 97.0)),
        ({"open": 104.0}, {"target": 102.0}, ("time", "00:09:00", 104.0)),  # for better, too
        ({"open": 94.0}, {"stop": 95.0}, ("stop", "00:09:00", 94.0)),
        ({"open": 95.0}, {"stop": 95.0}, ("stop", "00:09:00", 95.0)),
        ({"open": 70.0}, {"stop": 95.0, "liquidation_price": 80.0}, ("liquidation", "00:09:00", 70.0)),
        ({"open": 97.0, "low": 90.0}, {"stop": 95.0}, ("time", "00:09:00", 97.0)),  # sold before that low
        ({"open": 106.0}, {"side": -1, "stop": 105.0, "target": 1.0, "liquidation_price": 1e9},
         ("stop", "00:09:00", 106.0)),
    ],
)  # fmt: skip
def test_a_time_exit_in_a_halt_waits_for_the_market(
    prices: dict[str, float], levels: dict[str, float], expected: Exit
) -> None:
    """Catches a position sold while nothing traded, at the last price before the halt."""
    assert ending(halted(**prices), **levels) == expected


def test_the_mark_liquidates_at_the_end_of_a_halt() -> None:
    """Catches a liquidation that the last trades do not show."""
    mark = flat()
    mark.loc[9, ["open", "low"]] = 75.0
    assert ending(halted(), mark, liquidation_price=80.0)[:2] == ("liquidation", "00:09:00")
    assert ending(halted(open=75.0), flat(), liquidation_price=80.0) == ("time", "00:09:00", 75.0)


def test_a_halt_within_the_horizon_ends_nothing() -> None:
    """Catches a time exit before its time, and a stop that is not looked at in the bar after a halt."""
    assert ending(halted(), minutes=10) == ("time", "00:11:00", 100.0)
    assert ending(halted(open=94.0), minutes=10, stop=95.0) == ("stop", "00:10:00", 94.0)
    assert ending(halted(low=94.0), minutes=10, stop=95.0) == ("stop", "00:10:00", 95.0)


def test_a_close_stamped_a_millisecond_early_is_no_halt() -> None:
    """Catches a time exit one bar late at venues that stamp closes so."""
    path = flat()
    path["event_time"] -= pd.Timedelta("1ms")
    path.loc[6, ["open", "high"]] = 200.0
    assert ending(path) == ("time", "00:05:59", 100.0)


def test_at_the_end_of_the_path_the_last_close_is_the_exit() -> None:
    """Catches an exit at a bar that does not exist."""
    assert ending(flat(6)) == ("time", "00:06:00", 100.0)
    assert ending(flat(5)) == ("time", "00:05:00", 100.0)


def test_the_price_of_a_moment_is_one_that_was_known() -> None:
    """Catches the close of a bar in progress used as its price."""
    path = only(table())
    assert path.mark_at(moment("2024-03-01 00:02:59")) == 102.0
    assert path.mark_at(moment("2024-03-01 00:03:00")) == 103.0
    assert path.first_bar_from(moment("2024-03-01 00:02:00")) == 2
    assert path.first_bar_from(moment("2024-03-01 00:02:01")) == 3


def test_funding_is_charged_after_the_fill_and_up_to_the_exit() -> None:
    """Catches a settlement counted at the fill, one missed at the exit, the sign, and the wrong price."""
    path = only(table(), funding("2024-03-01 00:00", "2024-03-01 00:02", "2024-03-01 00:03"))
    span = {"start_us": moment("2024-03-01 00:00"), "end_us": moment("2024-03-01 00:03")}
    assert path.funding_usd(side=1, quantity=10.0, **span) == pytest.approx(10 * 0.001 * (102 + 103))
    assert path.funding_usd(side=-1, quantity=10.0, **span) == pytest.approx(-10 * 0.001 * (102 + 103))


HOURS = pd.date_range("2024-03-01", periods=30, freq="1h", tz="UTC").as_unit("us")


def hourly(interval: str = "1h", **prices: float) -> pd.DataFrame:
    """Thirty bars at 100, hours from midnight; the third one with other prices."""
    opens = HOURS[0] + pd.Timedelta(interval) * np.arange(30)
    path = pd.DataFrame({"symbol": "BTCUSDT", "open_time": opens, "event_time": opens + pd.Timedelta(interval)})
    path[["open", "high", "low", "close"]] = 100.0
    for name, price in prices.items():
        path.loc[2, name] = price
    path["high"], path["low"] = path[["open", "high", "close"]].max(axis=1), path[["open", "low", "close"]].min(axis=1)
    return path


@pytest.mark.parametrize("rate", [0.003, -0.003])
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(
    ("prices", "seen"),
    [
        ({"low": 94.0, "high": 106.0}, "perhaps"),  # stopped within the bar that ends with the settlement
        ({"open": 94.0}, "gone"),
        ({"open": 106.0}, "gone"),
        ({}, "held"),
    ],
)
def test_a_settlement_after_the_exit_is_not_received(
    make_score: Callable[..., Score], prices: dict[str, float], seen: str, side: int, rate: float
) -> None:
    """Catches funding of a settlement that the position did not live to see: a payment that it may have escaped is
    charged, a receipt is not credited, and after a fill at the open there is neither."""
    if seen == "gone" and (prices["open"] < 100.0) != (side > 0):
        seen = "held"  # the gap is in favour of the position and ends nothing
    path = only(hourly(**prices), funding("2024-03-01 03:00", rate=rate))
    end = path.exit(
        side=side,
        stop=100.0 - 5.0 * side,
        target=100.0 + 50.0 * side,
        liquidation_price=0.0 if side > 0 else np.inf,
        entry_bar=1,
        horizon=timedelta(hours=4),
    )
    start = moment("2024-03-01 01:00")
    paid = path.funding_usd(side=side, quantity=2.0, start_us=start, end_us=end.held_us, gone_us=end.gone_us)
    full = side * rate * 200.0
    assert paid == pytest.approx({"held": full, "gone": 0.0, "perhaps": max(full, 0.0)}[seen])
    assert end.time_us == moment("2024-03-01 03:00" if end.reason == "stop" else "2024-03-01 05:00")


def test_of_several_settlements_in_the_exit_bar_the_worst_beginning_is_charged() -> None:
    """Catches the sum, the positive ones alone, and a receipt that comes first and cannot be escaped."""
    rates = funding("2024-03-01 17:00", "2024-03-01 19:00", "2024-03-01 21:00", "2024-03-01 23:00", "2024-03-02 00:00")
    for values, worst in (
        ([0.001, -0.002, 0.003, -0.001, 0.0005], 0.002),
        ([-0.001, -0.002, -0.003, 0.001, 0.001], 0.0),
        ([-0.001, 0.002, -0.003, 0.001, 0.0], 0.001),
    ):
        path = only(hourly("8h", low=94.0), rates.assign(funding_rate=values))
        far = {"side": 1, "stop": 95.0, "target": 1e6, "liquidation_price": 0.0}
        end = path.exit(entry_bar=1, horizon=timedelta(hours=48), **far)
        span = {"start_us": moment("2024-03-01 08:00"), "end_us": end.held_us, "gone_us": end.gone_us}
        assert path.funding_usd(side=1, quantity=1.0, **span) == pytest.approx(100.0 * worst)


@pytest.mark.parametrize("stamp_ms", [0, 1, 900])
@pytest.mark.parametrize("settled_ms", [0, 3, -3])
@pytest.mark.parametrize("hours", [8, 24])
def test_stamps_some_milliseconds_off_change_no_settlement(stamp_ms: int, settled_ms: int, hours: int) -> None:
    """Catches the last settlement lost where closes are stamped a millisecond early, and the one at the fill paid
    where settlements are stamped a few late."""
    path = hourly()
    path["event_time"] -= pd.Timedelta(stamp_ms, "ms")
    rates = funding(*(f"2024-03-0{day} {hour:02d}:00" for day in (1, 2) for hour in (0, 8, 16)))
    rates["event_time"] += pd.Timedelta(settled_ms, "ms")
    known = only(path, rates)
    far = {"side": 1, "stop": 1.0, "target": 1e6, "liquidation_price": 0.0}
    end = known.exit(entry_bar=0, horizon=timedelta(hours=hours), **far)
    assert end.reason == "time"
    start = int(known.open_time[0])
    paid = known.funding_usd(side=1, quantity=1.0, start_us=start, end_us=end.held_us, gone_us=end.gone_us)
    assert paid == pytest.approx(hours // 8 * 0.001 * 100.0)


@pytest.mark.parametrize(
    ("rates", "known"),
    [
        (None, False),
        (funding(), False),
        (funding("2024-03-01 00:00", "2024-03-01 08:00"), True),
        (funding("2024-03-01 00:00", "2024-03-01 08:00").assign(symbol="ETHUSDT"), False),
        (funding("2024-02-20", "2024-02-21"), False),  # ends before
        (funding("2024-03-03", "2024-03-04"), False),  # begins after
        (funding("2024-02-28", "2024-03-03"), False),  # a hole
    ],
)
def test_a_trade_tells_whether_its_funding_is_known(
    make_score: Callable[..., Score], rates: pd.DataFrame | None, known: bool
) -> None:
    """Catches funding of 0 where no rate is known: the net result is then not net."""
    path = flat().assign(open=50_000.0, high=50_000.0, low=50_000.0, close=50_000.0)
    trade = only(path, rates).hold(long_plan(make_score), entry_bar=1, horizon=timedelta(minutes=5))
    assert trade.funding_known is known
    assert trade.to_row()["funding_known"] is known


def test_settlements_come_at_whatever_interval() -> None:
    """Catches a rate spread over time, or one settlement every eight hours, and the sign of either side."""
    opens = pd.date_range("2024-03-01", periods=24, freq="1h", tz="UTC").as_unit("us")
    path = table(24).assign(open_time=opens, event_time=opens + pd.Timedelta("1h"))
    rates = funding("2024-03-01 08:00", "2024-03-01 16:00", "2024-03-01 20:00", "2024-03-01 21:00", "2024-03-01 22:00")
    rates["funding_rate"] = [0.001, -0.002, 0.003, 0.004, 0.005]
    span = {"start_us": moment("2024-03-01 08:00"), "end_us": moment("2024-03-01 21:59:59")}
    paid = 10 * (-0.002 * 116 + 0.003 * 120 + 0.004 * 121)
    assert only(path, rates).funding_usd(side=1, quantity=10.0, **span) == pytest.approx(paid)
    assert only(path, rates).funding_usd(side=-1, quantity=10.0, **span) == pytest.approx(-paid)
    assert only(path, rates).funding_usd(side=1, quantity=10.0, start_us=span["start_us"], end_us=0) == 0.0


def test_funding_is_valued_at_the_mark() -> None:
    """Catches funding on the last trade where the mark price is known."""
    mark = table().assign(open=200.0, high=200.0, low=200.0)
    path = only(table(), funding("2024-03-01 00:02:30"), mark)
    span = {"start_us": moment("2024-03-01 00:00"), "end_us": moment("2024-03-01 00:03")}
    assert path.funding_usd(side=1, quantity=1.0, **span) == pytest.approx(0.001 * 200.0)


def test_the_last_trades_stand_in_for_a_mark_that_is_missing() -> None:
    """Catches a mark joined by position, one taken from a neighbouring bar, and one of another symbol."""
    mark = table(6).assign(open=200.0, high=201.0, low=199.0).iloc[[0, 2, 4, 5]]  # the path ends before the last two
    path = only(table(), None, mark)
    assert path.mark_open.tolist() == [200.0, 101.0, 200.0, 103.0]
    assert path.mark_high.tolist() == [201.0, 102.0, 201.0, 104.0]
    assert path.mark_low.tolist() == [199.0, 100.0, 199.0, 102.0]
    assert path.mark_at(moment("2024-03-01 00:02:59")) == 200.0
    for nothing in (mark.assign(symbol="ETHUSDT"), mark.iloc[:0], None):
        assert only(table(), None, nothing).mark_low.tolist() == [99.0, 100.0, 101.0, 102.0]


@pytest.mark.parametrize(
    ("mark", "error", "named"),
    [
        (table().drop(columns="low"), SchemaError, "mark_price.*low"),
        (
            table().assign(low=[99.0, np.nan, 99.0, 99.0]),
            SchemaError,
            r"mark_price.*positive and finite at 2024-03-01 00:01",
        ),
        (
            table().assign(high=[99.0, 99.0, np.inf, 99.0]),
            SchemaError,
            r"mark_price.*positive and finite at 2024-03-01 00:02",
        ),
        (table().assign(open=[99.0, 0.0, 99.0, 99.0]), SchemaError, "mark_price"),
        (table().iloc[[1, 0]], OrderError, "mark_price"),
    ],
)
def test_bad_marks_are_named_errors(mark: pd.DataFrame, error: type[Exception], named: str) -> None:
    """Catches a liquidation that is never met because the mark is NaN."""
    with pytest.raises(error, match=named):
        only(table(), None, mark)


@pytest.mark.parametrize(("low", "reason"), [(30_000.0, "stop"), (None, "time")], ids=["stopped", "nothing happens"])
def test_a_held_plan_knows_its_fill_and_its_end(
    make_score: Callable[..., Score], low: float | None, reason: str
) -> None:
    """Catches a fill that is not the open of the entry bar, and an exit with the wrong price."""
    path = flat().assign(open=50_000.0, high=50_000.0, low=50_000.0, close=50_000.0)
    if low is not None:
        path.loc[3, "low"] = low
    plan = long_plan(make_score)
    trade = only(path, funding("2024-03-01 00:02")).hold(plan, entry_bar=1, horizon=timedelta(minutes=5))
    assert trade.entry_time == pd.Timestamp("2024-03-01 00:01", tz="UTC")
    assert trade.exit_time == pd.Timestamp("2024-03-01 00:04" if low else "2024-03-01 00:06", tz="UTC")
    assert (trade.exit_reason, trade.exit_price) == (reason, plan.stop if low else 50_000.0)
    assert trade.funding_usd == pytest.approx(0.001 * 50_000.0 * plan.quantity)


def test_a_liquidation_costs_the_margin(make_score: Callable[..., Score]) -> None:
    """Catches a liquidation that ends where it was triggered, and so leaves some of the margin."""
    path = flat().assign(open=50_000.0, high=50_000.0, low=50_000.0, close=50_000.0)
    mark = path.copy()
    mark.loc[3, ["open", "low"]] = 10_000.0
    plan = long_plan(make_score)
    trade = only(path, None, mark).hold(plan, entry_bar=1, horizon=timedelta(minutes=5))
    assert (trade.exit_reason, trade.exit_price) == ("liquidation", plan.bankruptcy_price)
    assert only(path).hold(plan, entry_bar=1, horizon=timedelta(minutes=5)).exit_reason == "time"


def long_plan(make_score: Callable[..., Score]) -> TradePlan:
    decision = Gate().decide(make_score(), Account(equity=100_000.0))
    assert isinstance(decision, TradePlan)
    return decision


def test_settlement_times_need_no_particular_resolution() -> None:
    """Catches nanoseconds read as microseconds."""
    coarse = funding("2024-03-01 00:02").assign(event_time=lambda rows: rows["event_time"].dt.as_unit("s"))
    path = only(table(), coarse)
    span = {"start_us": moment("2024-03-01 00:00"), "end_us": moment("2024-03-01 00:03")}
    assert path.funding_usd(side=1, quantity=1.0, **span) == pytest.approx(0.102)


def change(column: str, row: int, value: object) -> pd.DataFrame:
    rows = table()
    rows.loc[row, column] = value
    return rows


@pytest.mark.parametrize(
    ("fine_bars", "rates", "error", "named"),
    [
        (change("low", 2, np.nan), None, SchemaError, "at 2024-03-01 00:02"),
        (change("low", 2, -1.0), None, SchemaError, "positive"),
        (change("high", 1, 100.9), None, SchemaError, "at 2024-03-01 00:01"),
        (change("event_time", 1, pd.Timestamp("2024-03-01 00:01", tz="UTC")), None, OrderError, "event_time"),
        (table().iloc[[0, 2, 1, 3]], None, OrderError, "open_time"),
        (table().iloc[[0, 1, 1, 3]], None, OrderError, "repeat"),
        (table().drop(columns="high"), None, SchemaError, "high"),
        (table().assign(symbol="ETHUSDT"), None, MissingDataError, "BTCUSDT"),
        (table(), funding("2024-03-01 00:02", rate=np.nan), SchemaError, "funding rate"),
        (table(), funding("2024-03-01 00:02").drop(columns="funding_rate"), SchemaError, "funding_rate"),
        (
            table().assign(open_time=lambda rows: rows["open_time"].dt.tz_localize(None)),
            None,
            SchemaError,
            "time zone",
        ),
        (
            table().assign(event_time=lambda rows: rows["open_time"]),
            None,
            SchemaError,
            "not after its open",
        ),
    ],
)
def test_bad_tables_are_named_errors(
    fine_bars: pd.DataFrame, rates: pd.DataFrame | None, error: type[Exception], named: str
) -> None:
    """Catches a backtest on prices that cannot be."""
    with pytest.raises(error, match=named):
        only(fine_bars, rates)
