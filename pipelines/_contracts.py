"""Contracts of the data set: the built-in facts, overridden by those of its entry."""

from __future__ import annotations

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
    dataset = stage.dataset
    try:
        return merge_contracts(dataset.contract_facts, dataset.venue)
    except (SchemaError, ParameterError) as error:
        raise type(error)(f"params.yaml: datasets.{dataset.name}.contract_facts: {error}") from None
