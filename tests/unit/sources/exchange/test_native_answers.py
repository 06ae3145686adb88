"""Real answers of the venues, mostly the examples of their own documentation, through our readers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import SourceError
from slackwater.sources.exchange.endpoint import Endpoint
from slackwater.sources.exchange.venues import VENUES

ROOT = Path("data/external/native/rest_json")

#: Venue, table, which of its endpoints, file.
CASES = [
    ("binance", "bars", 0, "binance/UsdFutures__ExchangeData__GetKlines.txt"),
    ("binance", "mark_price", 0, "binance/UsdFutures__ExchangeData__GetMarkPriceKlines.txt"),
    ("binance", "premium_index", 0, "binance/UsdFutures__ExchangeData__GetPremiumIndexKlines.txt"),
    ("binance", "funding", 0, "binance/UsdFutures__ExchangeData__GetFundingRates.txt"),
    ("binance", "open_interest", 0, "binance/UsdFutures__ExchangeData__GetOpenInterestHistory.txt"),
    ("binance", "long_short_ratio", 0, "binance/UsdFutures__ExchangeData__GetTopLongShortPositionRatio.txt"),
    ("binance", "long_short_ratio", 1, "binance/UsdFutures__ExchangeData__GetTopLongShortAccountRatio.txt"),
    ("binance", "long_short_ratio", 2, "binance/UsdFutures__ExchangeData__GetGlobalLongShortAccountRatio.txt"),
    ("binance", "long_short_ratio", 3, "binance/UsdFutures__ExchangeData__GetTakerBuySellVolumeRatio.txt"),
    ("bybit", "bars", 0, "bybit/V5Api__ExchangeData__GetKlines.txt"),
    ("bybit", "mark_price", 0, "bybit/V5Api__ExchangeData__GetMarkPriceKlines.txt"),
    ("bybit", "premium_index", 0, "bybit/V5Api__ExchangeData__GetPremiumIndexPriceKlines.txt"),
    ("bybit", "funding", 0, "bybit/V5Api__ExchangeData__GetFundingRateHistory.txt"),
    ("bybit", "open_interest", 0, "bybit/V5Api__ExchangeData__GetOpenInterest.txt"),
    ("bybit", "long_short_ratio", 0, "bybit/V5Api__ExchangeData__GetLongShortRatio.txt"),
    ("okx", "bars", 0, "okx/UnifiedApi__ExchangeData__GetKlineHistory.txt"),
    ("okx", "mark_price", 0, "okx/UnifiedApi__ExchangeData__GetMarkPriceKlines.txt"),
    ("okx", "funding", 0, "okx/UnifiedApi__ExchangeData__GetFundingRateHistory.txt"),
    ("okx", "long_short_ratio", 1, "okx/UnifiedApi__ExchangeData__GetRubikLongShortRatio.txt"),
    ("gate", "bars", 0, "gateio/PerpetualFutures__ExchangeData__GetKlines.txt"),
    ("gate", "premium_index", 0, "gateio/PerpetualFutures__ExchangeData__GetIndexKlines.txt"),
    ("gate", "funding", 0, "gateio/PerpetualFutures__ExchangeData__GetFundingRateHistory.txt"),
    ("gate", "open_interest", 0, "gateio/PerpetualFutures__ExchangeData__GetContractStats.txt"),
    ("gate", "long_short_ratio", 0, "gateio/PerpetualFutures__ExchangeData__GetContractStats.txt"),
    ("gate", "liquidation_totals", 0, "gateio/PerpetualFutures__ExchangeData__GetContractStats.txt"),
    ("gate", "liquidations", 0, "gateio/PerpetualFutures__ExchangeData__GetLiquidations.txt"),
]


def answer(path: str) -> Any:
    file = ROOT / path
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    return json.loads(file.read_text(encoding="utf-8").split("\n", 3)[3])


def endpoint(venue: str, table: str, place: int) -> Endpoint:
    return VENUES[venue].tables[table][place]


def finished(source: Endpoint, path: str, *, size: float = 1.0) -> pd.DataFrame:
    rows = source.parse(answer(path), contract_size=size)
    # The bars in the documentation of OKX are open still.
    return source.finish(rows.assign(confirm=1.0) if "confirm" in rows else rows)


@pytest.mark.real_data
@pytest.mark.parametrize(("venue", "table", "place", "path"), CASES)
def test_real_answers_are_read(venue: str, table: str, place: int, path: str) -> None:
    """Catches a place in a row that the venue fills with something else."""
    source = endpoint(venue, table, place)
    rows = finished(source, path, size=0.5)
    assert len(rows)
    assert rows["time"].between(1_498_000_000_000, 1_800_000_000_000).all()
    numbers = rows.select_dtypes("number").drop(columns="time")
    assert np.isfinite(numbers.to_numpy()).all()
    if "high" in rows:
        assert (rows["high"] >= rows["low"]).all()
        assert (rows["high"] >= rows["open"]).all()


@pytest.mark.real_data
def test_what_the_numbers_of_the_examples_mean() -> None:
    def read(venue: str, table: str, path: str, size: float = 1.0) -> dict[str, Any]:
        return finished(endpoint(venue, table, 0), path, size=size).iloc[0].to_dict()

    bar = read("okx", "bars", "okx/UnifiedApi__ExchangeData__GetKlineHistory.txt")
    assert (bar["contracts"], bar["volume"]) == (8_422_410.0, 22_698_348.04828491)
    rate = read("okx", "funding", "okx/UnifiedApi__ExchangeData__GetFundingRateHistory.txt")
    assert rate["funding_rate"] == 0.0000746572360545  # what was paid, not what was announced
    ratio = read("bybit", "long_short_ratio", "bybit/V5Api__ExchangeData__GetLongShortRatio.txt")
    assert ratio["account_ratio"] == pytest.approx(0.5777 / 0.4223)
    order = read("gate", "liquidations", "gateio/PerpetualFutures__ExchangeData__GetLiquidations.txt", 0.0001)
    # It was sold above the price that was ordered at least: a long position that was closed.
    assert (order["side"], order["price"]) == ("long", 3424.0)
    assert order["quantity"] == pytest.approx(0.06)
    stats = read("gate", "long_short_ratio", "gateio/PerpetualFutures__ExchangeData__GetContractStats.txt")
    assert (stats["top_trader_ratio"], stats["account_ratio"], stats["taker_volume_ratio"]) == (1.02, 0.5, 100.0)


@pytest.mark.real_data
def test_instruments() -> None:
    bybit = VENUES["bybit"].read_listing(answer("bybit/V5Api__ExchangeData__GetLinearInverseSymbols.txt"), "BTCUSDT")
    assert bybit is not None
    assert (bybit["tick_size"], bybit["lot_size"], bybit["min_notional_usd"]) == (0.1, 0.001, 5.0)
    assert (bybit["funding_interval_hours"], bybit["funding_cap"]) == (8.0, 0.00375)
    gate = VENUES["gate"].read_listing(answer("gateio/PerpetualFutures__ExchangeData__GetContract.txt"), "BTC_USDT")
    assert gate is not None
    assert (gate["contract_size"], gate["tick_size"], gate["funding_interval_hours"]) == (0.0001, 0.1, 8.0)
    binance = VENUES["binance"].read_listing(answer("binance/UsdFutures__ExchangeData__GetExchangeInfo.txt"), "BLZUSDT")
    assert binance is not None
    assert (binance["tick_size"], binance["lot_size"]) == (0.0001, 1.0)
    # Spot is no perpetual.
    assert VENUES["okx"].read_listing(answer("okx/UnifiedApi__ExchangeData__GetSymbols.txt"), "BTC-USDT") is None


@pytest.mark.real_data
def test_tiers() -> None:
    tiers = VENUES["bybit"].read_tiers(answer("bybit/V5Api__ExchangeData__GetRiskLimit.txt"))
    assert tiers == [(150.0, 0.005, 100.0)]  # percent in this answer, fractions in others
    assert VENUES["okx"].read_tiers(answer("okx/UnifiedApi__ExchangeData__GetPositionTiers.txt")) == [
        (50.0, 0.03, 10.0)
    ]
    gate = VENUES["gate"].read_tiers(answer("gateio/PerpetualFutures__ExchangeData__GetRiskLimitTiers.txt"))
    assert gate[:2] == [(500_000.0, 0.01, 50.0), (1_000_000.0, 0.02, 33.33)]


GOOD = {"retCode": 0, "result": {"list": [["1670608800000", "1", "2", "0.5", "1.5", "9", "9"]]}}
BROKEN: dict[str, tuple[Any, str]] = {
    "an error in place of rows": ({"retCode": 10001, "retMsg": "x"}, "no 'result'"),
    "rows that are none": ({"result": {"list": "soon"}}, "string index out of range"),
    "short rows": ({"result": {"list": [["1670608800000", "1"]]}}, "list index out of range"),
    "no rows but null": ({"result": {"list": None}}, "NoneType"),
    "microseconds": ({"result": {"list": [["1670608800000000", *"123456"]]}}, "whose time is not in milliseconds"),
    "no time": ({"result": {"list": [["soon", *"123456"]]}}, "1 rows whose time is not"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_answer_of_another_shape_is_named(case: str) -> None:
    content, message = BROKEN[case]
    with pytest.raises(SourceError, match=f"publicGetV5MarketKline answered with .*{message}"):
        endpoint("bybit", "bars", 0).parse(content)


def test_a_number_that_is_none_is_unknown() -> None:
    row = GOOD["result"]["list"][0]  # type: ignore[index]
    parsed = endpoint("bybit", "bars", 0).parse({"result": {"list": [[*row[:5], "", "9"]]}})
    assert np.isnan(parsed["volume"].item())
    assert parsed["close"].item() == 1.5
