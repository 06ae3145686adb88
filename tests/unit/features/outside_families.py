"""Families from outside of the library, one bug each; `extra` tests name them as ``module:Class``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import numpy as np
from numba import njit

from slackwater.features.family import Family, Feature
from slackwater.features.intermediates import FIRST_EXTRA
from slackwater.features.parameters import Window
from slackwater.market.inputs import CLOSE
from slackwater.operators import family_kernel
from slackwater.types import Floats


@family_kernel
def _close(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = row[CLOSE]


@njit  # type: ignore[untyped-decorator]
def _allocates(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = np.zeros(3)[0] + row[CLOSE]


@family_kernel
def _allocates_as_a_kernel(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = np.zeros(3)[0] + row[CLOSE]


@family_kernel
def _raises(state, constants, row, out):  # type: ignore[no-untyped-def]
    if row[CLOSE] > 0.0:
        raise ValueError("the price is positive")


@family_kernel
def _infinite(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = row[CLOSE] / 0.0


@family_kernel
def _does_not_compile(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = row.no_such_attribute


@dataclass(frozen=True, kw_only=True)
class Outside(Family):
    """The close."""

    window: Window = timedelta(hours=4)

    name: ClassVar[str] = "outside"
    needs: ClassVar[tuple[str, ...]] = ()
    advance = staticmethod(_close)

    def features(self) -> tuple[Feature, ...]:
        return (self.even("outside_close", "close", "quote", inputs=("close",)),)

    def constants(self) -> Floats:
        return np.array([float(self.bars(self.window))])

    def state_size(self) -> int:
        return 1

    @property
    def warm_up(self) -> timedelta:
        return self.window


@dataclass(frozen=True, kw_only=True)
class Allocates(Outside):
    advance = staticmethod(_allocates)


@dataclass(frozen=True, kw_only=True)
class AllocatesAsAKernel(Outside):
    advance = staticmethod(_allocates_as_a_kernel)


@dataclass(frozen=True, kw_only=True)
class Raises(Outside):
    advance = staticmethod(_raises)


@dataclass(frozen=True, kw_only=True)
class Infinite(Outside):
    advance = staticmethod(_infinite)


@dataclass(frozen=True, kw_only=True)
class DoesNotCompile(Outside):
    advance = staticmethod(_does_not_compile)


@dataclass(frozen=True, kw_only=True)
class NamedAsAnother(Outside):
    name: ClassVar[str] = "price"


@dataclass(frozen=True, kw_only=True)
class OutputOfAnother(Outside):
    def features(self) -> tuple[Feature, ...]:
        return (self.even("return_4h", "close", "quote", inputs=("close",)),)


@dataclass(frozen=True, kw_only=True)
class UnknownInput(Outside):
    def features(self) -> tuple[Feature, ...]:
        return (self.even("outside_close", "close", "quote", inputs=("closing_price",)),)


@dataclass(frozen=True, kw_only=True)
class NeedsPremium(Outside):
    def features(self) -> tuple[Feature, ...]:
        return (self.even("outside_close", "close", "quote", inputs=("close", "premium_index")),)


class NotAFamily:
    """Nothing that the engine can run."""


class NotADataclass(Outside):
    """A subclass that is not decorated: its fields would not enter the fingerprint."""


@dataclass(frozen=True, kw_only=True)
class NotCompiled(Outside):
    advance = staticmethod(lambda state, constants, row, out: None)


@family_kernel
def _first_extra(state, constants, row, out):  # type: ignore[no-untyped-def]
    out[0] = row[FIRST_EXTRA]


@dataclass(frozen=True, kw_only=True)
class ReadsABasis(Outside):
    """The input of a table from outside."""

    advance = staticmethod(_first_extra)

    def features(self) -> tuple[Feature, ...]:
        return (self.odd("basis", "basis", "fraction", inputs=("spot_basis",)),)
