"""A client of one venue's public interface, through ccxt, without a key."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import tenacity

from slackwater.errors import SourceError, missing_extra
from slackwater.sources.exchange.venue import Venue
from slackwater.sources.http import LATER, Politeness, retry_after, split_credentials
from slackwater.sources.patience import Waits, within

__all__ = ["Client", "TooOldError"]

#: Characters of a venue's message that are quoted.
_QUOTED: Final = 200


#: Longest time of a whole answer, in timeouts: answers are pages of some hundred kilobytes.
_LONGEST_ANSWER: Final = 4.0


class _TransientError(Exception):
    """An answer to be requested again: a page of a proxy, a body that was cut off, an overloaded server."""


class TooOldError(Exception):
    """The venue's history does not reach the requested range."""


class Client:
    """Client of one venue's public addresses.

    The addresses, parameters and rate limits are ccxt's; `slackwater.sources.http` downloads files and has neither.

    Parameters
    ----------
    venue
        The venue.
    base_url
        Root of a server to ask instead of the venue, such as a mirror; paths stay the same.
    politeness
        Limits of retries and waits. `delay` is added to the rate limits of ccxt.
    on_wait
        Function that is called with a line about what is waited for.

    Raises
    ------
    MissingExtraError
        If ccxt is not installed.
    """

    def __init__(
        self,
        venue: Venue,
        *,
        base_url: str | None = None,
        politeness: Politeness | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        self.venue = venue
        self._waits = Waits(on_wait)
        self.politeness = politeness or Politeness()
        ccxt = _ccxt()
        self._errors = ccxt
        # A mirror has no rate limit.
        settings = {"enableRateLimit": base_url is None, "timeout": round(self.politeness.timeout * 1000)}
        self._exchange = (ccxt.Exchange if venue.url else getattr(ccxt, venue.name))(settings)
        base = base_url and split_credentials(base_url)[0].rstrip("/")
        if base and not venue.url:
            self._exchange.urls["api"] = _moved(self._exchange.urls["api"], base)
        self._root = base or venue.url.rstrip("/")
        self.server_time: datetime | None = None
        self._status = 0
        self._exchange.session.hooks["response"].append(self._note_status)

    def ask(self, method: str, params: dict[str, Any], *, too_old: tuple[str, ...] = ()) -> Any:
        """Return the venue's answer.

        Parameters
        ----------
        method, params
            An address by its name in ccxt (a path where the venue has a `url`), and its parameters.
        too_old
            Parts of the venue's message for a range before its history.

        Raises
        ------
        TooOldError
            If the message contains one of them.
        SourceError
            If the venue cannot be reached after the allowed number of tries, or refuses.
        """
        rules, name = self.politeness, self.venue.name
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(rules.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type((self._errors.NetworkError, _TransientError)),
            before_sleep=lambda state: self._waits.tell(name, state, rules.attempts),
            reraise=True,
        )
        try:
            answer = retrying(self._try, method, params)
        except (self._errors.NetworkError, _TransientError) as error:
            raise SourceError(
                f"{name} could not be asked for {method} after {rules.tries}: {_words(error)}; run it again later"
            ) from None
        except self._errors.BaseError as error:
            if any(part.lower() in str(error).lower() for part in too_old):
                raise TooOldError(_words(error)) from None
            asked = ", ".join(f"{key} {value}" for key, value in params.items())
            raise SourceError(f"{name} refuses {method} ({asked}): {_words(error)}") from None
        self._note_time()
        if rules.delay:
            time.sleep(rules.delay)
        return answer

    def time(self, now: datetime | None = None) -> datetime:
        """Return the time: the earlier of the own clock and the venue's, so that an open bar never counts as closed."""
        own = now or datetime.now(UTC)
        return own if self.server_time is None else min(own, self.server_time)

    def _try(self, method: str, params: dict[str, Any]) -> Any:
        self._status = 0
        call: Callable[[], Any] = (
            partial(self._exchange.fetch, f"{self._root}{method}?{urlencode(params)}")
            if self.venue.url
            else partial(getattr(self._exchange, method), params)
        )
        try:
            answer = within(_LONGEST_ANSWER * self.politeness.timeout, call)
        except TimeoutError as error:  # an answer that drips in passes every timeout of a read
            raise _TransientError(str(error)) from None
        except ValueError as error:
            raise _TransientError(str(error)) from None
        except self._errors.BaseError as error:
            # With such a status the message is not an answer to the request, whatever it contains.
            if self._status in LATER or self._status >= 500:
                raise _TransientError(_words(error)) from None
            raise
        if not isinstance(answer, (dict, list)):
            raise _TransientError(f"{answer!r:.60} is not JSON")
        return answer

    def _note_status(self, answer: Any, *args: Any, **options: Any) -> None:
        self._status = int(answer.status_code)

    def _note_time(self) -> None:
        text = _header(self._exchange.last_response_headers, "date")
        try:
            self.server_time = email.utils.parsedate_to_datetime(text).astimezone(UTC)
        except (TypeError, ValueError):
            return

    def _wait(self, state: tenacity.RetryCallState) -> float:
        rules = self.politeness
        asked = retry_after(_header(self._exchange.last_response_headers, "retry-after"))
        return max(rules.wait(state.attempt_number), min(asked, rules.longest_retry_after))


def _ccxt() -> Any:
    try:
        import ccxt  # type: ignore[import-untyped]  # an optional extra, and slow to import
    except ModuleNotFoundError as error:
        raise missing_extra(error) from error
    return ccxt


def _moved(urls: Any, base: str) -> Any:
    """Return ccxt's addresses with another server and the same paths."""
    if isinstance(urls, dict):
        return {name: _moved(url, base) for name, url in urls.items()}
    return base + urlsplit(urls.replace("{hostname}", "host")).path


def _header(headers: Any, name: str) -> str:
    return next((str(value) for key, value in (headers or {}).items() if key.lower() == name), "")


def _words(error: Exception) -> str:
    """Return the venue's message on one short line: it may be a page of HTML."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:_QUOTED]}"
