"""The parameters: the only reader of ``params.yaml``.

One key, ``dataset``, chooses an entry of ``datasets``; the entry may override any of the sections. What comes out
is frozen, typed and checked across sections, for every entry and not for the chosen one alone, so that a slip
shows before somebody switches to it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from slackwater.errors import MissingDataError, ParameterError

__all__ = ["Params", "duration_text", "load_params", "parse_duration"]

_UNITS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(value: Any) -> timedelta:
    """Return the duration that a text such as ``24h`` or ``5m30s`` stands for.

    Raises
    ------
    ValueError
        If it is not one, a bare number included: a number would be a count of bars.

    Examples
    --------
    >>> parse_duration("5m30s")
    datetime.timedelta(seconds=330)
    """
    if isinstance(value, timedelta):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) and value else None
    if match is None:
        raise ValueError(f"must be a duration such as 24h, 30d or 5m30s, was {value!r}")
    parts = (int(n) * _UNITS[u] for n, u in zip(match.groups(), "dhms", strict=True) if n)
    return timedelta(seconds=sum(parts))


def duration_text(value: timedelta) -> str:
    """Return a duration as `parse_duration` reads it.

    Examples
    --------
    >>> duration_text(timedelta(days=2)), duration_text(timedelta(minutes=90))
    ('2d', '1h30m')
    """
    seconds = int(value.total_seconds())
    parts = []
    for unit, size in _UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


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


Moment = Annotated[datetime, BeforeValidator(_moment)]
Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(duration_text, when_used="json")]
TableName = Literal[
    "path", "bars", "open_interest", "funding", "premium_index", "liquidations", "whale_transfers", "depth"
]
SnapshotName = Literal["open_interest", "funding", "premium_index", "liquidations", "whale_transfers", "depth"]
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
    """Grid, decision and availability."""

    bar_interval: Positive
    path_interval: Positive
    decision_lag: Duration
    available_after: dict[TableName, Duration]
    staleness: dict[SnapshotName, Duration]

    @model_validator(mode="after")
    def _consistent(self) -> Market:
        if self.bar_interval % self.path_interval:
            raise ValueError("`bar_interval` must be a multiple of `path_interval`")
        if self.available_after.get("bars", timedelta(0)) > self.decision_lag:
            raise ValueError("`decision_lag` must not be below `available_after.bars`: a bar counts at its own close")
        return self


class PriceFeatures(_Windows):
    """See `slackwater.features.price.PriceFamily`."""

    return_windows: tuple[Positive, ...]
    range_windows: tuple[Positive, ...]
    volatility_half_life: Positive
    fast_half_life: Positive
    slow_half_life: Positive
    atr_window: Positive
    event_window: Positive
    event_threshold: Annotated[float, Field(gt=0.0)]
    event_floor: Fraction
    event_cooldown: Positive


class FundingFeatures(_Section):
    """See `slackwater.features.funding.FundingFamily`."""

    premium_fast_half_life: Positive
    premium_slow_half_life: Positive


class WindowFeatures(_Windows):
    """Families that need windows only."""

    windows: tuple[Positive, ...]


class DensityFeatures(_Windows):
    """See `slackwater.features.liquidations.LiquidationDensityFamily`."""

    half_life: Positive
    bin_width: Annotated[float, Field(gt=0.0, le=0.02)]
    reaches: tuple[float, ...]


class OrderFlowFeatures(WindowFeatures):
    """See `slackwater.features.order_flow.OrderFlowFamily`."""

    depth_half_life: Positive


class Features(_Section):
    """Parameters of the feature families, by family."""

    price: PriceFeatures
    funding: FundingFeatures
    open_interest: WindowFeatures
    liquidation_density: DensityFeatures
    liquidations: WindowFeatures
    whale_flows: WindowFeatures
    order_flow: OrderFlowFeatures


class Labels(_Section):
    """Triple barrier."""

    horizon: Positive
    reversal_multiple: Annotated[float, Field(gt=0.0)]
    continuation_multiple: Annotated[float, Field(gt=0.0)]


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


class Rules(_Section):
    """See `slackwater.trading.sizing.SizingRules`."""

    risk_fraction: Annotated[float, Field(gt=0.0, le=0.02)]
    max_cluster_risk: Annotated[float, Field(gt=0.0, le=0.02)]
    max_open_risk: Annotated[float, Field(gt=0.0, le=0.04)]
    leverage_cap: Annotated[float, Field(ge=1.0, le=10.0)]
    min_reward_risk: Annotated[float, Field(gt=0.0)]
    max_stop_distance: Annotated[float, Field(gt=0.0, le=0.08)]


class Trading(_Section):
    """The gate and its rules."""

    initial_equity: Annotated[float, Field(gt=0.0)]
    probability_threshold: Annotated[float, Field(ge=0.5, lt=1.0)]
    rules: Rules


class Evaluation(_Section):
    """Bootstrap."""

    bootstrap_draws: Annotated[int, Field(ge=100)]
    mean_block: Positive
    seed: Annotated[int, Field(ge=0)]


class Tracking(_Section):
    """MLflow."""

    experiment: Annotated[str, Field(min_length=1)]


class SimulateSource(_Section):
    """A market made by `slackwater.sources.simulate`."""

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
    """Where a canonical table comes from."""

    file: InRepository
    columns: dict[str, str] = {}
    available_after: Duration | None = None


class Dataset(_Section):
    """One entry of ``datasets``, without its overrides."""

    name: str
    source: Literal["simulate", "parquet"]
    venue: Literal["simulated", "binance", "bybit", "okx", "gate"]
    symbols: Annotated[list[str], Field(min_length=1)] | None = None
    simulate: SimulateSource | None = None
    path: InRepository | None = None
    tables: dict[TableName, TableSource] | None = None
    sha256: dict[str, str] = {}

    @property
    def synthetic(self) -> bool:
        """Whether the market is made up."""
        return self.source == "simulate"

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
        if self.path is None or not self.tables or not {"bars", "path"} & set(self.tables):
            raise ValueError(
                "a parquet data set needs `path` and `tables`, and among these `bars`, or the finer `path`"
            )
        if self.simulate is not None:
            raise ValueError("a parquet data set has no `simulate`")
        foreign = sorted(set(self.sha256) - {t.file for t in self.tables.values()})
        if foreign:
            raise ValueError(f"`sha256` names files that no table reads: {foreign}")
        return self


class Params(_Section):
    """The effective parameters: the chosen data set and the sections with its overrides applied."""

    dataset: Dataset
    market: Market
    features: Features
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
        if self.market.path_interval >= timedelta(hours=1) and self.labels.horizon <= timedelta(hours=1):
            raise ValueError("barriers of one hour on bars of one hour are decided by ties; use a longer horizon")
        if self.labels.horizon % self.market.path_interval or self.labels.horizon <= self.market.path_interval:
            raise ValueError("`labels.horizon` must be a multiple of `market.path_interval`, and longer")
        for family, section in self.features.model_dump().items():
            for name, value in section.items():
                for window in value if isinstance(value, tuple) else (value,):
                    aligned = not isinstance(window, timedelta) or "half_life" in name
                    if not aligned and window % self.market.bar_interval:
                        raise ValueError(
                            f"`features.{family}.{name}` must be a multiple of `market.bar_interval`, "
                            f"{duration_text(self.market.bar_interval)}, was {duration_text(window)}"
                        )
        missing = set(self.dataset.tables or ()) - set(self.market.available_after)
        if missing:
            raise ValueError(f"`market.available_after` lacks {sorted(missing)}")
        rules = self.trading.rules
        if not rules.risk_fraction <= rules.max_cluster_risk <= rules.max_open_risk:
            raise ValueError(
                "`trading.rules` must have risk_fraction <= max_cluster_risk <= max_open_risk, were "
                f"{rules.risk_fraction}, {rules.max_cluster_risk}, {rules.max_open_risk}"
            )
        return self


_SECTIONS = frozenset(Params.model_fields) - {"dataset"}


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read the parameters and return the effective ones of the chosen data set.

    Raises
    ------
    MissingDataError
        If there is no such file.
    ParameterError
        If it is not YAML, or a parameter is unknown, missing, of a wrong type or out of range, in any entry.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"there is no parameter file {path}")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ParameterError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ParameterError(f"{path} must hold a mapping, held {type(content).__name__}")
    return resolve(content, origin=str(path))


def resolve(content: Mapping[str, Any], *, origin: str = "params.yaml") -> Params:
    """Return the effective parameters of parsed content; see `load_params`."""
    _refuse_unknown(content, {"dataset", "datasets", *_SECTIONS}, origin)
    entries = content.get("datasets")
    if not isinstance(entries, dict) or not entries:
        raise ParameterError(f"{origin}: `datasets` must name at least one data set")
    chosen = content.get("dataset")
    if chosen not in entries:
        raise ParameterError(f"{origin}: `dataset` is {chosen!r}{_hint(str(chosen), entries)}")
    effective = {name: _effective(content, str(name), entry, origin) for name, entry in entries.items()}
    return effective[chosen]


def _effective(content: Mapping[str, Any], name: str, entry: Any, origin: str) -> Params:
    if not isinstance(entry, dict):
        raise ParameterError(f"{origin}: datasets.{name} must be a mapping")
    overrides = {key: value for key, value in entry.items() if key in _SECTIONS}
    own = {key: value for key, value in entry.items() if key not in _SECTIONS}
    _refuse_unknown(own, set(Dataset.model_fields) - {"name"}, f"{origin}: datasets.{name}", extra=_SECTIONS)
    sections = {key: _merged(content.get(key), overrides.get(key)) for key in _SECTIONS}
    present = {key: value for key, value in sections.items() if value is not None}
    try:
        return Params.model_validate({"dataset": {"name": name, **own}, **present})
    except ValidationError as error:
        raise ParameterError(_readable(error, origin, name, overrides)) from error


def _merged(base: Any, override: Any) -> Any:
    """Lay an override over a section: mappings key by key, anything else as a whole."""
    if isinstance(base, dict) and isinstance(override, dict):
        return {key: _merged(base.get(key), override.get(key)) for key in base | override}
    return base if override is None else override


def _readable(error: ValidationError, origin: str, dataset: str, overrides: Mapping[str, Any]) -> str:
    lines = []
    for item in error.errors():
        where = [str(part) for part in item["loc"]]
        if where[:1] == ["dataset"] or (where and _inside(overrides, where)):
            where = ["datasets", dataset, *(where[1:] if where[:1] == ["dataset"] else where)]
        text = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            text = "unknown parameter" + _hint(where[-1], _siblings(item["loc"]))
        elif item["type"] == "missing":
            text = "missing"
        elif "input" in item and not isinstance(item["input"], dict) and "was" not in text:
            text = f"{text}, was {item['input']!r}"
        lines.append(f"`{'.'.join(where)}`: {text}" if where else text)
    return f"{origin} (data set {dataset}): " + "; ".join(lines)


def _inside(overrides: Mapping[str, Any], where: list[str]) -> bool:
    node: Any = overrides
    for part in where:
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    model: Any = Params
    for part in location[:-1]:
        field = model.model_fields.get(str(part)) if isinstance(model, type) and issubclass(model, BaseModel) else None
        model = field.annotation if field is not None else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _refuse_unknown(
    content: Mapping[Any, Any], known: set[str], origin: str, extra: frozenset[str] = frozenset()
) -> None:
    unknown = [str(key) for key in content if key not in known]
    if unknown:
        hints = "; ".join(f"`{key}`{_hint(key, known | extra)}" for key in unknown)
        raise ParameterError(f"{origin}: unknown parameter {hints}")


def _hint(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, [str(k) for k in known], n=1)
    return f" (did you mean `{close[0]}`?)" if close else f" (there are {', '.join(sorted(map(str, known)))})"
