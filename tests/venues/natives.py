"""How each venue tells the truth: paths, order and length of pages, units and names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.venues import truth
from tests.venues.server import Answer, Habits, Query
from tests.venues.truth import HOUR, MINUTE

STEPS = {"1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "1H": HOUR, "1": MINUTE, "5": 5 * MINUTE}
STEPS |= {"15": 15 * MINUTE, "60": HOUR, "5min": 5 * MINUTE, "15min": 15 * MINUTE}
FUNDING_DELAY = 7  # milliseconds in the stamps of Binance


def _settled(habits: Habits, first: int, last: int) -> list[int]:
    if habits.ignores_range:
        first, last = habits.listed, habits.now
    times = truth.settlements(habits.listed, min(last, habits.now), changes=habits.funding_changes)
    return [time for time in times if time >= first and time not in habits.missing_settlements]


def _cut(habits: Habits, first: int, last: int, step: int, limit: int, *, newest_first: bool = False) -> list[int]:
    """Times of the rows of a page."""
    return habits.page(habits.grid(first, last, step), limit, newest_first=newest_first or habits.ignores_range)


def binance(habits: Habits) -> Callable[[str, Query], Answer]:
    """Oldest rows first, statistics of 30 days."""
    listing = {
        "symbol": "BTCUSDT",
        "contractType": "PERPETUAL",
        "marginAsset": "USDT",
        "onboardDate": habits.listed,
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
    }
    spot_like = listing | {"symbol": "ETHUSDT", "contractType": "CURRENT_QUARTER"}

    def kline(time: int, step: int, path: str) -> list[Any]:
        o, h, low, c = (str(p) for p in truth.bar(time, step))
        if path.endswith("premiumIndexKlines"):
            o, h, low, c = "0", "0.1", "-0.1", str(truth.premium(time))
        v = truth.volume(time) if path.endswith("/klines") else 0
        return [time, o, h, low, c, str(v), time + step - 1, str(v * 4e4), 7, str(v / 2), str(v * 2e4), "0"]

    def statistic(time: int, path: str) -> dict[str, Any]:
        row = {"symbol": "BTCUSDT", "timestamp": time}
        kinds = {"topLongShortPositionRatio": 0, "topLongShortAccountRatio": 1, "globalLongShortAccountRatio": 2}
        name = path.rsplit("/", 1)[-1]
        if name == "openInterestHist":
            value = truth.open_interest(time)
            return row | {"sumOpenInterest": f"{value:.8f}", "sumOpenInterestValue": f"{value * 4e4:.8f}"}
        if name == "takerlongshortRatio":
            return row | {"buySellRatio": str(truth.ratio(time, 3)), "buyVol": "1", "sellVol": "1"}
        return row | {"longShortRatio": str(truth.ratio(time, kinds[name])), "longAccount": "1", "shortAccount": "1"}

    def answer(path: str, query: Query) -> Answer:
        first, last = int(query.get("startTime", 0)), int(query.get("endTime", habits.now))
        if path == "/fapi/v1/exchangeInfo":
            return 200, {"symbols": [spot_like, listing]}
        if path == "/fapi/v1/fundingInfo":
            row = {"symbol": "BTCUSDT", "fundingIntervalHours": 8}
            return 200, [row | {"adjustedFundingRateCap": "0.003", "adjustedFundingRateFloor": "-0.003"}]
        if query.get("symbol") != "BTCUSDT":
            return 400, {"code": -1121, "msg": "Invalid symbol."}
        if path.endswith("lines"):
            step = STEPS[query["interval"]]
            times = _cut(habits, first, last, step, min(int(query["limit"]), 1500))
            return 200, [kline(t, step, path) for t in times]
        if path == "/fapi/v1/fundingRate":
            rows = [
                {"symbol": "BTCUSDT", "fundingTime": t + FUNDING_DELAY, "fundingRate": f"{truth.funding_rate(t):.8f}"}
                for t in _settled(habits, first - FUNDING_DELAY, last - FUNDING_DELAY)
            ]
            return 200, habits.page(rows, min(int(query["limit"]), 1000), newest_first=habits.ignores_range)
        if path.startswith("/futures/data/"):
            if first < habits.now - 30 * truth.DAY:
                return 400, {"code": -1130, "msg": "parameter 'startTime' is invalid."}
            times = _cut(habits, first, last, STEPS[query["period"]], min(int(query["limit"]), 500))
            return 200, [statistic(t, path) for t in times]
        return 404, {"code": -1, "msg": f"no {path}"}

    return answer


def bybit(habits: Habits) -> Callable[[str, Query], Answer]:
    """Newest rows first."""
    listing = {
        "symbol": "BTCUSDT",
        "contractType": "LinearPerpetual",
        "settleCoin": "USDT",
        "launchTime": str(habits.listed),
        "priceFilter": {"tickSize": "0.10"},
        "lotSizeFilter": {"minOrderQty": "0.001", "qtyStep": "0.001", "minNotionalValue": "5"},
        "fundingInterval": 480,
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
    }
    tiers = [
        {"id": 1, "symbol": "BTCUSDT", "riskLimitValue": "2000000", "maintenanceMargin": "0.005"},
        {"id": 2, "symbol": "BTCUSDT", "riskLimitValue": "2600000", "maintenanceMargin": "0.0056"},
    ]
    tiers[0] |= {"initialMargin": "0.01", "maxLeverage": "100.00"}
    tiers[1] |= {"initialMargin": "0.0111", "maxLeverage": "90.00"}

    def rows_of(path: str, query: Query, first: int, last: int) -> list[Any]:
        if path.endswith("-info"):
            return [listing] if query["symbol"] == "BTCUSDT" else []
        if path.endswith("risk-limit"):
            return tiers
        if path.endswith("kline"):
            step = STEPS[query["interval"]]
            limit = min(int(query["limit"]), 1000)
            out = []
            for t in _cut(habits, int(query["start"]), int(query["end"]), step, limit, newest_first=True):
                row = [str(t), *(str(p) for p in truth.bar(t, step))]
                if path.endswith("premium-index-price-kline"):
                    row = [str(t), "0", "0.1", "-0.1", str(truth.premium(t))]
                out.append([*row, str(truth.volume(t)), "1"] if path.endswith("/kline") else row)
            return out
        if path.endswith("funding/history"):
            times = habits.page(_settled(habits, first, last), 200, newest_first=True)
            rates = [{"symbol": "BTCUSDT", "fundingRate": f"{truth.funding_rate(t):.8f}"} for t in times]
            return [r | {"fundingRateTimestamp": str(t)} for r, t in zip(rates, times, strict=True)]
        of_interest = path.endswith("open-interest")
        step, limit = STEPS[query["intervalTime" if of_interest else "period"]], 200 if of_interest else 500
        times = _cut(habits, first, last, step, limit, newest_first=True)
        if of_interest:
            return [{"openInterest": str(truth.open_interest(t)), "timestamp": str(t)} for t in times]
        shares = [1 / (1 + truth.ratio(t, 2)) for t in times]
        return [
            {"symbol": "BTCUSDT", "buyRatio": str(1 - s), "sellRatio": str(s), "timestamp": str(t)}
            for s, t in zip(shares, times, strict=True)
        ]

    def answer(path: str, query: Query) -> Answer:
        first, last = int(query.get("startTime", 0)), int(query.get("endTime", habits.now))
        rows = rows_of(path, query, first, last)
        return 200, {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": rows}, "time": habits.now}

    return answer


def okx(habits: Habits) -> Callable[[str, Query], Answer]:
    """Newest rows first, both ends excluded, contracts of a hundredth of a coin."""
    size = truth.CONTRACT_SIZE["okx"]
    listing = {
        "instId": "BTC-USDT-SWAP",
        "instType": "SWAP",
        "settleCcy": "USDT",
        "ctVal": str(size),
        "ctMult": "1",
        "listTime": str(habits.listed),
        "tickSz": "0.1",
        "lotSz": "0.01",
        "minSz": "0.01",
    }
    tiers = [{"tier": str(i + 1), "minSz": "0", "maxSz": str(cap)} for i, cap in enumerate((1000, 2000))]
    tiers[0] |= {"mmr": "0.004", "imr": "0.01", "maxLever": "100"}
    tiers[1] |= {"mmr": "0.005", "imr": "0.0133", "maxLever": "75"}

    def rows_of(path: str, query: Query) -> list[Any]:
        first, last = int(query.get("begin", -1)) + 1, int(query.get("end", query.get("after", habits.now + 1))) - 1
        limit = int(query["limit"])
        if path.endswith("candles"):
            step, of_mark = STEPS[query["bar"]], "mark-price" in path
            out = []
            for t in _cut(habits, first, last, step, min(limit, 100 if of_mark else 300), newest_first=True):
                v, finished = truth.volume(t), "0" if t + step > habits.now else "1"
                row = [str(t), *(str(p) for p in truth.bar(t, step))]
                amounts = [] if of_mark else [f"{v / size:.0f}", str(v), str(v * 4e4)]
                out.append([*row, *amounts, finished])
            return out
        if path.endswith("funding-rate-history"):
            times = habits.page(_settled(habits, first, last), min(limit, 100), newest_first=True)
            rows = [{"fundingRate": "9", "realizedRate": f"{truth.funding_rate(t):.8f}"} for t in times]
            return [r | {"fundingTime": str(t)} for r, t in zip(rows, times, strict=True)]
        times = _cut(habits, first, last, STEPS[query["period"]], min(limit, 100), newest_first=True)
        if path.endswith("open-interest-history"):
            return [[str(t), str(truth.open_interest(t) / size), str(truth.open_interest(t)), "1"] for t in times]
        kind = 0 if "position-ratio" in path else 1 if "top-trader" in path else 2
        return [[str(t), str(truth.ratio(t, kind))] for t in times]

    def answer(path: str, query: Query) -> Answer:
        if path.endswith("position-tiers"):
            data: list[Any] = tiers
        elif query.get("instId") != "BTC-USDT-SWAP":
            return 200, {"code": "51001", "msg": "Instrument ID doesn't exist.", "data": []}
        elif path.endswith("public/mark-price"):
            data = [{"instId": "BTC-USDT-SWAP", "markPx": "40000", "ts": str(habits.now)}]
        elif path.endswith("instruments"):
            data = [listing]
        elif path.endswith("public/funding-rate"):
            data = [{"fundingTime": "28800000", "nextFundingTime": "57600000"}]
            data[0] |= {"maxFundingRate": "0.00375", "minFundingRate": "-0.00375"}
        else:
            data = rows_of(path, query)
        return 200, {"code": "0", "msg": "", "data": data}

    return answer


def gate(habits: Habits) -> Callable[[str, Query], Answer]:
    """Seconds, contracts of a ten-thousandth of a coin, and no more than 10,000 bars back."""
    size = truth.CONTRACT_SIZE["gate"]
    listing = {
        "name": "BTC_USDT",
        "type": "direct",
        "quanto_multiplier": str(size),
        "order_price_round": "0.1",
        "order_size_min": 1,
        "create_time": habits.listed // 1000,
        "funding_interval": 28800,
        "funding_rate_limit": "0.003",
        "maker_fee_rate": "-0.00025",
        "taker_fee_rate": "0.00075",
        "mark_price": "40000",
    }
    tiers = [{"tier": 1, "maintenance_rate": "0.004", "leverage_max": "125", "risk_limit": "1000000"}]
    tiers.append({"tier": 2, "maintenance_rate": "0.005", "leverage_max": "100", "risk_limit": "2000000"})

    def totals(time: int, step: int) -> dict[str, Any]:
        happened = truth.liquidations(time, time + step - 1)
        long, short = (sum(q for _, side, _, q in happened if side == name) for name in ("long", "short"))
        return {"long_liq_size": round(long / size), "short_liq_size": round(short / size)}

    def statistic(time: int, step: int) -> dict[str, Any]:
        kinds = {"top_lsr_size": 0, "top_lsr_account": 1, "lsr_account": 2, "lsr_taker": 3}
        row: dict[str, Any] = {"time": time // 1000, "open_interest": round(truth.open_interest(time) / size)}
        return row | {name: truth.ratio(time, kind) for name, kind in kinds.items()} | totals(time, step)

    def candle(time: int, step: int, path: str, contract: str) -> dict[str, Any]:
        o, h, low, c = (str(p) for p in truth.bar(time, step))
        row = {"t": time // 1000, "o": o, "h": h, "l": low, "c": c}
        if path.endswith("premium_index"):
            return row | {"c": str(truth.premium(time))}
        return row if contract.startswith("mark_") else row | {"v": round(truth.volume(time) / size), "sum": "1"}

    def answer(path: str, query: Query) -> Answer:
        contract = query.get("contract", path.rsplit("/", 1)[-1])
        if not contract.endswith("BTC_USDT"):
            return 400, {"label": "CONTRACT_NOT_FOUND", "message": "contract not found"}
        if "/contracts/" in path:
            return 200, listing
        if path.endswith("risk_limit_tiers"):
            return 200, tiers
        first, last = int(query["from"]) * 1000, int(query.get("to", habits.now // 1000)) * 1000
        if path.endswith(("candlesticks", "premium_index")):
            step, cap = STEPS[query["interval"]], 2000 if path.endswith("candlesticks") else 1000
            if habits.now - first > 10_000 * step:
                message = "Candlestick too long ago. Maximum 10000 points recently are allowed"
                return 400, {"label": "INVALID_PARAM_VALUE", "message": message}
            if (last - first) // step + 1 > cap:
                return 400, {"label": "INVALID_PARAM_VALUE", "message": "Too many points"}
            return 200, [candle(t, step, path, contract) for t in _cut(habits, first, last, step, cap)]
        if path.endswith("contract_stats"):
            step = STEPS[query["interval"]]
            times = _cut(habits, first, last, step, min(int(query["limit"]), 100))
            return 200, [statistic(t, step) for t in times]
        if path.endswith("funding_rate"):
            rates = [{"t": t // 1000, "r": f"{truth.funding_rate(t):.8f}"} for t in _settled(habits, first, last)]
            return 200, habits.page(rates, min(int(query["limit"]), 1000), newest_first=True)
        if path.endswith("liq_orders"):
            if int(query["to"]) - int(query["from"]) > 3_600:
                return 400, {"label": "INVALID_PARAM_VALUE", "message": "interval cannot exceed 3600"}
            happened = truth.liquidations(max(first, habits.listed), min(last, habits.now))
            orders = []
            for time, side, price, quantity in happened:
                signed = round(quantity / size) * (1 if side == "long" else -1)
                orders.append({"time": time // 1000, "contract": contract, "size": signed, "left": 0})
                orders[-1] |= {"order_price": str(price - 5), "fill_price": str(price)}
            return 200, habits.page(orders, min(int(query["limit"]), 1000), newest_first=True)
        return 404, {"label": "NOT_FOUND", "message": path}

    return answer


NATIVES: dict[str, Callable[[Habits], Callable[[str, Query], Answer]]] = {
    "binance": binance,
    "bybit": bybit,
    "okx": okx,
    "gate": gate,
}
