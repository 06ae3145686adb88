"""The command ``slackwater``: a thin shell over the library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slackwater import __version__
from slackwater.errors import SlackwaterError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

BundlePath = Annotated[Path, typer.Option(help="Directory of the scoring bundle.")]


@app.callback(invoke_without_command=True)
def root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Predict reversals after liquidation cascades, and gate every trade."""
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def inspect(bundle: BundlePath = Path("models/scorer")) -> None:
    """Say what a bundle was made of and what it may be used for, clause by clause."""
    from slackwater.scoring.bundle import Bundle

    manifest = Bundle.load(bundle).manifest
    verdict = manifest["verdict"]
    typer.echo(f"data set  {manifest['dataset']}{'  (SYNTHETIC)' if manifest['synthetic'] else ''}")
    typer.echo(f"features  {len(manifest['features']['model_features'])}")
    typer.echo(f"verdict   {verdict['verdict']}: {verdict['sentence']}")
    for name, clause in verdict["clauses"].items():
        value = "not known" if clause["value"] is None else f"{clause['value']:.4g}"
        note = f"  ({clause['note']})" if clause["note"] else ""
        typer.echo(f"  {'holds ' if clause['passed'] else 'FAILED'}  {name}: {value}, {clause['requirement']}{note}")


@app.command()
def score(
    tables: Annotated[Path, typer.Argument(help="Directory of canonical tables, one parquet file each.")],
    out: Annotated[Path, typer.Argument(help="Parquet file to write: one row an event.")],
    bundle: BundlePath = Path("models/scorer"),
) -> None:
    """Score every event in a directory of canonical tables."""
    from slackwater.market.inputs import INPUT_TABLES
    from slackwater.scoring.scorer import ReversalScorer
    from slackwater.storage import read_tables, write_parquet

    scorer = ReversalScorer.load(bundle)
    scores = scorer.score(read_tables(tables, INPUT_TABLES))
    events = scores[scores["direction"] != 0].reset_index(drop=True)
    write_parquet(events, out)
    mark = " by models of a SYNTHETIC market" if scorer.synthetic else ""
    typer.echo(f"{len(events):,} events of {len(scores):,} bars scored{mark}: {out}")


def main() -> None:
    """Run the command; a known error becomes one clear message and exit status 1."""
    try:
        app()
    except SlackwaterError as error:
        typer.echo(f"slackwater: {type(error).__name__}: {error}", err=True)
        raise SystemExit(1) from None
