"""Predict reversals after liquidation cascades, and gate every trade through rules that keep an account alive.

The public names are imported when they are first used; type checkers read the imports below.

>>> import slackwater as sw
>>> sw.Account(equity=10_000).equity
10000
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from slackwater.kernel_cache import use_cache_of_this_version

if TYPE_CHECKING:
    from slackwater.errors import BundleError as BundleError
    from slackwater.errors import DataError as DataError
    from slackwater.errors import ParameterError as ParameterError
    from slackwater.errors import SlackwaterError as SlackwaterError
    from slackwater.features.checks import check_features as check_features
    from slackwater.features.engine import FeatureEngine as FeatureEngine
    from slackwater.market.frame import MarketFrame as MarketFrame
    from slackwater.market.frame_row import FrameRow as FrameRow
    from slackwater.market.inputs import INPUT_TABLES as INPUT_TABLES
    from slackwater.market.spec import FrameSpec as FrameSpec
    from slackwater.model_selection.combinatorial import CombinatorialPurgedCV as CombinatorialPurgedCV
    from slackwater.model_selection.symbols import LeaveOneSymbolOut as LeaveOneSymbolOut
    from slackwater.model_selection.walk_forward import PurgedWalkForward as PurgedWalkForward
    from slackwater.models.classifier import ReversalClassifier as ReversalClassifier
    from slackwater.scoring.scorer import ReversalScorer as ReversalScorer
    from slackwater.scoring.session import Session as Session
    from slackwater.storage import read_arrays as read_arrays
    from slackwater.storage import read_tables as read_tables
    from slackwater.storage import write_arrays as write_arrays
    from slackwater.trading.account import Account as Account
    from slackwater.trading.account import OpenPosition as OpenPosition
    from slackwater.trading.decision import Refusal as Refusal
    from slackwater.trading.decision import TradePlan as TradePlan
    from slackwater.trading.drawdown_control import TrackRecord as TrackRecord
    from slackwater.trading.gate import Gate as Gate

__version__ = "0.1.0"

use_cache_of_this_version()

_EXPORTS = {
    "slackwater.errors": ["BundleError", "DataError", "ParameterError", "SlackwaterError"],
    "slackwater.features.checks": ["check_features"],
    "slackwater.features.engine": ["FeatureEngine"],
    "slackwater.market.frame": ["MarketFrame"],
    "slackwater.market.frame_row": ["FrameRow"],
    "slackwater.market.inputs": ["INPUT_TABLES"],
    "slackwater.market.spec": ["FrameSpec"],
    "slackwater.model_selection.combinatorial": ["CombinatorialPurgedCV"],
    "slackwater.model_selection.symbols": ["LeaveOneSymbolOut"],
    "slackwater.model_selection.walk_forward": ["PurgedWalkForward"],
    "slackwater.models.classifier": ["ReversalClassifier"],
    "slackwater.scoring.scorer": ["ReversalScorer"],
    "slackwater.scoring.session": ["Session"],
    "slackwater.storage": ["read_arrays", "read_tables", "write_arrays"],
    "slackwater.trading.account": ["Account", "OpenPosition"],
    "slackwater.trading.decision": ["Refusal", "TradePlan"],
    "slackwater.trading.drawdown_control": ["TrackRecord"],
    "slackwater.trading.gate": ["Gate"],
}
_HOMES = {name: module for module, names in _EXPORTS.items() for name in names}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        from slackwater.errors import missing_extra

        raise missing_extra(error) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
