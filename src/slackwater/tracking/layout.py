"""Names of metrics in MLflow, and the columns with which the runs table opens.

What a run is judged by has a short name and comes first: ``auc``, ``net_bps``. Every other metric stands in the group
of its section, as MLflow folds names up to a slash: ``direction/by_symbol.BTCUSDT.auc``, ``backtest/max_drawdown``.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final

__all__ = ["HEADLINE", "VIEW_KEY", "flattened", "is_number", "legal_name", "metric_name", "named_metrics", "runs_view"]

HEADLINE: Final = {
    "direction.auc": "auc",
    "direction.auc_low": "auc_low",
    "direction.auc_high": "auc_high",
    "backtest.unit_risk.net_bps_mean": "net_bps",
    "backtest.unit_risk.net_bps_low": "net_bps_low",
    "backtest.unit_risk.net_bps_high": "net_bps_high",
    "backtest.unit_risk.net_r_mean": "net_r",
    "backtest.unit_risk.n_trades": "n_trades",
}
"""Short names of the metrics that a run is judged by, by their place in ``reports/metrics.json``."""

VIEW_KEY: Final = "headline"
"""Key of the saved view of the runs table, in a link: ``?viewStateShareKey=headline``."""

_COLUMNS: Final = (
    "attributes.`Dataset`",
    "attributes.`Models`",
    *(f"metrics.`{name}`" for name in ("auc", "auc_low", "net_bps", "net_bps_low", "n_trades")),
    *(f"tags.`{name}`" for name in ("verdict", "synthetic", "git_dirty")),
)
_MAX_NAME: Final = 250
_ILLEGAL: Final = re.compile(r"[^\w.\- :/]")


def flattened(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield dotted keys and leaves of nested mappings.

    Examples
    --------
    >>> dict(flattened({"direction": {"auc": 0.5}, "n_events": 3}))
    {'direction.auc': 0.5, 'n_events': 3}
    """
    for key, value in content.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flattened(value, f"{name}.")
        else:
            yield name, value


def is_number(value: Any) -> bool:
    """Return whether a value is logged as a metric: a number, and not a flag."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def legal_name(name: str) -> str:
    """Return a name that MLflow takes for a parameter or a metric: `name` itself, or a cleaned one with its digest.

    Examples
    --------
    >>> legal_name("direction.auc"), legal_name("values.side.+")
    ('direction.auc', 'values.side._-d855e60b')
    """
    if name and len(name) <= _MAX_NAME and not _ILLEGAL.search(name) and posixpath.normpath(f"x/{name}") == f"x/{name}":
        return name
    return _cleaned(name)


def _cleaned(name: str) -> str:
    cleaned = _ILLEGAL.sub("_", name).replace("/", "_").lstrip(".")
    return f"{cleaned[: _MAX_NAME - 9]}-{sha256(name.encode(errors='surrogatepass')).hexdigest()[:8]}"


def metric_name(place: str) -> str:
    """Return the name in MLflow of a metric, from its dotted place.

    Examples
    --------
    >>> metric_name("direction.auc"), metric_name("direction.by_symbol.BTCUSDT.auc"), metric_name("n_events")
    ('auc', 'direction/by_symbol.BTCUSDT.auc', 'n_events')
    """
    if place in HEADLINE:
        return HEADLINE[place]
    group, _, rest = place.partition(".")
    if not (group and rest) or "/" in place:
        # A slash of the place itself would open another group.
        return _cleaned(place) if "/" in place else legal_name(place)
    return legal_name(f"{group}/{rest}")


def named_metrics(metrics: Mapping[str, Any]) -> dict[str, tuple[str, float]]:
    """Return place and value of every number in nested metrics, by its name in MLflow; no two share a name.

    Short names come first: MLflow lists the metrics of a run in the order in which they were logged.
    """
    found: dict[str, tuple[str, float]] = {}
    for place, value in flattened(metrics):
        if is_number(value):
            name = metric_name(place)
            found[_cleaned(place) if name in found else name] = (place, float(value))
    first = [name for name in HEADLINE.values() if name in found]
    first += [name for name in found if "/" not in name and name not in first]
    return {name: found[name] for name in (*first, *(name for name in found if "/" in name))}


def runs_view(created_ms: int) -> str:
    """Return the saved view of the runs table, as MLflow keeps it in a tag of the experiment.

    Parameters
    ----------
    created_ms
        Time of the experiment, in ms since 1970: the same view is the same text.
    """
    state = {"selectedColumns": list(_COLUMNS), "columnOrder": []}
    return json.dumps(
        {"name": "Headline", "createdAt": created_ms, "updatedAt": created_ms, "state": json.dumps(state)}
    )
