"""The feature engine: all families in one compiled call, over history or one live row at a time."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any, Final

import numpy as np
import pandas as pd
from numba import njit
from numpy.typing import NDArray

from slackwater.errors import BundleError, OrderError, ParameterError, SchemaError
from slackwater.features.family import Family, Feature
from slackwater.features.funding import FundingFamily
from slackwater.features.funding import _advance as _advance_funding
from slackwater.features.intermediates import INTERMEDIATES, TIME_HOURS
from slackwater.features.liquidation_density import LiquidationDensityFamily
from slackwater.features.liquidation_density import _advance as _advance_density
from slackwater.features.liquidations import LiquidationsFamily
from slackwater.features.liquidations import _advance as _advance_liquidations
from slackwater.features.open_interest import OpenInterestFamily
from slackwater.features.open_interest import _advance as _advance_open_interest
from slackwater.features.order_flow import OrderFlowFamily
from slackwater.features.order_flow import _advance as _advance_order_flow
from slackwater.features.price import PriceFamily
from slackwater.features.price import _advance as _advance_price
from slackwater.features.regime import RegimeFamily
from slackwater.features.regime import _advance as _advance_regime
from slackwater.features.sweeps import SweepsFamily
from slackwater.features.sweeps import _advance as _advance_sweeps
from slackwater.features.volatility import VolatilityFamily
from slackwater.features.volatility import _advance as _advance_volatility
from slackwater.features.whales import WhaleFlowsFamily
from slackwater.features.whales import _advance as _advance_whales
from slackwater.market.frame import MarketFrame
from slackwater.market.frame_row import FrameRow
from slackwater.market.inputs import CLOSE, HIGH, INPUTS, LOW, OPEN, SIGNED
from slackwater.operators import kernel

__all__ = ["FAMILIES", "FeatureEngine", "default_families"]

_FORMULAS: Final = 2
"""Raised whenever a formula changes, so that a bundle made with the old one is refused."""

_LARGEST: Final = 1e15
_BAR_RULE: Final = "prices (open, high, low, close) must be positive, and high and low enclose the others"
_WIDTH: Final = len(INPUTS)
_ROW: Final = len(INPUTS) + INTERMEDIATES
_BLOCK: Final = 64
"""Rows of history that one family takes before the next one does: few enough to stay in the fastest cache."""
_MICROSECONDS_PER_HOUR: Final = 3.6e9

FAMILIES: Final[tuple[type[Family], ...]] = (
    VolatilityFamily,
    PriceFamily,
    RegimeFamily,
    OpenInterestFamily,
    FundingFamily,
    LiquidationsFamily,
    LiquidationDensityFamily,
    SweepsFamily,
    WhaleFlowsFamily,
    OrderFlowFamily,
)
"""The families in the order in which `_advance` calls them: a measure is written before it is read."""


@kernel
def _read(values, time, row):  # type: ignore[no-untyped-def]
    """Fill a row: the inputs, as far as they are possible, the time, and measures that nobody has written yet."""
    # Absurdly large, or negative where only a rate may be: unknown. NaN fails the comparisons.
    for i in range(_WIDTH):
        row[i] = values[i] if 0.0 <= values[i] <= _LARGEST else np.nan
    for i in SIGNED:
        row[i] = values[i] if abs(values[i]) <= _LARGEST else np.nan
    for i in range(_WIDTH, _ROW):
        row[i] = np.nan
    row[TIME_HOURS] = time / _MICROSECONDS_PER_HOUR


@kernel
def _advance(state, constants, at, rows, out):  # type: ignore[no-untyped-def]
    """Advance every family down a few rows, family by family: a row of history and a live one run the same code.

    `at` holds where each family starts in state, constants and out (and the ends; an absent family is empty).
    """
    s, c, o = at[0], at[1], at[2]
    n = rows.shape[0]
    if o[1] > o[0]:
        own, fixed = state[s[0] : s[1]], constants[c[0] : c[1]]
        for i in range(n):
            _advance_volatility(own, fixed, rows[i], out[i, o[0] : o[1]])
    if o[2] > o[1]:
        own, fixed = state[s[1] : s[2]], constants[c[1] : c[2]]
        for i in range(n):
            _advance_price(own, fixed, rows[i], out[i, o[1] : o[2]])
    if o[3] > o[2]:
        own, fixed = state[s[2] : s[3]], constants[c[2] : c[3]]
        for i in range(n):
            _advance_regime(own, fixed, rows[i], out[i, o[2] : o[3]])
    if o[4] > o[3]:
        own, fixed = state[s[3] : s[4]], constants[c[3] : c[4]]
        for i in range(n):
            _advance_open_interest(own, fixed, rows[i], out[i, o[3] : o[4]])
    if o[5] > o[4]:
        own, fixed = state[s[4] : s[5]], constants[c[4] : c[5]]
        for i in range(n):
            _advance_funding(own, fixed, rows[i], out[i, o[4] : o[5]])
    if o[6] > o[5]:
        own, fixed = state[s[5] : s[6]], constants[c[5] : c[6]]
        for i in range(n):
            _advance_liquidations(own, fixed, rows[i], out[i, o[5] : o[6]])
    if o[7] > o[6]:
        own, fixed = state[s[6] : s[7]], constants[c[6] : c[7]]
        for i in range(n):
            _advance_density(own, fixed, rows[i], out[i, o[6] : o[7]])
    if o[8] > o[7]:
        own, fixed = state[s[7] : s[8]], constants[c[7] : c[8]]
        for i in range(n):
            _advance_sweeps(own, fixed, rows[i], out[i, o[7] : o[8]])
    if o[9] > o[8]:
        own, fixed = state[s[8] : s[9]], constants[c[8] : c[9]]
        for i in range(n):
            _advance_whales(own, fixed, rows[i], out[i, o[8] : o[9]])
    if o[10] > o[9]:
        own, fixed = state[s[9] : s[10]], constants[c[9] : c[10]]
        for i in range(n):
            _advance_order_flow(own, fixed, rows[i], out[i, o[9] : o[10]])


@njit(cache=True)
def _is_bar(values):  # type: ignore[no-untyped-def]
    """Return whether the four prices are those of a bar."""
    high = values[HIGH]
    low = values[LOW]
    sound = low > 0.0 and high <= _LARGEST
    return sound and low <= values[OPEN] <= high and low <= values[CLOSE] <= high


@njit(cache=True)
def _transform(state, constants, at, values, first, step, out):  # type: ignore[no-untyped-def]
    """Advance down the rows; write one row of output for each that has a bar, and return how many those are."""
    rows = np.empty((_BLOCK, _ROW))
    gap = np.empty((1, out.shape[1]))
    written = 0
    i = 0
    while i < values.shape[0]:
        n = 0
        while n < _BLOCK and i < values.shape[0] and not math.isnan(values[i, CLOSE]):
            _read(values[i], first + i * step, rows[n])
            n += 1
            i += 1
        _advance(state, constants, at, rows[:n], out[written : written + n])
        written += n
        if n < _BLOCK and i < values.shape[0]:
            _read(values[i], first + i * step, rows[0])
            _advance(state, constants, at, rows[:1], gap)
            i += 1
    return written


_TAKEN, _NO_BAR, _NOT_NEWER, _OFF_GRID = range(4)


@njit(cache=True)
def _update(state, constants, at, last, values, time, step, row, out):  # type: ignore[no-untyped-def]
    """Advance by one live row, and by the missing ones before it; return what became of it.

    `last` holds the close of the last row in microseconds (0: none yet), `row` is room for one row.
    """
    if not _is_bar(values):
        return _NO_BAR
    if last[0] > 0:
        if time <= last[0]:
            return _NOT_NEWER
        if (time - last[0]) % step:
            return _OFF_GRID
        if time - last[0] > step:
            gap = np.full(_WIDTH, np.nan)
            for missing in range(last[0] + step, time, step):
                _read(gap, missing, row[0])
                _advance(state, constants, at, row, out)
    _read(values, time, row[0])
    _advance(state, constants, at, row, out)
    last[0] = time
    return _TAKEN


def default_families(bar_interval: timedelta, **overrides: Mapping[str, Any]) -> tuple[Family, ...]:
    """Return every family with the default windows.

    Parameters
    ----------
    bar_interval
        Spacing of the feature bars.
    **overrides
        Parameters by family name, such as ``price={"event_window": timedelta(hours=24)}``.

    Raises
    ------
    ParameterError
        On an unknown family or parameter.

    Examples
    --------
    >>> [family.name for family in default_families(timedelta(minutes=5))][:3]
    ['volatility', 'price', 'regime']
    """
    unknown = sorted(set(overrides) - {family.name for family in FAMILIES})
    if unknown:
        raise ParameterError(f"unknown feature families {unknown}; there are {[family.name for family in FAMILIES]}")
    out: list[Family] = []
    for family in FAMILIES:
        try:
            out.append(family(bar_interval=bar_interval, **overrides.get(family.name, {})))
        except TypeError as error:
            raise ParameterError(f"features.{family.name}: {error}") from error
    return tuple(out)


class FeatureEngine:
    """Turns market-frame rows into features, the same for history and live.

    Parameters
    ----------
    families
        At most one of each of `FAMILIES`, in their order; `default_families` makes all of them.

    Attributes
    ----------
    features : tuple of Feature
        Every output, described.
    names : list of str
        Their names, in the order of the output columns.
    fingerprint : str
        Identifies formulas, windows and inputs; a scoring bundle refuses another one.

    Examples
    --------
    >>> engine = FeatureEngine(default_families(timedelta(minutes=5)))
    >>> "funding_acceleration_8h" in engine.names
    True
    """

    def __init__(self, families: Sequence[Family]) -> None:
        given = {type(f): f for f in families}
        if not families or [type(f) for f in families] != [kind for kind in FAMILIES if kind in given]:
            raise ParameterError(
                f"`families` must be some of {[f.name for f in FAMILIES]}, in this order, "
                f"was {[f.name for f in families]}"
            )
        names = [f.name for f in families]
        for family in families:
            lost = [name for name in family.needs if name not in names]
            if lost:
                raise ParameterError(f"family {family.name} needs the families {lost}, which are not given")
        intervals = {f.bar_interval for f in families}
        if len(intervals) != 1:
            raise ParameterError(f"all families must share one bar interval, had {sorted(intervals)}")
        self.families = tuple(families)
        self.bar_interval = families[0].bar_interval
        self.features: tuple[Feature, ...] = tuple(feature for f in families for feature in f.features())
        self.names: list[str] = [feature.name for feature in self.features]
        self._step = int(self.bar_interval / timedelta(microseconds=1))
        self._constants = np.concatenate([f.constants() for f in families])
        slots, sizes, outputs = [0], [0], [0]
        for kind in FAMILIES:
            own = given.get(kind)
            slots.append(slots[-1] + (own.state_size() if own else 0))
            sizes.append(sizes[-1] + (own.constants().size if own else 0))
            outputs.append(outputs[-1] + (len(own.features()) if own else 0))
        self._at = np.array([slots, sizes, outputs])
        self._row = np.empty((1, _ROW))
        self._states: dict[str, NDArray[np.float64]] = {}
        self._last: dict[str, NDArray[np.int64]] = {}

    # -- history ---------------------------------------------------------------------------------------------

    def transform(self, frame: MarketFrame) -> pd.DataFrame:
        """Compute the features of every row of a frame.

        Parameters
        ----------
        frame
            Rows of one or more symbols, each on its regular grid of bars.

        Returns
        -------
        DataFrame
            One row a (symbol, bar close): `symbol`, `event_time`, `available_time`, `close`, the depth of the book,
            then `names`. Rows without a bar (gaps) are left out, although they age every window.

        Raises
        ------
        ParameterError
            If the frame has other bars than the families.
        SchemaError
            If the prices of a row are not those of a bar.

        Notes
        -----
        Starts from an empty state for each symbol and leaves the live state alone.
        """
        if frame.bar_interval != self.bar_interval:
            raise ParameterError(f"the frame has bars of {frame.bar_interval}, the features want {self.bar_interval}")
        present = frame.table["close"].notna().to_numpy()
        self._refuse_impossible_bars(frame, present)
        values = np.empty((int(present.sum()), len(self.names)))
        state = np.empty(self._at[0, -1])
        written = 0
        for _, rows in frame.symbols():
            state[:] = 0.0
            first = int(frame.table["event_time"].iloc[rows.start].value // 1_000)
            written += _transform(
                state, self._constants, self._at, frame.values[rows], first, self._step, values[written:]
            )
        index = frame.table[["symbol", "event_time", "available_time", "close", "depth_bid_1pct", "depth_ask_1pct"]]
        index = index[present].reset_index(drop=True)
        features = pd.DataFrame(values, columns=self.names, copy=False)
        return pd.concat([index, features], axis=1)

    @staticmethod
    def _refuse_impossible_bars(frame: MarketFrame, present: NDArray[np.bool_]) -> None:
        prices = frame.values[:, :4]
        with np.errstate(invalid="ignore"):
            sound = (prices > 0.0).all(axis=1) & (prices[:, HIGH] <= _LARGEST)
            enclosed = (prices.max(axis=1) == prices[:, HIGH]) & (prices.min(axis=1) == prices[:, LOW])
        bad = frame.table.index[present & ~(sound & enclosed)]
        if len(bad):
            raise SchemaError(
                f"{len(bad)} rows of the frame are no bars: {_BAR_RULE}\n"
                f"{frame.table.loc[bad[:3], ['symbol', 'event_time', 'open', 'high', 'low', 'close']]}"
            )

    # -- live ------------------------------------------------------------------------------------------------

    def update(self, row: FrameRow) -> NDArray[np.float64]:
        """Advance one symbol by one bar and return its features, in the order of `names`.

        A symbol that was never seen starts from an empty state. Bars that are missing since the last row age every
        window, as they do in `transform`.

        Raises
        ------
        OrderError
            If the row is not newer than the last one of its symbol, or lies off the grid of bars. The state is as
            it was.
        SchemaError
            If the prices are not those of a bar. The state is as it was.
        """
        symbol = row.symbol
        state = self._states.get(symbol)
        if state is None:
            state, last = np.zeros(self._at[0, -1]), np.zeros(1, dtype=np.int64)
        else:
            last = self._last[symbol]
        out = np.empty((1, len(self.names)))
        fate = _update(state, self._constants, self._at, last, row.values, row.time_us, self._step, self._row, out)
        if fate != _TAKEN:
            self._refuse(row, fate, int(last[0]))
        if symbol not in self._states:
            self._states[symbol], self._last[symbol] = state, last
        return out[0]

    def _refuse(self, row: FrameRow, fate: int, last: int) -> None:
        if fate == _NO_BAR:
            raise SchemaError(f"{row.symbol} {row.event_time}: {_BAR_RULE}, were {row.values[:4].tolist()}")
        if fate == _OFF_GRID:
            raise OrderError(f"{row.symbol}: {row.event_time} does not lie on the grid of {self.bar_interval} bars")
        raise OrderError(
            f"{row.symbol}: the bar closing at {row.event_time} is not newer than the last one, "
            f"{pd.Timestamp(last, unit='us', tz='UTC')}"
        )

    def reset(self) -> None:
        """Forget every symbol."""
        self._states.clear()
        self._last.clear()

    def save_state(self) -> dict[str, NDArray[Any]]:
        """Return the live state as plain arrays, fit for ``numpy.savez``."""
        out: dict[str, NDArray[Any]] = {"fingerprint": np.array(self.fingerprint)}
        for symbol, state in self._states.items():
            out[f"state/{symbol}"] = state.copy()
            out[f"time/{symbol}"] = self._last[symbol].copy()
        return out

    def load_state(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Continue from what `save_state` returned.

        Raises
        ------
        BundleError
            If it was saved by other features, or is not a saved state. The present state is as it was.
        """
        if str(arrays.get("fingerprint", "")) != self.fingerprint:
            raise BundleError("the saved state belongs to other features; warm up from history instead")
        states: dict[str, NDArray[np.float64]] = {}
        last: dict[str, NDArray[np.int64]] = {}
        for key in arrays:
            kind, _, symbol = key.partition("/")
            if kind == "state":
                state = np.array(arrays[key], dtype=np.float64)
                time = np.array(arrays.get(f"time/{symbol}", ()), dtype=np.int64)
                if state.shape != (self._at[0, -1],) or time.shape != (1,):
                    raise BundleError(f"the saved state of {symbol} is incomplete")
                states[symbol] = state
                last[symbol] = time
        self._states, self._last = states, last

    def state_of(self, family: str, symbol: str) -> NDArray[np.float64]:
        """Return a view of what a family remembers of a symbol, such as its liquidation map.

        Raises
        ------
        ParameterError
            If the engine has no such family, or never saw the symbol.
        """
        position = next((i for i, kind in enumerate(FAMILIES) if kind.name == family), None)
        if family not in {f.name for f in self.families} or position is None:
            raise ParameterError(f"the engine has no family {family}; it has {[f.name for f in self.families]}")
        if symbol not in self._states:
            raise ParameterError(f"the engine never saw {symbol}; it saw {sorted(self._states)}")
        return self._states[symbol][self._at[0, position] : self._at[0, position + 1]]

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
            "inputs": INPUTS,
            "families": [{"name": f.name, **asdict(f)} for f in self.families],
            "names": self.names,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()

    def manifest(self, available: Iterable[str]) -> dict[str, Any]:
        """Describe every feature, and say which are unknown because a table is absent.

        Parameters
        ----------
        available
            The inputs that some table feeds (`MarketFrame.available`).

        Returns
        -------
        dict
            Fit for JSON. ``model_features`` lists the features that a classifier may use.
        """
        inputs = frozenset(available)
        known = {f.name for f in self.features if set(f.inputs) <= inputs}
        unavailable = [family.name for family in self.families if not any(f.name in known for f in family.features())]
        return {
            "fingerprint": self.fingerprint,
            "warm_up_hours": self.warm_up / timedelta(hours=1),
            "features": [asdict(f) | {"available": f.name in known} for f in self.features],
            "model_features": [f.name for f in self.features if f.role == "model" and f.name in known],
            "unavailable_families": unavailable,
            "unavailable_features": [f.name for f in self.features if f.name not in known],
        }

    def mirrored(self) -> FeatureEngine:
        """Return the engine for a market turned upside down, for the check of sign symmetry."""
        other = FeatureEngine(self.families)
        other._constants = np.concatenate([f.mirrored() for f in self.families])
        return other
