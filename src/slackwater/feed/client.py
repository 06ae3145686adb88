"""The client of a venue: ccxt's, without keys, with every message of data tapped before ccxt folds it.

ccxt's own streams lose messages: what arrives while nobody waits is dropped, rows change after they were returned, and
flags such as that of a closed candle are left out. So its classes connect, subscribe and answer pings here, and the
data go to the feed as they came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from slackwater.errors import MissingExtraError, ParameterError, SourceError, did_you_mean
from slackwater.feed.readers.reader import Reader

__all__ = [
    "is_of_ccxt",
    "is_of_the_network",
    "local_urls",
    "require_symbols",
    "tapped_client",
    "words_of",
]

_TIMEOUT_MS: Final = 10_000


def tapped_client(reader: Reader, server: str | None, on_data: Callable[[Any], None]) -> Any:
    """Return a client of ccxt.pro that passes data to a function, and everything else to ccxt.

    Parameters
    ----------
    reader
        Reader of the venue.
    server
        Root URL of a mock venue; None: the venue itself.
    on_data
        Function that is called with each decoded message of data; it must not raise.

    Raises
    ------
    MissingExtraError
        If ccxt is not installed.
    """
    base = getattr(_ccxt_pro(), reader.client)

    class Tapped(base):  # type: ignore[misc, valid-type]
        def handle_message(self, client: Any, message: Any) -> None:
            if reader.is_data(message):
                on_data(message)
            else:
                super().handle_message(client, message)

    # Limits of rates protect the venue; a mock needs none.
    client = Tapped({"enableRateLimit": server is None, "timeout": _TIMEOUT_MS, "options": dict(reader.options)})
    client.has["fetchCurrencies"] = False
    if server is not None:
        client.urls["api"] = local_urls(client.urls["api"], server)
    return client


def local_urls(urls: Any, server: str) -> Any:
    """Return ccxt's addresses with another server and the same paths; websockets stay websockets."""
    if isinstance(urls, dict):
        return {name: local_urls(url, server) for name, url in urls.items()}
    if not isinstance(urls, str):
        return urls
    parts = urlsplit(urls.replace("{hostname}", "host"))
    scheme = "ws" if parts.scheme.startswith("ws") else "http"
    return f"{scheme}://{urlsplit(server).netloc}{parts.path}"


def is_of_ccxt(error: Exception) -> bool:
    """Return whether ccxt raised an error on purpose."""
    return isinstance(error, _ccxt_pro().BaseError)


def is_of_the_network(error: Exception) -> bool:
    """Return whether an error is one of the network or of a limit of rates: the request is worth repeating."""
    return isinstance(error, _ccxt_pro().NetworkError)


def words_of(error: BaseException) -> str:
    """Return an error on one short line: a message of ccxt may be a page of HTML."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def require_symbols(client: Any, reader: Reader, symbols: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return ccxt's market of each canonical symbol; the markets must have been loaded.

    Raises
    ------
    ParameterError
        If the venue has no such perpetual; the message names the nearest one.
    SourceError
        If the venue lists no perpetuals at all.
    """
    listed = {each["id"]: each for each in client.markets.values() if each.get("swap") and each.get("linear")}
    if not listed:
        raise SourceError(f"{reader.venue.name} lists no linear perpetuals: its answer is not what it should be")
    out = {}
    for symbol in symbols:
        try:
            name = reader.venue.instrument(symbol)
        except ParameterError:
            name = symbol
        if name not in listed:
            raise ParameterError(f"{reader.venue.name} has no perpetual `{name}`{did_you_mean(name, listed)}"[:400])
        out[symbol] = listed[name]
    return out


def _ccxt_pro() -> Any:
    try:
        import ccxt.pro as ccxt_pro  # type: ignore[import-untyped]  # an optional extra, and slow to import
    except ModuleNotFoundError as error:
        raise MissingExtraError(f'{error.name} is not installed: run `pip install "slackwater[live]"`') from None
    return ccxt_pro
