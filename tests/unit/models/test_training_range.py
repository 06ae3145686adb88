"""The training range: its bounds by hand, its limit against a plain loop, missing values, drift, JSON."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.exceptions import NotFittedError

from slackwater.errors import BundleError, DataError, ParameterError
from slackwater.models.training_range import TrainingRange

NAN, INF = float("nan"), float("inf")

# Few different values, so that values on a bound, repeated and missing ones are common.
values = st.one_of(st.just(NAN), st.sampled_from([-2.0, -1.0, -0.0, 0.0, 1.0, 2.0]), st.floats(-1e308, 1e308))
matrices = st.tuples(st.integers(50, 70), st.integers(1, 6)).flatmap(
    lambda shape: arrays(float, shape, elements=values)
)
tails = st.sampled_from([0.0, 0.001, 0.03, 0.25])


def drawn(n_rows: int, n_columns: int = 150, missing: float = 0.05, seed: int = 0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_rows, n_columns))
    X[rng.random(X.shape) < missing] = NAN
    return X


def with_bounds(lower, upper, limit=0.5):
    return TrainingRange.from_dict({"tail": 0.001, "limit": limit, "lower": lower, "upper": upper})


def bounds_of(column, tail):
    known = sorted(value for value in column if not math.isnan(value))
    left_out = math.floor(tail * len(known))
    return (known[left_out], known[len(known) - 1 - left_out]) if known else (NAN, NAN)


def share_of(row, bounds):
    """Share outside of one row by hand; None where nothing is known."""
    pairs = zip(row, bounds, strict=True)
    known = [(x, low, high) for x, (low, high) in pairs if not (math.isnan(x) or math.isnan(low))]
    return sum(x < low or x > high for x, low, high in known) / len(known) if known else None


def limit_of(X, tail):
    """The limit by its definition, in plain loops."""
    shares, start = [], 0
    for block in np.array_split(X, 5):
        if start:
            bounds = [bounds_of(column, tail) for column in X[:start].T.tolist()]
            shares += [share_of(row, bounds) for row in block.tolist()]
        start += len(block)
    shares = sorted(share for share in shares if share is not None)
    at_least = 2 / X.shape[1]
    drift = shares[len(shares) - 1 - len(shares) // 200] if shares else 0.0
    return min(max(drift, at_least), 0.5)


def test_bounds_are_quantiles_that_occurred():
    """Catches bounds that are interpolated, off by one, or leave out more on one side than on the other."""
    X = np.random.default_rng(0).permutation(np.arange(2_000.0))[:, None]
    known = TrainingRange(tail=0.001).fit(X)
    assert (known.lower_.tolist(), known.upper_.tolist()) == ([2.0], [1_997.0])
    few = TrainingRange(tail=0.001).fit(np.arange(999.0)[:, None])
    assert (few.lower_.tolist(), few.upper_.tolist()) == ([0.0], [998.0])


def test_bounds_come_from_the_known_values_alone():
    """Catches NaN that becomes a bound or counts as a value, and a warning for an empty column."""
    X = np.full((100, 3), NAN)
    X[10:30, 0] = np.arange(20.0)
    X[50, 1] = 7.0
    known = TrainingRange(tail=0.1).fit(X)
    np.testing.assert_array_equal(known.lower_, [2.0, 7.0, NAN])
    np.testing.assert_array_equal(known.upper_, [17.0, 7.0, NAN])
    assert (known.lower_.dtype, known.upper_.dtype) == (np.float64, np.float64)


@pytest.mark.parametrize(
    ("row", "share", "positions"),
    [
        ([0.0, 0.0, 0.0, 0.0], 0.0, []),
        ([-1.0, 2.0, 0.0, 9.0], 0.0, []),  # on the bounds, and a column that has none
        ([-1.1, 2.0, 0.0, 0.0], 1 / 3, [0]),
        ([-1.1, 2.1, 0.1, 0.0], 1.0, [0, 1, 2]),
        ([NAN, 2.1, 0.0, 0.0], 1 / 2, [1]),
        ([NAN, NAN, 0.0, NAN], 0.0, []),
        ([NAN, NAN, NAN, 5.0], 1.0, []),  # nothing is known of it, but nothing is outside either
        ([NAN, NAN, NAN, NAN], 1.0, []),
        ([-INF, INF, 0.0, 0.0], 2 / 3, [0, 1]),
        ([0.0, 0.0, 0.0, INF], 0.0, []),
    ],
)
def test_share_outside_by_hand(row, share, positions):
    """Catches a bound that is outside, NaN or a column without bounds in the divisor, an infinite value inside."""
    known = with_bounds([-1.0, -2.0, 0.0, None], [1.0, 2.0, 0.0, None], limit=0.1)
    assert known.share_outside([row, [0.0] * 4]).tolist() == [share, 0.0]
    names = known.out_of_range([row], list("abcd"))[0]
    assert names == (tuple("abcd"[i] for i in positions) or tuple("abcd") if share > 0.1 else ())


def test_a_share_on_the_limit_is_no_outlier():
    """Catches >= for >."""
    known = with_bounds([0.0] * 4, [1.0] * 4, limit=0.25)
    assert known.is_outlier([[2.0, 0.0, 0.0, 0.0], [2.0, 2.0, 0.0, 0.0]]).tolist() == [False, True]


def test_a_row_of_which_nothing_is_known_is_an_outlier():
    """Catches 0 / 0 that turns into NaN, which is above no limit."""
    known = TrainingRange().fit(drawn(200, 10))
    assert known.is_outlier(np.full((1, 10), NAN)).tolist() == [True]


@given(X=matrices, tail=tails)
def test_bounds_limit_and_shares_agree_with_plain_loops(X, tail):
    """Catches a block that helps to make its own bounds, a wrong quantile, rows without knowledge in the limit."""
    known = TrainingRange(tail=tail).fit(X)
    bounds = [bounds_of(column, tail) for column in X.T.tolist()]
    np.testing.assert_array_equal(np.column_stack([known.lower_, known.upper_]), bounds)
    assert known.limit_ == limit_of(X, tail)
    shares = [share_of(row, bounds) for row in X.tolist()]
    assert known.share_outside(X).tolist() == [1.0 if share is None else share for share in shares]


@given(X=matrices, tail=tails)
def test_a_training_row_inside_of_the_bounds_is_no_outlier(X, tail):
    """Catches bounds that training itself does not keep, on either side, and a limit below 0."""
    known = TrainingRange(tail=tail).fit(X)
    inside = ~((known.lower_ > X) | (known.upper_ < X)).any(axis=1) & ~np.isnan(X).all(axis=1)
    assert not known.is_outlier(X)[inside].any()
    n_known = np.count_nonzero(~np.isnan(X), axis=0)
    assert ((known.lower_ > X).sum(axis=0) <= tail * n_known).all()
    assert ((known.upper_ < X).sum(axis=0) <= tail * n_known).all()


@given(X=matrices, seed=st.integers(0, 2**32 - 1))
def test_the_order_of_the_columns_does_not_matter(X, seed):
    """Catches the bounds of one column applied to another."""
    order = np.random.default_rng(seed).permutation(X.shape[1])
    known, moved = TrainingRange(tail=0.03).fit(X), TrainingRange(tail=0.03).fit(X[:, order])
    np.testing.assert_array_equal(moved.lower_, known.lower_[order])
    np.testing.assert_array_equal(moved.upper_, known.upper_[order])
    assert moved.limit_ == known.limit_
    np.testing.assert_array_equal(moved.share_outside(X[:, order]), known.share_outside(X))


@given(X=matrices, tail=tails)
def test_long_and_short_are_treated_alike(X, tail):
    """Catches a quantile that cuts more from above than from below: features are mirrored by direction."""
    known, mirrored = TrainingRange(tail=tail).fit(X), TrainingRange(tail=tail).fit(-X)
    np.testing.assert_array_equal(mirrored.lower_, -known.upper_)
    np.testing.assert_array_equal(mirrored.upper_, -known.lower_)
    assert mirrored.limit_ == known.limit_


@given(X=matrices, other=matrices, widths=st.lists(st.floats(0, 1e300), min_size=12, max_size=12))
def test_wider_bounds_never_put_more_outside(X, other, widths):
    """Catches a comparison the wrong way round, and a divisor that changes with the bounds."""
    n_columns = min(X.shape[1], other.shape[1])
    X, other = X[:, :n_columns], other[:, :n_columns]
    known, wider = TrainingRange(tail=0.25).fit(X), TrainingRange(tail=0.25).fit(X)
    wider.lower_ = wider.lower_ - widths[:n_columns]
    wider.upper_ = wider.upper_ + widths[6 : 6 + n_columns]
    assert (wider.share_outside(other) <= known.share_outside(other)).all()
    assert (TrainingRange(tail=0.0).fit(X).share_outside(other) <= known.share_outside(other)).all()


def test_one_row_and_many_give_the_same_bits():
    """Catches live and batch shares that differ."""
    known, X = TrainingRange(tail=0.1).fit(drawn(300)), drawn(400, seed=1)
    many = known.share_outside(X)
    assert [known.share_outside(row[None])[0] for row in X] == many.tolist()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rows_that_drifted_far_are_all_flagged(seed):
    """Catches a check that never speaks."""
    X = drawn(2_000, seed=seed)
    known = TrainingRange().fit(X[:1_000])
    assert known.is_outlier(X[1_000:] + 10.0).all()
    assert known.is_outlier(X[1_000:] - 10.0).all()


@pytest.mark.parametrize("common", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rows_like_those_of_training_are_hardly_ever_flagged(seed, common):
    """Catches a limit for columns that leave their range one by one; in a crash they do so together."""
    factor = np.random.default_rng(100 + seed).normal(size=(6_000, 1))
    X = common * factor + math.sqrt(1 - common**2) * drawn(6_000, seed=seed)
    known = TrainingRange().fit(X[:2_000])
    assert known.is_outlier(X[2_000:]).mean() < 0.02


def test_slow_drift_in_training_raises_the_limit():
    """Catches a limit from the rows that made the range: tomorrow always lies a little outside of it."""
    calm = drawn(2_000, missing=0.0)
    drifting = calm + np.linspace(0.0, 4.0, 2_000)[:, None]
    shuffled = np.random.default_rng(1).permutation(drifting)
    known, timeless = TrainingRange().fit(drifting), TrainingRange().fit(shuffled)
    assert known.limit_ > 2.0 * timeless.limit_
    tomorrow = drawn(200, missing=0.0, seed=2) + np.linspace(4.0, 4.4, 200)[:, None]
    assert known.is_outlier(tomorrow).mean() < 0.02
    assert timeless.is_outlier(tomorrow).mean() > 0.1


def test_a_jump_for_good_in_training_does_not_switch_the_check_off():
    """Catches a limit of 1, which nothing exceeds."""
    X = drawn(1_000)
    X[500:] += 20.0
    known = TrainingRange().fit(X)
    assert known.limit_ == 0.5
    assert known.is_outlier(X + 50.0).all()


@pytest.mark.parametrize(("n_columns", "limit"), [(1, 0.5), (2, 0.5), (4, 0.5), (8, 0.25), (50, 0.04)])
def test_a_calm_history_lets_two_columns_pass(n_columns, limit):
    """Catches a limit of 0, and one above 1 where there are fewer than two columns."""
    X = np.tile(np.arange(10.0), 10)[:, None] * np.ones(n_columns)
    known = TrainingRange().fit(X)
    assert known.limit_ == limit
    one_outside = X.copy()
    one_outside[:, 0] = 99.0
    assert known.is_outlier(one_outside).all() == (n_columns == 1)
    assert known.is_outlier(X + 99.0).all()


def test_a_source_that_begins_late_does_not_raise_the_limit():
    """Catches a column without bounds that counts as outside, and rows of which nothing was known yet."""
    X = np.tile(np.arange(10.0), 20)[:, None] * np.ones(20)
    X[:100] = NAN
    assert TrainingRange().fit(X).limit_ == 0.1
    X[:] = NAN
    nothing = TrainingRange().fit(X)
    assert nothing.limit_ == 0.1
    assert nothing.is_outlier(np.zeros((1, 20))).all()


@given(X=matrices, tail=tails)
def test_the_way_to_json_and_back_keeps_every_bit(X, tail):
    """Catches numbers that are rounded, NaN (which is no JSON), and numpy types that JSON refuses."""
    known = TrainingRange(tail=tail).fit(X)
    text = json.dumps(known.to_dict(), allow_nan=False)
    rebuilt = TrainingRange.from_dict(json.loads(text))
    assert rebuilt.lower_.tobytes() == known.lower_.tobytes()
    assert rebuilt.upper_.tobytes() == known.upper_.tobytes()
    assert (rebuilt.limit_, rebuilt.tail) == (known.limit_, known.tail)
    assert json.dumps(rebuilt.to_dict(), allow_nan=False) == text


def test_numpy_parameters_become_plain_numbers():
    """Catches a numpy scalar in the bundle."""
    known = TrainingRange(tail=np.float64(0.01)).fit(drawn(100, 3))
    assert {type(known.to_dict()[name]) for name in ("tail", "limit")} == {float}


GOOD = {"tail": 0.001, "limit": 0.1, "lower": [0.0, None], "upper": [1.0, None]}


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        "training range",
        {},
        {name: value for name, value in GOOD.items() if name != "limit"},
        GOOD | {"extra": 1.0},
        GOOD | {"lower": [0.0]},
        GOOD | {"lower": [], "upper": []},
        GOOD | {"lower": 0.0, "upper": 1.0},
        GOOD | {"lower": [2.0, None]},
        GOOD | {"lower": [None, None]},
        GOOD | {"upper": [None, None]},
        GOOD | {"lower": [-INF, None]},
        GOOD | {"upper": [INF, None]},
        GOOD | {"lower": [NAN, None], "upper": [NAN, None]},
        GOOD | {"lower": ["0", None]},
        GOOD | {"upper": [True, None]},
        GOOD | {"upper": [10**400, None]},
        GOOD | {"lower": [[0.0], None]},
        GOOD | {"limit": -0.01},
        GOOD | {"limit": 1.01},
        GOOD | {"limit": NAN},
        GOOD | {"limit": None},
        GOOD | {"limit": True},
        GOOD | {"limit": "0.1"},
        GOOD | {"tail": -0.001},
        GOOD | {"tail": 0.3},
        GOOD | {"tail": NAN},
    ],
)
def test_a_damaged_bundle_does_not_become_a_range(values):
    """Catches a half-written file that would let every row pass, or an exception of another kind."""
    with pytest.raises(BundleError, match="training range"):
        TrainingRange.from_dict(values)


def test_whole_numbers_in_a_bundle_are_numbers():
    """Catches a JSON writer that drops the .0, and bounds that become integers."""
    known = TrainingRange.from_dict({"tail": 0, "limit": 1, "lower": [0], "upper": [1]})
    assert (known.lower_.dtype, known.upper_.dtype, type(known.limit_)) == (np.float64, np.float64, float)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.zeros((49, 3)), r"n_rows >= 50, n_columns >= 1\), was \(49, 3\)"),
        (np.zeros((60, 0)), r"was \(60, 0\)"),
        (np.zeros(60), r"was \(60,\)"),
        (np.where(np.arange(180).reshape(60, 3) == 64, -INF, NAN), "row 21, column 1"),
    ],
)
def test_rows_that_cannot_be_used(X, message):
    """Catches a limit from a handful of rows, and an infinite bound, outside of which nothing lies."""
    with pytest.raises(DataError, match=message):
        TrainingRange().fit(X)


def test_rows_of_another_width():
    """Catches one value held against the bounds of every column, as numpy would do unasked."""
    known = TrainingRange().fit(drawn(60, 3))
    for X in (np.zeros((5, 1)), np.zeros(3), np.zeros((5, 4))):
        with pytest.raises(DataError, match=r"`X` must have shape \(n_rows, 3\)"):
            known.share_outside(X)
        with pytest.raises(DataError, match=r"`X` must have shape \(n_rows, 3\)"):
            known.out_of_range(X, ["a", "b", "c"])


@pytest.mark.parametrize("tail", [-0.001, 0.26, INF, NAN])
def test_tail_out_of_range(tail):
    """Catches a range whose lower bound is above its upper one."""
    with pytest.raises(ParameterError, match=r"`tail` must be in \[0, 0.25\], was"):
        TrainingRange(tail=tail).fit(drawn(60, 3))


def test_use_before_the_fit():
    """Catches an AttributeError where a user of scikit-learn expects NotFittedError."""
    known = TrainingRange()
    for use in (
        lambda: known.share_outside([[0.0]]),
        lambda: known.is_outlier([[0.0]]),
        lambda: known.out_of_range([[0.0]], ["a"]),
        known.to_dict,
    ):
        with pytest.raises(NotFittedError):
            use()


def test_the_import_is_light():
    """Catches an import that a live scorer would wait for."""
    program = (
        "import sys; from slackwater.models.training_range import TrainingRange as R;"
        "R.from_dict({'tail': 0.0, 'limit': 0.1, 'lower': [0.0], 'upper': [1.0]}).is_outlier([[2.0]]);"
        "print(sorted({'sklearn', 'lightgbm', 'scipy', 'numba', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
