"""The default facts behind `slackwater.market.contracts`: plain rows, where they come from, and of when.

Order facts (tick, lot, smallest order) and half-spreads are usual values, no stored answer of the venue. Fees
are those of the lowest VIP level. Margin tiers are rows (notional cap in USDT, maintenance rate, largest
leverage); where no dated answer of the venue is stored there is one row only, and `confirmed` is False.

No stored source measures the spread or the depth of one venue against another's: both are the same everywhere
until somebody measures them. `assumed_facts` names every fact of a contract that rests on no dated source.
"""

from __future__ import annotations

import math
from typing import NamedTuple

__all__ = [
    "EXCHANGES",
    "FEES",
    "HALF_SPREADS",
    "ORDER_STEPS",
    "RELATIVE_DEPTHS",
    "SYMBOLS",
    "VENUES",
    "FactSource",
    "FundingSpan",
    "FundingTerms",
    "OrderSteps",
    "TierTable",
    "assumed_facts",
    "fact_sources",
    "funding_history",
    "funding_terms",
    "tier_table",
]

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
EXCHANGES = ("binance", "bybit", "okx", "gate")
VENUES = (*EXCHANGES, "simulated")


class OrderSteps(NamedTuple):
    """Tick (USDT), lot and smallest order (coins, equal on these venues), smallest notional (USDT)."""

    tick_size: float
    lot_size: float
    min_notional_usd: float


class TierTable(NamedTuple):
    """Rows (notional cap in USDT, maintenance rate, largest leverage), and how far to trust them."""

    rows: tuple[tuple[float, float, float], ...]
    source: str
    as_of: str
    confirmed: bool


class FundingTerms(NamedTuple):
    """Hours between settlements, and the limits of a settled rate (fraction of notional; infinite: not known)."""

    interval_hours: float
    floor: float
    cap: float
    source: str
    as_of: str


class FundingSpan(NamedTuple):
    """A time in which a contract was settled at one interval, and how far to trust that."""

    since: str
    until: str
    interval_hours: float
    source: str
    confirmed: bool


class FactSource(NamedTuple):
    """Where a fact of a contract comes from, of when it is, and whether it is a dated answer of the venue."""

    source: str
    as_of: str
    confirmed: bool


# venue -> (maker, taker), fractions of notional, October 2026. Those of Gate rest on no dated answer: the maker fee is
# recalled, the taker fee stands in the source of ccxt 4.5.90, while its contract of 2026-09-20 lists .075 %.
FEES = {
    "binance": (0.0002, 0.0005),
    "bybit": (0.0002, 0.00055),
    "okx": (0.0002, 0.0005),
    "gate": (0.0002, 0.0005),
    "simulated": (0.0002, 0.0005),
}

# Fraction of price, at every venue: assumed, and wider than a quiet book, where BTC quotes one tick (.01 basis points).
HALF_SPREADS = {"BTCUSDT": 0.00005, "ETHUSDT": 0.00005, "SOLUSDT": 0.0001, "XRPUSDT": 0.0001}

# Depth and volume relative to Binance's. Assumed equal: no stored source compares them.
RELATIVE_DEPTHS = {"binance": 1.0, "bybit": 1.0, "okx": 1.0, "gate": 1.0, "simulated": 1.0}

# OKX and Gate count in contracts; here everything is in coins.
ORDER_STEPS = {
    "binance": {
        "BTCUSDT": OrderSteps(0.1, 0.001, 100.0),
        "ETHUSDT": OrderSteps(0.01, 0.001, 20.0),
        "SOLUSDT": OrderSteps(0.01, 0.01, 5.0),
        "XRPUSDT": OrderSteps(0.0001, 0.1, 5.0),
    },
    "bybit": {
        "BTCUSDT": OrderSteps(0.1, 0.001, 5.0),
        "ETHUSDT": OrderSteps(0.01, 0.01, 5.0),
        "SOLUSDT": OrderSteps(0.01, 0.1, 5.0),
        "XRPUSDT": OrderSteps(0.0001, 0.1, 5.0),
    },
    "okx": {
        "BTCUSDT": OrderSteps(0.1, 0.0001, 0.0),
        "ETHUSDT": OrderSteps(0.01, 0.001, 0.0),
        "SOLUSDT": OrderSteps(0.01, 0.01, 0.0),
        "XRPUSDT": OrderSteps(0.0001, 1.0, 0.0),
    },
    "gate": {
        "BTCUSDT": OrderSteps(0.1, 0.0001, 0.0),
        "ETHUSDT": OrderSteps(0.01, 0.01, 0.0),
        "SOLUSDT": OrderSteps(0.01, 1.0, 0.0),
        "XRPUSDT": OrderSteps(0.0001, 10.0, 0.0),
    },
}
ORDER_STEPS["simulated"] = ORDER_STEPS["binance"]

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
_TIER_TABLES = {
    ("binance", "BTCUSDT"): TierTable(
        _BINANCE_BTC_ROWS,
        "leverage brackets, the venue's answer as cached in HydraQuant@b94b0926 (lists contract 260327)",
        "2026-03",
        True,
    ),
    ("binance", "ETHUSDT"): TierTable(
        ((50e3, 0.004, 125.0),),
        "leverage brackets in freqtrade@3d9514d2: the first row of a table that is likely outdated",
        "2024-10-24",
        False,
    ),
    ("bybit", "BTCUSDT"): TierTable(
        ((2e6, 0.005, 100.0),),
        "risk-limit fixtures of several public repositories, undated",
        "undated",
        False,
    ),
    ("okx", "BTCUSDT"): TierTable(
        ((50e3, 0.004, 100.0),), "rate recalled without a stored answer, cap assumed", "undated", False
    ),
    ("gate", "BTCUSDT"): TierTable(
        ((1e6, 0.004, 125.0),), "sample in the source of ccxt 4.5.90 that names no symbol", "undated", False
    ),
}
_ASSUMED_TIER = TierTable(((50e3, 0.01, 50.0),), "assumed: no stored answer of the venue", "undated", False)
_SIMULATED_TIERS = TierTable(
    _BINANCE_BTC_ROWS,
    "SYNTHETIC venue: steps and fees as on Binance, margin tiers as of its BTCUSDT for every symbol",
    "2026-03",
    True,
)

_USUAL_FUNDING = FundingTerms(8.0, -math.inf, math.inf, "the usual interval; no stored answer of the venue", "undated")
_FUNDING_TERMS = {
    ("binance", "BTCUSDT"): FundingTerms(
        8.0, -0.003, 0.003, "fundingInfo, the venue's answer as copied in a public repository", "2026-09-15"
    ),
    ("okx", "BTCUSDT"): FundingTerms(
        8.0, -0.00375, 0.00375, "funding-rate, the venue's answer as copied in public repositories", "2026-09-19"
    ),
    ("gate", "BTCUSDT"): FundingTerms(
        8.0, -0.003, 0.003, "contracts, the venue's answer as copied in a public repository", "2026-09-20"
    ),
    # Its limits are .375 % in this answer and .5 % in later ones without a date: not known.
    ("bybit", "BTCUSDT"): FundingTerms(
        8.0, -math.inf, math.inf, "instruments-info, the answer in the venue's API documentation", "2025-01-02"
    ),
}


# Told from the gaps between settled rates: the venues state the interval of today alone, and changed those of many
# smaller contracts to 4, 2 and 1 hours from 2023 on.
_SETTLED = "every settlement in the venue's own history of rates is 8 hours after the one before"
_BINANCE_SPANS = (
    FundingSpan("2022-12-01", "2024-05-14", 8.0, _SETTLED, True),
    FundingSpan("2024-06-01", "2024-08-31", 8.0, _SETTLED, True),
)
_FUNDING_HISTORY = {
    ("binance", "BTCUSDT"): _BINANCE_SPANS,
    ("binance", "ETHUSDT"): _BINANCE_SPANS,
    ("bybit", "BTCUSDT"): (FundingSpan("2020-03-25", "2025-02-28", 8.0, _SETTLED, True),),
    ("bybit", "ETHUSDT"): (FundingSpan("2021-03-15", "2025-02-28", 8.0, _SETTLED, True),),
}
_UNSEEN = "the usual interval; no history of rates was seen"

_FEE_SOURCES = {
    "binance": FactSource("published fee table, lowest level", "2026-10-12", True),
    "bybit": FactSource("published fee table, lowest level", "2026-10-16", True),
    "okx": FactSource("published fee table, lowest level", "2026-10-16", True),
    "gate": FactSource(
        "maker recalled, taker in the source of ccxt 4.5.90; its contract lists .075 %", "undated", False
    ),
}
_STEP_SOURCES = {
    ("bybit", "BTCUSDT"): FactSource(
        "usual values; the instruments-info in the venue's documentation of 2024-02-06 agrees", "undated", False
    )
}
_USUAL_STEPS = FactSource("usual values; no stored answer of the venue", "undated", False)


def fact_sources(venue: str, symbol: str) -> dict[str, FactSource]:
    """Return where each fact of a contract comes from.

    Parameters
    ----------
    venue, symbol
        Of `VENUES` and `SYMBOLS`.

    Returns
    -------
    dict of str to FactSource
        For ``order_steps``, ``fees``, ``half_spread``, ``relative_depth``, ``margin_tiers``, ``funding_interval`` and
        ``funding_limits``. Those that are not confirmed are the contract's `assumed` ones.

    Examples
    --------
    >>> fact_sources("okx", "BTCUSDT")["margin_tiers"].confirmed
    False
    """
    if venue == "simulated":
        made = FactSource("SYNTHETIC venue: so by construction", "always", True)
        return dict.fromkeys(_FACTS, made)
    tiers, terms = tier_table(venue, symbol), funding_terms(venue, symbol)
    assumed = assumed_facts(venue, symbol)
    return {
        "order_steps": _STEP_SOURCES.get((venue, symbol), _USUAL_STEPS),
        "fees": _FEE_SOURCES[venue],
        "half_spread": FactSource("assumed, wider than a quiet book", "undated", False),
        "relative_depth": FactSource(
            "the others are measured against it" if venue == "binance" else "assumed: no stored source compares venues",
            "undated",
            venue == "binance",
        ),
        "margin_tiers": FactSource(tiers.source, tiers.as_of, tiers.confirmed),
        "funding_interval": FactSource(terms.source, terms.as_of, "funding_interval" not in assumed),
        "funding_limits": FactSource(terms.source, terms.as_of, "funding_limits" not in assumed),
    }


def funding_history(venue: str, symbol: str) -> tuple[FundingSpan, ...]:
    """Return at which intervals a contract was settled, oldest first; there may be gaps that nobody has seen.

    Examples
    --------
    >>> funding_history("bybit", "BTCUSDT")[0].interval_hours
    8.0
    """
    unseen = FundingSpan("undated", "undated", funding_terms(venue, symbol).interval_hours, _UNSEEN, False)
    return _FUNDING_HISTORY.get((venue, symbol), (unseen,))


def tier_table(venue: str, symbol: str) -> TierTable:
    """Return the margin tiers of a known venue and symbol, the assumed first tier where none is stored."""
    if venue == "simulated":
        return _SIMULATED_TIERS
    return _TIER_TABLES.get((venue, symbol), _ASSUMED_TIER)


def funding_terms(venue: str, symbol: str) -> FundingTerms:
    """Return interval and limits of the funding, the usual interval without limits where none are stored."""
    return _FUNDING_TERMS.get((venue, symbol), _USUAL_FUNDING)


_FACTS = (
    "order_steps",
    "fees",
    "half_spread",
    "relative_depth",
    "margin_tiers",
    "funding_interval",
    "funding_limits",
)


def assumed_facts(venue: str, symbol: str) -> tuple[str, ...]:
    """Return the names of the facts of a contract that rest on no dated source.

    Examples
    --------
    >>> assumed_facts("binance", "BTCUSDT")
    ('order_steps', 'half_spread')
    """
    if venue == "simulated":
        return ()  # its facts hold because it is made that way
    terms = funding_terms(venue, symbol)
    assumed = {
        "order_steps": True,
        "fees": venue == "gate",
        "half_spread": True,
        "relative_depth": venue != "binance",  # the others are measured against it
        "margin_tiers": not tier_table(venue, symbol).confirmed,
        "funding_interval": terms is _USUAL_FUNDING,
        "funding_limits": math.isinf(terms.cap),
    }
    return tuple(name for name, is_assumed in assumed.items() if is_assumed)
