"""Triggers by name: those that fired at a row and the direction that counts, those that do not exist or cannot fire."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from slackwater.errors import ParameterError, did_you_mean
from slackwater.types import Bools, Floats

if TYPE_CHECKING:
    from slackwater.features.family import Feature

__all__ = ["first_to_fire", "require_triggers", "unavailable_triggers"]


def first_to_fire(values: Floats) -> tuple[Floats, Bools]:
    """Return the direction of each row, and which of the triggers fired in that direction.

    Parameters
    ----------
    values
        Outputs of triggers in order of precedence, shape (n, n_triggers): 1, -1, 0, or NaN where unknown.

    Returns
    -------
    direction
        That of the first trigger that fired, shape (n,): 1, -1, or 0 where none did.
    fired
        Triggers that fired in that direction, shape (n, n_triggers).

    Examples
    --------
    >>> direction, fired = first_to_fire(np.array([[0.0, -1.0, 1.0], [np.nan, 0.0, 0.0]]))
    >>> direction.tolist(), fired.tolist()
    ([-1.0, 0.0], [[False, True, False], [False, False, False]])
    """
    direction = np.zeros(len(values))
    for column in values.T[::-1]:
        direction = np.where(np.abs(column) == 1.0, column, direction)
    return direction, (values == direction[:, None]) & (direction != 0.0)[:, None]


def require_triggers(features: Iterable[Feature], names: Iterable[str], *, where: str) -> None:
    """Refuse names that are not those of triggers.

    Parameters
    ----------
    features
        Outputs of all families.
    names
        Names that should be those of outputs with the role ``"trigger"``.
    where
        Where the names stand, such as ``labels.triggers``.

    Raises
    ------
    ParameterError
        Naming the first that is not, and the trigger that it may have meant, or all.
    """
    triggers = [feature.name for feature in features if feature.role == "trigger"]
    unknown = [name for name in names if name not in triggers]
    if unknown:
        raise ParameterError(f"`{where}`: there is no trigger `{unknown[0]}`{did_you_mean(unknown[0], triggers)}")


def unavailable_triggers(
    features: Iterable[Feature], names: Sequence[str], available: Collection[str]
) -> dict[str, tuple[str, ...]]:
    """Return the triggers that cannot fire, with the inputs that no table feeds.

    Parameters
    ----------
    features
        Outputs of all families.
    names
        Names of triggers.
    available
        The inputs that some table feeds (`slackwater.market.frame.MarketFrame.available`).
    """
    described = {feature.name: feature for feature in features}
    lacking = {name: described[name].lacking(available) for name in names}
    return {name: inputs for name, inputs in lacking.items() if inputs}
