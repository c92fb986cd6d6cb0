"""Faults of the links from server and workers to RabbitMQ while tasks run."""

import contextlib
from collections.abc import Callable
from functools import partial

import msgspec

from core.addresses import LOOPBACK, Address
from core.client import Client
from tests.faults import network, nodes, submission_log
from tests.faults.case import ONLY_LONG, Case
from tests.faults.context import CaseContext
from tests.faults.driver import ANSWER_TIMEOUT, Driver, Pace
from tests.faults.network import DurationRange
from tests.faults.proxy import Proxy
from tests.faults.values import Outcome
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 60.0
WORK = 0.05
"""Seconds of work in each task: long enough that workers have tasks in flight when their link is cut."""

WORKERS = 2
RECOVERY_TIMEOUT = 60.0
SERVER = "server"
WORKER = "workers"


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A system whose server and workers have separate links to the broker."""

    node: RabbitNode
    system: LocalSystem
    driver: Driver
    links: dict[str, Proxy]

    def wait_until_recovered(self) -> None:
        """Wait until the server has its broker, all workers consume, and new tasks are done."""
        with Client(self.system.addresses) as client:
            wait_until(lambda: client.stats().broker == "ready", "the server to have its broker", RECOVERY_TIMEOUT)
        # Afterwards, because each look opens a connection to the broker.
        wait_until(lambda: nodes.consumers(self.node) >= WORKERS, "the consumers to be back", RECOVERY_TIMEOUT)
        done = self.system.counts().get("done", 0)
        wait_until(lambda: self.system.counts().get("done", 0) > done + 5, "tasks to be done", RECOVERY_TIMEOUT)


def link_faults(context: CaseContext, quick: dict[str, int], long: dict[str, int]) -> Outcome:
    """Make so many faults on each link, in random order.

    Args:
        context: of the case.
        quick: number of faults by link in the quick profile.
        long: the same in the long profile.
    """
    counts = quick if context.size(1, 0) else long
    plan = [(fault, side) for side, count in counts.items() for fault in network.shuffled_faults(context.rng, count)]
    context.rng.shuffle(plan)
    durations = DurationRange(max=context.size(2, 30))
    with contextlib.ExitStack() as stack:
        scene = _scene(context, stack)
        scene.driver.start()
        try:
            for number, (fault, side) in enumerate(plan, 1):
                network.pause(context.rng.random() * 0.3, lambda: scene.driver.over)
                network.make(fault, scene.links[side], context.rng, durations)
                # Half of the faults begin before the system has recovered from the last.
                if context.rng.random() < 0.5:
                    scene.wait_until_recovered()
                if number % 10 == 0:
                    context.show_progress(f"{number} of {len(plan)} faults, {scene.driver.accepted:,} tasks")
            scene.wait_until_recovered()
        finally:
            scene.driver.end()
        context.drain()
    outcome = context.judge(scene.driver, faults=len(plan))
    # Submitting does not depend on the broker: its faults must not delay a client.
    findings = [
        *network.late(scene.driver, context.patience(ANSWER_TIMEOUT)),
        *network.refused(submission_log.read(context.submissions.path).refused),
    ]
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *findings))


def _scene(context: CaseContext, stack: contextlib.ExitStack) -> Scene:
    node = stack.enter_context(nodes.rabbitmq_node(context.directory / "rabbitmq"))
    node_address = Address(LOOPBACK, node.port)
    links = {side: stack.enter_context(Proxy(node_address, context.seed)) for side in (SERVER, WORKER)}
    urls = {side: network.through(node.url, proxy.address) for side, proxy in links.items()}
    system = stack.enter_context(
        LocalSystem(
            context.system,
            1,
            WORKERS,
            broker=urls[SERVER],
            worker_arguments=("--broker", urls[WORKER], "--tasks", context.tasks_module),
        )
    )
    driver = context.driver(*system.addresses, pace=Pace(rate=RATE), seconds=WORK)
    return Scene(node=node, system=system, driver=driver, links=links)


def _long(side: str) -> Callable[[CaseContext], Outcome]:
    return partial(link_faults, quick={}, long={side: 100})


TARGET = "cut, reset, refused, stalled for up to 30 s, 100 times: answers within seconds, none lost"

CASES = (
    Case(
        name="links to RabbitMQ",
        target="of the server and of the workers, at once and one after another: answers within seconds, none lost",
        run=partial(link_faults, quick={SERVER: 3, WORKER: 3}, long={SERVER: 20, WORKER: 20}),
        rabbitmq=True,
    ),
    Case(name="link of the server to RabbitMQ", target=TARGET, run=_long(SERVER), profiles=ONLY_LONG, rabbitmq=True),
    Case(name="link of the workers to RabbitMQ", target=TARGET, run=_long(WORKER), profiles=ONLY_LONG, rabbitmq=True),
)
