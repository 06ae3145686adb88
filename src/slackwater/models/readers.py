"""Readers of the texts of models by format; importing them imports neither LightGBM nor scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from slackwater.models.mean import MEMBER_READERS, ReadMean
from slackwater.models.targets import TextModel

__all__ = ["READERS"]

READERS: Final[Mapping[str, Callable[[str], TextModel]]] = {**MEMBER_READERS, ReadMean.text_format: ReadMean.from_text}
