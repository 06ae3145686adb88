"""Settings classes, and the sections of params.yaml that are derived from them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import ValidationError

from slackwater.config.derived import section
from slackwater.errors import ParameterError
from slackwater.settings import PositiveDuration, Within, settings


@settings
class Rules:
    """Every kind of field that a settings class may have."""

    risk: Annotated[float, Within(gt=0.0, le=0.02)] = 0.01
    depth: Annotated[float, Within(gt=0.0, le=1.0)] | None = 0.02
    windows: tuple[PositiveDuration, ...] = (timedelta(hours=1),)
    age: PositiveDuration | None = None
    kind: Literal["sigmoid", "none"] = "none"
    count: Annotated[int, Within(ge=1)] = 1
    lag: timedelta = timedelta(0)

    def _check_together(self) -> None:
        if self.count > 3 and self.depth is None:
            raise ParameterError("`count` above 3 needs `depth`")


WRITTEN: dict[str, Any] = {
    "risk": 0.01,
    "depth": None,
    "windows": ["24h", "90m"],
    "age": "5m",
    "kind": "none",
    "count": 2,
    "lag": "5s",
}

BAD: dict[str, tuple[Any, Any]] = {  # field -> a value that Python gives, and one that YAML gives
    "risk": (0.0, 0.03),
    "depth": (0.0, 1.5),
    "windows": ((timedelta(0),), ["0s"]),
    "age": (timedelta(0), "0s"),
    "count": (0, 0),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_value_out_of_bounds_is_refused_by_the_class_and_by_its_section(name: str) -> None:
    """Catches a bound that holds in Python and not in params.yaml, or the other way round."""
    in_python, in_yaml = BAD[name]
    with pytest.raises(ParameterError, match=f"`{name}` must be"):
        Rules(**{name: in_python})
    with pytest.raises(ValidationError) as error:
        section(Rules).model_validate(WRITTEN | {name: in_yaml})
    assert error.value.errors()[0]["loc"][0] == name


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "0.01"])
def test_what_is_not_a_finite_number_is_out_of_bounds(value: Any) -> None:
    """Catches NaN, which passes every comparison that is written the wrong way round."""
    with pytest.raises(ParameterError, match=r"`risk` must be > 0 and <= 0\.02, was"):
        Rules(risk=value)


def test_none_switches_off_only_what_may_be_none() -> None:
    """Catches an optional rule that cannot be switched off, and a required one that can."""
    assert Rules(depth=None).depth is None
    with pytest.raises(ParameterError, match="windows"):
        Rules(windows=None)  # type: ignore[arg-type]


def test_a_changed_copy_is_checked_too() -> None:
    """Catches `replace` as a way around the bounds."""
    with pytest.raises(ParameterError, match="`risk`"):
        replace(Rules(), risk=1.0)


def test_fields_that_contradict_each_other_are_refused_by_both() -> None:
    """Catches a rule across fields that only one of the two readers applies."""
    with pytest.raises(ParameterError, match="needs `depth`"):
        Rules(count=4, depth=None)
    with pytest.raises(ValidationError, match="needs `depth`"):
        section(Rules).model_validate(WRITTEN | {"count": 4})


def test_a_section_builds_what_was_written() -> None:
    """Catches durations, lists and nulls that change on their way from YAML to the settings class."""
    read = section(Rules).model_validate(WRITTEN)
    assert read.build() == Rules(
        depth=None,
        windows=(timedelta(hours=24), timedelta(minutes=90)),
        age=timedelta(minutes=5),
        count=2,
        lag=timedelta(seconds=5),
    )
    assert read.model_dump(mode="json") == WRITTEN | {"windows": ["1d", "1h30m"]}


@pytest.mark.parametrize(
    "change",
    [
        {"risk": 1},
        {"risk": "0.01"},
        {"count": True},
        {"count": 2.0},
        {"kind": "isotonic"},
        {"age": 5},
        {"windows": "24h"},
        {"rsk": 0.01},
    ],
)
def test_types_are_strict_and_keys_known(change: dict[str, Any]) -> None:
    """Catches a text that becomes a number, a number that becomes a duration, and a misspelt key."""
    with pytest.raises(ValidationError):
        section(Rules).model_validate(WRITTEN | change)


def test_every_key_must_be_written() -> None:
    """Catches a default that stands in for a key that was deleted from params.yaml."""
    for name in WRITTEN:
        with pytest.raises(ValidationError, match=name):
            section(Rules).model_validate({key: value for key, value in WRITTEN.items() if key != name})


def test_a_field_that_is_left_out_is_given_when_building() -> None:
    """Catches a section that asks for what another section holds."""
    narrow = section(Rules, leave_out=["count"]).model_validate({k: v for k, v in WRITTEN.items() if k != "count"})
    assert narrow.build(count=3).count == 3


@settings
class Kinds:
    """Fields without bounds."""

    on: bool = True
    text: str = "a"
    share: float = 0.5
    count: int = 1
    pair: tuple[float, float] = (0.0, 1.0)
    age: timedelta | None = None
    kind: Literal["sigmoid", "none"] = "none"


@pytest.mark.parametrize(
    ("field", "value", "wanted"),
    [
        ("on", "yes", "true or false"),
        ("on", 1, "true or false"),
        ("text", 3, "text"),
        ("share", True, "a finite number"),
        ("share", "0.5", "a finite number"),
        ("share", (0.5,), "a finite number"),
        ("share", float("nan"), "a finite number"),
        ("share", float("inf"), "a finite number"),
        ("count", True, "a whole number"),
        ("count", 1.0, "a whole number"),
        ("pair", [0.0, 1.0], "a tuple"),
        ("pair", (0.0,), "a tuple of 2"),
        ("pair", (0.0, "1"), "a finite number"),
        ("age", 5, r"a duration \(timedelta\)"),
        ("kind", "isotonic", "one of 'sigmoid', 'none'"),
    ],
)
def test_python_is_as_strict_as_yaml(field: str, value: Any, wanted: str) -> None:
    """Catches a type that params.yaml refuses and a class built in Python takes."""
    with pytest.raises(ParameterError, match=f"^`{field}` must be {wanted}, was"):
        Kinds(**{field: value})
    written = {"on": True, "text": "a", "share": 0.5, "count": 1, "pair": [0.0, 1.0], "age": None, "kind": "none"}
    if not isinstance(value, list):  # the list of YAML
        with pytest.raises(ValidationError):
            section(Kinds).model_validate(written | {field: value})
    assert section(Kinds).model_validate(written).build() == Kinds()


def test_numbers_of_numpy_are_numbers() -> None:
    """Catches a strictness that refuses what a computation returns."""
    assert Kinds(share=np.float32(0.5), count=np.int64(3)).count == 3
    assert Kinds(share=1).share == 1
