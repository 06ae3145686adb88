"""Check of the members of a family from outside, before a kernel runs: outputs, constants, state, warm-up."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, get_args

import numpy as np

from slackwater.errors import ParameterError
from slackwater.features.extra import spec_of
from slackwater.features.family import LARGEST_STATE, Family, Feature, Role, Symmetry
from slackwater.market.inputs import INPUTS
from slackwater.numbers import brief

__all__ = ["RESERVED_OUTPUTS", "RESERVED_STARTS", "check_members"]

RESERVED_OUTPUTS: Final = frozenset(
    [
        *INPUTS,
        # keys and times of every table
        *("symbol", "event_time", "available_time", "known_time", "open_time", "row", "time", "(base)"),
        # labels and weights
        *("direction", "entry_time", "entry_price", "barrier_log", "code", "log_return", "tie", "weight"),
        "train_weight",
        *("triggers", "trains", "trades"),
        *("fair_log_odds", "reward_risk", "net_r", "payoff"),
        # predictions and scores
        *("fold", "trained_until", "missing_features", "out_of_range_features"),
    ]
)
"""Columns of the tables that features are joined with, beside those that begin with `RESERVED_STARTS`."""

RESERVED_STARTS: Final = ("y_", "p_", "label_", "trade_", "base_")
_OUTPUT: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_LONGEST_WARM_UP: Final = timedelta(days=36_500)


def check_members(family: Family, inputs: Sequence[str]) -> None:
    """Refuse a family from outside whose members are not what the engine needs.

    Raises
    ------
    ParameterError
        Naming the class, the member, what was expected, and what came.
    """
    features = _called(family, "features", family.features)
    if not isinstance(features, tuple | list) or not all(isinstance(each, Feature) for each in features):
        raise _refused(family, "features()", "return a tuple of Feature", features)
    if not features:
        raise _refused(family, "features()", "return at least one output", features)
    for feature in features:
        _check_output(family, feature, {each.name for each in features}, inputs)
    constants = _called(family, "constants", family.constants)
    _check_vector(family, "constants()", constants)
    mirrored = _called(family, "mirrored", family.mirrored)
    _check_vector(family, "mirrored()", mirrored)
    if mirrored.shape != constants.shape:
        raise _refused(family, "mirrored()", f"return {constants.size} numbers, as constants() does", mirrored.size)
    size = _called(family, "state_size", family.state_size)
    if isinstance(size, bool) or not isinstance(size, int | np.integer) or not 0 <= size <= LARGEST_STATE:
        raise _refused(family, "state_size()", f"return a whole number from 0 to {LARGEST_STATE}", size)
    warm_up = _called(family, "warm_up", lambda: family.warm_up)
    if not isinstance(warm_up, timedelta) or not timedelta(0) <= warm_up <= _LONGEST_WARM_UP:
        raise _refused(family, "warm_up", "be a duration (timedelta), not negative, of at most 100 years", warm_up)
    tolerance = family.tolerance
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0.0 <= tolerance <= 1.0:
        raise _refused(family, "tolerance", "be a number from 0 to 1, in standard deviations", tolerance)


def _called(family: Family, member: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # the code is the user's
        raise ParameterError(
            f"features.{family.name}: `{member}` of {spec_of(type(family))} raised {type(error).__name__}: {error}"
        ) from error


def _refused(family: Family, member: str, expected: str, came: object) -> ParameterError:
    return ParameterError(
        f"features.{family.name}: `{member}` of {spec_of(type(family))} must {expected}, was {brief(came)} "
        f"({type(came).__name__})"
    )


def _check_vector(family: Family, member: str, values: Any) -> None:
    if not isinstance(values, np.ndarray) or values.dtype != np.float64 or values.ndim != 1:
        found = f"{values.dtype} of shape {values.shape}" if isinstance(values, np.ndarray) else values
        raise _refused(family, member, "return one vector of float64", found)
    if not np.isfinite(values).all():
        raise _refused(family, member, "return finite numbers", values)


def _check_output(family: Family, feature: Feature, names: set[str], inputs: Sequence[str]) -> None:
    name = feature.name
    if not isinstance(name, str) or not _OUTPUT.fullmatch(name):
        expected = "name outputs with letters, digits, `_` and `.`, as the models take them"
        raise _refused(family, "features()", expected, name)
    if name in RESERVED_OUTPUTS or name in inputs or name.startswith(RESERVED_STARTS):
        expected = f"not name an output as a column of another table, nor begin with {', '.join(RESERVED_STARTS)}"
        raise _refused(family, "features()", expected, name)
    if feature.family != family.name:
        raise _refused(family, "features()", f"describe {name} as of the family `{family.name}`", feature.family)
    for field in ("inputs", "refined_by", "one_of"):
        value = getattr(feature, field)
        if not isinstance(value, tuple) or not all(isinstance(each, str) for each in value):
            raise _refused(family, "features()", f"give `{field}` of {name} as a tuple of names", value)
    for field, known in (("symmetry", get_args(Symmetry)), ("role", get_args(Role))):
        if getattr(feature, field) not in known:
            raise _refused(family, "features()", f"give `{field}` of {name} as one of {known}", getattr(feature, field))
    for field in ("formula", "unit", "window", "known", "source", "partner"):
        if not isinstance(getattr(feature, field), str):
            raise _refused(family, "features()", f"give `{field}` of {name} as text", getattr(feature, field))
    if (feature.symmetry == "pair") != bool(feature.partner) or (feature.partner and feature.partner not in names):
        raise _refused(family, "features()", f"name the partner of {name} among the outputs of a pair", feature.partner)
    unknown = [each for each in (*feature.inputs, *feature.refined_by) if each not in inputs]
    if unknown:
        raise ParameterError(f"{family.name}.{name} reads {unknown}, which no table feeds; inputs are {list(inputs)}")
