"""Answers of a service while apprise talks to it, and the loggers that must not tell its secrets.

`notify` of apprise returns whether it worked, not what was answered: neither the status nor how long a service asks to
wait. Most of its services go through `requests`, so that is where the answers are heard. The tokens of a service are in
the paths and headers of the same requests, which `apprise` and `urllib3` log; in the block of `listening`, what they
log is withheld. Other threads, and this one outside of the block, are not touched.
"""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import requests

__all__ = ["Heard", "listening", "seconds_to_wait"]

_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503
_BAD: Final = 400
_TALKATIVE: Final = ("apprise", "urllib3", "requests", "charset_normalizer")
_LISTENER: ContextVar[Heard | None] = ContextVar("slackwater_alerts_listener", default=None)
_INSTALLING: Final = Lock()


class Heard:
    """What was heard in a block of `listening`.

    Attributes
    ----------
    status
        Status of the last bad answer, 0 if there was none.
    wait
        Seconds that the service asks to wait; None if it does not ask.
    failure
        Name of the error if the service could not be reached, without its text, which contains the address.
    """

    def __init__(self) -> None:
        self.status = 0
        self.wait: float | None = None
        self.failure = ""

    def ask(self, send: Callable[[], requests.Response]) -> requests.Response:
        """Send a request, unless the service has just asked to wait: some of apprise would ask again at once."""
        from requests import RequestException

        if self.status == _TOO_MANY or self.wait is not None:
            raise RequestException("the service asked to wait")
        try:
            answer = send()
        except Exception as error:
            self.failure = type(error).__name__
            raise
        if answer.status_code >= _BAD:
            self.status = answer.status_code
        if answer.status_code in (_TOO_MANY, _UNAVAILABLE):
            self.wait = seconds_to_wait(answer.headers, _json(answer), time.time())
        return answer


@contextmanager
def listening() -> Iterator[Heard]:
    """Hear what is answered to this thread in the block, and withhold what the libraries below log about it."""
    _install()
    _hush()
    heard = Heard()
    token = _LISTENER.set(heard)
    try:
        yield heard
    finally:
        _LISTENER.reset(token)


def seconds_to_wait(headers: Mapping[str, str], body: Any, now: float) -> float | None:
    """Return how many seconds a service asks to wait, the largest of what it states; None if it states nothing.

    Parameters
    ----------
    headers
        `Retry-After`, in seconds or as a date.
    body
        Content of the answer: Discord states `retry_after`, Telegram `parameters.retry_after`, in seconds.
    now
        Time, in seconds since 1970.

    Examples
    --------
    >>> seconds_to_wait({"Retry-After": "3"}, {"parameters": {"retry_after": 5}}, 0.0)
    5.0
    """
    within = body if isinstance(body, Mapping) else {}
    inner = within.get("parameters")
    stated = [within.get("retry_after"), inner.get("retry_after") if isinstance(inner, Mapping) else None]
    found = [_seconds(each) for each in (*stated, headers.get("Retry-After"))]
    found.append(_until(headers.get("Retry-After"), now))
    return max((each for each in found if each is not None), default=None)


def _seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0.0 else None


def _until(value: str | None, now: float) -> float | None:
    try:
        return max(parsedate_to_datetime(value or "").timestamp() - now, 0.0)
    except (TypeError, ValueError, OverflowError):
        return None


def _json(answer: requests.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _install() -> None:
    """Have `requests` ask the listener of the thread, where there is one; once per process."""
    from requests.adapters import HTTPAdapter

    with _INSTALLING:
        original = HTTPAdapter.send
        if hasattr(original, "slackwater"):
            return

        @functools.wraps(original)
        def send(self: HTTPAdapter, request: Any, *args: Any, **settings: Any) -> requests.Response:
            heard, ask = _LISTENER.get(), functools.partial(original, self, request, *args, **settings)
            return ask() if heard is None else heard.ask(ask)

        send.slackwater = True  # type: ignore[attr-defined]
        HTTPAdapter.send = send  # type: ignore[method-assign]


class _Withheld(logging.Filter):
    """Filter that lets nothing pass while the thread is listening."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record may be handled."""
        return _LISTENER.get() is None


_WITHHELD: Final = _Withheld()


def _hush() -> None:
    # Filters of a logger do not concern those below it, and some appear late: all that there are get it, each time.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in _TALKATIVE:
            logging.getLogger(name).addFilter(_WITHHELD)  # the same filter is added once
