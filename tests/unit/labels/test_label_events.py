import numpy as np
import pandas as pd
import pytest

from slackwater.errors import OrderError, SchemaError
from slackwater.labels.events import EVENT_COLUMNS, added_counts, fired_rows, sample_events, trigger_counts

DIRECTIONS = [np.nan, 1.0, 0.0, -1.0, 1.0]


NAMED = {"triggers": ["extended_move", "cusum"], "sampling": ["sampled_move"]}


def events_of(features: pd.DataFrame) -> pd.DataFrame:
    return sample_events(features, **NAMED)


@pytest.fixture
def features() -> pd.DataFrame:
    times = pd.date_range("2024-01-01", periods=len(DIRECTIONS), freq="5min", tz="UTC", unit="us")
    one = pd.DataFrame(
        {
            "event_time": times,
            "available_time": times + pd.Timedelta("5s"),
            "close": [100.0, 101.0, 102.0, 103.0, 104.0],
            "extended_move": DIRECTIONS,
            "cusum": 0.0,
            "sampled_move": 0.0,
            "volatility_daily": [0.02, 0.03, 0.04, 0.05, np.nan],
            "return_24h": 0.1,
        }
    )
    return pd.concat([one.assign(symbol="BTCUSDT"), one.assign(symbol="ETHUSDT")], ignore_index=True)


def test_picks_rows_with_a_direction_and_a_finite_volatility(features: pd.DataFrame) -> None:
    """Fails if the NaN, the 0 or the row without volatility slips in, or a falling event is lost."""
    events = events_of(features)
    assert events["symbol"].tolist() == ["BTCUSDT", "BTCUSDT", "ETHUSDT", "ETHUSDT"]
    assert events["direction"].tolist() == [1, -1, 1, -1]
    assert events["close"].tolist() == [101.0, 103.0, 101.0, 103.0]
    assert events["volatility_daily"].tolist() == [0.03, 0.05, 0.03, 0.05]


def test_shape_of_the_table(features: pd.DataFrame) -> None:
    """Fails if a column is dropped, renamed or reordered, or the index of the features leaks through."""
    events = events_of(features)
    assert tuple(events.columns) == EVENT_COLUMNS
    assert events["direction"].dtype == np.int8
    assert str(events["event_time"].dtype) == "datetime64[us, UTC]"
    assert events.index.equals(pd.RangeIndex(4))


def test_decision_time_is_carried_over(features: pd.DataFrame) -> None:
    """Fails if the time of the event is taken for the time of the decision."""
    events = events_of(features)
    assert ((events["available_time"] - events["event_time"]) == pd.Timedelta("5s")).all()


def test_cutting_the_future_leaves_the_past(features: pd.DataFrame) -> None:
    """Fails if picking an event looks at any later row."""
    whole = events_of(features)
    for cut in features["event_time"].unique():
        early = features[features["event_time"] <= cut].reset_index(drop=True)
        expected = whole[whole["event_time"] <= cut].reset_index(drop=True)
        pd.testing.assert_frame_equal(events_of(early), expected)


def test_input_is_left_alone(features: pd.DataFrame) -> None:
    """Fails if the int8 direction is written into the caller's table."""
    before = features.copy()
    events_of(features)
    pd.testing.assert_frame_equal(features, before)


def test_no_event_gives_an_empty_table_of_the_same_types(features: pd.DataFrame) -> None:
    """Fails if an empty result loses its columns or types, which would break the stages behind."""
    events = events_of(features.assign(extended_move=0.0))
    assert len(events) == 0
    assert events.dtypes.equals(events_of(features).dtypes)


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (lambda f: f.drop(columns="extended_move"), SchemaError, "extended_move"),
        (lambda f: f.assign(extended_move=2.0), SchemaError, "extended_move"),
        (lambda f: f.assign(volatility_daily=-0.1), SchemaError, "volatility_daily"),
        (lambda f: f.assign(event_time=f["event_time"].dt.tz_localize(None)), SchemaError, "event_time"),
        (
            lambda f: f.assign(available_time=f["available_time"].dt.tz_localize(None)),
            SchemaError,
            "available_time",
        ),
        (lambda f: f.iloc[::-1], OrderError, "backwards"),
        (lambda f: f.iloc[[0, 0, 1]], OrderError, "repeat"),
        (lambda f: f.iloc[[0, 5, 1]], OrderError, "together"),
    ],
)
def test_refuses_by_name(features, change, error, named) -> None:
    """Fails if bad input passes, or if the message does not say what is wrong."""
    with pytest.raises(error, match=named):
        events_of(change(features))


def several(**columns: list[float]) -> pd.DataFrame:
    """One symbol of six rows: alone, two that agree, two that do not, learned from only, both, against the sample."""
    times = pd.date_range("2024-01-01", periods=6, freq="5min", tz="UTC", unit="us")
    fired = {
        "extended_move": [1.0, -1.0, 1.0, 0.0, 0.0, np.nan],
        "cusum": [0.0, -1.0, -1.0, 0.0, 1.0, -1.0],
        "sampled_move": [0.0, 0.0, 0.0, -1.0, 1.0, 1.0],
    }
    known = {"symbol": "BTCUSDT", "event_time": times, "available_time": times, "close": 1.0, "volatility_daily": 0.02}
    return pd.DataFrame(known | fired | columns)


def test_the_first_trigger_decides_and_the_sample_only_where_none_fired() -> None:
    """Fails if a later trigger or the sample turns a trade round, or a row that only trains is traded."""
    events = events_of(several())
    assert events["direction"].tolist() == [1, -1, 1, -1, 1, -1]
    assert events["triggers"].tolist() == [
        "extended_move",
        "extended_move+cusum",
        "extended_move",
        "",
        "cusum",
        "cusum",
    ]
    assert events["trains"].tolist() == [False, False, False, True, True, True]
    assert events["trades"].tolist() == [True, True, True, False, True, True]
    turned = sample_events(several(), triggers=["cusum", "extended_move"], sampling=["sampled_move"])
    assert turned["direction"].tolist() == [1, -1, -1, -1, 1, -1]
    assert turned["triggers"].tolist()[1:3] == ["cusum+extended_move", "cusum"]


def test_overlaps_and_conflicts_are_counted() -> None:
    counts = trigger_counts(several(), **NAMED)
    assert counts["extended_move"] == {"known": 5, "fired": 3, "up": 2, "overruled": 0, "with": {"cusum": 1}}
    assert counts["cusum"] == {
        "known": 6,
        "fired": 4,
        "up": 1,
        "overruled": 1,
        "with": {"extended_move": 1, "sampled_move": 1},
    }
    assert counts["sampled_move"]["overruled"] == 1


def test_a_column_that_is_not_a_trigger_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match=r"`cusum` that is not -1, 0, \+1 or NaN in 1 rows"):
        events_of(several(cusum=[0.0, 0.5, 0.0, 0.0, 0.0, 0.0]))
    with pytest.raises(SchemaError, match=r"lacks the columns \['cascade'\]"):
        sample_events(several(), triggers=["cascade"], sampling=["sampled_move"])


def test_rows_that_fired_are_those_of_events_and_those_that_are_refused() -> None:
    """Catches a value that is no direction, dropped without a word before it is checked."""
    values = [0.0, 1.0, np.nan, -1.0, 0.5, 2.0]
    times = pd.date_range("2024-01-01", periods=len(values), freq="1h", tz="UTC", unit="us")
    rows = pd.DataFrame({"symbol": "BTCUSDT", "event_time": times, "available_time": times, "close": 1.0})
    rows = rows.assign(volatility_daily=0.03, one=values, other=0.0)
    given = {"triggers": ["one"], "sampling": ["other"]}
    kept = fired_rows(rows, **given)
    assert kept["one"].tolist() == [1.0, -1.0, 0.5, 2.0]
    with pytest.raises(SchemaError, match=r"`one` that is not -1, 0, \+1 or NaN in 2 rows"):
        sample_events(kept, **given)
    good = rows[rows["one"].isin([0.0, 1.0, -1.0]) | rows["one"].isna()].reset_index(drop=True)
    pd.testing.assert_frame_equal(sample_events(fired_rows(good, **given), **given), sample_events(good, **given))


def test_counts_of_symbols_add_up_to_those_of_all_rows() -> None:
    """Catches a count that the sum over symbols loses."""
    draws = np.random.default_rng(1)
    rows = pd.DataFrame({name: draws.choice([-1.0, 0.0, 1.0, np.nan], 300) for name in ("one", "two", "three")})
    given = {"triggers": ["one", "two"], "sampling": ["three"]}
    parts = [trigger_counts(rows[start : start + 100], **given) for start in (0, 100, 200)]
    assert added_counts(parts) == trigger_counts(rows, **given)
