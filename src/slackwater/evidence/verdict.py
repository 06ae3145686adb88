"""The promotion gate: every clause with its value, and the verdict that follows from them.

A clause whose value cannot be computed counts as failed, with the reason in its note.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import pandas as pd

from slackwater.metrics.selection import probabilistic_sharpe_ratio

__all__ = ["Clause", "Verdict", "at_least", "holds", "not_applicable", "not_computed", "verdict"]

_UNITS = {"r": "R", "usd": "USDT"}


@dataclass(frozen=True, kw_only=True)
class Clause:
    """One condition of the promotion gate.

    Parameters
    ----------
    name, requirement
        Stable name, and the condition in words.
    value, passed
        Measured value, NaN where it could not be computed, and whether the condition holds.
    note
        Reason why it could not be computed, or a remark.
    """

    name: str
    requirement: str
    value: float
    passed: bool
    note: str = ""


def at_least(name: str, value: float, bound: float, *, strictly: bool = True, note: str = "") -> Clause:
    """Return the clause that a value exceeds (or reaches) a bound; an unknown value fails.

    Examples
    --------
    >>> at_least("profit_factor", 1.2, 1.15).passed
    True
    """
    passed = not math.isnan(value) and (value > bound if strictly else value >= bound)
    sign = ">" if strictly else ">="
    return Clause(name=name, requirement=f"{sign} {bound:g}", value=value, passed=passed, note=note)


def holds(name: str, requirement: str, value: float, passed: bool, note: str = "") -> Clause:
    """Return a clause whose condition was computed elsewhere; an unknown value fails."""
    return Clause(
        name=name, requirement=requirement, value=value, passed=bool(passed) and not math.isnan(value), note=note
    )


def not_computed(name: str, requirement: str, why: str) -> Clause:
    """Return a clause that could not be computed, and therefore fails."""
    return Clause(name=name, requirement=requirement, value=math.nan, passed=False, note=why)


def not_applicable(name: str, requirement: str, why: str) -> Clause:
    """Return a clause that does not apply to this run, and therefore holds."""
    return Clause(name=name, requirement=requirement, value=math.nan, passed=True, note=f"not applicable: {why}")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Promotion decision on a model.

    Parameters
    ----------
    clauses
        All conditions, failed or not.
    synthetic
        Whether the data were simulated; such a model is never promoted.
    n_trades, smallest_visible_effect_bps, years_to_see_15_bps
        Trades at unit risk, and what they could show (method, section 3.2); NaN where that cannot be stated.
    """

    clauses: tuple[Clause, ...]
    synthetic: bool
    n_trades: int = 0
    smallest_visible_effect_bps: float = math.nan
    years_to_see_15_bps: float = math.nan

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the names of the clauses that do not hold."""
        return tuple(clause.name for clause in self.clauses if not clause.passed)

    @property
    def name(self) -> Literal["promoted", "paper_only"]:
        """Return ``"promoted"`` if every clause holds, otherwise ``"paper_only"``."""
        return "paper_only" if self.failed else "promoted"

    @property
    def sentence(self) -> str:
        """Return the verdict in words."""
        prefix = "SYNTHETIC market: no evidence of a real edge. " if self.synthetic else ""
        if not self.failed:
            return f"{prefix}Every clause of the promotion gate holds."
        if self.failed == ("real_data",):
            return f"{prefix}Every other clause holds, but a simulated market can never promote a model."
        return f"{prefix}No edge after fees demonstrated; failed: {', '.join(self.failed)}."

    @property
    def power(self) -> str:
        """Return in words what effect the trades could have shown, or why that cannot be stated."""
        if self.n_trades == 0:
            return (
                "No trade was taken out of sample: neither the smallest visible mean result nor the years of data that "
                "15 bps per trade need can be stated."
            )
        if math.isnan(self.smallest_visible_effect_bps):
            return (
                f"{self.n_trades:,} trades on one day: neither the smallest visible mean result nor the years of data "
                "that 15 bps per trade need can be stated."
            )
        return (
            f"The {self.n_trades:,} trades would show a mean result of {self.smallest_visible_effect_bps:.3g} bps per "
            f"trade (t = 3); to show 15 bps takes {self.years_to_see_15_bps:.3g} years of such data."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return name, sentence and every clause, fit for JSON."""
        return {
            "verdict": self.name,
            "sentence": self.sentence,
            "synthetic": self.synthetic,
            "power": {
                "sentence": self.power,
                "n_trades": self.n_trades,
                "smallest_visible_effect_bps": self.smallest_visible_effect_bps,
                "years_to_see_15_bps": self.years_to_see_15_bps,
            },
            "clauses": {
                c.name: {"requirement": c.requirement, "value": c.value, "passed": c.passed, "note": c.note}
                for c in self.clauses
            },
        }


def verdict(
    classification: dict[str, Any], trading: dict[str, Any], unit_risk: pd.DataFrame, *, n_trials: int, synthetic: bool
) -> Verdict:
    """Return the verdict on a run by the promotion gate (method, section 3.6).

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
    """
    d = classification["direction"]
    t = trading["unit_risk"]

    def traded(key: str) -> float:
        return float(t.get(key, float("nan")))

    funding = int(t.get("n_funding_unknown", 0))
    overfitting = "P(out-of-sample Sharpe of the in-sample best <= 0) < 0.05"
    ece_bound = max(0.03, d["ece_if_perfect_q99"])
    slope = (d["reliability_slope_low"], d["reliability_slope_high"])
    if n_trials == 1 and unit_risk["entry_time"].dt.date.nunique() > 2:
        # Trades overlap: those of one day count as one observation.
        returns = unit_risk.groupby(unit_risk["entry_time"].dt.floor("D"))["net_r"].sum().to_numpy()
        # One trial is not deflated.
        sharpe = at_least("deflated_sharpe", probabilistic_sharpe_ratio(returns), 0.95, strictly=False)
    elif n_trials == 1:
        sharpe = not_computed("deflated_sharpe", ">= 0.95", "fewer than three days with trades")
    else:
        sharpe = not_computed("deflated_sharpe", ">= 0.95", f"the returns of {n_trials} trials are not stored")
    unknown = f"the funding of {funding:,} of {len(unit_risk):,} trades is not known" if funding else ""
    net_clauses = (
        _in_every_unit("net_bps_low", {unit: traded(f"net_{unit}_low") for unit in ("bps", "r", "usd")}),
        _in_every_unit(
            "net_bps_mean_at_double_costs",
            {unit: traded(f"net_{unit}_mean_at_double_costs") for unit in ("bps", "usd")},
        ),
        at_least("profit_factor", traded("profit_factor"), 1.15),
        sharpe,
        at_least("halves_positive", traded("halves_positive"), 2.0, strictly=False),
        at_least("positive_quarter_share", traded("positive_quarter_share"), 0.6, strictly=False),
        holds(
            "top_5pct_share_of_gross_profit",
            "<= 0.4",
            traded("top_5pct_share_of_gross_profit"),
            traded("top_5pct_share_of_gross_profit") <= 0.4,
        ),
    )
    clauses = (
        at_least("direction_auc_low", d["auc_low"], 0.5),
        at_least("auc_over_price_only_low", d["auc_over_price_only_low"], 0.0),
        at_least("auc_over_direction_flag_low", d["auc_over_direction_flag_low"], 0.0),
        at_least("brier_skill", d["brier_skill"], 0.0),
        holds("ece", f"<= {ece_bound:.4f}", d["ece"], d["ece"] <= ece_bound),
        holds(
            "reliability_slope",
            "in [0.8, 1.2], its 95 % interval in [0.5, 1.5]",
            d["reliability_slope"],
            # An overlap alone would hold more easily where less is known.
            0.8 <= d["reliability_slope"] <= 1.2 and slope[0] >= 0.5 and slope[1] <= 1.5,
            f"interval {slope[0]:.2f} to {slope[1]:.2f}",
        ),
        *(_on_net_results(clause, unknown) for clause in net_clauses),
        not_applicable("overfitting_probability", overfitting, "one trial")
        if n_trials == 1
        else not_computed("overfitting_probability", overfitting, "the returns of the trials are not stored"),
        holds("real_data", "not simulated", float(not synthetic), not synthetic),
    )
    return Verdict(
        clauses=clauses,
        synthetic=synthetic,
        n_trades=len(unit_risk),
        smallest_visible_effect_bps=traded("smallest_visible_effect_bps"),
        years_to_see_15_bps=traded("years_to_see_15_bps"),
    )


def _in_every_unit(name: str, values: dict[str, float]) -> Clause:
    """Return the clause that a result is positive in basis points, and in the units in which sizes count."""
    first, *others = values.items()
    return holds(
        name,
        f"> 0, also in {' and '.join(_UNITS[unit] for unit, _ in others)}",
        first[1],
        all(value > 0.0 for value in values.values()),
        ", ".join(f"{value:.4g} {_UNITS[unit]}" for unit, value in others),
    )


def _on_net_results(clause: Clause, unknown: str) -> Clause:
    """Return a clause about net results, which cannot be computed where a part of them is not known."""
    if not unknown:
        return clause
    return replace(clause, value=math.nan, passed=False, note=f"cannot be evaluated: {unknown}, so net results are not")
