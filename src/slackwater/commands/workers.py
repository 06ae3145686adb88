"""The option `--workers`, which several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Workers"]

Workers = Annotated[
    str | None,
    typer.Option(
        help="Who runs independent tasks: serial, a number of processes such as 2, or a cluster such as "
        "dask://127.0.0.1:8786; by default SLACKWATER_WORKERS. Results do not depend on it."
    ),
]
