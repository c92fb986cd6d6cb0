"""Tells the system's own service manager how things are, in the way of systemd's sd_notify(3).

It never waits and never fails: a manager that is away is nobody's trouble.
launchd has no such channel: it wants a program that stays in the foreground, as `up` does.
"""

import contextlib
import os
import socket
from collections.abc import Mapping

SOCKET = "NOTIFY_SOCKET"
INTERVAL = "WATCHDOG_USEC"
WATCHED = "WATCHDOG_PID"

STARTING_EVERY = 5.0
"""Seconds between two requests for more time while something starts or stops."""

MORE_TIME = 30.0
"""Seconds that are asked for each time."""


def without_socket(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment for children, which must not speak to the service manager in our name."""
    return {name: value for name, value in environment.items() if name not in {SOCKET, INTERVAL, WATCHED}}


class ServiceNotifier:
    """Speaks to the service manager that has started this process, when there is one.

    Args:
        environment: of the process.
        pid: its id; asked of the system when left out.
    """

    def __init__(self, environment: Mapping[str, str], pid: int | None = None) -> None:
        self._address = _address(environment.get(SOCKET, ""))
        self._interval = _interval(environment, os.getpid() if pid is None else pid)
        self._alive_at = float("-inf")
        self._busy_at = float("-inf")

    def ready(self, text: str) -> None:
        """Everything is ready; `text` says what, for people."""
        self._send("READY=1", _status(text))

    def stopping(self, text: str) -> None:
        """Everything is being taken down."""
        self._send("STOPPING=1", _status(text))

    def alive(self, now: float) -> None:
        """Show a sign of life, as often as the manager wants one.

        Args:
            now: by a monotonic clock.
        """
        if self._interval is not None and now - self._alive_at >= self._interval:
            self._alive_at = now
            self._send("WATCHDOG=1")

    def busy(self, text: str, now: float) -> None:
        """Ask for time: it starts or stops what takes long, and goes on doing so.

        Args:
            text: what it waits for, for people.
            now: by a monotonic clock.
        """
        self.alive(now)
        if now - self._busy_at >= STARTING_EVERY:
            self._busy_at = now
            self._send(f"EXTEND_TIMEOUT_USEC={int(MORE_TIME * 1_000_000)}", _status(text))

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)


def _address(text: str) -> str | None:
    """Where the manager listens: a path, or a name in the abstract namespace, which begins with a NUL."""
    if not hasattr(socket, "AF_UNIX") or text[:1] not in {"/", "@"}:
        return None
    return f"\0{text[1:]}" if text.startswith("@") else text


def _interval(environment: Mapping[str, str], pid: int) -> float | None:
    """Seconds between two signs of life: half of what the manager allows; None when it wants none of this process."""
    if environment.get(WATCHED, str(pid)) != str(pid):
        return None
    try:
        allowed = int(environment.get(INTERVAL, "")) / 1_000_000
    except ValueError:
        return None
    return allowed / 2 if allowed > 0 else None


def _status(text: str) -> str:
    """A line for people. A line break would let it say something else to the manager."""
    return "STATUS=" + " ".join(text.split())
