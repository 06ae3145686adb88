"""The venues' own formats: subscriptions, messages and answers, one module per venue."""

from __future__ import annotations

from typing import Final

from slackwater.venue.dialects.binance import Binance
from slackwater.venue.dialects.bybit import Bybit
from slackwater.venue.dialects.dialect import Dialect
from slackwater.venue.dialects.gate import Gate
from slackwater.venue.dialects.okx import Okx

__all__ = ["DIALECTS"]

DIALECTS: Final[dict[str, Dialect]] = {"binance": Binance(), "bybit": Bybit(), "okx": Okx(), "gate": Gate()}
"""The formats by the name of the venue."""
