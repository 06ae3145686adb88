"""The features of a run: the table of all rows, and those that its models read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import pandas as pd

from slackwater.errors import MissingDataError
from slackwater.features.family import Feature
from slackwater.storage import parquet_tables, read_json, read_parquet, read_parquet_rows
from slackwater.trading.score import CONTEXT

__all__ = ["FEATURE_TABLE", "ContextOnDisk", "feature_files", "feature_rows", "files_by_symbol", "read_features"]

FEATURE_TABLE: Final = Path("data/features")
"""The directory of the table, which `slackwater.run.feature_table` writes: one file per symbol."""


def read_features(data: str | Path = "data", families: Collection[str] | None = None) -> list[Feature]:
    """Return the features that models read, in the order of their columns.

    Parameters
    ----------
    data
        Directory of the run, with ``feature_manifest.json``.
    families
        As `slackwater.models.parameters.ModelParameters`: None means all that the data feed.
    """
    manifest = read_json(Path(data) / "feature_manifest.json")
    wanted = set(manifest["model_features"])
    described = [Feature.from_manifest(entry) for entry in manifest["features"] if entry["name"] in wanted]
    return [each for each in described if families is None or each.family in families]


class ContextOnDisk(Mapping[str, pd.DataFrame]):
    """``symbol``, ``event_time``, ``available_time`` and `CONTEXT` of every bar close of a symbol, read when asked for.

    Parameters
    ----------
    directory
        Directory of the table.

    Raises
    ------
    MissingDataError, SchemaError
        If there is no file, or one is damaged; the latter when the rows of its symbol are read.
    """

    def __init__(self, directory: str | Path = FEATURE_TABLE) -> None:
        self._files = files_by_symbol(directory)

    def __getitem__(self, symbol: str) -> pd.DataFrame:
        columns = list(dict.fromkeys(["symbol", "event_time", "available_time", *CONTEXT]))
        return read_parquet(self._files[symbol], columns=columns)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


def feature_rows(rows: pd.DataFrame, directory: str | Path = FEATURE_TABLE) -> Iterator[pd.DataFrame]:
    """Yield, by symbol, all columns of the rows whose values in the columns of `rows` are among those of `rows`.

    One of these columns is ``symbol``. The rows of a symbol alone are looked for in its file.

    Raises
    ------
    MissingDataError, SchemaError
        If there is no file, or one is damaged.
    """
    wanted = dict(tuple(rows.groupby("symbol", observed=True)))
    files = files_by_symbol(directory)
    return (read_parquet_rows(path, wanted.get(symbol, rows[:0])) for symbol, path in files.items())


def files_by_symbol(directory: str | Path = FEATURE_TABLE) -> dict[str, Path]:
    """Return the files of the table by symbol, in order, from their names (`symbol_features.OneSymbol.file_name`)."""
    return {unquote(path.stem.partition("-")[2]): path for path in feature_files(directory)}


def feature_files(directory: str | Path = FEATURE_TABLE) -> list[Path]:
    """Return the files of the table, one per symbol, in order; MissingDataError if there is none."""
    found = parquet_tables(directory)
    if not found:
        raise MissingDataError(f"there is no file of features in {directory}: run the stage `features`")
    return found
