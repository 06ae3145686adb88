"""The command `report`; `slackwater.cli` names it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    run: Annotated[Path, typer.Option(help="Directory of the run: a repository in which `dvc repro` has run.")] = Path(
        "."
    ),
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
) -> None:
    """Write the report of a run as one HTML file, which needs no network."""
    from slackwater.report.page.write import write_page
    from slackwater.run.parameters import params_of_last_run

    params = params_of_last_run(run)
    size = write_page(
        run,
        out,
        spec=params.market.spec,
        features=params.features.of_the_library(),
        horizon=params.labels.horizon,
    )
    typer.echo(f"written: {out}, {size / 1e6:.1f} MB")
