"""The feature engine: all families in one compiled call, over history or one live row at a time."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from itertools import islice
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from slackwater.errors import BundleError, ContractError, OrderError, ParameterError, SchemaError
from slackwater.features.compiling import compile_families
from slackwater.features.extra import failure_of, source_digest, spec_of
from slackwater.features.families import FAMILIES, advance_family, require_compatible
from slackwater.features.family import LARGEST_STATE, Family, Feature
from slackwater.features.intermediates import FIRST_EXTRA
from slackwater.features.rows import NO_BAR, OFF_GRID, OTHER_INPUTS, TAKEN, transform_rows, update_row
from slackwater.market.bars import BAR_RULE, impossible_bars
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import LARGEST, FrameRow
from slackwater.market.inputs import CLOSE, INPUTS
from slackwater.storage import arrays_digest
from slackwater.times import epoch_us, microseconds, timestamp
from slackwater.types import Bools, Floats, Ints

__all__ = ["BAR_COLUMNS", "LONGEST_GAP", "FeatureEngine", "bar_rows", "kept_memory", "not_bars"]

BAR_COLUMNS: Final = ("symbol", "event_time", "available_time", "close", "depth_bid_1pct", "depth_ask_1pct")
"""Columns of a table of features before the features."""

LONGEST_GAP: Final = timedelta(days=366)
"""Longest time without bars that a live state is carried over; a row that lies further ahead is refused."""
_LONGEST_GAP_US: Final = microseconds(LONGEST_GAP)

_FORMULAS: Final = 4
"""Raised whenever a formula changes, so that a bundle made with the old one is refused."""


class FeatureEngine:
    """Turns market-frame rows into features, the same for history and live.

    Parameters
    ----------
    families
        The families to compute, of the library (`default_families`) or from outside; their outputs keep this order.
        Families of the library run first, those from outside after them, in this order.
    inputs
        The inputs of a frame row (`FrameSpec.inputs`): those of the library, then those of tables from outside.

    Attributes
    ----------
    features, names
        Every output, described, and their names in the order of the output columns.
    fingerprint : str
        Identifies formulas, windows and inputs; a scoring bundle refuses a different one.

    Raises
    ------
    ParameterError
        If families collide in name or output, lack a family that they need, disagree on the bar interval, or read
        an input that no table feeds.
    """

    def __init__(self, families: Sequence[Family], *, inputs: Sequence[str] = INPUTS) -> None:
        require_compatible(families, inputs)
        self.families = tuple(families)
        self.inputs = tuple(inputs)
        self.bar_interval = families[0].bar_interval
        self.features: tuple[Feature, ...] = tuple(feature for f in families for feature in f.features())
        self.names: list[str] = [feature.name for feature in self.features]
        self._step = microseconds(self.bar_interval)
        if (slots := sum(f.state_size() for f in families)) > LARGEST_STATE:
            largest = max(families, key=lambda family: family.state_size())
            raise ParameterError(
                f"features.{largest.name}: the windows need {slots:.3g} slots of state per symbol, the most are "
                f"{LARGEST_STATE:,}; shorten them, or widen the bins"
            )
        constants = [f.constants() for f in families]
        self._constants = np.concatenate(constants)
        sizes = [(f.state_size(), own.size, len(f.features())) for f, own in zip(families, constants, strict=True)]
        ends = np.cumsum(sizes, axis=0)
        places = np.stack([ends - sizes, ends], axis=2).reshape(len(families), 6)
        self._state_size = int(ends[-1, 0])
        self._places = {f.name: place for f, place in zip(families, places, strict=True)}
        absent = np.zeros(6, dtype=places.dtype)
        self._at = np.array([self._places.get(kind.name, absent) for kind in FAMILIES])
        self._extras = [f for f in self.families if type(f) not in FAMILIES]
        self._row = np.empty((1, self._row_width))
        self._last_table = _Memory()
        self._states: dict[str, Floats] = {}
        self._last: dict[str, Ints] = {}  # closes of the last bar and of the first, microseconds

    @property
    def _row_width(self) -> int:
        return FIRST_EXTRA + len(self.inputs) - len(INPUTS)

    # -- history ---------------------------------------------------------------------------------------------

    def transform(self, frame: MarketFrame, progress: Callable[[int, int], None] | None = None) -> pd.DataFrame:
        """Compute the features of every row of a frame; each symbol starts anew, and the live state is not changed.

        Parameters
        ----------
        frame
            Rows of one or more symbols, each on its regular grid of bars.
        progress
            Called with the rows done and their total after each symbol.

        Returns
        -------
        DataFrame
            One row per (symbol, bar close): `symbol`, `event_time`, `available_time`, `close`, the depth of the book,
            then `names`. Rows without a bar (gaps) are left out, although they age every window.

        Raises
        ------
        ParameterError
            If the frame has other bars or inputs than the families.
        SchemaError
            If the prices of a row are not those of a bar.
        """
        features = self._room(frame.n_bars)
        self.write_features(frame, features, progress)
        return pd.concat([bar_rows(frame), pd.DataFrame(features, columns=self.names, copy=False)], axis=1)

    def transform_parts(self, frame: MarketFrame, rows: int = 65_536) -> Iterator[pd.DataFrame]:
        """Yield what `transform` returns a part at a time, to the last bit.

        A part is of consecutive rows of one symbol, at most `rows` of the frame. Errors are those of `transform`.
        """
        if rows < 1:
            raise ParameterError(f"`rows` must be at least 1, was {rows}")
        for part, made in self._made(frame, rows, self._room):
            before = bar_rows(frame.with_table(frame.table[part]))
            yield pd.concat([before, pd.DataFrame(made, columns=self.names, copy=False)], axis=1)
            del made  # its memory may be used for the next part

    def write_features(
        self, frame: MarketFrame, out: Floats, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Write what `transform` computes into an array of shape (n_bars, n_names), such as a part of a larger one.

        Parameters, errors and the order of rows are those of `transform`.
        """
        written = 0

        def room(bars: int) -> Floats:
            return out[written : written + bars]

        for _, made in self._made(frame, max(len(frame.table), 1), room):
            written += len(made)
            if progress is not None:
                progress(written, len(out))

    def _made(self, frame: MarketFrame, most: int, room: Callable[[int], Floats]) -> Iterator[tuple[slice, Floats]]:
        """Yield rows of the frame, at most so many and of one symbol, and their features in the room for so many bars.

        Each symbol begins with an empty state, which its parts hand on.
        """
        if frame.bar_interval != self.bar_interval:
            raise ParameterError(f"the frame has bars of {frame.bar_interval}, the features want {self.bar_interval}")
        if frame.values.shape[1] != len(self.inputs):
            raise ParameterError(f"a frame row has {frame.values.shape[1]} inputs, the engine reads {len(self.inputs)}")
        self.require_bars(frame)
        compile_families()
        state = np.empty(self._state_size)
        for symbol, rows in frame.symbols():
            state[:] = 0.0
            for start in range(rows.start, rows.stop, most):
                part = slice(start, min(start + most, rows.stop))
                given, present, times = frame.values[part], frame.has_bar[part], frame.table["event_time"].iloc[part]
                made = room(int(present.sum()))
                kept = self._rows(len(given)) if self._extras else np.empty((0, self._row_width))
                first = epoch_us(times.iloc[0])
                transform_rows(state, self._constants, self._at, given, first, self._step, kept, made)
                if self._extras:
                    self._advance_extras(symbol, state, kept[:-1], made, times[present])
                yield part, made
                del made

    def _room(self, rows: int) -> Floats:
        """Return room for the outputs of so many rows, in the memory of the last table if that is gone and fits.

        The first touch of fresh memory takes up to several times as long as the kernel that writes into it. What is
        kept is one table, as long as the engine lives.
        """
        size = rows * len(self.names)
        out = self._last_table.used_again(size)
        return out[:size].reshape(rows, len(self.names))

    @staticmethod
    def require_bars(frame: MarketFrame) -> None:
        """Refuse a frame whose prices are not those of bars.

        Raises
        ------
        SchemaError
            Naming the first of the rows.
        """
        bad = frame.table.index[frame.has_bar & not_bars(frame.table)]
        if len(bad):
            raise SchemaError(
                f"{len(bad)} rows of the frame are not bars: {BAR_RULE}\n"
                f"{frame.table.loc[bad[:3], ['symbol', 'event_time', 'open', 'high', 'low', 'close']]}"
            )

    # -- live ------------------------------------------------------------------------------------------------

    def update(self, row: FrameRow) -> Floats:
        """Advance one symbol by one bar and return its features, in the order of `names`.

        A symbol that was never seen starts from an empty state. Bars that are missing since the last row age every
        window, as they do in `transform`.

        Raises
        ------
        OrderError
            If the row is not newer than the last one of its symbol, lies off the grid of bars, or more than
            `LONGEST_GAP` ahead. The state is as it was.
        SchemaError
            If the prices are not those of a bar. The state is as it was.
        """
        symbol, time = row.symbol, row.time_us
        state = self._states.get(symbol)
        if state is None:
            state, last = np.zeros(self._state_size), np.zeros(2, dtype=np.int64)
        else:
            last = self._last[symbol]
            if time - int(last[0]) > _LONGEST_GAP_US:
                raise OrderError(
                    f"{symbol}: the bar closing at {row.event_time} lies more than {LONGEST_GAP.days} days after the "
                    f"last one, {timestamp(int(last[0]))}; if its clock is right, warm a new stream from history"
                )
        rows = self._row
        if self._extras and last[0] > 0:
            rows = self._rows(max(int(time - last[0]) // self._step, 1))[:-1]
        out = np.empty((1, len(self.names)))
        compile_families()
        fate = update_row(state, self._constants, self._at, last, row.values, time, self._step, rows, out)
        if fate != TAKEN:
            self._refuse(row, fate, int(last[0]))
        if self._extras:
            self._advance_extras(symbol, state, rows, out, [row.event_time])
        if symbol not in self._states:
            last[1] = time
            self._states[symbol], self._last[symbol] = state, last
        return out[0]

    def span_of(self, symbol: str) -> tuple[int, int] | None:
        """Return the closes of the first and the last bar of a symbol, microseconds; None if it was never seen."""
        last = self._last.get(symbol)
        return None if last is None else (int(last[1]), int(last[0]))

    def _rows(self, count: int) -> Floats:
        """Return space for rows, and one row of NaN for a kernel that reads beyond its own."""
        return np.full((count + 1, self._row_width), np.nan)

    def replay_extras(
        self, frame: MarketFrame
    ) -> Iterator[tuple[Family, Floats, Floats, Sequence[pd.Timestamp], Floats]]:
        """Yield what each family from outside is given over the first symbol of a frame, for a closer look.

        That is the family, its empty state, its constants, the bar closes, and the rows as the families of the library
        leave them, shape (n, row width).
        """
        for _, where in islice(frame.symbols(), 1):
            given, times = frame.values[where], frame.table["event_time"].iloc[where]
            kept, out = self._rows(len(given)), np.empty((len(given), len(self.names)))
            state = np.zeros(self._state_size)
            transform_rows(state, self._constants, self._at, given, epoch_us(times.iloc[0]), self._step, kept, out)
            for family in self._extras:
                place = self._places[family.name]
                constants = self._constants[place[2] : place[3]].copy()
                yield family, np.zeros(family.state_size()), constants, list(times), kept[:-1].copy()

    def _advance_extras(self, symbol: str, state: Floats, rows: Floats, out: Floats, times: Sequence[Any]) -> None:
        """Advance the families from outside over rows that those of the library have filled."""
        gap = np.empty(len(self.names))
        for family in self._extras:
            place = self._places[family.name]
            try:
                advance_family(family.advance, place, CLOSE, state, self._constants, rows, gap, out)
            except Exception as error:
                # The state is half advanced: the symbol starts anew.
                self._states.pop(symbol, None)
                self._last.pop(symbol, None)
                raise ContractError(
                    f"the kernel of family {family.name} ({spec_of(type(family))}) {failure_of(error)}"
                ) from error
            made = out[:, place[4] : place[5]]
            if np.isinf(made).any():
                i, j = np.argwhere(np.isinf(made))[0]
                name = self.names[place[4] + j]
                self._states.pop(symbol, None)
                self._last.pop(symbol, None)
                raise ContractError(f"{name}: infinite for {symbol} at {list(times)[i]}; a value is a number or NaN")

    def _refuse(self, row: FrameRow, fate: int, last: int) -> None:
        if fate == NO_BAR:
            raise SchemaError(f"{row.symbol} {row.event_time}: {BAR_RULE}, were {row.values[:4].tolist()}")
        if fate == OTHER_INPUTS:
            raise SchemaError(f"a row has {row.values.size} inputs, the engine reads {len(self.inputs)}")
        if fate == OFF_GRID:
            raise OrderError(f"{row.symbol}: {row.event_time} does not lie on the grid of {self.bar_interval} bars")
        raise OrderError(
            f"{row.symbol}: the bar closing at {row.event_time} is not newer than the last one, {timestamp(last)}"
        )

    def reset(self) -> None:
        """Forget every symbol."""
        self._states.clear()
        self._last.clear()

    def save_state(self) -> dict[str, NDArray[Any]]:
        """Return the live state as plain arrays, as ``numpy.savez`` takes them."""
        out: dict[str, NDArray[Any]] = {"fingerprint": np.array(self.fingerprint)}
        for symbol, state in self._states.items():
            out[f"state/{symbol}"] = state.copy()
            out[f"time/{symbol}"] = self._last[symbol].copy()
            out[f"digest/{symbol}"] = np.array(arrays_digest(symbol, state, self._last[symbol]))
        return out

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from what `save_state` returned; arrays of other names are left alone.

        Raises
        ------
        BundleError
            If it was saved by other features, or is not a saved state. The present state is as it was.
        """
        self._load(arrays, None)

    def load_symbol(self, arrays: Mapping[str, NDArray[Any]], symbol: str) -> None:
        """Continue with one symbol from what `save_state` returned, and with no other.

        Raises
        ------
        BundleError
            As `load_state`, and if it has no state of the symbol.
        """
        self._load(arrays, symbol)

    def _load(self, arrays: Mapping[str, NDArray[Any]], only: str | None) -> None:
        if not isinstance(arrays, Mapping):
            raise BundleError(f"a saved state must be a mapping of names to arrays, was a {type(arrays).__name__}")
        if "fingerprint" not in arrays or str(arrays["fingerprint"]) != self.fingerprint:
            raise BundleError("the saved state belongs to other features; warm up from history")
        parts = (str(name).partition("/") for name in arrays)
        named = dict.fromkeys(symbol for kind, _, symbol in parts if kind in ("state", "time", "digest") and symbol)
        if only is not None and only not in named:
            raise BundleError(
                f"the saved state has no {only}, it has {', '.join(named) or 'none'}; warm up from history"
            )
        states: dict[str, Floats] = {}
        last: dict[str, Ints] = {}
        for symbol in named if only is None else [only]:
            state, time = (np.asarray(arrays.get(f"{kind}/{symbol}", ())) for kind in ("state", "time"))
            sound = state.dtype == np.float64 and state.shape == (self._state_size,)
            sound = sound and time.dtype == np.int64 and time.shape == (2,)
            if not sound or str(arrays.get(f"digest/{symbol}")) != arrays_digest(symbol, state, time):
                raise BundleError(f"the saved state of {symbol} is incomplete or damaged")
            states[symbol], last[symbol] = state.copy(), time.copy()
        self._states, self._last = states, last

    def state_of(self, family: str, symbol: str) -> Floats:
        """Return a view of what a family remembers of a symbol, such as its liquidation map.

        Raises
        ------
        ParameterError
            If the engine has no such family, or never saw the symbol.
        """
        if family not in self._places:
            raise ParameterError(f"the engine has no family {family}; it has {list(self._places)}")
        if symbol not in self._states:
            raise ParameterError(f"the engine never saw {symbol}; it saw {sorted(self._states)}")
        place = self._places[family]
        return self._states[symbol][place[0] : place[1]]

    # -- description -----------------------------------------------------------------------------------------

    def warm_up_of(self, family: Family) -> timedelta:
        """History after which the features of a family are known: its own, after that of the families it needs."""
        needed = [self.warm_up_of(other) for other in self.families if other.name in family.needs]
        return family.warm_up + max(needed, default=timedelta(0))

    @property
    def warm_up(self) -> timedelta:
        """History after which every feature is known."""
        return max(self.warm_up_of(f) for f in self.families)

    @property
    def fingerprint(self) -> str:
        """Sha256 over inputs, formulas' version and every parameter of every family."""
        content = {
            "formulas": _FORMULAS,
            "inputs": self.inputs,
            "families": [{"name": f.name, **asdict(f), **_source(f)} for f in self.families],
            "names": self.names,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def sources(self) -> dict[str, str]:
        """Digests of the code of the families from outside, by ``module:Class``."""
        return {code["class"]: code["source"] for code in map(_source, self.families) if code}

    def manifest(self, available: Iterable[str]) -> dict[str, Any]:
        """Return a description of every feature, fit for JSON, with those that are unknown because a table is absent.

        `available` are the inputs that some table feeds (`MarketFrame.available`). ``model_features`` lists the
        features that a classifier may use.
        """
        inputs = frozenset(available)
        known = {f.name for f in self.features if not f.lacking(inputs)}
        unavailable = [family.name for family in self.families if not any(f.name in known for f in family.features())]
        return {
            "fingerprint": self.fingerprint,
            "sources": self.sources,
            "warm_up_hours": self.warm_up / timedelta(hours=1),
            "features": [asdict(f) | {"available": f.name in known} for f in self.features],
            "model_features": [f.name for f in self.features if f.role == "model" and f.name in known],
            "unavailable_families": unavailable,
            "unavailable_features": [f.name for f in self.features if f.name not in known],
        }

    def require_fed(self, available: Iterable[str]) -> None:
        """Refuse a family from outside whose inputs no table of the data set feeds.

        Raises
        ------
        ParameterError
            Naming the family and the absent inputs.
        """
        inputs = frozenset(available)
        for family in self._extras:
            lacking = [f.lacking(inputs) for f in family.features()]
            if all(lacking):
                raise ParameterError(
                    f"features.extra: no output of {spec_of(type(family))} can be computed, the tables of this data "
                    f"set feed no {sorted(set().union(*lacking))}; leave the family out, or add the table"
                )

    def mirrored(self) -> FeatureEngine:
        """Return the engine for a mirrored market, for the check of sign symmetry."""
        other = FeatureEngine(self.families, inputs=self.inputs)
        other._constants = np.concatenate([f.mirrored() for f in self.families])
        return other


class _Memory:
    """The memory of a table, to be used again when the table is gone; it is not sent along, nor copied."""

    def __init__(self) -> None:
        self._held: tuple[Floats, weakref.ref[Floats]] | None = None

    def __reduce__(self) -> tuple[type[_Memory], tuple[()]]:
        return _Memory, ()

    def used_again(self, size: int) -> Floats:
        """Return an array of at least so many numbers that nobody else uses."""
        held, self._held = self._held, None  # two threads do not get the same
        memory = None if held is None or held[1]() is not None else held[0]
        del held
        if memory is None or not size <= memory.size <= 2 * size:
            del memory  # before there is more of it
            memory = np.empty(size)
        # Of a buffer: numpy lets every view of this array refer to it, and not to `memory` as views of a slice would.
        out = np.frombuffer(memory.data, dtype=np.float64)
        self._held = memory, weakref.ref(out)
        return out


def _source(family: Family) -> dict[str, str]:
    """Return what the fingerprint holds of the code of a family; `_FORMULAS` stands for those of the library."""
    return {} if type(family) in FAMILIES else {"class": spec_of(type(family)), "source": source_digest(type(family))}


def not_bars(table: pd.DataFrame) -> Bools:
    """Return whether the prices of each row are not those of a bar, or too large for the kernels."""
    prices = {name: table[name].to_numpy() for name in INPUTS[:4]}
    return impossible_bars(prices) | (prices["high"] > LARGEST)


def bar_rows(frame: MarketFrame) -> pd.DataFrame:
    """Return what precedes the features in a table of them: `BAR_COLUMNS` of each row of a frame that has a bar."""
    return frame.table[list(BAR_COLUMNS)][frame.has_bar].reset_index(drop=True)


def kept_memory(rows: int, columns: int) -> Floats:
    """Return an array of numbers that are not set, in memory that Arrow keeps from call to call.

    The first touch of fresh memory takes as long as the kernel that writes into it.
    """
    try:
        import pyarrow as pa
    except ModuleNotFoundError:  # an extra brings it; scores do not need it
        return np.empty((rows, columns))
    if not rows:
        return np.empty((0, columns))
    return np.frombuffer(pa.allocate_buffer(rows * columns * 8), dtype=np.float64).reshape(rows, columns)
