"""The option `--json` of the commands, and its line on standard output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

__all__ = ["AsJson", "print_json"]

AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON, and nothing else.")]


def print_json(content: Mapping[str, Any]) -> None:
    """Print one line; what is not known is null."""
    from slackwater.storage import json_line

    typer.echo(json_line(content))
