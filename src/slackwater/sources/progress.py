"""Progress of downloads, and a bar that displays it."""

from __future__ import annotations

from types import TracebackType
from typing import Any

__all__ = ["Progress", "ProgressBar"]


class Progress:
    """Receiver of the progress, which does nothing; calls may come from several threads."""

    def expect(self, files: int) -> None:
        """Receive a number of further files."""

    def receive(self, count: int) -> None:
        """Receive a number of downloaded bytes."""

    def finish(self, name: str) -> None:
        """Receive the name of a file that is done, whether it exists or not."""

    def say(self, text: str) -> None:
        """Receive a line for the user, such as what is waited for."""


class ProgressBar(Progress):
    """Bar on stderr with files, bytes and the remaining time."""

    def __init__(self) -> None:
        from rich import progress
        from rich.console import Console

        self._total = 0
        self._bytes = 0
        self._bar: Any = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("files, {task.fields[megabytes]:,.1f} MB"),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("fetching", total=None, megabytes=0.0)

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def expect(self, files: int) -> None:
        """Lengthen the bar."""
        self._total += files
        self._bar.update(self._task, total=self._total)

    def receive(self, count: int) -> None:
        """Count bytes."""
        self._bytes += count
        self._bar.update(self._task, megabytes=self._bytes / 1e6)

    def finish(self, name: str) -> None:
        """Advance by one file, and name it."""
        self._bar.update(self._task, advance=1, description=name)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)
