"""The script of a mock venue: which fault happens when, from a YAML file or from arguments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from slackwater.durations import parse_duration
from slackwater.errors import MissingDataError, ParameterError, did_you_mean

__all__ = ["FAULTS", "STREAMS", "Fault", "fault_of_text", "read_script"]

STREAMS: Final = ("bars", "trades", "liquidations")
"""Streams of a mock venue."""

FAULTS: Final[dict[str, tuple[str, ...]]] = {
    "burst": ("count",),
    "one_message": ("count",),
    "acknowledge_only": ("stream", "lasts"),
    "silence": ("lasts",),
    "abnormal_close": (),
    "duplicates": ("lasts",),
    "reorder": ("lasts",),
    "clock_skew": ("by", "lasts"),
    "crossed_book": ("lasts",),
    "too_many_requests": ("lasts",),
    "forming_then_silence": ("lasts",),
    "old_ids": ("count",),
}
"""The kinds of faults, and the fields that each may have besides `at`.

``burst``: so many liquidations in one write. ``one_message``: so many in one message. ``acknowledge_only``: a
stream that is acknowledged and then sends nothing. ``silence``: no stream sends anything, pings are answered.
``abnormal_close``: the connections end without a closing frame (1006). ``duplicates``: every message twice.
``reorder``: neighbouring messages change places. ``clock_skew``: stamps and server time are off. ``crossed_book``: the
best bid above the best ask. ``too_many_requests``: REST answers with status 429. ``forming_then_silence``: no candle
after one that is not closed. ``old_ids``: so many trades that were sent before.
"""

_COUNTS: Final = {"burst": 1500, "one_message": 40, "old_ids": 20}
_LARGEST_COUNT: Final = 1_000_000
_ALWAYS: Final = timedelta(days=3650)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault of a script.

    Parameters
    ----------
    kind
        Name in `FAULTS`.
    at
        Time from the start of the replay.
    lasts
        Length; by default to the end.
    count
        Number of events, where the kind has one: at most a million.
    stream
        Name in `STREAMS` that ``acknowledge_only`` mutes.
    by
        How far the venue's clock is ahead; negative: behind.

    Raises
    ------
    ParameterError
        If there is no such kind, or a field is out of its range; the message names both.
    """

    kind: str
    at: timedelta = timedelta(0)
    lasts: timedelta = _ALWAYS
    count: int = 0
    stream: str = ""
    by: timedelta = timedelta(0)

    def __post_init__(self) -> None:
        if self.kind not in FAULTS:
            raise ParameterError(f"there is no fault `{self.kind}`{did_you_mean(self.kind, FAULTS)}")
        rules = {
            "`at` must not be negative": self.at >= timedelta(0),
            "`lasts` must be above 0": self.lasts > timedelta(0),
            f"`count` must be 1 to {_LARGEST_COUNT:,}": self.kind not in _COUNTS or 1 <= self.count <= _LARGEST_COUNT,
            f"`stream` must be one of {', '.join(STREAMS)}": self.kind != "acknowledge_only" or self.stream in STREAMS,
            "`by` must be given, such as 48h or -3s": self.kind != "clock_skew" or bool(self.by),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise ParameterError(f"fault `{self.kind}`: {'; '.join(broken)}")

    def active(self, elapsed: timedelta) -> bool:
        """Return whether the fault is on so long after the start of the replay."""
        return self.at <= elapsed < self.at + self.lasts


def fault_of_text(text: str) -> Fault:
    """Return the fault that a text such as ``burst at=90s count=1500`` describes; commas separate as well.

    Raises
    ------
    ParameterError
        If the text is not a fault; the message names the part that is wrong.

    Examples
    --------
    >>> fault_of_text("silence at=5m lasts=90s").lasts
    datetime.timedelta(seconds=90)
    """
    kind, *parts = text.replace(",", " ").split() or [""]
    fields: dict[str, Any] = {"fault": kind}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise ParameterError(f"fault {text!r}: `{part}` must be NAME=VALUE, such as at=90s")
        if name in fields:
            raise ParameterError(f"fault {text!r}: `{name}` is there twice")
        fields[name] = value
    return _fault(fields, f"fault {text!r}")


def read_script(path: str | Path) -> tuple[Fault, ...]:
    """Read a YAML file with a list of faults, each a mapping with ``fault``, ``at`` and the fields of its kind.

    Raises
    ------
    MissingDataError
        If there is no such file.
    ParameterError
        If it is not such a list; the message names the entry and the field.
    """
    import yaml  # a live scorer does not need it

    place = Path(path)
    try:
        content = yaml.safe_load(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise MissingDataError(f"{place} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"{place} is not YAML: {' '.join(str(error).split())[:200]}") from None
    return faults_of(content, str(place))


def faults_of(content: Any, origin: str) -> tuple[Fault, ...]:
    """Return the faults of a list of mappings; `origin` names it in messages."""
    if not isinstance(content, list):
        raise ParameterError(f"{origin} must be a list of faults, was {type(content).__name__}")
    return tuple(_fault(each, f"{origin}, fault {number}") for number, each in enumerate(content, start=1))


def _fault(fields: Any, where: str) -> Fault:
    if not isinstance(fields, Mapping) or not isinstance(fields.get("fault"), str):
        raise ParameterError(f"{where} must be a mapping with the name of its kind, such as `fault: burst`")
    kind = fields["fault"]
    if kind not in FAULTS:
        raise ParameterError(f"{where}: there is no fault `{kind}`{did_you_mean(kind, FAULTS)}")
    known = ("at", *FAULTS[kind])
    values: dict[str, Any] = {"count": _COUNTS.get(kind, 0)}
    for name, value in fields.items():
        if name == "fault":
            continue
        if name not in known:
            raise ParameterError(f"{where} ({kind}): there is no field `{name}`{did_you_mean(name, known)}")
        values[name] = _value(str(name), value, f"{where} ({kind})")
    try:
        return Fault(kind=kind, **values)
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from None


def _value(name: str, value: Any, where: str) -> Any:
    try:
        if name in ("at", "lasts"):
            return parse_duration(value)
        if name == "by":
            negative = isinstance(value, str) and value.startswith("-")
            return -parse_duration(value[1:]) if negative else parse_duration(value)
        if name == "count":
            if isinstance(value, bool) or not str(value).isdecimal():
                raise ValueError(f"must be a whole number, was {value!r}")
            return int(value)
    except ValueError as error:
        raise ParameterError(f"{where}: `{name}` {error}") from None
    return value


def starting(faults: Iterable[Fault], kind: str, elapsed: timedelta, before: timedelta) -> list[Fault]:
    """Return the faults of a kind that begin in ``(before, elapsed]`` of the replay."""
    return [fault for fault in faults if fault.kind == kind and before < fault.at <= elapsed]
