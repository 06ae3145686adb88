"""A real Chromium without a network, or with 127.0.0.1 alone, driven over a pipe by the DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

_PATIENCE = 60.0  # seconds: shared machines are slow


def require_browser() -> str:
    """Return the path of Chromium; skip the test where there is none."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("there is no chromium on the path")


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it, 1 to 21."""
    bright = []
    for text in (one, other):
        digits = text.lstrip("#")
        digits = "".join(2 * each for each in digits) if len(digits) == 3 else digits
        channels = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        bright.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(bright) + 0.05) / (min(bright) + 0.05)


class Browser:
    """One tab. Every request and every line of the console since the start is kept.

    Without `loopback` there is no network at all; with it, addresses of 127.0.0.1 and no names.
    """

    def __init__(self, profile: Path, *, width: int = 1280, height: int = 900, loopback: bool = False) -> None:
        self.width, self.height = width, height
        self.requests: list[str] = []
        self.console: list[str] = []
        self._number = 0
        self._rest = b""
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()

        # The browser expects the pipes at 3 and 4.
        copies = f"r, w = (fcntl(fd, F_DUPFD, 10) for fd in ({to_browser}, {from_browser}))"
        places = f"import os, sys; from fcntl import *; {copies}; os.dup2(r, 3); os.dup2(w, 4)"
        command = [sys.executable, "-c", f"{places}; os.execv(sys.argv[1], sys.argv[1:])", require_browser()]
        command += ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        command += [f"--user-data-dir={profile}", "--disable-background-networking"]
        command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        (tab,) = (each for each in self.call("Target.getTargets")["targetInfos"] if each["type"] == "page")
        attached = self.call("Target.attachToTarget", targetId=tab["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        if not loopback:
            self.send(
                "Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1
            )
        self.resize(width, height)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def call(self, method: str, session: str = "", **params: Any) -> Any:
        """Send a command and return its result."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": params} | ({"sessionId": session} if session else {})
        os.write(self._write, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            answer = self._receive(end)
            if answer.get("id") == number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
        raise TimeoutError(method)

    def send(self, method: str, **params: Any) -> Any:
        """Send a command to the tab."""
        return self.call(method, self._session, **params)

    def _receive(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(end - time.monotonic(), 0.0))
            if not ready:
                raise TimeoutError("the browser is silent")
            read = os.read(self._read, 1 << 20)
            assert read, "the browser has ended"
            self._rest += read
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, params: Mapping[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"][:200])
        elif event == "Runtime.consoleAPICalled":
            self.console.append(str(params["args"]))
        elif event == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"]))
        elif event == "Log.entryAdded":
            self.console.append(str(params["entry"]))

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Set the size of the window in CSS pixels."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    def media(self, *, scheme: str = "light", kind: str = "screen") -> None:
        """Choose light or dark, screen or print."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", media=kind, features=features)

    def open(self, page: Path) -> None:
        """Load a file and wait until its chart is drawn."""
        self.visit(page.resolve().as_uri())

    def visit(self, url: str) -> None:
        """Load an address and wait until its chart is drawn."""
        self.load(url)
        self.wait("document.getElementById('chart')?.dataset.ready === 'yes'")

    def load(self, url: str) -> None:
        """Load an address of a page that may have no chart."""
        self.send("Page.navigate", url=url)
        self.wait(f"location.href.startsWith({json.dumps(url)}) && document.readyState === 'complete'")

    def ask(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Wait until an expression in the page is true."""
        end = time.monotonic() + _PATIENCE
        while not self.ask(f"Boolean({condition})"):
            assert time.monotonic() < end, f"never true: {condition}; the console has {self.console}"
            time.sleep(0.05)

    def settle(self) -> None:
        """Wait until what was asked for is drawn: the second frame from now."""
        self.ask("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def click(self, x: float, y: float) -> None:
        """Press and release the mouse at a pixel of the window."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def wheel(self, x: float, y: float, by: float) -> None:
        """Turn the wheel at a pixel of the window; less than 0 is away from the user."""
        self.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=by)

    def key(self, key: str) -> None:
        """Press a key where the focus is."""
        text = {"text": key} if len(key) == 1 else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key)

    def tab(self) -> None:
        """Move the focus on, as the Tab key does."""
        for kind in ("rawKeyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen as a PNG file; `whole` takes all of the page."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=whole, optimizeForSpeed=True)
        path.write_bytes(base64.b64decode(shot["data"]))
