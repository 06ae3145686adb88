"""The venues' own formats: subscriptions, messages and answers, one module per venue."""

from __future__ import annotations

from typing import Final

from slackwater.venue.dialects.binance import Binance
from slackwater.venue.dialects.dialect import Dialect

__all__ = ["DIALECTS"]

DIALECTS: Final[dict[str, Dialect]] = {"binance": Binance()}
"""The formats by the name of the venue."""
