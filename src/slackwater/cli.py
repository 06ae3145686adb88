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


@app.command()
def features(
    bar_minutes: Annotated[int, typer.Option(help="Spacing of the bars, in minutes.")] = 5,
) -> None:
    """Print the catalogue of features with their default windows, as Markdown."""
    from datetime import timedelta

    from slackwater.features.catalogue import features_page
    from slackwater.features.engine import default_families

    typer.echo(features_page(default_families(timedelta(minutes=bar_minutes))), nl=False)


@app.command()
def zones(
    symbol: Annotated[str, typer.Option(help="The perpetual, such as BTCUSDT.")],
    at: Annotated[str, typer.Option(help="Moment, UTC, such as 2024-06-01T12:00Z; the last bar if left out.")] = "",
    tables: Annotated[Path, typer.Option(help="Directory of canonical tables.")] = Path("data/tables"),
    layer: Annotated[str, typer.Option(help="Layer to list and draw: fast, middle, slow, stops, or all.")] = "all",
    days: Annotated[float, typer.Option(min=0.1, help="Span of the picture, days.")] = 7.0,
    plot: Annotated[Path | None, typer.Option(help="PNG file to draw.")] = None,
    params: Annotated[Path, typer.Option(help="Parameters that the tables were made with.")] = Path("params.yaml"),
) -> None:
    """List the pools of the liquidation map above and below the price, and draw the map."""
    from datetime import timedelta

    from slackwater.config import load_params
    from slackwater.errors import ParameterError
    from slackwater.evidence.map_history import map_of_tables, moment
    from slackwater.liquidity.density import LAYERS
    from slackwater.report.map_figure import write_map_figure
    from slackwater.report.pools_table import print_pools

    if layer not in (*LAYERS, "all"):
        raise ParameterError(f"`--layer` must be one of {', '.join(LAYERS)} or all, was {layer!r}")
    effective = load_params(params)
    history = map_of_tables(
        tables,
        symbol,
        market=effective.market.model_dump(),
        features=effective.features.model_dump(),
        at=moment(at) if at else None,
        span=timedelta(days=days),
    )
    listed = LAYERS if layer == "all" else (layer,)
    print_pools(history, history.pools(layers=listed), synthetic=effective.dataset.synthetic)
    if plot is not None:
        write_map_figure(
            history,
            plot,
            layer="middle" if layer == "all" else layer,
            synthetic=effective.dataset.synthetic,
            dataset=effective.dataset.name,
        )
        typer.echo(f"drawn: {plot}")


def main() -> None:
    """Run the command; a known error becomes one clear message and exit status 1."""
    try:
        app()
    except SlackwaterError as error:
        typer.echo(f"slackwater: {type(error).__name__}: {error}", err=True)
        raise SystemExit(1) from None
