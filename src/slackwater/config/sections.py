"""The sections of ``params.yaml``, typed: what they may hold, and what they must agree on."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from slackwater.config.derived import SettingsSection, section
from slackwater.config.durations import duration_text, offset_text, parse_duration, parse_offset
from slackwater.errors import did_you_mean
from slackwater.features import parameters
from slackwater.market.spec import FrameSpec
from slackwater.market.tables import LAGS
from slackwater.market.venues import VENUES

__all__ = ["Dataset", "Params"]


def _relative(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"must be a path inside of the repository, was {path!r}")
    return path


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"must be a time such as 2023-01-01T00:00:00Z, was {value!r}") from None


def _with_a_date_as_text(facts: Any) -> Any:
    """YAML reads 2026-11-25 as a date; JSON cannot."""
    if isinstance(facts, dict) and isinstance(facts.get("as_of"), date):
        return facts | {"as_of": facts["as_of"].isoformat()}
    return facts


def _table_name(name: str) -> str:
    if name not in LAGS:
        raise ValueError(f"there is no canonical table `{name}`{did_you_mean(name, LAGS)}")
    return name


def _venue(name: str) -> str:
    if name not in VENUES:
        raise ValueError(f"there is no venue `{name}`{did_you_mean(name, VENUES)}")
    return name


Moment = Annotated[datetime, BeforeValidator(_moment)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(duration_text, when_used="json")]
Offset = Annotated[timedelta, BeforeValidator(parse_offset), PlainSerializer(offset_text, when_used="json")]
OptionalDuration = Annotated[
    timedelta | None,
    BeforeValidator(lambda value: None if value is None else parse_duration(value)),
    PlainSerializer(lambda value: None if value is None else duration_text(value), when_used="json"),
]
TableName = Annotated[str, AfterValidator(_table_name)]
Positive = Annotated[Duration, Field(gt=timedelta(0))]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
InRepository = Annotated[str, AfterValidator(_relative)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class _Windows(_Section):
    @model_validator(mode="before")
    @classmethod
    def _lists_are_tuples(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}
        return data


class Market(_Section):
    """Grid, decision and availability; `available_after` and `staleness` list what differs from the tables' own."""

    bar_interval: Positive
    fine_bar_interval: Positive
    decision_lag: Duration
    available_after: dict[TableName, Duration] = {}
    staleness: dict[TableName, Duration] = {}
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


def _typed(value: Any) -> Any:
    """Return the parameter of a family from outside, as its class takes it: text such as ``24h`` is a duration."""
    if isinstance(value, list | tuple):
        return tuple(_typed(item) for item in value)
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    try:
        return parse_duration(value)
    except ValueError:
        return value


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return duration_text(value) if isinstance(value, timedelta) else value


class Features(_Section):
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
    extra: tuple[ExtraFamily, ...] = ()
    extra_parameters: Annotated[
        dict[str, dict[str, Any]], BeforeValidator(_typed), PlainSerializer(_plain, when_used="json")
    ] = {}

    @model_validator(mode="before")
    @classmethod
    def _sections_of_extra_families(cls, data: Any) -> Any:
        """Take sections that only a family from outside can own for its parameters; their names are checked later."""
        if not isinstance(data, dict) or not data.get("extra"):
            return data
        own = {key: value for key, value in data.items() if key not in cls.model_fields}
        rest = {key: value for key, value in data.items() if key in cls.model_fields}
        extra = data["extra"]
        given = {"extra": tuple(extra) if isinstance(extra, list) else extra}
        return {**rest, **given, "extra_parameters": {**rest.get("extra_parameters", {}), **own}}


class Labels(_Section):
    """Triple barrier, and the trade of each event."""

    horizon: Positive
    reversal_multiple: Annotated[float, Field(gt=0.0)]
    continuation_multiple: Annotated[float, Field(gt=0.0)]
    reference_notional_usd: Annotated[float, Field(gt=0.0)]


class Validation(_Section):
    """Walk-forward."""

    first_train: Positive
    test: Positive
    embargo: Duration
    parallel_folds: Annotated[int, Field(ge=1)]


class Model(_Section):
    """See `slackwater.models.classifier.ReversalClassifier`."""

    n_estimators: Annotated[int, Field(ge=1)]
    num_leaves: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)]
    min_child_samples: Annotated[int, Field(ge=1)]
    colsample_bytree: Annotated[float, Field(gt=0.0, le=1.0)]
    subsample: Annotated[float, Field(gt=0.0, le=1.0)]
    reg_lambda: Annotated[float, Field(ge=0.0)]
    calibration: Literal["sigmoid", "none"]
    calibration_fraction: Annotated[float, Field(gt=0.0, lt=0.5)]
    random_state: int
    n_jobs: Annotated[int, Field(ge=1)]


class Bracket(_Section):
    """See `slackwater.trading.bracket.BracketRules`."""

    stop_buffer_atr: Annotated[float, Field(ge=0.0, le=100.0)]
    target_buffer_atr: Annotated[float, Field(ge=0.0, le=100.0)]
    max_stop_distance: Annotated[float, Field(gt=0.0, le=0.08)]
    min_stop_atr: Annotated[float, Field(ge=0.0, le=100.0)]
    min_stop_ticks: Annotated[float, Field(ge=0.0, le=100.0)]


class Costs(_Section):
    """See `slackwater.trading.costs.CostModel`."""

    impact_coefficient: Annotated[float, Field(ge=0.0, le=10.0)]
    event_impact_factor: Annotated[float, Field(ge=1.0, le=10.0)]
    stop_slippage_atr: Annotated[float, Field(ge=0.0, le=10.0)]


class Entry(_Section):
    """See `slackwater.trading.entry.EntryRules`."""

    probability_threshold: Annotated[float, Field(ge=0.0, le=1.0)]
    max_score_age: OptionalDuration
    complete_features: bool
    in_range_features: bool
    max_trend_efficiency: Annotated[float, Field(ge=0.0, le=1.0)] | None
    require_sweep: bool


class Rules(_Section):
    """See `slackwater.trading.sizing.SizingRules`."""

    risk_fraction: Annotated[float, Field(gt=0.0, le=0.02)]
    max_cluster_risk: Annotated[float, Field(gt=0.0, le=0.02)]
    max_open_risk: Annotated[float, Field(gt=0.0, le=0.04)]
    leverage_cap: Annotated[float, Field(ge=1.0, le=10.0)]
    depth_fraction: Annotated[float, Field(gt=0.0, le=1.0)] | None
    volume_fraction: Annotated[float, Field(gt=0.0, le=0.1)]
    min_reward_risk: Annotated[float, Field(ge=0.0, le=100.0)]
    max_entry_slippage: Annotated[float, Field(gt=0.0, le=0.05)]
    liquidation_buffer_stop: Annotated[float, Field(ge=0.0, le=100.0)]
    liquidation_buffer_atr: Annotated[float, Field(ge=0.0, le=100.0)]
    liquidation_buffer_price: Annotated[float, Field(ge=0.0, le=100.0)]
    min_expectancy: Annotated[float, Field(ge=0.0, le=1.0)] | None
    kelly_fraction: Annotated[float, Field(gt=0.0, le=1.0)] | None


class DrawdownControl(_Section):
    """See `slackwater.trading.drawdown_control.DrawdownRules`."""

    throttle_drawdown: Annotated[float, Field(gt=0.0, le=1.0)] | None
    streak_grace: Annotated[int, Field(ge=0)] | None
    streak_floor: Annotated[float, Field(ge=0.0, le=1.0)]
    max_drawdown: Annotated[float, Field(gt=0.0, le=1.0)] | None
    max_daily_loss: Annotated[float, Field(gt=0.0, le=1.0)] | None
    max_daily_losing_trades: Annotated[int, Field(ge=1)] | None
    max_weekly_loss: Annotated[float, Field(gt=0.0, le=1.0)] | None
    cool_off: OptionalDuration
    cool_off_streak: Annotated[int, Field(ge=1)]


class Trading(_Section):
    """The gate and its rules; stops, targets and costs stand in their own sections, because labels need them too."""

    initial_equity: Annotated[float, Field(gt=0.0)]
    entry: Entry
    rules: Rules
    drawdown_control: DrawdownControl


class Evaluation(_Section):
    """Bootstrap."""

    bootstrap_draws: Annotated[int, Field(ge=100)]
    mean_block: Positive
    seed: Annotated[int, Field(ge=0)]


class Tracking(_Section):
    """MLflow."""

    experiment: Annotated[str, Field(min_length=1)]


class SimulateSource(_Section):
    """A market made by `slackwater.simulation`."""

    start: Moment
    end: Moment
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


class TableSource(_Section):
    """Where a canonical table comes from; see `slackwater.sources.own_files.table_file.TableFile`."""

    file: InRepository
    columns: dict[str, str | Annotated[int, Field(ge=0)]] = {}
    constants: dict[str, str | float] = {}
    values: dict[str, dict[str, str]] = {}
    scale: dict[str, Annotated[float, Field(gt=0.0)]] = {}
    utc_offset: Offset | None = None
    bar_length: Positive | None = None
    available_after: Duration | None = None


class Dataset(_Section):
    """One entry of ``datasets``, without its overrides.

    `contract_facts` is checked by `slackwater.market.contract_file`.
    """

    name: str
    source: Literal["simulate", "parquet"]
    venue: Annotated[str, AfterValidator(_venue)]
    symbols: Annotated[list[str], Field(min_length=1)] | None = None
    simulate: SimulateSource | None = None
    path: InRepository | None = None
    tables: dict[TableName, TableSource] | None = None
    sha256: dict[str, str] = {}
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
            if self.venue != "simulated":
                raise ValueError("the venue of a simulated data set is `simulated`")
            return self
        if self.path is None:
            raise ValueError("a parquet data set needs `path`, its directory")
        if self.simulate is not None:
            raise ValueError("a parquet data set has no `simulate`")
        if self.tables is None:  # every file that is named as a table
            return self
        if not {"bars", "fine_bars"} & set(self.tables):
            raise ValueError("`tables` must have `bars`, or `fine_bars`; without `tables` every table file is read")
        if {"liquidations", "liquidation_totals"} <= set(self.tables):
            raise ValueError("`tables` has `liquidations` and `liquidation_totals`: leave one of them out")
        if self.symbols is None and any("{symbol}" in table.file for table in self.tables.values()):
            raise ValueError("a file a symbol, `{symbol}`, needs `symbols`")
        files = {t.file.replace("{symbol}", symbol) for t in self.tables.values() for symbol in self.symbols or [""]}
        foreign = sorted(set(self.sha256) - files)
        if foreign:
            raise ValueError(f"`sha256` names files that no table reads: {foreign}")
        return self


class Params(_Section):
    """The effective parameters: the chosen data set and the sections with its overrides applied."""

    dataset: Dataset
    market: Market
    features: Features
    bracket: Bracket
    costs: Costs
    labels: Labels
    validation: Validation
    model: Model
    trading: Trading
    evaluation: Evaluation
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
        rules = self.trading.rules
        if not rules.risk_fraction <= rules.max_cluster_risk <= rules.max_open_risk:
            raise ValueError(
                "`trading.rules` must have risk_fraction <= max_cluster_risk <= max_open_risk, were "
                f"{rules.risk_fraction}, {rules.max_cluster_risk}, {rules.max_open_risk}"
            )
        return self
