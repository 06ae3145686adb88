"""Page of the controls in Markdown: what the trades earn beyond each of them, and what each part of the rule adds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from slackwater.report.markdown import markdown_table

__all__ = ["controls_page", "controls_tables"]

_CONTROLS = """Each control is measured on the same test period, with the same costs and bracket, at the reference size
(`labels.reference_notional_usd`). `net_r` and `net_bps` are means per trade, in R and in basis points of notional. The
differences are the mean of the model less that of the control, over the same drawn days, with 95 % intervals in
brackets. Where the entries of a control stand for single trades of the model, they are those of the trades that have
one. A control is beaten where the intervals of both differences lie above 0, better where both lie below, and neither
is shown in between. Where the funding of a trade of either is unknown, neither is known. `auc` is that of direction,
where a control predicts it. Placebos (random entries, moves of the same size, permuted times) know no outcome; they are
not rules that can be traded."""
_BY_CHANCE = "Where all fifteen controls are as good as the model, one is beaten by chance in about one run of three."
_ABLATION = """The rule of this run beside the same rule without one part. The differences are the whole rule less the
changed one: a part helps where an interval lies above 0 and none below, and is mixed where both occur. `auc` stands
where the changed rule predicts direction anew. Those in R and in basis points are per **event**, an event without a
trade counting 0; for a rule of the gate they are with the rule less without it; without the funding of a trade they are
no evidence. Of thirty parts without effect one or two seem to help or to cost by chance, and a default that is chosen
by this table is a trial. *Families together* are those that cost nothing alone, left out at once; they are chosen on
these events, so that their difference flatters the smaller rule."""
_UNSEEN = """Direction at symbols that the models have not seen: fitted and calibrated without any outcome of them, in
the same folds, beside the ordinary predictions of the same events. `difference_auc` is ordinary less unseen, with its
95 % interval: above 0, part of what was learnt belongs to these symbols. Fewer events to learn from cost a little too.
With more than five symbols, sorted names are dealt in turn to five groups that are left out together. The row *all*
ranks events of several models together: where symbols differ in their share of reversals, it understates the unseen (by
.01 where the shares lie between .45 and .55), and the rows of single symbols do not."""
_FAMILIES = """Of the exported model of direction, on rows that it was fitted to: the share of each family in the gain,
and in the size of its SHAP values. A share is not evidence that a family helps; the table above is."""
_SYMBOLS_SHOWN = 3


def controls_page(title: str, report: Mapping[str, Any]) -> str:
    """Return the page in Markdown.

    Parameters
    ----------
    title
        Name of the data set, with the word SYNTHETIC where the market was simulated.
    report
        Content of ``reports/controls.json``.
    """
    parts = [
        f"# Controls: {title}\n",
        f"**{report['sentence']}**\n",
        _depth(report),
        controls_tables(report["controls"], "##"),
        f"{_BY_CHANCE}\n",
        f"## What each part of the rule adds\n\n{_ABLATION}\n",
        *(f"- **{part}**: {found}" for part, found in report["ablation_findings"].items()),
        f"\n{markdown_table(pd.DataFrame([_part(row) for row in report['ablation']]))}\n",
        f"## Symbols that the models have not seen\n\n**{report['unseen_symbols_finding']}**\n\n{_UNSEEN}\n",
        f"{markdown_table(pd.DataFrame([_unseen(row) for row in report['unseen_symbols']]))}\n",
        f"## What the model reads\n\n{_FAMILIES}\n\n{markdown_table(pd.DataFrame(report['families']))}\n",
    ]
    return "\n".join(parts)


def controls_tables(rows: Mapping[str, Mapping[str, Any]], heading: str) -> str:
    """Return the table of the controls (`slackwater.evidence.controls.table.control_table`), and the controls in words.

    Parameters
    ----------
    rows
        Rows of the table by name of the control.
    heading
        Mark of the level of the heading above the controls in words, such as ``##``.
    """
    measured = pd.DataFrame([_control(name, row) for name, row in rows.items()])
    rules = pd.DataFrame([{"control": name, "rule": row["rule"]} for name, row in rows.items()])
    return f"{_CONTROLS}\n\n{markdown_table(measured)}\n\n{heading} The controls in words\n\n{markdown_table(rules)}\n"


def _depth(report: Mapping[str, Any]) -> str:
    """Return what the depth of this run left out, by name."""
    draws = f"{report['draws_per_trade']} random entries stand for each trade"
    names = [name for each in report["left_out"].values() for name in each]
    if not names:
        return f"`evaluation.depth` is `{report['depth']}`: {draws}, and nothing is left out.\n"
    return (
        f"`evaluation.depth` is `{report['depth']}`: {draws}. Left out are rows whose models have to be fitted again: "
        f"{', '.join(names)}.\n"
    )


def _control(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    measured = {unit: _with_interval(row, f"net_{unit}_mean", f"net_{unit}") for unit in ("r", "bps")}
    apart = {f"difference_{unit}": _with_interval(row, f"difference_{unit}") for unit in ("r", "bps", "auc")}
    return {
        "control": name.replace("_", " "),
        "n_trades": row["n_trades"],
        "net_r": measured["r"],
        "net_bps": measured["bps"],
        "difference_r": apart["difference_r"],
        "difference_bps": apart["difference_bps"],
        "beaten": row["beaten"],
        "auc": row["auc"],
        "difference_auc": apart["difference_auc"],
        "note": row["note"],
    }


def _part(row: Mapping[str, Any]) -> dict[str, Any]:
    bps = {"difference_bps": row["difference_bps"], "difference_bps_low": row["difference_low"]}
    bps["difference_bps_high"] = row["difference_high"]
    return {
        "part": row["part"],
        "name": row["name"],
        "change": row["change"],
        "n_trades": row["n_trades"],
        "net_r": row["net_r_mean"],
        "net_bps": row["net_bps_mean"],
        "difference_r": _with_interval(row, "difference_r"),
        "difference_bps": _with_interval(bps, "difference_bps"),
        "auc": row.get("auc"),
        "difference_auc": _with_interval(row, "difference_auc") if "difference_auc" in row else "",
        "note": row["note"],
    }


def _unseen(row: Mapping[str, Any]) -> dict[str, Any]:
    names = row["symbols"]
    shown = ", ".join(names[:_SYMBOLS_SHOWN]) + (", …" if len(names) > _SYMBOLS_SHOWN else "")
    return {
        "left out": row["name"],
        "symbols": f"{len(names)}: {shown}",
        "n_events": row["n_events"],
        "auc": row["auc"],
        "auc_unseen": row["auc_unseen"],
        "difference_auc": _with_interval(row, "difference_auc"),
        "note": row["note"],
    }


def _with_interval(row: Mapping[str, Any], name: str, bounds: str | None = None) -> str:
    """Return a value with its interval; "" where it is not known."""
    start = bounds or name
    value, low, high = (_number(row[key]) for key in (name, f"{start}_low", f"{start}_high"))
    if math.isnan(value):
        return ""
    return f"{value:.3g}" + ("" if math.isnan(low + high) else f" ({low:.3g} to {high:.3g})")


def _number(value: float | None) -> float:
    return math.nan if value is None else value
