"""The files of the archive that contain a table, and their paths."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal

from slackwater.errors import ParameterError
from slackwater.market.tables import LAGS

__all__ = ["ARCHIVE_URL", "DATA_TYPES", "DEFAULT_LAGS", "ArchiveFile", "DataType", "market_of", "plan"]

ARCHIVE_URL: Final = "https://data.binance.vision"

Period = Literal["daily", "monthly"]
Market = Literal["um", "cm"]


@dataclass(frozen=True, kw_only=True)
class DataType:
    """A kind of file.

    Parameters
    ----------
    name
        Name in the archive.
    tables
        Canonical tables in it.
    periods
        Lengths of its files.
    by_interval
        Whether it comes in several intervals.
    absent
        Reason by market that has no such files, or none that can be used.
    """

    name: str
    tables: tuple[str, ...]
    periods: tuple[Period, ...] = ("monthly", "daily")
    by_interval: bool = False
    absent: Mapping[Market, str] = field(default_factory=dict)


DATA_TYPES: Final[tuple[DataType, ...]] = (
    DataType(name="klines", tables=("fine_bars",), by_interval=True),
    DataType(name="markPriceKlines", tables=("mark_price",), by_interval=True),
    DataType(name="premiumIndexKlines", tables=("premium_index",), by_interval=True),
    DataType(name="fundingRate", tables=("funding",), periods=("monthly",)),
    DataType(name="metrics", tables=("open_interest", "long_short_ratio"), periods=("daily",)),
    DataType(
        name="bookDepth",
        tables=("depth",),
        periods=("daily",),
        absent={"cm": "the unit of coin-margined depth is not documented"},
    ),
    DataType(name="aggTrades", tables=("large_trades",)),
    DataType(
        name="liquidationSnapshot",
        tables=("liquidations",),
        periods=("daily",),
        absent={"um": "the archive no longer has liquidations of USD-margined contracts (since 2024)"},
    ),
)

DEFAULT_LAGS: Final[Mapping[str, timedelta]] = {name: LAGS[name] for each in DATA_TYPES for name in each.tables}
"""Availability lags of the tables in the archive: those of a live feed, although the archive is a day later."""


@dataclass(frozen=True, kw_only=True)
class ArchiveFile:
    """A file of the archive: a symbol, and a day or a month that begins with `first`."""

    type: DataType
    symbol: str
    interval: str
    period: Period
    first: date

    @property
    def market(self) -> Market:
        """``"um"`` (USD-margined) or ``"cm"`` (coin-margined)."""
        return market_of(self.symbol)

    @property
    def start(self) -> datetime:
        """Start of the file's span, UTC."""
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """End of the file's span, at which the next one starts, UTC."""
        return _next_month(self.start) if self.period == "monthly" else self.start + timedelta(days=1)

    @property
    def name(self) -> str:
        """Name of the file without its ending.

        Examples
        --------
        >>> file = ArchiveFile(
        ...     type=DATA_TYPES[0], symbol="BTCUSDT", interval="1m", period="monthly", first=date(2024, 1, 1)
        ... )
        >>> file.name
        'BTCUSDT-1m-2024-01'
        >>> file.path
        'data/futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip'
        """
        stamp = self.first.isoformat()[: 7 if self.period == "monthly" else 10]
        return f"{self.symbol}-{self.interval if self.type.by_interval else self.type.name}-{stamp}"

    @property
    def path(self) -> str:
        """Path of the zip below the root of the archive."""
        folders = ["data/futures", self.market, self.period, self.type.name, self.symbol]
        if self.type.by_interval:
            folders.append(self.interval)
        return "/".join([*folders, f"{self.name}.zip"])

    def days(self) -> list[ArchiveFile]:
        """Return the daily files of a monthly one; empty where the type has no daily files."""
        if self.period == "daily" or "daily" not in self.type.periods:
            return []
        return [
            replace(self, period="daily", first=self.first + timedelta(days=day))
            for day in range((self.end - self.start).days)
        ]


def market_of(symbol: str) -> Market:
    """Return the market of a perpetual by its name.

    Raises
    ------
    ParameterError
        If it is not a name of a perpetual.

    Examples
    --------
    >>> market_of("BTCUSDT"), market_of("BTCUSD_PERP")
    ('um', 'cm')
    """
    # Letters of any script, but no character with a meaning in a path or a URL.
    if not re.fullmatch(r"\w{2,40}", symbol) or symbol != symbol.upper():
        raise ParameterError(f"a symbol of Binance is a name such as BTCUSDT or BTCUSD_PERP, was {symbol!r}")
    if symbol.endswith("_PERP"):
        return "cm"
    if "_" in symbol:
        raise ParameterError(f"{symbol!r} is not a perpetual of Binance; one is named BTCUSDT or BTCUSD_PERP")
    return "um"


def plan(
    data_type: DataType, symbol: str, start: datetime, end: datetime, *, interval: str, now: datetime
) -> list[ArchiveFile]:
    """Return the files that hold a symbol from `start` to `end`, ordered by time, without overlaps.

    Whole months in the past are one file, if the type has monthly files; the rest are daily files. A type without daily
    files has monthly ones only.

    Parameters
    ----------
    data_type
        One of `DATA_TYPES`.
    symbol
        Name of the perpetual.
    start, end
        UTC, the end excluded.
    interval
        One of `INTERVALS`.
    now
        UTC; a month that is not over has no monthly file.
    """
    return list(_files(data_type, symbol, start, end, interval, now))


def _files(
    data_type: DataType, symbol: str, start: datetime, end: datetime, interval: str, now: datetime
) -> Iterator[ArchiveFile]:
    month = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while month < end:
        after = _next_month(month)
        whole = start <= month and after <= min(end, now)
        monthly = ArchiveFile(type=data_type, symbol=symbol, interval=interval, period="monthly", first=month.date())
        days = [day for day in monthly.days() if start < day.end and day.start < end]
        if "monthly" in data_type.periods and (whole or not days):
            yield monthly
        else:
            yield from days
        month = after


def _next_month(month: datetime) -> datetime:
    return month.replace(year=month.year + month.month // 12, month=month.month % 12 + 1)
