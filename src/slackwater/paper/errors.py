"""Errors of paper trading."""

from __future__ import annotations

from slackwater.errors import SlackwaterError

__all__ = ["PaperError"]


class PaperError(SlackwaterError):
    """Paper trading cannot start or go on; the message names why and what to do."""
