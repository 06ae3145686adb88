"""Feature families: a compiled kernel, the size of its state, and a description of every output.

A kernel has the signature ``advance(state, constants, row, out)`` over four ``float64`` vectors: its own slice of
the flat state buffer (zeros at the start), its own constants, one row (the inputs of the market frame, then the
intermediates that earlier families left: `slackwater.features.intermediates`), and its own slice of the output row.
It is the only formula of the family: history and live rows run the same code.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal

from slackwater.durations import duration_name
from slackwater.errors import ParameterError
from slackwater.features.parameters import whole_bar_windows
from slackwater.operators import bars_in, ring_size
from slackwater.settings import check_settings
from slackwater.types import Floats

__all__ = ["LARGEST_STATE", "Family", "Feature"]

LARGEST_STATE: Final = 2**27
"""Most slots of the state of one symbol: one GiB. Far more than any window needs, and a machine still has it."""

Symmetry = Literal["odd", "even", "pair"]
Role = Literal["model", "context", "trigger"]


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One output of a family.

    Parameters
    ----------
    name
        Computed from quantity and window, such as ``return_24h``.
    family
        The family that computes it.
    formula, unit
        Formula and unit, for the reader.
    symmetry
        What happens to it when the price path is mirrored (up moves become down moves): ``"odd"`` changes its sign,
        ``"even"`` keeps it, ``"pair"`` takes the value of `partner`.
    inputs
        The frame columns without which it is unknown.
    refined_by
        The frame columns that refine it where they are known, but that it does not need.
    one_of
        Frame columns among `refined_by` of which it needs at least one; empty: none.
    role
        ``"model"`` feeds the classifiers, ``"context"`` is for the gate and the reader. ``"trigger"`` marks the bars
        at which a prediction is made or learned from: 1 the price or the crowd went up, -1 down, 0 no such bar.
    partner
        The mirror image of a ``"pair"`` feature.
    window
        How far it looks back, such as ``24h``; empty: as far as the state remembers.
    steps
        Whether it may jump at a small change of its inputs (a rank, a count, the place of a maximum), so that the
        warm-up check counts rows that differ instead of measuring by how much.
    known
        When the value is known.
    source
        Where the formula comes from.
    """

    name: str
    family: str
    formula: str
    unit: str
    symmetry: Symmetry
    inputs: tuple[str, ...]
    refined_by: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    role: Role = "model"
    partner: str = ""
    window: str = ""
    steps: bool = False
    known: str = "at the decision after the bar close"
    source: str = ""

    @classmethod
    def from_manifest(cls, entry: Mapping[str, Any]) -> Feature:
        """Read one entry of `FeatureEngine.manifest`."""
        known = {key: value for key, value in entry.items() if key != "available"}
        lists = ("inputs", "refined_by", "one_of")
        return cls(**(known | {name: tuple(known[name]) for name in lists}))

    def lacking(self, available: Collection[str]) -> tuple[str, ...]:
        """Return the columns without which it is unknown and that are not among those `available`."""
        needed = tuple(name for name in self.inputs if name not in available)
        return needed if not self.one_of or set(self.one_of) & {*available} else (*needed, *self.one_of)


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """Base of the families: parameters as fields, the rest derived from them.

    Subclasses are frozen dataclasses, so equal parameters mean equal features, and the engine can put them into
    its fingerprint. Fields annotated as `slackwater.features.parameters.Window` or ``Windows`` must be whole bars,
    and bounds (`slackwater.settings.Within`) are checked; a rule across fields is a method ``_check_together``.
    """

    bar_interval: timedelta

    name: ClassVar[str]
    advance: ClassVar[Callable[..., Any]]
    needs: ClassVar[tuple[str, ...]] = ("volatility",)
    """Families whose intermediates it needs; its warm-up follows theirs."""
    tolerance: ClassVar[float] = 1e-6
    """Difference that a warm-up of `warm_up` may leave, in standard deviations (checked by ``check_warm_up``)."""

    def __post_init__(self) -> None:
        """Check the bounds of the parameters, and that windows are whole bars."""
        try:
            check_settings(self)
            for name, window in whole_bar_windows(self):
                self.bars(window, name)
        except ParameterError as error:
            text = str(error)
            raise ParameterError(text.replace("`", f"`{self.name}.", 1) if self.name not in text else text) from None

    @abstractmethod
    def features(self) -> tuple[Feature, ...]:
        """Return the outputs, in the order in which the kernel writes them."""

    @abstractmethod
    def constants(self) -> Floats:
        """Return the numbers that the kernel reads, as one vector."""

    @abstractmethod
    def state_size(self) -> int:
        """Return how many slots of state one symbol needs."""

    @property
    @abstractmethod
    def warm_up(self) -> timedelta:
        """History after which the outputs no longer depend on where it began; before it they are NaN."""

    def mirrored(self) -> Floats:
        """Return the constants for a mirrored market; the same unless the formula is asymmetric."""
        return self.constants()

    def bars(self, window: timedelta, name: str = "window") -> int:
        """Return a duration in bars."""
        return bars_in(window, self.bar_interval, name=f"{self.name}.{name}")

    def longest(self, *windows: timedelta) -> int:
        """Return the longest of some windows in bars."""
        return max(self.bars(window) for window in windows)

    def ring(self, *windows: timedelta) -> int:
        """Return the slots of a ring that looks back as far as the longest of some windows."""
        return ring_size(self.longest(*windows))

    def whole_bars(self, duration: timedelta) -> timedelta:
        """Return a duration rounded up to whole bars."""
        return -(-duration // self.bar_interval) * self.bar_interval

    # -- rows of the table of outputs ------------------------------------------------------------------------

    def odd(self, name: str, formula: str, unit: str, **more: Any) -> Feature:
        """Describe an output that changes its sign when the price path is mirrored.

        `more` are the other parameters of `Feature`; `window` may be a duration.
        """
        return self._feature(name, formula, unit, symmetry="odd", **more)

    def even(self, name: str, formula: str, unit: str, **more: Any) -> Feature:
        """Describe an output that keeps its value when the price path is mirrored; see `odd`."""
        return self._feature(name, formula, unit, symmetry="even", **more)

    def pair(
        self, names: tuple[str, str], formulas: tuple[str, str], unit: str, **more: Any
    ) -> tuple[Feature, Feature]:
        """Describe two outputs that exchange their values when the price path is mirrored; see `odd`."""
        one, other = names
        return (
            self._feature(one, formulas[0], unit, symmetry="pair", partner=other, **more),
            self._feature(other, formulas[1], unit, symmetry="pair", partner=one, **more),
        )

    def odds(
        self, name: str, windows: Iterable[timedelta], formula: str, unit: str, **more: Any
    ) -> tuple[Feature, ...]:
        """Describe an odd output over several windows; the window ends its name."""
        return tuple(self.odd(f"{name}_{duration_name(w)}", formula, unit, window=w, **more) for w in windows)

    def evens(
        self, name: str, windows: Iterable[timedelta], formula: str, unit: str, **more: Any
    ) -> tuple[Feature, ...]:
        """Describe an even output over several windows; the window ends its name."""
        return tuple(self.even(f"{name}_{duration_name(w)}", formula, unit, window=w, **more) for w in windows)

    def _feature(self, name: str, formula: str, unit: str, *, window: timedelta | str = "", **more: Any) -> Feature:
        span = duration_name(window) if isinstance(window, timedelta) else window
        return Feature(name=name, family=self.name, formula=formula, unit=unit, window=span, **more)
