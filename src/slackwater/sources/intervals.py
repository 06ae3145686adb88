"""The intervals of bars that can be fetched."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from slackwater.durations import parse_duration

__all__ = ["INTERVALS"]

INTERVALS: Final[dict[str, timedelta]] = {name: parse_duration(name) for name in ("1m", "5m", "15m", "1h")}
"""Durations by name."""
