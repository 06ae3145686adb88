"""Test of a frozen bundle on data that it was not made of: later periods, and other symbols.

Nothing is fitted. Features, events, labels, scores, gate and costs are those of the bundle; events that could have been
known when its models were trained are left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.durations import duration_text
from slackwater.errors import DataError, MissingDataError, ParameterError
from slackwater.labels.table import build_labels
from slackwater.labels.trades import TradeRules
from slackwater.market.contract_file import merge_contracts
from slackwater.market.tables import TABLES
from slackwater.models.targets import TARGETS
from slackwater.storage import values_digest
from slackwater.study.frozen_bundle import FrozenBundle
from slackwater.study.frozen_group import FrozenGroups
from slackwater.study.frozen_ledger import GROUPS, FrozenLedger
from slackwater.study.other_data import OtherData, read_other_data, require_bars
from slackwater.trading.gate import Gate
from slackwater.trading.price_path import PricePath, price_paths

__all__ = ["frozen_test"]

Say = Callable[[str], None]
_KEYS = ["symbol", "event_time"]


def frozen_test(
    bundle: str | Path,
    data: str,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    params: str | Path = "params.yaml",
    say: Say,
) -> dict[str, Any]:
    """Measure a bundle on a data set, its models and rules as they are, and record the test.

    The record is ``frozen_tests.jsonl`` beside `params`; the verdict counts the bundles that were tested on these data.

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
        ``bundle`` and ``data``; ``tests``, which test on these data it is, and of how many bundles; ``events``, how
        many were found, left out and why, and tested; and under ``known`` and ``unseen`` the metrics and controls of
        the events of symbols that the bundle was trained on, and of others, None without any.

    Raises
    ------
    BundleError
        If the bundle is damaged or does not contain what the test needs.
    DataError, ParameterError
        If a table is missing or unusable, the bars have another spacing, contracts are not known, or no event is left;
        or if the record of frozen tests is damaged.
    """
    frozen = FrozenBundle.load(bundle)
    ledger = FrozenLedger.read(Path(params).parent, say)
    given = read_other_data(data, frozen.params, params, say)
    require_bars(given.tables, frozen.params)
    scores = _scored(frozen, given.tables, say)
    fine_bars = given.tables.get("fine_bars", given.tables["bars"])
    paths = price_paths(fine_bars, given.tables.get("funding"), mark=given.tables.get("mark_price"))
    gate = _gate(frozen, given, paths)
    trade = TradeRules(
        contracts=gate.contracts,
        bracket=gate.bracket,
        costs=gate.costs,
        reference_notional_usd=frozen.params.labels.reference_notional_usd,
    )
    labels, dropped = _labels(frozen, scores, paths, trade)
    events = _Events(frozen=frozen, scores=scores, labels=labels, start=start, end=end)
    tested = events.tested()
    counts = events.counts(tested) | {"without_label": dropped}
    say(_counted(counts))
    data_sha256 = values_digest(tested[list(labels)].sort_values(["event_time", "symbol"]))
    tests = ledger.tests(frozen.scorer.digest, data, data_sha256)
    say(tests.sentence)
    groups = FrozenGroups(
        frozen=frozen,
        scores=scores,
        gate=gate,
        trade=trade,
        paths=paths,
        tests=tests,
        synthetic=frozen.scorer.synthetic or given.synthetic,
        say=say,
    )
    result = {
        "synthetic": groups.synthetic,
        "bundle": _bundle_facts(frozen),
        "data": {"name": data, "sha256": data_sha256, "tables": sorted(given.tables), **_span(tested)},
        "tests": {"number": tests.number, "bundles": tests.bundles, "sentence": tests.sentence},
        "events": counts,
        **_by_group(groups, tested),
    }
    ledger.add(result)  # before anybody sees it
    return result


def _by_group(groups: FrozenGroups, tested: pd.DataFrame) -> dict[str, Any]:
    known = tested["symbol"].isin(groups.frozen.scorer.manifest["symbols"]).to_numpy()
    measured: dict[str, Any] = {}
    for name, rows in zip(GROUPS, (tested[known], tested[~known]), strict=True):
        measured[name] = None
        if len(rows):
            groups.say(f"{len(rows):,} events of {name} symbols")
            measured[name] = groups.measured(name, rows)
    return measured


def _bundle_facts(frozen: FrozenBundle) -> dict[str, Any]:
    return {
        "dataset": frozen.scorer.manifest["dataset"],
        "digest": frozen.scorer.digest,
        "symbols": list(frozen.scorer.manifest["symbols"]),
        "trained_until": frozen.until.isoformat(),
        "embargo": duration_text(frozen.embargo),
    }


def _span(tested: pd.DataFrame) -> dict[str, str]:
    times = tested["event_time"]
    return {"first_event": times.min().isoformat(), "last_event": times.max().isoformat()}


def _scored(frozen: FrozenBundle, tables: Mapping[str, pd.DataFrame], say: Say) -> pd.DataFrame:
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


def _gate(frozen: FrozenBundle, given: OtherData, symbols: Iterable[str]) -> Gate:
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
    frozen: FrozenBundle, scores: pd.DataFrame, paths: Mapping[str, PricePath], trade: TradeRules
) -> tuple[pd.DataFrame, int]:
    """Return the labels of the events, and how many events have none."""
    params, market = frozen.params, frozen.params.market
    given = params.labels.model_dump(exclude={"reference_notional_usd", "horizons", "sampling"})
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

    frozen: FrozenBundle
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
