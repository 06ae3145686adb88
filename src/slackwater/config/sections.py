"""The sections of ``params.yaml``, typed: what they may hold, and what they must agree on."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from slackwater.config.derived import Section, SettingsSection, section
from slackwater.config.fields import Duration, InRepository, OptionalDuration, Positive, TableName, Time
from slackwater.config.own_files import TableSources
from slackwater.durations import duration_text
from slackwater.errors import did_you_mean
from slackwater.features import parameters
from slackwater.market.spec import FrameSpec
from slackwater.market.tables import LAGS
from slackwater.market.venues import VENUES
from slackwater.metrics.bootstrap_settings import EvaluationSettings
from slackwater.models.parameters import ModelParameters, WalkForward
from slackwater.trading.rules import (
    LONGEST_HORIZON,
    BracketRules,
    CostAssumptions,
    DrawdownRules,
    EntryRules,
    SizingRules,
)

__all__ = ["Dataset", "Params"]


def _with_a_date_as_text(facts: Any) -> Any:
    """YAML reads 2026-11-25 as a date; JSON cannot."""
    if isinstance(facts, dict) and isinstance(facts.get("as_of"), date):
        return facts | {"as_of": facts["as_of"].isoformat()}
    return facts


def _venue(name: str) -> str:
    if name not in VENUES:
        raise ValueError(f"there is no venue `{name}`{did_you_mean(name, VENUES)}")
    return name


class Market(Section):
    """Grid, decision and availability; `available_after` and `staleness` list what differs from the tables' own."""

    READS: ClassVar = {
        "lags": ("available_after",),
        "spec": ("bar_interval", "decision_lag", "staleness", "liquidation_cap"),
    }
    """The keys that a property is made of."""

    bar_interval: Positive
    fine_bar_interval: Positive
    decision_lag: Duration
    available_after: dict[TableName, Duration] = Field(default_factory=dict)
    staleness: dict[TableName, Duration] = Field(default_factory=dict)
    liquidation_cap: OptionalDuration = None

    @property
    def lags(self) -> dict[str, timedelta]:
        """Availability lag of every canonical table."""
        return LAGS | self.available_after

    @property
    def spec(self) -> FrameSpec:
        """Settings of the market frame."""
        return FrameSpec(
            bar_interval=self.bar_interval,
            decision_lag=self.decision_lag,
            staleness=self.staleness,
            liquidation_cap=self.liquidation_cap,
        )

    @model_validator(mode="after")
    def _consistent(self) -> Market:
        self.spec  # noqa: B018 -- checks what a frame can be made with
        if self.bar_interval % self.fine_bar_interval:
            raise ValueError("`bar_interval` must be a multiple of `fine_bar_interval`")
        if self.lags["bars"] > self.decision_lag:
            raise ValueError("`decision_lag` must not be below `available_after.bars`: a bar counts at its own close")
        return self


ExtraFamily = Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")]
"""A family from outside of the library, ``module:Class``."""


class Features(Section):
    """Parameters of the feature families by family, and families from outside (docs/own_features.md)."""

    volatility: section(parameters.VolatilityParameters)  # type: ignore[valid-type]
    price: section(parameters.PriceParameters)  # type: ignore[valid-type]
    regime: section(parameters.RegimeParameters)  # type: ignore[valid-type]
    open_interest: section(parameters.OpenInterestParameters)  # type: ignore[valid-type]
    funding: section(parameters.FundingParameters)  # type: ignore[valid-type]
    liquidations: section(parameters.LiquidationsParameters)  # type: ignore[valid-type]
    liquidation_density: section(parameters.LiquidationDensityParameters)  # type: ignore[valid-type]
    sweeps: section(parameters.SweepsParameters)  # type: ignore[valid-type]
    whale_flows: section(parameters.WhaleFlowsParameters)  # type: ignore[valid-type]
    order_flow: section(parameters.OrderFlowParameters)  # type: ignore[valid-type]
    triggers: section(parameters.TriggersParameters)  # type: ignore[valid-type]
    extra: tuple[ExtraFamily, ...] = ()
    extra_parameters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Of the families in `extra`, by name, as YAML reads them; `slackwater.config.family_settings` types them."""

    def of_the_library(self) -> dict[str, Any]:
        """Return the parameters of the families of slackwater alone, for which no module is imported."""
        return self.model_dump(exclude={"extra", "extra_parameters"})

    @model_validator(mode="before")
    @classmethod
    def _sections_of_extra_families(cls, data: Any) -> Any:
        """Take sections that only a family from outside can own for its parameters; their names are checked later."""
        if not isinstance(data, dict) or not data.get("extra"):
            return {**data, "extra": ()} if isinstance(data, dict) and data.get("extra") == [] else data
        own = {key: value for key, value in data.items() if key not in cls.model_fields}
        rest = {key: value for key, value in data.items() if key in cls.model_fields}
        extra = data["extra"]
        if not isinstance(rest.get("extra_parameters", {}), dict):
            return rest  # refused by its type
        rest["extra"] = tuple(extra) if isinstance(extra, list) else extra
        if wrong := [name for name, parameters in own.items() if not isinstance(parameters, dict)]:
            raise ValueError(f"`features.{wrong[0]}` must be a mapping of parameters, was {own[wrong[0]]!r}")
        return {**rest, "extra_parameters": {**rest.get("extra_parameters", {}), **own}}


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError(f"must be distinct names, were {', '.join(names)}")
    return names


TriggerNames = Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1), AfterValidator(_distinct)]
"""Outputs of the feature families with the role trigger, in order of precedence; which there are, the stages see."""


class Labels(Section):
    """Which bars are events, the triple barrier, weights, and the trade of each event."""

    triggers: TriggerNames
    sampling: TriggerNames
    horizon: Annotated[Positive, Field(le=LONGEST_HORIZON)]
    horizons: list[Positive]
    reversal_multiple: Annotated[float, Field(gt=0.0)]
    continuation_multiple: Annotated[float, Field(gt=0.0)]
    symbol_correlation: Annotated[float, Field(ge=0.0, le=1.0)]
    reference_notional_usd: Annotated[float, Field(gt=0.0)]


class Trading(Section):
    """The gate and its rules; stops, targets and costs stand in their own sections, because labels need them too."""

    initial_equity: Annotated[float, Field(gt=0.0)]
    entry: section(EntryRules)  # type: ignore[valid-type]
    rules: section(SizingRules)  # type: ignore[valid-type]
    drawdown_control: section(DrawdownRules)  # type: ignore[valid-type]


class Tracking(Section):
    """MLflow."""

    experiment: Annotated[str, Field(min_length=1)]


class SimulateSource(Section):
    """A market made by `slackwater.simulation`."""

    start: Time
    end: Time
    seed: Annotated[int, Field(ge=0)]
    signal: Annotated[float, Field(ge=0.0, le=1.0)]
    whale_signal: Annotated[float, Field(ge=0.0, le=1.0)]

    @model_validator(mode="after")
    def _forwards(self) -> SimulateSource:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("`start` and `end` must carry a time zone, such as 2023-01-01T00:00:00Z")
        if self.end <= self.start:
            raise ValueError(f"`end` must be after `start`, was {self.end} and {self.start}")
        return self


class Dataset(Section):
    """One entry of ``datasets``, without its overrides.

    The stages read the rows of files after `start` and up to `end`; `slackwater evaluate` reads all.
    `contract_facts` is checked by `slackwater.market.contract_file`.
    """

    READS: ClassVar = {"synthetic": ("venue",)}
    """The keys that a property is made of."""

    name: str
    source: Literal["simulate", "parquet"]
    venue: Annotated[str, AfterValidator(_venue)]
    symbols: Annotated[list[str], Field(min_length=1)] | None = None
    simulate: SimulateSource | None = None
    path: InRepository | None = None
    tables: dict[TableName, TableSources] | None = None
    sha256: dict[str, str] = Field(default_factory=dict)
    start: Time | None = None
    end: Time | None = None
    contract_facts: Annotated[dict[str, Any], BeforeValidator(_with_a_date_as_text)] | None = None

    @property
    def synthetic(self) -> bool:
        """Whether the market is simulated, here or by the author of the files."""
        return self.venue == "simulated"

    @model_validator(mode="after")
    def _complete(self) -> Dataset:
        if self.symbols is not None and len(set(self.symbols)) != len(self.symbols):
            raise ValueError(f"`symbols` repeats itself: {self.symbols}")
        if self.source == "simulate":
            if self.simulate is None or self.symbols is None:
                raise ValueError("a simulated data set needs `symbols` and `simulate`")
            if self.path is not None or self.tables is not None or self.sha256:
                raise ValueError("a simulated data set has no `path`, `tables` or `sha256`")
            if self.start or self.end:
                raise ValueError("`start` and `end` of a simulated data set stand in its section `simulate`")
            if self.venue != "simulated":
                raise ValueError("the venue of a simulated data set is `simulated`")
            return self
        if self.path is None:
            raise ValueError("a parquet data set needs `path`, its directory")
        if self.simulate is not None:
            raise ValueError("a parquet data set has no `simulate`")
        if any(time is not None and time.tzinfo is None for time in (self.start, self.end)):
            raise ValueError("`start` and `end` must carry a time zone, such as 2024-01-01T00:00:00Z")
        if self.start and self.end and self.end <= self.start:
            raise ValueError(f"`end` must be after `start`, was {self.end} and {self.start}")
        if self.tables is None:  # every file that is named as a table
            return self
        if not {"bars", "fine_bars"} & set(self.tables):
            raise ValueError("`tables` must have `bars`, or `fine_bars`; without `tables` every table file is read")
        if {"liquidations", "liquidation_totals"} <= set(self.tables):
            raise ValueError("`tables` has `liquidations` and `liquidation_totals`: leave one of them out")
        sources = [(name, each) for name, given in self.tables.items() for each in _listed(given)]
        for name, each in sources:
            if each.table and each.table != name:
                raise ValueError(f"`tables.{name}`: the kind `{each.kind}` makes {each.table}")
            if each.needs and each.needs not in self.tables:
                raise ValueError(f"`tables.{name}`: the kind `{each.kind}` needs {each.needs} among the `tables`")
        named = [file for _, each in sources for file in each.files]
        if self.symbols is None and any("{symbol}" in file for file in named):
            raise ValueError("one file per symbol, `{symbol}`, needs `symbols`")
        files = {file.replace("{symbol}", symbol) for file in named for symbol in self.symbols or [""]}
        unread = sorted(set(self.sha256) - files)
        if unread:
            raise ValueError(f"`sha256` names files that no table reads: {unread}")
        for _, each in sources:
            lost = {asset: to for asset, to in getattr(each, "symbols", {}).items() if to not in (self.symbols or [to])}
            if lost:
                raise ValueError(f"`symbols` of {each.file} names perpetuals that the data set does not have: {lost}")
        return self


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else [given]


class Params(Section):
    """The effective parameters: the chosen data set and the sections with its overrides applied."""

    dataset: Dataset
    market: Market
    features: Features
    bracket: section(BracketRules)  # type: ignore[valid-type]
    costs: section(CostAssumptions, leave_out=("multiple", "latency"))  # type: ignore[valid-type]
    labels: Labels
    validation: section(WalkForward)  # type: ignore[valid-type]
    model: section(ModelParameters, leave_out=["subsample_freq"])  # type: ignore[valid-type]
    trading: Trading
    evaluation: section(EvaluationSettings)  # type: ignore[valid-type]
    tracking: Tracking

    @model_validator(mode="after")
    def _consistent(self) -> Params:
        if self.validation.embargo < self.labels.horizon:
            raise ValueError("`validation.embargo` must not be shorter than `labels.horizon`")
        if self.market.fine_bar_interval >= timedelta(hours=1) and self.labels.horizon <= timedelta(hours=1):
            raise ValueError("barriers of one hour on bars of one hour are decided by ties; use a longer horizon")
        if self.labels.horizon % self.market.fine_bar_interval or self.labels.horizon <= self.market.fine_bar_interval:
            raise ValueError("`labels.horizon` must be a multiple of `market.fine_bar_interval`, and longer")
        for family, own in self.features:
            if isinstance(own, SettingsSection):
                for name, window in parameters.whole_bar_windows(own.build()):
                    if window % self.market.bar_interval:
                        raise ValueError(
                            f"`features.{family}.{name}` must be a multiple of `market.bar_interval`, "
                            f"{duration_text(self.market.bar_interval)}, was {duration_text(window)}"
                        )
        return self
