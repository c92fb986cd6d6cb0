"""Our own system as a case: so many servers and workers, on a broker, with or without NGINX before them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from core.addresses import Address
from tests.benchmarks.book import Book
from tests.benchmarks.case import Case, Group, Order, Result, Stage
from tests.benchmarks.stages import Stages
from tests.benchmarks.virtual_host import virtual_host
from tests.services.nginx import NginxProcess
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem


class Arrangement(Case):
    """Servers and workers with four threads each.

    Args:
        name: of the case.
        servers: how many.
        workers: how many.
        node: the RabbitMQ to use; the embedded queue when None.
        nginx: the program that balances the servers; clients connect to them directly when None.
    """

    def __init__(
        self, name: str, servers: int, workers: int, *, node: RabbitNode | None = None, nginx: Path | None = None
    ) -> None:
        self.name = name
        queue = "the embedded queue" if node is None else "RabbitMQ"
        balancer = "" if nginx is None else "NGINX, "
        self.description = f"Cauce: {balancer}{_count(servers, 'server')}, {queue}, {_count(workers, 'worker')}"
        self._servers = servers
        self._workers = workers
        self._node = node
        self._nginx = nginx

    def run(self, directory: Path, order: Order) -> Result:
        """Start it, warm it up, and measure."""
        with ExitStack() as stack:
            broker = "embedded" if self._node is None else stack.enter_context(virtual_host(self._node))
            servers = stack.enter_context(LocalSystem(directory, self._servers, 0, broker=broker))
            processes = {Group.SERVERS: [servers.process(f"s{number + 1}").pid for number in range(self._servers)]}
            entrance = servers.addresses
            if self._node is not None:
                processes[Group.RABBITMQ] = [self._node.pid]
            if self._nginx is not None:
                balancer = stack.enter_context(balancing(self._nginx, directory / "nginx", entrance))
                processes[Group.NGINX] = [balancer.pid, *balancer.workers()]
                entrance = [balancer.address]
            book = stack.enter_context(Book(servers.journal))
            stages = Stages(entrance, book, order)
            return self._measure(stages, processes, LocalSystem(directory, 0, self._workers, broker=broker), order)

    def _measure(
        self, stages: Stages, processes: Mapping[Group, Sequence[int]], workers: LocalSystem, order: Order
    ) -> Result:
        results = {}
        with self._working(workers) as pids:
            stages.warm_up()
            results[Stage.WHOLE] = stages.whole({**processes, Group.WORKERS: pids})
            results[Stage.MEANWHILE] = stages.meanwhile()
        if order.halves:
            results[Stage.ACCEPT] = stages.accept(processes)
            with self._working(workers) as pids:
                results[Stage.WORK] = stages.work({**processes, Group.WORKERS: pids})
        return results

    @contextmanager
    def _working(self, workers: LocalSystem) -> Iterator[list[int]]:
        """Have the workers work within the block; their process ids."""
        with workers:
            yield [workers.process(f"w{number + 1}").pid for number in range(self._workers)]


@contextmanager
def balancing(program: Path, directory: Path, servers: Sequence[Address]) -> Iterator[NginxProcess]:
    """Have NGINX before some servers within the block."""
    nginx = NginxProcess(program, directory, servers)
    nginx.start()
    try:
        yield nginx
    finally:
        nginx.stop()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
