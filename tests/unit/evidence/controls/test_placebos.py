"""Random entries lie where they may and nowhere else; moves of the same size are those of a loop."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.evidence.controls.placebos import permuted_times, random_entries, same_size_moves
from slackwater.times import epochs_us

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BARS = pd.DataFrame(
    {
        "symbol": np.repeat(["A", "B"], 240),
        "event_time": np.tile(pd.date_range("2024-03-01", periods=240, freq="1h", tz="UTC", unit="us"), 2),
    }
).astype({"event_time": "datetime64[us, UTC]"})
TIMES = {symbol: epochs_us(own) for symbol, own in BARS.groupby("symbol")["event_time"]}


def trades_at(*times: str, symbol: str = "A", side: int = 1) -> pd.DataFrame:
    stamps = pd.DatetimeIndex(times, tz="UTC").as_unit("us")
    return pd.DataFrame({"symbol": symbol, "event_time": stamps, "side": side})


def allowed(time: pd.Timestamp, earliest: timedelta, latest: timedelta) -> set[pd.Timestamp]:
    bars = BARS.loc[BARS["symbol"] == "A", "event_time"]
    return {bar for bar in bars if time + earliest <= bar <= time + latest and bar.date() != time.date()}


@pytest.mark.parametrize(("earliest", "latest"), [(timedelta(0), DAY), (-30 * DAY, 30 * DAY), (-DAY, HOUR)])
@pytest.mark.parametrize(
    "time",
    # The middle of a day, its first and last bar, the first and last day of the data, and a stamp between two bars.
    [
        "2024-03-05 10:00",
        "2024-03-05 00:00",
        "2024-03-05 23:00",
        "2024-03-01 00:00",
        "2024-03-10 12:00",
        "2024-03-04 10:07",
    ],
)
def test_every_bar_that_may_be_drawn_is_and_no_other(earliest: timedelta, latest: timedelta, time: str) -> None:
    """Caught: an entry on the UTC day of the event, one outside of the window, and a bar that is never drawn."""
    trades = trades_at(time)
    expected = allowed(trades["event_time"][0], earliest, latest)
    drawn = random_entries(trades, TIMES, earliest=earliest, latest=latest, draws=4_000, seed=0)
    assert set(drawn["event_time"]) == expected
    counts = drawn["event_time"].value_counts()
    if len(expected):
        assert len(drawn) == 4_000
        assert counts.max() < 4_000 / len(expected) + 6.0 * np.sqrt(4_000 / len(expected))


def test_entries_keep_symbol_and_side_and_are_those_of_the_seed() -> None:
    trades = pd.concat(
        [trades_at("2024-03-05 10:00", "2024-03-06 11:00"), trades_at("2024-03-07 09:00", symbol="B", side=-1)],
        ignore_index=True,
    )
    options = {"earliest": -2 * DAY, "latest": 2 * DAY, "draws": 5}
    drawn = random_entries(trades, TIMES, seed=3, **options)
    assert len(drawn) == 15
    for name in ("symbol", "side"):
        assert (drawn[name].to_numpy() == trades[name].to_numpy()[drawn["trade"]]).all()
    pd.testing.assert_frame_equal(drawn, random_entries(trades, TIMES, seed=3, **options))
    assert not drawn.equals(random_entries(trades, TIMES, seed=4, **options))


def test_no_trade_and_no_bar_give_no_entry() -> None:
    options = {"earliest": timedelta(0), "latest": DAY, "draws": 2, "seed": 0}
    assert random_entries(trades_at(), TIMES, **options).empty
    assert random_entries(trades_at("2024-03-05", symbol="C"), TIMES, **options).empty


def test_permuted_times_are_the_same_times() -> None:
    """Two symbols of one trade each: an order that exchanges them is kept, the trades themselves are not."""
    trades = pd.concat(
        [trades_at("2024-03-01 10:00"), trades_at("2024-03-02 11:00", symbol="B", side=-1)], ignore_index=True
    )
    drawn = permuted_times(trades, draws=40, seed=0)
    assert 10 < len(drawn) < 70
    assert (drawn["symbol"].to_numpy() == trades["symbol"].to_numpy()[drawn["trade"]]).all()
    assert (drawn["event_time"].to_numpy() == trades["event_time"].to_numpy()[1 - drawn["trade"]]).all()


@pytest.mark.parametrize("sides", [[1] * 9, [1] * 6 + [-1] * 3])
def test_no_permuted_time_is_a_trade_of_the_model(sides: list[int]) -> None:
    """Caught: of one symbol, most entries were the trades themselves, and of one side all, with a difference of 0."""
    trades = trades_at(*(f"2024-03-{day:02d} 0{day % 7}:00" for day in range(1, 10))).assign(side=sides)
    drawn = permuted_times(trades, draws=30, seed=0)
    own = set(zip(trades["event_time"], trades["side"], strict=True))
    assert own.isdisjoint(zip(drawn["event_time"], drawn["side"], strict=True))
    assert drawn.empty == (len(set(sides)) == 1)
    assert set(drawn["event_time"]) <= set(trades["event_time"])
    assert permuted_times(trades.iloc[:0], draws=3, seed=0).empty


def test_the_nearest_moves_are_those_of_a_loop() -> None:
    """Caught: a move of the other direction, another symbol or the same day, and a missing size that counts as near."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "symbol": rng.choice(["A", "B"], 60),
            "event_time": pd.to_datetime("2024-03-01", utc=True) + pd.to_timedelta(rng.integers(0, 240, 60), unit="h"),
            "direction": rng.choice([-1, 1], 60),
            "move": rng.normal(size=60),
        }
    ).astype({"event_time": "datetime64[us, UTC]"})
    table.loc[:5, "move"] = np.nan
    trades, others = table.iloc[:20].reset_index(drop=True), table.iloc[3:].reset_index(drop=True)
    found = same_size_moves(trades, others, move="move", nearest=2)
    for row, trade in trades.iterrows():
        apart = [
            (abs(abs(other["move"]) - abs(trade["move"])), place)
            for place, other in others.iterrows()
            if other["symbol"] == trade["symbol"]
            and other["direction"] == trade["direction"]
            and other["event_time"].date() != trade["event_time"].date()
            and not np.isnan(other["move"] + trade["move"])
        ]
        expected = [place for _, place in sorted(apart)[:2]]
        assert found.loc[found["trade"] == row, "other"].tolist() == expected
