"""The verdict on a run: every clause with its value and its threshold, and the decision that follows from them.

A clause whose value is not known does not hold: it is not evaluable.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from slackwater.errors import ParameterError
from slackwater.evidence.clauses import Clause, at_least, holds, not_applicable, not_computed
from slackwater.evidence.evaluation import daily_returns
from slackwater.evidence.power import FalsePromotions, Power
from slackwater.metrics.selection import (
    FEWEST_BLOCKS,
    deflated_sharpe_ratio,
    probabilistic_sharpe_ratio,
    probability_of_backtest_overfitting,
)

__all__ = [
    "FEWEST_DAYS",
    "Verdict",
    "frozen_verdict",
    "verdict",
]

FEWEST_DAYS = 30
"""Days with trades without which nothing is said about their results."""

_ENOUGH = ("enough_days_with_trades", "enough_blocks_with_trades")
_UNITS = {"r": "R", "usd": "USDT"}
_OVERFITTING = "P(out-of-sample Sharpe of the in-sample best <= 0) < 0.05"
_FEWEST_PERIODS = 32
"""Two for each of the 16 blocks of time of the probability of overfitting."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Decision on whether a run demonstrates an edge.

    Parameters
    ----------
    clauses
        All conditions, whether they hold or not.
    synthetic
        Whether the data were simulated; such a model is never eligible.
    accepted, suggested
        Power of the trades at unit risk, and of the trades that the events suggest.
    false_promotions
        How often the verdict finds an edge where there is none; None where that was not measured.
    """

    clauses: tuple[Clause, ...]
    synthetic: bool
    accepted: Power = field(default_factory=Power)
    suggested: Power = field(default_factory=Power)
    false_promotions: FalsePromotions | None = None

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the names of the clauses that were evaluated and do not hold."""
        return tuple(clause.name for clause in self.clauses if clause.passed is False)

    @property
    def unknown(self) -> tuple[str, ...]:
        """Return the names of the clauses that are not evaluable."""
        return tuple(clause.name for clause in self.clauses if clause.passed is None)

    @property
    def name(self) -> Literal["eligible", "paper_only", "not_evaluable"]:
        """Return the decision.

        ``"not_evaluable"`` where too few days or blocks of time have trades; otherwise ``"paper_only"`` if a clause
        fails, ``"not_evaluable"`` if one is not evaluable, and ``"eligible"`` if every clause holds.
        """
        if self._too_few or (self.unknown and not self.failed):
            return "not_evaluable"
        return "paper_only" if self.failed else "eligible"

    @property
    def sentence(self) -> str:
        """Return the verdict in words, and how often it is wrong where there is no edge."""
        return f"{self._said} {self.false_promotions.sentence}" if self.false_promotions else self._said

    @property
    def _said(self) -> str:
        prefix = "SYNTHETIC market: no evidence of a real edge. " if self.synthetic else ""
        if self.name == "eligible":
            return f"{prefix}The trades earned more than costs, drift and chance explain: every clause holds."
        if self.failed == ("real_data",) and not self.unknown:
            return f"{prefix}Every other clause holds, but a model of a simulated market is never eligible."
        lacking = [
            f"{c.value:g} {c.name.removeprefix('enough_').replace('_', ' ')}, required {c.requirement}"
            for c in self._too_few
        ]
        if lacking:
            return f"{prefix}Too few trades to say whether they earn money after fees: {'; '.join(lacking)}."
        parts = [f"failed: {', '.join(self.failed)}"] if self.failed else []
        parts += [f"not evaluable: {', '.join(self.unknown)}"] if self.unknown else []
        start = "No edge after fees demonstrated" if self.failed else "It is not known whether there is an edge"
        return f"{prefix}{start}; {'; '.join(parts)}."

    @property
    def power(self) -> str:
        """Return in words what effect the trades could have shown, those of all events where the gate took too few."""
        if stated := self.accepted.sentence("trades"):
            return stated
        n = self.accepted.n_trades
        taken = f"{n:,} trades on one day." if n else "No trade was taken out of sample."
        of_events = self.suggested.sentence("trades that the events suggest")
        lacking = "Neither the smallest visible mean result nor the years that 15 bps per trade need can be stated."
        return f"{taken} {of_events or lacking}"

    @property
    def _too_few(self) -> tuple[Clause, ...]:
        return tuple(clause for clause in self.clauses if clause.name in _ENOUGH and not clause.passed)

    def to_dict(self) -> dict[str, Any]:
        """Return name, sentence, power and every clause, fit for JSON."""
        return {
            "verdict": self.name,
            "sentence": self.sentence,
            "synthetic": self.synthetic,
            "power": {"sentence": self.power, **asdict(self.accepted), "suggested": asdict(self.suggested)},
            "clauses": {
                c.name: {"requirement": c.requirement, "value": c.value, "passed": c.passed, "note": c.note}
                for c in self.clauses
            },
        }


def verdict(
    classification: Mapping[str, Any],
    trading: Mapping[str, Any],
    unit_risk: pd.DataFrame,
    *,
    n_trials: int,
    synthetic: bool,
    suggested: Mapping[str, Any] | None = None,
    trial_returns: pd.DataFrame | None = None,
    false_promotions: FalsePromotions | None = None,
) -> Verdict:
    """Return the verdict on a run (method, section 3.6).

    Parameters
    ----------
    classification, trading
        Metrics of `slackwater.evidence.evaluation`.
    unit_risk
        Trades at unit risk, which the economic clauses are about.
    n_trials
        Number of configurations that were tried on these data, at least 1.
    synthetic
        Whether the data were simulated.
    suggested
        Metrics of the trades that the events suggest (`slackwater.evidence.evaluation.trade_odds_metrics`), for the
        power of a run whose gate took no trade.
    trial_returns
        Net R per UTC day, one row per day and one column per trial, NaN on days without a trade of the trial. Trials
        without a column, such as those that failed, still count. With fewer than two columns, no clause about several
        trials is evaluable.
    false_promotions
        How often the verdict finds an edge where there is none, for its sentence.

    Raises
    ------
    ParameterError
        If `trial_returns` has more columns than there are trials.
    """
    trial_returns = _of_several(trial_returns, n_trials)
    sample = trading["unit_risk"]
    enough = _enough(sample)
    about_trades = (*_net_clauses(sample), _deflated_sharpe(unit_risk, n_trials, trial_returns))
    overfitting = _overfitting(n_trials, trial_returns)
    funding = int(sample.get("n_funding_unknown", 0))
    clauses = (
        *_direction_clauses(classification["direction"]),
        *enough,
        *(_judged(clause, enough, funding, len(unit_risk)) for clause in about_trades),
        overfitting if n_trials == 1 else _judged(overfitting, enough, funding, len(unit_risk)),
        holds("real_data", "not simulated", float(not synthetic), not synthetic),
    )
    return Verdict(
        clauses=clauses,
        synthetic=synthetic,
        accepted=Power.of(sample),
        suggested=Power.of(suggested or {}),
        false_promotions=false_promotions,
    )


def frozen_verdict(
    direction: Mapping[str, Any],
    trading: Mapping[str, Any],
    unit_risk: pd.DataFrame,
    *,
    n_trials: int,
    synthetic: bool,
    trial_returns: pd.DataFrame | None = None,
) -> Verdict:
    """Return the verdict on a test of a frozen bundle on other data, without controls that are fitted anew.

    Parameters
    ----------
    direction
        ``auc_low`` and ``brier_skill`` of the direction of the events.
    n_trials
        Number of different bundles that were tested on these data, at least 1.
    trading, unit_risk, synthetic, trial_returns
        As for `verdict`; every bundle is a trial.

    Raises
    ------
    ParameterError
        If `trial_returns` has more columns than there are trials.
    """
    trial_returns = _of_several(trial_returns, n_trials)
    sample = trading["unit_risk"]
    enough, funding = _enough(sample), int(sample.get("n_funding_unknown", 0))
    about_trades = (*_net_clauses(sample), _deflated_sharpe(unit_risk, n_trials, trial_returns))
    clauses = (
        at_least("direction_auc_low", direction["auc_low"], 0.5),
        at_least("brier_skill", direction["brier_skill"], 0.0),
        *enough,
        *(_judged(clause, enough, funding, len(unit_risk)) for clause in about_trades),
        holds("real_data", "not simulated", float(not synthetic), not synthetic),
    )
    return Verdict(clauses=clauses, synthetic=synthetic, accepted=Power.of(sample))


def _of_several(trial_returns: pd.DataFrame | None, n_trials: int) -> pd.DataFrame | None:
    """Return the returns of trials, None where too few are stored to compare them."""
    if trial_returns is None or trial_returns.shape[1] < min(2, n_trials):
        return None
    if trial_returns.shape[1] > n_trials:
        raise ParameterError(
            f"`trial_returns` must have at most one column per trial, {n_trials}, had {trial_returns.shape[1]}"
        )
    return trial_returns


def _direction_clauses(d: Mapping[str, Any]) -> tuple[Clause, ...]:
    error_bound, slope_low = max(0.03, d["ece_if_perfect_q99"]), d["reliability_slope_low"]
    return (
        at_least("direction_auc_low", d["auc_low"], 0.5),
        at_least("auc_over_price_only_low", d["auc_over_price_only_low"], 0.0),
        at_least("auc_over_direction_flag_low", d["auc_over_direction_flag_low"], 0.0),
        at_least("brier_skill", d["brier_skill"], 0.0),
        holds("overconfidence", f"<= {error_bound:.4f}", d["overconfidence"], d["overconfidence"] <= error_bound),
        holds(
            "reliability_slope",
            ">= 0.8, the lower bound of its 95 % interval >= 0.5",
            # Without an interval nothing is known about the slope.
            math.nan if math.isnan(slope_low) else d["reliability_slope"],
            # No upper limit: probabilities that are too close to the base rate mislead nobody (decision 26).
            d["reliability_slope"] >= 0.8 and slope_low >= 0.5,
            f"lower bound {'not known' if math.isnan(slope_low) else f'{slope_low:.2f}'}",
        ),
    )


def _enough(sample: Mapping[str, Any]) -> tuple[Clause, ...]:
    """Return the clauses without which nothing is said about trades; their names are `_ENOUGH`."""
    days, blocks = (float(sample.get(name, 0)) for name in ("days_with_trades", "blocks_with_trades"))
    length = f", each of {sample['mean_block_days']:g} days" if days else ""
    return (
        at_least(_ENOUGH[0], days, FEWEST_DAYS, strictly=False),
        at_least(_ENOUGH[1], blocks, FEWEST_BLOCKS, strictly=False, note=f"mean blocks of the bootstrap{length}"),
    )


def _net_clauses(sample: Mapping[str, Any]) -> tuple[Clause, ...]:
    def traded(key: str) -> float:
        return float(sample.get(key, math.nan))

    units = ("bps", "r", "usd")
    top = traded("top_5pct_share_of_gross_profit")
    return (
        _in_every_unit("net_bps_low", {unit: traded(f"net_{unit}_low") for unit in units}),
        _in_every_unit("net_bps_over_drift_low", {unit: traded(f"net_{unit}_over_drift_low") for unit in units}),
        _in_every_unit(
            "net_bps_mean_at_double_costs", {unit: traded(f"net_{unit}_mean_at_double_costs") for unit in units}
        ),
        at_least("profit_factor", traded("profit_factor"), 1.15),
        at_least("halves_positive", traded("halves_positive"), 2.0, strictly=False),
        at_least("positive_quarter_share", traded("positive_quarter_share"), 0.6, strictly=False),
        holds("top_5pct_share_of_gross_profit", "<= 0.4", top, top <= 0.4),
    )


def _in_every_unit(name: str, values: dict[str, float]) -> Clause:
    """Return the clause that a result is positive in basis points, and in the units in which sizes count."""
    first, *others = values.items()
    known = not any(math.isnan(value) for value in values.values())
    return holds(
        name,
        f"> 0, also in {' and '.join(_UNITS[unit] for unit, _ in others)}",
        first[1] if known else math.nan,
        all(value > 0.0 for value in values.values()),
        ", ".join(f"{value:.4g} {_UNITS[unit]}" for unit, value in others) if known else "",
    )


def _deflated_sharpe(unit_risk: pd.DataFrame, n_trials: int, trial_returns: pd.DataFrame | None) -> Clause:
    """Return the clause about the Sharpe ratio over the days with trades, the worse of R and USDT."""
    name, bound = "deflated_sharpe", 0.95
    if n_trials > 1 and trial_returns is None:
        return not_computed(name, f">= {bound}", f"the returns of {n_trials} trials are not stored")
    daily = [daily_returns(unit_risk, unit).to_numpy() for unit in ("net_r", "net_usd")]
    if n_trials == 1 or trial_returns is None:  # one trial is not deflated
        found = [probabilistic_sharpe_ratio(net) for net in daily]
        return at_least(name, float(np.min(found)), bound, strictly=False)
    # The ratio of a trial with few trades is noise or not defined: it counts as a trial, and not for their variance.
    long = trial_returns.loc[:, (trial_returns.count() >= FEWEST_DAYS) & (trial_returns.std() > 0.0)]
    ratios = long.mean() / long.std()
    if ratios.nunique() < 2:
        why = f"{len(ratios)} trials have {FEWEST_DAYS} days with trades; two with different results are needed"
        return not_computed(name, f">= {bound}", why)
    found = [deflated_sharpe_ratio(net, trial_sharpe_ratios=ratios, n_trials=n_trials) for net in daily]
    return at_least(
        name, float(np.min(found)), bound, strictly=False, note=f"best of {_tried(n_trials, trial_returns)}"
    )


def _tried(n_trials: int, trial_returns: pd.DataFrame) -> str:
    with_returns = trial_returns.shape[1]
    return f"{n_trials} trials" + (f", {with_returns} of them with returns" if with_returns < n_trials else "")


def _overfitting(n_trials: int, trial_returns: pd.DataFrame | None) -> Clause:
    name = "overfitting_probability"
    if n_trials == 1:
        return not_applicable(name, _OVERFITTING, "one trial")
    if trial_returns is None:
        return not_computed(name, _OVERFITTING, "the returns of the trials are not stored")
    if len(trial_returns) < _FEWEST_PERIODS:
        return not_computed(name, _OVERFITTING, f"{len(trial_returns)} days are too few to divide")
    found = probability_of_backtest_overfitting(trial_returns.fillna(0.0))
    return holds(
        name,
        _OVERFITTING,
        found.probability_of_loss,
        found.probability_of_loss < 0.05,
        f"{_tried(n_trials, trial_returns)}: PBO {found.probability:.2f}, {found.neutral:.2f} where no trial is better "
        "than another",
    )


def _judged(clause: Clause, enough: tuple[Clause, ...], funding: int, n_trades: int) -> Clause:
    """Return a clause about trades, not evaluable where they are too few or their funding is not known."""
    if funding:
        why = f"the funding of {funding:,} of {n_trades:,} trades is not known, so net results are not"
        return replace(clause, value=math.nan, passed=None, note=why)
    if not all(each.passed for each in enough):
        return replace(clause, passed=None, note=clause.note or "too few trades")
    return clause
