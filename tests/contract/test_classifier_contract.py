"""The classifier behaves as scikit-learn expects of every classifier.

Caught, for example: a constructor that changes what it is given, state that a second fit inherits, `predict`
before `fit` without NotFittedError, labels that are strings, a method that answers otherwise for some rows.
"""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from slackwater.models.classifier import ReversalClassifier

# With 60 rows a leaf, the few rows of most checks make trees without a split; small leaves make real trees.
DEFAULT = ReversalClassifier()
SMALL_LEAVES = ReversalClassifier(n_estimators=10, min_child_samples=2)


def expected_failures(estimator: ReversalClassifier) -> dict[str, str]:
    failures = {}
    if estimator.min_child_samples < DEFAULT.min_child_samples:
        failures["check_sample_weight_equivalence_on_dense_data"] = (
            "LightGBM counts rows, not weights, for min_child_samples, bin edges and subsample"
        )
    return failures


@parametrize_with_checks([DEFAULT, SMALL_LEAVES], expected_failed_checks=expected_failures)
def test_scikit_learn_contract(estimator: ReversalClassifier, check: Any) -> None:
    check(estimator)
