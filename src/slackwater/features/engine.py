"""The feature engine: all families in one compiled call, over history or one live row at a time."""

from __future__ import annotations

import hashlib
import json
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
from slackwater.features.liquidations import (
    LiquidationDensityFamily,
    LiquidationsFamily,
    _advance_density,
    _advance_realised,
)
from slackwater.features.open_interest import OpenInterestFamily
from slackwater.features.open_interest import _advance as _advance_open_interest
from slackwater.features.order_flow import OrderFlowFamily
from slackwater.features.order_flow import _advance as _advance_order_flow
from slackwater.features.price import PriceFamily
from slackwater.features.price import _advance as _advance_price
from slackwater.features.whales import WhaleFlowsFamily
from slackwater.features.whales import _advance as _advance_whales
from slackwater.market.frame import FrameRow, MarketFrame
from slackwater.market.inputs import FUNDING_RATE, HIGH, INPUTS, LOW, PREMIUM_INDEX

__all__ = ["FeatureEngine", "default_families"]

_FORMULAS: Final = 1
"""Raised whenever a formula changes, so that a bundle made with the old one is refused."""

_LARGEST: Final = 1e15
_BAR_RULE: Final = "prices (open, high, low, close) must be positive, and high and low enclose the others"
_SIGNED: Final = np.isin(np.arange(len(INPUTS)), (FUNDING_RATE, PREMIUM_INDEX))


@njit(cache=True)
def _advance(state, constants, at, row, out):  # type: ignore[no-untyped-def]
    """Advance every family by one row; `at` holds where each starts in state, constants and out (and the ends)."""
    s = at[0]
    c = at[1]
    o = at[2]
    _advance_price(state[s[0] : s[1]], constants[c[0] : c[1]], row, out[o[0] : o[1]])
    _advance_funding(state[s[1] : s[2]], constants[c[1] : c[2]], row, out[o[1] : o[2]])
    _advance_open_interest(state[s[2] : s[3]], constants[c[2] : c[3]], row, out[o[2] : o[3]])
    _advance_density(state[s[3] : s[4]], constants[c[3] : c[4]], row, out[o[3] : o[4]])
    _advance_realised(state[s[4] : s[5]], constants[c[4] : c[5]], row, out[o[4] : o[5]])
    _advance_whales(state[s[5] : s[6]], constants[c[5] : c[6]], row, out[o[5] : o[6]])
    _advance_order_flow(state[s[6] : s[7]], constants[c[6] : c[7]], row, out[o[6] : o[7]])


_ORDER: Final[tuple[type[Family], ...]] = (
    PriceFamily,
    FundingFamily,
    OpenInterestFamily,
    LiquidationDensityFamily,
    LiquidationsFamily,
    WhaleFlowsFamily,
    OrderFlowFamily,
)
"""The families in the order in which `_advance` calls them."""


@njit(cache=True)
def _transform(state, constants, at, rows, out):  # type: ignore[no-untyped-def]
    for i in range(rows.shape[0]):
        _advance(state, constants, at, rows[i], out[i])


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return inputs with what cannot be (absurdly large, or negative where only a rate may be) as unknown."""
    possible = (np.abs(values) <= _LARGEST) & ((values >= 0.0) | _SIGNED)
    return np.where(possible, values, np.nan)


def _is_bar(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows have four prices that a bar can have."""
    prices = values[:, :4]
    sound = ((prices > 0.0) & (prices <= _LARGEST)).all(axis=1)
    enclosed = (prices.max(axis=1) == prices[:, HIGH]) & (prices.min(axis=1) == prices[:, LOW])
    return np.logical_and(sound, enclosed)


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
    ['price', 'funding', 'open_interest']
    """
    hours = timedelta(hours=1)
    defaults: dict[str, dict[str, Any]] = {
        "price": {
            "return_windows": tuple(h * hours for h in (1, 4, 12, 24, 72)),
            "range_windows": (24 * hours, 72 * hours),
            "volatility_half_life": 24 * hours,
            "fast_half_life": 1 * hours,
            "slow_half_life": 72 * hours,
            "atr_window": 6 * hours,
            "event_window": 12 * hours,
            "event_threshold": 1.5,
            "event_floor": 0.01,
            "event_cooldown": 2 * hours,
        },
        "funding": {"premium_fast_half_life": 1 * hours, "premium_slow_half_life": 8 * hours},
        "open_interest": {"windows": tuple(h * hours for h in (1, 4, 24, 72))},
        "liquidation_density": {
            "half_life": 168 * hours,
            "bin_width": 0.001,
            "reaches": (0.01, 0.02, 0.05),
        },
        "liquidations": {"windows": tuple(h * hours for h in (1, 4, 24))},
        "whale_flows": {"windows": tuple(h * hours for h in (4, 12, 24, 48))},
        "order_flow": {"windows": tuple(h * hours for h in (1, 4, 24)), "depth_half_life": 24 * hours},
    }
    unknown = sorted(set(overrides) - set(defaults))
    if unknown:
        raise ParameterError(f"unknown feature families {unknown}; there are {sorted(defaults)}")
    out: list[Family] = []
    for family in _ORDER:
        settings = defaults[family.name] | dict(overrides.get(family.name, {}))
        try:
            out.append(family(bar_interval=bar_interval, **settings))
        except TypeError as error:
            raise ParameterError(f"features.{family.name}: {error}") from error
    return tuple(out)


class FeatureEngine:
    """Turns market-frame rows into features, the same for history and live.

    Parameters
    ----------
    families
        One of each family, in the order of `default_families`; `default_families` makes them.

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
        if tuple(type(f) for f in families) != _ORDER:
            raise ParameterError(
                f"`families` must be {[f.name for f in _ORDER]}, in this order, was {[f.name for f in families]}"
            )
        intervals = {f.bar_interval for f in families}
        if len(intervals) != 1:
            raise ParameterError(f"all families must share one bar interval, had {sorted(intervals)}")
        self.families = tuple(families)
        self.bar_interval = families[0].bar_interval
        described = [f.features() for f in families]
        self.features: tuple[Feature, ...] = tuple(feature for group in described for feature in group)
        self.names: list[str] = [feature.name for feature in self.features]
        self._constants = np.concatenate([f.constants() for f in families])
        self._at = np.array(
            [
                np.cumsum([0, *(f.state_size() for f in families)]),
                np.cumsum([0, *(f.constants().size for f in families)]),
                np.cumsum([0, *(len(group) for group in described)]),
            ]
        )
        self._states: dict[str, NDArray[np.float64]] = {}
        self._last: dict[str, int] = {}

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

        Notes
        -----
        Starts from an empty state for each symbol and leaves the live state alone.
        """
        if frame.bar_interval != self.bar_interval:
            raise ParameterError(f"the frame has bars of {frame.bar_interval}, the features want {self.bar_interval}")
        bad = frame.table.index[~(_is_bar(frame.values) | np.isnan(frame.values).all(axis=1))]
        if len(bad):
            raise SchemaError(
                f"{len(bad)} rows of the frame are no bars: {_BAR_RULE}\n"
                f"{frame.table.loc[bad[:3], ['symbol', 'event_time', 'open', 'high', 'low', 'close']]}"
            )
        inputs = _known(frame.values)
        values = np.empty((len(frame.table), len(self.names)))
        for _, rows in frame.symbols():
            state = np.zeros(self._at[0, -1])
            _transform(state, self._constants, self._at, inputs[rows], values[rows])
        index = frame.table[["symbol", "event_time", "available_time", "close", "depth_bid_1pct", "depth_ask_1pct"]]
        out = pd.concat([index, pd.DataFrame(values, columns=self.names, index=index.index)], axis=1)
        return out[frame.table["close"].notna()].reset_index(drop=True)

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
        step = int(self.bar_interval / timedelta(microseconds=1))
        values = row.values
        if not _is_bar(values[None, :])[0]:
            raise SchemaError(f"{row.symbol} {row.event_time}: {_BAR_RULE}, were {values[:4].tolist()}")
        time = row.time_us
        last = self._last.get(row.symbol)
        if last is not None and time <= last:
            raise OrderError(
                f"{row.symbol}: the bar closing at {row.event_time} is not newer than the last one, "
                f"{pd.Timestamp(last, unit='us', tz='UTC')}"
            )
        if last is not None and (time - last) % step:
            raise OrderError(f"{row.symbol}: {row.event_time} does not lie on the grid of {self.bar_interval} bars")
        state = self._states.get(row.symbol)
        if state is None:
            state = self._states[row.symbol] = np.zeros(self._at[0, -1])
        out = np.empty(len(self.names))
        if last is not None and time - last > step:
            gap = np.full(len(INPUTS), np.nan)
            for _ in range((time - last) // step - 1):
                _advance(state, self._constants, self._at, gap, out)
        _advance(state, self._constants, self._at, _known(values), out)
        self._last[row.symbol] = time
        return out

    def reset(self) -> None:
        """Forget every symbol."""
        self._states.clear()
        self._last.clear()

    def save_state(self) -> dict[str, NDArray[Any]]:
        """Return the live state as plain arrays, fit for ``numpy.savez``."""
        out: dict[str, NDArray[Any]] = {"fingerprint": np.array(self.fingerprint)}
        for symbol, state in self._states.items():
            out[f"state/{symbol}"] = state.copy()
            out[f"time/{symbol}"] = np.array(self._last[symbol], dtype=np.int64)
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
        last: dict[str, int] = {}
        for key in arrays:
            kind, _, symbol = key.partition("/")
            if kind == "state":
                state = np.array(arrays[key], dtype=np.float64)
                if state.shape != (self._at[0, -1],) or f"time/{symbol}" not in arrays:
                    raise BundleError(f"the saved state of {symbol} is incomplete")
                states[symbol] = state
                last[symbol] = int(arrays[f"time/{symbol}"])
        self._states, self._last = states, last

    # -- description -----------------------------------------------------------------------------------------

    @property
    def warm_up(self) -> timedelta:
        """History after which every feature is known."""
        return max(f.warm_up for f in self.families)

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
