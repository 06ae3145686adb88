"""The targets that models are fitted to, and what a model must be able to do.

To add a label with its model, write its column in `slackwater.labels`, add a `Target` to `TARGETS` and, unless
the model of the trainer fits it, its `Model`. From outside the library: ``Trainer(targets=(*TARGETS, MINE))``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError
from slackwater.types import Floats, Ints

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import ArrayLike, NDArray

    from slackwater.models._calibrators import Line

__all__ = ["HEADLINE", "PRICE_FAMILIES", "TARGETS", "Calibrator", "Control", "Model", "Target", "TextModel"]


class Calibrator(Protocol):
    """Calibration of the raw log-odds of a model (`slackwater.models.calibration`)."""

    slope_: float
    """Factor on the raw log-odds."""

    @property
    def line(self) -> Line:
        """Numbers of the fitted calibrator."""

    def log_odds(self, raw: ArrayLike) -> Floats:
        """Return calibrated log-odds, the shape of `raw`."""

    def log_odds_low(self, raw: ArrayLike) -> Floats:
        """Return a lower bound of the calibrated log-odds, NaN where there is none."""

    def predict(self, raw: ArrayLike) -> Floats:
        """Return calibrated probabilities in [0, 1]."""

    def to_dict(self) -> dict[str, str | float]:
        """Return what `slackwater.models.calibration.calibrator_from_dict` rebuilds it from."""


class Model(Protocol):
    """What a trainer fits and a bundle stores: a model of `slackwater.models.kinds`, or your own."""

    text_format: ClassVar[str]
    """Name of the format of `to_text`, under which `slackwater.scoring.scorer.ReversalScorer` finds its reader."""

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike, *, init_score: ArrayLike | None) -> Self:
        """Fit to rows in order of time; see `slackwater.models.classifier.ReversalClassifier.fit`."""

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return raw log-odds, shape (n_rows,), without `init_score`; the trainer calibrates them."""

    def to_text(self) -> str:
        """Return the fitted model as text, for the bundle."""


class TextModel(Protocol):
    """A model that was read back from a bundle."""

    def predict_raw(self, X: NDArray[np.float64]) -> Floats:
        """Return what `Model.decision_function` returns, shape (n_rows,)."""


@runtime_checkable
class ExplainedModel(TextModel, Protocol):
    """A model from a bundle that can say where a score comes from."""

    feature_names: tuple[str, ...]
    """Columns that the model was fitted to."""

    def contributions(self, X: NDArray[np.float64]) -> Floats:
        """Return what each column adds to the raw log-odds, and last their base; shape (n_rows, n_columns + 1)."""

    def importance(self) -> Floats:
        """Return the share that each column has in what the model learned, shape (n_columns,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A simpler prediction of the same target that the model must beat.

    Parameters
    ----------
    name
        Name in the predictions (``p_<name>``) and in the metrics (``auc_<name>``).
    families
        Feature families that the control is fitted on; None: the share of ones by direction of the prior move.
    """

    name: str
    families: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A column of the labels table, and how its model is fitted, stored and reported.

    Parameters
    ----------
    name
        Name of the model, its file and its outputs, in snake case.
    column
        Column of the labels, in [0, 1]: 1 happened, 0 did not, a share between them counts as both, weighted; NaN is
        left out.
    offset
        Column of the labels with log-odds from which the model starts. The outputs are then ``<name>_edge`` (log-odds
        above the offset) instead of ``p_<name>`` (probability).
    lower_bound
        Whether ``<name>_edge_low``, the lower bound of the edge, is an output too; needs `offset`.
    controls
        Simpler predictions that are reported beside the model.
    headline
        Whether the verdict is about this target: its metrics are then complete.
    model
        Makes an unfitted model; None: the model of the trainer.

    Raises
    ------
    ParameterError
        If the name is not in snake case, or there is a lower bound without an offset.
    """

    name: str
    column: str
    offset: str | None = None
    lower_bound: bool = False
    controls: tuple[Control, ...] = ()
    headline: bool = False
    model: Callable[[], Model] | None = None

    def __post_init__(self) -> None:
        if not (self.name.isidentifier() and self.name == self.name.lower()):
            raise ParameterError(f"`name` of a target must be in snake case, was {self.name!r}")
        if self.lower_bound and self.offset is None:
            raise ParameterError(f"target {self.name}: `lower_bound` needs an `offset`")

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the outputs."""
        if self.offset is None:
            return (f"p_{self.name}",)
        return (f"{self.name}_edge", f"{self.name}_edge_low")[: 2 if self.lower_bound else 1]

    def outputs(self, calibrator: Calibrator, raw: Floats) -> dict[str, Floats]:
        """Return the outputs by name from raw log-odds, shape (n_rows,) each."""
        if self.offset is None:
            values = [calibrator.predict(raw)]
        else:
            values = [calibrator.log_odds(raw)]
            if self.lower_bound:
                values.append(calibrator.log_odds_low(raw))
        return dict(zip(self.columns, values, strict=True))

    def sample(self, labels: pd.DataFrame, rows: Ints) -> tuple[Ints, NDArray[np.int8], Floats]:
        """Return positions, outcomes (1, 0) and weights of the labelled events among `rows`.

        A share between 0 and 1 becomes two rows, one that happened and one that did not, weighted by the share.

        Examples
        --------
        >>> labels = pd.DataFrame({"payoff": [1.0, 0.25, np.nan]})
        >>> rows, outcome, weight = Target(name="toy", column="payoff").sample(labels, np.arange(3))
        >>> rows.tolist(), outcome.tolist(), weight.tolist()
        ([0, 1, 1], [1, 1, 0], [1.0, 0.25, 0.75])
        """
        share = np.repeat(labels[self.column].to_numpy(np.float64)[rows], 2)
        outcome = np.tile(np.array([1, 0], dtype=np.int8), len(rows))
        weight = np.where(outcome == 1, share, 1.0 - share)
        kept = weight > 0.0  # false for NaN
        return np.repeat(rows, 2)[kept], outcome[kept], weight[kept]

    def to_dict(self) -> dict[str, Any]:
        """Return what a bundle needs to name the outputs again: ``Target(**fields)``."""
        return {name: getattr(self, name) for name in ("name", "column", "offset", "lower_bound")}


PRICE_FAMILIES: Final = ("volatility", "price", "regime")
"""Families that read prices alone."""
TARGETS = (
    Target(
        name="direction",
        column="y_direction",
        controls=(
            Control(name="price_only", families=PRICE_FAMILIES),
            Control(name="direction_flag"),
        ),
        headline=True,
    ),
    # Whether a barrier is hit can be predicted from volatility alone, in a market without direction.
    Target(name="hit", column="y_hit", controls=(Control(name="volatility_only", families=("volatility",)),)),
    Target(name="trade", column="payoff", offset="fair_log_odds", lower_bound=True),
)
"""The targets of the pipeline; the gate needs all three."""
(HEADLINE,) = (target for target in TARGETS if target.headline)
"""The target that a run is judged by."""
