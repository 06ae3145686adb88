"""Hand-written bars: an event at noon of the second day, on minute bars that are flat but for one or two."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError, OrderError, ParameterError, SchemaError
from slackwater.labels.barriers import LABEL_COLUMNS, triple_barrier
from slackwater.labels.outcomes import LabelReport
from slackwater.trading.price_path import price_paths

MINUTE = timedelta(minutes=1)
START = pd.Timestamp("2024-01-01", tz="UTC")
EVENT = START + pd.Timedelta("36h")
HORIZON = timedelta(hours=6)
# A daily volatility of 2 % over 6 h is a barrier of 1 % in log price.
VOLATILITY, BARRIER = 0.02, 0.01
ENTRY_BAR = 36 * 60 + 1


def flat_path(*, days: float = 3, interval: timedelta = MINUTE, symbol: str = "BTCUSDT") -> pd.DataFrame:
    opens = pd.date_range(START, START + timedelta(days=days), freq=interval, inclusive="left", unit="us")
    path = pd.DataFrame({"symbol": symbol, "open_time": opens, "event_time": opens + interval})
    return path.assign(open=100.0, high=100.0, low=100.0, close=100.0)


def events_at(*times: pd.Timestamp, direction: int = 1, symbol: str = "BTCUSDT") -> pd.DataFrame:
    stamps = pd.Series(times, dtype="datetime64[us, UTC]")
    return pd.DataFrame(
        {
            "symbol": symbol,
            "event_time": stamps,
            "available_time": stamps + pd.Timedelta("5s"),
            "direction": np.full(len(times), direction, dtype=np.int8),
            "volatility_daily": VOLATILITY,
        }
    )


def label(
    path: pd.DataFrame, events: pd.DataFrame | None = None, **changes: object
) -> tuple[pd.DataFrame, LabelReport]:
    arguments = {"horizon": HORIZON, "decision_lag": timedelta(seconds=5), "fine_bar_interval": MINUTE} | changes
    return triple_barrier(events_at(EVENT) if events is None else events, price_paths(path), **arguments)


def set_bar(path: pd.DataFrame, bar: int, *, log_high: float = 0.0, log_low: float = 0.0) -> None:
    path.loc[bar, "high"] = 100 * np.exp(log_high)
    path.loc[bar, "low"] = 100 * np.exp(log_low)


def test_entry_is_the_next_minute_and_not_the_close_of_the_event() -> None:
    """Fails if entry is the bar that opens at the event, before anyone could have decided."""
    path = flat_path()
    path.loc[ENTRY_BAR, ["open", "high"]] = 101.0
    labels, report = label(path)
    assert labels.loc[0, "entry_time"] == EVENT + MINUTE
    assert labels.loc[0, "entry_price"] == 101.0
    assert report.latency_to_charge == timedelta(0)


def test_a_bar_that_opens_exactly_at_the_decision_is_the_entry() -> None:
    """Fails if "at or after" became "after"."""
    labels, _ = label(flat_path(), decision_lag=timedelta(0))
    assert labels.loc[0, "entry_time"] == EVENT


def test_on_a_coarse_path_entry_is_the_bar_at_the_event_and_the_latency_is_recorded() -> None:
    """Fails if an hourly path waits a whole bar, or the report forgets the latency that the price lacks."""
    hour = timedelta(hours=1)
    labels, report = label(flat_path(interval=hour), fine_bar_interval=hour)
    assert labels.loc[0, "entry_time"] == EVENT
    assert report.latency_to_charge == timedelta(seconds=5)


@pytest.mark.parametrize(
    ("direction", "log_high", "log_low", "code"),
    [
        (1, 0.0, -0.0101, 1),
        (1, 0.0101, 0.0, -1),
        (-1, 0.0101, 0.0, 1),
        (-1, 0.0, -0.0101, -1),
        (1, 0.0099, -0.0099, 0),
    ],
)
def test_which_side_is_which(direction: int, log_high: float, log_low: float, code: int) -> None:
    """Fails if the sides are swapped for one direction, or a touch is seen short of the barrier."""
    path = flat_path()
    set_bar(path, ENTRY_BAR + 30, log_high=log_high, log_low=log_low)
    labels, _ = label(path, events_at(EVENT, direction=direction))
    assert labels.loc[0, "code"] == code
    assert labels.loc[0, "log_return"] == pytest.approx(code * BARRIER, abs=1e-12)
    assert labels.loc[0, "y_hit"] == labels.loc[0, "y_direction"] == int(code == 1)


def test_the_entry_bar_counts() -> None:
    """Fails if the entry bar is skipped: the bug that turned -2.6 bp into +30 bp in a public study."""
    path = flat_path()
    set_bar(path, ENTRY_BAR, log_high=0.02)
    labels, _ = label(path)
    assert labels.loc[0, "code"] == -1
    assert labels.loc[0, "label_end_time"] == EVENT + 2 * MINUTE


def test_bars_before_the_entry_do_not_count() -> None:
    """Fails if the bar between event and entry can decide the label."""
    path = flat_path()
    set_bar(path, ENTRY_BAR - 1, log_high=0.02, log_low=-0.02)
    labels, _ = label(path)
    assert labels.loc[0, "code"] == 0


def test_the_last_bar_counts_and_the_one_after_it_does_not() -> None:
    """Fails if the horizon is one bar too short or too long."""
    bars = HORIZON // MINUTE
    for bar, code in ((ENTRY_BAR + bars - 1, 1), (ENTRY_BAR + bars, 0)):
        path = flat_path()
        set_bar(path, bar, log_low=-0.02)
        labels, _ = label(path)
        assert labels.loc[0, "code"] == code
        assert labels.loc[0, "label_end_time"] == EVENT + MINUTE + HORIZON


def test_a_tie_is_a_continuation_and_says_so() -> None:
    """Fails if a bar that touches both barriers counts as a win, or the report hides it."""
    path = flat_path()
    set_bar(path, ENTRY_BAR + 5, log_high=0.02, log_low=-0.02)
    labels, report = label(path)
    assert (labels.loc[0, "code"], bool(labels.loc[0, "tie"])) == (-1, True)
    assert labels.loc[0, "log_return"] == pytest.approx(-BARRIER)
    assert (report.ties, report.tie_share) == (1, 1.0)


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(("log_open", "code"), [(0.0101, 1), (0.0099, -1)])
def test_a_bar_that_opens_beyond_the_reversal_barrier_is_a_reversal(direction: int, log_open: float, code: int) -> None:
    """Fails if the first print of the bar, which lies beyond the barrier, is passed over for a later touch."""
    path = flat_path()
    path.loc[ENTRY_BAR + 5, "open"] = 100 * np.exp(-direction * log_open)
    set_bar(path, ENTRY_BAR + 5, log_high=0.012, log_low=-0.012)
    labels, report = label(path, events_at(EVENT, direction=direction))
    assert (labels.loc[0, "code"], report.ties) == (code, int(code == -1))
    assert labels.loc[0, "log_return"] == pytest.approx(code * BARRIER)


def test_the_first_touch_decides() -> None:
    """Fails if the loop runs on after a touch, or reports a tie over several bars."""
    path = flat_path()
    set_bar(path, ENTRY_BAR + 5, log_low=-0.02)
    set_bar(path, ENTRY_BAR + 6, log_high=0.02)
    labels, _ = label(path)
    assert (labels.loc[0, "code"], bool(labels.loc[0, "tie"])) == (1, False)
    assert labels.loc[0, "label_end_time"] == EVENT + 7 * MINUTE


@pytest.mark.parametrize("direction", [1, -1])
def test_a_gap_beyond_the_continuation_barrier_exits_at_the_open(direction: int) -> None:
    """Fails if a stop is filled at a price that was never traded."""
    path = flat_path()
    path.loc[ENTRY_BAR + 9 :, ["open", "high", "low", "close"]] = 100 * np.exp(direction * 0.03)
    labels, _ = label(path, events_at(EVENT, direction=direction))
    assert labels.loc[0, "log_return"] == pytest.approx(-0.03)


def test_a_gap_beyond_the_reversal_barrier_earns_the_barrier_only() -> None:
    """Fails if a lucky gap is credited."""
    path = flat_path()
    path.loc[ENTRY_BAR + 9 :, ["open", "high", "low", "close"]] = 100 * np.exp(-0.03)
    labels, _ = label(path)
    assert labels.loc[0, "log_return"] == pytest.approx(BARRIER)


@pytest.mark.parametrize(("log_close", "y_direction"), [(-0.005, 1), (0.005, 0), (0.0, 0)])
def test_a_time_out_has_the_sign_of_its_return(log_close: float, y_direction: int) -> None:
    """Fails if a time-out is a loss in y_direction or a hit in y_hit, or its return has the wrong sign."""
    path = flat_path()
    bar, close = ENTRY_BAR + HORIZON // MINUTE - 1, 100 * np.exp(log_close)
    path.loc[bar, ["high", "low", "close"]] = max(100.0, close), min(100.0, close), close
    labels, report = label(path)
    assert labels.loc[0, "code"] == 0
    assert labels.loc[0, "log_return"] == pytest.approx(-log_close)
    assert (labels.loc[0, "y_direction"], labels.loc[0, "y_hit"]) == (y_direction, 0)
    assert report.time_outs == 1


@pytest.mark.parametrize(("volatility", "barrier"), [(0.001, 0.0025), (0.9, 0.125), (0.02, 0.01)])
def test_volatility_is_clipped(volatility: float, barrier: float) -> None:
    """Fails if a dead market gets a barrier of nothing, or a mad one a barrier that nothing reaches."""
    labels, _ = label(flat_path(), events_at(EVENT).assign(volatility_daily=volatility))
    assert labels.loc[0, "barrier_log"] == pytest.approx(barrier)
    assert labels.loc[0, "volatility_daily"] == volatility


def test_multiples_move_their_own_barrier() -> None:
    """Fails if the two multiples are swapped, or one moves both barriers."""
    path = flat_path()
    set_bar(path, ENTRY_BAR + 5, log_high=0.015, log_low=-0.015)
    near_reversal, _ = label(path, continuation_multiple=2.0)
    near_continuation, _ = label(path, reversal_multiple=2.0)
    assert (near_reversal.loc[0, "code"], near_continuation.loc[0, "code"]) == (1, -1)
    assert near_continuation.loc[0, "barrier_log"] == pytest.approx(2 * BARRIER)


def test_a_window_beyond_the_end_is_dropped_and_one_that_just_fits_is_kept() -> None:
    """Fails if an unfinished label becomes a time-out, even where it has touched a barrier already."""
    path = flat_path()
    set_bar(path, ENTRY_BAR, log_high=0.02)
    end = ENTRY_BAR + HORIZON // MINUTE
    assert label(path.iloc[:end])[1].labelled == 1
    labels, report = label(path.iloc[: end - 1])
    assert len(labels) == 0
    assert report.dropped_beyond_path_end == 1


def test_an_event_after_the_path_is_beyond_its_end() -> None:
    """Fails if an event without any later bar crashes or takes the last bar as its entry."""
    path = flat_path().iloc[: ENTRY_BAR - 1]
    assert label(path)[1].dropped_beyond_path_end == 1


@pytest.mark.parametrize(
    ("first_bar", "missing", "reason"),
    [
        (ENTRY_BAR - 60, 16, "dropped_gap_before"),
        (ENTRY_BAR - 60, 15, None),
        (ENTRY_BAR - 1 - 24 * 60, 20, "dropped_gap_before"),
        (ENTRY_BAR - 1 - 24 * 60 - 20, 20, None),
        (ENTRY_BAR - 1, 30, "dropped_gap_before"),
        (ENTRY_BAR + 100, 16, "dropped_gap_in_window"),
        (ENTRY_BAR + 100, 15, None),
        (ENTRY_BAR + 359, 16, "dropped_gap_in_window"),
        (ENTRY_BAR + 360, 16, None),
    ],
)
def test_gaps_drop_the_events_that_they_touch(first_bar: int, missing: int, reason: str | None) -> None:
    """Fails if a gap of over 15 minutes passes, one of 15 does not, or the day before is not looked at."""
    path = flat_path().drop(index=range(first_bar, first_bar + missing)).reset_index(drop=True)
    _, report = label(path)
    dropped = {name for name in vars(report) if name.startswith("dropped") and getattr(report, name)}
    assert dropped == ({reason} if reason else set())
    assert report.labelled == (0 if reason else 1)


def test_a_gap_after_the_touch_drops_the_event_all_the_same() -> None:
    """Fails if dropping depends on the outcome, which would keep early touches and lose late ones."""
    path = flat_path()
    set_bar(path, ENTRY_BAR, log_low=-0.02)
    path = path.drop(index=range(ENTRY_BAR + 100, ENTRY_BAR + 130)).reset_index(drop=True)
    assert label(path)[1].dropped_gap_in_window == 1


@pytest.mark.parametrize(("missing", "dropped"), [(3, 0), (4, 1)])
def test_on_a_coarse_path_a_gap_is_more_than_three_bars(missing: int, dropped: int) -> None:
    """Fails if an hourly path is held to 15 minutes, or to nothing."""
    hour = timedelta(hours=1)
    path = flat_path(interval=hour).drop(index=range(37, 37 + missing)).reset_index(drop=True)
    assert label(path, fine_bar_interval=hour)[1].dropped_gap_in_window == dropped


def test_on_a_coarse_path_an_entry_bar_that_is_missing_is_not_replaced() -> None:
    """Fails if a later bar is taken for the one that opens at the event."""
    hour = timedelta(hours=1)
    path = flat_path(interval=hour).drop(index=36).reset_index(drop=True)
    assert label(path, fine_bar_interval=hour)[1].dropped_no_entry_bar == 1


@pytest.mark.parametrize(("early", "labelled"), [(timedelta(milliseconds=1), 1), (timedelta(seconds=2), 0)])
def test_on_a_coarse_path_a_close_stamped_a_millisecond_early_still_meets_its_bar(
    early: timedelta, labelled: int
) -> None:
    """Fails if a venue's habit of closing bars at 59.999 s drops every event, or any later bar will do."""
    hour = timedelta(hours=1)
    _, report = label(flat_path(interval=hour), events_at(EVENT - early), fine_bar_interval=hour)
    assert (report.labelled, report.dropped_no_entry_bar) == (labelled, 1 - labelled)


def test_too_little_history_counts_as_a_gap() -> None:
    """Fails if an event in the first day of the path is trusted."""
    early = START + pd.Timedelta("23h")
    assert label(flat_path(), events_at(early))[1].dropped_gap_before == 1
    assert label(flat_path(), events_at(START + pd.Timedelta("24h")))[1].labelled == 1


def test_report_adds_up_over_symbols() -> None:
    """Fails if a symbol is labelled on another one's bars, or an event is counted twice or not at all."""
    path = pd.concat([flat_path(), flat_path(symbol="ETHUSDT")], ignore_index=True)
    set_bar(path, len(path) // 2 + ENTRY_BAR, log_low=-0.02)
    last = START + pd.Timedelta("71h")
    events = pd.concat([events_at(EVENT, last), events_at(EVENT, symbol="ETHUSDT")], ignore_index=True)
    labels, report = label(path, events)
    assert labels["symbol"].tolist() == ["BTCUSDT", "ETHUSDT"]
    assert labels["code"].tolist() == [0, 1]
    assert (report.events, report.labelled, report.dropped_beyond_path_end) == (3, 2, 1)


def test_shape_of_the_table() -> None:
    """Fails if a column that the later stages rely on is missing or has another type."""
    labels, _ = label(flat_path())
    assert tuple(labels.columns) == LABEL_COLUMNS
    types = {name: str(kind) for name, kind in labels.dtypes.items()}
    assert {types[name] for name in ("direction", "code", "y_direction", "y_hit")} == {"int8"}
    assert {types[name] for name in LABEL_COLUMNS if name.endswith("_time")} == {"datetime64[us, UTC]"}
    empty, report = label(flat_path(), events_at())
    assert empty.dtypes.equals(labels.dtypes)
    assert np.isnan(report.tie_share)


def test_nanosecond_times_mean_the_same() -> None:
    """Fails if stamps are read as integers of an assumed resolution."""
    path = flat_path()
    set_bar(path, ENTRY_BAR + 7, log_low=-0.02)
    fine = path.assign(open_time=path["open_time"].dt.as_unit("ns"), event_time=path["event_time"].dt.as_unit("ms"))
    pd.testing.assert_frame_equal(label(fine)[0], label(path)[0])


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"horizon": MINUTE}, "horizon"),
        ({"horizon": timedelta(seconds=150)}, "horizon"),
        ({"decision_lag": -MINUTE}, "decision_lag"),
        ({"fine_bar_interval": timedelta(0)}, "fine_bar_interval"),
        ({"fine_bar_interval": timedelta(minutes=5), "horizon": timedelta(hours=5)}, "fine_bar_interval"),
        ({"reversal_multiple": 0.0}, "reversal_multiple"),
        ({"continuation_multiple": float("nan")}, "continuation_multiple"),
        ({"volatility_floor": 0.0}, "volatility_floor"),
        ({"volatility_floor": 0.3}, "volatility_floor"),
    ],
)
def test_refuses_parameters_by_name(changes: dict[str, object], named: str) -> None:
    """Fails if a parameter out of range labels on, or the message does not name it."""
    with pytest.raises(ParameterError, match=f"`{named}`"):
        label(flat_path(), **changes)


def test_refuses_a_lag_longer_than_a_coarse_bar() -> None:
    """Fails if a decision that falls after the entry bar is entered in it."""
    hour = timedelta(hours=1)
    with pytest.raises(ParameterError, match="decision_lag"):
        label(flat_path(interval=hour), fine_bar_interval=hour, decision_lag=2 * hour)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda p: p.drop(columns="low"), SchemaError, "low"),
        (lambda p: p.assign(high=p["high"].where(p.index != 7)), SchemaError, "positive and finite"),
        (lambda p: p.assign(low=p["low"].where(p.index != 7, 0.0)), SchemaError, "positive and finite"),
        (lambda p: p.assign(open_time=p["open_time"].dt.tz_localize(None)), SchemaError, "open_time"),
        (lambda p: p.assign(open_time=p["open_time"].where(p.index != 7)), OrderError, "open_time"),
        (lambda p: p.iloc[[0, 2, 1]], OrderError, "fine_bars"),
        (lambda p: p.assign(symbol="ETHUSDT"), DataError, "BTCUSDT"),
    ],
)
def test_refuses_a_path_by_name(change, error, named: str) -> None:
    """Fails if a damaged path labels on, or the message does not say where the damage is."""
    with pytest.raises(error, match=named):
        label(change(flat_path()))


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda e: e.assign(direction=0), SchemaError, "direction"),
        (lambda e: e.assign(volatility_daily=np.nan), SchemaError, "volatility_daily"),
        (lambda e: e.drop(columns="available_time"), SchemaError, "available_time"),
        (lambda e: pd.concat([e, e]), OrderError, "events"),
    ],
)
def test_refuses_events_by_name(change, error, named: str) -> None:
    """Fails if an event without side or volatility is labelled, or one is labelled twice."""
    with pytest.raises(error, match=named):
        label(flat_path(), change(events_at(EVENT)))
