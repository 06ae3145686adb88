"""The commands of studies; `slackwater.cli` names them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["study"]


def study(
    spec: Annotated[Path, typer.Argument(help="File of the study, such as examples/study.yaml.")],
) -> None:
    """Try many configurations of the last run, and record every one of them in trials.jsonl and in MLflow.

    A study that was stopped or killed continues when it is started again. `dvc repro` reads the trials, so that the
    verdict on a run counts them.
    """
    from slackwater.study.search import run_study

    try:
        run_study(spec, say=typer.echo)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command continues from here", err=True)
        raise typer.Exit(130) from None
