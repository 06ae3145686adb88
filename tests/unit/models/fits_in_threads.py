"""Streamed fits in four threads at once; it ends with an error of the system where they disturb each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from slackwater.models import classifier
from slackwater.models.classifier import ReversalClassifier
from slackwater.models.table_rows import TableRows


def main() -> None:
    """Fit the same rows 120 times."""
    classifier._BINNED_BY = 2_000  # rows above it are streamed
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20_000, 40))
    # Sparse columns are where each thread has a buffer of its own.
    values[:, :30][rng.uniform(size=(20_000, 30)) < 0.9] = 0.0
    table = pd.DataFrame(values).add_prefix("x")
    y = (values[:, 35] + rng.normal(size=20_000) > 0.0).astype(int)

    def fit(_: int) -> str:
        rows = TableRows.of(table, list(table), np.arange(20_000))
        return ReversalClassifier(n_estimators=2).fit_rows(rows, y).to_text()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(fit, range(120)))) == 1


if __name__ == "__main__":
    main()
