"""A server without a bound on its connections, and on the memory that they all have it hold."""

import sys

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.handler import RequestHandler

BOUNDLESS = 2**62


class BoundlessDesk(RequestHandler):
    """Lets everybody in, and holds whatever they say."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(name, max(most, BOUNDLESS), BOUNDLESS)


if __name__ == "__main__":
    program.RequestHandler = BoundlessDesk  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.boundless_server", "Hold whatever comes.", options.OPTIONS, run))
