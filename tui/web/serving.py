"""The program that serves the console to a browser of this machine.

The HTTP server is in `tui.web.server`, which is imported only when it is needed: it requires the extra `web`.
"""

import importlib.util
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from core import child_programs
from core.addresses import LOOPBACK, Address
from core.errors import ConfigurationError
from core.signals import on_stop
from tui.web.guard import Guard

COMMAND = child_programs.command("tui")
"""The command that starts the console of one browser tab."""

_LIBRARY = "textual_serve"


def require_library() -> None:
    """Check that textual-serve is installed.

    Raises:
        ConfigurationError: it is not installed.
    """
    if importlib.util.find_spec(_LIBRARY) is None:
        raise ConfigurationError(
            "--web needs textual-serve, which is not installed: python -m pip install 'cauce[web]'"
        )


def listen(address: Address) -> socket.socket:
    """Open a listening socket on the loopback interface.

    Raises:
        ConfigurationError: the address is not a loopback address, or its port is taken.
    """
    if not address.is_loopback:
        raise ConfigurationError(
            f"the console is served on this machine only, not on {address}: to reach it from another, forward its "
            "port, as with `ssh -L`"
        )
    # The name is not resolved: the hosts file could map it to any address.
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
    address: Address,
    environment: Mapping[str, str],
    on_listening: Callable[[str], None],
    command: Sequence[str] = COMMAND,
) -> None:
    """Serve the console until Ctrl-C or another stop signal, then end all consoles; a second signal kills them.

    Args:
        address: the address to listen on; port 0 takes a free one.
        environment: the variables that the consoles get besides our own.
        on_listening: takes the address for the browser, with its token, once it can be opened.
        command: the command that starts the console of one browser tab.

    Raises:
        ConfigurationError: the library is missing, or the address can't be used.
    """
    require_library()
    from tui.web.server import ConsoleServer

    with listen(address) as listener:
        host, port = listener.getsockname()[:2]
        server = ConsoleServer(command, Guard(port), Address(host, port), environment)
        on_stop(lambda _signal: server.stop(), lambda _signal: server.kill())
        if sys.platform != "win32":
            signal.signal(signal.SIGHUP, lambda _number, _frame: server.stop())
        server.run(listener, on_listening)
