"""Numbers of a frozen object as a table that compiled kernels read by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KernelNumbers"]


class KernelNumbers:
    """Base of frozen dataclasses with slots that kernels read: ``rules.numbers[0].stop_sd`` in a kernel.

    The table is made when it is first asked for, and kept: to make it takes longer than the kernel that reads it.
    """

    __slots__ = ("_numbers",)
    _numbers: NDArray[np.void]

    @property
    def numbers(self) -> NDArray[np.void]:
        """Structured array of float64, shape (1,) unless the class says otherwise; NaN where a field is None."""
        try:
            return self._numbers
        except AttributeError:
            rows = [*self._kernel_rows()]
            dtype = [(name, np.float64) for name in rows[0]]
            made = np.array([tuple(np.nan if x is None else x for x in row.values()) for row in rows], dtype=dtype)
            object.__setattr__(self, "_numbers", made)
            return made

    def _kernel_rows(self) -> Iterable[Mapping[str, float | None]]:
        """Yield the rows of the table; by default one, of every field."""
        names: Any = fields(self)  # type: ignore[arg-type]  # of the dataclass below
        yield {each.name: getattr(self, each.name) for each in names}
