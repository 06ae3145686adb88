"""The loopback interface: which addresses are on it, and servers that listen on it alone."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from slackwater.errors import ParameterError

if TYPE_CHECKING:
    from aiohttp.web import AppRunner

__all__ = ["is_loopback", "listen", "loopback_url", "require_loopback"]


def is_loopback(host: str) -> bool:
    """Return whether a host is ``localhost`` or an address of the loopback interface; other names are never asked for.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("localhost.example.com")
    (True, True, False, False)
    """
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def require_loopback(host: str) -> str:
    """Return the address to listen on.

    Raises
    ------
    ParameterError
        If it is not an address of the loopback interface.
    """
    if not is_loopback(host):
        raise ParameterError(f"`host` must be an address of the loopback interface, such as 127.0.0.1, was {host!r}")
    return "127.0.0.1" if host == "localhost" else host


def loopback_url(address: str, port: int) -> str:
    """Return the root of the addresses of a server.

    Examples
    --------
    >>> loopback_url("::1", 8080)
    'http://[::1]:8080'
    """
    return f"http://{f'[{address}]' if ':' in address else address}:{port}"


async def listen(runner: AppRunner, address: str, port: int) -> int:
    """Start a server of aiohttp, and return its port; port 0 is any that is free.

    Raises
    ------
    ParameterError
        If the port cannot be listened on; the server is cleaned up then.
    """
    from aiohttp import web

    await runner.setup()
    try:
        await web.TCPSite(runner, address, port).start()
    except OSError as error:
        await runner.cleanup()
        raise ParameterError(f"{address}:{port} cannot be listened on: {error.strerror}") from None
    return int(runner.addresses[0][1])
