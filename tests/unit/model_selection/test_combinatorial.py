from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import BaseCrossValidator, KFold, check_cv, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from slackwater.errors import DataError, OrderError, ParameterError
from slackwater.metrics.classification import auc
from slackwater.model_selection.combinatorial import CombinatorialPurgedCV
from slackwater.model_selection.symbols import LeaveOneSymbolOut
from slackwater.model_selection.walk_forward import PurgedWalkForward

DAY = timedelta(days=1)
START = pd.Timestamp("2023-01-01", tz="UTC")


def daily(n: int = 400, *, label_days: float = 1.0) -> tuple[pd.Series, pd.Series]:
    events = pd.Series(START + pd.to_timedelta(np.arange(n), unit="D"))
    return events, events + pd.Timedelta(days=label_days)


def splitter(events: object, ends: object, **changes: object) -> CombinatorialPurgedCV:
    arguments = {"embargo": DAY, "n_groups": 4, "n_test_groups": 1, "min_train_rows": 10}
    return CombinatorialPurgedCV(event_times=events, label_end_times=ends, **(arguments | changes))


def test_both_sides_of_a_tested_group_are_purged() -> None:
    """Fails if only the past is purged: the last tested label, of day 199, ends on day 204 and reaches to day 207."""
    events, ends = daily(400, label_days=5)
    train, test = list(splitter(events, ends, embargo=3 * DAY).split(events))[1]
    assert (test[0], test[-1]) == (100, 199)
    assert train[train < 100][-1] == 91
    assert train[train > 199][0] == 208


def test_one_long_tested_label_holds_back_what_follows_it() -> None:
    """Fails if the purge after a group goes by its last event instead of by its last label."""
    events, ends = daily(400)
    ends[120] = START + 250 * DAY
    train, _ = list(splitter(events, ends).split(events))[1]
    assert train[train > 199][0] == 252
    assert 120 not in train


def test_symbols_of_one_time_are_in_one_group() -> None:
    """Fails if groups are cut by number of rows: a cascade of the whole market would train and be tested at once."""
    events, ends = daily(40)
    copies = np.where(np.arange(40) == 10, 500, 1)
    many, many_ends = (pd.Series(np.repeat(s.to_numpy(), copies)) for s in (events, ends))
    cv = splitter(many, many_ends, min_train_rows=1)
    for train, test in cv.split(many):
        assert not set(many[train]) & set(many[test])
        assert many[test].nunique() == 10


def test_labels_that_overlap_leak_through_shuffled_folds_and_not_through_these() -> None:
    """Fails if tested rows lie scattered among training rows: a neighbour in time shares most of its outcome.

    The outcome is a sum of 20 days of noise, and the only feature is the time: nothing can be predicted.
    """
    rng, scores = np.random.default_rng(0), {"shuffled": [], "purged": []}
    for _ in range(5):
        events, ends = daily(600, label_days=20)
        y = (np.convolve(rng.normal(size=619), np.ones(20), "valid") > 0).astype(int)
        X, model = np.arange(600.0)[:, None], KNeighborsClassifier(5)
        shuffled = cross_val_predict(model, X, y, cv=KFold(6, shuffle=True, random_state=0), method="predict_proba")
        cv = splitter(events, ends, n_groups=6, embargo=2 * DAY)
        purged = cross_val_predict(model, X, y, cv=cv, method="predict_proba")
        scores["shuffled"].append(auc(y, shuffled[:, 1]))
        scores["purged"].append(auc(y, purged[:, 1]))
    assert np.mean(scores["shuffled"]) > 0.8
    assert abs(np.mean(scores["purged"]) - 0.5) < 0.1


def test_paths_cover_the_history_with_predictions_out_of_sample() -> None:
    """Fails if a path takes a row from a split that trained on it."""
    events, ends = daily(120)
    cv = splitter(events, ends, n_groups=6, n_test_groups=2)
    folds = list(cv.split(events))
    trained = np.zeros((len(folds), 120), dtype=bool)
    for number, (train, _) in enumerate(folds):
        trained[number, train] = True
    paths = cv.paths()
    assert paths.shape == (5, 120)
    assert not trained[paths, np.arange(120)].any()


def test_too_few_training_rows_are_an_error_that_says_which_split() -> None:
    """Fails if a split is left out without a word, and a path has a hole."""
    events, ends = daily(40)
    with pytest.raises(
        DataError, match=r"split 0 has 28 training rows after the purge, of 40 events; `min_train_rows`"
    ):
        next(splitter(events, ends, min_train_rows=40).split(events))
    with pytest.raises(DataError, match="`n_groups` must be <= the number of different event times, 40, was 41"):
        next(splitter(events, ends, n_groups=41).split(events))
    with pytest.raises(DataError, match="no test block: 0 events"):
        next(splitter(events[:0], ends[:0]).split(events[:0]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"embargo": -DAY},
        {"embargo": "24h"},
        {"n_groups": 1},
        {"n_groups": 4.0},
        {"n_test_groups": 0},
        {"n_test_groups": 4},
        {"min_train_rows": 0},
    ],
)
def test_refuses_parameters_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(ParameterError, match=f"`{next(iter(wrong))}` must be"):
        splitter(*daily(), **wrong).get_n_splits()


def test_refuses_times_that_cannot_be_right() -> None:
    events, ends = daily()
    with pytest.raises(OrderError, match="end after"):
        next(splitter(ends, events).split(events))
    with pytest.raises(ParameterError, match="`X`"):
        next(splitter(events, ends).split(events[:-1]))


def of_two_symbols(splitter_of: type) -> tuple[BaseCrossValidator, np.ndarray]:
    events, ends = (pd.concat([s, s], ignore_index=True) for s in daily())
    symbols = np.repeat(["A", "B"], 400)
    return LeaveOneSymbolOut(
        symbols, splitter=splitter_of(event_times=events, label_end_times=ends, embargo=DAY)
    ), symbols


@pytest.mark.parametrize("splitter_of", [PurgedWalkForward, CombinatorialPurgedCV])
def test_are_scikit_learn_splitters(splitter_of: type) -> None:
    """Fails if cross_val_score or check_cv does not take a splitter, alone or with one symbol left out."""
    events, ends = daily()
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3))
    y = (X[:, 0] + rng.normal(size=400) > 0).astype(int)
    cv = splitter_of(event_times=events, label_end_times=ends, embargo=DAY)
    assert check_cv(cv, y, classifier=True) is cv
    assert cross_val_score(LogisticRegression(), X, y, cv=cv, scoring="roc_auc").mean() > 0.7
    assert repr(cv).startswith(f"{splitter_of.__name__}(")
    left_out, _ = of_two_symbols(splitter_of)
    scores = cross_val_score(LogisticRegression(), np.tile(X, (2, 1)), np.tile(y, 2), cv=left_out, scoring="roc_auc")
    assert len(scores) == 2 * cv.get_n_splits()


def test_one_symbol_left_out_refuses_by_name() -> None:
    """Fails if one symbol alone, a missing one or a wrong length gives folds, or none without a word."""
    cv, symbols = of_two_symbols(PurgedWalkForward)
    missing = pd.Series(symbols).where(np.arange(800) != 7)
    for given, error, said in [
        (symbols[:-1], ParameterError, "`symbols` must have one entry per event time, 800, had 799"),
        (np.repeat("A", 800), ParameterError, "`symbols` must hold at least two symbols, held A alone"),
        (missing, DataError, r"`symbols` must hold no missing symbol; rows \[7\] do"),
    ]:
        with pytest.raises(error, match=said):
            next(LeaveOneSymbolOut(given, splitter=cv.splitter).split(symbols))
    with pytest.raises(DataError, match=r"no test block: 800 events .* one symbol left out"):
        next(LeaveOneSymbolOut(symbols, splitter=cv.splitter, min_train_rows=500).split(symbols))
