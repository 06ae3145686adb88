"""What was learnt of single symbols does not help at a symbol that no model has seen, and what is common does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import ClassVar, Self

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import DataError
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.unseen_symbols import (
    COLUMNS,
    UnseenGroup,
    carries_over,
    symbol_groups,
    unseen_predictions,
    unseen_rows,
)
from slackwater.metrics.classification import auc
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.models.targets import TARGETS
from slackwater.models.training import Trainer, TrainingSet

RESAMPLING = Resampling(draws=150, mean_block=timedelta(days=4))
SYMBOLS = ("A", "B", "C", "D")
TRAINER = Trainer(
    validation=WalkForward(min_train=timedelta(days=60), test=timedelta(days=20), embargo=timedelta(days=1)),
    model=ModelParameters(n_estimators=30, learning_rate=0.1, min_child_samples=10),
)
KEYS = ["symbol", "event_time"]


def training(feature: str) -> TrainingSet:
    """Two thousand events of four symbols, one every two hours.

    The feature `of_symbol` names the symbol and its label: any model of these symbols is perfect, and knows nothing of
    another one. The feature `common` is larger before reversals at every symbol.
    """
    rng, n = np.random.default_rng(0), 2_000
    times = pd.Series(pd.date_range("2024-01-01", periods=n, freq="2h", tz="UTC", unit="us"))
    symbol, y = rng.integers(0, len(SYMBOLS), n), rng.integers(0, 2, n).astype(float)
    values = {"of_symbol": 100.0 * 2**symbol + (y + symbol) % 2, "common": y + rng.normal(size=n)}
    features = pd.DataFrame({feature: values[feature], "noise": rng.normal(size=n), "direction": 1.0})
    labels = pd.DataFrame({"event_time": times, "label_known_time": times + timedelta(hours=4)})
    labels["symbol"] = np.array(SYMBOLS)[symbol]
    labels = labels.assign(y_direction=y, y_hit=y, payoff=y, fair_log_odds=0.0, weight=1.0, trains=True, direction=1)
    return TrainingSet(features=features, labels=labels)


def compared(given: TrainingSet, trainer: Trainer = TRAINER) -> list[dict]:
    """Return the rows of a data set, each symbol left out."""
    events = trainer.predict_out_of_fold(given)[[*KEYS, "p_direction"]].merge(given.labels, on=KEYS)
    groups = []
    for symbols in symbol_groups(given.labels["symbol"]):
        found = unseen_predictions(given, trainer, symbols)
        assert set(found["symbol"]) == set(symbols)
        p = events[KEYS].merge(found, on=KEYS, how="left", validate="1:1")["p_direction"].to_numpy()
        groups.append(UnseenGroup(symbols=symbols, p=p))
    return unseen_rows(events, groups, RESAMPLING)


def test_a_leak_of_each_symbol_does_not_carry_over() -> None:
    """Caught: a model that has seen the symbol after all, in a fit or in a calibration."""
    every, *rows = compared(training("of_symbol"))
    assert set(every) == set(COLUMNS)
    assert [row["name"] for row in rows] == list(SYMBOLS)
    for row in (every, *rows):
        assert row["auc"] > 0.99
        assert abs(row["auc_unseen"] - 0.5) < 0.1
        assert row["difference_auc"] == pytest.approx(row["auc"] - row["auc_unseen"])
        assert 0.3 < row["difference_auc_low"] < row["difference_auc"] < row["difference_auc_high"]
        assert row["note"] == ""
    assert every["n_events"] == sum(row["n_events"] for row in rows)
    assert carries_over(every).startswith(
        "Part of what was learnt belongs to the symbols that it was learnt from: AUC "
    )


def test_what_is_common_to_all_symbols_carries_over() -> None:
    """Caught: predictions that stand beside other events than their own, which looks like nothing carries over."""
    every, *_ = compared(training("common"))
    assert every["auc"] > 0.7
    assert abs(every["difference_auc"]) < 0.05
    assert every["difference_auc_low"] < 0.0 < every["difference_auc_high"]
    assert carries_over(every).startswith("Symbols that the models have not seen are not shown to be predicted worse")


class Recorder:
    """The shares of ones, and what they were taken of."""

    seen: ClassVar[list[pd.DataFrame]] = []
    text_format = "none"

    def fit(self, X: pd.DataFrame, y: np.ndarray, sample_weight: np.ndarray, *, init_score: object) -> Self:
        self.seen.append(X)
        self.share = float(np.mean(y))
        return self

    def decision_function(self, X: pd.DataFrame) -> np.ndarray:
        return np.full(len(X), np.log(self.share / (1.0 - self.share)))


def test_no_row_of_the_symbol_reaches_a_fit_and_the_folds_are_those_of_the_run() -> None:
    given = training("of_symbol")
    recording = replace(TRAINER, targets=tuple(replace(target, model=Recorder) for target in TARGETS))
    Recorder.seen.clear()
    whole = recording.predict_out_of_fold(given)
    assert any((rows["of_symbol"] // 100 == 2).any() for rows in Recorder.seen)
    Recorder.seen.clear()
    found = unseen_predictions(given, recording, ("B",))
    assert len(Recorder.seen) == whole["fold"].nunique()  # of the headline alone
    assert not any((rows["of_symbol"] // 100 == 2).any() for rows in Recorder.seen)
    begins = [whole.loc[whole["fold"] == fold, "event_time"].min() for fold in range(len(Recorder.seen))]
    for rows, begin in zip(reversed(Recorder.seen), begins, strict=True):  # the longest fold comes first
        known = given.labels.loc[rows.index, "label_known_time"] + TRAINER.validation.embargo
        assert (known < begin).all()
    own = whole[whole["symbol"] == "B"].reset_index(drop=True)
    pd.testing.assert_frame_equal(found[["row", "fold"]], own[["row", "fold"]])


def test_the_outcomes_of_the_symbol_decide_nothing() -> None:
    """Caught: a calibrator, an anchor or a base rate that is taken from the events of the symbol."""
    given = training("common")
    for settings in (TRAINER, replace(TRAINER, model=replace(TRAINER.model, calibration="sigmoid"))):
        own = given.labels["symbol"] == "B"
        turned = given.labels.assign(y_direction=given.labels["y_direction"].where(~own, 1.0))
        one = unseen_predictions(given, settings, ("B",))
        other = unseen_predictions(TrainingSet(features=given.features, labels=turned), settings, ("B",))
        pd.testing.assert_frame_equal(one, other)


def test_what_is_not_known_is_counted_and_what_is_not_measured_named() -> None:
    """Caught: an event without a prediction that counts as one half, and a group that vanishes."""
    rng, n = np.random.default_rng(1), 400
    times = pd.Series(pd.date_range("2024-01-01", periods=n, freq="6h", tz="UTC", unit="us"))
    y, p, other = rng.integers(0, 2, n).astype(float), rng.random(n), rng.random(n)
    symbol = np.array(["A", "B"])[np.arange(n) % 2]
    events = pd.DataFrame({"symbol": symbol, "event_time": times, "y_direction": y, "p_direction": p})
    is_a = symbol == "A"
    of_a = np.where(is_a & (np.arange(n) >= 100), other, np.nan)
    a = UnseenGroup(symbols=("A",), p=of_a)
    every, first, second = unseen_rows(events, [a, UnseenGroup(symbols=("B",), note="not measured: why")], RESAMPLING)
    known = ~np.isnan(of_a)
    assert first["n_events"] == every["n_events"] == known.sum() == 150
    assert first["auc"] == pytest.approx(auc(y[known], p[known]))
    assert first["auc_unseen"] == pytest.approx(auc(y[known], other[known]))
    assert first["note"] == "AUC without 50 of 200 events, whose direction or prediction is not known"
    assert every["note"] == "AUC without 250 of 400 events, whose direction or prediction is not known"
    assert second["note"] == "not measured: why"
    assert np.isnan([second[name] for name in COLUMNS[2:-1]]).all()
    (only,) = unseen_rows(events, [UnseenGroup(symbols=("A", "B"), note="not measured: why")], RESAMPLING)
    assert (only["name"], only["symbols"], only["note"]) == ("all", ["A", "B"], "not measured: why")
    assert carries_over(only) == (
        "Whether what was learnt carries over to other symbols is not known (not measured: why)."
    )


def test_the_interval_is_that_of_the_bootstrap() -> None:
    rng, n = np.random.default_rng(2), 500
    times = pd.Series(pd.date_range("2024-01-01", periods=n, freq="6h", tz="UTC", unit="us"))
    y, p, other = rng.integers(0, 2, n).astype(float), rng.random(n), rng.random(n)
    events = pd.DataFrame({"symbol": "A", "event_time": times, "y_direction": y, "p_direction": p})
    (row,) = unseen_rows(events, [UnseenGroup(symbols=("A",), p=other)], RESAMPLING)

    def apart(y: np.ndarray, p: np.ndarray, other: np.ndarray) -> float:
        return auc(y, p) - auc(y, other)

    low, high = RESAMPLING.interval(apart, times, y, p, other)
    assert (row["difference_auc_low"], row["difference_auc_high"]) == pytest.approx((low, high))


def test_many_symbols_are_left_out_in_five_groups() -> None:
    names = [f"S{number:03}" for number in range(320)]
    groups = symbol_groups(names[::-1])
    assert [len(group) for group in groups] == [64] * 5
    assert groups[1][:2] == ("S001", "S006")
    assert sorted(sum(groups, ())) == names


def test_too_few_events_of_the_others_are_an_error() -> None:
    given = training("common")
    rare = given.labels.assign(symbol=np.where(np.arange(len(given)) % 80 == 0, "B", "A"))
    with pytest.raises(DataError, match="25 of 2000 events have a label `y_direction`"):
        unseen_predictions(TrainingSet(features=given.features, labels=rare), TRAINER, ("A",))
