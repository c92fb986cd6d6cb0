"""A headless browser, driven through its debugging protocol."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from core.closeable import Closeable
from tests.services.waiting import wait_until

TIMEOUT = 60.0
_PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell")


def browser_program() -> str | None:
    """Return the browser of this machine, or None when there is none."""
    return next((found for name in _PROGRAMS if (found := shutil.which(name))), None)


class Browser(Closeable):
    """A browser with its own profile.

    Args:
        profile: the directory that it creates.
    """

    def __init__(self, profile: Path) -> None:
        program = browser_program()
        assert program is not None
        flags = ["--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}", "--no-first-run"]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            flags.append("--no-sandbox")  # it refuses to run as root in a sandbox
        self._process = subprocess.Popen(
            [program, *flags, "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._port_file = profile / "DevToolsActivePort"

    @contextlib.asynccontextmanager
    async def page(self) -> AsyncIterator["Page"]:
        """Open its first page."""
        wait_until(lambda: self._port_file.is_file() and self._port_file.read_text() != "", "the browser", TIMEOUT)
        place = f"http://127.0.0.1:{self._port_file.read_text().split()[0]}/json/list"
        async with aiohttp.ClientSession() as http:
            async with http.get(place) as response:
                pages = [each for each in await response.json() if each["type"] == "page"]
            async with http.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                for part in ("Page", "Network", "Log", "Runtime"):
                    await page.do(f"{part}.enable")
                yield page

    def close(self) -> None:
        """End the browser."""
        if self._process.poll() is None:
            self._process.terminate()
        self._process.wait(TIMEOUT)


class Page:
    """One page of a browser.

    Attributes:
        addresses: that it has requested.
        complaints: errors in the browser's log.
    """

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[bool]") -> None:
        self.addresses: list[str] = []
        self.errors: list[str] = []
        self._socket = socket
        self._number = 0

    async def do(self, method: str, **parameters: object) -> dict[str, object]:
        """Call a method of the protocol. Returns its result, empty when it failed."""
        self._number += 1
        await self._socket.send_str(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(await self._socket.receive_str(timeout=TIMEOUT))
            if message.get("id") == self._number:
                return dict(message.get("result", {}))
            self._record(message.get("method", ""), message.get("params", {}))

    async def evaluate(self, expression: str) -> object:
        """Evaluate a JavaScript expression. Returns None when it has no value."""
        result = (await self.do("Runtime.evaluate", expression=expression, returnByValue=True)).get("result")
        return result.get("value") if isinstance(result, dict) else None

    async def wait_for(self, expression: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(TIMEOUT):
            while await self.evaluate(expression) is not True:
                await asyncio.sleep(0.02)

    async def press(self, key: str) -> None:
        """Press a key that writes a character, where the focus is."""
        await self.do("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.do("Input.dispatchKeyEvent", type="keyUp", key=key)

    def _record(self, method: str, parameters: dict[str, dict[str, str]]) -> None:
        if method == "Network.requestWillBeSent" and not parameters["request"]["url"].startswith("data:"):
            self.addresses.append(parameters["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.addresses.append(str(parameters["url"]))
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])
