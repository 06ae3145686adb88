"""The commands `study` and `evaluate`; `slackwater.cli` names them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slackwater.commands.workers import Workers

__all__ = ["evaluate", "study"]


def study(
    spec: Annotated[Path, typer.Argument(help="File of the study, such as examples/study.yaml.")],
    workers: Workers = None,
) -> None:
    """Try many configurations of the last run, and record every one of them in trials.jsonl and in MLflow.

    A study that was stopped or killed continues when it is started again. `dvc repro` reads the trials, so that the
    verdict on a run counts them.
    """
    from slackwater.parallel import use_workers
    from slackwater.study.search import run_study

    try:
        with use_workers(workers, tell=typer.echo):
            run_study(spec, say=typer.echo)
    except KeyboardInterrupt:
        typer.echo("stopped; the same command continues from here", err=True)
        raise typer.Exit(130) from None


def evaluate(
    data: Annotated[str, typer.Option(help="Directory of canonical tables, or the name of a data set.")],
    out: Annotated[Path, typer.Option(help="New directory for frozen_test.json and frozen_test.md.")],
    bundle: Annotated[Path, typer.Option(help="Directory of the scoring bundle.")] = Path("models/scorer"),
    start: Annotated[str, typer.Option("--from", help="First time of an event, UTC, such as 2024-01-01.")] = "",
    end: Annotated[str, typer.Option("--until", help="Time before which events lie, UTC.")] = "",
    params: Annotated[Path, typer.Option(help="File of parameters.")] = Path("params.yaml"),
) -> None:
    """Test a bundle, unchanged, on later data or on other symbols than it was trained on.

    Features, events, labels, scores, gate and costs are those of the bundle. Events of its training period and embargo
    are left out and counted; symbols that it was not trained on are reported apart.
    """
    from slackwater.errors import ParameterError
    from slackwater.report.frozen_page import frozen_page, frozen_sentences
    from slackwater.storage import atomic_directory, write_report
    from slackwater.study.frozen import frozen_test
    from slackwater.times import parse_time

    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ParameterError(f"`--out` must be a new directory, {out} exists")
    first, last = (parse_time(text, name) if text else None for text, name in ((start, "--from"), (end, "--until")))
    if first is not None and last is not None and first >= last:
        raise ParameterError(f"`--until` must be after `--from`, was {last} and {first}")
    result = frozen_test(bundle, data, start=first, end=last, params=params, say=typer.echo)
    with atomic_directory(out) as directory:
        write_report(result, directory / "frozen_test.json")
        (directory / "frozen_test.md").write_text(frozen_page(result), encoding="utf-8")
    if result["synthetic"]:
        typer.echo("SYNTHETIC market: no evidence of a real edge")
    for sentence in frozen_sentences(result):
        typer.echo(sentence)
    typer.echo(f"written: {out}")
