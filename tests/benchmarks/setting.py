"""A system that runs as long as it is measured: so many servers and workers, on a broker, perhaps behind NGINX.

Unlike a case of the main benchmark it says nothing of what is done with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from core.addresses import Address
from tests.benchmarks.arrangement import balancing
from tests.benchmarks.services import Missing, Services
from tests.benchmarks.virtual_host import virtual_host
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem

STEADY = ("--connection-age", "86400", "--idle-seconds", "86400")
"""For the servers: no connection is asked to leave meanwhile."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What is to run."""

    name: str
    servers: int = 1
    workers: int = 1
    node: RabbitNode | None = None
    """The RabbitMQ to use; the embedded queue when None."""
    nginx: Path | None = None
    """The program that balances the servers; clients connect to them directly when None."""

    @property
    def description(self) -> str:
        """What runs, in a line."""
        queue = "the embedded queue" if self.node is None else "RabbitMQ"
        balancer = "" if self.nginx is None else "NGINX, "
        return f"{balancer}servers: {self.servers}, {queue}, workers of 4 threads: {self.workers}"


class Site:
    """What runs.

    Attributes:
        setting: that it was made by.
        broker: the URL of its broker, as the programs take it.
        servers: the processes of its servers.
        entrance: where clients connect to.
    """

    def __init__(self, setting: Setting, broker: str, servers: LocalSystem, entrance: Sequence[Address]) -> None:
        self.setting = setting
        self.broker = broker
        self.servers = servers
        self.entrance = entrance

    @property
    def journal(self) -> Path:
        """The journal's file."""
        return self.servers.journal

    def workers(self, count: int | None = None, arguments: Sequence[str] = ()) -> LocalSystem:
        """Its workers, or so many: they work within the block that they are used in."""
        wanted = self.setting.workers if count is None else count
        return LocalSystem(self.servers.directory, 0, wanted, broker=self.broker, worker_arguments=arguments)


@contextmanager
def running(setting: Setting, directory: Path) -> Iterator[Site]:
    """Have it run within the block, without workers."""
    with ExitStack() as stack:
        broker = "embedded" if setting.node is None else stack.enter_context(virtual_host(setting.node))
        system = LocalSystem(directory, setting.servers, 0, broker=broker, server_arguments=STEADY)
        servers = stack.enter_context(system)
        entrance = servers.addresses
        if setting.nginx is not None:
            entrance = [stack.enter_context(balancing(setting.nginx, directory / "nginx", entrance)).address]
        yield Site(setting, broker, servers, entrance)


SETTINGS: dict[str, Callable[[Services], Setting]] = {
    "embedded": lambda _: Setting(name="embedded"),
    "rabbitmq": lambda services: Setting(name="rabbitmq", node=services.rabbitmq()),
    "nginx": lambda services: Setting(
        name="nginx", servers=3, workers=2, nginx=services.nginx(), node=services.rabbitmq()
    ),
}


def make(names: Iterable[str], services: Services) -> tuple[list[Setting], list[str]]:
    """Make settings; and why which of them can't be measured on this machine."""
    settings: list[Setting] = []
    left_out: list[str] = []
    for name in names:
        try:
            settings.append(SETTINGS[name](services))
        except Missing as reason:
            left_out.append(f"{name}: {reason}")
    return settings, left_out
