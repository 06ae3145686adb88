"""Tables from a user, checked against the bundle that shall score them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pandas as pd

from slackwater.errors import SchemaError, did_you_mean
from slackwater.market.columns import shown
from slackwater.market.inputs import INPUT_TABLES
from slackwater.market.quality.detectors import clean_tables
from slackwater.market.quality.ledger import Finding
from slackwater.market.schemas import SCHEMAS

__all__ = ["cleaned_tables"]


def cleaned_tables(
    tables: Mapping[str, pd.DataFrame], *, venue: str, bar_interval: timedelta
) -> tuple[dict[str, pd.DataFrame], list[Finding]]:
    """Return the tables that feed inputs, without the rows that cannot be trusted, and what was found.

    Parameters
    ----------
    tables
        Tables by canonical name.
    venue, bar_interval
        Venue and length of bars of the bundle.

    Raises
    ------
    SchemaError, OrderError
        If there is no canonical table of a name, the bars have another length, or as
        `slackwater.market.quality.detectors.clean_tables`.
    """
    if not isinstance(tables, Mapping):
        raise SchemaError(f"`tables` must map names to tables, was a {type(tables).__name__}")
    for name in tables:
        if name not in SCHEMAS:
            raise SchemaError(f"there is no canonical table `{shown(name)}`{did_you_mean(name, SCHEMAS)}")
    given = {name: table for name, table in tables.items() if name in INPUT_TABLES}
    checked, ledger = clean_tables(given, venue=venue, spacing={"bars": bar_interval})
    if "bars" in checked:
        lengths = checked["bars"]["event_time"] - checked["bars"]["open_time"]
        if (other := lengths[lengths != bar_interval]).size:
            raise SchemaError(
                f"table bars: the bundle reads bars of {bar_interval}, {other.size} of {lengths.size} rows have "
                f"another length, the first {other.iloc[0]}; resample them"
            )
    return checked, ledger.findings
