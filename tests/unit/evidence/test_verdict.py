"""The verdict: one failed clause is enough, an unknown value fails, and a simulated market never passes."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from slackwater.evidence.baselines import control_predictions
from slackwater.evidence.evaluation import Resampling, classification_metrics, trading_metrics
from slackwater.evidence.verdict import Verdict, at_least, holds, not_applicable, not_computed, verdict
from slackwater.models.targets import TARGETS
from tests.small_bundle import TRAINER, training_set

RESAMPLING = Resampling(draws=100)


def test_one_failed_clause_is_enough() -> None:
    good = at_least("a", 1.0, 0.5)
    assert Verdict(clauses=(good,), synthetic=False).name == "promoted"
    bad = Verdict(clauses=(good, at_least("b", 0.5, 0.5)), synthetic=False)
    assert bad.name == "paper_only"
    assert bad.sentence == "No edge after fees demonstrated; failed: b."


@pytest.mark.parametrize(
    "clause",
    [
        at_least("a", math.nan, 0.0),
        holds("a", "", math.nan, True),
        not_computed("a", "", "no trades"),
    ],
)
def test_an_unknown_value_fails(clause: object) -> None:
    assert Verdict(clauses=(clause,), synthetic=False).failed == ("a",)


def test_what_does_not_apply_holds() -> None:
    assert Verdict(clauses=(not_applicable("a", "", "one trial"),), synthetic=False).name == "promoted"


def test_a_simulated_market_is_never_promoted() -> None:
    clauses = (at_least("a", 1.0, 0.5), holds("real_data", "not simulated", 0.0, False))
    judged = Verdict(clauses=clauses, synthetic=True)
    assert judged.name == "paper_only"
    assert judged.sentence.startswith("SYNTHETIC market")


@cache
def scored_events() -> pd.DataFrame:
    """Out-of-fold predictions and controls on a market in which nothing can be predicted."""
    training, _ = training_set()
    predictions = TRAINER.predict_out_of_fold(training)
    families = {"return_24h": "price", "volatility_daily": "volatility"}
    controls = control_predictions(training, TRAINER, families=families, seed=1)
    keys = ["symbol", "event_time"]
    return predictions.merge(controls.drop(columns=["row", "fold"]), on=keys).merge(training.labels, on=keys)


def test_a_random_walk_is_not_promoted() -> None:
    scored = scored_events()
    metrics = classification_metrics(scored, RESAMPLING)
    assert metrics["n_events"] == len(scored)
    assert 0.0 < metrics["effective_n"] <= len(scored)
    d = metrics["direction"]
    # Over ten seeds of this market the AUC has a mean of .479 and a standard deviation of .053: a sample of seven
    # blocks is small, and its own interval too narrow.
    assert abs(d["auc"] - 0.5) < 3.0 * 0.053
    assert abs(d["auc_permuted"] - 0.5) < 0.15


def test_controls_are_out_of_sample_too() -> None:
    """The share of reversals by side comes from training rows: it may not know the test block."""
    training, _ = training_set()
    scored = scored_events()
    y = training.labels["y_direction"].to_numpy()
    side = training.labels["direction"].to_numpy()
    train, test = next(iter(TRAINER.splits(training)))
    first = scored[scored["fold"] == 0]
    assert len(first) == len(test)
    for d in (1, -1):
        expected = y[train][side[train] == d].mean()
        assert np.allclose(first.loc[first["direction"] == d, "p_direction_flag"], expected)


def trades(net_bps: np.ndarray) -> pd.DataFrame:
    times = pd.date_range("2023-01-01", periods=len(net_bps), freq="1D", tz="UTC", unit="us")
    return pd.DataFrame(
        {
            "entry_time": times,
            "side": np.where(np.arange(len(net_bps)) % 2, 1, -1),
            "net_bps": net_bps,
            "gross_bps": net_bps + 14.0,
            "notional_usd": 10_000.0,
            "fees_usd": 10.0,
            "slippage_usd": 5.0,
            "funding_usd": -1.0,
            "funding_known": True,
            "net_usd": net_bps,
            "net_r": net_bps / 100.0,
            "exit_reason": "time",
            "leverage": 3,
            "risk_fraction": 0.01,
        }
    )


def nothing() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Refusals of one event for two reasons, and the equity of an account."""
    return pd.DataFrame({"symbol": ["A", "A"], "event_time": [0, 0]}), pd.DataFrame({"equity_usd": [1.0, 2.0]})


def judge(sample: pd.DataFrame, n_trials: int = 1) -> Verdict:
    trading = trading_metrics(sample, *nothing(), sample, RESAMPLING)
    assert trading["n_refused"] == 1
    classification = classification_metrics(scored_events(), RESAMPLING)
    return verdict(classification, trading, sample, n_trials=n_trials, synthetic=False)


def test_economic_clauses_follow_the_trades() -> None:
    """Clauses that would pass whatever the trades were worth nothing."""
    rng = np.random.default_rng(0)
    rich = judge(trades(rng.normal(60.0, 30.0, 400)))
    poor = judge(trades(rng.normal(-20.0, 30.0, 400)))
    economic = {"net_bps_low", "net_bps_mean_at_double_costs", "profit_factor", "deflated_sharpe", "halves_positive"}
    assert not economic & set(rich.failed)
    assert economic <= set(poor.failed)


def test_trades_of_one_day_are_one_bet() -> None:
    """Counting overlapping trades as independent passed the deflated Sharpe clause of a run that fails it by day."""
    rng = np.random.default_rng(0)
    once = trades(rng.normal(12.0, 100.0, 120))
    thrice = pd.concat([once, once, once]).sort_values("entry_time", ignore_index=True)
    values = [next(c for c in judge(sample).clauses if c.name == "deflated_sharpe").value for sample in (once, thrice)]
    assert values[0] == pytest.approx(values[1])


def test_double_costs_leave_funding_alone() -> None:
    """Funding received is no cost: doubling it would make the stress easier."""
    sample = trades(np.full(50, 20.0))
    metrics = trading_metrics(
        sample,
        pd.DataFrame({"symbol": [], "event_time": []}),
        pd.DataFrame({"equity_usd": [1.0]}),
        sample,
        RESAMPLING,
    )["unit_risk"]
    assert metrics["funding_bps_mean"] == pytest.approx(-1.0)
    assert metrics["net_bps_mean_without_costs"] == pytest.approx(35.0)
    assert metrics["net_bps_mean_at_double_costs"] == pytest.approx(34.0 + 1.0 - 30.0)


def losing_money() -> pd.DataFrame:
    """Every trade risks 100 USDT: wide stops earn .1 R, narrow ones lose .375 R, and in basis points the wide count."""
    rng, n = np.random.default_rng(0), 2_192
    wide = rng.random(n) < 0.5
    stop = np.where(wide, 700.0, 60.0)
    r = np.where(wide, rng.choice([1.5, -1.0], n, p=[0.44, 0.56]), rng.choice([1.5, -1.0], n, p=[0.25, 0.75]))
    notional = 100.0 / (stop / 1e4)
    sample = trades(r * stop)
    times = pd.date_range("2022-01-01", periods=n, freq="12h", tz="UTC", unit="us")
    return sample.assign(
        entry_time=times,
        notional_usd=notional,
        net_usd=100.0 * r,
        net_r=r,
        fees_usd=1e-3 * notional,
        slippage_usd=4e-4 * notional,
    )


def test_a_strategy_that_loses_money_holds_no_clause_about_net_results() -> None:
    """Caught: a lower bound of +5.9 bps, positive at double costs, of trades that lose 24,950 USDT in all."""
    sample = losing_money()
    assert sample["net_bps"].mean() > 0.0 > sample["net_usd"].sum()
    judged = judge(sample)
    values = {clause.name: clause for clause in judged.clauses}
    assert values["net_bps_low"].value > 0.0
    assert "R, " in values["net_bps_low"].note
    net = {"net_bps_low", "net_bps_mean_at_double_costs", "profit_factor", "halves_positive", "positive_quarter_share"}
    assert net <= set(judged.failed)
    assert values["profit_factor"].value == pytest.approx(
        sample["net_usd"].clip(lower=0.0).sum() / -sample["net_usd"].clip(upper=0.0).sum()
    )


@pytest.mark.parametrize("unit", ["net_r", "net_usd"])
def test_a_loss_in_either_unit_fails(unit: str) -> None:
    """Caught: a sum in R alone, which hides that large positions lose, or in USDT alone, which hides small ones."""
    sample = trades(np.random.default_rng(0).normal(60.0, 30.0, 400))
    judged = judge(sample.assign(**{unit: -sample[unit]}))
    assert {"net_bps_low", "profit_factor", "halves_positive", "positive_quarter_share"} <= set(judged.failed)


@pytest.mark.parametrize("unknown", [1, 400])
def test_without_funding_nothing_net_can_be_judged(unknown: int) -> None:
    """Caught: funding that is not known counted as 0, and a verdict on net results that are not net."""
    sample = trades(np.random.default_rng(0).normal(60.0, 30.0, 400))
    sample.loc[: unknown - 1, ["funding_usd", "funding_known"]] = 0.0, False
    sample["funding_known"] = sample["funding_known"].astype(bool)
    metrics = trading_metrics(sample, *nothing(), sample, RESAMPLING)["unit_risk"]
    assert math.isnan(metrics["funding_bps_mean"])
    assert metrics["n_funding_unknown"] == unknown
    judged = judge(sample)
    net = {"net_bps_low", "net_bps_mean_at_double_costs", "profit_factor", "deflated_sharpe", "halves_positive"}
    net |= {"positive_quarter_share", "top_5pct_share_of_gross_profit"}
    notes = {clause.name: clause.note for clause in judged.clauses if clause.name in net}
    assert net <= set(judged.failed)
    assert all(f"the funding of {unknown} of 400 trades is not known" in note for note in notes.values())


def test_the_verdict_states_its_power_or_why_it_cannot() -> None:
    """Caught: a run without trades whose verdict does not say that it could not have seen anything."""
    many = judge(trades(np.random.default_rng(0).normal(60.0, 30.0, 400)))
    assert many.to_dict()["power"]["years_to_see_15_bps"] > 0.0
    assert many.power.startswith("The 400 trades would show a mean result of ")
    none = judge(trades(np.array([])))
    assert none.power.startswith("No trade was taken out of sample")
    assert none.to_dict()["power"]["n_trades"] == 0
    assert math.isnan(none.to_dict()["power"]["smallest_visible_effect_bps"])
    one_day = trades(np.array([5.0, 7.0])).assign(entry_time=pd.Timestamp("2024-01-01", tz="UTC"))
    assert "on one day" in judge(one_day).power


def test_without_trades_every_economic_clause_fails() -> None:
    judged = judge(trades(np.array([])))
    assert {"net_bps_low", "profit_factor", "deflated_sharpe", "top_5pct_share_of_gross_profit"} <= set(judged.failed)


def test_more_trials_than_returns_fail() -> None:
    """With several trials the deflated Sharpe needs all of them: ignoring the others would be a lucky sample."""
    rng = np.random.default_rng(0)
    judged = judge(trades(rng.normal(60.0, 30.0, 400)), n_trials=5)
    assert {"deflated_sharpe", "overfitting_probability"} <= set(judged.failed)


def test_a_slope_that_is_known_less_well_never_passes_more_easily() -> None:
    """An interval that only has to overlap [0.8, 1.2] passed a model the sooner, the fewer events it was judged on."""
    classification = classification_metrics(scored_events(), RESAMPLING)
    sample = trades(np.random.default_rng(0).normal(60.0, 30.0, 400))
    trading = trading_metrics(
        sample, pd.DataFrame({"symbol": [], "event_time": []}), pd.DataFrame({"equity_usd": [1.0]}), sample, RESAMPLING
    )

    def passes(slope: float, half_width: float) -> bool:
        interval = {"reliability_slope_low": slope - half_width, "reliability_slope_high": slope + half_width}
        direction = classification["direction"] | {"reliability_slope": slope} | interval
        given = classification | {"direction": direction}
        return "reliability_slope" not in verdict(given, trading, sample, n_trials=1, synthetic=False).failed

    widths = np.linspace(0.0, 3.0, 61)
    for slope in np.linspace(-0.5, 2.5, 31):
        held = [passes(float(slope), float(width)) for width in widths]
        assert held == sorted(held, reverse=True), slope
    assert passes(1.0, 0.45)
    assert not passes(1.0, 0.6)
    assert not passes(0.556, 0.3)


def test_folds_in_parallel_give_the_same_predictions() -> None:
    training, _ = training_set()
    one = replace(TRAINER, targets=TARGETS[1:])
    two = replace(one, validation=replace(one.validation, parallel_folds=2))
    pd.testing.assert_frame_equal(one.predict_out_of_fold(training), two.predict_out_of_fold(training))
