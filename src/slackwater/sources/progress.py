"""What is told while files come in, and a bar that shows it."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Protocol

__all__ = ["Progress", "ProgressBar", "Silence"]


class Progress(Protocol):
    """Whom to tell while files come in; calls may come from several threads."""

    def expect(self, files: int) -> None:
        """Hear that so many more files are to come."""

    def receive(self, count: int) -> None:
        """Hear that so many bytes came in."""

    def finish(self, name: str) -> None:
        """Hear that a file is done, there or not."""


class Silence:
    """A progress that nobody looks at."""

    def expect(self, files: int) -> None:
        """Do nothing."""

    def receive(self, count: int) -> None:
        """Do nothing."""

    def finish(self, name: str) -> None:
        """Do nothing."""


class ProgressBar:
    """A bar on stderr: files, bytes, speed and the time that is left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._total = 0
        self._bytes = 0
        self._bar: Any = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("files, {task.fields[megabytes]:,.1f} MB"),
            TimeRemainingColumn(),
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
