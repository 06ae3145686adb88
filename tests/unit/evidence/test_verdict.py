"""The verdict: one failed clause is enough, an unknown value fails, and a simulated market never passes."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from slackwater.errors import DataError, ParameterError
from slackwater.evidence.baselines import control_predictions
from slackwater.evidence.clauses import Clause, at_least, holds, not_applicable, not_computed
from slackwater.evidence.drift import market_drift, over_drift
from slackwater.evidence.evaluation import classification_metrics, trade_odds_metrics, trading_metrics
from slackwater.evidence.power import FalsePromotions
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.verdict import FEWEST_DAYS, Verdict, frozen_verdict, verdict
from slackwater.metrics.selection import FEWEST_BLOCKS
from slackwater.models.targets import TARGETS
from tests.small_bundle import TRAINER, training_set

RESAMPLING = Resampling(draws=100)
GOOD = {
    "direction": {
        "auc_low": 0.53,
        "auc_over_price_only_low": 0.01,
        "auc_over_direction_flag_low": 0.01,
        "brier_skill": 0.01,
        "overconfidence": 0.01,
        "ece_if_perfect_q99": 0.02,
        "reliability_slope": 1.0,
        "reliability_slope_low": 0.8,
    }
}
"""Metrics of a model that predicts direction: every clause about it holds."""


def test_one_failed_clause_is_enough() -> None:
    good = at_least("a", 1.0, 0.5)
    assert Verdict(clauses=(good,), synthetic=False).name == "eligible"
    bad = Verdict(clauses=(good, at_least("b", 0.5, 0.5)), synthetic=False)
    assert bad.name == "paper_only"
    assert bad.sentence == "No edge after fees demonstrated; failed: b."


def test_the_sentence_says_how_often_the_verdict_is_wrong() -> None:
    """Catches markets with a signal that are counted, and a measurement that only one of the verdicts states."""
    rows = [{"signal": s, "verdict": v} for s, v in [(0.0, "eligible"), (0.0, "paper_only"), (1.0, "eligible")]]
    told = FalsePromotions.of({"markets": rows})
    good = at_least("a", 1.0, 0.5)
    for clause in (good, at_least("a", 0.5, 1.0), at_least("a", math.nan, 1.0)):
        judged = Verdict(clauses=(clause,), synthetic=False, false_promotions=told)
        assert judged.sentence.endswith(" 1 of 2 simulated markets without any edge pass this gate.")
    assert "markets" not in Verdict(clauses=(good,), synthetic=False).sentence


@pytest.mark.parametrize(
    "clause",
    [
        at_least("a", math.nan, 0.0),
        holds("a", "", math.nan, True),
        not_computed("a", "", "no trades"),
    ],
)
def test_an_unknown_value_never_passes(clause: Clause) -> None:
    """Fails if what is not known holds, or is said to have failed; beside a clause that fails, that one decides."""
    judged = Verdict(clauses=(clause, at_least("b", 1.0, 0.5)), synthetic=False)
    assert (judged.name, judged.failed, judged.unknown) == ("not_evaluable", (), ("a",))
    assert judged.sentence == "It is not known whether there is an edge; not evaluable: a."
    judged = Verdict(clauses=(clause, at_least("b", 0.0, 0.5)), synthetic=False)
    assert judged.name == "paper_only"
    assert judged.sentence == "No edge after fees demonstrated; failed: b; not evaluable: a."


def test_what_does_not_apply_holds() -> None:
    assert Verdict(clauses=(not_applicable("a", "", "one trial"),), synthetic=False).name == "eligible"


def test_a_simulated_market_is_never_eligible() -> None:
    clauses = (at_least("a", 1.0, 0.5), holds("real_data", "not simulated", 0.0, False))
    judged = Verdict(clauses=clauses, synthetic=True)
    assert judged.name == "paper_only"
    assert judged.sentence.startswith("SYNTHETIC market")


@cache
def scored_events() -> pd.DataFrame:
    """Out-of-fold predictions and controls on a market in which nothing can be predicted."""
    training, _ = training_set()
    predictions = TRAINER.predict_out_of_fold(training)
    controls = control_predictions(training, TRAINER, seed=1)
    keys = ["symbol", "event_time"]
    return predictions.merge(controls.drop(columns=["row", "fold"]), on=keys).merge(training.labels, on=keys)


def test_a_random_walk_is_not_predicted() -> None:
    scored = scored_events()
    metrics = classification_metrics(scored, RESAMPLING)
    assert metrics["n_events"] == len(scored)
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


@pytest.mark.parametrize("lost", ["p_direction", "p_price_only", "p_permuted"])
def test_what_a_fold_with_too_few_labels_does_not_predict_is_counted(lost: str) -> None:
    """Caught: one fold without a prediction ended the stage with "`p` must be finite", which named nothing."""
    scored = scored_events()
    of_fold = scored["fold"] == 0
    name = lost.removeprefix("p_")
    unknown = [column for column in (lost, f"{lost}_raw", f"base_{name}", f"slope_{name}") if column in scored]
    metrics = classification_metrics(
        scored.assign(**{each: scored[each].mask(of_fold) for each in unknown}), RESAMPLING
    )
    rest = classification_metrics(scored[~of_fold], RESAMPLING)["direction"]
    assert metrics["n_events"] == len(scored)
    if lost == "p_permuted":
        assert metrics["direction"]["n_unknown"] == 0
        assert metrics["direction"]["auc_permuted"] == rest["auc_permuted"]
    else:
        assert metrics["direction"]["n_unknown"] == of_fold.sum()
        assert metrics["direction"] == pytest.approx(rest | {"n_unknown": of_fold.sum()}, nan_ok=True)
    with pytest.raises(DataError, match=r"p_direction.*too few labels of one kind to predict direction"):
        classification_metrics(scored.assign(p_direction=np.nan), RESAMPLING)


def trades(net_bps: np.ndarray) -> pd.DataFrame:
    times = pd.date_range("2023-01-01", periods=len(net_bps), freq="1D", tz="UTC", unit="us")
    return pd.DataFrame(
        {
            "symbol": "A",
            "entry_time": times,
            "exit_time": times + pd.Timedelta(hours=8),
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
            "risk_usd": 100.0,
            "leverage": 3,
            "risk_fraction": 0.01,
        }
    )


def nothing() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Refusals of one event for two reasons, and the equity of an account."""
    return pd.DataFrame({"symbol": ["A", "A"], "event_time": [0, 0]}), pd.DataFrame({"equity_usd": [1.0, 2.0]})


def without_drift(sample: pd.DataFrame) -> pd.DataFrame:
    """Events of a market that ends where it began."""
    first = sample["entry_time"].min() if len(sample) else pd.Timestamp("2023-01-01", tz="UTC")
    return pd.DataFrame(
        {"symbol": "A", "entry_time": [first, first + pd.Timedelta(days=400)], "entry_price": [100.0, 100.0]}
    )


def judge(
    sample: pd.DataFrame, n_trials: int = 1, events: pd.DataFrame | None = None, **given: pd.DataFrame | dict
) -> Verdict:
    """Return the verdict on trades of a model that predicts direction."""
    trading = trading_metrics(sample, *nothing(), sample, RESAMPLING)
    assert trading["n_refused"] == 1
    trading["unit_risk"] |= over_drift(sample, without_drift(sample) if events is None else events, RESAMPLING)
    return verdict(GOOD, trading, sample, n_trials=n_trials, synthetic=False, **given)


def test_economic_clauses_follow_the_trades() -> None:
    """Clauses that would pass whatever the trades were worth nothing."""
    rng = np.random.default_rng(0)
    rich = judge(trades(rng.normal(60.0, 30.0, 400)))
    poor = judge(trades(rng.normal(-20.0, 30.0, 400)))
    economic = {"net_bps_low", "net_bps_mean_at_double_costs", "profit_factor", "deflated_sharpe", "halves_positive"}
    assert rich.name == "eligible"
    assert rich.sentence == "The trades earned more than costs, drift and chance explain: every clause holds."
    assert poor.name == "paper_only"
    assert economic | {"net_bps_over_drift_low"} <= set(poor.failed)


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
        gross_bps=r * stop + 14.0,
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
    assert net | {"deflated_sharpe", "net_bps_over_drift_low"} <= set(judged.failed)
    assert judged.name == "paper_only"
    assert values["profit_factor"].value == pytest.approx(
        sample["net_usd"].clip(lower=0.0).sum() / -sample["net_usd"].clip(upper=0.0).sum()
    )


@pytest.mark.parametrize("unit", ["net_r", "net_usd"])
def test_a_loss_in_either_unit_fails(unit: str) -> None:
    """Caught: a sum in R alone, which hides that large positions lose, or in USDT alone, which hides small ones."""
    sample = trades(np.random.default_rng(0).normal(60.0, 30.0, 400))
    judged = judge(sample.assign(**{unit: -sample[unit]}))
    in_units = {"net_bps_low", "net_bps_over_drift_low", "net_bps_mean_at_double_costs", "deflated_sharpe"}
    assert in_units <= set(judged.failed)
    assert {"profit_factor", "halves_positive", "positive_quarter_share"} <= set(judged.failed)


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
    assert net <= set(judged.unknown)
    assert judged.name == "not_evaluable"
    assert all(f"the funding of {unknown} of 400 trades is not known" in note for note in notes.values())


def test_the_verdict_states_its_power_or_why_it_cannot() -> None:
    """Caught: a run without trades whose verdict does not say that it could not have seen anything."""
    many = judge(trades(np.random.default_rng(0).normal(60.0, 30.0, 400)))
    assert many.to_dict()["power"]["years_to_see_15_bps"] > 0.0
    assert many.power.startswith("The 400 trades would show a mean result of ")
    none = judge(trades(np.array([])))
    assert none.power == (
        "No trade was taken out of sample. Neither the smallest visible mean result nor the years that 15 bps per "
        "trade need can be stated."
    )
    assert none.to_dict()["power"]["n_trades"] == 0
    assert math.isnan(none.to_dict()["power"]["smallest_visible_effect_bps"])
    one_day = trades(np.array([5.0, 7.0])).assign(entry_time=pd.Timestamp("2024-01-01", tz="UTC"))
    assert judge(one_day).power.startswith("2 trades on one day. Neither")


def test_without_trades_the_events_state_the_power() -> None:
    """Caught: a gate that takes no trade, and a verdict that cannot say what these data could have shown at all."""
    suggested = trade_odds_metrics(scored_events(), min_expectancy=0.0, min_reward_risk=0.75, resampling=RESAMPLING)
    assert suggested["smallest_visible_effect_bps"] > 0.0
    judged = judge(trades(np.array([])), suggested=suggested)
    assert judged.power.startswith(
        f"No trade was taken out of sample. The {suggested['n_trades']:,} trades that the events suggest would show a "
        "mean result of "
    )
    assert judged.to_dict()["power"]["suggested"]["years_to_see_15_bps"] == suggested["years_to_see_15_bps"]


def test_a_trade_without_a_predicted_edge_is_counted_and_not_judged() -> None:
    scored, options = scored_events(), {"min_expectancy": 0.0, "min_reward_risk": 0.75, "resampling": RESAMPLING}
    of_fold = scored["fold"] == 0
    lost = scored.assign(**{name: scored[name].mask(of_fold) for name in ("trade_edge", "trade_edge_low")})
    found, rest = (trade_odds_metrics(rows, **options) for rows in (lost, scored[~of_fold]))
    whole = trade_odds_metrics(scored, **options)
    assert found["n_unknown"] == (of_fold & scored["payoff"].notna()).sum()
    assert rest["n_unknown"] == whole["n_unknown"] == 0
    for name in ("auc_net_gain", "predicted_probability_mean", "brier_skill_over_fair", "n_passed"):
        assert found[name] == pytest.approx(rest[name]), name
    for name in ("n_trades", "net_r_mean", "payoff_mean", "fair_probability_mean"):
        assert found[name] == pytest.approx(whole[name], nan_ok=True), name
    with pytest.raises(DataError, match="trade_edge"):
        trade_odds_metrics(scored.assign(trade_edge=np.nan), **options)


def test_without_trades_no_economic_clause_is_evaluable() -> None:
    judged = judge(trades(np.array([])))
    assert judged.name == "not_evaluable"
    net = {"net_bps_low", "net_bps_over_drift_low", "profit_factor", "deflated_sharpe"}
    assert net | {"top_5pct_share_of_gross_profit"} <= set(judged.unknown)
    assert judged.sentence == (
        "Too few trades to say whether they earn money after fees: 0 days with trades, required >= 30; "
        "0 blocks with trades, required >= 6."
    )


@pytest.mark.parametrize("net_bps", [60.0, -60.0])
def test_few_days_with_trades_are_no_verdict_however_they_end(net_bps: float) -> None:
    """Caught: 29 winners that pass, and 29 losers that are said to have shown the absence of an edge."""
    spread = np.random.default_rng(0).normal(0.0, 10.0, FEWEST_DAYS)
    enough = trades(net_bps + spread).assign(
        entry_time=lambda x: x["entry_time"].min() + pd.to_timedelta(5 * np.arange(FEWEST_DAYS), unit="D"),
        exit_time=lambda x: x["entry_time"] + pd.Timedelta(hours=8),
    )
    assert judge(enough).name == ("eligible" if net_bps > 0.0 else "paper_only")
    few = judge(pd.concat([enough[1:], enough[1:]]))  # on one day less, however many they are
    assert few.name == "not_evaluable"
    assert few.sentence.endswith(": 29 days with trades, required >= 30.")
    values = {clause.name: clause for clause in few.clauses}
    assert values["profit_factor"].passed is None
    assert not math.isnan(values["profit_factor"].value)


def test_trades_in_few_blocks_of_time_are_no_verdict() -> None:
    """Caught: two lucky weeks a year apart, whose calendar is long and whose independent parts are two."""
    start, days = pd.Timestamp("2023-01-01", tz="UTC"), np.r_[0:28, 364:378]
    sample = trades(np.random.default_rng(0).normal(60.0, 10.0, days.size))
    sample["entry_time"] = start + pd.to_timedelta(days, unit="D")
    sample["exit_time"] = sample["entry_time"] + pd.Timedelta(hours=8)
    judged = judge(sample)
    assert judged.name == "not_evaluable"
    assert judged.sentence.endswith(f": 3 blocks with trades, required >= {FEWEST_BLOCKS}.")


def test_several_trials_without_their_returns_are_not_evaluable() -> None:
    """With several trials the deflated Sharpe needs all of them: ignoring the others would be a lucky sample."""
    rng = np.random.default_rng(0)
    judged = judge(trades(rng.normal(60.0, 30.0, 400)), n_trials=5)
    assert set(judged.unknown) == {"deflated_sharpe", "overfitting_probability"}
    assert judged.name == "not_evaluable"
    with pytest.raises(ParameterError, match="`trial_returns` must have at most one column per trial, 5, had 6"):
        judge(trades(rng.normal(60.0, 30.0, 400)), n_trials=5, trial_returns=pd.DataFrame(np.zeros((400, 6))))


def test_a_lucky_best_of_twenty_does_not_pass() -> None:
    """Caught: the best of twenty strategies without an edge, alone a pass, beside the nineteen others none."""
    rng = np.random.default_rng(2)
    tried = rng.normal(0.0, 100.0, (400, 20))
    best = tried[:, np.argmax(tried.mean(axis=0) / tried.std(axis=0))]
    alone = judge(trades(best + 1.0))
    assert not {"net_bps_low", "deflated_sharpe"} & set(alone.failed)
    beside = judge(trades(best + 1.0), n_trials=20, trial_returns=pd.DataFrame(tried / 100.0))
    assert {"deflated_sharpe", "overfitting_probability"} <= set(beside.failed)
    assert beside.name == "paper_only"
    note = next(clause.note for clause in beside.clauses if clause.name == "overfitting_probability")
    assert note.startswith("20 trials: PBO 0.")
    assert note.endswith(", 0.50 where no trial is better than another")


def test_the_best_of_twenty_with_an_edge_passes() -> None:
    """Caught: clauses about several trials that nothing can pass."""
    rng = np.random.default_rng(0)
    tried = rng.normal(0.0, 100.0, (400, 20))
    tried[:, 7] += 60.0
    judged = judge(trades(tried[:, 7]), n_trials=20, trial_returns=pd.DataFrame(tried / 100.0))
    assert judged.name == "eligible"


def test_trials_without_returns_deflate_too() -> None:
    """Caught: trials that failed, left out of the number by which the best is judged."""
    rng = np.random.default_rng(0)
    tried = rng.normal(0.0, 100.0, (400, 5))
    tried[:, 2] += 14.0

    def deflated(n_trials: int) -> Clause:
        judged = judge(trades(tried[:, 2]), n_trials=n_trials, trial_returns=pd.DataFrame(tried / 100.0))
        return next(clause for clause in judged.clauses if clause.name == "deflated_sharpe")

    assert deflated(500).value < deflated(5).value < 1.0
    assert deflated(500).note == "best of 500 trials, 5 of them with returns"
    alike = pd.DataFrame({0: tried[:, 2], 1: tried[:, 2]})
    judged = judge(trades(tried[:, 2]), n_trials=2, trial_returns=alike)
    assert "deflated_sharpe" in judged.unknown


@pytest.mark.parametrize("thin", [np.nan, -1.0], ids=["without a trade", "two stops of one R"])
def test_trials_with_few_trades_deflate_as_others_do(thin: float) -> None:
    """Caught: a lucky best of twenty that passes beside many trials without trades, and a crash beside thin ones.

    A ratio of 0 for a trial without trades shrinks the variance that deflates; one that is not finite ended the run.
    """
    rng = np.random.default_rng(2)
    tried = rng.normal(0.0, 1.0, (400, 20))
    best = tried[:, np.argmax(tried.mean(axis=0) / tried.std(axis=0))]

    def deflated(idle: int) -> Clause:
        few = np.full((400, idle), np.nan)
        few[:2] = thin
        returns = pd.DataFrame(np.column_stack([tried, few]))
        judged = judge(trades(100.0 * best), n_trials=20 + idle, trial_returns=returns)
        return next(clause for clause in judged.clauses if clause.name == "deflated_sharpe")

    assert deflated(300).value < deflated(0).value < 0.95
    assert deflated(300).passed is False
    alone = pd.DataFrame(np.column_stack([best, np.full((400, 5), thin)]))
    alone.iloc[2:, 1:] = np.nan
    judged = judge(trades(100.0 * best), n_trials=6, trial_returns=alone)
    assert "deflated_sharpe" in judged.unknown


def test_a_frozen_test_is_judged_by_what_it_can_measure() -> None:
    """Caught: clauses of the frozen test that hold whatever was measured, or that nothing can hold."""
    rng = np.random.default_rng(0)

    def frozen(
        sample: pd.DataFrame,
        *,
        auc_low: float = 0.53,
        synthetic: bool = False,
        n_trials: int = 1,
        trial_returns: pd.DataFrame | None = None,
    ) -> Verdict:
        trading = trading_metrics(sample, *nothing(), sample, RESAMPLING)
        trading["unit_risk"] |= over_drift(sample, without_drift(sample), RESAMPLING)
        direction = {"auc_low": auc_low, "brier_skill": 0.01}
        given = {"n_trials": n_trials, "synthetic": synthetic, "trial_returns": trial_returns}
        return frozen_verdict(direction, trading, sample, **given)

    rich, poor = trades(rng.normal(60.0, 30.0, 400)), trades(rng.normal(-60.0, 30.0, 400))
    assert frozen(rich).name == "eligible"
    assert frozen(rich, synthetic=True).failed == ("real_data",)
    assert frozen(rich, auc_low=0.49).failed == ("direction_auc_low",)
    assert {"net_bps_low", "deflated_sharpe"} <= set(frozen(poor).failed)
    assert frozen(rich.iloc[:5]).name == "not_evaluable"
    # Of several bundles the best is luck in part, and without the returns of the others nobody knows how much.
    modest = trades(rng.normal(10.0, 60.0, 400))
    assert "deflated_sharpe" not in frozen(modest).failed
    others = pd.DataFrame(rng.normal(0.0, 1.0, (400, 40)) + rng.normal(0.0, 0.1, 40))
    assert "deflated_sharpe" in frozen(modest, n_trials=40, trial_returns=others).failed
    assert frozen(rich, n_trials=40).unknown == ("deflated_sharpe",)
    with pytest.raises(ParameterError, match="at most one column per trial, 39, had 40"):
        frozen(rich, n_trials=39, trial_returns=others)


def rising_market(days: int = 900, per_day: float = 0.008) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """Hours and prices of a market that rises, in which nothing else can be predicted."""
    rng = np.random.default_rng(3)
    hours = pd.date_range("2022-01-01", periods=24 * days, freq="1h", tz="UTC", unit="us")
    return hours, 100.0 * np.exp(np.cumsum(rng.normal(per_day / 24.0, 0.025 / np.sqrt(24.0), hours.size)))


def long_for_a_day(hours: pd.DatetimeIndex, price: np.ndarray, entries: np.ndarray) -> pd.DataFrame:
    """Trades of 10,000 USDT that buy at the given hours and sell a day later, at costs of 14 bps."""
    gross_bps = 1e4 * (price[entries + 24] / price[entries] - 1.0)
    sample = trades(gross_bps - 14.0).assign(
        entry_time=hours[entries], exit_time=hours[entries + 24], side=1, gross_bps=gross_bps, funding_usd=0.0
    )
    return sample.assign(net_usd=sample["net_bps"], net_r=sample["net_bps"] / 100.0, fees_usd=9.0)


def test_long_in_a_rising_market_does_not_pass() -> None:
    """Caught: a rule that buys at random and earns the drift, which holds every other clause."""
    hours, price = rising_market()
    entries = np.sort(np.random.default_rng(4).choice(hours.size - 24, 800, replace=False))
    sample = long_for_a_day(hours, price, entries)
    events = pd.DataFrame({"symbol": "A", "entry_time": hours, "entry_price": price})
    judged = judge(sample, events=events)
    assert judged.failed == ("net_bps_over_drift_low",)
    assert judged.name == "paper_only"


def test_an_edge_in_a_rising_market_passes() -> None:
    """Caught: a clause that no long trade in a rising market can hold."""
    hours, price = rising_market()
    ahead = price[24:] / price[:-24]
    entries = np.sort(np.random.default_rng(4).choice(np.flatnonzero(ahead > np.quantile(ahead, 0.3)), 800, False))
    events = pd.DataFrame({"symbol": "A", "entry_time": hours, "entry_price": price})
    assert judge(long_for_a_day(hours, price, entries), events=events).name == "eligible"


def test_drift_by_hand() -> None:
    """Fails if the drift is not per day and symbol, or a short position does not earn its opposite."""
    start = pd.Timestamp("2024-01-01", tz="UTC")
    events = pd.DataFrame(
        {
            "symbol": ["A", "B", "A", "C"],
            "entry_time": [start + pd.Timedelta(days=10), start, start, start],
            "entry_price": [100.0 * math.e, 1.0, 100.0, 1.0],
        }
    )
    drift = market_drift(events)
    assert drift["A"] == pytest.approx(0.1)
    assert drift[["B", "C"]].isna().all()
    sample = trades(np.zeros(100)).assign(side=[-1] * 50 + [1] * 50)
    sample["exit_time"] = sample["entry_time"] + pd.to_timedelta(np.repeat([24, 48], 50), unit="h")
    found = over_drift(sample, events, RESAMPLING)
    assert found["drift_bps_mean"] == pytest.approx(1e4 * 0.1 * (-1 + 2) / 2)
    assert found["net_bps_over_drift_mean"] == pytest.approx(-500.0)
    unknown = judge(sample.assign(symbol=["B"] + ["A"] * 99), events=events)
    assert "net_bps_over_drift_low" in unknown.unknown


def test_a_slope_that_is_known_less_well_never_passes_more_easily() -> None:
    """An interval that only has to overlap [0.8, 1.2] passed a model the sooner, the fewer events it was judged on."""
    classification = classification_metrics(scored_events(), RESAMPLING)
    sample = trades(np.random.default_rng(0).normal(60.0, 30.0, 400))
    trading = trading_metrics(
        sample, pd.DataFrame({"symbol": [], "event_time": []}), pd.DataFrame({"equity_usd": [1.0]}), sample, RESAMPLING
    )

    def passes(slope: float, half_width: float) -> bool:
        interval = {"reliability_slope_low": slope - half_width}
        direction = classification["direction"] | {"reliability_slope": slope} | interval
        given = classification | {"direction": direction}
        judged = verdict(given, trading, sample, n_trials=1, synthetic=False)
        return next(clause.passed is True for clause in judged.clauses if clause.name == "reliability_slope")

    widths = np.linspace(0.0, 3.0, 61)
    for slope in np.linspace(-0.5, 2.5, 31):
        held = [passes(float(slope), float(width)) for width in widths]
        assert held == sorted(held, reverse=True), slope
    assert passes(1.0, 0.45)
    assert not passes(1.0, 0.6)
    assert not passes(0.556, 0.3)
    assert passes(2.1, 0.5), "probabilities that are too close to the base rate mislead nobody"


@pytest.mark.parametrize(("sureness", "passes"), [(0.3, True), (1.0, True), (3.0, False)])
def test_the_verdict_refuses_overconfident_probabilities_and_not_timid_ones(sureness: float, *, passes: bool) -> None:
    """Catches a two-sided calibration error, by which every strong edge failed, and a clause that always holds."""
    events = scored_events()
    rng = np.random.default_rng(0)
    log_odds = rng.normal(0.0, 0.6, len(events))
    events = events.assign(
        y_direction=(rng.random(len(events)) < expit(log_odds)).astype(float), p_direction=expit(sureness * log_odds)
    )
    classification = classification_metrics(events, RESAMPLING)
    sample = trades(np.random.default_rng(0).normal(60.0, 30.0, 400))
    nothing = pd.DataFrame({"symbol": [], "event_time": []})
    trading = trading_metrics(sample, nothing, pd.DataFrame({"equity_usd": [1.0]}), sample, RESAMPLING)
    judged = verdict(classification, trading, sample, n_trials=1, synthetic=False)
    held = {clause.name: clause.passed for clause in judged.clauses}
    assert held["overconfidence"] is passes
    if sureness < 1.0:
        assert classification["direction"]["overconfidence"] < classification["direction"]["ece"] / 2


def test_folds_in_parallel_give_the_same_predictions() -> None:
    training, _ = training_set()
    one = replace(TRAINER, targets=TARGETS[1:])
    two = replace(one, validation=replace(one.validation, parallel_folds=2))
    pd.testing.assert_frame_equal(one.predict_out_of_fold(training), two.predict_out_of_fold(training))
