"""The readers of the venues' streams, one module per venue."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from slackwater.feed.readers.reader import Reader
from slackwater.market.venues import EXCHANGES

__all__ = ["READERS"]

READERS: Final[dict[str, Reader]] = {
    name: import_module(f"slackwater.feed.readers.{name}").READER for name in EXCHANGES
}
"""The readers by name of the venue."""
