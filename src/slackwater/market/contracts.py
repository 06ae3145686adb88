"""Contracts: tick, lot, fees, margin tiers, and the liquidation price that follows from them.

All contracts here are linear perpetual futures margined in USDT, in isolated margin mode. A price is USDT per
coin, a quantity is coins, a notional and a margin are USDT (`_usd` throughout).

The facts are defaults with a source and a date (`slackwater.market.venues`) and may be out of date: replace them by the
venue's own answer before trading (`slackwater.market.contract_file`). Where no dated answer of the venue supports the
margin tiers, only the first tier is given, so that a larger position is an error.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import cache

from slackwater.errors import ParameterError, did_you_mean
from slackwater.kernel_numbers import KernelNumbers
from slackwater.market.margin import bankruptcy, liquidation, tier_at
from slackwater.market.venues import (
    VENUES,
    FormerLiquidation,
    LiquidationFormula,
    VenueFacts,
    fact_sources,
    venue_facts,
)

__all__ = [
    "Contract",
    "MarginTier",
    "bankruptcy_price",
    "base_asset",
    "contract",
    "is_outside",
    "liquidation_price",
    "margin_tiers",
    "require_linear",
    "venue_contracts",
]

_LINEAR = ("USDT", "USDC")
_QUOTES = (*_LINEAR, "USD")
_SMALLEST = math.ulp(0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTier:
    """One step of a venue's margin table.

    Parameters
    ----------
    notional_cap_usd
        Largest position notional of the tier, inclusive, USDT.
    maintenance_rate
        Maintenance margin rate (MMR), fraction of notional, in (0, 1).
    max_leverage
        Largest leverage of a position of this tier.
    deduction_usd
        The venue's maintenance amount `cum`, USDT: maintenance margin = notional × rate - deduction. 0 on a venue
        that grants none.
    """

    notional_cap_usd: float
    maintenance_rate: float
    max_leverage: float
    deduction_usd: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract(KernelNumbers):
    """Facts of one contract at one venue.

    Its table of `numbers` has one row per tier, with the facts of the contract in each.

    Parameters
    ----------
    venue, symbol
        Names, such as ``"binance"`` and ``"BTCUSDT"``. The contract is linear: quoted and margined in USDT or USDC.
    tick_size, lot_size, min_quantity, min_notional_usd
        Price step (USDT), quantity step and smallest order (coins), smallest order notional (USDT; 0: none).
    maker_fee, taker_fee, half_spread
        Fractions of notional, and half of the usual quoted spread as a fraction of price.
    tiers
        Margin tiers by rising notional; each deduction follows from the one before it, if the venue grants any.
    source, as_of, confirmed
        Source and date of the tiers, and whether they are a dated answer of the venue.
    liquidation, liquidation_before
        On what the venue takes maintenance margin; see `liquidation_price`. What it took it on before, and until when;
        `at` gives the contract as of a time.
    outside
        Whether the venue is not one of `slackwater.market.venues.VENUES`, but facts from outside.
    relative_depth
        Depth and volume relative to Binance's, > 0.
    funding_interval
        Time between two settlements, in (0, 1 day].
    funding_floor, funding_cap
        Limits of a settled rate, fraction of notional: at most 0, at least 0. Infinite: not known.
    assumed
        Names of the facts without a dated source; remove the name when a fact is replaced by a measured value.

    Raises
    ------
    ParameterError
        If a step or a rate is out of range, the tiers do not join up, or an unconfirmed contract has several; if the
        venue is unknown and not `outside`; or if the symbol is not that of a linear contract.
    """

    venue: str
    symbol: str
    tick_size: float
    lot_size: float
    min_quantity: float
    min_notional_usd: float
    maker_fee: float
    taker_fee: float
    half_spread: float
    tiers: tuple[MarginTier, ...]
    source: str
    as_of: str
    confirmed: bool
    liquidation: LiquidationFormula
    liquidation_before: FormerLiquidation | None = None
    outside: bool = False
    relative_depth: float = 1.0
    funding_interval: timedelta = timedelta(hours=8)
    funding_floor: float = -math.inf
    funding_cap: float = math.inf
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_names(self)
        for name in ("tick_size", "lot_size", "min_quantity", "relative_depth"):
            _require(name, getattr(self, name), _SMALLEST, math.inf)
        _require("min_notional_usd", self.min_notional_usd, 0.0, math.inf)
        for name in ("taker_fee", "half_spread"):
            _require(name, getattr(self, name), 0.0, 0.05)
        _require("maker_fee", self.maker_fee, -0.05, 0.05)  # some venues pay the maker
        if not timedelta(0) < self.funding_interval <= timedelta(days=1):
            raise ParameterError(f"`funding_interval` must be in (0, 1 day], was {self.funding_interval}")
        if not self.funding_floor <= 0.0 <= self.funding_cap:  # written so that NaN fails too
            raise ParameterError(
                f"`funding_floor` and `funding_cap` must lie around 0, were {self.funding_floor} and {self.funding_cap}"
            )
        if not self.confirmed and len(self.tiers) > 1:
            raise ParameterError(
                f"`tiers` of an unconfirmed contract must be the first tier alone, were {len(self.tiers)}"
            )
        _check_tiers(self.tiers, self.liquidation)

    def at(self, time: datetime) -> Contract:
        """Return the contract with the form of the liquidation price that the venue used at a time (time zone needed).

        Examples
        --------
        >>> from datetime import UTC
        >>> contract("bybit", "BTCUSDT").at(datetime(2024, 3, 1, tzinfo=UTC)).liquidation
        'entry_value'
        """
        before = self.liquidation_before
        if before is None or time >= before.until:
            return self
        return _formerly(self)

    @property
    def liquidation_fee(self) -> float:
        """Fee that is taken with the maintenance margin at the mark, fraction of notional."""
        return 0.0 if self.liquidation == "notional" else self.taker_fee

    @property
    def margin_on_entry_value(self) -> bool:
        """Whether maintenance margin is taken on the value at entry rather than at the mark."""
        return self.liquidation == "entry_value"

    @property
    def keeps_tier_of_entry(self) -> bool:
        """Whether the tier stays while the price moves, since it counts contracts."""
        return self.liquidation == "whole_notional_with_fee"

    def _kernel_rows(self) -> Iterator[dict[str, float | None]]:
        names = ("min_quantity", "min_notional_usd", "taker_fee", "half_spread")
        derived = ("liquidation_fee", "margin_on_entry_value", "keeps_tier_of_entry")
        facts = {name: getattr(self, name) for name in (*names, *derived)}
        for tier in self.tiers:
            yield facts | {each.name: getattr(tier, each.name) for each in fields(tier)}

    @property
    def max_notional_usd(self) -> float:
        """Largest notional that the known tiers cover, USDT."""
        return self.tiers[-1].notional_cap_usd

    def tier(self, notional_usd: float) -> MarginTier:
        """Return the tier of a position of this notional.

        Raises
        ------
        ParameterError
            If the notional is negative, not finite, or beyond the known tiers.
        """
        _require("notional", notional_usd, 0.0, math.inf)
        position = tier_at(self.tiers, notional_usd)
        if position >= 0:
            return self.tiers[position]
        standing = "" if self.confirmed else " (unconfirmed: the first tier only)"
        raise ParameterError(
            f"`notional` of {self.symbol} at {self.venue} must be at most {self.max_notional_usd:,.0f} USDT, "
            f"the end of the known margin tiers{standing}, was {notional_usd:,.2f}"
        )


@cache  # the gate asks at every decision, and a contract checks all of its tiers
def _formerly(contract: Contract) -> Contract:
    """Return the contract with the former form of the liquidation price, which it must have."""
    assert contract.liquidation_before is not None  # noqa: S101 -- for the type checker
    return replace(contract, liquidation=contract.liquidation_before.formula, liquidation_before=None)


def contract(venue: str | VenueFacts, symbol: str) -> Contract:
    """Return the default facts of one contract.

    Raises
    ------
    ParameterError
        If the venue or the symbol is unknown; the message names the nearest known one.

    Examples
    --------
    >>> contract("binance", "BTCUSDT").taker_fee
    0.0005
    """
    known = venue_contracts(venue)
    if symbol not in known:
        raise ParameterError(f"`symbol` must be a known contract, was {symbol!r}{did_you_mean(symbol, known)}")
    return known[symbol]


def venue_contracts(venue: str | VenueFacts) -> dict[str, Contract]:
    """Return every known contract of a venue by symbol: a fresh dict, whose entries may be replaced.

    The venue is a name of `slackwater.market.venues.VENUES`, or facts from outside; ParameterError if it is unknown.
    """
    facts = venue_facts(venue)
    return {symbol: _contract(facts, symbol) for symbol in facts.contracts}


def is_outside(venue: VenueFacts) -> bool:
    """Return whether facts are not those of this library, whatever their name."""
    return VENUES.get(venue.name) is not venue


def base_asset(symbol: str) -> str:
    """Return the coin of a perpetual.

    Raises
    ------
    ParameterError
        If the symbol does not end in a known quote currency.

    Examples
    --------
    >>> base_asset("BTCUSDT")
    'BTC'
    """
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return symbol.removesuffix(quote)
    raise ParameterError(f"`symbol` must be a coin followed by one of {', '.join(_QUOTES)}, was {symbol!r}")


def require_linear(symbol: str) -> None:
    """Raise ParameterError if a symbol is not that of a contract margined in USDT or USDC.

    An inverse contract, margined in its coin, has another liquidation price, quantity and profit.
    """
    if not any(symbol.endswith(quote) and len(symbol) > len(quote) for quote in _LINEAR):
        raise ParameterError(
            f"`symbol` of a contract must be a coin followed by {' or '.join(_LINEAR)}, was {symbol!r}: only linear "
            "contracts are computed, not inverse ones, which are margined in their coin"
        )


def bankruptcy_price(*, side: int, entry: float, leverage: float) -> float:
    """Return the price at which the whole initial margin is lost, USDT: ``entry × (1 - side / leverage)``.

    Raises
    ------
    ParameterError
        If `side` is not +1 or -1, `entry` is not positive and finite, or `leverage` is below 1.

    Examples
    --------
    >>> bankruptcy_price(side=1, entry=50_000.0, leverage=10)
    45000.0
    """
    _check_position(side=side, entry=entry, quantity=1.0, leverage=leverage)
    return bankruptcy(side, entry, leverage)


def liquidation_price(contract: Contract, *, side: int, entry: float, quantity: float, leverage: float) -> float:
    """Return the mark price at which the venue liquidates an isolated linear position, USDT (method, section 4.2).

    Parameters
    ----------
    contract
        Its `liquidation` chooses the formula, its tiers the maintenance margin: ``"notional"`` is the form of Binance
        and of Bybit, ``"notional_with_fee"`` that of Gate, ``"whole_notional_with_fee"`` that of OKX, which charges
        the rate of the tier at entry on the whole position, ``"entry_value"`` that of Bybit before 2025-09-02
        (`Contract.at`).
    side
        +1 long, -1 short.
    entry, quantity
        Average entry price, USDT, and coins, both > 0.
    leverage
        Margin leverage, >= 1: the margin posted is ``quantity × entry / leverage``.

    Returns
    -------
    float
        Price, USDT, >= 0. A long at leverage 1 is liquidated at or next to 0. A leverage above 1/MMR gives a
        price on the wrong side of the entry: such a position is liquidated at once.

    Raises
    ------
    ParameterError
        If an argument is out of range, or the position lies beyond the known tiers at its entry or at its
        liquidation price.

    Examples
    --------
    >>> btc = contract("binance", "BTCUSDT")
    >>> round(liquidation_price(btc, side=1, entry=50_000.0, quantity=1.0, leverage=10), 2)
    45180.72
    """
    _check_position(side=side, entry=entry, quantity=quantity, leverage=leverage)
    price = liquidation(contract, contract.tiers, side, entry, quantity, leverage)
    return known_price(contract, price)


def known_price(contract: Contract, price: float) -> float:
    """Return a result of `slackwater.market.margin.liquidation`; raise `Contract.tier`'s error if it is a notional."""
    if not price >= 0.0:
        contract.tier(-price)
    return price


def margin_tiers(rows: Iterable[tuple[float, float, float]], liquidation: LiquidationFormula) -> tuple[MarginTier, ...]:
    """Return margin tiers from rows (notional cap in USDT, rate, largest leverage), with the deductions of the form."""
    tiers: list[MarginTier] = []
    for cap, rate, leverage in rows:
        # Whole USDT at the venue: drops binary dust.
        due = round(_deduction_above(tiers[-1], rate, liquidation), 6) if tiers else 0.0
        tiers.append(MarginTier(notional_cap_usd=cap, maintenance_rate=rate, max_leverage=leverage, deduction_usd=due))
    return tuple(tiers)


def _deduction_above(tier: MarginTier, rate: float, liquidation: LiquidationFormula) -> float:
    """Return the deduction of the tier with this rate that follows a tier (method, section 4.2)."""
    if liquidation == "whole_notional_with_fee":
        return 0.0
    return tier.deduction_usd + tier.notional_cap_usd * (rate - tier.maintenance_rate)


def _require(name: str, value: float, low: float, high: float) -> None:
    if not (low <= value <= high and math.isfinite(value)):  # written so that NaN fails too
        raise ParameterError(f"`{name}` must be in [{low}, {high}] and finite, was {value}")


def _check_position(*, side: int, entry: float, quantity: float, leverage: float) -> None:
    if side not in (1, -1):
        raise ParameterError(f"`side` must be +1 (long) or -1 (short), was {side!r}")
    if 0.0 < entry < math.inf and 0.0 < quantity < math.inf and 1.0 <= leverage < math.inf:
        return
    _require("entry", entry, _SMALLEST, math.inf)
    _require("quantity", quantity, _SMALLEST, math.inf)
    _require("leverage", leverage, 1.0, math.inf)


def _check_names(contract: Contract) -> None:
    """Refuse names that would silently take the formula of another venue, or of another kind of contract."""
    name, symbol = contract.venue, contract.symbol
    if not contract.outside and name not in VENUES:
        raise ParameterError(
            f"`venue` of a contract must be a known venue, was {name!r}{did_you_mean(name, VENUES)}; the contracts of "
            "facts from outside are `outside`"
        )
    require_linear(symbol)


def _check_tiers(tiers: Sequence[MarginTier], liquidation: LiquidationFormula) -> None:
    if not tiers:
        raise ParameterError("`tiers` must hold at least one tier, was empty")
    for tier in tiers:
        _require("notional_cap_usd", tier.notional_cap_usd, _SMALLEST, math.inf)
        _require("maintenance_rate", tier.maintenance_rate, _SMALLEST, 0.99)
        _require("max_leverage", tier.max_leverage, 1.0, 1.0 / tier.maintenance_rate)  # more dies at once
    _require("deduction_usd of the first tier", tiers[0].deduction_usd, 0.0, 0.0)
    for below, tier in itertools.pairwise(tiers):
        floor = below.notional_cap_usd
        if not (tier.notional_cap_usd > floor and tier.maintenance_rate > below.maintenance_rate):
            raise ParameterError(f"`tiers` must rise in notional and in rate, did not at {floor:,.0f} USDT")
        due = _deduction_above(below, tier.maintenance_rate, liquidation)
        if not math.isclose(tier.deduction_usd, due, rel_tol=1e-9, abs_tol=1e-6):
            raise ParameterError(
                f"`deduction_usd` of the tier from {floor:,.0f} USDT must be {due:,.2f}, was {tier.deduction_usd:,.2f}"
            )


def _contract(venue: VenueFacts, symbol: str) -> Contract:
    own = venue.contracts[symbol]
    return Contract(
        venue=venue.name,
        symbol=symbol,
        tick_size=own.steps.tick_size,
        lot_size=own.steps.lot_size,
        min_quantity=own.steps.lot_size,
        min_notional_usd=own.steps.min_notional_usd,
        maker_fee=venue.maker_fee,
        taker_fee=venue.taker_fee,
        half_spread=own.half_spread,
        tiers=margin_tiers(own.tiers.rows, venue.liquidation),
        source=own.tiers.source.source,
        as_of=own.tiers.source.as_of,
        confirmed=own.tiers.source.confirmed,
        liquidation=venue.liquidation,
        liquidation_before=venue.liquidation_before,
        outside=is_outside(venue),
        relative_depth=venue.relative_depth,
        funding_interval=timedelta(hours=own.funding.interval_hours),
        funding_floor=own.funding.floor,
        funding_cap=own.funding.cap,
        assumed=tuple(fact for fact, source in fact_sources(venue, symbol).items() if not source.confirmed),
    )
