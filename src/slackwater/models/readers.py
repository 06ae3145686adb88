"""Readers of the texts of models by format; importing them imports neither LightGBM nor scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from slackwater.models.logistic import RankLogistic
from slackwater.models.mean import ReadMean
from slackwater.models.predictor import FlattenedTrees
from slackwater.models.targets import TextModel

__all__ = ["READERS"]

READERS: Final[Mapping[str, Callable[[str], TextModel]]] = {
    kind.text_format: kind.from_text for kind in (FlattenedTrees, RankLogistic, ReadMean)
}
