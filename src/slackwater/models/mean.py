"""The mean of the log-odds of several models: their errors differ, and part of them cancels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from slackwater.errors import BundleError, ParameterError
from slackwater.models.logistic import RankLogistic
from slackwater.models.predictor import FlattenedTrees
from slackwater.models.table_rows import TableRows, fit_model
from slackwater.models.targets import ExplainedModel, Model
from slackwater.numbers import brief
from slackwater.storage import strict_json

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from slackwater.types import Floats

__all__ = ["MEMBER_READERS", "MeanModel", "ReadMean"]

MEMBER_READERS: Final[Mapping[str, Callable[[str], ExplainedModel]]] = {
    FlattenedTrees.text_format: FlattenedTrees.from_text,
    RankLogistic.text_format: RankLogistic.from_text,
}
"""Readers of the models that may be averaged, by the format of their text."""
_MOST_MEMBERS: Final = 16


class MeanModel:
    """Models fitted to the same rows, whose log-odds are averaged.

    Parameters
    ----------
    members
        Unfitted models, 2 to 16 of them, of formats that `ReadMean` can read.

    Raises
    ------
    ParameterError
        If there are fewer or more members.
    """

    text_format: ClassVar[str] = "mean"

    def __init__(self, members: Sequence[Model]) -> None:
        if not 2 <= len(members) <= _MOST_MEMBERS:
            raise ParameterError(f"`members` must be 2 to {_MOST_MEMBERS} models, were {len(members)}")
        self.members = tuple(members)

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike, *, init_score: ArrayLike | None = None
    ) -> MeanModel:
        """Fit every member; see `slackwater.models.targets.Model.fit`."""
        for member in self.members:
            member.fit(X, y, sample_weight, init_score=init_score)
        return self

    def fit_rows(
        self, rows: TableRows, y: ArrayLike, sample_weight: ArrayLike, *, init_score: ArrayLike | None = None
    ) -> MeanModel:
        """Fit every member on rows of a table; see `slackwater.models.table_rows.FitsRows`."""
        for member in self.members:
            fit_model(member, rows, y, sample_weight, init_score=init_score)
        return self

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return the mean of the log-odds of the members, shape (n_rows,)."""
        return _mean([member.decision_function(X) for member in self.members])

    def to_text(self) -> str:
        """Return the texts of the members with their formats, as JSON."""
        members = [{"format": member.text_format, "text": member.to_text()} for member in self.members]
        return json.dumps({"members": members}) + "\n"


class ReadMean:
    """A `MeanModel` read back from its text.

    Create it with :meth:`from_text`.

    Attributes
    ----------
    feature_names : tuple of str
        Columns of the matrix, in order; the same for every member.
    """

    text_format: ClassVar[str] = MeanModel.text_format

    def __init__(self, members: Sequence[ExplainedModel]) -> None:
        self.members = tuple(members)
        self.feature_names = members[0].feature_names

    @classmethod
    def from_text(cls, text: str) -> ReadMean:
        """Read what `MeanModel.to_text` wrote, and every member with the reader of its own format.

        Raises
        ------
        BundleError
            If it is not JSON, an entry is missing, unknown or repeated, there are fewer than 2 or more than 16
            members, a member has another format or cannot be read, or the members have different columns.
        """
        try:
            content = strict_json(text)
        except ValueError as error:
            raise BundleError(f"mean of models: it is not valid JSON: {error}") from error
        given = content.get("members") if isinstance(content, dict) and set(content) == {"members"} else None
        if not isinstance(given, list) or not 2 <= len(given) <= _MOST_MEMBERS:
            raise BundleError(f"mean of models: must have the key `members` alone, a list of 2 to {_MOST_MEMBERS}")
        members = [_member(each, at) for at, each in enumerate(given)]
        if len({member.feature_names for member in members}) > 1:
            raise BundleError("mean of models: the members were not fitted to the same columns")
        return cls(members)

    def predict_raw(self, X: NDArray[np.float64]) -> Floats:
        """Return the mean of the log-odds, shape (n_rows,); parameters and errors are those of the members."""
        return _mean([member.predict_raw(X) for member in self.members])

    def contributions(self, X: NDArray[np.float64]) -> Floats:
        """Return the mean of what each column adds in the members, and last of their bases."""
        return _mean([member.contributions(X) for member in self.members])

    def importance(self) -> Floats:
        """Return the mean of the shares of each column in the members, shape (n_features,)."""
        return _mean([member.importance() for member in self.members])


def _member(content: object, at: int) -> ExplainedModel:
    where = f"mean of models: member {at}"
    if not isinstance(content, dict) or set(content) != {"format", "text"}:
        raise BundleError(f"{where}: must have exactly the keys `format` and `text`, was {brief(content)}")
    if not isinstance(content["format"], str) or content["format"] not in MEMBER_READERS:
        raise BundleError(f"{where}: `format` must be one of {sorted(MEMBER_READERS)}, was {brief(content['format'])}")
    if not isinstance(content["text"], str):
        raise BundleError(f"{where}: `text` must be a text, was {brief(content['text'])}")
    try:
        return MEMBER_READERS[content["format"]](content["text"])
    except BundleError as error:
        raise BundleError(f"{where}: {error}") from error


def _mean(parts: Sequence[Floats]) -> Floats:
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return np.asarray(total / len(parts))
