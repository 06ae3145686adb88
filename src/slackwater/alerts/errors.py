"""Errors of the alerts, a branch of the tree in `slackwater.errors`."""

from __future__ import annotations

from slackwater.errors import SlackwaterError

__all__ = ["AlertError", "OtherJournalError"]


class AlertError(SlackwaterError):
    """A record of what was sent that is damaged, in use or cannot be written."""


class OtherJournalError(AlertError):
    """A journal that is not the one that the record of what was sent belongs to."""
