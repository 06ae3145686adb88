"""Invariances of labels on any path (method, section 1.6)."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.durations import duration_name
from slackwater.labels._first_touch import first_touch
from slackwater.labels.barriers import triple_barrier
from slackwater.labels.events import sample_events
from slackwater.labels.outcomes import HORIZON_COLUMNS
from slackwater.trading.price_path import price_paths

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
HORIZON = timedelta(hours=6)
START = pd.Timestamp("2024-01-01", tz="UTC")
PRICES = ["open", "high", "low", "close"]
OUTCOME = ["event_time", "entry_time", "code", "label_end_time", "tie", "y_direction", "y_hit"]

seeds = st.integers(0, 2**32 - 1)
examples = settings(deadline=None, max_examples=20)


def random_market(seed: int, *, days: int = 3, n_events: int = 25) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A driftless path of minute bars, and events on it whose barriers are touched in most cases."""
    rng = np.random.default_rng(seed)
    n = days * 1440
    close = np.cumsum(rng.normal(0, 0.0008, n))
    # Bars do not open where the last one closed, so that gaps occur.
    open_ = np.concatenate(([0.0], close[:-1])) + rng.normal(0, 0.0002, n)
    wick = np.abs(rng.normal(0, 0.0005, (2, n)))
    logs = [open_, np.maximum(open_, close) + wick[0], np.minimum(open_, close) - wick[1], close]
    opens = pd.date_range(START, periods=n, freq="1min", unit="us")
    path = pd.DataFrame({"symbol": "BTCUSDT", "open_time": opens, "event_time": opens + MINUTE})
    path[PRICES] = 50.0 * np.exp(np.column_stack(logs))
    at = np.sort(rng.choice(np.arange(1440, n), n_events, replace=False))
    events = pd.DataFrame(
        {
            "symbol": "BTCUSDT",
            "event_time": opens[at],
            "available_time": opens[at] + pd.Timedelta("5s"),
            "direction": rng.choice([-1, 1], n_events),
            "volatility_daily": rng.uniform(0.005, 0.08, n_events),
        }
    )
    return path, events


def labelled(path: pd.DataFrame, events: pd.DataFrame, **changes: object) -> pd.DataFrame:
    arguments = {"horizon": HORIZON, "decision_lag": timedelta(seconds=5), "fine_bar_interval": MINUTE} | changes
    return triple_barrier(events, price_paths(path), **arguments)[0]


@examples
@given(seed=seeds, log_factor=st.floats(-12, 12))
def test_price_scale(seed: int, log_factor: float) -> None:
    """1. Fails if anything but price ratios enters a label, such as a barrier in money or a tick."""
    path, events = random_market(seed)
    labels = labelled(path, events)
    scaled = labelled(path.assign(**{name: path[name] * np.exp(log_factor) for name in PRICES}), events)
    pd.testing.assert_frame_equal(scaled[OUTCOME], labels[OUTCOME])
    np.testing.assert_allclose(scaled["log_return"], labels["log_return"], rtol=1e-9, atol=1e-12)


@examples
@given(seed=seeds)
def test_sign_flip(seed: int) -> None:
    """2. Fails if a rise is not the mirror image of a fall."""
    path, events = random_market(seed)
    mirrored = path.assign(**{name: 1.0 / path[{"high": "low", "low": "high"}.get(name, name)] for name in PRICES})
    labels = labelled(path, events)
    flipped = labelled(mirrored, events.assign(direction=-events["direction"]))
    pd.testing.assert_frame_equal(flipped[OUTCOME], labels[OUTCOME])
    np.testing.assert_allclose(flipped["log_return"], labels["log_return"], rtol=1e-9, atol=1e-12)


@examples
@given(seed=seeds, which=st.integers(0, 24))
def test_nothing_after_the_end_of_a_label_matters(seed: int, which: int) -> None:
    """3a. Fails if a label looks past its own end: it would leak through every purge."""
    path, events = random_market(seed)
    labels = labelled(path, events)
    one = labels.iloc[which % len(labels)]
    after = path["open_time"] >= one["label_end_time"]
    rng = np.random.default_rng(seed)
    rising = np.sort(rng.uniform(1e-3, 1e3, (len(path), 4)), axis=1)
    garbage = path[PRICES].where(~after, pd.DataFrame(rising, columns=["low", "open", "close", "high"])[PRICES])
    spoilt = labelled(path.assign(**garbage), events)
    again = spoilt[spoilt["event_time"] == one["event_time"]].iloc[0]
    pd.testing.assert_series_equal(again, one, check_names=False)


@examples
@given(seed=seeds)
def test_the_kernel_never_reads_past_the_exit(seed: int) -> None:
    """3a. Fails if the loop reads a bar after the touch: there is only NaN there."""
    path, events = random_market(seed)
    prices = np.log(path[PRICES].to_numpy().T)
    entry = np.searchsorted(path["open_time"], events["event_time"] + MINUTE).astype(np.int64)
    stop = np.minimum(entry[:, None] + [60, 360], len(path))
    entry = np.minimum(entry, stop[:, 0] - 1)
    barrier = events["volatility_daily"].to_numpy()[:, None] * [0.2, 0.5]
    touch = first_touch(prices[1], prices[2], prices[0, entry], entry, stop, barrier, 1.5 * barrier)
    for i in range(len(events)):
        high, low = prices[1:3].copy()
        high[touch[i, 1] + 1 :] = low[touch[i, 1] + 1 :] = np.nan
        one = slice(i, i + 1)
        alone = first_touch(high, low, prices[0, entry[one]], entry[one], stop[one], barrier[one], 1.5 * barrier[one])
        assert alone.tolist() == touch[one].tolist()


@examples
@given(
    seed=seeds,
    hours=st.lists(st.integers(1, 30), min_size=1, max_size=4, unique=True),
    continuation=st.floats(0.3, 3.0),
    missing=st.floats(0.0, 0.02),
)
def test_horizons_of_one_walk_are_those_of_walks_of_their_own(
    seed: int, hours: list[int], continuation: float, missing: float
) -> None:
    """Fails if a horizon reads the touch, the window or the gap of another, or moves a bit of the headline."""
    path, events = random_market(seed)
    rng = np.random.default_rng(seed)
    cut = int(missing * len(path))
    begin = int(rng.integers(0, len(path)))
    path = path.drop(index=path.index[begin : begin + cut]).reset_index(drop=True)
    multiples = {"continuation_multiple": continuation}
    headline = labelled(path, events, **multiples)
    together = labelled(path, events, horizons=[timedelta(hours=each) for each in hours], **multiples)
    pd.testing.assert_frame_equal(together[headline.columns], headline)
    for horizon in {timedelta(hours=each) for each in hours} - {HORIZON}:
        alone = labelled(path, events, horizon=horizon, **multiples).set_index("event_time")
        alone = alone[alone.index.isin(headline["event_time"])].reindex(headline["event_time"]).reset_index()
        for name in HORIZON_COLUMNS:
            column = f"{name}_{duration_name(horizon)}"
            if column in together or len(headline) == 0 or alone[name].notna().any():
                expected = alone[name].astype(together[column].dtype).rename(column)
                pd.testing.assert_series_equal(together[column], expected, check_exact=True)


@examples
@given(seed=seeds, which=st.integers(0, 24), place=st.floats(0, 1))
def test_every_bar_up_to_the_end_matters(seed: int, which: int, place: float) -> None:
    """3b. Fails if a bar from entry to exit is skipped, the entry bar above all, or only closes are read."""
    path, events = random_market(seed)
    labels = labelled(path, events)
    one = labels.iloc[which % len(labels)]
    first = int(path["open_time"].searchsorted(one["entry_time"]))
    last = int(path["event_time"].searchsorted(one["label_end_time"]))
    bar = first + round(place * (last - first))
    # A reversal or a time-out is turned by a touch of the continuation barrier, and the other way round.
    side = one["direction"] * (1 if one["code"] >= 0 else -1)
    extreme = one["entry_price"] * np.exp(side * one["barrier_log"] * 1.01)
    path.loc[bar, "high" if side > 0 else "low"] = extreme
    spoilt = labelled(path, events)
    again = spoilt[spoilt["event_time"] == one["event_time"]].iloc[0]
    assert (again["code"], again["tie"]) != (one["code"], one["tie"])


@examples
@given(seed=seeds, hours=st.integers(2, 20))
def test_a_longer_horizon_only_changes_time_outs(seed: int, hours: int) -> None:
    """4. Fails if a touch depends on what lies behind it, such as the length of the window."""
    path, events = random_market(seed)
    longer = timedelta(hours=hours)
    short, long = min(HORIZON, longer), max(HORIZON, longer)
    # The barrier grows with the square root of the horizon; here it must stay where it is.
    same = {"reversal_multiple": np.sqrt(short / long), "continuation_multiple": np.sqrt(short / long)}
    early = labelled(path, events, horizon=short)
    late = labelled(path, events, horizon=long, **same)
    both = early.merge(late, on="event_time", suffixes=("", "_late"))
    touched = both["code"] != 0
    assert (both["code"] == both["code_late"])[touched].all()
    assert (both["label_end_time"] == both["label_end_time_late"])[touched].all()


@examples
@given(seed=seeds, factor=st.floats(1.0, 3.0))
def test_a_farther_continuation_barrier_never_turns_a_reversal(seed: int, factor: float) -> None:
    """4. Fails if the two barriers are mixed up, or a tie is settled by distance."""
    path, events = random_market(seed)
    near = labelled(path, events)
    far = labelled(path, events, continuation_multiple=factor)
    reversed_ = near["code"] == 1
    assert (far["code"][reversed_] == 1).all()
    assert (far["code"] >= near["code"])[near["code"] != 0].all()


def lattice_walk(seed: int, n: int, step: float) -> pd.DataFrame:
    """One price a minute, up or down by one step: no barrier on the lattice is ever jumped over."""
    rng = np.random.default_rng(seed)
    price = np.exp(step * np.cumsum(rng.choice([-1, 1], n)))
    opens = pd.date_range(START, periods=n, freq="1min", unit="us")
    path = pd.DataFrame({"symbol": "BTCUSDT", "open_time": opens, "event_time": opens + MINUTE})
    return path.assign(**dict.fromkeys(PRICES, price))


@pytest.mark.parametrize(("reversal_steps", "continuation_steps"), [(8, 8), (6, 12), (12, 6)])
def test_random_walk(reversal_steps: int, continuation_steps: int) -> None:
    """6. Fails if the barriers are swapped, a side is favoured, or the return is not that of the path."""
    step, span, n_events = 0.001, 1200, 1000
    path = lattice_walk(seed=7, n=1441 + (n_events + 1) * span, step=step)
    at = 1440 + span * np.arange(n_events)
    times = path["open_time"].iloc[at].reset_index(drop=True)
    horizon = span * MINUTE
    # A hair below the lattice, for the logarithms are not exact.
    unit = step * (1 - 1e-9) / np.sqrt(horizon / DAY)
    events = pd.DataFrame(
        {
            "symbol": "BTCUSDT",
            "event_time": times,
            "available_time": times,
            "direction": np.where(np.arange(n_events) % 2, 1, -1),
            "volatility_daily": 10 * unit,
        }
    )
    labels = labelled(
        path,
        events,
        horizon=horizon,
        reversal_multiple=reversal_steps / 10,
        continuation_multiple=continuation_steps / 10,
    )
    assert len(labels) == n_events
    expected = continuation_steps / (reversal_steps + continuation_steps)
    assert (labels["code"] == 0).mean() < 0.005
    assert abs((labels["code"] == 1).mean() - expected) < 3 * np.sqrt(expected * (1 - expected) / n_events) + 0.005
    standard_error = labels["log_return"].std() / np.sqrt(n_events)
    assert abs(labels["log_return"].mean()) < 3 * standard_error


@examples
@given(seed=seeds, cut=st.integers(0, 3 * 1440))
def test_cut_events(seed: int, cut: int) -> None:
    """7. Fails if the list of events up to T depends on rows after T."""
    _, events = random_market(seed, n_events=200)
    features = events.rename(columns={"direction": "extended_move"}).assign(close=1.0)
    end = START + cut * MINUTE
    named = {"triggers": ["extended_move"], "sampling": ["extended_move"]}
    early = sample_events(features[features["event_time"] <= end].reset_index(drop=True), **named)
    whole = sample_events(features, **named)
    pd.testing.assert_frame_equal(early, whole[whole["event_time"] <= end].reset_index(drop=True))


@examples
@given(seed=seeds, bars=st.integers(1, 3 * 1440))
def test_cut_path(seed: int, bars: int) -> None:
    """8. Fails if a window that runs beyond the data becomes a label, or a cut changes one that does not."""
    path, events = random_market(seed)
    whole = labelled(path, events)
    end = path["event_time"].iloc[bars - 1]
    expected = whole[whole["entry_time"] + HORIZON <= end].reset_index(drop=True)
    pd.testing.assert_frame_equal(labelled(path.iloc[:bars], events), expected)
