"""The services and packages that cases need: match or started on demand, and stopped at the end."""

import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from core.closeable import Closeable
from core.errors import SupervisorError
from core.supervisor.nginx.executable import find_nginx, read_build
from tests.services.rabbitmq import RabbitNode


class Missing(Exception):
    """A service or package of a case is not installed."""


class Services(Closeable):
    """RabbitMQ, NGINX and the packages of the peers.

    Args:
        directory: for the files of a RabbitMQ node.

    Attributes:
        versions: of the services and packages in use.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._node: RabbitNode | None = None
        self.versions: dict[str, str] = {}

    def rabbitmq(self) -> RabbitNode:
        """Return a running node, the same for all cases.

        Raises:
            Missing: RabbitMQ is not installed.
        """
        if self._node is None:
            try:
                self._node = RabbitNode(self._directory / "rabbitmq")
            except FileNotFoundError as error:
                raise Missing(str(error)) from error
            self._node.start()
            self.versions["RabbitMQ"] = _number(self._node.eval("rabbit_misc:version()."))
            self.versions["Erlang"] = _number(self._node.eval("erlang:system_info(otp_release)."))
        return self._node

    def nginx(self) -> Path:
        """Return the NGINX program.

        Raises:
            Missing: NGINX with its stream module is not installed.
        """
        program = find_nginx()
        try:
            build = None if program is None else read_build(program)
        except SupervisorError as error:
            raise Missing(str(error)) from error
        if program is None or build is None or not build.stream:
            raise Missing("this needs NGINX with its stream module: apt-get install nginx libnginx-mod-stream")
        self.versions["NGINX"] = build.version
        return program

    def packages(self, names: Sequence[str]) -> None:
        """Check that some packages of the extra `benchmarks` are installed.

        Raises:
            Missing: one of them is not installed.
        """
        try:
            self.versions.update({name: metadata.version(name) for name in names})
        except metadata.PackageNotFoundError as error:
            raise Missing(f"this needs the package {error.name}: pip install 'cauce[benchmarks]'") from error

    def close(self) -> None:
        """Stop the services."""
        if self._node is not None:
            self._node.stop()
            self._node = None


def _number(answer: str) -> str:
    """Return the version in the output of Erlang."""
    match = re.search(r"\d[\w.-]*", answer)
    return match[0] if match else "unknown"
