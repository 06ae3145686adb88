"""Every error that slackwater raises on purpose.

::

    SlackwaterError
    ├── ParameterError       a parameter or an argument outside of its range      (also ValueError)
    ├── DataError            market data that cannot be used                      (also ValueError)
    │   ├── SchemaError      a missing column, a wrong type, an impossible value
    │   ├── OrderError       times that repeat or run backwards
    │   └── MissingDataError a file or a table that is not there                  (also FileNotFoundError)
    ├── SourceError          a server that cannot be reached, refuses, or answers with something else (also OSError)
    ├── TrackingError        a store of runs that is locked, damaged or of another version
    ├── BundleError          a scoring bundle that is damaged, incomplete or made by another version
    └── ContractError        a feature that breaks the contract of features/checks.py     (also AssertionError)

A message names what was wrong, where it was (file, table, column, the first offending rows) and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BundleError",
    "ContractError",
    "DataError",
    "MissingDataError",
    "OrderError",
    "ParameterError",
    "SchemaError",
    "SlackwaterError",
    "SourceError",
    "TrackingError",
    "did_you_mean",
]


class SlackwaterError(Exception):
    """Root of the tree: catch this to catch everything that slackwater raises on purpose."""


class ParameterError(SlackwaterError, ValueError):
    """A parameter or an argument outside of its range."""


class DataError(SlackwaterError, ValueError):
    """Market data that cannot be used."""


class SchemaError(DataError):
    """A table lacks a column, or a column holds a type or a value that it must not hold."""


class OrderError(DataError):
    """Times that repeat or run backwards."""


class MissingDataError(DataError, FileNotFoundError):
    """A file or a table that is not there."""


class SourceError(SlackwaterError, OSError):
    """A server that cannot be reached, refuses, or answers with something other than data."""


class TrackingError(SlackwaterError):
    """A store of runs that is locked, damaged or of another version, or lacks the experiment."""


class BundleError(SlackwaterError):
    """A scoring bundle that is damaged, incomplete, or made by another version of the features."""


class ContractError(SlackwaterError, AssertionError):
    """A feature that breaks the contract: it leaks, differs between history and live, or breaks its symmetry."""


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the end of a message about an unknown name: the nearest known one, or all of them.

    Examples
    --------
    >>> did_you_mean("fundng", ["bars", "funding"])
    '; did you mean `funding`?'
    >>> did_you_mean("x", ["bars", "funding"])
    '; there are bars, funding'
    """
    by_lower = {each.lower(): each for each in known}
    near = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean `{by_lower[near[0]]}`?" if near else f"; there are {', '.join(by_lower.values())}"
