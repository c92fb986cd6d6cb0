"""The links of the server and of the workers to RabbitMQ, cut, reset and swallowed while tasks run."""

import contextlib
from collections.abc import Callable
from functools import partial

import msgspec

from core.addresses import LOOPBACK, Address
from core.client import Client
from tests.faults import ledger, network, nodes
from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
from tests.faults.driver import ANSWER_WITHIN, Driver, Pace
from tests.faults.network import Spans
from tests.faults.proxy import Proxy
from tests.faults.values import Outcome
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 60.0
SECONDS = 0.05
"""Of work in each task: long enough that workers hold some when their link is cut."""

WORKERS = 2
MENDING = 60.0
SERVER = "server"
WORKER = "workers"


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A system each of whose sides has a link of its own to the broker."""

    node: RabbitNode
    system: LocalSystem
    driver: Driver
    links: dict[str, Proxy]

    def well_again(self) -> None:
        """Wait until all consume, the server is content, and what is submitted now is done."""
        wait_until(lambda: nodes.consumers(self.node) >= WORKERS, "the consumers to be back", MENDING)
        with Client(self.system.addresses) as client:
            wait_until(lambda: client.stats().broker == "ready", "the server to have its broker", MENDING)
        done = self.system.counts().get("done", 0)
        wait_until(lambda: self.system.counts().get("done", 0) > done + 5, "tasks to be done", MENDING)


def trouble(arena: Arena, quick: dict[str, int], long: dict[str, int]) -> Outcome:
    """Make so many troubles on each link, in an order of chance.

    Args:
        arena: where.
        quick: how many, by the name of the link, in the quick profile.
        long: the same in the long one.
    """
    counts = quick if arena.size(1, 0) else long
    plan = [(what, side) for side, count in counts.items() for what in network.deck(arena.chance, count)]
    arena.chance.shuffle(plan)
    spans = Spans(most=arena.size(2, 30))
    with contextlib.ExitStack() as stack:
        scene = _scene(arena, stack)
        scene.driver.start()
        try:
            for number, (what, side) in enumerate(plan, 1):
                network.pause(arena.chance.random() * 0.3, lambda: scene.driver.over)
                network.make(what, scene.links[side], arena.chance, spans)
                # Every other one falls into what the one before has left.
                if arena.chance.random() < 0.5:
                    scene.well_again()
                if number % 10 == 0:
                    arena.say(f"{number} of {len(plan)} troubles, {scene.driver.accepted:,} tasks")
            scene.well_again()
        finally:
            scene.driver.end()
        arena.drain()
    outcome = arena.judge(scene.driver, faults=len(plan))
    # Submitting has nothing to do with the broker: no black hole of its may cost a client anything.
    findings = [
        *network.late(scene.driver, ANSWER_WITHIN),
        *network.refused(ledger.read(arena.ledger.path).refused),
    ]
    return msgspec.structs.replace(outcome, broken=(*outcome.broken, *findings))


def _scene(arena: Arena, stack: contextlib.ExitStack) -> Scene:
    node = stack.enter_context(nodes.node_in(arena.directory / "rabbitmq"))
    place = Address(LOOPBACK, node.port)
    links = {side: stack.enter_context(Proxy(place, arena.seed)) for side in (SERVER, WORKER)}
    urls = {side: network.through(node.url, proxy.address) for side, proxy in links.items()}
    system = stack.enter_context(
        LocalSystem(
            arena.system,
            1,
            WORKERS,
            broker=urls[SERVER],
            worker_arguments=("--broker", urls[WORKER], "--tasks", arena.tasks_module),
        )
    )
    driver = arena.driver(*system.addresses, pace=Pace(rate=RATE), seconds=SECONDS)
    return Scene(node=node, system=system, driver=driver, links=links)


def _long(side: str) -> Callable[[Arena], Outcome]:
    return partial(trouble, quick={}, long={side: 100})


TARGET = "cut, reset, refused, swallowed for up to 30 s, 100 times: answers within seconds, none lost"

CASES = (
    Case(
        name="links to RabbitMQ",
        target="of the server and of the workers, at once and after another: answers within seconds, none lost",
        run=partial(trouble, quick={SERVER: 3, WORKER: 3}, long={SERVER: 20, WORKER: 20}),
        rabbitmq=True,
    ),
    Case(name="link of the server to RabbitMQ", target=TARGET, run=_long(SERVER), profiles=ONLY_LONG, rabbitmq=True),
    Case(name="link of the workers to RabbitMQ", target=TARGET, run=_long(WORKER), profiles=ONLY_LONG, rabbitmq=True),
)
