"""The walk along the chain of a journal, which shows whether its events are those that were written."""

from __future__ import annotations

from dataclasses import dataclass

from slackwater.journal.errors import BrokenChainError
from slackwater.journal.event import GENESIS, event_sha
from slackwater.journal.store import COLUMNS, Journal

__all__ = ["Verified", "verify_chain"]

_READ = ", ".join(f"CAST({name} AS BLOB)" if name not in ("id", "ts_ns") else name for name in COLUMNS)
_RESTORE = "restore the journal from a copy; nothing in it can be mended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """A chain that holds.

    Parameters
    ----------
    events
        Number of events.
    head
        Digest of the last one. An end that was cut off leaves a chain that holds, so note the head elsewhere, and give
        it to the next walk.
    """

    events: int
    head: str


def verify_chain(journal: Journal, *, head: str = "") -> Verified:
    """Walk along the whole chain, and compute every digest again.

    Parameters
    ----------
    journal
        Open for reading.
    head
        Digest that an earlier walk gave, or its first digits (8 at least): an event must still have it. Empty: none.

    Raises
    ------
    BrokenChainError
        If an event is not the one that was written, or no event has the digest `head`; with the first event.
    JournalError
        If the file is damaged.
    """
    if head and len(head) < 8:
        raise BrokenChainError(f"`head` must have 8 digits at least, was {head!r}")
    wanted, met = head.encode(), not head
    expected, before = 0, GENESIS.encode()
    for number, ts_ns, kind, account, bundle, symbol, key, payload, prev_sha, sha in journal.stream(
        f"SELECT {_READ} FROM event ORDER BY id"  # noqa: S608
    ):
        expected += 1
        if number != expected:
            raise BrokenChainError(f"{journal.path}: event {expected} is missing, {number} follows: {_RESTORE}")
        if prev_sha != before:
            raise BrokenChainError(f"{journal.path}: event {number} does not follow the one before it: {_RESTORE}")
        if sha != event_sha(prev_sha, number, ts_ns, payload, kind, account, bundle, symbol, key).encode():
            raise BrokenChainError(f"{journal.path}: event {number} was changed after it was written: {_RESTORE}")
        before = sha
        met = met or sha.startswith(wanted)
    if not met:
        raise BrokenChainError(
            f"{journal.path}: none of its {expected} events has the digest {head}: its end was cut off, or the journal "
            f"is another one; {_RESTORE}"
        )
    return Verified(events=expected, head=before.decode())
