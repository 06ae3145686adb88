"""A view of paper trading as one page on the loopback interface, which server-sent events keep up to date."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import pairwise
from typing import Any, Final
from urllib.parse import urlsplit

from slackwater.errors import MissingExtraError, OrderError
from slackwater.loopback import is_loopback, listen, loopback_url, require_loopback
from slackwater.paper.screen.text import plain
from slackwater.paper.view import Candle, View

try:
    from aiohttp import web
except ModuleNotFoundError as error:
    raise MissingExtraError(f'{error.name} is not installed: run `pip install "slackwater[live]"`') from None

__all__ = ["WebScreen"]

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_RHYTHM: Final = 1.0  # seconds between two looks at the view
_QUIET: Final = 15  # looks without news after which a comment keeps the connection alive


class WebScreen:
    """A server of the page, on the loopback interface; use it as an asynchronous context.

    Parameters
    ----------
    view
        Function that returns the view of now; None: nothing is known yet.
    candles
        Function that returns the candles of a symbol of the view, oldest first.
    port
        Port; 0: any that is free. `port` is the one taken, and `url` the address of the page.
    host
        Address, which must be of the loopback interface.

    Attributes
    ----------
    watching
        Number of browsers that are being sent events.

    Raises
    ------
    ParameterError
        If the address is not of the loopback interface, or the port cannot be listened on.
    MissingExtraError
        At the import of this module, without the extra `live`.

    Notes
    -----
    A request whose ``Host`` is not an address of the loopback interface is refused, so that no page of another site can
    read the account through a name that it has pointed here. All texts are sent `printable`.
    """

    def __init__(
        self,
        view: Callable[[], View | None],
        candles: Callable[[str], Sequence[Candle]],
        port: int,
        host: str = "127.0.0.1",
    ) -> None:
        self.host, self.port = require_loopback(host), port
        self._view, self._candles = view, candles
        self._seen: tuple[View | None, bytes] = (None, _event(None))
        self.watching = 0
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> WebScreen:
        app = web.Application(middlewares=[_guarded])
        app.router.add_get("/events", self._events)
        app.router.add_get("/candles", self._candles_of)
        for path, (content, kind) in _assets().items():
            app.router.add_get(path, _constant(content, kind))
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        self.port = await listen(self._runner, self.host, self.port)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections and the server; later calls do nothing."""
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def url(self) -> str:
        """Address of the page, such as ``http://127.0.0.1:8080``."""
        return loopback_url(self.host, self.port)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={**_HEADERS, "Content-Type": "text/event-stream"})
        self.watching += 1
        try:
            await response.prepare(request)
            await response.write(b"retry: 1000\n\n")  # milliseconds until a browser that was cut off comes back
            await self._follow(response)
        except ConnectionError:
            pass  # the browser is gone, which is its right
        finally:
            self.watching -= 1
        return response

    async def _follow(self, response: web.StreamResponse) -> None:
        """Send the view whenever it has changed, and a comment from time to time where it has not."""
        sent, quiet = b"", 0
        while True:
            news = self._encoded()
            quiet = 0 if news != sent else quiet + 1
            if quiet == 0:
                await response.write(news)
            elif quiet % _QUIET == 0:
                await response.write(b": nothing new\n\n")
            sent = news
            await asyncio.sleep(_RHYTHM)

    def _encoded(self) -> bytes:
        """Return the view of now as an event; one view is encoded once for all browsers."""
        view = self._view()
        if view is not self._seen[0]:
            self._seen = (view, _event(view))
        return self._seen[1]

    async def _candles_of(self, request: web.Request) -> web.Response:
        symbol, view = request.query.get("symbol", ""), self._view()
        # The page has the names as they were sent to it.
        names = {plain(each.symbol): each.symbol for each in view.symbols} if view is not None else {}
        if symbol not in names:
            return _json({"error": f"there is no symbol {plain(symbol)!r} here"}, status=404)
        found = self._candles(names[symbol])
        if wrong := next((later for sooner, later in pairwise(found) if later.time <= sooner.time), None):
            raise OrderError(
                f"candles of {symbol}: the one of {wrong.time} comes after a later one or one of that time"
            )
        rows = [[each.time, each.open, each.high, each.low, each.close] for each in found]
        return _json({"symbol": symbol, "candles": plain(rows)})


def _event(view: View | None) -> bytes:
    content = None if view is None else plain(view.to_dict())
    return f"data: {json.dumps(content, allow_nan=False, separators=(',', ':'))}\n\n".encode()


def _json(content: Any, status: int = 200) -> web.Response:
    return web.json_response(content, status=status, headers=_HEADERS)


def _assets() -> dict[str, tuple[bytes, str]]:
    """Return the files of the page by path; the library of the chart and the base of the looks are the report's."""
    own, report = files("slackwater.paper.screen") / "page", files("slackwater.report.page") / "assets"
    places: dict[str, tuple[Traversable, str]] = {
        "/": (own / "page.html", "text/html"),
        "/page.js": (own / "page.js", "text/javascript"),
        "/page.css": (own / "page.css", "text/css"),
        "/report.css": (report / "page.css", "text/css"),
        "/lightweight-charts.js": (report / "lightweight-charts.js", "text/javascript"),
    }
    return {path: (place.read_bytes(), kind) for path, (place, kind) in places.items()}


def _constant(content: bytes, kind: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type=kind, charset="utf-8", headers=_HEADERS)

    return answer


@web.middleware
async def _guarded(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer requests that name the loopback interface, and no others."""
    named = ""
    with contextlib.suppress(ValueError):
        named = urlsplit(f"//{request.host}").hostname or ""
    if not is_loopback(named):
        return web.Response(status=403, text="This page is served on the loopback interface alone.\n", headers=_HEADERS)
    return await handler(request)
