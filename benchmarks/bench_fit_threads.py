"""One fit with one thread against two, in the same run: a fold is small, and threads wait for one another.

Run ``pytest benchmarks/bench_fit_threads.py --benchmark-enable -s``. Nothing is asserted about time; that both give the
same trees is.
"""

from __future__ import annotations

import time

import numpy as np

from slackwater.models.classifier import ReversalClassifier


def test_one_thread_against_two() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4_000, 60))
    y = X[:, 0] + 3.0 * rng.normal(size=4_000) > 0.0
    seconds: dict[int, list[float]] = {1: [], 2: []}
    raw = {}
    for _ in range(3):
        for n_jobs, taken in seconds.items():
            start = time.process_time()
            raw[n_jobs] = ReversalClassifier(n_jobs=n_jobs).fit(X, y).decision_function(X)
            taken.append(time.process_time() - start)
    np.testing.assert_array_equal(raw[1], raw[2])
    one, two = (float(np.median(taken)) for taken in seconds.values())
    print(f"\n4,000 x 60, 250 trees: {one:.2f} CPU-s with one thread, {two:.2f} with two, ratio {two / one:.1f}")
