"""Gate, perpetuals margined in USDT: endpoints and contract terms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.market.contracts import base_asset
from slackwater.sources.exchange.endpoint import Ask, Endpoint, number
from slackwater.sources.exchange.listing import time_of
from slackwater.sources.exchange.venue import TierRow, Venue
from slackwater.sources.intervals import INTERVALS
from slackwater.times import HOUR, MINUTE

__all__ = ["VENUE"]

_BARS: Final = {duration: name for name, duration in INTERVALS.items()}
_STATISTICS: Final = {5 * MINUTE: "5m", 15 * MINUTE: "15m", HOUR: "1h"}
_PRICES: Final[dict[str, int | str]] = {"time": "t", "open": "o", "high": "h", "low": "l", "close": "c"}
_CANDLES: Final = "publicFuturesGetSettleCandlesticks"
_SECOND: Final = 1000  # milliseconds


def _instrument(symbol: str) -> str:
    base = base_asset(symbol)
    return f"{base}_{symbol.removeprefix(base)}"


def _range(ask: Ask) -> dict[str, Any]:
    return {"settle": "usdt", "contract": ask.instrument, "from": -(-ask.first // _SECOND), "to": ask.last // _SECOND}


def _candles(
    method: str, columns: dict[str, int | str], *, limit: int = 1999, prefix: str = "", **changes: Any
) -> Endpoint:
    return Endpoint(
        method=method,
        # `limit` excludes `from` and `to`.
        params=lambda ask: _range(ask) | {"contract": f"{prefix}{ask.instrument}", "interval": ask.period},
        columns=columns,
        periods=_BARS,
        limit=limit,
        span_points=limit,
        time_unit=_SECOND,
        stamp="start",
        # 10,000 points since February 2026; a few less, because time passes while they are read.
        history_points=9_990,
        too_old=("too long ago",),
        **changes,
    )


def _statistic(
    *in_contracts: str, finish: Callable[[pd.DataFrame], pd.DataFrame] = lambda table: table, **columns: str
) -> Endpoint:
    return Endpoint(
        method="publicFuturesGetSettleContractStats",
        # There is no `to`.
        params=lambda ask: {
            "settle": "usdt",
            "contract": ask.instrument,
            "interval": ask.period,
            "from": -(-ask.first // _SECOND),
            "limit": 100,
        },
        columns={"time": "time", **columns},
        periods=_STATISTICS,
        limit=100,
        time_unit=_SECOND,
        # Not documented: the start is the safe assumption, which makes rows late at worst.
        stamp="start",
        in_contracts=frozenset(in_contracts),
        finish=finish,
        too_old=("too long ago",),
    )


def _published(table: pd.DataFrame) -> pd.DataFrame:
    """Replace zeros, which Gate gives where there is no ratio, by missing values."""
    ratios = ["top_trader_account_ratio", "account_ratio"]
    return table.assign(**table[ratios].mask(table[ratios] == 0.0))


def _liquidated(table: pd.DataFrame) -> pd.DataFrame:
    """Return liquidations. `size` is signed by the position (above 0: a long); `left` was not filled."""
    filled = table["size"].abs() - table["left"].abs()
    side = np.where(table["size"] > 0.0, "long", "short")
    out = pd.DataFrame({"time": table["time"], "side": side, "price": table["fill_price"], "quantity": filled})
    return out[filled != 0.0]


def _read_listing(answer: Any, instrument: str) -> dict[str, Any] | None:
    if answer["name"] != instrument or answer["type"] != "direct":
        return None
    size = number(answer["quanto_multiplier"])
    limit = number(answer.get("funding_rate_limit"))
    return {
        "contract_size": size,
        "listed": time_of(number(answer.get("create_time")) * 1000.0),
        "tick_size": number(answer["order_price_round"]),
        "lot_size": size,
        "min_quantity": size * number(answer["order_size_min"]),
        "min_notional_usd": 0.0,
        "funding_interval_hours": number(answer.get("funding_interval")) / 3600.0,
        "funding_floor": -limit,
        "funding_cap": limit,
    }


def _read_tiers(answer: Any) -> list[TierRow]:
    return [(number(row["risk_limit"]), number(row["maintenance_rate"]), number(row["leverage_max"])) for row in answer]


VENUE: Final = Venue(
    name="gate",
    instrument=_instrument,
    listing=lambda instrument: (
        "publicFuturesGetSettleContractsContract",
        {"settle": "usdt", "contract": instrument},
    ),
    read_listing=_read_listing,
    tiers=lambda instrument: ("publicFuturesGetSettleRiskLimitTiers", {"settle": "usdt", "contract": instrument}),
    read_tiers=_read_tiers,
    tables={
        "bars": (_candles(_CANDLES, _PRICES | {"volume": "v"}, in_contracts=frozenset({"volume"})),),
        "mark_price": (_candles(_CANDLES, _PRICES, prefix="mark_"),),
        "premium_index": (
            _candles("publicFuturesGetSettlePremiumIndex", {"time": "t", "premium_index": "c"}, limit=1000),
        ),
        "funding": (
            Endpoint(
                method="publicFuturesGetSettleFundingRate",
                params=lambda ask: _range(ask) | {"limit": 1000},
                columns={"time": "t", "funding_rate": "r"},
                limit=1000,
                time_unit=_SECOND,
            ),
        ),
        "open_interest": (_statistic("open_interest", open_interest="open_interest"),),
        "long_short_ratio": (
            _statistic(
                top_trader_ratio="top_lsr_size",
                top_trader_account_ratio="top_lsr_account",
                account_ratio="lsr_account",
                taker_volume_ratio="lsr_taker",
                finish=_published,
            ),
        ),
        "liquidations": (
            Endpoint(
                method="publicFuturesGetSettleLiqOrders",
                params=lambda ask: _range(ask) | {"limit": 1000},
                columns={"time": "time", "size": "size", "left": "left", "fill_price": "fill_price"},
                limit=1000,
                time_unit=_SECOND,
                in_contracts=frozenset({"size", "left"}),
                finish=_liquidated,
                span=HOUR,
                too_old=("too long ago",),
            ),
        ),
        "liquidation_totals": (
            _statistic(
                "long_quantity", "short_quantity", long_quantity="long_liq_size", short_quantity="short_liq_size"
            ),
        ),
    },
    absent={},
)
