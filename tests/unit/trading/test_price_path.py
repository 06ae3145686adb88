"""Exits on hand-written bars, each one a way in which backtests flatter themselves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import MissingDataError, OrderError, SchemaError
from slackwater.trading.ledger import EXIT_REASONS
from slackwater.trading.price_path import PricePath, microseconds, price_paths, walk_to_exit

QUIET = (100.0, 101.0, 99.0, 100.0)


def walk(
    *bars: tuple[float, float, float, float], side: int = 1, stop: float, target: float, liquidation: float
) -> tuple[str, int, float]:
    open_, high, low, close = (np.array(column) for column in zip(*bars, strict=True))
    code, bar, price = walk_to_exit(open_, high, low, close, 0, len(bars), side, stop, target, liquidation)
    return EXIT_REASONS[code], bar, price


LONG = {"side": 1, "stop": 95.0, "target": 110.0, "liquidation": 80.0}
SHORT = {"side": -1, "stop": 105.0, "target": 90.0, "liquidation": 120.0}


@pytest.mark.parametrize(
    ("bars", "levels", "expected"),
    [
        ([QUIET, (100, 111, 99, 105)], LONG, ("target", 1, 110.0)),
        ([QUIET, (100, 101, 94, 96)], LONG, ("stop", 1, 95.0)),
        ([(100, 101, 94, 96), (100, 111, 99, 105)], LONG, ("stop", 0, 95.0)),  # the entry bar counts
        ([QUIET, (100, 111, 94, 105)], LONG, ("stop", 1, 95.0)),  # a tie is a stop
        ([QUIET, (93, 112, 92, 111)], LONG, ("stop", 1, 93.0)),  # a gap fills at the open
        ([QUIET, (112, 113, 111, 112)], LONG, ("target", 1, 110.0)),  # never better than the target
        ([QUIET, (79, 99, 78, 98)], LONG, ("liquidation", 1, 79.0)),
        ([QUIET, (96, 99, 70, 98)], LONG, ("stop", 1, 95.0)),  # the stop comes first on the way down
        ([QUIET, QUIET], LONG, ("time", 1, 100.0)),
        ([QUIET, (100, 101, 89, 95)], SHORT, ("target", 1, 90.0)),
        ([QUIET, (100, 106, 89, 95)], SHORT, ("stop", 1, 105.0)),
        ([QUIET, (107, 108, 100, 101)], SHORT, ("stop", 1, 107.0)),
        ([QUIET, (121, 122, 100, 101)], SHORT, ("liquidation", 1, 121.0)),
        ([QUIET, (100, 101, 70, 98)], LONG | {"stop": 60.0}, ("liquidation", 1, 80.0)),  # before the stop
    ],
)
def test_exits(
    bars: list[tuple[float, float, float, float]], levels: dict[str, float], expected: tuple[str, int, float]
) -> None:
    """Catches each of: entry bar skipped, tie won, gap filled at the stop, exit on the wrong side."""
    assert walk(*bars, **levels) == expected


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


def only(path: pd.DataFrame, rates: pd.DataFrame | None = None) -> PricePath:
    return price_paths(path, rates, ["BTCUSDT"])["BTCUSDT"]


def test_the_price_of_a_moment_is_one_that_was_known() -> None:
    """Catches the close of a bar in progress used as its price."""
    path = only(table())
    assert path.price_at(moment("2024-03-01 00:02:59")) == 102.0
    assert path.price_at(moment("2024-03-01 00:03:00")) == 103.0
    assert path.first_bar_from(moment("2024-03-01 00:02:00")) == 2
    assert path.first_bar_from(moment("2024-03-01 00:02:01")) == 3


def test_funding_is_charged_after_the_fill_and_up_to_the_exit() -> None:
    """Catches a settlement counted at the fill, one missed at the exit, the sign, and the wrong price."""
    path = only(table(), funding("2024-03-01 00:00", "2024-03-01 00:02", "2024-03-01 00:03"))
    span = {"start_us": moment("2024-03-01 00:00"), "end_us": moment("2024-03-01 00:03")}
    assert path.funding_usd(side=1, quantity=10.0, **span) == pytest.approx(10 * 0.001 * (102 + 103))
    assert path.funding_usd(side=-1, quantity=10.0, **span) == pytest.approx(-10 * 0.001 * (102 + 103))


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
    ("path", "rates", "error", "named"),
    [
        (change("low", 2, np.nan), None, SchemaError, r"\[2\]"),
        (change("low", 2, -1.0), None, SchemaError, "positive"),
        (change("high", 1, 100.9), None, SchemaError, r"\[1\]"),
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
    path: pd.DataFrame, rates: pd.DataFrame | None, error: type[Exception], named: str
) -> None:
    """Catches a backtest on prices that cannot be."""
    with pytest.raises(error, match=named):
        only(path, rates)
