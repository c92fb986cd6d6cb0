"""The guard of the console in a browser: decides from values which requests are admitted.

A page that controls processes is as dangerous as a shell. Access needs the address that was printed, whose token works
once. This module knows nothing of HTTP libraries.
"""

import enum
import hmac
import secrets
from collections.abc import Sequence

import msgspec

from core.addresses import LOOPBACK

REFUSAL = (
    "403: open the address that `python -m tui --web` has printed, in one browser. It works once; "
    "start the command again for a new one.\n"
)

_NAMES = (LOOPBACK, "localhost", "[::1]")
_HTTP = 80


class GuardDecision(enum.Enum):
    """The answer to a request."""

    ADMIT = "admit"
    WELCOME = "welcome"
    """The token was right: set the cookie that admits all further requests."""
    REFUSE = "refuse"


class BrowserRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a request that the guard checks. Headers are unchanged, each as often as it was sent."""

    method: str = "GET"
    target: str = "/"
    """The target in the request line."""
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    upgrades: bool = False
    """Whether it opens a websocket."""
    token: str = ""
    cookie: str = ""


class Guard:
    """Decides which requests are admitted.

    Args:
        port: the port on which the console is served.

    Attributes:
        token: the token that admits one request.
        cookie_name: the name of the cookie that admits all other requests.
        cookie: the value of the cookie.
    """

    def __init__(self, port: int) -> None:
        # A browser sends cookies to every port of a host: two consoles must not overwrite each other's.
        self.cookie_name = f"cauce-{port}"
        self.cookie = secrets.token_urlsafe(32)
        self.token = secrets.token_urlsafe(32)
        self._token_is_used = False
        self._hosts = frozenset(f"{name}:{port}" for name in _NAMES) | frozenset(_NAMES if port == _HTTP else ())

    def judge(self, request: BrowserRequest) -> GuardDecision:
        """Decide on a request. A request that is welcomed uses the token up."""
        if not self._is_addressed_to_us(request) or not self._is_from_us(request):
            return GuardDecision.REFUSE
        if self._uses_token(request):
            self._token_is_used = True
            return GuardDecision.WELCOME
        return GuardDecision.ADMIT if _are_equal(request.cookie, self.cookie) else GuardDecision.REFUSE

    def _is_addressed_to_us(self, request: BrowserRequest) -> bool:
        """Return whether the request names this machine, and not another name that resolves to it."""
        return (
            request.method in {"GET", "HEAD"}
            and request.target.startswith("/")
            and len(request.hosts) == 1
            and request.hosts[0].lower() in self._hosts
        )

    def _is_from_us(self, request: BrowserRequest) -> bool:
        """Return whether our own page sent the request. A websocket must name its origin: any page may open one."""
        ours = f"http://{request.hosts[0].lower()}"
        if request.upgrades:
            return list(request.origins) == [ours]
        return all(origin == ours for origin in request.origins)

    def _uses_token(self, request: BrowserRequest) -> bool:
        is_right = _are_equal(request.token, self.token)
        is_index = request.method == "GET" and request.target.partition("?")[0] == "/" and not request.upgrades
        return is_right and is_index and not self._token_is_used


def _are_equal(given: str, expected: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())
