"""All models of a bundle, their calibrators and the range check, for one row or a block of rows in one compiled call.

The numbers are those of the objects that it is made of, to the last bit: `TextModel.predict_raw`, `Target.outputs` and
`TrainingRange.share_outside`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numba import njit

from slackwater.models._calibrators import log_odds_below, log_odds_on
from slackwater.models.forest import BLOCK, forest_of, remove_leaves, sum_of_leaves
from slackwater.models.logistic import RankLogistic, normal_score
from slackwater.models.mean import ReadMean
from slackwater.models.predictor import FlattenedTrees

if TYPE_CHECKING:
    from slackwater.features.orientation import Orientation
    from slackwater.models.targets import Calibrator, Target, TextModel
    from slackwater.models.training_range import TrainingRange
    from slackwater.types import Floats, Ints

__all__ = ["CompiledModels", "StoredModel"]

_PROBABILITY, _EDGE, _EDGE_AND_LOW = range(3)
"""Outputs of a target."""


class StoredModel(NamedTuple):
    """One model of a bundle: its target, its text read and its calibrator."""

    target: Target
    model: TextModel
    calibrator: Calibrator


class CompiledModels:
    """Outputs of every target and the range check, from features that are not oriented yet.

    Models of the library are compiled; one from outside is asked for its log-odds, and the rest is the same. Nothing
    changes after construction, and every call has its own memory: threads may share it, and run side by side.

    Parameters
    ----------
    stored
        The models; their order is that of `columns`.
    orientation
        Orientation of the features that they were fitted on.
    positions
        Where these features stand in a row of all features, shape (n_features,).
    training_range
        Range of the oriented columns.

    Attributes
    ----------
    columns : tuple of str
        Names of the outputs of all targets.
    """

    def __init__(
        self, stored: Sequence[StoredModel], orientation: Orientation, positions: Ints, training_range: TrainingRange
    ) -> None:
        self.columns = tuple(name for each in stored for name in each.target.columns)
        self._orientation, self._positions = orientation, positions
        members = [_members(each.model) for each in stored]
        flat = [member for each in members for member in each]
        regressions = [(at, m) for at, m in enumerate(flat) if type(m) is RankLogistic]
        self._outside = [(at, m) for at, m in enumerate(flat) if type(m) not in (FlattenedTrees, RankLogistic)]
        self._start = np.zeros(len(flat))
        for at, model in regressions:
            self._start[at] = model.curves.intercept
        n_columns = len(orientation.columns)
        grown = [m.trees if type(m) is FlattenedTrees else () for m in flat]
        ends = np.cumsum([0, *map(len, grown)])
        firsts = np.cumsum([0, *map(len, members)])
        self._arguments = (
            *orientation.sources(positions),
            np.column_stack([training_range.lower_, training_range.upper_]),
            *forest_of([tree for trees in grown for tree in trees], n_columns),
            *_curves(regressions),
            np.column_stack([ends[:-1], ends[1:]]).astype(np.int32),
            np.column_stack([firsts[:-1], firsts[1:], [_kind(each.target) for each in stored]]).astype(np.int32),
            np.array([each.calibrator.line for each in stored]),
        )

    def __call__(self, features: Floats, direction: Floats) -> Floats:
        """Return the outputs, the share of columns outside of their range, and the number of unknown features.

        Parameters
        ----------
        features
            Rows of all features, shape (n_rows, n_all_features).
        direction
            Direction of the prior move at each row, 1 or -1, shape (n_rows,).

        Returns
        -------
        ndarray of float64, shape (n_rows, n_outputs + 2)
            The columns are `columns`, then those two.
        """
        raw = np.empty((len(features), self._start.size))
        raw[:] = self._start
        if self._outside and len(features):  # a symbol without an event: a model need not take an empty table
            oriented = self._orientation.apply(features[:, self._positions], direction)
            for at, model in self._outside:
                raw[:, at] = model.predict_raw(oriented)
        out = np.empty((len(features), len(self.columns) + 2))
        _score(*self._arguments, features, direction, raw, out)
        return out


def _members(model: TextModel) -> Sequence[TextModel]:
    return model.members if type(model) is ReadMean else (model,)  # another class may have changed the mean


def _kind(target: Target) -> int:
    if target.offset is None:
        return _PROBABILITY
    return _EDGE_AND_LOW if target.lower_bound else _EDGE


def _curves(regressions: Sequence[tuple[int, RankLogistic]]) -> tuple[Ints, Ints, Floats, Floats, Floats]:
    """Return the member of each regression, where its columns start, and knots, scores and coefficients of all."""
    curves = [model.curves for _, model in regressions]
    offsets = np.cumsum([0, *(each.knots.size for each in curves)])
    starts = [each.starts + offset for each, offset in zip(curves, offsets[:-1], strict=True)]
    nothing = np.empty(0)
    return (
        np.array([at for at, _ in regressions], dtype=np.int64),
        np.array(starts, dtype=np.int64).ravel(),
        np.concatenate([nothing, *(each.knots for each in curves)]),
        np.concatenate([nothing, *(each.scores for each in curves)]),
        np.concatenate([nothing, *(each.coefficients for each in curves)]),
    )


@njit(cache=True, nogil=True)
def _score(  # type: ignore[no-untyped-def]
    sources, signs, bounds,
    columns, thresholds, kept, words, first_words, first_leaves, leaf_values,
    regressions, starts, knots, scores, coefficients,
    members, targets, lines,
    features, direction, raw, out,
):  # fmt: skip
    n_rows, n_columns, n_outputs = features.shape[0], columns.shape[0], out.shape[1] - 2
    left = np.empty((min(BLOCK, n_rows), first_leaves.shape[0]), dtype=kept.dtype)
    for start in range(0, n_rows, BLOCK):
        # 1. No leaf is removed, and no column is counted.
        end = min(start + BLOCK, n_rows)
        left[:] = ~kept.dtype.type(0)
        out[start:end] = 0.0
        for column in range(n_columns):
            for row in range(start, end):
                # 2. The value as seen from a move up; the last column is the direction.
                value = direction[row]
                if column < n_columns - 1:
                    down = int(value < 0.0)
                    value = features[row, sources[down, column]] * signs[down, column]
                # 3. Inside or outside of the training range, or neither.
                if bounds[column, 0] <= value <= bounds[column, 1]:
                    out[row, n_outputs] += 1.0
                elif value < bounds[column, 0] or value > bounds[column, 1]:
                    out[row, n_outputs + 1] += 1.0
                # 4. Trees and regressions.
                remove_leaves(columns, thresholds, kept, words, column, value, row - start, left)
                for at in range(regressions.shape[0]):
                    score = normal_score(starts, knots, scores, at * (n_columns + 1) + column, value)
                    raw[row, regressions[at]] += coefficients[at * n_columns + column] * score
        for row in range(start, end):
            for member in range(members.shape[0]):
                raw[row, member] += sum_of_leaves(
                    first_words, first_leaves, leaf_values, members[member, 0], members[member, 1], row - start, left
                )
            _finish(sources, targets, lines, features, raw, row, out)


@njit(cache=True, nogil=True, forceinline=True)
def _finish(sources, targets, lines, features, raw, row, out):  # type: ignore[no-untyped-def]
    """Write the outputs of one row from the log-odds of its members and its counts of columns."""
    at = 0
    for target in range(targets.shape[0]):
        first, end, kind = targets[target, 0], targets[target, 1], targets[target, 2]
        mean = raw[row, first]
        for member in range(first + 1, end):
            mean += raw[row, member]
        mean /= end - first
        level, slope, anchor, shift = lines[target, 0], lines[target, 1], lines[target, 2], lines[target, 3]
        calibrated = log_odds_on(mean, level, slope, anchor)
        out[row, at] = 1.0 / (1.0 + math.exp(-calibrated)) if kind == _PROBABILITY else calibrated
        at += 1
        if kind == _EDGE_AND_LOW:
            of_slope, shared, of_level = lines[target, 4], lines[target, 5], lines[target, 6]
            out[row, at] = log_odds_below(mean, level, slope, anchor, shift, of_slope, shared, of_level)
            at += 1
    inside, outside = out[row, at], out[row, at + 1]
    out[row, at] = outside / (inside + outside) if inside + outside > 0.0 else 1.0
    unknown = 0.0
    for column in range(sources.shape[1]):
        unknown += np.isnan(features[row, sources[0, column]])
    out[row, at + 1] = unknown
