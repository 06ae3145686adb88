"""Section 6: the features with their coverage and drift, and the score of the liquidation map."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.evidence.population_drift import PopulationDrift, population_drift
from slackwater.features.family import Feature
from slackwater.features.orientation import Orientation
from slackwater.models.training_shares import TrainingShares
from slackwater.report.page.content import Picture, Section, Table, known, percent, words
from slackwater.report.page.drawing import Axis, rows_plot
from slackwater.report.page.forest import forest, rows_of
from slackwater.report.run.run_files import RunFiles
from slackwater.storage import read_parquet

__all__ = ["inputs"]

_SCARCE: Final = 0.95  # share of events below which a feature is named


def inputs(run: RunFiles) -> Section:
    """Return the section: every feature with its coverage, drift, and the score of the liquidation map."""
    described = [
        Feature.from_manifest(entry)
        for entry in run.manifest["features"]
        if entry["name"] in set(run.manifest["model_features"])
    ]
    names = [each.name for each in described]
    events = run.scored[["symbol", "event_time", "direction"]]
    columns = ["symbol", "event_time", *names]
    table = read_parquet(run.root / "data" / "event_features.parquet", columns=columns)
    trading = read_parquet(
        run.root / "data" / "labels.parquet", columns=["symbol", "event_time", "direction", "trades"]
    )
    newest = events[run.scored["fold"] == run.scored["fold"].max()]
    earlier = trading[trading["trades"] & (trading["event_time"] < newest["event_time"].min())]
    test, last, before = (
        rows.merge(table, on=["symbol", "event_time"], validate="1:1") for rows in (events, newest, earlier)
    )
    drift = _drift(described, before, last)
    coverage = test[names].notna().mean() if len(test) else pd.Series(np.nan, index=names)
    unavailable = run.manifest["unavailable_features"]
    answer = (
        f"The models read {len(names)} features of {len({each.family for each in described})} families; "
        f"{len(unavailable)} features are not known because a table is absent."
    )
    pictures = [
        _coverage(run, described, coverage),
        _drift_picture(run, drift),
        _map(run),
        _features(described, coverage, drift),
    ]
    return Section(name="inputs", question="What did it see?", answer=answer, pictures=pictures)


def _drift(described: list[Feature], before: pd.DataFrame, last: pd.DataFrame) -> PopulationDrift | None:
    """Compare the events of the last test block with those before it; None where there are none."""
    if before.empty or last.empty:
        return None
    orientation = Orientation(described)
    families = [*(each.family for each in described), "direction"]
    rows = [orientation.frame(each, each["direction"].astype(np.float64)) for each in (before, last)]
    shares = TrainingShares.of(rows[0], before["event_time"], families)
    return population_drift(shares, rows[1], last["event_time"])


def _coverage(run: RunFiles, described: list[Feature], coverage: pd.Series) -> Picture:
    by_family: dict[str, list[float]] = {}
    for each in described:
        by_family.setdefault(each.family, []).append(float(coverage[each.name]))
    rows: list[list[Any]] = [
        [words(name), len(found), float(np.mean(found)), float(np.min(found))] for name, found in by_family.items()
    ]
    x = Axis(title="Events with the features known (%)", low=0.0, high=100.0)
    plot = rows_plot([str(row[0]) for row in rows], x, label="Coverage by family", synthetic=run.synthetic)
    for place, row in enumerate(rows):
        plot.bar(0.0, 100.0 * known(row[2]), -place - 0.32, -place + 0.32, kind="plain")
    scarce = [name for name, share in coverage.items() if not share >= _SCARCE]
    absent = run.manifest["unavailable_families"]
    finding = f"{len(scarce)} of {len(described)} features are known at less than {percent(_SCARCE)} of the test events"
    finding += f": {', '.join(map(str, scarce[:4]))}{' and more' * (len(scarce) > 4)}." if scarce else "."
    if absent:
        finding += f" Families without data: {', '.join(map(words, absent))}."
    return Picture(
        title="Coverage by family",
        finding=finding,
        drawing=plot.svg(),
        table=Table(head=["family", "features", "mean share known", "least share known"], rows=rows),
    )


def _drift_picture(run: RunFiles, drift: PopulationDrift | None) -> Picture:
    title, head = (
        "Population drift by family",
        ["family", "features", "PSI", "expected without drift", "bound, 95 %", "PSI over bound"],
    )
    if drift is None:
        finding = "Drift is not evaluable: no event lies before the last test block."
        return Picture(title=title, finding=finding, drawing="", table=Table(head=head, rows=[]))
    rows = drift.families.to_dict("records")
    x = Axis.around("Population stability index (PSI)", drift.families[["psi", "bound"]].to_numpy(), include=[0.0])
    plot = rows_plot([words(row["family"]) for row in rows], x, label=title, synthetic=run.synthetic)
    for place, row in enumerate(rows):
        plot.bar(0.0, row["psi"], -place - 0.32, -place + 0.32, kind="loss" if row["ratio"] > 1.0 else "plain")
        plot.points([row["bound"]], [-place], kind="ink", shape="cross")
    plot.legend += [("ink", "cross", "bound: 95 % of stretches without drift")]
    return Picture(
        title=title,
        finding=drift.sentence,
        drawing=plot.svg(),
        table=Table.of(
            rows, dict(zip(("family", "n_features", "psi", "expected", "bound", "ratio"), head, strict=True))
        ),
        note="Events of the last test block against all events before it, as the models read them.",
    )


def _map(run: RunFiles) -> Picture:
    card, title = run.map_scorecard, "Score of the liquidation map"
    head = ["map", "lift", "low, 95 %", "high, 95 %", "Spearman correlation"]
    if "skipped" in card:
        return Picture(
            title=title, finding=f"Not scored: {card['skipped']}.", drawing="", table=Table(head=head, rows=[])
        )
    found: dict[str, Any] = {
        f"half-life {name}" if name != "stops" else name: row for name, row in card["layers"].items()
    }
    found |= {f"control: {words(name)}": row for name, row in card["controls"].items()}
    records = [
        (name, {"lift": row["lift"], "lift_low": row["low"], "lift_high": row["high"]}) for name, row in found.items()
    ]
    rows = rows_of(records, "lift")
    best = max(rows[: len(card["layers"])], key=lambda row: row.value)
    return Picture(
        title=title,
        finding=(
            f"Where the map is densest ({best.label}), {best.value:.2f} times as much is liquidated within "
            f"{card['sampling']['horizon']} as without it ({best.low:.2f} to {best.high:.2f}); "
            "1 would mean that the map knows nothing."
        ),
        drawing=forest(rows, title="Lift of liquidations, 95 %", label=title, synthetic=run.synthetic, zero=1.0),
        table=Table(
            head=head,
            rows=[
                [
                    row.label,
                    row.value,
                    row.low,
                    row.high,
                    known(found[row.label].get("rank_correlation", {}).get("value")),
                ]
                for row in rows
            ],
        ),
        note="The map is a model of where leverage would be hurt, an estimated rank: never amounts in dollars.",
    )


def _features(described: list[Feature], coverage: pd.Series, drift: PopulationDrift | None) -> Picture:
    psi = {} if drift is None else drift.features.set_index("feature")[["psi", "ratio"]].to_dict("index")
    rows = [
        [
            words(each.family), each.name, each.unit, each.window or "–", each.formula, float(coverage[each.name]),
            psi.get(each.name, {}).get("psi"), psi.get(each.name, {}).get("ratio"),
        ]
        for each in described
    ]  # fmt: skip
    head = ["family", "feature", "unit", "window", "formula", "share known", "PSI", "PSI over bound"]
    return Picture(
        title="Features",
        finding=f"{len(rows)} features: formula, unit, window, coverage in the test blocks, and drift.",
        drawing="",
        table=Table(head=head, rows=rows),
        wide=True,
    )
