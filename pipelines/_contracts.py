"""Contracts of the data set: the built-in facts, overridden by those of its entry."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines._stage import Stage
from slackwater.errors import ParameterError, SchemaError
from slackwater.market.contract_file import merge_contracts
from slackwater.market.contracts import Contract


def contracts_of(stage: Stage, symbols: Iterable[str] = ()) -> dict[str, Contract]:
    """Return the contracts that are traded, by symbol; each of `symbols` must have one.

    Raises
    ------
    SchemaError, ParameterError
        If the entry holds a value that a contract cannot have, or has no facts of a symbol; the message names the key.
    """
    dataset = stage.dataset
    where = f"params.yaml: datasets.{dataset.name}.contract_facts"
    try:
        contracts = merge_contracts(dataset.contract_facts, dataset.venue)
    except (SchemaError, ParameterError) as error:
        raise type(error)(f"{where}: {error}") from None
    lacking = sorted(set(symbols) - set(contracts))
    if lacking:
        own = dataset.venue if not dataset.synthetic else "VENUE"
        raise ParameterError(
            f"{where}: no facts of {', '.join(lacking)} at {dataset.venue}, whose trades could not be computed; known "
            f"are {', '.join(sorted(contracts))}. Add the lines that `slackwater contracts --venue {own} --symbols "
            f"{','.join(lacking)}` prints, or leave the symbols out of `datasets.{dataset.name}.symbols`"
        )
    return contracts
