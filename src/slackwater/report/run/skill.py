"""Section 5: ranking, calibration, controls and placebos, ablation, and importance by family."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from slackwater.metrics.classification import average_precision, calibration_bins
from slackwater.report.page.content import Picture, Section, Table, interval, known, number, percent, words
from slackwater.report.page.drawing import Axis, Plot, rows_plot
from slackwater.report.page.forest import forest, forest_table, rows_of
from slackwater.report.run.run_files import RunFiles

__all__ = ["skill"]

_PLACEBOS: Final = ("permuted_labels", "permuted_times", "random_24h", "random_30d", "never")
_POINTS: Final = 160  # of a curve: more cannot be seen
_NORMAL_95: Final = 1.96


def skill(run: RunFiles) -> Section:
    """Return the section: ranking, calibration, controls, ablation, and what the model reads."""
    found = run.metrics["direction"]
    answer = (
        f"Out of sample the AUC of direction is {interval(found, 'auc')}; price features alone reach "
        f"{number(found.get('auc_price_only'))}, and permuted labels {number(found.get('auc_permuted'))}."
    )
    known_rows = run.scored["p_direction"].notna() & run.scored["y_direction"].notna()
    y, p, raw = (
        run.scored.loc[known_rows, name].to_numpy(np.float64)
        for name in ("y_direction", "p_direction", "p_direction_raw")
    )
    ranking = [_roc(run, y, p), _precision(run, y, p), _calibration(run, y, p, raw), _groups(run)]
    pictures = [*ranking, _controls(run), _auc_of_controls(run), _ablation(run), _families(run)]
    return Section(name="skill", question="Is it skill?", answer=answer, pictures=pictures)


def _by_score(y: Any, p: Any) -> tuple[Any, Any]:
    """Return the events above each distinct score, from the highest: true and all, beginning with none."""
    order = np.argsort(-p, kind="stable")
    last = np.r_[np.flatnonzero(np.diff(p[order])), len(p) - 1]
    return np.r_[0, np.cumsum(y[order])[last]], np.r_[0, last + 1]


def _thin(*columns: Any) -> list[Any]:
    kept = np.unique(np.linspace(0, len(columns[0]) - 1, _POINTS).astype(int))
    return [np.asarray(column)[kept] for column in columns]


def _roc(run: RunFiles, y: Any, p: Any) -> Picture:
    true, taken = _by_score(y, p)
    rates = _thin((taken - true) / max((taken - true)[-1], 1), true / max(true[-1], 1))
    plot = _unit_plot(run, "ROC curve of direction", "False positive rate (fraction)", "True positive rate (fraction)")
    plot.line([0.0, 1.0], [0.0, 1.0], kind="muted", name="no skill")
    plot.line(*rates, kind="plain", name="calibrated model, out of sample")
    found = run.metrics["direction"]
    visible = found.get("by_trigger", {}).get("all", {}).get("smallest_visible_auc")
    return Picture(
        title="ROC curve of direction",
        finding=f"AUC {interval(found, 'auc')} on {len(y):,} events; this sample could show {number(visible)} or more.",
        drawing=plot.svg(),
        table=_curve_table(["false positive rate", "true positive rate"], rates),
    )


def _precision(run: RunFiles, y: Any, p: Any) -> Picture:
    true, taken = _by_score(y, p)
    enough = taken >= min(20, len(y))  # the precision of a handful of events is noise
    recall, precision = _thin((true / max(true[-1], 1))[enough], (true / np.maximum(taken, 1))[enough])
    base = float(y.mean()) if len(y) else float("nan")
    plot = _unit_plot(run, "Precision and recall of reversals", "Recall (fraction)", "Precision (fraction)")
    plot.rule(y=base, kind="muted", name=f"base rate {number(base)}")
    plot.line(recall, precision, kind="plain", name="calibrated model, out of sample")
    return Picture(
        title="Precision and recall of reversals",
        finding=f"Average precision {number(average_precision(y, p))} against a base rate of {number(base)}.",
        drawing=plot.svg(),
        table=_curve_table(["recall", "precision"], [recall, precision]),
        note="From the 20 events with the highest probability on.",
    )


def _unit_plot(run: RunFiles, label: str, across: str, up: str) -> Plot:
    unit = [Axis(title=title, low=0.0, high=1.0) for title in (across, up)]
    return Plot(label=label, x=unit[0], y=unit[1], synthetic=run.synthetic, height=320.0)


def _curve_table(head: list[str], columns: Any) -> Table:
    return Table(head=head, rows=[[float(a), float(b)] for a, b in zip(*columns, strict=True)][:: _POINTS // 20])


def _calibration(run: RunFiles, y: Any, p: Any, raw: Any) -> Picture:
    lines = {}
    for name, values in (("raw", raw), ("calibrated", p)):
        which = calibration_bins(values)
        sums = [np.bincount(which, weights=each) for each in (values, y, np.ones_like(y))]
        means, rates = sums[0] / sums[2], sums[1] / sums[2]
        lines[name] = (means, rates, _NORMAL_95 * np.sqrt(rates * (1.0 - rates) / sums[2]), sums[2])
    found = [each for means, rates, error, _ in lines.values() for each in (means, rates - error, rates + error)]
    axis = Axis.around("Predicted probability of a reversal", *found)
    plot = Plot(
        label="Calibration of direction",
        x=axis,
        y=Axis(title="Observed frequency (fraction)", low=axis.low, high=axis.high),
        synthetic=run.synthetic,
    )
    plot.line([axis.low, axis.high], [axis.low, axis.high], kind="muted", name="perfect calibration")
    for (name, (means, rates, error, _)), kind, shape in zip(
        lines.items(), ("loss", "plain"), ("square", "circle"), strict=True
    ):
        for a, b, half in zip(means, rates, error, strict=True):
            plot.line([a, a], [b - half, b + half], kind=kind)
        plot.points(means, rates, kind=kind, shape=shape, name=name)
    direction = run.metrics["direction"]
    rows = [[name, *map(float, row)] for name, line in lines.items() for row in zip(*line, strict=True)]
    return Picture(
        title="Calibration of direction",
        finding=(
            f"Slope of the reliability line {interval(direction, 'reliability_slope')}, expected calibration error "
            f"{number(direction.get('ece'))}; Brier skill score {number(direction.get('brier_skill'))} calibrated, "
            f"{number(direction.get('brier_skill_raw'))} raw."
        ),
        drawing=plot.svg(),
        table=Table(
            head=["model", "mean probability", "observed frequency", "half interval, 95 %", "events"], rows=rows
        ),
        note="Ten bins of equally many events; bars are 95 % with events taken as independent, so they are too short.",
    )


def _groups(run: RunFiles) -> Picture:
    direction = run.metrics["direction"]
    named = {"by_symbol": "", "by_side": "", "by_trigger": "trigger: ", "by_horizon": "horizon: "}
    records = [
        (f"{prefix}{words(name)}", row)
        for key, prefix in named.items()
        for name, row in sorted(direction.get(key, {}).items(), key=_by_length)
    ]
    rows = rows_of(records, "auc")
    seen = sum(row.low > 0.5 for row in rows)
    return Picture(
        title="AUC by symbol, side, trigger and horizon",
        finding=f"In {seen} of {len(rows)} groups the interval of the AUC lies above 0.5.",
        drawing=forest(rows, title="AUC of direction, 95 %", label="AUC by group", synthetic=run.synthetic, zero=0.5),
        table=forest_table(rows, "group", "AUC"),
    )


def _by_length(item: tuple[str, Any]) -> tuple[int, str]:
    """Order ``4h`` before ``24h``."""
    digits = item[0].rstrip("hdm")
    return (int(digits) if digits.isdigit() else 0, item[0])


def _controls(run: RunFiles) -> Picture:
    found = [(name, row) for name, row in run.controls["controls"].items() if name != "model"]
    records = [(f"{'placebo: ' if name in _PLACEBOS else ''}{words(name)}", row) for name, row in found]
    rows = rows_of(records, "difference_r")
    columns = ["control", "difference (R per trade)", "low, 95 %", "high, 95 %", "trades", "net (R per trade)", "rule"]
    table = Table(
        head=columns,
        rows=[
            [
                label,
                row["difference_r"],
                row["difference_r_low"],
                row["difference_r_high"],
                row["n_trades"],
                row["net_r_mean"],
                row["rule"],
            ]
            for label, row in records
        ],
    )
    drawing = forest(
        rows, title="Model less control (R per trade), 95 %", label="Trades against controls", synthetic=run.synthetic
    )
    return Picture(
        title="Trades against controls and placebos",
        finding=str(run.controls["sentence"]),
        drawing=drawing,
        table=table,
        note="A triangle up: the trades of the model earn more by more than chance. Placebos cannot have skill.",
    )


def _auc_of_controls(run: RunFiles) -> Picture:
    records = [
        (words(name), row) for name, row in run.controls["controls"].items() if row["difference_auc"] is not None
    ]
    rows = rows_of(records, "difference_auc")
    beaten = [row.label for row in rows if row.low > 0.0]
    names = ", ".join(beaten) or "none"
    finding = f"The AUC of the model exceeds, by more than chance, that of: {names} (of {len(rows)} measured)."
    return Picture(
        title="AUC against controls",
        finding=finding,
        drawing=forest(
            rows, title="AUC of the model less control, 95 %", label="AUC against controls", synthetic=run.synthetic
        ),
        table=forest_table(rows, "control", "difference of AUC"),
    )


def _ablation(run: RunFiles) -> Picture:
    found = run.controls["ablation"]
    records = [(f"{row['part']}: {words(row['name'])}", row) for row in found]
    rows = rows_of(records, "difference_r")
    left_out = run.controls["left_out"].get("ablation", [])
    note = f"Not measured at this depth of evaluation: {', '.join(map(words, left_out))}." if left_out else ""
    return Picture(
        title="Ablation of the rule",
        finding=" ".join(
            f"{words(part).capitalize()}: {words(text)}" for part, text in run.controls["ablation_findings"].items()
        ),
        drawing=forest(
            rows, title="Whole rule less the changed one (R per event), 95 %", label="Ablation", synthetic=run.synthetic
        ),
        table=Table(
            head=["part", "change", "difference (R per event)", "low, 95 %", "high, 95 %", "trades", "remark"],
            rows=[
                [
                    label,
                    row["change"],
                    row["difference_r"],
                    row["difference_r_low"],
                    row["difference_r_high"],
                    row["n_trades"],
                    row["note"],
                ]
                for label, row in records
            ],
        ),
        note=note,
    )


def _families(run: RunFiles) -> Picture:
    rows = run.controls["families"]
    table = Table.of(
        rows,
        {"family": "family", "n_features": "features", "gain_share": "share of gain", "shap_share": "share of |SHAP|"},
    )
    if not rows:
        return Picture(
            title="Importance by family", finding="A model of this kind does not state it.", drawing="", table=table
        )
    shares = [100.0 * known(row[key]) for row in rows for key in ("gain_share", "shap_share")]
    plot = rows_plot(
        [words(row["family"]) for row in rows],
        Axis(title="Share of the model of direction (%)", low=0.0, high=1.05 * max(shares)),
        label="Importance by family",
        synthetic=run.synthetic,
        row=24.0,
    )
    for place, row in enumerate(rows):
        plot.bar(0.0, 100.0 * known(row["shap_share"]), -place, -place + 0.36, kind="plain")
        plot.bar(0.0, 100.0 * known(row["gain_share"]), -place - 0.36, -place, kind="muted")
    plot.legend += [("plain", "square", "size of SHAP values"), ("muted", "square", "gain of splits")]
    top = sorted(rows, key=lambda row: -known(row["shap_share"]))[:3]
    finding = "Most of the model rests on " + ", ".join(
        f"{words(row['family'])} ({percent(row['shap_share'])})" for row in top
    )
    return Picture(
        title="Importance by family",
        finding=f"{finding} of the size of its SHAP values.",
        drawing=plot.svg(),
        table=table,
    )
