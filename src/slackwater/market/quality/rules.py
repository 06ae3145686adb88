"""The rules that flag rows of one table of one symbol: name, tables, limit and explanation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from slackwater.market.bars import impossible_bars
from slackwater.market.quality import funding as of_funding
from slackwater.market.quality.halts import after_settlement, moved_without_trades, without_trades
from slackwater.market.quality.levels import (
    depth_in_other_unit,
    interest_in_other_unit,
    price_in_other_unit,
    volume_in_other_unit,
)
from slackwater.market.quality.open_interest import recount, zero_open_interest
from slackwater.market.quality.prints import far_wick, lone_print
from slackwater.market.quality.stale import frozen_depth, frozen_open_interest, repeated_bar
from slackwater.market.quality.traded import Traded
from slackwater.types import Bools

__all__ = ["FINEST", "ROW_LIMIT", "RULES", "SPAN_LIMIT", "Rule"]

FINEST: Final = ("fine_bars", "bars")
ROW_LIMIT: Final = 0.01
"""Share of a symbol's rows above which an impossible value is not an accident, and the table is refused, not masked."""
SPAN_LIMIT: Final = 0.05
"""The same for lasting defects, such as an outage: every venue has bad days, but no usable one is bad for weeks per
year."""
ANY_BUT_ALL: Final = 1.0 - 1e-12
"""The same for rows after the end of a contract, which may be most of them."""

Find = Callable[[pd.DataFrame, Traded | None], Bools]


@dataclass(frozen=True)
class Rule:
    """A rule that flags rows of some tables; a symbol with a larger share of them than `limit` is refused.

    Rows that are only `recorded` stay, whatever their share.
    """

    name: str
    tables: tuple[str, ...]
    limit: float
    note: str
    find: Find
    action: Literal["masked", "recorded"] = "masked"


def _alone(find: Callable[[pd.DataFrame], Bools]) -> Find:
    """Return a rule's function from one that needs the rows alone."""
    return lambda rows, _: find(rows)


RULES: Final[tuple[Rule, ...]] = (
    Rule("ohlc_violation", FINEST, ROW_LIMIT, "high and low do not enclose open and close", _alone(impossible_bars)),
    Rule(
        "without_trades",
        FINEST,
        ANY_BUT_ALL,
        "bars without a trade for far longer than is usual: settled, delisted, halted, or not yet listed",
        _alone(without_trades),
    ),
    Rule(
        "moved_without_trades",
        FINEST,
        SPAN_LIMIT,
        "the volume is 0 although the price moved within the bar: one of the two is wrong",
        _alone(moved_without_trades),
    ),
    Rule(
        "repeated_bar",
        FINEST,
        ROW_LIMIT,
        "prices and volume of the bar before: a gap that was filled",
        _alone(repeated_bar),
    ),
    Rule(
        "unit_switch",
        (*FINEST, "mark_price"),
        SPAN_LIMIT,
        "the price stands apart by a factor of 5 or more: another unit",
        _alone(price_in_other_unit),
    ),
    Rule(
        "unit_switch",
        FINEST,
        SPAN_LIMIT,
        "the volume of the day stands apart by a factor of 30 or more, and neither trades nor range do: another unit",
        _alone(volume_in_other_unit),
    ),
    Rule(
        "lone_print",
        (*FINEST, "mark_price"),
        ROW_LIMIT,
        "high or low is beyond every other price of the bar and of the one before by a factor of 2 or more, and no "
        "volume came with it",
        _alone(lone_print),
    ),
    Rule(
        "far_wick",
        (*FINEST, "mark_price"),
        1.0,
        "high or low is beyond every other price of the bar and of the one before by a factor of 2 or more: a market "
        "can make it, so compare it with another source",
        _alone(far_wick),
        action="recorded",
    ),
    Rule(
        "zero_open_interest",
        ("open_interest",),
        ROW_LIMIT,
        "a perpetual that trades has open interest",
        _alone(zero_open_interest),
    ),
    Rule(
        "unit_switch",
        ("open_interest",),
        SPAN_LIMIT,
        "open interest stands apart by a factor of 5 or more, beyond all that traded: contracts, USD or coins?",
        interest_in_other_unit,
    ),
    Rule(
        "frozen_open_interest",
        ("open_interest",),
        SPAN_LIMIT,
        "unchanged for 3 hours or more while the market traded",
        frozen_open_interest,
    ),
    Rule("recount", ("open_interest",), ROW_LIMIT, "a change that the volume of the time does not explain", recount),
    Rule(
        "unit_switch",
        ("depth",),
        SPAN_LIMIT,
        "the depth of the day stands apart by a factor of 30 or more: another unit",
        _alone(depth_in_other_unit),
    ),
    Rule("stale_depth", ("depth",), SPAN_LIMIT, "a band unchanged for an hour or more", _alone(frozen_depth)),
    Rule(
        "after_settlement",
        ("funding",),
        ANY_BUT_ALL,
        "later than the last trade of a contract that was settled or delisted: nobody pays it",
        after_settlement,
    ),
    Rule(
        "impossible_funding",
        ("funding",),
        ROW_LIMIT,
        "beyond 4 % per interval, or a table in percent and not in fractions",
        _alone(of_funding.impossible_rate),
    ),
    Rule(
        "off_schedule",
        ("funding",),
        SPAN_LIMIT,
        "not at the minute of the settlements: a predicted rate, or another table",
        _alone(of_funding.off_schedule),
    ),
    Rule(
        "interval_mismatch",
        ("funding",),
        SPAN_LIMIT,
        "`interval_hours` is longer than the time since the row before",
        _alone(of_funding.interval_mismatch),
    ),
    Rule(
        "impossible_premium",
        ("premium_index",),
        ROW_LIMIT,
        "beyond 25 %, or a table in percent and not in fractions",
        _alone(of_funding.impossible_premium),
    ),
)
"""The rules in their order: a later rule sees the rows that the earlier ones left."""
