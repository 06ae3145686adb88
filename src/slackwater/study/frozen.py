"""Test of a frozen bundle on data that it was not made of: later periods, and other symbols.

Nothing is fitted. Features, events, labels, scores, gate and costs are those of the bundle; events that could have been
known when its models were trained are left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from slackwater.config import Params
from slackwater.durations import duration_name, duration_text
from slackwater.errors import BundleError, DataError, MissingDataError, ParameterError
from slackwater.evidence.direction import DirectionReport, direction_metrics
from slackwater.evidence.drift import over_drift
from slackwater.evidence.evaluation import Resampling, trade_odds_metrics, trading_metrics
from slackwater.evidence.verdict import frozen_verdict
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.labels.weights import average_uniqueness, effective_n
from slackwater.market.contract_file import merge_contracts
from slackwater.market.tables import TABLES
from slackwater.metrics.performance import account_summary
from slackwater.models.targets import TARGETS
from slackwater.run.trading import trade_test_blocks
from slackwater.scoring.scorer import ReversalScorer
from slackwater.study.other_data import OtherData, read_other_data, require_bars
from slackwater.trading.backtest import Backtest
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import PricePath, price_paths

__all__ = ["frozen_test"]

Say = Callable[[str], None]
_KEYS = ["symbol", "event_time"]


@dataclass(frozen=True, kw_only=True)
class _Bundle:
    """A loaded bundle, with the parameters of its run and the facts of its training."""

    scorer: ReversalScorer
    params: Params
    until: pd.Timestamp
    embargo: timedelta
    base_rates: Mapping[str, float]

    @classmethod
    def load(cls, directory: str | Path) -> _Bundle:
        scorer = ReversalScorer.load(directory)
        manifest = scorer.manifest
        training = manifest.get("training")
        if training is None or not manifest.get("params"):
            raise BundleError(
                f"{directory} does not contain when its training ended and the parameters of its run: export it again "
                "with `dvc repro`"
            )
        try:
            params = Params.model_validate(_with_lists(manifest["params"]))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise BundleError(f"{directory}: the parameters of its run: `{key}`: {first['msg']}") from error
        until = pd.Timestamp(training["until"])
        rates = training["base_rates"]
        return cls(scorer=scorer, params=params, until=until, embargo=training["embargo"], base_rates=rates)


def frozen_test(
    bundle: str | Path,
    data: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    params: str | Path = "params.yaml",
    say: Say,
) -> dict[str, Any]:
    """Measure a bundle on a data set, its models and rules as they are.

    Parameters
    ----------
    bundle
        Directory of the bundle.
    data
        Directory of canonical tables, or the name of a data set. All its files are read, whatever its `start` and
        `end`, for the features need history.
    start, end
        Events from `start` and before `end` are tested; None leaves a side open.
    params
        File of parameters with the data set.
    say
        Called with lines of progress.

    Returns
    -------
    dict
        ``bundle`` and ``data``; ``events``, how many were found, left out and why, and tested; and under ``known`` and
        ``unseen`` the metrics of the events of symbols that the bundle was trained on, and of others, None without any.

    Raises
    ------
    BundleError
        If the bundle is damaged or does not contain what the test needs.
    DataError, ParameterError
        If a table is missing or unusable, the bars have another spacing, contracts are not known, or no event is left.
    """
    frozen = _Bundle.load(bundle)
    given = read_other_data(data, frozen.params, params, say)
    require_bars(given.tables, frozen.params)
    scores = _scored(frozen, given.tables, say)
    fine_bars = given.tables.get("fine_bars", given.tables["bars"])
    paths = price_paths(fine_bars, given.tables.get("funding"), mark=given.tables.get("mark_price"))
    gate = _gate(frozen, given, paths)
    labels, dropped = _labels(frozen, scores, paths, gate)
    events = _Events(frozen=frozen, scores=scores, labels=labels, start=start, end=end)
    tested = events.tested()
    counts = events.counts(tested) | {"without_label": dropped}
    say(_counted(counts))
    known = tested["symbol"].isin(frozen.scorer.manifest["symbols"]).to_numpy()
    synthetic = frozen.scorer.synthetic or given.synthetic
    measured: dict[str, Any] = {}
    for name, rows in (("known", tested[known]), ("unseen", tested[~known])):
        measured[name] = None
        if len(rows):
            say(f"{len(rows):,} events of {name} symbols")
            measured[name] = _measured(frozen, rows, scores, gate, given.tables, synthetic=synthetic)
    return {
        "synthetic": synthetic,
        "bundle": {
            "dataset": frozen.scorer.manifest["dataset"],
            "digest": frozen.scorer.digest,
            "symbols": list(frozen.scorer.manifest["symbols"]),
            "trained_until": frozen.until.isoformat(),
            "embargo": duration_text(frozen.embargo),
        },
        "data": {
            "name": given.name,
            "tables": sorted(given.tables),
            "first_event": tested["event_time"].min().isoformat(),
            "last_event": tested["event_time"].max().isoformat(),
        },
        "events": counts,
        **measured,
    }


def _scored(frozen: _Bundle, tables: Mapping[str, pd.DataFrame], say: Say) -> pd.DataFrame:
    """Return the scores of all bars, by the models of the bundle; refuse data of which a model knows nothing."""
    from slackwater.market.inputs import INPUT_TABLES

    given = {name: table for name, table in tables.items() if name in INPUT_TABLES}
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        scores = frozen.scorer.score(given)
    for sentence in dict.fromkeys(str(each.message) for each in found):
        say(f"warning: {sentence}")
    names = list(frozen.scorer.manifest["features"]["model_features"])
    events = scores.loc[scores["direction"] != 0, names]
    if events.empty:
        raise DataError(
            f"no event: none of {', '.join(frozen.params.labels.triggers)} fired at {len(scores):,} bars; give longer "
            "data, or data of the kind that the bundle was made of"
        )
    unknown = [name for name in names if events[name].isna().all()]
    if unknown:
        absent = [table.name for table in TABLES if table.name not in tables and table.inputs]
        more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
        history = scores["event_time"].max() - scores["event_time"].min()
        raise MissingDataError(
            f"the models read {', '.join(unknown[:5])}{more}, which are unknown at all {len(events):,} events. Absent "
            f"tables: {', '.join(absent) or 'none'}; history: {history.days} days, of which the warm-up takes "
            f"{frozen.scorer.warm_up.days}"
        )
    return scores


def _gate(frozen: _Bundle, given: OtherData, symbols: Iterable[str]) -> Gate:
    """Return the gate of the bundle; contracts that it lacks are those of the data set."""
    manifest, wanted = frozen.scorer.manifest, sorted(symbols)
    gate = Gate.of(**manifest["trading"], horizon=manifest["labels"]["horizon"], symbols=wanted)
    others = merge_contracts(given.contract_facts, given.venue, wanted)
    contracts = {**others, **gate.contracts}
    lacking = [symbol for symbol in wanted if symbol not in contracts]
    if lacking:
        raise ParameterError(
            f"no facts of the contracts of {', '.join(lacking[:10])}, which trades need: give them as `contract_facts` "
            "of a data set (`slackwater contracts` prints them), or leave the symbols out of its `symbols`"
        )
    return replace(gate, contracts=contracts)


def _labels(
    frozen: _Bundle, scores: pd.DataFrame, paths: Mapping[str, PricePath], gate: Gate
) -> tuple[pd.DataFrame, int]:
    """Return the labels of the events, and how many events have none."""
    params, market = frozen.params, frozen.params.market
    given = params.labels.model_dump(exclude={"reference_notional_usd", "horizons", "sampling"})
    trade = TradeRules(
        contracts=gate.contracts,
        bracket=gate.bracket,
        costs=gate.costs,
        reference_notional_usd=params.labels.reference_notional_usd,
    )
    labels, report = build_labels(
        scores,
        paths,
        trade=trade,
        decision_lag=market.decision_lag,
        fine_bar_interval=market.fine_bar_interval,
        sampling=params.labels.triggers,  # all of them are tested, none trains
        **given,
    )
    return labels, report.events - report.labelled


@dataclass(frozen=True, kw_only=True)
class _Events:
    """Labelled events of the data, and which of them test the bundle."""

    frozen: _Bundle
    scores: pd.DataFrame
    labels: pd.DataFrame
    start: datetime | None
    end: datetime | None

    def tested(self) -> pd.DataFrame:
        """Return the labels and scores of the events of the test."""
        kept = self.labels[self._in_period & self._later]
        if kept.empty:
            first, last = self.labels["event_time"].min(), self.labels["event_time"].max()
            raise DataError(
                f"no event is left of {len(self.labels):,} from {first} to {last}: {int((~self._later).sum()):,} were "
                f"decided before {self._begin}, the end of the training of the bundle and its embargo, and "
                f"{int((~self._in_period).sum()):,} lie outside of the period that was asked for"
            )
        outputs = [name for target in TARGETS for name in target.columns]
        columns = [*_KEYS, *outputs, "missing_features", "out_of_range_features"]
        return kept.merge(self.scores[columns], on=_KEYS, validate="1:1")

    def counts(self, tested: pd.DataFrame) -> dict[str, int]:
        """Return how many events there are, and how many were left out or lack history."""
        first = self.scores.groupby("symbol")["event_time"].min()
        warm = tested["symbol"].map(first) + self.frozen.scorer.warm_up
        return {
            "labelled": len(self.labels),
            "of_the_training_period": int((self._in_period & ~self._later).sum()),
            "outside_of_the_period": int((~self._in_period).sum()),
            "tested": len(tested),
            "lack_warm_up": int((tested["event_time"] < warm).sum()),
            "lack_features": int((tested["missing_features"].map(len) > 0).sum()),
        }

    @property
    def _begin(self) -> pd.Timestamp:
        return self.frozen.until + self.frozen.embargo

    @property
    def _later(self) -> pd.Series:
        return self.labels["available_time"] >= self._begin

    @property
    def _in_period(self) -> pd.Series:
        times = self.labels["event_time"]
        inside = pd.Series(True, index=self.labels.index)
        inside &= True if self.start is None else times >= self.start
        return inside & (True if self.end is None else times < self.end)


def _counted(counts: Mapping[str, int]) -> str:
    left_out = (
        f"{counts['of_the_training_period']:,} of the training period and its embargo, "
        f"{counts['outside_of_the_period']:,} outside of the period asked for"
    )
    return (
        f"{counts['tested']:,} events are tested; left out: {left_out}. {counts['without_label']:,} events of all "
        f"the data have no label. {counts['lack_warm_up']:,} of those tested lie within the warm-up of the "
        f"features, {counts['lack_features']:,} lack a feature"
    )


def _measured(
    frozen: _Bundle,
    tested: pd.DataFrame,
    scores: pd.DataFrame,
    gate: Gate,
    tables: Mapping[str, pd.DataFrame],
    *,
    synthetic: bool,
) -> dict[str, Any]:
    params, resampling = frozen.params, Resampling.of(frozen.params.evaluation)
    backtest = Backtest.of(
        scores.merge(tested[_KEYS], on=_KEYS, validate="1:1"),
        tables.get("fine_bars", tables["bars"]),
        tables.get("funding"),
        tables.get("mark_price"),
        initial_equity=params.trading.initial_equity,
        decision_lag=params.market.decision_lag,
        horizon=gate.horizon,
        fine_bar_interval=params.market.fine_bar_interval,
    )
    result, sample = trade_test_blocks(backtest, gate)
    probabilities = _probabilities(frozen, tested, resampling)
    trading = trading_metrics(result.trades, result.refusals, result.equity, sample, resampling)
    trading["unit_risk"] |= over_drift(sample, tested, resampling)
    judged = frozen_verdict(probabilities["direction"], trading, sample, synthetic=synthetic)
    rules = gate.rules
    return {
        **probabilities,
        "trade": trade_odds_metrics(
            tested,
            min_expectancy=rules.min_expectancy,
            min_reward_risk=rules.min_reward_risk,
            resampling=resampling,
        ),
        "backtest": trading,
        "account": account_summary(result.trades, result.equity),
        "verdict": judged.to_dict(),
    }


def _probabilities(frozen: _Bundle, tested: pd.DataFrame, resampling: Resampling) -> dict[str, Any]:
    """Return metrics of the probabilities; of one frozen model, raw and calibrated rank alike, so raw is left out."""
    correlation = frozen.params.labels.symbol_correlation
    found: dict[str, Any] = {"n_events": len(tested)}
    for target in TARGETS:
        if target.offset is not None:
            continue
        p = tested[f"p_{target.name}"]
        rows = tested[tested[target.column].notna() & p.notna()]
        base = frozen.base_rates[target.name]
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
    headline = duration_name(frozen.params.labels.horizon)
    report = DirectionReport(headline=headline, symbol_correlation=correlation, resampling=resampling)
    found["direction"] |= {name: each for name, each in report.tables(tested).items() if name != "by_horizon"}
    without: dict[str, Any] = _without_raw(found)
    return without


def _without_raw(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    return {key: _without_raw(value) for key, value in content.items() if not str(key).startswith("auc_raw")}


def _with_lists(content: Any) -> Any:
    """Return parameters with the lists that reading the manifest made tuples."""
    if isinstance(content, dict):
        return {key: _with_lists(value) for key, value in content.items()}
    return [_with_lists(value) for value in content] if isinstance(content, tuple) else content
