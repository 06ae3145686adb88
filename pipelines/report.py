"""Stage `report`: copy the reports to where git tracks them.

DVC does not keep outputs that git tracks, nor restores a stage that has one. So the long stages write their reports
into ``data/reports``, which is cached: a data set that was run before comes back without a run.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from pipelines._stage import Stage, run
from slackwater.errors import MissingDataError
from slackwater.storage import atomic_file


def main(stage: Stage) -> None:
    """Copy every declared report from ``data/reports`` to ``reports``."""
    for out in stage.outs:
        source = Path("data") / out
        if not source.is_file():
            raise MissingDataError(f"there is no file {source}: run `dvc repro`")
        with atomic_file(out) as path:
            shutil.copyfile(source, path)


if __name__ == "__main__":
    run("report", main)
