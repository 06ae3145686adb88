"""The manifest of a bundle: its schema, checked once, and durations in types of JSON.

A manifest may come from anywhere. What passes `read_manifest` has the types that the scorer relies on, no number that
is not finite, no text that a terminal would execute, and no nesting that a reader would overflow on.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from slackwater.errors import BundleError
from slackwater.market.columns import is_name
from slackwater.numbers import brief
from slackwater.storage import strict_json
from slackwater.times import DAY, microseconds

if TYPE_CHECKING:
    from slackwater.features.engine import FeatureEngine

__all__ = ["FORMAT", "check_manifest", "from_plain", "other_features", "read_manifest", "to_plain", "with_lists"]

FORMAT: Final = "1.0"
"""Version of the format, major.minor (docs/bundle.md): a later minor version only adds keys that may be absent."""
_VERSION: Final = re.compile(r"(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})")
_DEEPEST: Final = 30
_LONGEST: Final = 3_660 * DAY
_UNSHOWN: Final = frozenset({"Cc", "Cf", "Cs"})  # control characters, marks of direction, halves of a character
_LARGEST: Final = 2**63
_MOST_WINDOWS: Final = 100  # of a family: each makes outputs, and ten thousand of them would take seconds


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, extra="allow")


class _Exact(_Part):
    model_config = ConfigDict(extra="forbid")


_Microseconds = Annotated[int, Field(gt=0, le=microseconds(_LONGEST))]
_Named = Annotated[str, Field(min_length=1)]


def _of_names(names: list[str]) -> list[str]:
    if not all(map(is_name, names)) or len(set(names)) < len(names):
        raise ValueError("must be names, each once")
    return names


_Names = Annotated[list[_Named], Field(min_length=1), AfterValidator(_of_names)]


def _not_a_duration(section: dict[str, Any]) -> dict[str, Any]:
    if set(section) == {"seconds"}:
        raise ValueError("must be a section of settings")
    return section


_Settings = Annotated[dict[str, Any], AfterValidator(_not_a_duration)]


def _aware(time: str) -> str:
    if datetime.fromisoformat(time).tzinfo is None:
        raise ValueError("must be a time with a time zone")
    return time


class _Duration(_Exact):
    seconds: Annotated[float, Field(gt=0, le=_LONGEST.total_seconds())]


class _Clause(_Part):
    requirement: str
    value: float | None
    passed: bool | None
    note: str


class _Verdict(_Part):
    verdict: _Named
    sentence: str
    synthetic: bool
    clauses: dict[str, _Clause]


class _Market(_Exact):
    bar_interval_us: _Microseconds
    decision_lag_us: Annotated[int, Field(ge=0, le=microseconds(DAY))]
    staleness_us: dict[str, _Microseconds]
    liquidation_cap_us: _Microseconds | None
    outside_tables: list[str]


def _of_few(settings: dict[str, Any]) -> dict[str, Any]:
    if any(isinstance(value, list) and len(value) > _MOST_WINDOWS for value in settings.values()):
        raise ValueError(f"must have at most {_MOST_WINDOWS} values per setting")
    return settings


_FamilySettings = Annotated[_Settings, AfterValidator(_of_few)]


class _Families(_Part):
    __pydantic_extra__: dict[str, _FamilySettings]
    extra: Annotated[list[str], Field(max_length=_MOST_WINDOWS)] = []
    extra_parameters: dict[str, _FamilySettings] | None = None


class _Features(_Part):
    families: _Families
    fingerprint: _Named
    sources: dict[str, str] = {}
    model_features: _Names


class _Target(_Exact):
    name: _Named
    column: _Named
    offset: _Named | None
    lower_bound: bool


class _Model(_Exact):
    file: _Named
    format: _Named
    target: _Target
    calibrator: Annotated[dict[str, float | str], AfterValidator(_not_a_duration)]


def _of_own_files(models: dict[str, _Model]) -> dict[str, _Model]:
    if len({model.file for model in models.values()}) < len(models):
        raise ValueError("must each have a file of their own")
    return models


class _Trading(_Exact):
    venue: _Named
    entry: _Settings
    bracket: _Settings
    rules: _Settings
    drawdown_control: _Settings
    costs: _Settings
    contract_facts: _Settings | None = None


class _Labels(_Part):
    horizon: _Duration
    triggers: _Names


class _Training(_Part):
    until: Annotated[str, AfterValidator(_aware)]
    embargo: _Duration
    base_rates: dict[_Named, Annotated[float, Field(ge=0, le=1)]]


class _Manifest(_Part):
    format: str
    dataset: _Named
    symbols: _Names
    synthetic: bool
    verdict: _Verdict
    market: _Market
    features: _Features
    labels: _Labels
    models: Annotated[dict[_Named, _Model], AfterValidator(_of_own_files)]
    training_range: _Settings
    training_shares: _Settings | None = None  # `slackwater drift` reads it, scoring does not
    trading: _Trading
    hashes: dict[str, str]
    params: _Settings = {}
    training: _Training | None = None


def read_manifest(text: str) -> dict[str, Any]:
    """Return the manifest in a text of JSON, with durations as `timedelta` and lists as tuples.

    Raises
    ------
    BundleError
        If it is not JSON, of another version, or does not fit the schema; the message names the key.
    """
    try:
        content = strict_json(text)
    except ValueError as error:
        raise BundleError(f"it is not valid JSON: {error}") from error
    _check_format(content.get("format") if isinstance(content, dict) else None)
    check_manifest(content)
    manifest: dict[str, Any] = from_plain(content)
    return manifest


def _check_format(found: Any) -> None:
    """Raise BundleError unless this version of slackwater reads the format of a manifest."""
    match = _VERSION.fullmatch(found) if isinstance(found, str) else None
    if match is None:
        raise BundleError(
            f"the bundle has format {brief(found)}, which is not a version such as {FORMAT}: it was made before "
            "version 1, or by something else; export it again with `dvc repro`"
        )
    major, minor = (int(part) for part in match.groups())
    own_major, own_minor = (int(part) for part in FORMAT.split("."))
    if major < own_major:
        raise BundleError(
            f"the bundle has format {found}, this version reads {own_major}.x; export it with `dvc repro`"
        )
    if (major, minor) > (own_major, own_minor):
        raise BundleError(f"the bundle has format {found}, this version reads up to {FORMAT}; update slackwater")


def check_manifest(content: Mapping[str, Any]) -> None:
    """Raise BundleError unless content in types of JSON is a manifest; the message names the first wrong key."""
    _check_values(content)
    try:
        _Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        found = "is missing" if first["type"] == "missing" else f"{first['msg']}, was {brief(first['input'])}"
        raise BundleError(f"the manifest: {_key(key)}: {found}") from None


def to_plain(value: Any) -> Any:
    """Return a value in types of JSON; a duration becomes ``{"seconds": n}``."""
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return value


def from_plain(value: Any) -> Any:
    """Undo `to_plain`; lists become tuples.

    Raises
    ------
    BundleError
        If a duration is longer than ten years.

    Examples
    --------
    >>> from_plain(to_plain({"windows": (timedelta(hours=1),)}))
    {'windows': (datetime.timedelta(seconds=3600),)}
    """
    if isinstance(value, dict):
        seconds = value.get("seconds")
        if set(value) == {"seconds"} and isinstance(seconds, (int, float)) and not isinstance(seconds, bool):
            if not abs(seconds) <= _LONGEST.total_seconds():
                raise BundleError(f"the manifest: a duration must be at most {_LONGEST.days} days, was {seconds:g} s")
            return timedelta(seconds=seconds)
        return {key: from_plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return tuple(from_plain(item) for item in value)
    return value


def other_features(features: Mapping[str, Any], engine: FeatureEngine) -> str:
    """Return which family from outside has changed since the bundle was made, or that the features differ."""
    made = features.get("sources", {})
    changed = [name for name, digest in engine.sources.items() if made.get(name, digest) != digest]
    if changed:
        return (
            f"the code of {', '.join(changed)} is not that with which the bundle was made (its file, or one that it "
            "imports from its package, has changed): use the code of then, or train again and export with `dvc repro`"
        )
    return (
        "the bundle was made with other features than this version computes (fingerprint "
        f"{features['fingerprint'][:12]}…, here {engine.fingerprint[:12]}…); export it again with `dvc repro`"
    )


def with_lists(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values of a manifest with the lists that reading it made tuples."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _check_values(content: Any) -> None:
    """Refuse what no manifest contains, wherever it stands; without recursion, since the depth is not known yet."""
    waiting: list[tuple[Any, str, int]] = [(content, "", 1)]
    while waiting:
        value, key, depth = waiting.pop()
        if depth > _DEEPEST:
            raise _wrong(key, f"is nested more than {_DEEPEST} deep")
        if isinstance(value, dict):
            waiting.extend((name, f"{key}.{name}", depth + 1) for name in value)
            waiting.extend((item, f"{key}.{name}", depth + 1) for name, item in value.items())
        elif isinstance(value, list):
            waiting.extend((item, f"{key}.{place}", depth + 1) for place, item in enumerate(value))
        elif isinstance(value, str):
            if not value.isprintable() and any(unicodedata.category(c) in _UNSHOWN and c not in "\n\t" for c in value):
                raise _wrong(key, f"must be a text without control characters, was {brief(value)}")
        elif isinstance(value, (int, float)):
            if not (abs(value) < _LARGEST if isinstance(value, int) else math.isfinite(value)):
                raise _wrong(key, f"must be a number of a usual size, was {brief(value)}")
        elif value is not None:
            raise _wrong(key, f"must be a value of JSON, was {brief(value)}")


def _wrong(key: str, what: str) -> BundleError:
    return BundleError(f"the manifest: {_key(key)}: {what}")


def _key(key: str) -> str:
    text = brief(key.strip("."))[1:-1]
    return f"`{text}`" if text else "it"
