"""A server without a limit of its connections and of their memory."""

import sys

from core.launch import launch
from core.server import options, program
from core.server.__main__ import run
from core.server.handler import RequestHandler

UNLIMITED = 2**62


class BoundlessHandler(RequestHandler):
    """Accepts every connection, and buffers without a limit."""

    def __init__(self, name: str, max_connections: int) -> None:
        super().__init__(name, max(max_connections, UNLIMITED), UNLIMITED)


if __name__ == "__main__":
    program.RequestHandler = BoundlessHandler  # type: ignore[attr-defined,assignment]  # this is what is wrong with it
    sys.exit(launch("tests.faults.broken.boundless_server", "Buffer without a limit.", options.OPTIONS, run))
