"""The same trades under one change, against numbers worked out by hand and against naive loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tests.trading
from slackwater.errors import DataError, MissingDataError, ParameterError
from slackwater.evidence.cost_sensitivity import break_even, capacity_curve, cost_curve
from slackwater.evidence.leverage import counterfactuals, leverage_curve
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.ruin import ruin_curve
from slackwater.market.contracts import bankruptcy_price, contract, liquidation_price
from slackwater.metrics.selection import block_bootstrap_indices
from slackwater.trading.costs import CostModel
from slackwater.trading.decision import TradePlan
from slackwater.trading.ledger import ClosedTrade, Ledger
from slackwater.trading.price_path import PricePath, price_paths

START = pd.Timestamp("2024-03-01", tz="UTC")
HOUR = timedelta(hours=1)
HORIZON = 4 * HOUR
RESAMPLING = Resampling(draws=100, mean_block=timedelta(days=2))
BTC = contract("binance", "BTCUSDT")  # half-spread .5 bp, first tier to 300,000 USDT at 150x
CONTRACTS = {"BTCUSDT": BTC}
QUIET = (100.0, 101.0, 99.0, 100.0)
Bar = tuple[float, float, float, float]


def make_plan(**changes: Any) -> TradePlan:
    """A plan of which only what a curve may read is known: every other number is NaN, and would show."""
    known = {
        "symbol": "BTCUSDT",
        "side": 1,
        "entry": 100.0,
        "stop": 95.0,
        "target": 110.0,
        "quantity": 20.0,
        "notional_usd": 2_000.0,
        "liquidation_price": 70.0,
        "bankruptcy_price": 68.0,
        "risk_usd": 104.0,
        "fee_fraction": 0.0005,
        "entry_slippage": 0.001,
        "exit_slippage": 0.0008,
        "stop_slippage": 0.002,
        "latency_slippage": 0.0002,
        "cost_multiple": 1.0,
        "volatility_daily": 0.04,
        "atr_1h": 0.01,
        "volume_24h": 1e6,
        "depth_1pct": 500.0,
    }
    return tests.trading.make_plan(**known | changes)


def make_path(*bars: Bar, rate: float = 0.0) -> PricePath:
    """Hourly bars from START, quiet ones after those given; a funding settlement every two hours."""
    shown = [*bars, *[QUIET] * (8 - len(bars))]
    opens = pd.date_range(START, periods=len(shown), freq=HOUR).as_unit("us")
    table = pd.DataFrame(shown, columns=["open", "high", "low", "close"])
    table = table.assign(symbol="BTCUSDT", open_time=opens, event_time=opens + HOUR)
    funding = pd.DataFrame({"symbol": "BTCUSDT", "event_time": opens[1::2], "funding_rate": rate})
    return price_paths(table, funding, ["BTCUSDT"])["BTCUSDT"]


def closed(plan: TradePlan, *, price: float, reason: str = "time", funding: float = 0.0, day: int = 0) -> ClosedTrade:
    entry: datetime = START + timedelta(days=day)
    return ClosedTrade(
        plan=plan,
        entry_time=entry,
        exit_time=entry + HORIZON,
        exit_price=price,
        exit_reason=reason,
        funding_usd=funding,
    )


def many(n: int = 40, *, mean: float = 1.0, plan: TradePlan | None = None) -> list[ClosedTrade]:
    """One trade a day, long enough for intervals."""
    moves = np.random.default_rng(0).normal(mean, 3.0, n)
    return [
        closed(plan or make_plan(), price=100.0 + move, reason=("time", "stop", "target")[i % 3], funding=0.3, day=i)
        for i, move in enumerate(moves)
    ]


def ledger_table(trades: Sequence[ClosedTrade]) -> pd.DataFrame:
    ledger = Ledger(initial_equity=1e5, start=START)
    for trade in trades:
        ledger.record_trade(trade)
    return ledger.trades()


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([0, 1, 2], [10, 5, -5], 1.5),
        ([0, 1, 2], [-10, -5, 5], 1.5),  # a curve may come from below
        ([0, 1, 3], [10, math.nan, -5], 2.0),  # a gap is bridged
        ([0, 1, 2, 3], [10, -10, 10, -10], 0.5),  # the first crossing
        ([0, 1, 2], [10, 0, -5], 1.0),
        ([0, 1, 2], [0, -3, -5], 0.0),
        ([0, 1], [10, 5], math.nan),
        ([4], [0], 4.0),
        ([4], [1], math.nan),
        ([], [], math.nan),
        ([0, 1], [math.nan, math.nan], math.nan),
    ],
)
def test_break_even(x: list[float], y: list[float], expected: float) -> None:
    """Catches an interpolation from the wrong end, the last crossing for the first, and a point at zero missed."""
    assert break_even(x, y) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("x", "y"), [([0, 1], [1]), ([1, 0], [1, -1]), ([0, 0], [1, -1]), ([0, math.inf], [1, -1])])
def test_break_even_needs_a_curve(x: list[float], y: list[float]) -> None:
    """Catches a table in the wrong order, whose crossing would be an accident."""
    with pytest.raises(ParameterError, match="`x`"):
        break_even(x, y)


class TestCostCurve:
    def test_fees_and_slippage_scale_and_funding_does_not(self) -> None:
        """Catches funding multiplied, the plan's own multiple counted twice, and slippage left out."""
        once = closed(make_plan(), price=103.0, funding=-6.0)
        dear = make_plan(
            cost_multiple=2.0, fee_fraction=0.001, entry_slippage=0.002, exit_slippage=0.0016, latency_slippage=0.0004
        )
        twice = closed(dear, price=103.0, funding=-6.0)
        fees, slippage = 0.0005 * 20 * 203, 20 * (100 * 0.001 + 103 * 0.0008)
        for trade in (once, twice):
            curve = cost_curve([trade], RESAMPLING, multiples=(0.0, 1.0, 3.0))
            expected = [1e4 * (60 + 6 - m * (fees + slippage)) / 2_000 for m in (0, 1, 3)]
            assert curve["net_bps_mean"].tolist() == pytest.approx(expected)
        assert curve["multiple"].tolist() == [0.0, 1.0, 3.0]

    def test_at_one_it_is_the_ledger(self) -> None:
        """Catches a curve that is not about the trades of the books: mean, interval and profit factor."""
        trades = many()
        books = ledger_table(trades)
        row = cost_curve(trades, RESAMPLING).set_index("multiple").loc[1.0]
        net = books["net_bps"].to_numpy()
        low, high = RESAMPLING.interval(lambda x: float(np.mean(x)), books["entry_time"], net)
        assert [row["net_bps_mean"], row["net_bps_low"], row["net_bps_high"]] == pytest.approx([net.mean(), low, high])
        assert row["profit_factor"] == pytest.approx(net[net > 0].sum() / -net[net < 0].sum())
        assert row["n_trades"] == 40

    def test_costs_that_are_zero_cannot_be_scaled(self) -> None:
        """Catches a flat curve drawn from a sample that was made without costs."""
        free = make_plan(cost_multiple=0.0, fee_fraction=0.0)
        with pytest.raises(ParameterError, match="`cost_multiple` of every plan must be > 0, was 0 in 1"):
            cost_curve([closed(make_plan(), price=101.0), closed(free, price=101.0)], RESAMPLING)

    @pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
    def test_impossible_multiples_are_refused(self, bad: float) -> None:
        """Catches costs that pay the trader."""
        with pytest.raises(ParameterError, match="`multiples`"):
            cost_curve([], RESAMPLING, multiples=(1.0, bad))


def priced(plan: TradePlan, costs: CostModel) -> TradePlan:
    """The slippage that the gate writes into a plan."""
    order = {
        "quantity": plan.quantity,
        "volume_24h": plan.score.context.volume_24h,
        "volatility_daily": plan.score.context.volatility_daily,
    }
    market = costs.market_slippage(BTC, **order)
    costed = replace(
        plan.costs,
        entry_slippage=market + plan.costs.latency_slippage,
        exit_slippage=market,
        stop_slippage=costs.stop_slippage(BTC, **order, atr_1h=plan.score.context.atr_1h),
    )
    return replace(plan, sizing=replace(plan.sizing, costs=costed))


class TestCapacityCurve:
    def curve(self, trades: Sequence[ClosedTrade], **changes: Any) -> pd.DataFrame:
        given = {"costs": CostModel(), "contracts": CONTRACTS, "resampling": RESAMPLING, "depth_fraction": 0.02}
        return capacity_curve(trades, **given | changes)

    def test_at_the_planned_size_it_is_the_ledger(self) -> None:
        """Catches latency left out, a stop that pays like a market order, and funding at the old size."""
        trades = many(plan=priced(make_plan(), CostModel()))
        row = self.curve(trades, notionals=(2_000.0,)).iloc[0]
        books = ledger_table(trades)
        assert row["net_bps_mean"] == pytest.approx(books["net_bps"].mean())
        assert row["net_bps_low"] < row["net_bps_mean"] < row["net_bps_high"]
        slippage = 1e4 * books["slippage_usd"] / books["notional_usd"]
        assert row["round_trip_slippage_bps_mean"] == pytest.approx(slippage.mean())

    @pytest.mark.parametrize(
        ("reason", "at_exit"), [("time", (0.5, 0.0)), ("stop", (0.5, 3.0)), ("target", (0.0, 0.0))]
    )
    def test_slippage_by_hand(self, reason: str, at_exit: tuple[float, float]) -> None:
        """Catches impact in the wrong unit or of the old quantity."""
        spread_bps, stop_bps = at_exit
        trade = closed(make_plan(), price=100.0, reason=reason)
        row = self.curve([trade], notionals=(1e6,)).iloc[0]
        impact_bps = 1e4 * 1.6 * 0.04 * math.sqrt(1e4 / 1e6)
        expected = 0.5 + impact_bps + 2.0 + (spread_bps and spread_bps + impact_bps) + 0.1 * stop_bps * 10
        assert row["round_trip_slippage_bps_mean"] == pytest.approx(expected)

    def test_the_break_even_notional_breaks_even(self) -> None:
        """Catches a straight line in the notional, which is wrong by thousands between two points."""
        trades = many(mean=0.6)
        curve = self.curve(trades, notionals=(1e6, 1e3))
        assert curve["notional_usd"].tolist() == [1e3, 1e6]
        zero = curve["break_even_usd"].iloc[0]
        assert 1e3 < zero < 1e6
        assert self.curve(trades, notionals=(zero,))["net_bps_mean"].iloc[0] == pytest.approx(0.0, abs=1e-9)
        assert self.curve(many(mean=-5.0))["break_even_usd"].isna().all()

    def test_depth_is_counted_where_it_is_known(self) -> None:
        """Catches an unknown depth read as none, a share of all trades, and dollars compared with coins."""
        trades = [closed(make_plan(depth_1pct=depth), price=101.0) for depth in (5_000.0, 4_999.0, math.nan)]
        row = self.curve(trades, notionals=(10_000.0,)).iloc[0]  # 100 coins, 2 % of 5,000
        assert row["share_within_depth"] == 0.5
        assert math.isnan(self.curve(trades[2:])["share_within_depth"].iloc[0])

    @pytest.mark.parametrize(
        ("changes", "error", "named"),
        [
            ({"depth_fraction": 0.0}, ParameterError, "depth_fraction"),
            ({"depth_fraction": 1.5}, ParameterError, "depth_fraction"),
            ({"notionals": (0.0,)}, ParameterError, "notionals"),
            ({"costs": CostModel(multiple=2.0)}, ParameterError, "`multiple` of the costs"),
            ({"contracts": {}}, MissingDataError, "lacked BTCUSDT"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, changes: dict[str, Any], error: type[Exception], named: str) -> None:
        """Catches slippage at one multiple beside fees at another, and a KeyError."""
        with pytest.raises(error, match=named):
            self.curve([closed(make_plan(), price=101.0)], **changes)


def hold(plan: TradePlan, *bars: Bar, rate: float = 0.0) -> tuple[list[ClosedTrade], dict[str, PricePath]]:
    path = make_path(*bars, rate=rate)
    return [path.hold(plan, entry_bar=0, horizon=HORIZON)], {"BTCUSDT": path}


SHORT = {"side": -1, "stop": 105.0, "target": 90.0, "liquidation_price": 130.0, "bankruptcy_price": 132.0}


def mirror(bars: Sequence[Bar]) -> list[Bar]:
    """The same moves the other way, about 100."""
    return [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in bars]


class TestCounterfactuals:
    @pytest.mark.parametrize("side", [1, -1])
    @pytest.mark.parametrize(
        ("bars", "ends"),
        [
            # stopped, then the target: patience would have paid
            ([QUIET, (100, 101, 94, 97), (97, 111, 96, 108)], ["stop", "target", "stop", "time"]),
            ([QUIET, (100, 111, 99, 105)], ["target", "target", "time", "time"]),
            # without its stop a position can die
            ([QUIET, (100, 101, 60, 80)], ["stop", "liquidation", "stop", "liquidation"]),
            ([(100, 101, 94, 97)], ["stop", "time", "stop", "time"]),  # the entry bar counts
        ],
    )
    def test_exits_of_every_variant(self, bars: list[Bar], ends: list[str], side: int) -> None:
        """Catches the sign of infinity, a liquidation taken away with the stop, and variants in another order."""
        plan = make_plan(**(SHORT if side < 0 else {}))
        trades, paths = hold(plan, *(mirror(bars) if side < 0 else bars))
        table = counterfactuals(trades, paths, HORIZON, RESAMPLING)
        assert table["variant"].tolist() == ["as planned", "without stop", "without target", "time exit only"]
        shares = table[["stop_share", "target_share", "time_share", "liquidation_share"]]
        assert shares.idxmax(axis=1).str.removesuffix("_share").tolist() == ends
        assert shares.sum(axis=1).tolist() == [1.0] * 4

    def test_a_variant_pays_for_the_exit_that_it_has(self) -> None:
        """Catches the slippage of a stop charged to a time exit, and funding of the planned holding time."""
        trades, paths = hold(make_plan(), QUIET, (100, 101, 94, 97), (97, 98, 96, 97), rate=0.001)
        table = counterfactuals(trades, paths, HORIZON, RESAMPLING).set_index("variant")
        fee, entry = 0.0005, 0.001

        def net(exit_: float, slippage: float, settlements: int) -> float:
            paid = fee * (100 + exit_) + 100 * entry + exit_ * slippage + 0.1 * settlements
            return 1e2 * (exit_ - 100 - paid)

        assert table.loc["as planned", "net_bps_mean"] == pytest.approx(net(95, 0.002, 1))
        without = net(100, 0.0008, 2)
        assert table.loc["without stop", "net_bps_mean"] == pytest.approx(without)
        assert table.loc["without stop", "difference_bps"] == pytest.approx(without - net(95, 0.002, 1))
        assert table["worst_bps"].tolist() == pytest.approx(table["net_bps_mean"].tolist())
        assert table["win_rate"].tolist() == [0.0] * 4

    def test_the_difference_is_paired(self) -> None:
        """Catches an interval of two independent means: a stop that costs the same every time has none."""
        stopped = (QUIET, (100, 101, 94, 97), (97, 98, 96, 97))
        trades, paths = [], {}
        for day in range(12):
            symbol = f"S{day}"
            path = make_path(*stopped)
            shift = int(timedelta(days=day) / timedelta(microseconds=1))
            path = replace(path, open_time=path.open_time + shift, close_time=path.close_time + shift)
            # Entries differ, so the nets do; the price that the stop gives up is the same share of each.
            plan = make_plan(symbol=symbol, notional_usd=2_000.0, fee_fraction=0.0001 * day)
            paths[symbol] = path
            trades.append(path.hold(plan, entry_bar=0, horizon=HORIZON))
        row = counterfactuals(trades, paths, HORIZON, RESAMPLING).set_index("variant").loc["without stop"]
        assert row["net_bps_high"] - row["net_bps_low"] > 3.0
        assert row["difference_high"] - row["difference_low"] < 0.5
        assert row["difference_low"] <= row["difference_bps"] <= row["difference_high"]

    @pytest.mark.parametrize("changed", ["horizon", "path"])
    def test_another_path_or_horizon_is_refused(self, changed: str) -> None:
        """Catches a counterfactual of trades that were never made."""
        trades, paths = hold(make_plan(), QUIET, (100, 102, 98, 101))
        other = {"BTCUSDT": make_path(QUIET, QUIET, QUIET, (100, 102, 98, 101))} if changed == "path" else paths
        with pytest.raises(ParameterError, match="must be those of the trades: BTCUSDT"):
            counterfactuals(trades, other, HORIZON - HOUR if changed == "horizon" else HORIZON, RESAMPLING)
        with pytest.raises(MissingDataError, match="`paths` must hold every symbol that was traded"):
            counterfactuals(trades, {}, HORIZON, RESAMPLING)


def with_stop(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["variant"] == "with stop"].set_index("leverage")


class TestLeverageCurve:
    # Falls by 4 %, misses the stop, and reverses through the target.
    DIP = (QUIET, (100, 101, 96, 97), (97, 111, 96.5, 108))

    def curve(self, plan: TradePlan, *bars: Bar, leverages: Sequence[int], **changes: Any) -> pd.DataFrame:
        trades, paths = hold(plan, *bars)
        given = {"trades": trades, "paths": paths, "contracts": CONTRACTS, "horizon": HORIZON, "leverages": leverages}
        return with_stop(leverage_curve(**given | changes))

    @pytest.mark.parametrize("side", [1, -1])
    def test_high_leverage_dies_before_the_reversal(self, side: int) -> None:
        """Catches the planned liquidation price kept, the side of a short, and a knock-out that is none."""
        plan, bars = (make_plan(), self.DIP) if side > 0 else (make_plan(**SHORT), mirror(self.DIP))
        table = self.curve(plan, *bars, leverages=(5, 50))
        assert table["liquidated"].tolist() == [0.0, 1.0]
        assert table["stopped"].tolist() == [0.0, 0.0]
        assert table["exited_before_reversal"].tolist() == [0.0, 1.0]
        assert table["median_r"].iloc[0] > 1.5
        assert table["median_r"].iloc[1] == pytest.approx(-1.0)  # liquidated: all that it could lose
        assert table["mean_r"].tolist() == pytest.approx(table["median_r"].tolist())

    def test_the_whole_margin_and_the_fees_are_gone(self) -> None:
        """Catches a margin of the market price instead of the fill, and a loss at the liquidation price."""
        row = self.curve(make_plan(), *self.DIP, leverages=(50,)).iloc[0]
        fill = 100 * 1.001
        fees = 0.0005 * (100 + fill * (1 - 1 / 50))
        assert row["worst_return_on_margin"] == pytest.approx(-1 - fees / (fill / 50))
        assert row["net_bps_mean"] == pytest.approx(-1e4 * (fill / 50 + fees) / 100)

    def test_return_on_margin_grows_with_leverage_until_the_margin_is_gone(self) -> None:
        """Catches a return on notional, or on the margin of the plan."""
        table = self.curve(make_plan(), *self.DIP, leverages=(2, 10, 50))
        fill, net = 100 * 1.001, table["net_bps_mean"] / 1e2
        expected = net * table.index / fill
        for column in ("return_on_margin_mean", "median_return_on_margin", "worst_return_on_margin"):
            assert table[column].tolist() == pytest.approx(expected.tolist())
        assert net.iloc[0] == net.iloc[1] > 0 > net.iloc[2]

    @pytest.mark.parametrize(("touch", "liquidated"), [(-1e-6, 1.0), (1e-6, 0.0)])
    def test_the_liquidation_price_is_that_of_the_fill(self, touch: float, liquidated: float) -> None:
        """Catches slippage left out of the entry, or a price of another quantity or contract."""
        level = liquidation_price(BTC, side=1, entry=100 * 1.001, quantity=20.0, leverage=50)
        table = self.curve(make_plan(), QUIET, (100, 101, level + touch, 100), leverages=(50,))
        assert table["liquidated"].iloc[0] == liquidated

    def test_a_stop_before_the_reversal_is_a_knock_out_too(self) -> None:
        """Catches knock-outs without the stops, stops that nothing followed, and a reversal behind a liquidation."""
        back, away = (97, 111, 96, 108), (97, 98, 96, 97)
        for low, then, knocked in ((94, back, 1.0), (65, back, 1.0), (94, away, 0.0)):
            table = self.curve(make_plan(), QUIET, (100, 101, low, 97), then, leverages=(3,))
            assert table["stopped"].iloc[0] == 1.0
            assert table["exited_before_reversal"].iloc[0] == knocked
            assert table["mean_r"].iloc[0] == pytest.approx(table["net_bps_mean"].iloc[0] * 0.2 / 104)

    def test_what_a_venue_does_not_offer_is_left_out(self) -> None:
        """Catches a leverage above that of the tier, and a short that outgrows the known tiers."""
        small, large = make_plan(), make_plan(quantity=1.3e4, notional_usd=1.3e6, equity=1e6)  # the second: 75x at most
        trades = [*hold(small, *self.DIP)[0], *hold(large, *self.DIP)[0]]
        paths = {"BTCUSDT": make_path(*self.DIP)}
        table = with_stop(leverage_curve(trades, paths, CONTRACTS, HORIZON, leverages=(50, 100, 151)))
        assert table["n_trades"].tolist() == [2, 1, 0]
        assert table["not_offered"].tolist() == [0, 1, 2]
        assert table.loc[151].drop(["variant", "n_trades", "not_offered"]).isna().all()
        # Short of 40,000 USDT where only a first tier to 50,000 is known: at 2x it can grow to 60,000.
        unknown = {"BTCUSDT": contract("okx", "BTCUSDT")}
        table = self.curve(
            make_plan(**SHORT, quantity=400.0, notional_usd=4e4, equity=1e6),
            *self.DIP,
            leverages=(2, 5),
            contracts=unknown,
        )
        assert table["not_offered"].tolist() == [1, 0]

    def test_a_margin_that_the_account_does_not_have_is_not_offered(self) -> None:
        """Catches low leverage that looks bad, or good, on trades that nobody could have made with it."""
        table = self.curve(make_plan(equity=700.0), *self.DIP, leverages=(2, 3))
        assert table["not_offered"].tolist() == [1, 0]

    def test_without_a_stop_the_margin_is_the_risk(self) -> None:
        """Catches a stop that stays, and an R that is still that of the stop."""
        trades, paths = hold(make_plan(), QUIET, (100, 101, 93, 94), (94, 111, 93.5, 108))
        table = leverage_curve(trades, paths, CONTRACTS, HORIZON, leverages=(5, 50)).set_index(["variant", "leverage"])
        assert table["stopped"].tolist() == [1.0, 0.0, 0.0, 0.0]
        assert table["liquidated"].tolist() == [0.0, 1.0, 0.0, 1.0]
        assert table["exited_before_reversal"].tolist() == [1.0, 1.0, 0.0, 1.0]
        held = table.loc[("without stop", 5)]
        assert 0.0 < held["median_r"] < 1.0  # a tenth of price on a fifth of it
        assert table.loc[("without stop", 50), "median_r"] == pytest.approx(-1.0)

    def test_only_those_offered_are_compared(self) -> None:
        """Catches reversals that are paired with the wrong trades once some are left out."""
        large = make_plan(quantity=1.3e4, notional_usd=1.3e6, equity=1e6)
        quiet = replace(large, score=replace(large.score, symbol="ETHUSDT"))
        dip, calm = make_path(*self.DIP), make_path()
        paths = {"BTCUSDT": dip, "ETHUSDT": calm}
        trades = [calm.hold(quiet, entry_bar=0, horizon=HORIZON), dip.hold(make_plan(), entry_bar=0, horizon=HORIZON)]
        table = leverage_curve(trades, paths, {"BTCUSDT": BTC, "ETHUSDT": BTC}, HORIZON, leverages=(100,))
        assert table["not_offered"].iloc[0] == 1
        assert table["exited_before_reversal"].iloc[0] == 1.0

    def test_bankruptcy_is_that_of_the_venue(self) -> None:
        """Catches a bankruptcy price that is not the one of market.contracts."""
        table = self.curve(make_plan(**SHORT), *mirror(self.DIP), leverages=(50,))
        price = bankruptcy_price(side=-1, entry=100 * (1 - 0.001), leverage=50)
        net = 100 - price - 0.0005 * (100 + price) - 0.1
        assert table["net_bps_mean"].iloc[0] == pytest.approx(1e2 * net)

    def test_nonsense_is_refused(self) -> None:
        """Catches a leverage below 1, and a KeyError for a symbol without contract or path."""
        with pytest.raises(ParameterError, match="`leverages`"):
            self.curve(make_plan(), *self.DIP, leverages=(0,))
        with pytest.raises(MissingDataError, match="`contracts`"):
            self.curve(make_plan(), *self.DIP, leverages=(2,), contracts={})
        with pytest.raises(MissingDataError, match="`paths`"):
            self.curve(make_plan(), *self.DIP, leverages=(2,), paths={})
        with pytest.raises(ParameterError, match="must be those of the trades"):
            self.curve(make_plan(), *self.DIP, leverages=(2,), horizon=2 * HOUR)


def streak_of(trades: float, loss_share: float) -> float:
    return (math.log(trades * (1 - loss_share)) + 0.577216) / -math.log(loss_share) - 0.5


def outcomes(net_r: Sequence[float], *, freq: str = "1D") -> pd.DataFrame:
    times = pd.date_range(START, periods=len(net_r), freq=freq, unit="us")
    return pd.DataFrame({"entry_time": times, "net_r": np.asarray(net_r, dtype=float)})


class TestRuinCurve:
    def test_what_is_certain(self) -> None:
        """Catches a drawdown measured from the wrong end, simple interest for compound, and two years for one."""
        lost, won = (ruin_curve(outcomes([r] * 100), draws=20, risk_fractions=(0.01,)).iloc[0] for r in (-1.0, 1.0))
        assert lost["ruin_probability"] == 1.0
        assert lost["median_max_drawdown"] == pytest.approx(1 - 0.99**365)
        assert lost["expected_longest_losing_streak"] == 365
        assert won["ruin_probability"] == won["median_max_drawdown"] == 0.0
        assert won["median_annual_return"] == pytest.approx(1.01**365 - 1)
        assert won["expected_longest_losing_streak"] == 0.0
        two_years = ruin_curve(outcomes([1.0] * 100), draws=5, risk_fractions=(0.01,), years=2.0).iloc[0]
        assert two_years["median_annual_return"] == pytest.approx(won["median_annual_return"])

    def test_against_a_naive_walk(self) -> None:
        """Catches a peak that forgets the start, and blocks that are not those of the bootstrap."""
        rng = np.random.default_rng(1)
        trades = outcomes(rng.normal(0.02, 1.2, 700))
        days = trades["entry_time"].to_numpy()
        block = timedelta(days=5)
        ruined, deepest, final = [], [], []
        for rows in block_bootstrap_indices(days, mean_block=block, draws=80, seed=3):
            equity, peak, worst = 1.0, 1.0, 0.0
            for r in trades["net_r"].to_numpy()[rows[:365]]:
                equity *= 1 + 0.02 * r
                peak = max(peak, equity)
                worst = max(worst, 1 - equity / peak)
            ruined.append(worst >= 0.3)
            deepest.append(worst)
            final.append(equity)
        row = ruin_curve(trades, risk_fractions=(0.02,), draws=80, mean_block=block, seed=3).iloc[0]
        assert 0 < row["ruin_probability"] == np.mean(ruined) < 1
        assert row["median_max_drawdown"] == pytest.approx(np.median(deepest))
        assert row["median_annual_return"] == pytest.approx(np.median(final) - 1)
        assert (row["drawdown"], row["years"]) == (0.3, 1.0)

    def test_days_without_trades_are_days(self) -> None:
        """Catches a year of trades only, in which everything happens ten times as often."""
        row = ruin_curve(outcomes([1.0] * 40, freq="10D"), draws=200, risk_fractions=(0.01,)).iloc[0]
        assert row["median_annual_return"] == pytest.approx(1.01**36.5 - 1, rel=0.05)

    def test_trades_of_a_day_stand_and_fall_together(self) -> None:
        """Catches trades taken one after the other that were open at once: here they cancel."""
        day = outcomes([1.0, -1.0] * 100, freq="12h")
        assert ruin_curve(day, draws=10, risk_fractions=(0.5,)).iloc[0]["median_max_drawdown"] == 0.0

    def test_a_loss_beyond_the_equity_ends_at_zero(self) -> None:
        """Catches an equity that comes back from below zero as the product of two negative days."""
        row = ruin_curve(outcomes([-3.0] * 100), draws=5, risk_fractions=(0.5,)).iloc[0]
        assert row["median_max_drawdown"] == 1.0
        assert row["median_annual_return"] == -1.0

    def test_a_short_calendar_is_a_circle_that_goes_on(self) -> None:
        """Catches seams: a year drawn from 90 days holds the blocks of the same days five times over."""
        wave = np.r_[np.full(45, -1.0), np.full(45, 1.0)]
        once, five = (ruin_curve(outcomes(np.tile(wave, n)), draws=50, mean_block=timedelta(days=15)) for n in (1, 5))
        assert once["median_max_drawdown"].nunique() == 4
        pd.testing.assert_frame_equal(once, five)

    def test_a_calendar_of_few_blocks_says_nothing(self) -> None:
        """Catches a safe answer from two weeks of luck."""
        few = ruin_curve(outcomes([1.0, 1.0, -1.0, 1.0] * 4), draws=10)
        drawn = ["ruin_probability", "median_max_drawdown", "median_annual_return"]
        assert few[drawn].isna().to_numpy().all()
        assert few["expected_longest_losing_streak"].tolist() == pytest.approx([streak_of(365, 0.25)] * 4)

    def test_losing_streak(self) -> None:
        """Catches the share of wins in place of losses, a zero counted as a loss, and trades of another span."""
        trades = outcomes([-1.0, -1.0, 0.0, 1.0] * 50, freq="12h")
        row = ruin_curve(trades, draws=5, years=2.0).iloc[0]
        assert row["expected_longest_losing_streak"] == pytest.approx(streak_of(2 * 730, 0.5))

    @pytest.mark.parametrize(("losses", "of"), [(3, 10), (5, 10), (7, 10), (9, 10)])
    def test_losing_streak_is_that_of_drawn_trades(self, losses: int, of: int) -> None:
        """Catches the bound ln n / -ln q, which is a loss or two above the mean of 365 trades."""
        row = ruin_curve(outcomes([-1.0] * losses + [1.0] * (of - losses)), draws=5).iloc[0]
        lost = np.random.default_rng(1).random((2_000, 365)) < losses / of
        run, longest = np.zeros(2_000), np.zeros(2_000)
        for trade in lost.T:
            run = np.where(trade, run + 1, 0)
            longest = np.maximum(longest, run)
        assert row["expected_longest_losing_streak"] == pytest.approx(longest.mean(), rel=0.03)

    def test_more_risk_is_more_ruin_on_the_same_days(self) -> None:
        """Catches draws that differ from fraction to fraction, and a result that depends on more than the seed."""
        trades = outcomes(np.random.default_rng(2).normal(0.0, 1.0, 400))
        curve = ruin_curve(trades, draws=200)
        assert curve["ruin_probability"].is_monotonic_increasing
        assert curve["median_max_drawdown"].is_monotonic_increasing
        alone = ruin_curve(trades, draws=200, risk_fractions=(0.02,))
        pd.testing.assert_frame_equal(curve.tail(1).reset_index(drop=True), alone)

    @pytest.mark.parametrize(
        ("changes", "error", "named"),
        [
            ({"risk_fractions": (0.0,)}, ParameterError, "risk_fractions"),
            ({"risk_fractions": (1.5,)}, ParameterError, "risk_fractions"),
            ({"drawdown": 0.0}, ParameterError, "drawdown"),
            ({"years": 0.0}, ParameterError, "years"),
            ({"years": math.inf}, ParameterError, "years"),
            ({"draws": 0}, ParameterError, "draws"),
            ({"trades": outcomes([1.0, math.nan])}, DataError, "net_r"),
        ],
    )
    def test_nonsense_is_refused(self, changes: dict[str, Any], error: type[Exception], named: str) -> None:
        """Catches a NaN that would make every probability 0."""
        with pytest.raises(error, match=named):
            ruin_curve(**{"trades": outcomes([1.0] * 100)} | changes)


@pytest.mark.parametrize(
    "curve",
    [
        lambda: cost_curve([], RESAMPLING),
        lambda: capacity_curve([], CostModel(), CONTRACTS, RESAMPLING, depth_fraction=0.02),
        lambda: counterfactuals([], {}, HORIZON, RESAMPLING),
        lambda: leverage_curve([], {}, CONTRACTS, HORIZON),
        lambda: ruin_curve(ledger_table([])),
    ],
)
def test_without_trades_there_is_a_table_of_nothing(curve: Callable[[], pd.DataFrame]) -> None:
    """Catches a crash in the stage of a run that traded nothing, and a zero that reads like a result."""
    table = curve()
    assert len(table) >= 4
    counts = {"n_trades", "not_offered"} & set(table.columns)
    assert (table[sorted(counts)] == 0).to_numpy().all()
    known = {"multiple", "notional_usd", "variant", "leverage", "risk_fraction", "drawdown", "years", *counts}
    assert table.drop(columns=sorted(known & set(table.columns))).isna().to_numpy().all()
