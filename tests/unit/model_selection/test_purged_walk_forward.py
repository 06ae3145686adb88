from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_score

from slackwater.errors import DataError, OrderError, ParameterError
from slackwater.model_selection.walk_forward import PurgedWalkForward

DAY = timedelta(days=1)
START = pd.Timestamp("2023-01-01", tz="UTC")


def daily(n: int = 400, *, label_days: float = 1.0) -> tuple[pd.Series, pd.Series]:
    events = pd.Series(START + pd.to_timedelta(np.arange(n), unit="D"))
    return events, events + pd.Timedelta(days=label_days)


def splitter(events: object, ends: object, **changes: object) -> PurgedWalkForward:
    arguments = {"embargo": DAY, "min_train": 100 * DAY, "test": 30 * DAY, "min_train_rows": 10}
    return PurgedWalkForward(event_times=events, label_end_times=ends, **(arguments | changes))


def test_expanding_blocks_follow_one_another() -> None:
    """Fails if training forgets its beginning, or test blocks overlap or leave rows out between them."""
    events, ends = daily(400)
    folds = list(splitter(events, ends).split(np.zeros((400, 1))))
    assert [train[0] for train, _ in folds] == [0] * len(folds)
    assert np.concatenate([test for _, test in folds]).tolist() == list(range(100, 400))
    assert [len(test) for _, test in folds] == [30] * 10
    assert splitter(events, ends).get_n_splits() == len(folds) == 10


def test_a_rolling_window_forgets_what_began_before_it() -> None:
    """Fails if `max_train` counts from the last training row or by label end: the first event is 60 days old."""
    events, ends = daily(400, label_days=5)
    folds = list(splitter(events, ends, max_train=60 * DAY).split(events))
    assert [(train[0], train[-1]) for train, _ in folds[:2]] == [(40, 93), (70, 123)]
    assert [test.tolist() for _, test in folds] == [test.tolist() for _, test in splitter(events, ends).split(events)]


def test_the_gap_is_the_label_and_the_embargo_and_strict() -> None:
    """Fails if the purge goes by event time, the embargo is left out, or a label may end as the block begins.

    The block begins on day 100. With labels of 5 days and an embargo of 3, the label of day 92 ends on day
    97, so that 97 + 3 is the stamp of the block itself; day 91 is the last that clears it.
    """
    events, ends = daily(200, label_days=5)
    train, _ = next(splitter(events, ends, embargo=3 * DAY).split(events))
    assert train[-1] == 91


def test_the_gap_is_counted_from_the_start_of_the_block() -> None:
    """Fails if an empty beginning of a test block lets later labels into training."""
    events, ends = daily(200, label_days=2)
    kept = (np.arange(200) < 100) | (np.arange(200) >= 120)
    train, test = next(splitter(events[kept], ends[kept]).split(np.zeros(kept.sum())))
    assert test[0] == 100
    assert train[-1] == 96


def test_one_long_label_is_purged_alone() -> None:
    """Fails if rows are purged by count from the end instead of each by its own label."""
    events, ends = daily(200)
    ends[40] = START + 150 * DAY
    folds = list(splitter(events, ends).split(events))
    held = {train.size: 40 in train for train, _ in folds}
    assert list(held.values()) == [False, False, True, True]
    assert folds[0][0].size == 98 - 1


def test_rows_in_any_order_and_symbols_of_one_stamp_together() -> None:
    """Fails if positions are taken for time order, or one symbol of a stamp trains for the other."""
    events, ends = daily(300)
    order = np.random.default_rng(0).permutation(600)
    both, both_ends = (pd.concat([s, s], ignore_index=True)[order] for s in (events, ends))
    X = np.zeros((600, 2))
    plain = list(splitter(events, ends).split(np.zeros(300)))
    mixed = list(splitter(both, both_ends).split(X))
    for (train, test), (mixed_train, mixed_test) in zip(plain, mixed, strict=True):
        for one, other in ((train, mixed_train), (test, mixed_test)):
            assert sorted(both.to_numpy()[other]) == sorted(2 * events.to_numpy()[one].tolist())
            assert (np.diff(other) > 0).all()


def test_blocks_without_rows_are_skipped() -> None:
    """Fails if a stretch without events gives an empty fold, on which any score is undefined."""
    events, ends = daily(300)
    kept = (np.arange(300) < 130) | (np.arange(300) >= 220)
    folds = list(splitter(events[kept], ends[kept]).split(np.zeros(kept.sum())))
    assert len(folds) == splitter(events[kept], ends[kept]).get_n_splits() == 4
    assert all(train.size and test.size for train, test in folds)


def test_blocks_with_too_little_training_are_skipped() -> None:
    """Fails if the first blocks are fitted on a handful of rows."""
    events, ends = daily(300)
    folds = list(splitter(events, ends, min_train_rows=150).split(events))
    assert folds[0][0].size >= 150
    assert folds[0][1][0] == 160


def test_no_block_at_all_is_an_error_that_says_why() -> None:
    """Fails if a sample that is too short gives no fold without a word."""
    events, ends = daily(60)
    assert splitter(events, ends).get_n_splits() == 0
    with pytest.raises(DataError, match=r"no test block: 60 events over 59\.0 days"):
        next(splitter(events, ends).split(events))


def test_the_constructor_only_stores() -> None:
    """Fails if the constructor copies, converts or checks, which breaks scikit-learn's clone and search."""
    events, ends = daily()
    stored = PurgedWalkForward(event_times=events, label_end_times=ends, embargo=-DAY)
    assert stored.event_times is events
    assert stored.label_end_times is ends
    assert (stored.embargo, stored.min_train, stored.test) == (-DAY, 180 * DAY, 30 * DAY)
    with pytest.raises(TypeError):
        PurgedWalkForward(events, ends, DAY)


def test_is_a_scikit_learn_splitter() -> None:
    """Fails if cross_val_score, a grid search or check_cv does not take the splitter."""
    events, ends = daily()
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(int)
    cv = splitter(events, ends)
    assert check_cv(cv, y, classifier=True) is cv
    scores = cross_val_score(LogisticRegression(), X, y, cv=cv, scoring="roc_auc")
    assert scores.shape == (10,)
    assert scores.mean() > 0.7
    search = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=cv).fit(pd.DataFrame(X), y)
    assert search.n_splits_ == 10
    assert repr(cv).startswith("PurgedWalkForward(")


@pytest.mark.parametrize("convert", [pd.DatetimeIndex, lambda s: s.dt.tz_localize(None).to_numpy(), list])
def test_takes_every_array_of_times(convert) -> None:
    """Fails if an index, a numpy array or a list of stamps splits otherwise than a Series."""
    events, ends = daily(200)
    expected = list(splitter(events, ends).split(events))
    found = list(splitter(convert(events), convert(ends)).split(np.zeros((200, 1))))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"embargo": -DAY}, ParameterError, "embargo"),
        ({"test": 0 * DAY}, ParameterError, "test"),
        ({"min_train": -DAY}, ParameterError, "min_train"),
        ({"min_train_rows": 0}, ParameterError, "min_train_rows"),
        ({"max_train": 0 * DAY}, ParameterError, "max_train"),
        ({"max_train": DAY}, ParameterError, "max_train"),
    ],
)
def test_refuses_parameters_by_name(changes, error, named: str) -> None:
    """Fails if a negative embargo lets labels overlap, or the message does not name the culprit."""
    events, ends = daily()
    with pytest.raises(error, match=f"`{named}`"):
        next(splitter(events, ends, **changes).split(events))


def test_refuses_times_that_cannot_be_right() -> None:
    """Fails if a swapped pair, a missing time, numbers or a wrong length split on."""
    events, ends = daily()
    missing = ends.where(ends.index != 7)
    for given, error, named in [
        ((ends, events), OrderError, "end after"),
        ((events, missing), DataError, "label_end_times"),
        ((events.astype("int64"), ends), ParameterError, "event_times"),
        ((events, ends[:-1]), ParameterError, "label_end_times"),
    ]:
        with pytest.raises(error, match=named):
            next(splitter(*given).split(events))
    with pytest.raises(ParameterError, match="`X`"):
        next(splitter(events, ends).split(events[:-1]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"embargo": "24h"},
        {"embargo": 24},
        {"min_train": None},
        {"test": "30d"},
        {"max_train": 60},
        {"min_train_rows": "50"},
    ],
)
def test_a_duration_of_another_type_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=f"`{next(iter(wrong))}` must be a"):
        splitter(*daily(), **wrong).get_n_splits()
