"""The same trades at several venues, against numbers worked out by hand and against the ledger."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tests.trading
from slackwater.errors import DataError, MissingDataError, ParameterError
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.venues import venue_comparison
from slackwater.market.contracts import Contract, MarginTier, contract, venue_contracts
from slackwater.market.venues import EXCHANGES
from slackwater.metrics.trading import expectancy_bps
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import ClosedTrade
from slackwater.trading.price_path import PricePath, price_paths

START = pd.Timestamp("2024-03-01", tz="UTC")
HOUR = timedelta(hours=1)
RESAMPLING = Resampling(draws=100, mean_block=timedelta(days=2))
COSTS = CostModel()
BTC = replace(contract("bybit", "BTCUSDT"), half_spread=0.0001)  # fee 5.5 bp, lot .001 coins
REAL = {name: venue_contracts(name) for name in EXCHANGES}
COST_PARTS = ["fee_bps", "spread_bps", "impact_bps", "stop_slippage_bps", "latency_bps"]
PARTS = [*COST_PARTS, "funding_bps"]


def make_plan(**changes: Any) -> TradePlan:
    """A plan of which only what a comparison may read is known: every other number is NaN, and would show.

    25 coins of 250,000 at 4 % a day cost 10,000 × 1.6 × .04 × sqrt(.0001) = 6.4 bp of impact.
    """
    known = {
        "venue": "simulated",
        "symbol": "BTCUSDT",
        "side": 1,
        "entry": 100.0,
        "quantity": 25.0,
        "notional_usd": 2_500.0,
        "leverage": 5,
        "bankruptcy_price": 80.0,
        "latency_slippage": 0.0002,
        "cost_multiple": 1.0,
        "volatility_daily": 0.04,
        "atr_1h": 0.01,
        "volume_24h": 250_000.0,
        "depth_1pct": 500.0,
    }
    return tests.trading.make_plan(**known | changes)


def closed(
    plan: TradePlan, *, price: float = 105.0, reason: str = "time", funding: float = 0.0, day: int = 0
) -> ClosedTrade:
    entry = START + timedelta(days=day)
    return ClosedTrade(
        plan=plan,
        entry_time=entry,
        exit_time=entry + 4 * HOUR,
        exit_price=price,
        exit_reason=reason,
        funding_usd=funding,
    )


def many(n: int = 40) -> list[ClosedTrade]:
    """One trade a day, both sides, every kind of exit."""
    random = np.random.default_rng(0)
    trades = []
    for day in range(n):
        side = 1 if day % 2 else -1
        plan = make_plan(side=side, quantity=random.uniform(1.0, 40.0), bankruptcy_price=100.0 - side * 20.0)
        plan = replace(plan, sizing=replace(plan.sizing, notional_usd=plan.quantity * plan.entry))
        reason = ("time", "stop", "target", "liquidation")[day % 4]
        trades.append(closed(plan, price=100.0 + random.normal(0.0, 3.0), reason=reason, funding=0.7, day=day))
    return trades


def make_paths(rate: float = 0.0) -> dict[str, PricePath]:
    """Eight hours at 100 from START, a settlement at the first, third, fifth and seventh."""
    opens = pd.date_range(START, periods=8, freq=HOUR).as_unit("us")
    bars = pd.DataFrame({"symbol": "BTCUSDT", "open_time": opens, "event_time": opens + HOUR})
    funding = pd.DataFrame({"symbol": "BTCUSDT", "event_time": opens[1::2], "funding_rate": rate})
    return price_paths(bars.assign(open=100.0, high=100.0, low=100.0, close=100.0), funding, ["BTCUSDT"])


def compare(
    trades: Sequence[ClosedTrade],
    venues: Mapping[str, Contract | Mapping[str, Contract]],
    costs: CostModel = COSTS,
    paths: Mapping[str, PricePath] | None = None,
) -> pd.DataFrame:
    books = {name: {"BTCUSDT": facts} if isinstance(facts, Contract) else facts for name, facts in venues.items()}
    return venue_comparison(trades, costs, books, make_paths() if paths is None else paths, RESAMPLING)


def one_tier(cap: float, max_leverage: float = 50.0) -> tuple[MarginTier, ...]:
    return (MarginTier(notional_cap_usd=cap, maintenance_rate=0.01, max_leverage=max_leverage),)


@pytest.mark.parametrize(
    ("side", "price", "reason", "gross", "parts"),
    [
        # Both orders cross the spread: at 1 and at 1.05 of the entry notional.
        (1, 105.0, "time", 500.0, [5.5 * 2.05, 2.05, 6.4 * 2.05, 0.0, 2.0, 2.0]),
        # A tenth of the 30 bp of a bar on top, on the value at the stop.
        (-1, 102.0, "stop", -200.0, [5.5 * 2.02, 2.02, 6.4 * 2.02, 3.06, 2.0, 2.0]),
        # A target rests.
        (1, 110.0, "target", 1_000.0, [5.5 * 2.1, 1.0, 6.4, 0.0, 2.0, 2.0]),
        (1, 80.0, "liquidation", -2_000.0, [5.5 * 1.8, 1.0, 6.4, 0.0, 2.0, 2.0]),
    ],
)
def test_parts_worked_out_by_hand(side: int, price: float, reason: str, gross: float, parts: list[float]) -> None:
    """Catches a cost charged on the wrong side, on the wrong value, or in the wrong part."""
    trade = closed(make_plan(side=side), price=price, reason=reason, funding=0.5)
    row = compare([trade], {"bybit": BTC}).iloc[0]
    assert row["gross_bps"] == pytest.approx(gross)
    assert row[PARTS].tolist() == pytest.approx(parts)
    assert row["net_bps_mean"] == pytest.approx(gross - sum(parts))
    assert row["cost_bps"] == pytest.approx(sum(parts))
    assert row["taker_fee_bps"] == pytest.approx(5.5)
    assert row["half_spread_bps"] == pytest.approx(1.0)
    assert row["depth_share_mean"] == pytest.approx(0.05)


def test_a_quarter_of_the_depth_doubles_the_impact_and_nothing_else() -> None:
    """Catches depth that scales spread or funding, or enters without its square root."""
    trades, thin = many(), replace(BTC, relative_depth=0.25)
    table = compare(trades, {"deep": BTC, "thin": thin}).set_index("venue")
    assert table.loc["thin", "impact_bps"] == pytest.approx(2.0 * table.loc["deep", "impact_bps"])
    assert table.loc["thin", "depth_share_mean"] == pytest.approx(4.0 * table.loc["deep", "depth_share_mean"])
    same = ["fee_bps", "spread_bps", "stop_slippage_bps", "latency_bps", "funding_bps", "gross_bps"]
    assert table.loc["thin", same].tolist() == pytest.approx(table.loc["deep", same].tolist())


def test_depth_is_relative_to_that_of_the_venue_the_volume_comes_from() -> None:
    """Catches a volume recorded at a thin venue that is thinned out once more."""
    thin = replace(BTC, relative_depth=0.25)
    trade = closed(make_plan(venue="thin"))
    table = compare([trade], {"thin": thin, "deep": BTC}).set_index("venue")
    assert table.loc["thin", "impact_bps"] == pytest.approx(6.4 * 2.05)
    assert table.loc["deep", "impact_bps"] == pytest.approx(3.2 * 2.05)


@pytest.mark.parametrize("multiple", [0.0, 1.0, 2.5])
def test_net_is_gross_less_every_part_and_the_ledger_agrees(multiple: float) -> None:
    """Catches a part that is left out or counted twice: re-costed in the ledger's way, every trade nets the same."""
    costs = CostModel(multiple=multiple, impact_coefficient=0.8, stop_slippage_atr=0.3)
    whole = replace(BTC, lot_size=1e-8, min_quantity=1e-8)
    trades = []
    for trade in many():
        plan = trade.plan
        order = {
            "quantity": plan.quantity,
            "volume_24h": plan.score.context.volume_24h,
            "volatility_daily": plan.score.context.volatility_daily,
        }
        market = costs.market_slippage(whole, **order)
        parts = replace(
            plan.costs,
            cost_multiple=multiple,
            fee_fraction=costs.fee_fraction(whole),
            entry_slippage=market + plan.costs.latency_slippage,
            exit_slippage=market,
            stop_slippage=costs.stop_slippage(whole, **order, atr_1h=plan.score.context.atr_1h),
        )
        costed = replace(plan, sizing=replace(plan.sizing, costs=parts))
        trades.append(replace(trade, plan=costed))
    row = compare(trades, {"bybit": whole}, costs).iloc[0]
    assert row["net_bps_mean"] == pytest.approx(row["gross_bps"] - row[PARTS].sum(), abs=1e-9)
    assert row["net_bps_mean"] == pytest.approx(row["gross_bps"] - row["cost_bps"], abs=1e-9)
    assert row["net_bps_mean"] == pytest.approx(np.mean([trade.to_row()["net_bps"] for trade in trades]), abs=1e-6)


def test_interval_and_profit_factor_are_those_of_the_net_results() -> None:
    """Catches statistics of another series, or of other times."""
    trades = many()
    row = compare(trades, {"bybit": BTC}).iloc[0]
    each = np.array([compare([trade], {"bybit": BTC})["net_bps_mean"].iloc[0] for trade in trades])
    times = pd.Series([trade.entry_time for trade in trades])
    low, high = RESAMPLING.interval(expectancy_bps, times, each)
    assert (row["net_bps_low"], row["net_bps_high"]) == pytest.approx((low, high))
    assert low < row["net_bps_mean"] < high
    assert row["profit_factor"] == pytest.approx(each[each > 0].sum() / -each[each < 0].sum())


@settings(deadline=None, max_examples=50)
@given(
    fees=st.tuples(st.floats(0.0, 0.01), st.floats(0.0, 0.01)),
    spreads=st.tuples(st.floats(0.0, 0.01), st.floats(0.0, 0.01)),
    depths=st.tuples(st.floats(0.01, 5.0), st.floats(0.01, 5.0)),
)
def test_a_dearer_venue_never_nets_more(
    fees: tuple[float, float], spreads: tuple[float, float], depths: tuple[float, float]
) -> None:
    """Catches a cost with the wrong sign."""
    cheap = replace(BTC, taker_fee=min(fees), half_spread=min(spreads), relative_depth=max(depths))
    dear = replace(BTC, taker_fee=max(fees), half_spread=max(spreads), relative_depth=min(depths))
    net = compare(many(8), {"cheap": cheap, "dear": dear})["net_bps_mean"]
    assert net[1] <= net[0] + 1e-9


def test_at_the_break_even_multiple_nothing_is_left() -> None:
    """Catches a multiple that scales funding, or forgets the multiple that the costs already have."""
    costs = CostModel(multiple=2.0)
    trade = closed(make_plan(cost_multiple=2.0), price=101.0, funding=0.5)
    multiple = compare([trade], {"bybit": BTC}, costs)["break_even_multiple"].iloc[0]
    latency = trade.plan.costs.latency_slippage / 2.0
    bare = closed(make_plan(cost_multiple=multiple, latency_slippage=multiple * latency), price=101.0, funding=0.5)
    at = compare([bare], {"bybit": BTC}, CostModel(multiple=multiple)).iloc[0]
    assert at["net_bps_mean"] == pytest.approx(0.0, abs=1e-9)
    assert at["break_even_multiple"] == pytest.approx(multiple)
    losing = closed(make_plan(), price=99.0)
    assert math.isnan(compare([losing], {"bybit": BTC})["break_even_multiple"].iloc[0])


@pytest.mark.parametrize(
    ("facts", "plan", "refusal"),
    [
        ({}, {}, None),
        ({"lot_size": 30.0, "min_quantity": 30.0, "min_notional_usd": 0.0}, {}, "n_below_minimum"),  # nothing left
        ({"min_quantity": 25.0}, {}, None),
        ({"lot_size": 10.0, "min_quantity": 10.0, "min_notional_usd": 2_100.0}, {}, "n_below_minimum"),  # 20 coins left
        ({"min_notional_usd": 2_500.0}, {}, None),
        ({"tiers": one_tier(2_400.0)}, {}, "n_beyond_tiers"),
        ({"tiers": one_tier(2_510.0)}, {}, None),
        # A short of 2,500 is worth 3,000 where it is bankrupt.
        ({"tiers": one_tier(2_900.0)}, {"side": -1, "bankruptcy_price": 120.0}, "n_beyond_tiers"),
        ({"tiers": one_tier(3_100.0)}, {"side": -1, "bankruptcy_price": 120.0}, None),
        ({"tiers": one_tier(1e6, max_leverage=4.0)}, {}, "n_beyond_tiers"),
    ],
)
def test_refusals_are_counted(facts: dict[str, Any], plan: dict[str, Any], refusal: str | None) -> None:
    """Catches a trade that is dropped in silence, or taken by a venue that would not."""
    table = compare([closed(make_plan(**plan))], {"open": BTC, "strict": replace(BTC, **facts)}).set_index("venue")
    assert table.loc["open", ["n_trades", "n_refused"]].tolist() == [1, 0]
    strict = table.loc["strict"]
    assert strict[["n_trades", "n_refused"]].tolist() == ([1, 0] if refusal is None else [0, 1])
    counts = {name: int(name == refusal) for name in ("n_below_minimum", "n_beyond_tiers")}
    assert strict[list(counts)].to_dict() == counts
    assert math.isnan(strict["net_bps_mean"]) == (refusal is not None)


def test_common_trades_are_those_that_every_venue_takes() -> None:
    """Catches venues that are compared on different trades without a word."""
    small, large = closed(make_plan(), day=0), closed(make_plan(quantity=100.0, notional_usd=1e4), price=95.0, day=1)
    table = compare([small, large], {"open": BTC, "strict": replace(BTC, tiers=one_tier(5_000.0))}).set_index("venue")
    assert table["n_trades"].tolist() == [2, 1]
    assert table["n_common"].tolist() == [1, 1]
    assert table.loc["open", "net_bps_mean"] < table.loc["strict", "net_bps_mean"]
    assert table.loc["open", "net_bps_common"] == pytest.approx(table.loc["strict", "net_bps_mean"])
    assert table.loc["strict", "net_bps_common"] == pytest.approx(table.loc["strict", "net_bps_mean"])


def test_quantity_is_rounded_down_to_the_lot() -> None:
    """Catches the unrounded quantity: 25 of 25.9 coins remain, and the rest of the trade does not cost."""
    plan = make_plan(quantity=25.9, notional_usd=2_590.0)
    row = compare([closed(plan, funding=0.518)], {"bybit": replace(BTC, lot_size=1.0, min_quantity=1.0)}).iloc[0]
    assert row["impact_bps"] == pytest.approx(6.4 * 2.05)
    assert row["funding_bps"] == pytest.approx(2.0)
    assert row["gross_bps"] == pytest.approx(500.0)


@pytest.mark.parametrize(("side", "rate"), [(1, 0.003), (-1, 0.003), (1, -0.003), (-1, -0.003)])
def test_funding_beyond_the_limits_of_a_venue_is_not_charged_there(side: int, rate: float) -> None:
    """Catches a limit on one side only, on the sum instead of each settlement, or on the data's own venue."""
    plan = make_plan(side=side, venue="okx", bankruptcy_price=100.0 - 20.0 * side)
    trade = closed(plan, funding=side * 2 * rate * 2_500.0)  # two settlements in four hours
    limited = replace(BTC, funding_floor=-0.001, funding_cap=0.002)
    venues = {"own": replace(limited, venue="okx"), "limited": limited, "unknown": BTC}
    found = compare([trade], venues, paths=make_paths(rate)).set_index("venue")["funding_bps"]
    assert found["own"] == pytest.approx(side * 2e4 * rate)
    assert found["unknown"] == pytest.approx(side * 2e4 * rate)
    assert found["limited"] == pytest.approx(side * 2e4 * (0.002 if rate > 0 else -0.001))


def test_funding_within_the_limits_is_as_recorded() -> None:
    """Catches funding computed anew where nothing was beyond a limit."""
    trade = closed(make_plan(), funding=1.23)
    assert compare([trade], REAL, paths=make_paths(0.002))["funding_bps"].tolist() == pytest.approx([4.92] * 4)


def test_what_is_assumed_shows() -> None:
    """Catches an assumption that passes for a fact."""
    table = compare(many(), REAL).set_index("venue")
    assert table["confirmed"].tolist() == [True, False, False, False]
    assert table.loc["binance", "assumed"] == "order_steps, half_spread"
    assert table.loc["gate", "assumed"] == "order_steps, fees, half_spread, relative_depth, margin_tiers"
    assert table["funding_interval_hours"].tolist() == [8.0] * 4
    # Without a measured spread or depth, venues of the same fee differ in nothing.
    assert table.loc["okx", "net_bps_mean"] == pytest.approx(table.loc["gate", "net_bps_mean"], abs=0.5)
    assert table.loc["bybit", "net_bps_mean"] < table.loc["okx", "net_bps_mean"]


def test_what_is_assumed_for_some_symbols_only_names_them() -> None:
    """Catches the tiers of one symbol vouching for another's."""
    ether = closed(make_plan(symbol="ETHUSDT"))
    paths = make_paths() | {"ETHUSDT": make_paths()["BTCUSDT"]}
    row = compare([closed(make_plan()), ether], {"binance": REAL["binance"]}, paths=paths).iloc[0]
    assert not row["confirmed"]
    assert "margin_tiers (ETHUSDT)" in row["assumed"]
    assert "half_spread," in row["assumed"]


def test_without_trades_the_facts_stand_and_the_results_are_unknown() -> None:
    """Catches a crash, or a zero that looks like a result."""
    table = venue_comparison([], COSTS, REAL, {}, RESAMPLING)
    assert table["venue"].tolist() == list(EXCHANGES)
    assert (table[["n_trades", "n_refused", "n_common"]] == 0).all(axis=None)
    assert table["taker_fee_bps"].tolist() == pytest.approx([5.0, 5.5, 5.0, 5.0])
    results = ["gross_bps", *PARTS, "cost_bps", "net_bps_mean", "net_bps_low", "net_bps_high", "profit_factor"]
    assert table[[*results, "break_even_multiple", "depth_share_mean", "net_bps_common"]].isna().all(axis=None)
    assert set(table[results].dtypes) == {np.dtype("float64")}
    assert compare(many(), REAL).columns.tolist() == table.columns.tolist()


def test_the_same_venue_at_two_fees_is_two_rows() -> None:
    """Catches labels that must be names of known venues."""
    table = compare(many(), {"bybit": BTC, "bybit VIP 5": replace(BTC, taker_fee=0.0003)})
    assert table["venue"].tolist() == ["bybit", "bybit VIP 5"]
    assert table["fee_bps"][1] == pytest.approx(table["fee_bps"][0] * 3.0 / 5.5)


def test_hostile_input_is_named() -> None:
    """Catches a KeyError, a silent NaN, and costs that the plans were not made at."""
    trades = [closed(make_plan())]
    with pytest.raises(ParameterError, match="at least one venue"):
        compare(trades, {})
    with pytest.raises(ParameterError, match=r"must be that of the plans, 1\.0, was 2\.0"):
        compare(trades, {"bybit": BTC}, CostModel(multiple=2.0))
    with pytest.raises(MissingDataError, match=r"`venues\[.empty.\]` .* BTCUSDT"):
        compare(trades, {"bybit": BTC, "empty": {}})
    with pytest.raises(MissingDataError, match=r"`paths` .* BTCUSDT"):
        compare(trades, {"bybit": BTC}, paths={})
    with pytest.raises(DataError, match=r"BTCUSDT of 2024-03-01 .* nets nan at bybit"):
        compare([closed(make_plan(volatility_daily=math.nan))], {"bybit": BTC})
