"""The commands `inspect`, `score`, `drift` and `compare`; `slackwater.cli` names them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from slackwater.commands.json_output import AsJson, print_json

if TYPE_CHECKING:
    import pandas as pd

    from slackwater.scoring.scorer import ReversalScorer

__all__ = ["compare", "drift", "inspect", "score"]

_Bundle = Annotated[Path, typer.Option(help="Directory of the scoring bundle.")]
_Tables = Annotated[Path, typer.Option(help="Directory of canonical tables, with the warm-up before the first event.")]
_SHOWN = 15


def inspect(bundle: _Bundle = Path("models/scorer"), as_json: AsJson = False) -> None:
    """Print the digest, data set, features, result of the backtest and verdict of a scoring bundle."""
    from slackwater.report.account_page import account_sentence
    from slackwater.scoring.bundle import Bundle

    loaded = Bundle.load(bundle)
    manifest = loaded.manifest
    verdict = manifest["verdict"]
    if as_json:
        print_json(_summary(manifest) | {"bundle_sha256": loaded.digest})
        return
    typer.echo(f"digest    {loaded.digest}")
    typer.echo(f"data set  {manifest['dataset']}{'  (SYNTHETIC)' if manifest['synthetic'] else ''}")
    typer.echo(f"features  {len(manifest['features']['model_features'])}")
    if "account" in verdict:  # a bundle may be made without a backtest
        typer.echo(f"backtest  {account_sentence(verdict['account'])}")
    typer.echo(f"verdict   {verdict['verdict']}: {verdict['sentence']}")
    if "power" in verdict:
        typer.echo(f"power     {verdict['power']['sentence']}")
    state = {True: "holds  ", False: "FAILED ", None: "UNKNOWN"}
    for name, clause in verdict["clauses"].items():
        value = "not known" if clause["value"] is None else f"{clause['value']:.4g}"
        note = f"  ({clause['note']})" if clause["note"] else ""
        typer.echo(f"  {state[clause['passed']]}  {name}: {value}, {clause['requirement']}{note}")


def _summary(manifest: Mapping[str, Any]) -> dict[str, Any]:
    verdict = manifest["verdict"]
    return {
        "dataset": manifest["dataset"],
        "synthetic": manifest["synthetic"],
        "symbols": manifest["symbols"],
        "n_features": len(manifest["features"]["model_features"]),
        "trained_until": (manifest.get("training") or {}).get("until"),
        "verdict": verdict["verdict"],
        "sentence": verdict["sentence"],
        "clauses": verdict["clauses"],
        "power": verdict.get("power"),
        "account": verdict.get("account"),
        "hashes": manifest["hashes"],
    }


def score(
    tables: Annotated[Path, typer.Argument(help="Directory of canonical tables, one parquet file per table.")],
    out: Annotated[Path, typer.Argument(help="Parquet file to write, one row per event.")],
    bundle: _Bundle = Path("models/scorer"),
    as_json: AsJson = False,
) -> None:
    """Score all events of a directory of canonical tables."""
    import pandas as pd

    from slackwater.market.inputs import INPUT_TABLES
    from slackwater.scoring.scorer import ReversalScorer
    from slackwater.storage import read_tables, write_parquet

    scorer = ReversalScorer.load(bundle)
    # No name holds the scores of a symbol while those of the next are made.
    counted = list(map(_counted_events, scorer.score_symbols(read_tables(tables, INPUT_TABLES))))
    n_bars = sum(count for count, _ in counted)
    events = pd.concat([found for _, found in counted], ignore_index=True)
    write_parquet(events, out)
    if as_json:
        print_json(_scored(scorer, events) | {"n_bars": n_bars, "out": str(out)})
        return
    mark = " by models of a SYNTHETIC market" if scorer.synthetic else ""
    typer.echo(f"{len(events):,} events of {n_bars:,} bars scored{mark}: {out}")


def _counted_events(scores: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    return len(scores), scores[scores["direction"] != 0]


def _scored(scorer: ReversalScorer, events: pd.DataFrame) -> dict[str, Any]:
    times = events["event_time"]
    return {
        "bundle_sha256": scorer.digest,
        "synthetic": scorer.synthetic,
        "n_events": len(events),
        "events_by_symbol": events["symbol"].astype(str).value_counts().sort_index().to_dict(),
        "first_event": times.min().isoformat() if len(events) else None,
        "last_event": times.max().isoformat() if len(events) else None,
        "n_missing_features": int((events["missing_features"].map(len) > 0).sum()),
        "n_out_of_range": int((events["out_of_range_features"].map(len) > 0).sum()),
    }


def drift(
    bundle: _Bundle = Path("models/scorer"),
    tables: _Tables = Path("data/tables"),
    start: Annotated[str, typer.Option("--from", help="First time of an event, UTC, such as 2024-01-01.")] = "",
    end: Annotated[str, typer.Option("--until", help="Time before which events lie, UTC.")] = "",
    plot: Annotated[Path | None, typer.Option(help="PNG file to write.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare the features of events with those of the training of a bundle: population stability index.

    The bound of each index is that of stretches of training as long as the sample. Events of the training period, and
    those within the warm-up of the features, are left out and counted.
    """
    from slackwater.errors import ParameterError
    from slackwater.report.drift_page import drift_lines, write_drift_figure
    from slackwater.storage import marked_synthetic
    from slackwater.study.drift import measure_drift
    from slackwater.times import parse_time

    first, last = (parse_time(text, name) if text else None for text, name in ((start, "--from"), (end, "--until")))
    if first is not None and last is not None and first >= last:
        raise ParameterError(f"`--until` must be after `--from`, was {last} and {first}")
    measured, left_out, scorer = measure_drift(bundle, tables, start=first, end=last)
    synthetic = scorer.synthetic or marked_synthetic(tables)
    if plot is not None:
        write_drift_figure(measured, plot, synthetic=synthetic, dataset=scorer.manifest["dataset"])
    if as_json:
        facts = {"synthetic": synthetic, "bundle_sha256": scorer.digest, "left_out": left_out}
        print_json(measured.to_dict() | facts)
        return
    if synthetic:
        typer.echo("SYNTHETIC market: no evidence about a real one")
    for line in drift_lines(measured, left_out, shown=_SHOWN):
        typer.echo(line)
    if plot is not None:
        typer.echo(f"written: {plot}")


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="Directory, file, MLflow run, DVC experiment or revision.")],
    second: Annotated[str, typer.Argument(metavar="B", help="The same, of the run to compare with A.")],
    draws: Annotated[int, typer.Option(min=100, help="Draws of the block bootstrap.")] = 2000,
    block_days: Annotated[float, typer.Option(min=1.0, help="Mean length of its blocks, in days.")] = 14.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    tracking_uri: Annotated[str, typer.Option(help="Store of MLflow runs; by default mlflow.db here.")] = "",
    as_json: AsJson = False,
) -> None:
    """Compare two runs on the events that both scored: paired differences of B less A, with 95 % intervals.

    Each is a directory with a run (a checkout, or predictions.parquet and labels.parquet), a file of scored
    predictions, the id of an MLflow run, or a DVC experiment or git revision whose predictions the cache has.
    """
    from slackwater.evidence.comparison import compare as compared
    from slackwater.evidence.resampling import Resampling
    from slackwater.report.comparison_page import comparison_lines
    from slackwater.study.scored_run import read_scored_run

    resampling = Resampling(draws=draws, mean_block=timedelta(days=block_days), seed=seed)
    runs = [read_scored_run(name, tracking_uri=tracking_uri) for name in (first, second)]
    result = compared(runs[0].events, runs[1].events, resampling=resampling)
    sources = {"A": runs[0].source, "B": runs[1].source}
    synthetic = {name: run.synthetic for name, run in zip("AB", runs, strict=True)}
    if as_json:
        print_json(result.to_dict() | {"sources": sources, "synthetic": synthetic})
        return
    for line in comparison_lines(result, sources, synthetic):
        typer.echo(line)
