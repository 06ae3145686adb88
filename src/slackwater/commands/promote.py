"""The command `promote`; `slackwater.cli` names it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from slackwater.commands.json_output import AsJson, print_json

__all__ = ["promote"]


def promote(
    version: Annotated[str, typer.Argument(help="Number of the version; by default the candidate.")] = "",
    force: Annotated[str, typer.Option(help="Why it becomes champion whatever the rule says; needs VERSION.")] = "",
    as_json: AsJson = False,
) -> None:
    """Make a registered version the champion, which live scorers pull; status 1 if the rule forbids it.

    The rule: its verdict is eligible, and on the events that it and the champion both predicted its AUC is not lower.
    The store is what MLFLOW_TRACKING_URI names, else mlflow.db in this directory.
    """
    from slackwater.tracking.champion import promote as move_champion
    from slackwater.tracking.store import Store

    done = move_champion(version, store=Store.of(Path.cwd()), reason=force)
    if as_json:
        print_json(asdict(done))
        raise typer.Exit(0 if done.moved else 1)
    state = "is the champion now" if done.moved else "does not become champion"
    typer.echo(f"version {done.version} {state}: {done.sentence}")
    if not done.moved:
        raise typer.Exit(1)
