"""The stages with tasks, run on a copy of checked tables: the digests of what they write, and a kill in mid-run."""

from __future__ import annotations

import contextlib
import importlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from pipelines._stage import Stage
from slackwater.storage import sha256_of
from tests.small_run import inside

STAGES = ("validate", "features", "label", "train", "backtest", "sensitivity")


class KillsAt(io.StringIO):
    """Takes what stages say, and calls a function once, at the first line that contains a text."""

    def __init__(self, text: str, kill: Callable[[], object]) -> None:
        super().__init__()
        self._text, self._kill, self.done = text, kill, False

    def write(self, line: str) -> int:
        if self._text in line and not self.done:
            self.done = True
            self._kill()
        return super().write(line)


def digests(tables: Path, root: Path, told: io.StringIO) -> dict[str, str]:
    """Run the stages on a copy of a run up to its tables; return the digest of every file written, but for plots.

    Plots take longer than all the rest, and show what the files contain.
    """
    shutil.copytree(tables, root)
    shutil.rmtree(root / "data" / "tables")
    before = {path for path in root.rglob("*") if "reports" not in path.parts}
    without_plots = patch("pipelines.sensitivity.write_trading_figures")
    with inside(root), contextlib.redirect_stdout(told), without_plots:
        for name in STAGES:
            importlib.import_module(f"pipelines.{name}").main(Stage(name))
    made = (path for path in sorted(root.rglob("*")) if path.is_file() and path not in before)
    return {str(path.relative_to(root)): sha256_of(path) for path in made}
