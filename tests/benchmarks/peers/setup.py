"""The settings of a peer's processes, which the case writes to their directory."""

from pathlib import Path

import msgspec

QUEUE = "benchmark"
PAYLOAD = "hello world"
"""The same 11 bytes that the load generator sends to `echo`."""

_FILE = Path("peer.json")


class Setup(msgspec.Struct, frozen=True):
    """The settings."""

    database: str
    """The SQLite file of the results."""
    url: str = ""
    """The virtual host of RabbitMQ."""

    def write(self, directory: Path) -> None:
        """Write the settings for processes that start in a directory."""
        file = directory / _FILE
        # Private, because it has the password of the node.
        file.touch(0o600)
        file.write_bytes(msgspec.json.encode(self))


def read_setup() -> Setup:
    """Read the settings in the current directory."""
    return msgspec.json.decode(_FILE.read_bytes(), type=Setup)


def echo(payload: str) -> str:
    """Return the payload: the work of every peer."""
    return payload
