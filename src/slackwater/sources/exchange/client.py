"""One venue through ccxt: asked politely, its errors named, and never with a key."""

from __future__ import annotations

import email.utils
import random
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import tenacity

from slackwater.errors import MissingDataError, SourceError
from slackwater.sources.http import LATER, Politeness, split_credentials

__all__ = ["Client", "TooOldError"]

#: Characters of a venue's own words that go into a message.
QUOTED: Final = 200


class _TransientError(Exception):
    """Worth another try: a page of a proxy, a body that was cut off, a server that has no time."""


class TooOldError(Exception):
    """The venue does not go back as far as it was asked."""


class Client:
    """Asks one venue's public addresses.

    Parameters
    ----------
    venue
        Its name in ccxt.
    base_url
        Where to ask instead of the venue itself, such as a mirror; the paths stay the venue's own.
    politeness
        How often to try, and how long to wait. `delay` is used where it is longer than the venue's own rate limit.

    Raises
    ------
    MissingDataError
        If ccxt is not installed.
    """

    def __init__(self, venue: str, *, base_url: str | None = None, politeness: Politeness | None = None) -> None:
        self.venue = venue
        self.politeness = politeness or Politeness()
        ccxt = _ccxt()
        self._errors = ccxt
        self._exchange = getattr(ccxt, venue)(
            {
                # A copy on one's own machine has no limit that one could exceed.
                "enableRateLimit": base_url is None,
                "timeout": round(self.politeness.timeout * 1000),
            }
        )
        if base_url is not None:
            base = split_credentials(base_url)[0].rstrip("/")
            self._exchange.urls["api"] = _moved(self._exchange.urls["api"], base)
        self.server_time: datetime | None = None
        self._status = 0
        self._exchange.session.hooks["response"].append(self._hear_status)

    def ask(self, method: str, params: dict[str, Any], *, too_old: tuple[str, ...] = ()) -> Any:
        """Return the venue's answer.

        Parameters
        ----------
        method, params
            An address by the name that ccxt gives it, and what to send.
        too_old
            Parts of what the venue says where its history does not go back so far.

        Raises
        ------
        TooOldError
            If it says so.
        SourceError
            If the venue cannot be reached after so many tries, or refuses.
        """
        rules = self.politeness
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(rules.attempts),
            wait=self._wait,
            retry=tenacity.retry_if_exception_type((self._errors.NetworkError, _TransientError)),
            reraise=True,
        )
        try:
            answer = retrying(self._try, method, params)
        except (self._errors.NetworkError, _TransientError) as error:
            tries = f"{rules.attempts} tries" if rules.attempts > 1 else "one try"
            raise SourceError(
                f"{self.venue} could not be asked for {method} after {tries}: {_words(error)}; run it again later"
            ) from None
        except self._errors.BaseError as error:
            if any(part.lower() in str(error).lower() for part in too_old):
                raise TooOldError(_words(error)) from None
            asked = ", ".join(f"{name} {value}" for name, value in params.items())
            raise SourceError(f"{self.venue} refuses {method} ({asked}): {_words(error)}") from None
        self._hear_time()
        if rules.delay:
            time.sleep(rules.delay)
        return answer

    def _try(self, method: str, params: dict[str, Any]) -> Any:
        call: Callable[[dict[str, Any]], Any] = getattr(self._exchange, method)
        self._status = 0
        try:
            answer = call(params)
        except ValueError as error:
            raise _TransientError(str(error)) from None
        except self._errors.BaseError as error:
            # Whatever the words: with such a status they are no answer to what was asked.
            if self._status in LATER or self._status >= 500:
                raise _TransientError(_words(error)) from None
            raise
        if not isinstance(answer, (dict, list)):
            raise _TransientError(f"{answer!r:.60} is no JSON")
        return answer

    def moment(self, now: datetime | None = None) -> datetime:
        """Return the time: the earlier one of the own clock and the venue's, so that no open bar counts as closed."""
        own = now or datetime.now(UTC)
        return own if self.server_time is None else min(own, self.server_time)

    def _hear_status(self, answer: Any, *args: Any, **options: Any) -> None:
        self._status = int(answer.status_code)

    def _hear_time(self) -> None:
        text = _header(self._exchange.last_response_headers, "date")
        try:
            self.server_time = email.utils.parsedate_to_datetime(text).astimezone(UTC)
        except (TypeError, ValueError):
            return

    def _wait(self, state: tenacity.RetryCallState) -> float:
        rules = self.politeness
        grown = min(rules.longest_wait, rules.first_wait * 2.0 ** (state.attempt_number - 1))
        asked = _header(self._exchange.last_response_headers, "retry-after")
        told = float(asked) if re.fullmatch(r"\d{1,9}", asked) else 0.0
        return max(grown * (0.5 + 0.5 * random.random()), min(told, rules.longest_retry_after))  # noqa: S311 no secret


def _ccxt() -> Any:
    try:
        import ccxt  # type: ignore[import-untyped]  # an optional extra, and slow to import
    except ImportError:
        raise MissingDataError(
            "the venues are asked through ccxt, which is not installed; run `pip install slackwater[exchange]`"
        ) from None
    return ccxt


def _moved(urls: Any, base: str) -> Any:
    """Return ccxt's addresses with another server and the same paths."""
    if isinstance(urls, dict):
        return {name: _moved(url, base) for name, url in urls.items()}
    return base + urlsplit(urls.replace("{hostname}", "host")).path


def _header(headers: Any, name: str) -> str:
    return next((str(value) for key, value in (headers or {}).items() if key.lower() == name), "")


def _words(error: Exception) -> str:
    """Return what the venue said, on one line and short: an HTML page may come in place of JSON."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:QUOTED]}"
