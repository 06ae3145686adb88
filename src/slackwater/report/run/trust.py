"""Section 1: the verdict with its clauses, power, markets without an edge, and defects of the data."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import numpy as np

from slackwater.evidence.evaluation import daily_returns
from slackwater.evidence.verdict import FEWEST_DAYS
from slackwater.report.page.clauses import CLAUSES, OUTCOMES
from slackwater.report.page.content import UNKNOWN, Picture, Section, Table, number, words
from slackwater.report.page.drawing import Axis, Plot
from slackwater.report.page.forest import Row, forest, forest_table
from slackwater.report.run.run_files import RunFiles

__all__ = ["trust"]

_COUNTS: Final = ("enough_days_with_trades", "enough_blocks_with_trades", "halves_positive")


def trust(run: RunFiles) -> Section:
    """Return the section: scorecard, power, comparison with markets without an edge, and defects of the data."""
    verdict = run.verdict
    name, sentence = words(str(verdict["verdict"])), str(verdict["sentence"])
    for clause in sorted(CLAUSES, key=len, reverse=True):
        sentence = re.sub(
            rf"\b{clause}\b",
            CLAUSES[clause].split(" (")[0].replace(", lower bound", " (lower bound)"),
            sentence,
        )
    pictures = [_scorecard(run), _power(run), _null(run), _defects(run)]
    return Section(
        name="trust",
        question="Can I trust this run?",
        answer=f"Verdict: {name}. {sentence}",
        pictures=pictures,
    )


def _scorecard(run: RunFiles) -> Picture:
    clauses = run.verdict["clauses"]
    order = {False: 0, None: 1, True: 2}
    rows = [
        [
            OUTCOMES[found["passed"]],
            CLAUSES.get(name, words(name)),
            _value(name, found["value"]),
            found["requirement"],
            found["note"],
        ]
        for name, found in sorted(clauses.items(), key=lambda item: order[item[1]["passed"]])
    ]
    failed = sum(found["passed"] is False for found in clauses.values())
    unknown = sum(found["passed"] is None for found in clauses.values())
    finding = f"{len(clauses) - failed - unknown} of {len(clauses)} clauses pass, {failed} fail"
    return Picture(
        title="Scorecard of the verdict",
        finding=f"{finding}, {unknown} cannot be evaluated: all have to pass."
        if unknown
        else f"{finding}: all have to pass.",
        drawing="",
        table=Table(head=["outcome", "clause", "value", "requirement", "remark"], rows=rows),
        note="Intervals are 95 % of a block bootstrap, the trades are those at unit risk.",
        wide=True,
    )


def _value(name: str, value: float | None) -> Any:
    """Return the value of a clause as it is read: yes or no, a count, or a number."""
    if name == "real_data":
        return "yes" if value else "no"
    return int(value) if name in _COUNTS and value is not None else value


def _power(run: RunFiles) -> Picture:
    found, power = run.metrics["backtest"]["unit_risk"], run.verdict["power"]
    visible = power.get("smallest_visible_effect_bps")
    rows = [
        Row.of("mean net result", *map(found.get, ("net_bps_mean", "net_bps_low", "net_bps_high"))),
        Row.of("smallest visible mean", visible, None, None, "a threshold, at t = 3"),
    ]
    return Picture(
        title="Power of the sample",
        finding=str(power.get("sentence") or f"The power is {UNKNOWN}."),
        drawing=forest(
            rows,
            title="Net result (bps of notional per trade)",
            label="Mean net result and power",
            synthetic=run.synthetic,
        ),
        table=forest_table(rows, "quantity", "bps per trade"),
        note="A true mean below the smallest visible one would most likely not be seen in so few trades.",
    )


def _null(run: RunFiles) -> Picture:
    title, head = (
        "Comparison with markets without an edge",
        ["market", "t of the best trial", "AUC", "trades", "verdict"],
    )
    markets = [row for row in (run.null_markets or {}).get("markets", []) if not row["signal"] and row["t"] is not None]
    own = _daily_t(run)
    if not markets:
        finding = "No simulated markets without an edge were measured: how often this verdict is wrong is not known."
        return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=[]))
    null = np.sort([float(row["t"]) for row in markets])
    plot = Plot(
        label=title,
        x=Axis.around("t of the net R of the days with trades", null, include=[0.0] if math.isnan(own) else [0.0, own]),
        y=Axis(title="Markets", low=0.0, high=float(np.histogram(null, bins=12)[0].max()) * 1.15),
        synthetic=True,
        height=260.0,
    )
    counts, edges = np.histogram(null, bins=12)
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        plot.bar(low, high, 0.0, count, kind="plain")
    plot.rule(x=own, kind="gain" if own > null[-1] else "loss", name="this run")
    beaten = int((null < own).sum())
    eligible = sum(row["verdict"] == "eligible" for row in markets)
    finding = f"{eligible} of {len(markets)} simulated markets without any edge pass this verdict"
    if not math.isnan(own):
        finding += f"; on {beaten} of them the t of the best trial is below that of this run, {number(own)}"
    return Picture(
        title=title,
        finding=f"{finding}.",
        drawing=plot.svg(),
        table=Table(
            head=head,
            rows=[
                [f"seed {row['seed']}", row["t"], row["auc"], row["n_trades"], words(row["verdict"])] for row in markets
            ],
        ),
        note="Bars: the best of all trials on each SYNTHETIC market whose returns nothing predicts; each is a year "
        "or longer.",
    )


def _daily_t(run: RunFiles) -> float:
    """Return the t of the net R of days with trades, as the markets without an edge were measured; NaN if unknown."""
    if run.unit_risk_trades.empty:
        return math.nan
    daily = daily_returns(run.unit_risk_trades, "net_r").to_numpy()
    if len(daily) < FEWEST_DAYS or not np.ptp(daily):
        return math.nan
    return float(math.sqrt(len(daily)) * daily.mean() / daily.std(ddof=1))


def _defects(run: RunFiles) -> Picture:
    findings, absent = run.defects["findings"], run.defects["absent_tables"]
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for each in findings:
        groups.setdefault((each["action"], each["table"], each["rule"]), []).append(each)
    rows = [[*key, len(found), sum(each["rows"] for each in found)] for key, found in groups.items()]
    total = sum(row[-1] for row in rows)
    finding = f"{len(findings):,} findings on {total:,} rows." if findings else "No defect was found in the tables."
    if absent:
        finding += f" Absent tables, whose features are not known: {', '.join(map(words, absent))}."
    return Picture(
        title="Defects of the data",
        finding=finding,
        drawing="",
        table=Table(head=["action", "table", "rule", "findings", "rows"], rows=rows),
        note="Refused: the table cannot be used. Masked: rows were removed. Repaired: corrected without loss.",
    )
