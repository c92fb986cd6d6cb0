"""Cauce as a case: servers and workers on a broker, with or without NGINX in front."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from core.addresses import Address
from tests.benchmarks.case import Case, Group, Order, Result, Stage
from tests.benchmarks.journal_reader import JournalReader
from tests.benchmarks.stages import Stages
from tests.benchmarks.virtual_host import virtual_host
from tests.services.nginx import NginxProcess
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem


class CauceCase(Case):
    """A system of Cauce, whose workers have four threads each.

    Args:
        name: of the case.
        servers: number of servers.
        workers: number of workers.
        node: the RabbitMQ to use; None for the embedded queue.
        nginx: the NGINX program in front of the servers; None to connect directly.
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
        """Start the system, warm it up, and measure."""
        with ExitStack() as stack:
            broker = "embedded" if self._node is None else stack.enter_context(virtual_host(self._node))
            servers = stack.enter_context(LocalSystem(directory, self._servers, 0, broker=broker))
            processes = {Group.SERVERS: [servers.process(f"s{number + 1}").pid for number in range(self._servers)]}
            entrance = servers.addresses
            if self._node is not None:
                processes[Group.RABBITMQ] = [self._node.pid]
            if self._nginx is not None:
                balancer = stack.enter_context(nginx_balancer(self._nginx, directory / "nginx", entrance))
                processes[Group.NGINX] = [balancer.pid, *balancer.workers()]
                entrance = [balancer.address]
            journal = stack.enter_context(JournalReader(servers.journal))
            stages = Stages(entrance, journal, order)
            return self._measure(stages, processes, LocalSystem(directory, 0, self._workers, broker=broker), order)

    def _measure(
        self, stages: Stages, processes: Mapping[Group, Sequence[int]], workers: LocalSystem, order: Order
    ) -> Result:
        results = {}
        with self._running_workers(workers) as pids:
            stages.warm_up()
            results[Stage.WHOLE] = stages.whole({**processes, Group.WORKERS: pids})
            results[Stage.MEANWHILE] = stages.meanwhile()
        if order.halves:
            results[Stage.ACCEPT] = stages.accept(processes)
            with self._running_workers(workers) as pids:
                results[Stage.WORK] = stages.work({**processes, Group.WORKERS: pids})
        return results

    @contextmanager
    def _running_workers(self, workers: LocalSystem) -> Iterator[list[int]]:
        """Run the workers within the block. Provides their process ids."""
        with workers:
            yield [workers.process(f"w{number + 1}").pid for number in range(self._workers)]


@contextmanager
def nginx_balancer(program: Path, directory: Path, servers: Sequence[Address]) -> Iterator[NginxProcess]:
    """Run NGINX in front of some servers within the block."""
    nginx = NginxProcess(program, directory, servers)
    nginx.start()
    try:
        yield nginx
    finally:
        nginx.stop()


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
