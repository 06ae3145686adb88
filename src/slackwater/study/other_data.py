"""Data on which a frozen bundle is tested: a directory of canonical tables, or a data set of the parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from slackwater.config import Params, load_params
from slackwater.durations import duration_text
from slackwater.errors import MissingDataError, ParameterError, SchemaError
from slackwater.run.tables import examined, read_dataset, with_bars
from slackwater.storage import marked_synthetic, read_tables

__all__ = ["OtherData", "read_other_data", "require_bars"]


@dataclass(frozen=True, kw_only=True)
class OtherData:
    """Examined tables of the test, and what its data set says of the contracts of symbols that the bundle lacks.

    `synthetic`: the data set, or the mark of a file, says that the market is simulated.
    """

    synthetic: bool
    tables: dict[str, pd.DataFrame]
    venue: str
    contract_facts: Mapping[str, Any] | None


def read_other_data(data: str, trained: Params, params: str | Path, say: Callable[[str], None]) -> OtherData:
    """Read a directory of canonical tables, or all files of a data set, and examine them as the stages do.

    Parameters
    ----------
    data
        The directory, or the name of the data set.
    trained
        Parameters of the run of the bundle.
    params
        File of parameters with the data set.
    say
        Called with lines of progress.

    Raises
    ------
    DataError
        If there is no table, or one is unusable.
    ParameterError
        If there is no such data set, or its bars have another length.
    """
    directory: str | None = data  # None: simulated here
    if Path(data).is_dir():
        spacing = {"fine_bars": trained.market.fine_bar_interval, "bars": trained.market.bar_interval}
        raw, archived = read_tables(data), False
        if not raw:
            raise MissingDataError(f"{data} contains no table: canonical tables are files such as bars.parquet")
        dataset = trained.dataset
    else:
        if not Path(params).is_file():
            raise MissingDataError(f"{data} is not a directory, and there is no {params} with a data set of that name")
        effective = load_params(params, data)
        market, dataset = effective.market, effective.dataset
        if market.bar_interval != trained.market.bar_interval:
            raise ParameterError(
                f"the bundle reads bars of {duration_text(trained.market.bar_interval)}, the data set {data} has bars "
                f"of {duration_text(market.bar_interval)}: choose one with bars of the same length"
            )
        spacing = {"fine_bars": market.fine_bar_interval, "bars": market.bar_interval}
        reading = read_dataset(dataset, lags=market.lags, spacing=spacing, progress=say)
        raw, archived, directory = reading.tables, reading.archived, dataset.path
    say(f"{sum(map(len, raw.values())):,} rows in {len(raw)} tables of {data}")
    tables, found = examined(raw, venue=dataset.venue, spacing=spacing, archived=archived)
    found.raise_if_refused()
    return OtherData(
        synthetic=dataset.synthetic or (directory is not None and marked_synthetic(directory)),
        tables=with_bars(tables, trained.market.bar_interval),
        venue=dataset.venue,
        contract_facts=dataset.contract_facts,
    )


def require_bars(tables: Mapping[str, pd.DataFrame], params: Params) -> None:
    """Refuse data whose bars are not those of the bundle: its labels and fills walk along fine bars of one length."""
    wanted = {"bars": params.market.bar_interval, "fine_bars": params.market.fine_bar_interval}
    if wanted["bars"] == wanted["fine_bars"]:
        wanted.pop("fine_bars")
    for name, interval in wanted.items():
        if name not in tables:
            raise MissingDataError(
                f"the data lack the table {name}, bars of {duration_text(interval)}, along which the bundle was tested"
            )
    for name in ("bars", "fine_bars"):
        if name in tables:
            lengths = tables[name]["event_time"] - tables[name]["open_time"]
            interval = wanted.get(name, wanted["bars"])
            if (lengths != interval).any():
                raise SchemaError(
                    f"table {name}: the bundle reads bars of {duration_text(interval)}, "
                    f"{int((lengths != interval).sum())} of {len(lengths)} rows have another length, the first "
                    f"{lengths[lengths != interval].iloc[0]}"
                )
