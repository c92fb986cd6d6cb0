"""Notifies the service manager of the operating system, by systemd's protocol, sd_notify(3).

It never waits and never fails, even when the manager is away.
launchd has no such channel: it expects a program that stays in the foreground, as `up` does.
"""

import contextlib
import os
import socket
from collections.abc import Mapping

NOTIFY_SOCKET = "NOTIFY_SOCKET"
WATCHDOG_USEC = "WATCHDOG_USEC"
WATCHDOG_PID = "WATCHDOG_PID"

EXTENSION_INTERVAL = 5.0
"""Seconds between two requests for more time during a start or stop."""

EXTENSION = 30.0
"""Seconds that each such request asks for."""


def without_socket(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for children, which must not send messages to the service manager."""
    return {
        name: value for name, value in environment.items() if name not in {NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID}
    }


class ServiceNotifier:
    """Sends messages to the service manager that has started this process, if there is one.

    Args:
        environment: the environment of the process.
        pid: the id of the process; this process's by default.
    """

    def __init__(self, environment: Mapping[str, str], pid: int | None = None) -> None:
        self._address = _address(environment.get(NOTIFY_SOCKET, ""))
        self._watchdog_interval = _watchdog_interval(environment, os.getpid() if pid is None else pid)
        self._pinged_at = float("-inf")
        self._extended_at = float("-inf")

    def notify_ready(self, text: str) -> None:
        """Report that everything is ready, with a text for users."""
        self._send("READY=1", _status(text))

    def notify_stopping(self, text: str) -> None:
        """Report that everything is being taken down, with a text for users."""
        self._send("STOPPING=1", _status(text))

    def ping_watchdog(self, now: float) -> None:
        """Send a sign of life when the manager's watchdog is due for one.

        Args:
            now: the time of a monotonic clock.
        """
        if self._watchdog_interval is not None and now - self._pinged_at >= self._watchdog_interval:
            self._pinged_at = now
            self._send("WATCHDOG=1")

    def extend_timeout(self, text: str, now: float) -> None:
        """Ask for more time for a start or stop that takes long.

        Args:
            text: what the start or stop waits for, for users.
            now: the time of a monotonic clock.
        """
        self.ping_watchdog(now)
        if now - self._extended_at >= EXTENSION_INTERVAL:
            self._extended_at = now
            self._send(f"EXTEND_TIMEOUT_USEC={int(EXTENSION * 1_000_000)}", _status(text))

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)


def _address(text: str) -> str | None:
    """Return the manager's address: a path, or a name in the abstract namespace, which begins with a NUL."""
    if not hasattr(socket, "AF_UNIX") or text[:1] not in {"/", "@"}:
        return None
    return f"\0{text[1:]}" if text.startswith("@") else text


def _watchdog_interval(environment: Mapping[str, str], pid: int) -> float | None:
    """Return the seconds between two signs of life: half the manager's limit, or None when it needs none."""
    if environment.get(WATCHDOG_PID, str(pid)) != str(pid):
        return None
    try:
        allowed = int(environment.get(WATCHDOG_USEC, "")) / 1_000_000
    except ValueError:
        return None
    return allowed / 2 if allowed > 0 else None


def _status(text: str) -> str:
    """Make a status line. A line break would begin another message to the manager."""
    return "STATUS=" + " ".join(text.split())
