"""Events of a journal, and the digests that chain them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from slackwater.journal.errors import JournalError

__all__ = ["FIELDS", "GENESIS", "Event", "Kind", "Origin", "epoch_ns", "event_sha", "trade_id"]

GENESIS: Final = "0" * 64
"""`prev_sha` of the first event."""

_EARLIEST_NS: Final = (
    1_230_940_800 * 10**9
)  # the first block of Bitcoin; microseconds read as nanoseconds are before it
_LAST_NS: Final = 2**63 - 1
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHA: Final = re.compile(r"([0-9a-f]{64})?")
_LONGEST: Final = 200
_PLAIN: Final = frozenset({str, int, bool, type(None)})


class Kind(StrEnum):
    """Kinds of events; there are no others."""

    RUN = "run"
    WATCH = "watch"
    SCORE = "score"
    ALARM = "alarm"
    PLAN = "plan"
    REFUSAL = "refusal"
    ORDER = "order"
    FILL = "fill"
    EXIT = "exit"
    FUNDING = "funding"
    DATA_FAULT = "data_fault"
    FORGONE = "forgone"
    NOTE = "note"


FIELDS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.RUN: frozenset({"files", "plans", "refusals", "exits"}),
    Kind.WATCH: frozenset({"state", "code", "settings"}),
    Kind.ALARM: frozenset({"alarm", "episode", "state", "message"}),
    Kind.SCORE: frozenset({"trade", "direction", "triggers", "p_direction", "trade_edge", "context", "features"}),
    Kind.PLAN: frozenset(
        {"trade", "event_time", "triggers", "side", "entry", "stop", "target", "quantity", "risk_usd"}
    ),
    Kind.REFUSAL: frozenset({"trade", "event_time", "triggers", "reasons"}),
    Kind.ORDER: frozenset({"trade", "order", "role", "side", "quantity", "price"}),
    Kind.FILL: frozenset({"trade", "order", "quantity", "price", "fee_usd"}),
    Kind.EXIT: frozenset({"trade", "event_time", "exit_reason", "side", "net_r", "mae_r", "mfe_r", "funding_usd"}),
    Kind.FUNDING: frozenset({"trade", "rate", "paid_usd"}),
    Kind.DATA_FAULT: frozenset({"table", "rule", "message"}),
    Kind.FORGONE: frozenset({"trade", "event_time", "codes", "net_r"}),
    Kind.NOTE: frozenset({"trade", "state_of_mind", "text", "plan_followed", "grade"}),
}
"""Names that the payload of each kind has at least; `synthetic` is in all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Account that events belong to, and the models behind them.

    Parameters
    ----------
    account
        Name of a track record, such as ``live``, ``paper`` or ``backtest-1a2b3c4d``. Results of different accounts
        are never added up.
    synthetic
        Whether its market is simulated; one account is always one or the other.
    bundle_sha
        Digest of the scoring bundle (`slackwater.scoring.bundle.Bundle.digest`), 64 hexadecimal digits; empty where
        there is none.
    """

    account: str
    synthetic: bool
    bundle_sha: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, before it is in a journal.

    Parameters
    ----------
    kind
        One of `Kind`.
    key
        Name of the event that is the same whenever it is written again, such as ``exit/<trade>``: a journal holds a
        key once.
    ts_ns
        Time at which it was known, nanoseconds since 1970-01-01 UTC, from 2009 on.
    symbol
        Symbol, such as ``BTCUSDT``; empty where it concerns none.
    origin
        Account and bundle.
    payload
        Content, at least the names of `FIELDS`: numbers, texts, times, and lists and mappings of them. Floats are kept
        to the last bit. NaN becomes null, which means "not known"; an infinite number is refused.

    Raises
    ------
    JournalError
        If the kind is unknown, the time is not in range, a text has a line break, the payload lacks a name, or a value
        cannot be kept exactly.
    """

    kind: Kind
    key: str
    ts_ns: int
    symbol: str
    origin: Origin
    payload: Mapping[str, Any]

    def __post_init__(self) -> None:
        if self.kind not in FIELDS:
            raise JournalError(f"`kind` must be one of {', '.join(FIELDS)}, was {self.kind!r}")
        if type(self.ts_ns) is not int or not _EARLIEST_NS <= self.ts_ns <= _LAST_NS:
            raise JournalError(
                f"{self.kind} {self.key!r}: `ts_ns` must be nanoseconds since 1970 (UTC) from 2009 on, "
                f"was {self.ts_ns!r}"
            )
        texts = {"key": self.key, "account": self.origin.account, "symbol": self.symbol}
        for name, text in texts.items():
            least = 0 if name == "symbol" else 1
            if not (isinstance(text, str) and least <= len(text) <= _LONGEST and text.isprintable()):
                raise JournalError(f"`{name}` of an event must be a printable text of one line, was {text!r:.80}")
        if not _SHA.fullmatch(self.origin.bundle_sha):
            raise JournalError(f"`bundle_sha` must have 64 hexadecimal digits, was {self.origin.bundle_sha!r:.80}")
        if lacking := sorted(FIELDS[self.kind] - self.payload.keys()):
            raise JournalError(f"the payload of {self.kind} {self.key!r} lacks {', '.join(lacking)}")

    def payload_json(self) -> str:
        """Return the payload and the mark `synthetic` as one line of JSON with sorted keys, all of it ASCII."""
        content = {str(name): _plain(value, str(name)) for name, value in self.payload.items()}
        return json.dumps(
            content | {"synthetic": self.origin.synthetic}, sort_keys=True, separators=(",", ":"), allow_nan=False
        )


def event_sha(prev_sha: bytes, number: int, ts_ns: int, payload_json: bytes, *texts: bytes) -> str:
    """Return the digest of an event, which contains the digest of the one before.

    Parameters
    ----------
    prev_sha
        Digest of the event before, `GENESIS` for the first.
    number
        Position in the journal, from 1.
    ts_ns, payload_json
        As stored.
    *texts
        Kind, account, bundle, symbol and key. None has a line break, so what is digested can be read in one way only.
    """
    head = b"\n".join((prev_sha, b"%d" % number, b"%d" % ts_ns, *texts, payload_json))
    return hashlib.sha256(head).hexdigest()


def epoch_ns(time: datetime) -> int:
    """Return an aware time in nanoseconds since 1970-01-01 UTC, exact to the microsecond.

    Examples
    --------
    >>> epoch_ns(datetime(2024, 1, 1, tzinfo=UTC))
    1704067200000000000
    """
    if not isinstance(time, datetime) or time.tzinfo is None:  # NaT has none
        raise JournalError(f"the time of an event must have a time zone, was {time!r:.80}")
    return int((time - _EPOCH) // timedelta(microseconds=1)) * 1_000


def trade_id(account: str, symbol: str, event_time: datetime) -> str:
    """Return the name of the trade that a score suggests, be it taken or refused.

    Parameters
    ----------
    account
        Track record (`Origin`).
    symbol
        Symbol of the score.
    event_time
        Close of the bar of the score, aware.

    Examples
    --------
    >>> trade_id("live", "BTCUSDT", datetime(2024, 3, 1, 12, 5, tzinfo=UTC))
    'BTCUSDT-20240301T120500-f66bdd'
    """
    at = epoch_ns(event_time)
    digest = hashlib.sha256(f"{account}\n{symbol}\n{at}".encode()).hexdigest()
    return f"{symbol}-{event_time.astimezone(UTC):%Y%m%dT%H%M%S}-{digest[:6]}"


def _is_plain(value: Any) -> bool:
    kind = type(value)
    return -math.inf < value < math.inf if kind is float else kind in _PLAIN


def _plain(value: Any, where: str) -> Any:
    """Return a value as JSON holds it; the error names the place of one that JSON cannot hold."""
    if _is_plain(value):
        return value
    if isinstance(value, datetime):
        return None if value.tzinfo is None and value != value else _time(value, where)
    if isinstance(value, Mapping):
        # A score has more than a hundred features: most values take the short way.
        return {str(name): each if _is_plain(each) else _plain(each, f"{where}.{name}") for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each, where) for each in value]
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "item"):  # a scalar of numpy
        value = value.item()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if math.isinf(value):
            raise JournalError(f"`{where}` of an event must be finite, or NaN where it is not known; was {value}")
        return None if math.isnan(value) else value
    raise JournalError(
        f"`{where}` of an event must be a number, a text, a time or a list, was a {type(value).__name__}"
    )


def _time(value: datetime, where: str) -> str:
    if value.tzinfo is None:
        raise JournalError(f"`{where}` of an event must be a time with a time zone, was {value}")
    return value.astimezone(UTC).isoformat()
