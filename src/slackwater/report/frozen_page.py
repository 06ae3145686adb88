"""The page of a test of a frozen bundle on other data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from slackwater.report.account_page import account_sentence
from slackwater.report.controls_page import controls_tables
from slackwater.report.markdown import markdown_table

__all__ = ["frozen_page", "frozen_sentences"]

_TITLES = {"known": "Symbols that the bundle was trained on", "unseen": "Unseen symbols"}
_TABLES = {"by_trigger": "Trigger", "by_side": "Side", "by_symbol": "Symbol"}
_COLUMNS = ("n", "effective_n", "base_rate", "auc", "auc_low", "auc_high", "smallest_visible_auc", "brier_skill", "ece")


def frozen_sentences(result: Mapping[str, Any]) -> Iterator[str]:
    """Yield the result of `slackwater.study.frozen.frozen_test` in a few sentences."""
    yield result["tests"]["sentence"]
    for name, title in _TITLES.items():
        found = result[name]
        if found is None:
            yield f"{title}: no event."
            continue
        d, sample = found["direction"], found["backtest"]["unit_risk"]
        yield (
            f"{title}: AUC of direction {_number(d['auc'])} ({_number(d['auc_low'])} to {_number(d['auc_high'])}) on "
            f"{d['n']:,} events."
        )
        if sample["n_trades"]:
            trades = "1 trade" if sample["n_trades"] == 1 else f"{sample['n_trades']:,} trades"
            yield (
                f"{trades} at unit risk: {_interval(sample, 'net_bps')} bps and {_interval(sample, 'net_r')} R net per "
                "trade."
            )
        if unknown := sample.get("n_funding_unknown", 0):
            yield f"The funding of {unknown:,} of these trades is not known: their results are before funding."
        yield f"Account: {account_sentence(found['account'])}."
        yield found["controls"]["sentence"]
        yield found["verdict"]["sentence"]


def frozen_page(result: Mapping[str, Any]) -> str:
    """Return the page of a frozen test in Markdown."""
    bundle, data, events = result["bundle"], result["data"], result["events"]
    mark = ", SYNTHETIC market" if result["synthetic"] else ""
    lines = [
        f"# Frozen test: bundle of {bundle['dataset']} on {data['name']}{mark}",
        f"The bundle `{bundle['digest'][:16]}` is tested unchanged on events from {data['first_event']} to "
        f"{data['last_event']}. Its training ended with labels known at {bundle['trained_until']}; events before that "
        f"and its embargo of {bundle['embargo']} are left out. Intervals are those of a block bootstrap, 95 %.",
        *frozen_sentences(result),
        "## Events",
        markdown_table(pd.DataFrame([{"events": name.replace("_", " "), "n": n} for name, n in events.items()])),
    ]
    for name, title in _TITLES.items():
        if result[name] is not None:
            lines += [f"## {title}", *_group(result[name])]
    return "\n\n".join(lines) + "\n"


def _group(found: Mapping[str, Any]) -> Iterator[str]:
    yield _table({name: found[name] for name in ("direction", "hit")}, "Probability")
    for key, first in _TABLES.items():
        yield f"### Direction by {first.lower()}"
        yield _table(found["direction"][key], first)
    controls = found["controls"]
    fitted = ", ".join(name.replace("_", " ") for name in controls["left_out"])
    yield "### Controls"
    yield (
        f"{controls['sentence']} Left out are the controls that have to be fitted ({fitted}): in a frozen test nothing "
        f"is. {controls['draws_per_trade']} random entries stand for each trade."
    )
    yield controls_tables(controls["rows"], "####").rstrip()
    yield "### Clauses"
    rows = [
        {
            "clause": name,
            "value": clause["value"],
            "required": clause["requirement"],
            "holds": {True: "yes", False: "no", None: "not evaluable"}[clause["passed"]],
            "note": clause["note"],
        }
        for name, clause in found["verdict"]["clauses"].items()
    ]
    yield markdown_table(pd.DataFrame(rows))
    yield found["verdict"]["power"]["sentence"]


def _table(groups: Mapping[str, Mapping[str, Any]], first: str) -> str:
    rows = [{first.lower(): name, **{column: each[column] for column in _COLUMNS}} for name, each in groups.items()]
    return markdown_table(pd.DataFrame(rows))


def _interval(metrics: Mapping[str, Any], name: str) -> str:
    mean, *bounds = (_number(metrics[f"{name}_{part}"]) for part in ("mean", "low", "high"))
    return f"{mean} (interval not known)" if "not known" in bounds else f"{mean} ({bounds[0]} to {bounds[1]})"


def _number(value: float) -> str:
    return "not known" if value != value else f"{value:.4g}"
