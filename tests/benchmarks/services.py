"""The services and packages that cases need: found or started when the first case asks for them, ended with all."""

import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from core.closeable import Closeable
from core.errors import SupervisorError
from core.supervisor.nginx.executable import find_nginx, read_build
from tests.services.rabbitmq import RabbitNode


class Missing(Exception):
    """What a case needs is not on this machine."""


class Services(Closeable):
    """RabbitMQ, NGINX and the packages of the peers.

    Args:
        directory: where a node of RabbitMQ has its files.

    Attributes:
        versions: of those that were asked for.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._node: RabbitNode | None = None
        self.versions: dict[str, str] = {}

    def rabbitmq(self) -> RabbitNode:
        """A running node, the same for all.

        Raises:
            Missing: there is no RabbitMQ here.
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
        """The program.

        Raises:
            Missing: there is no NGINX with the stream module here.
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
        """Make sure that some packages are installed: those of the optional extra `benchmarks`.

        Raises:
            Missing: one of them is not.
        """
        try:
            self.versions.update({name: metadata.version(name) for name in names})
        except metadata.PackageNotFoundError as error:
            raise Missing(f"this needs the package {error.name}: pip install 'cauce[benchmarks]'") from error

    def close(self) -> None:
        """End what was started."""
        if self._node is not None:
            self._node.stop()
            self._node = None


def _number(answer: str) -> str:
    """The version in what Erlang printed."""
    found = re.search(r"\d[\w.-]*", answer)
    return found[0] if found else "unknown"
