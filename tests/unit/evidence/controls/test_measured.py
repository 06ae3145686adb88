"""Controls in markets of which it is known what earns there: a trend, an edge after events, or nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.evidence.controls.entry_results import EntryMarket
from slackwater.evidence.controls.measured import ControlledRun
from slackwater.evidence.controls.paired import PairedDays
from slackwater.evidence.controls.table import Scores, control_table, sentence
from slackwater.evidence.evaluation import Resampling
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.trading.price_path import price_paths
from slackwater.trading.score import CONTEXT
from tests.trading import SOUND_SCORE

HOUR, HORIZON, LAG = timedelta(hours=1), timedelta(hours=12), timedelta(seconds=5)
RESAMPLING = Resampling(draws=300, mean_block=timedelta(days=7))
Z_SCORES = (
    *("funding_rate_z", "funding_acceleration_z", "open_interest_change_z_24h"),
    *("return_24h", "open_interest_delta_24h"),
)


@cache
def run_in(*, per_day: float = 0.0, after_event: float = 0.0, days: int = 240, seed: int = 4) -> ControlledRun:
    """Hourly bars with a trend, and a move up in the three hours after each of the events that the rule buys.

    Half of the events, one every nine hours, have direction -1 (the rule buys) and are accepted.
    """
    rng, n = np.random.default_rng(seed), 24 * days
    opens = pd.date_range("2024-01-01", periods=n, freq=HOUR, tz="UTC", unit="us")
    direction = np.zeros(n)
    at = np.arange(48, n - 48, 9)
    direction[at] = np.where(rng.random(len(at)) < 0.5, -1.0, 1.0)
    moves = rng.normal(per_day / 24.0, 0.003, n)
    for hour in (1, 2, 3):  # the bar of the event closes before the first of them opens
        moves[hour:] += np.where(direction[:-hour] < 0.0, after_event / 3.0, 0.0)
    close = 50_000.0 * np.exp(np.cumsum(moves))
    start = np.r_[50_000.0, close[:-1]]
    fine = pd.DataFrame({"symbol": "BTCUSDT", "open_time": opens, "event_time": opens + HOUR, "open": start})
    fine = fine.assign(high=np.maximum(start, close), low=np.minimum(start, close), close=close)
    context = {name: SOUND_SCORE[name] for name in CONTEXT} | {"close": close}
    bars = fine[["symbol", "event_time"]].assign(available_time=fine["event_time"] + LAG, **context)
    paths, trade = price_paths(fine), TradeRules()
    labels, _ = build_labels(
        bars.assign(extended_move=direction),
        paths,
        trade=trade,
        horizon=HORIZON,
        decision_lag=LAG,
        fine_bar_interval=HOUR,
    )
    known = {name: rng.normal(size=len(labels)) for name in Z_SCORES} | {
        name: rng.uniform(0.0, 48.0, len(labels)) for name in ("sweep_age_above", "sweep_age_below")
    }
    events = labels.sort_values(["symbol", "event_time"], ignore_index=True).assign(
        **{name: 2.0 * values for name, values in known.items()},
        trend_efficiency_72h=0.0,
        p_direction=rng.random(len(labels)),
        p_direction_flag=np.where(labels["direction"] < 0, 0.6, 0.4),
    )
    return ControlledRun(
        events=events,
        accepted=(events["direction"] < 0).to_numpy(),
        by_scores={},
        drift_events=events[["symbol", "entry_time", "entry_price"]],
        market=EntryMarket(
            bars=bars, paths=paths, trade=trade, horizon=HORIZON, decision_lag=LAG, fine_bar_interval=HOUR
        ),
        bar_interval=HOUR,
        depth="quick",
        seed=0,
    )


def table(run: ControlledRun) -> dict[str, dict]:
    events = run.events
    calendar = PairedDays(events=events["event_time"], resampling=RESAMPLING)
    scores = Scores(
        times=events["event_time"], y=events["y_direction"].to_numpy(float), p=events["p_direction"].to_numpy()
    )
    return control_table(run.model, run.controls(lambda line: None), scores, calendar)


def test_buying_in_a_rising_market_is_not_an_edge() -> None:
    """A rule that is long in a trend earns money by every other measure: what it earns is that of its exposure."""
    rows = table(run_in(per_day=0.02))
    assert rows["model"]["net_r_low"] > 0.0
    assert rows["never"]["beaten"] is True
    assert rows["always_fade"]["beaten"] is True
    for null in ("drift", "random_24h", "random_30d", "permuted_times"):
        assert rows[null]["beaten"] is False, null
        assert rows[null]["net_bps_mean"] > 20.0, null  # on the same side, they earn the trend too
    assert "drift" in sentence(rows).partition("do not beat")[2]


def test_a_planted_edge_beats_the_drift_and_random_times() -> None:
    rows = table(run_in(after_event=0.012))
    for null in ("never", "drift", "random_24h", "random_30d"):
        assert rows[null]["beaten"] is True, null
    assert rows["drift"]["net_bps_mean"] < rows["model"]["net_bps_mean"] / 2.0


def test_where_nothing_can_be_earned_controls_are_beaten_by_chance_alone() -> None:
    """Four martingales: of their controls at most one in ten may seem beaten, and costs are not an edge."""
    found = [table(run_in(days=120, seed=seed)) for seed in range(10, 14)]
    judged = [row["beaten"] for rows in found for row in rows.values() if row["beaten"] is not None]
    assert len(judged) > 30
    assert sum(judged) <= 0.1 * len(judged)
    assert sum(rows["drift"]["beaten"] for rows in found) <= 1


def test_the_sentence_of_a_run_that_beats_nothing() -> None:
    rows = {name: row | {"beaten": False} for name, row in table(run_in()).items()}
    assert sentence(rows).startswith("The trades of the model beat no control by more than chance. They do not beat")


def test_the_trade_of_an_entry_is_the_trade_of_the_label() -> None:
    """Caught: other costs, another bar of entry, or the wrong side at entries that the labels do not hold."""
    run = run_in(per_day=0.02)
    entries = run.events[["symbol", "event_time"]].assign(side=-run.events["direction"].astype(int))
    found = run.market.results(pd.concat([entries, entries.iloc[:7]], ignore_index=True))
    assert found["net_r"].iloc[: len(entries)].to_numpy() == pytest.approx(run.events["net_r"].to_numpy())
    assert found["net_bps"].iloc[: len(entries)].to_numpy() == pytest.approx(run.events["trade_net_bps"].to_numpy())
    assert found.iloc[-7:].to_numpy() == pytest.approx(found.iloc[:7].to_numpy())
    assert found["net_r"].notna().all()
    assert (table(run)["always_fade"]["net_r_mean"]) == pytest.approx(run.events["net_r"].mean())


def test_an_entry_without_a_trade_is_not_known() -> None:
    run = run_in()
    last, before = run.market.bars["event_time"].iloc[-1], run.market.bars["event_time"].iloc[0] - HOUR
    found = run.market.results(pd.DataFrame({"symbol": "BTCUSDT", "event_time": [last, before], "side": 1}))
    assert found.isna().all(axis=None)


@pytest.mark.parametrize(
    ("absent", "named"),
    [
        ({"funding_rate_z"}, {"funding_threshold": "not measured: no funding"}),
        (
            {"open_interest_change_z_24h", "open_interest_delta_24h"},
            {"playbook": "not measured: no open interest", "same_size_move": "not measured: no open interest"},
        ),
    ],
)
@pytest.mark.parametrize("how", ["column", "values"])
def test_a_control_without_its_table_is_named_and_has_no_number(absent: set[str], named: dict, how: str) -> None:
    run = run_in()
    events = run.events.drop(columns=absent) if how == "column" else run.events.assign(**dict.fromkeys(absent, np.nan))
    rows = table(replace(run, events=events))
    for name, note in named.items():
        row = rows[name]
        assert row["note"] == note
        assert row["n_trades"] is None
        assert row["beaten"] is None
        assert np.isnan([value for key, value in row.items() if key.startswith(("net_", "difference_"))]).all()
    assert "funding threshold" in sentence(rows)


def test_what_bars_of_an_hour_cannot_show_and_what_was_not_fitted_is_named() -> None:
    rows = table(run_in())
    assert rows["buy_after_fall"]["note"] == "not measured: cannot be evaluated on 1h bars"
    for name in ("logistic", "price_only", "volatility_only", "permuted_labels"):
        assert rows[name]["note"] == "trades not measured: left out at this depth"


def test_a_symbol_without_an_event_is_not_entered() -> None:
    """Caught: an entry in a symbol of which no prices were read, which ended the stage."""
    run = run_in()
    times = pd.date_range(run.events["event_time"].min(), periods=200, freq="15min", unit="us")
    other = pd.DataFrame({"symbol": "ETHUSDT", "event_time": times, "available_time": times + LAG})
    fell = {"close": np.where(np.arange(200) < 90, 100.0, 90.0)}
    other = other.assign(**{name: SOUND_SCORE[name] for name in CONTEXT} | fell)
    bars = pd.concat([run.market.bars, other], ignore_index=True)
    rows = table(replace(run, market=replace(run.market, bars=bars), bar_interval=timedelta(minutes=15)))
    assert rows["buy_after_fall"]["n_trades"] == 0
    assert rows["buy_after_fall"]["note"] == ""


def test_a_gate_that_accepts_nothing_beats_nothing() -> None:
    run = run_in()
    rows = table(replace(run, accepted=np.zeros(len(run.events), bool)))
    assert rows["model"]["n_trades"] == 0
    assert rows["always_fade"]["n_trades"] == len(run.events)
    assert {row["beaten"] for row in rows.values()} == {None}
    assert sentence(rows) == "The gate accepted no trade out of sample, so that no control can be beaten."


def test_fewer_entries_stand_for_each_of_many_trades() -> None:
    quick = run_in()
    full = replace(quick, depth="full")
    n = int(quick.accepted.sum())
    assert quick.draws == max(1, 2_000 // n)
    assert full.draws == 100
    rows = table(quick)
    assert rows["random_30d"]["n_trades"] == quick.draws * n
