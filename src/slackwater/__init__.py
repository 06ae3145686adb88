"""Predict reversals after liquidation cascades, and gate every trade through rules that keep an account alive.

The public names are imported when they are first used.

>>> import slackwater as sw
>>> sw.Account(equity=10_000).equity
10000
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from slackwater.kernel_cache import use_cache_of_this_version

if TYPE_CHECKING:
    from slackwater.errors import BundleError, DataError, ParameterError, SlackwaterError
    from slackwater.features.checks import check_features
    from slackwater.features.engine import FeatureEngine
    from slackwater.market.frame import MarketFrame
    from slackwater.market.frame_row import FrameRow
    from slackwater.model_selection.walk_forward import PurgedWalkForward
    from slackwater.models.classifier import ReversalClassifier
    from slackwater.scoring.scorer import ReversalScorer
    from slackwater.trading.account import Account, OpenPosition
    from slackwater.trading.decision import Refusal, TradePlan
    from slackwater.trading.drawdown_control import TrackRecord
    from slackwater.trading.gate import Gate

__version__ = "0.1.0"

use_cache_of_this_version()

_HOMES = {
    "Account": "slackwater.trading.account",
    "BundleError": "slackwater.errors",
    "DataError": "slackwater.errors",
    "FeatureEngine": "slackwater.features.engine",
    "FrameRow": "slackwater.market.frame_row",
    "Gate": "slackwater.trading.gate",
    "MarketFrame": "slackwater.market.frame",
    "OpenPosition": "slackwater.trading.account",
    "ParameterError": "slackwater.errors",
    "PurgedWalkForward": "slackwater.model_selection.walk_forward",
    "Refusal": "slackwater.trading.decision",
    "ReversalClassifier": "slackwater.models.classifier",
    "ReversalScorer": "slackwater.scoring.scorer",
    "SlackwaterError": "slackwater.errors",
    "TrackRecord": "slackwater.trading.drawdown_control",
    "TradePlan": "slackwater.trading.decision",
    "check_features": "slackwater.features.checks",
}

__all__ = [
    "Account",
    "BundleError",
    "DataError",
    "FeatureEngine",
    "FrameRow",
    "Gate",
    "MarketFrame",
    "OpenPosition",
    "ParameterError",
    "PurgedWalkForward",
    "Refusal",
    "ReversalClassifier",
    "ReversalScorer",
    "SlackwaterError",
    "TrackRecord",
    "TradePlan",
    "__version__",
    "check_features",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
