"""Adversarial continuations against losses worked out by hand, at zero costs unless costs are the point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tests.trading
from slackwater.errors import MissingDataError, ParameterError
from slackwater.evidence.stress import SEVERITIES, stress_losses
from slackwater.trading.account import Account
from slackwater.trading.decision import TradePlan
from slackwater.trading.gate import Gate
from slackwater.trading.ledger import ClosedTrade
from slackwater.trading.price_path import PricePath, price_paths
from slackwater.trading.score import MarketContext, Score

START = pd.Timestamp("2024-03-01 06:00", tz="UTC")
STEP = timedelta(minutes=15)
HORIZON = timedelta(hours=4)
STILL = (100.0, 100.0, 100.0, 100.0)
SHORT = {"side": -1, "stop": 105.0, "target": 90.0, "liquidation_price": 130.0, "bankruptcy_price": 132.0}
Bar = tuple[float, float, float, float]


def make_plan(**changes: Any) -> TradePlan:
    """20 coins bought at 100, stopped at 95 for 100 USDT; what a stress may not read is NaN, and would show."""
    known = {
        "symbol": "BTCUSDT",
        "side": 1,
        "equity": 10_000.0,
        "entry": 100.0,
        "stop": 95.0,
        "target": 110.0,
        "quantity": 20.0,
        "notional_usd": 2_000.0,
        "liquidation_price": 70.0,
        "bankruptcy_price": 68.0,
        "risk_usd": 100.0,
        "fee_fraction": 0.0,
        "entry_slippage": 0.0,
        "exit_slippage": 0.0,
        "stop_slippage": 0.0,
    }
    return tests.trading.make_plan(**known | changes)


def make_path(*bars: Bar, mark: Sequence[float] = (), periods: int = 16) -> dict[str, PricePath]:
    """A quarter of an hour each from START, still after those given, and marks that stand still within a bar."""
    shown = [*bars, *[STILL] * (periods - len(bars))]
    opens = pd.date_range(START, periods=periods, freq=STEP).as_unit("us")
    table = pd.DataFrame(shown, columns=["open", "high", "low", "close"])
    table = table.assign(symbol="BTCUSDT", open_time=opens, event_time=opens + STEP)
    marked = table.iloc[: len(mark)].assign(open=list(mark), high=list(mark), low=list(mark), close=list(mark))
    funding = pd.DataFrame({"symbol": "BTCUSDT", "event_time": opens[3::4] + STEP, "funding_rate": 0.001})
    return price_paths(table, funding, ["BTCUSDT"], mark=marked)


def hold(plan: TradePlan, paths: Mapping[str, PricePath]) -> list[ClosedTrade]:
    return [paths["BTCUSDT"].hold(plan, entry_bar=0, horizon=HORIZON)]


def mirror(*bars: Bar) -> list[Bar]:
    """The same moves the other way, about 100."""
    return [(200 - o, 200 - low, 200 - high, 200 - c) for o, high, low, c in bars]


def losses(plan: TradePlan, paths: Mapping[str, PricePath], scenario: str, *severities: float) -> pd.DataFrame:
    """The rows of one scenario without funding, but for its own."""
    quiet = {
        symbol: replace(path, settlement_time=path.settlement_time[:0], funding_rate=path.funding_rate[:0])
        for symbol, path in paths.items()
    }
    table = stress_losses(hold(plan, quiet), quiet, HORIZON, {scenario: severities})
    return table[table["scenario"] == scenario].set_index("severity")


@pytest.fixture(params=[1, -1], ids=["long", "short"])
def side(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def of(side: int, **changes: Any) -> TradePlan:
    return make_plan(**({} if side > 0 else SHORT) | changes)


class TestGaps:
    @pytest.mark.parametrize("scenario", ["gap", "limit_hour", "halt_2h"])
    def test_a_stop_fills_where_the_market_reopens(self, scenario: str, side: int) -> None:
        """Catches a stop filled at its price, a gap toward the target, and a stop triggered in a locked market."""
        found = losses(of(side), make_path(), scenario, 0.05, 0.1, 0.2)
        assert found["loss_ratio_max"].tolist() == pytest.approx([1.0, 2.0, 4.0])
        assert found["share_liquidated"].tolist() == [0.0] * 3
        assert found["worst_equity_fraction"].tolist() == pytest.approx([0.99, 0.98, 0.96])

    @pytest.mark.parametrize("scenario", ["gap", "limit_hour", "halt_2h", "halt_24h"])
    def test_beyond_the_liquidation_price_the_margin_is_gone(self, scenario: str, side: int) -> None:
        """Catches a mark that stays behind, and a loss beyond the bankruptcy price."""
        row = losses(of(side), make_path(), scenario, 0.35).iloc[0]
        assert row["share_liquidated"] == 1.0
        assert row["loss_ratio_max"] == pytest.approx(20 * 32 / 100)

    def test_beyond_the_stop_by_multiples_of_its_distance(self, side: int) -> None:
        """Catches multiples counted from the entry, or of the price."""
        found = losses(of(side), make_path(), "gap_beyond_stop", 1.0, 2.0, 4.0)
        assert found["loss_ratio_max"].tolist() == pytest.approx([2.0, 3.0, 5.0])

    def test_a_gap_before_the_stop_goes_on(self, side: int) -> None:
        """Catches a path that ends with the gap, and one that is not scaled: 4 % lost, then 96 % of 103 at the end."""
        later = [STILL, STILL, *[(103.0, 103.0, 103.0, 103.0)] * 14]
        found = losses(of(side), make_path(*(later if side > 0 else mirror(*later))), "gap", 0.04)
        ends = 0.96 * 103.0 if side > 0 else 1.04 * 97.0
        assert found["loss_ratio_max"].iloc[0] == pytest.approx(20 * side * (100.0 - ends) / 100)

    def test_the_market_turns_before_the_entry_bar_can_end_the_trade(self, side: int) -> None:
        """Catches trades that have left before the blow: it would not touch those that stopped or won at once."""
        for bar in ((100.0, 120.0, 100.0, 100.0), (100.0, 100.0, 80.0, 100.0)):
            paths = make_path(*([bar] if side > 0 else mirror(bar)), mark=[200.0 if side < 0 else 60.0])
            paths["BTCUSDT"].mark_open[0] = 100.0
            assert losses(of(side), paths, "gap", 0.1)["loss_ratio_max"].iloc[0] == pytest.approx(2.0)

    @pytest.mark.parametrize("scenario", ["gap", "limit_hour"])
    def test_the_mark_keeps_its_distance(self, scenario: str) -> None:
        """Catches a mark that is set to the last trades: at 69 it would liquidate, 4 % above them it does not."""
        row = losses(make_plan(), make_path(mark=[104.0] * 16), scenario, 0.31).iloc[0]
        assert row["share_liquidated"] == 0.0
        assert row["loss_ratio_max"] == pytest.approx(6.2)

    def test_a_wick_is_not_marked(self, side: int) -> None:
        """Catches a mark that follows, and a stop that loses more than the margin."""
        gap, wick = (losses(of(side, equity=600.0), make_path(), name, 0.2, 0.35) for name in ("gap", "wick"))
        assert wick["share_liquidated"].tolist() == [0.0, 1.0]
        assert wick["loss_ratio_max"].iloc[0] == pytest.approx(4.0)
        assert wick["loss_ratio_max"].iloc[1] == gap["loss_ratio_max"].iloc[1] < 7.0
        assert wick["n_negative_without_liquidation"].tolist() == [0, 0]

    def test_a_liquidation_is_on_record(self) -> None:
        """Catches a count of every negative equity: the one left by a liquidation is in the books."""
        row = losses(make_plan(equity=600.0), make_path(), "gap", 0.5).iloc[0]
        assert row["worst_equity_fraction"] == pytest.approx(-40 / 600)
        assert row["n_negative_without_liquidation"] == 0

    def test_costs_are_those_of_the_exit(self) -> None:
        """Catches a loss before costs, and one over the notional or the margin."""
        plan = make_plan(fee_fraction=0.001, entry_slippage=0.002, stop_slippage=0.004, risk_usd=50.0)
        net = 20 * (-10 - 0.001 * 190 - 100 * 0.002 - 90 * 0.004)
        assert losses(plan, make_path(), "gap", 0.1)["loss_ratio_max"].iloc[0] == pytest.approx(-net / 50)


class TestLockedAndHalted:
    def test_the_mark_liquidates_while_nobody_trades(self, side: int) -> None:
        """Catches a mark that waits for the reopening: here it stands back again by then, as recorded."""
        mark = [100.0] * 5 + [(130.0 if side > 0 else 70.0)] * 11
        paths = make_path(mark=mark)
        assert losses(of(side), paths, "limit_hour", 0.29)["share_liquidated"].iloc[0] == 0.0
        row = losses(of(side), paths, "limit_hour", 0.3).iloc[0]  # 30 % of 100: exactly the liquidation price
        assert row["share_liquidated"] == 1.0
        assert row["loss_ratio_max"] == pytest.approx(6.4)

    def test_the_mark_slides_from_quarter_to_quarter(self, side: int) -> None:
        """Catches a mark that jumps at once or at the end: of 80 %, 39 % are lost in the second quarter of the hour.

        Settlements tell the time: the first falls just after the first quarter, at a mark of 80, and is paid, the
        second just after the second quarter and is not.
        """
        level = 100.0 - side * 39.0
        plan = of(side, liquidation_price=level, bankruptcy_price=level)
        path = make_path()["BTCUSDT"]
        settled = path.open_time[2:4] + 2_000_000  # within a second of a bar end they would be at it
        paths = {"BTCUSDT": replace(path, settlement_time=settled, funding_rate=np.full(2, float(side)))}
        row = stress_losses(hold(plan, paths), paths, HORIZON, {"limit_hour": (0.8,)}).iloc[1]
        assert row["loss_ratio_max"] == pytest.approx(20 * (39 + (80 if side > 0 else 120)) / 100)

    def test_nothing_is_filled_in_a_locked_hour(self, side: int) -> None:
        """Catches a target that is met by recorded trades while the market is locked, and a gap counted from them."""
        bars = [STILL, STILL, (100.0, 120.0, 100.0, 103.0), *[(103.0, 103.0, 103.0, 103.0)] * 13]
        paths = make_path(*(bars if side > 0 else mirror(*bars)))
        assert losses(of(side), paths, "limit_hour", 0.1)["loss_ratio_max"].iloc[0] == pytest.approx(2.0)

    def test_a_halt_postpones_the_market(self, side: int) -> None:
        """Catches a halt that hides what was recorded, and a time exit at the price before it."""
        later = [STILL, STILL, *[(103.0, 103.0, 103.0, 103.0)] * 14]
        paths = make_path(*(later if side > 0 else mirror(*later)))
        # Two hours: the scaled market has time to recover. A day: the time exit has passed, the first open counts.
        short = losses(of(side), paths, "halt_2h", 0.04)["loss_ratio_max"].iloc[0]
        assert short == pytest.approx(20 * (100 - 0.96 * 103 if side > 0 else 1.04 * 97 - 100) / 100)
        assert losses(of(side), paths, "halt_24h", 0.04)["loss_ratio_max"].iloc[0] == pytest.approx(0.8)

    def test_a_halt_ends_no_sooner_than_its_time(self) -> None:
        """Catches a halt of another length: the last bar within the horizon is the one recorded two hours earlier."""
        rising = [(100.0 + 0.1 * bar,) * 4 for bar in range(16)]
        # Bars 1 to 7 open from 08:15 to 09:45, scaled to 96 at the first.
        ends = 96.0 * 100.7 / 100.1
        found = losses(make_plan(), make_path(*rising), "halt_2h", 0.04)["loss_ratio_max"].iloc[0]
        assert found == pytest.approx(20 * (100 - ends) / 100)

    def test_a_reopening_beyond_the_stop_is_a_stop(self) -> None:
        """Catches the slippage of a time exit for an order that is triggered after the horizon."""
        plan = make_plan(stop_slippage=0.01, exit_slippage=0.0)
        assert losses(plan, make_path(), "halt_24h", 0.1)["loss_ratio_max"].iloc[0] == pytest.approx(2.0 + 0.18)

    def test_funding_goes_on_through_a_halt(self, side: int) -> None:
        """Catches settlements that are postponed with the bars: four of 10 bp on 2,000 USDT fall into it."""
        paths = make_path()
        row = stress_losses(hold(of(side), paths), paths, HORIZON, {"halt_24h": (0.04,)}).iloc[1]
        assert row["loss_ratio_max"] == pytest.approx(0.8 + side * 0.08)


class TestFunding:
    def test_every_settlement_is_paid_by_either_side(self, side: int) -> None:
        """Catches a payment at the entry, one received, the recorded ones on top, and hours not of the clock."""
        paths = make_path()
        spikes = {"funding_8h": (0.02,), "funding_1h": (0.02, 0.04)}
        table = stress_losses(hold(of(side), paths), paths, HORIZON, spikes)
        assert table["scenario"].tolist() == ["recorded", "funding_8h", "funding_1h", "funding_1h"]
        # 06:00 to 10:00: 08:00 alone, or 07:00 to 10:00; 2 % of 2,000 USDT is 40.
        assert table["loss_ratio_max"].tolist() == pytest.approx([side * 0.08, 0.4, 1.6, 3.2])

    def test_prices_are_as_recorded(self) -> None:
        """Catches an entry bar without its range: this trade is stopped before anything settles."""
        paths = make_path((100.0, 100.0, 94.0, 94.0))
        assert losses(make_plan(), paths, "funding_1h", 0.04)["loss_ratio_max"].iloc[0] == pytest.approx(1.0)

    def test_an_equity_eaten_by_funding_ends_in_a_liquidation(self) -> None:
        """Catches a position that is carried on although the account is below zero."""
        row = losses(make_plan(equity=300.0), make_path(), "funding_1h", 0.04).iloc[0]
        assert row["worst_equity_fraction"] == pytest.approx(-20 / 300)
        assert row["share_liquidated"] == 1.0
        assert row["n_negative_without_liquidation"] == 0


class TestTable:
    def test_quantiles_are_those_of_the_trades(self) -> None:
        """Catches p99 of the gains, the mean for the median, and an equity fraction of another trade."""
        paths = make_path()
        path = paths["BTCUSDT"]
        trades = [
            path.hold(make_plan(risk_usd=200.0 / ratio, equity=1e4 + ratio), entry_bar=0, horizon=HORIZON)
            for ratio in range(1, 102)
        ]
        row = stress_losses(trades, paths, HORIZON, {"gap": (0.1,)}).iloc[1]
        assert row["n_trades"] == 101
        found = row[["loss_ratio_median", "loss_ratio_p99", "loss_ratio_max"]].astype(float).tolist()
        assert found == pytest.approx([51.0, 100.0, 101.0])
        assert row["worst_equity_fraction"] == pytest.approx(1 - 200 / 10_001)

    def test_shares_are_of_all_trades(self) -> None:
        """Catches a count for a share, and trades walked on the path of another symbol or hour."""
        still = make_path()["BTCUSDT"]
        far = make_plan(symbol="ETHUSDT", liquidation_price=10.0, bankruptcy_price=9.0)
        paths = {"BTCUSDT": still, "ETHUSDT": make_path(periods=24)["BTCUSDT"]}
        trades = [
            still.hold(make_plan(), entry_bar=0, horizon=HORIZON),
            paths["ETHUSDT"].hold(far, entry_bar=5, horizon=HORIZON),
        ]
        row = stress_losses(trades, paths, HORIZON, {"gap": (0.4,)}).iloc[1]
        assert row["share_liquidated"] == 0.5
        assert row["loss_ratio_max"] == pytest.approx(8.0)
        assert row["loss_ratio_median"] == pytest.approx((8.0 + 6.4) / 2)

    def test_the_recorded_row_is_the_sample_itself(self) -> None:
        """Catches a baseline without the entry bar, or without the funding that was paid."""
        paths = make_path(STILL, (100.0, 101.0, 98.0, 99.0), (99.0, 99.0, 94.0, 94.0))
        trades = hold(make_plan(), paths)
        row = stress_losses(trades, paths, HORIZON).iloc[0]
        assert (row["scenario"], row["severity"]) == ("recorded", 0.0)
        assert row["loss_ratio_max"] == pytest.approx(-trades[0].net_usd / 100.0)

    def test_every_scenario_has_its_rows_and_changes_no_path(self) -> None:
        """Catches a scenario left out by default, and paths that are bent in place for whoever comes next."""
        paths = make_path()
        arrays = [field.name for field in fields(PricePath) if field.name != "symbol"]
        before = {name: getattr(paths["BTCUSDT"], name).copy() for name in arrays}
        table = stress_losses(hold(make_plan(), paths), paths, HORIZON)
        expected = [("recorded", 0.0), *((name, value) for name, values in SEVERITIES.items() for value in values)]
        assert list(zip(table["scenario"], table["severity"], strict=True)) == expected
        for name, values in before.items():
            np.testing.assert_array_equal(getattr(paths["BTCUSDT"], name), values)

    def test_no_trades_no_numbers(self) -> None:
        """Catches a crash, and a worst case of 0 that nobody has seen."""
        table = stress_losses([], {}, HORIZON)
        assert len(table) == 1 + sum(map(len, SEVERITIES.values()))
        assert (table["n_trades"] == 0).all()
        assert (table["n_negative_without_liquidation"] == 0).all()
        counts = ["scenario", "severity", "n_trades", "n_negative_without_liquidation"]
        assert table.drop(columns=counts).isna().all(axis=None)

    def test_a_hole_in_the_record_after_the_entry_is_survived(self) -> None:
        """Catches an index beyond the last bar where the locked hour meets the end of the path."""
        path = make_path(periods=20)["BTCUSDT"]
        bars = ("open_time", "close_time", "open", "high", "low", "close", "mark_open", "mark_high", "mark_low")
        holed = replace(path, **{name: getattr(path, name)[[0, 16]] for name in bars})
        paths = {"BTCUSDT": holed}
        table = stress_losses(hold(make_plan(), paths), paths, HORIZON, {"limit_hour": (0.1,), "gap": (0.1,)})
        assert (table["loss_ratio_max"].iloc[1:] > 1.9).all()

    @pytest.mark.parametrize(
        ("severities", "named"),
        [
            ({"earthquake": (0.1,)}, "must be of gap, .* was of 'earthquake'"),
            ({"gap": (0.0,)}, r"of gap must be in \(0, 1\), was 0.0"),
            ({"halt_2h": (1.0,)}, "of halt_2h must be"),
            ({"wick": (math.nan,)}, "of wick must be"),
            ({"funding_1h": (-0.02,)}, "of funding_1h must be"),
            ({"gap_beyond_stop": (math.inf,)}, r"of gap_beyond_stop must be in \(0, inf\)"),
            ({"gap_beyond_stop": (19.0,)}, "must leave a price above 0, 19 left 0 to BTCUSDT"),
        ],
    )
    def test_impossible_severities_are_refused(self, severities: dict[str, tuple[float, ...]], named: str) -> None:
        """Catches a gap in favour of the trade, a price of zero, and a scenario that is silently passed over."""
        paths = make_path()
        with pytest.raises(ParameterError, match=named):
            stress_losses(hold(make_plan(), paths), paths, HORIZON, severities)

    def test_paths_and_horizon_must_fit(self) -> None:
        """Catches stress on the paths of other trades, and time exits at prices from before the blow."""
        paths = make_path()
        trades = hold(make_plan(), paths)
        with pytest.raises(MissingDataError, match="lacked BTCUSDT"):
            stress_losses(trades, {}, HORIZON)
        still = paths["BTCUSDT"]
        dearer = make_path((101.0, 101.0, 99.0, 100.0))["BTCUSDT"]
        earlier = replace(still, open_time=still.open_time - 1)
        over = replace(earlier, **{field.name: getattr(earlier, field.name)[:1] for field in fields(PricePath)[1:]})
        for other in (dearer, earlier, over):
            with pytest.raises(ParameterError, match="no bar opens with BTCUSDT of 2024-03-01 06:00"):
                stress_losses(trades, {"BTCUSDT": other}, HORIZON)
        with pytest.raises(ParameterError, match="must reach the horizon of every trade"):
            stress_losses(trades, paths, HORIZON + STEP)
        with pytest.raises(ParameterError, match="`horizon` must be longer than the entry bar of BTCUSDT"):
            stress_losses(trades, paths, timedelta(hours=1) + STEP)


def gate_plans() -> list[TradePlan]:
    """Plans of the gate at its loosest: near and far stops, both sides, every leverage, no Kelly."""
    plans = []
    loose = Gate(horizon=HORIZON, bracket=tests.trading.AT_LEVELS)
    for cap in range(1, 11):
        for near in (0.003, 0.01, 0.03, 0.06):
            for direction in (1, -1):
                losing, winning = (near, 0.25) if direction < 0 else (0.25, near)
                score = Score(
                    symbol="BTCUSDT",
                    event_time=START,
                    available_time=START,
                    direction=direction,
                    p_direction=0.7,
                    p_hit=0.5,
                    context=MarketContext(
                        close=100.0,
                        volatility_daily=0.03,
                        atr_1h=0.003,
                        distance_to_low_24h=losing,
                        distance_to_high_24h=winning,
                        distance_to_low_72h=losing if direction < 0 else 0.25,
                        distance_to_high_72h=winning if direction > 0 else 0.25,
                        volume_24h=1e9,
                        depth_bid_1pct=1e7,
                        depth_ask_1pct=1e7,
                    ),
                    trade_edge=3.0,
                    trade_edge_low=3.0,
                )
                rules = replace(loose.rules, leverage_cap=float(cap), risk_fraction=0.02, kelly_fraction=None)
                decision = replace(loose, rules=rules).decide(score, Account(equity=10_000.0), price=100.0)
                if isinstance(decision, TradePlan):
                    plans.append(decision)
    assert len({plan.side for plan in plans}) == 2
    assert len({plan.leverage for plan in plans}) >= 8
    return plans


def test_where_the_mark_follows_no_account_falls_below_zero_unrecorded() -> None:
    """The claim of the books, on the gate's own plans: catches a stop that fills beyond the liquidation price."""
    paths = make_path()
    trades = [paths["BTCUSDT"].hold(plan, entry_bar=0, horizon=HORIZON) for plan in gate_plans()]
    sizes = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8)
    scenarios = dict.fromkeys(("gap", "limit_hour", "halt_2h", "halt_24h"), sizes)
    table = stress_losses(trades, paths, HORIZON, {**scenarios, "gap_beyond_stop": (1.0, 2.0, 4.0, 8.0)})
    assert (table["n_negative_without_liquidation"] == 0).all()
    # An isolated margin is at most the equity; the fee of a liquidation comes on top.
    assert table["worst_equity_fraction"].min() > -0.002
    # And what the docs say: a stop that risks 2 % of equity is no cap, nor is any multiple of it.
    worst = table.set_index(["scenario", "severity"])
    assert worst.loc[("gap", 0.05), "worst_equity_fraction"] < 1.0 - 4 * 0.02
    assert worst.loc[("gap", 0.2), "loss_ratio_p99"] > 5.0
    assert worst.loc[("gap", 0.8), "share_liquidated"] > 0.5
