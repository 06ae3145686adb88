"""Read the text of a LightGBM model, and refuse what is damaged, hostile or not understood.

The format is that of ``src/boosting/gbdt_model_text.cpp`` and ``src/io/tree.cpp`` in LightGBM 4: a header of
``key=value`` lines, which gives the size of each tree in bytes; the trees; what the training was told. The text may
come from anywhere, so nothing in it is believed: what passes here can be walked by compiled code that checks no bound,
and `ModelText.checked`, which holds no entry that was not checked, can be read by LightGBM.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

from slackwater.errors import BundleError

__all__ = ["ModelText", "Tree", "parse_model_text"]

_SUPPORTED_HEADER = {"version": "v4", "num_class": "1", "num_tree_per_iteration": "1", "objective": "binary sigmoid:1"}
_HEADER_KEYS = {
    *_SUPPORTED_HEADER,
    *("label_index", "max_feature_idx", "feature_names", "feature_infos", "tree_sizes"),
    "monotone_constraints",
}
_SUPPORTED_TREE = {"num_cat": "0", "is_linear": "0"}
_TREE_KEYS = {
    *_SUPPORTED_TREE,
    *("Tree", "num_leaves", "split_feature", "split_gain", "threshold", "decision_type", "left_child"),
    *("right_child", "leaf_value", "leaf_weight", "leaf_count", "internal_value", "internal_weight"),
    *("internal_count", "shrinkage"),
}
# Bits of `decision_type`; 1 would be a categorical split, and 4 alone a zero that counts as missing.
_DEFAULT_LEFT, _MISSING_NAN = 2, 8
_DECISION_TYPES = (0, _DEFAULT_LEFT, _MISSING_NAN, _MISSING_NAN | _DEFAULT_LEFT)
_INTEGERS = re.compile(r"[-0-9 ]*")
_DECIMALS = re.compile(r"[-+0-9.einf ]*")
_RANGE = re.compile(r"none|\[([-+0-9.e]+):([-+0-9.e]+)\]")
_LARGEST_COUNT = 2**31 - 1
_LARGEST_LOG_ODDS = 1e6  # one leaf of so much is a certainty, and a million of them do not overflow
_DEEPEST = 1_000
"""Most splits between root and leaf: LightGBM's explanation of a score calls itself once per level."""
_ENDING = "end of trees\n\nfeature_importances:\n\nparameters:\n\nend of parameters\n\npandas_categorical:null\n"

_Number = TypeVar("_Number", int, float)


class Tree(NamedTuple):
    """One tree, checked: node 0 is the root, and every walk from it ends in a leaf.

    Attributes
    ----------
    feature : list of int
        Column that each of the n nodes compares.
    threshold : list of float
        A value <= threshold goes left; inf splits the missing from the known.
    missing_left : list of bool
        NaN goes left.
    left, right : list of int
        Child of each node: >= 0 a node, < 0 the leaf ``~child``.
    leaf_value : list of float
        Contribution of each of the n + 1 leaves, in log-odds.
    """

    feature: list[int]
    threshold: list[float]
    missing_left: list[bool]
    left: list[int]
    right: list[int]
    leaf_value: list[float]


class ModelText(NamedTuple):
    """Contents of a binary model text.

    Attributes
    ----------
    feature_names : tuple of str
        Names of the columns.
    trees : list of Tree
        Trees whose contributions are added up in order.
    checked : str
        The text without what the training was told: every entry that is left was checked.
    """

    feature_names: tuple[str, ...]
    trees: list[Tree]
    checked: str


def parse_model_text(text: str) -> ModelText:
    """Parse what ``Booster.model_to_string()`` wrote; every index and number is checked.

    Raises
    ------
    BundleError
        If the text is no LightGBM model of version 4, is cut short or damaged; if its objective is not binary with
        sigmoid 1, or it has several classes; if a tree is linear, has a categorical split, or zeros that count as
        missing; if the children do not make up a tree, or an entry is unknown, missing, repeated or out of range.
    """
    header_text, _, body = text.partition("\n\n")
    if not header_text.startswith("tree\n"):
        raise BundleError("model text: not a LightGBM model, the first line must be 'tree'")
    header = _entries(header_text.removeprefix("tree\n"), where="header")
    _check_supported(header, _SUPPORTED_HEADER, known=_HEADER_KEYS, where="header")
    feature_names = tuple(_value(header, "feature_names", where="header").split(" "))
    last_feature = _integers(header, "max_feature_idx", where="header")
    if last_feature != [len(feature_names) - 1]:
        raise BundleError(
            f"model text: `max_feature_idx` must be {len(feature_names) - 1} for {len(feature_names)} "
            f"feature names, was {header['max_feature_idx'][:40]!r}"
        )
    sizes = _integers(header, "tree_sizes", where="header")
    if not sizes:
        raise BundleError("model text: contains no tree")
    trees = [_tree(block, i, len(feature_names)) for i, block in enumerate(_tree_blocks(body, sizes))]
    _check_columns(header, len(feature_names))
    return ModelText(feature_names, trees, f"{header_text}\n\n{body[: sum(sizes)]}{_ENDING}")


def _check_columns(header: dict[str, str], n_features: int) -> None:
    """Check what the header holds about each column, which only LightGBM reads."""
    ranges = _value(header, "feature_infos", where="header").split(" ")
    if len(ranges) != n_features or not all(map(_is_range, ranges)):
        raise BundleError(f"model text: header: `feature_infos` must hold {n_features} times none or [least:most]")
    if "monotone_constraints" in header:
        signs = _integers(header, "monotone_constraints", where="header")
        if len(signs) != n_features or not set(signs) <= {-1, 0, 1}:
            raise BundleError(f"model text: header: `monotone_constraints` must be {n_features} times -1, 0 or 1")
    if header.get("label_index", "0") != "0":
        raise BundleError(f"model text: header: `label_index` must be 0, was {header['label_index'][:40]!r}")


def _is_range(text: str) -> bool:
    match = _RANGE.fullmatch(text)
    try:
        return match is not None and (match[1] is None or float(match[1]) <= float(match[2]))
    except ValueError:
        return False


def _tree_blocks(body: str, sizes: Sequence[int]) -> Iterator[str]:
    """Cut the text behind the header into one block a tree; see that all of it is there."""
    position = 0
    for index, size in enumerate(sizes):
        block = body[position : position + size]
        if len(block) != size or not block.startswith(f"Tree={index}\n") or not block.isascii():
            raise BundleError(f"model text: tree {index} of {len(sizes)} is not where the header says it is")
        position += size
        yield block
    rest, found, end = body[position:].partition("\nend of parameters\n")
    if not rest.startswith("end of trees\n") or not found:
        raise BundleError("model text: cut short behind the trees")
    if end.strip() not in ("", "pandas_categorical:null", "pandas_categorical:[]"):
        raise BundleError(f"model text: must end with 'pandas_categorical:null', ended with {end.strip()[:40]!r}")


def _tree(block: str, index: int, n_features: int) -> Tree:
    """Parse one tree; see that its nodes make up a tree and that every index is in range."""
    where = f"tree {index}"
    entries = _entries(block, where=where)
    _check_supported(entries, _SUPPORTED_TREE, known=_TREE_KEYS, where=where)
    leaf_value = _decimals(entries, "leaf_value", where=where)
    if not all(abs(value) <= _LARGEST_LOG_ODDS for value in leaf_value):
        raise BundleError(f"model text: {where}: `leaf_value` must be finite, and within ±{_LARGEST_LOG_ODDS:g}")
    n_splits = len(leaf_value) - 1
    if _integers(entries, "num_leaves", where=where) != [n_splits + 1]:
        raise BundleError(f"model text: {where}: `leaf_value` must hold `num_leaves` numbers, was {len(leaf_value)}")
    threshold = _decimals(entries, "threshold", where=where)
    feature, decision, left, right = (
        _integers(entries, key, where=where) for key in ("split_feature", "decision_type", "left_child", "right_child")
    )
    if any(len(column) != n_splits for column in (threshold, feature, decision, left, right)):
        raise BundleError(f"model text: {where}: {n_splits + 1} leaves need {n_splits} numbers per split entry")
    for f in feature:
        if not 0 <= f < n_features:
            raise BundleError(f"model text: {where}: `split_feature` must be in [0, {n_features - 1}], was {f}")
    for d in decision:
        if d not in _DECISION_TYPES:
            raise BundleError(
                f"model text: {where}: `decision_type` must be one of {_DECISION_TYPES}, was {d}: "
                "categorical splits and zero_as_missing are not supported"
            )
    # Each leaf, and each node but the root, is the child of exactly one node, and that one stands before it:
    # then every walk moves on, and ends in a leaf.
    in_order = all(child < 0 or child > node for side in (left, right) for node, child in enumerate(side))
    children = [*range(-n_splits - 1, 0), *range(1, n_splits)] if n_splits else []
    if not in_order or sorted(left + right) != children:
        raise BundleError(f"model text: {where}: `left_child` and `right_child` do not make up a tree")
    _check_depth(left, right, where=where)
    _check_records(entries, left, right, where=where)
    missing_left = [
        bool(d & _DEFAULT_LEFT) if d & _MISSING_NAN else t >= 0.0  # NaN counts as 0 if training saw none.
        for d, t in zip(decision, threshold, strict=True)
    ]
    return Tree(feature, threshold, missing_left, left, right, leaf_value)


def _check_depth(left: list[int], right: list[int], *, where: str) -> None:
    depth = [1] * max(len(left), 1)
    for node, children in enumerate(zip(left, right, strict=True)):
        for child in children:
            if child >= 0:
                depth[child] = depth[node] + 1
    if max(depth) > _DEEPEST:
        raise BundleError(f"model text: {where}: is {max(depth):,} splits deep, the most are {_DEEPEST:,}")


def _check_records(entries: dict[str, str], left: list[int], right: list[int], *, where: str) -> None:
    """Check what the training recorded of leaves and splits, from which LightGBM explains a score."""
    n_splits, n_leaves = len(left), len(left) + 1
    for key in ("split_gain", "internal_value", "internal_weight", "leaf_weight"):
        wanted = {n_leaves} if key == "leaf_weight" else {n_splits}
        numbers = _decimals(entries, key, where=where)
        # A tree without splits has no weight.
        if len(numbers) not in (wanted if n_splits else wanted | {0}) or not all(map(math.isfinite, numbers)):
            raise BundleError(f"model text: {where}: `{key}` must hold {max(wanted)} finite numbers")
        if key.endswith("weight") and min(numbers, default=0.0) < 0.0:
            raise BundleError(f"model text: {where}: `{key}` must not be negative")
    shrinkage = _decimals(entries, "shrinkage", where=where)
    if len(shrinkage) != 1 or not math.isfinite(shrinkage[0]):
        raise BundleError(f"model text: {where}: `shrinkage` must be one finite number")
    of_leaves, of_nodes = (_integers(entries, f"{part}_count", where=where) for part in ("leaf", "internal"))
    if len(of_leaves) != n_leaves or len(of_nodes) != n_splits:
        raise BundleError(f"model text: {where}: `leaf_count` and `internal_count` must hold {n_leaves} and {n_splits}")
    if not all(1 <= count <= _LARGEST_COUNT for count in (*of_leaves, *of_nodes)):
        raise BundleError(f"model text: {where}: a count of rows must be in [1, {_LARGEST_COUNT}]")
    for node, children in enumerate(zip(left, right, strict=True)):
        if of_nodes[node] != sum(of_nodes[child] if child >= 0 else of_leaves[~child] for child in children):
            raise BundleError(f"model text: {where}: `internal_count` of node {node} is not the sum of its children")


def _entries(text: str, *, where: str) -> dict[str, str]:
    """Read lines of ``key=value`` or of a key alone."""
    entries: dict[str, str] = {}
    for line in filter(None, text.split("\n")):
        key, _, value = line.partition("=")
        if key in entries:
            raise BundleError(f"model text: {where}: repeated entry {line[:40]!r}")
        entries[key] = value
    return entries


def _check_supported(entries: dict[str, str], values: dict[str, str], *, known: set[str], where: str) -> None:
    """Refuse other values than these, and unknown keys: they may change what the known ones mean."""
    for key, expected in values.items():
        if _value(entries, key, where=where) != expected:
            raise BundleError(f"model text: {where}: `{key}` must be '{expected}', was {entries[key][:40]!r}")
    for key in entries:
        if key not in known:
            raise BundleError(f"model text: {where}: unknown entry {key[:40]!r}")


def _value(entries: dict[str, str], key: str, *, where: str) -> str:
    if key not in entries:
        raise BundleError(f"model text: {where}: `{key}` is missing")
    return entries[key]


def _integers(entries: dict[str, str], key: str, *, where: str) -> list[int]:
    return _numbers(entries, key, int, _INTEGERS, where=where)


def _decimals(entries: dict[str, str], key: str, *, where: str) -> list[float]:
    return _numbers(entries, key, float, _DECIMALS, where=where)


def _numbers(
    entries: dict[str, str], key: str, kind: type[_Number], alphabet: re.Pattern[str], *, where: str
) -> list[_Number]:
    value = _value(entries, key, where=where)
    try:
        # Python reads more than LightGBM writes, "1_0" and other alphabets' digits among it.
        if not alphabet.fullmatch(value):
            raise ValueError
        return [kind(number) for number in value.split(" ")] if value else []
    except ValueError:
        raise BundleError(f"model text: {where}: `{key}` must hold numbers, was {value[:40]!r}") from None
