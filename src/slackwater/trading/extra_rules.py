"""Rules of the gate from outside the library: their requirements, and the refusal where one fails."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final, Protocol

from slackwater.errors import ParameterError
from slackwater.trading.account import Account
from slackwater.trading.reasons import CODES, Reason
from slackwater.trading.rules import EntryRules, SizingRules, switches
from slackwater.trading.score import Score

__all__ = ["GateRule", "check_rules", "reasons_of"]

_SNAKE_CASE: Final = re.compile(r"[a-z][a-z0-9_]*")
_MOST: Final = 100
"""Reasons that one rule may give; one that gives more does not end."""


class GateRule(Protocol):
    """A rule from outside the library; the gate refuses a score for which it yields a reason.

    `name` is its row in the rule ablation. The gate calls it only on signal events whose numbers are plausible.
    """

    @property
    def name(self) -> str:
        """Stable name in snake case, not that of a rule of the library."""

    def reasons(self, score: Score, account: Account, now: datetime) -> Iterator[Reason]:
        """Yield every reason not to trade on the score now, each with a stable code of its own."""


def check_rules(rules: Any) -> None:
    """Refuse rules from outside that the gate could not ask.

    Raises
    ------
    ParameterError
        If they are not a tuple of objects with a `name` of their own and a method `reasons(score, account, now)`.
    """
    if not isinstance(rules, tuple):
        raise ParameterError(f"`extra_rules` must be a tuple of rules, such as (MyRule(),), was {rules!r}")
    taken = {
        name
        for kind in (EntryRules, SizingRules)
        for field, switch in switches(kind)
        for name in (field, *(switch.toggles or ()))
    }
    names = []
    for rule in rules:
        where = f"`extra_rules`: {type(rule).__name__}"
        if isinstance(rule, type):
            raise ParameterError(
                f"`extra_rules` must hold rules, not the class {rule.__name__}: give {rule.__name__}()"
            )
        try:
            name, ask = rule.name, rule.reasons
            inspect.signature(ask).bind(None, None, None)
        except Exception as error:  # the code is the user's
            raise ParameterError(
                f"{where} must have a `name` and a method `reasons(score, account, now)`; "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(name, str) or not _SNAKE_CASE.fullmatch(name):
            raise ParameterError(f"{where}: `name` must be text in snake case, such as no_weekends, was {name!r}")
        if name in taken:
            raise ParameterError(f"{where}: `name` must not be that of a rule of the library, was {name!r}")
        names.append(name)
    if len(set(names)) < len(names):
        raise ParameterError(f"`extra_rules` must have different names, were {names}")


def reasons_of(rule: GateRule, score: Score, account: Account, now: datetime) -> list[Reason]:
    """Return the reasons of a rule from outside; if it fails, also a reason that names it.

    A score is refused rather than traded past a rule that did not work, and the other reasons are not lost.
    """
    out: list[Reason] = []
    try:
        given = iter(rule.reasons(score, account, now))
        for reason in given:
            if wrong := _wrong(reason):
                return [*out, _failed(rule, wrong)]
            out.append(reason)
            if len(out) > _MOST:
                return [*out[:1], _failed(rule, f"gives more than {_MOST} reasons")]
    except Exception as error:  # the code is the user's
        return [*out, _failed(rule, f"raised {type(error).__name__}: {error}")]
    return out


def _wrong(reason: Any) -> str:
    if not isinstance(reason, Reason):
        return f"must yield Reason, yielded {reason!r}"
    if not isinstance(reason.code, str) or not _SNAKE_CASE.fullmatch(reason.code):
        return f"must give codes in snake case, gave {reason.code!r}"
    if reason.code in CODES:
        return f"must give codes of its own, gave `{reason.code}` of the library with: {reason.message}"
    if not isinstance(reason.message, str) or not reason.message.strip():
        return f"must give a sentence with the code `{reason.code}`, gave {reason.message!r}"
    return ""


def _failed(rule: GateRule, what: str) -> Reason:
    return Reason("rule_failed", f"the rule `{rule.name}` ({type(rule).__name__}) {what}")
