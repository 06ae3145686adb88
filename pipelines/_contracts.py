"""Contracts of the data set: the built-in facts, overridden by those of its entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipelines._stage import Stage
from slackwater.errors import ParameterError, SchemaError
from slackwater.market.contract_file import merge_contracts
from slackwater.market.contracts import Contract

LISTED = 3
"""Symbols that a sentence lists."""


def contracts_of(stage: Stage, symbols: Iterable[str]) -> dict[str, Contract]:
    """Return the contracts that are traded, by symbol; `symbols` are those of the bars.

    Raises
    ------
    SchemaError, ParameterError
        If the entry holds a value that a contract cannot have; the message names the key.
    """
    return _merged(stage, stage.dataset, symbols)


def assumed_alike(stage: Stage, symbols: Iterable[str]) -> list[str]:
    """Return one sentence about the symbols whose contracts are not known, and what that means; none if all are."""
    found, dataset = list(symbols), stage.dataset
    assumed = sorted(_merged(stage, dataset, found).keys() - _merged(stage, dataset, ()).keys())
    if not assumed:
        return []
    more = f" and {len(assumed) - LISTED} more" if len(assumed) > LISTED else ""
    return [
        f"the contracts of {', '.join(assumed[:LISTED])}{more} are not known: their fees, spreads, order steps and "
        f"margin tiers are assumed to be alike ({stage.entry}contract_facts.others). Directions do not depend on them; "
        "results in money and in R are an illustration"
    ]


def require_facts(stage: Stage, symbols: Iterable[str]) -> None:
    """Raise ParameterError if there are no facts of a symbol: `label` would find out after the long stages.

    Nothing that is written depends on this check, so that a stage need not declare what it reads here.
    """
    dataset, wanted = stage.for_checks.dataset, set(symbols)
    known = _merged(stage, dataset, wanted)
    lacking = sorted(wanted - known.keys())
    if lacking:
        venue = "VENUE" if dataset.synthetic else dataset.venue
        more = f" and {len(lacking) - 10} more" if len(lacking) > 10 else ""
        raise ParameterError(
            f"{stage.entry}contract_facts: no facts of {', '.join(lacking[:10])}{more} at {dataset.venue}, which "
            f"trades need; known are {', '.join(sorted(known))}. Add the lines that `slackwater contracts --venue "
            f"{venue} --symbols {','.join(lacking[:10])}` prints, give one set of facts under `others` that is "
            f"assumed for all of them, or leave the symbols out of {stage.entry}symbols"
        )


def _merged(stage: Stage, dataset: Any, symbols: Iterable[str]) -> dict[str, Contract]:
    try:
        return merge_contracts(dataset.contract_facts, dataset.venue, symbols)
    except (SchemaError, ParameterError) as error:
        raise type(error)(f"{stage.entry}contract_facts: {error}") from None
