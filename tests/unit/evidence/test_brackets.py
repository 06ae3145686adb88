"""The trades that events suggest under several brackets, on hours written by hand."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from slackwater.evidence.brackets import (
    EVERY_EVENT,
    bracket_table,
    result_table,
    suggested_trades,
    trigger_table,
)
from slackwater.evidence.evaluation import odds_against_direction
from slackwater.evidence.resampling import Resampling
from slackwater.labels.trades import TradeRules, trade_outcomes
from slackwater.trading.backtest import Backtest
from slackwater.trading.costs import CostModel
from slackwater.trading.price_path import price_paths
from slackwater.trading.rules import BracketRules
from tests.trading import AT_LEVELS, SOUND_SCORE

START = pd.Timestamp("2024-03-01", tz="UTC")
HOUR = timedelta(hours=1)
HORIZON = 4 * HOUR
SD = 0.03 * math.sqrt(4 / 24)
RESAMPLING = Resampling(draws=100, mean_block=timedelta(days=2))
CONFIGURED = "as configured: target_sd 1, stop_sd 1"
LAG = timedelta(seconds=5)
SOUND = SOUND_SCORE | {"p_direction": 0.5, "trade_edge": math.nan, "trade_edge_low": math.nan}
NEAR = 50_000.0 * SD * 1.2  # beyond one standard deviation, and before one and a half
MOVES = {"target": {"high": 50_000.0 + NEAR}, "stop": {"low": 50_000.0 - NEAR}, "time": {}}


def backtest(ends: list[str], **changes: list[Any]) -> Backtest:
    """An event a day at noon in a market that stands still, but for the hour after it."""
    opens = pd.date_range(START, periods=24 * (len(ends) + 1), freq=HOUR).as_unit("us")
    bars = pd.DataFrame({"symbol": "BTCUSDT", "open_time": opens, "event_time": opens + HOUR})
    bars = bars.assign(**dict.fromkeys(("open", "high", "low", "close"), 50_000.0))
    times = [START + timedelta(days=day, hours=12) for day in range(len(ends))]
    for time, end in zip(times, ends, strict=True):
        for name, price in MOVES[end].items():
            bars.loc[bars["open_time"] == time + HOUR, name] = price
    scores = pd.DataFrame(SOUND, index=range(len(ends))).assign(
        event_time=pd.DatetimeIndex(times), available_time=pd.DatetimeIndex(times) + LAG, **changes
    )
    timing = {"decision_lag": LAG, "horizon": HORIZON, "fine_bar_interval": HOUR}
    return Backtest.of(scores, price_paths(bars), initial_equity=1e5, **timing)


def test_each_bracket_ends_the_same_events_in_its_own_way() -> None:
    """Catches a bracket that is another one's, a level that still ends a time exit, and a distance in another unit."""
    found = suggested_trades(backtest(["target", "stop", "time"]), TradeRules())
    ends = found.groupby("bracket", sort=False)["exit_reason"].agg(list)
    assert ends.to_dict() == {
        CONFIGURED: ["target", "stop", "time"],
        "levels alone": ["time", "time", "time"],  # a range of 2 and 8 % is out of reach in four hours
        "target_sd 1, stop_sd 0.5": ["target", "stop", "time"],
        "target_sd 1.5, stop_sd 1": ["time", "stop", "time"],
        "target_sd 1.5, stop_sd 1.5": ["time", "time", "time"],
        "time exit only": ["time", "time", "time"],
    }
    table = bracket_table(found).set_index("bracket")
    assert table.loc["target_sd 1.5, stop_sd 1", ["target_sd", "stop_sd"]].tolist() == pytest.approx(
        [1.5, 1.0], abs=1e-3
    )
    shares = table.loc[CONFIGURED, ["target_share", "stop_share", "time_share"]]
    assert shares.tolist() == pytest.approx([1 / 3] * 3)
    assert table.loc[CONFIGURED, "fair"] == pytest.approx(0.5, abs=0.01)
    assert math.isnan(table.loc["time exit only", "paid"])


def test_a_configured_bracket_of_the_grid_is_there_once() -> None:
    rules = TradeRules(bracket=AT_LEVELS)
    names = suggested_trades(backtest(["time"]), rules)["bracket"].tolist()
    assert names[0] == "as configured: levels alone"
    assert "levels alone" not in names
    assert len(names) == len(set(names)) == 6


@pytest.mark.parametrize("bracket", [BracketRules(), AT_LEVELS], ids=["sd", "levels"])
def test_it_is_the_trade_of_the_labels(bracket: BracketRules) -> None:
    """One law: result, payoff and odds of the configured bracket are those that the models are fitted to."""
    made = backtest(["target", "stop", "time"])
    found = suggested_trades(made, TradeRules(bracket=bracket)).query("bracket.str.startswith('as configured')")
    scores = pd.DataFrame([{**SOUND, "event_time": score.event_time} for score in made.events])
    labels = scores[["symbol", "event_time", "direction"]].assign(entry_time=scores["event_time"])
    out = trade_outcomes(
        labels,
        scores.assign(available_time=scores["event_time"] + LAG),
        made.paths,
        rules=TradeRules(bracket=bracket, costs=CostModel(latency=LAG)),
        horizon=HORIZON,
    )
    np.testing.assert_array_equal(found["net_r"], out["net_r"])
    np.testing.assert_array_equal(found["paid"], out["payoff"])
    np.testing.assert_allclose(found["fair"], 1.0 / (1.0 + np.exp(-out["fair_log_odds"])))
    assert found["exit_reason"].tolist() == out["trade_exit"].tolist()


def test_events_without_a_trade_are_counted_by_their_reason() -> None:
    """Catches an event that is passed over without a word, and a mean over what was not traded."""
    made = backtest(["target"] * 3, volatility_daily=[0.03, 0.24, 2.0])
    table = bracket_table(suggested_trades(made, TradeRules())).set_index("bracket")
    assert table.loc[CONFIGURED, ["n_events", "n_trades"]].tolist() == [3, 1]
    assert table.loc[CONFIGURED, "refused"] == "stop_too_far 1, bad_input 1"
    assert table.loc[CONFIGURED, "target_share"] == 1.0
    unknown = suggested_trades(made, TradeRules(contracts={}))
    assert set(unknown["reason"]) == {"unknown_contract"}
    table = bracket_table(unknown)
    assert table["n_trades"].tolist() == [0] * len(table)
    assert result_table(unknown, RESAMPLING)["net_r_mean"].isna().all()


def test_results_of_every_event_and_of_the_top_fifth() -> None:
    """Catches a fifth from the wrong end, an event without a probability in it, and an effect without its error."""
    ends = ["target", "stop", "time", "stop", "target"] * 6
    p = [0.9 if place in (0, 5) else 0.5 - place / 1_000 for place in range(30)]
    p[10:20] = [math.nan] * 10
    found = suggested_trades(backtest(ends, p_direction=p), TradeRules(costs=CostModel(multiple=0.0)))
    table = result_table(found, RESAMPLING).set_index(["bracket", "sample"])
    every, top = table.loc[(CONFIGURED, EVERY_EVENT)], table.loc[(CONFIGURED, "top fifth by p_direction")]
    own = found[found["bracket"] == CONFIGURED]
    assert every["n_trades"] == 30
    assert every["net_r_mean"] == pytest.approx(own["net_r"].mean())
    assert every["net_bps_mean"] == pytest.approx(own["net_bps"].mean())
    assert top["n_trades"] == 4  # of the twenty with a probability: events 0, 5, 1 and 2
    assert top["net_r_mean"] == pytest.approx(own["net_r"].iloc[[0, 5, 1, 2]].mean())
    # One event a day: the clusters are single, and the error is that of the mean.
    error = own["net_r"].std(ddof=1) / math.sqrt(30)
    assert every["visible_r"] == pytest.approx(3.0 * error, rel=0.02)
    assert every["t"] == pytest.approx(own["net_bps"].mean() / (own["net_bps"].std(ddof=1) / math.sqrt(30)), rel=0.02)
    assert every["trades_to_see_5pct_r"] == math.ceil(30 * (every["visible_r"] / 0.05) ** 2)
    assert every["net_r_low"] < every["net_r_mean"] < every["net_r_high"]


def test_every_trigger_has_its_row() -> None:
    """Catches an event of two triggers that counts for one, and a trigger that is the part of another's name."""
    ends = ["target", "stop", "time", "target"]
    found = suggested_trades(backtest(ends), TradeRules())
    times = [START + timedelta(days=day, hours=12) for day in range(4)]
    labels = pd.DataFrame({"symbol": "BTCUSDT", "event_time": pd.DatetimeIndex(times).as_unit("us")})
    fired = labels.assign(triggers=["cusum", "cusum+cascade", "", "cascade_alarm"])
    table = trigger_table(found, fired, RESAMPLING).set_index("trigger")
    assert table["n_trades"].to_dict() == {EVERY_EVENT: 4, "cascade": 1, "cascade_alarm": 1, "cusum": 2}
    assert table.loc["cascade", "stop_share"] == 1.0
    assert table.loc["cusum", "target_share"] == 0.5
    assert trigger_table(found, labels, RESAMPLING)["trigger"].tolist() == [EVERY_EVENT]
    nothing = trigger_table(found.iloc[:0], fired, RESAMPLING)
    assert nothing[["trigger", "n_trades"]].to_numpy().tolist() == [[EVERY_EVENT, 0]]


def test_odds_are_held_against_the_direction_probability() -> None:
    """Catches two models of one bet that part without a word, and bets that are not even among them."""
    rng = np.random.default_rng(3)
    fair = np.r_[np.full(200, 0.5), np.full(50, 0.2)]
    direction = rng.normal(0.5, 0.04, 250)
    close = odds_against_direction(fair, direction + rng.normal(0.0, 0.02, 250), direction)
    assert (close["n_even"], close["warning"]) == (200, "")
    assert close["correlation"] > 0.8
    other = odds_against_direction(fair, rng.normal(0.5, 0.04, 250), direction)
    assert "correlate by" in other["warning"]
    assert "differ by more than 0.03" in odds_against_direction(fair, direction + 0.05, direction)["warning"]
    unknown = odds_against_direction(fair[200:], direction[200:], direction[200:])
    assert unknown["n_even"] == 0
    assert math.isnan(unknown["correlation"])
