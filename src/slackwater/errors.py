"""Every error that slackwater raises on purpose.

::

    SlackwaterError
    ├── ParameterError       a parameter or an argument outside of its range      (also ValueError)
    ├── DataError            market data that cannot be used                      (also ValueError)
    │   ├── SchemaError      a missing column, a wrong type, an impossible value
    │   ├── OrderError       times that repeat or run backwards
    │   └── MissingDataError a file or a table that is not there                  (also FileNotFoundError)
    ├── SourceError          a server that cannot be reached, refuses, or answers with something else (also OSError)
    ├── MissingExtraError    a package that an extra of slackwater brings      (also ImportError)
    ├── TrackingError        a store of runs that is locked, damaged or of another version
    ├── BundleError          a scoring bundle that is damaged, incomplete or made by another version
    ├── ContractError        a feature that breaks the contract of features/checks.py     (also AssertionError)
    └── UnprovenEdgeError    live trading with a bundle whose verdict is not `eligible`

    DefectWarning            data that were read or scored with defects, such as missing rows    (also UserWarning)
    UniverseWarning          scores of other symbols than those that the models learned from (also UserWarning)

A message names what was wrong, where it was (file, table, column, the first offending rows) and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

__all__ = [
    "BundleError",
    "ContractError",
    "DataError",
    "DefectWarning",
    "MissingDataError",
    "MissingExtraError",
    "OrderError",
    "ParameterError",
    "SchemaError",
    "SlackwaterError",
    "SourceError",
    "TrackingError",
    "UniverseWarning",
    "UnprovenEdgeError",
    "did_you_mean",
    "missing_extra",
]

_EXTRAS: Final = {
    **dict.fromkeys(("dvc", "joblib", "matplotlib", "mlflow", "sklearn"), "pipeline"),
    **dict.fromkeys(("ccxt", "httpx", "tenacity"), "exchange"),
    "optuna": "study",
    **dict.fromkeys(("aiohttp", "apprise"), "live"),
    **dict.fromkeys(("dask", "distributed", "fsspec"), "scale"),
}
"""The extra of slackwater that brings a module, as in ``pyproject.toml``."""


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


class MissingExtraError(SlackwaterError, ImportError):
    """A package that an extra of slackwater brings, and that is not installed."""


class TrackingError(SlackwaterError):
    """A store of runs that is locked, damaged or of another version, or lacks the experiment."""


class BundleError(SlackwaterError):
    """A scoring bundle that is damaged, incomplete, or made by another version of the features."""


class ContractError(SlackwaterError, AssertionError):
    """A feature that breaks the contract: it leaks, differs between history and live, or breaks its symmetry."""


class UnprovenEdgeError(SlackwaterError):
    """Live trading with a bundle whose verdict is not ``eligible``."""


class DefectWarning(UserWarning):
    """Data with defects that do not prevent their use: rows that are missing, were repaired or were passed over."""


class UniverseWarning(UserWarning):
    """Scores of a market whose symbols are not those that the models learned from."""


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


def missing_extra(error: ModuleNotFoundError) -> ImportError:
    """Return the error that names the extra to install, or the error itself where no extra brings the module.

    Examples
    --------
    >>> missing_extra(ModuleNotFoundError(name="sklearn.base"))
    MissingExtraError('sklearn is not installed: run `pip install "slackwater[pipeline]"`')
    """
    module = (error.name or "").partition(".")[0]
    if module not in _EXTRAS:
        return error
    return MissingExtraError(f'{module} is not installed: run `pip install "slackwater[{_EXTRAS[module]}]"`')
