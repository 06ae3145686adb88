"""Measures of one group of events of a frozen test: probabilities, trades, controls and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from slackwater.durations import duration_name
from slackwater.evidence.controls.entry_results import EntryMarket
from slackwater.evidence.controls.measured import FITTED, ControlledRun, among, rule_features
from slackwater.evidence.controls.paired import PairedDays
from slackwater.evidence.controls.table import Scores, control_table, sentence
from slackwater.evidence.direction import DirectionReport, direction_metrics
from slackwater.evidence.drift import over_drift
from slackwater.evidence.evaluation import trade_odds_metrics, trading_metrics
from slackwater.evidence.frozen_tests import FrozenTests
from slackwater.evidence.resampling import Resampling
from slackwater.evidence.trials import compact_returns
from slackwater.evidence.verdict import frozen_verdict
from slackwater.labels.trades import TradeRules
from slackwater.labels.weights import average_uniqueness, effective_n
from slackwater.metrics.performance import account_summary
from slackwater.models.targets import TARGETS
from slackwater.run.trading import trade_test_blocks
from slackwater.study.frozen_bundle import FrozenBundle
from slackwater.trading.backtest import Backtest
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import PricePath

__all__ = ["FrozenGroups"]

_KEYS = ["symbol", "event_time"]


@dataclass(frozen=True, kw_only=True)
class FrozenGroups:
    """What the groups of events of a frozen test are measured with.

    Parameters
    ----------
    frozen
        The bundle.
    scores
        Features and scores of every bar (`slackwater.scoring.scorer.ReversalScorer.score`).
    gate
        Its gate, with the contracts of the data.
    trade
        How the labels trade.
    paths
        Fine bars and funding of each symbol.
    tests
        The test among the recorded ones.
    synthetic
        Whether the bundle or the data are of a simulated market.
    say
        Called with lines of progress.
    """

    frozen: FrozenBundle
    scores: pd.DataFrame
    gate: Gate
    trade: TradeRules
    paths: Mapping[str, PricePath]
    tests: FrozenTests
    synthetic: bool
    say: Callable[[str], None]

    def measured(self, group: str, tested: pd.DataFrame) -> dict[str, Any]:
        """Return the metrics of a group, ``"known"`` or ``"unseen"``, from the labels and scores of its events."""
        backtest = self._backtest(tested)
        result, sample = trade_test_blocks(backtest, self.gate)
        probabilities, returns = self._probabilities(tested), compact_returns(sample)
        trading = trading_metrics(result.trades, result.refusals, result.equity, sample, self._resampling)
        trading["unit_risk"] |= over_drift(sample, tested, self._resampling)
        judged = frozen_verdict(
            probabilities["direction"],
            trading,
            sample,
            n_trials=self.tests.bundles,
            synthetic=self.synthetic,
            trial_returns=self.tests.returns(group, returns),
        )
        rules = self.gate.rules
        return {
            **probabilities,
            "trade": trade_odds_metrics(
                tested,
                min_expectancy=rules.min_expectancy,
                min_reward_risk=rules.min_reward_risk,
                resampling=self._resampling,
            ),
            "backtest": trading,
            "returns": returns,
            "account": account_summary(result.trades, result.equity),
            "controls": self._controls(tested, backtest, sample),
            "verdict": judged.to_dict(),
        }

    @property
    def _resampling(self) -> Resampling:
        return Resampling.of(self.frozen.params.evaluation)

    def _backtest(self, tested: pd.DataFrame) -> Backtest:
        params = self.frozen.params
        return Backtest.of(
            self.scores.merge(tested[_KEYS], on=_KEYS, validate="1:1"),
            self.paths,
            initial_equity=params.trading.initial_equity,
            decision_lag=params.market.decision_lag,
            horizon=self.gate.horizon,
            fine_bar_interval=params.market.fine_bar_interval,
        )

    def _controls(self, tested: pd.DataFrame, backtest: Backtest, sample: pd.DataFrame) -> dict[str, Any]:
        """Return the table of the controls that need no fit, as the stage `controls` makes it, and what it leaves out.

        Random entries are drawn from the bars between the first and the last event of the group.
        """
        params, resampling = self.frozen.params, self._resampling
        market = EntryMarket(
            bars={str(symbol): rows for symbol, rows in self.scores.groupby("symbol")},
            paths=backtest.paths,
            trade=self.trade,
            horizon=self.gate.horizon,
            decision_lag=params.market.decision_lag,
            fine_bar_interval=params.market.fine_bar_interval,
        )
        features = self.scores[[*_KEYS, *(name for name in rule_features() if name in self.scores)]]
        events = tested.sort_values(_KEYS, ignore_index=True).merge(features, on=_KEYS, how="left", validate="1:1")
        events = events.assign(funding_known=market.funding_known(events))
        run = ControlledRun(
            events=events,
            accepted=among(events, set(sample[_KEYS].itertuples(index=False, name=None))),
            by_scores={},
            drift_events=events[["symbol", "entry_time", "entry_price"]],
            market=market,
            bar_interval=params.market.bar_interval,
            depth=params.evaluation.depth,
            seed=resampling.seed,
        )
        y, p = events["y_direction"].to_numpy(float), events["p_direction"].to_numpy()
        rows = control_table(
            run.model,
            run.unfitted(self.say),
            Scores(times=events["event_time"], y=y, p=p),
            PairedDays(events=events["event_time"], resampling=resampling),
        )
        return {
            "sentence": sentence(rows),
            "left_out": list(FITTED),
            "depth": run.depth,
            "draws_per_trade": run.draws,
            "rows": rows,
        }

    def _probabilities(self, tested: pd.DataFrame) -> dict[str, Any]:
        """Return metrics of the probabilities; of one frozen model, raw ranks as calibrated and is left out."""
        correlation, resampling = self.frozen.params.labels.symbol_correlation, self._resampling
        found: dict[str, Any] = {"n_events": len(tested)}
        for target in TARGETS:
            if target.offset is not None:
                continue
            p = tested[f"p_{target.name}"]
            rows = tested[tested[target.column].notna() & p.notna()]
            base = self.frozen.base_rates[target.name]
            tested = tested.assign(**{f"p_{target.name}_raw": p, f"base_{target.name}": base})
            found[target.name] = direction_metrics(
                rows[target.column].to_numpy(float),
                rows[f"p_{target.name}"].to_numpy(),
                rows[f"p_{target.name}"].to_numpy(),
                pd.Series(base, index=rows.index).to_numpy(),
                times=rows["event_time"],
                effective=effective_n(average_uniqueness(rows, symbol_correlation=correlation)),
                resampling=resampling,
            )
        headline = duration_name(self.frozen.params.labels.horizon)
        report = DirectionReport(headline=headline, symbol_correlation=correlation, resampling=resampling)
        found["direction"] |= {name: each for name, each in report.tables(tested).items() if name != "by_horizon"}
        without: dict[str, Any] = _without_raw(found)
        return without


def _without_raw(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    return {key: _without_raw(value) for key, value in content.items() if not str(key).startswith("auc_raw")}
