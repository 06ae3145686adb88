"""Contracts of the data set: the built-in facts, overridden by those of its entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipelines._stage import Stage
from slackwater.errors import ParameterError, SchemaError
from slackwater.market.contract_file import merge_contracts
from slackwater.market.contracts import Contract


def contracts_of(stage: Stage) -> dict[str, Contract]:
    """Return the contracts that are traded, by symbol.

    Raises
    ------
    SchemaError, ParameterError
        If the entry holds a value that a contract cannot have; the message names the key.
    """
    return _merged(stage, stage.dataset)


def require_facts(stage: Stage, symbols: Iterable[str]) -> None:
    """Raise ParameterError if there are no facts of a symbol: `label` would find out after the long stages.

    Nothing that is written depends on this check, so that a stage need not declare what it reads here.
    """
    dataset = stage.for_checks.dataset
    known = _merged(stage, dataset)
    lacking = sorted(set(symbols) - known.keys())
    if lacking:
        venue = "VENUE" if dataset.synthetic else dataset.venue
        raise ParameterError(
            f"{stage.entry}contract_facts: no facts of {', '.join(lacking[:10])} at {dataset.venue}, which trades need"
            f"; known are {', '.join(sorted(known))}. Add the lines that `slackwater contracts --venue "
            f"{venue} --symbols {','.join(lacking[:10])}` prints, or leave the symbols out of {stage.entry}symbols"
        )


def _merged(stage: Stage, dataset: Any) -> dict[str, Contract]:
    try:
        return merge_contracts(dataset.contract_facts, dataset.venue)
    except (SchemaError, ParameterError) as error:
        raise type(error)(f"{stage.entry}contract_facts: {error}") from None
