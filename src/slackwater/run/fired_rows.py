"""The rows of the features of a run at which a trigger fired."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.labels.events import added_counts, fired_rows, trigger_counts
from slackwater.run.features import FEATURE_TABLE, feature_files
from slackwater.storage import read_parquet

__all__ = ["read_fired_rows"]


def read_fired_rows(
    columns: Sequence[str],
    *,
    triggers: Sequence[str],
    sampling: Sequence[str],
    directory: str | Path = FEATURE_TABLE,
) -> tuple[pd.DataFrame, dict[str, Any], int]:
    """Read the rows at which a trigger fired, one symbol after the other: few are events, and only they are held.

    Parameters
    ----------
    columns
        Columns that are read beside symbol, event time and triggers.
    triggers, sampling
        As for `slackwater.labels.events.sample_events`.
    directory
        Directory of the table.

    Returns
    -------
    rows : DataFrame
        By symbol and time.
    counts : dict
        Of all rows of the table (`slackwater.labels.events.trigger_counts`).
    n_rows : int
        Number of all rows.

    Raises
    ------
    MissingDataError, SchemaError
        If there is no file, or one is damaged.
    """
    wanted = list(dict.fromkeys(["symbol", "event_time", *columns, *triggers, *sampling]))
    fired, counts, n_rows = [], [], 0
    for path in feature_files(directory):
        table = read_parquet(path, columns=wanted)
        fired.append(fired_rows(table, triggers=triggers, sampling=sampling))
        counts.append(trigger_counts(table, triggers=triggers, sampling=sampling))
        n_rows += len(table)
    return pd.concat(fired, ignore_index=True), added_counts(counts), n_rows
