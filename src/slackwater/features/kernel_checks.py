"""Checks of one kernel from outside, row by row: the memory that it touches, and what it reads without declaring it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import numpy as np
import pandas as pd
from numba import njit

from slackwater.features import intermediates
from slackwater.features.engine import FeatureEngine
from slackwater.features.extra import failure_of
from slackwater.features.families import advance_family
from slackwater.features.family import Family
from slackwater.features.intermediates import FIRST_EXTRA, WRITERS
from slackwater.features.violations import Violation, Violations, broken, differences
from slackwater.market.frame import MarketFrame
from slackwater.market.inputs import CLOSE, INPUTS
from slackwater.types import Floats

__all__ = ["UNSAFE", "check_declarations", "check_memory"]

UNSAFE: Final = "unsafe"
_SPACE: Final = 20_000_000
_UNWRITTEN: Final = 1.2345e300
"""Stands in the outputs before a row; a kernel that leaves it there, or adds to it, did not write them."""


def check_memory(engine: FeatureEngine, frame: MarketFrame) -> Violations:
    """Run the kernels from outside once more with every index checked, over the rows of the first symbol.

    A violation that says "unsafe" is one with which the compiled kernel may end the process, or cannot run at all.
    """
    out: Violations = {}
    for family, state, constants, times, rows in engine.replay_extras(frame):
        symbol, names = str(frame.table["symbol"].iloc[0]), [f.name for f in family.features()]
        if what := _does_not_compile(family, state, constants, rows, len(names)):
            out |= dict.fromkeys(names, Violation(what=what))
            continue
        careful = njit(boundscheck=True, error_model="numpy")(_python(family))
        outputs = np.empty(len(names))
        for time, row in zip(times, rows, strict=True):
            outputs[:] = _UNWRITTEN
            if what := _misuse(careful, state, constants, row, outputs, names):
                out |= dict.fromkeys(names, Violation(what=f"{what}, first {symbol} at {time}"))
                break
    return out


def _python(family: Family) -> Callable[..., None]:
    return family.advance.py_func  # type: ignore[attr-defined]


def _place(state: Floats, constants: Floats, outputs: int) -> np.ndarray:
    return np.array([0, state.size, 0, constants.size, 0, outputs])


def _does_not_compile(family: Family, state: Floats, constants: Floats, rows: Floats, outputs: int) -> str:
    """Return why the kernel cannot be compiled as the engine does it; empty if it can. No row is run."""
    out, at = np.empty((0, outputs)), _place(state, constants, outputs)
    try:
        advance_family(family.advance, at, CLOSE, state, constants, rows[:0], np.empty(outputs), out)
    except Exception as error:
        return f"{UNSAFE}: {failure_of(error)}"
    return ""


def _misuse(
    careful: Callable[..., None], state: Floats, constants: Floats, row: Floats, outputs: Floats, names: list[str]
) -> str:
    """Return what a kernel does that it may not, in one row; empty if nothing."""
    before, fixed = row.copy(), constants.copy()
    try:
        careful(state, constants, row, outputs)
    except IndexError as error:
        # Beyond the row there is another row; beyond the rest is memory of others. Which of the two it is shows where
        # there is space beyond the rest.
        try:
            careful(_with_space(state), _with_space(constants), row, _with_space(outputs))
        except IndexError:
            return f"reads beyond its row ({error})"
        return f"{UNSAFE}: reads or writes beyond its state, constants or outputs ({error})"
    except Exception as error:
        return f"{UNSAFE}: {failure_of(error)}"
    if not np.array_equal(row, before, equal_nan=True):
        return "writes into its row, which later families read"
    if not np.array_equal(constants, fixed):
        return "writes into its constants, which all symbols share"
    if row[CLOSE] > 0.0 and (outputs == _UNWRITTEN).any():
        return f"does not write its output {names[int(np.argmax(outputs == _UNWRITTEN))]} at every bar"
    return f"{UNSAFE}: is infinite; a value is a number or NaN" if np.isinf(outputs).any() else ""


def _with_space(own: Floats) -> Floats:
    out = np.zeros(own.size + _SPACE)  # pages that are not touched take no memory
    out[: own.size] = own
    return out


def check_declarations(engine: FeatureEngine, frame: MarketFrame) -> dict[str, Violations]:
    """Hide what the families from outside do not declare, one position of the row after the other, and compare.

    Outputs must not read an input that they do not declare, the four prices aside, nor an intermediate of a family
    that is not among `needs`. Intermediates of families that the engine does not run, and inputs that no table feeds,
    get made-up values first, so that what reads them shows.

    Returns
    -------
    dict
        ``declared_inputs`` and ``declared_needs``: violations by output.
    """
    inputs: Violations = {}
    needs: Violations = {}
    for family, state, constants, times, rows in engine.replay_extras(frame):
        run = _Run(family, state, constants, rows, str(frame.table["symbol"].iloc[0]), times)
        described = family.features()
        for at, name in _undeclared_intermediates(family):
            what = (
                f'reads {name} of the family `{WRITERS[at]}`, which it does not declare: add "{WRITERS[at]}" to `needs`'
            )
            needs |= run.without(at, [f.name for f in described], what) | needs
        for place, name in enumerate(engine.inputs):
            at = place if place < len(INPUTS) else FIRST_EXTRA + place - len(INPUTS)
            others = [f.name for f in described if name not in (*f.inputs, *f.refined_by)]
            if others and name not in INPUTS[:4]:
                what = f"reads an input that it does not declare, {name}: add it to its `inputs` or `refined_by`"
                inputs |= run.without(at, others, what) | inputs
    return {"declared_inputs": inputs, "declared_needs": needs}


def _undeclared_intermediates(family: Family) -> Iterator[tuple[int, str]]:
    names = {at: name for name, at in vars(intermediates).items() if isinstance(at, int)}
    for at, writer in WRITERS.items():
        if writer not in family.needs:
            yield at, names[at]


class _Run:
    """A kernel over the rows of one symbol, with one position of the row hidden; what nothing feeds is made up."""

    def __init__(self, family: Family, state: Floats, constants: Floats, rows: Floats, symbol: str, times: Any) -> None:
        self._names = [f.name for f in family.features()]
        self._fresh, self._constants, self._rows = state, constants, rows
        for at in np.flatnonzero(np.isnan(rows).all(axis=0)):
            self._rows[:, at] = np.random.default_rng(at).uniform(0.01, 2.0, len(rows))
        self._careful = njit(boundscheck=True, error_model="numpy", _nrt=False)(_python(family))  # type: ignore[call-overload]
        bars = rows[:, CLOSE] > 0.0
        self._bars = pd.DataFrame({"symbol": symbol, "event_time": pd.Series(list(times))[bars].to_numpy()})
        self._whole = self._outputs()

    def without(self, at: int, names: list[str], what: str) -> Violations:
        """Return which of some outputs change when a position of the row is hidden."""
        given, columns = self._rows[:, at].copy(), [self._names.index(name) for name in names]
        self._rows[:, at] = np.nan
        hidden = self._outputs()
        self._rows[:, at] = given
        found = differences(names, self._whole[:, columns], hidden[:, columns], 0.0, what, self._bars)
        return broken(found)

    def _outputs(self) -> Floats:
        state, outputs = self._fresh.copy(), len(self._names)
        out = np.full((len(self._bars), outputs), np.nan)
        at = _place(state, self._constants, outputs)
        with suppress(Exception):  # of values that were made up; what is unknown from there on differs
            advance_family(self._careful, at, CLOSE, state, self._constants.copy(), self._rows, np.empty(outputs), out)
        return out
