"""Tests of the console in a browser: who comes in, what is sent, and what is left; the program itself serves it."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import aiohttp
import psutil
import pytest
from yarl import URL

from core import config
from core.addresses import Address
from core.config import Option, Origin, Settings, SettingSource
from core.errors import ConfigurationError
from tests.services.waiting import wait_until
from tests.tui.browser import Browser, browser_program
from tests.tui.serving import TIMEOUT, TOP, Serving, Visitor
from tui.web.environment import DRIVER, environment_for, is_served
from tui.web.guard import REFUSAL, BrowserRequest, Guard, GuardDecision
from tui.web.serving import listen

T = TypeVar("T")
PORT = 8011
HOST = f"127.0.0.1:{PORT}"
OURS = f"http://{HOST}"


def visit_with(serving: Serving, act: Callable[[Visitor], Awaitable[T]], *, enter: bool = True) -> T:
    """Act as a visitor."""

    async def work() -> T:
        async with visitor_of(serving, enter=enter) as visitor:
            return await act(visitor)

    return asyncio.run(work())


@contextlib.asynccontextmanager
async def visitor_of(serving: Serving, *, enter: bool = True) -> AsyncIterator[Visitor]:
    """Make a visitor, who is admitted first unless `enter` is false."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
        visitor = Visitor(serving, http)
        if enter:
            await visitor.enter()
        yield visitor


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    with Serving(tmp_path) as made:
        yield made


def program(command: str, *arguments: str) -> list[str]:
    """Return the arguments of a server whose consoles are another program."""
    served = [sys.executable, "-c", command, *arguments]
    serve = (
        "from core.addresses import Address; from core import logs; from tui.web import serving\n"
        "logs.set_up('info', 'text', 'web')\n"
        f"serving.serve(Address('127.0.0.1', 0), {{}}, lambda address: print(address, flush=True), {served!r})"
    )
    return ["-c", serve]


# The guard.


def test_the_token_admits_once() -> None:
    guard = Guard(PORT)
    visit = BrowserRequest(target=f"/?token={guard.token}", hosts=[HOST], token=guard.token)
    assert guard.judge(visit) is GuardDecision.WELCOME
    assert guard.judge(visit) is GuardDecision.REFUSE


def test_two_guards_have_nothing_in_common() -> None:
    one, other = Guard(PORT), Guard(PORT + 1)
    assert len({one.token, one.cookie, other.token, other.cookie}) == 4
    assert one.cookie_name != other.cookie_name
    assert len(one.token) >= 43


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}", f"LocalHost:{PORT}", f"[::1]:{PORT}"])
def test_each_name_of_this_machine_is_admitted_with_its_own_origin(host: str) -> None:
    guard = Guard(PORT)
    origins = [f"http://{host.lower()}"]
    assert guard.judge(BrowserRequest(hosts=[host], cookie=guard.cookie)) is GuardDecision.ADMIT
    assert (
        guard.judge(BrowserRequest(hosts=[host], cookie=guard.cookie, origins=origins, upgrades=True))
        is GuardDecision.ADMIT
    )


def test_port_80_may_be_left_out() -> None:
    guard = Guard(80)
    assert guard.judge(BrowserRequest(hosts=["127.0.0.1"], cookie=guard.cookie)) is GuardDecision.ADMIT
    assert Guard(PORT).judge(BrowserRequest(hosts=["127.0.0.1"], cookie=guard.cookie)) is GuardDecision.REFUSE


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["127.0.0.1"],
        [f"127.0.0.1:{PORT + 1}"],
        ["evil.example"],
        [f"evil.example:{PORT}"],
        [f"127.0.0.1:{PORT}.evil.example"],
        [f"localhost.evil.example:{PORT}"],
        [f"localhost.:{PORT}"],
        [f"0.0.0.0:{PORT}"],
        [f"127.0.0.1:{PORT}@evil.example"],
        [HOST, HOST],
        [HOST, "evil.example"],
    ],
)
def test_another_host_is_refused_even_with_cookie_or_token(hosts: list[str]) -> None:
    guard = Guard(PORT)
    assert guard.judge(BrowserRequest(hosts=hosts, cookie=guard.cookie)) is GuardDecision.REFUSE
    assert guard.judge(BrowserRequest(hosts=hosts, token=guard.token)) is GuardDecision.REFUSE
    assert guard.judge(BrowserRequest(hosts=[HOST], token=guard.token)) is GuardDecision.WELCOME, (
        "the token was not used up"
    )


@pytest.mark.parametrize(
    "origins",
    [
        [],
        [""],
        ["null"],
        ["http://evil.example"],
        [f"https://{HOST}"],
        [f"http://127.0.0.1:{PORT + 1}"],
        [f"http://localhost:{PORT}"],
        [f"{OURS}/"],
        [f"{OURS}.evil.example"],
        [OURS, OURS],
        [OURS, "http://evil.example"],
    ],
)
def test_a_websocket_of_another_origin_is_refused(origins: list[str]) -> None:
    guard = Guard(PORT)
    visit = BrowserRequest(target="/ws", hosts=[HOST], cookie=guard.cookie, origins=origins, upgrades=True)
    assert guard.judge(visit) is GuardDecision.REFUSE


def test_a_page_of_another_origin_is_refused_but_needs_to_name_none() -> None:
    guard = Guard(PORT)
    assert guard.judge(BrowserRequest(hosts=[HOST], cookie=guard.cookie)) is GuardDecision.ADMIT
    assert guard.judge(BrowserRequest(hosts=[HOST], cookie=guard.cookie, origins=[OURS])) is GuardDecision.ADMIT
    assert guard.judge(BrowserRequest(hosts=[HOST], cookie=guard.cookie, origins=["null"])) is GuardDecision.REFUSE


@pytest.mark.parametrize("given", ["", "wrong", "ñ", "\udc80", "a" * 100_000])
def test_a_wrong_cookie_or_token_is_refused(given: str) -> None:
    guard = Guard(PORT)
    assert guard.judge(BrowserRequest(hosts=[HOST], cookie=given, token=given)) is GuardDecision.REFUSE


def test_token_and_cookie_are_not_taken_for_each_other() -> None:
    guard = Guard(PORT)
    assert guard.judge(BrowserRequest(hosts=[HOST], cookie=guard.token, token=guard.cookie)) is GuardDecision.REFUSE


@pytest.mark.parametrize(
    "visit",
    [
        BrowserRequest(method="HEAD", hosts=[HOST]),
        BrowserRequest(target="/static/js/textual.js", hosts=[HOST]),
        BrowserRequest(target="http://evil.example/", hosts=[HOST]),
        BrowserRequest(target="/", hosts=[HOST], origins=[OURS], upgrades=True),
    ],
)
def test_the_token_is_taken_only_where_a_browser_shows_it(visit: BrowserRequest) -> None:
    guard = Guard(PORT)
    shown = BrowserRequest(
        method=visit.method,
        target=visit.target,
        hosts=visit.hosts,
        origins=visit.origins,
        upgrades=visit.upgrades,
        token=guard.token,
    )
    assert guard.judge(shown) is GuardDecision.REFUSE
    assert guard.judge(BrowserRequest(hosts=[HOST], token=guard.token)) is GuardDecision.WELCOME, (
        "the token was not used up"
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get"])
def test_other_methods_are_refused(method: str) -> None:
    guard = Guard(PORT)
    assert guard.judge(BrowserRequest(method=method, hosts=[HOST], cookie=guard.cookie)) is GuardDecision.REFUSE


# The address, and the environment of the consoles.


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", "localhost.example.org"])  # noqa: S104 - it is refused
def test_it_listens_on_loopback_only(host: str) -> None:
    with pytest.raises(ConfigurationError, match="on this machine only"):
        listen(Address(host, 0))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST"])
def test_it_listens_on_loopback_without_resolving_names(host: str) -> None:
    with listen(Address(host, 0)) as listener:
        assert listener.getsockname()[0] == "127.0.0.1"


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"can't serve the console on 127\.0\.0\.1:{port}.*--web-port"):
            listen(Address("127.0.0.1", port))


def test_consoles_get_the_settings_except_to_serve_again() -> None:
    serve: Option[bool] = Option("tui.web", config.switch, False, "serve")
    settings = Settings(
        {},
        {
            "broker": Origin("amqp://me:secret@127.0.0.1/", "--broker", SettingSource.FLAG),
            "database": Origin("resultados.db", "default", SettingSource.DEFAULT),
            "tui.web": Origin("true", "--web", SettingSource.FLAG),
        },
        (config.BROKER, config.DATABASE, serve),
        "other.toml",
    )
    assert environment_for(settings, off=(serve,)) == {
        "CAUCE_CONFIG": "other.toml",
        "CAUCE_BROKER": "amqp://me:secret@127.0.0.1/",
        "CAUCE_TUI_WEB": "false",
    }


def test_only_the_console_of_a_browser_tab_is_served() -> None:
    assert is_served({"TEXTUAL_DRIVER": DRIVER})
    assert not is_served({})


# The program.


def test_the_address_admits_one_browser_once(serving: Serving) -> None:
    async def act(visitor: Visitor) -> None:
        welcome = await visitor.enter()
        assert welcome.status == 200
        name, *marks = welcome.cookie.split("; ")
        assert name.startswith(f"cauce-{serving.url.port}=")
        assert {mark.lower() for mark in marks} == {"httponly", "path=/", "samesite=strict"}
        assert serving.token not in welcome.cookie + welcome.text
        assert (await visitor.ask("/")).status == 200
        visitor.cookie = ""
        again = await visitor.enter()
        assert (again.status, again.text, again.cookie) == (403, REFUSAL, "")

    visit_with(serving, act, enter=False)


def test_without_the_cookie_nothing_of_the_library_is_reached(serving: Serving) -> None:
    async def act(visitor: Visitor) -> None:
        for target in ("/", "/?token=wrong", "/static/js/textual.js", "/static/", "/download/x", "/ws", "/nothing"):
            for headers in ({}, {"cookie": f"cauce-{serving.url.port}=wrong"}, {"cookie": "a=b; =; ;;"}):
                answered = await visitor.ask(target, **headers)
                assert (answered.status, answered.text) == (403, REFUSAL), target
                assert answered.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert await visitor.refusal_of_socket(origin=serving.origin) == (403, REFUSAL)
        assert (await visitor.enter()).status == 200, "what was tried has not used the token up"

    visit_with(serving, act, enter=False)
    assert serving.consoles == []
    assert serving.errors == ""


def test_a_page_of_another_site_is_refused_even_with_the_cookie(serving: Serving) -> None:
    async def act(visitor: Visitor) -> None:
        foreign = ("evil.example", f"evil.example:{serving.url.port}", f"127.0.0.1:{PORT}")
        for host in foreign:
            assert (await visitor.ask("/", host=host)).text == REFUSAL
            assert await visitor.refusal_of_socket(host=host, origin=f"http://{host}") == (403, REFUSAL)
        for origin in (
            "http://evil.example",
            "null",
            f"http://localhost:{serving.url.port}",
            f"http://127.0.0.1:{PORT}",
        ):
            assert (await visitor.ask("/", origin=origin)).text == REFUSAL
            assert await visitor.refusal_of_socket(origin=origin) == (403, REFUSAL)
        assert await visitor.refusal_of_socket() == (403, REFUSAL)
        for method in ("POST", "PUT", "OPTIONS"):
            assert (await visitor.ask("/", method=method)).status == 403

    visit_with(serving, act)
    assert serving.consoles == []


def test_a_request_that_no_browser_sends_is_refused(serving: Serving) -> None:
    async def act(visitor: Visitor) -> str:
        return visitor.cookie

    cookie = f"Cookie: {visit_with(serving, act)}"
    host = f"Host: {serving.host}"
    assert serving.raw(["GET / HTTP/1.1", host, cookie]).startswith("HTTP/1.1 200")
    for lines in (
        ["GET / HTTP/1.1", cookie],
        ["GET / HTTP/1.0", cookie],
        ["GET / HTTP/1.1", host, "Host: evil.example", cookie],
        ["GET / HTTP/1.1", "Host: evil.example", host, cookie],
        ["GET http://evil.example/ HTTP/1.1", host, cookie],
        ["GET //evil.example/ HTTP/1.1", "Host: evil.example", cookie],
        ["OPTIONS * HTTP/1.1", host, cookie],
        ["CONNECT evil.example:80 HTTP/1.1", host, cookie],
    ):
        assert re.match(r"HTTP/1\.[01] 40[03] ", serving.raw(lines)), lines


def test_the_page_loads_everything_from_our_server(serving: Serving) -> None:
    async def act(visitor: Visitor) -> None:
        page = await visitor.ask("/", host=f"localhost:{serving.url.port}")
        assert f"ws://localhost:{serving.url.port}/ws" in page.text
        needed = re.findall(r'(?:src|href)="([^"]*)"|url\("([^"]*)"\)', page.text)
        places = {first or second for first, second in needed} - {"data:,"}
        assert len(places) == 4
        for place in places:
            assert place.startswith("/static/")
            assert (await visitor.ask(place)).status == 200, place
        assert not re.search(r"https?:", page.text)
        policy = dict(part.split(" ", 1) for part in page.headers["Content-Security-Policy"].split("; "))
        nonce = re.findall(r'<script nonce="([^"]+)">', page.text)[0]
        assert policy == {
            "default-src": "'none'",
            "script-src": f"'self' 'nonce-{nonce}'",
            "style-src": "'self' 'unsafe-inline'",
            "img-src": "'self' data:",
            "font-src": "'self'",
            "connect-src": f"'self' ws://localhost:{serving.url.port}",
            "base-uri": "'none'",
            "form-action": "'none'",
            "frame-ancestors": "'none'",
        }
        assert nonce not in (await visitor.ask("/")).text

    visit_with(serving, act)


def test_every_response_has_security_headers(serving: Serving) -> None:
    async def act(visitor: Visitor) -> None:
        asked = [await visitor.ask(target) for target in ("/", "/static/js/textual.js", "/nothing")]
        visitor.cookie = ""
        for answered in (*asked, await visitor.ask("/")):
            assert answered.headers["X-Frame-Options"] == "DENY"
            assert answered.headers["X-Content-Type-Options"] == "nosniff"
            assert answered.headers["Referrer-Policy"] == "no-referrer"
            assert answered.headers["Cache-Control"] == "no-store"
            assert answered.headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "default-src 'none'" in answered.headers["Content-Security-Policy"]

    visit_with(serving, act)


def test_a_font_size_can_not_break_out_of_the_page(serving: Serving) -> None:
    async def act(visitor: Visitor) -> None:
        for size, written in (('"><script>', "16"), ("1000000", "60"), ("20", "20")):
            page = await visitor.ask(f"/?fontsize={size}")
            assert f'data-font-size="{written}"' in page.text

    visit_with(serving, act)


def test_a_tab_shows_the_console_and_leaves_no_process(tmp_path: Path) -> None:
    secret = {"CAUCE_TOKEN": "sesame", "CAUCE_BROKER": "amqp://me:secret@127.0.0.1:1/"}
    with Serving(tmp_path, secret) as serving:

        async def act(visitor: Visitor) -> None:
            tab = await visitor.open()
            await tab.wait_for("nothing runs")
            serving.wait_for_consoles(1)
            (console,) = serving.consoles
            assert console.cmdline()[1:] == ["-P", "-m", "tui"]
            assert console.environ()["CAUCE_DIRECTORY"] == str(tmp_path)
            assert secret.items() <= console.environ().items()
            assert console.environ()["CAUCE_TUI_WEB"] == "false"
            await tab.press("\x1a")
            await tab.press("?")
            await tab.wait_for("Everywhere")
            other = await visitor.open()
            await other.wait_for("nothing runs")
            serving.wait_for_consoles(2)
            await tab.socket.close()
            serving.wait_for_consoles(1)
            await other.socket.close()
            serving.wait_for_consoles(0)

        visit_with(serving, act)
        assert "Traceback" not in serving.errors
        assert "sesame" not in serving.errors
        assert serving.end() == 0


@pytest.mark.parametrize("by_terminal", [True, False])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_ends_every_console(serving: Serving, number: signal.Signals, by_terminal: bool) -> None:
    async def act(visitor: Visitor) -> None:
        tabs = [await visitor.open() for _ in range(2)]
        for tab in tabs:
            await tab.wait_for("nothing runs")
        serving.wait_for_consoles(2)
        if by_terminal:
            serving.end_by_terminal(number)
        else:
            serving.process.send_signal(number)
        for tab in tabs:
            await tab.wait_for_end()

    visit_with(serving, act)
    assert serving.process.wait(TIMEOUT) == 0
    assert "Traceback" not in serving.errors


def test_no_console_outlives_a_killed_server(serving: Serving) -> None:
    async def act(visitor: Visitor) -> list[psutil.Process]:
        await (await visitor.open()).wait_for("nothing runs")
        left = serving.consoles
        serving.end(signal.SIGKILL)
        return left

    left = visit_with(serving, act)
    assert len(left) == 1
    wait_until(lambda: not any(each.is_running() for each in left), "the console to end", TIMEOUT)


def test_an_invalid_message_ends_only_its_tab(tmp_path: Path) -> None:
    messages = ("{", "[]", "{}", '["stdin"]', '["stdin", 7]', '["resize", {}]', '["stdin", "\\ud800"]')
    # What is invalid never reaches the console.
    console = (
        "import sys\nsys.stdout.write('__GANGLION__\\nD\\0\\0\\0\\5ready'); sys.stdout.flush()\n"
        "for packet in iter(lambda: sys.stdin.buffer.read1(4096), b''):\n    if b'quit' in packet: break"
    )
    with Serving(tmp_path, program=program(console)) as serving:

        async def act(visitor: Visitor) -> None:
            for count, sent in enumerate(messages, 1):
                tab = await visitor.open()
                await tab.wait_for("ready")
                await tab.socket.send_str(sent)
                await tab.wait_for_end()
                assert (await visitor.ask("/")).status == 200
                serving.wait_for_consoles(0)
                assert serving.errors.count("a browser sent an invalid message") == count, sent

        visit_with(serving, act)
        assert "Traceback" not in serving.errors
        assert "killed" not in serving.errors


def test_the_size_of_a_terminal_is_limited(serving: Serving) -> None:
    async def act(visitor: Visitor) -> None:
        sides = {"width=99999999999999999999&height=-4": ("1000", "1"), "width=x&height=": ("80", "24")}
        for query, (columns, rows) in sides.items():
            tab = await visitor.open(query)
            await tab.wait_for("\x1b[?1049h")
            (console,) = serving.consoles
            environment = console.environ()
            assert (environment["COLUMNS"], environment["ROWS"]) == (columns, rows)
            await tab.socket.close()
            serving.wait_for_consoles(0)

    visit_with(serving, act)


def test_the_second_ctrl_c_kills_a_stubborn_console(tmp_path: Path) -> None:
    stubborn = (
        "import signal, sys\nfor each in (signal.SIGINT, signal.SIGTERM): signal.signal(each, signal.SIG_IGN)\n"
        "sys.stdout.write('__GANGLION__\\nD\\0\\0\\0\\5ready'); sys.stdout.flush()\nwhile True: signal.pause()"
    )
    with Serving(tmp_path, program=program(stubborn)) as serving:

        async def act(visitor: Visitor) -> None:
            await (await visitor.open()).wait_for("ready")
            serving.process.send_signal(signal.SIGINT)
            serving.wait_for_consoles(1)
            serving.process.send_signal(signal.SIGINT)
            serving.wait_for_consoles(0)

        with contextlib.suppress(psutil.NoSuchProcess):  # it may have ended already
            visit_with(serving, act)
        assert serving.process.wait(TIMEOUT) == 0


def test_a_crashed_console_closes_its_tab_and_its_output_reaches_no_terminal(tmp_path: Path) -> None:
    broken = "import sys; sys.stderr.write('secret = 1\\nit \\x1b]0;title\\x07 broke\\n\\n'); sys.exit(3)"
    with Serving(tmp_path, program=program(broken)) as serving:

        async def act(visitor: Visitor) -> None:
            await (await visitor.open()).wait_for_end()

        visit_with(serving, act)
        wait_until(lambda: "broke" in serving.errors, "the error to be logged", TIMEOUT)
        assert r"a console ended with: it \x1b]0;title\x07 broke" in serving.errors
        assert "\x1b" not in serving.errors
        assert "secret" not in serving.errors
        assert serving.end() == 0


def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    arguments = ("$(touch pwned)", "`touch pwned`", "; touch pwned", "a b", "'", '"', "ñ")
    show = "import sys, json; sys.stderr.write(json.dumps(sys.argv[1:]) + '\\n')"
    with Serving(tmp_path, program=program(show, *arguments)) as serving:

        async def act(visitor: Visitor) -> None:
            await (await visitor.open()).wait_for_end()

        visit_with(serving, act)
        wait_until(lambda: "touch" in serving.errors, "the arguments to be logged", TIMEOUT)
        assert '["$(touch pwned)", "`touch pwned`", "; touch pwned", "a b", "\'", "\\"", "\\u00f1"]' in serving.errors
    assert not (TOP / "pwned").exists()


def test_a_console_that_cannot_be_started_is_logged(tmp_path: Path) -> None:
    served = program("")
    served[1] = served[1].replace(repr(sys.executable), repr(str(tmp_path / "nothing")))
    with Serving(tmp_path, program=served) as serving:

        async def act(visitor: Visitor) -> None:
            await (await visitor.open()).wait_for_end()

        visit_with(serving, act)
        wait_until(lambda: "a console could not be started" in serving.errors, "the reason", TIMEOUT)


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python until it ends."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CAUCE_")}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, env=environment, cwd=TOP
    )


def test_without_the_library_an_error_says_how_to_install_it() -> None:
    done = run(
        "-c",
        "import runpy, sys; sys.modules['textual_serve'] = None; sys.argv = ['tui', '--web']\n"
        "runpy.run_module('tui', run_name='__main__')",
    )
    assert done.returncode == 2
    assert done.stderr == "tui: --web needs textual-serve, which is not installed: python -m pip install 'cauce[web]'\n"


def test_a_taken_port_is_an_error(serving: Serving, tmp_path: Path) -> None:
    done = run("-m", "tui", "--dir", str(tmp_path), "--web", "--web-port", str(serving.url.port))
    assert done.returncode == 2
    assert done.stderr.startswith(f"tui: can't serve the console on {serving.host}: ")
    assert done.stdout == ""


@pytest.mark.skipif(
    browser_program() is None, reason="needs a browser: install Chromium, as with `apt install chromium`"
)
def test_a_browser_shows_the_console_and_contacts_no_other_host(serving: Serving, tmp_path: Path) -> None:
    async def act() -> None:
        with Browser(tmp_path / "profile") as browser:
            async with browser.page() as page:
                await page.do("Page.navigate", url=serving.address)
                await page.wait_for("document.body.classList.contains('-first-byte')")
                serving.wait_for_consoles(1)
                assert await page.evaluate("location.href") == f"{serving.origin}/", "the token has left the address"
                assert await page.evaluate("document.cookie") == "", "no script reads the cookie"
                assert await page.evaluate("document.fonts.check(\"16px 'Roboto Mono'\")")
                assert f"ws://{serving.host}/ws" in {url.partition("?")[0] for url in page.addresses}
                assert {URL(url).authority for url in page.addresses} == {serving.host}
                assert page.errors == []
                for _ in range(2):
                    # Without a click, at first and when the page is opened again.
                    await page.wait_for("document.activeElement.classList.contains('xterm-helper-textarea')")
                    await page.do("Page.reload")
                    await page.wait_for("document.body.classList.contains('-first-byte')")
                await page.press("q")
                await page.wait_for("document.body.classList.contains('-closed')")
                await page.wait_for("document.activeElement.id === 'again'")

    asyncio.run(act())
    serving.wait_for_consoles(0)
