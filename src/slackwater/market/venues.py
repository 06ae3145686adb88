"""The venues and their default contract facts: one object per venue, each fact with its source and date.

Order facts (tick, lot, smallest order) and half-spreads are usual values, not a stored answer of the venue. Fees are
those of the lowest VIP level. Where no dated answer with margin tiers is stored, there is one tier only, and it is not
confirmed. No stored source compares spread or depth between venues: both are assumed to be the same everywhere.

A venue from outside this library is one more `VenueFacts`, given to `slackwater.market.contracts.venue_contracts`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple

from slackwater.errors import ParameterError, did_you_mean

__all__ = [
    "EXCHANGES",
    "VENUES",
    "ContractFacts",
    "FactSource",
    "FormerLiquidation",
    "FundingSpan",
    "FundingTerms",
    "LiquidationFormula",
    "OrderSteps",
    "TierTable",
    "VenueFacts",
    "fact_sources",
    "funding_history",
    "venue_facts",
]

LiquidationFormula = Literal["notional", "notional_with_fee", "whole_notional_with_fee", "entry_value"]
"""On what a venue takes maintenance margin; see `slackwater.market.contracts.liquidation_price`."""


class FormerLiquidation(NamedTuple):
    """The form of the liquidation price that a venue used before a time (UTC)."""

    formula: LiquidationFormula
    until: datetime


class FactSource(NamedTuple):
    """Source and date of a fact, and whether it is a dated answer of the venue."""

    source: str
    as_of: str = "undated"
    confirmed: bool = False


class OrderSteps(NamedTuple):
    """Tick (USDT), lot and smallest order (coins, also where a venue counts contracts), smallest notional (USDT)."""

    tick_size: float
    lot_size: float
    min_notional_usd: float


class TierTable(NamedTuple):
    """Rows (notional cap in USDT, maintenance rate, largest leverage), and where they come from."""

    rows: tuple[tuple[float, float, float], ...]
    source: FactSource


class FundingTerms(NamedTuple):
    """Hours between settlements, limits of a settled rate (fraction of notional; infinite: not known), and source."""

    interval_hours: float
    floor: float
    cap: float
    source: FactSource


class FundingSpan(NamedTuple):
    """Span of time in which a contract was settled at one interval, and whether that is confirmed."""

    since: str
    until: str
    interval_hours: float
    source: str
    confirmed: bool


_ASSUMED_DEPTH = FactSource("assumed: no stored source compares venues")
_USUAL_STEPS = FactSource("usual values; no stored answer of the venue")
_ASSUMED_TIERS = TierTable(((50e3, 0.01, 50.0),), FactSource("assumed: no stored answer of the venue"))
_USUAL_FUNDING = FundingTerms(8.0, -math.inf, math.inf, FactSource("the usual interval; no stored answer of the venue"))


@dataclass(frozen=True)
class ContractFacts:
    """Default facts of one contract: order steps, margin tiers and terms of funding with their sources.

    Half of the usual quoted spread, a fraction of price, is assumed, and wider than a quiet book, where BTC quotes one
    tick (0.01 basis points). The intervals at which funding was settled are oldest first; there may be gaps without
    data.
    """

    steps: OrderSteps
    half_spread: float
    steps_source: FactSource = _USUAL_STEPS
    tiers: TierTable = _ASSUMED_TIERS
    funding: FundingTerms = _USUAL_FUNDING
    funding_history: tuple[FundingSpan, ...] = ()


@dataclass(frozen=True, kw_only=True)
class VenueFacts:
    """A venue: its fees, its form of the liquidation price, and its contracts.

    Parameters
    ----------
    name
        Name in small letters.
    maker_fee, taker_fee, fee_source
        Fractions of notional, and their source.
    liquidation, liquidation_before
        On what maintenance margin is taken, and on what it was taken before the venue changed that (None: it did not).
    contracts
        Default facts by symbol.
    relative_depth, depth_source
        Depth and volume relative to Binance's, and their source.
    synthetic
        Whether the venue is simulated: its facts hold by construction.

    Raises
    ------
    ParameterError
        If the name is not in small letters: names are compared letter by letter.
    """

    name: str
    maker_fee: float
    taker_fee: float
    fee_source: FactSource
    liquidation: LiquidationFormula
    contracts: Mapping[str, ContractFacts]
    relative_depth: float = 1.0
    depth_source: FactSource = _ASSUMED_DEPTH
    liquidation_before: FormerLiquidation | None = None
    synthetic: bool = False

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.strip().lower():
            raise ParameterError(f"`name` of a venue must be in small letters, was {self.name!r}")


_TIGHT: Final = 0.00005
_WIDE: Final = 0.0001
_FEE_TABLE: Final = "published fee table, lowest level"
# Derived from the gaps between settled rates: the venues publish the interval of today alone, and changed those of many
# smaller contracts to 4, 2 and 1 hours from 2023 on.
_SETTLED: Final = "every settlement in the venue's own history of rates is 8 hours after the one before"

_BINANCE_SPANS = (
    FundingSpan("2022-12-01", "2024-05-14", 8.0, _SETTLED, True),
    FundingSpan("2024-06-01", "2024-08-31", 8.0, _SETTLED, True),
)
_BINANCE_BTC_ROWS = (
    (300e3, 0.004, 150.0),
    (800e3, 0.005, 100.0),
    (3e6, 0.0065, 75.0),
    (12e6, 0.01, 50.0),
    (70e6, 0.02, 25.0),
    (100e6, 0.025, 20.0),
    (230e6, 0.05, 10.0),
    (480e6, 0.10, 5.0),
    (600e6, 0.125, 4.0),
    (800e6, 0.15, 3.0),
    (1.2e9, 0.25, 2.0),
    (1.8e9, 0.50, 1.0),
)
BINANCE = VenueFacts(
    name="binance",
    maker_fee=0.0002,
    taker_fee=0.0005,
    fee_source=FactSource(_FEE_TABLE, "2026-10-12", True),
    liquidation="notional",
    depth_source=FactSource("the others are measured against it", "undated", True),
    contracts={
        "BTCUSDT": ContractFacts(
            OrderSteps(0.1, 0.001, 100.0),
            _TIGHT,
            tiers=TierTable(
                _BINANCE_BTC_ROWS,
                FactSource(
                    "leverage brackets, the venue's answer as cached in HydraQuant@b94b0926 (lists contract 260327)",
                    "2026-03",
                    True,
                ),
            ),
            funding=FundingTerms(
                8.0,
                -0.003,
                0.003,
                FactSource("fundingInfo, the venue's answer as copied in a public repository", "2026-09-15", True),
            ),
            funding_history=_BINANCE_SPANS,
        ),
        "ETHUSDT": ContractFacts(
            OrderSteps(0.01, 0.001, 20.0),
            _TIGHT,
            tiers=TierTable(
                ((50e3, 0.004, 125.0),),
                FactSource(
                    "leverage brackets in freqtrade@3d9514d2: the first row of a table that is likely outdated",
                    "2024-10-24",
                ),
            ),
            funding_history=_BINANCE_SPANS,
        ),
        "SOLUSDT": ContractFacts(OrderSteps(0.01, 0.01, 5.0), _WIDE),
        "XRPUSDT": ContractFacts(OrderSteps(0.0001, 0.1, 5.0), _WIDE),
    },
)
BYBIT = VenueFacts(
    name="bybit",
    maker_fee=0.0002,
    taker_fee=0.00055,
    fee_source=FactSource(_FEE_TABLE, "2026-10-16", True),
    # Help centre, "The New Margin Calculation: Adjustments and Implications" (2025-09-18): maintenance margin and tier
    # at the mark price since 2025-09-02. The fee to close is in the initial and in the maintenance margin, and cancels.
    liquidation="notional",
    liquidation_before=FormerLiquidation("entry_value", datetime(2025, 9, 2, tzinfo=UTC)),
    contracts={
        "BTCUSDT": ContractFacts(
            OrderSteps(0.1, 0.001, 5.0),
            _TIGHT,
            steps_source=FactSource(
                "usual values; the instruments-info in the venue's documentation of 2024-02-06 agrees"
            ),
            tiers=TierTable(
                ((2e6, 0.005, 100.0),), FactSource("risk-limit fixtures of several public repositories, undated")
            ),
            # Its limits are .375 % in this answer and .5 % in later ones without a date: not known.
            funding=FundingTerms(
                8.0,
                -math.inf,
                math.inf,
                FactSource("instruments-info, the answer in the venue's API documentation", "2025-01-02", True),
            ),
            funding_history=(FundingSpan("2020-03-25", "2025-02-28", 8.0, _SETTLED, True),),
        ),
        "ETHUSDT": ContractFacts(
            OrderSteps(0.01, 0.01, 5.0),
            _TIGHT,
            funding_history=(FundingSpan("2021-03-15", "2025-02-28", 8.0, _SETTLED, True),),
        ),
        "SOLUSDT": ContractFacts(OrderSteps(0.01, 0.1, 5.0), _WIDE),
        "XRPUSDT": ContractFacts(OrderSteps(0.0001, 0.1, 5.0), _WIDE),
    },
)
OKX = VenueFacts(
    name="okx",
    maker_fee=0.0002,
    taker_fee=0.0005,
    fee_source=FactSource(_FEE_TABLE, "2026-10-16", True),
    # One rate for the whole position, no deductions; its tiers count contracts, and do not move with the price.
    liquidation="whole_notional_with_fee",
    contracts={
        "BTCUSDT": ContractFacts(
            OrderSteps(0.1, 0.0001, 0.0),
            _TIGHT,
            tiers=TierTable(((50e3, 0.004, 100.0),), FactSource("rate recalled without a stored answer, cap assumed")),
            funding=FundingTerms(
                8.0,
                -0.00375,
                0.00375,
                FactSource("funding-rate, the venue's answer as copied in public repositories", "2026-09-19", True),
            ),
        ),
        "ETHUSDT": ContractFacts(OrderSteps(0.01, 0.001, 0.0), _TIGHT),
        "SOLUSDT": ContractFacts(OrderSteps(0.01, 0.01, 0.0), _WIDE),
        "XRPUSDT": ContractFacts(OrderSteps(0.0001, 1.0, 0.0), _WIDE),
    },
)
GATE = VenueFacts(
    name="gate",
    maker_fee=0.0002,
    taker_fee=0.0005,
    fee_source=FactSource("maker recalled, taker in the source of ccxt 4.5.90; its contract lists .075 %"),
    liquidation="notional_with_fee",
    contracts={
        "BTCUSDT": ContractFacts(
            OrderSteps(0.1, 0.0001, 0.0),
            _TIGHT,
            tiers=TierTable(
                ((1e6, 0.004, 125.0),), FactSource("sample in the source of ccxt 4.5.90 that names no symbol")
            ),
            funding=FundingTerms(
                8.0,
                -0.003,
                0.003,
                FactSource("contracts, the venue's answer as copied in a public repository", "2026-09-20", True),
            ),
        ),
        "ETHUSDT": ContractFacts(OrderSteps(0.01, 0.01, 0.0), _TIGHT),
        "SOLUSDT": ContractFacts(OrderSteps(0.01, 1.0, 0.0), _WIDE),
        "XRPUSDT": ContractFacts(OrderSteps(0.0001, 10.0, 0.0), _WIDE),
    },
)
_SYNTHETIC = FactSource("SYNTHETIC venue: so by construction", "always", True)
_SYNTHETIC_TIERS = TierTable(
    _BINANCE_BTC_ROWS,
    FactSource(
        "SYNTHETIC venue: steps and fees as on Binance, margin tiers as of its BTCUSDT for every symbol",
        "2026-03",
        True,
    ),
)
SIMULATED = replace(
    BINANCE,
    name="simulated",
    synthetic=True,
    contracts={
        symbol: replace(facts, tiers=_SYNTHETIC_TIERS, funding=_USUAL_FUNDING, funding_history=())
        for symbol, facts in BINANCE.contracts.items()
    },
)

VENUES: Final[dict[str, VenueFacts]] = {venue.name: venue for venue in (BINANCE, BYBIT, OKX, GATE, SIMULATED)}
"""The venues by name."""

EXCHANGES: Final = tuple(name for name, venue in VENUES.items() if not venue.synthetic)
"""Names of the real venues."""


def venue_facts(venue: str | VenueFacts) -> VenueFacts:
    """Return the facts of a venue by its name; facts from outside are returned as they are.

    Raises
    ------
    ParameterError
        If there is no venue of this name; the message names the nearest one.
    """
    if isinstance(venue, VenueFacts):
        return venue
    if venue not in VENUES:
        raise ParameterError(f"`venue` must be a known venue, was {venue!r}{did_you_mean(venue, VENUES)}")
    return VENUES[venue]


def fact_sources(venue: str | VenueFacts, symbol: str) -> dict[str, FactSource]:
    """Return where each fact of a contract comes from.

    The keys are ``order_steps``, ``fees``, ``half_spread``, ``relative_depth``, ``margin_tiers``, ``funding_interval``
    and ``funding_limits``. Those that are not confirmed are the contract's `assumed` ones.

    Examples
    --------
    >>> fact_sources("okx", "BTCUSDT")["margin_tiers"].confirmed
    False
    """
    facts = venue_facts(venue)
    own = facts.contracts[symbol]
    limits = own.funding.source._replace(confirmed=own.funding.source.confirmed and math.isfinite(own.funding.cap))
    sources = {
        "order_steps": own.steps_source,
        "fees": facts.fee_source,
        "half_spread": FactSource("assumed, wider than a quiet book"),
        "relative_depth": facts.depth_source,
        "margin_tiers": own.tiers.source,
        "funding_interval": own.funding.source,
        "funding_limits": limits,
    }
    return dict.fromkeys(sources, _SYNTHETIC) if facts.synthetic else sources


def funding_history(venue: str | VenueFacts, symbol: str) -> tuple[FundingSpan, ...]:
    """Return at which intervals a contract was settled, oldest first; there may be gaps without data.

    Examples
    --------
    >>> funding_history("bybit", "BTCUSDT")[0].interval_hours
    8.0
    """
    own = venue_facts(venue).contracts[symbol]
    unseen = "the usual interval; no history of rates was seen"
    return own.funding_history or (FundingSpan("undated", "undated", own.funding.interval_hours, unseen, False),)
