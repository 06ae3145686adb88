"""The sources of a table in ``params.yaml``: the options of each kind of own files.

The classes of `slackwater.sources.own_files.kinds` take the same options, describe them and have their defaults; None
stands for the default.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from slackwater.config.derived import Section
from slackwater.config.fields import Duration, InRepository, Offset, OptionalDuration, Positive, Time
from slackwater.errors import did_you_mean
from slackwater.times import DAY

__all__ = ["KINDS", "TableSources"]


def _zoned(value: Any) -> Any:
    if value.tzinfo is None:
        raise ValueError(f"must carry a time zone, such as 2024-01-01T00:00:00Z, was {value}")
    return value


KnownSince = Annotated[Time, AfterValidator(_zoned)]


class _Source(Section):
    table: ClassVar[str] = ""  # the only table that the kind makes; empty: any
    needs: ClassVar[str] = ""  # the table that it is computed from

    @property
    def files(self) -> list[str]:
        """Names of the files that it reads."""
        return [value for name in ("file", "beside", "labels") if (value := getattr(self, name, None)) is not None]


_Name = str | Annotated[int, Field(ge=0)]


class _ColumnMap(_Source):
    beside: InRepository | None = None
    beside_on: dict[str, str] = Field(default_factory=dict)
    columns: dict[str, _Name | Annotated[list[_Name], Field(min_length=1)]] = Field(default_factory=dict)
    constants: dict[str, str | float] = Field(default_factory=dict)
    values: dict[str, dict[str, str]] = Field(default_factory=dict)
    scale: dict[str, Annotated[float, Field(gt=0.0)]] = Field(default_factory=dict)
    per: dict[str, _Name] = Field(default_factory=dict)
    utc_offset: Offset | None = None

    @model_validator(mode="after")
    def _second_file_is_matched(self) -> _ColumnMap:
        if bool(self.beside) != bool(self.beside_on):
            raise ValueError("give `beside`, a second file, and `beside_on`, by which columns it is matched, together")
        return self


class Columns(_ColumnMap):
    """See `slackwater.sources.own_files.table_file.TableFile`."""

    kind: Literal["columns"] = "columns"
    file: InRepository
    bar_length: Positive | None = None
    repeated_for: Positive | None = None
    available_after: Duration | None = None
    known_since: KnownSince | None = None

    @field_validator("repeated_for")
    @classmethod
    def _repeats_divide_a_day(cls, value: timedelta | None) -> timedelta | None:
        if value is not None and DAY % value:
            raise ValueError(f"must divide a day, such as 8h, so that rows repeat from 00:00 UTC on; was {value}")
        return value


class _Transfers(_Source):
    table: ClassVar[str] = "whale_transfers"
    file: InRepository
    indexer_lag: OptionalDuration = None
    min_usd: Annotated[float, Field(ge=0.0)] | None = None


class _LabelledTransfers(_Transfers):
    known_since: KnownSince | None = None
    labels: InRepository | None = None
    symbols: dict[str, str] = Field(default_factory=dict)
    confirmation: dict[str, Duration] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _labels_are_dated(self) -> _LabelledTransfers:
        if (self.known_since is None) == (self.labels is None):
            raise ValueError(
                "give either `known_since`, the time since which the labels in the file stand as they are, or "
                "`labels`, a label file: providers restate labels, and a history of today holds what was not known then"
            )
        return self


class Transfers(_LabelledTransfers, _ColumnMap):
    """See `slackwater.sources.whales.transfer_file.TransferFile`."""

    kind: Literal["transfers"]


class WhaleAlert(_LabelledTransfers):
    """See `slackwater.sources.whales.whale_alert.WhaleAlert`."""

    kind: Literal["whale_alert"]


class HyperliquidLedger(_Transfers):
    """See `slackwater.sources.whales.hyperliquid.HyperliquidLedger`."""

    kind: Literal["hyperliquid_ledger"]
    user: str | None = None


class HyperliquidFills(_Source):
    """See `slackwater.sources.whales.hyperliquid.HyperliquidFills`."""

    table: ClassVar[str] = "large_trades"
    kind: Literal["hyperliquid_fills"]
    file: InRepository
    symbols: dict[str, str] = Field(default_factory=dict)
    indexer_lag: OptionalDuration = None
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    floor_usd: Annotated[float, Field(ge=0.0)] | None = None
    window: OptionalDuration = None
    warm_up: OptionalDuration = None


class FromTransfers(_Source):
    """See `slackwater.sources.whales.flows.FlowsFromTransfers`."""

    table: ClassVar[str] = "exchange_flows"
    needs: ClassVar[str] = "whale_transfers"
    kind: Literal["from_transfers"]
    bucket: Positive


KINDS: Final[dict[str, type[Any]]] = {
    "columns": Columns,
    "transfers": Transfers,
    "whale_alert": WhaleAlert,
    "hyperliquid_ledger": HyperliquidLedger,
    "hyperliquid_fills": HyperliquidFills,
    "from_transfers": FromTransfers,
}


def _kind(value: Any) -> str:
    return str(value.get("kind", "columns") if isinstance(value, dict) else getattr(value, "kind", "columns"))


def _known_kind(value: Any) -> Any:
    if _kind(value) not in KINDS:
        raise ValueError(f"there is no kind `{_kind(value)}` of own files{did_you_mean(_kind(value), KINDS)}")
    return value


def _tag(value: Any) -> str:
    return f"kind {_kind(value)}"


_OneSource = Annotated[
    Annotated[Columns, Tag("kind columns")]
    | Annotated[Transfers, Tag("kind transfers")]
    | Annotated[WhaleAlert, Tag("kind whale_alert")]
    | Annotated[HyperliquidLedger, Tag("kind hyperliquid_ledger")]
    | Annotated[HyperliquidFills, Tag("kind hyperliquid_fills")]
    | Annotated[FromTransfers, Tag("kind from_transfers")],
    Discriminator(_tag),
    BeforeValidator(_known_kind),
]
TableSources = Annotated[
    Annotated[_OneSource, Tag("kind one")] | Annotated[list[_OneSource], Field(min_length=1), Tag("kind several")],
    Discriminator(lambda value: "kind several" if isinstance(value, list) else "kind one"),
]
"""The source of a table, or a list of sources whose rows are joined."""
