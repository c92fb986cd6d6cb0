"""A system to measure: servers and workers on a broker, with or without NGINX in front.

Unlike a case of the main benchmark, it does not define what is measured.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from core.addresses import Address
from tests.benchmarks.cauce_case import nginx_balancer
from tests.benchmarks.services import Missing, Services
from tests.benchmarks.virtual_host import virtual_host
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem

STEADY = ("--connection-age", "86400", "--idle-seconds", "86400")
"""Flags of the servers, so that they close no connection during a measurement."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """The specification of a system."""

    name: str
    servers: int = 1
    workers: int = 1
    node: RabbitNode | None = None
    """The RabbitMQ to use; None for the embedded queue."""
    nginx: Path | None = None
    """The NGINX program in front of the servers; None to connect directly."""

    @property
    def description(self) -> str:
        """What runs, in one line."""
        queue = "the embedded queue" if self.node is None else "RabbitMQ"
        balancer = "" if self.nginx is None else "NGINX, "
        return f"{balancer}servers: {self.servers}, {queue}, workers of 4 threads: {self.workers}"


class RunningSystem:
    """A running system.

    Attributes:
        setting: its specification.
        broker: the URL of its broker, as a flag of the programs.
        servers: its server processes.
        entrance: addresses for clients.
    """

    def __init__(self, setting: Setting, broker: str, servers: LocalSystem, entrance: Sequence[Address]) -> None:
        self.setting = setting
        self.broker = broker
        self.servers = servers
        self.entrance = entrance

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return self.servers.journal

    def workers(self, count: int | None = None, arguments: Sequence[str] = ()) -> LocalSystem:
        """Make its workers, or so many; they run within a `with` block."""
        number = self.setting.workers if count is None else count
        return LocalSystem(self.servers.directory, 0, number, broker=self.broker, worker_arguments=arguments)


@contextmanager
def running(setting: Setting, directory: Path) -> Iterator[RunningSystem]:
    """Run a system within the block, without workers."""
    with ExitStack() as stack:
        broker = "embedded" if setting.node is None else stack.enter_context(virtual_host(setting.node))
        system = LocalSystem(directory, setting.servers, 0, broker=broker, server_arguments=STEADY)
        servers = stack.enter_context(system)
        entrance = servers.addresses
        if setting.nginx is not None:
            entrance = [stack.enter_context(nginx_balancer(setting.nginx, directory / "nginx", entrance)).address]
        yield RunningSystem(setting, broker, servers, entrance)


SETTINGS: dict[str, Callable[[Services], Setting]] = {
    "embedded": lambda _: Setting(name="embedded"),
    "rabbitmq": lambda services: Setting(name="rabbitmq", node=services.rabbitmq()),
    "nginx": lambda services: Setting(
        name="nginx", servers=3, workers=2, nginx=services.nginx(), node=services.rabbitmq()
    ),
}


def make(names: Iterable[str], services: Services) -> tuple[list[Setting], list[str]]:
    """Make settings. Returns them, and the reasons for those that can't be measured on this machine."""
    settings: list[Setting] = []
    left_out: list[str] = []
    for name in names:
        try:
            settings.append(SETTINGS[name](services))
        except Missing as reason:
            left_out.append(f"{name}: {reason}")
    return settings, left_out
