"""Tables in Markdown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from slackwater.storage import significant

__all__ = ["markdown_table"]


def markdown_table(table: pd.DataFrame) -> str:
    """Return a table in Markdown, numbers to four digits (large ones to six), unknown values as empty cells.

    Examples
    --------
    >>> print(markdown_table(pd.DataFrame({"venue": ["okx"], "net_bps": [-1.23456], "n_trades": [1234]})))
    | venue | net_bps | n_trades |
    |---|---|---|
    | okx | -1.235 | 1,234 |
    """
    rows = [" | ".join(map(str, table.columns)), "|".join("---" for _ in table.columns)]
    rows += [" | ".join(_cell(value) for value in row) for row in table.itertuples(index=False)]
    return "\n".join(f"|{row}|" if set(row) <= {"-", "|"} else f"| {row} |" for row in rows)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return f"{significant(value):,.0f}" if abs(value) >= 10_000.0 else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return "" if value is None else str(value)
