"""The settings of a market frame: grid, decision, staleness, and the tables that it joins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any

from slackwater.errors import ParameterError
from slackwater.market.inputs import INPUTS
from slackwater.market.tables import TABLES, Table
from slackwater.settings import PositiveDuration, Within, check_settings
from slackwater.times import DAY, microseconds

__all__ = ["FrameSpec"]


@dataclass(frozen=True, kw_only=True)
class FrameSpec:
    """Settings of a market frame, for history and live alike.

    Parameters
    ----------
    bar_interval
        Spacing of the bars, positive.
    decision_lag
        Time from the close of a bar to its decision, not negative: the row of the bar closing at T uses rows with
        ``available_time <= T + decision_lag`` and no others.
    staleness
        Overrides, by table, of the age beyond which a table counts as silent.
    liquidation_cap
        Slot in which the feed publishes at most one liquidation per symbol (Binance: one second). None: it publishes
        every one.
    tables
        The canonical tables, then those from outside: ``(*TABLES, MY_TABLE)``. Their inputs follow the built-in ones.

    Raises
    ------
    ParameterError
        If a duration is out of range, `staleness` names a table that is not joined, or `tables` repeat a name, feed an
        input twice, or do not begin with the canonical ones.

    Examples
    --------
    >>> spec = FrameSpec(bar_interval=timedelta(minutes=5), decision_lag=timedelta(seconds=5))
    >>> spec.inputs == INPUTS, FrameSpec.from_dict(spec.to_dict()) == spec
    (True, True)
    """

    bar_interval: PositiveDuration
    decision_lag: Annotated[timedelta, Within(ge=timedelta(0))]
    staleness: Mapping[str, timedelta] = field(default_factory=dict)
    liquidation_cap: PositiveDuration | None = None
    tables: tuple[Table, ...] = TABLES

    def __post_init__(self) -> None:
        """Check the settings, and complete `staleness` with the defaults of the tables."""
        check_settings(self)
        own = self.tables[len(TABLES) :]
        names = [table.name for table in self.tables]
        new = [name for table in own for name in table.inputs]
        if self.tables[: len(TABLES)] != TABLES or len(set(names)) < len(names):
            raise ParameterError(f"`tables` must be the canonical ones, then others of new names; was {names}")
        if len({*INPUTS, *new}) < len(INPUTS) + len(new):
            raise ParameterError(f"`tables` must feed inputs of new names, fed {new}")
        if unjoined := [table.name for table in own if table.inputs and table.join is None]:
            raise ParameterError(f"`tables`: {unjoined} have inputs and no join")
        defaults = {table.name: table.staleness for table in self.tables if table.staleness is not None}
        if unknown := sorted(set(self.staleness) - set(defaults)):
            raise ParameterError(f"`staleness` names unknown tables {unknown}; there are {sorted(defaults)}")
        object.__setattr__(self, "staleness", defaults | dict(self.staleness))
        if short := {name: limit for name, limit in self.staleness.items() if limit <= timedelta(0)}:
            raise ParameterError(f"`staleness` must be positive, was {short}")

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs of a row: the built-in ones, then those of the tables from outside."""
        return tuple(dict.fromkeys(name for table in self.tables for name in table.inputs))

    @cached_property
    def signed(self) -> tuple[int, ...]:
        """Positions of the inputs that may be negative."""
        return tuple(self.inputs.index(name) for table in self.tables for name in table.signed)

    @cached_property
    def bars_per_day(self) -> int:
        """Bars from a close to that of 24 h before; 0 where no bar closes then."""
        return 0 if DAY % self.bar_interval else DAY // self.bar_interval

    def table(self, name: str) -> Table | None:
        """Return the table of a name that the frame reads, None if there is none."""
        return next((table for table in self.tables if table.name == name and table.inputs), None)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values for JSON; tables from outside by name, durations in microseconds."""
        cap = self.liquidation_cap
        return {
            "bar_interval_us": microseconds(self.bar_interval),
            "decision_lag_us": microseconds(self.decision_lag),
            "staleness_us": {name: microseconds(limit) for name, limit in self.staleness.items()},
            "liquidation_cap_us": None if cap is None else microseconds(cap),
            "outside_tables": [table.name for table in self.tables[len(TABLES) :]],
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], *, tables: tuple[Table, ...] = TABLES) -> FrameSpec:
        """Build the settings from what `to_dict` returned, with the tables that they were made with.

        Raises
        ------
        ParameterError
            If a setting is missing, of another type or out of range, or the tables from outside differ.
        """
        try:
            given = [table.name for table in tables[len(TABLES) :]]
            if given != list(content["outside_tables"]):
                raise ParameterError(
                    f"the frame was made with the tables {list(content['outside_tables'])} from outside, got {given}"
                )
            cap = content["liquidation_cap_us"]
            return cls(
                bar_interval=timedelta(microseconds=content["bar_interval_us"]),
                decision_lag=timedelta(microseconds=content["decision_lag_us"]),
                staleness={name: timedelta(microseconds=us) for name, us in content["staleness_us"].items()},
                liquidation_cap=None if cap is None else timedelta(microseconds=cap),
                tables=tables,
            )
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ParameterError(f"the settings of a market frame are incomplete or of another type: {error}") from None
