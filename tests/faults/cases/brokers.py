"""A RabbitMQ that dies, hangs, is full, forgets or isn't there, while tasks come in all the time."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import msgspec

from core.client import Client, NewSubmission
from tests.faults import nodes, sending
from tests.faults.arena import Arena
from tests.faults.case import ONLY_LONG, Case
from tests.faults.driver import ANSWER_WITHIN, Driver, Pace
from tests.faults.judge import Allowance
from tests.faults.values import Finding, Invariant, Outcome
from tests.integration.supervised import Supervised
from tests.services.rabbitmq import RabbitNode
from tests.services.system import LocalSystem
from tests.services.waiting import wait_until

RATE = 60.0
SECONDS = 0.02
WORKERS = 2
THREADS = 4
"""Of each worker: what runs at a trouble may run once more."""

MENDING = 90.0
NOTICED_WITHIN = 20.0
"""Seconds in which a server has to say that its broker is away."""

BESIDE = 1_000_000
"""The number of the first task that is not the driver's."""

BACKLOG = 120
BACKLOG_SECONDS = 0.1
"""Tasks that are sent just before a trouble, and how long each takes: so that there is something to lose."""

HOLDING = 1000
"""Milliseconds for which a consumer may hold a message, where that is what is wrong."""


class Scene(msgspec.Struct, frozen=True):
    """What a trouble is made of."""

    arena: Arena
    node: RabbitNode
    system: LocalSystem
    driver: Driver

    def go_on(self, seconds: float = 2.0) -> None:
        """Let tasks come in for a while."""
        end = time.monotonic() + seconds
        wait_until(lambda: time.monotonic() >= end or self.driver.over, "the time to pass", seconds + 5)

    def broker(self) -> str:
        """What the server says of its broker."""
        with Client(self.system.addresses) as client:
            return client.stats().broker

    def noticed(self) -> None:
        """Wait until the server says that something is wrong."""
        wait_until(lambda: self.broker() != "ready", "the trouble to be told", NOTICED_WITHIN)


def _kill(scene: Scene) -> None:
    scene.node.kill()
    scene.noticed()
    scene.node.start()


def _stop(scene: Scene) -> None:
    scene.node.stop()
    scene.noticed()
    scene.node.start()


def _hang(scene: Scene) -> None:
    scene.node.suspend()
    try:
        scene.go_on(scene.arena.size(5, 10 + scene.arena.chance.randrange(50)))
    finally:
        scene.node.resume()


def _alarm(what: str, scene: Scene) -> None:
    nodes.ring(scene.node, what, on=True)
    try:
        scene.noticed()
        scene.go_on()
    finally:
        nodes.ring(scene.node, what, on=False)


def _wipe(scene: Scene) -> None:
    nodes.wipe(scene.node, scene.arena.directory / "rabbitmq")
    scene.noticed()
    scene.node.start()
    told = Supervised(scene.arena.system).run("redispatch")
    assert told.code == 0, told.errors


def _delete(scene: Scene) -> None:
    nodes.delete_queue(scene.node)


def _hurry(scene: Scene) -> None:
    """Take messages from consumers that hold them for long."""
    number = 2 * BESIDE + scene.driver.accepted
    nodes.limit_holding(scene.node, HOLDING)
    try:
        task = NewSubmission("honest", scene.arena.payload(number, 4 * HOLDING / 1000), f"t-{number}")
        sending.send(scene.system.addresses, scene.arena.ledger, [task])
        scene.go_on(5.0)
    finally:
        nodes.limit_holding(scene.node, 1_800_000)


TROUBLES: dict[str, Callable[[Scene], None]] = {
    "kill": _kill,
    "stop": _stop,
    "hang": _hang,
    "memory alarm": partial(_alarm, "memory"),
    "disk alarm": partial(_alarm, "disk"),
    "wipe": _wipe,
    "delete the queue": _delete,
    "consumer timeout": _hurry,
}


def troubles(arena: Arena, quick: Sequence[str], long: Mapping[str, int]) -> Outcome:
    """Make one trouble after the other, and wait each time until tasks are done again.

    Args:
        arena: where.
        quick: in the quick profile, in this order.
        long: how often each in the long one, in an order of chance.
    """
    deck = [name for name, count in long.items() for _ in range(count)]
    arena.chance.shuffle(deck)
    deck = list(quick) if arena.size(1, 0) else deck
    flags = ("--tasks", arena.tasks_module, "--concurrency", str(THREADS))
    with (
        nodes.node_in(arena.directory / "rabbitmq") as node,
        LocalSystem(arena.system, 1, WORKERS, broker=node.url, worker_arguments=flags) as system,
    ):
        driver = arena.driver(*system.addresses, pace=Pace(rate=RATE), seconds=SECONDS)
        scene = Scene(arena, node, system, driver)
        driver.start()
        try:
            for place, name in enumerate(deck):
                scene.go_on(0.5)
                _pile_up(scene, BESIDE + BACKLOG * place)
                arena.say(f"{name}, after {driver.accepted:,} tasks")
                TROUBLES[name](scene)
                _well_again(scene)
        finally:
            driver.end()
        arena.drain()
        dead = [name for name in ("s1", "w1", "w2") if system.process(name).poll() is not None]
    return _judged(arena, driver, len(deck), [Finding(Invariant.HARMLESS, f"died: {dead}")] if dead else [])


def _pile_up(scene: Scene, first: int) -> None:
    """Have tasks wait in the queue."""
    numbers = range(first, first + BACKLOG)
    tasks = [NewSubmission("honest", scene.arena.payload(number, BACKLOG_SECONDS), f"t-{number}") for number in numbers]
    sending.send(scene.system.addresses, scene.arena.ledger, tasks)


def _well_again(scene: Scene) -> None:
    """Wait until the broker is used as before, and tasks are done."""
    wait_until(lambda: nodes.consumers(scene.node) >= WORKERS, "the consumers to be back", MENDING)
    wait_until(lambda: scene.broker() == "ready", "the server to say so", MENDING)
    done = scene.system.counts().get("done", 0)
    wait_until(lambda: scene.system.counts().get("done", 0) > done + 20, "tasks to be done", MENDING)


def _judged(arena: Arena, driver: Driver, faults: int, broken: Sequence[Finding] = ()) -> Outcome:
    outcome = arena.judge(driver, Allowance(), faults=faults)
    slow = [seconds for seconds in driver.seconds if seconds > ANSWER_WITHIN]
    late = [Finding(Invariant.ANSWERED, f"{len(slow)} answers took up to {max(slow):.1f} s")] if slow else []
    running = faults * WORKERS * THREADS
    often = f"{outcome.run_twice:,} tasks ran more than once, and no more than {running:,} ran when a trouble began"
    wasted = [Finding(Invariant.RUNS, often)] if outcome.run_twice > running else []
    remark = f"of at most {running:,} tasks that ran when a trouble began, {outcome.run_twice:,} ran once more"
    return msgspec.structs.replace(
        outcome, broken=(*outcome.broken, *broken, *late, *wasted), remarks=(*outcome.remarks, remark)
    )


def late_start(arena: Arena) -> Outcome:
    """Start everything but RabbitMQ, which comes some time later."""
    flags = ("--tasks", arena.tasks_module, "--concurrency", str(THREADS))
    with (
        nodes.node_in(arena.directory / "rabbitmq", started=False) as node,
        LocalSystem(arena.system, 2, WORKERS, broker=node.url, worker_arguments=flags) as system,
    ):
        driver = arena.driver(*system.addresses, pace=Pace(rate=RATE), seconds=SECONDS)
        scene = Scene(arena, node, system, driver)
        driver.start()
        try:
            scene.noticed()
            scene.go_on(20.0)
            node.start()
            _well_again(scene)
        finally:
            driver.end()
        arena.drain()
    return _judged(arena, driver, 1)


CASES = (
    Case(
        name="troubles of RabbitMQ",
        target="killed, stopped, hung, full, wiped, its queue deleted: submitting goes on, none lost",
        run=partial(
            troubles,
            quick=("hang", "delete the queue", "memory alarm", "kill"),
            long={"kill": 8, "stop": 4, "memory alarm": 4, "disk alarm": 4, "wipe": 3, "delete the queue": 5},
        ),
        rabbitmq=True,
    ),
    Case(
        name="RabbitMQ killed and restarted",
        target="20 times: submitting goes on, none lost",
        run=partial(troubles, quick=(), long={"kill": 20, "stop": 5}),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
    Case(
        name="RabbitMQ hung",
        target="5 times for 10 to 60 s, and hasty about what is held: submitting goes on, none lost",
        run=partial(troubles, quick=(), long={"hang": 5, "consumer timeout": 5}),
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
    Case(
        name="RabbitMQ comes later",
        target="20 s after all others: what was accepted before is done",
        run=late_start,
        profiles=ONLY_LONG,
        rabbitmq=True,
    ),
)
