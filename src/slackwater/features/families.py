"""The families of slackwater, and one compiled call that advances all of them.

A family of the library has a line in `FAMILIES` and a line in `advance_families`. Both are in the order in which the
families run: an intermediate is written before it is read. Families from outside run after them (`advance_family`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from numba import njit

from slackwater.errors import ParameterError
from slackwater.features import (
    funding,
    liquidation_density,
    liquidations,
    open_interest,
    order_flow,
    price,
    regime,
    sweeps,
    triggers,
    volatility,
    whales,
)
from slackwater.features.extra import require_family
from slackwater.features.family import Family
from slackwater.features.members import check_members
from slackwater.market.inputs import INPUTS
from slackwater.operators import kernel, operator

__all__ = ["FAMILIES", "LIBRARY_NAMES", "advance_families", "advance_family", "require_compatible"]

FAMILIES: Final[tuple[type[Family], ...]] = (
    volatility.VolatilityFamily,
    price.PriceFamily,
    regime.RegimeFamily,
    open_interest.OpenInterestFamily,
    funding.FundingFamily,
    liquidations.LiquidationsFamily,
    liquidation_density.LiquidationDensityFamily,
    sweeps.SweepsFamily,
    whales.WhaleFlowsFamily,
    order_flow.OrderFlowFamily,
    triggers.TriggersFamily,
)
LIBRARY_NAMES: Final = tuple(family.name for family in FAMILIES)


def _advance_down(advance, at, state, constants, rows, out):  # type: ignore[no-untyped-def]
    """Advance one family down a few rows.

    `at` holds the starts and ends of its slices of state, constants and output; an absent family has an empty output.
    """
    if at[5] > at[4]:
        own, fixed = state[at[0] : at[1]], constants[at[2] : at[3]]
        for i in range(rows.shape[0]):
            advance(own, fixed, rows[i], out[i, at[4] : at[5]])


_down = operator(_advance_down)


@kernel
def advance_families(at, state, constants, rows, out):  # type: ignore[no-untyped-def]
    """Advance the families of the library down a few rows, family by family; live, there is one row."""
    _down(volatility._advance, at[0], state, constants, rows, out)
    _down(price._advance, at[1], state, constants, rows, out)
    _down(regime._advance, at[2], state, constants, rows, out)
    _down(open_interest._advance, at[3], state, constants, rows, out)
    _down(funding._advance, at[4], state, constants, rows, out)
    _down(liquidations._advance, at[5], state, constants, rows, out)
    _down(liquidation_density._advance, at[6], state, constants, rows, out)
    _down(sweeps._advance, at[7], state, constants, rows, out)
    _down(whales._advance, at[8], state, constants, rows, out)
    _down(order_flow._advance, at[9], state, constants, rows, out)
    _down(triggers._advance, at[10], state, constants, rows, out)


@njit(_nrt=False, error_model="numpy")  # type: ignore[call-overload]
def advance_family(advance, at, close, state, constants, rows, gap, out):  # type: ignore[no-untyped-def]
    """Advance a family from outside of the library down rows; write a row of output for each that has a bar.

    Compiled once for each such kernel and process: the cache of numba does not hold functions that take a function.
    `close` is the position of the close, `gap` is room for the output of a row without a bar.
    """
    own, fixed = state[at[0] : at[1]], constants[at[2] : at[3]]
    written = 0
    for i in range(rows.shape[0]):
        if rows[i, close] > 0.0:
            advance(own, fixed, rows[i], out[written, at[4] : at[5]])
            written += 1
        else:
            advance(own, fixed, rows[i], gap[at[4] : at[5]])


def require_compatible(families: Sequence[Family], inputs: Sequence[str]) -> None:
    """Refuse families that cannot run together, or are not what the engine can run."""
    if not families:
        raise ParameterError("`families` must hold at least one family")
    if tuple(inputs[: len(INPUTS)]) != INPUTS:
        raise ParameterError("`inputs` must begin with the inputs of slackwater.market.inputs.INPUTS")
    homes: dict[str, str] = {}
    seen: list[str] = []
    for family in families:
        from_outside = type(family) not in FAMILIES
        if from_outside:
            require_family(type(family), taken=LIBRARY_NAMES)
            check_members(family, inputs)
        if family.name in seen:
            raise ParameterError(f"two families are named {family.name}; a family is given once")
        seen.append(family.name)
    for place, family in enumerate(families):
        known = seen[:place] if type(family) not in FAMILIES else seen
        lost = [name for name in family.needs if name not in known]
        if lost:
            where = "before it" if set(lost) <= set(seen) else "and they are not given"
            raise ParameterError(f"family {family.name} needs the families {lost} {where}")
        for feature in family.features():
            if feature.name in homes:
                raise ParameterError(f"families {homes[feature.name]} and {family.name} both name {feature.name}")
            homes[feature.name] = family.name
    intervals = {family.bar_interval for family in families}
    if len(intervals) != 1:
        raise ParameterError(f"all families must share one bar interval, had {sorted(intervals)}")
