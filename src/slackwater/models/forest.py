"""Trees of one or several models, laid out so that a row passes through all of them column by column.

A walk from root to leaf waits at every node for the outcome of the comparison before it. Here no step waits for
another (QuickScorer, Lucchese et al. 2015): all leaves of a tree are bits of a word, a node whose threshold is below
the value of its column removes the leaves on its left, and the first leaf that remains is the one that a walk would
have reached. The nodes of all trees stand sorted by column and threshold, so that a column is read once, from its
lowest threshold up to the value. The same comparisons decide, and the same leaf values are added in the same order:
the sum is that of LightGBM to the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from slackwater.models.model_text import Tree
from slackwater.types import Floats

__all__ = ["BLOCK", "Forest", "forest_of", "remove_leaves", "score_rows", "sum_of_leaves"]

_WORDS: Final = (np.uint8, np.uint16, np.uint32, np.uint64)
"""Kinds of words: the smallest that holds the largest tree, or the last. The less memory, the faster a row after a
pause."""
BLOCK: Final = 8
"""Rows that pass a column together: few enough for their words to stay in the fastest cache."""

# LightGBM takes every value within this distance of 0 for 0 (its kZeroThreshold, a 32-bit constant).
_ZERO: Final = float(np.float32(1e-35))


class Forest(NamedTuple):
    """Arrays of all trees, as the kernels take them. A tree of more than 64 leaves has several words of 64 bits.

    Attributes
    ----------
    columns : ndarray of int32, shape (n_columns, 3)
        First node of each column, the end of those with a threshold, and the end of those that a missing value passes.
    thresholds : ndarray of float64, shape (n_nodes,)
        A value above it goes right; ascending in each column.
    kept : ndarray of uint8 to uint64, shape (n_nodes,)
        Leaves of a word that stay where the row goes right.
    words : ndarray of uint32, shape (n_nodes,)
        The word.
    first_words : ndarray of uint32, shape (n_trees,)
        First word of each tree, in the order of summation.
    first_leaves : ndarray of uint32, shape (n_words,)
        Position of the first leaf of each word.
    leaf_values : ndarray of float64, shape (n_leaves,)
        From left to right in each tree, in log-odds.
    """

    columns: NDArray[np.int32]
    thresholds: Floats
    kept: NDArray[np.unsignedinteger[Any]]
    words: NDArray[np.uint32]
    first_words: NDArray[np.uint32]
    first_leaves: NDArray[np.uint32]
    leaf_values: Floats


class _Node(NamedTuple):
    """What one node does to one word. It stands twice where a missing value goes right as well."""

    column: int
    missing: bool
    threshold: float
    kept: int
    word: int


def forest_of(trees: Sequence[Tree], n_columns: int) -> Forest:
    """Return the layout of trees whose nodes stand before their children, as `parse_model_text` leaves them."""
    nodes: list[_Node] = []
    first_words: list[int] = []
    first_leaves: list[int] = []
    leaf_values: list[float] = []
    largest = max((len(tree.leaf_value) for tree in trees), default=0)
    kind = next((kind for kind in _WORDS if 8 * kind().nbytes >= largest), _WORDS[-1])
    bits = 8 * kind().nbytes
    for tree in trees:
        first_words.append(len(first_leaves))
        starts = _first_leaves(tree)
        nodes.extend(_nodes(tree, starts, len(first_leaves), bits))
        first_leaves.extend(range(len(leaf_values), len(leaf_values) + len(tree.leaf_value), bits))
        leaf_values.extend(value for _, value in sorted(zip(starts.leaves, tree.leaf_value, strict=True)))
    nodes.sort()
    column = np.array([node.column for node in nodes], dtype=np.int64)
    missing = np.array([node.missing for node in nodes], dtype=bool)
    wanted = np.arange(n_columns)
    known = np.bincount(column[~missing], minlength=n_columns)
    first, end = np.searchsorted(column, wanted), np.searchsorted(column, wanted, side="right")
    return Forest(
        columns=np.column_stack([first, first + known, end]).astype(np.int32),
        thresholds=np.array([node.threshold for node in nodes], dtype=np.float64),
        kept=np.array([node.kept for node in nodes], dtype=kind),
        words=np.array([node.word for node in nodes], dtype=np.uint32),
        first_words=np.array(first_words, dtype=np.uint32),
        first_leaves=np.array(first_leaves, dtype=np.uint32),
        leaf_values=np.array(leaf_values, dtype=np.float64),
    )


class _Starts(NamedTuple):
    """Position of every leaf from left to right, and of the leftmost leaf of each side of every node."""

    leaves: list[int]
    left: list[int]
    right: list[int]


def _first_leaves(tree: Tree) -> _Starts:
    """Return the places of the leaves of a tree, counted from left to right."""
    n_nodes = len(tree.feature)
    size = [0] * n_nodes
    for node in reversed(range(n_nodes)):
        size[node] = sum(size[child] if child >= 0 else 1 for child in (tree.left[node], tree.right[node]))
    start, leaves, right = [0] * n_nodes, [0] * (n_nodes + 1), [0] * n_nodes
    for node in range(n_nodes):
        left_child, right_child = tree.left[node], tree.right[node]
        right[node] = start[node] + (size[left_child] if left_child >= 0 else 1)
        for child, first in ((left_child, start[node]), (right_child, right[node])):
            if child >= 0:
                start[child] = first
            else:
                leaves[~child] = first
    return _Starts(leaves, start, right)


def _nodes(tree: Tree, starts: _Starts, first_word: int, bits: int) -> Iterator[_Node]:
    for node, (column, threshold) in enumerate(zip(tree.feature, tree.threshold, strict=True)):
        first, end = starts.left[node], starts.right[node]
        for word in range(first // bits, (end - 1) // bits + 1):
            low, high = max(first - word * bits, 0), min(end - word * bits, bits)
            kept = (1 << bits) - 1 - (1 << high) + (1 << low)
            yield _Node(column, False, _comparable(threshold), kept, first_word + word)
            if not tree.missing_left[node]:
                yield _Node(column, True, 0.0, kept, first_word + word)


def _comparable(threshold: float) -> float:
    """Return the threshold that sends a value where LightGBM sends it, which first rounds what is within `_ZERO`."""
    if -_ZERO <= threshold < 0.0:
        return math.nextafter(-_ZERO, -math.inf)
    if 0.0 <= threshold < _ZERO:
        return _ZERO
    return threshold


@intrinsic
def _lowest_bit(typing_context, word):  # type: ignore[no-untyped-def]
    """Return the position of the lowest bit of a word that is not 0."""

    def code(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), code


@njit(cache=True, nogil=True, forceinline=True)  # called once per column: the arguments cost more than the work
def remove_leaves(columns, thresholds, kept, words, column, value, row, left):  # type: ignore[no-untyped-def]
    """Remove the leaves that a row with this value of a column does not reach from its words, ``left[row]``."""
    end = columns[column, 1]
    if np.isnan(value):
        for node in range(end, columns[column, 2]):
            left[row, words[node]] &= kept[node]
        return
    node = columns[column, 0]
    while node < end and thresholds[node] < value:
        left[row, words[node]] &= kept[node]
        node += 1


@njit(cache=True, nogil=True, forceinline=True)
def sum_of_leaves(first_words, first_leaves, leaf_values, first_tree, end_tree, row, left):  # type: ignore[no-untyped-def]
    """Return the sum over some trees of the first leaf that is left."""
    raw = 0.0
    for tree in range(first_tree, end_tree):
        word = np.uint64(first_words[tree])
        while left[row, word] == 0:
            word += np.uint64(1)
        first, remaining = np.uint64(first_leaves[word]), np.uint64(left[row, word])
        raw += leaf_values[first + _lowest_bit(remaining)]  # type: ignore[call-arg]  # numba gives the context
    return raw


@njit(cache=True, nogil=True)
def score_rows(columns, thresholds, kept, words, first_words, first_leaves, leaf_values, X, out):  # type: ignore[no-untyped-def]
    """Write the sum over all trees for every row."""
    left = np.empty((min(BLOCK, X.shape[0]), first_leaves.shape[0]), dtype=kept.dtype)
    for start in range(0, X.shape[0], BLOCK):
        rows = min(BLOCK, X.shape[0] - start)
        left[:] = ~kept.dtype.type(0)
        for column in range(columns.shape[0]):
            for row in range(rows):
                remove_leaves(columns, thresholds, kept, words, column, X[start + row, column], row, left)
        for row in range(rows):
            out[start + row] = sum_of_leaves(first_words, first_leaves, leaf_values, 0, first_words.shape[0], row, left)
