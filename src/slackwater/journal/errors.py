"""Errors of the journal, a branch of the tree in `slackwater.errors`."""

from __future__ import annotations

from slackwater.errors import SlackwaterError

__all__ = ["BrokenChainError", "JournalBusyError", "JournalError", "OtherContentError"]


class JournalError(SlackwaterError):
    """A journal that cannot be read or written, or an event that must not be in it."""


class JournalBusyError(JournalError):
    """A journal that another process is writing."""


class BrokenChainError(JournalError):
    """A journal whose events are not those that were written: changed, taken away, added or in another order."""


class OtherContentError(JournalError):
    """An event is there already, with another content."""
