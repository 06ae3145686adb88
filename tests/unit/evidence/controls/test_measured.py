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
from slackwater.evidence.controls.table import Control, Scores, control_table, sentence
from slackwater.evidence.resampling import Resampling
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.metrics.classification import auc
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
    settled = pd.date_range("2023-12-31", periods=3 * days + 12, freq="8h", tz="UTC", unit="us")
    funding = pd.DataFrame({"symbol": "BTCUSDT", "event_time": settled, "funding_rate": 0.0})
    paths, trade = price_paths(fine, funding), TradeRules()
    market = EntryMarket(
        bars={"BTCUSDT": bars}, paths=paths, trade=trade, horizon=HORIZON, decision_lag=LAG, fine_bar_interval=HOUR
    )
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
        funding_known=market.funding_known(labels),
    )
    return ControlledRun(
        events=events,
        accepted=(events["direction"] < 0).to_numpy(),
        by_scores={},
        drift_events=events[["symbol", "entry_time", "entry_price"]],
        market=market,
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
    for null in ("drift", "random_24h", "random_30d"):
        assert rows[null]["beaten"] is False, null
        assert rows[null]["net_bps_mean"] > 20.0, null  # on the same side, they earn the trend too
    assert "drift" in sentence(rows).partition("are not shown to beat")[2]
    # The rule is long in one symbol: its trades at the times of each other are its trades.
    assert rows["permuted_times"]["note"] == "not measured: one symbol and side"
    assert rows["permuted_times"]["beaten"] is None


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
    unclear = {"beaten": False, "difference_r_high": 0.1, "difference_bps_high": 1.0}
    better, unknown = unclear | {"difference_r_high": -0.1, "difference_bps_high": -1.0}, {"beaten": None}
    rows = {"model": {"n_trades": 9}, "never": unclear, "drift": better, "playbook": unknown}
    assert sentence(rows) == (
        "The trades of the model beat no control by more than chance. They are worse than, by more than chance: drift. "
        "They are not shown to beat: never. Not known: playbook."
    )
    # Better in one unit alone is not shown either, and where nothing is known nothing is said about chance.
    assert "not shown to beat: never, drift" in sentence(rows | {"drift": better | {"difference_bps_high": 0.1}})
    assert sentence({"model": {"n_trades": 9}, "never": unknown}) == "Not known: never."
    assert sentence(rows | {"never": {"beaten": True}}).startswith("The trades of the model beat, by more than chance:")


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


def test_an_entry_of_a_symbol_without_bars_is_not_known() -> None:
    run = run_in()
    time = run.events["event_time"].iloc[0]
    found = run.market.results(pd.DataFrame({"symbol": ["BTCUSDT", "NOPE"], "event_time": time, "side": 1}))
    assert found["net_r"].notna().tolist() == [True, False]


def test_a_run_without_events_has_controls_without_entries() -> None:
    run = run_in()
    bare = replace(run, events=run.events[:0], accepted=run.accepted[:0], bar_interval=timedelta(minutes=15))
    assert bare._fall().results.empty


def test_an_entry_without_a_trade_is_not_known() -> None:
    run = run_in()
    times = run.market.bars["BTCUSDT"]["event_time"]
    last, before = times.iloc[-1], times.iloc[0] - HOUR
    found = run.market.results(pd.DataFrame({"symbol": "BTCUSDT", "event_time": [last, before], "side": 1}))
    assert found[["net_r", "net_bps"]].isna().all(axis=None)
    assert not found["funding_known"].any()


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
    bars = {**run.market.bars, "ETHUSDT": other}
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


def without_funding(run: ControlledRun, *, before: str | None = None) -> ControlledRun:
    """The same run where no funding rate was recorded, or none before a date."""
    first = len(run.market.paths["BTCUSDT"].settlement_time)
    if before is not None:
        settled = pd.DatetimeIndex(run.market.paths["BTCUSDT"].settlement_time.view("M8[us]"), tz="UTC")
        first = int(settled.searchsorted(pd.Timestamp(before, tz="UTC")))
    path = run.market.paths["BTCUSDT"]
    cut = replace(path, settlement_time=path.settlement_time[first:], funding_rate=path.funding_rate[first:])
    market = replace(run.market, paths={"BTCUSDT": cut})
    return replace(run, market=market, events=run.events.assign(funding_known=market.funding_known(run.events)))


def test_results_without_funding_beat_nothing_and_say_so() -> None:
    """Caught: funding that no table holds counted as zero, and the results printed as net."""
    known, run = run_in(after_event=0.012), without_funding(run_in(after_event=0.012))
    before, rows = table(known), table(run)
    assert before["drift"]["beaten"] is True
    assert before["model"]["note"] == before["drift"]["note"] == before["random_30d"]["note"] == ""
    n = int(run.accepted.sum())
    assert rows["model"]["note"] == f"funding unknown in {n} of {n} trades: results are before funding"
    assert rows["always_fade"]["note"].startswith(f"funding unknown in {len(run.events)} of {len(run.events)} trades")
    assert "funding unknown" in rows["random_30d"]["note"]
    assert {row["beaten"] for row in rows.values()} == {None}
    assert sentence(rows).startswith("Not known: never")
    assert rows["drift"]["difference_r"] == before["drift"]["difference_r"]


def test_trades_of_unknown_funding_are_counted_where_they_are() -> None:
    """A control alone may lack it: the trades of the model are all later."""
    run = run_in(after_event=0.012)
    late = run.accepted & (run.events["event_time"] > pd.Timestamp("2024-04-01", tz="UTC")).to_numpy()
    rows = table(without_funding(replace(run, accepted=late), before="2024-03-01"))
    lost = int((run.events["trade_end_time"] < pd.Timestamp("2024-02-28", tz="UTC")).sum())
    assert rows["model"]["note"] == ""
    assert rows["drift"]["beaten"] is True
    assert rows["always_fade"]["beaten"] is None
    told = int(rows["always_fade"]["note"].split()[3])
    assert lost <= told < lost + 12


DAYS = pd.Series(pd.date_range("2024-01-01", periods=300, freq="D", tz="UTC", unit="us"))
CALENDAR = PairedDays(events=DAYS, resampling=RESAMPLING)


def results(net: np.ndarray, **columns: np.ndarray) -> pd.DataFrame:
    given = {"event_time": DAYS[: len(net)], "net_r": net, "net_bps": 50.0 * net, "funding_known": True}
    return pd.DataFrame(given | columns)


def test_a_trade_without_a_counterpart_is_not_compared() -> None:
    """Caught: half of the trades have a match with the same result, and the better half made the rule beat it."""
    rng = np.random.default_rng(0)
    own = results(np.where(np.arange(300) % 2, 1.0, 0.0) + rng.normal(0.0, 0.1, 300))
    half = own[::2].assign(trade=np.arange(0, 300, 2)).reset_index(drop=True)
    scores = Scores(times=DAYS, y=rng.integers(0, 2, 300).astype(float), p=rng.random(300))
    controls = {
        "matched": Control(sentence="", results=half),
        "other_trades": Control(sentence="", results=half.drop(columns="trade")),
    }
    rows = control_table(Control(sentence="", results=own), controls, scores, CALENDAR)
    assert rows["matched"]["difference_r"] == rows["matched"]["difference_r_high"] == 0.0
    assert rows["matched"]["beaten"] is False
    assert rows["matched"]["note"] == "150 of 300 trades of the model have one, and are compared"
    assert rows["other_trades"]["difference_r"] == pytest.approx(0.5, abs=0.05)
    assert rows["other_trades"]["note"] == ""


def test_placebos_are_compared_with_the_trades_that_they_stand_for() -> None:
    """Caught: trades of which no bar may be drawn, or no event is alike, in the mean of the model alone."""
    run = run_in()
    events = run.events.copy()
    events.loc[events.index[: len(events) // 2], "return_24h"] = np.nan
    own = np.flatnonzero(run.accepted)
    rows = table(replace(run, events=events))
    matched = events.loc[own, "return_24h"].notna()
    assert (
        rows["same_size_move"]["note"]
        == f"{matched.sum()} of {len(own)} trades of the model have one, and are compared"
    )
    control, difference = rows["same_size_move"]["net_r_mean"], rows["same_size_move"]["difference_r"]
    assert control + difference == pytest.approx(events.loc[own, "net_r"][matched].mean())


@pytest.mark.parametrize("whose", ["model", "control"])
def test_a_prediction_that_is_not_known_is_counted_and_not_compared(whose: str) -> None:
    """Caught: a fold with too few labels, which ended the stage with an error that named no control."""
    rng = np.random.default_rng(0)
    y, p, q = rng.integers(0, 2, 300).astype(float), rng.random(300), rng.random(300)
    (p if whose == "model" else q)[:40] = np.nan
    controls = {"other": Control(sentence="", p=q), "none": Control(sentence="", p=np.full(300, np.nan))}
    model = Control(sentence="", results=results(np.ones(300)))
    rows = control_table(model, controls, Scores(times=DAYS, y=y, p=p), CALENDAR)
    note = "AUC without 40 of 300 events, whose direction or prediction is not known"
    assert rows["model"]["note"] == (note if whose == "model" else "")
    assert rows["other"]["note"] == note
    assert rows["other"]["difference_auc"] == pytest.approx(auc(y[40:], p[40:]) - auc(y[40:], q[40:]))
    assert np.isnan(rows["none"]["auc"])
    assert "300 of 300 events" in rows["none"]["note"]
