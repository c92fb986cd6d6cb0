"""The console in a browser of this machine: who may come in, where it listens, and what each console is told.

A page that controls processes is as good as a shell: whoever opens it needs the address that was printed, which works
once. It knows nothing of HTTP; `tui.web_server` does, and is loaded only when the extra `web` is installed.
"""

import enum
import hmac
import importlib.util
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from core.addresses import LOOPBACK, Address
from core.config import Option, Settings
from core.errors import ConfigurationError
from core.signals import on_stop

DRIVER = "tui.web_driver:ServedDriver"
"""What draws a console that is shown in a browser."""

COMMAND = (sys.executable, "-m", "tui")
"""Starts the console of one browser tab."""

REFUSAL = (
    "403: open the address that `python -m tui --web` has printed, in one browser. It works once; "
    "start the command again for a new one.\n"
)

_NAMES = (LOOPBACK, "localhost", "[::1]")
_LIBRARY = "textual_serve"
_HTTP = 80


class GuardDecision(enum.Enum):
    """What becomes of a request."""

    ADMIT = "admit"
    WELCOME = "welcome"
    """It has shown the token: it gets the cookie with which it is admitted from then on."""
    REFUSE = "refuse"


class BrowserRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the guard looks at in a request. Headers are as they came, each as often as it came."""

    method: str = "GET"
    target: str = "/"
    """As it stands in the request's first line."""
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    upgrades: bool = False
    """It asks for a websocket."""
    token: str = ""
    cookie: str = ""


class Guard:
    """Decides who may come in.

    Args:
        port: where the console is served.

    Attributes:
        token: opens the door once.
        cookie_name: of the cookie that opens it from then on.
        cookie: its value.
    """

    def __init__(self, port: int) -> None:
        # A browser sends cookies to every port of a host: two consoles must not overwrite each other's.
        self.cookie_name = f"cauce-{port}"
        self.cookie = secrets.token_urlsafe(32)
        self.token = secrets.token_urlsafe(32)
        self._token_is_used = False
        self._hosts = frozenset(f"{name}:{port}" for name in _NAMES) | frozenset(_NAMES if port == _HTTP else ())

    def judge(self, visit: BrowserRequest) -> GuardDecision:
        """What becomes of this request. The token counts as used when it is welcomed."""
        if not self._is_addressed_to_us(visit) or not self._is_from_us(visit):
            return GuardDecision.REFUSE
        if self._takes_token(visit):
            self._token_is_used = True
            return GuardDecision.WELCOME
        return GuardDecision.ADMIT if _same(visit.cookie, self.cookie) else GuardDecision.REFUSE

    def _is_addressed_to_us(self, visit: BrowserRequest) -> bool:
        """Whether who sends this means to talk to this machine, and not to some name that leads here."""
        return (
            visit.method in {"GET", "HEAD"}
            and visit.target.startswith("/")
            and len(visit.hosts) == 1
            and visit.hosts[0].lower() in self._hosts
        )

    def _is_from_us(self, visit: BrowserRequest) -> bool:
        """Whether no page but our own sends this. A websocket must say so, as browsers let every page open one."""
        ours = f"http://{visit.hosts[0].lower()}"
        if visit.upgrades:
            return list(visit.origins) == [ours]
        return all(origin == ours for origin in visit.origins)

    def _takes_token(self, visit: BrowserRequest) -> bool:
        fits = _same(visit.token, self.token)
        at_the_door = visit.method == "GET" and visit.target.partition("?")[0] == "/" and not visit.upgrades
        return fits and at_the_door and not self._token_is_used


def _same(given: str, expected: str) -> bool:
    """Compare without telling by the time that it takes how much was right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


def repeated(settings: Settings, off: Collection[Option[bool]] = ()) -> dict[str, str]:
    """The environment that gives each console these settings. Flags would show a broker's password to everybody here.

    Args:
        settings: of the program that serves.
        off: switches that are not for the consoles.
    """
    told = {"CAUCE_CONFIG": settings.file} if settings.file else {}
    for option in settings.options:
        if settings.given(option):
            told[option.variable] = settings.origins[option.key].text
    return told | {option.variable: "false" for option in off}


def is_served(environment: Mapping[str, str]) -> bool:
    """Whether this program is the console of a browser tab, which has no terminal and needs none."""
    return environment.get("TEXTUAL_DRIVER") == DRIVER


def require_library() -> None:
    """See that what serves is installed.

    Raises:
        ConfigurationError: it is not.
    """
    if importlib.util.find_spec(_LIBRARY) is None:
        raise ConfigurationError(
            "--web needs textual-serve, which is not installed: python -m pip install 'cauce[web]'"
        )


def listen(address: Address) -> socket.socket:
    """Take a port, on this machine only.

    Raises:
        ConfigurationError: the address is another, or its port is taken.
    """
    if not address.is_loopback:
        raise ConfigurationError(
            f"the console is served on this machine only, not on {address}: to reach it from another, forward its "
            "port, as with `ssh -L`"
        )
    # The name is not looked up: what it leads to is up to a file.
    host = LOOPBACK if address.host.lower() == "localhost" else address.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, address.port), family=family)
    except OSError as error:
        raise ConfigurationError(
            f"can't serve the console on {address}: {error.strerror or error}; choose another port with --web-port, "
            "or 0 for one that is free"
        ) from error


def serve(
    address: Address, told: Mapping[str, str], tell: Callable[[str], None], command: Sequence[str] = COMMAND
) -> None:
    """Serve the console until Ctrl-C or a polite signal, and leave no console behind; the second signal kills them.

    Args:
        address: where; its port may be 0.
        told: environment of the consoles, over our own.
        tell: is told the address for the browser, with its token, as soon as it can be opened.
        command: starts the console of one browser tab.

    Raises:
        ConfigurationError: the library is missing, or it can't listen there.
    """
    require_library()
    from tui.web_server import ConsoleServer

    with listen(address) as listener:
        host, port = listener.getsockname()[:2]
        server = ConsoleServer(command, Guard(port), Address(host, port), told)
        on_stop(lambda _signal: server.stop(), lambda _signal: server.kill())
        if sys.platform != "win32":
            signal.signal(signal.SIGHUP, lambda _number, _frame: server.stop())
        server.run(listener, tell)
