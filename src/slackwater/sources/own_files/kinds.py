"""The kinds of own files that an entry of ``tables`` in ``params.yaml`` may have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from slackwater.errors import ParameterError, did_you_mean
from slackwater.sources.own_files.source import Source
from slackwater.sources.own_files.table_file import TableFile
from slackwater.sources.whales.flows import FlowsFromTransfers
from slackwater.sources.whales.hyperliquid import HyperliquidFills, HyperliquidLedger
from slackwater.sources.whales.transfer_file import TransferFile
from slackwater.sources.whales.whale_alert import WhaleAlert

__all__ = ["KINDS", "sources_of"]

KINDS: Final[Mapping[str, type[Any]]] = {
    "columns": TableFile,
    "transfers": TransferFile,
    "whale_alert": WhaleAlert,
    "hyperliquid_ledger": HyperliquidLedger,
    "hyperliquid_fills": HyperliquidFills,
    "from_transfers": FlowsFromTransfers,
}
"""The class that reads each kind. A new kind is one line here, and its options in `slackwater.config`."""


def sources_of(
    tables: Mapping[str, Mapping[str, Any] | Sequence[Mapping[str, Any]]] | None,
) -> dict[str, list[Source]] | None:
    """Return the sources of each table that options as in ``params.yaml`` describe; None for None.

    Parameters
    ----------
    tables
        Canonical name to the options of a source, or to a list of them; `kind` is by default ``"columns"``, and None
        stands for the default of an option.

    Raises
    ------
    ParameterError
        If a kind is unknown, or options contradict each other.
    """
    if tables is None:
        return None
    listed = {name: [given] if isinstance(given, Mapping) else given for name, given in tables.items()}
    return {name: [_source(each) for each in given] for name, given in listed.items()}


def _source(options: Mapping[str, Any]) -> Source:
    kind = options.get("kind", "columns")
    if kind not in KINDS:
        raise ParameterError(f"there is no kind `{kind}` of own files{did_you_mean(kind, KINDS)}")
    source: Source = KINDS[kind](
        **{name: value for name, value in options.items() if name != "kind" and value is not None}
    )
    return source
