"""Correlations of a window that was known: no hour too early, none that nobody traded in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from slackwater.times import epoch_us
from slackwater.trading import correlations as correlations_module
from slackwater.trading.account import Account, OpenPosition
from slackwater.trading.correlations import HourlyCorrelations
from slackwater.trading.price_path import price_paths

START = pd.Timestamp("2024-03-01", tz="UTC")
PAIR = ("BTCUSDT", "ETHUSDT")
ALL = (*PAIR, "SOLUSDT")


def bars(symbol: str, returns: np.ndarray, *, interval: str = "1h") -> pd.DataFrame:
    """A path that makes these returns, one a bar, after a first bar without one."""
    close = 100.0 * np.exp(np.cumsum(np.append(0.0, returns)))
    opens = pd.date_range(START, periods=len(close), freq=interval, unit="us")
    rows = pd.DataFrame({"symbol": symbol, "open_time": opens, "event_time": opens + pd.Timedelta(interval)})
    return rows.assign(open=close, high=close, low=close, close=close)


def correlations(*tables: pd.DataFrame) -> HourlyCorrelations:
    path = pd.concat(tables, ignore_index=True)
    return HourlyCorrelations.of(price_paths(path, None, path["symbol"].unique()))


def hours(count: float) -> int:
    return epoch_us(START + pd.Timedelta(count, "h"))


@pytest.fixture
def returns() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    one = rng.normal(0.0, 0.01, 900)
    return one, 0.6 * one + rng.normal(0.0, 0.01, 900)


def test_the_window_is_the_last_thirty_days(returns: tuple[np.ndarray, np.ndarray]) -> None:
    """Catches an hour that has not ended, and one that is too old."""
    known = correlations(*(bars(symbol, moves) for symbol, moves in zip(PAIR, returns, strict=True)))
    # The return of index i is that of the bar that closes i + 2 hours after the start.
    for now in (400, 800.5, 850.99):
        end = int(now) - 1
        window = slice(max(end - 720, 0), end)
        expected = np.corrcoef(returns[0][window], returns[1][window])[0, 1]
        assert known.at(hours(now), ALL)[PAIR] == pytest.approx(expected, rel=1e-12)


def test_what_comes_later_changes_nothing(returns: tuple[np.ndarray, np.ndarray]) -> None:
    """Catches a look ahead."""
    one, other = returns
    before = correlations(bars(PAIR[0], one), bars(PAIR[1], other))
    changed = np.where(np.arange(900) < 499, other, -one)
    after = correlations(bars(PAIR[0], one), bars(PAIR[1], changed))
    assert before.at(hours(500.9), ALL) == after.at(hours(500.9), ALL)
    assert before.at(hours(501), ALL) != after.at(hours(501), ALL)


def test_seven_days_are_the_least(returns: tuple[np.ndarray, np.ndarray]) -> None:
    """Catches a correlation of a handful of hours."""
    known = correlations(*(bars(symbol, moves) for symbol, moves in zip(PAIR, returns, strict=True)))
    assert known.at(hours(168.9), ALL) == {}  # 167 returns
    assert set(known.at(hours(169), ALL)) == {PAIR}
    assert known.at(hours(-5), ALL) == {}
    assert known.at(hours(5_000), ALL) == {}  # long after the last bar


def test_minutes_and_hours_say_the_same(returns: tuple[np.ndarray, np.ndarray]) -> None:
    """Catches returns of bars instead of hours."""
    minutes = []
    for symbol, moves in zip(PAIR, returns, strict=True):
        spread = np.repeat(np.append(0.0, moves[:300]) / 60.0, 60)[1:]
        minutes.append(bars(symbol, spread, interval="1min"))
    fine = correlations(*minutes)
    coarse = correlations(*(bars(symbol, moves[:300]) for symbol, moves in zip(PAIR, returns, strict=True)))
    assert fine.at(hours(300), ALL)[PAIR] == pytest.approx(coarse.at(hours(300), ALL)[PAIR], rel=1e-9)


def test_a_halted_hour_has_no_return(returns: tuple[np.ndarray, np.ndarray]) -> None:
    """Catches the jump over a halt taken for the return of an hour, and a stale price taken for a calm one."""
    one, other = (moves[:400].copy() for moves in returns)
    other[200] = 3.0  # the jump, in the bar that closes at hour 202
    tables = [bars(PAIR[0], one), bars(PAIR[1], other).drop(index=range(190, 201))]
    found = correlations(*tables).at(hours(401), ALL)[PAIR]
    kept = np.delete(np.arange(400), np.arange(189, 201))
    assert found == pytest.approx(np.corrcoef(one[kept], other[kept])[0, 1], rel=1e-12)


def test_a_correlation_is_that_of_numpy_to_the_last_digit() -> None:
    """Catches another rounding, by which an account would put other positions together."""
    rng = np.random.default_rng(7)
    for scale in 10.0 ** np.arange(-7, 3):
        n = int(rng.integers(168, 721))
        returns = rng.normal(0.0, scale, (2, n)) + rng.normal(0.0, scale, n)
        assert correlations_module._pearson(returns.copy()) == np.corrcoef(*returns)[0, 1]


def test_a_price_that_stands_still_is_like_none(returns: tuple[np.ndarray, np.ndarray]) -> None:
    """Catches a correlation of NaN."""
    tables = [bars(PAIR[0], returns[0]), bars(PAIR[1], np.zeros(900))]
    assert correlations(*tables).at(hours(800), ALL) == {}


def test_every_pair_once_and_one_symbol_none(returns: tuple[np.ndarray, np.ndarray]) -> None:
    """Catches a pair in both orders, a symbol with itself, and a symbol that started late."""
    late = bars("SOLUSDT", returns[0])
    late[["open_time", "event_time"]] += pd.Timedelta("600h")
    tables = [bars(PAIR[1], returns[1]), bars(PAIR[0], returns[0]), late]
    assert set(correlations(*tables).at(hours(700), ALL)) == {PAIR}
    assert set(correlations(*tables).at(hours(800), ALL)) == {PAIR, ("BTCUSDT", "SOLUSDT"), ("ETHUSDT", "SOLUSDT")}
    assert correlations(tables[0]).at(hours(800), ALL) == {}
    assert HourlyCorrelations.of({}).at(hours(1), ALL) == {}


def test_only_what_is_asked_for_is_computed(
    returns: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Catches the pairs of a whole market at every decision: 500 symbols have 124,750."""
    asked = counted(monkeypatch)
    known = correlations(*(bars(symbol, returns[0]) for symbol in ALL))
    assert set(known.at(hours(800), PAIR)) == {PAIR}
    assert set(known.at(hours(800.5), [*PAIR, "NOBODYUSDT"])) == {PAIR}
    assert len(asked) == 1
    assert set(known.at(hours(801), ["SOLUSDT", "ETHUSDT"])) == {("ETHUSDT", "SOLUSDT")}
    assert len(asked) == 2


def test_an_account_asks_for_the_pairs_of_its_new_trade_alone(
    returns: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caught: all pairs of the open positions computed and looked at for every decision, refused ones included."""
    asked = counted(monkeypatch)
    known = correlations(*(bars(symbol, returns[0]) for symbol in ALL)).at(hours(800), ALL)
    positions = tuple(
        OpenPosition(symbol=name, side=1, quantity=1.0, entry=1.0, mark=1.0, leverage=1.0, risk_usd=1.0)
        for name in PAIR
    )
    account = Account(equity=1_000.0, open_positions=positions, correlations=known)
    assert not asked
    found = account.exposure("SOLUSDT", 1)
    assert found.cluster == PAIR
    n = len(asked)
    assert account.exposure("SOLUSDT", -1).cluster == ()
    assert len(asked) == n <= 3
    held = Account(equity=1_000.0, open_positions=positions, correlations=dict(known))
    assert held.exposure("SOLUSDT", 1) == found


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows with every correlation that is computed."""
    asked: list[int] = []
    whole = correlations_module._pearson

    def pearson(values: np.ndarray) -> float | None:
        asked.append(values.shape[1])
        return whole(values)

    monkeypatch.setattr(correlations_module, "_pearson", pearson)
    return asked
