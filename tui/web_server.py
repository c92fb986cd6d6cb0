"""The server of the console in a browser: textual-serve behind our guard. The one door to textual-serve and aiohttp.

Of the library we take what speaks with the browser and with each console; we replace its page, which asks another host
for a font, and the shell through which it starts consoles. It prints nothing.
"""

import asyncio
import contextlib
import logging
import secrets
import shlex
import socket
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp_jinja2
from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager
from textual_serve.server import Server, to_int

from core.addresses import Address
from tui.web import DRIVER, REFUSAL, BrowserRequest, Guard, GuardDecision

PATIENCE = 5.0
"""Seconds that a console has to end when it is asked to."""

LARGEST_SIDE = 1000
"""Columns or rows that a browser may ask for."""

_LONGEST_COMPLAINT = 4096
_PAGES = Path(__file__).parent / "pages"
_WELCOME = '<!DOCTYPE html><meta http-equiv="refresh" content="0; url=/"><title>Cauce</title><a href="/">Go on</a>'
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_log = logging.getLogger("cauce.tui.web")


class ServedConsole(AppService):
    """The console of one browser tab: its process.

    Args:
        command: starts it.
        told: its environment, over our own.
        downloads: what brings files to the browser.
        browser: the other end.
    """

    def __init__(
        self,
        command: Sequence[str],
        told: Mapping[str, str],
        downloads: DownloadManager,
        browser: web.WebSocketResponse,
    ) -> None:
        async def close() -> None:
            await browser.close()

        super().__init__(
            shlex.join(command),
            write_bytes=browser.send_bytes,
            write_str=browser.send_str,
            close=close,
            download_manager=downloads,
        )
        self._arguments = tuple(command)
        self._told = dict(told)
        self._complaints: asyncio.Task[None] | None = None

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        environment = self._build_environment(width, height) | self._told | {"TEXTUAL_DRIVER": DRIVER}
        process = await asyncio.create_subprocess_exec(
            *self._arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
        )
        assert process.stdin is not None
        assert process.stderr is not None
        self._process, self._stdin = process, process.stdin
        self._complaints = asyncio.create_task(_log_last_line(process.stderr))
        # The library would write what it reads here to our terminal as it came.
        process.stderr = asyncio.StreamReader()
        process.stderr.feed_eof()
        return process

    async def run(self) -> None:
        """Bring what the console draws to the browser; a console that has ended without a word closes the page too."""
        try:
            await super().run()
        finally:
            await self.remote_close()
            await self._discard_output()

    async def _discard_output(self) -> None:
        """A console whose browser has gone must not be held up by a full pipe: it still has to end."""
        stdout = self._process.stdout if self._process else None
        while stdout is not None and await stdout.read(65536):
            pass

    async def end(self) -> None:
        """Ask it to end, and end it when it doesn't. May be called again."""
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(PATIENCE):
                await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
                await self.send_meta({"type": "quit"})
                await process.wait()
        except TimeoutError:
            _log.warning("a console did not end within %g seconds and is killed", PATIENCE)
        finally:
            self.kill()
            await process.wait()
            await self._end_readers()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _end_readers(self) -> None:
        """What the process has written is soon read; only a process of its own can hold the pipes open."""
        readers = {task for task in (self._task, self._complaints) if task is not None}
        if readers:
            _, late = await asyncio.wait(readers, timeout=1.0)
            for task in late:
                task.cancel()


async def _log_last_line(stream: asyncio.StreamReader) -> None:
    """Log the sentence with which a console that breaks down ends; our log makes it harmless.

    What comes before may be a traceback with the values of variables, which are nothing for a terminal.
    """
    end = b""
    while piece := await stream.read(4096):
        end = (end + piece)[-_LONGEST_COMPLAINT:]
    lines = end.decode("utf-8", "replace").rstrip().split("\n")
    if lines[-1]:
        _log.warning("a console says: %s", lines[-1])


class ConsoleServer(Server):
    """Serves a console to each browser tab that the guard admits.

    Args:
        command: starts the console of one tab.
        guard: decides who may come in.
        address: where it listens.
        told: environment of the consoles, over our own.
    """

    def __init__(self, command: Sequence[str], guard: Guard, address: Address, told: Mapping[str, str]) -> None:
        super().__init__(
            shlex.join(command),
            host=address.host,
            port=address.port,
            title="Cauce",
            public_url=f"http://{address}",
            templates_path=_PAGES,
        )
        self._arguments = tuple(command)
        self._guard = guard
        self._told = dict(told)
        self._consoles: set[ServedConsole] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def run(self, listener: socket.socket, tell: Callable[[str], None]) -> None:
        """Serve until `stop` is called.

        Args:
            listener: a socket that listens.
            tell: is told the address for the browser.
        """
        asyncio.run(self._run(listener, tell))

    def stop(self) -> None:
        """End, and all consoles with it. May be called by a signal's handler."""
        self._soon(self._stopping.set)

    def kill(self) -> None:
        """End the consoles at once. May be called by a signal's handler."""
        self._soon(self._kill)

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            call()
        else:
            self._loop.call_soon_threadsafe(call)

    def _kill(self) -> None:
        for console in self._consoles:
            console.kill()

    async def _run(self, listener: socket.socket, tell: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            tell(f"{self.public_url}/?token={self._guard.token}")
            await self._stopping.wait()
        finally:
            await runner.cleanup()

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._let_in)
        app.on_response_prepare.append(_protect)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the library would print."""

    async def on_shutdown(self, app: web.Application) -> None:
        """End every console, and so every websocket."""
        await asyncio.gather(*(console.end() for console in self._consoles))

    @web.middleware
    async def _let_in(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Everything passes here before it can reach a page, a file or a websocket of the library."""
        answer = self._guard.judge(_visit(request, self._guard.cookie_name))
        if answer is GuardDecision.REFUSE:
            return web.Response(status=403, text=REFUSAL)
        if answer is GuardDecision.ADMIT:
            return await handler(request)
        # A page that goes on by itself, where a redirect would not do: to what a link of another site has
        # begun, a browser sends no strict cookie.
        welcome = web.Response(text=_WELCOME, content_type="text/html")
        welcome.set_cookie(self._guard.cookie_name, self._guard.cookie, path="/", httponly=True, samesite="Strict")
        return welcome

    async def handle_index(self, request: web.Request) -> web.Response:
        """The page, which loads nothing from another host."""
        nonce = secrets.token_urlsafe(16)
        context = {
            "font_size": min(max(to_int(request.query.get("fontsize", ""), 16), 6), 60),
            "nonce": nonce,
            "title": self.title,
            "websocket": f"ws://{request.host}/ws",
        }
        page = aiohttp_jinja2.render_template("console.html", request, context)
        page.headers["Content-Security-Policy"] = _policy(nonce, request.host)
        return page

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run a console as long as its tab is open."""
        browser = web.WebSocketResponse(heartbeat=15)
        await browser.prepare(request)
        console = ServedConsole(self._arguments, self._told, self.download_manager, browser)
        self._consoles.add(console)
        try:
            await console.start(_side(request, "width", 80), _side(request, "height", 24))
            await self._process_messages(browser, console)
        except OSError as error:
            _log.error("a console could not be started: %s", error)
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            _log.warning("a browser sent what it should not: %s", type(error).__name__)
        finally:
            await console.end()
            self._consoles.discard(console)
            await browser.close()
        return browser


def _visit(request: web.Request, cookie_name: str) -> BrowserRequest:
    return BrowserRequest(
        method=request.method,
        target=request.raw_path,
        hosts=request.headers.getall("Host", []),
        origins=request.headers.getall("Origin", []),
        upgrades="Upgrade" in request.headers or request.path == "/ws",
        token=request.query.get("token", ""),
        cookie=request.cookies.get(cookie_name, ""),
    )


def _side(request: web.Request, name: str, usual: int) -> int:
    return min(max(to_int(request.query.get(name, ""), usual), 1), LARGEST_SIDE)


def _policy(nonce: str, host: str) -> str:
    """Everything comes from us. The terminal in the page makes styles of its own while it runs."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self'",
            f"connect-src 'self' ws://{host}",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


async def _protect(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
