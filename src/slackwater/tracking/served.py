"""A bundle as a model of MLflow: what `mlflow.pyfunc.load_model` imports, and `mlflow models serve` answers with.

MLflow keeps the name of this module and the files of the bundle. Loading runs the code that is installed here and reads
the bundle as `slackwater.ReversalScorer.load` does, with every digest checked.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from slackwater.scoring.feature_rows import predict_rows
from slackwater.scoring.scorer import ReversalScorer

__all__ = ["ServedScorer"]


class ServedScorer:
    """A scorer that reads rows of features.

    Parameters
    ----------
    scorer
        The scorer of the bundle.
    """

    def __init__(self, scorer: ReversalScorer) -> None:
        self.scorer = scorer

    def predict(self, rows: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return the outputs of all models, one row per row (`slackwater.scoring.feature_rows.predict_rows`)."""
        return predict_rows(self.scorer, rows)


def _load_pyfunc(path: str) -> ServedScorer:
    """Return the model whose bundle is the directory `path`; MLflow calls this by name."""
    return ServedScorer(ReversalScorer.load(path))
