"""Follower of a journal: what is written into it becomes messages to the channels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from types import TracebackType
from typing import Annotated, Final, Self

from slackwater.alerts.channels import Answer, Channel
from slackwater.alerts.episodes import Episodes, Notice
from slackwater.alerts.errors import AlertError, OtherJournalError
from slackwater.alerts.grouping import grouped
from slackwater.alerts.message import Message, message_of
from slackwater.alerts.outbox import Outbox
from slackwater.alerts.reader import end_of, events_after, events_of, require_same
from slackwater.errors import ParameterError, SlackwaterError
from slackwater.file_lock import held_alone
from slackwater.settings import PositiveDuration, Within, settings

__all__ = ["AlertFollower", "Pace"]

_UNDER_WAY: Final = 10.0


@settings
class Pace:
    """Times of the messages.

    Parameters
    ----------
    poll
        Time between two looks into the journal.
    gather
        Time in which messages are gathered into one; those of one bar close come within a second or two.
    spacing
        Time between two messages of one channel. Telegram takes 20 per minute in a group.
    first_wait, longest_wait
        Wait of the first equal update of an episode, which doubles, and its limit. An episode of which nothing was
        heard for `longest_wait` is forgotten: the next event begins it anew.
    first_retry, longest_retry
        Wait after a channel has failed and did not say how long to wait, which doubles, and its limit.
    """

    poll: PositiveDuration = timedelta(seconds=1)
    gather: Annotated[timedelta, Within(ge=timedelta(0))] = timedelta(seconds=2)
    spacing: Annotated[timedelta, Within(ge=timedelta(0))] = timedelta(seconds=3)
    first_wait: PositiveDuration = timedelta(minutes=5)
    longest_wait: PositiveDuration = timedelta(hours=4)
    first_retry: PositiveDuration = timedelta(seconds=2)
    longest_retry: PositiveDuration = timedelta(minutes=5)


class AlertFollower:
    """Process or thread that turns events of a journal into messages; a context manager.

    It takes nothing from the process that writes the journal: an event is on the disk before there is a message of it,
    and a message that cannot be sent disturbs nobody. What was sent is recorded in ``<journal>.outbox``: after a kill,
    a message whose success was not yet recorded is sent again, and none is left out. At its first start it begins with
    the events that follow; so start it before the process that writes.

    Parameters
    ----------
    journal
        Journal; it may not exist yet.
    channels
        At least one (`slackwater.alerts.channels.channels_of`). One that fails does not hold up the others.
    tell
        Called with one sentence whenever something goes wrong or works again, from several threads.
    pace
        Times.
    clock
        Clock of the machine, in seconds since 1970.

    Raises
    ------
    ParameterError
        If there is no channel.
    AlertError
        If another process follows the journal, or its outbox is damaged, foreign or of another journal.
    JournalError
        If the journal cannot be read.
    """

    def __init__(
        self,
        journal: str | Path,
        channels: Sequence[Channel],
        *,
        tell: Callable[[str], None],
        pace: Pace = Pace(),  # noqa: B008 frozen
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not channels:
            raise ParameterError("`channels` must name at least one channel")
        self._path, self._channels, self._pace, self._clock = Path(journal), tuple(channels), pace, clock
        self._tell, self._telling = tell, Lock()
        self._troubles: dict[str, str] = {}  # what was told last of a channel, or of the journal (empty name)
        self._episodes = Episodes(pace.first_wait.total_seconds(), pace.longest_wait.total_seconds())
        self._failures = {channel.name: 0 for channel in channels}
        # Waits go by the monotonic clock: the machine's may be set while they last.
        self._gathered_at = 0.0
        self._news, self._ending, self._draining = Condition(), Event(), Event()
        self._drained_at = float("inf")
        self._threads: list[Thread] = []
        self.fault: SlackwaterError | None = None
        """Error of the last look into the journal; None if it worked."""
        with ExitStack() as held:
            path = self._path.with_name(f"{self._path.name}.outbox")
            held.enter_context(_one_follower(path))
            self._outbox = Outbox(path)
            if self._outbox.is_new:
                self._outbox.advance(end_of(self._path), [], {})
            else:
                require_same(self._path, self._outbox.position)
            self._episodes.restore(self._outbox.episodes)
            self._outbox.begin((channel.name for channel in channels), clock())
            started = time.monotonic()
            self._rests = {
                channel.name: started + self._outbox.not_before(channel.name) - clock() for channel in channels
            }
            self._held = held.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Record nothing any more, and let another process follow."""
        self._outbox.close()
        self._held.close()

    @property
    def position(self) -> int:
        """Number of the last event that was read."""
        return self._outbox.position.id

    def run_once(self) -> None:
        """Read what is new, then make one attempt at each channel that has something to send; not beside `start`.

        Raises
        ------
        JournalError, AlertError
            If the journal cannot be read, or is another one.
        """
        self._read()
        due = [channel for channel in self._channels if self._due_in(channel, 0.0) == 0.0]
        attempts = [Thread(target=self._deliver_safely, args=(channel,), daemon=True) for channel in due]
        for attempt in attempts:
            attempt.start()
        for attempt in attempts:
            attempt.join()

    def start(self) -> None:
        """Follow the journal in threads of its own until `stop`."""
        self._threads = [Thread(target=self._follow, name="alerts", daemon=True)]
        self._threads += [
            Thread(target=self._carry, args=(channel,), name=f"alerts to {channel.label}", daemon=True)
            for channel in self._channels
        ]
        for thread in self._threads:
            thread.start()

    def stop(self, within: timedelta = timedelta(seconds=10)) -> tuple[str, ...]:
        """Read the rest, send what waits within a limit, and return a sentence about each channel that is not done.

        An attempt that is under way at the limit is awaited for up to ten seconds more, so that it is not repeated.
        What was not sent stays in the outbox, and is sent at the next start. So are updates that are held back.
        """
        self._ending.set()
        self._drained_at = time.monotonic() + within.total_seconds()
        for reader in self._threads[:1]:
            reader.join(within.total_seconds())
        if not any(reader.is_alive() for reader in self._threads[:1]):
            self._read_safely()
        self._draining.set()
        with self._news:
            self._news.notify_all()
        for carrier in self._threads[1:]:
            carrier.join(max(self._drained_at + _UNDER_WAY - time.monotonic(), 0.0))
        return tuple(self._unsent())

    def _unsent(self) -> Iterator[str]:
        for channel in self._channels:
            waiting, older = self._outbox.pending(channel.name)
            if waiting:
                trouble = self._troubles.get(channel.name, f"channel {channel.label} was not asked in time")
                yield f"messages not sent: {len(waiting) + older:,}; {trouble}"
        if held := self._episodes.held():
            yield f"equal updates held back until the next start: {held:,}"

    # -- reading -----------------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        while not self._ending.is_set():
            self._read_safely()
            self._ending.wait(self._pace.poll.total_seconds())

    def _read_safely(self) -> None:
        try:
            self._read()
        except SlackwaterError as error:
            self.fault = error
            self._say("", str(error))
        except Exception as error:
            self.fault = AlertError(f"the journal could not be followed ({type(error).__name__}: {error})")
            self._say("", str(self.fault))
        else:
            self.fault = None
            self._troubles.pop("", None)

    def _read(self) -> None:
        position, events = events_after(self._path, self._outbox.position)
        now = self._clock()
        notices: list[Notice] = []
        for event in events:
            message = message_of(event)
            notice = None if message is None else self._episodes.take(event.id, message, now)
            if notice is not None:
                notices.append(notice)
        notices += self._episodes.due(now)
        if notices and time.monotonic() >= self._gathered_at:
            self._gathered_at = time.monotonic() + self._pace.gather.total_seconds()
        if notices or position != self._outbox.position:
            self._outbox.advance(position, notices, self._episodes.to_dict())
        with self._news:
            self._news.notify_all()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _carry(self, channel: Channel) -> None:
        """Send to one channel whatever waits for it, until the follower ends."""
        poll = self._pace.poll.total_seconds()
        while True:
            draining = self._draining.is_set()
            pause = self._due_in(channel, 0.0 if draining else self._gathered_at)
            if draining and (pause is None or time.monotonic() + pause >= self._drained_at):
                return
            if pause == 0.0:
                self._deliver_safely(channel)
                continue
            with self._news:
                self._news.wait(poll if pause is None else min(pause, poll))

    def _due_in(self, channel: Channel, gathered_at: float) -> float | None:
        """Return in how many seconds a channel may be asked; None if nothing waits for it."""
        if not self._outbox.pending(channel.name)[0]:
            return None
        return max(max(self._rests[channel.name], gathered_at) - time.monotonic(), 0.0)

    def _deliver_safely(self, channel: Channel) -> None:
        try:
            self._deliver(channel)
        except Exception as error:
            # The journal or the disk: nothing that a service answered is in the text of these.
            told = str(error) if isinstance(error, SlackwaterError) else type(error).__name__
            self._say(channel.name, f"channel {channel.label}: {told}")
            self._rests[channel.name] = time.monotonic() + self._pace.longest_retry.total_seconds()

    def _deliver(self, channel: Channel) -> None:
        """Make one attempt at a channel, with as much of what waits for it as fits into a message."""
        waiting, unsent = self._outbox.pending(channel.name)
        items = self._with_messages([notice for _, notice in waiting])
        group = grouped(items, limit=channel.limit, unsent=unsent)
        answer = channel.send(group.title, group.text, group.urgency)
        rest = self._pace.spacing.total_seconds() if answer.sent else self._rest(channel, answer)
        self._rests[channel.name] = time.monotonic() + rest
        if not answer.sent:
            self._failures[channel.name] += 1
            self._say(channel.name, f"channel {channel.label} {answer.reason}; the next attempt is in {rest:.0f} s")
            self._outbox.postpone(channel.name, self._clock() + rest)
            return
        if self._failures[channel.name]:
            self._failures[channel.name] = 0
            self._say(channel.name, f"channel {channel.label} answers again")
        self._troubles.pop(channel.name, None)
        self._outbox.sent(channel.name, waiting[group.contained - 1][0], self._clock() + rest)

    def _rest(self, channel: Channel, answer: Answer) -> float:
        """Return how long to leave a channel alone that has failed: what it asks for, or ever longer up to a limit."""
        if answer.wait is not None:
            return max(answer.wait, self._pace.spacing.total_seconds())
        doubled = self._pace.first_retry.total_seconds() * 2.0 ** min(self._failures[channel.name], 30)
        return float(min(doubled, self._pace.longest_retry.total_seconds()))

    def _with_messages(self, notices: Sequence[Notice]) -> list[tuple[Notice, Message]]:
        events = events_of(self._path, (notice.event for notice in notices))
        messages = [(each, message_of(events[each.event])) for each in notices if each.event in events]
        found = [(notice, message) for notice, message in messages if message is not None]
        if len(found) < len(notices):
            raise OtherJournalError(
                f"{self._path} lacks {len(notices) - len(found)} events of which messages are to be sent: it is "
                "another journal, or the outbox was edited"
            )
        return found

    def _say(self, about: str, sentence: str) -> None:
        """Tell something once, until something else is to be told about the same channel or the journal."""
        with self._telling:
            if self._troubles.get(about) != sentence:
                self._troubles[about] = sentence
                with suppress(Exception):  # a terminal that is gone must not end what sends
                    self._tell(sentence)


@contextmanager
def _one_follower(outbox: Path) -> Iterator[None]:
    """Hold the lock of an outbox, so that no message is sent by two."""
    lock = outbox.with_name(f"{outbox.name}.lock")

    def busy(holder: str) -> AlertError:
        return AlertError(
            f"{holder} already sends the messages of this journal (lock {lock}): two would send each of them twice; "
            "stop one"
        )

    with ExitStack() as held:
        try:
            held.enter_context(held_alone(lock, "alerts", busy=busy))
        except OSError as error:
            raise AlertError(f"{lock} cannot be written ({error.strerror}): make its directory writable") from error
        yield
