"""Rules toggled on a market in which it is known which of them should help, and against naive loops."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.errors import ParameterError, SchemaError
from slackwater.evidence.ablation import drawdown_ablation, rule_ablation
from slackwater.evidence.resampling import Resampling
from slackwater.trading.backtest import Backtest
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import price_paths
from slackwater.trading.rules import DrawdownRules, EntryRules, SizingRules
from tests.trading import AT_LEVELS, SOUND_SCORE, traded, traded_at_unit_risk

START = pd.Timestamp("2024-03-01", tz="UTC")
HOUR = timedelta(hours=1)
HORIZON = 4 * HOUR
DAYS = 20
RESAMPLING = Resampling(draws=100, mean_block=timedelta(days=2))
SETTINGS: dict[str, Any] = {
    "gate": Gate(horizon=HORIZON, bracket=AT_LEVELS),
    "initial_equity": 100_000.0,
    "decision_lag": timedelta(seconds=5),
    "horizon": HORIZON,
    "fine_bar_interval": HOUR,
}
ROWS = [
    ("as configured", ""),
    ("probability_threshold", "off"),
    ("complete_features", "off"),
    ("in_range_features", "off"),
    ("max_trend_efficiency", "on"),
    ("require_sweep", "on"),
    ("min_reward_risk", "off"),
    ("min_expectancy", "off"),
    ("kelly_fraction", "off"),
    ("trade_odds", "off"),
    ("depth_fraction", "off"),
]
SOUND = SOUND_SCORE | {"missing_features": (), "out_of_range_features": (), "triggers": ()}


def market(outcomes: Mapping[pd.Timestamp, str]) -> pd.DataFrame:
    """Hourly bars that stand still, but for the hour after each event, which meets its stop or its target."""
    opens = pd.date_range(START, periods=24 * (DAYS + 2), freq=HOUR).as_unit("us")
    path = pd.DataFrame({"symbol": "BTCUSDT", "open_time": opens, "event_time": opens + HOUR})
    path = path.assign(**dict.fromkeys(("open", "high", "low", "close"), 50_000.0))
    for time, outcome in outcomes.items():
        name, price = ("low", 48_000.0) if outcome == "lose" else ("high", 56_000.0)
        path.loc[path["open_time"] == time + HOUR, name] = price
    return path


def scores(rows: Mapping[pd.Timestamp, Mapping[str, Any]]) -> pd.DataFrame:
    seconds = timedelta(seconds=5)
    table = [{**SOUND, "event_time": time, "available_time": time + seconds, **row} for time, row in rows.items()]
    return pd.DataFrame(table)


def noons(days: Iterable[int]) -> list[pd.Timestamp]:
    return [START + timedelta(days=day, hours=12) for day in days]


def world(bad: Mapping[str, Any], *, every: int = 2, outcome: str = "lose") -> tuple[pd.DataFrame, pd.DataFrame]:
    """An event a day at noon: every so many of them are bad and end as told, the others the other way."""
    others = "win" if outcome == "lose" else "lose"
    times = noons(range(DAYS))
    events = scores({time: bad if day % every == 0 else {} for day, time in enumerate(times)})
    path = market({time: outcome if day % every == 0 else others for day, time in enumerate(times)})
    return events, path


def ablation(events: pd.DataFrame, path: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    options: dict[str, Any] = SETTINGS | {"resampling": RESAMPLING} | changes
    gate, resampling = options.pop("gate"), options.pop("resampling")
    progress = options.pop("progress", None)
    backtest = Backtest.of(events, price_paths(path), **options)
    configured = backtest.unit_risk_trades(gate)
    table = rule_ablation(backtest, gate, resampling, configured=configured, progress=progress)
    return table.set_index("rule", drop=False)


def gate(**parts: Any) -> Gate:
    return Gate(horizon=HORIZON, bracket=AT_LEVELS, **parts)


# Rule to what a score must show that only this rule refuses, and the words of the row.
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "probability_threshold": ({"p_direction": 0.5}, "off"),
    "complete_features": ({"missing_features": ("a",)}, "off"),
    "in_range_features": ({"out_of_range_features": ("a",)}, "off"),
    "max_trend_efficiency": ({"trend_efficiency_72h": -0.6}, "on"),
    "min_reward_risk": ({"distance_to_high_72h": 0.018, "trade_edge": 5.0, "trade_edge_low": 5.0}, "off"),
    "min_expectancy": ({"trade_edge_low": 0.12}, "off"),
    "trade_odds": ({"trade_edge": math.nan, "trade_edge_low": math.nan}, "off"),
    "depth_fraction": ({"depth_bid_1pct": math.nan, "depth_ask_1pct": math.nan}, "off"),
}


class TestRules:
    @pytest.mark.parametrize("rule", REFUSED)
    @pytest.mark.parametrize("outcome", ["lose", "win"])
    def test_what_a_rule_refuses_is_what_it_is_worth(self, rule: str, outcome: str) -> None:
        """Catches a rule that is not toggled, a mean a trade for one an event, and the sign of the difference.

        Half of the events are refused by this rule alone: if they lose, it helps by half of their loss an event.
        """
        bad, toggled = REFUSED[rule]
        table = ablation(*world(bad, outcome=outcome))
        row, configured = table.loc[rule], table.loc["as configured"]
        assert row["toggled"] == toggled
        without, with_rule = (row, configured) if toggled == "off" else (configured, row)
        assert (without["n_trades"], with_rule["n_trades"]) == (DAYS, DAYS / 2)
        refused = 2 * without["net_bps_mean"] - with_rule["net_bps_mean"]
        assert refused < -100 if outcome == "lose" else refused > 100
        assert row["difference_bps"] == pytest.approx(-refused / 2)
        assert row["helps"] == (outcome == "lose")
        assert row["difference_low"] < row["difference_bps"] < row["difference_high"]
        if outcome == "win":
            assert row["difference_high"] < 0.0

    @pytest.mark.parametrize("rule", REFUSED)
    def test_a_rule_alone_is_toggled(self, rule: str) -> None:
        """Catches rules that are toggled along with another, and a toggle that stays for the next row."""
        events, path = world(REFUSED[rule][0])
        table = ablation(events.assign(swept_extreme_distance_below=0.02), path).drop(index="as configured")
        touched = table.index[table["difference_bps"].abs() > 20.0].tolist()
        # Odds that are worth too little are worth more than nothing: who asks for none takes these trades too.
        assert touched == [rule, *(["trade_odds"] if rule == "min_expectancy" else [])]

    def test_it_does_not_matter_which_of_the_two_is_configured(self) -> None:
        """Catches a difference of off less on, and a rule that is on at another value than its default."""
        events, path = world(REFUSED["max_trend_efficiency"][0] | {"p_direction": 0.5})
        entry = EntryRules(probability_threshold=0.0, max_trend_efficiency=0.5)
        off_and_on, on_and_off = ablation(events, path, gate=gate(entry=entry)), ablation(events, path)
        assert off_and_on.loc["probability_threshold", "toggled"] == "on"
        assert off_and_on.loc["max_trend_efficiency", "toggled"] == "off"
        both = replace(entry, max_trend_efficiency=None)
        neither = ablation(events, path, gate=gate(entry=both))
        columns = ["difference_bps", "difference_low", "difference_high"]
        found = neither.loc["probability_threshold", columns].astype(float)
        assert found.tolist() == pytest.approx(on_and_off.loc["probability_threshold", columns].tolist())
        assert neither.loc["probability_threshold", "helps"]
        assert neither.loc["max_trend_efficiency", "helps"]
        assert not off_and_on.loc["probability_threshold", "helps"]  # the other rule refuses the same events

    def test_a_rule_that_is_on_at_another_value_is_toggled_off(self) -> None:
        """Catches a rule that counts as on at its default alone."""
        events, path = world({"p_direction": 0.5})
        strict = gate(
            entry=EntryRules(probability_threshold=0.6, require_sweep=True), rules=SizingRules(min_reward_risk=2.0)
        )
        toggled = ablation(events, path, gate=strict)["toggled"]
        assert toggled[["probability_threshold", "require_sweep", "min_reward_risk"]].tolist() == ["off"] * 3

    def test_a_smaller_size_saves_impact(self) -> None:
        """Catches Kelly that is not toggled: it refuses nobody here, and spares a part of the slippage."""
        table = ablation(*world({}))
        assert table.loc["kelly_fraction", "n_trades"] == DAYS
        assert table.loc["kelly_fraction", "difference_bps"] == 0.0  # risk binds
        small = ablation(*world({"trade_edge_low": 0.2}))
        assert small.loc["kelly_fraction", "n_trades"] == small.loc["as configured", "n_trades"] == DAYS
        assert 0.0 < small.loc["kelly_fraction", "difference_bps"] < 5.0

    def test_rows_against_naive_loops(self) -> None:
        """Catches intervals over entry times or trades, means in another unit, and events paired by their order."""
        rng = np.random.default_rng(0)
        times = [START + timedelta(days=int(day), hours=int(hour)) for day in range(DAYS) for hour in (3, 12)]
        p = rng.uniform(0.45, 0.7, len(times))
        events = scores({time: {"p_direction": value} for time, value in zip(times, p, strict=True)})
        path = market({time: rng.choice(["lose", "win"]) for time in times})
        events = events.sample(frac=1.0, random_state=0)  # in no order, and the index in none
        table = ablation(events, path)
        runs = {
            "as configured": traded_at_unit_risk(events, path, **SETTINGS),
            "probability_threshold": traded_at_unit_risk(
                events, path, **SETTINGS | {"gate": gate(entry=EntryRules(probability_threshold=0.0))}
            ),
        }
        nets = {}
        for name, trades in runs.items():
            net = np.array([1e4 * trade.net_usd / trade.plan.notional_usd for trade in trades])
            entered = pd.Series([trade.entry_time for trade in trades])
            low, high = RESAMPLING.interval(lambda x: float(np.mean(x)), entered, net)
            expected = [len(trades), net.mean(), low, high]
            expected += [np.mean([trade.net_usd / trade.plan.risk_usd for trade in trades])]
            expected += [net[net > 0].sum() / -net[net < 0].sum()]
            columns = ["n_trades", "net_bps_mean", "net_bps_low", "net_bps_high", "net_r_mean", "profit_factor"]
            assert table.loc[name, columns].tolist() == pytest.approx(expected)
            in_r = [trade.net_usd / trade.plan.risk_usd for trade in trades]
            for unit, values in (("bps", net), ("r", in_r)):
                nets[name, unit] = [
                    sum(n for t, n in zip(trades, values, strict=True) if t.plan.event_time == time)
                    for time in events["event_time"]
                ]
        columns = {
            "bps": ["difference_bps", "difference_low", "difference_high"],
            "r": ["difference_r", "difference_r_low", "difference_r_high"],
        }
        for unit, names in columns.items():
            gain = np.array(nets["as configured", unit]) - np.array(nets["probability_threshold", unit])
            low, high = RESAMPLING.interval(lambda x: float(np.mean(x)), events["event_time"], gain)
            found = table.loc["probability_threshold", names]
            assert found.tolist() == pytest.approx([gain.mean(), low, high])

    def test_the_rows_and_the_first_of_them(self) -> None:
        """Catches a rule left out, and a gate that is compared with itself."""
        events, path = world({})
        told: list[tuple[int, int]] = []
        table = ablation(events, path, progress=lambda done, n: told.append((done, n)))
        assert list(zip(table["rule"], table["toggled"], strict=True)) == ROWS
        assert table[["difference_bps", "difference_low", "difference_high"]].iloc[0].isna().all()
        assert table["helps"].iloc[0] is None
        assert set(table["helps"].iloc[1:]) <= {True, False}
        assert not table["helps"].iloc[0]
        assert told == [(done, 10) for done in range(1, 11)]

    def test_a_rule_that_refuses_everything_has_no_trades_and_a_difference(self) -> None:
        """Catches a crash without trades, and a refusal of all that looks like no difference."""
        table = ablation(*world({}, outcome="lose", every=1))
        row = table.loc["require_sweep"]
        assert row["n_trades"] == 0
        assert row[["net_bps_mean", "net_bps_low", "net_r_mean", "profit_factor"]].isna().all()
        assert row["difference_bps"] == pytest.approx(-table.loc["as configured", "net_bps_mean"])
        assert row["helps"]

    @pytest.mark.parametrize("emptied", ["rows", "direction"])
    def test_without_events_nothing_is_known(self, emptied: str) -> None:
        """Catches a crash, and a rule that helps in a sample of nothing."""
        events, path = world({})
        events = events.iloc[:0] if emptied == "rows" else events.assign(direction=[0, math.nan] * (DAYS // 2))
        table = ablation(events, path)
        assert len(table) == len(ROWS)
        assert (table["n_trades"] == 0).all()
        assert not table["helps"].any()
        assert table.drop(columns=["rule", "toggled", "n_trades", "helps"]).isna().all(axis=None)

    def test_too_few_blocks_prove_nothing(self) -> None:
        """Catches help on a calendar that is too short for an interval."""
        row = ablation(*world({"p_direction": 0.5}), resampling=Resampling(draws=100)).loc["probability_threshold"]
        assert row["difference_bps"] > 50.0
        assert math.isnan(row["difference_low"])
        assert not row["helps"]

    def test_bad_input_is_refused(self) -> None:
        """Catches a KeyError, and a gate of another horizon."""
        events, path = world({})
        with pytest.raises(SchemaError, match="table scores lacks the columns direction"):
            ablation(events.drop(columns="direction"), path)
        with pytest.raises(ParameterError, match="`horizon` must be that of the gate"):
            ablation(events, path, horizon=HORIZON - HOUR)


def drawdown_control(events: pd.DataFrame, path: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    options: dict[str, Any] = SETTINGS | changes
    gate, progress = options.pop("gate"), options.pop("progress", None)
    backtest = Backtest.of(events, price_paths(path), **options)
    return drawdown_ablation(backtest, gate, configured=backtest.run(gate).equity, progress=progress).set_index("rule")


def busy(pattern: str = "LLLWLLWWLLLL") -> tuple[pd.DataFrame, pd.DataFrame]:
    """Four events a day, five hours apart, that win or lose by a pattern."""
    times = [START + timedelta(days=day, hours=hour) for day in range(DAYS) for hour in (1, 6, 11, 16)]
    outcomes = {time: "lose" if pattern[i % len(pattern)] == "L" else "win" for i, time in enumerate(times)}
    return scores({time: {} for time in times}), market(outcomes)


CONFIGURED = DrawdownRules(
    throttle_drawdown=0.12,
    streak_grace=1,
    max_drawdown=0.08,
    max_daily_loss=0.02,
    max_daily_losing_trades=2,
    max_weekly_loss=0.04,
    cool_off=timedelta(hours=6),
    cool_off_streak=3,
)
WITHOUT: dict[str, DrawdownRules] = {
    "as configured": CONFIGURED,
    "throttle": replace(CONFIGURED, throttle_drawdown=None),
    "streak": replace(CONFIGURED, streak_grace=None),
    "drawdown_stop": replace(CONFIGURED, max_drawdown=None),
    "daily_halt": replace(CONFIGURED, max_daily_loss=None, max_daily_losing_trades=None),
    "weekly_halt": replace(CONFIGURED, max_weekly_loss=None),
    "cool_off": replace(CONFIGURED, cool_off=None),
    "all": DrawdownRules.off(),
}


class TestDrawdownControl:
    @pytest.mark.parametrize("configured", [True, False])
    def test_every_row_is_the_account_of_its_gate(self, configured: bool) -> None:
        """Catches a rule that is not toggled, two at once, and metrics of another account."""
        events, path = busy()
        off, default = DrawdownRules.off(), DrawdownRules()
        rules = (
            WITHOUT
            if configured
            else {
                "as configured": off,
                "throttle": replace(off, throttle_drawdown=default.throttle_drawdown),
                "streak": replace(off, streak_grace=default.streak_grace),
                "drawdown_stop": replace(off, max_drawdown=default.max_drawdown),
                "daily_halt": replace(
                    off,
                    max_daily_loss=default.max_daily_loss,
                    max_daily_losing_trades=default.max_daily_losing_trades,
                ),
                "weekly_halt": replace(off, max_weekly_loss=default.max_weekly_loss),
                "cool_off": replace(off, cool_off=default.cool_off),
                "all": default,
            }
        )
        table = drawdown_control(events, path, gate=gate(drawdown_control=rules["as configured"]))
        assert table.index.tolist() == list(rules)
        assert table["toggled"].tolist() == ["", *["off" if configured else "on"] * 7]
        for name, these in rules.items():
            result = traded(events, path, **SETTINGS | {"gate": gate(drawdown_control=these)})
            equity = peak = 100_000.0
            days: dict[Any, list[float]] = {}
            deepest = 0.0
            for trade in result.trades.itertuples():
                days.setdefault(trade.exit_time.date(), [equity, equity])[1] = trade.equity_after
                equity = trade.equity_after
                peak = max(peak, equity)
                deepest = max(deepest, 1 - equity / peak)
            worst = min(end / begin - 1 for begin, end in days.values())
            row = table.loc[name, ["n_trades", "final_equity", "max_drawdown", "worst_day"]]
            assert row.tolist() == pytest.approx([len(result.trades), equity, deepest, worst])

    def test_a_day_of_losses_by_hand(self) -> None:
        """Catches days cut by entries, a worst day of trades, and one over the initial equity."""
        events, path = busy("LLLL")
        first_days = events[events["event_time"] < START + timedelta(days=2)]
        two = replace(DrawdownRules.off(), max_daily_losing_trades=2)
        table = drawdown_control(first_days, path, gate=gate(drawdown_control=two))
        assert table.loc[["as configured", "daily_halt", "streak"], "n_trades"].tolist() == [4, 8, 4]
        # Each trade loses very nearly 1 % of what is there.
        assert table.loc["as configured", "worst_day"] == pytest.approx(0.99**2 - 1, abs=2e-4)
        assert table.loc["daily_halt", "worst_day"] == pytest.approx(0.99**4 - 1, abs=4e-4)
        assert table.loc["daily_halt", "final_equity"] == pytest.approx(1e5 * 0.99**8, rel=1e-3)
        assert table.loc["daily_halt", "max_drawdown"] == pytest.approx(1 - 0.99**8, abs=1e-3)

    def test_off_is_off_whatever_is_left_beside_it(self) -> None:
        """Catches a parameter without an off, the streak of the pause, that makes a rule count as on."""
        events, path = busy()
        idle = replace(DrawdownRules.off(), cool_off_streak=5)
        assert drawdown_control(events, path, gate=gate(drawdown_control=idle))["toggled"].tolist() == ["", *["on"] * 7]

    def test_without_events_the_deposit_is_left(self) -> None:
        """Catches a crash, and a worst day where there was none."""
        events, path = busy()
        told: list[tuple[int, int]] = []
        table = drawdown_control(events.iloc[:0], path, progress=lambda done, n: told.append((done, n)))
        assert (table["n_trades"] == 0).all()
        assert (table["final_equity"] == 100_000.0).all()
        assert (table["max_drawdown"] == 0.0).all()
        assert table["worst_day"].isna().all()
        assert told == [(done, 7) for done in range(1, 8)]

    def test_bad_input_is_refused(self) -> None:
        """Catches an account without money."""
        events, path = busy()
        with pytest.raises(ParameterError, match="`initial_equity` must be positive"):
            drawdown_control(events, path, initial_equity=0.0)
