"""The program that serves the console to browsers, and clients that send requests to it."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import psutil
from yarl import URL

from core.closeable import Closeable
from tests.services.waiting import wait_until

TOP = Path(__file__).resolve().parents[2]
TIMEOUT = 60.0


class Serving(Closeable):
    """A server of the console.

    Args:
        directory: of the system that is shown.
        environment: settings.
        program: what runs in place of `python -m tui --web`.

    Attributes:
        address: for the browser, with the token.
    """

    def __init__(
        self, directory: Path, environment: Mapping[str, str] | None = None, program: Sequence[str] = ()
    ) -> None:
        self._errors = directory / "errors.txt"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CAUCE_")}
        with self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *(program or ("-m", "tui", "--dir", str(directory), "--web"))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=inherited | dict(environment or {}),
                cwd=TOP,
                start_new_session=True,
            )
        self._family: set[psutil.Process] = set()
        self.address = self._read_address()
        self.url = URL(self.address).with_query(None)
        self.token = URL(self.address).query["token"]

    def _read_address(self) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("http://"):
                return line.strip()
        self.process.wait(TIMEOUT)
        raise AssertionError(f"ended with {self.process.returncode}: {self.errors}")

    @property
    def errors(self) -> str:
        """Its standard error."""
        return self._errors.read_text("utf-8")

    @property
    def host(self) -> str:
        """The host and port, as a browser names them."""
        return self.url.authority

    @property
    def origin(self) -> str:
        """The origin of its page."""
        return f"http://{self.host}"

    @property
    def consoles(self) -> list[psutil.Process]:
        """The running consoles that it has started."""
        found = psutil.Process(self.process.pid).children(recursive=True)
        self._family.update(found)
        return [each for each in found if _runs(each)]

    def wait_for_consoles(self, count: int) -> None:
        """Wait until `count` consoles are running."""
        wait_until(lambda: len(self.consoles) == count, f"{count} consoles; {self.errors}", TIMEOUT)

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal. Returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(TIMEOUT)

    def end_by_terminal(self, number: signal.Signals) -> None:
        """Send a signal to it and to all consoles, as a terminal does."""
        os.killpg(self.process.pid, number)

    def raw(self, lines: Sequence[str]) -> str:
        """Send raw lines as a request. Returns the status line of the response."""
        with socket.create_connection(("127.0.0.1", self.url.port or 0), TIMEOUT) as connected:
            connected.settimeout(TIMEOUT)
            connected.sendall("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
            return connected.makefile("rb").readline().decode().strip()

    def close(self) -> None:
        """End it, and check that no console is left."""
        if self.process.poll() is None:
            self.end()
        if self.process.stdout is not None:
            self.process.stdout.close()
        _, left = psutil.wait_procs(self._family, TIMEOUT)
        for each in left:
            each.kill()
        assert not left, "consoles were left"


class Response(NamedTuple):
    """The response to a request."""

    status: int
    text: str
    headers: Mapping[str, str]
    cookie: str
    """The whole Set-Cookie header; empty without one."""


class Visitor:
    """An HTTP client with a cookie that sends the headers of a test."""

    def __init__(self, serving: Serving, http: aiohttp.ClientSession) -> None:
        self.serving = serving
        self.http = http
        self.cookie = ""

    async def ask(self, target: str, *, method: str = "GET", **headers: str) -> Response:
        """Send a request with headers in lower case."""
        url = URL(f"{self.serving.origin}{target}")
        async with self.http.request(method, url, headers=self._sent(headers), allow_redirects=False) as response:
            return Response(
                response.status,
                await response.text(errors="replace"),
                response.headers,
                response.headers.get("Set-Cookie", ""),
            )

    async def enter(self) -> Response:
        """Open the printed address, and keep the cookie."""
        response = await self.ask(f"/?token={self.serving.token}")
        self.cookie = response.cookie.partition(";")[0]
        return response

    async def refusal_of_socket(self, **headers: str) -> tuple[int, str]:
        """Request a websocket. Returns status and text of the refusal."""
        wanted = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13"}
        wanted["sec-websocket-key"] = "dGhlIHNhbXBsZSBub25jZQ=="
        response = await self.ask("/ws", **wanted, **headers)
        return response.status, response.text

    async def open(self, query: str = "width=120&height=40") -> "Tab":
        """Open a websocket, as the page does."""
        url = f"ws://{self.serving.host}/ws?{query}"
        return Tab(await self.http.ws_connect(url, origin=self.serving.origin, headers=self._sent({})))

    def _sent(self, headers: Mapping[str, str]) -> dict[str, str]:
        sent = {"cookie": self.cookie} if self.cookie else {}
        return sent | {name.replace("_", "-"): value for name, value in headers.items()}


class Tab:
    """The websocket of one browser tab."""

    def __init__(self, socket: "aiohttp.ClientWebSocketResponse[bool]") -> None:
        self.socket = socket
        self.drawn = b""

    async def wait_for(self, text: str) -> None:
        """Wait until the console has drawn a text."""
        while text.encode() not in self.drawn:
            message = await self.socket.receive(TIMEOUT)
            assert message.type is aiohttp.WSMsgType.BINARY, (message, self.drawn[-500:])
            self.drawn += message.data

    async def wait_for_end(self) -> None:
        """Wait until the server closes it."""
        closing = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}
        while (await self.socket.receive(TIMEOUT)).type not in closing:
            pass

    async def press(self, keys: str) -> None:
        """Send keys."""
        await self.socket.send_str(json.dumps(["stdin", keys]))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
