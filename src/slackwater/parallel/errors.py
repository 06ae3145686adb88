"""Errors of workers."""

from __future__ import annotations

from slackwater.errors import SlackwaterError

__all__ = ["WorkerError"]


class WorkerError(SlackwaterError):
    """Workers that cannot be reached, that differ from this process, or that were lost too often."""
