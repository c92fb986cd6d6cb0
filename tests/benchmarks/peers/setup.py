"""What the processes of a peer have to know, which the case leaves for them in the directory they are started in."""

from pathlib import Path

import msgspec

QUEUE = "benchmark"
PAYLOAD = "hello world"
"""The same 11 bytes that our own client sends to `echo`."""

_FILE = Path("peer.json")


class Setup(msgspec.Struct, frozen=True):
    """Where things are."""

    database: str
    """The SQLite file with the results."""
    url: str = ""
    """The virtual host of RabbitMQ."""

    def write(self, directory: Path) -> None:
        """Leave it for processes that are started in this directory."""
        place = directory / _FILE
        # With the password of the node.
        place.touch(0o600)
        place.write_bytes(msgspec.json.encode(self))


def read_setup() -> Setup:
    """What was left in the current directory."""
    return msgspec.json.decode(_FILE.read_bytes(), type=Setup)


def echo(payload: str) -> str:
    """Give the payload back: the work of every peer."""
    return payload
