"""The triple barrier and the uniqueness against loops that a reader can check by eye."""

from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from slackwater.labels.barriers import triple_barrier
from slackwater.labels.weights import average_uniqueness
from slackwater.trading.price_path import price_paths

LAG, HORIZON = timedelta(seconds=5), timedelta(hours=5)
START = pd.Timestamp("2024-03-01", tz="UTC")


def ragged_path(rng: np.random.Generator, symbol: str, interval: timedelta) -> pd.DataFrame:
    """Wide bars on a coarse price grid (ties, exact touches), bars missing singly and in stretches."""
    n = int(timedelta(days=4) / interval)
    scale = 0.0015 * np.sqrt(interval / timedelta(minutes=1))
    close = np.cumsum(rng.normal(0, scale, n))
    open_ = np.concatenate(([0.0], close[:-1])) + rng.normal(0, scale / 2, n)
    wick = np.abs(rng.normal(0, 2 * scale, (2, n)))
    prices = np.exp([open_, np.maximum(open_, close) + wick[0], np.minimum(open_, close) - wick[1], close])
    opens = pd.date_range(START, periods=n, freq=interval, unit="us")
    path = pd.DataFrame({"symbol": symbol, "open_time": opens, "event_time": opens + interval})
    path[["open", "high", "low", "close"]] = (100 * prices.T).round(1)
    keep = rng.random(n) > 0.002
    for begin in rng.integers(0, n, 2):
        keep[begin : begin + rng.integers(2, max(3, int(timedelta(minutes=40) / interval)))] = False
    return path[keep]


def naive_gaps(path: pd.DataFrame, interval: timedelta) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    longest = max(timedelta(minutes=15), 3 * interval)
    gaps = [(before + interval, after) for before, after in pairwise(path["open_time"])]
    return [(begin, end) for begin, end in gaps if end - begin > longest]


def naive_label(event: pd.Series, path: pd.DataFrame, interval: timedelta, gaps: list) -> tuple | None:
    """Label one event by walking over the bars; None if it is dropped."""
    coarse = interval > timedelta(minutes=1)
    wanted = event["event_time"] + (timedelta(0) if coarse else LAG)
    later = list(path[path["open_time"] >= wanted].head(400).itertuples())
    if not later or (coarse and later[0].open_time != wanted):
        return None
    begin, end = event["event_time"] - timedelta(days=1), later[0].open_time + HORIZON
    first, last = path["open_time"].iloc[0], path["open_time"].iloc[-1]
    if first - begin > max(timedelta(minutes=15), 3 * interval) or last + interval < end:
        return None
    if any(gap_begin < end and gap_end > begin for gap_begin, gap_end in gaps):
        return None
    d = event["direction"]
    barrier = min(max(event["volatility_daily"], 0.005), 0.25) * np.sqrt(HORIZON / timedelta(days=1))
    entry = np.log(later[0].open)
    for bar in later:
        if bar.open_time >= end:
            break
        up, down = np.log(bar.high) - entry, entry - np.log(bar.low)
        adverse, favourable = (up, down) if d > 0 else (down, up)
        if -d * (np.log(bar.open) - entry) >= barrier:
            return later[0].open_time, later[0].open, 1, bar.event_time, barrier, False
        if adverse >= 1.5 * barrier:
            lost = max(1.5 * barrier, d * (np.log(bar.open) - entry))
            return later[0].open_time, later[0].open, -1, bar.event_time, -lost, favourable >= barrier
        if favourable >= barrier:
            return later[0].open_time, later[0].open, 1, bar.event_time, barrier, False
        last = bar
    return later[0].open_time, later[0].open, 0, last.event_time, -d * (np.log(last.close) - entry), False


@pytest.mark.parametrize("interval", [timedelta(minutes=1), timedelta(minutes=5), timedelta(hours=1)])
@pytest.mark.parametrize("seed", [1, 2])
def test_triple_barrier_against_a_naive_loop(seed: int, interval: timedelta) -> None:
    """Fails on any slip of the kernel, the windows or the gaps; ties, gaps and all three codes must occur."""
    rng = np.random.default_rng(seed)
    symbols = ["AAA", "BBB", "CCC"]
    paths = [ragged_path(rng, symbol, interval) for symbol in symbols]
    events = []
    for symbol in symbols:
        n, step = 25, max(interval, timedelta(minutes=5))
        at = np.sort(rng.choice(int(timedelta(days=4) / step), n, replace=False))
        times = pd.Series([START + int(k) * step for k in at]).dt.as_unit("us")
        volatility = rng.uniform(0.004, 0.12, n)
        direction = rng.choice([-1, 1], n)
        events.append(
            pd.DataFrame(
                {
                    "symbol": symbol,
                    "event_time": times,
                    "available_time": times + LAG,
                    "direction": direction,
                    "volatility_daily": volatility,
                }
            )
        )
    table = pd.concat(events, ignore_index=True)
    labels, report = triple_barrier(
        table,
        price_paths(pd.concat(paths, ignore_index=True)),
        horizon=HORIZON,
        decision_lag=LAG,
        fine_bar_interval=interval,
        continuation_multiple=1.5,
    )

    by_symbol = dict(zip(symbols, paths, strict=True))
    gaps = {symbol: naive_gaps(path, interval) for symbol, path in by_symbol.items()}
    naive = [
        naive_label(event, by_symbol[event["symbol"]], interval, gaps[event["symbol"]]) for _, event in table.iterrows()
    ]
    kept = [one is not None for one in naive]
    pd.testing.assert_frame_equal(
        labels[["symbol", "event_time"]], table.loc[kept, ["symbol", "event_time"]].reset_index(drop=True)
    )
    columns = ["entry_time", "entry_price", "code", "label_end_time", "log_return", "tie"]
    for name, expected in zip(columns, zip(*(one for one in naive if one is not None), strict=True), strict=True):
        if name == "log_return":
            np.testing.assert_allclose(labels[name], expected, rtol=1e-12, atol=1e-15)
        else:
            assert labels[name].tolist() == list(expected), name

    # The comparison is worth nothing unless the paths hold what it is meant to cover.
    assert 0 < report.labelled < report.events
    assert report.dropped_gap_before + report.dropped_gap_in_window > 0
    assert set(labels["code"]) == {-1, 0, 1}


def test_the_paths_of_this_file_hold_ties() -> None:
    """Fails if the generator stops producing ties, and the comparison above no longer covers them."""
    rng = np.random.default_rng(3)
    path = ragged_path(rng, "AAA", timedelta(minutes=5)).reset_index(drop=True)
    path[["high", "low"]] = path[["high", "low"]] * [1.02, 0.98]
    event = pd.DataFrame({"symbol": "AAA", "event_time": path["open_time"].iloc[400:1000:20], "direction": 1})
    event = event.assign(available_time=event["event_time"], volatility_daily=0.03)
    labels, report = triple_barrier(
        event,
        price_paths(path),
        horizon=HORIZON,
        decision_lag=LAG,
        fine_bar_interval=timedelta(minutes=5),
        continuation_multiple=1.5,
    )
    gaps = naive_gaps(path, timedelta(minutes=5))
    naive = [naive_label(one, path, timedelta(minutes=5), gaps) for _, one in event.iterrows()]
    assert labels["tie"].tolist() == [one[5] for one in naive if one is not None]
    assert report.ties > 3


@pytest.mark.parametrize("correlation", [0.0, 0.35, 1.0])
def test_uniqueness_against_counting_minute_by_minute(correlation: float) -> None:
    """Fails on any slip in the running integrals, such as an open end counted as closed."""
    rng = np.random.default_rng(0)
    n = 80
    start = rng.integers(0, 2000, n)
    end = start + rng.integers(1, 300, n)
    symbol = rng.choice(["AAA", "BBB", "CCC"], n)
    table = pd.DataFrame(
        {
            "symbol": symbol,
            "event_time": START + pd.to_timedelta(start, unit="min"),
            "label_end_time": START + pd.to_timedelta(end, unit="min"),
        }
    )
    expected = []
    for i in range(n):
        shares = []
        for minute in range(start[i] + 1, end[i] + 1):
            running = [j for j in range(n) if start[j] < minute <= end[j]]
            shares.append(1 / sum(1.0 if symbol[j] == symbol[i] else correlation for j in running))
        expected.append(np.mean(shares))
    np.testing.assert_allclose(average_uniqueness(table, symbol_correlation=correlation), expected, rtol=1e-12)
