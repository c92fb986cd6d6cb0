"""The HTTP server of the console in a browser: textual-serve behind our guard.

Only this module imports textual-serve and aiohttp. The library talks to the browser and to each console. We replace its
page, which loads a font from another host, and its shell, through which it starts consoles. We keep it from printing.
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

from core import child_programs
from core.addresses import Address
from core.errors import reason_of
from tui.web.environment import DRIVER
from tui.web.guard import REFUSAL, BrowserRequest, Guard, GuardDecision

END_TIMEOUT = 5.0
"""Seconds that a console has to end when it is asked to."""

MAX_SIDE = 1000
"""The largest number of columns or rows of a console."""

_MAX_ERROR_BYTES = 4096
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
    """The process of the console of one browser tab.

    Args:
        command: the command that starts the process.
        environment: the variables that the process gets besides our own.
        downloads: brings files to the browser.
        browser: the websocket of the tab.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
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
        self._environment = dict(environment)
        self._error_log: asyncio.Task[None] | None = None

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        environment = child_programs.environment(
            self._build_environment(width, height) | self._environment | {"TEXTUAL_DRIVER": DRIVER}
        )
        process = await asyncio.create_subprocess_exec(
            *self._arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
        )
        assert process.stdin is not None
        assert process.stderr is not None
        self._process, self._stdin = process, process.stdin
        self._error_log = asyncio.create_task(_log_last_line(process.stderr))
        # The library would copy the process's standard error to our terminal, unfiltered.
        process.stderr = asyncio.StreamReader()
        process.stderr.feed_eof()
        return process

    async def run(self) -> None:
        """Bring what the console draws to the browser, and close the page when the console has ended."""
        try:
            await super().run()
        finally:
            await self.remote_close()
            await self._discard_output()

    async def _discard_output(self) -> None:
        """Read on after the browser has gone: a full pipe would keep the console from ending."""
        stdout = self._process.stdout if self._process else None
        while stdout is not None and await stdout.read(65536):
            pass

    async def end(self) -> None:
        """Ask the console to end, and kill it when it does not. May be called again."""
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(END_TIMEOUT):
                await self._download_manager.cancel_app_downloads(app_service_id=self.app_service_id)
                await self.send_meta({"type": "quit"})
                await process.wait()
        except TimeoutError:
            _log.warning("a console did not end within %g seconds and is killed", END_TIMEOUT)
        finally:
            self.kill()
            await process.wait()
            await self._end_readers()

    def kill(self) -> None:
        """Kill the console."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _end_readers(self) -> None:
        """End the tasks that read the pipes. A child of the console may hold the pipes open after its end."""
        readers = {task for task in (self._task, self._error_log) if task is not None}
        if readers:
            _, late = await asyncio.wait(readers, timeout=1.0)
            for task in late:
                task.cancel()


async def _log_last_line(stream: asyncio.StreamReader) -> None:
    """Log the last line that a console writes to its standard error. The log escapes control characters.

    The lines before may be a traceback with the values of variables, which do not belong on a terminal.
    """
    end = b""
    while piece := await stream.read(4096):
        end = (end + piece)[-_MAX_ERROR_BYTES:]
    lines = end.decode("utf-8", "replace").rstrip().split("\n")
    if lines[-1]:
        _log.warning("a console ended with: %s", lines[-1])


class ConsoleServer(Server):
    """Serves a console to each browser tab that the guard admits.

    Args:
        command: the command that starts the console of one tab.
        guard: decides which requests are admitted.
        address: the address of the listening socket.
        environment: the variables that the consoles get besides our own.
    """

    def __init__(self, command: Sequence[str], guard: Guard, address: Address, environment: Mapping[str, str]) -> None:
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
        self._environment = dict(environment)
        self._consoles: set[ServedConsole] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def run(self, listener: socket.socket, on_listening: Callable[[str], None]) -> None:
        """Serve until `stop` is called.

        Args:
            listener: the listening socket.
            on_listening: takes the address for the browser.
        """
        asyncio.run(self._run(listener, on_listening))

    def stop(self) -> None:
        """Stop serving and end all consoles. A signal handler may call it."""
        self._call_in_loop(self._stopping.set)

    def kill(self) -> None:
        """Kill all consoles. A signal handler may call it."""
        self._call_in_loop(self._kill)

    def _call_in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            call()
        else:
            self._loop.call_soon_threadsafe(call)

    def _kill(self) -> None:
        for console in self._consoles:
            console.kill()

    async def _run(self, listener: socket.socket, on_listening: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.SockSite(runner, listener).start()
            on_listening(f"{self.public_url}/?token={self._guard.token}")
            await self._stopping.wait()
        finally:
            await runner.cleanup()

    async def _make_app(self) -> web.Application:
        app = await super()._make_app()
        app.middlewares.append(self._check_access)
        app.on_response_prepare.append(_protect)
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Do nothing: the library would print here."""

    async def on_shutdown(self, app: web.Application) -> None:
        """End every console, which closes every websocket."""
        await asyncio.gather(*(console.end() for console in self._consoles))

    @web.middleware
    async def _check_access(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Ask the guard about every request, before it reaches a page, a file or a websocket of the library."""
        decision = self._guard.judge(_request_values(request, self._guard.cookie_name))
        if decision is GuardDecision.REFUSE:
            return web.Response(status=403, text=REFUSAL)
        if decision is GuardDecision.ADMIT:
            return await handler(request)
        # A page that reloads itself, instead of a redirect: a browser sends no strict cookie with a navigation
        # that a link of another site has started.
        welcome = web.Response(text=_WELCOME, content_type="text/html")
        welcome.set_cookie(self._guard.cookie_name, self._guard.cookie, path="/", httponly=True, samesite="Strict")
        return welcome

    async def handle_index(self, request: web.Request) -> web.Response:
        """Return the page, which loads nothing from another host."""
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
        """Run a console while its tab is open."""
        browser = web.WebSocketResponse(heartbeat=15)
        await browser.prepare(request)
        console = ServedConsole(self._arguments, self._environment, self.download_manager, browser)
        self._consoles.add(console)
        try:
            await console.start(_side(request, "width", 80), _side(request, "height", 24))
            await self._process_messages(browser, console)
        except OSError as error:
            _log.error("a console could not be started: %s", reason_of(error))
        except (AssertionError, AttributeError, LookupError, TypeError, ValueError) as error:
            _log.warning("a browser sent an invalid message: %s", type(error).__name__)
        finally:
            await console.end()
            self._consoles.discard(console)
            await browser.close()
        return browser


def _request_values(request: web.Request, cookie_name: str) -> BrowserRequest:
    return BrowserRequest(
        method=request.method,
        target=request.raw_path,
        hosts=request.headers.getall("Host", []),
        origins=request.headers.getall("Origin", []),
        upgrades="Upgrade" in request.headers or request.path == "/ws",
        token=request.query.get("token", ""),
        cookie=request.cookies.get(cookie_name, ""),
    )


def _side(request: web.Request, name: str, default: int) -> int:
    return min(max(to_int(request.query.get(name, ""), default), 1), MAX_SIDE)


def _policy(nonce: str, host: str) -> str:
    """Return the content security policy: only our own files. The terminal in the page adds inline styles."""
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
