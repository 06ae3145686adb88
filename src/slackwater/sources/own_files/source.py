"""The base of every kind of own files: its request and its result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, Final

import pandas as pd

from slackwater.errors import DataError, MissingDataError
from slackwater.market.quality.ledger import Finding
from slackwater.sources.own_files.wrapping import form_of, parts_of
from slackwater.storage import sha256_of

__all__ = ["SYMBOL_MARK", "FileSource", "ReadFile", "Request", "Source", "checked_path"]

SYMBOL_MARK: Final = "{symbol}"


@dataclass(frozen=True, kw_only=True)
class Request:
    """The table that a source should read.

    Parameters
    ----------
    root
        Directory that holds the files; `checked_path` has accepted each of them.
    table
        Name of the canonical table.
    lag
        Default time from the stamp of a row to its availability.
    symbols
        Perpetuals of the data set; None while the bars are read that name them.
    tables
        Tables that were read before this one, with all their rows.
    now
        Time after which no row can have happened; None: the time of the clock.
    """

    root: Path
    table: str
    lag: timedelta = timedelta(0)
    symbols: Sequence[str] | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    now: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ReadFile:
    """Rows that were read, and what was understood on the way.

    Parameters
    ----------
    table
        Rows with canonical names, not yet validated.
    origin
        Name of the file.
    columns
        What each canonical column was made of, such as ``"from close_time"`` or ``"always BTC"``.
    unread
        Columns of the file that no canonical column is made of.
    clock
        Form of its stamps.
    findings
        What was repaired, masked or left out.
    """

    table: pd.DataFrame
    origin: str
    columns: Mapping[str, str]
    unread: tuple[str, ...] = ()
    clock: str = ""
    findings: Sequence[Finding] = ()


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Options of one kind of own files, and how it reads one table.

    Attributes
    ----------
    needs
        Tables of the same data set that it is computed from.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    @property
    @abstractmethod
    def files(self) -> tuple[str, ...]:
        """Names of the files that it reads, the one with the rows first, with ``{symbol}`` for each symbol."""

    @abstractmethod
    def read(self, request: Request) -> list[ReadFile]:
        """Return the rows of each file, under canonical names.

        Raises
        ------
        SchemaError
            If a file cannot be read as what it should be; the message names it.
        """


@dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """A source with one file of rows.

    Parameters
    ----------
    file
        Name of the file in the directory.
    """

    file: str

    @property
    def files(self) -> tuple[str, ...]:
        """Name of the file."""
        return (self.file,)


def checked_path(root: Path, file: str, table: str, sha256: str = "") -> Path:
    """Return the path of a file in a directory.

    Raises
    ------
    MissingDataError
        If the file does not exist.
    DataError
        If it leads out of the directory, or its digest is not `sha256` (unless that is empty).
    """
    path, inside = root / file, _borders(root, file)
    if not any(path.resolve().is_relative_to(each) for each in inside):
        raise DataError(f"{path} leads out of {root}")
    parts = parts_of(path) if form_of(path) == "parquet" else [path]
    for part in parts:
        if not any(part.resolve().is_relative_to(each) for each in inside):
            raise DataError(f"{part} leads out of {root}")
    if not all(part.is_file() for part in parts):
        kind = "is a directory; only a parquet table may be one" if path.is_dir() else "is not there"
        raise MissingDataError(f"there is no file {path} (table {table}): it {kind}")
    if sha256 and path.is_dir():
        raise DataError(f"{path} is a directory, which has no sha256: leave it out of `sha256`")
    if sha256 and sha256_of(path) != sha256:
        raise DataError(f"{path}: its sha256 is {sha256_of(path)}, the parameters expect {sha256}")
    return path


def _borders(root: Path, file: str) -> list[Path]:
    """Return the directories that a file may lie in: the data set's own, and a folder that is linked into it."""
    folder = Path(file).parts[0]
    linked = folder != ".." and len(Path(file).parts) > 1 and (root / folder).is_dir()
    return [root.resolve(), *([(root / folder).resolve()] if linked else [])]
