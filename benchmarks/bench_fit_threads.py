"""One fit with one thread and with two, in the same run: a fold is small, and threads wait for one another.

Run ``make bench``, or ``pytest benchmarks/bench_fit_threads.py -s`` for this part. The trees are
asserted equal; times are not asserted.
"""

from __future__ import annotations

import numpy as np

from benchmarks.record import Recorder, cpu_seconds
from slackwater.models.classifier import ReversalClassifier


def test_one_thread_against_two(record: Recorder) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4_000, 60))
    y = X[:, 0] + 3.0 * rng.normal(size=4_000) > 0.0
    scores = {}

    def fit(n_jobs: int) -> None:
        scores[n_jobs] = ReversalClassifier(n_jobs=n_jobs).fit(X, y).decision_function(X)

    taken = cpu_seconds({"one": lambda: fit(1), "two": lambda: fit(2)})
    np.testing.assert_array_equal(scores[1], scores[2])
    record(
        name="fit: one thread against two, 4,000 x 60",
        value=taken["two"] / taken["one"],
        unit="times less CPU",
        peer="the same fit with two threads",
    )
    print(f"\n4,000 x 60, 250 trees: {taken['one']:.2f} CPU-s with one thread, {taken['two']:.2f} with two")
