"""Spans of public market data that are known to be wrong, each with its reason.

Wrong rows are masked. Missing rows cannot be masked and are recorded, so that a reader does not take the gap for a
quiet day. Rows of events, such as large trades, are kept where part of a day is missing, because their sum would become
zero and not unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

import pandas as pd

__all__ = ["KNOWN_DEFECTS", "KnownDefect", "known_defects"]

EVERY_SYMBOL: Final = "*"


@dataclass(frozen=True, kw_only=True)
class KnownDefect:
    """Rows of one table of one venue that must not be used, or that are missing; both ends included.

    ``"*"`` stands for every symbol. The reason describes the fault, with its source. A defect `of_archive` is one of
    the venue's public archive, and not of data that come from elsewhere.
    """

    venue: str
    symbol: str
    table: str
    start: pd.Timestamp
    end: pd.Timestamp
    reason: str
    action: Literal["masked", "recorded"] = "masked"
    of_archive: bool = False

    def concerns(self, venue: str, table: str, symbol: str) -> bool:
        """Return whether the defect concerns this table of this symbol."""
        return (self.venue, self.table) == (venue, table) and self.symbol in (symbol, EVERY_SYMBOL)


def _wrong(venue: str, table: str, symbol: str, start: str, end: str, reason: str) -> KnownDefect:
    span = {"start": pd.Timestamp(start), "end": pd.Timestamp(end)}
    return KnownDefect(venue=venue, table=table, symbol=symbol, **span, reason=reason)


def _archived(table: str, start: str, end: str, reason: str) -> KnownDefect:
    """Return a span of wrong rows in the public archive of Binance."""
    return replace(_wrong("binance", table, EVERY_SYMBOL, start, end, reason), of_archive=True)


def _missing(table: str, symbol: str, start: str, end: str, reason: str) -> KnownDefect:
    """Return a span in which the public archive of Binance lacks rows."""
    wrong = _wrong("binance", table, symbol, start, end, f"{reason}: binance-public-data")
    return replace(wrong, action="recorded", of_archive=True)


_RECOUNT: Final = "the venue recounted: open interest jumps 5.5k, 13.7k, 19.8k without trades that explain it"
_ZEROS: Final = "published as zero: binance-public-data 335, 350"
_STILL: Final = "the bands of bookDepth stand still"
_INNER_STILL: Final = "the inner ask bands of bookDepth stand still, end not known: binance-public-data 496"

KNOWN_DEFECTS: Final[tuple[KnownDefect, ...]] = (
    _wrong("bybit", "open_interest", "BTCUSDT", "2021-05-19T15:00Z", "2021-05-19T16:00Z", _RECOUNT),
    _wrong("bybit", "open_interest", "BTCUSDT", "2020-07-01T00:00Z", "2020-08-04T07:59Z", "sparse after the listing"),
    _archived("open_interest", "2022-03-07T00:00Z", "2022-03-08T23:59Z", _ZEROS),
    *(
        _missing(table, EVERY_SYMBOL, "2024-02-16T00:00Z", "2024-02-16T23:59Z", "a part of the day is missing")
        for table in ("open_interest", "long_short_ratio")
    ),
    _missing("premium_index", "BTCUSDT", "2021-01-24T00:00Z", "2021-02-21T23:59Z", "missing in parts, 335"),
    _missing("mark_price", EVERY_SYMBOL, "2023-11-10T03:40Z", "2023-11-10T04:00Z", "missing, 484"),
    _missing("large_trades", "BTCUSDT", "2021-05-19T00:00Z", "2021-05-19T23:59:59Z", "557,026 trades missing, 350"),
    _missing("large_trades", EVERY_SYMBOL, "2022-09-06T00:00Z", "2022-09-06T23:59:59Z", "trades missing, 350"),
    _missing("large_trades", EVERY_SYMBOL, "2025-10-10T00:00Z", "2025-10-10T23:59:59Z", "trades missing, 458"),
    _archived("depth", "2025-04-16T00:00Z", "2025-05-19T23:59Z", _STILL),
    _archived("depth", "2026-09-03T00:00Z", "2100-01-01T00:00Z", _INNER_STILL),
    *(
        _missing("liquidations", EVERY_SYMBOL, f"{day}T00:00Z", f"{day}T23:59:59Z", "no liquidationSnapshot that day")
        for day in ("2023-09-09", "2023-09-23", "2023-09-25", "2024-06-01", "2024-06-11", "2024-06-12")
    ),
)
"""Only spans of bad rows are listed. The stamps of Binance's `metrics`, which changed their meaning on 2026-06-25, are
corrected where the archive is read, and feeds that publish one liquidation per second are declared by
``market.liquidation_cap``."""


def known_defects(*, archived: bool) -> tuple[KnownDefect, ...]:
    """Return the known defects of data of a venue; those of its public archive only for data `archived` there."""
    return tuple(defect for defect in KNOWN_DEFECTS if archived or not defect.of_archive)
