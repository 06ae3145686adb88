"""Families from outside whose members are wrong, one each; `WRONG` says what the message must name."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any

import numpy as np

from slackwater.features.family import Family, Feature
from slackwater.settings import Within
from tests.unit.features.outside_families import Outside


def _outputs(**change: Any) -> Any:
    """A family whose one output is described otherwise."""

    def features(self: Family) -> tuple[Feature, ...]:
        return (replace(_plain(self), **change),)

    return features


def _plain(family: Family) -> Feature:
    return Outside.features(family)[0]  # type: ignore[arg-type]


def family(**members: Any) -> type[Family]:
    """A family with some members of its own, decorated as it must be."""
    made = type("Hostile", (Outside,), {"__module__": __name__, "__annotations__": {}, **members})
    return dataclass(frozen=True, kw_only=True)(made)


def _raises(self: Family) -> Any:
    raise KeyError("lost")


WRONG: dict[str, tuple[type[Family], str]] = {
    "features raises": (family(features=_raises), r"`features` of .*:Hostile raised KeyError: 'lost'"),
    "features is a feature": (family(features=_plain), r"`features\(\)` of .* must return a tuple of Feature"),
    "no features": (family(features=lambda self: ()), "must return at least one output"),
    "features are texts": (family(features=lambda self: ("a",)), "must return a tuple of Feature"),
    "constants raises": (family(constants=_raises), "`constants` of .* raised KeyError"),
    "constants is a list": (family(constants=lambda self: [1.0]), r"`constants\(\)` of .* one vector of float64"),
    "constants is whole": (family(constants=lambda self: np.array([1])), "must return one vector of float64.*int64"),
    "constants is a table": (family(constants=lambda self: np.zeros((2, 2))), "one vector of float64"),
    "constants is unknown": (family(constants=lambda self: np.array([math.nan])), "must return finite numbers"),
    "mirrored is longer": (family(mirrored=lambda self: np.zeros(2)), r"`mirrored\(\)` of .* must return 1 numbers"),
    "state raises": (family(state_size=_raises), "`state_size` of .* raised KeyError"),
    "state is negative": (family(state_size=lambda self: -1), r"`state_size\(\)` of .* whole number from 0"),
    "state is a float": (family(state_size=lambda self: 3.0), r"`state_size\(\)` of .*was 3.0 \(float\)"),
    "state is true": (family(state_size=lambda self: True), r"`state_size\(\)`"),
    "state is a terabyte": (family(state_size=lambda self: 1 << 37), r"`state_size\(\)`"),
    "warm-up raises": (family(warm_up=property(_raises)), "`warm_up` of .* raised KeyError"),
    "warm-up is bars": (family(warm_up=property(lambda self: 12)), r"`warm_up` of .* a duration .*was 12 \(int\)"),
    "warm-up is a method": (family(warm_up=lambda self: timedelta(0)), "`warm_up` of .* must be a duration"),
    "warm-up is negative": (family(warm_up=property(lambda self: -timedelta(hours=1))), "`warm_up` of .* not negative"),
    "an output is empty": (family(features=_outputs(name="")), "must name outputs with letters"),
    "an output is a number": (family(features=_outputs(name=3)), r"must name outputs with letters.*was 3 \(int\)"),
    "an output has brackets": (family(features=_outputs(name="ret[5m]")), r"letters.*was 'ret\[5m\]'"),
    "an output has a space": (family(features=_outputs(name="my return")), "must name outputs with letters"),
    "an output is an index": (family(features=_outputs(name="event_time")), "column of another table.*'event_time'"),
    "an output is a price": (family(features=_outputs(name="close")), "column of another table.*'close'"),
    "an output is a label": (family(features=_outputs(name="y_hit")), "column of another table.*'y_hit'"),
    "an output is a prediction": (family(features=_outputs(name="p_direction")), "column of another table"),
    "an output is a known time": (family(features=_outputs(name="label_known_time")), "column of another table"),
    "an output is of another family": (family(features=_outputs(family="price")), "as of the family `outside`"),
    "inputs are one text": (family(features=_outputs(inputs="close")), "`inputs` of outside_close as a tuple"),
    "a symmetry of none": (family(features=_outputs(symmetry="skew")), "`symmetry` of outside_close as one of"),
    "a role of none": (family(features=_outputs(role="target")), "`role` of outside_close as one of"),
    "a unit of none": (family(features=_outputs(unit=None)), "`unit` of outside_close as text"),
    "a partner that is lost": (family(features=_outputs(symmetry="pair", partner="x")), "the partner of outside_close"),
    "needs is a text": (family(needs="volatility"), "`needs` must be a tuple"),
    "needs is None": (family(needs=None), "`needs` must be a tuple"),
    "a tolerance of ten": (family(tolerance=10.0), "`tolerance` of .* from 0 to 1"),
    "named extra": (family(name="extra"), "takes the name `extra`, which is a key of `features`"),
    "named with a space": (family(name="my family"), "`name` must be letters, digits"),
    "named None": (family(name=None), "`name` must be letters, digits"),
    "named as an interval": (family(name="bar_interval"), "takes the name `bar_interval`"),
}


@dataclass(frozen=True, kw_only=True)
class Typed(Outside):
    """Parameters of every kind, one of them without a default."""

    count: int
    share: Annotated[float, Within(gt=0.0, le=1.0)] = 0.5
    label: str = "24h"
    loud: bool = False

    def _check_together(self) -> None:
        if self.loud and self.count > 3:
            raise ValueError("too loud")


@dataclass(frozen=True, kw_only=True)
class Unreadable(Outside):
    """A hint of a name that is nowhere."""

    width: Widht = 3  # type: ignore[name-defined]  # noqa: F821
