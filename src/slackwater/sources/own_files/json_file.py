"""JSON files of others: a damaged one is refused with the reason."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from slackwater.errors import SchemaError
from slackwater.sources.own_files.wrapping import content

__all__ = ["json_rows", "require_columns"]

_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")


def json_rows(path: Path, unpacked: Callable[[Any, Path], Any] = lambda document, _: document) -> list[Any]:
    """Return the rows of a file: of the one value that it holds, or of one value per line.

    Parameters
    ----------
    path
        JSON, or lines of it.
    unpacked
        Called with each value and the path: returns a row, or a list of rows.

    Raises
    ------
    SchemaError
        If the file is neither, is not UTF-8, or is nested too deeply.
    """
    try:
        text = content(path).decode()
        try:
            documents = [json.loads(text, parse_int=_integer)]
        except json.JSONDecodeError:
            documents = [json.loads(line, parse_int=_integer) for line in text.split("\n") if line.strip()]
        if _SURROGATE.search(text):  # half of a character, which no text holds
            json.dumps(documents, ensure_ascii=False).encode()
    except SchemaError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise SchemaError(f"{path} is neither JSON nor lines of it: {error}") from None
    found = [unpacked(document, path) for document in documents]
    return [row for each in found for row in (each if isinstance(each, list) else [each])]


def _integer(digits: str) -> float:
    """Return an integer, or a float beyond 64 bits, which pandas could not hold as an integer."""
    whole = int(digits) if len(digits) <= len(str(-(2**63))) else None
    return whole if whole is not None and -(2**63) <= whole < 2**63 else float(digits)


def require_columns(rows: pd.DataFrame, names: Sequence[str], origin: str) -> None:
    """Raise SchemaError unless the rows have these columns, with a text or a number in each place."""
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
