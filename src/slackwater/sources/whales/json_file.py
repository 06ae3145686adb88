"""Files of JSON from others: every way in which they can be damaged is named."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import MissingDataError, SchemaError

__all__ = ["json_documents", "require_columns"]

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def json_documents(path: Path) -> list[Any]:
    """Return what a file holds: one value, or one a line.

    Raises
    ------
    MissingDataError
        If there is no such file.
    SchemaError
        If it is neither, is no UTF-8, or is nested too deeply.
    """
    if not path.is_file():
        raise MissingDataError(f"there is no file {path}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        try:
            documents = [json.loads(text, parse_int=_integer)]
        except json.JSONDecodeError:
            documents = [json.loads(line, parse_int=_integer) for line in text.split("\n") if line.strip()]
        if _SURROGATE.search(text):  # half of a character, which no text holds
            json.dumps(documents, ensure_ascii=False).encode()
        return documents
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"{path} is neither JSON nor lines of it: {error}") from None


def _integer(digits: str) -> float:
    """Beyond 64 bits it is no integer that pandas could hold, nor the id of anything."""
    whole = int(digits) if len(digits) <= len(str(-(2**63))) else None
    return whole if whole is not None and -(2**63) <= whole < 2**63 else float(digits)


def require_columns(rows: pd.DataFrame, names: Sequence[str], origin: str) -> None:
    """Raise SchemaError unless the rows have these columns, and a text or a number in each place of them."""
    lacking = [name for name in names if name not in rows]
    if lacking:
        raise SchemaError(f"{origin} lacks {', '.join(lacking)}; it has {', '.join(map(str, rows.columns))}")
    for name in names:
        if rows[name].dtype == object:
            nested = rows[name].map(lambda value: isinstance(value, (list, dict, np.ndarray))).to_numpy(dtype=bool)
            if nested.any():
                place = int(np.flatnonzero(nested)[0])
                value = rows[name].iloc[place]
                raise SchemaError(
                    f"{origin}: `{name}` of row {place + 1} must be a text or a number, was {value!r:.60}"
                )
