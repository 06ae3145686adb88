"""A model text that is damaged, hostile or not understood is refused with BundleError and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slackwater.errors import BundleError
from slackwater.models.model_text import parse_model_text
from slackwater.models.predictor import FlattenedTrees


def train(n_trees: int = 3, **parameters: object) -> str:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    X[:, 3] = rng.integers(0, 5, 200)
    label = parameters.pop("label", X[:, 0] + X[:, 3] % 2 + rng.normal(size=200) > 0)
    defaults = {
        "objective": "binary",
        "num_leaves": 4,
        "min_data_in_leaf": 5,
        "verbosity": -1,
        "num_threads": 1,
    }
    data = lightgbm.Dataset(X, label=label, categorical_feature=parameters.pop("categorical", []))
    return lightgbm.train({**defaults, **parameters}, data, num_boost_round=n_trees).model_to_string()


INTACT = train()


@pytest.fixture
def text() -> str:
    return INTACT


def edit_tree(text: str, edit: Callable[[str], str], tree: int = 1) -> str:
    """Change one tree and its size in the header, as one would who wants the change to go unnoticed."""
    head, body = text.split("\n\n", 1)
    lines = head.split("\n")
    sizes = [int(size) for size in lines[-1].removeprefix("tree_sizes=").split(" ")]
    start = sum(sizes[:tree])
    block = edit(body[start : start + sizes[tree]])
    body = body[:start] + block + body[start + sizes[tree] :]
    sizes[tree] = len(block)
    lines[-1] = "tree_sizes=" + " ".join(str(size) for size in sizes)
    return "\n".join(lines) + "\n\n" + body


def with_entry(text: str, key: str, value: str) -> str:
    """Give another value to one entry of the second tree."""

    def edit(block: str) -> str:
        lines = [f"{key}={value}" if line.startswith(f"{key}=") else line for line in block.split("\n")]
        return "\n".join(lines)

    return edit_tree(text, edit)


def test_the_parts_of_the_text_are_read(text):
    """Caught: swapped columns, and a tree or name that is lost."""
    model = parse_model_text(text)
    assert model.feature_names == ("Column_0", "Column_1", "Column_2", "Column_3")
    assert len(model.trees) == 3
    for tree in model.trees:
        assert len(tree.leaf_value) == 4
        assert {len(column) for column in tree[:5]} == {3}


def test_an_edit_that_changes_nothing_is_accepted(text):
    """Caught: tests below that pass because the edit itself breaks the text."""
    assert edit_tree(text, lambda block: block) == text
    assert parse_model_text(with_entry(text, "shrinkage", "0.1")).trees == parse_model_text(text).trees


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("tree\n", "forest\n", "not a LightGBM model"),
        ("version=v4", "version=v5", "`version`"),
        ("version=v4\n", "", "`version` is missing"),
        ("num_class=1", "num_class=3", "`num_class`"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=2", "`num_tree_per_iteration`"),
        ("objective=binary sigmoid:1", "objective=regression", "`objective`"),
        ("objective=binary sigmoid:1", "objective=binary sigmoid:2", "`objective`"),
        ("objective=binary sigmoid:1", "objective=binary sigmoid:1\naverage_output", "average_output"),
        ("max_feature_idx=3", "max_feature_idx=4", "`max_feature_idx`"),
        ("max_feature_idx=3", "max_feature_idx=99999999999999999999", "`max_feature_idx`"),
        ("max_feature_idx=3", "max_feature_idx=" + "9" * 5_000, "`max_feature_idx`"),
        ("max_feature_idx=3", "max_feature_idx=٣", "`max_feature_idx`"),
        ("tree_sizes=", "tree_sizes=1 ", "tree 0 of 4"),
        ("tree_sizes=", "tree_sizes=-5 ", "tree 0 of 4"),
        ("tree_sizes=", "tree_sizes=0 ", "tree 0 of 4"),
        ("tree_sizes=", "tree_sizes=" + "9" * 30 + " ", "tree 0 of 4"),
        ("tree_sizes=", "tree_count=", "unknown entry 'tree_count'"),
        ("end of trees\n", "", "cut short"),
        ("end of parameters\n", "", "cut short"),
        ("pandas_categorical:null", 'pandas_categorical:[["a"]]', "pandas_categorical"),
        ("\n", "\r\n", "not a LightGBM model"),
        ("feature_infos=", "feature_infos=none ", "`feature_infos` must hold 4"),
        ("feature_infos=[", "feature_infos=[x", "`feature_infos` must hold 4"),
        ("feature_infos=", "feature_info=", "unknown entry 'feature_info'"),
        ("objective=", "monotone_constraints=1 0\nobjective=", "`monotone_constraints` must be 4"),
        ("objective=", "monotone_constraints=1 0 0 7\nobjective=", "`monotone_constraints` must be 4"),
        ("label_index=0", "label_index=5", "`label_index` must be 0"),
    ],
)
def test_headers_and_endings_that_are_not_understood(text, old, new, message):
    """Caught: a model of another kind scored as if it were binary, or a text that lost a part."""
    with pytest.raises(BundleError, match=message):
        parse_model_text(text.replace(old, new))


@pytest.mark.parametrize("text", ["", "tree", "tree\n", "tree\n\n", "\x00" * 50, "{}", "Tree=0\n", "tree\n\n\n\n"])
def test_texts_that_are_no_model(text):
    """Caught: an IndexError or KeyError in place of a BundleError."""
    with pytest.raises(BundleError):
        parse_model_text(text)


def test_a_model_without_trees(text):
    """Caught: a text whose trees were all removed, which would score 0 for every row."""
    head, _, _ = text.partition("tree_sizes=")
    with pytest.raises(BundleError, match="contains no tree"):
        parse_model_text(head + "tree_sizes=\n\nend of trees\n\nparameters:\n\nend of parameters\n")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("num_leaves", "5", "`num_leaves`"),
        ("num_leaves", "", "`num_leaves`"),
        ("num_leaves", "2000000000", "`num_leaves`"),
        ("num_cat", "1", "`num_cat`"),
        ("is_linear", "1", "`is_linear`"),
        ("split_feature", "0 1 4", "`split_feature` must be in"),
        ("split_feature", "0 1 -1", "`split_feature` must be in"),
        ("split_feature", "0 1 4294967296", "`split_feature` must be in"),
        ("split_feature", "0 1", "4 leaves need 3"),
        ("split_feature", "0 1 x", "`split_feature` must hold numbers"),
        ("split_feature", "0 1_0 1", "`split_feature` must hold numbers"),
        ("split_feature", "0  1", "`split_feature` must hold numbers"),
        ("split_feature", "0 1-1 2", "`split_feature` must hold numbers"),
        ("threshold", "0.5 nan 1", "`threshold` must hold numbers"),
        ("threshold", "0.5 1", "4 leaves need 3"),
        ("leaf_value", "0.1 0.2 0.3", "`num_leaves` numbers, was 3"),
        ("leaf_value", "", "`num_leaves` numbers, was 0"),
        ("leaf_value", "0.1 0.2 0.3 inf", "`leaf_value` must be finite"),
        ("leaf_value", "0.1 0.2 0.3 1e999", "`leaf_value` must be finite"),
        ("leaf_value", "0.1 0.2 0.3 nan", "`leaf_value` must hold numbers"),
        ("decision_type", "1 2 2", "categorical"),
        ("decision_type", "2 4 2", "zero_as_missing"),
        ("decision_type", "2 6 2", "zero_as_missing"),
        ("decision_type", "2 12 2", "`decision_type` must be one of"),
        ("decision_type", "2 258 2", "`decision_type` must be one of"),
        ("decision_type", "2 -2 2", "`decision_type` must be one of"),
        ("leaf_weight", "", "`leaf_weight` must hold 4 finite"),
        ("leaf_weight", "1 2 3", "`leaf_weight` must hold 4 finite"),
        ("leaf_weight", "1 2 3 4 5", "`leaf_weight` must hold 4 finite"),
        ("leaf_weight", "1 2 3 1e999", "`leaf_weight` must hold 4 finite"),
        ("leaf_weight", "1 2 3 -4", "`leaf_weight` must not be negative"),
        ("split_gain", "1 x 3", "`split_gain` must hold numbers"),
        ("internal_value", "1 2", "`internal_value` must hold 3 finite"),
        ("internal_weight", "1 2 inf", "`internal_weight` must hold 3 finite"),
        ("leaf_count", "1 2 3", "`leaf_count` and `internal_count` must hold 4 and 3"),
        ("leaf_count", "9 9 9 9", "is not the sum of its children"),
        ("leaf_count", "0 0 0 0", "a count of rows must be in"),
        ("internal_count", "3 2 99999999999", "a count of rows must be in"),
        ("internal_count", "", "`leaf_count` and `internal_count` must hold 4 and 3"),
        ("shrinkage", "", "`shrinkage` must be one finite"),
        ("shrinkage", "a", "`shrinkage` must hold numbers"),
    ],
)
def test_trees_with_impossible_entries(text, key, value, message):
    """Caught: an index that a compiled walk would follow out of the arrays, or a split of another kind."""
    with pytest.raises(BundleError, match=f"tree 1.*{message}"):
        parse_model_text(with_entry(text, key, value))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("0 -2 -3", "1 2 -4"),  # the root is its own child
        ("1 0 -3", "2 -2 -4"),  # a child leads back to the root
        ("1 1 -3", "2 -2 -4"),  # a node is its own child
        ("1 2 1", "-1 -2 -3"),  # two nodes lead to each other
        ("1 -1 -2", "1 -3 -4"),  # one node hangs on two branches, another on none
        ("1 -1 -1", "2 -3 -4"),  # one leaf hangs on two branches, another on none
        ("1 -1 -2", "3 -3 -4"),  # there is no node 3
        ("1 -1 -2", "2 -3 -5"),  # there is no leaf 4
        ("1 -1 -2", "2 -3 -2147483649"),
        ("-1 -2 -3", "-4 1 2"),  # nodes 1 and 2 cannot be reached
    ],
)
def test_children_that_make_up_no_tree(text, left, right):
    """Caught: a walk that never ends, reads beside the arrays, or leaves a part of the model out."""
    hostile = with_entry(with_entry(text, "left_child", left), "right_child", right)
    with pytest.raises(BundleError, match="do not make up a tree"):
        parse_model_text(hostile)


def chain(leaves: int) -> str:
    """A text of one tree in which each split leads to the next: as deep as it has splits."""
    splits = leaves - 1
    one = {
        "num_leaves": leaves,
        "num_cat": 0,
        "split_feature": "0 " * splits,
        "split_gain": "1 " * splits,
        "threshold": "0.5 " * splits,
        "decision_type": "2 " * splits,
        "left_child": " ".join(map(str, [*range(1, splits), -1])),
        "right_child": " ".join(str(-2 - node) for node in range(splits)),
        "leaf_value": "0.1 " * leaves,
        "leaf_weight": "1 " * leaves,
        "leaf_count": "1 " * leaves,
        "internal_value": "0 " * splits,
        "internal_weight": "0 " * splits,
        "internal_count": " ".join(map(str, range(leaves, 1, -1))),
        "is_linear": 0,
        "shrinkage": 1,
    }
    block = "Tree=0\n" + "".join(f"{key}={str(value).strip()}\n" for key, value in one.items()) + "\n\n"
    head = INTACT.partition("tree_sizes=")[0]
    return f"{head}tree_sizes={len(block)}\n\n{block}end of trees\n\nparameters:\n\nend of parameters\n"


def test_a_tree_as_deep_as_a_stack_is_refused():
    """Caught: an explanation that calls itself once per level until the process has no stack left."""
    trees = FlattenedTrees.from_text(chain(1_000))
    contributions = lightgbm.Booster(model_str=trees.checked_text).predict(np.zeros((1, 4)), pred_contrib=True)
    assert contributions.sum() == pytest.approx(0.1)
    for leaves in (1_002, 100_000):
        with pytest.raises(BundleError, match=f"tree 0: is {leaves - 1:,} splits deep"):
            parse_model_text(chain(leaves))


def test_what_lightgbm_is_given_is_checked_and_explains_as_the_whole_text(text):
    """Caught: parameters of the training, which nobody checks, that reach LightGBM."""
    hostile = text.replace("[boosting: gbdt]", "[boosting: gbdt]\n[machines: 10.0.0.1]\n[output_model: written]")
    checked = FlattenedTrees.from_text(hostile).checked_text
    assert "machines" not in checked
    X = np.random.default_rng(1).normal(size=(50, 4))
    for how in ({"raw_score": True}, {"pred_contrib": True}):
        of_both = [lightgbm.Booster(model_str=each).predict(X, **how) for each in (text, checked)]
        np.testing.assert_array_equal(*of_both)


def test_a_tree_without_leaves(text):
    """Caught: a root that is looked up in a tree that has none."""
    with pytest.raises(BundleError, match="tree 1"):
        parse_model_text(with_entry(with_entry(text, "num_leaves", "0"), "leaf_value", ""))


def test_unknown_and_repeated_entries_of_a_tree(text):
    """Caught: an entry of a later LightGBM that changes what the others mean, and a second value for one key."""
    for line in ("leaf_const=0 0 0 0", "num_leaves=4", "nonsense"):
        with pytest.raises(BundleError, match=r"tree 1: (unknown|repeated) entry"):
            parse_model_text(edit_tree(text, lambda block, line=line: block.replace("\n", f"\n{line}\n", 1)))


def test_trees_in_another_order_or_twice(text):
    """Caught: blocks that were moved about, which changes the last bits of the sum."""
    swapped = text.replace("Tree=0\n", "Tree=x\n").replace("Tree=1\n", "Tree=0\n").replace("Tree=x\n", "Tree=1\n")
    with pytest.raises(BundleError, match="tree 0 of 3 is not where"):
        parse_model_text(swapped)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"objective": "regression"}, "`objective`"),
        ({"objective": "cross_entropy"}, "`objective`"),
        ({"objective": "binary", "sigmoid": 2.0}, "`objective`"),
        ({"objective": "multiclass", "num_class": 3, "label": np.arange(200) % 3}, "`num_class`"),
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "average_output"),
        ({"zero_as_missing": True}, "zero_as_missing"),
        ({"categorical": [3], "min_data_per_group": 1, "cat_smooth": 0}, "`num_cat`"),
        ({"linear_tree": True}, "`is_linear`"),
    ],
)
def test_models_of_another_kind_made_by_lightgbm_itself(parameters, message):
    """Caught: refusals that only recognise the texts that the tests above make up."""
    with pytest.raises(BundleError, match=message):
        parse_model_text(train(**parameters))


def test_a_text_cut_anywhere_is_refused(text):
    """Caught: a half-copied file that loads. Only the last line may be lost, which LightGBM itself leaves out."""
    complete = text.index("end of parameters\n") + len("end of parameters\n")
    for length in [*range(0, complete, 7), complete - 1]:
        with pytest.raises(BundleError):
            parse_model_text(text[:length])
    for length in range(complete, len(text)):
        lost = text[length:].strip()
        if lost and text[complete:length].strip():
            with pytest.raises(BundleError):
                parse_model_text(text[:length])
        else:
            parse_model_text(text[:length])


@settings(deadline=None, max_examples=300)
@given(
    edits=st.lists(
        st.tuples(
            st.floats(0, 1, exclude_max=True),
            st.integers(0, 4),
            st.text(alphabet="0123456789-+.e =\n\x00_٣inftree", max_size=6),
        ),
        min_size=1,
        max_size=4,
    ),
    tree=st.integers(0, 2),
)
def test_random_damage_is_refused_or_harmless(edits, tree):
    """Caught: an exception of another kind, a crash of the process, or a walk that does not end."""

    def damage(block: str) -> str:
        for place, removed, inserted in edits:
            at = int(place * len(block))
            block = block[:at] + inserted + block[at + removed :]
        return block

    damaged = edit_tree(INTACT, damage, tree)
    try:
        trees = FlattenedTrees.from_text(damaged)
    except BundleError:
        return
    rows = np.array([[0.0, 1.0, -1.0, 2.0], [np.nan] * 4, [np.inf] * 4, [-np.inf] * 4])
    assert trees.predict_raw(rows).shape == (4,)
